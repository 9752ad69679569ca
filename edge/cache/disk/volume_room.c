/* Room for a new segment: a slot that was never used, or that of the oldest segment. Of the one that comes
 * next, what is asked for most is written again beforehand, a record with each that is new, so that none
 * waits for long. */
#include "edge/cache/disk/volume_private.h"

#include <errno.h>

/* The slot. ---------------------------------------------------------------------------------------------- */

/* On a full file system what has no file yet would get none; there is always one to begin with. */
static slot_t *find_free(const volume_t *volume)
{
    for (size_t i = 0; i < volume->slot_count; i++) {
        slot_t *slot = &volume->slots[i];
        if (slot_serial(slot) == 0 && (slot->length > 0 || !volume->full || volume_segments(volume) == 0))
            return slot;
    }
    return NULL;
}

static slot_t *find_oldest(const volume_t *volume)
{
    slot_t *oldest = NULL;
    for (size_t i = 0; i < volume->slot_count; i++) {
        slot_t *slot = &volume->slots[i];
        if (slot_serial(slot) != 0 && slot != volume->open &&
            (oldest == NULL || slot_serial(slot) < slot_serial(oldest)))
            oldest = slot;
    }
    return oldest;
}

/* The index has nothing more of what it held in its last life. As long as it stands on the device that must
 * not be: what goes then leaves a tombstone only if the index has it. */
static void forget_held(volume_t *volume, slot_t *slot, const contents_t *held)
{
    if (slot->stale && held->count == 0)
        disk_index_remove_segments(volume->config.index, slot_number(volume, slot),
                                   slot_number(volume, slot));
    for (size_t i = 0; slot->stale && i < held->count; i++) {
        const footer_entry_t *entry = &held->entries[i];
        disk_place_t place = entry_place(volume, slot, entry);
        if (entry->kind != RECORD_TOMBSTONES)
            disk_index_remove_at(volume->config.index, &entry->name, &place);
    }
    slot->stale = false;
}

/* Others are used again before this one from now on, and what they bury must not outlive them here: what it
 * held is gone from the device, or nothing of the volume is to be found any more. */
bool volume_empty_slot(volume_t *volume, slot_t *slot)
{
    volume_set_serial(volume, slot, 0);
    slot->sealed = false;
    slot->stale = true;
    if (!volume_set_length(volume, slot, 0))
        return false;
    int result = volume->config.io.sync(volume->config.io.context, slot_file(slot));
    if (result == 0) {
        forget_held(volume, slot, &(contents_t){0});
        return true;
    }
    volume_note(volume, "sync", result);
    volume->failure.broken = true;
    volume_disown(volume);
    return false;
}

/* Its records can no longer be read, before the first of their bytes is gone. */
static slot_t *take_slot(volume_t *volume, contents_t *held)
{
    slot_t *slot = find_free(volume);
    if (slot != NULL)
        return slot;
    slot = find_oldest(volume);
    if (!volume_read_footer(volume, slot, held))
        *held = (contents_t){0};
    volume_set_serial(volume, slot, 0);
    slot->sealed = false;
    slot->stale = true;
    return slot;
}

/* Beginning. --------------------------------------------------------------------------------------------- */

static bool open_file(volume_t *volume, slot_t *slot)
{
    const disk_io_t *io = &volume->config.io;
    char name[SLOT_NAME_BYTES];
    if (slot_file(slot) != NO_FILE)
        return true;
    volume_slot_name(name, (size_t)(slot - volume->slots));
    int file = io->open(io->context, name, DISK_OPEN_CREATE);
    if (file < 0)
        return volume_note(volume, "open", file);
    atomic_store_explicit(&slot->file, file, memory_order_relaxed);
    slot->unnamed = true;
    return true;
}

/* Header and an empty trailer are on the device before any record: so no record bears a serial that the next
 * start could not know of, and no trailer is there but its own. */
static bool write_ends(volume_t *volume, const slot_t *slot, uint64_t serial)
{
    const disk_io_t *io = &volume->config.io;
    uint8_t header[SEGMENT_HEADER_BYTES];
    static const uint8_t blank[DISK_UNIT];
    segment_header_put(header, volume->id, serial);
    if (volume_write(volume, slot_file(slot), header, sizeof header, 0) != sizeof header ||
        volume_write(volume, slot_file(slot), blank, sizeof blank, volume->segment_bytes - sizeof blank) !=
            sizeof blank)
        return false;
    int result = io->sync(io->context, slot_file(slot));
    return result == 0 || volume_note(volume, "sync", result);
}

static bool sync_name(volume_t *volume, slot_t *slot)
{
    if (!slot->unnamed)
        return true;
    int result = volume->config.io.sync_directory(volume->config.io.context);
    slot->unnamed = result != 0;
    return result == 0 || volume_note(volume, "sync", result);
}

static bool prepare(volume_t *volume, slot_t *slot, uint64_t serial)
{
    return open_file(volume, slot) &&
           (slot->length == volume->segment_bytes ||
            volume_set_length(volume, slot, volume->segment_bytes)) &&
           write_ends(volume, slot, serial) && sync_name(volume, slot);
}

/* What holds its place without any use does so no longer. */
static bool give_up(volume_t *volume, slot_t *slot)
{
    if (volume->full && slot->length > 0)
        volume_empty_slot(volume, slot);
    volume_count_failure(volume);
    return false;
}

