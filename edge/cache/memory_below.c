/* What the tier below is told, and what is taken from it. */
#include "edge/cache/memory_private.h"
#include "edge/cache/pieces.h"

void memory_set_below(memory_t *memory, const memory_below_t *below)
{
    memory->below = below != NULL ? *below : (memory_below_t){.context = NULL};
}

ledger_hash_t home_name(const home_t *home)
{
    return (ledger_hash_t){home->policy.hash ^ (home->name_high << 1), home->name_high};
}

bool memory_below_takes(const memory_t *memory, const object_t *object)
{
    ledger_hash_t name = home_name(object_home(object));
    return memory->below.takes == NULL || memory->below.takes(memory->below.context, &name);
}

uint64_t memory_below_holds(const memory_t *memory)
{
    return memory->below.holds != NULL ? memory->below.holds(memory->below.context) : 0;
}

static bool is_of_sparse(const home_t *home)
{
    return home->member_of == NULL && home->selector.data != NULL &&
           text_equal(home->selector, pieces_sparse.selector);
}

void home_gone(memory_t *memory, const home_t *home)
{
    ledger_hash_t name = home_name(home);
    if (memory->below.gone == NULL)
        return;
    memory->below.gone(memory->below.context, &name);
    /* Below, a whole that is kept in pieces has the name of a whole. */
    if (is_of_sparse(home))
        memory->below.gone(memory->below.context, &home->key.subject.url);
}

object_t *home_confirmed(const memory_t *memory, home_t *home, const object_t *object)
{
    object_t *stored = NULL;
    if (memory->below.gone == NULL || (!object_revalidated(object) && !object_sparse(object)))
        return NULL;
    shard_lock(home->shard);
    stored = atomic_load_explicit(&home->stored, memory_order_relaxed);
    if (stored != NULL)
        object_ref(stored);
    shard_unlock(home->shard);
    if (stored != NULL && !object_confirms(object, stored))
        object_unref(&stored);
    return stored;
}

void home_replaced(memory_t *memory, const home_t *home, const object_t *was, object_t *object,
                   const object_t *confirmed)
{
    if (was == confirmed && was != NULL)
        object_offered_as(object, was);
    else
        home_gone(memory, home);
}

bool memory_place_of(const object_t *object, cache_key_t *key, cache_variant_t *variant, ledger_hash_t *name)
{
    const home_t *home = object_home(object);
    if (home == NULL)
        return false;
    *key = home->key;
    *variant = (cache_variant_t){home->member_of, home->selector};
    *name = home_name(home);
    return true;
}

bool memory_while_stored(memory_t *memory, object_t *object, memory_note_t note, void *context)
{
    (void)memory;
    home_t *home = object_home(object);
    if (home == NULL)
        return false;
    ledger_hash_t name = home_name(home);
    shard_lock(home->shard);
    bool stored = atomic_load_explicit(&home->stored, memory_order_relaxed) == object;
    bool noted = stored && note(context, &name);
    shard_unlock(home->shard);
    return noted;
}

/* The home of a key or variant that is known; a reference, or NULL. */
static home_t *find_home(memory_t *memory, const cache_key_t *key, const cache_variant_t *variant)
{
    probe_t probe = {memory_name(key, variant), key, variant};
    urcu_memb_read_lock();
    home_t *home = memory_find(memory, &probe);
    bool taken = home != NULL && home_try_ref(home);
    ORDER_RELEASE(GRACE_PERIOD);
    urcu_memb_read_unlock();
    return taken ? home : NULL;
}

bool memory_while_leads(memory_t *memory, const cache_key_t *key, const variants_t *node, memory_note_t note,
                        void *context)
{
    home_t *home = find_home(memory, key, NULL);
    if (home == NULL)
        return false;
    ledger_hash_t name = home_name(home);
    shard_lock(home->shard);
    bool leads = atomic_load_explicit(&home->variants, memory_order_relaxed) == node;
    bool noted = leads && note(context, &name);
    shard_unlock(home->shard);
    home_unref(&home);
    return noted;
}

typedef enum { PUT_DONE, PUT_OTHER, PUT_GONE, PUT_AGAIN } put_t;

