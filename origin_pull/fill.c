#include "origin_pull/fill_private.h"

#include "edge/http/conditional.h"
#include "edge/http/url.h"
#include "edge/http/vary.h"

#include <inttypes.h>

/* So long may a Location be to have what it names forgotten. */
enum { NAMED_MAX = 8192 };

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

static bool is_get(const fill_t *fill)
{
    return text_equal(fill->method, TEXT("GET"));
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
    if (fill_is_for_piece(fill))
        snprintf(fill->range, sizeof fill->range, "bytes=%" PRIu64 "-%" PRIu64, fill->piece.first,
                 fill->piece.end - 1);
    fill->on_end = request->on_end;
    fill->on_end_context = request->on_end_context;
    fill->on_over = request->on_over;
    fill->on_over_context = request->on_over_context;
    fill->worth_bytes = request->worth_bytes;
    fill->target = request->target.data != NULL ? copy_text(&at, request->target) : fill->key.target;
    fill->key_target = request->key_target;
    fill->key_context = request->key_context;
    return fill;
}

static void drop_base(fill_t *fill)
{
    if (fill->base != NULL)
        object_unref(&fill->base);
}

static void drop_stored(fill_t *fill)
{
    drop_base(fill);
    if (fill->stale != NULL)
        object_unref(&fill->stale);
}

void fill_free(fill_t **pointer)
{
    fill_t *fill = *pointer;
    *pointer = NULL;
    MUST_BE(fill, FILL_MAGIC);
    MUST(fill->ended);
    drop_stored(fill);
    object_unref(&fill->object);
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
    return fill->needs_pauses || !is_get(fill);
}

size_t fill_conditions(const fill_t *fill, http_field_t conditions[2])
{
    size_t count = 0;
    if (fill->base == NULL)
        return 0;
    const head_t *head = object_head(fill->base);
    if (fill_is_for_piece(fill)) {
        conditions[count++] = (http_field_t){TEXT("range"), text_of(fill->range)};
        conditions[count++] = (http_field_t){TEXT("if-range"), head->etag};
        return count;
    }
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
    if (fill->kept || stale_answers || !object_unread(fill->object))
        return 0;
    uint64_t taken = object_taken(fill->object), left = fill->received - taken;
    bool on_its_way = fill->given_up && fill->received != (uint64_t)fill->content_length;
    return (taken < fill->received ? left : 0) + (on_its_way ? FILL_GIVEN_UP_BYTES : 0);
}

void fill_end(fill_t *fill)
{
    MUST(fill->on_end == NULL);
    fill->ended = true;
    if (fill->on_over != NULL)
        fill->on_over(fill->on_over_context, wasted_bytes(fill));
    drop_stored(fill);
}

/* An unsafe method invalidated its key after it began. An object that was not to be found then (private, or
 * in the home of a variant not yet known) must not come into the index by a later step. */
bool fill_is_overtaken(const fill_t *fill)
{
    return memory_invalidated_since(fill->memory, &fill->key, fill->invalidations);
}

/* It is complete. */
static void keep(fill_t *fill)
{
    if (fill_is_overtaken(fill))
        fill_withdraw(fill, 0);
    if (fill->indexed)
        fill->kept = memory_store(fill->memory, fill->object);
}

/* Before what it was to bring can no longer be found: who comes then knows already. What the origin answers
 * to one client it may answer for that client's fields (User-Agent, Accept and the like): no other is kept
 * from asking by that. */
static void note_trouble(fill_t *fill, bool answered)
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
    note_trouble(fill, false);
    fill_withdraw(fill, 0);
    fill_tell_end(fill);
    object_fail(fill->object, failure);
    fill_end(fill);
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
    object_complete(fill->object);
    keep(fill);
    fill_end(fill);
}

/* --- The head --- */

static bool request_has(const fill_t *fill, text_t name)
{
    return http_fields_find(fill->fields, name) != NULL;
}

http_exchange_t fill_exchange(const fill_t *fill, const fill_answer_t *answer, int64_t now_ms)
{
    return (http_exchange_t){request_has(fill, TEXT("authorization")),
                             answer->status,
                             answer->fields,
                             fill->request_time_ms,
                             now_ms,
                             &fill->policy};
}

static bool refuses_credentials(int status)
{
    return status == 401 || status == 403 || status == 407;
}

bool fill_is_of_client(const fill_t *fill, int status)
{
    return request_has(fill, TEXT("authorization")) ||
           (fill->without_credentials && refuses_credentials(status));
}

/* Does it forbid others to wait for each other's answers? */
static bool is_marked(const fill_t *fill, const http_storing_t *storing, int status)
{
    if (storing->shareable || storing->no_cache)
        return false;
    bool is_for_credentials =
        refuses_credentials(status) ||
        (storing->why != NULL && text_equal(text_of(storing->why), TEXT("authorization")));
    return !(is_for_credentials && fill_is_of_client(fill, status));
}

