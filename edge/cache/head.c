#include "edge/cache/head.h"

#include <malloc.h>

#include "edge/http/conditional.h"

enum { HEAD_MAGIC = 0x5e1ead };

/* Fields that the node writes itself, from what it knows. */
static bool is_our_own(text_t name)
{
    return text_equal(name, TEXT("content-length")) || text_equal(name, TEXT("age"));
}

static bool is_date(text_t name)
{
    return text_equal(name, TEXT("date"));
}

static bool is_kept(http_fields_t fields, const http_field_t *field)
{
    return !is_our_own(field->name) && !http_fields_hop_by_hop(fields, field->name);
}

/* When it was made, as Date has it from now on, whatever form that came in: each hit says the same. Of
 * several the first counts; without one that can be read it is the time of receipt (RFC 9110 section 6.6.1).
 */
static void write_date(http_fields_t fields, int64_t response_time_ms, char date[HTTP_DATE_LENGTH + 1])
{
    const http_field_t *given = http_fields_find(fields, TEXT("date"));
    int64_t made_ms;
    if (given == NULL || !http_date_parse(given->value, response_time_ms, &made_ms))
        made_ms = response_time_ms;
    http_date_format(made_ms, date);
}

/* Of what is neither stored nor shared nothing is removed: it has one client, who may be logging in. */
static bool stays(http_fields_t fields, const http_field_t *field, const http_storing_t *storing,
                  const http_policy_t *policy)
{
    bool for_one = !storing->storable && !storing->shareable;
    return is_kept(fields, field) && !is_date(field->name) &&
           (for_one || !http_policy_removes(policy, field->name));
}

static text_t value_of(http_fields_t fields, text_t name)
{
    const http_field_t *field = http_fields_find(fields, name);
    return field ? field->value : (text_t){NULL, 0};
}

/* An empty one is none: asked about, it would match nothing, and keep Last-Modified from being looked at
 * (RFC 9110 section 13.1.3). */
static text_t etag_of(http_fields_t fields)
{
    text_t etag = value_of(fields, TEXT("etag"));
    return etag.length > 0 ? etag : (text_t){NULL, 0};
}

static char *keep_field(http_field_t *kept, const http_field_t *field, char *at)
{
    memcpy(at, field->name.data, field->name.length);
    memcpy(at + field->name.length, field->value.data, field->value.length);
    *kept = (http_field_t){{at, field->name.length}, {at + field->name.length, field->value.length}};
    return at + field->name.length + field->value.length;
}

/* Behind those that are kept already. */
static char *keep_fields(head_t *head, http_fields_t fields, const http_policy_t *policy, bool sent, char *at)
{
    http_field_t *kept = (http_field_t *)(void *)(head + 1);
    for (size_t i = 0; i < fields.count; i++)
        if (stays(fields, &fields.at[i], &head->storing, policy) &&
            http_policy_sends(policy, fields.at[i].name) == sent)
            at = keep_field(&kept[head->fields.count++], &fields.at[i], at);
    return at;
}

static void find_validators(head_t *head)
{
    head->etag = etag_of(head->fields);
    head->last_modified = value_of(head->fields, TEXT("last-modified"));
    head->date = value_of(head->fields, TEXT("date"));
}

/* One allocation: the struct, its fields, their bytes. */
head_t *head_new(memory_account_t *account, int status, http_fields_t fields, int64_t content_length,
                 const http_storing_t *storing, int64_t response_time_ms, const http_policy_t *policy)
{
    char when[HTTP_DATE_LENGTH + 1];
    const http_field_t date = {TEXT("date"), {when, HTTP_DATE_LENGTH}};
    write_date(fields, response_time_ms, when);
    size_t count = 1, bytes = date.name.length + date.value.length;
    for (size_t i = 0; i < fields.count; i++)
        if (stays(fields, &fields.at[i], storing, policy)) {
            count++;
            bytes += fields.at[i].name.length + fields.at[i].value.length;
        }
    size_t charged;
    head_t *head = memory_take(account, sizeof *head + count * sizeof(http_field_t) + bytes, &charged);
    http_field_t *kept = (http_field_t *)(void *)(head + 1);
    *head = (head_t){.magic = HEAD_MAGIC,
                     .status = status,
                     .content_length = content_length,
                     .response_time_ms = response_time_ms,
                     .storing = *storing,
                     .fields = {kept, 0},
                     .account = account,
                     .charged = charged};
    char *at = keep_fields(head, fields, policy, true, (char *)(kept + count));
    at = keep_field(&kept[head->fields.count++], &date, at);
    head->sent = head->fields.count;
    keep_fields(head, fields, policy, false, at);
    find_validators(head);
    return head;
}

