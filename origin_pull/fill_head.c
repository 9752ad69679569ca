/* What a response's head means for the cache: where the object belongs, what of what is stored goes, and how
 * the body will be held. */
#include "edge/http/conditional.h"
#include "edge/http/url.h"
#include "edge/http/vary.h"
#include "origin_pull/fill_private.h"

/* So long may a Location be to have what it names forgotten. */
enum { NAMED_MAX = 8192 };

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
    fill_tag(fill, head, object_head(fill->base));
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
    fill_keep(fill);
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
    fill_drop_base(fill);
    return FILL_AGAIN;
}

int64_t fill_length_of(const fill_answer_t *answer)
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
    if (!fill_is_get(fill))
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
    return fill_is_get(fill) || text_equal(fill->method, TEXT("HEAD")) ||
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
    fill_drop_base(fill);
}

/* RFC 5861 section 4: what is stored may answer instead, and so stays. */
static void judge_error(fill_t *fill, http_storing_t *storing, int status)
{
    if (!fill_is_get(fill) || !http_is_error(status))
        return;
    fill_note_trouble(fill, true);
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
    if (!fill->windowed || fits || fill->can_pause || !fill_is_get(fill) || fill->needs_pauses)
        return false;
    memory_unpromise(memory_account(fill->memory), reserved);
    fill->needs_pauses = true;
    return true;
}

void fill_tag(const fill_t *fill, head_t *head, const head_t *before)
{
    head_tag(head, fill->key.site, fill->key.target, &fill->policy, before);
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
    if (fill_is_get(fill) && !fill->ranged && !fill->large && status < 500 && says)
        pieces_forget_sparse(fill->memory, &fill->key, (text_t){NULL, 0});
}

static fill_action_t begin(fill_t *fill, const fill_answer_t *answer, int64_t now_ms)
{
    http_vary_names_t names;
    http_vary_t vary = http_vary(answer->fields, &names);
    fill->content_length = fill_length_of(answer);
    fill->can_pause = answer->can_pause;
    fill->large = false; /* an answer before this one, over HTTP/2, may have been */
    http_storing_t storing = judge(fill, answer, &vary, now_ms);
    judge_error(fill, &storing, answer->status);
    object_t *sparse = NULL;
    fill->split = fill->large && fill->indexed && fill_may_split(fill, answer, &storing, &vary, now_ms);
    if (fill->split && !fill->can_pause) { /* a tier that is slower than upstream is waited for */
        fill->split = false;
        fill->needs_pauses = true;
        return FILL_AGAIN;
    }
    if (fill->large && fill->indexed)
        sparse = fill_keep_sparse(fill, answer, &storing, &vary, now_ms);
    if (sparse != NULL) {
        leave_base(fill, &storing, answer->status);
        return fill_turn_to_pieces(fill, &sparse, answer, &storing, now_ms);
    }
    size_t reserved;
    if (!fill_reserve(fill, &storing, &reserved)) {
        invalidate(fill, answer);
        fill_fail(fill, fill_no_memory);
        return FILL_STOP;
    }
    place(fill, answer->status, &storing, &vary, now_ms);
    leave_base(fill, &storing, answer->status);
    leave_sparse(fill, &storing, answer->status);
    invalidate(fill, answer);
    fill->windowed = !storing.storable;
    if (fill_is_of_no_use(fill) && fill_give_up(fill)) {
        memory_unpromise(memory_account(fill->memory), reserved);
        return FILL_STOP;
    }
    if (fill_must_ask_again(fill, reserved))
        return FILL_AGAIN;
    select_variant(fill, &vary);
    head_t *head = head_new(memory_account(fill->memory), answer->status, answer->fields,
                            fill->content_length, &storing, now_ms, &fill->policy);
    fill_tag(fill, head, NULL);
    fill_open(fill, &head, reserved);
    return FILL_GO_ON;
}

fill_action_t fill_head(fill_t *fill, const fill_answer_t *answer, int64_t now_ms)
{
    MUST_BE(fill, FILL_MAGIC);
    MUST(!fill->ended && (!fill->has_head || fill->resuming));
    fill->told_ms = now_ms;
    if (fill->resuming)
        return fill_begin_rest(fill, answer, now_ms);
    if (fill_is_for_piece(fill))
        return fill_begin_piece(fill, answer, now_ms);
    if (answer->status == 304 && fill_is_get(fill))
        return not_modified(fill, answer, now_ms);
    return begin(fill, answer, now_ms);
}
