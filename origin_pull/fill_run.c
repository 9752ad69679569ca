/* Pieces in a row that one transfer brings, one behind the other. All are in the index from the beginning, so
 * that nobody asks for them once more; who waits for one that does not come after all asks for it by itself.
 */
#include "origin_pull/fill_private.h"

const object_failure_t fill_run_ended = {502, "run_ended"};

object_t *fill_claim_piece(fill_t *fill, const object_t *sparse, piece_t piece)
{
    memory_view_t seen = pieces_look(fill->memory, &fill->key, sparse, piece);
    object_t *object = NULL;
    if (seen.stored == NULL && seen.growing == NULL) {
        object = memory_new_object(fill->memory, object_subject(fill->object), object_stamp(fill->object));
        home_t *home = pieces_home(fill->memory, &fill->key, sparse, piece);
        if (!memory_begin(fill->memory, home, object, &seen))
            object_unref(&object);
        home_unref(&home);
    }
    memory_view_drop(&seen);
    return object;
}

void fill_claim_run(fill_t *fill, const object_t *sparse, piece_t piece, uint64_t end)
{
    uint64_t behind = end > piece.end ? (end - piece.end + PIECE_BYTES - 1) / PIECE_BYTES : 0;
    unsigned most = behind < PIECES_RUN_MAX - 1 || fill->split ? (unsigned)behind : PIECES_RUN_MAX - 1;
    fill->run_end = piece.end;
    fill->run = must_calloc(most > 0 ? most : 1, sizeof(object_t *));
    while (fill->run_count < most && fill->run_end < end) {
        piece = piece_at(sparse, fill->run_end);
        object_t *object = fill_claim_piece(fill, sparse, piece);
        if (object == NULL)
            return;
        fill->run[fill->run_count++] = object;
        fill->run_end = piece.end;
    }
}

static void drop_one(fill_t *fill, object_t **object)
{
    memory_withdraw(fill->memory, *object, 0);
    object_fail(*object, fill_run_ended);
    object_unref(object);
}

void fill_drop_run(fill_t *fill)
{
    if (fill->next_reserved > 0)
        memory_unpromise(memory_account(fill->memory), fill->next_reserved);
    fill->next_reserved = 0;
    if (fill->first != NULL)
        drop_one(fill, &fill->first);
    for (; fill->run_at < fill->run_count; fill->run_at++)
        drop_one(fill, &fill->run[fill->run_at]);
    fill->run_end = fill->piece.end;
}

/* Does somebody read, or wait? Who reads what was complete before, and what has not come yet, is not seen
 * here: so only who left counts. */
static bool is_wanted(const fill_t *fill, object_t *next)
{
    return fill->ahead || !fill->abandoned || !object_unread(fill->object) || !object_unread(next);
}

typedef enum { NEXT_NONE, NEXT_LATER, NEXT_READY } next_t;

/* Is there one behind this, and room for it? What is too much is asked for later. To break off costs what is
 * on its way by then: so the tier below is waited for, where that can be, until fill_stalled(). */
static next_t make_next_ready(fill_t *fill)
{
    if (fill->run_at == fill->run_count)
        return NEXT_NONE;
    object_t *next = fill->run[fill->run_at];
    piece_t piece = piece_at(fill->base, fill->piece.end);
    size_t bytes = body_cost((int64_t)(piece.end - piece.first), true);
    bool goes_on = fill->indexed && (fill->split ? fill_split_goes_on(fill) : is_wanted(fill, next));
    bool waits =
        goes_on && fill->can_pause && !fill->forgoes_below && !memory_below_takes(fill->memory, next);
    if (goes_on && !waits && memory_reserve(fill->memory, bytes)) {
        fill->starved = false;
        fill->next_reserved = bytes;
        return NEXT_READY;
    }
    fill->waits_below = waits;
    fill->starved = waits || (goes_on && fill->split); /* what is left out of that comes never */
    if (fill->starved)
        return NEXT_LATER;
    fill->leaves_rest = true;
    fill_drop_run(fill);
    return NEXT_NONE;
}

/* What it was at is complete. */
static void go_on_with_next(fill_t *fill)
{
    object_t *done = fill->object, *next = fill->run[fill->run_at++];
    piece_t piece = piece_at(fill->base, fill->piece.end);
    head_t *head = head_copy(memory_account(fill->memory), object_head(done));
    head->content_length = (int64_t)(piece.end - piece.first);
    size_t reserved = fill->next_reserved;
    object_pass_filler(done, next);
    fill_complete_object(fill);
    object_unref(&done);
    fill->object = next;
    fill->piece = piece;
    fill->content_length = head->content_length;
    fill->received = 0;
    fill->next_reserved = 0;
    fill->indexed = true;
    fill->kept = fill->abandoned = false;
    fill_open(fill, &head, reserved);
}

fill_action_t fill_take_pieces(fill_t *fill, const char *bytes, size_t length, size_t *taken)
{
    *taken = 0;
    while (*taken < length) {
        uint64_t left = (uint64_t)fill->content_length - fill->received;
        size_t part = length - *taken, come;
        next_t next = part >= left ? make_next_ready(fill) : NEXT_NONE;
        if (next == NEXT_LATER)
            return FILL_PAUSE;
        if (part > left && (next == NEXT_READY || fill->leaves_rest))
            part = (size_t)left;
        fill_action_t action = fill_take_bytes(fill, bytes + *taken, part, &come);
        *taken += come;
        if (fill->ended || action != FILL_GO_ON)
            return action;
        if (next == NEXT_READY)
            go_on_with_next(fill);
        else if (fill->leaves_rest && fill->received == (uint64_t)fill->content_length) {
            *taken = length;
            fill->left_rest = true;
            fill_complete(fill);
            return FILL_STOP;
        }
    }
    return FILL_GO_ON;
}
