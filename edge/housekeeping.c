#include "edge/housekeeping.h"

#include <pthread.h>
#include <time.h>

enum { TICK_MS = 250, SHARE = 10 /* of the time: one part work, the others rest */ };

struct housekeeping {
    const node_t *node;
    int64_t (*now_ms)(void);
    pthread_t thread;
    /* Its own thread. */
    uint64_t swept; /* the head sequence up to which the index was swept */
    /* Under the lock. */
    pthread_mutex_t lock;
    pthread_cond_t changed;
    bool stopping;
};

static struct timespec monotonic_now(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now;
}

/* Waits; false when it is time to stop. */
static bool rest(housekeeping_t *housekeeping, int64_t ms)
{
    struct timespec until = monotonic_now();
    until.tv_sec += ms / 1000;
    until.tv_nsec += ms % 1000 * 1000000;
    until.tv_sec += until.tv_nsec / 1000000000;
    until.tv_nsec %= 1000000000;
    int error = 0;
    pthread_mutex_lock(&housekeeping->lock);
    while (!housekeeping->stopping && error == 0)
        error = pthread_cond_timedwait(&housekeeping->changed, &housekeeping->lock, &until);
    bool go_on = !housekeeping->stopping;
    pthread_mutex_unlock(&housekeeping->lock);
    return go_on;
}

/* Frees what rules have hit since the last time. How many milliseconds that took. */
static int64_t sweep(housekeeping_t *housekeeping)
{
    const node_t *node = housekeeping->node;
    uint64_t sequence = ledger_sequence(node->ledger);
    if (sequence == housekeeping->swept)
        return 0;
    struct timespec start = monotonic_now();
    memory_sweep(node->memory, node->ledger, housekeeping->now_ms());
    housekeeping->swept = sequence;
    struct timespec end = monotonic_now();
    return (int64_t)(end.tv_sec - start.tv_sec) * 1000 + (end.tv_nsec - start.tv_nsec) / 1000000;
}

static void *run(void *context)
{
    housekeeping_t *housekeeping = context;
    pthread_setname_np(pthread_self(), "housekeeping");
    memory_attach_thread();
    int64_t took_ms = 0;
    while (rest(housekeeping, took_ms * (SHARE - 1) + TICK_MS))
        took_ms = sweep(housekeeping);
    memory_detach_thread();
    return NULL;
}

housekeeping_t *housekeeping_start(const node_t *node, int64_t (*now_ms)(void))
{
    housekeeping_t *housekeeping = must_calloc(1, sizeof *housekeeping);
    housekeeping->node = node;
    housekeeping->now_ms = now_ms;
    housekeeping->swept = ledger_sequence(node->ledger);
    pthread_condattr_t clock;
    pthread_condattr_init(&clock);
    pthread_condattr_setclock(&clock, CLOCK_MONOTONIC);
    MUST(pthread_mutex_init(&housekeeping->lock, NULL) == 0);
    MUST(pthread_cond_init(&housekeeping->changed, &clock) == 0);
    pthread_condattr_destroy(&clock);
    MUST(pthread_create(&housekeeping->thread, NULL, run, housekeeping) == 0);
    return housekeeping;
}

void housekeeping_stop(housekeeping_t **pointer)
{
    housekeeping_t *housekeeping = *pointer;
    *pointer = NULL;
    pthread_mutex_lock(&housekeeping->lock);
    housekeeping->stopping = true;
    pthread_cond_broadcast(&housekeeping->changed);
    pthread_mutex_unlock(&housekeeping->lock);
    MUST(pthread_join(housekeeping->thread, NULL) == 0);
    pthread_cond_destroy(&housekeeping->changed);
    pthread_mutex_destroy(&housekeeping->lock);
    free(housekeeping);
}
