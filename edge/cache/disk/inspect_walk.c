/* One pass over all segments. A segment is read in the order in which it was written; before that its entries
 * are told from last to first which of them count. */
#include "edge/cache/disk/index.h"
#include "edge/cache/disk/inspect_private.h"

#include <unistd.h>

enum { FIRST_UNIT = SEGMENT_HEADER_BYTES / DISK_UNIT, RECORD_BYTES_MAX = RECORD_UNITS_MAX * DISK_UNIT };

/* An entry of a segment, in its order. */
typedef struct {
    footer_entry_t entry;
    bool live;
} item_t;

typedef struct {
    const inspection_t *inspection;
    const inspect_visitor_t *visitor;
    disk_index_t *index;
    uint64_t done, all; /* bytes */
    bool stopped;
    bool told;        /* a record was */
    bool older_count; /* what is read now, and what is older, is used by a node */
    /* Of the segment that is read. */
    const inspected_t *segment;
    int fd;
    item_t *items;
    size_t count, capacity;
    uint64_t end;   /* unit: where its records end */
    bool changed;   /* it was used again while it was read */
    uint8_t *bytes; /* of a record */
    size_t read;    /* how many of them were read, from where it begins */
} walk_t;

/* What it tells. ----------------------------------------------------------------------------------------- */

/* A segment that is used again meanwhile is no fault; nor is the end of one that is written. */
static bool has_changed(walk_t *walk)
{
    if (!walk->inspection->summary.in_use)
        return false;
    inspected_t now = {.length = walk->segment->length};
    inspect_segment(walk->inspection, walk->fd, &now);
    walk->changed = walk->changed || now.serial != walk->segment->serial;
    return walk->changed || !walk->segment->sealed;
}

static void tell_fault(walk_t *walk, const char *what, uint64_t unit, const disk_meta_t *meta)
{
    if (walk->visitor->fault == NULL || has_changed(walk))
        return;
    const inspect_fault_t fault = {what, walk->segment->number, unit * DISK_UNIT, meta};
    walk->visitor->fault(walk->visitor->context, &fault);
}

static void tell_progress(walk_t *walk, uint64_t units)
{
    walk->done += units * DISK_UNIT;
    if (walk->visitor->progress != NULL)
        walk->visitor->progress(walk->visitor->context, walk->done, walk->all);
}

static void tell_record(walk_t *walk, const record_t *record, const disk_meta_t *meta, uint64_t unit,
                        bool live)
{
    bool body = walk->visitor->bodies;
    const inspect_record_t told = {.record = record,
                                   .meta = meta,
                                   .body = body ? walk->bytes + record_meta_units(record) * DISK_UNIT : NULL,
                                   .segment = walk->segment->number,
                                   .offset = unit * DISK_UNIT,
                                   .live = live};
    walk->told = true;
    if (walk->visitor->record != NULL && !walk->visitor->record(walk->visitor->context, &told))
        walk->stopped = true;
}

/* Records. ----------------------------------------------------------------------------------------------- */

static void load(walk_t *walk, uint64_t unit, uint64_t units)
{
    walk->read = inspect_read(walk->fd, walk->bytes, units * DISK_UNIT, unit * DISK_UNIT);
}

static bool parse_header(const walk_t *walk, uint64_t unit, record_t *record)
{
    const record_address_t address = {walk->inspection->summary.directory.id, walk->segment->serial,
                                      (uint32_t)unit};
    return record_header_parse(walk->bytes, walk->read, &address, record);
}

/* NULL, or what is wrong with what stands behind the header; it was loaded. */
static const char *check_meta(const walk_t *walk, const record_t *record, disk_meta_t *meta)
{
    const uint8_t *bytes = walk->bytes + RECORD_HEADER_BYTES;
    if (walk->read < (size_t)RECORD_HEADER_BYTES + record->meta_bytes)
        return "its metadata cannot be read";
    if (record_meta_checksum(bytes, record->meta_bytes) != record->meta_checksum)
        return "its metadata is damaged";
    if (record->kind == RECORD_TOMBSTONES || disk_meta_parse(bytes, record->meta_bytes, record->kind, meta))
        return NULL;
    return "its metadata is not in range";
}

static const char *check_body(const walk_t *walk, const record_t *record, const disk_meta_t *meta)
{
    const uint8_t *bytes = walk->bytes + record_meta_units(record) * DISK_UNIT;
    if (walk->read < (size_t)(bytes - walk->bytes) + record->body_bytes)
        return "its body cannot be read";
    for (unsigned i = 0; i < record_blocks(record); i++)
        if (record_block_checksum(record->version, i, bytes + i * BLOCK_BYTES,
                                  record_block_bytes(record, i)) != record->block_checksums[i])
            return "its body is damaged";
    if (record->kind == RECORD_OBJECT && !disk_meta_has_body(meta, record->body_bytes))
        return "its body is not as long as its head says";
    return NULL;
}

