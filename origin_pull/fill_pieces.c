/* What becomes of responses that are too large to be stored whole (edge/cache/pieces.h). */
#include "edge/http/conditional.h"
#include "edge/http/range.h"
#include "edge/http/vary.h"
#include "origin_pull/fill_private.h"

/* Those fields, but with the word that it takes no ranges. */
static http_field_t *without_ranges(http_fields_t fields, http_fields_t *out)
{
    const text_t name = TEXT("accept-ranges");
    http_field_t *list = must_calloc(fields.count + 1, sizeof *list);
    size_t count = 0;
    for (size_t i = 0; i < fields.count; i++)
        if (!text_equal(fields.at[i].name, name))
            list[count++] = fields.at[i];
    list[count++] = (http_field_t){name, TEXT("none")};
    *out = (http_fields_t){list, count};
    return list;
}

head_t *fill_sparse_head(const fill_t *fill, const fill_answer_t *answer, const http_storing_t *storing,
                         int64_t now_ms)
{
    http_storing_t kept = *storing;
    kept.storable = true;
    kept.why = NULL;
    head_t *head = head_new(memory_account(fill->memory), answer->status, answer->fields,
                            fill->content_length, &kept, now_ms, &fill->policy);
    if (fill->split && head_takes_ranges(head)) { /* it is known not to */
        http_fields_t fields;
        http_field_t *list = without_ranges(answer->fields, &fields);
        head_free(&head);
        head = head_new(memory_account(fill->memory), answer->status, fields, fill->content_length, &kept,
                        now_ms, &fill->policy);
        free(list);
    }
    fill_tag(fill, head, NULL);
    return head;
}

object_t *fill_keep_sparse(fill_t *fill, const fill_answer_t *answer, const http_storing_t *storing,
                           const http_vary_t *vary, int64_t now_ms)
{
    head_t *head = fill_sparse_head(fill, answer, storing, now_ms);
    bool in_parts = vary->kind == HTTP_VARY_NONE && !memory_has_variants(fill->memory, &fill->key) &&
                    pieces_possible(fill->memory, head);
    bool possible = in_parts || fill->split;
    bool in_vain = in_parts && pieces_known_whole_only(fill->memory, &fill->key, head);
    object_t *sparse = NULL;
    if (possible && !in_vain && !fill_is_overtaken(fill))
        sparse = fill->split
                     ? fill_split_keep(fill, &head)
                     : pieces_store_sparse(fill->memory, &fill->key, object_stamp(fill->object), &head);
    else if (!possible)
        pieces_forget_sparse(fill->memory, &fill->key, (text_t){NULL, 0});
    head_free(&head);
    /* It was stored while the index still pointed here: as long as that is so, no newer answer is known. */
    bool newest = fill_withdraw(fill, 0) && !fill_is_overtaken(fill);
    if (sparse != NULL && !newest) {
        memory_forget(fill->memory, sparse);
        object_unref(&sparse);
    }
    if (sparse == NULL && fill->split) {
        fill_drop_run(fill);
        fill->split = false;
    }
    return sparse;
}

/* Where the pieces end that who asked wants of its beginning; 0: none. Of what is much, the first: the rest
 * is asked for as it is wanted. */
static uint64_t wanted_of_start(const fill_t *fill, const object_t *sparse)
{
    const head_t *head = object_head(sparse);
    const http_selected_t selected = head_selected(head, head->content_length, true);
    http_ranges_t ranges;
    http_selection_t selection = http_select(fill->fields, &selected, &ranges);
    bool is_part = selection == HTTP_PART || selection == HTTP_PARTS;
    if (fill->background || (is_part && ranges.at[0].first >= PIECE_BYTES) ||
        (!is_part && selection != HTTP_WHOLE))
        return 0;
    uint64_t end = is_part ? ranges.at[0].end : (uint64_t)head->content_length;
    return piece_at(sparse, end <= (uint64_t)PIECES_RUN_MAX * PIECE_BYTES ? end - 1 : 0).end;
}

/* What comes from now on are its first pieces, with which the transfer ends. False: they are of no use. */
static bool turn_to_first_pieces(fill_t *fill, object_t *sparse, const fill_answer_t *answer, int64_t now_ms)
{
    piece_t piece = piece_at(sparse, 0);
    size_t reserved = body_cost((int64_t)piece.end, true);
    uint64_t end = fill->split ? (uint64_t)fill->content_length : wanted_of_start(fill, sparse);
    if (end == 0 || !memory_reserve(fill->memory, reserved))
        return false;
    object_t *object = fill->split ? fill->first : fill_claim_piece(fill, sparse, piece);
    fill->first = NULL;
    if (object == NULL) {
        memory_unpromise(memory_account(fill->memory), reserved);
        return false;
    }
    object_pass_filler(fill->object, object);
    fill->object = object;
    fill->base = sparse;
    object_ref(sparse);
    fill->piece = piece;
    fill->content_length = (int64_t)piece.end;
    if (!fill->split)
        fill_claim_run(fill, sparse, piece, end);
    const head_t *whole = object_head(sparse);
    fill->leaves_rest = fill->run_end < (uint64_t)whole->content_length;
    fill->indexed = true;
    fill->large = false;
    head_t *head = head_new(memory_account(fill->memory), answer->status, (http_fields_t){NULL, 0},
                            fill->content_length, &whole->storing, now_ms, &fill->policy);
    head_tag_as(head, whole);
    fill_open(fill, &head, reserved);
    return true;
}

