/* May a response be stored, shared, and for how long is it fresh? RFC 9111 sections 3, 3.5, 4.2.
 * Pure: fields and times in, a decision out. What is malformed is not stored. */
#ifndef SELVEDGE_EDGE_HTTP_STORING_H
#define SELVEDGE_EDGE_HTTP_STORING_H

#include "edge/http/fields.h"
#include "edge/http/policy.h"

/* What the decision needs to know of one exchange. Times: wall clock, milliseconds since the epoch. */
typedef struct {
    bool request_authorization;  /* the request carried Authorization */
    int status;                  /* final status of the response */
    http_fields_t fields;        /* of the response */
    int64_t request_time_ms;     /* when the request was sent upstream */
    int64_t response_time_ms;    /* when the response's head was complete */
    const http_policy_t *policy; /* its site's; NULL: that decides nothing */
} http_exchange_t;

typedef struct {
    /* May be kept and used again. */
    bool storable;
    /* May answer those who waited for it with the one who asked. False for what may not be shared at all:
     * then the key is marked hit-for-miss. storable implies shareable, except with no-cache. */
    bool shareable;
    bool no_cache;          /* must be revalidated before every use */
    bool must_revalidate;   /* must never be served stale: must-revalidate, proxy-revalidate, s-maxage */
    const char *why;        /* why it is not stored, one token for Cache-Status detail; NULL when it is */
    int64_t lifetime_ms;    /* freshness lifetime (section 4.2.1, 4.2.2), 0 and up */
    int64_t initial_age_ms; /* corrected_initial_age (section 4.2.3) at response_time_ms */
    http_stale_t stale;     /* for how long it may be used after its lifetime (stale.h) */
} http_storing_t;

/* After a 304, the exchange is the 304's times with the freshened fields and the stored status. */
http_storing_t http_storing(const http_exchange_t *exchange);

/* Age now, of a response whose initial age was as given at response_time_ms (section 4.2.3). Never negative.
 */
int64_t http_current_age_ms(int64_t initial_age_ms, int64_t response_time_ms, int64_t now_ms);

#endif
