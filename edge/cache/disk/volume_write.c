/* The segment that is written: its bytes go through a buffer, in order, and a record enters the index when
 * the last of them is in the file. */
#include "edge/cache/disk/volume_private.h"

/* Entering the index. ------------------------------------------------------------------------------------ */

static void enter(volume_t *volume, const waiting_t *waiting)
{
    const footer_entry_t *entry = &volume->contents.entries[waiting->first];
    if (entry->kind == RECORD_TOMBSTONES)
        return;
    disk_place_t place = entry_place(volume, volume->open, entry);
    if (!waiting->moved)
        disk_index_put(volume->config.index, &entry->name, &place, waiting->revoked);
    else if (disk_index_move(volume->config.index, &entry->name, &waiting->from, &place))
        atomic_fetch_add_explicit(&volume->moved, 1, memory_order_relaxed);
}

static void settle(volume_t *volume)
{
    size_t done = 0;
    while (done < volume->waiting_count && volume->waiting[done].end <= volume->written) {
        waiting_t *waiting = &volume->waiting[done++];
        enter(volume, waiting);
        if (waiting->done != NULL)
            waiting->done(waiting->context, true);
    }
    volume->waiting_count -= done;
    if (done > 0 && volume->waiting_count > 0)
        memmove(volume->waiting, volume->waiting + done, volume->waiting_count * sizeof *volume->waiting);
}

static void wait_for(volume_t *volume, const waiting_t *waiting)
{
    if (volume->waiting_count == volume->waiting_capacity) {
        volume->waiting_capacity = volume->waiting_capacity == 0 ? 64 : volume->waiting_capacity * 2;
        volume->waiting = realloc(volume->waiting, volume->waiting_capacity * sizeof *volume->waiting);
        MUST(volume->waiting != NULL);
    }
    volume->waiting[volume->waiting_count++] = *waiting;
}

/* False: what was written may never be there, whatever later syncs say. */
static bool sync_slot(volume_t *volume, const slot_t *slot)
{
    int result = volume->config.io.sync(volume->config.io.context, slot_file(slot));
    if (result == 0)
        return true;
    volume->unsynced = true;
    return volume_note(volume, "sync", result);
}

/* Burying. ----------------------------------------------------------------------------------------------- */

void volume_add_buried(volume_t *volume, const ledger_hash_t *name)
{
    if (volume->buried_count == volume->buried_capacity) {
        volume->buried_capacity = volume->buried_capacity == 0 ? 64 : volume->buried_capacity * 2;
        volume->buried = realloc(volume->buried, volume->buried_capacity * sizeof *volume->buried);
        MUST(volume->buried != NULL);
    }
    volume->buried[volume->buried_count++] = *name;
}

/* What was written since the last sync may never be there, and nobody could tell: the names are buried again.
 */
static void bury_unsynced(volume_t *volume)
{
    for (size_t i = volume->synced_count; i < volume->contents.count; i++)
        if (volume->contents.entries[i].kind == RECORD_TOMBSTONES)
            volume_add_buried(volume, &volume->contents.entries[i].name);
}

/* What is dropped may be whole in the file, and found by the next start, though nobody knows of it any more:
 * it is buried as well. */
static void drop_waiting(volume_t *volume)
{
    for (size_t i = 0; i < volume->waiting_count; i++) {
        const waiting_t *waiting = &volume->waiting[i];
        const footer_entry_t *entries = &volume->contents.entries[waiting->first];
        for (size_t j = 0; j < waiting->count; j++)
            if (entries[j].kind == RECORD_TOMBSTONES || !waiting->moved)
                volume_add_buried(volume, &entries[j].name);
        if (waiting->done != NULL)
            waiting->done(waiting->context, false);
    }
    if (volume->waiting_count > 0)
        volume->contents.count = volume->waiting[0].first;
    volume->waiting_count = 0;
}

static void leave_open(volume_t *volume)
{
    volume->open = NULL;
    contents_clear(&volume->contents);
    volume_stop_moving(volume);
}

