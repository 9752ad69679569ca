/* Which of the directories may be believed. What is replaced or invalidated while a device is away, or after
 * it failed, is said nowhere on it: so it is noted beside the journal which ones miss nothing, before anybody
 * is served. And a name may belong to another device than before, when one is added, removed or resized: what
 * the one before has of it is buried there, for good, as it would count again if the name ever came back. */
#include "edge/cache/disk/disk_private.h"

#include <xxhash.h>

_Static_assert((int)DISK_DEVICES_MAX == (int)MEMBERS_MAX, "each device can be noted");

static bool is_noted(const disk_t *disk)
{
    return disk->config.notes.replace != NULL;
}

/* Whatever their order. */
static uint64_t set_of(const disk_t *disk)
{
    uint64_t set = 0;
    for (size_t i = 0; i < disk->device_count; i++) {
        const uint64_t words[2] = {disk->devices[i].seed, disk->devices[i].size};
        set += XXH3_64bits(words, sizeof words);
    }
    return set;
}

void membership_begin(disk_t *disk)
{
    uint8_t data[MEMBERS_BYTES + 1];
    size_t length = 0;
    members_t *before = &disk->members_before;
    uint64_t set = set_of(disk);
    if (!is_noted(disk))
        return;
    if (!disk->config.notes.read(disk->config.notes.context, data, sizeof data, &length) ||
        !members_parse(data, length, before))
        *before = (members_t){.sets = {set}, .set_count = 1};
    bool is_last = before->sets[before->set_count - 1] == set;
    /* Cut off as names changed their devices, and now they are others: none can say what counts. */
    if (!is_last && before->set_count > 1)
        *before = (members_t){.sets = {set}, .set_count = 1};
    disk->bury_others = before->set_count > 1 || !is_last;
    disk->members = (members_t){.sets = {before->sets[0], set}, .set_count = disk->bury_others ? 2 : 1};
}

bool membership_believes(void *context, uint64_t id)
{
    device_t *device = context;
    device->missed = is_noted(device->disk) && !members_have(&device->disk->members_before, id);
    return !device->missed;
}

bool membership_owns(void *context, const ledger_hash_t *name)
{
    const device_t *device = context;
    return disk_favourite(device->disk, name) == device;
}

/* 0: it misses what is forgotten from here on. One that waits does, as soon as there is something. */
static uint64_t id_of(const device_t *device)
{
    const volume_t *volume = atomic_load_explicit(&device->volume, memory_order_acquire);
    if (atomic_load_explicit(&device->failed, memory_order_relaxed))
        return 0;
    if (volume != NULL)
        return volume_id(volume);
    bool misses = atomic_load_explicit(&device->burials, memory_order_relaxed) > 0;
    return misses || !members_have(&device->disk->members_before, device->waiting_id) ? 0
                                                                                      : device->waiting_id;
}

/* Under the lock. */
static bool note(disk_t *disk)
{
    uint8_t data[MEMBERS_BYTES];
    disk->members.count = 0;
    for (size_t i = 0; i < disk->device_count; i++) {
        uint64_t id = id_of(&disk->devices[i]);
        if (id != 0)
            disk->members.ids[disk->members.count++] = id;
    }
    members_put(data, &disk->members);
    if (memcmp(data, disk->noted, sizeof data) == 0)
        return true;
    bool kept = disk->config.notes.replace(disk->config.notes.context, data, sizeof data);
    memcpy(disk->noted, data, kept ? sizeof data : 0);
    return kept;
}

bool membership_note(disk_t *disk)
{
    if (!is_noted(disk))
        return true;
    disk_lock(&disk->membership_lock);
    bool kept = note(disk);
    disk_unlock(&disk->membership_lock);
    return kept;
}

void membership_settled(disk_t *disk)
{
    if (!is_noted(disk))
        return;
    disk_lock(&disk->membership_lock);
    disk->members.sets[0] = disk->members.sets[disk->members.set_count - 1];
    disk->members.set_count = 1;
    note(disk);
    disk_unlock(&disk->membership_lock);
}