head_t *head_copy(memory_account_t *account, const head_t *given)
{
    const char *why = given->storing.why;
    size_t count = given->fields.count, why_bytes = why != NULL ? strlen(why) + 1 : 0, bytes = why_bytes;
    for (size_t i = 0; i < count; i++)
        bytes += given->fields.at[i].name.length + given->fields.at[i].value.length;
    size_t charged;
    head_t *head = memory_take(account, sizeof *head + count * sizeof(http_field_t) + bytes, &charged);
    http_field_t *kept = (http_field_t *)(void *)(head + 1);
    *head = (head_t){.magic = HEAD_MAGIC,
                     .status = given->status,
                     .content_length = given->content_length,
                     .response_time_ms = given->response_time_ms,
                     .storing = given->storing,
                     .fields = {kept, count},
                     .sent = given->sent,
                     .account = account,
                     .charged = charged};
    char *at = (char *)(kept + count);
    for (size_t i = 0; i < count; i++)
        at = keep_field(&kept[i], &given->fields.at[i], at);
    if (why != NULL)
        head->storing.why = memcpy(at, why, why_bytes);
    find_validators(head);
    head_tag_as(head, given);
    return head;
}

/* The stored fields without those that the 304 replaces, then the 304's. */
static size_t merge_fields(http_fields_t stored, http_fields_t newer, const http_policy_t *policy,
                           http_field_t *merged)
{
    size_t count = 0;
    for (size_t i = 0; i < stored.count; i++) {
        text_t name = stored.at[i].name;
        bool replaced = http_fields_find(newer, name) != NULL && !http_field_kept_on_304(name);
        /* When it was made is said by the 304 alone, even by saying nothing. */
        if (!replaced && http_policy_keeps(policy, name) && !is_date(name))
            merged[count++] = stored.at[i];
    }
    for (size_t i = 0; i < newer.count; i++)
        if (is_kept(newer, &newer.at[i]) && !http_field_kept_on_304(newer.at[i].name))
            merged[count++] = newer.at[i];
    return count;
}

head_t *head_freshened(const head_t *stored, const http_exchange_t *validation)
{
    http_fields_t newer = validation->fields;
    http_field_t *merged = must_calloc(stored->fields.count + newer.count + 2, sizeof *merged);
    size_t count = merge_fields(stored->fields, newer, validation->policy, merged);
    /* Age describes this exchange alone: it is judged, then left out again by head_new(). */
    const http_field_t *age = http_fields_find(newer, TEXT("age"));
    if (age != NULL)
        merged[count++] = *age;
    http_exchange_t exchange = *validation;
    exchange.status = stored->status;
    exchange.fields = (http_fields_t){merged, count};
    http_storing_t storing = http_storing(&exchange);
    head_t *head = head_new(stored->account, stored->status, exchange.fields, stored->content_length,
                            &storing, validation->response_time_ms, validation->policy);
    free(merged);
    return head;
}

void head_free(head_t **pointer)
{
    head_t *head = *pointer;
    *pointer = NULL;
    if (head == NULL)
        return;
    MUST_BE(head, HEAD_MAGIC);
    head_front_t *front = atomic_load_explicit(&head->front, memory_order_relaxed);
    while (front != NULL) {
        head_front_t *next = front->next;
        memory_give(head->account, front, malloc_usable_size(front));
        front = next;
    }
    if (head->tags.at != NULL)
        memory_give(head->account, (ledger_hash_t *)head->tags.at, head->tags_charged);
    head->magic = 0;
    memory_give(head->account, head, head->charged);
}

size_t head_weight(const head_t *head)
{
    return head->charged + head->tags_charged;
}

int64_t head_age_ms(const head_t *head, int64_t now_ms)
{
    return http_current_age_ms(head->storing.initial_age_ms, head->response_time_ms, now_ms);
}

