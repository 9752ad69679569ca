/* What is to be kept on disk, and what no longer counts there.
 *
 * What is on its way to the index is known by its name, so that it can be revoked: of a name all but the
 * newest are revoked. Lock order: a shard's of memory, then the pending ones, then a device's or the index's.
 */
#include "edge/cache/disk/disk_private.h"
#include "edge/cache/disk/meta.h"
#include "edge/cache/pieces.h"

/* --- What is on its way --- */

static item_t **slot_of(disk_t *disk, const ledger_hash_t *name)
{
    return &disk->pending[name->high % PENDING_SLOTS];
}

static item_t *find_pending(disk_t *disk, const ledger_hash_t *name)
{
    item_t *item = *slot_of(disk, name);
    while (item != NULL && (item->name.low != name->low || item->name.high != name->high))
        item = item->next_pending;
    return item;
}

static void add_pending(disk_t *disk, item_t *item)
{
    item_t **slot = slot_of(disk, &item->name);
    item->next_pending = *slot;
    *slot = item;
}

static void remove_pending(disk_t *disk, const item_t *item)
{
    disk_lock(&disk->pending_lock);
    item_t **at = slot_of(disk, &item->name);
    while (*at != item)
        at = &(*at)->next_pending;
    *at = item->next_pending;
    disk_unlock(&disk->pending_lock);
}

void item_end(item_t *item, item_end_t how)
{
    static const disk_count_t counted[] = {[ITEM_WRITTEN] = COUNT_ADMITTED,
                                           [ITEM_NOT_QUEUED] = COUNT_DROPPED_QUEUE,
                                           [ITEM_BROKEN] = COUNT_DROPPED_BROKEN};
    disk_t *disk = item->device->disk;
    if (item->pending)
        remove_pending(disk, item);
    if (item->kind == ITEM_BURIAL)
        atomic_fetch_sub_explicit(&item->device->burials, 1, memory_order_relaxed);
    else if (how != ITEM_REVOKED)
        disk_count(disk, counted[how]);
    if (item->object != NULL)
        object_unref(&item->object);
    free(item);
}

static bool is_of(const object_t *object, const cache_key_t *key, const cache_variant_t *variant)
{
    cache_key_t is;
    cache_variant_t under;
    ledger_hash_t name;
    return memory_place_of(object, &is, &under, &name) && text_equal(is.site, key->site) &&
           text_equal(is.target, key->target) && text_equal(under.selector, variant->selector);
}

object_t *admit_find_part(disk_t *disk, const cache_key_t *key, const cache_variant_t *variant,
                          const ledger_hash_t *name)
{
    object_t *object = NULL;
    disk_lock(&disk->pending_lock);
    const item_t *item = find_pending(disk, name);
    if (item != NULL && item->is_part && !atomic_load(&item->revoked) && is_of(item->object, key, variant)) {
        object = item->object;
        object_ref(object);
    }
    disk_unlock(&disk->pending_lock);
    return object;
}

/* --- What no longer counts --- */

void disk_gone(void *context, const ledger_hash_t *name)
{
    disk_t *disk = context;
    disk_lock(&disk->pending_lock);
    item_t *pending = find_pending(disk, name);
    if (pending != NULL)
        atomic_store(&pending->revoked, true);
    disk_unlock(&disk->pending_lock);
    /* One that was found on starting, or will be, may come back if nothing is said of it. */
    bool was = disk_index_remove(disk->index, name);
    device_t *device = disk_device_of(disk, name);
    if (device == NULL || (!was && pending == NULL && disk_index_is_complete(disk->index)))
        return;
    item_t *item = must_calloc(1, sizeof *item);
    item->device = device;
    item->name = *name;
    if (!writer_queue(item))
        free(item);
}

/* --- What is to be kept --- */

/* Under the lock of its home in memory: nothing newer is known. False: it is there, or on its way. */
static bool note_pending(void *context, const ledger_hash_t *name)
{
    item_t *item = context;
    disk_t *disk = item->device->disk;
    disk_place_t place;
    if (disk_index_find(disk->index, name, false, &place))
        return false;
    disk_lock(&disk->pending_lock);
    const item_t *before = find_pending(disk, name);
    item->pending = before == NULL || atomic_load(&before->revoked);
    if (item->pending)
        add_pending(disk, item);
    disk_unlock(&disk->pending_lock);
    return item->pending;
}

static item_t *item_new(device_t *device, item_kind_t kind, object_t *object, const ledger_hash_t *name,
                        size_t bytes)
{
    item_t *item = must_calloc(1, sizeof *item);
    object_ref(object);
    item->device = device;
    item->name = *name;
    item->object = object;
    item->kind = kind;
    item->bytes = bytes;
    return item;
}

