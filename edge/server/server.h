/* The server: listening sockets, the workers behind them, the admin worker, and how all of it stops. */
#ifndef SELVEDGE_EDGE_SERVER_H
#define SELVEDGE_EDGE_SERVER_H

#include "edge/node.h"

typedef struct server server_t;

/* Opens every socket of the settings; nothing is accepted yet. NULL and a sentence in *error when one cannot
 * be opened. */
server_t *server_open(const settings_t *settings, char *error, size_t capacity);

/* Starts the workers; when it returns, every listener accepts. */
void server_start(server_t *server, node_t *node);

/* "http://127.0.0.1:8080 https://127.0.0.1:8443 admin=http://127.0.0.1:8081", with the ports that were
 * chosen. */
void server_describe(const server_t *server, char *text, size_t capacity);

/* Was a certificate made because none was given? */
bool server_self_signed(const server_t *server);

/* Stops accepting and lets requests in flight end, for at most so long; then what waits for an origin is
 * failed (the node's puller is stopped and set to NULL) and what is left is cut off. False: a worker did not
 * end even so, and the process must. */
bool server_stop(server_t *server, node_t *node, int64_t timeout_ms);
void server_free(server_t **server);

#endif
