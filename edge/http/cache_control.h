/* The Cache-Control of a response, read strictly: RFC 9111 section 5.2.2, RFC 5861, RFC 8246, RFC 9213. Pure.
 */
#ifndef SELVEDGE_EDGE_HTTP_CACHE_CONTROL_H
#define SELVEDGE_EDGE_HTTP_CACHE_CONTROL_H

#include "edge/http/fields.h"

/* Seconds stop counting here (RFC 9111 section 1.2.2). */
#define HTTP_SECONDS_MAX (INT64_C(1) << 31)
enum { HTTP_SECONDS_ABSENT = -1 };

typedef struct {
    bool is_public, is_private, no_store, no_cache, must_revalidate, proxy_revalidate, must_understand;
    bool bad_value;  /* an understood one with a value it cannot have, or two that differ */
    bool bad_syntax; /* not a list of directives: anything may hide in it */
    /* Seconds, or HTTP_SECONDS_ABSENT. */
    int64_t max_age, s_maxage, stale_while_revalidate, stale_if_error;
} http_cache_control_t;

/* All Cache-Control lines combined; directives that are not known are ignored (section 5.2.3). private and
 * no-cache with field names count as without. */
http_cache_control_t http_cache_control(http_fields_t response);

/* The same, said for caches like this one in a field of its own (RFC 9213): a dictionary of structured
 * fields. `name` in lower case. False: there is no such field, or it is to be ignored: a directive of another
 * type (section 2.1), a syntax error, nothing in it. */
bool http_cache_control_targeted(http_fields_t response, text_t name, http_cache_control_t *control);

/* Nothing said. */
http_cache_control_t http_cache_control_none(void);

/* delta-seconds, up to HTTP_SECONDS_MAX; false for all that is not one or more digits. */
bool http_seconds_parse(text_t value, int64_t *seconds);
/* The same as a directive's argument, which may be quoted: senders MUST NOT do so, but "recipients ought to
 * accept both forms" (section 5.2). */
bool http_seconds_argument(text_t value, int64_t *seconds);

#endif
