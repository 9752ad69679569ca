/* The client's side: a request does here what edge/request.c and edge/respond.c do. */
#include "edge/http/conditional.h"
#include "edge/http/range.h"
#include "tests/sim/interpose.h"
#include "tests/sim/world.h"

enum { STEPS_MAX = 4, RANGE_SKIP_BYTES = 1 << 20 };

static random_t *chance(void)
{
    return &world.random;
}

static void on_wake(void *context);

static void wake_up(exchange_t *exchange)
{
    if (exchange->on_its_way)
        return;
    exchange->on_its_way = true;
    schedule_for_node(exchange->worker, random_between(chance(), 0, 500), on_wake, exchange);
}

/* Any thread, under the object's lock. */
static void wake(object_reader_t *reader)
{
    wake_up(CONTAINER_OF(reader, exchange_t, reader));
}

static void wake_for_piece(object_reader_t *reader)
{
    wake_up(CONTAINER_OF(reader, exchange_t, piece));
}

/* A thread of a device, under its lock. It may have been held up. */
static void wake_from_disk(disk_wait_t *wait)
{
    enum { HELD_UP_MS = 500 };
    exchange_t *exchange = CONTAINER_OF(wait, exchange_t, disk);
    int64_t waited_ms = (schedule_now_us() - exchange->disk_awaited_us) / 1000;
    if (exchange->awaits_disk && waited_ms > DISK_DEADLINE_MS + HELD_UP_MS)
        note_violation("request %d waited for a drive for %lld ms", exchange->id, (long long)waited_ms);
    wake_up(exchange);
}

static walk_t walk_of(exchange_t *exchange, void (*waker)(object_reader_t *reader))
{
    return (walk_t){.memory = world.node.memory,
                    .ledger = world.node.ledger,
                    .key = exchange->key,
                    .fields = {exchange->fields, exchange->field_count},
                    .sequence = exchange->sequence,
                    .now_ms = schedule_now_ms(),
                    .wake = waker,
                    .disk = exchange->shuns_disk ? NULL : world.node.disk,
                    .wait = &exchange->disk};
}

/* --- The body --- */

static void give_back(exchange_t *exchange)
{
    exchange->sending = false;
    if (exchange->span.block != NULL)
        block_unref(&exchange->span.block);
}

static void end(exchange_t *exchange)
{
    exchange->finished = true;
    give_back(exchange);
    disk_wait_leave(&exchange->disk);
    object_leave(&exchange->piece);
    object_leave(&exchange->reader);
}

/* As the client has the whole answer, or believes so. */
static void complete(exchange_t *exchange)
{
    if (exchange->in_pieces)
        note_count(exchange->end == exchange->answer->whole && exchange->from_start ? NOTE_WHOLES_IN_PIECES
                                                                                    : NOTE_PARTS_COMPLETE);
    referee_end(exchange);
    end(exchange);
}

static void read_more(exchange_t *exchange);

static void on_sent(void *context)
{
    exchange_t *exchange = context;
    if (!exchange->sending)
        return;
    referee_bytes(exchange); /* after the time it took: the bytes must have stayed what they were */
    give_back(exchange);
    if (exchange->finished)
        return;
    if (exchange->last)
        complete(exchange);
    else
        read_more(exchange);
}

static void send_span(exchange_t *exchange)
{
    uint64_t at = exchange->in_pieces ? exchange->at : exchange->reader.offset;
    exchange->span_offset = at - exchange->span.length;
    exchange->sending = true;
    exchange->last = at == exchange->end;
    schedule_for_node(exchange->worker, random_between(chance(), 0, exchange->pace_us), on_sent, exchange);
}

/* --- Pieces --- */

static fill_request_t request_of(const exchange_t *exchange, const object_reader_t *reader,
                                 const walk_step_t *step)
{
    return (fill_request_t){.memory = world.node.memory,
                            .method = exchange->is_get ? TEXT("GET") : exchange->method,
                            .key = exchange->key,
                            .policy = &world.policies[world.urls[exchange->url].site],
                            .fields = {exchange->fields, exchange->field_count},
                            .object = step->background != NULL ? step->background : reader->object,
                            .base = step->base,
                            .stale = step->stale,
                            .stale_until_ms = step->stale_until_ms,
                            .indexed = step->background != NULL || step->kind == WALK_FILL,
                            .background = step->background != NULL};
}

