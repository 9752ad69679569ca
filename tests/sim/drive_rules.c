#include "tests/sim/drive_rules.h"

#include "edge/cache/disk/little_endian.h"
#include "edge/cache/disk/record.h"
#include "tests/sim/referee_disk.h"
#include "tests/sim/world.h"

typedef unsigned long long number_t;

enum { FILES_MAX = 4096 };

/* A segment, as it was written: of which directory, in which life of its slot, and how far. */
typedef struct {
    uint64_t directory, serial; /* serial 0: it holds nothing */
    uint64_t written;           /* its bytes in this life, from the first on */
    uint64_t end;               /* of its records that are whole, one behind the other */
} segment_t;

struct drive_rules {
    unsigned drive;
    const platter_t *medium;
    segment_t segments[FILES_MAX]; /* by their inodes */
    bool lied;                     /* in this life of the node */
};

drive_rules_t *drive_rules_new(unsigned drive, const platter_t *medium)
{
    drive_rules_t *rules = must_calloc(1, sizeof *rules);
    rules->drive = drive;
    rules->medium = medium;
    return rules;
}

void drive_rules_free(drive_rules_t **rules)
{
    free(*rules);
    *rules = NULL;
}

/* --- What stands in the files --- */

static bool is_segment(const char *name)
{
    return strncmp(name, "segment-", 8) == 0;
}

static bool is_named(const platter_directory_t *directory, size_t inode)
{
    for (size_t i = 0; i < directory->count; i++)
        if (directory->names[i].inode == inode && is_segment(directory->names[i].name))
            return true;
    return false;
}

/* 0: what the segments hold counts for nothing. */
static uint64_t directory_id(const platter_t *medium)
{
    const platter_inode_t *inode = platter_file(medium, "directory");
    directory_t directory;
    return inode != NULL && directory_parse(inode->data, inode->length, &directory) == DIRECTORY_PARSED
               ? directory.id
               : 0;
}

static uint64_t header_serial(const platter_inode_t *inode, uint64_t id)
{
    uint64_t serial;
    return segment_header_parse(inode->data, inode->length, id, &serial) ? serial : 0;
}

static bool read_trailer(const platter_inode_t *inode, uint64_t id, trailer_t *trailer)
{
    return inode->length >= SEGMENT_HEADER_BYTES + SEGMENT_TRAILER_BYTES &&
           trailer_parse(inode->data + inode->length - SEGMENT_TRAILER_BYTES, SEGMENT_TRAILER_BYTES, id,
                         trailer);
}

/* A record's header says whose it is: that is read here once more, apart from the code that asks it. */
static bool is_at(const uint8_t *header, uint64_t serial, uint64_t at)
{
    return le_get(header + 16, 8) == serial && le_get(header + 24, 4) == at / DISK_UNIT;
}

static bool read_header(const platter_inode_t *inode, uint64_t id, uint64_t serial, uint64_t at,
                        record_t *record)
{
    const record_address_t address = {id, serial, (uint32_t)(at / DISK_UNIT)};
    return at + RECORD_HEADER_BYTES <= inode->length && is_at(inode->data + at, serial, at) &&
           record_header_parse(inode->data + at, RECORD_HEADER_BYTES, &address, record);
}

/* The end of the record that stands there; 0: none does, before `limit`. */
static uint64_t record_end(const platter_inode_t *inode, uint64_t id, uint64_t serial, uint64_t at,
                           uint64_t limit, record_t *record)
{
    if (!read_header(inode, id, serial, at, record))
        return 0;
    uint64_t end = at + (uint64_t)record_units(record) * DISK_UNIT;
    if (end > limit || end > inode->length)
        return 0;
    bool is_whole = record->kind != RECORD_TOMBSTONES ||
                    record_meta_checksum(inode->data + at + RECORD_HEADER_BYTES, record->meta_bytes) ==
                        record->meta_checksum;
    return is_whole ? end : 0;
}

/* Where the records end of which each follows the one before. */
static uint64_t records_end(const platter_inode_t *inode, uint64_t id, uint64_t serial, uint64_t limit)
{
    uint64_t at = SEGMENT_HEADER_BYTES, end;
    record_t record;
    while ((end = record_end(inode, id, serial, at, limit, &record)) != 0)
        at = end;
    return at;
}

