#include "edge/limits/table.h"

#include <pthread.h>
#include <xxhash.h>

enum {
    SET_SLOTS = 16,           /* where an address may be */
    SLOTS_PER_CONNECTION = 4, /* so few of a set's slots are taken that a full one is next to impossible */
    SETS_MIN = 16,
    LOCKS = 64,
    OPENS_BURST_SECONDS = 5,
    REQUESTS_BURST_SECONDS = 10 /* a page's assets come all at once */
};

struct limits_slot {
    _Alignas(CACHE_LINE) limits_address_t address; /* under its set's lock */
    bool known;                                    /* under its set's lock */
    _Atomic unsigned connections;                  /* grows under its set's lock only */
    bucket_t opens, requests;
};

struct limits {
    /* Each is looked at once for what it limits, and may be another the next time. */
    _Atomic unsigned most_connections, connections_per_address, opens_per_second, requests_per_second;
    uint64_t seed;
    size_t set_count; /* a power of two */
    limits_slot_t *slots;
    pthread_mutex_t locks[LOCKS]; /* of sets whose numbers are alike */
    _Alignas(CACHE_LINE) _Atomic unsigned connections;
};

static unsigned get(const _Atomic unsigned *limit)
{
    return atomic_load_explicit(limit, memory_order_relaxed);
}

void limits_configure(limits_t *limits, const limits_config_t *config)
{
    atomic_store_explicit(&limits->most_connections, config->connections, memory_order_relaxed);
    atomic_store_explicit(&limits->connections_per_address, config->connections_per_address,
                          memory_order_relaxed);
    atomic_store_explicit(&limits->opens_per_second, config->opens_per_second, memory_order_relaxed);
    atomic_store_explicit(&limits->requests_per_second, config->requests_per_second, memory_order_relaxed);
}

limits_t *limits_new(const limits_config_t *config, uint64_t seed)
{
    limits_t *limits = must_calloc_aligned(sizeof *limits);
    limits_configure(limits, config);
    limits->seed = seed;
    limits->set_count = SETS_MIN;
    while (limits->set_count * SET_SLOTS < (size_t)config->connections * SLOTS_PER_CONNECTION)
        limits->set_count *= 2;
    limits->slots = must_calloc_aligned(limits->set_count * SET_SLOTS * sizeof(limits_slot_t));
    for (size_t i = 0; i < LOCKS; i++)
        MUST(pthread_mutex_init(&limits->locks[i], NULL) == 0);
    return limits;
}

void limits_free(limits_t **pointer)
{
    limits_t *limits = *pointer;
    *pointer = NULL;
    MUST(limits_connections(limits) == 0);
    for (size_t i = 0; i < LOCKS; i++)
        pthread_mutex_destroy(&limits->locks[i]);
    free(limits->slots);
    free(limits);
}

/* An IPv4 address has the form of one mapped into IPv6, so that both are one client whatever the listener. */
limits_address_t limits_address(const struct sockaddr *address)
{
    static const uint8_t mapped[12] = {[10] = 0xff, [11] = 0xff};
    limits_address_t result = {0, 0};
    if (address->sa_family == AF_INET) {
        const struct sockaddr_in *v4 = (const struct sockaddr_in *)(const void *)address;
        result.low = v4->sin_addr.s_addr;
        result.high = UINT64_C(0xffff);
    } else if (address->sa_family == AF_INET6) {
        const uint8_t *bytes = ((const struct sockaddr_in6 *)(const void *)address)->sin6_addr.s6_addr;
        if (memcmp(bytes, mapped, sizeof mapped) == 0) {
            uint32_t v4;
            memcpy(&v4, bytes + sizeof mapped, sizeof v4);
            return (limits_address_t){UINT64_C(0xffff), v4};
        }
        memcpy(&result.low, bytes, sizeof result.low);
        result.high = 6;
    }
    return result;
}

static bool is_same(limits_address_t a, limits_address_t b)
{
    return a.high == b.high && a.low == b.low;
}

/* A slot that nobody needs: never used, or without connections. Of these the one whose bucket is full first,
 * so that it takes many addresses to make one be forgotten. */
