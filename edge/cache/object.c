#include "edge/cache/object_private.h"
#include "edge/cache/variants.h"

object_t *object_new(memory_account_t *account, const ledger_subject_t *subject, uint64_t stamp,
                     version_id_t version, void (*release)(object_t *object))
{
    object_t *object = must_calloc_aligned(sizeof *object);
    object->magic = OBJECT_MAGIC;
    atomic_init(&object->refs, 1);
    object->stamp = stamp;
    object->subject = *subject;
    object->version = version;
    object->account = account;
    object_charge(object, (int64_t)sizeof *object);
    object->release = release;
    atomic_init(&object->checked, stamp);
    atomic_init(&object->soft_since_ms, INT64_MAX);
    MUST(pthread_mutex_init(&object->lock, NULL) == 0);
    return object;
}

void object_destroy(object_t *object)
{
    MUST_BE(object, OBJECT_MAGIC);
    MUST(atomic_load(&object->refs) == 0);
    pthread_mutex_destroy(&object->lock);
    object->magic = 0;
    free(object);
}

void object_ref(object_t *object)
{
    MUST_BE(object, OBJECT_MAGIC);
    atomic_fetch_add_explicit(&object->refs, 1, memory_order_relaxed);
}

bool object_try_ref(object_t *object)
{
    uint32_t refs = atomic_load_explicit(&object->refs, memory_order_relaxed);
    while (refs != 0)
        if (atomic_compare_exchange_weak_explicit(&object->refs, &refs, refs + 1, memory_order_acquire,
                                                  memory_order_relaxed))
            return true;
    return false;
}

void object_unref(object_t **pointer)
{
    object_t *object = *pointer;
    *pointer = NULL;
    MUST_BE(object, OBJECT_MAGIC);
    if (atomic_fetch_sub_explicit(&object->refs, 1, memory_order_acq_rel) != 1)
        return;
    MUST(object->reader_count == 0);
    head_t *head = atomic_load_explicit(&object->head, memory_order_relaxed);
    head_free(&head);
    if (object->body != NULL)
        body_unref(&object->body);
    if (object->variants != NULL)
        variants_unref(&object->variants);
    free(object->selector);
    /* Its memory goes a moment later; what it weighed is given back now. */
    object_charge(object, -(int64_t)(sizeof *object + object->selector_length));
    object->release(object);
}

uint32_t object_refs(const object_t *object)
{
    return atomic_load_explicit(&object->refs, memory_order_relaxed);
}

uint64_t object_stamp(const object_t *object)
{
    return object->stamp;
}

const ledger_subject_t *object_subject(const object_t *object)
{
    return &object->subject;
}

version_id_t object_version(const object_t *object)
{
    return object->version;
}

object_end_t object_end(const object_t *object)
{
    return (object_end_t)atomic_load_explicit(&object->end, memory_order_acquire);
}

const head_t *object_head(const object_t *object)
{
    return atomic_load_explicit(&object->head, memory_order_acquire);
}

bool object_shareable(const object_t *object)
{
    return object->flags & OBJECT_SHAREABLE;
}

bool object_admitted(const object_t *object)
{
    return object->flags & OBJECT_ADMITTED;
}

bool object_sparse(const object_t *object)
{
    return object->flags & OBJECT_SPARSE;
}

bool object_revalidated(const object_t *object)
{
    return object->revalidated;
}

object_failure_t object_failure(const object_t *object)
{
    MUST(object_end(object) == OBJECT_FAILED);
    return object->failure;
}

const variants_t *object_variants(const object_t *object)
{
    return object->variants;
}

text_t object_selector(const object_t *object)
{
    return (text_t){object->selector, object->selector_length};
}

version_id_t object_body_version(const object_t *object)
{
    MUST(object_end(object) == OBJECT_COMPLETE);
    return body_version(object->body);
}

uint64_t object_length(object_t *object)
{
    if (object_end(object) == OBJECT_COMPLETE)
        return body_length(object->body);
    object_lock(object);
    uint64_t length = object->body ? body_length(object->body) : 0;
    object_unlock(object);
    return length;
}

ledger_judgement_t object_judge_now(const object_t *object, const ledger_t *ledger)
{
    const head_t *head = object_head(object);
    return ledger_judge_tagged(ledger, &object->subject, head != NULL ? head->tags : (ledger_tags_t){NULL, 0},
                               object->stamp);
}

/* Without a head its tags are not known yet: what is found then holds for this once. */
ledger_judgement_t object_judge(object_t *object, const ledger_t *ledger, uint64_t sequence)
{
    if (atomic_load_explicit(&object->checked, memory_order_acquire) >= sequence) {
        int64_t since = atomic_load_explicit(&object->soft_since_ms, memory_order_relaxed);
        return (ledger_judgement_t){since == INT64_MAX ? LEDGER_VALID : LEDGER_SOFT, since};
    }
    bool tagged = object_head(object) != NULL;
    ledger_judgement_t judgement = object_judge_now(object, ledger);
    if (judgement.verdict == LEDGER_HARD || !tagged)
        return judgement;
    if (judgement.verdict == LEDGER_SOFT)
        atomic_store_explicit(&object->soft_since_ms, judgement.stale_since_ms, memory_order_relaxed);
    atomic_store_explicit(&object->checked, sequence, memory_order_release);
    return judgement;
}

