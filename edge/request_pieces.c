/* An answer from a sparse object: its head, and its pieces one after the other, each from the store, read
 * along with the fill of another, or fetched. */
#include "edge/exchange.h"
#include "edge/http/conditional.h"

#include "origin_pull/fill.h"

/* Where many do the same, all of it is in memory at once: a row is a small part of that. */
static unsigned longest_run(const exchange_t *exchange)
{
    enum { RUN_PART = 256 };
    uint64_t most = memory_limit(worker_node(exchange->worker)->memory) / RUN_PART / PIECE_BYTES;
    return most < 1 ? 1 : most < PIECES_RUN_MAX ? (unsigned)most : PIECES_RUN_MAX;
}

/* What is wanted in few pieces is asked for at once. Of what is larger so much as the client takes in a
 * second: for who is slow, no more is fetched ahead than a piece. */
static unsigned next_run(exchange_t *exchange, piece_t piece)
{
    const uint64_t second_us = 1000000;
    uint64_t now_us = (uint64_t)exchange_now_us(), from = exchange->run_from, run = 0;
    unsigned most = longest_run(exchange);
    if (from < exchange->at && exchange->run_us < now_us)
        run = (exchange->at - from) * second_us / (now_us - exchange->run_us) / PIECE_BYTES;
    exchange->run_from = exchange->at;
    exchange->run_us = now_us;
    if ((uint64_t)exchange->end - piece.first <= (uint64_t)most * PIECE_BYTES)
        return most;
    return run < 1 ? 1 : run < most ? (unsigned)run : most;
}

/* Of the piece, and of those missing behind it. */
static void start_fill(exchange_t *exchange, const walk_t *walk, piece_t piece, const object_reader_t *reader,
                       walk_step_t *step)
{
    uint64_t run_end = walk_run_end(walk, exchange->reader->object, piece, (uint64_t)exchange->end,
                                    next_run(exchange, piece));
    request_start_fill(exchange, reader, step, walk->fields, piece, run_end);
}

/* False: what the request found was purged since, so that no more can be fetched of it. */
static bool walk_to(exchange_t *exchange, const walk_t *walk, piece_t piece, object_reader_t *reader,
                    walk_kind_t *kind)
{
    walk_step_t step;
    if (!walk_piece(walk, exchange->reader->object, piece, reader, &step))
        return false;
    if (step.kind == WALK_FILL)
        start_fill(exchange, walk, piece, reader, &step);
    exchange->from_disk |= step.from_disk;
    *kind = step.kind;
    return true;
}

/* The next one is asked for while this one is read, and is finished even if nobody comes for it. One that is
 * on disk is not far: it is read when it is wanted. */
static void ask_ahead(exchange_t *exchange, const walk_t *walk, piece_t piece)
{
    if (piece.end >= (uint64_t)exchange->end)
        return;
    piece_t next = piece_at(exchange->reader->object, piece.end);
    object_reader_t reader;
    walk_kind_t kind;
    if (!walk_finds_piece(walk, exchange->reader->object, next) &&
        walk_has_room(walk, exchange->reader->object, next) && walk_to(exchange, walk, next, &reader, &kind))
        object_leave(&reader);
}

/* The one that has the next byte. */
static bool open_piece(exchange_t *exchange, http_fields_t fields, walk_kind_t *kind)
{
    piece_t piece = piece_at(exchange->reader->object, exchange->at);
    uint64_t end = (uint64_t)exchange->end < piece.end ? (uint64_t)exchange->end : piece.end;
    walk_t walk = request_walk(exchange, fields, exchange_now_us());
    if (!walk_to(exchange, &walk, piece, exchange->piece, kind))
        return false;
    exchange->awaits_disk = *kind == WALK_WAIT;
    if (exchange->awaits_disk)
        return true;
    exchange->shuns_disk = false; /* the next one may come sooner */
    object_seek(exchange->piece, exchange->at - piece.first, end - piece.first);
    walk.wait = NULL;
    ask_ahead(exchange, &walk, piece);
    return true;
}

/* Does the piece that was waited for turn out, by its tags, to be one of before a purge? */
static bool is_overtaken(const exchange_t *exchange)
{
    return walk_piece_overtaken(worker_node(exchange->worker)->ledger, exchange->piece);
}

