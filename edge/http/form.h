/* What a request says in one field, in one form. What selects a stored response and what upstream is told are
 * the same bytes by this: so the answer depends on nothing that its key does not hold. Pure. */
#ifndef SELVEDGE_EDGE_HTTP_FORM_H
#define SELVEDGE_EDGE_HTTP_FORM_H

#include "edge/http/fields.h"

/* Is the (lower-case) name that of a list by its definition, so that upstream is told the form in place of
 * the field lines? Of a field that nobody here knows every byte may say something. */
bool http_has_form(text_t name);

typedef enum {
    HTTP_FORM_VALUE,  /* as the value of one field line */
    HTTP_FORM_ESCAPED /* the same without a line feed in it: that is "\n", and a backslash "\\" */
} http_form_kind_t;

/* Writes all lines of the (lower-case) name in a form in which equal bytes mean the same (RFC 9111 section
 * 4.1). Of a list: its members, without white space around them and without empty ones. Of one of preferences
 * (accept.h) that is as defined: what is preferred first, without repeats, letters and weights in one
 * spelling. Of any other field: the lines as they are, without white space at their ends. Returns the length
 * needed, having written at most `capacity` bytes. */
size_t http_form(http_fields_t request, text_t name, http_form_kind_t kind, char *buffer, size_t capacity);

#endif
