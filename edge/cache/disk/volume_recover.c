/* From what the segments hold to the index, newest first, and within a segment from its end: what is in the
 * index already is newer. */
#include "edge/cache/disk/volume_private.h"

#include <errno.h>

/* Footers. ----------------------------------------------------------------------------------------------- */

static bool parse_entries(const uint8_t *bytes, const slot_t *slot, contents_t *contents)
{
    for (size_t i = 0; i < slot->trailer.entries; i++) {
        footer_entry_t entry;
        if (!footer_entry_parse(bytes + i * FOOTER_ENTRY_BYTES, &entry))
            return false;
        contents_add(contents, &entry);
    }
    return true;
}

bool volume_read_footer(volume_t *volume, const slot_t *slot, contents_t *contents)
{
    if (!slot->sealed)
        return false;
    size_t length = (size_t)slot->trailer.entries * FOOTER_ENTRY_BYTES;
    uint8_t *bytes = must_alloc(length + 1);
    uint64_t at = trailer_entries_at(&slot->trailer, volume->segment_bytes);
    bool read = volume_read(volume, slot_file(slot), bytes, length, at) == (ssize_t)length &&
                footer_checksum(bytes, length) == slot->trailer.entries_checksum &&
                parse_entries(bytes, slot, contents);
    free(bytes);
    contents->end = (uint64_t)slot->trailer.end_unit * DISK_UNIT;
    contents->stamp_max = slot->trailer.stamp_max;
    if (!read)
        contents_clear(contents);
    return read;
}

/* Scanning. ---------------------------------------------------------------------------------------------- */

/* A part of a file at a time. */
typedef struct {
    volume_t *volume;
    const slot_t *slot;
    uint64_t at;
    size_t length;
    bool failed; /* a read did, so that more may follow than was seen */
    uint8_t bytes[64 << 10];
} window_t;

/* NULL: there are not so many, or a read failed. */
static const uint8_t *view(window_t *window, uint64_t at, size_t length)
{
    _Static_assert(RECORD_META_UNITS_MAX * DISK_UNIT <= sizeof window->bytes, "a record's meta fits");
    if (at < window->at || at + length > window->at + window->length) {
        ssize_t got =
            volume_read(window->volume, slot_file(window->slot), window->bytes, sizeof window->bytes, at);
        window->failed = window->failed || got < 0;
        window->at = at;
        window->length = got < 0 ? 0 : (size_t)got;
    }
    return length <= window->length - (size_t)(at - window->at) ? window->bytes + (at - window->at) : NULL;
}

static bool add_tombstones(window_t *window, const record_t *record, uint64_t at, contents_t *contents)
{
    const uint8_t *meta = view(window, at + RECORD_HEADER_BYTES, record->meta_bytes);
    if (meta == NULL || record_meta_checksum(meta, record->meta_bytes) != record->meta_checksum)
        return false;
    for (size_t i = 0; i < record->meta_bytes / TOMBSTONE_BYTES; i++) {
        const footer_entry_t entry = {.kind = RECORD_TOMBSTONES,
                                      .name = tombstone_name(meta + i * TOMBSTONE_BYTES)};
        contents_add(contents, &entry);
    }
    return true;
}

static void add_object(const record_t *record, uint64_t at, contents_t *contents)
{
    const footer_entry_t entry = {.kind = record->kind,
                                  .name = record->name,
                                  .unit = (uint32_t)(at / DISK_UNIT),
                                  .units = (uint16_t)record_units(record),
                                  .meta_units = (uint8_t)record_meta_units(record)};
    contents_add(contents, &entry);
}

/* Its records up to the first bad one: behind that may stand what was written before it. */
static bool scan_next(window_t *window, contents_t *contents)
{
    const volume_t *volume = window->volume;
    const record_address_t address = {volume->id, slot_serial(window->slot),
                                      (uint32_t)(contents->end / DISK_UNIT)};
    const uint8_t *header = view(window, contents->end, RECORD_HEADER_BYTES);
    record_t record;
    if (header == NULL || !record_header_parse(header, RECORD_HEADER_BYTES, &address, &record))
        return false;
    uint32_t names = record.kind == RECORD_TOMBSTONES ? record.meta_bytes / TOMBSTONE_BYTES : 1;
    uint64_t end = contents->end + (uint64_t)record_units(&record) * DISK_UNIT;
    uint64_t footer = (contents->count + names) * FOOTER_ENTRY_BYTES + SEGMENT_TRAILER_BYTES;
    if (end + footer > volume->segment_bytes) /* nobody wrote that */
        return false;
    if (record.kind != RECORD_TOMBSTONES)
        add_object(&record, contents->end, contents);
    else if (!add_tombstones(window, &record, contents->end, contents))
        return false;
    if (record.stamp > contents->stamp_max)
        contents->stamp_max = record.stamp;
    contents->end = end;
    return true;
}

