/* The walk to the pieces of what is too large to be stored whole. */
#include "edge/cache/walk_private.h"

/* Nothing is asked for ahead once more than so much of memory is in use by others: from a half on, those are
 * cut off who hold most. */
enum { AHEAD_PART = 4 };

typedef enum { PIECE_NOWHERE, PIECE_ON_ITS_WAY, PIECE_THERE } whereabouts_t;

/* Without a trace, and of what is on disk without judging it. ledger: what memory has of it and is
 * hard-purged by now is nowhere; NULL: that does not count. */
static whereabouts_t whereabouts(const walk_t *walk, const object_t *sparse, piece_t piece,
                                 const ledger_t *ledger)
{
    uint64_t numbers[PIECE_NUMBERS];
    cache_variant_t variant = piece_variant(sparse, piece, numbers);
    memory_view_t view = memory_peek(walk->memory, &walk->key, &variant, NULL);
    whereabouts_t is = view.stored != NULL ? PIECE_THERE : PIECE_NOWHERE;
    if (is == PIECE_NOWHERE && walk->disk != NULL && disk_knows(walk->disk, &walk->key, &variant))
        is = PIECE_THERE;
    if (view.stored != NULL && ledger != NULL && object_judge_now(view.stored, ledger).verdict == LEDGER_HARD)
        is = PIECE_NOWHERE;
    if (is == PIECE_NOWHERE && view.growing != NULL)
        is = PIECE_ON_ITS_WAY;
    memory_view_drop(&view);
    return is;
}

size_t walk_count_pieces(const walk_t *walk, const object_t *sparse, size_t most)
{
    uint64_t length = (uint64_t)object_head(sparse)->content_length;
    size_t count = 0;
    for (uint64_t at = 0; at < length && at / PIECE_BYTES < most; at += PIECE_BYTES)
        count += whereabouts(walk, sparse, piece_at(sparse, at), walk->ledger) == PIECE_THERE;
    return count;
}

bool walk_lacks_pieces(const walk_t *walk, const object_t *sparse)
{
    uint64_t length = (uint64_t)object_head(sparse)->content_length;
    if (head_takes_ranges(object_head(sparse)))
        return false;
    for (uint64_t at = 0; at < length; at += PIECE_BYTES)
        if (whereabouts(walk, sparse, piece_at(sparse, at), walk->ledger) == PIECE_NOWHERE)
            return true;
    return false;
}

/* A piece by the tags of the whole: where the request knows of a rule that came after it. */
static ledger_verdict_t judge_as(const walk_t *walk, const object_t *sparse, const object_t *piece)
{
    ledger_tags_t tags = object_head(sparse)->tags;
    if (walk->sequence <= object_stamp(piece))
        return LEDGER_VALID;
    return ledger_judge_tagged(walk->ledger, &walk->key.subject, tags, object_stamp(piece)).verdict;
}

/* By the tags that it came with, and by those that the whole has now. */
static bool is_piece_purged(const walk_t *walk, const object_t *sparse, object_t *piece)
{
    return object_judge(piece, walk->ledger, walk->sequence).verdict == LEDGER_HARD ||
           judge_as(walk, sparse, piece) == LEDGER_HARD;
}

static bool is_piece_asked_for(const walk_t *walk, const object_t *sparse, object_t *growing)
{
    return walk_is_asked_for(walk, growing) && judge_as(walk, sparse, growing) == LEDGER_VALID;
}

/* Is there one that a rule known to the request did not purge? A soft purge is the sparse object's matter:
 * what upstream confirms of that is as good as new, and so are its pieces. */
static bool is_piece_hit(const walk_t *walk, const object_t *sparse, memory_view_t *view)
{
    if (view->stored == NULL)
        return false;
    if (!is_piece_purged(walk, sparse, view->stored))
        return true;
    memory_forget(walk->memory, view->stored);
    object_unref(&view->stored);
    return false;
}

typedef enum { PIECE_FOUND, PIECE_AGAIN, PIECE_PURGED, PIECE_GONE } piece_step_t;

/* Nothing is asked about what a rule up to the stamp hard-purged, here as in base_for(). PIECE_AGAIN:
 * somebody was faster. */
static piece_step_t start_piece(const walk_t *walk, object_t *sparse, piece_t piece,
                                const memory_view_t *view, object_reader_t *reader)
{
    uint64_t stamp = ledger_sequence(walk->ledger);
    if (!head_takes_ranges(object_head(sparse)))
        return PIECE_GONE;
    if (object_judge(sparse, walk->ledger, stamp).verdict == LEDGER_HARD)
        return PIECE_PURGED;
    object_t *object = memory_new_object(walk->memory, &walk->key.subject, stamp);
    walk_own(walk, object, reader);
    home_t *home = pieces_home(walk->memory, &walk->key, sparse, piece);
    bool started = memory_begin(walk->memory, home, object, view);
    home_unref(&home);
    if (!started)
        object_leave(reader);
    object_unref(&object);
    return started ? PIECE_FOUND : PIECE_AGAIN;
}

