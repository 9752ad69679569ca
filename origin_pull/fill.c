#include "origin_pull/fill_private.h"

static text_t copy_text(char **at, text_t text)
{
    if (text.data == NULL)
        return text;
    text_t copy = {*at, text.length};
    memcpy(*at, text.data, text.length);
    *at += text.length;
    return copy;
}

static size_t bytes_of(const fill_request_t *request)
{
    size_t bytes = request->method.length + request->key.target.length + request->target.length +
                   request->origin.authority.length + request->body.length;
    for (size_t i = 0; i < request->fields.count; i++)
        bytes += request->fields.at[i].name.length + request->fields.at[i].value.length;
    return bytes;
}

static bool is_credentials(text_t name)
{
    return text_equal(name, TEXT("authorization"));
}

/* What nobody waits for is asked for with nobody's credentials. */
static void copy_fields(fill_t *fill, http_field_t *fields, const fill_request_t *request, char **at)
{
    size_t count = 0;
    for (size_t i = 0; i < request->fields.count; i++) {
        const http_field_t *field = &request->fields.at[i];
        if (request->background && is_credentials(field->name)) {
            fill->without_credentials = true;
            continue;
        }
        fields[count].name = copy_text(at, field->name);
        fields[count++].value = copy_text(at, field->value);
    }
    fill->fields = (http_fields_t){fields, count};
}

fill_t *fill_new(const fill_request_t *request)
{
    size_t fields_size = request->fields.count * sizeof(http_field_t);
    fill_t *fill = must_calloc(1, sizeof *fill + fields_size + bytes_of(request));
    fill->magic = FILL_MAGIC;
    fill->memory = request->memory;
    fill->object = request->object;
    object_ref(fill->object);
    fill->base = request->base;
    fill->stale = request->stale;
    fill->stale_until_ms = request->stale_until_ms;
    fill->piece = request->piece;
    MUST(!(request->ranged && (request->indexed || request->base != NULL)));
    MUST(!fill_is_for_piece(fill) || (fill->base != NULL && object_sparse(fill->base)));
    fill->ranged = request->ranged;
    fill->indexed = request->indexed;
    fill->background = request->background;
    fill->ahead = request->ahead;
    fill->invalidations = memory_invalidations(fill->memory);
    http_field_t *fields = (http_field_t *)(void *)fill->bytes;
    char *at = fill->bytes + fields_size;
    copy_fields(fill, fields, request, &at);
    fill->key = request->key;
    fill->site = request->site;
    if (request->policy != NULL)
        fill->policy = *request->policy;
    fill->key.target = copy_text(&at, request->key.target);
    fill->origin = (http_origin_t){request->origin.https, copy_text(&at, request->origin.authority)};
    fill->method = copy_text(&at, request->method);
    fill->body = copy_text(&at, request->body);
    fill->content_length = fill_is_for_piece(fill) ? (int64_t)(fill->piece.end - fill->piece.first) : -1;
    fill->run_end = fill->piece.end;
    fill->on_end = request->on_end;
    fill->on_end_context = request->on_end_context;
    fill->on_over = request->on_over;
    fill->on_over_context = request->on_over_context;
    fill->worth_bytes = request->worth_bytes;
    fill->target = request->target.data != NULL ? copy_text(&at, request->target) : fill->key.target;
    fill->key_target = request->key_target;
    fill->key_context = request->key_context;
    if (fill_is_for_piece(fill)) {
        fill_claim_run(fill, fill->base, fill->piece, request->run_end);
        fill_write_range(fill);
    }
    return fill;
}

void fill_drop_base(fill_t *fill)
{
    if (fill->base != NULL)
        object_unref(&fill->base);
}

static void drop_stored(fill_t *fill)
{
    fill_drop_base(fill);
    if (fill->stale != NULL)
        object_unref(&fill->stale);
    if (fill->whole != NULL)
        object_unref(&fill->whole);
}

