/* A device that does not answer in time is left alone for a while, then tried with one read at a time. Pure;
 * under the caller's lock. */
#ifndef SELVEDGE_EDGE_CACHE_DISK_BREAKER_H
#define SELVEDGE_EDGE_CACHE_DISK_BREAKER_H

#include "edge/base.h"

enum { BREAKER_FAILURES = 8, BREAKER_REST_MS = 1000 };

/* All zero: closed. */
typedef struct {
    unsigned failures;     /* in a row */
    int64_t open_until_ms; /* monotonic; counts from BREAKER_FAILURES on */
} breaker_t;

/* May it be asked now? Of an open one, once in a while: that one is a trial. */
static inline bool breaker_allows(breaker_t *breaker, int64_t now_ms)
{
    if (breaker->failures < BREAKER_FAILURES)
        return true;
    if (now_ms < breaker->open_until_ms)
        return false;
    breaker->open_until_ms = now_ms + BREAKER_REST_MS;
    return true;
}

static inline void breaker_note(breaker_t *breaker, bool answered, int64_t now_ms)
{
    if (answered) {
        breaker->failures = 0;
        return;
    }
    if (breaker->failures < BREAKER_FAILURES)
        breaker->failures++;
    if (breaker->failures == BREAKER_FAILURES)
        breaker->open_until_ms = now_ms + BREAKER_REST_MS;
}

#endif
