/* The bytes of the disk tier's files, as pure functions: no I/O, no clock, no allocation; any thread.
 *
 *   segment   header (4096 bytes), records one behind the other, room, footer entries, trailer (128 bytes)
 *   record    header (128 bytes), meta, both padded together to DISK_UNIT; body, padded to DISK_UNIT
 *
 * All integers are little-endian. Everything is checked by XXH3: the header and the trailer of a segment, the
 * footer's entries, each record's header, its meta and each block of its body. Where that could be taken for
 * another's it says whose it is: checksums of headers and trailers are seeded by the directory's id and have
 * the segment's serial among their bytes, a record's header also its own place, so that neither a record of
 * what the slot held before nor one that stands elsewhere passes; a block's is seeded by version id and the
 * block's number, so that no other version's passes. What pads is not looked at, and cannot reach anybody.
 *
 * Parsers: over (pointer, length), never past the end; true only when every field is in range, and nothing is
 * set otherwise. Only one form says the same, so that what is parsed and put again has the same bytes. */
#ifndef SELVEDGE_EDGE_CACHE_DISK_RECORD_H
#define SELVEDGE_EDGE_CACHE_DISK_RECORD_H

#include "edge/cache/body.h"
#include "purge/ledger.h"

enum {
    DISK_FORMAT = 1,
    DISK_UNIT = 512,
    SEGMENT_HEADER_BYTES = 4096, /* the first record stands here */
    SEGMENT_TRAILER_BYTES = 128,
    SEGMENT_UNITS_MAX = 1 << 20,
    SEGMENTS_MAX = 1 << 16,
    FOOTER_ENTRY_BYTES = 24,
    RECORD_HEADER_BYTES = 128,
    RECORD_BLOCKS_MAX = 2,
    RECORD_BODY_MAX = RECORD_BLOCKS_MAX * BLOCK_BYTES,
    RECORD_META_UNITS_MAX = 127, /* header and meta together */
    RECORD_META_MAX = RECORD_META_UNITS_MAX * DISK_UNIT - RECORD_HEADER_BYTES,
    RECORD_UNITS_MAX = RECORD_META_UNITS_MAX + RECORD_BODY_MAX / DISK_UNIT,
    TOMBSTONE_BYTES = 16 /* of a tombstones' meta for each name */
};

/* What a whole directory has in common; of its `directory` file. */
typedef struct {
    uint64_t id;            /* random, of this directory; seeds checksums and the index's hash */
    uint64_t node[2];       /* the identity of the node's journal (purge/identity.h) */
    uint64_t segment_bytes; /* a multiple of 4096, at most SEGMENT_UNITS_MAX units */
    uint32_t segments;      /* slots, 1 to SEGMENTS_MAX */
} directory_t;
enum { DIRECTORY_BYTES = 128 };
void directory_put(uint8_t data[DIRECTORY_BYTES], const directory_t *directory);
/* DIRECTORY_OTHER_FORMAT: it is one, of another version of this program; nothing else of it can be known. */
typedef enum { DIRECTORY_PARSED, DIRECTORY_WRONG, DIRECTORY_OTHER_FORMAT } directory_result_t;
directory_result_t directory_parse(const uint8_t *data, size_t length, directory_t *directory);

/* One life of one slot: serials rise over all segments of a directory, from 1. All that is said lies in the
 * first sector, so that half of a header cannot be on the device. */
void segment_header_put(uint8_t data[SEGMENT_HEADER_BYTES], uint64_t directory_id, uint64_t serial);
bool segment_header_parse(const uint8_t *data, size_t length, uint64_t directory_id, uint64_t *serial);

typedef enum {
    RECORD_OBJECT = 1,    /* a head, and all of its body unless it is sparse */
    RECORD_VARIANTS = 2,  /* the node that a primary key leads to */
    RECORD_TOMBSTONES = 3 /* names whose records of before no longer count, in its meta */
} record_kind_t;

typedef struct {
    record_kind_t kind;
    ledger_hash_t name;   /* of the key or variant (memory_name); zero of tombstones */
    uint64_t stamp;       /* zero of tombstones */
    version_id_t version; /* of the body (object_body_version); zero of tombstones */
    /* At most RECORD_META_MAX and RECORD_BODY_MAX; the one is never 0, the other always but of objects. */
    uint32_t meta_bytes, body_bytes;
    uint64_t meta_checksum;
    uint64_t block_checksums[RECORD_BLOCKS_MAX]; /* zero of those that it has not */
} record_t;

/* Where a record stands, in one directory. */
typedef struct {
    uint64_t directory_id, serial;
    uint32_t unit; /* DISK_UNITs from the start of the segment */
} record_address_t;

/* In DISK_UNITs: header and meta; all of it. */
uint32_t record_meta_units(const record_t *record);
uint32_t record_units(const record_t *record);
/* Into how many blocks its body is cut, and how many bytes each has: all but the last BLOCK_BYTES. */
unsigned record_blocks(const record_t *record);
uint32_t record_block_bytes(const record_t *record, unsigned number);

uint64_t record_meta_checksum(const void *meta, size_t length);
uint64_t record_block_checksum(version_id_t version, unsigned number, const void *bytes, size_t length);

/* Of a record that is in range: else this is a bug. */
void record_header_put(uint8_t data[RECORD_HEADER_BYTES], const record_t *record, const record_address_t *at);
/* Only one that was put for this very place; its meta and body are not looked at. */
bool record_header_parse(const uint8_t *data, size_t length, const record_address_t *at, record_t *record);

/* The names in a tombstones' meta, which holds nothing else. */
void tombstone_put(uint8_t data[TOMBSTONE_BYTES], const ledger_hash_t *name);
ledger_hash_t tombstone_name(const uint8_t data[TOMBSTONE_BYTES]);

/* What a sealed segment says of each of its records, in their order. */
typedef struct {
    record_kind_t kind; /* RECORD_TOMBSTONES: one entry for each name, without a place */
    ledger_hash_t name;
    uint32_t unit;
    uint16_t units;
    uint8_t meta_units;
} footer_entry_t;

void footer_entry_put(uint8_t data[FOOTER_ENTRY_BYTES], const footer_entry_t *entry);
bool footer_entry_parse(const uint8_t data[FOOTER_ENTRY_BYTES], footer_entry_t *entry);

/* The last bytes of a sealed segment; its entries stand directly before it. */
typedef struct {
    uint64_t serial;
    uint32_t entries;
    uint32_t end_unit;  /* where records end */
    uint64_t stamp_max; /* the highest of its records */
    uint64_t entries_checksum;
} trailer_t;
uint64_t footer_checksum(const void *entries, size_t length);
void trailer_put(uint8_t data[SEGMENT_TRAILER_BYTES], uint64_t directory_id, const trailer_t *trailer);
bool trailer_parse(const uint8_t *data, size_t length, uint64_t directory_id, trailer_t *trailer);
/* Where its entries begin; 0: they would reach into its records, in a segment of this size. */
uint64_t trailer_entries_at(const trailer_t *trailer, uint64_t segment_bytes);

#endif
