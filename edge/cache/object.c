#include "edge/cache/object.h"

#include <pthread.h>
#include <urcu/call-rcu.h>

#include "edge/cache/variants.h"

enum { OBJECT_MAGIC = 0x5e10b3c7 };

struct object {
    /* What a hit looks at comes first, on one line of the processor's cache. */
    uint32_t magic;
    _Atomic uint32_t refs;
    /* Up to which sequence it was found valid; a soft match's time is stored before. */
    _Atomic uint64_t checked;
    _Atomic int64_t soft_since_ms;
    /* Set once by the filler, with release; read by anybody, with acquire. */
    head_t *_Atomic head;
    _Atomic int end; /* object_end_t */
    /* Set by the filler before `head` is, then fixed. */
    unsigned flags;
    /* Set before `end` is complete, then fixed: a body that is in one piece; data NULL otherwise. */
    text_t whole;
    /* Fixed after creation. */
    uint64_t stamp;
    ledger_subject_t subject;
    version_id_t version;
    memory_account_t *account;
    void (*release)(object_t *object);
    /* Set by the filler before `head` is, then fixed. */
    bool revalidated;
    variants_t *variants;
    char *selector;
    size_t selector_length;
    object_failure_t failure; /* set before `end` is */
    /* The filler's thread only, until the end; then fixed. */
    void *home;
    /* Under the lock until the end is complete; then fixed, and read without it. */
    body_t *body;
    pthread_mutex_t lock;
    /* Under the lock. */
    object_reader_t *readers;
    size_t reader_count;
    uint64_t taken; /* by who took most of those who left */
    object_filler_t *filler;
    bool windowed, filler_waits, filler_lacks; /* for the window to move on; for memory that readers hold */
    /* Of what is stored and stale; the time is stored before. */
    _Atomic unsigned troubles;
    _Atomic int64_t last_trouble_ms;
    _Atomic bool last_answered;
    /* After the last reference. */
    struct rcu_head reclaim;
};

static void lock(object_t *object)
{
    MUST(pthread_mutex_lock(&object->lock) == 0);
}

static void unlock(object_t *object)
{
    MUST(pthread_mutex_unlock(&object->lock) == 0);
}

static void charge(object_t *object, int64_t bytes)
{
    atomic_fetch_add_explicit(&object->account->bytes, bytes, memory_order_relaxed);
}

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
    charge(object, (int64_t)sizeof *object);
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
    charge(object, -(int64_t)(sizeof *object + object->selector_length));
    object->release(object);
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

uint64_t object_length(object_t *object)
{
    if (object_end(object) == OBJECT_COMPLETE)
        return body_length(object->body);
    lock(object);
    uint64_t length = object->body ? body_length(object->body) : 0;
    unlock(object);
    return length;
}

