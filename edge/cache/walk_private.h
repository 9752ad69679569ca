/* The insides of the walk, shared by its files: walk.c (what answers a request) and walk_pieces.c (what of
 * that is kept in pieces). Nobody else includes this. */
#ifndef SELVEDGE_EDGE_CACHE_WALK_PRIVATE_H
#define SELVEDGE_EDGE_CACHE_WALK_PRIVATE_H

#include "edge/cache/walk.h"

/* What is known of the request's key: of its variant when there are variants. */
typedef struct {
    memory_view_t view;
    variants_t *node; /* a reference */
    char *selector;   /* free() */
    cache_variant_t variant;
    bool is_variant;
    object_t *sparse; /* from which the request can be answered once it is fresh; a reference or NULL */
    bool waits;       /* a device is asked for what is to be looked at next */
    bool from_disk;   /* what is stored in the view was not in memory */
} walk_place_t;

/* --- walk.c --- */
/* In memory, and on disk where that knows nothing. */
void walk_look_at(const walk_t *walk, const cache_variant_t *variant, walk_place_t *place);
/* Rules that came after the fill started make its answer one of before. */
bool walk_is_asked_for(const walk_t *walk, object_t *growing);
/* The reader is the one for whom the object is filled. */
void walk_own(const walk_t *walk, object_t *object, object_reader_t *reader);

/* --- walk_pieces.c --- */
/* Is something not there of it, nor on its way, that cannot be fetched? */
bool walk_lacks_pieces(const walk_t *walk, const object_t *sparse);

#endif