static void drop_new(item_t *item)
{
    object_unref(&item->object);
    free(item);
}

/* False: there is no room now. */
static bool queue_noted(item_t *item)
{
    if (writer_queue(item))
        return true;
    item_end(item, ITEM_NOT_QUEUED);
    return false;
}

/* The node that the object's key leads to, without which the object could not be found. */
static bool admit_node(disk_t *disk, object_t *object, const cache_key_t *key, const variants_t *node)
{
    ledger_hash_t name = memory_name(key, NULL);
    device_t *device = disk_device_of(disk, &name);
    if (device == NULL)
        return false;
    item_t *item = item_new(device, ITEM_NODE, object, &name, DISK_UNIT);
    if (memory_while_leads(disk->config.memory, key, node, note_pending, item))
        return queue_noted(item);
    drop_new(item);
    return true; /* it is there, or leads elsewhere by now */
}

/* What is too large for a record is kept as what is too large for memory is: a head, and pieces that are
 * found by its version. Where upstream takes no ranges it answers as long as all of them are there. */
static bool can_be_in_pieces(const disk_t *disk, const object_t *object, const cache_variant_t *variant)
{
    return variant->selector.data == NULL && pieces_keepable(disk->config.memory, object_head(object));
}

/* The head comes last, and under the name that the whole has in memory. */
static bool admit_head(disk_t *disk, object_t *object, const cache_key_t *key)
{
    ledger_hash_t name = memory_name(key, NULL);
    device_t *device = disk_device_of(disk, &name);
    if (device == NULL)
        return false;
    item_t *item = item_new(device, ITEM_WHOLE, object, &name, DISK_UNIT);
    if (memory_while_stored(disk->config.memory, object, note_pending, item))
        return queue_noted(item);
    drop_new(item);
    return true;
}

bool admit_part(disk_t *disk, object_t *object, uint64_t first)
{
    cache_key_t key;
    cache_variant_t variant;
    ledger_hash_t name;
    uint64_t numbers[PIECE_NUMBERS], length = object_length(object), rest = length - first;
    MUST(memory_place_of(object, &key, &variant, &name));
    if (first >= length)
        return admit_head(disk, object, &key);
    variant = piece_variant(object, (piece_t){first, first}, numbers);
    name = memory_name(&key, &variant);
    device_t *device = disk_device_of(disk, &name);
    if (device == NULL)
        return false;
    item_t *item =
        item_new(device, ITEM_PIECE, object, &name, rest < PIECE_BYTES ? (size_t)rest : PIECE_BYTES);
    item->first = first;
    return queue_noted(item);
}

/* Of what is too large for memory all is kept at once: who reads slowly finds there what memory has let go
 * of. */
static bool is_part(const cache_variant_t *variant)
{
    return variant->variants == NULL && variant->selector.data != NULL;
}

/* False: to be offered again. */
static bool admit(disk_t *disk, object_t *object)
{
    cache_key_t key;
    cache_variant_t variant;
    ledger_hash_t name;
    uint64_t length = object_length(object);
    if (!memory_place_of(object, &key, &variant, &name))
        return true;
    device_t *device = disk_device_of(disk, &name);
    if (device == NULL)
        return false;
    size_t meta = disk_meta_size(object, &key, &variant);
    bool in_pieces = length > RECORD_BODY_MAX && can_be_in_pieces(disk, object, &variant);
    if (meta > RECORD_META_MAX || (length > RECORD_BODY_MAX && !in_pieces)) {
        disk_count(disk, COUNT_DROPPED_SIZE);
        return true;
    }
    if (in_pieces)
        return admit_part(disk, object, 0);
    if (variant.variants != NULL && !admit_node(disk, object, &key, variant.variants))
        return false;
    item_t *item = item_new(device, ITEM_OBJECT, object, &name, meta + (size_t)length);
    item->is_part = is_part(&variant);
    if (memory_while_stored(disk->config.memory, object, note_pending, item))
        return queue_noted(item);
    drop_new(item);
    return true;
}

static void offer(disk_t *disk, object_t *object)
{
    if (object_offer(object) && !admit(disk, object))
        object_offer_again(object);
}

void disk_stored(void *context, object_t *object)
{
    disk_t *disk = context;
    cache_key_t key;
    cache_variant_t variant;
    ledger_hash_t name;
    if (!memory_place_of(object, &key, &variant, &name))
        return;
    bool seen = admission_seen(disk->seen, disk_index_hash(disk->index, &name));
    if (seen || is_part(&variant) ||
        atomic_load_explicit(&disk->admission, memory_order_relaxed) == DISK_ALWAYS)
        offer(disk, object);
}

void disk_note_hit(disk_t *disk, object_t *object)
{
    offer(disk, object);
}