static piece_step_t try_piece(const walk_t *walk, object_t *sparse, piece_t piece, memory_view_t *view,
                              bool hit, object_reader_t *reader, walk_kind_t *kind)
{
    if (hit) {
        object_open(&view->stored, reader);
        *kind = WALK_HIT;
        return PIECE_FOUND;
    }
    *kind = WALK_JOIN;
    if (view->growing != NULL && is_piece_asked_for(walk, sparse, view->growing) &&
        object_join(view->growing, reader, walk->sequence, false, walk->wake))
        return PIECE_FOUND;
    *kind = WALK_FILL;
    return start_piece(walk, sparse, piece, view, reader);
}

/* What is fetched faster than a device takes it would have to be dropped, and fetched again. A device that
 * does not catch up at all is not waited for twice. */
static bool waits_for_room(const walk_t *walk, const cache_variant_t *variant, const memory_view_t *view)
{
    return walk->disk != NULL && walk->wait != NULL && !(walk->again && walk->wait->in_vain) &&
           view->stored == NULL && view->growing == NULL &&
           disk_await_room(walk->disk, &walk->key, variant, walk->wait);
}

bool walk_piece(const walk_t *walk, object_t *sparse, piece_t piece, object_reader_t *reader,
                walk_step_t *step)
{
    *step = (walk_step_t){.forward = FORWARD_PARTIAL};
    pieces_touch_sparse(walk->memory, &walk->key);
    piece_step_t found = PIECE_AGAIN;
    while (found == PIECE_AGAIN) { /* each time somebody else got on */
        uint64_t numbers[PIECE_NUMBERS];
        cache_variant_t variant = piece_variant(sparse, piece, numbers);
        walk_place_t place = {.sparse = NULL};
        walk_look_at(walk, &variant, &place);
        if (place.waits) {
            step->kind = WALK_WAIT;
            return true;
        }
        bool hit = is_piece_hit(walk, sparse, &place.view);
        if (!hit && waits_for_room(walk, &variant, &place.view)) {
            step->kind = WALK_WAIT;
            return true;
        }
        found = try_piece(walk, sparse, piece, &place.view, hit, reader, &step->kind);
        memory_view_drop(&place.view);
        step->from_disk = place.from_disk;
    }
    if (found == PIECE_PURGED)
        pieces_forget_sparse(walk->memory, &walk->key, object_head(sparse)->etag);
    if (found != PIECE_FOUND)
        return false;
    if (step->kind == WALK_FILL) {
        object_ref(sparse);
        step->base = sparse;
    }
    return true;
}

bool walk_finds_piece(const walk_t *walk, const object_t *sparse, piece_t piece)
{
    return whereabouts(walk, sparse, piece, NULL) == PIECE_THERE;
}

/* It is on its way, and none of its bytes has come. */
static bool has_yet_to_begin(const walk_t *walk, const object_t *sparse, piece_t piece)
{
    uint64_t numbers[PIECE_NUMBERS];
    cache_variant_t variant = piece_variant(sparse, piece, numbers);
    memory_view_t view = memory_peek(walk->memory, &walk->key, &variant, NULL);
    bool has = view.stored == NULL && view.growing != NULL && object_head(view.growing) == NULL;
    memory_view_drop(&view);
    return has;
}

bool walk_is_far(const walk_t *walk, const object_t *sparse, uint64_t at, uint64_t skip)
{
    return at > skip && has_yet_to_begin(walk, sparse, piece_at(sparse, at)) &&
           has_yet_to_begin(walk, sparse, piece_at(sparse, at - skip));
}

uint64_t walk_run_end(const walk_t *walk, const object_t *sparse, piece_t piece, uint64_t end, unsigned most)
{
    for (unsigned i = 1; i < most && piece.end < end; i++) {
        piece_t next = piece_at(sparse, piece.end);
        if (whereabouts(walk, sparse, next, NULL) != PIECE_NOWHERE)
            break;
        piece = next;
    }
    return piece.end;
}

bool walk_has_room(const walk_t *walk, const object_t *sparse, piece_t piece)
{
    uint64_t numbers[PIECE_NUMBERS];
    cache_variant_t variant = piece_variant(sparse, piece, numbers);
    return memory_pinned_bytes(walk->memory) <= memory_limit(walk->memory) / AHEAD_PART &&
           (walk->disk == NULL || !disk_await_room(walk->disk, &walk->key, &variant, NULL));
}
