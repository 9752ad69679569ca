#include "edge/cache/disk/record.h"

#include <xxhash.h>
#ifdef __x86_64__
#include <xxh_x86dispatch.h> /* the same numbers, by the widest registers that there are */
#endif

#include "edge/cache/disk/little_endian.h"

/* All blocks: magic 8, format 4, then by kind, zeroes, and a checksum 8 over all before it, at the end but of
 * a segment's header.
 *   directory        zero 4, id 8, node 16, segment bytes 8, segments 4
 *   segment header   zero 4, serial 8, checksum; and zeroes
 *   record header    kind 1, zero 3, serial 8, unit 4, meta bytes 4, body bytes 4, zero 4, name 16, stamp 8,
 *                    version 16, meta's checksum 8, blocks' checksums 16
 *   trailer          entries 4, serial 8, end unit 4, zero 4, highest stamp 8, entries' checksum 8
 * Footer entry: name 16, unit and units 4, meta units 1, kind 1, zero 2. */
enum {
    MAGIC = 8,
    START = MAGIC + 4,
    CHECKSUM = 8,
    SEGMENT_HEADER_SAYS = START + 4 + 8 + CHECKSUM,
    FIRST_UNIT = SEGMENT_HEADER_BYTES / DISK_UNIT,
    UNIT_BITS = 20
};
_Static_assert(SEGMENT_UNITS_MAX == 1 << UNIT_BITS, "a unit's number fits its bits");
_Static_assert(RECORD_UNITS_MAX < 1 << (32 - UNIT_BITS), "a record's length fits its bits");

static const char directory_magic[MAGIC] = {'S', 'E', 'L', 'V', 'D', 'I', 'S', 'K'};
static const char segment_magic[MAGIC] = {'S', 'E', 'L', 'V', 'S', 'E', 'G', 'M'};
static const char record_magic[MAGIC] = {'S', 'E', 'L', 'V', 'R', 'E', 'C', 'D'};
static const char trailer_magic[MAGIC] = {'S', 'E', 'L', 'V', 'T', 'A', 'I', 'L'};

/* Blocks. ------------------------------------------------------------------------------------------------ */

static void begin(uint8_t *block, const char magic[MAGIC], size_t size)
{
    memset(block, 0, size);
    memcpy(block, magic, MAGIC);
    le_put(block + MAGIC, DISK_FORMAT, 4);
}

static void seal(uint8_t *block, size_t size, uint64_t seed)
{
    le_put(block + size - CHECKSUM, XXH3_64bits_withSeed(block, size - CHECKSUM, seed), CHECKSUM);
}

static bool is_sealed(const uint8_t *block, const char magic[MAGIC], size_t size, uint64_t seed)
{
    return memcmp(block, magic, MAGIC) == 0 && le_get(block + MAGIC, 4) == DISK_FORMAT &&
           le_get(block + size - CHECKSUM, CHECKSUM) == XXH3_64bits_withSeed(block, size - CHECKSUM, seed);
}

static bool is_zero(const uint8_t *bytes, size_t length)
{
    return length == 0 || (bytes[0] == 0 && memcmp(bytes, bytes + 1, length - 1) == 0);
}

static void put_name(uint8_t *at, const ledger_hash_t *name)
{
    le_put(at, name->low, 8);
    le_put(at + 8, name->high, 8);
}

static ledger_hash_t get_name(const uint8_t *at)
{
    return (ledger_hash_t){le_get(at, 8), le_get(at + 8, 8)};
}

/* Directories. ------------------------------------------------------------------------------------------- */

static bool directory_in_range(const directory_t *directory)
{
    uint64_t bytes = directory->segment_bytes;
    return bytes > SEGMENT_HEADER_BYTES && bytes % 4096 == 0 &&
           bytes <= (uint64_t)SEGMENT_UNITS_MAX * DISK_UNIT && directory->segments >= 1 &&
           directory->segments <= SEGMENTS_MAX;
}

