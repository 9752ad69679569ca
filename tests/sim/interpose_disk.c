/* The disk tier as it runs in the simulation: it is looked on at its edges, so that the referee knows what
 * was written and what was buried. It is looked into as well: there is no other way to see when. */
#include "edge/cache/disk/disk_private.h"
#include "edge/cache/disk/volume_private.h"
#include "tests/sim/drive.h"
#include "tests/sim/interpose.h"
#include "tests/sim/referee_disk.h"
#include "tests/sim/world.h"

char *WRAP(disk_room)(void);
char *WRAP(disk_room)(void)
{
    return schedule_thread_room((size_t)RECORD_META_UNITS_MAX * DISK_UNIT);
}

static unsigned drive_of(const volume_t *volume)
{
    return drive_number(volume->config.io.context);
}

void interpose_noted(const disk_t *disk, const uint8_t *data, size_t length)
{
    members_t members;
    MUST(members_parse(data, length, &members));
    for (unsigned i = 0; disk != NULL && i < disk->device_count; i++) {
        const device_t *device = &disk->devices[i];
        const volume_t *volume = atomic_load_explicit(&device->volume, memory_order_relaxed);
        referee_listed(i, members_have(&members, volume != NULL ? volume_id(volume) : device->waiting_id));
    }
}

bool interpose_has_found_all(const disk_t *disk)
{
    return disk_index_is_complete(disk->index);
}

bool interpose_is_open(unsigned drive)
{
    return atomic_load_explicit(&world.node.disk->devices[drive].volume, memory_order_relaxed) != NULL;
}

unsigned interpose_owner(const ledger_hash_t *name)
{
    return (unsigned)(disk_favourite(world.node.disk, name) - world.node.disk->devices);
}

/* A quarter of its queue is full. */
bool interpose_is_behind(const ledger_hash_t *name)
{
    const device_t *device = world.node.disk != NULL ? disk_device_of(world.node.disk, name) : NULL;
    return device != NULL && device->queue_bytes > device->queue_bytes_max / 4 && !device->stopping &&
           atomic_load_explicit(&device->ready, memory_order_relaxed);
}

/* --- Segments --- */

typedef struct {
    drive_t *drive;
    const slot_t *slot;
} segment_t;

static segment_t segment_at(const disk_place_t *place)
{
    const device_t *device = disk_device_at(world.node.disk, place);
    if (device == NULL)
        return (segment_t){NULL, NULL};
    const volume_t *volume = atomic_load_explicit(&device->volume, memory_order_relaxed);
    return (segment_t){volume->config.io.context, &volume->slots[place->segment - device->first_segment]};
}

static void note_found(const disk_place_t *place)
{
    segment_t segment = segment_at(place);
    if (segment.drive == NULL)
        return;
    if (!segment.slot->sealed)
        drive_note_scanned(segment.drive, slot_serial(segment.slot));
    drive_found(segment.drive, slot_file(segment.slot), (uint64_t)place->unit * DISK_UNIT,
                segment.slot->sealed);
}

/* A reader has found that what stands there does not verify. Records are on the device before the trailer. */
static void check_refused(const disk_place_t *place)
{
    segment_t segment = segment_at(place);
    if (segment.drive != NULL && segment.slot->sealed && !drive_has_failed(segment.drive) &&
        !drive_was_scanned(segment.drive, slot_serial(segment.slot)))
        note_violation("a record of the sealed segment %llu does not verify, and the drive never failed",
                       (unsigned long long)slot_serial(segment.slot));
}

/* --- Names that the index takes for one another --- */

/* In some stories it knows very few. */
static ledger_hash_t known_as(const ledger_hash_t *name)
{
    enum { KNOWN = 4 };
    return world.names_collide ? (ledger_hash_t){name->low % KNOWN, 0} : *name;
}

bool REAL(disk_index_find)(disk_index_t *index, const ledger_hash_t *name, bool asked, disk_place_t *place);
bool WRAP(disk_index_find)(disk_index_t *index, const ledger_hash_t *name, bool asked, disk_place_t *place);
bool WRAP(disk_index_find)(disk_index_t *index, const ledger_hash_t *name, bool asked, disk_place_t *place)
{
    ledger_hash_t known = known_as(name);
    return REAL(disk_index_find)(index, &known, asked, place);
}

