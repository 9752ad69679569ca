/* Variants selected by Vary: RFC 9111 section 4.1. Pure. */
#ifndef SELVEDGE_EDGE_HTTP_VARY_H
#define SELVEDGE_EDGE_HTTP_VARY_H

#include "edge/http/fields.h"

enum { HTTP_VARY_NAMES_MAX = 16 };

typedef enum {
    HTTP_VARY_NONE,  /* no Vary, or nothing in it that can differ */
    HTTP_VARY_NAMES, /* selected by the named fields */
    HTTP_VARY_ANY    /* `*`, too many names, or a name that is not a token: matches no other request */
} http_vary_kind_t;

typedef struct {
    http_vary_kind_t kind;
    size_t count;
    /* Lower case, sorted, without repeats; they point into `names_buffer`. */
    text_t names[HTTP_VARY_NAMES_MAX];
} http_vary_t;

/* Reads all Vary lines of a response. names_buffer receives the lower-case names, capacity at least the total
 * length of the Vary values; with names that do not fit, it is HTTP_VARY_ANY. `accept-encoding` is left out:
 * upstream gets one fixed value, so it cannot differ. */
http_vary_t http_vary(http_fields_t response, char *names_buffer, size_t capacity);

/* Writes what selects the variant: for each name, the request's value(s) in a form where equal bytes mean a
 * match (lines joined by a comma, white space around members trimmed, empty members left out; absent differs
 * from empty). One line for each name, `name` or `name=value`; the names are part of it, so that selectors of
 * different Vary fields differ. Returns the length needed, having written at most `capacity` bytes; call
 * again with a larger buffer when it is more than that. */
size_t http_vary_selector(const http_vary_t *vary, http_fields_t request, char *buffer, size_t capacity);

#endif
