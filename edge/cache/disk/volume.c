/* Closing, places, numbers, and the calls that the other files make. */
#include "edge/cache/disk/volume_private.h"

#include <errno.h>

/* Calls. ------------------------------------------------------------------------------------------------- */

bool volume_note(volume_t *volume, const char *call, int64_t result)
{
    volume->failure.call = call;
    volume->failure.number = result < 0 ? (int)-result : EIO;
    volume->failure.count++;
    if (volume->failure.number == ENOSPC)
        volume->full = true;
    return false;
}

void volume_count_failure(volume_t *volume)
{
    if (++volume->failures < FAILURES_MAX)
        return;
    volume->failure.broken = true;
    volume_disown(volume);
}

ssize_t volume_read(volume_t *volume, int file, void *to, size_t length, uint64_t offset)
{
    const disk_io_t *io = &volume->config.io;
    size_t done = 0;
    while (done < length) {
        struct iovec rest = {(uint8_t *)to + done, length - done};
        ssize_t got = io->read(io->context, file, &rest, 1, offset + done);
        if (got < 0) {
            volume_note(volume, "read", got);
            return got;
        }
        if (got == 0)
            break;
        done += (size_t)got;
    }
    return (ssize_t)done;
}

size_t volume_write(volume_t *volume, int file, const void *bytes, size_t length, uint64_t offset)
{
    const disk_io_t *io = &volume->config.io;
    size_t done = 0;
    while (done < length) {
        ssize_t got =
            io->write(io->context, file, (const uint8_t *)bytes + done, length - done, offset + done);
        if (got <= 0) {
            volume_note(volume, "write", got);
            break;
        }
        done += (size_t)got;
    }
    return done;
}

bool volume_set_length(volume_t *volume, slot_t *slot, uint64_t length)
{
    const disk_io_t *io = &volume->config.io;
    int result = io->set_length(io->context, slot_file(slot), length);
    if (result < 0)
        return volume_note(volume, "set length", result);
    atomic_fetch_add_explicit(&volume->bytes, length - slot->length, memory_order_relaxed);
    slot->length = length;
    return true;
}

/* What is written there afterwards comes after this for whoever reads it: the bytes say whose they are. */
void volume_set_serial(volume_t *volume, slot_t *slot, uint64_t serial)
{
    uint64_t before = atomic_exchange_explicit(&slot->serial, serial, memory_order_acq_rel);
    if (before == 0 && serial != 0)
        atomic_fetch_add_explicit(&volume->segments, 1, memory_order_relaxed);
    if (before != 0 && serial == 0)
        atomic_fetch_sub_explicit(&volume->segments, 1, memory_order_relaxed);
}

void volume_disown(volume_t *volume)
{
    MUST_BE(volume, VOLUME_MAGIC);
    const disk_io_t *io = &volume->config.io;
    if (volume->disowned)
        return;
    int result = io->unlink(io->context, "directory");
    if (result < 0 && result != -ENOENT)
        volume_note(volume, "unlink", result);
    else if ((result = io->sync_directory(io->context)) < 0)
        volume_note(volume, "sync", result);
    else
        volume->disowned = true;
}

/* Contents. ---------------------------------------------------------------------------------------------- */

void contents_add(contents_t *contents, const footer_entry_t *entry)
{
    if (contents->count == contents->capacity) {
        contents->capacity = contents->capacity == 0 ? 64 : contents->capacity * 2;
        contents->entries = realloc(contents->entries, contents->capacity * sizeof *contents->entries);
        MUST(contents->entries != NULL);
    }
    contents->entries[contents->count++] = *entry;
}

void contents_clear(contents_t *contents)
{
    free(contents->entries);
    *contents = (contents_t){0};
}

/* Closing. ----------------------------------------------------------------------------------------------- */

