/* The request path: from the library's request to a decision. Knows all rooms; nobody knows it but the
 * server. */
#ifndef SELVEDGE_EDGE_REQUEST_H
#define SELVEDGE_EDGE_REQUEST_H

#include <h2o.h>

/* Registers the site's handler and the log on a worker's host and path. Requests find their node through
 * their worker.
 */
void request_register(h2o_hostconf_t *host, h2o_pathconf_t *path);

/* What a request pins of the memory, in bytes, times the milliseconds for which its client has taken nothing
 * of the answer; 0 within the first second, and for what the cache would hold anyway. */
uint64_t request_held(const h2o_req_t *req, uint64_t now_ms);

#endif