/* The answer's head is the sparse object's, which stays; the waiter's reader is for the pieces. */
static void keep_sparse(exchange_t *exchange)
{
    object_t *sparse = exchange->reader->object;
    object_ref(sparse);
    object_leave(exchange->reader);
    object_open(&sparse, &exchange->hit);
    exchange->reader = &exchange->hit;
    exchange->piece = &exchange->waiter->reader;
}

/* Nothing has been sent of it yet. */
static void look_elsewhere(exchange_t *exchange)
{
    object_leave(exchange->piece);
    object_leave(exchange->reader);
    exchange->reader = &exchange->waiter->reader;
    exchange->piece = NULL;
    request_begin_again(exchange, false);
}

/* What has to be fetched or waited for first says what the answer is. */
static void note_first(exchange_t *exchange, walk_kind_t kind)
{
    if (kind == WALK_HIT || exchange->kind != WALK_HIT)
        return;
    exchange->kind = kind;
    exchange->forward = FORWARD_PARTIAL;
    exchange->outcome = OUTCOME_MISS;
}

/* Of its bytes, what is sent first; false: none, it is answered with its head alone. */
static bool first_range(exchange_t *exchange, http_fields_t fields, http_range_t *first)
{
    http_ranges_t ranges;
    switch (respond_select(exchange, fields, &ranges)) {
    case HTTP_PART:
    case HTTP_PARTS:
        *first = ranges.at[0];
        return true;
    case HTTP_WHOLE:
        *first = (http_range_t){0, (uint64_t)exchange->end};
        return !exchange->is_head;
    case HTTP_NOT_MODIFIED:
    case HTTP_PRECONDITION_FAILED:
    case HTTP_UNSATISFIABLE:
        return false;
    }
    return false;
}

static void open_first(exchange_t *exchange, http_fields_t fields)
{
    walk_kind_t kind;
    if (!open_piece(exchange, fields, &kind)) {
        look_elsewhere(exchange);
        return;
    }
    if (kind == WALK_WAIT)
        return;
    note_first(exchange, kind);
    pieces_await(exchange);
}

void pieces_after_disk(exchange_t *exchange)
{
    http_field_t list[EXCHANGE_FIELDS_MAX];
    if (exchange->answering)
        respond_more(exchange);
    else
        open_first(exchange, exchange_fields(exchange, list));
}

void pieces_answer(exchange_t *exchange, http_fields_t fields)
{
    keep_sparse(exchange);
    http_range_t first;
    if (!first_range(exchange, fields, &first)) {
        respond_object(exchange, fields);
        return;
    }
    pieces_seek(exchange, &first);
    open_first(exchange, fields);
}

/* --- The rest as a stream --- */

/* Did the piece fail so, or is that known? */
static bool is_no_ranges(const exchange_t *exchange)
{
    const object_t *object = exchange->piece->object;
    if (object == NULL)
        return !head_takes_ranges(object_head(exchange->reader->object));
    return object_end(object) == OBJECT_FAILED &&
           text_equal(text_of(object_failure(object).detail), text_of(fill_no_ranges.detail));
}

/* Upstream turned out to take no ranges in the middle of an answer: all of it is asked for, for this answer
 * alone, and what has been sent is dropped. Not where that would be much, nor where nothing could tell
 * whether it is of the same bytes. */
static bool may_stream(const exchange_t *exchange)
{
    enum { SKIP_MAX = 8 << 20 };
    return exchange->stream == STREAM_NOT && exchange->at <= SKIP_MAX &&
           http_is_strong_etag(object_head(exchange->reader->object)->etag);
}

static void open_stream(exchange_t *exchange, http_fields_t fields)
{
    walk_t walk = request_walk(exchange, fields, exchange_now_us());
    walk_step_t step = walk_private(&walk, exchange->piece, FORWARD_PARTIAL);
    request_start_fill(exchange, exchange->piece, &step, fields, (piece_t){0, 0}, 0);
    exchange->stream = STREAM_ASKED;
}