/* Of one that has entered since then. */
static void check_entered(const ledger_hash_t *name, const disk_place_t *place, uint64_t moment)
{
    record_t record;
    if (world.names_collide || world.node.unplugged || !interpose_see_record(world.node.disk, place, &record))
        return;
    referee_indexed(name, record.version.low, moment);
}

bool REAL(disk_index_put)(disk_index_t *index, const ledger_hash_t *name, const disk_place_t *place,
                          const _Atomic bool *revoked);
bool WRAP(disk_index_put)(disk_index_t *index, const ledger_hash_t *name, const disk_place_t *place,
                          const _Atomic bool *revoked);
bool WRAP(disk_index_put)(disk_index_t *index, const ledger_hash_t *name, const disk_place_t *place,
                          const _Atomic bool *revoked)
{
    ledger_hash_t known = known_as(name);
    uint64_t moment = schedule_moment();
    bool put = REAL(disk_index_put)(index, &known, place, revoked);
    if (put)
        check_entered(name, place, moment);
    else
        note_count(NOTE_REVOKED);
    return put;
}

bool REAL(disk_index_found)(disk_index_t *index, const ledger_hash_t *name, const disk_place_t *place);
bool WRAP(disk_index_found)(disk_index_t *index, const ledger_hash_t *name, const disk_place_t *place);
bool WRAP(disk_index_found)(disk_index_t *index, const ledger_hash_t *name, const disk_place_t *place)
{
    ledger_hash_t known = known_as(name);
    bool found = REAL(disk_index_found)(index, &known, place);
    note_found(place);
    note_count(found ? NOTE_FOUND : NOTE_FOUND_OLDER);
    return found;
}

void REAL(disk_index_found_buried)(disk_index_t *index, const ledger_hash_t *name);
void WRAP(disk_index_found_buried)(disk_index_t *index, const ledger_hash_t *name);
void WRAP(disk_index_found_buried)(disk_index_t *index, const ledger_hash_t *name)
{
    ledger_hash_t known = known_as(name);
    REAL(disk_index_found_buried)(index, &known);
    note_count(NOTE_FOUND_BURIED);
}

/* Of what was asked for in the oldest segment, as much is written again as makes a quarter of a new one. */
static void check_moved(const disk_place_t *to)
{
    segment_t segment = segment_at(to);
    unsigned drive = drive_number(segment.drive);
    const volume_t *volume = atomic_load(&world.node.disk->devices[drive].volume);
    uint64_t serial = slot_serial(segment.slot);
    uint64_t bytes =
        drive_note_moved(segment.drive, volume_id(volume), serial, (uint64_t)to->units * DISK_UNIT);
    if (bytes > world.segment_bytes / 4)
        note_violation("drive %u: %llu bytes are written again in segment %llu", drive,
                       (unsigned long long)bytes, (unsigned long long)serial);
}

bool REAL(disk_index_move)(disk_index_t *index, const ledger_hash_t *name, const disk_place_t *from,
                           const disk_place_t *to);
bool WRAP(disk_index_move)(disk_index_t *index, const ledger_hash_t *name, const disk_place_t *from,
                           const disk_place_t *to);
bool WRAP(disk_index_move)(disk_index_t *index, const ledger_hash_t *name, const disk_place_t *from,
                           const disk_place_t *to)
{
    ledger_hash_t known = known_as(name);
    uint64_t moment = schedule_moment();
    bool moved = REAL(disk_index_move)(index, &known, from, to);
    note_count(moved ? NOTE_MOVED_RECORDS : NOTE_MOVED_IN_VAIN);
    check_moved(to);
    if (moved)
        check_entered(name, to, moment);
    return moved;
}

bool REAL(disk_index_remove)(disk_index_t *index, const ledger_hash_t *name);
bool WRAP(disk_index_remove)(disk_index_t *index, const ledger_hash_t *name);
bool WRAP(disk_index_remove)(disk_index_t *index, const ledger_hash_t *name)
{
    ledger_hash_t known = known_as(name);
    if (!disk_index_is_complete(index))
        note_count(NOTE_GONE_BEFORE_FOUND);
    return REAL(disk_index_remove)(index, &known);
}

bool REAL(disk_index_remove_at)(disk_index_t *index, const ledger_hash_t *name, const disk_place_t *place);
bool WRAP(disk_index_remove_at)(disk_index_t *index, const ledger_hash_t *name, const disk_place_t *place);
bool WRAP(disk_index_remove_at)(disk_index_t *index, const ledger_hash_t *name, const disk_place_t *place)
{
    ledger_hash_t known = known_as(name);
    bool removed = REAL(disk_index_remove_at)(index, &known, place);
    if (removed && strcmp(schedule_thread_name(), "disk-write") != 0)
        check_refused(place);
    return removed;
}