static void choose_moving(volume_t *volume);

bool volume_begin_segment(volume_t *volume)
{
    contents_t held = {0};
    slot_t *slot = take_slot(volume, &held);
    uint64_t serial = volume->next_serial++;
    bool prepared = prepare(volume, slot, serial);
    if (prepared)
        forget_held(volume, slot, &held);
    contents_clear(&held);
    if (!prepared)
        return give_up(volume, slot);
    volume->open = slot;
    volume->contents = (contents_t){.end = SEGMENT_HEADER_BYTES};
    volume->written = volume->synced = SEGMENT_HEADER_BYTES;
    volume->synced_count = 0;
    volume_set_serial(volume, slot, serial);
    choose_moving(volume);
    return true;
}

/* What is written again. --------------------------------------------------------------------------------- */

void volume_stop_moving(volume_t *volume)
{
    free(volume->moving);
    volume->moving = NULL;
    volume->moving_count = volume->moving_next = 0;
}

static int hottest_first(const void *a, const void *b)
{
    const moving_t *left = a, *right = b;
    if (left->uses != right->uses)
        return right->uses - left->uses;
    return left->entry.unit < right->entry.unit ? -1 : left->entry.unit > right->entry.unit;
}

/* All of the next one to go that was asked for. */
static void choose_moving(volume_t *volume)
{
    contents_t contents = {0};
    slot_t *slot = find_free(volume) == NULL ? find_oldest(volume) : NULL;
    if (slot == NULL || !volume_read_footer(volume, slot, &contents))
        return;
    volume->moving_from = slot;
    volume->moving_left = volume->segment_bytes / MOVED_PART;
    volume->moving = must_calloc(contents.count + 1, sizeof *volume->moving);
    for (size_t i = 0; i < contents.count; i++) {
        const footer_entry_t *entry = &contents.entries[i];
        disk_place_t place = entry_place(volume, slot, entry);
        int uses = entry->kind == RECORD_TOMBSTONES
                       ? -1
                       : disk_index_uses(volume->config.index, &entry->name, &place);
        if (uses > 0)
            volume->moving[volume->moving_count++] = (moving_t){*entry, uses};
    }
    qsort(volume->moving, volume->moving_count, sizeof *volume->moving, hottest_first);
    contents_clear(&contents);
}

/* One that was appended since, and is not in the index yet, must not end up before what it replaces. */
static bool is_waiting(const volume_t *volume, const ledger_hash_t *name)
{
    for (size_t i = 0; i < volume->waiting_count; i++) {
        const waiting_t *waiting = &volume->waiting[i];
        const footer_entry_t *entries = &volume->contents.entries[waiting->first];
        for (size_t j = 0; j < waiting->count; j++)
            if (entries[j].name.low == name->low && entries[j].name.high == name->high)
                return true;
    }
    return false;
}

bool volume_view_record(const uint8_t *bytes, const footer_entry_t *entry, const record_address_t *at,
                        volume_record_t *view)
{
    record_t *record = &view->record;
    if (!record_header_parse(bytes, (size_t)entry->units * DISK_UNIT, at, record) ||
        record->kind != entry->kind || record->name.low != entry->name.low ||
        record->name.high != entry->name.high || record_units(record) != entry->units ||
        record_meta_units(record) != entry->meta_units)
        return false;
    view->meta = bytes + RECORD_HEADER_BYTES;
    if (record_meta_checksum(view->meta, record->meta_bytes) != record->meta_checksum)
        return false;
    const uint8_t *body = bytes + (size_t)entry->meta_units * DISK_UNIT;
    for (unsigned i = 0; i < record_blocks(record); i++) {
        size_t length = record_block_bytes(record, i);
        if (record_block_checksum(record->version, i, body, length) != record->block_checksums[i])
            return false;
        view->body[i] = (struct iovec){(void *)(uintptr_t)body, length};
        body += length;
    }
    return true;
}

static void move(volume_t *volume, const footer_entry_t *entry)
{
    const slot_t *slot = volume->moving_from;
    const disk_place_t from = entry_place(volume, slot, entry);
    const record_address_t at = {volume->id, slot_serial(slot), entry->unit};
    size_t length = (size_t)entry->units * DISK_UNIT;
    uint8_t *bytes = must_alloc(length);
    volume_record_t record = {0};
    if (volume_read(volume, slot_file(slot), bytes, length, (uint64_t)entry->unit * DISK_UNIT) ==
            (ssize_t)length &&
        volume_view_record(bytes, entry, &at, &record)) {
        volume->moving_left -= length;
        volume_put(volume, &record, &from);
    }
    free(bytes);
}

/* Still there, still asked for since, and within what may be moved. */
static bool may_move(const volume_t *volume, const footer_entry_t *entry)
{
    const disk_place_t place = entry_place(volume, volume->moving_from, entry);
    return (uint64_t)entry->units * DISK_UNIT <= volume->moving_left &&
           volume_fits(volume, entry->units, 1) && !is_waiting(volume, &entry->name) &&
           disk_index_uses(volume->config.index, &entry->name, &place) > 0;
}

void volume_move_next(volume_t *volume)
{
    while (volume->moving_next < volume->moving_count) {
        const footer_entry_t entry = volume->moving[volume->moving_next++].entry;
        if (may_move(volume, &entry)) {
            move(volume, &entry);
            return;
        }
    }
}
