/* A response too large to be stored whole is kept in pieces, as ranges of it are asked for: what RFC 9111
 * sections 3.3 and 3.4 call an incomplete response, and its parts.
 *
 * Beside the home of a key there is one for its sparse object, a head without a body, which alone decides
 * whether any of it may be served; and one for each piece, named by the version id of the bytes that the
 * head is of, and where in them it begins. So pieces of different versions cannot meet: a piece is stored
 * under the version whose strong validator upstream confirmed as it sent it, and looked for under that of the
 * head. What grows is a piece like any other object. A piece has a stamp of its own, and is judged by it.
 *
 * Only what does not vary is kept so, has a strong ETag, and comes from an upstream that says it takes
 * ranges. Where it turned out not to, the sparse object's head says that it does not; then what is missing
 * cannot be fetched, and it answers as long as all of its pieces are there. */
#ifndef SELVEDGE_EDGE_CACHE_PIECES_H
#define SELVEDGE_EDGE_CACHE_PIECES_H

#include "edge/cache/memory.h"

/* In which rows of blocks they are asked for, evicted and kept. */
enum { PIECE_BYTES = 2 * BLOCK_BYTES };

/* So many that are missing in a row are asked of upstream by one request, at most (origin_pull/README.md). */
enum { PIECES_RUN_MAX = 8 };

typedef struct {
    uint64_t first, end; /* of its bytes in the whole; end: the one behind the last */
} piece_t;

/* The piece that has this byte of a sparse object. */
piece_t piece_at(const object_t *sparse, uint64_t offset);

/* May a 200 with this head be kept so, where it is too large to be stored whole? */
bool pieces_possible(const memory_t *memory, const head_t *head);
/* The same where its upstream need not take ranges: all of its pieces come at once, or never. */
bool pieces_keepable(const memory_t *memory, const head_t *head);

/* How they are named: the sparse object of a key, and a piece of it, for which `numbers` is room. */
extern const cache_variant_t pieces_sparse;
enum { PIECE_NUMBERS = 3 };
cache_variant_t piece_variant(const object_t *sparse, piece_t piece, uint64_t numbers[PIECE_NUMBERS]);

/* What is known of a piece; the same for the sparse object. References as in memory_look(). */
memory_view_t pieces_look(memory_t *memory, const cache_key_t *key, const object_t *sparse, piece_t piece);
memory_view_t pieces_look_sparse(memory_t *memory, const cache_key_t *key);
/* It is in use: without it, its pieces are out of reach. */
void pieces_touch_sparse(memory_t *memory, const cache_key_t *key);
/* That without a trace, as memory_peek(). */
memory_view_t pieces_peek_sparse(memory_t *memory, const cache_key_t *key);
/* Is the version of this head known to be of an upstream that takes no ranges, though it says so? */
bool pieces_known_whole_only(memory_t *memory, const cache_key_t *key, const head_t *head);
/* The home of a piece, made when there is none; a reference. */
home_t *pieces_home(memory_t *memory, const cache_key_t *key, const object_t *sparse, piece_t piece);

/* Stores a sparse object with this head, which it takes over, as the one of its key; of the bytes of the one
 * before, when that had the same strong validator and length. A reference; NULL: it could not be stored. */
object_t *pieces_store_sparse(memory_t *memory, const cache_key_t *key, uint64_t stamp, head_t **head);
/* The same in two steps, of a version of its own: made, to be found by nobody yet; and stored, which false
 * says that it could not be. */
object_t *pieces_new_sparse(memory_t *memory, const cache_key_t *key, uint64_t stamp, head_t **head);
bool pieces_put_sparse(memory_t *memory, const cache_key_t *key, object_t *sparse);
/* The same in place of another of the same version, if that is still there. */
void pieces_renew_sparse(memory_t *memory, const cache_key_t *key, const object_t *sparse, uint64_t stamp,
                         head_t **head);
/* The key's sparse object is no longer used; with an ETag, if it has that. */
void pieces_forget_sparse(memory_t *memory, const cache_key_t *key, text_t etag);

#endif
