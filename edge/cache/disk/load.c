/* From a record to an object in memory: read, verified, and put where it belongs if it is still the newest.
 */
#include "edge/cache/disk/disk_private.h"
#include "edge/cache/disk/meta.h"
#include "edge/cache/pieces.h"

typedef struct {
    device_t *device;
    int file;
    uint64_t offset;
    record_address_t address;
    size_t meta_length, body_length; /* rounded up to whole units */
    char *meta;
    body_t *body; /* NULL: there is none */
    struct iovec places[1 + RECORD_BLOCKS_MAX];
    int place_count;
    record_t record;
} reading_t;

static bool find_room(disk_t *disk, const disk_place_t *place, reading_t *reading)
{
    memory_t *memory = disk->config.memory;
    reading->meta_length = (size_t)place->meta_units * DISK_UNIT;
    reading->body_length = (size_t)(place->units - place->meta_units) * DISK_UNIT;
    reading->meta = disk_room();
    reading->places[0] = (struct iovec){reading->meta, reading->meta_length};
    reading->place_count = 1;
    if (reading->body_length == 0)
        return true;
    size_t cost = body_cost((int64_t)reading->body_length, true);
    if (!memory_reserve(memory, cost))
        return false;
    reading->body = body_for_load(memory_account(memory), reading->body_length, cost);
    reading->place_count += body_load_places(reading->body, reading->places + 1);
    return true;
}

/* Behind the first so many bytes of the places. */
static int places_behind(const reading_t *reading, size_t done, struct iovec rest[1 + RECORD_BLOCKS_MAX])
{
    int count = 0;
    for (int i = 0; i < reading->place_count; i++) {
        struct iovec place = reading->places[i];
        if (done >= place.iov_len) {
            done -= place.iov_len;
            continue;
        }
        rest[count++] = (struct iovec){(char *)place.iov_base + done, place.iov_len - done};
        done = 0;
    }
    return count;
}

/* What comes in parts is asked for until it is all there. */
static load_t read_all(disk_t *disk, const reading_t *reading, bool cached)
{
    const disk_io_t *io = &reading->device->io;
    size_t wanted = reading->meta_length + reading->body_length, done = 0;
    while (done < wanted) {
        struct iovec rest[1 + RECORD_BLOCKS_MAX];
        int count = places_behind(reading, done, rest);
        ssize_t got = (cached ? io->read_cached : io->read)(io->context, reading->file, rest, count,
                                                            reading->offset + done);
        if (cached && got <= 0)
            return LOAD_UNCACHED;
        if (got == 0) /* the slot has been used again, and cut */
            return LOAD_ABSENT;
        if (got < 0) {
            disk_count(disk, COUNT_READ_ERRORS);
            return LOAD_FAILED;
        }
        done += (size_t)got;
    }
    return LOAD_FOUND;
}

static bool blocks_are_right(const reading_t *reading)
{
    size_t left = reading->record.body_bytes;
    for (unsigned i = 0; left > 0; i++) {
        size_t part = left < BLOCK_BYTES ? left : BLOCK_BYTES;
        if (record_block_checksum(reading->record.version, i, reading->places[1 + i].iov_base, part) !=
            reading->record.block_checksums[i])
            return false;
        left -= part;
    }
    return true;
}

/* Are all bytes those that were written there? */
static bool verify(reading_t *reading)
{
    record_t *record = &reading->record;
    if (!record_header_parse((const uint8_t *)reading->meta, reading->meta_length, &reading->address, record))
        return false;
    size_t meta_room = (size_t)record_meta_units(record) * DISK_UNIT;
    size_t room = (size_t)record_units(record) * DISK_UNIT;
    return meta_room == reading->meta_length && room == reading->meta_length + reading->body_length &&
           record_meta_checksum(reading->meta + RECORD_HEADER_BYTES, record->meta_bytes) ==
               record->meta_checksum &&
           blocks_are_right(reading);
}

/* The hash that found it is one of the name, and that one of the key: the key itself decides. */
static bool is_of_key(const disk_meta_t *meta, const cache_key_t *key, const cache_variant_t *variant)
{
    if (!text_equal(meta->site, key->site) || !text_equal(meta->target, key->target))
        return false;
    if (variant == NULL) /* a key's own: what it has a node of is what it leads to */
        return meta->selector.data == NULL && meta->has_node == (meta->kind == RECORD_VARIANTS);
    version_id_t id = variant->variants != NULL ? variants_id(variant->variants) : (version_id_t){0, 0};
    return meta->has_node == (variant->variants != NULL) && meta->node.low == id.low &&
           meta->node.high == id.high && meta->selector.data != NULL &&
           text_equal(meta->selector, variant->selector);
}

/* Is the slot still in the life in which this was read? */
static bool is_same_life(const reading_t *reading, const disk_place_t *place)
{
    record_address_t now;
    int file;
    uint64_t offset;
    return volume_where(atomic_load_explicit(&reading->device->volume, memory_order_acquire), place, &file,
                        &offset, &now) &&
           now.serial == reading->address.serial;
}

/* Is it still where it was found? What was replaced or invalidated since is not; but what took its place may
 * stand at the same place of the slot's next life, so that is looked at, and after the index: the life of
 * what that has there had begun before. */
typedef struct {
    disk_t *disk;
    const ledger_hash_t *name;
    const disk_place_t *place;
    const reading_t *reading;
} found_t;

