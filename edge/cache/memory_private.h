/* The insides of the memory tier, shared by its files: memory.c (life, looking, the steps of a fill, room),
 * memory_home.c (homes and the index), memory_variants.c (where what varies belongs), memory_sweep.c (freeing
 * what was purged), memory_below.c (what the tier below is told and gives). Nobody else includes this. */
#ifndef SELVEDGE_EDGE_CACHE_MEMORY_PRIVATE_H
#define SELVEDGE_EDGE_CACHE_MEMORY_PRIVATE_H

#include <pthread.h>
#include <urcu/rculfhash.h>

#include "edge/cache/memory.h"
#include "edge/cache/order.h"
#include "edge/cache/s3fifo.h"

enum { SHARD_BYTES = 256 << 20, SHARDS_MAX = 64, INVALIDATED_CELLS = 1024 };

typedef struct shard {
    pthread_mutex_t lock;
    s3fifo_t *policy;              /* under the lock */
    _Atomic uint64_t queued_bytes; /* what the policy holds; told when the lock is given back */
} shard_t;

/* The variants of a primary key that are known, so that they can be capped and invalidated. */
typedef struct {
    size_t count, next;
    home_t *homes[MEMORY_VARIANTS_MAX]; /* references */
} variant_list_t;

/* Where answering with the stored object will read. Only ever given to the processor's prefetcher, so that
 * these may point at what is gone: each look mends them. */
typedef struct {
    const void *_Atomic head, *_Atomic front;
} places_t;

struct home {
    /* The index comes here first, and from this one line of the processor's cache all others are known that a
     * hit reads, so that they are fetched together: with many objects each of them is somewhere in main
     * memory. */
    uint32_t magic;
    /* One by the index, one by each object that refers to it, one by each list of variants. */
    _Atomic uint32_t refs;
    struct cds_lfht_node node; /* with the lower half of the name */
    uint64_t name_high;
    /* Written under the shard's lock, read by anybody inside a read section. */
    object_t *_Atomic stored;
    places_t places;
    /* The second line. */
    object_t *_Atomic growing;
    variants_t *_Atomic variants;
    /* Fixed after creation. */
    variants_t *member_of; /* a reference; NULL in a primary key's home */
    cache_key_t key;       /* its target and selector point into `bytes` */
    /* The rest. */
    text_t selector;
    shard_t *shard;
    memory_account_t *account;
    size_t charged;
    struct rcu_head reclaim;
    _Atomic int64_t bypass_until_ms;
    _Atomic uint64_t bypass_stamp;
    /* Under the shard's lock. */
    bool removed;
    uint64_t variants_stamp; /* of the latest fill that the node of variants is for */
    variant_list_t *list;
    s3fifo_node_t policy; /* queued while something but a growing object is here; a look touches it */
    char bytes[];
};

struct memory {
    memory_config_t config;
    memory_below_t below;              /* all NULL: there is no tier below */
    _Atomic uint64_t max_object_bytes; /* config's, until another is set */
    memory_account_t account;
    _Atomic int64_t objects;
    _Atomic uint64_t variants_evicted; /* since somebody asked */
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

/* What is looked for: a key, or one variant of it. */
typedef struct {
    ledger_hash_t name;
    const cache_key_t *key;
    const cache_variant_t *variant;
} probe_t;

/* --- memory_home.c --- */
/* Inside a read section. */
home_t *memory_find(memory_t *memory, const probe_t *probe);
/* Under the lock of its shard, without which none leaves the index. */
home_t *memory_find_locked(memory_t *memory, const probe_t *probe);
void home_ref(home_t *home);
bool home_try_ref(home_t *home);

void shard_lock(shard_t *shard);
void shard_unlock(shard_t *shard);

/* The rest is called under the lock of the home's shard. */
static inline object_t *home_swap(object_t *_Atomic *place, object_t *object)
{
    return atomic_exchange_explicit(place, object, memory_order_acq_rel);
}

static inline bool home_points_at(home_t *home, object_t *object)
{
    return atomic_load_explicit(&home->growing, memory_order_relaxed) == object;
}

static inline bool home_is_queued(const home_t *home)
{
    return home->policy.queue != S3FIFO_NOWHERE;
}

/* Queues, unqueues or reweighs a home by what it holds now; takes an empty one out of the index. */
void home_settle(memory_t *memory, home_t *home, leavings_t *left);
void home_take_stored(memory_t *memory, home_t *home, leavings_t *left);
/* Everything but the growing object. */
void home_take_all(memory_t *memory, home_t *home, leavings_t *left);

/* --- memory_below.c --- */
ledger_hash_t home_name(const home_t *home);
/* What is known of it below is no longer the newest. Under the shard's lock. */
void home_gone(memory_t *memory, const home_t *home);

/* What is stored there and no more than confirmed by an object that is about to take its place, so that what
 * is kept of it below stays; a reference, or NULL. Not under the lock. */
object_t *home_confirmed(const memory_t *memory, home_t *home, const object_t *object);
/* An object took the place of what was stored there. Under the shard's lock. */
void home_replaced(memory_t *memory, const home_t *home, const object_t *was, object_t *object,
                   const object_t *confirmed);

/* --- memory_variants.c --- */
/* Notes the home among its primary's variants, as long as the node is still the primary's. */
void home_join_variants(memory_t *memory, home_t *primary, const variants_t *node, home_t *variant);

/* Releases what was let go of. Never under a lock: freeing a body takes its time. */
void leavings_release(memory_t *memory, leavings_t *left);

#endif
