/* The puller's side: carries what the origin says to fills, and their actions back, as origin_pull/puller.c
 * and transfer.c do; with every way in which an upstream can fail. */
#include "origin_pull/fill_private.h" /* which pieces it brings */
#include "tests/sim/interpose.h"
#include "tests/sim/world.h"

typedef enum {
    FAULT_NONE,
    FAULT_CONNECT,  /* fails before a byte came */
    FAULT_TIMEOUT,  /* the same, after a long wait */
    FAULT_RESET,    /* in the body */
    FAULT_SHORT,    /* the message ends as if whole, with bytes missing */
    FAULT_LONG,     /* more bytes than Content-Length */
    FAULT_NONSENSE, /* a 304 that nobody asked for, or of something else */
    FAULTS
} fault_t;

enum { HOLD_MS = 10000, CHUNK_MAX = 512 << 10 };

static random_t *chance(void)
{
    return &world.random;
}

transfer_t *transfer_of(const object_t *object)
{
    /* The node takes its version ids from this world: they are numbers of transfers. */
    version_id_t version = object_version(object);
    MUST(version.low < world.transfers.count);
    return world.transfers.at[version.low];
}

const transfer_t *transfer_filling(const object_t *object)
{
    const transfer_t *transfer = transfer_of(object);
    return transfer->carrier != NULL ? transfer->carrier : transfer;
}

/* Where what it is to bring ends, in the origin's answer. */
static uint64_t end_of(const transfer_t *transfer)
{
    return transfer->rest_end > 0 ? transfer->rest_end : transfer->answer->length;
}

/* --- Life --- */

static void handle_events(void *context);

static void put_into_inbox(transfer_t *transfer)
{
    transfer->queued = true;
    schedule_for_node(world.node.puller, random_between(chance(), 0, 2000), handle_events, transfer);
}

static void on_notify(object_filler_t *filler, unsigned events)
{
    transfer_t *transfer = CONTAINER_OF(filler, transfer_t, filler);
    transfer->events |= events;
    if (!transfer->queued)
        put_into_inbox(transfer);
}

/* The pieces that come behind the one that it was asked for: whose fault it is if they do not. */
static void carry_run(transfer_t *transfer)
{
    const fill_t *fill = transfer->fill;
    for (unsigned i = fill->run_at; i < fill->run_count; i++) {
        transfer_t *piece = transfer_of(fill->run[i]);
        piece->carrier = transfer;
        piece->created = transfer->created;
        note_count(NOTE_PIECES_IN_RUNS);
    }
    if (fill->run_count > 0)
        note_count(NOTE_RUNS);
}

void transfer_submit(exchange_t *exchange, const fill_request_t *request, uint64_t walk_began)
{
    transfer_t *transfer = transfer_of(request->object);
    MUST(transfer->fill == NULL && !transfer->begun);
    transfer->owner = exchange->id;
    transfer->walk_began = walk_began;
    transfer->indexed = request->indexed;
    transfer->background = request->background;
    if (transfer->background)
        note_count(NOTE_BACKGROUND);
    transfer->pace_us = random_chance(chance(), 100) ? 20000 : random_between(chance(), 0, 3000);
    transfer->for_piece = request->piece.end > 0;
    if (request->base != NULL) {
        /* What was read from disk has the version of its bytes, and may have the head of a later answer. */
        transfer->base_answer = referee_answer_of(object_head(request->base));
        transfer->base =
            object_sparse(request->base) ? transfer->base_answer : transfer_of(request->base)->content;
    }
    transfer->fill = fill_new(request);
    carry_run(transfer);
    referee_base(transfer);
    referee_begun(transfer);
    note_event("fill", (uint64_t)transfer->id, exchange->url, transfer->base ? transfer->base->id : 0);
    transfer->filler.notify = on_notify;
    transfer->queued = true; /* nobody else puts it there first */
    object_set_filler(fill_object(transfer->fill), &transfer->filler);
    if (object_unread(fill_object(transfer->fill)))
        transfer->events |= FILLER_ABANDONED;
    put_into_inbox(transfer);
}

static void finish(transfer_t *transfer)
{
    MUST(fill_ended(transfer->fill));
    note_event("fill ends", (uint64_t)transfer->id, transfer->offset, transfer->faulted);
    transfer->epoch++;
    transfer->ended = schedule_moment();
    if (transfer->background && object_end(fill_object(transfer->fill)) == OBJECT_FAILED)
        note_count(NOTE_BACKGROUND_FAILED);
    fill_free(&transfer->fill);
}