void object_note_trouble(object_t *object, int64_t now_ms, bool answered)
{
    atomic_store_explicit(&object->last_answered, answered, memory_order_relaxed);
    atomic_store_explicit(&object->last_trouble_ms, now_ms, memory_order_relaxed);
    atomic_fetch_add_explicit(&object->troubles, 1, memory_order_release);
}

http_trouble_t object_trouble(const object_t *object)
{
    unsigned times = atomic_load_explicit(&object->troubles, memory_order_acquire);
    return (http_trouble_t){times, atomic_load_explicit(&object->last_trouble_ms, memory_order_relaxed),
                            atomic_load_explicit(&object->last_answered, memory_order_relaxed)};
}

/* --- Readers --- */

static void notify_filler(object_t *object, unsigned events)
{
    if (object->filler != NULL)
        object->filler->notify(object->filler, events);
}

bool object_join(object_t *object, object_reader_t *reader, uint64_t join_sequence, bool owner,
                 void (*wake)(object_reader_t *reader))
{
    object_lock(object);
    bool moved_on = object->body != NULL && body_start(object->body) > 0;
    bool possible = object_end(object) != OBJECT_FAILED && !moved_on;
    if (possible) {
        object_ref(object);
        *reader = (object_reader_t){.object = object,
                                    .join_sequence = join_sequence,
                                    .owner = owner,
                                    .wake = wake,
                                    .end = UINT64_MAX,
                                    .next = object->readers,
                                    .link = &object->readers,
                                    .joined = true};
        if (object->readers != NULL)
            object->readers->link = &reader->next;
        object->readers = reader;
        object->reader_count++;
    }
    object_unlock(object);
    return possible;
}

void object_open(object_t **object, object_reader_t *reader)
{
    MUST(object_end(*object) == OBJECT_COMPLETE);
    *reader = (object_reader_t){.object = *object, .end = UINT64_MAX};
    *object = NULL;
}

/* What a reader let go of may be enough for the filler to go on. */
static bool has_room_again(const object_t *object, bool moved_on)
{
    size_t lacking;
    return (moved_on && object->filler_waits) ||
           (object->filler_lacks && body_fits(object->body, 1, &lacking) > 0);
}

void object_slide_window(object_t *object)
{
    if (!object->windowed || object->body == NULL || object_end(object) != OBJECT_OPEN)
        return;
    uint64_t slowest = body_length(object->body);
    for (object_reader_t *reader = object->readers; reader != NULL; reader = reader->next)
        if (object_is_reading(reader) && reader->offset < slowest)
            slowest = reader->offset;
    if (has_room_again(object, body_forget_before(object->body, slowest))) {
        object->filler_waits = object->filler_lacks = false;
        notify_filler(object, FILLER_ROOM);
    }
}

void object_leave(object_reader_t *reader)
{
    object_t *object = reader->object;
    if (object == NULL)
        return;
    if (!reader->joined) {
        object_unref(&reader->object);
        return;
    }
    object_lock(object);
    *reader->link = reader->next;
    if (reader->next != NULL)
        reader->next->link = reader->link;
    reader->joined = reader->waiting = false;
    uint64_t taken = reader->offset - reader->first;
    object->taken = taken > object->taken ? taken : object->taken;
    if (--object->reader_count == 0 && object_end(object) == OBJECT_OPEN)
        notify_filler(object, FILLER_ABANDONED);
    else
        object_slide_window(object);
    object_unlock(object);
    object_unref(&reader->object);
}

bool object_wait_head(object_reader_t *reader)
{
    object_t *object = reader->object;
    object_lock(object);
    bool wait = object_head(object) == NULL && object_end(object) == OBJECT_OPEN;
    reader->waiting = wait;
    object_unlock(object);
    return wait;
}

/* What it has taken stays the way from `first` to `offset`, also where the one is before zero. */
static void move_reader(object_reader_t *reader, uint64_t first, uint64_t end)
{
    reader->first += first - reader->offset;
    reader->offset = first;
    reader->end = end;
}

void object_seek(object_reader_t *reader, uint64_t first, uint64_t end)
{
    object_t *object = reader->object;
    MUST((reader->offset == 0 || reader->offset == reader->end) && first < end);
    if (!reader->joined) {
        move_reader(reader, first, end);
        return;
    }
    object_lock(object);
    move_reader(reader, first, end);
    reader->behind |= object->body != NULL && first < body_start(object->body);
    object_slide_window(object);
    object_unlock(object);
}