void volume_close(volume_t **handle)
{
    volume_t *volume = *handle;
    if (volume == NULL)
        return;
    MUST_BE(volume, VOLUME_MAGIC);
    const disk_io_t *io = &volume->config.io;
    if (volume->recovered)
        volume_flush(volume);
    for (size_t i = 0; volume->slots != NULL && i < volume->slot_count; i++)
        if (slot_file(&volume->slots[i]) != NO_FILE)
            io->close(io->context, slot_file(&volume->slots[i]));
    if (volume->lock != NO_FILE)
        io->close(io->context, volume->lock);
    volume_stop_moving(volume);
    contents_clear(&volume->contents);
    free(volume->slots);
    free(volume->found);
    free(volume->buffer);
    free(volume->waiting);
    free(volume->buried);
    volume->magic = 0;
    free(volume);
    *handle = NULL;
}

/* Places and numbers. ------------------------------------------------------------------------------------ */

bool volume_where(const volume_t *volume, const disk_place_t *place, int *file, uint64_t *offset,
                  record_address_t *address)
{
    MUST_BE(volume, VOLUME_MAGIC);
    size_t number = (size_t)place->segment - volume->config.first_segment;
    if (place->segment < volume->config.first_segment || number >= volume->slot_count)
        return false;
    const slot_t *slot = &volume->slots[number];
    uint64_t serial = atomic_load_explicit(&slot->serial, memory_order_acquire);
    if (serial == 0)
        return false;
    *file = slot_file(slot);
    *offset = (uint64_t)place->unit * DISK_UNIT;
    *address = (record_address_t){.directory_id = atomic_load_explicit(&volume->id, memory_order_relaxed),
                                  .serial = serial,
                                  .unit = place->unit};
    return true;
}

bool volume_forgotten(const volume_t *volume)
{
    return volume->forgotten;
}

volume_failure_t volume_failure(const volume_t *volume)
{
    return volume->failure;
}

uint64_t volume_id(const volume_t *volume)
{
    return atomic_load_explicit(&volume->id, memory_order_relaxed);
}

uint64_t volume_bytes(const volume_t *volume)
{
    return atomic_load_explicit(&volume->bytes, memory_order_relaxed);
}

uint64_t volume_size(const volume_t *volume)
{
    return volume->config.size;
}

uint64_t volume_segment_bytes(const volume_t *volume)
{
    return volume->segment_bytes;
}

unsigned volume_segments(const volume_t *volume)
{
    return atomic_load_explicit(&volume->segments, memory_order_relaxed);
}

uint64_t volume_moved(const volume_t *volume)
{
    return atomic_load_explicit(&volume->moved, memory_order_relaxed);
}

static void check_open(const volume_t *volume)
{
    uint64_t end = volume->contents.end, base = volume->written - volume->written % BUFFER_BYTES;
    MUST(volume->open->serial != 0 && !volume->open->sealed && slot_file(volume->open) != NO_FILE);
    MUST(volume->written <= end && end - base <= BUFFER_BYTES && end % DISK_UNIT == 0);
    MUST(end + volume->contents.count * FOOTER_ENTRY_BYTES + SEGMENT_TRAILER_BYTES <= volume->segment_bytes);
    MUST((volume->waiting_count > 0) == (volume->written < end));
    MUST(volume->synced <= volume->written && volume->synced_count <= volume->contents.count);
}

void volume_check(const volume_t *volume)
{
    MUST_BE(volume, VOLUME_MAGIC);
    uint64_t bytes = DIRECTORY_BYTES;
    unsigned used = 0;
    for (size_t i = 0; i < volume->slot_count; i++) {
        const slot_t *slot = &volume->slots[i];
        MUST(slot->length <= volume->segment_bytes && (slot->length == 0 || slot_file(slot) != NO_FILE));
        MUST(slot_serial(slot) < volume->next_serial);
        MUST(!slot->sealed || slot->trailer.serial == slot_serial(slot) || slot_serial(slot) == 0);
        for (size_t j = 0; j < i; j++)
            MUST(slot_serial(slot) == 0 || slot_serial(slot) != slot_serial(&volume->slots[j]));
        used += slot_serial(slot) != 0;
        bytes += slot->length;
    }
    MUST(bytes == volume_bytes(volume) && bytes <= volume->config.size && used == volume_segments(volume));
    if (volume->open != NULL)
        check_open(volume);
    else
        MUST(volume->waiting_count == 0);
}
