/* What a site changes of the fields that its answers have: some set, in place of those of that name, some
 * added, some removed; and those of CORS. Pure: what comes of it is worked out once for each stored response.
 */
#ifndef SELVEDGE_EDGE_HTTP_RESPONSE_FIELDS_H
#define SELVEDGE_EDGE_HTTP_RESPONSE_FIELDS_H

#include "edge/http/fields.h"

/* All zero: nothing is changed. */
typedef struct {
    text_t set, add;    /* lines, "name: value", a line end between two; names in lower case */
    text_t remove;      /* names in lower case, a space between two */
    text_t cors;        /* cors.h */
    uint64_t signature; /* of all above: 0 where they change nothing */
} http_response_fields_t;

/* May a site say this field (lower-case name)? Not what frames the message, describes its bytes, or is said
 * by what the node knows. */
bool http_response_field_is_free(text_t name);

/* Fills in the signature. */
void http_response_fields_sign(http_response_fields_t *said);

/* How many fields more than there were can come of it. */
size_t http_response_fields_more(const http_response_fields_t *said);
/* Writes what comes of the fields to `changed`, which has room for them and those more. The texts lie in the
 * fields and in what is said. */
http_fields_t http_response_fields_apply(const http_response_fields_t *said, http_fields_t fields,
                                         http_field_t *changed);

#endif