static bool holds_records(const drive_rules_t *rules, size_t inode, uint64_t id)
{
    const segment_t *segment = &rules->segments[inode];
    return segment->serial != 0 && segment->directory == id && segment->end > SEGMENT_HEADER_BYTES;
}

typedef void (*each_segment_t)(const drive_rules_t *rules, size_t inode, size_t other, uint64_t id);

/* With each segment that has a name now. */
static void each_other(const drive_rules_t *rules, size_t inode, uint64_t id, each_segment_t with)
{
    const platter_directory_t *directory = platter_directory(rules->medium);
    for (size_t i = 0; i < directory->count; i++)
        if (is_segment(directory->names[i].name) && directory->names[i].inode != inode)
            with(rules, inode, directory->names[i].inode, id);
}

/* --- A segment begins: no serial is used twice --- */

static void check_lower(const drive_rules_t *rules, size_t inode, size_t other, uint64_t id)
{
    uint64_t serial = rules->segments[inode].serial,
             before = header_serial(&rules->medium->inodes[other], id);
    trailer_t trailer;
    if (read_trailer(&rules->medium->inodes[other], id, &trailer) && trailer.serial > before)
        before = trailer.serial;
    if (before >= serial)
        note_violation("drive %u: segment %llu begins, and %llu is there already", rules->drive,
                       (number_t)serial, (number_t)before);
}

/* Of a header that is written in parts the first may be what was there before. */
static void begin_segment(drive_rules_t *rules, size_t inode, uint64_t id, bool whole)
{
    segment_t *segment = &rules->segments[inode];
    uint64_t serial = header_serial(&rules->medium->inodes[inode], id);
    if (!whole && segment->directory == id && segment->serial == serial)
        return;
    *segment = (segment_t){id, serial, SEGMENT_HEADER_BYTES, SEGMENT_HEADER_BYTES};
    if (serial != 0)
        each_other(rules, inode, id, check_lower);
}

/* --- Order on the device --- */

static bool is_blank(const uint8_t *bytes, uint64_t length)
{
    for (uint64_t i = 0; i < length; i++)
        if (bytes[i] != 0)
            return false;
    return true;
}

static bool is_on_device(const platter_inode_t *inode, uint64_t length)
{
    return inode->durable_length >= length && memcmp(inode->data, inode->durable, length) == 0;
}

static void check_header(const drive_rules_t *rules, size_t inode)
{
    number_t serial = rules->segments[inode].serial;
    if (!is_on_device(&rules->medium->inodes[inode], SEGMENT_HEADER_BYTES))
        note_violation("drive %u: records are written to segment %llu, whose header is not synced",
                       rules->drive, serial);
    if (!is_named(&rules->medium->history[0], inode))
        note_violation("drive %u: records are written to segment %llu, whose name is not synced",
                       rules->drive, serial);
}

static void check_sealed(const drive_rules_t *rules, size_t inode, const trailer_t *trailer)
{
    if (!is_on_device(&rules->medium->inodes[inode], (uint64_t)trailer->end_unit * DISK_UNIT))
        note_violation("drive %u: segment %llu has a trailer, and its records are not synced", rules->drive,
                       (number_t)trailer->serial);
}

/* What a power cut left of this life behind bytes that it took must be gone by now: when what is written next
 * ends just there, it would be found. */
static void check_nothing_behind(const drive_rules_t *rules, size_t inode, uint64_t id, uint64_t end)
{
    uint64_t serial = rules->segments[inode].serial;
    const platter_inode_t *file = &rules->medium->inodes[inode];
    record_t record;
    for (uint64_t at = (end + DISK_UNIT - 1) / DISK_UNIT * DISK_UNIT; at < file->length; at += DISK_UNIT)
        if (read_header(file, id, serial, at, &record))
            note_violation(
                "drive %u: segment %llu is written up to %llu, and a record of it stands behind, at "
                "%llu",
                rules->drive, (number_t)serial, (number_t)end, (number_t)at);
}

/* --- What is written --- */