int REAL(disk_index_uses)(disk_index_t *index, const ledger_hash_t *name, const disk_place_t *place);
int WRAP(disk_index_uses)(disk_index_t *index, const ledger_hash_t *name, const disk_place_t *place);
int WRAP(disk_index_uses)(disk_index_t *index, const ledger_hash_t *name, const disk_place_t *place)
{
    ledger_hash_t known = known_as(name);
    return REAL(disk_index_uses)(index, &known, place);
}

/* --- What no longer counts --- */

static bool gone_queued;

bool REAL(writer_queue)(item_t *item);
bool WRAP(writer_queue)(item_t *item);
bool WRAP(writer_queue)(item_t *item)
{
    bool is_burial = item->kind == ITEM_BURIAL; /* it may be the writer's by then */
    bool queued = REAL(writer_queue)(item);
    if (is_burial)
        gone_queued = queued;
    return queued;
}

device_t *REAL(disk_device_of)(disk_t *disk, const ledger_hash_t *name);

/* Under the shard's lock: nothing comes in between. */
void REAL(disk_gone)(void *context, const ledger_hash_t *name);
void WRAP(disk_gone)(void *context, const ledger_hash_t *name);
void WRAP(disk_gone)(void *context, const ledger_hash_t *name)
{
    gone_queued = false;
    REAL(disk_gone)(context, name);
    bool has_device = disk_device_of(context, name) != NULL;
    if (!world.node.unplugged)
        referee_gone(name, gone_queued ? GONE_QUEUED : has_device ? GONE_UNSAID : GONE_NO_DEVICE);
}

bool REAL(volume_bury)(volume_t *volume, const ledger_hash_t *name);
bool WRAP(volume_bury)(volume_t *volume, const ledger_hash_t *name);
bool WRAP(volume_bury)(volume_t *volume, const ledger_hash_t *name)
{
    referee_buried(drive_of(volume), name);
    return REAL(volume_bury)(volume, name);
}

bool REAL(volume_flush)(volume_t *volume);
bool WRAP(volume_flush)(volume_t *volume);
bool WRAP(volume_flush)(volume_t *volume)
{
    bool whole = REAL(volume_flush)(volume);
    if (volume->failure.broken && !world.node.unplugged && drive_is_owned(volume->config.io.context))
        note_violation("drive %u: nothing can be buried any more, and what it has is kept", drive_of(volume));
    if (!volume->failure.broken && !world.node.unplugged)
        referee_flushed(drive_of(volume));
    return whole;
}

/* A writer that has all that is queued, and whose drive fails in nothing, rests no longer than it may. */
void interpose_sleeps(const pthread_cond_t *condition, int64_t until_us)
{
    for (unsigned i = 0; world.node.disk != NULL && i < world.node.disk->device_count; i++) {
        const device_t *device = &world.node.disk->devices[i];
        if (condition == &device->written && device->begun && !device->stopping && !device->ended &&
            !atomic_load_explicit(&device->failed, memory_order_relaxed) &&
            !drive_was_broken(world.drives[i]))
            referee_rests(i, until_us);
    }
}

/* --- What is to be kept --- */

typedef struct {
    memory_note_t note;
    item_t *item;
    record_id_t id;
    uint64_t stamp;
} noting_t;

static bool note_kept(void *context, const ledger_hash_t *name)
{
    noting_t *noting = context;
    const device_t *device = noting->item->device;
    bool noted = noting->note(noting->item, name);
    if (noted && !world.node.unplugged)
        referee_kept(name, (unsigned)(device - device->disk->devices), noting->id, noting->stamp);
    return noted;
}

/* A piece has no field of the origin's. */
static record_id_t object_record(const object_t *object)
{
    const head_t *head = object_head(object);
    bool is_named = http_fields_find(head->fields, TEXT("x-answer")) != NULL;
    return (record_id_t){object_body_version(object).low,
                         is_named ? referee_answer_of(head)->id : RECORD_OF_PIECE};
}

static record_id_t node_record(const variants_t *node)
{
    return (record_id_t){variants_id(node).low, RECORD_OF_NODE};
}

