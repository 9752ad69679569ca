/* URLs: normalised request targets (RFC 3986 section 6.2.2) and absolute URLs taken apart. Pure; each is a
 * parser over (pointer, length) that never allocates and never reads past the end. Requests and purges use
 * the same functions, so that a purge names exactly what a request would fetch. */
#ifndef SELVEDGE_EDGE_HTTP_URL_H
#define SELVEDGE_EDGE_HTTP_URL_H

#include "edge/base.h"

typedef enum {
    URL_OK,
    URL_NOT_A_URL,  /* no scheme and host, or not origin-form */
    URL_BAD_SCHEME, /* neither http nor https */
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

/* The longest that a target of this length can become: each byte an escape, and the `/` of an empty path. */
#define URL_NORMAL_MAX(length) (3 * (length) + 1)

/* Normalises an origin-form target: escapes in upper case, unreserved ones decoded, plain `.` and `..`
 * segments removed, the query kept byte for byte. An empty path becomes `/`; empty segments stay. What RFC
 * 3986 does not allow raw in a path but browsers send (`"<>[]^`{|}`) becomes its escape, so that /a|b and
 * /a%7Cb are one key; in the query it stays.
 *
 * `*normal` is `target` itself when nothing changes (the usual case, one scan), a literal when it is empty,
 * else it lies in `buffer`, which must not overlap the target. A capacity of URL_NORMAL_MAX(target.length) is always enough; with less,
 * what does not fit is URL_TOO_LONG. Idempotent. *normal means nothing after an error. */
url_error_t url_normalize(text_t target, char *buffer, size_t capacity, text_t *normal);

typedef struct {
    bool https;
    text_t host; /* as written, without brackets for IPv6 */
    bool ipv6;
    uint16_t port; /* 80 or 443 when not given; 0, as given, is the caller's to allow */
    bool port_given;
    text_t target; /* path and query as written, may be empty; a fragment is an error */
} url_parts_t;

/* http://host[:port][/path][?query]; userinfo is refused, hosts are names or addresses without escapes. The
 * target is not checked here: that is url_normalize's. */
url_error_t url_split(text_t url, url_parts_t *parts);

enum { URL_HOST_MAX = 256 };

/* The host of an authority, host[:port], in the one form in which two that mean the same are the same bytes:
 * lower case, without port, brackets or a dot at its end, IPv6 as inet_ntop writes it. It lies in `buffer`.
 * False: it is no authority. has_port may be NULL. */
bool url_host(text_t authority, char buffer[URL_HOST_MAX], text_t *host, bool *has_port);

/* What of a target stands before its query. */
static inline text_t url_path(text_t target)
{
    text_t path = {target.data, 0};
    text_take(&target, '?', &path);
    return path;
}

#endif
