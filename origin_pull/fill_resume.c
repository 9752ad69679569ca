/* What becomes of a body that breaks off: the rest of that very version is asked for, and appended. */
#include "edge/http/vary.h"
#include "origin_pull/fill_private.h"

#include <inttypes.h>

/* An origin that breaks off each time is in trouble. */
enum { RESUMES_MAX = 2 };

const head_t *fill_version(const fill_t *fill)
{
    return object_head(fill_is_for_piece(fill) ? fill->base : fill->object);
}

/* What has yet to come, as bytes of the whole. */
static piece_t rest_of(const fill_t *fill)
{
    uint64_t first = fill->piece.first; /* of a whole response: 0 */
    uint64_t end = fill_is_for_piece(fill) ? fill->run_end : (uint64_t)fill->content_length;
    return (piece_t){first + fill->received, end};
}

/* With a weak ETag, or none, nobody could tell whether the rest is of the same bytes. What a client's own
 * Range went upstream for is of ranges that the node knows nothing of. */
static bool may_resume(const fill_t *fill)
{
    if (!fill->has_head || fill->ranged || !fill_is_get(fill) || !head_takes_ranges(fill_version(fill)))
        return false;
    bool lacks = fill->received < (uint64_t)fill->content_length;
    bool in_vain = fill->resumes > 0 && rest_of(fill).first == fill->resumed_from;
    bool wanted = !object_unread(fill->object) || fill_worth_finishing(fill);
    return lacks && !in_vain && fill->resumes < RESUMES_MAX && wanted;
}

void fill_write_range(fill_t *fill)
{
    piece_t rest = rest_of(fill);
    if (fill_is_for_piece(fill))
        snprintf(fill->range, sizeof fill->range, "bytes=%" PRIu64 "-%" PRIu64, rest.first, rest.end - 1);
    else
        snprintf(fill->range, sizeof fill->range, "bytes=%" PRIu64 "-", rest.first);
}

fill_action_t fill_cut_off(fill_t *fill, object_failure_t failure, int64_t now_ms)
{
    MUST_BE(fill, FILL_MAGIC);
    if (fill->ended || !may_resume(fill)) {
        fill_broken(fill, failure, now_ms);
        return FILL_STOP;
    }
    fill->told_ms = now_ms;
    fill->cut_off = failure;
    fill->resuming = true;
    fill->resumes++;
    fill->resumed_from = rest_of(fill).first;
    /* Readers may have counted on it. */
    fill->needs_pauses |= fill->can_pause;
    fill_write_range(fill);
    return FILL_AGAIN;
}

/* The very bytes that are missing, and as many as that. A body that ends with its connection could end
 * anywhere. */
static bool is_rest(const fill_t *fill, const fill_answer_t *answer)
{
    piece_t rest = rest_of(fill);
    int64_t length = fill_length_of(answer);
    return fill_is_part(answer, fill_version(fill), rest) && !answer->close_delimited &&
           (length < 0 || (uint64_t)length == rest.end - rest.first);
}

/* Does it say the same of what selects it, or nothing? */
static bool varies_alike(const head_t *version, const fill_answer_t *answer)
{
    http_vary_names_t names_was, names_is;
    http_vary_t was = http_vary(version->fields, &names_was), is = http_vary(answer->fields, &names_is);
    if (http_fields_find(answer->fields, TEXT("vary")) == NULL)
        return true;
    bool alike = was.kind == is.kind && was.count == is.count;
    for (size_t i = 0; alike && i < is.count; i++)
        alike = text_equal(was.names[i], is.names[i]);
    return alike;
}

/* The head stays that of the first answer; but what this one forbids is not stored. */
static bool may_be_stored(const fill_t *fill, const fill_answer_t *answer, int64_t now_ms)
{
    const head_t *version = fill_version(fill);
    const http_exchange_t exchange = fill_exchange(fill, answer, now_ms);
    head_t *head = head_freshened(version, &exchange);
    fill_tag(fill, head, NULL);
    /* A purge by a tag that the object does not have would not find it. */
    bool tagged = head_tags_within(head, object_head(fill->object));
    bool storable = head->storing.storable && (version->storing.no_cache || !head->storing.no_cache);
    head_free(&head);
    return storable && tagged && varies_alike(version, answer);
}

/* Itself, and what is kept of that version for what is asked of it in parts. */
static void leave_store(fill_t *fill, int status)
{
    fill_withdraw(fill, 0);
    fill->leaves_rest = fill->run_at < fill->run_count;
    fill_drop_run(fill);
    if ((fill->large || fill_is_for_piece(fill)) && !fill_is_of_client(fill, status))
        pieces_forget_sparse(fill->memory, &fill->key, fill_version(fill)->etag);
}

fill_action_t fill_begin_rest(fill_t *fill, const fill_answer_t *answer, int64_t now_ms)
{
    fill->resuming = false;
    if (!is_rest(fill, answer)) {
        fill->refused = true;
        fill_fail(fill, fill->cut_off);
        return FILL_STOP;
    }
    fill->can_pause = answer->can_pause;
    fill->leaves_rest = false;
    bool kept = fill->indexed || fill->large || fill_is_for_piece(fill);
    if (kept && !may_be_stored(fill, answer, now_ms))
        leave_store(fill, answer->status);
    return FILL_GO_ON;
}

fill_resumed_t fill_resumed(const fill_t *fill)
{
    MUST_BE(fill, FILL_MAGIC);
    if (fill->resumes == 0)
        return FILL_NOT_RESUMED;
    if (fill->refused)
        return FILL_RESUME_REFUSED;
    return object_end(fill->object) == OBJECT_COMPLETE ? FILL_RESUME_COMPLETED : FILL_RESUME_BROKEN;
}