fill_action_t fill_turn_to_pieces(fill_t *fill, object_t **sparse, const fill_answer_t *answer,
                                  const http_storing_t *storing, int64_t now_ms)
{
    object_t *whole = fill->object;
    version_id_t version = object_body_version(*sparse);
    head_t *head = fill_sparse_head(fill, answer, storing, now_ms);
    bool goes_on = turn_to_first_pieces(fill, *sparse, answer, now_ms);
    object_unref(sparse);
    if (!goes_on)
        fill_tell_end(fill);
    object_complete_sparse(whole, &head, OBJECT_SHAREABLE | OBJECT_ADMITTED | OBJECT_SPARSE, &version);
    if (goes_on && fill->split)
        fill->whole = whole;
    else if (goes_on)
        object_unref(&whole);
    if (goes_on)
        return FILL_GO_ON;
    fill->left_rest = true;
    fill_end(fill);
    return FILL_STOP;
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
    bool may = head->storing.storable && vary.kind == HTTP_VARY_NONE && pieces_keepable(fill->memory, head) &&
               !fill_is_overtaken(fill);
    if (may)
        pieces_renew_sparse(fill->memory, &fill->key, fill->base, object_stamp(fill->object), &head);
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

const object_failure_t fill_no_ranges = {502, "no_ranges"};

/* All of that very version in place of a part: it takes no ranges, whatever it says. */
static bool is_whole(const fill_answer_t *answer, const head_t *version)
{
    text_t etag = only_value(answer, TEXT("etag"));
    return answer->status == 200 && etag.data != NULL && http_same_strong_etag(etag, version->etag) &&
           fill_length_of(answer) == version->content_length && !is_of_another_form(answer, version);
}

/* That is remembered by a head that does not say so. */
static void note_no_ranges(fill_t *fill, const fill_answer_t *answer, int64_t now_ms)
{
    fill_answer_t said = *answer;
    http_field_t *list = without_ranges(answer->fields, &said.fields);
    head_t *head = freshened_head(fill, &said, now_ms);
    if (head->storing.storable && !head->storing.no_cache && !fill_is_overtaken(fill))
        pieces_renew_sparse(fill->memory, &fill->key, fill->base, object_stamp(fill->object), &head);
    head_free(&head);
    free(list);
}

/* An origin in trouble says nothing about what it had, nor does what is of one client alone; any other answer
 * says that it has something else, or takes no ranges. */
static fill_action_t refuse(fill_t *fill, const fill_answer_t *answer, int64_t now_ms)
{
    int status = answer->status;
    if (is_whole(answer, object_head(fill->base)) && !fill_is_of_client(fill, status)) {
        note_no_ranges(fill, answer, now_ms);
        fill_fail(fill, fill_no_ranges);
        return FILL_STOP;
    }
    bool in_trouble = status >= 500 || status == 429;
    if (!in_trouble && !fill_is_of_client(fill, status))
        pieces_forget_sparse(fill->memory, &fill->key, object_head(fill->base)->etag);
    fill_fail(fill, in_trouble ? (object_failure_t){502, "piece_refused"} : fill_version_ended);
    return FILL_STOP;
}

const object_failure_t fill_version_ended = {502, "version_ended"};

fill_action_t fill_begin_piece(fill_t *fill, const fill_answer_t *answer, int64_t now_ms)
{
    piece_t asked = {fill->piece.first, fill->run_end};
    if (!fill_is_part(answer, object_head(fill->base), asked) || !renew(fill, answer, now_ms))
        return refuse(fill, answer, now_ms);
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
    if (fill->windowed) { /* alone, and at its readers' pace */
        fill->leaves_rest = fill->run_count > 0;
        fill_drop_run(fill);
    }
    if (fill_must_ask_again(fill, reserved)) {
        fill->leaves_rest = false;
        fill_write_range(fill);
        return FILL_AGAIN;
    }
    head_t *head = head_new(memory_account(fill->memory), answer->status, (http_fields_t){NULL, 0},
                            fill->content_length, &storing, now_ms, &fill->policy);
    head_t *whole = freshened_head(fill, answer, now_ms);
    head_tag_as(head, whole);
    head_free(&whole);
    fill_open(fill, &head, reserved);
    return FILL_GO_ON;
}