/* With the head of the stream: is it that of the very version? */
static bool join_stream(exchange_t *exchange)
{
    const head_t *whole = object_head(exchange->reader->object), *now = object_head(exchange->piece->object);
    exchange->stream = STREAM_READ;
    if (now->status != 200 || now->content_length != whole->content_length ||
        !http_same_strong_etag(now->etag, whole->etag)) {
        object_leave(exchange->piece);
        return false;
    }
    object_seek(exchange->piece, exchange->at, (uint64_t)exchange->end);
    return true;
}

/* --- Beginning --- */

/* It was to come behind another, with which that fill ended. */
static bool is_left_out(const exchange_t *exchange)
{
    const object_t *object = exchange->piece->object;
    return object != NULL && object_end(object) == OBJECT_FAILED &&
           text_equal(text_of(object_failure(object).detail), text_of(fill_run_ended.detail));
}

/* Nothing has been sent yet. */
static void at_failure(exchange_t *exchange, const object_t *object)
{
    object_failure_t failure = object_failure(object);
    bool has_ended =
        is_no_ranges(exchange) || text_equal(text_of(failure.detail), text_of(fill_version_ended.detail));
    bool is_of_another = !exchange->piece->owner && failure.status == 429;
    if (!has_ended && !is_of_another) {
        request_answer_failure(exchange, object);
        return;
    }
    exchange->shuns_pieces |= has_ended;
    look_elsewhere(exchange);
}

void pieces_await(exchange_t *exchange)
{
    if (object_wait_head(exchange->piece))
        return;
    http_field_t list[EXCHANGE_FIELDS_MAX];
    const object_t *object = exchange->piece->object;
    if (is_left_out(exchange)) {
        object_leave(exchange->piece);
        open_first(exchange, exchange_fields(exchange, list));
        return;
    }
    if (object_head(object) == NULL) {
        at_failure(exchange, object);
        return;
    }
    if (is_overtaken(exchange)) {
        look_elsewhere(exchange); /* what is known of the whole has its tags by now */
        return;
    }
    if (exchange->kind != WALK_HIT && exchange->origin_status == 0)
        exchange->origin_status = object_head(object)->status;
    respond_object(exchange, exchange_fields(exchange, list));
}

void pieces_seek(exchange_t *exchange, const http_range_t *range)
{
    exchange->end = (int64_t)range->end;
    if (exchange->piece->object != NULL && exchange->at == range->first)
        return; /* it was opened before the answer began */
    object_leave(exchange->piece);
    exchange->at = exchange->run_from = range->first;
    exchange->stream = STREAM_NOT;
}

object_failure_t pieces_failure(const exchange_t *exchange)
{
    const object_t *object = exchange->piece->object;
    return object != NULL ? object_failure(object) : fill_version_ended;
}

/* Opens what has the next byte. READ_BYTES: it has its head. */
static object_read_t open_next(exchange_t *exchange)
{
    object_reader_t *piece = exchange->piece;
    http_field_t list[EXCHANGE_FIELDS_MAX];
    http_fields_t fields = exchange_fields(exchange, list);
    walk_kind_t kind = WALK_NONE;
    bool opened = piece->object != NULL || open_piece(exchange, fields, &kind);
    if (kind == WALK_WAIT || (opened && object_wait_head(piece)))
        return READ_WAIT;
    if (is_no_ranges(exchange) && may_stream(exchange)) {
        object_leave(piece);
        open_stream(exchange, fields);
        opened = true;
        if (object_wait_head(piece))
            return READ_WAIT;
    }
    if (!opened || object_head(piece->object) == NULL ||
        (exchange->stream == STREAM_ASKED && !join_stream(exchange)))
        return READ_FAILED;
    return READ_BYTES;
}

object_read_t pieces_read(exchange_t *exchange, size_t most)
{
    object_reader_t *piece = exchange->piece;
    for (;;) {
        object_read_t opened = open_next(exchange);
        if (opened == READ_FAILED && is_left_out(exchange)) {
            object_leave(piece);
            continue;
        }
        if (opened != READ_BYTES)
            return opened;
        if (is_overtaken(exchange)) {
            object_leave(piece);
            continue;
        }
        object_read_t said = object_read(piece, most, &exchange->span);
        exchange->at += exchange->span.length;
        if (said != READ_END)
            return said;
        object_leave(piece);
        if (exchange->at == (uint64_t)exchange->end)
            return READ_END;
    }
}
