/* The server: the workers behind the listening sockets, the admin worker, and how all of it stops. */
#ifndef SELVEDGE_EDGE_SERVER_H
#define SELVEDGE_EDGE_SERVER_H

#include "edge/node.h"
#include "edge/server/sockets.h"

typedef struct server server_t;

/* Reads the certificates; nothing is accepted yet. The sockets are kept by the caller. NULL and a sentence in
 * *error when it cannot be. */
server_t *server_open(const settings_t *settings, sockets_t *sockets, char *error, size_t capacity);

/* Starts the workers; when it returns, every listener accepts. */
void server_start(server_t *server, node_t *node);

/* Was a certificate made because none was given? */
bool server_self_signed(const server_t *server);

/* Stops accepting and lets requests in flight end, for at most so long; then what waits for an origin is
 * failed (the node's puller is stopped and set to NULL) and what is left is cut off. False: a worker did not
 * end even so, and the process must. */
bool server_stop(server_t *server, node_t *node, int64_t timeout_ms);
void server_free(server_t **server);

#endif
