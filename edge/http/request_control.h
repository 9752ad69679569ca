/* What a request says of the stored responses that it takes: RFC 9111 sections 5.2.1 and 5.4. For sites that
 * listen to it. Pure. */
#ifndef SELVEDGE_EDGE_HTTP_REQUEST_CONTROL_H
#define SELVEDGE_EDGE_HTTP_REQUEST_CONTROL_H

#include "edge/http/stale.h"

typedef struct {
    bool no_cache, no_store, only_if_cached;
    /* Seconds, or HTTP_SECONDS_ABSENT. max_stale without a value: HTTP_SECONDS_MAX. */
    int64_t max_age, min_fresh, max_stale;
} http_request_control_t;

/* All Cache-Control lines combined, or Pragma where there is none. A directive with a value that it cannot
 * have is ignored, as one that is not known: what is asked for here is at the cache's discretion. */
http_request_control_t http_request_control(http_fields_t request);

/* How a stored response may be used for this request that is so old, fresh for `ttl_ms` (stale for so long
 * when that is negative), and may be used as `use` says without the request's word. bound: it must be
 * validated when it is stale (must-revalidate and its like, no-cache), whatever the request says. */
http_use_t http_request_use(const http_request_control_t *control, http_use_t use, int64_t age_ms,
                            int64_t ttl_ms, bool bound);

#endif
