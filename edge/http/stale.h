/* May a stale response be used, and for how long? RFC 5861, RFC 9111 section 4.2.4. Pure. */
#ifndef SELVEDGE_EDGE_HTTP_STALE_H
#define SELVEDGE_EDGE_HTTP_STALE_H

#include "edge/http/cache_control.h"
#include "edge/http/policy.h"

/* Never to be used stale: must-revalidate, proxy-revalidate, s-maxage. */
bool http_must_revalidate(const http_cache_control_t *control);

/* For how long a response with these directives may be used when it is stale: as it says, else as the site
 * has it (policy; NULL: it allows nothing), and never where it says that it must be validated first. */
http_stale_t http_stale_windows(const http_cache_control_t *control, const http_policy_t *policy);

/* An answer to be taken for an error of the origin (RFC 5861 section 4). */
bool http_is_error(int status);

/* How often in a row the origin was asked about a stored response and failed, and when it did so last. */
typedef struct {
    unsigned times; /* 0: it has not */
    int64_t last_ms;
    bool answered; /* the last time, with an error: perhaps for what that one request says */
} http_trouble_t;

/* So long after it failed the origin is not asked again where there is something to answer with: doubled each
 * time. For twice as long it is known to fail, unless it answered. */
enum { HTTP_TROUBLE_REST_MS = 1000, HTTP_TROUBLE_REST_MAX_MS = 30000 };

typedef enum {
    HTTP_FRESH,            /* use it */
    HTTP_WHILE_REVALIDATE, /* it is stale; use it while the origin is asked in the background */
    HTTP_IF_ERROR,         /* it is stale; use it, as the origin is known to fail */
    HTTP_ON_REQUEST,       /* it is stale; use it, as the request takes it (request_control.h) */
    HTTP_VALIDATE          /* ask the origin first */
} http_use_t;

/* How a stored response may be used now that is fresh for `ttl_ms`, or has been stale for so long when that
 * is zero or less. *ask: when it is stale and may be used, is the origin to be asked now? */
http_use_t http_use(const http_stale_t *windows, int64_t ttl_ms, http_trouble_t trouble, int64_t now_ms,
                    bool *ask);

/* The origin failed: may this one answer instead? */
bool http_use_on_error(const http_stale_t *windows, int64_t ttl_ms);

#endif