static void note_tombstones(const drive_rules_t *rules, size_t inode, uint64_t at, const record_t *record)
{
    const uint8_t *meta = rules->medium->inodes[inode].data + at + RECORD_HEADER_BYTES;
    for (uint32_t i = 0; i < record->meta_bytes / TOMBSTONE_BYTES; i++) {
        ledger_hash_t name = tombstone_name(meta + (size_t)i * TOMBSTONE_BYTES);
        referee_entombed(rules->drive, &name, inode);
    }
}

/* Those that are whole by now. */
static void take_records(drive_rules_t *rules, size_t inode, uint64_t id)
{
    segment_t *segment = &rules->segments[inode];
    const platter_inode_t *file = &rules->medium->inodes[inode];
    record_t record;
    uint64_t end;
    while ((end = record_end(file, id, segment->serial, segment->end, segment->written, &record)) != 0) {
        if (record.kind == RECORD_TOMBSTONES)
            note_tombstones(rules, inode, segment->end, &record);
        segment->end = end;
    }
}

void drive_rules_written(drive_rules_t *rules, size_t inode, uint64_t offset, uint64_t length, bool gaps)
{
    MUST(inode < FILES_MAX);
    uint64_t id = directory_id(rules->medium), end = offset + length;
    const platter_inode_t *file = &rules->medium->inodes[inode];
    segment_t *segment = &rules->segments[inode];
    trailer_t trailer;
    if (id == 0 || length == 0 || !is_named(platter_directory(rules->medium), inode))
        return;
    if (offset < SEGMENT_HEADER_BYTES) {
        begin_segment(rules, inode, id, end == SEGMENT_HEADER_BYTES);
        return;
    }
    if (segment->serial == 0 || segment->directory != id) /* a call that failed may have written its header */
        begin_segment(rules, inode, id, true);
    if (segment->serial == 0 || segment->directory != id)
        return;
    if (!gaps && !is_blank(file->data + offset, length))
        check_header(rules, inode);
    if (!gaps && end == file->length && read_trailer(file, id, &trailer))
        check_sealed(rules, inode, &trailer);
    if (offset > segment->written)
        return; /* its end */
    if (end > segment->written)
        segment->written = end;
    take_records(rules, inode, id);
    check_nothing_behind(rules, inode, id, end);
}

/* --- What goes: the oldest first --- */

static void check_younger(const drive_rules_t *rules, size_t inode, size_t other, uint64_t id)
{
    const segment_t *goes = &rules->segments[inode], *stays = &rules->segments[other];
    if (holds_records(rules, other, id) && stays->serial < goes->serial)
        note_violation("drive %u: segment %llu goes, and the older %llu stays", rules->drive,
                       (number_t)goes->serial, (number_t)stays->serial);
}

/* As long as there is a directory: what is not one goes in any order. */
static void let_go(const drive_rules_t *rules, size_t inode)
{
    uint64_t id = directory_id(rules->medium);
    if (id != 0 && holds_records(rules, inode, id))
        each_other(rules, inode, id, check_younger);
}

void drive_rules_goes(const drive_rules_t *rules, size_t inode)
{
    MUST(inode < FILES_MAX);
    if (is_named(platter_directory(rules->medium), inode))
        let_go(rules, inode);
}

void drive_rules_went(drive_rules_t *rules, size_t inode, uint64_t length_before)
{
    segment_t *segment = &rules->segments[inode];
    const platter_inode_t *file = &rules->medium->inodes[inode];
    if (segment->serial == 0)
        return;
    if (file->length == 0 || !is_named(platter_directory(rules->medium), inode)) {
        *segment = (segment_t){0};
    } else if (file->length < length_before) {
        /* It goes on there, also where a kill left out some of the zeroes that end a record. */
        segment->written = file->length;
        segment->end =
            rules->lied ? file->length : records_end(file, segment->directory, segment->serial, file->length);
    }
}

/* What an earlier directory had would come back under the new one, for something that cannot be told. */
void drive_rules_anew(const drive_rules_t *rules)
{
    const platter_directory_t *directory = platter_directory(rules->medium);
    for (size_t i = 0; i < directory->count; i++)
        if (is_segment(directory->names[i].name) &&
            rules->medium->inodes[directory->names[i].inode].durable_length != 0)
            note_violation("drive %u: a directory begins, and the device has a %s of before", rules->drive,
                           directory->names[i].name);
}

/* --- Lives --- */

