/* What a site decides where HTTP leaves it to whoever runs the cache. Plain values, of a site's settings; a
 * fill has those that it began with. */
#ifndef SELVEDGE_EDGE_HTTP_POLICY_H
#define SELVEDGE_EDGE_HTTP_POLICY_H

#include <stdint.h>

/* So long after its freshness lifetime a response may be used as it is, though it is stale; 0: not at all. */
typedef struct {
    int64_t while_revalidate_ms; /* while the origin is asked in the background (RFC 5861 section 3) */
    int64_t if_error_ms;         /* when the origin fails (RFC 5861 section 4, RFC 9111 section 4.2.4) */
} http_stale_t;

typedef struct {
    http_stale_t stale; /* of a response that says nothing of it */
} http_policy_t;

#endif