ledger_judgement_t object_judge(object_t *object, const ledger_t *ledger, uint64_t sequence)
{
    if (atomic_load_explicit(&object->checked, memory_order_acquire) >= sequence) {
        int64_t since = atomic_load_explicit(&object->soft_since_ms, memory_order_relaxed);
        return (ledger_judgement_t){since == INT64_MAX ? LEDGER_VALID : LEDGER_SOFT, since};
    }
    ledger_judgement_t judgement = ledger_judge(ledger, &object->subject, object->stamp);
    if (judgement.verdict == LEDGER_HARD)
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

static void wake_one(object_reader_t *reader)
{
    if (!reader->waiting)
        return;
    reader->waiting = false;
    reader->wake(reader);
}

static void wake_all(object_t *object)
{
    for (object_reader_t *reader = object->readers; reader != NULL; reader = reader->next)
        wake_one(reader);
}

/* Those for whom there are bytes: a range may begin far behind what has come. */
static void wake_reached(object_t *object)
{
    uint64_t length = body_length(object->body);
    for (object_reader_t *reader = object->readers; reader != NULL; reader = reader->next)
        if (reader->offset < length)
            wake_one(reader);
}

static void notify_filler(object_t *object, unsigned events)
{
    if (object->filler != NULL)
        object->filler->notify(object->filler, events);
}

bool object_join(object_t *object, object_reader_t *reader, uint64_t join_sequence, bool owner,
                 void (*wake)(object_reader_t *reader))
{
    lock(object);
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
    unlock(object);
    return possible;
}

void object_open(object_t **object, object_reader_t *reader)
{
    MUST(object_end(*object) == OBJECT_COMPLETE);
    *reader = (object_reader_t){.object = *object, .end = UINT64_MAX};
    *object = NULL;
}

/* Does it still have to read what comes after its offset? */
static bool is_reading(const object_reader_t *reader)
{
    return !reader->behind && reader->offset < reader->end;
}

/* What a reader let go of may be enough for the filler to go on. */
static bool has_room_again(const object_t *object, bool moved_on)
{
    size_t lacking;
    return (moved_on && object->filler_waits) ||
           (object->filler_lacks && body_fits(object->body, 1, &lacking) > 0);
}

/* In a windowed object: lets go of what every reader has taken, and tells a filler that waits for it. */
static void slide_window(object_t *object)
{
    if (!object->windowed || object->body == NULL || object_end(object) != OBJECT_OPEN)
        return;
    uint64_t slowest = body_length(object->body);
    for (object_reader_t *reader = object->readers; reader != NULL; reader = reader->next)
        if (is_reading(reader) && reader->offset < slowest)
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
    lock(object);
    *reader->link = reader->next;
    if (reader->next != NULL)
        reader->next->link = reader->link;
    reader->joined = reader->waiting = false;
    uint64_t taken = reader->offset - reader->first;
    object->taken = taken > object->taken ? taken : object->taken;
    if (--object->reader_count == 0 && object_end(object) == OBJECT_OPEN)
        notify_filler(object, FILLER_ABANDONED);
    else
        slide_window(object);
    unlock(object);
    object_unref(&reader->object);
}

bool object_wait_head(object_reader_t *reader)
{
    object_t *object = reader->object;
    lock(object);
    bool wait = object_head(object) == NULL && object_end(object) == OBJECT_OPEN;
    reader->waiting = wait;
    unlock(object);
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
    lock(object);
    move_reader(reader, first, end);
    reader->behind |= object->body != NULL && first < body_start(object->body);
    slide_window(object);
    unlock(object);
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
        slide_window(object);
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
    slide_window(object); /* it has given back what it read last */
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
    lock(object);
    object_read_t result = read_open(reader, most, span);
    unlock(object);
    return result;
}

/* --- The filler --- */

void object_set_filler(object_t *object, object_filler_t *filler)
{
    lock(object);
    object->filler = filler;
    unlock(object);
}

void object_set_variant(object_t *object, variants_t **variants, char **selector, size_t selector_length)
{
    MUST(object_head(object) == NULL && object->variants == NULL);
    object->variants = *variants;
    *variants = NULL;
    object->selector = *selector;
    *selector = NULL;
    object->selector_length = selector_length;
    /* A client chooses how long it is: it counts. */
    charge(object, (int64_t)selector_length);
}

static void publish_head(object_t *object, head_t **head, unsigned flags)
{
    MUST(object_head(object) == NULL);
    object->flags = flags;
    atomic_store_explicit(&object->head, *head, memory_order_release);
    *head = NULL;
}

void object_begin(object_t *object, head_t **head, unsigned flags)
{
    bool windowed = flags & OBJECT_WINDOWED;
    lock(object);
    MUST(object->body == NULL && object_end(object) == OBJECT_OPEN);
    object->body = body_new(object->account, object->version, (*head)->content_length);
    object->windowed = windowed;
    publish_head(object, head, flags);
    wake_all(object);
    unlock(object);
}

void object_make_windowed(object_t *object)
{
    lock(object);
    object->windowed = true;
    slide_window(object);
    unlock(object);
}

size_t object_room(object_t *object, size_t wanted)
{
    size_t room = wanted;
    lock(object);
    if (object->windowed) {
        object->filler_waits = object->filler_lacks = false; /* it is here, and need not be told */
        slide_window(object);
        uint64_t end = body_start(object->body) + (uint64_t)WINDOW_BLOCKS * BLOCK_BYTES;
        uint64_t length = body_length(object->body), left = length < end ? end - length : 0;
        room = left < wanted ? (size_t)left : wanted;
        object->filler_waits = room < wanted;
    }
    unlock(object);
    return room;
}

size_t object_fits(object_t *object, size_t wanted, size_t *lacking)
{
    lock(object);
    size_t fits = body_fits(object->body, wanted, lacking);
    object->filler_lacks = object->windowed && fits < wanted;
    unlock(object);
    return fits;
}

void object_reserve(object_t *object, size_t bytes)
{
    lock(object);
    body_reserve(object->body, bytes);
    unlock(object);
}

void object_append(object_t *object, const void *bytes, size_t length)
{
    lock(object);
    MUST(object_end(object) == OBJECT_OPEN);
    body_append(object->body, bytes, length);
    wake_reached(object);
    unlock(object);
}

unsigned object_cut_laggards(object_t *object)
{
    unsigned cut = 0;
    lock(object);
    uint64_t edge = body_start(object->body) + BLOCK_BYTES;
    uint64_t length = body_length(object->body);
    bool held_back = object->filler_waits || object->filler_lacks; /* else they made room in the meantime */
    for (object_reader_t *reader = object->readers; held_back && reader != NULL; reader = reader->next)
        if (is_reading(reader) && reader->offset < edge && reader->offset < length) {
            reader->behind = true;
            cut++;
            wake_one(reader);
        }
    slide_window(object);
    unlock(object);
    return cut;
}

static void end_with(object_t *object, object_end_t end)
{
    MUST(object_end(object) == OBJECT_OPEN);
    atomic_store_explicit(&object->end, end, memory_order_release);
    object->filler = NULL;
    if (object->body != NULL)
        body_close(object->body);
    wake_all(object);
}

void object_complete(object_t *object)
{
    lock(object);
    if (!object->windowed) {
        body_seal(object->body);
        body_in_one(object->body, &object->whole);
    }
    end_with(object, OBJECT_COMPLETE);
    unlock(object);
    CHECKED(object_check(object));
}

void object_complete_sparse(object_t *object, head_t **head, unsigned flags)
{
    MUST(flags & OBJECT_SPARSE);
    lock(object);
    MUST(object->body == NULL);
    object->body = body_new(object->account, object->version, 0);
    body_seal(object->body);
    publish_head(object, head, flags);
    end_with(object, OBJECT_COMPLETE);
    unlock(object);
    CHECKED(object_check(object));
}

void object_adopt(object_t *object, head_t **head, unsigned flags, object_t *base)
{
    MUST(object_end(base) == OBJECT_COMPLETE && !base->windowed);
    lock(object);
    MUST(object->body == NULL);
    body_ref(base->body);
    object->body = base->body;
    body_in_one(object->body, &object->whole);
    object->revalidated = true;
    publish_head(object, head, flags | (base->flags & OBJECT_SPARSE)); /* a head alone stays that */
    end_with(object, OBJECT_COMPLETE);
    unlock(object);
    CHECKED(object_check(object));
}

void object_fail(object_t *object, object_failure_t failure)
{
    lock(object);
    object->failure = failure;
    end_with(object, OBJECT_FAILED);
    unlock(object);
}

bool object_fail_if_unread(object_t *object, object_failure_t failure)
{
    lock(object);
    bool unread = object->reader_count == 0;
    if (unread) {
        object->failure = failure;
        end_with(object, OBJECT_FAILED);
    }
    unlock(object);
    return unread;
}

bool object_unread(object_t *object)
{
    lock(object);
    bool unread = object->reader_count == 0;
    unlock(object);
    return unread;
}

bool object_keeps(object_t *object)
{
    lock(object);
    bool keeps = !object->windowed || object_end(object) == OBJECT_COMPLETE;
    unlock(object);
    return keeps;
}

uint64_t object_held(object_t *object)
{
    lock(object);
    bool for_readers = object->body != NULL && (object->windowed || object_end(object) == OBJECT_COMPLETE);
    uint64_t held = for_readers ? (uint64_t)body_blocks_held(object->body) * BLOCK_BYTES : 0;
    uint64_t length = for_readers ? body_length(object->body) : 0;
    unlock(object);
    return held < length ? held : length;
}

uint64_t object_taken(object_t *object)
{
    lock(object);
    uint64_t taken = object->taken;
    unlock(object);
    return taken;
}

size_t object_weight(const object_t *object)
{
    MUST(object_end(object) == OBJECT_COMPLETE);
    return sizeof *object + object->selector_length + object_head(object)->charged +
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
    lock(object);
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
    unlock(object);
}
