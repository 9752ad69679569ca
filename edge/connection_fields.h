/* What Connection names goes no further than this connection (RFC 9110 section 7.6.1). It is left out before
 * anything is read of the request, so that what selects a variant and what upstream sees are the same. */
#ifndef SELVEDGE_EDGE_CONNECTION_FIELDS_H
#define SELVEDGE_EDGE_CONNECTION_FIELDS_H

#include <h2o.h>
#include <stdbool.h>

/* Takes these fields out of the request. True when Authorization was among them: upstream does not see whose
 * request it is, and what it answers is still for nobody else. CDN-Loop stays, whoever names it: a client
 * must not be able to hide a loop (RFC 8586 section 2). */
bool connection_fields_drop(h2o_req_t *req);

#endif
