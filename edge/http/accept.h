/* What a request prefers, with weights: RFC 9110 sections 12.4.2 and 12.5. Pure. */
#ifndef SELVEDGE_EDGE_HTTP_ACCEPT_H
#define SELVEDGE_EDGE_HTTP_ACCEPT_H

#include "edge/http/fields.h"

enum { HTTP_PREFERENCES_MAX = 32, HTTP_WEIGHT_MAX = 1000 };

typedef struct {
    text_t what;     /* a language range, a coding, a charset; in the request's own case */
    unsigned weight; /* thousandths, at most HTTP_WEIGHT_MAX */
} http_preference_t;

typedef struct {
    size_t count;
    /* Each once, what is preferred first; of equal weight in the order of what they are in lower case. */
    http_preference_t at[HTTP_PREFERENCES_MAX];
} http_preferences_t;

/* Is this (lower-case) name that of a list in which neither case nor order says anything, nor a repeat? Those
 * are Accept-Language, Accept-Encoding and Accept-Charset; not Accept, whose parameters may say more. */
bool http_has_preferences(text_t name);

/* Reads all lines of such a field. False when they are not as defined (section 12.5), weigh one thing
 * differently in two places, or are more than HTTP_PREFERENCES_MAX: then only equal bytes are known to mean
 * the same. */
bool http_preferences(http_fields_t request, text_t name, http_preferences_t *preferences);

#endif
