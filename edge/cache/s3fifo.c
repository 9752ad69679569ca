#include "edge/cache/s3fifo.h"

/* The small queue's floor: a tiny one would throw out a large object before its second use. No more than a
 * fifth of a cache that is tiny itself: half of it missed more on a CDN's trace, where it held 360 objects
 * (tests/bench/hitratio, at 1 %). */
enum { SMALL_FLOOR = 4 * 512 * 1024, SMALL_FLOOR_PART = 5 };
/* An entry moves from small to main when it was used this often beyond the use that brought it in. The
 * paper's pseudocode says 2, its authors' later caches 1; on a CDN's trace 1 misses less at every size
 * (tests/bench/hitratio). */
enum { PROMOTE_AT = 1 };
/* How many used entries one eviction passes over before it takes the next one, used or not. */
enum { PASSES_MAX = 256 };

enum { GHOST_WAYS = 8, GHOST_SLOTS_MIN = 1024, GHOST_BYTES_PER_SLOT = 512 };

/* Ring with a sentinel: sentinel.older is the newest, sentinel.newer the oldest. */
typedef struct {
    s3fifo_node_t sentinel;
    size_t bytes, count;
} queue_t;

/* One remembered hash: its upper half, and when it was noted. */
typedef struct {
    uint32_t tag, noted;
} ghost_slot_t;

typedef struct {
    ghost_slot_t *slots; /* buckets of GHOST_WAYS, picked by the hash's lower half */
    size_t count;        /* a power of two */
} ghost_table_t;

/* A FIFO of hashes without a list: each slot carries the time it was noted at, time being the count of hashes
 * noted, and whatever is older than the FIFO is long does not count. */
typedef struct {
    ghost_table_t now;
    ghost_table_t before; /* read only, until all in it is too old; empty when there is none */
    uint32_t before_ended;
    uint32_t clock; /* wraps; ages are differences */
    size_t slots_max;
} ghost_t;

struct s3fifo {
    size_t capacity, small_target;
    queue_t small, main;
    ghost_t ghost;
};

static ghost_table_t ghost_table_new(size_t count)
{
    return (ghost_table_t){must_calloc(count, sizeof(ghost_slot_t)), count};
}

static ghost_slot_t *bucket(const ghost_table_t *table, uint64_t hash)
{
    return &table->slots[hash & (table->count - 1) & ~(size_t)(GHOST_WAYS - 1)];
}

static size_t power_of_two_up_to(size_t limit)
{
    size_t power = GHOST_SLOTS_MIN;
    while (power <= limit / 2)
        power *= 2;
    return power;
}

static void ghost_init(ghost_t *ghost, size_t capacity)
{
    /* Untouched slots say "noted at 0": half the clock's range away, they are too old for any length. */
    *ghost = (ghost_t){.now = ghost_table_new(GHOST_SLOTS_MIN),
                       .clock = UINT32_MAX / 2,
                       .slots_max = power_of_two_up_to(capacity / GHOST_BYTES_PER_SLOT)};
}

/* Twice the room. Nothing is moved: the old table is read until all in it is too old. */
static void ghost_grow(ghost_t *ghost)
{
    free(ghost->before.slots);
    ghost->before = ghost->now;
    ghost->before_ended = ghost->clock;
    ghost->now = ghost_table_new(ghost->now.count * 2);
}

static void ghost_note(ghost_t *ghost, uint64_t hash, size_t length)
{
    if (length > ghost->now.count / 2 && ghost->now.count < ghost->slots_max)
        ghost_grow(ghost);
    if (ghost->before.slots != NULL && ghost->clock - ghost->before_ended >= length) {
        free(ghost->before.slots);
        ghost->before = (ghost_table_t){NULL, 0};
    }
    ghost_slot_t *slots = bucket(&ghost->now, hash), *oldest = slots;
    for (ghost_slot_t *slot = slots + 1; slot < slots + GHOST_WAYS; slot++)
        if (ghost->clock - slot->noted > ghost->clock - oldest->noted)
            oldest = slot;
    ghost->clock++;
    *oldest = (ghost_slot_t){(uint32_t)(hash >> 32), ghost->clock};
}

