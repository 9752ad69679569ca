/* Is this HTTP/2 request well-formed? RFC 9113 sections 8.2 and 8.3. Pure. */
#ifndef SELVEDGE_EDGE_GUARD_HTTP2_CHECK_H
#define SELVEDGE_EDGE_GUARD_HTTP2_CHECK_H

#include "edge/guard/guard.h"
#include "edge/http/fields.h"

typedef struct {
    text_t method, path, authority; /* pseudo-fields; data NULL when absent */
    bool scheme;                    /* there was a :scheme */
    bool ends;                      /* END_STREAM came with the fields: there is no body */
    uint64_t content_length;        /* UINT64_MAX when there is none */
    http_fields_t fields;           /* the others */
    bool decoder_checked;           /* that names are tokens in lower case, and values hold no control byte */
    bool authority_checked;         /* guard_authority_again() said that it is valid */
} guard_http2_request_t;

guard_verdict_t guard_http2_check(const guard_http2_request_t *request, const guard_limits_t *limits);

/* The authority that was valid last; starts as zeroes. */
typedef struct {
    char bytes[64];
    size_t length;
} guard_authority_t;

/* guard_authority_valid(), at less cost for one that was valid just before: most requests on a thread ask for
 * the same few hosts. */
bool guard_authority_again(guard_authority_t *last, text_t authority);

typedef enum {
    HPACK_FINE,
    HPACK_BROKEN,     /* not a sequence of field representations */
    HPACK_EMPTY_NAME, /* a literal field name of length 0 */
    HPACK_TOO_MANY    /* over `fields_max` */
} hpack_scan_t;

/* Walks a header block (RFC 7541 section 6) without decoding it, in order to bound what decoding it can cost:
 * one byte on the wire can stand for 4 KiB of field. */
hpack_scan_t guard_hpack_scan(const uint8_t *block, size_t length, size_t fields_max);

#endif
