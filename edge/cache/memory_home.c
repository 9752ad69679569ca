/* Homes: what is known of one key, found through a lock-free index, changed under its shard's lock. */
#include <xxhash.h>

#include "edge/cache/memory_private.h"

enum { HOME_MAGIC = 0x5e1403e };

void shard_lock(shard_t *shard)
{
    MUST(pthread_mutex_lock(&shard->lock) == 0);
}

void shard_unlock(shard_t *shard)
{
    atomic_store_explicit(&shard->queued_bytes, s3fifo_bytes(shard->policy), memory_order_relaxed);
    MUST(pthread_mutex_unlock(&shard->lock) == 0);
}

static void reclaim_home(struct rcu_head *head)
{
    ORDER_ACQUIRE(GRACE_PERIOD);
    home_t *home = CONTAINER_OF(head, home_t, reclaim);
    if (home->member_of != NULL)
        variants_unref(&home->member_of);
    free(home);
}

void home_ref(home_t *home)
{
    atomic_fetch_add_explicit(&home->refs, 1, memory_order_relaxed);
}

bool home_try_ref(home_t *home)
{
    uint32_t refs = atomic_load_explicit(&home->refs, memory_order_relaxed);
    while (refs != 0)
        if (atomic_compare_exchange_weak_explicit(&home->refs, &refs, refs + 1, memory_order_acquire,
                                                  memory_order_relaxed))
            return true;
    return false;
}

void home_unref(home_t **pointer)
{
    home_t *home = *pointer;
    *pointer = NULL;
    MUST_BE(home, HOME_MAGIC);
    if (atomic_fetch_sub_explicit(&home->refs, 1, memory_order_acq_rel) != 1)
        return;
    atomic_fetch_sub_explicit(&home->account->bytes, (int64_t)home->charged, memory_order_relaxed);
    ORDER_RELEASE(GRACE_PERIOD);
    urcu_memb_call_rcu(&home->reclaim, reclaim_home);
}

/* A variant's name is drawn from its key's, its node's id and its selector; that of a part of what is known
 * of a key from its key's and its selector. */
ledger_hash_t memory_name(const cache_key_t *key, const cache_variant_t *variant)
{
    if (variant == NULL)
        return key->subject.url;
    version_id_t id = variant->variants != NULL ? variants_id(variant->variants) : (version_id_t){0, 0};
    uint64_t parts[6] = {key->subject.url.low, key->subject.url.high, id.low, id.high};
    XXH128_hash_t selector = XXH3_128bits(variant->selector.data, variant->selector.length);
    parts[4] = selector.low64;
    parts[5] = selector.high64;
    XXH128_hash_t name = XXH3_128bits(parts, sizeof parts);
    return (ledger_hash_t){name.low64, name.high64};
}

/* Sites' names live as long as the process, so mostly it is the very same text. */
static bool is_same_site(text_t a, text_t b)
{
    return (a.data == b.data && a.length == b.length) || text_equal(a, b);
}

static void prefetch_lines(const void *start, int lines)
{
    for (int i = 0; i < lines; i++)
        __builtin_prefetch((const void *)((uintptr_t)start + (unsigned)i * CACHE_LINE)); /* may be NULL */
}

/* All that a hit will read, of which nothing but the home's first line is known to be near. */
static void prefetch(const home_t *home)
{
    enum { FRONT_LINES = 6 };
    prefetch_lines(&home->growing, 1);
    prefetch_lines(&home->policy.frequency, 1);
    prefetch_lines(home->bytes, 1);
    prefetch_lines(atomic_load_explicit(&home->stored, memory_order_relaxed), 1);
    prefetch_lines(atomic_load_explicit(&home->places.head, memory_order_relaxed), 1);
    prefetch_lines(atomic_load_explicit(&home->places.front, memory_order_relaxed), FRONT_LINES);
}

static int matches(struct cds_lfht_node *node, const void *wanted)
{
    const home_t *home = CONTAINER_OF(node, home_t, node);
    const probe_t *probe = wanted;
    ORDER_ACQUIRE(node);
    if (home->name_high != probe->name.high) /* that the lower half is the same was found by the index */
        return 0;
    prefetch(home);
    if (!text_equal(home->key.target, probe->key->target) || !is_same_site(home->key.site, probe->key->site))
        return 0;
    if (probe->variant == NULL)
        return home->member_of == NULL && home->selector.data == NULL;
    if ((home->member_of == NULL) != (probe->variant->variants == NULL))
        return 0;
    if (home->member_of == NULL)
        return text_equal(home->selector, probe->variant->selector);
    version_id_t a = variants_id(home->member_of), b = variants_id(probe->variant->variants);
    return a.low == b.low && a.high == b.high && text_equal(home->selector, probe->variant->selector);
}

home_t *memory_find(memory_t *memory, const probe_t *probe)
{
    struct cds_lfht_iter iterator;
    cds_lfht_lookup(memory->index, (unsigned long)probe->name.low, matches, probe, &iterator);
    struct cds_lfht_node *node = cds_lfht_iter_get_node(&iterator);
    return node ? CONTAINER_OF(node, home_t, node) : NULL;
}

home_t *memory_find_locked(memory_t *memory, const probe_t *probe)
{
    urcu_memb_read_lock();
    home_t *home = memory_find(memory, probe);
    ORDER_RELEASE(GRACE_PERIOD);
    urcu_memb_read_unlock();
    return home;
}

