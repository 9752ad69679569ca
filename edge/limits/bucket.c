#include "edge/limits/bucket.h"

bucket_rate_t bucket_rate(unsigned per_second, unsigned seconds)
{
    int64_t token_us = 1000000 / (int64_t)per_second;
    token_us = token_us > 0 ? token_us : 1;
    return (bucket_rate_t){token_us, token_us * (int64_t)per_second * (int64_t)seconds};
}

int64_t bucket_take(bucket_t *bucket, const bucket_rate_t *rate, int64_t now_us)
{
    int64_t full_at_us = atomic_load_explicit(&bucket->full_at_us, memory_order_relaxed);
    for (;;) {
        bool is_full = full_at_us <= now_us || full_at_us > now_us + rate->depth_us;
        int64_t after_us = (is_full ? now_us : full_at_us) + rate->token_us;
        if (after_us > now_us + rate->depth_us)
            return after_us - now_us - rate->depth_us;
        if (atomic_compare_exchange_weak_explicit(&bucket->full_at_us, &full_at_us, after_us,
                                                  memory_order_relaxed, memory_order_relaxed))
            return 0;
    }
}

bool bucket_is_full(const bucket_t *bucket, int64_t now_us)
{
    return atomic_load_explicit(&bucket->full_at_us, memory_order_relaxed) <= now_us;
}