static bool is_still_there(void *context, const ledger_hash_t *name)
{
    const found_t *found = context;
    (void)name; /* that of the home, which is another's where a whole is kept in pieces */
    return disk_index_uses(found->disk->index, found->name, found->place) >= 0 &&
           is_same_life(found->reading, found->place);
}

static object_t *make_object(disk_t *disk, const cache_key_t *key, const disk_meta_t *meta,
                             reading_t *reading)
{
    memory_t *memory = disk->config.memory;
    object_t *object =
        memory_new_object_as(memory, &key->subject, reading->record.stamp, reading->record.version);
    head_t *head = head_load(memory_account(memory), meta);
    if (meta->has_node) {
        variants_t *node = variants_new(NULL, &meta->vary, meta->node);
        char *selector = must_alloc(meta->selector.length + 1);
        memcpy(selector, meta->selector.data, meta->selector.length);
        object_set_variant(object, &node, &selector, meta->selector.length);
    }
    if (reading->body == NULL)
        reading->body = body_new(memory_account(memory), reading->record.version, 0);
    else
        body_loaded(reading->body, reading->record.version, reading->record.body_bytes);
    object_complete_loaded(object, &head, meta->flags, &reading->body);
    object_offer(object); /* it is there already */
    return object;
}

/* The head of a whole that was kept in pieces belongs where what is in pieces is looked for. Who takes it
 * from there may store a newer whole meanwhile, under another lock: so it is looked at once more. */
static load_t put_in_pieces(disk_t *disk, const cache_key_t *key, object_t *object, found_t *found)
{
    memory_t *memory = disk->config.memory;
    object_t *stored = memory_put_loaded(memory, key, &pieces_sparse, object, is_still_there, found);
    if (stored == NULL)
        return LOAD_ABSENT;
    if (stored == object && !is_still_there(found, found->name))
        memory_forget(memory, stored);
    object_unref(&stored);
    return LOAD_FOUND;
}

static load_t put(disk_t *disk, const cache_key_t *key, const cache_variant_t *variant,
                  const ledger_hash_t *name, const disk_place_t *place, reading_t *reading,
                  const disk_meta_t *meta, memory_view_t *view)
{
    found_t found = {disk, name, place, reading};
    if (reading->record.kind == RECORD_VARIANTS) {
        variants_t *node = variants_new(NULL, &meta->vary, meta->node);
        if (memory_put_node(disk->config.memory, key, node, reading->record.stamp, is_still_there, &found))
            view->variants = node;
        else
            variants_unref(&node);
        return view->variants != NULL ? LOAD_FOUND : LOAD_ABSENT;
    }
    object_t *object = make_object(disk, key, meta, reading);
    if (variant == NULL && (meta->flags & OBJECT_SPARSE)) {
        load_t result = put_in_pieces(disk, key, object, &found);
        object_unref(&object);
        return result;
    }
    view->stored = memory_put_loaded(disk->config.memory, key, variant, object, is_still_there, &found);
    object_unref(&object);
    return view->stored != NULL ? LOAD_FOUND : LOAD_ABSENT;
}

/* What is wrong where the slot is not being used again meanwhile is the medium's doing. */
static load_t refuse(disk_t *disk, const ledger_hash_t *name, const disk_place_t *place,
                     const reading_t *reading)
{
    if (is_same_life(reading, place) && disk_index_remove_at(disk->index, name, place))
        disk_count(disk, COUNT_CHECKSUM_FAILURES);
    return LOAD_ABSENT;
}

static load_t take(disk_t *disk, const cache_key_t *key, const cache_variant_t *variant,
                   const ledger_hash_t *name, const disk_place_t *place, reading_t *reading,
                   memory_view_t *view)
{
    const record_t *record = &reading->record;
    disk_meta_t meta;
    if (!verify(reading) || record->stamp > ledger_sequence(disk->config.ledger) ||
        !disk_meta_parse((const uint8_t *)reading->meta + RECORD_HEADER_BYTES, record->meta_bytes,
                         record->kind, &meta) ||
        (record->kind == RECORD_OBJECT && !disk_meta_has_body(&meta, record->body_bytes)))
        return refuse(disk, name, place, reading);
    bool is_of_name = record->name.low == name->low && record->name.high == name->high;
    if (!is_of_name || !is_of_key(&meta, key, variant))
        return LOAD_ABSENT;
    return put(disk, key, variant, name, place, reading, &meta, view);
}

load_t load_record(disk_t *disk, const cache_key_t *key, const cache_variant_t *variant,
                   const ledger_hash_t *name, const disk_place_t *place, bool cached, memory_view_t *view)
{
    reading_t reading = {.device = disk_device_at(disk, place)};
    volume_t *volume =
        reading.device != NULL ? atomic_load_explicit(&reading.device->volume, memory_order_acquire) : NULL;
    if (volume == NULL || place->meta_units == 0 || place->units < place->meta_units ||
        !volume_where(volume, place, &reading.file, &reading.offset, &reading.address))
        return LOAD_ABSENT;
    if (cached && reading.device->io.read_cached == NULL)
        return LOAD_UNCACHED;
    if (!find_room(disk, place, &reading))
        return LOAD_NO_MEMORY;
    load_t result = read_all(disk, &reading, cached);
    if (result == LOAD_FOUND)
        result = take(disk, key, variant, name, place, &reading, view);
    if (result == LOAD_FOUND)
        disk_count(disk, cached ? COUNT_FROM_CACHE : COUNT_FROM_DEVICE);
    if (reading.body != NULL)
        body_unref(&reading.body);
    return result;
}