static void fail(transfer_t *transfer, int status, const char *detail)
{
    transfer->faulted = true;
    transfer->failed_ms = schedule_now_ms();
    fill_broken(transfer->fill, (object_failure_t){status, detail}, transfer->failed_ms);
    finish(transfer);
}

void transfer_close(transfer_t *transfer)
{
    if (transfer->fill != NULL)
        fail(transfer, 503, "shutting_down");
}

/* --- What comes from the origin, one thing at a time --- */

/* A step on its way; dropped when the transfer has ended or asks anew. */
typedef struct {
    transfer_t *transfer;
    unsigned epoch;
    void (*run)(transfer_t *transfer);
} step_t;

static list_t steps;

static void run_step(void *context)
{
    step_t *step = context;
    if (step->transfer->epoch == step->epoch && step->transfer->fill != NULL)
        step->run(step->transfer);
}

static step_t *step_new(transfer_t *transfer, void (*run)(transfer_t *transfer))
{
    step_t *step = list_add(&steps, sizeof *step);
    *step = (step_t){transfer, transfer->epoch, run};
    return step;
}

static void then(transfer_t *transfer, int64_t delay_us, void (*run)(transfer_t *transfer))
{
    schedule_for_node(world.node.puller, delay_us, run_step, step_new(transfer, run));
}

void transfer_forget_steps(void)
{
    list_free(&steps);
}

static void begin(transfer_t *transfer);
static void on_bytes(transfer_t *transfer);

/* False when this transfer is over. */
static bool obey(transfer_t *transfer, fill_action_t action)
{
    if (action == FILL_STOP) {
        finish(transfer);
        return false;
    }
    if (action == FILL_AGAIN) {
        note_count(transfer->answer->not_modified ? NOTE_BASE_DROPPED : NOTE_ASKED_FOR_PAUSES);
        MUST(!fill_ended(transfer->fill));
        begin(transfer);
        return false;
    }
    return true;
}

static void on_stalled(transfer_t *transfer);

static void hold(transfer_t *transfer)
{
    note_count(NOTE_PAUSES);
    transfer->paused = true;
    transfer->pauses++;
    then(transfer, HOLD_MS * 1000, on_stalled);
}

static void resume(transfer_t *transfer)
{
    if (!transfer->paused)
        return;
    note_count(NOTE_RESUMES);
    transfer->paused = false;
    transfer->epoch++; /* the deadline of the pause is off */
    then(transfer, 0, on_bytes);
}

static void on_stalled(transfer_t *transfer)
{
    note_count(NOTE_STALLED);
    int64_t failed_ms = transfer->failed_ms;
    transfer->failed_ms = schedule_now_ms();
    fill_stalled(transfer->fill);
    if (fill_ended(transfer->fill)) {
        finish(transfer);
    } else {
        transfer->failed_ms = failed_ms;
        resume(transfer);
    }
}

static void on_end(transfer_t *transfer)
{
    bool whole = transfer->offset == end_of(transfer);
    transfer->answer->delivered_whole = whole;
    transfer->faulted |= !whole;
    if (!whole)
        transfer->failed_ms = schedule_now_ms();
    if (whole && transfer->fill->split)
        note_count(NOTE_SPLIT_WHOLE);
    fill_complete(transfer->fill);
    finish(transfer);
}

static void ask_on(transfer_t *transfer);

/* The connection is lost, at once or after a long silence. */
static void on_break(transfer_t *transfer)
{
    transfer->faulted = true;
    transfer->failed_ms = schedule_now_ms();
    object_failure_t lost = {502, "connection_terminated"};
    if (fill_cut_off(transfer->fill, lost, transfer->failed_ms) == FILL_AGAIN) {
        ask_on(transfer);
        return;
    }
    if (transfer->rests > 0)
        note_count(NOTE_RESTS_GIVEN_UP);
    finish(transfer);
}

