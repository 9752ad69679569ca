/* The memory tier's eviction policy: S3-FIFO (Yang et al., "FIFO queues are all you need for cache eviction",
 * SOSP 2023), counted in bytes. New entries enter a small queue (a tenth of the capacity); those used again
 * move to the main queue; the others leave, and a ghost remembers their hashes, so that one that comes back
 * goes to main directly.
 *
 * Pure: no lock, thread, clock or random source inside. One instance per shard; all calls but s3fifo_touch
 * are made under that shard's lock. Owns no entries: it links nodes that the entries embed, and decides only
 * who leaves next. */
#ifndef SELVEDGE_EDGE_CACHE_S3FIFO_H
#define SELVEDGE_EDGE_CACHE_S3FIFO_H

#include <stdatomic.h>

#include "edge/base.h"

typedef struct s3fifo s3fifo_t;

typedef enum { S3FIFO_NOWHERE, S3FIFO_SMALL, S3FIFO_MAIN } s3fifo_queue_t;

/* Embedded in an entry; all zero is a node in no queue. */
typedef struct s3fifo_node s3fifo_node_t;
struct s3fifo_node {
    /* Under the shard's lock; the policy's own. */
    s3fifo_node_t *newer, *older;
    size_t bytes;
    s3fifo_queue_t queue;
    /* Any reader, without a lock: uses since the queue last judged it, 0 to S3FIFO_FREQUENCY_MAX. */
    _Atomic uint8_t frequency;
    /* Fixed before s3fifo_insert: names the entry in the ghost. Well mixed, as all 64 bits are used. */
    uint64_t hash;
};

enum { S3FIFO_FREQUENCY_MAX = 3 };

/* capacity: bytes, at least 1. It steers the queues' proportions only: whoever inserts evicts until
 * s3fifo_bytes() is what it wants. */
s3fifo_t *s3fifo_new(size_t capacity);
/* The queues must be empty. */
void s3fifo_free(s3fifo_t **policy);

/* Takes in a node that is in no queue: to main when the ghost remembers its hash, else to small. Never
 * evicts. */
void s3fifo_insert(s3fifo_t *policy, s3fifo_node_t *node, size_t bytes);
/* The entry of a queued node weighs this much now; its place stays. */
void s3fifo_resize(s3fifo_t *policy, s3fifo_node_t *node, size_t bytes);
/* Takes a queued node out, as when it was purged: the ghost does not remember it. */
void s3fifo_remove(s3fifo_t *policy, s3fifo_node_t *node);
/* Takes the next victim out of its queue and returns it; NULL when the queues are empty. Passes over a
 * bounded number of entries that were used, so that a lock is never held for a walk through the whole queue.
 */
s3fifo_node_t *s3fifo_evict(s3fifo_t *policy);

size_t s3fifo_bytes(const s3fifo_t *policy);
size_t s3fifo_count(const s3fifo_t *policy);
/* Asserts the invariants by walking both queues; for debug builds and tests. */
void s3fifo_check(const s3fifo_t *policy);

/* Notes a use. Any thread, without the lock, as long as it holds a reference to the entry. Writes nothing
 * when the value would not change. Two at once may count as one, which is good enough for a hint. */
static inline void s3fifo_touch(s3fifo_node_t *node)
{
    uint8_t seen = atomic_load_explicit(&node->frequency, memory_order_relaxed);
    if (seen < S3FIFO_FREQUENCY_MAX)
        atomic_store_explicit(&node->frequency, (uint8_t)(seen + 1), memory_order_relaxed);
}

#endif
