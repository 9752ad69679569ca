#include "edge/cache/memory.h"

#include <pthread.h>
#include <urcu/rculfhash.h>
#include <xxhash.h>

#include "edge/cache/order.h"
#include "edge/cache/s3fifo.h"

enum {
    HOME_MAGIC = 0x5e1403e,
    SHARD_BYTES = 256 << 20,
    SHARDS_MAX = 64,
    VARIANTS_PER_KEY = 64,
    INVALIDATED_CELLS = 1024
};

#if defined(__SANITIZE_THREAD__)
/* What liburcu allocates on one of its threads and frees on another. */
const char *__tsan_default_suppressions(void);
const char *__tsan_default_suppressions(void)
{
    return "called_from_lib:liburcu-memb.so\n"
           "called_from_lib:liburcu-cds.so\n";
}
#endif

typedef struct shard {
    pthread_mutex_t lock;
    s3fifo_t *policy; /* under the lock */
} shard_t;

/* The variants of a primary key that are known, so that they can be capped and invalidated. */
typedef struct {
    size_t count, next;
    home_t *homes[VARIANTS_PER_KEY]; /* references */
} variant_list_t;

struct home {
    /* What a look reads comes first, on two lines of the processor's cache. */
    uint32_t magic;
    /* One by the index, one by each object that refers to it, one by each list of variants. */
    _Atomic uint32_t refs;
    struct cds_lfht_node node;
    ledger_hash_t name;
    /* Written under the shard's lock, read by anybody inside a read section. */
    object_t *_Atomic stored;
    object_t *_Atomic growing;
    variants_t *_Atomic variants;
    _Atomic int64_t bypass_until_ms;
    _Atomic uint64_t bypass_stamp;
    /* Fixed after creation. */
    variants_t *member_of; /* a reference; NULL in a primary key's home */
    cache_key_t key;       /* its target and selector point into `bytes` */
    text_t selector;
    shard_t *shard;
    memory_account_t *account;
    size_t charged;
    struct rcu_head reclaim;
    /* Under the shard's lock. */
    bool removed;
    uint64_t variants_stamp; /* of the latest fill that the node of variants is for */
    variant_list_t *list;
    s3fifo_node_t policy; /* queued while something but a growing object is here */
    char bytes[];
};

struct memory {
    memory_config_t config;
    memory_account_t account;
    _Atomic int64_t objects;
    struct cds_lfht *index;
    _Atomic unsigned next_shard; /* where room is made next */
    /* Invalidations so far, and by a hash of the key the number of its last one: keys that share a cell are
     * taken for one another, which may keep a little too little. */
    _Atomic uint64_t invalidations, invalidated[INVALIDATED_CELLS];
    unsigned shard_count;
    shard_t shards[SHARDS_MAX];
};

/* What a change under a lock let go of, to be released after it. */
typedef struct {
    object_t *objects[2];
    variants_t *variants;
    variant_list_t *list;
    home_t *home;
} leavings_t;