void volume_abandon(volume_t *volume)
{
    drop_waiting(volume);
    if (!sync_slot(volume, volume->open))
        bury_unsynced(volume);
    leave_open(volume);
    volume_count_failure(volume);
}

/* All of it that is written. False: some may be lost, whatever later syncs say, and it is left. */
static bool sync_open(volume_t *volume)
{
    if (volume->synced == volume->written)
        return true;
    if (sync_slot(volume, volume->open)) {
        volume->synced = volume->written;
        volume->synced_count = volume->contents.count;
        volume->sync_failures = 0;
        return true;
    }
    bury_unsynced(volume);
    leave_open(volume);
    volume->sync_failures++;
    volume_count_failure(volume);
    return false;
}

/* The buffer. -------------------------------------------------------------------------------------------- */

/* In whole pages, as far as there are bytes; of the last one, which is written again when it is full, the
 * rest is zero. */
static bool write_out(volume_t *volume)
{
    const disk_io_t *io = &volume->config.io;
    if (volume->open == NULL || volume->written == volume->contents.end)
        return true;
    uint64_t from = volume->written, base = from - from % BUFFER_BYTES, end = volume->contents.end;
    size_t length = (size_t)(round_up(end, PAGE_BYTES) - from);
    memset(volume->buffer + (end - base), 0, (size_t)(round_up(end, PAGE_BYTES) - end));
    size_t done = volume_write(volume, slot_file(volume->open), volume->buffer + (from - base), length, from);
    volume->written = from + done < end ? from + done : end;
    settle(volume);
    if (done < length) {
        volume_abandon(volume);
        return false;
    }
    volume->failures = volume->sync_failures;
    int result = io->start_writing(io->context, slot_file(volume->open), from, length);
    if (result < 0) /* what it meant to do is left to the sync */
        volume_note(volume, "start writing", result);
    return true;
}

static void need_buffer(volume_t *volume)
{
    if (volume->buffer == NULL)
        volume->buffer = aligned_alloc(PAGE_BYTES, BUFFER_BYTES);
    MUST(volume->buffer != NULL);
}

/* bytes NULL: zeroes. */
static bool emit(volume_t *volume, const void *bytes, size_t length)
{
    need_buffer(volume);
    while (length > 0) {
        uint64_t base = volume->written - volume->written % BUFFER_BYTES;
        size_t at = (size_t)(volume->contents.end - base);
        size_t part = BUFFER_BYTES - at < length ? BUFFER_BYTES - at : length;
        if (bytes == NULL)
            memset(volume->buffer + at, 0, part);
        else
            memcpy(volume->buffer + at, bytes, part);
        volume->contents.end += part;
        bytes = bytes == NULL ? NULL : (const uint8_t *)bytes + part;
        length -= part;
        if (at + part == BUFFER_BYTES && !write_out(volume))
            return false;
    }
    return true;
}

static bool emit_padding(volume_t *volume)
{
    uint64_t end = volume->contents.end;
    return emit(volume, NULL, (size_t)(round_up(end, DISK_UNIT) - end));
}

/* Records. ----------------------------------------------------------------------------------------------- */

static bool emit_record(volume_t *volume, const record_t *record, const void *meta,
                        const struct iovec body[RECORD_BLOCKS_MAX])
{
    const record_address_t at = {.directory_id = volume->id,
                                 .serial = slot_serial(volume->open),
                                 .unit = (uint32_t)(volume->contents.end / DISK_UNIT)};
    uint8_t header[RECORD_HEADER_BYTES];
    record_header_put(header, record, &at);
    if (record->stamp > volume->contents.stamp_max)
        volume->contents.stamp_max = record->stamp;
    bool done =
        emit(volume, header, sizeof header) && emit(volume, meta, record->meta_bytes) && emit_padding(volume);
    for (unsigned i = 0; done && i < record_blocks(record); i++)
        done = emit(volume, body[i].iov_base, body[i].iov_len);
    return done && emit_padding(volume);
}

