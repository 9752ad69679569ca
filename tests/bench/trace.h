/* A trace of requests in memory, as the replays of hitratio share it. */
#ifndef SELVEDGE_TESTS_BENCH_TRACE_H
#define SELVEDGE_TESTS_BENCH_TRACE_H

#include <xxhash.h>

#include "edge/cache/s3fifo.h"

typedef struct {
    uint32_t object;
    size_t bytes;
} request_t;

typedef struct {
    uint64_t id;
    size_t bytes; /* at its first request */
    /* A replay's own. */
    bool stored;        /* in memory */
    bool offered;       /* to the disk, since it was stored */
    s3fifo_node_t node; /* FIFO and LRU use its links alone */
} object_t;

typedef struct {
    request_t *requests;
    size_t request_count;
    object_t *objects;
    size_t object_count;
    uint32_t *index; /* open addressing by id; object number + 1 */
    size_t index_size;
    size_t footprint;       /* each object once */
    double requested_bytes; /* each as often as it was asked for */
} trace_t;

typedef struct {
    double objects, bytes;
} misses_t;

static inline uint64_t hash_of(uint64_t id)
{
    return XXH3_64bits(&id, sizeof id);
}

/* Nothing is stored any more. */
static inline void trace_begin(trace_t *trace)
{
    for (size_t i = 0; i < trace->object_count; i++) {
        object_t *object = &trace->objects[i];
        object->stored = object->offered = false;
        object->node = (s3fifo_node_t){.hash = hash_of(object->id)};
    }
}

/* hitratio_disk.c: memory and a disk behind it. */
typedef struct {
    misses_t memory;  /* of requests, what was not in memory */
    misses_t both;    /* of these, what was not on disk */
    double written;   /* bytes that were written to the disk's files */
    uint64_t moved;   /* records that were written again as they were asked for often */
    uint64_t records; /* on disk at the end */
} tiers_t;
tiers_t replay_tiers(trace_t *trace, size_t memory_bytes, size_t disk_bytes, bool always);

#endif
