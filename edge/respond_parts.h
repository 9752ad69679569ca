/* An answer of several parts (multipart/byteranges): which of them is being read, and what goes around it. In
 * the request's pool. */
#ifndef SELVEDGE_EDGE_RESPOND_PARTS_H
#define SELVEDGE_EDGE_RESPOND_PARTS_H

#include <h2o.h>

#include "edge/http/multipart.h"

typedef struct parts parts_t;

/* content_type: the whole's, of which a copy is made; may be absent. */
parts_t *parts_new(h2o_mem_pool_t *pool, const http_ranges_t *ranges, uint64_t length, text_t content_type);
/* The answer's Content-Type and Content-Length; the text lives as long as the pool. */
text_t parts_type(const parts_t *parts);
uint64_t parts_length(const parts_t *parts);

/* The range that is read next; NULL: there is none left. */
const http_range_t *parts_next(parts_t *parts);
size_t parts_left(const parts_t *parts);
/* What goes before the bytes that are sent next: its head before the first ones of a part, or else nothing.
 * Until the next call. */
text_t parts_head(parts_t *parts);
/* What goes behind the last bytes. */
text_t parts_end(parts_t *parts);

#endif