static object_read_t read_open(object_reader_t *reader, size_t most, body_span_t *span)
{
    object_t *object = reader->object;
    if (reader->behind)
        return READ_BEHIND;
    if (reader->offset == reader->end)
        return READ_END;
    if (object->body != NULL)
        *span = body_span(object->body, reader->offset, most);
    if (span->length > 0) {
        reader->offset += span->length;
        object_slide_window(object);
        return READ_BYTES;
    }
    switch (object_end(object)) {
    case OBJECT_COMPLETE:
        return READ_END;
    case OBJECT_FAILED:
        return READ_FAILED;
    case OBJECT_OPEN:
        break;
    }
    reader->waiting = true;
    object_slide_window(object); /* it has given back what it read last */
    return READ_WAIT;
}

/* Most bodies are in one piece, which the reader's reference on the object keeps. */
static body_span_t span_of_whole(const object_t *object, uint64_t offset, size_t most)
{
    size_t rest = object->whole.length - (size_t)offset;
    return (body_span_t){object->whole.data + offset, rest < most ? rest : most, NULL};
}

object_read_t object_read(object_reader_t *reader, size_t most, body_span_t *span)
{
    object_t *object = reader->object;
    uint64_t wanted = reader->end - reader->offset;
    most = wanted < most ? (size_t)wanted : most;
    *span = (body_span_t){NULL, 0, NULL};
    if (object_end(object) == OBJECT_COMPLETE && !reader->behind) {
        *span = object->whole.data != NULL ? span_of_whole(object, reader->offset, most)
                                           : body_span(object->body, reader->offset, most);
        reader->offset += span->length;
        return span->length > 0 ? READ_BYTES : READ_END;
    }
    object_lock(object);
    object_read_t result = read_open(reader, most, span);
    object_unlock(object);
    return result;
}

/* --- What it holds --- */

bool object_offer(object_t *object)
{
    return !atomic_load_explicit(&object->offered, memory_order_relaxed) &&
           !atomic_exchange_explicit(&object->offered, true, memory_order_relaxed);
}

void object_offer_again(object_t *object)
{
    atomic_store_explicit(&object->offered, false, memory_order_relaxed);
}

bool object_confirms(const object_t *later, const object_t *stored)
{
    version_id_t is = object_body_version(later), was = object_body_version(stored);
    const head_t *head = object_head(later);
    bool is_short = head->storing.lifetime_ms <= OBJECT_KEPT_OLD_MS;
    return is.low == was.low && is.high == was.high && (is_short || object_sparse(later)) &&
           head_says_the_same(object_head(stored), head);
}

void object_offered_as(object_t *object, const object_t *other)
{
    bool offered = atomic_load_explicit(&other->offered, memory_order_relaxed);
    atomic_store_explicit(&object->offered, offered, memory_order_relaxed);
}

bool object_keeps(object_t *object)
{
    object_lock(object);
    bool keeps = !object->windowed || object_end(object) == OBJECT_COMPLETE;
    object_unlock(object);
    return keeps;
}

uint64_t object_held(object_t *object)
{
    object_lock(object);
    bool for_readers = object->body != NULL && (object->windowed || object_end(object) == OBJECT_COMPLETE);
    uint64_t held = for_readers ? (uint64_t)body_blocks_held(object->body) * BLOCK_BYTES : 0;
    uint64_t length = for_readers ? body_length(object->body) : 0;
    object_unlock(object);
    return held < length ? held : length;
}

size_t object_weight(const object_t *object)
{
    MUST(object_end(object) == OBJECT_COMPLETE);
    return sizeof *object + object->selector_length + head_weight(object_head(object)) +
           (size_t)body_length(object->body);
}

struct rcu_head *object_reclaim(object_t *object)
{
    return &object->reclaim;
}

object_t *object_of_reclaim(struct rcu_head *reclaim)
{
    return CONTAINER_OF(reclaim, object_t, reclaim);
}

void *object_home(const object_t *object)
{
    return object->home;
}

void object_set_home(object_t *object, void *home)
{
    object->home = home;
}

void object_check(object_t *object)
{
    MUST_BE(object, OBJECT_MAGIC);
    object_lock(object);
    object_end_t end = object_end(object);
    MUST(end == OBJECT_OPEN || object->filler == NULL);
    MUST(end != OBJECT_COMPLETE || (object_head(object) != NULL && object->body != NULL));
    const head_t *head = object_head(object);
    if (end == OBJECT_COMPLETE && head->content_length >= 0)
        MUST(body_length(object->body) == (object_sparse(object) ? 0 : (uint64_t)head->content_length));
    size_t count = 0;
    for (object_reader_t *reader = object->readers; reader != NULL; reader = reader->next) {
        MUST(reader->object == object && reader->joined && *reader->link == reader);
        count++;
    }
    MUST(count == object->reader_count);
    object_unlock(object);
}