/* It is to be waited for, by who has not done so in vain, where memory has nothing of the piece. */
static bool is_device_behind(const exchange_t *exchange, const walk_t *walk, piece_t piece)
{
    uint64_t numbers[PIECE_NUMBERS];
    cache_variant_t variant = piece_variant(exchange->reader.object, piece, numbers);
    ledger_hash_t name = memory_name(&exchange->key, &variant);
    if (walk->disk == NULL || walk->wait == NULL || !interpose_is_behind(&name))
        return false;
    memory_view_t view = memory_peek(walk->memory, &walk->key, &variant, NULL);
    bool is_missing = view.stored == NULL && view.growing == NULL;
    memory_view_drop(&view);
    note_count(NOTE_PIECES_BEHIND);
    return is_missing && interpose_is_behind(&name);
}

static bool walk_to_piece(exchange_t *exchange, const walk_t *walk, piece_t piece, object_reader_t *reader,
                          walk_kind_t *kind)
{
    bool is_behind = is_device_behind(exchange, walk, piece);
    uint64_t walk_began = schedule_moment(), held_up = notes.counts[NOTE_PREEMPTIONS];
    walk_step_t step;
    if (!walk_piece(walk, exchange->reader.object, piece, reader, &step)) {
        note_count(NOTE_PIECES_PURGED);
        return false;
    }
    *kind = step.kind;
    note_event("piece", (uint64_t)exchange->id, piece.first, step.kind);
    if (step.kind == WALK_WAIT)
        return true;
    if (is_behind && step.kind == WALK_FILL && held_up == notes.counts[NOTE_PREEMPTIONS])
        note_violation("a piece of request %d is fetched, and its device has too much to write",
                       exchange->id);
    if (step.kind == WALK_FILL) {
        fill_request_t request = request_of(exchange, reader, &step);
        request.piece = piece;
        request.run_end = walk_run_end(walk, exchange->reader.object, piece, exchange->end,
                                       random_below(chance(), PIECES_RUN_MAX) + 1);
        request.ahead = reader != &exchange->piece;
        transfer_submit(exchange, &request, walk_began);
    }
    if (step.kind == WALK_JOIN)
        referee_joined(exchange, reader->object);
    note_count(step.kind == WALK_HIT    ? NOTE_PIECE_HITS
               : step.kind == WALK_JOIN ? NOTE_PIECE_JOINS
                                        : NOTE_PIECE_FILLS);
    if (step.from_disk)
        note_count(NOTE_PIECES_FROM_DISK);
    return true;
}

static void ask_ahead(exchange_t *exchange, const walk_t *walk, piece_t piece)
{
    object_reader_t reader;
    walk_kind_t kind;
    if (piece.end >= exchange->end)
        return;
    piece_t next = piece_at(exchange->reader.object, piece.end);
    if (!walk_finds_piece(walk, exchange->reader.object, next) &&
        walk_to_piece(exchange, walk, next, &reader, &kind))
        object_leave(&reader);
}

/* Waits for a device: it is to be opened again when that has answered. */
static void await_disk(exchange_t *exchange)
{
    exchange->awaits_disk = true;
    exchange->disk_awaited_us = schedule_now_us();
    note_count(NOTE_DISK_WAITS);
}

static bool open_piece(exchange_t *exchange)
{
    piece_t piece = piece_at(exchange->reader.object, exchange->at);
    uint64_t end = exchange->end < piece.end ? exchange->end : piece.end;
    walk_t walk = walk_of(exchange, wake_for_piece);
    walk_kind_t kind;
    exchange->content = NULL;
    if (!walk_to_piece(exchange, &walk, piece, &exchange->piece, &kind))
        return false;
    if (kind == WALK_WAIT) {
        await_disk(exchange);
        return true;
    }
    exchange->shuns_disk = false; /* the next one may come sooner */
    object_seek(&exchange->piece, exchange->at - piece.first, end - piece.first);
    walk.wait = NULL;
    ask_ahead(exchange, &walk, piece);
    return true;
}

/* Did the piece fail so, or is that known? */
static bool is_no_ranges(const exchange_t *exchange)
{
    const object_t *object = exchange->piece.object;
    if (object == NULL)
        return !head_takes_ranges(object_head(exchange->reader.object));
    return object_end(object) == OBJECT_FAILED &&
           text_equal(text_of(object_failure(object).detail), text_of(fill_no_ranges.detail));
}