static bool is_better(const limits_slot_t *slot, const limits_slot_t *than)
{
    if (than == NULL || !slot->known)
        return true;
    return than->known && atomic_load_explicit(&slot->opens.full_at_us, memory_order_relaxed) <
                              atomic_load_explicit(&than->opens.full_at_us, memory_order_relaxed);
}

/* Under the set's lock. NULL: every slot has connections of others. */
static limits_slot_t *find(limits_slot_t *set, limits_address_t address)
{
    limits_slot_t *free_one = NULL;
    for (size_t i = 0; i < SET_SLOTS; i++) {
        limits_slot_t *slot = &set[i];
        if (slot->known && is_same(slot->address, address))
            return slot;
        if (atomic_load_explicit(&slot->connections, memory_order_acquire) == 0 && is_better(slot, free_one))
            free_one = slot;
    }
    if (free_one != NULL) {
        free_one->known = true;
        free_one->address = address;
        atomic_store_explicit(&free_one->opens.full_at_us, 0, memory_order_relaxed);
        atomic_store_explicit(&free_one->requests.full_at_us, 0, memory_order_relaxed);
    }
    return free_one;
}

/* How long until it has a token; 0: one was taken, or none is needed. */
static int64_t take_token(bucket_t *bucket, const _Atomic unsigned *per_second, unsigned burst_seconds,
                          int64_t now_us)
{
    unsigned rate = get(per_second);
    if (rate == 0)
        return 0;
    bucket_rate_t bucket_rate_now = bucket_rate(rate, burst_seconds);
    return bucket_take(bucket, &bucket_rate_now, now_us);
}

static refusal_t enter(const limits_t *limits, limits_slot_t *slot, int64_t now_us)
{
    unsigned most = get(&limits->connections_per_address);
    if (slot == NULL)
        return REFUSED_ADDRESSES;
    if (take_token(&slot->opens, &limits->opens_per_second, OPENS_BURST_SECONDS, now_us) > 0)
        return REFUSED_OPENS;
    if (most > 0 && get(&slot->connections) >= most)
        return REFUSED_ADDRESS;
    atomic_fetch_add_explicit(&slot->connections, 1, memory_order_relaxed);
    return REFUSALS;
}

refusal_t limits_enter(limits_t *limits)
{
    if (atomic_fetch_add_explicit(&limits->connections, 1, memory_order_relaxed) <
        get(&limits->most_connections))
        return REFUSALS;
    atomic_fetch_sub_explicit(&limits->connections, 1, memory_order_relaxed);
    return REFUSED_CONNECTIONS;
}

refusal_t limits_identify(limits_t *limits, limits_address_t address, int64_t now_us, limits_slot_t **slot)
{
    size_t number = XXH3_64bits_withSeed(&address, sizeof address, limits->seed) & (limits->set_count - 1);
    pthread_mutex_t *lock = &limits->locks[number % LOCKS];
    MUST(pthread_mutex_lock(lock) == 0);
    limits_slot_t *found = find(&limits->slots[number * SET_SLOTS], address);
    refusal_t refusal = enter(limits, found, now_us);
    MUST(pthread_mutex_unlock(lock) == 0);
    if (refusal == REFUSALS)
        *slot = found;
    return refusal;
}

refusal_t limits_open(limits_t *limits, limits_address_t address, int64_t now_us, limits_slot_t **slot)
{
    refusal_t refusal = limits_enter(limits);
    if (refusal != REFUSALS)
        return refusal;
    refusal = limits_identify(limits, address, now_us, slot);
    if (refusal != REFUSALS)
        limits_close(limits, NULL);
    return refusal;
}

void limits_close(limits_t *limits, limits_slot_t *slot)
{
    if (slot != NULL)
        MUST(atomic_fetch_sub_explicit(&slot->connections, 1, memory_order_release) > 0);
    atomic_fetch_sub_explicit(&limits->connections, 1, memory_order_relaxed);
}

unsigned limits_request(const limits_t *limits, limits_slot_t *slot, int64_t now_us)
{
    int64_t wait_us =
        take_token(&slot->requests, &limits->requests_per_second, REQUESTS_BURST_SECONDS, now_us);
    return (unsigned)((wait_us + 999999) / 1000000);
}

unsigned limits_connections(const limits_t *limits)
{
    return atomic_load_explicit(&limits->connections, memory_order_relaxed);
}
