/* Where responses that vary belong, and forgetting all that is known of a key. */
#include "edge/cache/memory_private.h"
#include "edge/cache/pieces.h"

/* Notes a variant's home in its primary's list; the oldest beyond the cap is let go of. */
static home_t *list_variant(memory_t *memory, home_t *primary, home_t *variant)
{
    variant_list_t *list = primary->list;
    if (list == NULL) {
        list = primary->list = must_calloc(1, sizeof *list);
        atomic_fetch_add_explicit(&memory->account.bytes, (int64_t)sizeof *list, memory_order_relaxed);
    }
    for (size_t i = 0; i < list->count; i++)
        if (list->homes[i] == variant)
            return NULL;
    home_ref(variant);
    if (list->count < MEMORY_VARIANTS_MAX) {
        list->homes[list->count++] = variant;
        return NULL;
    }
    home_t *oldest = list->homes[list->next];
    list->homes[list->next] = variant;
    list->next = (list->next + 1) % MEMORY_VARIANTS_MAX;
    return oldest;
}

/* Empties a variant's home; only its shard's lock is held. */
static void clear_home(memory_t *memory, home_t *home, bool growing_too)
{
    leavings_t left = {0};
    shard_lock(home->shard);
    home_take_all(memory, home, &left);
    home_gone(memory, home);
    if (growing_too)
        left.objects[1] = home_swap(&home->growing, NULL);
    if (!home->removed)
        home_settle(memory, home, &left);
    shard_unlock(home->shard);
    leavings_release(memory, &left);
}

/* The node for responses that vary like this: the one there is now (may be NULL) when that covers them, else
 * a new one for all that both name or, when that is too much, for this response alone. A reference. NULL when
 * there is nothing to tell apart. */
static variants_t *node_for(variants_t *now, const http_vary_t *vary, version_id_t id)
{
    if (now != NULL && variants_cover(now, vary)) {
        variants_ref(now);
        return now;
    }
    if (vary->count == 0)
        return NULL;
    variants_t *node = variants_new(now, vary, id);
    return node != NULL ? node : variants_new(NULL, vary, id);
}

/* Makes the primary lead to this node instead of the one there was. False when it leads elsewhere by now. */
static bool lead_to(memory_t *memory, home_t *primary, const variants_t *now, variants_t *node,
                    uint64_t stamp)
{
    leavings_t left = {0};
    shard_lock(primary->shard);
    bool same = !primary->removed && atomic_load_explicit(&primary->variants, memory_order_relaxed) == now;
    if (same && node != now) {
        home_take_stored(memory, primary, &left); /* looked for among the variants from now on */
        variants_ref(node);
        primary->variants_stamp = stamp;
        left.variants = atomic_exchange_explicit(&primary->variants, node, memory_order_acq_rel);
        left.list = primary->list; /* they are out of reach now */
        primary->list = NULL;
        home_gone(memory, primary);
        home_settle(memory, primary, &left);
    } else if (same && primary->variants_stamp < stamp)
        primary->variants_stamp = stamp; /* a purge of before no longer is one of all that it leads to */
    shard_unlock(primary->shard);
    leavings_release(memory, &left);
    return same;
}

/* Lets it grow here too, unless something else does; a home that was made for nothing goes again. */
static bool put_growing(memory_t *memory, home_t *home, object_t *object)
{
    leavings_t left = {0};
    shard_lock(home->shard);
    bool possible = !home->removed && home_points_at(home, NULL);
    if (possible) {
        object_ref(object);
        home_swap(&home->growing, object);
    } else if (!home->removed)
        home_settle(memory, home, &left);
    shard_unlock(home->shard);
    leavings_release(memory, &left);
    return possible;
}

static bool take_growing(memory_t *memory, home_t *home, object_t *object)
{
    leavings_t left = {0};
    shard_lock(home->shard);
    bool ours = home_points_at(home, object);
    if (ours) {
        left.objects[0] = home_swap(&home->growing, NULL);
        home_settle(memory, home, &left);
    }
    shard_unlock(home->shard);
    leavings_release(memory, &left); /* the filler holds another reference */
    return ours;
}

bool memory_has_variants(memory_t *memory, const cache_key_t *key)
{
    memory_view_t view = memory_look(memory, key, NULL);
    bool has = view.variants != NULL;
    memory_view_drop(&view);
    return has;
}

void home_join_variants(memory_t *memory, home_t *primary, const variants_t *node, home_t *variant)
{
    home_t *dropped = NULL;
    shard_lock(primary->shard);
    if (atomic_load_explicit(&primary->variants, memory_order_relaxed) == node)
        dropped = list_variant(memory, primary, variant);
    shard_unlock(primary->shard);
    if (dropped == NULL)
        return;
    if (atomic_load_explicit(&dropped->stored, memory_order_relaxed) != NULL)
        atomic_fetch_add_explicit(&memory->variants_evicted, 1, memory_order_relaxed);
    clear_home(memory, dropped, false);
    home_unref(&dropped);
}

uint64_t memory_take_variants_evicted(memory_t *memory)
{
    return atomic_exchange_explicit(&memory->variants_evicted, 0, memory_order_relaxed);
}

/* Where a growing object is to go. */
typedef struct {
    home_t *primary, *to; /* references */
    variants_t *now;      /* the node that the primary led to; a reference or NULL */
    variants_t *node;     /* a reference */
    char *selector;
    size_t selector_length;
} destination_t;