/* It was to come behind another, with which that fill ended: it is asked for by itself. */
static bool is_left_out(exchange_t *exchange)
{
    const object_t *object = exchange->piece.object;
    if (object == NULL || object_end(object) != OBJECT_FAILED ||
        !text_equal(text_of(object_failure(object).detail), text_of(fill_run_ended.detail)))
        return false;
    note_count(NOTE_LEFT_OUT);
    object_leave(&exchange->piece);
    return true;
}

/* All of it once more, for this answer alone. */
static void open_stream(exchange_t *exchange)
{
    uint64_t walk_began = schedule_moment();
    walk_t walk = walk_of(exchange, wake_for_piece);
    walk_step_t step = walk_private(&walk, &exchange->piece, FORWARD_PARTIAL);
    fill_request_t request = request_of(exchange, &exchange->piece, &step);
    note_count(NOTE_STREAMS);
    note_event("stream", (uint64_t)exchange->id, exchange->at, 0);
    transfer_submit(exchange, &request, walk_began);
    exchange->stream = STREAM_ASKED;
}

static bool join_stream(exchange_t *exchange)
{
    const head_t *whole = object_head(exchange->reader.object), *now = object_head(exchange->piece.object);
    exchange->stream = STREAM_READ;
    exchange->content = NULL;
    if (now->status != 200 || now->content_length != whole->content_length ||
        !http_same_strong_etag(now->etag, whole->etag)) {
        object_leave(&exchange->piece);
        return false;
    }
    object_seek(&exchange->piece, exchange->at, exchange->end);
    return true;
}

/* READ_BYTES: there is the head of what has the next byte. */
static object_read_t open_next(exchange_t *exchange)
{
    bool opened = exchange->piece.object != NULL || open_piece(exchange);
    if (exchange->awaits_disk || (opened && object_wait_head(&exchange->piece)))
        return READ_WAIT;
    if (exchange->stream == STREAM_NOT && is_no_ranges(exchange)) {
        object_leave(&exchange->piece);
        open_stream(exchange);
        opened = true;
        if (object_wait_head(&exchange->piece))
            return READ_WAIT;
    }
    bool there = opened && object_head(exchange->piece.object) != NULL;
    if (!there || (exchange->stream == STREAM_ASKED && !join_stream(exchange)))
        return READ_FAILED;
    return READ_BYTES;
}

static object_read_t read_piece(exchange_t *exchange)
{
    for (;;) {
        object_read_t opened = open_next(exchange);
        if (opened == READ_FAILED && is_left_out(exchange))
            continue;
        if (opened != READ_BYTES)
            return opened;
        if (walk_piece_overtaken(world.node.ledger, &exchange->piece)) {
            object_leave(&exchange->piece);
            continue;
        }
        object_read_t said = object_read(&exchange->piece, exchange->read_most, &exchange->span);
        exchange->at += exchange->span.length;
        if (said != READ_END)
            return said;
        object_leave(&exchange->piece);
        if (exchange->at == exchange->end)
            return READ_END;
    }
}

static void note_failed_body(const exchange_t *exchange)
{
    const object_t *object = exchange->in_pieces ? exchange->piece.object : exchange->reader.object;
    note_count(NOTE_FAILED_BODIES);
    if (object != NULL) /* else it was purged, which is counted */
        referee_failed(exchange, object);
}

static object_read_t read_next(exchange_t *exchange)
{
    return exchange->in_pieces ? read_piece(exchange)
                               : object_read(&exchange->reader, exchange->read_most, &exchange->span);
}

static void read_more(exchange_t *exchange)
{
    if (exchange->sending || exchange->finished)
        return;
    switch (read_next(exchange)) {
    case READ_BYTES:
        send_span(exchange);
        return;
    case READ_WAIT:
        return;
    case READ_END:
        complete(exchange);
        return;
    case READ_FAILED:
        note_failed_body(exchange);
        end(exchange);
        return;
    case READ_BEHIND:
        note_count(NOTE_BEHIND);
        end(exchange);
        return;
    }
}

static http_selection_t select_part(const exchange_t *exchange, http_ranges_t *ranges)
{
    const head_t *head = object_head(exchange->reader.object);
    if (!exchange->is_get || exchange->is_head || head->status != 200)
        return HTTP_WHOLE;
    const http_selected_t selected = head_selected(head, head->content_length, true);
    return http_select((http_fields_t){exchange->fields, exchange->field_count}, &selected, ranges);
}