static bool is_of(const record_t *record, const footer_entry_t *entry)
{
    return record->kind == entry->kind && record->name.low == entry->name.low &&
           record->name.high == entry->name.high && record_units(record) == entry->units &&
           record_meta_units(record) == entry->meta_units;
}

static void read_item(walk_t *walk, const item_t *item)
{
    const footer_entry_t *entry = &item->entry;
    bool bodies = walk->visitor->bodies;
    record_t record;
    disk_meta_t meta;
    load(walk, entry->unit, bodies ? entry->units : entry->meta_units);
    if (!parse_header(walk, entry->unit, &record)) {
        tell_fault(walk, "its header is damaged", entry->unit, NULL);
        return;
    }
    const char *wrong =
        is_of(&record, entry) ? check_meta(walk, &record, &meta) : "it is not what the footer says";
    if (wrong != NULL) {
        tell_fault(walk, wrong, entry->unit, NULL);
        return;
    }
    wrong = bodies ? check_body(walk, &record, &meta) : NULL;
    if (wrong != NULL)
        tell_fault(walk, wrong, entry->unit, &meta);
    else
        tell_record(walk, &record, &meta, entry->unit, item->live);
}

/* Entries. ----------------------------------------------------------------------------------------------- */

static void add_item(walk_t *walk, const footer_entry_t *entry)
{
    if (walk->count == walk->capacity) {
        walk->capacity = walk->capacity == 0 ? 1024 : walk->capacity * 2;
        walk->items = realloc(walk->items, walk->capacity * sizeof *walk->items);
        MUST(walk->items != NULL);
    }
    walk->items[walk->count++] = (item_t){.entry = *entry};
}

/* False: it cannot be read as one. */
static bool read_footer(walk_t *walk)
{
    const trailer_t *trailer = &walk->segment->trailer;
    if (!walk->segment->sealed)
        return false;
    size_t length = (size_t)trailer->entries * FOOTER_ENTRY_BYTES;
    uint8_t *bytes = must_alloc(length + 1);
    uint64_t at = trailer_entries_at(trailer, walk->inspection->summary.directory.segment_bytes);
    footer_entry_t entry;
    bool good = inspect_read(walk->fd, bytes, length, at) == length &&
                footer_checksum(bytes, length) == trailer->entries_checksum;
    for (size_t i = 0; good && i < trailer->entries; i++) {
        good = footer_entry_parse(bytes + i * FOOTER_ENTRY_BYTES, &entry);
        if (good)
            add_item(walk, &entry);
    }
    free(bytes);
    walk->end = trailer->end_unit;
    if (!good)
        walk->count = 0;
    return good;
}

static void add_names(walk_t *walk, const record_t *record)
{
    for (size_t i = 0; i < record->meta_bytes / TOMBSTONE_BYTES; i++) {
        const footer_entry_t entry = {
            .kind = RECORD_TOMBSTONES,
            .name = tombstone_name(walk->bytes + RECORD_HEADER_BYTES + i * TOMBSTONE_BYTES)};
        add_item(walk, &entry);
    }
}

/* The record that begins at `end` becomes an item. False: there is none, or not a right one. */
static bool scan_next(walk_t *walk)
{
    record_t record;
    disk_meta_t meta;
    load(walk, walk->end, 1);
    if (!parse_header(walk, walk->end, &record))
        return false;
    if (record.kind == RECORD_TOMBSTONES) {
        load(walk, walk->end, record_units(&record));
        if (check_meta(walk, &record, &meta) != NULL)
            return false;
        add_names(walk, &record);
    } else {
        const footer_entry_t entry = {.kind = record.kind,
                                      .name = record.name,
                                      .unit = (uint32_t)walk->end,
                                      .units = (uint16_t)record_units(&record),
                                      .meta_units = (uint8_t)record_meta_units(&record)};
        add_item(walk, &entry);
    }
    walk->end += record_units(&record);
    return true;
}

/* Without a footer its records follow each other up to the first bad one, as a node finds them. */
static void scan(walk_t *walk)
{
    walk->end = FIRST_UNIT;
    while (scan_next(walk))
        ;
}

/* Which of them a node would find: told from the last to the first. */
static void find_live(walk_t *walk)
{
    uint64_t buried = 0;
    for (size_t i = walk->count; i > 0; i--) {
        item_t *item = &walk->items[i - 1];
        const footer_entry_t *entry = &item->entry;
        const disk_place_t place = {(uint16_t)walk->segment->number, entry->unit, entry->units,
                                    entry->meta_units};
        buried += entry->kind == RECORD_TOMBSTONES;
        if (!walk->older_count)
            continue;
        if (entry->kind == RECORD_TOMBSTONES)
            disk_index_found_buried(walk->index, &entry->name);
        else
            item->live = disk_index_found(walk->index, &entry->name, &place);
    }
    if (buried > 0 && walk->visitor->buried != NULL)
        walk->visitor->buried(walk->visitor->context, buried);
}