void fill_free(fill_t **pointer)
{
    fill_t *fill = *pointer;
    *pointer = NULL;
    MUST_BE(fill, FILL_MAGIC);
    MUST(fill->ended);
    drop_stored(fill);
    object_unref(&fill->object);
    free(fill->run);
    fill->magic = 0;
    free(fill);
}

unsigned fill_site(const fill_t *fill)
{
    return fill->site;
}

const http_policy_t *fill_policy(const fill_t *fill)
{
    return &fill->policy;
}

text_t fill_method(const fill_t *fill)
{
    return fill->method;
}

text_t fill_target(const fill_t *fill)
{
    return fill->target;
}

http_fields_t fill_fields(const fill_t *fill)
{
    return fill->fields;
}

text_t fill_body(const fill_t *fill)
{
    return fill->body;
}

bool fill_is_ranged(const fill_t *fill)
{
    return fill->ranged;
}

object_t *fill_object(const fill_t *fill)
{
    return fill->object;
}

bool fill_ended(const fill_t *fill)
{
    return fill->ended;
}

/* A request that cannot be sent twice has to go where it may be paused at once. */
bool fill_needs_pauses(const fill_t *fill)
{
    return fill->needs_pauses || !fill_is_get(fill);
}

size_t fill_conditions(const fill_t *fill, http_field_t conditions[2])
{
    size_t count = 0;
    if (fill->resuming || fill_is_for_piece(fill)) {
        conditions[count++] = (http_field_t){TEXT("range"), text_of(fill->range)};
        conditions[count++] = (http_field_t){TEXT("if-range"), fill_version(fill)->etag};
        return count;
    }
    if (fill->base == NULL)
        return 0;
    const head_t *head = object_head(fill->base);
    if (head->etag.data != NULL)
        conditions[count++] = (http_field_t){TEXT("if-none-match"), head->etag};
    if (head->last_modified.data != NULL)
        conditions[count++] = (http_field_t){TEXT("if-modified-since"), head->last_modified};
    return count;
}

void fill_sent(fill_t *fill, int64_t now_ms)
{
    fill->request_time_ms = fill->told_ms = now_ms;
}

/* --- Ends --- */

bool fill_withdraw(fill_t *fill, int64_t bypass_until_ms)
{
    bool was = fill->indexed && memory_withdraw(fill->memory, fill->object, bypass_until_ms);
    fill->indexed = false;
    return was;
}

/* Readers need no more than the last byte to be done: it is told before they have that. */
void fill_tell_end(fill_t *fill)
{
    if (fill->on_end != NULL)
        fill->on_end(fill->on_end_context);
    fill->on_end = NULL;
}

/* What has come and was taken by nobody, unless somebody has yet to take it. That what is stale was taken
 * instead is the origin's doing. */
static uint64_t wasted_bytes(const fill_t *fill)
{
    bool stale_answers = fill->in_vain && fill->told_ms < fill->stale_until_ms;
    uint64_t behind =
        fill->left_rest ? FILL_GIVEN_UP_BYTES : 0; /* the first piece, which was all that is wanted */
    if (fill->kept || stale_answers || !object_unread(fill->object))
        return behind;
    uint64_t taken = object_taken(fill->object), left = fill->received - taken;
    bool on_its_way = fill->given_up && fill->received != (uint64_t)fill->content_length;
    return behind + (taken < fill->received ? left : 0) + (on_its_way ? FILL_GIVEN_UP_BYTES : 0);
}

void fill_end(fill_t *fill)
{
    MUST(fill->on_end == NULL);
    fill->ended = true;
    fill_drop_run(fill);
    if (fill->on_over != NULL)
        fill->on_over(fill->on_over_context, wasted_bytes(fill));
    drop_stored(fill);
}

/* An unsafe method invalidated its key after it began. An object that was not to be found then (private, or
 * in the home of a variant not yet known) must not come into the index by a later step. The pieces of a split
 * body are found by nobody but those who read it already: its head was forgotten. */
