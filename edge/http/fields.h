/* Header fields as a plain list, and the questions asked of it. Knows nobody; allocates nothing. */
#ifndef SELVEDGE_EDGE_HTTP_FIELDS_H
#define SELVEDGE_EDGE_HTTP_FIELDS_H

#include "edge/base.h"

typedef struct {
    text_t name; /* lower case */
    text_t value;
} http_field_t;

typedef struct {
    const http_field_t *at;
    size_t count;
} http_fields_t;

/* The first field of this (lower-case) name; NULL when there is none. */
const http_field_t *http_fields_find(http_fields_t fields, text_t name);

/* How many field lines have this name. */
size_t http_fields_count(http_fields_t fields, text_t name);

/* Walks the members of a comma-separated list (RFC 9110 section 5.6.1), quoted strings respected, white space trimmed,
 * empty members skipped. *rest starts as the field's value. False when there are no more. */
bool http_list_next(text_t *rest, text_t *member);

/* True for fields that stay on one connection (RFC 9110 section 7.6.1): the fixed ones and those that `connection`, the
 * value of a Connection field (may be absent), names. */
bool http_field_is_hop_by_hop(text_t name, text_t connection);

#endif