void directory_put(uint8_t data[DIRECTORY_BYTES], const directory_t *directory)
{
    MUST(directory_in_range(directory));
    begin(data, directory_magic, DIRECTORY_BYTES);
    le_put(data + 16, directory->id, 8);
    le_put(data + 24, directory->node[0], 8);
    le_put(data + 32, directory->node[1], 8);
    le_put(data + 40, directory->segment_bytes, 8);
    le_put(data + 48, directory->segments, 4);
    seal(data, DIRECTORY_BYTES, 0);
}

directory_result_t directory_parse(const uint8_t *data, size_t length, directory_t *directory)
{
    enum { END = 52 };
    if (length < START || memcmp(data, directory_magic, MAGIC) != 0)
        return DIRECTORY_WRONG;
    if (le_get(data + MAGIC, 4) != DISK_FORMAT)
        return DIRECTORY_OTHER_FORMAT;
    if (length != DIRECTORY_BYTES || !is_sealed(data, directory_magic, DIRECTORY_BYTES, 0))
        return DIRECTORY_WRONG;
    directory_t found = {.id = le_get(data + 16, 8),
                         .node = {le_get(data + 24, 8), le_get(data + 32, 8)},
                         .segment_bytes = le_get(data + 40, 8),
                         .segments = (uint32_t)le_get(data + 48, 4)};
    if (!directory_in_range(&found) || !is_zero(data + START, 4) ||
        !is_zero(data + END, DIRECTORY_BYTES - CHECKSUM - END))
        return DIRECTORY_WRONG;
    *directory = found;
    return DIRECTORY_PARSED;
}

/* Segments. ---------------------------------------------------------------------------------------------- */

void segment_header_put(uint8_t data[SEGMENT_HEADER_BYTES], uint64_t directory_id, uint64_t serial)
{
    MUST(serial >= 1);
    begin(data, segment_magic, SEGMENT_HEADER_BYTES);
    le_put(data + 16, serial, 8);
    seal(data, SEGMENT_HEADER_SAYS, directory_id);
}

bool segment_header_parse(const uint8_t *data, size_t length, uint64_t directory_id, uint64_t *serial)
{
    if (length < SEGMENT_HEADER_BYTES || !is_sealed(data, segment_magic, SEGMENT_HEADER_SAYS, directory_id) ||
        !is_zero(data + SEGMENT_HEADER_SAYS, SEGMENT_HEADER_BYTES - SEGMENT_HEADER_SAYS) ||
        !is_zero(data + START, 4) || le_get(data + 16, 8) == 0)
        return false;
    *serial = le_get(data + 16, 8);
    return true;
}

/* Records. ----------------------------------------------------------------------------------------------- */

static uint32_t units(uint32_t bytes)
{
    return (bytes + DISK_UNIT - 1) / DISK_UNIT;
}

uint32_t record_meta_units(const record_t *record)
{
    return units(RECORD_HEADER_BYTES + record->meta_bytes);
}

uint32_t record_units(const record_t *record)
{
    return record_meta_units(record) + units(record->body_bytes);
}

unsigned record_blocks(const record_t *record)
{
    return (record->body_bytes + BLOCK_BYTES - 1) / BLOCK_BYTES;
}

uint32_t record_block_bytes(const record_t *record, unsigned number)
{
    uint32_t rest = record->body_bytes - number * BLOCK_BYTES;
    return rest < BLOCK_BYTES ? rest : BLOCK_BYTES;
}

uint64_t record_meta_checksum(const void *meta, size_t length)
{
    return XXH3_64bits(meta, length);
}

uint64_t record_block_checksum(version_id_t version, unsigned number, const void *bytes, size_t length)
{
    uint8_t whose[24];
    le_put(whose, version.low, 8);
    le_put(whose + 8, version.high, 8);
    le_put(whose + 16, number, 8);
    return XXH3_64bits_withSeed(bytes, length, XXH3_64bits(whose, sizeof whose));
}