/* False: it has no body. */
static bool choose_part(exchange_t *exchange)
{
    http_ranges_t ranges;
    int64_t length = object_head(exchange->reader.object)->content_length;
    http_selection_t selection = select_part(exchange, &ranges);
    exchange->end = length >= 0 ? (uint64_t)length : UINT64_MAX;
    if (selection == HTTP_WHOLE)
        return true;
    if (selection != HTTP_PART)
        return false;
    exchange->end = ranges.at[0].end;
    if (!exchange->in_pieces)
        object_seek(&exchange->reader, ranges.at[0].first, ranges.at[0].end);
    return true;
}

static void respond(exchange_t *exchange)
{
    referee_head(exchange);
    exchange->started = true;
    int status = object_head(exchange->reader.object)->status;
    note_event("answer", (uint64_t)exchange->id, exchange->answer->id, exchange->kind);
    if (exchange->is_head || status == 204 || status == 304 || !choose_part(exchange))
        end(exchange);
    else
        read_more(exchange);
}

static void begin_again(exchange_t *exchange, bool alone);

/* Nothing has been sent of it yet. */
static void look_elsewhere(exchange_t *exchange)
{
    exchange->in_pieces = false;
    object_leave(&exchange->piece);
    begin_again(exchange, false);
}

static void at_piece_failure(exchange_t *exchange)
{
    object_failure_t failure = object_failure(exchange->piece.object);
    if (is_no_ranges(exchange) || text_equal(text_of(failure.detail), text_of(fill_version_ended.detail))) {
        exchange->shuns_pieces = true;
        look_elsewhere(exchange);
        return;
    }
    note_count(NOTE_FAILED_HEADS);
    referee_failed(exchange, exchange->piece.object);
    end(exchange);
}

static void open_first(exchange_t *exchange);

static void await_piece(exchange_t *exchange)
{
    if (exchange->awaits_disk || object_wait_head(&exchange->piece))
        return;
    if (is_left_out(exchange))
        open_first(exchange);
    else if (object_head(exchange->piece.object) == NULL)
        at_piece_failure(exchange);
    else if (walk_piece_overtaken(world.node.ledger, &exchange->piece))
        look_elsewhere(exchange);
    else
        respond(exchange);
}

static void open_first(exchange_t *exchange)
{
    if (open_piece(exchange))
        await_piece(exchange);
    else
        look_elsewhere(exchange);
}

static void answer_in_pieces(exchange_t *exchange)
{
    object_t *sparse = exchange->reader.object;
    object_ref(sparse);
    object_leave(&exchange->reader);
    object_open(&sparse, &exchange->reader);
    http_ranges_t ranges;
    http_selection_t selection = select_part(exchange, &ranges);
    if (exchange->is_head || (selection != HTTP_PART && selection != HTTP_WHOLE)) {
        respond(exchange);
        return;
    }
    exchange->in_pieces = true;
    exchange->at = selection == HTTP_PART ? ranges.at[0].first : 0;
    exchange->end = selection == HTTP_PART ? ranges.at[0].end
                                           : (uint64_t)object_head(exchange->reader.object)->content_length;
    exchange->from_start = exchange->at == 0;
    open_first(exchange);
}

static bool goes_for_pieces(const exchange_t *exchange)
{
    object_t *object = exchange->reader.object;
    http_ranges_t ranges;
    if (exchange->shuns_pieces || exchange->steps >= STEPS_MAX || object_admitted(object) ||
        object_end(object) != OBJECT_OPEN || select_part(exchange, &ranges) != HTTP_PART ||
        ranges.at[0].first <= RANGE_SKIP_BYTES)
        return false;
    memory_view_t view = pieces_look_sparse(world.node.memory, &exchange->key);
    bool has = view.stored != NULL;
    memory_view_drop(&view);
    return has;
}

static void serve(exchange_t *exchange)
{
    if (object_sparse(exchange->reader.object))
        answer_in_pieces(exchange);
    else if (goes_for_pieces(exchange))
        begin_again(exchange, false);
    else
        respond(exchange);
}

/* --- The walk --- */

static void await_head(exchange_t *exchange);

