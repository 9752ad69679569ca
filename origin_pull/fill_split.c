/* A body that upstream cannot be asked for in parts, and that is too large for memory, is kept as it comes:
 * all of it is one row of pieces, for which the tier below has room. So its readers read pieces, each at its
 * own pace, from memory, from below, or along with what comes: a slow one holds up nobody, and is held up by
 * nobody but upstream and the tier below. What is missing of it one day cannot be fetched: then it is asked
 * for anew, under a version of its own. */
#include "origin_pull/fill_private.h"

/* All pieces are in the index from the beginning, growing: an object and a home for each. */
enum { CLAIM_BYTES = 512, CLAIMS_PART = 32, CLAIMS_MAX = 16 << 10 };

static bool is_few(const memory_t *memory, int64_t length)
{
    uint64_t pieces = ((uint64_t)length + PIECE_BYTES - 1) / PIECE_BYTES;
    return pieces <= CLAIMS_MAX && pieces * CLAIM_BYTES <= memory_limit(memory) / CLAIMS_PART;
}

/* Else it would have nothing to begin with, once its head is stored. */
static bool has_memory(memory_t *memory)
{
    size_t cost = body_cost(PIECE_BYTES, true);
    bool has = memory_reserve(memory, cost);
    if (has)
        memory_unpromise(memory_account(memory), cost);
    return has;
}

bool fill_may_split(fill_t *fill, const fill_answer_t *answer, const http_storing_t *storing,
                    const http_vary_t *vary, int64_t now_ms)
{
    if (vary->kind != HTTP_VARY_NONE || memory_has_variants(fill->memory, &fill->key) ||
        (!fill->can_pause && fill->needs_pauses) || !is_few(fill->memory, fill->content_length) ||
        memory_below_holds(fill->memory) < (uint64_t)fill->content_length || fill_is_overtaken(fill))
        return false;
    head_t *head = fill_sparse_head(fill, answer, storing, now_ms);
    bool in_parts =
        pieces_possible(fill->memory, head) && !pieces_known_whole_only(fill->memory, &fill->key, head);
    bool may = !in_parts && pieces_keepable(fill->memory, head) && has_memory(fill->memory);
    head_free(&head);
    return may;
}

object_t *fill_split_keep(fill_t *fill, head_t **head)
{
    uint64_t length = (uint64_t)fill->content_length;
    object_t *sparse = pieces_new_sparse(fill->memory, &fill->key, object_stamp(fill->object), head);
    piece_t piece = piece_at(sparse, 0);
    fill->first = fill_claim_piece(fill, sparse, piece);
    fill_claim_run(fill, sparse, piece, length);
    if (fill->first == NULL || fill->run_end < length || !pieces_put_sparse(fill->memory, &fill->key, sparse))
        object_unref(&sparse);
    return sparse;
}

/* Who answers from what is in pieces keeps a reference on the head that it found: on the one that the index
 * has, or on what it waited for. */
static bool is_read(const fill_t *fill)
{
    version_id_t version = object_body_version(fill->base);
    memory_view_t view = pieces_peek_sparse(fill->memory, &fill->key);
    bool is_indexed = view.stored == fill->base;
    bool was_renewed = false; /* by a 304, for who waited for that: they are not known here */
    if (view.stored != NULL && !is_indexed) {
        version_id_t now = object_body_version(view.stored);
        was_renewed = now.low == version.low && now.high == version.high;
    }
    memory_view_drop(&view);
    uint32_t own = is_indexed ? 2 : 1; /* the index's and this fill's */
    return was_renewed || object_refs(fill->base) > own || object_refs(fill->whole) > 1;
}

bool fill_split_goes_on(const fill_t *fill)
{
    uint64_t left = fill->run_end - fill->piece.end;
    return fill->background || left <= FILL_FINISH_BYTES + fill->worth_bytes || is_read(fill);
}