static void set_checksums(record_t *record, const void *meta, const struct iovec body[RECORD_BLOCKS_MAX])
{
    record->meta_checksum = record_meta_checksum(meta, record->meta_bytes);
    for (unsigned i = 0; i < RECORD_BLOCKS_MAX; i++) {
        record->block_checksums[i] = 0;
        if (i >= record_blocks(record))
            continue;
        MUST(body[i].iov_len == record_block_bytes(record, i));
        record->block_checksums[i] =
            record_block_checksum(record->version, i, body[i].iov_base, body[i].iov_len);
    }
}

bool volume_put(volume_t *volume, const volume_record_t *given, const disk_place_t *from)
{
    record_t record = given->record;
    set_checksums(&record, given->meta, given->body);
    const uint64_t at = volume->contents.end;
    const footer_entry_t entry = {.kind = record.kind,
                                  .name = record.name,
                                  .unit = (uint32_t)(at / DISK_UNIT),
                                  .units = (uint16_t)record_units(&record),
                                  .meta_units = (uint8_t)record_meta_units(&record)};
    const waiting_t waiting = {.end = at + (uint64_t)entry.units * DISK_UNIT,
                               .first = volume->contents.count,
                               .count = 1,
                               .moved = from != NULL,
                               .from = from != NULL ? *from : (disk_place_t){0},
                               .revoked = given->revoked,
                               .done = given->done,
                               .context = given->context};
    contents_add(&volume->contents, &entry);
    wait_for(volume, &waiting);
    return emit_record(volume, &record, given->meta, given->body);
}

/* The first so many of those to be buried. */
static bool put_tombstones(volume_t *volume, size_t count)
{
    uint8_t *meta = must_alloc(count * TOMBSTONE_BYTES);
    record_t record = {.kind = RECORD_TOMBSTONES, .meta_bytes = (uint32_t)(count * TOMBSTONE_BYTES)};
    const waiting_t waiting = {.end = volume->contents.end + (uint64_t)record_units(&record) * DISK_UNIT,
                               .first = volume->contents.count,
                               .count = count};
    for (size_t i = 0; i < count; i++) {
        const footer_entry_t entry = {.kind = RECORD_TOMBSTONES, .name = volume->buried[i]};
        tombstone_put(meta + i * TOMBSTONE_BYTES, &entry.name);
        contents_add(&volume->contents, &entry);
    }
    volume->buried_count -= count;
    memmove(volume->buried, volume->buried + count, volume->buried_count * sizeof *volume->buried);
    wait_for(volume, &waiting);
    set_checksums(&record, meta, NULL);
    bool done = emit_record(volume, &record, meta, NULL);
    free(meta);
    return done;
}

/* The end of a segment. ---------------------------------------------------------------------------------- */

static bool fits_behind(const volume_t *volume, uint64_t end, size_t count, uint32_t units)
{
    return end + (uint64_t)units * DISK_UNIT + count * FOOTER_ENTRY_BYTES + SEGMENT_TRAILER_BYTES <=
           volume->segment_bytes;
}

bool volume_fits(const volume_t *volume, uint32_t units, size_t entries)
{
    return fits_behind(volume, volume->contents.end, volume->contents.count + entries, units);
}

static void put_footer(const volume_t *volume, const contents_t *contents, uint64_t serial, uint8_t *end,
                       trailer_t *trailer)
{
    uint8_t *entries = end - SEGMENT_TRAILER_BYTES - contents->count * FOOTER_ENTRY_BYTES;
    for (size_t i = 0; i < contents->count; i++)
        footer_entry_put(entries + i * FOOTER_ENTRY_BYTES, &contents->entries[i]);
    *trailer =
        (trailer_t){.serial = serial,
                    .entries = (uint32_t)contents->count,
                    .end_unit = (uint32_t)(contents->end / DISK_UNIT),
                    .stamp_max = contents->stamp_max,
                    .entries_checksum = footer_checksum(entries, contents->count * FOOTER_ENTRY_BYTES)};
    trailer_put(end - SEGMENT_TRAILER_BYTES, volume->id, trailer);
}

