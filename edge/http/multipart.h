/* multipart/byteranges: what stands around the parts of an answer to several ranges (RFC 9110 section 14.6,
 * RFC 2046 section 5.1.1). Pure. */
#ifndef SELVEDGE_EDGE_HTTP_MULTIPART_H
#define SELVEDGE_EDGE_HTTP_MULTIPART_H

#include "edge/http/range.h"

typedef struct {
    text_t boundary;     /* must occur in none of the parts: random, new for each answer */
    text_t content_type; /* of the whole representation; may be absent */
    uint64_t length;     /* of the whole representation */
    http_ranges_t ranges;
} http_multipart_t;

enum {
    HTTP_BOUNDARY_LENGTH = 32,
    HTTP_MULTIPART_TYPE_MAX = 80, /* of http_multipart_type(), with a boundary of that length */
    HTTP_MULTIPART_END_MAX = HTTP_BOUNDARY_LENGTH + 8
};

/* A boundary of 128 random bits. */
text_t http_multipart_boundary(uint64_t high, uint64_t low, char buffer[HTTP_BOUNDARY_LENGTH + 1]);
/* The answer's Content-Type. */
text_t http_multipart_type(text_t boundary, char buffer[HTTP_MULTIPART_TYPE_MAX]);

/* What goes before a part's bytes, and the most bytes that it has. */
size_t http_multipart_head_max(const http_multipart_t *multipart);
text_t http_multipart_head(const http_multipart_t *multipart, size_t part, char *buffer);
/* What goes behind the last part's bytes. */
text_t http_multipart_end(const http_multipart_t *multipart, char buffer[HTTP_MULTIPART_END_MAX]);

/* The answer's Content-Length: its parts, and all that goes around them. `buffer` has room for a head. */
uint64_t http_multipart_length(const http_multipart_t *multipart, char *buffer);

#endif
