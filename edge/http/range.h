/* Range requests: RFC 9110 section 14. Ranges of bytes; what is malformed, asks for too many parts, or has
 * another unit is as no Range at all, which the RFC allows: the whole 200 is always right. Pure. */
#ifndef SELVEDGE_EDGE_HTTP_RANGE_H
#define SELVEDGE_EDGE_HTTP_RANGE_H

#include "edge/http/fields.h"

typedef struct {
    uint64_t first, end; /* offsets in bytes; end: the one behind the last */
} http_range_t;

/* Parts of one answer at most: who asks for more of them costs more than the whole does. */
enum { HTTP_RANGES_MAX = 16 };

/* Ranges that neither overlap nor touch, each where the first of those that it was made of stood. */
typedef struct {
    size_t count;
    http_range_t at[HTTP_RANGES_MAX];
} http_ranges_t;

typedef enum {
    HTTP_RANGE_IGNORED, /* malformed, too many, another unit: as if it had not been sent */
    HTTP_RANGE_PARTS,   /* *ranges holds them, one or more: not empty, within the length */
    HTTP_RANGE_UNSATISFIABLE
} http_range_kind_t;

/* The value of a Range field, for a representation of `length` bytes. Numbers of any size are taken. Ranges
 * of which there is no byte are left out, as long as there is another; those that overlap or touch become one
 * (RFC 9110 section 15.3.7.2). */
http_range_kind_t http_range_parse(text_t value, uint64_t length, http_ranges_t *ranges);

/* The value of a 206's Content-Range: which bytes it holds, of how many. False: of another unit, not knowing
 * of how many, or with numbers that do not belong together (RFC 9110 section 14.4). */
bool http_content_range_parse(text_t value, http_range_t *range, uint64_t *length);

/* The 200 that a GET or HEAD selects. */
typedef struct {
    text_t etag, last_modified, date; /* each may be absent */
    int64_t length;                   /* of the body; -1: not known, then there are no ranges of it */
    bool is_get;                      /* of HEAD no range is taken */
    bool is_coded;                    /* Content-Encoding: no range is taken, only identity has any */
} http_selected_t;

typedef enum {
    HTTP_WHOLE,
    HTTP_PART,                /* 206: the one range */
    HTTP_PARTS,               /* 206: multipart/byteranges */
    HTTP_NOT_MODIFIED,        /* 304 */
    HTTP_PRECONDITION_FAILED, /* 412 */
    HTTP_UNSATISFIABLE        /* 416 */
} http_selection_t;

/* How to answer with it, in the order of RFC 9110 section 13.2.2: the conditions go before the range. */
http_selection_t http_select(http_fields_t request, const http_selected_t *selected, http_ranges_t *ranges);

#endif