bool REAL(memory_while_stored)(memory_t *memory, object_t *object, memory_note_t note, void *context);
bool WRAP(memory_while_stored)(memory_t *memory, object_t *object, memory_note_t note, void *context);
bool WRAP(memory_while_stored)(memory_t *memory, object_t *object, memory_note_t note, void *context)
{
    noting_t noting = {note, context, object_record(object), object_stamp(object)};
    return REAL(memory_while_stored)(memory, object, note_kept, &noting);
}

static bool note_stored(void *context, const ledger_hash_t *name)
{
    const record_id_t *id = context;
    if (!world.node.unplugged)
        referee_stored(name, *id);
    return true;
}

void REAL(disk_stored)(void *context, object_t *object);
void WRAP(disk_stored)(void *context, object_t *object);
void WRAP(disk_stored)(void *context, object_t *object)
{
    record_id_t id = object_record(object);
    REAL(memory_while_stored)(world.node.memory, object, note_stored, &id);
    REAL(disk_stored)(context, object);
}

bool REAL(memory_while_leads)(memory_t *memory, const cache_key_t *key, const variants_t *node,
                              memory_note_t note, void *context);
bool WRAP(memory_while_leads)(memory_t *memory, const cache_key_t *key, const variants_t *node,
                              memory_note_t note, void *context);
bool WRAP(memory_while_leads)(memory_t *memory, const cache_key_t *key, const variants_t *node,
                              memory_note_t note, void *context)
{
    noting_t noting = {note, context, node_record(node), 0};
    return REAL(memory_while_leads)(memory, key, node, note_kept, &noting);
}

/* --- What is read --- */

typedef struct {
    memory_note_t still;
    void *context;
    record_id_t id;
    uint64_t stamp;
    ledger_hash_t whole; /* under which a sparse object may be kept */
    bool is_variant;
    record_id_t node; /* of which, if it is one */
} loading_t;

static bool note_loaded(void *context, const ledger_hash_t *name)
{
    const loading_t *loading = context;
    bool still = loading->still(loading->context, name);
    if (!still) {
        note_count(NOTE_LOADED_TOO_LATE);
        return false;
    }
    const ledger_hash_t *kept_as = referee_is_kept(name, loading->id) ? name : &loading->whole;
    referee_stamped(kept_as, loading->id, loading->stamp);
    referee_loaded(kept_as, loading->id, loading->is_variant ? &loading->node : NULL);
    return true;
}

object_t *REAL(memory_put_loaded)(memory_t *memory, const cache_key_t *key, const cache_variant_t *variant,
                                  object_t *object, memory_note_t still, void *context);
object_t *WRAP(memory_put_loaded)(memory_t *memory, const cache_key_t *key, const cache_variant_t *variant,
                                  object_t *object, memory_note_t still, void *context);
object_t *WRAP(memory_put_loaded)(memory_t *memory, const cache_key_t *key, const cache_variant_t *variant,
                                  object_t *object, memory_note_t still, void *context)
{
    loading_t loading = {
        .still = still, .context = context, .id = object_record(object), .stamp = object_stamp(object)};
    loading.whole = memory_name(key, NULL);
    loading.is_variant = variant != NULL && variant->variants != NULL;
    if (loading.is_variant)
        loading.node = node_record(variant->variants);
    if (world.rereads && random_chance(&world.apart, 300))
        schedule_delay(random_between(&world.apart, 0, 5000000));
    schedule_preempt();
    object_t *stored = REAL(memory_put_loaded)(memory, key, variant, object, note_loaded, &loading);
    schedule_preempt();
    return stored;
}

bool REAL(memory_put_node)(memory_t *memory, const cache_key_t *key, variants_t *node, uint64_t stamp,
                           memory_note_t still, void *context);
bool WRAP(memory_put_node)(memory_t *memory, const cache_key_t *key, variants_t *node, uint64_t stamp,
                           memory_note_t still, void *context);
bool WRAP(memory_put_node)(memory_t *memory, const cache_key_t *key, variants_t *node, uint64_t stamp,
                           memory_note_t still, void *context)
{
    loading_t loading = {.still = still, .context = context, .id = node_record(node), .stamp = stamp};
    loading.whole = memory_name(key, NULL);
    schedule_preempt();
    bool put = REAL(memory_put_node)(memory, key, node, stamp, note_loaded, &loading);
    schedule_preempt();
    return put;
}