static void count_step(const exchange_t *exchange)
{
    static const note_t kinds[] = {[WALK_HIT] = NOTE_HITS,
                                   [WALK_JOIN] = NOTE_JOINS,
                                   [WALK_FILL] = NOTE_FILLS,
                                   [WALK_PASS] = NOTE_PASSES};
    note_count(kinds[exchange->kind]);
    if (exchange->kind == WALK_HIT && exchange->from_disk)
        note_count(NOTE_DISK_HITS);
    if (exchange->kind == WALK_HIT && object_variants(exchange->reader.object) != NULL)
        note_count(NOTE_VARIANT_HITS);
    if (exchange->kind == WALK_HIT && object_revalidated(exchange->reader.object))
        note_count(NOTE_REVALIDATED);
    if (exchange->kind == WALK_HIT && exchange->use == HTTP_WHILE_REVALIDATE)
        note_count(NOTE_STALE_HITS);
    if (exchange->kind == WALK_HIT && exchange->use == HTTP_IF_ERROR)
        note_count(NOTE_STALE_KNOWN);
    if (exchange->kind == WALK_JOIN && transfer_of(exchange->reader.object)->background)
        note_count(NOTE_BACKGROUND_READ);
    if (exchange->had_head)
        note_count(NOTE_JOINS_WITH_HEAD);
}

static void start_fill(exchange_t *exchange, walk_step_t *step, uint64_t walk_began)
{
    fill_request_t request = request_of(exchange, &exchange->reader, step);
    transfer_submit(exchange, &request, walk_began);
    if (step->background != NULL)
        object_unref(&step->background);
}

static void take_step(exchange_t *exchange, walk_step_t *step, uint64_t walk_began)
{
    object_t *object = exchange->reader.object;
    if (step->kind == WALK_WAIT) {
        await_disk(exchange);
        return;
    }
    exchange->kind = step->kind;
    exchange->walked = schedule_moment();
    exchange->from_disk |= step->from_disk;
    note_event("walk", (uint64_t)exchange->id, step->kind, (uint64_t)transfer_of(object)->id);
    exchange->use = step->use;
    if (step->kind == WALK_FILL || step->kind == WALK_PASS || step->background != NULL)
        start_fill(exchange, step, walk_began);
    if (step->kind == WALK_JOIN)
        referee_joined(exchange, object);
    count_step(exchange);
    if (step->kind == WALK_HIT && object_sparse(object)) {
        note_count(NOTE_SPARSE_HITS);
        answer_in_pieces(exchange);
    } else if (step->kind == WALK_HIT)
        respond(exchange);
    else
        await_head(exchange);
}

static void walked(exchange_t *exchange, walk_step_t *step, uint64_t walk_began)
{
    exchange->had_head = step->kind == WALK_JOIN && transfer_of(exchange->reader.object)->head_given;
    take_step(exchange, step, walk_began);
}

static void begin_walk(exchange_t *exchange)
{
    uint64_t walk_began = schedule_moment();
    walk_t walk = walk_of(exchange, wake);
    exchange->walk_ms = walk.now_ms;
    walk_step_t step = exchange->is_get ? walk_begin(&walk, &exchange->reader)
                                        : walk_private(&walk, &exchange->reader, FORWARD_METHOD);
    walked(exchange, &step, walk_began);
}

static void look_again(exchange_t *exchange, bool alone)
{
    exchange->looked = schedule_moment();
    walk_t walk = walk_of(exchange, wake);
    exchange->walk_ms = walk.now_ms;
    walk_step_t step = walk_again(&walk, &exchange->reader, alone);
    exchange->sequence = walk.sequence;
    walked(exchange, &step, exchange->looked);
}

static void begin_again(exchange_t *exchange, bool alone)
{
    note_count(alone ? NOTE_MOVED_ALONE : NOTE_MOVED_AGAIN);
    look_again(exchange, alone || ++exchange->steps > STEPS_MAX);
}

/* The origin failed: what is stored may answer instead. */
static bool answer_stale(exchange_t *exchange, const walk_t *walk)
{
    const object_t *object = exchange->reader.object;
    const head_t *head = object_head(object);
    walk_step_t step;
    if (!exchange->is_get || !http_is_error(head != NULL ? head->status : object_failure(object).status))
        return false;
    referee_on_error(exchange);
    uint64_t looked = schedule_moment();
    if (!walk_on_error(walk, &exchange->reader, &step))
        return false;
    exchange->looked = looked;
    note_count(NOTE_STALE_ON_ERROR);
    exchange->kind = WALK_HIT;
    exchange->use = step.use;
    exchange->on_error = true;
    respond(exchange);
    return true;
}

