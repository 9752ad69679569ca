/* URI references in a response: what they name, seen from the URL that was asked for. Pure. */
#ifndef SELVEDGE_EDGE_HTTP_REFERENCE_H
#define SELVEDGE_EDGE_HTTP_REFERENCE_H

#include "edge/base.h"

/* Of the URL that a client asked for (RFC 6454): scheme, and host with port. */
typedef struct {
    bool https;
    text_t authority; /* absent: not known */
} http_origin_t;

/* The normalised target that `reference` names, as of Location or Content-Location: resolved against `base`,
 * a normalised target of that origin (RFC 3986 section 5.2), a fragment left out. False when it is of another
 * origin, is no reference, or does not fit; *target means nothing then. It lies in `buffer`, of
 * URL_NORMAL_MAX(length of both) bytes to be enough for any, or is `reference` itself. */
bool http_reference_target(const http_origin_t *origin, text_t base, text_t reference, char *buffer,
                           size_t capacity, text_t *target);

#endif