/* False when responses of this key do not vary. */
static bool find_destination(memory_t *memory, const object_t *object, const http_vary_t *vary,
                             http_fields_t request, destination_t *destination)
{
    const cache_key_t *key = &((home_t *)object_home(object))->key;
    *destination = (destination_t){.primary = memory_home(memory, key, NULL)};
    shard_lock(destination->primary->shard);
    destination->now = atomic_load_explicit(&destination->primary->variants, memory_order_relaxed);
    if (destination->now != NULL)
        variants_ref(destination->now);
    shard_unlock(destination->primary->shard);
    destination->node = node_for(destination->now, vary, object_version(object));
    if (destination->node == NULL)
        return false;
    destination->selector = variants_select(destination->node, request, &destination->selector_length);
    cache_variant_t variant = {destination->node, {destination->selector, destination->selector_length}};
    destination->to = memory_home(memory, key, &variant);
    return true;
}

/* Takes a home that was made for nothing out of the index again. */
static void tidy(memory_t *memory, home_t *home)
{
    leavings_t left = {0};
    shard_lock(home->shard);
    if (!home->removed)
        home_settle(memory, home, &left);
    shard_unlock(home->shard);
    leavings_release(memory, &left);
}

static void drop_destination(memory_t *memory, destination_t *destination)
{
    tidy(memory, destination->primary);
    home_unref(&destination->primary);
    if (destination->to != NULL)
        home_unref(&destination->to);
    if (destination->now != NULL)
        variants_unref(&destination->now);
    if (destination->node != NULL)
        variants_unref(&destination->node);
    free(destination->selector);
}

typedef enum { MOVED, NOT_MOVED, MOVE_AGAIN } move_t;

/* In this order, so that whoever looks meanwhile finds it: it grows there, the primary leads there, it no
 * longer grows here. */
static move_t move_growing(memory_t *memory, object_t *object, const destination_t *destination)
{
    home_t *from = object_home(object), *to = destination->to;
    if (to != from && !put_growing(memory, to, object))
        return NOT_MOVED;
    if (!lead_to(memory, destination->primary, destination->now, destination->node, object_stamp(object))) {
        if (to != from)
            take_growing(memory, to, object);
        return MOVE_AGAIN;
    }
    home_join_variants(memory, destination->primary, destination->node, to);
    if (to == from)
        return MOVED;
    if (!take_growing(memory, from, object)) {
        take_growing(memory, to, object);
        return NOT_MOVED;
    }
    home_ref(to);
    object_set_home(object, to);
    home_unref(&from);
    return MOVED;
}

bool memory_to_variant(memory_t *memory, object_t *object, const http_vary_t *vary, http_fields_t request)
{
    move_t move = MOVE_AGAIN;
    while (move == MOVE_AGAIN) {
        destination_t destination;
        if (find_destination(memory, object, vary, request, &destination))
            move = move_growing(memory, object, &destination);
        else
            move = destination.primary == object_home(object) ? MOVED : NOT_MOVED;
        if (move != MOVE_AGAIN && destination.node != NULL)
            object_set_variant(object, &destination.node, &destination.selector, destination.selector_length);
        drop_destination(memory, &destination);
    }
    return move == MOVED;
}

uint64_t memory_invalidations(const memory_t *memory)
{
    return atomic_load_explicit(&memory->invalidations, memory_order_acquire);
}

bool memory_invalidated_since(const memory_t *memory, const cache_key_t *key, uint64_t count)
{
    size_t cell = key->subject.url.low % INVALIDATED_CELLS;
    return atomic_load_explicit(&memory->invalidated[cell], memory_order_acquire) > count;
}

static void note_invalidation(memory_t *memory, const cache_key_t *key)
{
    size_t cell = key->subject.url.low % INVALIDATED_CELLS;
    uint64_t number = atomic_fetch_add_explicit(&memory->invalidations, 1, memory_order_acq_rel) + 1;
    uint64_t last = atomic_load_explicit(&memory->invalidated[cell], memory_order_relaxed);
    while (last < number &&
           !atomic_compare_exchange_weak_explicit(&memory->invalidated[cell], &last, number,
                                                  memory_order_release, memory_order_relaxed))
        continue;
}

/* The home of a key, under its shard's lock: not one that has left the index, in whose place there may be
 * another by now, with what was read from below. */
static home_t *lock_home(memory_t *memory, const cache_key_t *key)
{
    for (;;) {
        home_t *home = memory_home(memory, key, NULL);
        shard_lock(home->shard);
        if (!home->removed)
            return home;
        shard_unlock(home->shard);
        home_unref(&home);
    }
}

void memory_invalidate(memory_t *memory, const cache_key_t *key)
{
    note_invalidation(memory, key); /* first: what is out of reach below is refused by this later */
    leavings_t left = {0};
    home_t *home = lock_home(memory, key);
    home_take_all(memory, home, &left);
    home_gone(memory, home);
    left.objects[1] = home_swap(&home->growing, NULL);
    home_settle(memory, home, &left);
    shard_unlock(home->shard);
    for (size_t i = 0; left.list != NULL && i < left.list->count; i++)
        clear_home(memory, left.list->homes[i], true);
    leavings_release(memory, &left);
    home_unref(&home);
    pieces_forget_sparse(memory, key, (text_t){NULL, 0}); /* with it, its pieces are out of reach */
}