/* Under the lock of the home's shard. */
static put_t put_loaded(memory_t *memory, home_t *home, object_t *object, memory_note_t still, void *context,
                        leavings_t *left)
{
    ledger_hash_t name = home_name(home);
    if (home->removed)
        return PUT_AGAIN;
    if (atomic_load_explicit(&home->stored, memory_order_relaxed) != NULL)
        return PUT_OTHER;
    /* Where a node of variants is, this was replaced by what it leads to. */
    if (atomic_load_explicit(&home->variants, memory_order_relaxed) != NULL || !still(context, &name)) {
        home_settle(memory, home, left);
        return PUT_GONE;
    }
    home_ref(home);
    object_set_home(object, home);
    object_ref(object);
    home_swap(&home->stored, object);
    atomic_fetch_add_explicit(&memory->objects, 1, memory_order_relaxed);
    home_settle(memory, home, left);
    return PUT_DONE;
}

/* A reference on what is stored there now, under the lock, which keeps the home's own. */
static object_t *stored_of(home_t *home)
{
    object_t *object = atomic_load_explicit(&home->stored, memory_order_relaxed);
    object_ref(object);
    return object;
}

static void join_variants(memory_t *memory, const cache_key_t *key, const cache_variant_t *variant,
                          home_t *home)
{
    home_t *primary = variant != NULL && variant->variants != NULL ? find_home(memory, key, NULL) : NULL;
    if (primary == NULL)
        return;
    home_join_variants(memory, primary, variant->variants, home);
    home_unref(&primary);
}

object_t *memory_put_loaded(memory_t *memory, const cache_key_t *key, const cache_variant_t *variant,
                            object_t *object, memory_note_t still, void *context)
{
    object_t *stored = NULL;
    put_t put = PUT_AGAIN;
    while (put == PUT_AGAIN) {
        leavings_t left = {0};
        home_t *home = memory_home(memory, key, variant);
        shard_lock(home->shard);
        put = put_loaded(memory, home, object, still, context, &left);
        if (put == PUT_DONE || put == PUT_OTHER)
            stored = stored_of(home);
        shard_unlock(home->shard);
        leavings_release(memory, &left);
        if (put == PUT_DONE)
            join_variants(memory, key, variant, home);
        home_unref(&home);
    }
    memory_make_room(memory, 0);
    return stored;
}

bool memory_put_node(memory_t *memory, const cache_key_t *key, variants_t *node, uint64_t stamp,
                     memory_note_t still, void *context)
{
    put_t put = PUT_AGAIN;
    while (put == PUT_AGAIN) {
        leavings_t left = {0};
        home_t *home = memory_home(memory, key, NULL);
        ledger_hash_t name = home_name(home);
        shard_lock(home->shard);
        bool empty = atomic_load_explicit(&home->stored, memory_order_relaxed) == NULL &&
                     atomic_load_explicit(&home->variants, memory_order_relaxed) == NULL;
        put = home->removed ? PUT_AGAIN : empty && still(context, &name) ? PUT_DONE : PUT_GONE;
        if (put == PUT_DONE) {
            variants_ref(node);
            home->variants_stamp = stamp;
            atomic_store_explicit(&home->variants, node, memory_order_release);
        }
        if (put != PUT_AGAIN)
            home_settle(memory, home, &left);
        shard_unlock(home->shard);
        leavings_release(memory, &left);
        home_unref(&home);
    }
    return put == PUT_DONE;
}

/* In one step: between a look here and what is said below, it might be read from there. */
void memory_bury(memory_t *memory, const cache_key_t *key, const cache_variant_t *variant, text_t etag)
{
    const probe_t probe = {memory_name(key, variant), key, variant};
    shard_t *shard = &memory->shards[probe.name.high % memory->shard_count];
    leavings_t left = {0};
    shard_lock(shard);
    home_t *home = memory_find_locked(memory, &probe);
    const object_t *stored = home != NULL ? atomic_load_explicit(&home->stored, memory_order_relaxed) : NULL;
    if (stored == NULL) {
        if (memory->below.gone != NULL) /* there may be one */
            memory->below.gone(memory->below.context, &probe.name);
    } else if (etag.data == NULL || text_equal(object_head(stored)->etag, etag)) {
        home_gone(memory, home);
        home_take_stored(memory, home, &left);
        home_settle(memory, home, &left);
    }
    shard_unlock(shard);
    leavings_release(memory, &left);
}
