/* A stored head's fields as the library takes them, with what the site changes of them: made when the head is
 * first answered with, and kept with it, so that a hit neither looks names up nor codes again what no HPACK
 * table shortens. Any worker. */
#ifndef SELVEDGE_EDGE_RESPOND_FRONT_H
#define SELVEDGE_EDGE_RESPOND_FRONT_H

#include <h2o.h>
#include <stdatomic.h>

#include "edge/cache/head.h"
#include "edge/http/response_fields.h"

/* What each hit reads comes first. Behind the headers all bytes that are pointed at, then the names that are
 * no tokens. */
typedef struct {
    head_front_t super;
    uint32_t count;
    uint32_t repeating; /* the first ones, which an HTTP/2 connection says once and then points to */
    bool dated;
    text_t hsts; /* the origin's, in the head's memory: the site's may take its place */
    char date[H2O_TIMESTR_RFC1123_LEN]; /* lent to the library, which writes a Date by itself */
    h2o_iovec_t coded;                  /* for HTTP/2: all other headers and the date; empty when not dated */
    h2o_header_t headers[];
} front_t;

/* The node takes ranges of what it stores, whatever the origin does. */
static inline bool takes_ranges(const head_t *head)
{
    return head->status == 200 && head->storing.storable;
}

/* For front_of(). */
const front_t *front_make(const head_t *head, const http_response_fields_t *said);

/* Lives as long as the head. */
static inline const front_t *front_of(const head_t *head, const http_response_fields_t *said)
{
    const head_front_t *front = atomic_load_explicit(&head->front, memory_order_acquire);
    while (front != NULL && front->signature != said->signature)
        front = front->next;
    return front != NULL ? (const front_t *)front : front_make(head, said);
}

/* The Content-Type that is sent: the site may have set one, or removed it. Absent: none. */
text_t front_content_type(const front_t *front);

#endif