void drive_rules_cut(drive_rules_t *rules)
{
    for (size_t i = 0; i < rules->medium->inode_count; i++) {
        segment_t *segment = &rules->segments[i];
        const platter_inode_t *file = &rules->medium->inodes[i];
        if (segment->serial == 0)
            continue;
        segment->serial = header_serial(file, segment->directory); /* a new one may be gone */
        segment->written = file->length;
        segment->end = records_end(file, segment->directory, segment->serial, file->length);
    }
}

/* A header of which the last bytes were not written is one all the same, where they are zeroes. */
static void find_begun(drive_rules_t *rules)
{
    for (size_t i = 0; i < rules->medium->inode_count; i++) {
        segment_t *segment = &rules->segments[i];
        const platter_inode_t *file = &rules->medium->inodes[i];
        uint64_t serial =
            segment->serial == 0 && segment->directory != 0 ? header_serial(file, segment->directory) : 0;
        if (serial == 0)
            continue;
        segment->serial = serial;
        segment->written = file->length;
        segment->end = records_end(file, segment->directory, serial, file->length);
    }
}

void drive_rules_begin(drive_rules_t *rules)
{
    rules->lied = false;
    find_begun(rules);
}

void drive_rules_lied(drive_rules_t *rules)
{
    rules->lied = true;
}

/* --- What is found on starting --- */

/* What is newer and cannot be told or read may have replaced and buried this. */
static void check_known(const drive_rules_t *rules, size_t inode, size_t other, uint64_t id)
{
    const segment_t *newer = &rules->segments[other];
    const platter_inode_t *file = &rules->medium->inodes[other];
    trailer_t trailer;
    if (!holds_records(rules, other, id) || newer->serial <= rules->segments[inode].serial)
        return;
    bool is_sealed = read_trailer(file, id, &trailer) && trailer.serial == newer->serial;
    if (!is_sealed && header_serial(file, id) != newer->serial)
        note_violation("drive %u: a record was found in segment %llu, and the newer %llu cannot be told",
                       rules->drive, (number_t)rules->segments[inode].serial, (number_t)newer->serial);
    uint64_t entries_at = is_sealed ? trailer_entries_at(&trailer, file->length) : 0;
    uint64_t end = (uint64_t)trailer.end_unit * DISK_UNIT;
    if (entries_at != 0 &&
        footer_checksum(file->data + entries_at, (size_t)trailer.entries * FOOTER_ENTRY_BYTES) !=
            trailer.entries_checksum &&
        records_end(file, id, newer->serial, end) != end)
        note_violation(
            "drive %u: a record was found in segment %llu, and of the newer %llu neither footer nor "
            "records can be read",
            rules->drive, (number_t)rules->segments[inode].serial, (number_t)newer->serial);
}

void drive_rules_found(const drive_rules_t *rules, size_t inode, uint64_t offset, bool sealed)
{
    uint64_t id = directory_id(rules->medium);
    const segment_t *segment = &rules->segments[inode];
    if (id == 0 || rules->lied || segment->serial == 0 || segment->directory != id)
        return;
    uint64_t end = records_end(&rules->medium->inodes[inode], id, segment->serial, UINT64_MAX);
    if (!sealed && offset >= end)
        note_violation("drive %u: a record was found at %llu of segment %llu, whose records end at %llu",
                       rules->drive, (number_t)offset, (number_t)segment->serial, (number_t)end);
    each_other(rules, inode, id, check_known);
}

/* --- For who damages them --- */

size_t drive_rules_records(const drive_rules_t *rules, size_t inode, drive_record_t *records, size_t most)
{
    const segment_t *segment = &rules->segments[inode];
    uint64_t at = SEGMENT_HEADER_BYTES, end;
    size_t count = 0;
    record_t record;
    while (count < most && (end = record_end(&rules->medium->inodes[inode], segment->directory,
                                             segment->serial, at, UINT64_MAX, &record)) != 0) {
        records[count++] = (drive_record_t){at, end - at};
        at = end;
    }
    return count;
}

bool drive_rules_is_sealed(const drive_rules_t *rules, const platter_inode_t *file)
{
    trailer_t trailer;
    uint64_t id = directory_id(rules->medium);
    return id != 0 && read_trailer(file, id, &trailer) && trailer.serial == header_serial(file, id);
}