bool fill_is_overtaken(const fill_t *fill)
{
    return memory_invalidated_since(fill->memory, &fill->key, fill->invalidations);
}

/* It is complete. */
void fill_keep(fill_t *fill)
{
    if (!fill->split && fill_is_overtaken(fill))
        fill_withdraw(fill, 0);
    if (fill->indexed)
        fill->kept = memory_store(fill->memory, fill->object);
}

/* Before what it was to bring can no longer be found: who comes then knows already. What the origin answers
 * to one client it may answer for that client's fields (User-Agent, Accept and the like): no other is kept
 * from asking by that. */
void fill_note_trouble(fill_t *fill, bool answered)
{
    if (fill->stale == NULL || fill->told_ms == 0 || fill->in_vain)
        return;
    fill->in_vain = true;
    if (!answered || fill->background)
        object_note_trouble(fill->stale, fill->told_ms, answered);
}

bool fill_in_vain(const fill_t *fill)
{
    return fill->in_vain;
}

void fill_broken(fill_t *fill, object_failure_t failure, int64_t now_ms)
{
    MUST_BE(fill, FILL_MAGIC);
    fill->told_ms = now_ms;
    fill_fail(fill, failure);
}

void fill_fail(fill_t *fill, object_failure_t failure)
{
    MUST_BE(fill, FILL_MAGIC);
    if (fill->ended)
        return;
    fill_note_trouble(fill, false);
    fill_withdraw(fill, 0);
    fill_tell_end(fill);
    object_fail(fill->object, failure);
    fill_end(fill);
}

void fill_complete_object(fill_t *fill)
{
    size_t lacking = object_complete_lacks(fill->object);
    if (lacking > 0 && memory_reserve(fill->memory, lacking))
        object_reserve(fill->object, lacking);
    object_complete(fill->object);
    fill_keep(fill);
}

void fill_complete(fill_t *fill)
{
    MUST_BE(fill, FILL_MAGIC);
    if (fill->ended)
        return;
    if (!fill->has_head) {
        fill_fail(fill, (object_failure_t){502, "http_response_incomplete"});
        return;
    }
    if (fill->content_length >= 0 && fill->received != (uint64_t)fill->content_length) {
        fill_fail(fill, (object_failure_t){502, "http_response_incomplete"});
        return;
    }
    fill_tell_end(fill);
    fill_complete_object(fill);
    fill_end(fill);
}

/* When nobody reads it: ends it, so that nobody joins what is about to be cancelled. */
bool fill_give_up(fill_t *fill)
{
    if (!object_fail_if_unread(fill->object, (object_failure_t){503, "abandoned"}))
        return false;
    fill->given_up = true;
    fill_withdraw(fill, 0);
    fill_tell_end(fill);
    fill_end(fill);
    return true;
}

/* Begun for nobody but the cache, and not for that either. What is short is read all the same: its connection
 * can be used again then. */
bool fill_is_of_no_use(const fill_t *fill)
{
    bool is_short = fill->content_length >= 0 && fill->content_length <= FILL_GIVEN_UP_BYTES;
    return fill->background && !fill->indexed && !is_short;
}

/* --- The body --- */

/* It has become too large to be kept: from now on it streams through a window and will not be stored. */
static void stop_keeping(fill_t *fill)
{
    fill_withdraw(fill, 0);
    fill->windowed = true;
    object_make_windowed(fill->object);
}

/* How many bytes of these may be appended now: by the window, and by what is reserved or can be. */
static size_t find_room(fill_t *fill, size_t length)
{
    size_t lacking, room = fill->windowed ? object_room(fill->object, length) : length;
    size_t fits = object_fits(fill->object, room, &lacking);
    while (lacking > 0 && memory_reserve(fill->memory, lacking)) {
        object_reserve(fill->object, lacking);
        fits = object_fits(fill->object, room, &lacking);
    }
    fill->starved = lacking > 0;
    return fits;
}

