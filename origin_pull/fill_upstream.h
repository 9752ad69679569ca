/* The fields that go upstream. Pure.
 *
 * By an allow-list, so that nothing the client sends and the key does not hold changes what is stored; with
 * `forward_all` every end-to-end field but Cookie and the client's own Forwarded and X-Forwarded-*. */
#ifndef SELVEDGE_ORIGIN_PULL_FILL_UPSTREAM_H
#define SELVEDGE_ORIGIN_PULL_FILL_UPSTREAM_H

#include "edge/http/fields.h"

typedef struct {
    text_t method;
    text_t host;          /* the Host to send */
    bool forwarded_https; /* X-Forwarded-Proto: the site's constant */
    bool forward_all;
    bool forward_range;       /* the client's Range and If-Range are for the origin */
    text_t client_field;      /* what of `fields` the node itself has put in, to tell the client's address; or
                                 absent */
    bool tells_surrogate;     /* Surrogate-Capability: the origin may answer with Surrogate-Control */
    text_t cdn_loop;          /* this node's member of CDN-Loop */
    http_fields_t fields;     /* the client's, end to end */
    http_fields_t conditions; /* the node's own */
} upstream_request_t;

enum { UPSTREAM_FIELDS_MAX = 160 };

/* Calls `add` for each field to send, in order. The values live only during the call. */
void upstream_fields(const upstream_request_t *request, void (*add)(void *context, text_t name, text_t value),
                     void *context);

/* Has this request been through this node already (RFC 8586)? own: this node's member of CDN-Loop. */
bool upstream_is_loop(http_fields_t fields, text_t own);

#endif