/* Puts a private object into the index after all, if nothing is growing there. */
static void index_private(fill_t *fill)
{
    home_t *home = memory_home(fill->memory, &fill->key, NULL);
    fill->indexed = memory_begin(fill->memory, home, fill->object, NULL);
    home_unref(&home);
}

/* Where the object belongs in the index, now that its head is known. */
static void place(fill_t *fill, int status, const http_storing_t *storing, const http_vary_t *vary,
                  int64_t now_ms)
{
    if (!storing->storable) {
        fill_withdraw(fill, is_marked(fill, storing, status) ? now_ms + FILL_BYPASS_MS : 0);
        return;
    }
    if (fill_is_overtaken(fill)) {
        fill_withdraw(fill, 0);
        return;
    }
    if (!fill->indexed)
        index_private(fill);
    if (!fill->indexed)
        return;
    bool is_variant = vary->kind == HTTP_VARY_NAMES || memory_has_variants(fill->memory, &fill->key);
    if (is_variant && !memory_to_variant(fill->memory, fill->object, vary, fill->fields))
        fill_withdraw(fill, 0);
}

/* Stored or not, who joined is answered with it only when it would have been selected by the same fields. */
static void select_variant(fill_t *fill, const http_vary_t *vary)
{
    if (vary->kind != HTTP_VARY_NAMES || object_variants(fill->object) != NULL)
        return;
    variants_t *node = variants_new(NULL, vary, object_version(fill->object));
    size_t length;
    char *selector = variants_select(node, fill->fields, &length);
    object_set_variant(fill->object, &node, &selector, length);
}

/* The stored response is what upstream still has: its body, with a head of now. */
static fill_action_t freshen(fill_t *fill, const fill_answer_t *answer, int64_t now_ms)
{
    const http_exchange_t exchange = fill_exchange(fill, answer, now_ms);
    head_t *head = head_freshened(object_head(fill->base), &exchange);
    http_vary_names_t names;
    http_vary_t vary = http_vary(head->fields, &names);
    place(fill, answer->status, &head->storing, &vary, now_ms);
    if (!head->storing.storable && !fill_is_of_client(fill, answer->status))
        memory_forget(fill->memory, fill->base);
    select_variant(fill, &vary);
    unsigned flags =
        (head->storing.shareable ? OBJECT_SHAREABLE : 0u) | (fill->indexed ? OBJECT_ADMITTED : 0u);
    fill_tell_end(fill);
    object_adopt(fill->object, &head, flags, fill->base);
    keep(fill);
    fill_end(fill);
    return FILL_GO_ON;
}

/* A 304 is only good for what was asked about; asked without conditions it is nonsense. */
static fill_action_t not_modified(fill_t *fill, const fill_answer_t *answer, int64_t now_ms)
{
    if (fill->base == NULL) {
        fill_fail(fill, (object_failure_t){502, "http_protocol_error"});
        return FILL_STOP;
    }
    const head_t *stored = object_head(fill->base);
    if (http_304_selects(answer->fields, stored->etag, stored->last_modified))
        return object_sparse(fill->base) ? fill_freshen_sparse(fill, answer, now_ms)
                                         : freshen(fill, answer, now_ms);
    drop_base(fill);
    return FILL_AGAIN;
}

static int64_t content_length_of(const fill_answer_t *answer)
{
    const http_field_t *field = http_fields_find(answer->fields, TEXT("content-length"));
    if (answer->status == 204 || answer->status == 304)
        return 0;
    if (field == NULL || field->value.length == 0 || field->value.length > 18)
        return -1;
    int64_t length = 0;
    for (size_t i = 0; i < field->value.length; i++) {
        char digit = field->value.data[i];
        if (digit < '0' || digit > '9')
            return -1;
        length = length * 10 + (digit - '0');
    }
    return length;
}

/* May it be stored and shared, by its fields and by what this tier takes? */
static http_storing_t judge(fill_t *fill, const fill_answer_t *answer, const http_vary_t *vary,
                            int64_t now_ms)
{
    if (!is_get(fill))
        return (http_storing_t){.storable = false};
    const http_exchange_t exchange = fill_exchange(fill, answer, now_ms);
    http_storing_t storing = http_storing(&exchange);
    if (vary->kind == HTTP_VARY_ANY) {
        storing.storable = storing.shareable = false;
        storing.why = "vary";
    }
    const char *against = NULL;
    if (answer->close_delimited && fill->content_length < 0)
        against = "close-delimited";
    else if (fill->content_length > (int64_t)memory_max_object(fill->memory))
        against = "too-large";
    if (storing.storable && against != NULL) {
        fill->large = fill->content_length > 0;
        storing.storable = false;
        storing.why = against;
    }
    return storing;
}

