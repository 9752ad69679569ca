/* Heartbeats: each thread that runs an event loop ticks a counter in memory that the parent process shares;
 * a count that stands still for too long is a hung thread, and the parent replaces the process.
 *
 * The memory is made before the serving process is forked. A thread claims a heart once, ticks it from its
 * loop at least every HEARTBEAT_TICK_MS, idle or not, and ends it before it leaves the loop for good. Only
 * that thread writes it. Knows nobody. */
#ifndef SELVEDGE_EDGE_SUPERVISOR_HEARTBEAT_H
#define SELVEDGE_EDGE_SUPERVISOR_HEARTBEAT_H

#include <stdatomic.h>

#include "edge/base.h"

enum { HEARTBEAT_TICK_MS = 250, HEARTS_MAX = 512, HEART_NAME_MAX = 16 };

typedef struct {
    _Alignas(CACHE_LINE) _Atomic uint64_t ticks; /* 0: not watched */
    char name[HEART_NAME_MAX];                   /* written before the first tick */
} heart_t;

typedef struct {
    _Atomic unsigned claimed;
    _Atomic int64_t ready_at_ms; /* monotonic; 0: not ready yet */
    unsigned deaths;             /* serving processes that ended abnormally so far; the parent's */
    heart_t hearts[HEARTS_MAX];
} heartbeats_t;

/* Any thread. NULL stays NULL, which the calls below take as a heart that nobody watches. */
static inline heart_t *heart_claim(heartbeats_t *heartbeats)
{
    if (heartbeats == NULL)
        return NULL;
    unsigned number = atomic_fetch_add(&heartbeats->claimed, 1);
    MUST(number < HEARTS_MAX);
    return &heartbeats->hearts[number];
}

/* From here on it is watched, until heart_end(). */
static inline void heart_begin(heart_t *heart, const char *name)
{
    if (heart == NULL)
        return;
    snprintf(heart->name, sizeof heart->name, "%.15s", name);
    atomic_store_explicit(&heart->ticks, 1, memory_order_release);
}

static inline void heart_tick(heart_t *heart)
{
    if (heart == NULL)
        return;
    uint64_t ticks = atomic_load_explicit(&heart->ticks, memory_order_relaxed);
    atomic_store_explicit(&heart->ticks, ticks + 1, memory_order_relaxed);
}

static inline void heart_end(heart_t *heart)
{
    if (heart != NULL)
        atomic_store_explicit(&heart->ticks, 0, memory_order_relaxed);
}

#endif