static bool table_take(const ghost_table_t *table, uint64_t hash, uint32_t clock, size_t length)
{
    if (table->slots == NULL)
        return false;
    ghost_slot_t *slots = bucket(table, hash);
    for (ghost_slot_t *slot = slots; slot < slots + GHOST_WAYS; slot++) {
        if (slot->tag != (uint32_t)(hash >> 32) || clock - slot->noted >= length)
            continue;
        slot->noted = clock - UINT32_MAX / 2;
        return true;
    }
    return false;
}

/* Was this hash among the last `length` noted? Forgets it. */
static bool ghost_take(ghost_t *ghost, uint64_t hash, size_t length)
{
    return table_take(&ghost->now, hash, ghost->clock, length) ||
           table_take(&ghost->before, hash, ghost->clock, length);
}

static void queue_init(queue_t *queue)
{
    queue->sentinel.newer = queue->sentinel.older = &queue->sentinel;
}

static s3fifo_node_t *oldest_of(queue_t *queue)
{
    return queue->sentinel.newer == &queue->sentinel ? NULL : queue->sentinel.newer;
}

static void link_newest(queue_t *queue, s3fifo_node_t *node, s3fifo_queue_t which)
{
    node->newer = &queue->sentinel;
    node->older = queue->sentinel.older;
    node->older->newer = node;
    queue->sentinel.older = node;
    node->queue = which;
    queue->bytes += node->bytes;
    queue->count++;
}

static void unlink_from(queue_t *queue, s3fifo_node_t *node)
{
    node->newer->older = node->older;
    node->older->newer = node->newer;
    node->newer = node->older = NULL;
    node->queue = S3FIFO_NOWHERE;
    queue->bytes -= node->bytes;
    queue->count--;
}

static queue_t *queue_of(s3fifo_t *policy, const s3fifo_node_t *node)
{
    MUST(node->queue == S3FIFO_SMALL || node->queue == S3FIFO_MAIN);
    return node->queue == S3FIFO_SMALL ? &policy->small : &policy->main;
}

static unsigned frequency(const s3fifo_node_t *node)
{
    return atomic_load_explicit(&node->frequency, memory_order_relaxed);
}

/* A touch at the same moment may be lost, or undo this; the value stays in range either way. */
static void set_frequency(s3fifo_node_t *node, unsigned value)
{
    atomic_store_explicit(&node->frequency, (uint8_t)value, memory_order_relaxed);
}

/* As many hashes as main holds entries, or would hold if it had its share of what is stored now: while main
 * is still filling up, its own count would leave nothing to be remembered and so keep it empty. */
static size_t ghost_length(const s3fifo_t *policy)
{
    size_t bytes = s3fifo_bytes(policy), count = s3fifo_count(policy);
    if (count == 0)
        return 0;
    size_t mean = bytes > count ? bytes / count : 1;
    size_t expected = (policy->capacity - policy->small_target) / mean, most = policy->ghost.slots_max / 2;
    return expected < most ? expected : most;
}

s3fifo_t *s3fifo_new(size_t capacity)
{
    MUST(capacity > 0);
    s3fifo_t *policy = must_calloc(1, sizeof(*policy));
    size_t part = capacity / SMALL_FLOOR_PART, floor = part < SMALL_FLOOR ? part : SMALL_FLOOR;
    policy->capacity = capacity;
    policy->small_target = capacity / 10 > floor ? capacity / 10 : floor;
    queue_init(&policy->small);
    queue_init(&policy->main);
    ghost_init(&policy->ghost, capacity);
    return policy;
}

void s3fifo_free(s3fifo_t **policy)
{
    if (*policy == NULL)
        return;
    MUST(s3fifo_count(*policy) == 0);
    free((*policy)->ghost.now.slots);
    free((*policy)->ghost.before.slots);
    free(*policy);
    *policy = NULL;
}

