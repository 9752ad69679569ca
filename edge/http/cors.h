/* Which origins may read a site's answers in browsers: CORS, by Fetch
 * (https://fetch.spec.whatwg.org/#http-cors-protocol). A site's word is a list of origins with a space
 * between two, in which a star stands for any bytes; `*` is all of them, and empty leaves it to the origin
 * server. Pure. */
#ifndef SELVEDGE_EDGE_HTTP_CORS_H
#define SELVEDGE_EDGE_HTTP_CORS_H

#include "edge/base.h"

/* Does the site say it, in place of its origin server? */
static inline bool http_cors_is_said(text_t cors)
{
    return cors.length > 0;
}

/* The same for all, so that answers do not depend on who asks? */
static inline bool http_cors_is_all(text_t cors)
{
    return text_equal(cors, TEXT("*"));
}

/* What Access-Control-Allow-Origin says to a request with this Origin; absent: nothing. */
text_t http_cors_allow(text_t cors, text_t origin);

/* Is this an origin as browsers write it, or with a star for the labels before a domain? */
bool http_cors_is_origin(text_t text);

#endif
