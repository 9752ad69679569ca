/* Dictionaries of structured fields, read strictly: RFC 8941 section 4.2. Pure. */
#ifndef SELVEDGE_EDGE_HTTP_STRUCTURED_H
#define SELVEDGE_EDGE_HTTP_STRUCTURED_H

#include "edge/http/fields.h"

typedef enum {
    STRUCTURED_INTEGER,
    STRUCTURED_DECIMAL,
    STRUCTURED_STRING,
    STRUCTURED_TOKEN,
    STRUCTURED_BYTES,
    STRUCTURED_BOOLEAN,
    STRUCTURED_INNER_LIST
} structured_kind_t;

/* What a member's value is. Of strings, tokens, bytes and lists only that they are there. */
typedef struct {
    structured_kind_t kind;
    int64_t number; /* of an integer, up to 15 digits; of a boolean 0 or 1 */
} structured_value_t;

/* Reads all lines of this (lower-case) name as one dictionary, and tells its members in their order; where a
 * key comes twice the last counts (section 3.2). Parameters are read and passed over. False: it is no
 * dictionary, or an empty one; what was told of it is then void. key: of the field's bytes. */
bool structured_dictionary(http_fields_t fields, text_t name,
                           void (*member)(void *context, text_t key, structured_value_t value),
                           void *context);

#endif