static size_t next_part(const transfer_t *transfer)
{
    static const unsigned sizes[] = {16, 1000, 16384, 65536};
    uint64_t end = transfer->fault == FAULT_SHORT || transfer->fault == FAULT_RESET ? transfer->fault_at
                                                                                    : end_of(transfer);
    uint64_t left = end - transfer->offset, part = RANDOM_PICK(chance(), sizes);
    if (part < transfer->answer->length / 20)
        part = transfer->answer->length / 20;
    part = (part + 7) & ~(uint64_t)7;
    if (part > CHUNK_MAX)
        part = CHUNK_MAX;
    return (size_t)(part < left ? part : left);
}

static void after_bytes(transfer_t *transfer)
{
    if (transfer->fault == FAULT_LONG && transfer->offset == transfer->answer->length) {
        size_t taken;
        transfer->faulted = true;
        transfer->failed_ms = schedule_now_ms();
        if (!obey(transfer, fill_bytes(transfer->fill, "too much", 8, &taken)))
            return;
    }
    then(transfer, random_between(chance(), 0, transfer->pace_us), on_bytes);
}

static void on_bytes(transfer_t *transfer)
{
    static char bytes[CHUNK_MAX + 8];
    size_t length = next_part(transfer), taken = 0;
    if (length == 0) {
        if (transfer->fault == FAULT_RESET)
            then(transfer, random_chance(chance(), 200) ? 30000000 : 0, on_break);
        else
            on_end(transfer);
        return;
    }
    const answer_t *source = transfer->rest != NULL ? transfer->rest : transfer->answer;
    uint64_t place = source->first + transfer->offset - transfer->rest_at;
    size_t before = (size_t)(place % 8);
    content_write(source, place - before, bytes, before + length);
    int64_t failed_ms = transfer->failed_ms;
    transfer->failed_ms = schedule_now_ms();
    fill_action_t action = fill_bytes(transfer->fill, bytes + before, length, &taken);
    if (action != FILL_STOP)
        transfer->failed_ms = failed_ms;
    MUST(taken == length || action != FILL_GO_ON);
    transfer->offset += taken;
    referee_memory();
    note_event("bytes", (uint64_t)transfer->id, length, taken);
    if (action == FILL_PAUSE)
        hold(transfer);
    else if (obey(transfer, action))
        after_bytes(transfer);
}

/* --- The head --- */

static void make_nonsense(transfer_t *transfer)
{
    static const http_field_t other[] = {{{"etag", 4}, {"\"nobody's\"", 10}}, {{"x-answer", 8}, {"0", 1}}};
    http_field_t conditions[2];
    bool is_rest = transfer->rests > 0; /* which is asked for once: by that, the fill has failed */
    if (is_rest || fill_conditions(transfer->fill, conditions) == 0 || transfer->for_piece) {
        transfer->faulted = true;
        transfer->failed_ms = schedule_now_ms();
    }
    fill_answer_t said = {.status = 304, .fields = {other, 2}, .can_pause = transfer->can_pause};
    transfer->fault = FAULT_NONE;
    if (transfer->rests == 0)
        transfer->answer->not_modified = true;
    if (obey(transfer, fill_head(transfer->fill, &said, schedule_now_ms())))
        MUST(!"a fill believes nonsense");
}

static void note_modes(const transfer_t *transfer)
{
    const object_t *object = fill_object(transfer->fill);
    if (!transfer->indexed && object_admitted(object))
        note_count(NOTE_INDEXED_LATE);
    if (!object_admitted(object))
        note_count(NOTE_WINDOWED);
}

/* What is too large to be stored whole: the fill goes on with its first pieces. */
static void follow(transfer_t *transfer, const object_t *before)
{
    const object_t *now = fill_object(transfer->fill);
    if (now == before)
        return;
    note_count(NOTE_TURNED);
    if (transfer->fill->split)
        note_count(NOTE_SPLIT);
    transfer_t *piece = transfer_of(now);
    piece->carrier = transfer;
    piece->created = transfer->created;
    transfer->for_piece = true;
    carry_run(transfer);
    /* Halfway in that. */
    if (transfer->fault_at > PIECE_BYTES / 2)
        transfer->fault_at = PIECE_BYTES / 2;
}