/* Does a record of this length end within a segment, and begin behind its header? */
static bool stands_in_segment(uint32_t unit, uint32_t length)
{
    return unit >= FIRST_UNIT && unit < SEGMENT_UNITS_MAX && length <= SEGMENT_UNITS_MAX - unit;
}

static bool tombstones_in_range(const record_t *record)
{
    return record->meta_bytes % TOMBSTONE_BYTES == 0 && record->stamp == 0 && record->name.low == 0 &&
           record->name.high == 0 && record->version.low == 0 && record->version.high == 0;
}

static bool record_in_range(const record_t *record)
{
    if (record->kind < RECORD_OBJECT || record->kind > RECORD_TOMBSTONES || record->meta_bytes == 0 ||
        record->meta_bytes > RECORD_META_MAX || record->body_bytes > RECORD_BODY_MAX)
        return false;
    for (unsigned i = record_blocks(record); i < RECORD_BLOCKS_MAX; i++)
        if (record->block_checksums[i] != 0)
            return false;
    if (record->kind != RECORD_OBJECT && record->body_bytes > 0)
        return false;
    return record->kind != RECORD_TOMBSTONES || tombstones_in_range(record);
}

void record_header_put(uint8_t data[RECORD_HEADER_BYTES], const record_t *record, const record_address_t *at)
{
    MUST(record_in_range(record) && stands_in_segment(at->unit, record_units(record)));
    begin(data, record_magic, RECORD_HEADER_BYTES);
    data[START] = (uint8_t)record->kind;
    le_put(data + 16, at->serial, 8);
    le_put(data + 24, at->unit, 4);
    le_put(data + 28, record->meta_bytes, 4);
    le_put(data + 32, record->body_bytes, 4);
    put_name(data + 40, &record->name);
    le_put(data + 56, record->stamp, 8);
    le_put(data + 64, record->version.low, 8);
    le_put(data + 72, record->version.high, 8);
    le_put(data + 80, record->meta_checksum, 8);
    for (size_t i = 0; i < RECORD_BLOCKS_MAX; i++)
        le_put(data + 88 + 8 * i, record->block_checksums[i], 8);
    seal(data, RECORD_HEADER_BYTES, at->directory_id);
}

bool record_header_parse(const uint8_t *data, size_t length, const record_address_t *at, record_t *record)
{
    enum { END = 88 + 8 * RECORD_BLOCKS_MAX };
    if (length < RECORD_HEADER_BYTES || !is_sealed(data, record_magic, RECORD_HEADER_BYTES, at->directory_id))
        return false;
    if (le_get(data + 16, 8) != at->serial || le_get(data + 24, 4) != at->unit)
        return false;
    record_t found = {.kind = (record_kind_t)data[START],
                      .name = get_name(data + 40),
                      .stamp = le_get(data + 56, 8),
                      .version = {le_get(data + 64, 8), le_get(data + 72, 8)},
                      .meta_bytes = (uint32_t)le_get(data + 28, 4),
                      .body_bytes = (uint32_t)le_get(data + 32, 4),
                      .meta_checksum = le_get(data + 80, 8)};
    for (size_t i = 0; i < RECORD_BLOCKS_MAX; i++)
        found.block_checksums[i] = le_get(data + 88 + 8 * i, 8);
    if (!record_in_range(&found) || !stands_in_segment(at->unit, record_units(&found)) ||
        !is_zero(data + START + 1, 3) || !is_zero(data + 36, 4) ||
        !is_zero(data + END, RECORD_HEADER_BYTES - CHECKSUM - END))
        return false;
    *record = found;
    return true;
}

void tombstone_put(uint8_t data[TOMBSTONE_BYTES], const ledger_hash_t *name)
{
    put_name(data, name);
}

ledger_hash_t tombstone_name(const uint8_t data[TOMBSTONE_BYTES])
{
    return get_name(data);
}

/* Footers. ----------------------------------------------------------------------------------------------- */

