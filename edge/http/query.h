/* Queries as a site wants them in its keys: some parameters left out, the others in one order. What is left
 * is what the origin is asked with too, so that nothing that is not in the key changes what is stored.
 *
 * A parameter is what stands between two ampersands; its name goes up to the first `=`. Names are compared as
 * they are written, escapes and all. Pure. */
#ifndef SELVEDGE_EDGE_HTTP_QUERY_H
#define SELVEDGE_EDGE_HTTP_QUERY_H

#include "edge/base.h"

/* A list has at most so many names: each parameter of a request is compared with them. */
enum { HTTP_QUERY_NAMES_MAX = 128 };

/* All zero: queries stay as they are. The lists are names with a space between each; a star in one stands for
 * any bytes. */
typedef struct {
    text_t keep; /* only this stays, which may be nothing; absent: all */
    text_t drop; /* this goes, even where it is in `keep` */
    bool sort;   /* by name; those of one name stay in their order */
} http_query_t;

/* Queries with more parameters than this stay in their order. */
enum { HTTP_QUERY_SORTED_MAX = 128 };

/* Does it leave every query as it is? */
bool http_query_is_plain(const http_query_t *query);

/* A normalised target with such a query; without its question mark when nothing of it is left. Empty
 * parameters go. The answer is the target itself, or lies in `buffer`, which has room for target.length and
 * does not overlap it. Idempotent. */
text_t http_query_apply(const http_query_t *query, text_t target, char *buffer);

#endif