static void on_head(transfer_t *transfer)
{
    const object_t *object = fill_object(transfer->fill);
    answer_t *answer = transfer->answer;
    bool is_get = text_equal(fill_method(transfer->fill), TEXT("GET"));
    if (transfer->fault == FAULT_NONSENSE && is_get) {
        make_nonsense(transfer);
        return;
    }
    if (answer->dated_on_receipt)
        answer->lifetime_ms += (schedule_now_ms() - answer->made_ms) / 10 + 1;
    fill_answer_t said = {.status = answer->not_modified ? 304 : answer->status,
                          .fields = {answer->fields, answer->field_count},
                          .close_delimited = answer->framing == FRAMING_CLOSE && !answer->not_modified,
                          .can_pause = transfer->can_pause};
    transfer->content = answer->not_modified ? transfer->base : answer;
    if (answer->not_modified) {
        note_count(NOTE_NOT_MODIFIED);
        referee_base(transfer); /* again: by now more is known of purges under way when it was sent */
    }
    note_event("head", (uint64_t)transfer->id, answer->id, (uint64_t)said.status);
    transfer->answered = true;
    transfer->failed_ms = schedule_now_ms(); /* if there is no memory: others may know before this does */
    fill_action_t action = fill_head(transfer->fill, &said, schedule_now_ms());
    if (action != FILL_STOP && said.status < 500)
        transfer->failed_ms = 0;
    transfer->head_given = action == FILL_GO_ON;
    if (action == FILL_STOP && !transfer->for_piece && object_end(object) == OBJECT_COMPLETE)
        note_count(NOTE_ENDED_AT_HEAD);
    follow(transfer, object);
    if (transfer->for_piece && action == FILL_STOP)
        referee_refused(transfer);
    if (answer->not_modified && action == FILL_GO_ON && object_sparse(fill_object(transfer->fill)))
        note_count(NOTE_SPARSE_RENEWED);
    if (!obey(transfer, action))
        return;
    if (!answer->not_modified)
        note_modes(transfer);
    if (!is_get && answer->status < 400 && !world.node.unplugged) {
        note_count(NOTE_INVALIDATED);
        answer->invalidated = schedule_moment();
    }
    if (answer->not_modified || answer->length == 0) {
        transfer->offset = answer->length;
        then(transfer, random_between(chance(), 0, 1000), on_end);
        return;
    }
    then(transfer, random_between(chance(), 0, transfer->pace_us), on_bytes);
}

/* What this says is nothing to those who read the first answer; but it is not stored against its word. */
static void on_rest(transfer_t *transfer)
{
    answer_t *answer = transfer->answer, *rest = transfer->rest;
    if (transfer->fault == FAULT_NONSENSE) {
        make_nonsense(transfer);
        return;
    }
    fill_answer_t said = {.status = rest->not_modified ? 304 : rest->status,
                          .fields = {rest->fields, rest->field_count},
                          .close_delimited = rest->framing == FRAMING_CLOSE,
                          .can_pause = transfer->can_pause};
    note_event("rest", (uint64_t)transfer->id, rest->id, (uint64_t)said.status);
    transfer->failed_ms = schedule_now_ms(); /* if it is refused; what broke off before had not failed yet */
    fill_action_t action = fill_head(transfer->fill, &said, schedule_now_ms());
    referee_rest(transfer, action == FILL_GO_ON);
    if (action != FILL_GO_ON) {
        note_count(rest->partial ? NOTE_RESTS_REFUSED : NOTE_RESTS_GIVEN_UP);
        obey(transfer, action);
        return;
    }
    note_count(transfer->for_piece ? NOTE_RESTS_OF_PIECES : NOTE_RESTS_TAKEN);
    if (!object_admitted(fill_object(transfer->fill)))
        note_count(NOTE_RESTS_WINDOWED);
    if (rest->never_hit && !answer->never_hit) {
        note_count(NOTE_RESTS_NOT_STORED);
        /* What one client is told for its credentials says nothing of what is kept for all. */
        bool authorized = http_fields_find(fill_fields(transfer->fill), TEXT("authorization")) != NULL;
        answer->forbidden = authorized ? 0 : schedule_moment();
    }
    transfer->faulted = false;
    transfer->failed_ms = 0;
    then(transfer, random_between(chance(), 0, transfer->pace_us), on_bytes);
}

/* --- The request --- */

