/* The client's side: a request does here what edge/request.c and edge/respond.c do. */
#include "tests/sim/world.h"

enum { STEPS_MAX = 4 };

static random_t *chance(void)
{
    return &world.random;
}

static void on_wake(void *context);

/* Any thread, under the object's lock. */
static void wake(object_reader_t *reader)
{
    exchange_t *exchange = CONTAINER_OF(reader, exchange_t, reader);
    if (exchange->on_its_way)
        return;
    exchange->on_its_way = true;
    schedule_for_node(exchange->worker, random_between(chance(), 0, 500), on_wake, exchange);
}

static walk_t walk_of(exchange_t *exchange)
{
    exchange->walk_ms = schedule_now_ms();
    return (walk_t){
        world.node.memory,  world.node.ledger, exchange->key, {exchange->fields, exchange->field_count},
        exchange->sequence, exchange->walk_ms, NULL,          wake};
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
    object_leave(&exchange->reader);
}

/* As the client has the whole answer, or believes so. */
static void complete(exchange_t *exchange)
{
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
    exchange->span_offset = exchange->reader.offset - exchange->span.length;
    exchange->sending = true;
    int64_t length = object_head(exchange->reader.object)->content_length;
    exchange->last = length >= 0 && exchange->reader.offset == (uint64_t)length;
    schedule_for_node(exchange->worker, random_between(chance(), 0, exchange->pace_us), on_sent, exchange);
}

static void read_more(exchange_t *exchange)
{
    if (exchange->sending || exchange->finished)
        return;
    switch (object_read(&exchange->reader, exchange->read_most, &exchange->span)) {
    case READ_BYTES:
        send_span(exchange);
        return;
    case READ_WAIT:
        return;
    case READ_END:
        complete(exchange);
        return;
    case READ_FAILED:
        note_count(NOTE_FAILED_BODIES);
        referee_failed(exchange);
        end(exchange);
        return;
    case READ_BEHIND:
        note_count(NOTE_BEHIND);
        end(exchange);
        return;
    }
}

static void respond(exchange_t *exchange)
{
    referee_head(exchange);
    exchange->started = true;
    int status = object_head(exchange->reader.object)->status;
    note_event("answer", (uint64_t)exchange->id, exchange->answer->id, exchange->kind);
    if (exchange->is_head || status == 204 || status == 304)
        end(exchange);
    else
        read_more(exchange);
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
    bool background = step->background != NULL;
    fill_request_t request = {.memory = world.node.memory,
                              .method = exchange->is_get ? TEXT("GET") : exchange->method,
                              .key = exchange->key,
                              .policy = &world.policies[world.urls[exchange->url].site],
                              .fields = {exchange->fields, exchange->field_count},
                              .object = background ? step->background : exchange->reader.object,
                              .base = step->base,
                              .stale = step->stale,
                              .stale_until_ms = step->stale_until_ms,
                              .indexed = background || step->kind == WALK_FILL,
                              .background = background};
    transfer_submit(exchange, &request, walk_began);
    if (background)
        object_unref(&step->background);
}

static void take_step(exchange_t *exchange, walk_step_t *step, uint64_t walk_began)
{
    object_t *object = exchange->reader.object;
    exchange->kind = step->kind;
    exchange->walked = schedule_moment();
    note_event("walk", (uint64_t)exchange->id, step->kind, (uint64_t)transfer_of(object)->id);
    exchange->use = step->use;
    if (step->kind == WALK_FILL || step->kind == WALK_PASS || step->background != NULL)
        start_fill(exchange, step, walk_began);
    referee_walked(exchange, walk_began);
    count_step(exchange);
    if (step->kind == WALK_HIT)
        respond(exchange);
    else
        await_head(exchange);
}

static void begin_walk(exchange_t *exchange, bool alone, forward_t why)
{
    uint64_t walk_began = schedule_moment();
    walk_t walk = walk_of(exchange);
    walk_step_t step =
        alone ? walk_private(&walk, &exchange->reader, why) : walk_begin(&walk, &exchange->reader);
    exchange->had_head = step.kind == WALK_JOIN && transfer_of(exchange->reader.object)->head_given;
    take_step(exchange, &step, walk_began);
}

static void begin_again(exchange_t *exchange, bool alone)
{
    note_count(alone ? NOTE_MOVED_ALONE : NOTE_MOVED_AGAIN);
    object_leave(&exchange->reader);
    begin_walk(exchange, alone || ++exchange->steps > STEPS_MAX, FORWARD_BYPASS);
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
    if (!walk_on_error(walk, &exchange->reader, &step))
        return false;
    note_count(NOTE_STALE_ON_ERROR);
    exchange->kind = WALK_HIT;
    exchange->use = step.use;
    exchange->on_error = true;
    respond(exchange);
    return true;
}

static void at_head(exchange_t *exchange)
{
    walk_t walk = walk_of(exchange);
    if (answer_stale(exchange, &walk))
        return;
    switch (walk_at_head(&walk, &exchange->reader)) {
    case HEAD_SERVE:
        respond(exchange);
        return;
    case HEAD_AGAIN:
        begin_again(exchange, false);
        return;
    case HEAD_ALONE:
        begin_again(exchange, true);
        return;
    case HEAD_FAILED:
        note_count(NOTE_FAILED_HEADS);
        referee_failed(exchange);
        end(exchange);
        return;
    }
}

static void await_head(exchange_t *exchange)
{
    if (!object_wait_head(&exchange->reader))
        at_head(exchange);
}

static void on_wake(void *context)
{
    exchange_t *exchange = context;
    exchange->on_its_way = false;
    if (exchange->finished)
        return;
    if (exchange->started)
        read_more(exchange);
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
    begin_walk(exchange, !exchange->is_get, FORWARD_METHOD);
}

static void add_field(exchange_t *exchange, text_t name, text_t value)
{
    exchange->fields[exchange->field_count++] = (http_field_t){name, value};
}

static void choose_fields(exchange_t *exchange)
{
    static const text_t languages[LANGUAGES] = {{NULL, 0}, {"l1", 2}, {"l2", 2}};
    static const text_t origins[ORIGINS] = {{NULL, 0}, {"https://o1", 10}};
    exchange->language = random_below(chance(), LANGUAGES);
    exchange->from = random_chance(chance(), 200);
    if (exchange->language > 0)
        add_field(exchange, TEXT("accept-language"), languages[exchange->language]);
    if (exchange->from > 0)
        add_field(exchange, TEXT("origin"), origins[exchange->from]);
    if (random_chance(chance(), 30))
        add_field(exchange, TEXT("authorization"), TEXT("Bearer a"));
}

static void choose_method(exchange_t *exchange)
{
    static const text_t unsafe[] = {{"POST", 4}, {"PUT", 3}, {"DELETE", 6}};
    exchange->method = TEXT("GET");
    if (random_chance(chance(), 40))
        exchange->method = RANDOM_PICK(chance(), unsafe);
    exchange->is_head = random_chance(chance(), 50);
    exchange->is_get = text_equal(exchange->method, TEXT("GET"));
}

void exchange_begin(void)
{
    static const unsigned reads[] = {16, 1000, 20000, 131072, 131072};
    exchange_t *exchange = list_add(&world.exchanges, sizeof *exchange);
    exchange->id = (int)world.exchanges.count - 1;
    exchange->worker = world.node.workers[random_below(chance(), world.node.worker_count)];
    /* A few are asked for often. */
    exchange->url = random_below(chance(), random_chance(chance(), 500) ? 2 : world.url_count);
    choose_fields(exchange);
    choose_method(exchange);
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