static void at_head(exchange_t *exchange)
{
    walk_t walk = walk_of(exchange, wake);
    exchange->walk_ms = walk.now_ms;
    if (answer_stale(exchange, &walk))
        return;
    switch (walk_at_head(&walk, &exchange->reader)) {
    case HEAD_SERVE:
        serve(exchange);
        return;
    case HEAD_AGAIN:
        begin_again(exchange, false);
        return;
    case HEAD_ALONE:
        begin_again(exchange, true);
        return;
    case HEAD_FAILED:
        note_count(NOTE_FAILED_HEADS);
        referee_failed(exchange, exchange->reader.object);
        end(exchange);
        return;
    }
}

static void await_head(exchange_t *exchange)
{
    if (!object_wait_head(&exchange->reader))
        at_head(exchange);
}

/* As edge/request.c has it. */
static void after_disk(exchange_t *exchange)
{
    disk_wait_leave(&exchange->disk);
    exchange->awaits_disk = false;
    exchange->shuns_disk = exchange->disk.in_vain;
    exchange->from_disk |= !exchange->disk.in_vain;
    if (exchange->disk.in_vain)
        note_count(NOTE_DISK_WAITS_IN_VAIN);
    if (exchange->in_pieces && exchange->started)
        read_more(exchange);
    else if (exchange->in_pieces)
        open_first(exchange);
    else
        look_again(exchange, false);
}

static void on_wake(void *context)
{
    exchange_t *exchange = context;
    exchange->on_its_way = false;
    if (exchange->finished)
        return;
    if (exchange->awaits_disk)
        after_disk(exchange);
    else if (exchange->started)
        read_more(exchange);
    else if (exchange->in_pieces)
        await_piece(exchange);
    else
        await_head(exchange);
}

/* --- Coming and going --- */

/* The client went away: the object is told at once; a block on loan is given back later, and must stay good.
 */
static void on_abort(void *context)
{
    exchange_t *exchange = context;
    if (exchange->finished)
        return;
    note_count(NOTE_ABORTS);
    note_event("abort", (uint64_t)exchange->id, 0, 0);
    exchange->finished = true;
    if (exchange->span.block == NULL)
        exchange->sending = false;
    disk_wait_leave(&exchange->disk);
    object_leave(&exchange->piece);
    object_leave(&exchange->reader);
}

static void on_arrival(void *context)
{
    exchange_t *exchange = context;
    if (exchange->finished)
        return;
    note_count(NOTE_REQUESTS);
    exchange->arrived = schedule_moment();
    exchange->sequence = ledger_sequence(world.node.ledger);
    exchange->key = cache_key(site_name(world.urls[exchange->url].site), url_target(exchange->url));
    note_event("request", (uint64_t)exchange->id, exchange->url, exchange->sequence);
    begin_walk(exchange);
}

void exchange_begin(void)
{
    static const unsigned reads[] = {16, 1000, 20000, 131072, 131072};
    exchange_t *exchange = list_add(&world.exchanges, sizeof *exchange);
    exchange->id = (int)world.exchanges.count - 1;
    exchange->disk.wake = wake_from_disk;
    exchange->worker = world.node.workers[random_below(chance(), world.node.worker_count)];
    /* A few are asked for often. */
    exchange->url = random_below(chance(), random_chance(chance(), 500) ? 2 : world.url_count);
    request_choose(exchange);
    exchange->read_most = RANDOM_PICK(chance(), reads);
    if (exchange->read_most < world.urls[exchange->url].length / 30)
        exchange->read_most = 131072;
    exchange->pace_us = random_chance(chance(), 100)  ? 2000000
                        : random_chance(chance(), 20) ? 20000000
                                                      : random_between(chance(), 0, 4000);
    schedule_for_node(exchange->worker, 0, on_arrival, exchange);
    if (random_chance(chance(), world.abort_rate))
        schedule_for_node(exchange->worker, random_between(chance(), 0, 100000), on_abort, exchange);
}

/* The node ends. */
void exchange_close(exchange_t *exchange)
{
    give_back(exchange);
    if (!exchange->finished)
        end(exchange);
}
