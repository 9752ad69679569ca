/* The disk tier's index: by the name of a key or variant, where its record stands. In RAM, at most 24 bytes a
 * record, from 100,000 records and a hundred for each GiB of disk on, up to 4 TiB.
 *
 * A hash of the name, seeded so that nobody outside can choose names that meet, picks one of many small
 * tables (under a mutex, held for a few instructions or while one small table is moved as it grows) and
 * leaves 38 bits in the entry to compare. Names that agree in all of these are taken for one another (two
 * among ten million, one look-up in seven million then): of the two the later is kept, and the record's own
 * full name, which the reader compares, decides.
 *
 * Any thread, unless it says otherwise. Pure otherwise: no I/O, clock or random source. */
#ifndef SELVEDGE_EDGE_CACHE_DISK_INDEX_H
#define SELVEDGE_EDGE_CACHE_DISK_INDEX_H

#include <stdatomic.h>

#include "purge/ledger.h"

typedef struct disk_index disk_index_t;

/* A record's place among all devices. */
typedef struct {
    uint16_t segment;   /* the number of the slot, over all devices */
    uint32_t unit;      /* of 512 bytes, from the slot's start; below 2^20 */
    uint16_t units;     /* how long it is; 1 to 2^12 - 1 */
    uint8_t meta_units; /* of these, header and meta; below 2^7 */
} disk_place_t;

/* expected_bytes: of all devices; chooses how many tables there are, once. */
disk_index_t *disk_index_new(uint64_t seed, uint64_t expected_bytes);
/* By the last who uses it. */
void disk_index_free(disk_index_t **index);

/* The hash that it goes by: well mixed, and not to be foreseen by who does not know the seed. */
uint64_t disk_index_hash(const disk_index_t *index, const ledger_hash_t *name);

/* asked: it counts as a use, of which up to 3 are remembered; one more writes nothing. */
bool disk_index_find(disk_index_t *index, const ledger_hash_t *name, bool asked, disk_place_t *place);

/* Puts it in place of what was there, its uses forgotten. False, and nothing is done, when *revoked by then:
 * looked at under the table's lock, so that who revokes and then calls disk_index_remove() finds it gone
 * either way. revoked may be NULL. */
bool disk_index_put(disk_index_t *index, const ledger_hash_t *name, const disk_place_t *place,
                    const _Atomic bool *revoked);
/* So many more records are to be found on starting, at most: room is taken at once rather than bit by bit. */
void disk_index_expect(disk_index_t *index, uint64_t records);
/* Begins to fetch what the next call for this name will read: for who has many names to go through, some
 * calls ahead. */
void disk_index_prefetch(disk_index_t *index, const ledger_hash_t *name);
/* Of a record that was found on starting, newest first: only where there is nothing, and nothing was removed
 * since the index began. Not after disk_index_complete(). */
bool disk_index_found(disk_index_t *index, const ledger_hash_t *name, const disk_place_t *place);
/* Of a name that was found to be buried on starting, newest first: where there is nothing, this leaves a
 * mark, so that an older record that is found later stays out. Not after disk_index_complete(). */
void disk_index_found_buried(disk_index_t *index, const ledger_hash_t *name);
/* Moves an entry that still is at `from`, its uses forgotten; false: it no longer is. */
bool disk_index_move(disk_index_t *index, const ledger_hash_t *name, const disk_place_t *from,
                     const disk_place_t *to);
/* Takes it out, wherever it is; true: there was one. Until disk_index_complete() this leaves a mark even
 * where there was none, so that an older one that is found later stays out. */
bool disk_index_remove(disk_index_t *index, const ledger_hash_t *name);
/* Only if it still is at `place`; leaves a mark in the same way. */
bool disk_index_remove_at(disk_index_t *index, const ledger_hash_t *name, const disk_place_t *place);
/* How often it was asked for since it was put or moved there, 0 to 3; -1: it is not there. */
int disk_index_uses(disk_index_t *index, const ledger_hash_t *name, const disk_place_t *place);
/* Takes out all whose segment is one of first to last, without a mark: a device is gone. Walks everything.
 * How many. */
uint64_t disk_index_remove_segments(disk_index_t *index, uint16_t first, uint16_t last);

/* All records that were there on starting have been found: removing leaves no mark from now on, and those
 * that are left go. Walks everything. */
void disk_index_complete(disk_index_t *index);
bool disk_index_is_complete(const disk_index_t *index);

uint64_t disk_index_records(const disk_index_t *index);
/* All that it has allocated. */
uint64_t disk_index_bytes(const disk_index_t *index);
/* Asserts the invariants by walking everything; for debug builds and tests, while no other thread changes it.
 */
void disk_index_check(disk_index_t *index);

#endif
