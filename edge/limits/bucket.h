/* A token bucket in one word: the time at which it will be full again (the generic cell rate algorithm, ITU-T
 * I.371). Taking a token moves that time on by what one token takes to come; a bucket that would then be full
 * only after more than `depth` from now has none. Any thread; pure. */
#ifndef SELVEDGE_EDGE_LIMITS_BUCKET_H
#define SELVEDGE_EDGE_LIMITS_BUCKET_H

#include <stdatomic.h>

#include "edge/base.h"

typedef struct {
    _Atomic int64_t full_at_us; /* starts as zero */
} bucket_t;

typedef struct {
    int64_t token_us; /* one comes every so often; at least 1 */
    int64_t depth_us; /* what a full bucket holds, as the time it takes to fill; at least token_us */
} bucket_rate_t;

/* per_second: at least 1; a full bucket holds what comes in so many seconds. */
bucket_rate_t bucket_rate(unsigned per_second, unsigned seconds);

/* Takes a token; 0, or after how many microseconds there will be one. A clock that was set back counts as a
 * full bucket rather than as a long wait. */
int64_t bucket_take(bucket_t *bucket, const bucket_rate_t *rate, int64_t now_us);

bool bucket_is_full(const bucket_t *bucket, int64_t now_us);

#endif
