/* URLs: normalised request targets (RFC 3986 section 6.2.2) and absolute URLs taken apart. Pure; each is a parser over
 * (pointer, length) that never allocates and never reads past the end. Requests and purges use the same functions, so
 * that a purge names exactly what a request would fetch. */
#ifndef SELVEDGE_EDGE_HTTP_URL_H
#define SELVEDGE_EDGE_HTTP_URL_H

#include "edge/base.h"

typedef enum {
    URL_OK,
    URL_NOT_A_URL,        /* no scheme and host, or not origin-form */
    URL_BAD_SCHEME,       /* neither http nor https */
    URL_BAD_HOST,
    URL_BAD_PORT,
    URL_BAD_BYTE,         /* control byte, space, `#`, non-ASCII or what RFC 3986 does not allow */
    URL_BAD_ESCAPE,       /* `%` without two hexadecimal digits, or %00 */
    URL_HIDDEN_SEPARATOR, /* backslash, %2F, %5C, or a dot segment written with %2E */
    URL_ESCAPES_ROOT,     /* `..` above the root */
    URL_TOO_LONG
} url_error_t;

/* What is wrong, as the end of a sentence ("holds a control byte ..."). NULL for URL_OK. */
const char *url_error_text(url_error_t error);

/* Normalises an origin-form target: escapes in upper case, unreserved ones decoded, dot segments removed (plain `.` and
 * `..` only), the query kept byte for byte. `*normal` is `target` itself when nothing changes (the usual case, one scan),
 * else written to `buffer`, whose capacity must be at least target.length. An empty path is `/`. */
url_error_t url_normalize(text_t target, char *buffer, size_t capacity, text_t *normal);

typedef struct {
    bool https;
    text_t host;   /* as written, without brackets for IPv6 */
    bool ipv6;
    uint16_t port; /* 80 or 443 when not given */
    bool port_given;
    text_t target; /* path and query as written, may be empty; a fragment is an error */
} url_parts_t;

/* http://host[:port][/path][?query] with userinfo refused. */
url_error_t url_split(text_t url, url_parts_t *parts);

#endif