memory_t *memory_new(const memory_config_t *config)
{
    memory_t *memory = must_calloc(1, sizeof *memory);
    memory->config = *config;
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

/* --- Homes --- */

static void lock(shard_t *shard)
{
    MUST(pthread_mutex_lock(&shard->lock) == 0);
}

static void unlock(shard_t *shard)
{
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

static void home_ref(home_t *home)
{
    atomic_fetch_add_explicit(&home->refs, 1, memory_order_relaxed);
}

static bool home_try_ref(home_t *home)
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

const ledger_subject_t *home_subject(const home_t *home)
{
    return &home->key.subject;
}

const variants_t *home_variants(const home_t *home)
{
    return home->member_of;
}

/* A variant's name is drawn from its key's, its node's id and its selector. */
static ledger_hash_t name_of(const cache_key_t *key, const cache_variant_t *variant)
{
    if (variant == NULL)
        return key->subject.url;
    version_id_t id = variants_id(variant->variants);
    uint64_t parts[6] = {key->subject.url.low, key->subject.url.high, id.low, id.high};
    XXH128_hash_t selector = XXH3_128bits(variant->selector.data, variant->selector.length);
    parts[4] = selector.low64;
    parts[5] = selector.high64;
    XXH128_hash_t name = XXH3_128bits(parts, sizeof parts);
    return (ledger_hash_t){name.low64, name.high64};
}

typedef struct {
    ledger_hash_t name;
    const cache_key_t *key;
    const cache_variant_t *variant;
} probe_t;

/* Sites' names live as long as the process, so mostly it is the very same text. */
static bool is_same_site(text_t a, text_t b)
{
    return (a.data == b.data && a.length == b.length) || text_equal(a, b);
}

static int matches(struct cds_lfht_node *node, const void *wanted)
{
    const home_t *home = CONTAINER_OF(node, home_t, node);
    const probe_t *probe = wanted;
    ORDER_ACQUIRE(node);
    if (home->name.low != probe->name.low || home->name.high != probe->name.high)
        return 0;
    if (!text_equal(home->key.target, probe->key->target) || !is_same_site(home->key.site, probe->key->site))
        return 0;
    if (probe->variant == NULL)
        return home->member_of == NULL;
    if (home->member_of == NULL)
        return 0;
    version_id_t a = variants_id(home->member_of), b = variants_id(probe->variant->variants);
    return a.low == b.low && a.high == b.high && text_equal(home->selector, probe->variant->selector);
}

static home_t *find(memory_t *memory, const probe_t *probe)
{
    struct cds_lfht_iter iterator;
    cds_lfht_lookup(memory->index, (unsigned long)probe->name.low, matches, probe, &iterator);
    struct cds_lfht_node *node = cds_lfht_iter_get_node(&iterator);
    return node ? CONTAINER_OF(node, home_t, node) : NULL;
}

static home_t *home_new(memory_t *memory, const probe_t *probe)
{
    text_t target = probe->key->target;
    text_t selector = probe->variant ? probe->variant->selector : (text_t){NULL, 0};
    size_t size = sizeof(home_t) + target.length + selector.length;
    home_t *home = must_calloc_aligned(size);
    home->magic = HOME_MAGIC;
    atomic_init(&home->refs, 1);
    home->name = probe->name;
    home->key = *probe->key;
    memcpy(home->bytes, target.data, target.length);
    home->key.target = (text_t){home->bytes, target.length};
    if (probe->variant != NULL) {
        if (selector.length > 0)
            memcpy(home->bytes + target.length, selector.data, selector.length);
        home->selector = (text_t){home->bytes + target.length, selector.length};
        home->member_of = (variants_t *)probe->variant->variants;
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
    probe_t probe = {name_of(key, variant), key, variant};
    home_t *home = NULL, *fresh = NULL;
    for (;;) {
        urcu_memb_read_lock();
        home = find(memory, &probe);
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

memory_view_t memory_look(memory_t *memory, const cache_key_t *key, const cache_variant_t *variant)
{
    probe_t probe = {name_of(key, variant), key, variant};
    memory_view_t view = {0};
    urcu_memb_read_lock();
    home_t *home = find(memory, &probe);
    if (home != NULL) {
        /* In this order, the reverse of memory_store()'s: what grows no more is found stored. */
        view.growing = take_object(&home->growing);
        view.stored = take_object(&home->stored);
        if (view.stored != NULL)
            object_prefetch(view.stored);
        if (atomic_load_explicit(&home->variants, memory_order_relaxed) != NULL)
            view.variants = take_variants(&home->variants);
        view.bypass_until_ms = atomic_load_explicit(&home->bypass_until_ms, memory_order_acquire);
        view.bypass_stamp = atomic_load_explicit(&home->bypass_stamp, memory_order_relaxed);
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

/* --- Changes, under the shard's lock --- */

static object_t *swap_object(object_t *_Atomic *place, object_t *object)
{
    return atomic_exchange_explicit(place, object, memory_order_acq_rel);
}

static bool is_queued(const home_t *home)
{
    return home->policy.queue != S3FIFO_NOWHERE;
}

static size_t weight_of(const home_t *home)
{
    object_t *stored = atomic_load_explicit(&home->stored, memory_order_relaxed);
    size_t weight = home->charged;
    if (stored != NULL)
        weight += object_weight(stored);
    return weight;
}

/* Queues, unqueues or reweighs a home by what it holds now; takes an empty one out of the index. */
static void settle_home(memory_t *memory, home_t *home, leavings_t *left)
{
    bool holds = atomic_load_explicit(&home->stored, memory_order_relaxed) != NULL ||
                 atomic_load_explicit(&home->variants, memory_order_relaxed) != NULL ||
                 atomic_load_explicit(&home->bypass_until_ms, memory_order_relaxed) != 0;
    s3fifo_t *policy = home->shard->policy;
    if (holds && is_queued(home))
        s3fifo_resize(policy, &home->policy, weight_of(home));
    else if (holds)
        s3fifo_insert(policy, &home->policy, weight_of(home));
    else if (is_queued(home))
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
static void release(memory_t *memory, leavings_t *left)
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

static void take_stored(memory_t *memory, home_t *home, leavings_t *left)
{
    left->objects[0] = swap_object(&home->stored, NULL);
    if (left->objects[0] != NULL)
        atomic_fetch_sub_explicit(&memory->objects, 1, memory_order_relaxed);
}

/* Everything but the growing object. */
static void take_all(memory_t *memory, home_t *home, leavings_t *left)
{
    take_stored(memory, home, left);
    left->variants = atomic_exchange_explicit(&home->variants, NULL, memory_order_acq_rel);
    left->list = home->list;
    home->list = NULL;
    atomic_store_explicit(&home->bypass_until_ms, 0, memory_order_relaxed);
}

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
    version_id_t version = memory->config.new_version(memory->config.context);
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
    lock(home->shard);
    bool possible = !home->removed && is_as_seen(home, seen);
    if (possible) {
        before = object_home(object);
        home_ref(home);
        object_set_home(object, home);
        object_ref(object);
        left.objects[0] = swap_object(&home->growing, object);
    } else if (!home->removed)
        settle_home(memory, home, &left); /* perhaps it was made for this alone */
    unlock(home->shard);
    release(memory, &left);
    if (before != NULL)
        home_unref(&before);
    return possible;
}

static bool points_at(home_t *home, object_t *object)
{
    return atomic_load_explicit(&home->growing, memory_order_relaxed) == object;
}

bool memory_withdraw(memory_t *memory, object_t *object, int64_t bypass_until_ms)
{
    home_t *home = object_home(object);
    if (home == NULL)
        return false;
    leavings_t left = {0};
    lock(home->shard);
    bool ours = points_at(home, object);
    if (ours) {
        left.objects[1] = swap_object(&home->growing, NULL);
        if (bypass_until_ms > 0) {
            atomic_store_explicit(&home->bypass_stamp, object_stamp(object), memory_order_relaxed);
            atomic_store_explicit(&home->bypass_until_ms, bypass_until_ms, memory_order_release);
        }
        settle_home(memory, home, &left);
    }
    unlock(home->shard);
    release(memory, &left);
    return ours;
}

bool memory_store(memory_t *memory, object_t *object)
{
    home_t *home = object_home(object);
    if (home == NULL)
        return false;
    MUST(object_end(object) == OBJECT_COMPLETE);
    leavings_t left = {0};
    lock(home->shard);
    bool ours = points_at(home, object);
    if (ours) {
        left.objects[0] = swap_object(&home->stored, object);
        swap_object(&home->growing, NULL); /* its reference became that of `stored` */
        if (left.objects[0] == NULL)
            atomic_fetch_add_explicit(&memory->objects, 1, memory_order_relaxed);
        atomic_store_explicit(&home->bypass_until_ms, 0, memory_order_relaxed);
        settle_home(memory, home, &left);
    }
    unlock(home->shard);
    release(memory, &left);
    memory_make_room(memory);
    return ours;
}

void memory_forget(memory_t *memory, object_t *stored)
{
    home_t *home = object_home(stored);
    leavings_t left = {0};
    lock(home->shard);
    if (atomic_load_explicit(&home->stored, memory_order_relaxed) == stored) {
        take_stored(memory, home, &left);
        settle_home(memory, home, &left);
    }
    unlock(home->shard);
    release(memory, &left);
}

/* --- Variants --- */

/* Notes a variant's home in its primary's list; the oldest beyond the cap is let go of. */
static home_t *list_variant(memory_t *memory, home_t *primary, home_t *variant)
{
    variant_list_t *list = primary->list;
    if (list == NULL) {
        list = primary->list = must_calloc(1, sizeof *list);
        atomic_fetch_add_explicit(&memory->account.bytes, (int64_t)sizeof *list, memory_order_relaxed);
    }
    for (size_t i = 0; i < list->count; i++)
        if (list->homes[i] == variant)
            return NULL;
    home_ref(variant);
    if (list->count < VARIANTS_PER_KEY) {
        list->homes[list->count++] = variant;
        return NULL;
    }
    home_t *oldest = list->homes[list->next];
    list->homes[list->next] = variant;
    list->next = (list->next + 1) % VARIANTS_PER_KEY;
    return oldest;
}

/* Empties a variant's home; only its shard's lock is held. */
static void clear_home(memory_t *memory, home_t *home, bool growing_too)
{
    leavings_t left = {0};
    lock(home->shard);
    take_all(memory, home, &left);
    if (growing_too)
        left.objects[1] = swap_object(&home->growing, NULL);
    if (!home->removed)
        settle_home(memory, home, &left);
    unlock(home->shard);
    release(memory, &left);
}

/* The node for responses that vary like this: the one there is now (may be NULL) when that covers them, else
 * a new one for all that both name or, when that is too much, for this response alone. A reference. NULL when
 * there is nothing to tell apart. */
static variants_t *node_for(variants_t *now, const http_vary_t *vary, version_id_t id)
{
    if (now != NULL && variants_cover(now, vary)) {
        variants_ref(now);
        return now;
    }
    if (vary->count == 0)
        return NULL;
    variants_t *node = variants_new(now, vary, id);
    return node != NULL ? node : variants_new(NULL, vary, id);
}

/* Makes the primary lead to this node instead of the one there was. False when it leads elsewhere by now. */
static bool lead_to(memory_t *memory, home_t *primary, const variants_t *now, variants_t *node,
                    uint64_t stamp)
{
    leavings_t left = {0};
    lock(primary->shard);
    bool same = !primary->removed && atomic_load_explicit(&primary->variants, memory_order_relaxed) == now;
    if (same && node != now) {
        take_stored(memory, primary, &left); /* looked for among the variants from now on */
        variants_ref(node);
        primary->variants_stamp = stamp;
        left.variants = atomic_exchange_explicit(&primary->variants, node, memory_order_acq_rel);
        left.list = primary->list; /* they are out of reach now */
        primary->list = NULL;
        settle_home(memory, primary, &left);
    } else if (same && primary->variants_stamp < stamp)
        primary->variants_stamp = stamp; /* a purge of before no longer is one of all that it leads to */
    unlock(primary->shard);
    release(memory, &left);
    return same;
}

/* Lets it grow here too, unless something else does; a home that was made for nothing goes again. */
static bool put_growing(memory_t *memory, home_t *home, object_t *object)
{
    leavings_t left = {0};
    lock(home->shard);
    bool possible = !home->removed && points_at(home, NULL);
    if (possible) {
        object_ref(object);
        swap_object(&home->growing, object);
    } else if (!home->removed)
        settle_home(memory, home, &left);
    unlock(home->shard);
    release(memory, &left);
    return possible;
}

static bool take_growing(memory_t *memory, home_t *home, object_t *object)
{
    leavings_t left = {0};
    lock(home->shard);
    bool ours = points_at(home, object);
    if (ours) {
        left.objects[0] = swap_object(&home->growing, NULL);
        settle_home(memory, home, &left);
    }
    unlock(home->shard);
    release(memory, &left); /* the filler holds another reference */
    return ours;
}

bool memory_has_variants(memory_t *memory, const cache_key_t *key)
{
    memory_view_t view = memory_look(memory, key, NULL);
    bool has = view.variants != NULL;
    memory_view_drop(&view);
    return has;
}

/* Notes the home among its primary's variants, as long as the node is still the primary's. */
static void join_variants(memory_t *memory, home_t *primary, const variants_t *node, home_t *variant)
{
    home_t *dropped = NULL;
    lock(primary->shard);
    if (atomic_load_explicit(&primary->variants, memory_order_relaxed) == node)
        dropped = list_variant(memory, primary, variant);
    unlock(primary->shard);
    if (dropped == NULL)
        return;
    clear_home(memory, dropped, false);
    home_unref(&dropped);
}

/* Where a growing object is to go. */
typedef struct {
    home_t *primary, *to; /* references */
    variants_t *now;      /* the node that the primary led to; a reference or NULL */
    variants_t *node;     /* a reference */
    char *selector;
    size_t selector_length;
} destination_t;

/* False when responses of this key do not vary. */
static bool find_destination(memory_t *memory, const object_t *object, const http_vary_t *vary,
                             http_fields_t request, destination_t *destination)
{
    const cache_key_t *key = &((home_t *)object_home(object))->key;
    *destination = (destination_t){.primary = memory_home(memory, key, NULL)};
    lock(destination->primary->shard);
    destination->now = atomic_load_explicit(&destination->primary->variants, memory_order_relaxed);
    if (destination->now != NULL)
        variants_ref(destination->now);
    unlock(destination->primary->shard);
    destination->node = node_for(destination->now, vary, object_version(object));
    if (destination->node == NULL)
        return false;
    destination->selector = variants_select(destination->node, request, &destination->selector_length);
    cache_variant_t variant = {destination->node, {destination->selector, destination->selector_length}};
    destination->to = memory_home(memory, key, &variant);
    return true;
}

/* Takes a home that was made for nothing out of the index again. */
static void tidy(memory_t *memory, home_t *home)
{
    leavings_t left = {0};
    lock(home->shard);
    if (!home->removed)
        settle_home(memory, home, &left);
    unlock(home->shard);
    release(memory, &left);
}

static void drop_destination(memory_t *memory, destination_t *destination)
{
    tidy(memory, destination->primary);
    home_unref(&destination->primary);
    if (destination->to != NULL)
        home_unref(&destination->to);
    if (destination->now != NULL)
        variants_unref(&destination->now);
    if (destination->node != NULL)
        variants_unref(&destination->node);
    free(destination->selector);
}

typedef enum { MOVED, NOT_MOVED, MOVE_AGAIN } move_t;

/* In this order, so that whoever looks meanwhile finds it: it grows there, the primary leads there, it no
 * longer grows here. */
static move_t move_growing(memory_t *memory, object_t *object, const destination_t *destination)
{
    home_t *from = object_home(object), *to = destination->to;
    if (to != from && !put_growing(memory, to, object))
        return NOT_MOVED;
    if (!lead_to(memory, destination->primary, destination->now, destination->node, object_stamp(object))) {
        if (to != from)
            take_growing(memory, to, object);
        return MOVE_AGAIN;
    }
    join_variants(memory, destination->primary, destination->node, to);
    if (to == from)
        return MOVED;
    if (!take_growing(memory, from, object)) {
        take_growing(memory, to, object);
        return NOT_MOVED;
    }
    home_ref(to);
    object_set_home(object, to);
    home_unref(&from);
    return MOVED;
}

bool memory_to_variant(memory_t *memory, object_t *object, const http_vary_t *vary, http_fields_t request)
{
    move_t move = MOVE_AGAIN;
    while (move == MOVE_AGAIN) {
        destination_t destination;
        if (find_destination(memory, object, vary, request, &destination))
            move = move_growing(memory, object, &destination);
        else
            move = destination.primary == object_home(object) ? MOVED : NOT_MOVED;
        if (move != MOVE_AGAIN && destination.node != NULL)
            object_set_variant(object, &destination.node, &destination.selector, destination.selector_length);
        drop_destination(memory, &destination);
    }
    return move == MOVED;
}

uint64_t memory_invalidations(const memory_t *memory)
{
    return atomic_load_explicit(&memory->invalidations, memory_order_acquire);
}

bool memory_invalidated_since(const memory_t *memory, const cache_key_t *key, uint64_t count)
{
    size_t cell = key->subject.url.low % INVALIDATED_CELLS;
    return atomic_load_explicit(&memory->invalidated[cell], memory_order_acquire) > count;
}

static void note_invalidation(memory_t *memory, const cache_key_t *key)
{
    size_t cell = key->subject.url.low % INVALIDATED_CELLS;
    uint64_t number = atomic_fetch_add_explicit(&memory->invalidations, 1, memory_order_acq_rel) + 1;
    uint64_t last = atomic_load_explicit(&memory->invalidated[cell], memory_order_relaxed);
    while (last < number &&
           !atomic_compare_exchange_weak_explicit(&memory->invalidated[cell], &last, number,
                                                  memory_order_release, memory_order_relaxed))
        continue;
}

void memory_invalidate(memory_t *memory, const cache_key_t *key)
{
    note_invalidation(memory, key); /* first: what is out of reach below is refused by this later */
    home_t *home = memory_home(memory, key, NULL);
    leavings_t left = {0};
    lock(home->shard);
    take_all(memory, home, &left);
    left.objects[1] = swap_object(&home->growing, NULL);
    if (!home->removed)
        settle_home(memory, home, &left);
    unlock(home->shard);
    for (size_t i = 0; left.list != NULL && i < left.list->count; i++)
        clear_home(memory, left.list->homes[i], true);
    release(memory, &left);
    home_unref(&home);
}

/* --- Sweeping --- */

static bool is_purged(const home_t *home, const ledger_t *ledger, uint64_t stamp)
{
    return ledger_judge(ledger, &home->key.subject, stamp).verdict == LEDGER_HARD;
}

static bool has_run_out(const home_t *home, const ledger_t *ledger, int64_t now_ms)
{
    return atomic_load_explicit(&home->bypass_until_ms, memory_order_relaxed) <= now_ms ||
           is_purged(home, ledger, atomic_load_explicit(&home->bypass_stamp, memory_order_relaxed));
}

static void take_purged(memory_t *memory, home_t *home, const ledger_t *ledger, int64_t now_ms,
                        leavings_t *left)
{
    const object_t *stored = atomic_load_explicit(&home->stored, memory_order_relaxed);
    if (stored != NULL && is_purged(home, ledger, object_stamp(stored)))
        take_stored(memory, home, left);
    if (atomic_load_explicit(&home->variants, memory_order_relaxed) != NULL &&
        is_purged(home, ledger, home->variants_stamp)) {
        left->variants = atomic_exchange_explicit(&home->variants, NULL, memory_order_acq_rel);
        left->list = home->list;
        home->list = NULL;
    }
    if (has_run_out(home, ledger, now_ms))
        atomic_store_explicit(&home->bypass_until_ms, 0, memory_order_relaxed);
}

/* True when it is empty now. Inside a read section, which keeps the home. */
static bool sweep_home(memory_t *memory, home_t *home, const ledger_t *ledger, int64_t now_ms)
{
    leavings_t left = {0};
    lock(home->shard);
    if (!home->removed && is_queued(home)) {
        take_purged(memory, home, ledger, now_ms, &left);
        settle_home(memory, home, &left);
    }
    unlock(home->shard);
    bool emptied = left.home != NULL;
    release(memory, &left);
    return emptied;
}

uint64_t memory_sweep(memory_t *memory, const ledger_t *ledger, int64_t now_ms)
{
    uint64_t emptied = 0;
    struct cds_lfht_iter iterator;
    struct cds_lfht_node *node;
    urcu_memb_read_lock();
    cds_lfht_for_each(memory->index, &iterator, node)
    {
        ORDER_ACQUIRE(node);
        emptied += sweep_home(memory, CONTAINER_OF(node, home_t, node), ledger, now_ms);
    }
    ORDER_RELEASE(GRACE_PERIOD);
    urcu_memb_read_unlock();
    return emptied;
}

/* --- Room --- */

static bool evict_one(memory_t *memory, shard_t *shard)
{
    leavings_t left = {0};
    lock(shard);
    s3fifo_node_t *victim = s3fifo_evict(shard->policy);
    if (victim != NULL) {
        home_t *home = CONTAINER_OF(victim, home_t, policy);
        take_all(memory, home, &left);
        settle_home(memory, home, &left);
    }
    unlock(shard);
    release(memory, &left);
    return victim != NULL;
}

static bool over_limit(const memory_t *memory)
{
    return memory_bytes(memory) > memory->config.limit_bytes;
}

bool memory_make_room(memory_t *memory)
{
    unsigned empty = 0;
    while (over_limit(memory) && empty < memory->shard_count) {
        unsigned turn = atomic_fetch_add_explicit(&memory->next_shard, 1, memory_order_relaxed);
        empty = evict_one(memory, &memory->shards[turn % memory->shard_count]) ? 0 : empty + 1;
    }
    return !over_limit(memory);
}

uint64_t memory_max_object(const memory_t *memory)
{
    return memory->config.max_object_bytes;
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
        lock(&memory->shards[i]);
        s3fifo_check(memory->shards[i].policy);
        unlock(&memory->shards[i]);
    }
}

void memory_free(memory_t **pointer)
{
    memory_t *memory = *pointer;
    *pointer = NULL;
    for (unsigned i = 0; i < memory->shard_count; i++)
        while (evict_one(memory, &memory->shards[i]))
            continue;
    urcu_memb_barrier();
    urcu_memb_barrier(); /* what the first round's reclamation let go of in turn */
    MUST(cds_lfht_destroy(memory->index, NULL) == 0);
    for (unsigned i = 0; i < memory->shard_count; i++) {
        s3fifo_free(&memory->shards[i].policy);
        pthread_mutex_destroy(&memory->shards[i].lock);
    }
    free(memory);
}
