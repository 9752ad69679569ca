#include "edge/cache/memory_private.h"
#include "edge/cache/pieces.h"

#if defined(__SANITIZE_THREAD__)
/* Both libraries count references by instructions that ThreadSanitizer does not see. */
const char *__tsan_default_suppressions(void);
const char *__tsan_default_suppressions(void)
{
    return "called_from_lib:liburcu-memb.so\n" /* what a barrier leaves, freed by the last of two threads */
           "called_from_lib:liburcu-cds.so\n"; /* what a wait leaves, freed by the last of two threads */
}
#endif

memory_t *memory_new(const memory_config_t *config)
{
    memory_t *memory = must_calloc(1, sizeof *memory);
    memory->config = *config;
    memory_set_max_object(memory, config->max_object_bytes);
    memory->index = cds_lfht_new_flavor(1024, 1024, 0, CDS_LFHT_AUTO_RESIZE | CDS_LFHT_ACCOUNTING,
                                        &urcu_memb_flavor, NULL);
    MUST(memory->index != NULL);
    uint64_t shards = config->limit_bytes / SHARD_BYTES;
    memory->shard_count = shards < 1 ? 1 : shards > SHARDS_MAX ? SHARDS_MAX : (unsigned)shards;
    for (unsigned i = 0; i < memory->shard_count; i++) {
        MUST(pthread_mutex_init(&memory->shards[i].lock, NULL) == 0);
        memory->shards[i].policy = s3fifo_new((size_t)(config->limit_bytes / memory->shard_count));
    }
    return memory;
}

void memory_attach_thread(void)
{
    urcu_memb_register_thread();
}

void memory_detach_thread(void)
{
    urcu_memb_unregister_thread();
}

void memory_settle(void)
{
    urcu_memb_barrier();
}

/* --- Looking --- */

static object_t *take_object(object_t *_Atomic *place)
{
    object_t *object;
    /* One that cannot be taken has been replaced in its place before its last reference went. */
    do
        object = atomic_load_explicit(place, memory_order_acquire);
    while (object != NULL && !object_try_ref(object));
    return object;
}

static variants_t *take_variants(variants_t *_Atomic *place)
{
    variants_t *variants;
    do
        variants = atomic_load_explicit(place, memory_order_acquire);
    while (variants != NULL && !variants_try_ref(variants));
    return variants;
}

static void mend(const void *_Atomic *place, const void *now)
{
    if (atomic_load_explicit(place, memory_order_relaxed) != now)
        atomic_store_explicit(place, now, memory_order_relaxed);
}

static void mend_places(places_t *places, const object_t *stored)
{
    const head_t *head = object_head(stored);
    mend(&places->head, head);
    mend(&places->front, atomic_load_explicit(&head->front, memory_order_relaxed));
}

static void take_view(home_t *home, memory_view_t *view)
{
    /* In this order, the reverse of memory_store()'s: what grows no more is found stored. */
    view->growing = take_object(&home->growing);
    view->stored = take_object(&home->stored);
    if (atomic_load_explicit(&home->variants, memory_order_relaxed) != NULL)
        view->variants = take_variants(&home->variants);
    view->bypass_until_ms = atomic_load_explicit(&home->bypass_until_ms, memory_order_acquire);
    view->bypass_stamp = atomic_load_explicit(&home->bypass_stamp, memory_order_relaxed);
}

memory_view_t memory_peek(memory_t *memory, const cache_key_t *key, const cache_variant_t *variant,
                          size_t *variants)
{
    probe_t probe = {memory_name(key, variant), key, variant};
    memory_view_t view = {0};
    urcu_memb_read_lock();
    home_t *home = memory_find(memory, &probe);
    if (home != NULL)
        take_view(home, &view);
    if (variants != NULL)
        *variants = 0;
    if (variants != NULL && home != NULL) {
        shard_lock(home->shard);
        *variants = home->list != NULL ? home->list->count : 0;
        shard_unlock(home->shard);
    }
    ORDER_RELEASE(GRACE_PERIOD);
    urcu_memb_read_unlock();
    return view;
}