/* Whole pages, but for one in which records end. */
bool volume_write_footer(volume_t *volume, slot_t *slot, const contents_t *contents)
{
    uint64_t needed = contents->count * FOOTER_ENTRY_BYTES + SEGMENT_TRAILER_BYTES;
    uint64_t from = (volume->segment_bytes - needed) / PAGE_BYTES * PAGE_BYTES;
    if (from < contents->end)
        from = contents->end;
    size_t length = (size_t)(volume->segment_bytes - from);
    uint8_t *bytes = must_calloc(1, length);
    trailer_t trailer;
    put_footer(volume, contents, slot_serial(slot), bytes + length, &trailer);
    slot->sealed = volume_write(volume, slot_file(slot), bytes, length, from) == length;
    slot->trailer = trailer;
    free(bytes);
    return sync_slot(volume, slot) && slot->sealed;
}

/* What the trailer says is on the device before: so a power cut leaves one only where all records are whole.
 */
static void seal(volume_t *volume)
{
    if (!write_out(volume) || !sync_open(volume))
        return;
    if (!volume_write_footer(volume, volume->open, &volume->contents))
        volume_count_failure(volume);
    leave_open(volume);
}

static bool make_room(volume_t *volume, uint32_t units, size_t entries)
{
    if (volume->open != NULL && volume_fits(volume, units, entries))
        return true;
    if (volume->open != NULL)
        seal(volume);
    return !volume->failure.broken && volume_begin_segment(volume);
}

/* As many with each record as fit into a segment of any size. */
static bool write_buried(volume_t *volume)
{
    size_t most = (size_t)(volume->segment_bytes - SEGMENT_HEADER_BYTES - SEGMENT_TRAILER_BYTES -
                           RECORD_HEADER_BYTES - DISK_UNIT) /
                  (TOMBSTONE_BYTES + FOOTER_ENTRY_BYTES);
    if (most > NAMES_MAX)
        most = NAMES_MAX;
    while (volume->buried_count > 0) {
        size_t count = volume->buried_count < most ? volume->buried_count : most;
        const record_t record = {.meta_bytes = (uint32_t)(count * TOMBSTONE_BYTES)};
        if (!make_room(volume, record_units(&record), count) || !put_tombstones(volume, count))
            return false;
    }
    return true;
}

/* The door. ---------------------------------------------------------------------------------------------- */

static bool drop(const volume_record_t *record)
{
    if (record->done != NULL)
        record->done(record->context, false);
    return false;
}

bool volume_append(volume_t *volume, const volume_record_t *record)
{
    MUST_BE(volume, VOLUME_MAGIC);
    MUST(volume->recovered && record->record.kind != RECORD_TOMBSTONES);
    uint32_t units = record_units(&record->record);
    if (volume->failure.broken || !fits_behind(volume, SEGMENT_HEADER_BYTES, 1, units))
        return drop(record);
    if (!write_buried(volume) || !make_room(volume, units, 1))
        return drop(record);
    bool put = volume_put(volume, record, NULL);
    if (put)
        volume_move_next(volume);
    CHECKED(volume_check(volume));
    return put;
}

bool volume_bury(volume_t *volume, const ledger_hash_t *name)
{
    MUST_BE(volume, VOLUME_MAGIC);
    MUST(volume->recovered);
    volume_add_buried(volume, name);
    if (volume->buried_count >= NAMES_MAX)
        write_buried(volume);
    return !volume->failure.broken;
}

/* Tried until it is done or the volume is broken: who was buried shall not wait for the next record. */
bool volume_flush(volume_t *volume)
{
    MUST_BE(volume, VOLUME_MAGIC);
    bool whole = true;
    while (!volume->failure.broken && !(write_buried(volume) && write_out(volume)))
        whole = false;
    CHECKED(volume_check(volume));
    return whole && !volume->failure.broken;
}

bool volume_sync(volume_t *volume)
{
    bool whole = volume_flush(volume);
    if (volume->open != NULL && !sync_open(volume))
        volume_flush(volume); /* what is buried again shall not wait either */
    return whole && !volume->unsynced;
}

bool volume_is_dirty(const volume_t *volume)
{
    return volume->buried_count > 0 || (volume->open != NULL && volume->synced < volume->contents.end);
}