static bool is_safe(const fill_t *fill)
{
    return is_get(fill) || text_equal(fill->method, TEXT("HEAD")) ||
           text_equal(fill->method, TEXT("OPTIONS"));
}

/* What the answer names beside what was asked for: of the same origin alone, or anybody could have anything
 * forgotten. */
static void invalidate_named(fill_t *fill, http_fields_t fields, text_t name)
{
    char buffer[URL_NORMAL_MAX(NAMED_MAX)], room[URL_NORMAL_MAX(NAMED_MAX)];
    text_t target;
    const http_field_t *field = http_fields_find(fields, name);
    if (field == NULL || field->value.length > NAMED_MAX ||
        !http_reference_target(&fill->origin, fill->target, field->value, buffer, sizeof buffer, &target))
        return;
    if (fill->key_target != NULL)
        target = fill->key_target(fill->key_context, target, room);
    cache_key_t key = cache_key(fill->key.site, target);
    memory_invalidate(fill->memory, &key);
}

/* RFC 9111 section 4.4: before the client sees the answer, what is stored is no longer used. */
static void invalidate(fill_t *fill, const fill_answer_t *answer)
{
    if (is_safe(fill) || answer->status < 200 || answer->status >= 400)
        return;
    memory_invalidate(fill->memory, &fill->key);
    invalidate_named(fill, answer->fields, TEXT("location"));
    invalidate_named(fill, answer->fields, TEXT("content-location"));
}

/* It was not modified no longer. When its successor may not be stored it goes at once, else when that is
 * complete; an origin in trouble says nothing about it, nor does what is of one client alone. */
static void leave_base(fill_t *fill, const http_storing_t *storing, int status)
{
    object_t *stored = fill->base != NULL ? fill->base : fill->stale;
    bool goes = stored != NULL && !storing->storable && status < 500 && !fill_is_of_client(fill, status);
    if (goes)
        memory_forget(fill->memory, stored);
    if (goes && fill->stale != NULL)
        object_unref(&fill->stale);
    drop_base(fill);
}

/* RFC 5861 section 4: what is stored may answer instead, and so stays. */
static void judge_error(fill_t *fill, http_storing_t *storing, int status)
{
    if (!is_get(fill) || !http_is_error(status))
        return;
    note_trouble(fill, true);
    if (fill->told_ms >= fill->stale_until_ms)
        return;
    if (storing->storable)
        storing->why = "stale-if-error";
    storing->storable = false;
}

const object_failure_t fill_no_memory = {503, "memory"};

/* Memory for the whole body when it is to be stored; else for a beginning, with which it streams through as
 * readers take it. What cannot wait for them needs all of it, too. False: not even a beginning. */
bool fill_reserve(fill_t *fill, http_storing_t *storing, size_t *bytes)
{
    bool fits = fill->content_length <= (int64_t)WINDOW_BLOCKS * BLOCK_BYTES;
    bool whole = storing->storable || (!fill->can_pause && fits);
    *bytes = body_cost(fill->content_length, whole);
    if (memory_reserve(fill->memory, *bytes))
        return true;
    if (storing->storable)
        storing->why = "memory";
    storing->storable = false;
    *bytes = body_cost(fill->content_length, false);
    return memory_reserve(fill->memory, *bytes);
}

/* It would have to be paused, and cannot be. */
bool fill_must_ask_again(fill_t *fill, size_t reserved)
{
    bool fits = fill->content_length >= 0 && reserved >= body_cost(fill->content_length, true);
    if (!fill->windowed || fits || fill->can_pause || !is_get(fill) || fill->needs_pauses)
        return false;
    memory_unpromise(memory_account(fill->memory), reserved);
    fill->needs_pauses = true;
    return true;
}

void fill_open(fill_t *fill, head_t **head, size_t reserved)
{
    const http_storing_t *storing = &(*head)->storing;
    unsigned flags = (storing->shareable ? OBJECT_SHAREABLE : 0u) | (fill->indexed ? OBJECT_ADMITTED : 0u) |
                     (fill->windowed ? OBJECT_WINDOWED : 0u);
    fill->has_head = true;
    if (fill->content_length == 0)
        fill_tell_end(fill);
    object_begin(fill->object, head, flags);
    object_reserve(fill->object, reserved);
}

/* What is asked of it in parts was of another version, as far as is known: an origin in trouble says nothing
 * about it, nor does what went upstream for one request alone, or is of one client alone. */
static void leave_sparse(fill_t *fill, const http_storing_t *storing, int status)
{
    bool says = storing->storable || !fill_is_of_client(fill, status);
    if (is_get(fill) && !fill->ranged && !fill->large && status < 500 && says)
        pieces_forget_sparse(fill->memory, &fill->key, (text_t){NULL, 0});
}