int64_t head_ttl_ms(const head_t *head, int64_t now_ms, int64_t soft_since_ms)
{
    int64_t ttl = head->storing.lifetime_ms - head_age_ms(head, now_ms);
    if (soft_since_ms == INT64_MAX)
        return ttl;
    int64_t since_purge = soft_since_ms < now_ms ? soft_since_ms - now_ms : 0;
    return since_purge < ttl ? since_purge : ttl;
}

http_selected_t head_selected(const head_t *head, int64_t length, bool is_get)
{
    return (http_selected_t){.etag = head->etag,
                             .last_modified = head->last_modified,
                             .date = head->date,
                             .length = length,
                             .is_get = is_get,
                             .is_coded = http_fields_find(head->fields, TEXT("content-encoding")) != NULL};
}

bool head_has_validator(const head_t *head)
{
    return head->status == 200 && (head->etag.data != NULL || head->last_modified.data != NULL);
}

bool head_takes_ranges(const head_t *head)
{
    const http_field_t *field = http_fields_find(head->fields, TEXT("accept-ranges"));
    return head->status == 200 && head->content_length > 0 && http_is_strong_etag(head->etag) &&
           field != NULL && text_equal_nocase(field->value, TEXT("bytes"));
}

bool head_denies_ranges(const head_t *head)
{
    const http_field_t *field = http_fields_find(head->fields, TEXT("accept-ranges"));
    return field != NULL && text_equal_nocase(field->value, TEXT("none"));
}

const head_front_t *head_keep_front(const head_t *head, head_front_t *front)
{
    head_t *kept = (head_t *)head; /* the one thing that may change of it */
    head_front_t *first = atomic_load_explicit(&kept->front, memory_order_acquire);
    do {
        for (const head_front_t *other = first; other != NULL; other = other->next)
            if (other->signature == front->signature) {
                free(front);
                return other;
            }
        front->next = first;
    } while (!atomic_compare_exchange_weak_explicit(&kept->front, &first, front, memory_order_acq_rel,
                                                    memory_order_acquire));
    atomic_fetch_add_explicit(&head->account->bytes, (int64_t)malloc_usable_size(front),
                              memory_order_relaxed);
    return front;
}

/* --- Comparing --- */

/* What each answer says anew of its time; for how long it is good by that is compared apart. */
static bool is_of_its_time(text_t name)
{
    return is_date(name) || text_equal(name, TEXT("expires"));
}

/* The next field that is not of its time; NULL: there is none. */
static const http_field_t *next_lasting(const head_t *head, size_t *at)
{
    while (*at < head->fields.count && is_of_its_time(head->fields.at[*at].name))
        ++*at;
    return *at < head->fields.count ? &head->fields.at[(*at)++] : NULL;
}

static bool have_the_same_fields(const head_t *head, const head_t *later)
{
    size_t at = 0, of_later = 0;
    for (;;) {
        const http_field_t *one = next_lasting(head, &at), *other = next_lasting(later, &of_later);
        if (one == NULL || other == NULL)
            return one == other;
        bool both_sent = (at <= head->sent) == (of_later <= later->sent);
        if (!both_sent || !text_equal(one->name, other->name) || !text_equal(one->value, other->value))
            return false;
    }
}

static bool are_stored_alike(const http_storing_t *one, const http_storing_t *other)
{
    return one->storable == other->storable && one->shareable == other->shareable &&
           one->no_cache == other->no_cache && one->must_revalidate == other->must_revalidate &&
           one->lifetime_ms == other->lifetime_ms &&
           one->stale.while_revalidate_ms == other->stale.while_revalidate_ms &&
           one->stale.if_error_ms == other->stale.if_error_ms;
}

bool head_says_the_same(const head_t *head, const head_t *later)
{
    size_t tags = head->tags.count * sizeof *head->tags.at;
    return head->status == later->status && head->content_length == later->content_length &&
           are_stored_alike(&head->storing, &later->storing) && head->own_tags == later->own_tags &&
           head->tags.count == later->tags.count &&
           (tags == 0 || memcmp(head->tags.at, later->tags.at, tags) == 0) &&
           have_the_same_fields(head, later);
}