/* Whoever was killed left a part of the last one, perhaps with its header: it is none. */
static void drop_torn(volume_t *volume, const slot_t *slot, contents_t *contents)
{
    const footer_entry_t *last = contents->count > 0 ? &contents->entries[contents->count - 1] : NULL;
    if (slot->sealed || last == NULL || last->kind == RECORD_TOMBSTONES)
        return;
    const record_address_t at = {volume->id, slot_serial(slot), last->unit};
    size_t length = (size_t)last->units * DISK_UNIT;
    uint8_t *bytes = must_alloc(length);
    volume_record_t record = {0};
    ssize_t got = volume_read(volume, slot_file(slot), bytes, length, (uint64_t)last->unit * DISK_UNIT);
    /* Where the read failed, who asks for it will see. */
    if (got >= 0 && ((size_t)got < length || !volume_view_record(bytes, last, &at, &record))) {
        contents->end = (uint64_t)last->unit * DISK_UNIT;
        contents->count--;
    }
    free(bytes);
}

/* False: a read failed. */
static bool scan(volume_t *volume, const slot_t *slot, contents_t *contents)
{
    window_t *window = must_alloc(sizeof *window);
    window->volume = volume;
    window->slot = slot;
    window->at = window->length = 0;
    window->failed = false;
    *contents = (contents_t){.end = SEGMENT_HEADER_BYTES};
    while (scan_next(window, contents))
        ;
    bool failed = window->failed;
    free(window);
    drop_torn(volume, slot, contents);
    return !failed;
}

/* Indexing. ---------------------------------------------------------------------------------------------- */

/* Tells the index of an entry some before its turn, as far away as main memory is. */
static void tell_ahead(volume_t *volume, const contents_t *contents, size_t left)
{
    enum { AHEAD = 8 };
    if (left > AHEAD)
        disk_index_prefetch(volume->config.index, &contents->entries[left - 1 - AHEAD].name);
}

/* What another volume says of the name counts, now and from then on. */
static bool pass_over(volume_t *volume, const footer_entry_t *entry)
{
    const volume_config_t *config = &volume->config;
    if (config->owns == NULL || config->owns(config->context, &entry->name))
        return false;
    if (config->bury_others && entry->kind != RECORD_TOMBSTONES)
        volume_add_buried(volume, &entry->name);
    return true;
}

static void index_contents(volume_t *volume, const slot_t *slot, const contents_t *contents)
{
    for (size_t i = contents->count; i > 0; i--) {
        tell_ahead(volume, contents, i);
        const footer_entry_t *entry = &contents->entries[i - 1];
        if (pass_over(volume, entry))
            continue;
        disk_place_t place = entry_place(volume, slot, entry);
        if (entry->kind == RECORD_TOMBSTONES)
            disk_index_found_buried(volume->config.index, &entry->name);
        else
            disk_index_found(volume->config.index, &entry->name, &place);
    }
}

/* What was cut off may still stand behind: it must not come back when what is written from now on ends just
 * there. */
static bool cut(volume_t *volume, slot_t *slot, uint64_t end)
{
    const disk_io_t *io = &volume->config.io;
    if (!volume_set_length(volume, slot, end) || !volume_set_length(volume, slot, volume->segment_bytes))
        return false;
    int result = io->sync(io->context, slot_file(slot));
    return result == 0 || volume_note(volume, "sync", result);
}

/* The newest is gone on with, an older one sealed as it is. Either may fail: then it stays as it is. */
static void finish(volume_t *volume, slot_t *slot, contents_t *contents)
{
    if (!cut(volume, slot, contents->end))
        return;
    if (slot == volume->found[0]) {
        volume->open = slot;
        volume->contents = *contents;
        volume->written = volume->synced = contents->end;
        volume->synced_count = contents->count;
        *contents = (contents_t){0};
    } else {
        volume_write_footer(volume, slot, contents);
    }
}

/* What it holds counts for nothing, and not at the next start either, which perhaps can read it: what goes
 * meanwhile leaves no tombstone. */
static void drop(volume_t *volume, slot_t *slot)
{
    if (volume->failure.broken || volume_empty_slot(volume, slot))
        return;
    volume->failure.broken = true;
    volume_disown(volume);
}

/* What a segment replaced and buried is not known. The oldest first, and before the segment itself: whoever
 * dies in between leaves none without those that bury what it holds. */
static void drop_older(volume_t *volume)
{
    while (volume->found_next < volume->found_count) {
        drop(volume, volume->found[--volume->found_count]);
        volume->forgotten = true;
    }
}

/* Where a sealed one's records end too early, what does not follow may have replaced and buried those that
 * are there, too. */
static void recover(volume_t *volume, slot_t *slot)
{
    contents_t contents = {0};
    bool by_footer = volume_read_footer(volume, slot, &contents);
    bool whole = by_footer || scan(volume, slot, &contents);
    if (slot->sealed && contents.end != (uint64_t)slot->trailer.end_unit * DISK_UNIT)
        whole = false;
    if (contents.stamp_max > volume->config.sequence) {
        contents_clear(&contents);
        if (!volume_forget(volume)) {
            volume->failure.broken = true;
            volume_disown(volume);
        }
        return;
    }
    if (whole)
        index_contents(volume, slot, &contents);
    if (!slot->sealed && whole)
        finish(volume, slot, &contents);
    if (!whole) {
        drop_older(volume);
        drop(volume, slot);
    }
    contents_clear(&contents);
}

bool volume_recover_next(volume_t *volume)
{
    MUST_BE(volume, VOLUME_MAGIC);
    if (volume->found_next == volume->found_count) {
        volume->recovered = true;
        return false;
    }
    slot_t *slot = volume->found[volume->found_next++];
    recover(volume, slot);
    CHECKED(volume_check(volume));
    return true;
}