/* When nobody reads it: ends it, so that nobody joins what is about to be cancelled. */
static bool give_up(fill_t *fill)
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
static bool is_of_no_use(const fill_t *fill)
{
    bool is_short = fill->content_length >= 0 && fill->content_length <= FILL_GIVEN_UP_BYTES;
    return fill->background && !fill->indexed && !is_short;
}

static fill_action_t begin(fill_t *fill, const fill_answer_t *answer, int64_t now_ms)
{
    http_vary_names_t names;
    http_vary_t vary = http_vary(answer->fields, &names);
    fill->content_length = content_length_of(answer);
    fill->can_pause = answer->can_pause;
    http_storing_t storing = judge(fill, answer, &vary, now_ms);
    judge_error(fill, &storing, answer->status);
    size_t reserved;
    if (!fill_reserve(fill, &storing, &reserved)) {
        invalidate(fill, answer);
        fill_fail(fill, fill_no_memory);
        return FILL_STOP;
    }
    if (fill->large && fill->indexed)
        fill_keep_sparse(fill, answer, &storing, &vary, now_ms);
    else
        place(fill, answer->status, &storing, &vary, now_ms);
    leave_base(fill, &storing, answer->status);
    leave_sparse(fill, &storing, answer->status);
    invalidate(fill, answer);
    fill->windowed = !storing.storable;
    if (is_of_no_use(fill) && give_up(fill)) {
        memory_unpromise(memory_account(fill->memory), reserved);
        return FILL_STOP;
    }
    if (fill_must_ask_again(fill, reserved))
        return FILL_AGAIN;
    select_variant(fill, &vary);
    head_t *head = head_new(memory_account(fill->memory), answer->status, answer->fields,
                            fill->content_length, &storing, now_ms, &fill->policy);
    fill_open(fill, &head, reserved);
    return FILL_GO_ON;
}

fill_action_t fill_head(fill_t *fill, const fill_answer_t *answer, int64_t now_ms)
{
    MUST_BE(fill, FILL_MAGIC);
    MUST(!fill->ended && !fill->has_head);
    fill->told_ms = now_ms;
    if (fill_is_for_piece(fill))
        return fill_begin_piece(fill, answer, now_ms);
    if (answer->status == 304 && is_get(fill))
        return not_modified(fill, answer, now_ms);
    return begin(fill, answer, now_ms);
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

fill_action_t fill_bytes(fill_t *fill, const char *bytes, size_t length, size_t *taken)
{
    MUST_BE(fill, FILL_MAGIC);
    *taken = length;
    if (fill->ended || length == 0)
        return FILL_GO_ON;
    if (fill->content_length >= 0 && fill->received + length > (uint64_t)fill->content_length) {
        fill_fail(fill, (object_failure_t){502, "http_protocol_error"});
        return FILL_STOP;
    }
    size_t room = make_room(fill, length);
    if (is_of_no_use(fill) && give_up(fill))
        return FILL_STOP;
    if (room < length && !fill->can_pause) {
        fill_fail(fill, fill_no_memory);
        return FILL_STOP;
    }
    *taken = room;
    fill->received += *taken;
    if (fill->content_length >= 0 && fill->received == (uint64_t)fill->content_length)
        fill_tell_end(fill);
    if (*taken > 0)
        object_append(fill->object, bytes, *taken);
    return *taken == length ? FILL_GO_ON : FILL_PAUSE;
}

/* --- Readers --- */

static bool worth_finishing(const fill_t *fill)
{
    if (fill_is_for_piece(fill))
        return fill->indexed;
    if (fill->background)
        return !is_of_no_use(fill);
    if (!fill->indexed || !fill->has_head || fill->content_length < 0)
        return false;
    return (uint64_t)fill->content_length - fill->received <= FILL_FINISH_BYTES + fill->worth_bytes;
}

fill_action_t fill_notified(fill_t *fill, unsigned events)
{
    MUST_BE(fill, FILL_MAGIC);
    if (fill->ended)
        return FILL_GO_ON;
    if ((events & FILLER_ABANDONED) && !worth_finishing(fill) && give_up(fill))
        return FILL_STOP;
    return events & FILLER_ROOM ? FILL_RESUME : FILL_GO_ON;
}

bool fill_is_starved(const fill_t *fill)
{
    return fill->starved && !fill->ended;
}

unsigned fill_stalled(fill_t *fill)
{
    if (fill->ended || !fill->windowed)
        return 0;
    unsigned cut = object_cut_laggards(fill->object);
    if (cut == 0 && fill->starved)
        fill_fail(fill, fill_no_memory);
    return cut;
}