static bool entry_in_range(const footer_entry_t *entry)
{
    if (entry->kind == RECORD_TOMBSTONES)
        return entry->unit == 0 && entry->units == 0 && entry->meta_units == 0;
    if (entry->meta_units == 0 || entry->meta_units > RECORD_META_UNITS_MAX ||
        entry->units < entry->meta_units)
        return false;
    uint32_t body_max = entry->kind == RECORD_OBJECT ? RECORD_BODY_MAX / DISK_UNIT : 0;
    return (entry->kind == RECORD_OBJECT || entry->kind == RECORD_VARIANTS) &&
           entry->units - entry->meta_units <= (int)body_max && stands_in_segment(entry->unit, entry->units);
}

void footer_entry_put(uint8_t data[FOOTER_ENTRY_BYTES], const footer_entry_t *entry)
{
    MUST(entry_in_range(entry));
    put_name(data, &entry->name);
    le_put(data + 16, entry->unit | (uint32_t)entry->units << UNIT_BITS, 4);
    data[20] = entry->meta_units;
    data[21] = (uint8_t)entry->kind;
    data[22] = data[23] = 0;
}

bool footer_entry_parse(const uint8_t data[FOOTER_ENTRY_BYTES], footer_entry_t *entry)
{
    uint32_t place = (uint32_t)le_get(data + 16, 4);
    footer_entry_t found = {.kind = (record_kind_t)data[21],
                            .name = get_name(data),
                            .unit = place % SEGMENT_UNITS_MAX,
                            .units = (uint16_t)(place >> UNIT_BITS),
                            .meta_units = data[20]};
    if (!entry_in_range(&found) || !is_zero(data + 22, 2))
        return false;
    *entry = found;
    return true;
}

uint64_t footer_checksum(const void *entries, size_t length)
{
    return XXH3_64bits(entries, length);
}

static bool trailer_in_range(const trailer_t *trailer)
{
    return trailer->serial >= 1 && trailer->end_unit >= FIRST_UNIT && trailer->end_unit <= SEGMENT_UNITS_MAX;
}

void trailer_put(uint8_t data[SEGMENT_TRAILER_BYTES], uint64_t directory_id, const trailer_t *trailer)
{
    MUST(trailer_in_range(trailer));
    begin(data, trailer_magic, SEGMENT_TRAILER_BYTES);
    le_put(data + START, trailer->entries, 4);
    le_put(data + 16, trailer->serial, 8);
    le_put(data + 24, trailer->end_unit, 4);
    le_put(data + 32, trailer->stamp_max, 8);
    le_put(data + 40, trailer->entries_checksum, 8);
    seal(data, SEGMENT_TRAILER_BYTES, directory_id);
}

bool trailer_parse(const uint8_t *data, size_t length, uint64_t directory_id, trailer_t *trailer)
{
    enum { END = 48 };
    if (length < SEGMENT_TRAILER_BYTES ||
        !is_sealed(data, trailer_magic, SEGMENT_TRAILER_BYTES, directory_id))
        return false;
    trailer_t found = {.serial = le_get(data + 16, 8),
                       .entries = (uint32_t)le_get(data + START, 4),
                       .end_unit = (uint32_t)le_get(data + 24, 4),
                       .stamp_max = le_get(data + 32, 8),
                       .entries_checksum = le_get(data + 40, 8)};
    if (!trailer_in_range(&found) || !is_zero(data + 28, 4) ||
        !is_zero(data + END, SEGMENT_TRAILER_BYTES - CHECKSUM - END))
        return false;
    *trailer = found;
    return true;
}

uint64_t trailer_entries_at(const trailer_t *trailer, uint64_t segment_bytes)
{
    uint64_t bytes = (uint64_t)trailer->entries * FOOTER_ENTRY_BYTES + SEGMENT_TRAILER_BYTES;
    uint64_t end = (uint64_t)trailer->end_unit * DISK_UNIT;
    return segment_bytes >= end && segment_bytes - end >= bytes ? segment_bytes - bytes : 0;
}
