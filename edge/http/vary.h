/* Variants selected by Vary: RFC 9111 section 4.1. Pure. */
#ifndef SELVEDGE_EDGE_HTTP_VARY_H
#define SELVEDGE_EDGE_HTTP_VARY_H

#include "edge/http/fields.h"

/* More names, or more bytes of them together, are taken for `*`: such a response is not stored. */
enum { HTTP_VARY_NAMES_MAX = 64, HTTP_VARY_BYTES_MAX = 1024 };

typedef enum {
    HTTP_VARY_NONE,  /* no Vary, or nothing in it that can differ */
    HTTP_VARY_NAMES, /* selected by the named fields */
    HTTP_VARY_ANY    /* `*`, too many names, or a name that is not a token: matches no other request */
} http_vary_kind_t;

typedef struct {
    http_vary_kind_t kind;
    size_t count;
    const text_t *names; /* lower case, sorted, without repeats */
} http_vary_t;

/* What a http_vary_t points into. */
typedef struct {
    size_t count, used;
    text_t at[HTTP_VARY_NAMES_MAX];
    char bytes[HTTP_VARY_BYTES_MAX];
} http_vary_names_t;

/* Reads all Vary lines of a response. `accept-encoding` is left out: upstream gets one fixed value, so it
 * cannot differ. */
http_vary_t http_vary(http_fields_t response, http_vary_names_t *names);

/* Writes what selects the variant: for each name, the request's value(s) in a form where equal bytes mean a
 * match (form.h). Absent differs from empty. One line for each name, `name` or `name=value`; the names are
 * part of it, so that selectors of different Vary fields differ. Returns the length needed, having written at
 * most `capacity` bytes; call again with a larger buffer when it is more than that. */
size_t http_vary_selector(const http_vary_t *vary, http_fields_t request, char *buffer, size_t capacity);

#endif
