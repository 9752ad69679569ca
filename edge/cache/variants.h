/* The small node that a primary key leads to when responses vary: which request fields select among them.
 *
 * A variant's key is the primary key, the node's id and what the request says in those fields. The id is the
 * version id of the fill that made the node: a node that is replaced takes its variants out of reach.
 * Immutable but for its reference count, so any thread may use it. */
#ifndef SELVEDGE_EDGE_CACHE_VARIANTS_H
#define SELVEDGE_EDGE_CACHE_VARIANTS_H

#include "edge/cache/body.h"
#include "edge/http/vary.h"

typedef struct variants variants_t;

/* The union of what `before` (may be NULL) names and what the response's Vary names; NULL when that is too
 * many. */
variants_t *variants_new(const variants_t *before, const http_vary_t *vary, version_id_t id);
void variants_ref(variants_t *variants);
/* Takes a reference only from a count that is not zero. */
bool variants_try_ref(variants_t *variants);
/* The memory itself is freed a grace period later. */
void variants_unref(variants_t **variants);

const http_vary_t *variants_vary(const variants_t *variants);
version_id_t variants_id(const variants_t *variants);
/* Does it name all of these fields? */
bool variants_cover(const variants_t *variants, const http_vary_t *vary);

/* The request's selector in memory of its own (free()). */
char *variants_select(const variants_t *variants, http_fields_t request, size_t *length);

#endif