/* What finds no memory is not kept, and waits; what cannot wait cuts off who holds it up. */
static size_t make_room(fill_t *fill, size_t length)
{
    if (!fill->windowed && fill->received + length > memory_max_object(fill->memory))
        stop_keeping(fill);
    size_t room = find_room(fill, length);
    if (room < length && !fill->windowed) {
        stop_keeping(fill);
        room = find_room(fill, length);
    }
    if (room < length && !fill->can_pause && object_cut_laggards(fill->object) > 0)
        room = find_room(fill, length);
    return room;
}

fill_action_t fill_take_bytes(fill_t *fill, const char *bytes, size_t length, size_t *taken)
{
    if (fill->content_length >= 0 && fill->received + length > (uint64_t)fill->content_length) {
        fill_fail(fill, (object_failure_t){502, "http_protocol_error"});
        return FILL_STOP;
    }
    size_t room = make_room(fill, length);
    if (fill_is_of_no_use(fill) && fill_give_up(fill))
        return FILL_STOP;
    if (room < length && !fill->can_pause) {
        fill_fail(fill, fill_no_memory);
        return FILL_STOP;
    }
    *taken = room;
    fill->received += *taken;
    bool last = fill->run_at == fill->run_count;
    if (last && fill->content_length >= 0 && fill->received == (uint64_t)fill->content_length)
        fill_tell_end(fill);
    if (*taken > 0)
        object_append(fill->object, bytes, *taken);
    return *taken == length ? FILL_GO_ON : FILL_PAUSE;
}

fill_action_t fill_bytes(fill_t *fill, const char *bytes, size_t length, size_t *taken)
{
    MUST_BE(fill, FILL_MAGIC);
    *taken = length;
    if (fill->ended || length == 0)
        return FILL_GO_ON;
    MUST(!fill->resuming);
    if (fill_is_for_piece(fill))
        return fill_take_pieces(fill, bytes, length, taken);
    return fill_take_bytes(fill, bytes, length, taken);
}

/* --- Readers --- */

bool fill_worth_finishing(const fill_t *fill)
{
    if (fill_is_for_piece(fill))
        return fill->indexed;
    if (fill->background)
        return !fill_is_of_no_use(fill);
    if (!fill->indexed || !fill->has_head || fill->content_length < 0)
        return false;
    return (uint64_t)fill->content_length - fill->received <= FILL_FINISH_BYTES + fill->worth_bytes;
}

fill_action_t fill_notified(fill_t *fill, unsigned events)
{
    MUST_BE(fill, FILL_MAGIC);
    if (fill->ended)
        return FILL_GO_ON;
    if (events & FILLER_ABANDONED)
        fill->abandoned = object_unread(fill->object);
    if ((events & FILLER_ABANDONED) && !fill_worth_finishing(fill) && fill_give_up(fill))
        return FILL_STOP;
    return events & FILLER_ROOM ? FILL_RESUME : FILL_GO_ON;
}

bool fill_is_starved(const fill_t *fill)
{
    return fill->starved && !fill->ended;
}

bool fill_awaits_below(const fill_t *fill)
{
    return fill_is_starved(fill) && fill->waits_below;
}

unsigned fill_stalled(fill_t *fill)
{
    if (!fill->ended && fill->run_at < fill->run_count && fill->starved) {
        /* What the tier below does not take is not waited for any longer; nor is memory. */
        fill->forgoes_below = fill->split && fill->waits_below;
        fill->leaves_rest |= !fill->forgoes_below;
        if (!fill->forgoes_below)
            fill_drop_run(fill);
    }
    if (fill->ended || !fill->windowed)
        return 0;
    unsigned cut = object_cut_laggards(fill->object);
    if (cut == 0 && fill->starved)
        fill_fail(fill, fill_no_memory);
    return cut;
}