memory_view_t memory_look(memory_t *memory, const cache_key_t *key, const cache_variant_t *variant)
{
    probe_t probe = {memory_name(key, variant), key, variant};
    memory_view_t view = {0};
    urcu_memb_read_lock();
    home_t *home = memory_find(memory, &probe);
    if (home != NULL) {
        take_view(home, &view);
        if (view.stored != NULL)
            mend_places(&home->places, view.stored);
        s3fifo_touch(&home->policy);
    }
    ORDER_RELEASE(GRACE_PERIOD);
    urcu_memb_read_unlock();
    return view;
}

void memory_view_drop(memory_view_t *view)
{
    if (view->stored != NULL)
        object_unref(&view->stored);
    if (view->growing != NULL)
        object_unref(&view->growing);
    if (view->variants != NULL)
        variants_unref(&view->variants);
}

/* --- Objects, and the steps of their fills --- */

static void reclaim_object(struct rcu_head *head)
{
    ORDER_ACQUIRE(GRACE_PERIOD);
    object_destroy(object_of_reclaim(head));
}

static void release_object(object_t *object)
{
    home_t *home = object_home(object);
    if (home != NULL)
        home_unref(&home);
    ORDER_RELEASE(GRACE_PERIOD);
    urcu_memb_call_rcu(object_reclaim(object), reclaim_object);
}

object_t *memory_new_object(memory_t *memory, const ledger_subject_t *subject, uint64_t stamp)
{
    return memory_new_object_as(memory, subject, stamp, memory->config.new_version(memory->config.context));
}

object_t *memory_new_object_as(memory_t *memory, const ledger_subject_t *subject, uint64_t stamp,
                               version_id_t version)
{
    return object_new(&memory->account, subject, stamp, version, release_object);
}

/* Is it still as it was seen? */
static bool is_as_seen(const home_t *home, const memory_view_t *seen)
{
    object_t *growing = atomic_load_explicit(&home->growing, memory_order_relaxed);
    if (seen == NULL)
        return growing == NULL;
    return growing == seen->growing &&
           atomic_load_explicit(&home->stored, memory_order_relaxed) == seen->stored &&
           atomic_load_explicit(&home->variants, memory_order_relaxed) == seen->variants;
}

bool memory_begin(memory_t *memory, home_t *home, object_t *object, const memory_view_t *seen)
{
    leavings_t left = {0};
    home_t *before = NULL;
    shard_lock(home->shard);
    bool possible = !home->removed && is_as_seen(home, seen);
    if (possible) {
        before = object_home(object);
        home_ref(home);
        object_set_home(object, home);
        object_ref(object);
        left.objects[0] = home_swap(&home->growing, object);
    } else if (!home->removed)
        home_settle(memory, home, &left); /* perhaps it was made for this alone */
    shard_unlock(home->shard);
    leavings_release(memory, &left);
    if (before != NULL)
        home_unref(&before);
    return possible;
}

bool memory_withdraw(memory_t *memory, object_t *object, int64_t bypass_until_ms)
{
    home_t *home = object_home(object);
    if (home == NULL)
        return false;
    leavings_t left = {0};
    shard_lock(home->shard);
    bool ours = home_points_at(home, object);
    if (ours) {
        left.objects[1] = home_swap(&home->growing, NULL);
        if (bypass_until_ms > 0) {
            atomic_store_explicit(&home->bypass_stamp, object_stamp(object), memory_order_relaxed);
            atomic_store_explicit(&home->bypass_until_ms, bypass_until_ms, memory_order_release);
        }
        home_settle(memory, home, &left);
    }
    shard_unlock(home->shard);
    leavings_release(memory, &left);
    return ours;
}

/* Where a whole is, one in pieces is none any more: it may have come from below meanwhile. */
static void tell_stored(memory_t *memory, object_t *object)
{
    const home_t *home = object_home(object);
    if (memory->below.stored == NULL)
        return;
    if (home->selector.data == NULL)
        pieces_forget_sparse(memory, &home->key, (text_t){NULL, 0});
    memory->below.stored(memory->below.context, object);
}

