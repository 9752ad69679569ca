/* Header fields as a plain list, and the questions asked of it. Knows nobody; allocates nothing; any thread.
 */
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

/* The next field line of this name after `previous`, which is one of `fields`; NULL when there is none. */
const http_field_t *http_fields_next(http_fields_t fields, const http_field_t *previous, text_t name);

/* How many field lines have this name. */
size_t http_fields_count(http_fields_t fields, text_t name);

/* Walks the members of a comma-separated list (RFC 9110 section 5.6.1), quoted strings respected, white space
 * trimmed, empty members skipped. *rest starts as the field's value. False when there are no more. A quoted
 * string that never ends reaches to the end of the value. Not for entity-tags, which have no escapes within
 * their quotes. */
bool http_list_next(text_t *rest, text_t *member);

/* Without the white space at its ends. */
text_t http_trim(text_t text);

/* RFC 9110 section 5.6.2: one or more of the bytes that names are made of. */
bool http_is_token(text_t text);

/* True for fields that stay on one connection (RFC 9110 section 7.6.1): the fixed ones and those that
 * `connection`, the value of one Connection field (may be absent), names. */
bool http_field_is_hop_by_hop(text_t name, text_t connection);

/* The same, asked of the message that the field came in: all its Connection lines count. */
bool http_fields_hop_by_hop(http_fields_t message, text_t name);

/* Says for each field of the message whether its Connection names it (RFC 9110 section 7.6.1), whose it then
 * is no longer than for this connection. Connection is never said to name itself. */
void http_fields_named(http_fields_t message, bool *named);

#endif