static home_t *home_new(memory_t *memory, const probe_t *probe)
{
    text_t target = probe->key->target;
    text_t selector = probe->variant ? probe->variant->selector : (text_t){NULL, 0};
    size_t size = sizeof(home_t) + target.length + selector.length;
    home_t *home = must_calloc_aligned(size);
    home->magic = HOME_MAGIC;
    atomic_init(&home->refs, 1);
    home->name_high = probe->name.high;
    home->key = *probe->key;
    memcpy(home->bytes, target.data, target.length);
    home->key.target = (text_t){home->bytes, target.length};
    if (probe->variant != NULL) {
        if (selector.length > 0)
            memcpy(home->bytes + target.length, selector.data, selector.length);
        home->selector = (text_t){home->bytes + target.length, selector.length};
        home->member_of = (variants_t *)probe->variant->variants;
        if (home->member_of != NULL)
            variants_ref(home->member_of);
    }
    home->shard = &memory->shards[probe->name.high % memory->shard_count];
    home->policy.hash = probe->name.low ^ (probe->name.high << 1);
    home->account = &memory->account;
    home->charged = size;
    atomic_fetch_add_explicit(&memory->account.bytes, (int64_t)size, memory_order_relaxed);
    cds_lfht_node_init(&home->node);
    return home;
}

home_t *memory_home(memory_t *memory, const cache_key_t *key, const cache_variant_t *variant)
{
    probe_t probe = {memory_name(key, variant), key, variant};
    home_t *home = NULL, *fresh = NULL;
    for (;;) {
        urcu_memb_read_lock();
        home = memory_find(memory, &probe);
        if (home == NULL && fresh != NULL) {
            home_ref(fresh); /* the index's reference is the first, this one is the caller's */
            ORDER_RELEASE(&fresh->node);
            struct cds_lfht_node *node = cds_lfht_add_unique(memory->index, (unsigned long)probe.name.low,
                                                             matches, &probe, &fresh->node);
            home = CONTAINER_OF(node, home_t, node);
            if (home == fresh) {
                ORDER_RELEASE(GRACE_PERIOD);
                urcu_memb_read_unlock();
                return home;
            }
            home_t *extra = fresh;
            home_unref(&extra);
        }
        bool taken = home != NULL && home_try_ref(home);
        ORDER_RELEASE(GRACE_PERIOD);
        urcu_memb_read_unlock();
        if (taken)
            break;
        if (fresh == NULL)
            fresh = home_new(memory, &probe);
    }
    if (fresh != NULL)
        home_unref(&fresh);
    return home;
}

/* --- Changes, under the shard's lock --- */

static size_t weight_of(const home_t *home)
{
    object_t *stored = atomic_load_explicit(&home->stored, memory_order_relaxed);
    size_t weight = home->charged;
    if (stored != NULL)
        weight += object_weight(stored);
    return weight;
}

/* Queues, unqueues or reweighs a home by what it holds now; takes an empty one out of the index. */
void home_settle(memory_t *memory, home_t *home, leavings_t *left)
{
    bool holds = atomic_load_explicit(&home->stored, memory_order_relaxed) != NULL ||
                 atomic_load_explicit(&home->variants, memory_order_relaxed) != NULL ||
                 atomic_load_explicit(&home->bypass_until_ms, memory_order_relaxed) != 0;
    s3fifo_t *policy = home->shard->policy;
    if (holds && home_is_queued(home))
        s3fifo_resize(policy, &home->policy, weight_of(home));
    else if (holds)
        s3fifo_insert(policy, &home->policy, weight_of(home));
    else if (home_is_queued(home))
        s3fifo_remove(policy, &home->policy);
    bool empty = !holds && atomic_load_explicit(&home->growing, memory_order_relaxed) == NULL;
    if (empty && !home->removed) {
        home->removed = true;
        urcu_memb_read_lock();
        MUST(cds_lfht_del(memory->index, &home->node) == 0);
        ORDER_RELEASE(GRACE_PERIOD);
        urcu_memb_read_unlock();
        left->home = home;
    }
}

/* Releases what was let go of. Never under a lock: freeing a body takes its time. */
void leavings_release(memory_t *memory, leavings_t *left)
{
    for (size_t i = 0; i < 2; i++)
        if (left->objects[i] != NULL)
            object_unref(&left->objects[i]);
    if (left->variants != NULL)
        variants_unref(&left->variants);
    if (left->list != NULL) {
        for (size_t i = 0; i < left->list->count; i++)
            home_unref(&left->list->homes[i]);
        atomic_fetch_sub_explicit(&memory->account.bytes, (int64_t)sizeof *left->list, memory_order_relaxed);
        free(left->list);
    }
    if (left->home != NULL)
        home_unref(&left->home);
}

void home_take_stored(memory_t *memory, home_t *home, leavings_t *left)
{
    left->objects[0] = home_swap(&home->stored, NULL);
    if (left->objects[0] != NULL)
        atomic_fetch_sub_explicit(&memory->objects, 1, memory_order_relaxed);
}

/* Everything but the growing object. */
void home_take_all(memory_t *memory, home_t *home, leavings_t *left)
{
    home_take_stored(memory, home, left);
    left->variants = atomic_exchange_explicit(&home->variants, NULL, memory_order_acq_rel);
    left->list = home->list;
    home->list = NULL;
    atomic_store_explicit(&home->bypass_until_ms, 0, memory_order_relaxed);
}
