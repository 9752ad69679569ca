/* What becomes of responses that are too large to be stored whole (edge/cache/pieces.h). */
#include "edge/http/conditional.h"
#include "edge/http/range.h"
#include "edge/http/vary.h"
#include "origin_pull/fill_private.h"

void fill_keep_sparse(fill_t *fill, const fill_answer_t *answer, const http_storing_t *storing,
                      const http_vary_t *vary, int64_t now_ms)
{
    http_storing_t kept = *storing;
    kept.storable = true;
    kept.why = NULL;
    head_t *head = head_new(memory_account(fill->memory), answer->status, answer->fields,
                            fill->content_length, &kept, now_ms, &fill->policy);
    fill_tag(fill, head, NULL);
    bool possible = vary->kind == HTTP_VARY_NONE && !memory_has_variants(fill->memory, &fill->key) &&
                    pieces_possible(fill->memory, head);
    object_t *sparse = NULL;
    if (possible && !fill_is_overtaken(fill))
        sparse = pieces_store_sparse(fill->memory, &fill->key, object_stamp(fill->object), &head);
    else if (!possible)
        pieces_forget_sparse(fill->memory, &fill->key, (text_t){NULL, 0});
    head_free(&head);
    /* It was stored while the index still pointed here: as long as that is so, no newer answer is known. */
    bool newest = fill_withdraw(fill, 0) && !fill_is_overtaken(fill);
    if (sparse == NULL)
        return;
    if (!newest)
        memory_forget(fill->memory, sparse);
    object_unref(&sparse);
}

/* The sparse object's head, brought up to date by an answer about it. */
static head_t *freshened_head(const fill_t *fill, const fill_answer_t *answer, int64_t now_ms)
{
    const http_exchange_t exchange = fill_exchange(fill, answer, now_ms);
    head_t *head = head_freshened(object_head(fill->base), &exchange);
    fill_tag(fill, head, object_head(fill->base));
    return head;
}

/* Stores a sparse object with such a head. False: it is not to be stored any more. */
static bool renew(fill_t *fill, const fill_answer_t *answer, int64_t now_ms)
{
    head_t *head = freshened_head(fill, answer, now_ms);
    http_vary_names_t names;
    http_vary_t vary = http_vary(head->fields, &names);
    bool may = head->storing.storable && vary.kind == HTTP_VARY_NONE && pieces_possible(fill->memory, head) &&
               !fill_is_overtaken(fill);
    if (may)
        pieces_renew_sparse(fill->memory, fill->base, object_stamp(fill->object), &head);
    else if (!fill_is_of_client(fill, answer->status))
        pieces_forget_sparse(fill->memory, &fill->key, object_head(fill->base)->etag);
    head_free(&head);
    return may;
}

fill_action_t fill_freshen_sparse(fill_t *fill, const fill_answer_t *answer, int64_t now_ms)
{
    bool stored = renew(fill, answer, now_ms);
    head_t *head = freshened_head(fill, answer, now_ms);
    unsigned flags =
        OBJECT_SPARSE | (head->storing.shareable ? OBJECT_SHAREABLE : 0u) | (stored ? OBJECT_ADMITTED : 0u);
    fill_withdraw(fill, 0);
    fill_tell_end(fill);
    object_adopt(fill->object, &head, flags, fill->base);
    fill_end(fill);
    return FILL_GO_ON;
}

/* The value of a field that stands there once; absent: it does not. */
static text_t only_value(const fill_answer_t *answer, text_t name)
{
    const http_field_t *field = http_fields_find(answer->fields, name);
    if (field == NULL || http_fields_next(answer->fields, field, name) != NULL)
        return (text_t){NULL, 0};
    return field->value;
}

/* Does it say of itself that its bytes are no part of that representation's: of another coding, to which its
 * origin gave the same ETag, or several parts and what stands between them? */
static bool is_of_another_form(const fill_answer_t *answer, const head_t *version)
{
    const text_t coding = TEXT("content-encoding"), several = TEXT("multipart/byteranges");
    const http_field_t *is = http_fields_find(answer->fields, coding);
    const http_field_t *was = http_fields_find(version->fields, coding);
    const http_field_t *type = http_fields_find(answer->fields, TEXT("content-type"));
    bool is_several = type != NULL && type->value.length >= several.length &&
                      text_equal_nocase((text_t){type->value.data, several.length}, several);
    return is_several || (is != NULL && (was == NULL || !text_equal_nocase(is->value, was->value)));
}

bool fill_is_part(const fill_answer_t *answer, const head_t *version, piece_t part)
{
    text_t range = only_value(answer, TEXT("content-range")), etag = only_value(answer, TEXT("etag"));
    if (is_of_another_form(answer, version))
        return false;
    http_range_t found;
    uint64_t length;
    return answer->status == 206 && range.data != NULL && etag.data != NULL &&
           http_same_strong_etag(etag, version->etag) && http_content_range_parse(range, &found, &length) &&
           found.first == part.first && found.end == part.end && length == (uint64_t)version->content_length;
}

/* An origin in trouble says nothing about what it had, nor does what is of one client alone; any other answer
 * says that it has something else, or takes no ranges. */
static fill_action_t refuse(fill_t *fill, int status)
{
    bool in_trouble = status >= 500 || status == 429;
    if (!in_trouble && !fill_is_of_client(fill, status))
        pieces_forget_sparse(fill->memory, &fill->key, object_head(fill->base)->etag);
    fill_fail(fill, in_trouble ? (object_failure_t){502, "piece_refused"} : fill_version_ended);
    return FILL_STOP;
}

const object_failure_t fill_version_ended = {502, "version_ended"};

fill_action_t fill_begin_piece(fill_t *fill, const fill_answer_t *answer, int64_t now_ms)
{
    if (!fill_is_part(answer, object_head(fill->base), fill->piece) || !renew(fill, answer, now_ms))
        return refuse(fill, answer->status);
    fill->can_pause = answer->can_pause;
    http_storing_t storing = object_head(fill->base)->storing;
    size_t reserved;
    if (!fill_reserve(fill, &storing, &reserved)) {
        fill_fail(fill, fill_no_memory);
        return FILL_STOP;
    }
    if (!storing.storable)
        fill_withdraw(fill, 0);
    fill->windowed = !storing.storable;
    if (fill_must_ask_again(fill, reserved))
        return FILL_AGAIN;
    head_t *head = head_new(memory_account(fill->memory), answer->status, (http_fields_t){NULL, 0},
                            fill->content_length, &storing, now_ms, &fill->policy);
    head_t *whole = freshened_head(fill, answer, now_ms);
    head_tag_as(head, whole);
    head_free(&whole);
    fill_open(fill, &head, reserved);
    return FILL_GO_ON;
}