/* Between records. --------------------------------------------------------------------------------------- */

/* What a sealed segment has beside what its entries name is tombstones, one behind the other. */
static void verify_between(walk_t *walk, uint64_t unit, uint64_t end)
{
    while (unit < end) {
        record_t record;
        disk_meta_t meta;
        load(walk, unit, RECORD_META_UNITS_MAX);
        if (!parse_header(walk, unit, &record) || record.kind != RECORD_TOMBSTONES ||
            check_meta(walk, &record, &meta) != NULL) {
            tell_fault(walk, "names that no longer count are damaged", unit, NULL);
            return;
        }
        unit += record_units(&record);
    }
}

/* Is there a record of this very segment behind where its records end? Then the end is none. */
static void look_behind(walk_t *walk)
{
    uint64_t units = walk->segment->length / DISK_UNIT;
    record_t record;
    for (uint64_t unit = walk->end; unit < units && !walk->inspection->summary.in_use; unit++) {
        load(walk, unit, 1);
        if (parse_header(walk, unit, &record)) {
            tell_fault(walk, "a record is damaged, and others stand behind it", walk->end, NULL);
            return;
        }
    }
}

/* Segments. ---------------------------------------------------------------------------------------------- */

static void read_items(walk_t *walk, bool by_footer)
{
    uint64_t unit = FIRST_UNIT;
    bool bodies = walk->visitor->bodies;
    for (size_t i = 0; i < walk->count && !walk->stopped && !walk->changed; i++) {
        const item_t *item = &walk->items[i];
        if (item->entry.kind == RECORD_TOMBSTONES)
            continue;
        if (bodies && by_footer)
            verify_between(walk, unit, item->entry.unit);
        read_item(walk, item);
        unit = (uint64_t)item->entry.unit + item->entry.units;
        tell_progress(walk, item->entry.units);
    }
    if (!bodies || walk->stopped || walk->changed)
        return;
    if (by_footer)
        verify_between(walk, unit, walk->end);
    else
        look_behind(walk);
}

/* What it replaced and buried is not known where its records are not: then it counts for nothing, nor what is
 * older. */
static void walk_segment(walk_t *walk)
{
    const inspected_t *segment = walk->segment;
    if (segment->damage != NULL)
        tell_fault(walk, segment->damage, 0, NULL);
    if (segment->serial == 0)
        return;
    walk->count = 0;
    bool by_footer = read_footer(walk);
    if (!by_footer)
        scan(walk);
    if (!by_footer && segment->sealed)
        tell_fault(walk, "its footer is damaged", 0, NULL);
    if (segment->sealed && walk->end != segment->trailer.end_unit)
        walk->older_count = false;
    find_live(walk);
    read_items(walk, by_footer);
}

static uint64_t bytes_of(const inspected_t *segment)
{
    return segment->sealed ? (uint64_t)segment->trailer.end_unit * DISK_UNIT : segment->length;
}

void inspection_walk(const inspection_t *inspection, const inspect_visitor_t *visitor)
{
    walk_t walk = {.inspection = inspection, .visitor = visitor, .older_count = true};
    walk.index = disk_index_new(inspection->summary.directory.id, inspection->summary.file_bytes + 1);
    walk.bytes = must_alloc(RECORD_BYTES_MAX);
    for (size_t i = 0; i < inspection->count; i++) {
        walk.all += bytes_of(&inspection->segments[i]);
        walk.older_count = walk.older_count && !inspection->segments[i].lost;
    }
    for (size_t i = 0; i < inspection->count && !walk.stopped; i++) {
        uint64_t before = walk.done;
        walk.segment = &inspection->segments[i];
        walk.changed = false;
        walk.fd = inspect_open_segment(inspection, walk.segment->number);
        walk_segment(&walk);
        if (walk.fd >= 0)
            close(walk.fd);
        walk.done = before + bytes_of(walk.segment);
        tell_progress(&walk, 0);
    }
    free(walk.items);
    free(walk.bytes);
    disk_index_free(&walk.index);
}

bool inspection_read(const inspection_t *inspection, unsigned segment, uint64_t offset,
                     const inspect_visitor_t *visitor)
{
    walk_t walk = {.inspection = inspection, .visitor = visitor};
    for (size_t i = 0; i < inspection->count; i++)
        if (inspection->segments[i].number == segment)
            walk.segment = &inspection->segments[i];
    MUST(walk.segment != NULL && offset % DISK_UNIT == 0 && visitor->bodies);
    walk.fd = inspect_open_segment(inspection, segment);
    walk.bytes = must_alloc(RECORD_BYTES_MAX);
    walk.end = offset / DISK_UNIT;
    if (walk.fd >= 0 && scan_next(&walk) && walk.items[0].entry.kind != RECORD_TOMBSTONES)
        read_item(&walk, &walk.items[0]);
    if (walk.fd >= 0)
        close(walk.fd);
    free(walk.items);
    free(walk.bytes);
    return walk.told;
}
