/* The server: the workers behind the listening sockets, the admin worker, and how all of it stops. */
#ifndef SELVEDGE_EDGE_SERVER_H
#define SELVEDGE_EDGE_SERVER_H

#include "edge/configuration.h"
#include "edge/node.h"
#include "edge/server/sockets.h"

typedef struct server server_t;

/* The settings are those that the sockets were opened for. Starts the workers; when it returns, every
 * listener accepts. Settings and sockets are kept by the caller. */
server_t *server_start(const settings_t *settings, sockets_t *sockets, node_t *node,
                       configuration_t *configuration);

/* What the settings say of clients, and no more connections than this process may have files for: then that
 * is said on stderr. */
limits_config_t server_limits(const settings_t *settings);

/* All workers switch to the configuration, of which they take references. `done` is called once, on the last
 * one's thread, when all serve by it. Not after server_stop(). */
void server_take(server_t *server, configuration_t *configuration, void (*done)(void *context),
                 void *context);

/* Stops accepting and lets requests in flight end, for at most so long; then what waits for an origin is
 * failed (the node's puller is stopped) and what is left is cut off. False: a worker did not
 * end even so, and the process must. */
bool server_stop(server_t *server, node_t *node, int64_t timeout_ms);
void server_free(server_t **server);

#endif
