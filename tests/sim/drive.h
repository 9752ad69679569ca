/* A drive: the files of one of the disk tier's directories, which outlive the node, behind an I/O table that
 * holds up the thread that calls, fails, is late, tears what is written as the process or the power goes, and
 * lies about what it was given. */
#ifndef SELVEDGE_TESTS_SIM_DRIVE_H
#define SELVEDGE_TESTS_SIM_DRIVE_H

#include "edge/cache/disk/io.h"
#include "tests/sim/random.h"

enum { DRIVES_MAX = 2 };

typedef struct drive drive_t;

typedef struct {
    unsigned cold_percent;  /* of what is read is not in the page cache */
    unsigned short_percent; /* of reads and writes do a part only */
    unsigned slow_rate;     /* per mille: of reads take their time, up to more than anybody waits */
} drive_kind_t;

drive_t *drive_new(unsigned number, const drive_kind_t *kind, uint64_t seed);
void drive_free(drive_t **drive);

/* The table for the node's next life. */
const disk_io_t *drive_io(drive_t *drive);
unsigned drive_number(const drive_t *drive);

/* Some call fails soon, or several in a row. `cut`: the drive loses its power in it. */
void drive_break(drive_t *drive, unsigned within, bool cut);
void drive_mend(drive_t *drive);
/* What processes see of an open file, whatever befalls the drive; false: there are not so many bytes. */
bool drive_see(const drive_t *drive, int file, void *to, size_t length, uint64_t offset);
/* On starting a record was found there. */
void drive_found(const drive_t *drive, int file, uint64_t offset, bool sealed);
/* Did it lose its power? Then all calls fail. */
bool drive_is_cut(const drive_t *drive);
/* A bit of what was synced is another one from now on. False: there is nothing. */
bool drive_flip(drive_t *drive);

/* One of the header or the trailer of a segment is, which costs nothing that others do not tell. */
void drive_flip_end(drive_t *drive, random_t *random);

/* Between two lives: a segment can be read in no way, or a record stands in another's place. */
void drive_damage(drive_t *drive, random_t *random);

/* Another process has the directory for a while, beginning now. */
void drive_lock(drive_t *drive);

/* The process has ended; `cut`: the power was cut. */
void drive_end(drive_t *drive, bool killed, bool cut);

/* Has anything befallen it, ever, by which a record may not verify? */
bool drive_is_spoilt(const drive_t *drive);
bool drive_has_lied(const drive_t *drive);
/* Has it, ever, but for its power? Else what was synced before something was written is there when that is.
 */
bool drive_has_failed(const drive_t *drive);
/* A segment was found there without a trailer; since then, or before under another directory. */
void drive_note_scanned(drive_t *drive, uint64_t serial);
bool drive_was_scanned(const drive_t *drive, uint64_t serial);
/* So much was written again in that segment, of this directory; how much by now. */
uint64_t drive_note_moved(drive_t *drive, uint64_t directory, uint64_t serial, uint64_t bytes);
/* Will the next start find a directory, though it could have been taken away? */
bool drive_is_owned(const drive_t *drive);
/* What its files hold. */
uint64_t drive_bytes(const drive_t *drive);
/* In this life of the node, did a write fail? */
bool drive_failed_writing(const drive_t *drive);
/* In this life of the node, was any call to fail? */
bool drive_was_broken(const drive_t *drive);

#endif