bool memory_store(memory_t *memory, object_t *object)
{
    home_t *home = object_home(object);
    if (home == NULL)
        return false;
    MUST(object_end(object) == OBJECT_COMPLETE);
    leavings_t left = {0};
    object_t *confirmed = home_confirmed(memory, home, object);
    shard_lock(home->shard);
    bool ours = home_points_at(home, object);
    if (ours) {
        left.objects[0] = home_swap(&home->stored, object);
        home_swap(&home->growing, NULL); /* its reference became that of `stored` */
        if (left.objects[0] == NULL)
            atomic_fetch_add_explicit(&memory->objects, 1, memory_order_relaxed);
        atomic_store_explicit(&home->bypass_until_ms, 0, memory_order_relaxed);
        home_replaced(memory, home, left.objects[0], object, confirmed);
        home_settle(memory, home, &left);
    }
    shard_unlock(home->shard);
    leavings_release(memory, &left);
    if (confirmed != NULL)
        object_unref(&confirmed);
    memory_make_room(memory, 0);
    if (ours)
        tell_stored(memory, object);
    return ours;
}

/* Under the lock of the home's shard. */
static void put_stored(memory_t *memory, home_t *home, object_t *object, const object_t *confirmed,
                       leavings_t *left)
{
    home_ref(home);
    object_set_home(object, home);
    object_ref(object);
    left->objects[0] = home_swap(&home->stored, object);
    if (left->objects[0] == NULL)
        atomic_fetch_add_explicit(&memory->objects, 1, memory_order_relaxed);
    home_replaced(memory, home, left->objects[0], object, confirmed);
    home_settle(memory, home, left);
}

bool memory_put(memory_t *memory, home_t *home, object_t *object)
{
    leavings_t left = {0};
    MUST(object_end(object) == OBJECT_COMPLETE && object_home(object) == NULL);
    object_t *confirmed = home_confirmed(memory, home, object);
    shard_lock(home->shard);
    bool possible = !home->removed;
    if (possible)
        put_stored(memory, home, object, confirmed, &left);
    shard_unlock(home->shard);
    leavings_release(memory, &left);
    if (confirmed != NULL)
        object_unref(&confirmed);
    memory_make_room(memory, 0);
    if (possible)
        tell_stored(memory, object);
    return possible;
}

bool memory_replace(memory_t *memory, object_t *stored, object_t *object)
{
    home_t *home = object_home(stored);
    leavings_t left = {0};
    MUST(object_end(object) == OBJECT_COMPLETE && object_home(object) == NULL);
    if (home == NULL) /* it was for one request alone */
        return false;
    object_t *confirmed = home_confirmed(memory, home, object);
    shard_lock(home->shard);
    bool possible = atomic_load_explicit(&home->stored, memory_order_relaxed) == stored;
    if (possible)
        put_stored(memory, home, object, confirmed, &left);
    shard_unlock(home->shard);
    leavings_release(memory, &left);
    if (confirmed != NULL)
        object_unref(&confirmed);
    memory_make_room(memory, 0);
    if (possible)
        tell_stored(memory, object);
    return possible;
}

/* Is it that one, or from a record of it, or of one that it only confirmed? */
static bool is_no_newer(const object_t *object, const object_t *than)
{
    version_id_t a = object_body_version(object), b = object_body_version(than);
    return object == than ||
           (a.low == b.low && a.high == b.high && object_stamp(object) <= object_stamp(than) &&
            object_head(object)->response_time_ms <= object_head(than)->response_time_ms);
}

/* It may have been evicted, with its home, and read from below since. */
void memory_forget(memory_t *memory, object_t *stored)
{
    const home_t *own = object_home(stored);
    const cache_variant_t variant = {own->member_of, own->selector};
    const probe_t probe = {home_name(own), &own->key, own->selector.data != NULL ? &variant : NULL};
    leavings_t left = {0};
    shard_lock(own->shard);
    home_t *home = memory_find_locked(memory, &probe);
    const object_t *now = home != NULL ? atomic_load_explicit(&home->stored, memory_order_relaxed) : NULL;
    bool goes = now == NULL || is_no_newer(now, stored); /* evicted here, it may still be below */
    if (goes)
        home_gone(memory, own);
    if (goes && now != NULL) {
        home_take_stored(memory, home, &left);
        home_settle(memory, home, &left);
    }
    shard_unlock(own->shard);
    leavings_release(memory, &left);
}

/* --- Room --- */

static bool evict_one(memory_t *memory, shard_t *shard)
{
    leavings_t left = {0};
    shard_lock(shard);
    s3fifo_node_t *victim = s3fifo_evict(shard->policy);
    if (victim != NULL) {
        home_t *home = CONTAINER_OF(victim, home_t, policy);
        home_take_all(memory, home, &left);
        home_settle(memory, home, &left);
    }
    shard_unlock(shard);
    leavings_release(memory, &left);
    return victim != NULL;
}