static void at_origin(transfer_t *transfer)
{
    answer_t *answer = origin_answer(transfer);
    bool is_rest = transfer->rests > 0;
    *(is_rest ? &transfer->rest : &transfer->answer) = answer;
    /* More often where the rest may be asked for than elsewhere. */
    bool may_go_on = answer->etag[0] == '"' && world.urls[answer->url].takes_ranges && !answer->not_modified;
    if (transfer->fault == FAULT_NONE && may_go_on && world.fault_rate > 0 && random_chance(chance(), 150))
        transfer->fault = FAULT_RESET;
    if (transfer->fault == FAULT_LONG && answer->framing != FRAMING_LENGTH)
        transfer->fault = FAULT_NONE;
    if (transfer->fault == FAULT_SHORT && answer->framing != FRAMING_LENGTH)
        transfer->fault = FAULT_RESET;
    /* Halfway, or before the first byte. */
    uint64_t left = end_of(transfer) - transfer->offset;
    transfer->fault_at = transfer->offset + (random_chance(chance(), 100) ? 0 : left / 2);
    then(transfer, random_between(chance(), 0, random_chance(chance(), 50) ? 500000 : 20000),
         is_rest ? on_rest : on_head);
}

static void on_no_answer(transfer_t *transfer)
{
    bool late = transfer->fault == FAULT_TIMEOUT;
    fail(transfer, late ? 504 : 502, late ? "http_response_timeout" : "connection_refused");
}

static void send(transfer_t *transfer, unsigned fault_rate)
{
    fill_t *fill = transfer->fill;
    transfer->epoch++;
    transfer->paused = false;
    transfer->fault =
        random_chance(chance(), fault_rate) ? (fault_t)random_below(chance(), FAULTS) : FAULT_NONE;
    transfer->can_pause = fill_needs_pauses(fill) || random_chance(chance(), 500);
    fill_sent(fill, schedule_now_ms());
    transfer->sent = schedule_moment();
    if (transfer->fault == FAULT_CONNECT)
        then(transfer, random_between(chance(), 0, 30000), on_no_answer);
    else if (transfer->fault == FAULT_TIMEOUT)
        then(transfer, 30000000, on_no_answer);
    else /* the origin is a place of its own, and needs no thread of the node */
        schedule_for_node(NULL, random_between(chance(), 0, 20000), run_step, step_new(transfer, at_origin));
}

static void begin(transfer_t *transfer)
{
    http_field_t conditions[2];
    transfer->begun = true;
    transfer->offset = 0;
    if (fill_conditions(transfer->fill, conditions) > 0)
        note_count(NOTE_BASES);
    send(transfer, world.fault_rate);
}

/* Where the rest ends that is asked for, in the first answer; 0: with that. */
static uint64_t end_of_rest(const transfer_t *transfer)
{
    http_field_t conditions[2];
    unsigned long long first, last;
    MUST(fill_conditions(transfer->fill, conditions) == 2);
    int numbers = sscanf(conditions[0].value.data, "bytes=%llu-%llu", &first, &last);
    MUST(numbers >= 1 && first == transfer->answer->first + transfer->offset);
    return numbers == 1 ? 0 : last + 1 - transfer->answer->first;
}

/* What is there may have changed meanwhile, and what breaks off often does so again. */
static void ask_on(transfer_t *transfer)
{
    note_count(NOTE_ASKED_ON);
    referee_asks_on(transfer);
    transfer->rests++;
    transfer->rest = NULL;
    transfer->rest_at = transfer->offset;
    transfer->rest_end = end_of_rest(transfer);
    if (random_chance(chance(), 200))
        origin_change(transfer->answer->url, random_chance(chance(), 700), random_chance(chance(), 500));
    else if (random_chance(chance(), 100))
        origin_forbid(transfer->answer->url);
    send(transfer, world.fault_rate < 400 ? 400 : world.fault_rate);
}

static void handle_events(void *context)
{
    transfer_t *transfer = context;
    transfer->queued = false;
    unsigned events = transfer->events;
    transfer->events = 0;
    if (transfer->fill == NULL)
        return;
    fill_action_t action = events ? fill_notified(transfer->fill, events) : FILL_GO_ON;
    if (action == FILL_STOP) {
        note_count(NOTE_ABANDONED);
        finish(transfer);
        return;
    }
    if ((events & FILLER_ABANDONED) && transfer->begun && object_unread(fill_object(transfer->fill)))
        note_count(transfer->for_piece ? NOTE_PIECES_STORED_UNREAD : NOTE_FINISHED_UNREAD);
    if (!transfer->begun)
        begin(transfer);
    else if (action == FILL_RESUME)
        resume(transfer);
}
