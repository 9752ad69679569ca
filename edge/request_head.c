/* A request that has waited: the head has arrived, or the fill ended without one. It is served, looks again,
 * is answered with what is stored and stale, or fails. No hit comes here. */
#include "edge/exchange.h"

enum { RANGE_SKIP_BYTES = 1 << 20 };

void request_answer_failure(exchange_t *exchange, const object_t *object)
{
    object_failure_t failure = object_failure(object);
    respond_failure(exchange, failure,
                    failure.status == 504 ? "The origin did not answer in time.\n"
                                          : "The origin could not be reached.\n");
}

static void note_origin(exchange_t *exchange)
{
    const object_t *object = exchange->reader->object;
    exchange->origin_status = object_revalidated(object) ? 304 : object_head(object)->status;
    if (object_revalidated(object))
        exchange->outcome = OUTCOME_REVALIDATED;
}

/* A range of what is not stored and streams through a window: to come to it, all before it would be fetched
 * and dropped. For several, of more than that, the window would have to move back and forth. */
static bool is_far_range(exchange_t *exchange, http_fields_t fields)
{
    object_t *object = exchange->reader->object;
    http_ranges_t ranges;
    if (exchange->is_ranged || object_admitted(object) || object_end(object) != OBJECT_OPEN)
        return false;
    http_selection_t selection = respond_select(exchange, fields, &ranges);
    return (selection == HTTP_PART && ranges.at[0].first > RANGE_SKIP_BYTES) ||
           (selection == HTTP_PARTS && exchange->end > RANGE_SKIP_BYTES);
}

/* Of what comes as one row, and of which upstream may take ranges all the same: nothing says that it does
 * not, but the version has no validator by which parts of it could be kept. */
static bool may_be_asked_for_apart(const exchange_t *exchange)
{
    const head_t *head = object_head(exchange->reader->object);
    return !exchange->is_ranged && !head_takes_ranges(head) && !head_denies_ranges(head);
}

static bool comes_much_later(exchange_t *exchange, const walk_t *walk)
{
    object_t *sparse = exchange->reader->object;
    http_ranges_t ranges;
    http_selection_t selection = respond_select(exchange, walk->fields, &ranges);
    return (selection == HTTP_PART || selection == HTTP_PARTS) &&
           walk_is_far(walk, sparse, ranges.at[0].first, RANGE_SKIP_BYTES);
}

/* The origin is asked for what the request's Range says, for this request alone. */
static void ask_for_range(exchange_t *exchange, const walk_t *walk)
{
    exchange->is_ranged = true;
    object_leave(exchange->reader);
    walk_step_t step = walk_private(walk, exchange->reader, exchange->forward);
    request_take_step(exchange, &step, walk->fields);
}

/* Is it kept in pieces, as its fill may have found just now? */
static bool has_pieces(const exchange_t *exchange, const walk_t *walk)
{
    bool stores = walk->control == NULL || !walk->control->no_store;
    if (!stores || !request_may_store(exchange) || exchange->shuns_pieces ||
        exchange->steps >= REQUEST_STEPS_MAX)
        return false;
    memory_view_t view = pieces_look_sparse(walk->memory, &walk->key);
    bool has = view.stored != NULL;
    memory_view_drop(&view);
    return has;
}

void request_take_sparse(exchange_t *exchange, http_fields_t fields)
{
    if (may_be_asked_for_apart(exchange)) {
        walk_t walk = request_walk(exchange, fields, exchange_now_us());
        if (comes_much_later(exchange, &walk)) {
            exchange->forward = exchange->forward == FORWARD_NOT ? FORWARD_PARTIAL : exchange->forward;
            ask_for_range(exchange, &walk);
            return;
        }
    }
    if (exchange->kind != WALK_HIT)
        note_origin(exchange);
    pieces_answer(exchange, fields);
}

static void serve(exchange_t *exchange, const walk_t *walk)
{
    if (is_far_range(exchange, walk->fields)) {
        if (has_pieces(exchange, walk))
            request_begin_again(exchange, false);
        else
            ask_for_range(exchange, walk);
        return;
    }
    if (object_sparse(exchange->reader->object)) {
        request_take_sparse(exchange, walk->fields);
        return;
    }
    note_origin(exchange);
    respond_object(exchange, walk->fields);
}

/* The one who started the fill was refused for what it did before. */
static bool is_of_another(const exchange_t *exchange)
{
    const object_reader_t *reader = exchange->reader;
    return !reader->owner && object_failure(reader->object).status == 429;
}

/* How it failed; status 0, or another: it did not. A head behind which it broke off is as good as none. */
static object_failure_t failure_of(const object_t *object)
{
    const head_t *head = object_head(object);
    bool broken = object_end(object) == OBJECT_FAILED && (head == NULL || !http_is_error(head->status));
    return broken ? object_failure(object) : (object_failure_t){head->status, NULL};
}

/* The node would not ask the origin for this request. */
static bool is_refused_fill(const exchange_t *exchange, object_failure_t failure)
{
    const object_reader_t *reader = exchange->reader;
    return object_head(reader->object) == NULL && failure.status == 429 && reader->owner;
}

/* RFC 5861 section 4: the origin failed, or is not asked, and what is stored may answer instead. */
static bool answer_stale(exchange_t *exchange, const walk_t *walk)
{
    const head_t *head = object_head(exchange->reader->object);
    int status = head != NULL ? head->status : 0; /* the walk leaves the object */
    object_failure_t failure = failure_of(exchange->reader->object);
    walk_step_t step;
    bool failed = http_is_error(failure.status) || is_refused_fill(exchange, failure);
    bool cached = request_may_store(exchange);
    if (!cached || !failed || !walk_on_error(walk, exchange->reader, &step))
        return false;
    exchange->origin_status = status;
    exchange->detail = failure.detail;
    exchange->ttl_ms = step.ttl_ms;
    request_take_hit(exchange, &step, walk->fields);
    return true;
}

bool request_answer_stale(exchange_t *exchange)
{
    http_field_t list[EXCHANGE_FIELDS_MAX];
    http_fields_t fields = exchange_fields(exchange, list);
    walk_t walk = request_walk(exchange, fields, exchange_now_us());
    return answer_stale(exchange, &walk);
}

bool request_may_answer_stale(exchange_t *exchange)
{
    http_field_t list[EXCHANGE_FIELDS_MAX];
    http_fields_t fields = exchange_fields(exchange, list);
    walk_t walk = request_walk(exchange, fields, exchange_now_us());
    return request_may_store(exchange) && walk_may_on_error(&walk);
}

/* The head has arrived, or the fill ended without. */
static void at_head(exchange_t *exchange)
{
    http_field_t list[EXCHANGE_FIELDS_MAX];
    http_fields_t fields = exchange_fields(exchange, list);
    walk_t walk = request_walk(exchange, fields, exchange_now_us());
    if (answer_stale(exchange, &walk))
        return;
    switch (walk_at_head(&walk, exchange->reader)) {
    case HEAD_SERVE:
        serve(exchange, &walk);
        return;
    case HEAD_AGAIN:
        request_begin_again(exchange, false);
        return;
    case HEAD_ALONE:
        request_begin_again(exchange, true);
        return;
    case HEAD_FAILED:
        if (is_of_another(exchange))
            request_begin_again(exchange, false);
        else
            request_answer_failure(exchange, exchange->reader->object);
        return;
    }
}

void request_await_head(exchange_t *exchange)
{
    if (!object_wait_head(exchange->reader))
        at_head(exchange);
}