void s3fifo_insert(s3fifo_t *policy, s3fifo_node_t *node, size_t bytes)
{
    MUST(node->queue == S3FIFO_NOWHERE);
    node->bytes = bytes;
    set_frequency(node, 0);
    if (ghost_take(&policy->ghost, node->hash, ghost_length(policy)))
        link_newest(&policy->main, node, S3FIFO_MAIN);
    else
        link_newest(&policy->small, node, S3FIFO_SMALL);
}

void s3fifo_resize(s3fifo_t *policy, s3fifo_node_t *node, size_t bytes)
{
    queue_t *queue = queue_of(policy, node);
    queue->bytes = queue->bytes - node->bytes + bytes;
    node->bytes = bytes;
}

void s3fifo_remove(s3fifo_t *policy, s3fifo_node_t *node)
{
    unlink_from(queue_of(policy, node), node);
}

/* The oldest of small: to main when it was used, else out and into the ghost. NULL when it moved. */
static s3fifo_node_t *judge_small(s3fifo_t *policy, s3fifo_node_t *node, bool move)
{
    size_t length = ghost_length(policy);
    unlink_from(&policy->small, node);
    if (move && frequency(node) >= PROMOTE_AT) {
        /* What it was used more than that counts in main, too: when all of small moves at once, the oldest there
         * would else be the first to go, however often it is asked for. */
        set_frequency(node, frequency(node) - PROMOTE_AT);
        link_newest(&policy->main, node, S3FIFO_MAIN);
        return NULL;
    }
    ghost_note(&policy->ghost, node->hash, length);
    return node;
}

/* The oldest of main: one more round for each use, else out. NULL when it stayed. */
static s3fifo_node_t *judge_main(s3fifo_t *policy, s3fifo_node_t *node, bool stay)
{
    unlink_from(&policy->main, node);
    if (stay && frequency(node) > 0) {
        set_frequency(node, frequency(node) - 1);
        link_newest(&policy->main, node, S3FIFO_MAIN);
        return NULL;
    }
    return node;
}

s3fifo_node_t *s3fifo_evict(s3fifo_t *policy)
{
    s3fifo_node_t *victim = NULL;
    for (int passes = 0; victim == NULL && s3fifo_count(policy) > 0; passes++) {
        s3fifo_node_t *small = oldest_of(&policy->small), *main = oldest_of(&policy->main);
        if (small != NULL && (main == NULL || policy->small.bytes >= policy->small_target))
            victim = judge_small(policy, small, passes < PASSES_MAX);
        else
            victim = judge_main(policy, main, passes < PASSES_MAX);
    }
    return victim;
}

size_t s3fifo_bytes(const s3fifo_t *policy)
{
    return policy->small.bytes + policy->main.bytes;
}

size_t s3fifo_count(const s3fifo_t *policy)
{
    return policy->small.count + policy->main.count;
}

static void check_queue(const queue_t *queue, s3fifo_queue_t which)
{
    size_t bytes = 0, count = 0;
    const s3fifo_node_t *node = queue->sentinel.newer;
    for (; node != &queue->sentinel; node = node->newer) {
        MUST(node->queue == which);
        MUST(node->newer->older == node && node->older->newer == node);
        MUST(frequency(node) <= S3FIFO_FREQUENCY_MAX);
        bytes += node->bytes;
        count++;
    }
    MUST(queue->sentinel.newer->older == &queue->sentinel);
    MUST(bytes == queue->bytes && count == queue->count);
}

void s3fifo_check(const s3fifo_t *policy)
{
    check_queue(&policy->small, S3FIFO_SMALL);
    check_queue(&policy->main, S3FIFO_MAIN);
    MUST(policy->small_target <= policy->capacity);
    MUST(policy->ghost.now.count <= policy->ghost.slots_max);
}
