/* Memory and the index of what is on disk, looked at between the steps of the threads, none of which is held
 * up under a lock: as long as memory has an object stored, the index has that very object under its name, or
 * nothing. */
#include "edge/cache/disk/disk_private.h"
#include "edge/cache/disk/volume_private.h"
#include "edge/cache/memory_private.h"
#include "tests/sim/drive.h"
#include "tests/sim/interpose.h"
#include "tests/sim/world.h"

bool REAL(disk_index_find)(disk_index_t *index, const ledger_hash_t *name, bool asked, disk_place_t *place);

/* False: what stands there is none of this life of the slot, whole or not. */
bool interpose_see_record(disk_t *disk, const disk_place_t *place, record_t *record)
{
    const device_t *device = disk_device_at(disk, place);
    const volume_t *volume = device != NULL ? atomic_load(&device->volume) : NULL;
    uint8_t header[RECORD_HEADER_BYTES];
    record_address_t address;
    uint64_t offset;
    int file;
    return volume != NULL && volume_where(volume, place, &file, &offset, &address) &&
           drive_see(volume->config.io.context, file, header, sizeof header, offset) &&
           record_header_parse(header, sizeof header, &address, record);
}

static void check_home(disk_t *disk, home_t *home)
{
    const object_t *stored = atomic_load(&home->stored);
    const ledger_hash_t name = home_name(home);
    disk_place_t place;
    record_t record;
    if (stored == NULL || !REAL(disk_index_find)(disk->index, &name, false, &place) ||
        !interpose_see_record(disk, &place, &record))
        return;
    version_id_t version = object_body_version(stored);
    note_count(NOTE_AGREED);
    if (record.kind != RECORD_OBJECT || record.version.low != version.low ||
        record.version.high != version.high)
        note_violation("memory has version %llu stored, and the index has version "
                       "%llu under its name",
                       (unsigned long long)version.low, (unsigned long long)record.version.low);
}

void interpose_check_agreement(disk_t *disk, memory_t *memory)
{
    struct cds_lfht_iter iterator;
    struct cds_lfht_node *node;
    if (disk == NULL || world.names_collide)
        return;
    urcu_memb_read_lock();
    cds_lfht_for_each(memory->index, &iterator, node) check_home(disk, CONTAINER_OF(node, home_t, node));
    urcu_memb_read_unlock();
}