static bool has_room(const memory_t *memory, size_t bytes)
{
    return memory_bytes(memory) + bytes <= memory->config.limit_bytes;
}

static uint64_t queued_bytes(const memory_t *memory)
{
    uint64_t sum = 0;
    for (unsigned i = 0; i < memory->shard_count; i++)
        sum += atomic_load_explicit(&memory->shards[i].queued_bytes, memory_order_relaxed);
    return sum;
}

/* False when there was nothing to evict. */
static bool evict_next(memory_t *memory)
{
    for (unsigned i = 0; i < memory->shard_count; i++) {
        unsigned turn = atomic_fetch_add_explicit(&memory->next_shard, 1, memory_order_relaxed);
        if (evict_one(memory, &memory->shards[turn % memory->shard_count]))
            return true;
    }
    return false;
}

/* False: what is left is kept. */
static bool evict_more(memory_t *memory)
{
    return queued_bytes(memory) > memory->config.limit_bytes / MEMORY_KEPT_PART && evict_next(memory);
}

bool memory_make_room(memory_t *memory, size_t bytes)
{
    while (!has_room(memory, bytes))
        if (!evict_more(memory))
            return false;
    return true;
}

bool memory_reserve(memory_t *memory, size_t bytes)
{
    while (!memory_promise(&memory->account, bytes, memory->config.limit_bytes))
        if (!evict_more(memory))
            return false;
    return true;
}

void memory_evict_all(memory_t *memory)
{
    while (evict_next(memory))
        continue;
}

uint64_t memory_pinned_bytes(const memory_t *memory)
{
    uint64_t bytes = memory_bytes(memory), queued = queued_bytes(memory);
    return bytes > queued ? bytes - queued : 0;
}

uint64_t memory_held_by_readers(object_t *object)
{
    home_t *home = object_end(object) == OBJECT_COMPLETE ? object_home(object) : NULL;
    if (home != NULL && atomic_load_explicit(&home->stored, memory_order_relaxed) == object)
        return 0;
    return object_held(object);
}

bool memory_is_pressed(const memory_t *memory)
{
    enum { NEARLY_FULL_PART = 16 };
    uint64_t limit = memory->config.limit_bytes;
    return !has_room(memory, limit / NEARLY_FULL_PART) && queued_bytes(memory) <= limit / MEMORY_KEPT_PART;
}

uint64_t memory_max_object(const memory_t *memory)
{
    return atomic_load_explicit(&memory->max_object_bytes, memory_order_relaxed);
}

void memory_set_max_object(memory_t *memory, uint64_t bytes)
{
    atomic_store_explicit(&memory->max_object_bytes, bytes, memory_order_relaxed);
}

uint64_t memory_limit(const memory_t *memory)
{
    return memory->config.limit_bytes;
}

uint64_t memory_bytes(const memory_t *memory)
{
    int64_t bytes = atomic_load_explicit(&memory->account.bytes, memory_order_relaxed);
    return bytes > 0 ? (uint64_t)bytes : 0;
}

uint64_t memory_objects(const memory_t *memory)
{
    return (uint64_t)atomic_load_explicit(&memory->objects, memory_order_relaxed);
}

memory_account_t *memory_account(memory_t *memory)
{
    return &memory->account;
}

void memory_check(memory_t *memory)
{
    for (unsigned i = 0; i < memory->shard_count; i++) {
        shard_lock(&memory->shards[i]);
        s3fifo_check(memory->shards[i].policy);
        shard_unlock(&memory->shards[i]);
    }
}

void memory_free(memory_t **pointer)
{
    memory_t *memory = *pointer;
    *pointer = NULL;
    memory_evict_all(memory);
    urcu_memb_barrier();
    urcu_memb_barrier(); /* what the first round's reclamation let go of in turn */
    MUST(cds_lfht_destroy(memory->index, NULL) == 0);
    for (unsigned i = 0; i < memory->shard_count; i++) {
        s3fifo_free(&memory->shards[i].policy);
        pthread_mutex_destroy(&memory->shards[i].lock);
    }
    free(memory);
}
