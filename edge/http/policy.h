/* What a site decides, for all its paths or for those of a rule, where HTTP leaves it to whoever runs the
 * cache. Plain values, of a site's settings; a fill has those that it began with. All zero is what holds
 * where a site says nothing. */
#ifndef SELVEDGE_EDGE_HTTP_POLICY_H
#define SELVEDGE_EDGE_HTTP_POLICY_H

#include "edge/http/fields.h"
#include "edge/http/query.h"
#include "edge/http/response_fields.h"

/* So long after its freshness lifetime a response may be used as it is, though it is stale; 0: not at all. */
typedef struct {
    int64_t while_revalidate_ms; /* while the origin is asked in the background (RFC 5861 section 3) */
    int64_t if_error_ms;         /* when the origin fails (RFC 5861 section 4, RFC 9111 section 4.2.4) */
} http_stale_t;

/* What a Set-Cookie does to an answer to GET (RFC 9111 section 7.3). */
typedef enum {
    HTTP_SET_COOKIE_BYPASS, /* the answer is for one client: neither stored nor shared */
    HTTP_SET_COOKIE_STORE,  /* it is like any other field: everybody gets the cookie */
    HTTP_SET_COOKIE_REMOVE  /* it is taken out of what is stored or shared */
} http_set_cookie_t;

/* All zero: none is said. */
typedef struct {
    bool said;
    int64_t ms;
} http_lifetime_t;

/* Freshness lifetimes that a site gives (RFC 9111 section 4.2.2 leaves the second and third to caches). */
typedef struct {
    http_lifetime_t always;   /* of what is no error: in place of what the origin says */
    http_lifetime_t standard; /* of what is no error: where the origin says none */
    http_lifetime_t negative; /* of 404 and 410: the same */
} http_lifetimes_t;

enum { HTTP_NAMES_MAX = 8 };

/* Names of fields, in lower case. */
typedef struct {
    text_t at[HTTP_NAMES_MAX];
    size_t count;
} http_names_t;

typedef struct {
    http_stale_t stale;  /* of a response that says nothing of it */
    unsigned set_cookie; /* an http_set_cookie_t */
    http_lifetimes_t lifetimes;
    http_query_t query;              /* what keys and the origin have of a query */
    bool honours_requests;           /* what requests say in Cache-Control counts (request_control.h) */
    bool bypass;                     /* nothing is stored, each request goes to the origin alone */
    bool forward_all;                /* the origin sees every request field, not only those that are safe */
    http_response_fields_t response; /* what is changed of the fields of answers */
    /* The fields that say for caches like this one what Cache-Control says for all (RFC 9213), the first of
     * them that a response has before the others; Surrogate-Control may be among them. */
    http_names_t targeted;
    http_names_t consumed; /* those that end here: clients do not see them */
    /* What its responses can be purged by (tags.h): the fields that name tags, and the tags that paths have, a
     * space between two. */
    http_names_t tag_fields;
    text_t tags;
} http_policy_t;

bool http_names_have(const http_names_t *names, text_t name);

/* Is an answer to GET with a Set-Cookie for one client alone? policy NULL: it decides nothing. */
bool http_policy_bypasses_cookies(const http_policy_t *policy);
/* Is a field of an answer that is stored or shared taken out, so that nobody gets it, nor anything made of
 * it? `name` in lower case; policy: as above. */
bool http_policy_removes(const http_policy_t *policy, text_t name);
/* May this field of a stored response stay when the response is validated? Not a cookie of before the site
 * decided otherwise. */
bool http_policy_keeps(const http_policy_t *policy, text_t name);
/* Does a field of an answer go on to clients? Else it is kept back, for later decisions. */
bool http_policy_sends(const http_policy_t *policy, text_t name);
/* The lifetime that a site gives a response of this status whatever it says itself, and the one for where it
 * says none. policy: NULL decides nothing. */
http_lifetime_t http_policy_always(const http_policy_t *policy, int status);
http_lifetime_t http_policy_standard(const http_policy_t *policy, int status);

#endif
