/* Freeing what was purged, without waiting for a request or for eviction. */
#include "edge/cache/memory_private.h"

static bool is_purged(const home_t *home, const ledger_t *ledger, uint64_t stamp)
{
    return ledger_judge(ledger, &home->key.subject, stamp).verdict == LEDGER_HARD;
}

static bool has_run_out(const home_t *home, const ledger_t *ledger, int64_t now_ms)
{
    return atomic_load_explicit(&home->bypass_until_ms, memory_order_relaxed) <= now_ms ||
           is_purged(home, ledger, atomic_load_explicit(&home->bypass_stamp, memory_order_relaxed));
}

static void take_purged(memory_t *memory, home_t *home, const ledger_t *ledger, int64_t now_ms,
                        leavings_t *left)
{
    const object_t *stored = atomic_load_explicit(&home->stored, memory_order_relaxed);
    if (stored != NULL && object_judge_now(stored, ledger).verdict == LEDGER_HARD)
        home_take_stored(memory, home, left);
    if (atomic_load_explicit(&home->variants, memory_order_relaxed) != NULL &&
        is_purged(home, ledger, home->variants_stamp)) {
        left->variants = atomic_exchange_explicit(&home->variants, NULL, memory_order_acq_rel);
        left->list = home->list;
        home->list = NULL;
    }
    if (has_run_out(home, ledger, now_ms))
        atomic_store_explicit(&home->bypass_until_ms, 0, memory_order_relaxed);
}

/* True when it is empty now. Inside a read section, which keeps the home. */
static bool sweep_home(memory_t *memory, home_t *home, const ledger_t *ledger, int64_t now_ms)
{
    leavings_t left = {0};
    shard_lock(home->shard);
    if (!home->removed && home_is_queued(home)) {
        take_purged(memory, home, ledger, now_ms, &left);
        home_settle(memory, home, &left);
    }
    shard_unlock(home->shard);
    bool emptied = left.home != NULL;
    leavings_release(memory, &left);
    return emptied;
}

uint64_t memory_sweep(memory_t *memory, const ledger_t *ledger, int64_t now_ms)
{
    uint64_t emptied = 0;
    struct cds_lfht_iter iterator;
    struct cds_lfht_node *node;
    urcu_memb_read_lock();
    cds_lfht_for_each(memory->index, &iterator, node)
    {
        ORDER_ACQUIRE(node);
        emptied += sweep_home(memory, CONTAINER_OF(node, home_t, node), ledger, now_ms);
    }
    ORDER_RELEASE(GRACE_PERIOD);
    urcu_memb_read_unlock();
    return emptied;
}
