/* The sweep of stalled clients: looks at a worker's connections about once a second, and ends those that keep
 * it waiting (watch.h says when). libh2o has no such limits of its own but a timer for HTTP/1's requests and
 * one for idle HTTP/2, which any byte restarts; they are set out of the way. */
#ifndef SELVEDGE_EDGE_SERVER_STALLED_H
#define SELVEDGE_EDGE_SERVER_STALLED_H

#include "edge/server/connection.h"

/* What a request holds of the memory: bytes times milliseconds. */
typedef uint64_t stalled_held_t(const h2o_req_t *req, uint64_t now_ms);

/* Before a context is made of it: the library's own timers. */
void stalled_configure(h2o_globalconf_t *library);

/* On the worker. May close connections. held: too much memory is held for slow clients, and those go who hold
 * most of it for longest, whatever their limits; NULL: not so. */
void stalled_sweep(h2o_context_t *context, connections_t *connections, const watch_limits_t *limits,
                   stalled_held_t *held);

#endif
