/* A volume: the segments of one directory, and the one that is being written.
 *
 * `directory` says what it is, `lock` that a process uses it, `segment-00000` and so on are the slots. All
 * slots are of one size and never more than fit into the volume's size: a slot is created when it is first
 * used, and used again when it holds the oldest segment. Each of its lives has a serial, higher than all
 * before.
 *
 * Within a volume, what was appended later holds: of two records of a name, or a record and a tombstone. So
 * all that belongs to one name must go to one volume, in order.
 *
 * Pure apart from its I/O table: no thread, clock or random source inside. All calls are the writer's, one
 * thread at a time (that which opened it hands it over), but volume_where() and those that tell numbers,
 * which any thread may call until it is closed.
 *
 * When a call fails, what had not been written by then is dropped (`done` is told so), the segment is left as
 * it is and another is begun; names to be buried are kept until they are written, and said again if a sync of
 * that fails. After some failures in a row
 * the volume is broken: nothing is written any more, what it has may still be read. As names can no longer be
 * buried in it then, it is disowned.
 */
#ifndef SELVEDGE_EDGE_CACHE_DISK_VOLUME_H
#define SELVEDGE_EDGE_CACHE_DISK_VOLUME_H

#include <stdatomic.h>

#include "edge/cache/disk/index.h"
#include "edge/cache/disk/io.h"
#include "edge/cache/disk/record.h"

typedef struct volume volume_t;

typedef struct {
    disk_io_t io;           /* copied; its context stays the caller's */
    disk_index_t *index;    /* shared by all volumes */
    uint64_t size;          /* bytes of all its files together, at most */
    uint64_t segment_bytes; /* a multiple of 4096; 0: as fits the size. A directory that exists has its own */
    uint16_t first_segment; /* its slots have these numbers on in the index */
    uint16_t segments_max;
    uint64_t node[2];  /* the identity of the node's journal */
    uint64_t random;   /* for the id of a directory that is made */
    bool wipe;         /* make a fresh one of what cannot be used, rather than refuse it */
    uint64_t sequence; /* the ledger's: a record with a later stamp means that the journal lost rules, and all
                          is forgotten */
    /* May a directory with this id be believed? Else all is forgotten. NULL: any. */
    bool (*believes)(void *context, uint64_t id);
    /* Does this name belong here? Records of others are passed over. NULL: all do. */
    bool (*owns)(void *context, const ledger_hash_t *name);
    bool bury_others; /* they are buried as well */
    void *context;
} volume_config_t;

typedef enum {
    VOLUME_OPENED,       /* with what was there, which volume_recover_next() finds */
    VOLUME_NEW,          /* there was nothing, or what was left by who did not come to an end */
    VOLUME_WIPED,        /* `wipe` was set, and it was of another format, node or size, or damaged */
    VOLUME_LOCKED,       /* not opened: another process uses it */
    VOLUME_OTHER_FORMAT, /* not opened */
    VOLUME_OTHER_NODE,   /* not opened */
    VOLUME_DAMAGED,      /* not opened: its `directory` cannot be read as one */
    VOLUME_FOREIGN,   /* not opened, whatever `wipe` is: no `directory`, but files that are not the tier's */
    VOLUME_TOO_SMALL, /* not opened: not even two segments fit into the size */
    VOLUME_FAILED     /* not opened: a call failed */
} volume_outcome_t;

typedef struct {
    volume_outcome_t outcome;
    const char *call, *file; /* VOLUME_FAILED */
    int number;              /* its errno */
} volume_opening_t;

/* NULL unless OPENED, NEW or WIPED. Files that are not the tier's are never touched. Reads the beginning and
 * the end of each segment. */
volume_t *volume_open(const volume_config_t *config, volume_opening_t *opening);
/* Writes what is waiting, as far as that works; seals nothing. */
void volume_close(volume_t **volume);

/* The id of a directory, which another process may use meanwhile; 0: it cannot be told. */
uint64_t volume_peek_id(const disk_io_t *io);

/* Finds what is there, a segment with each call, newest first; what is found may be read at once. True: call
 * it again. False: there are no more, and writing may begin. */
bool volume_recover_next(volume_t *volume);
/* All that was there has been forgotten on opening or recovering: it is not believed, a record is stamped
 * above config.sequence, or a segment can't be read, so that it is not known what it replaced and buried. */
bool volume_forgotten(const volume_t *volume);

/* One record to be written. */
typedef struct {
    record_t record; /* but its checksums, which are set here; an object or a node of variants */
    const void *meta;
    struct iovec body[RECORD_BLOCKS_MAX]; /* each as long as record_block_bytes() */
    /* Looked at when it enters the index; stays readable until `done` was called. NULL: never revoked. */
    const _Atomic bool *revoked;
    /* Once; or NULL. written: all its bytes are in the file and it is in the index, unless it was revoked. */
    void (*done)(void *context, bool written);
    void *context;
} volume_record_t;

/* Makes room if need be. The bytes are copied at once, or written; it enters the index when all of them are
 * written, with this or a later call, and `done` tells. False: it is dropped, and done(false) was called: a
 * call failed, or it is too large for a segment. */
bool volume_append(volume_t *volume, const volume_record_t *record);
/* Notes that what is known of this name no longer counts; the index has been told by the caller. False: the
 * volume is broken. */
bool volume_bury(volume_t *volume, const ledger_hash_t *name);
/* Writes what waits in the buffer; what that completes enters the index. */
bool volume_flush(volume_t *volume);
/* Brings all that was written to the device. False: it did not all get there, now or before. */
bool volume_sync(volume_t *volume);
/* Is there something, known or in the files, that a power cut may take? Writer's thread. */
bool volume_is_dirty(const volume_t *volume);

/* For who takes it out of use while names go on being replaced and buried: the next start finds nothing
 * there, rather than what no longer counts. As far as that works. */
void volume_disown(volume_t *volume);

/* After something above failed: which call failed last, its errno; `call` NULL: nothing did. */
typedef struct {
    const char *call;
    int number;
    uint64_t count; /* how many did */
    bool broken;
} volume_failure_t;
volume_failure_t volume_failure(const volume_t *volume);

/* Which file and offset a place is at, and the address to check its header with. False: that slot is not this
 * volume's, or is being used again. Who reads there while it is used again finds what does not verify. */
bool volume_where(const volume_t *volume, const disk_place_t *place, int *file, uint64_t *offset,
                  record_address_t *address);

uint64_t volume_id(const volume_t *volume);    /* of its directory; another one when that is begun anew */
uint64_t volume_bytes(const volume_t *volume); /* of its files */
uint64_t volume_size(const volume_t *volume);
uint64_t volume_segment_bytes(const volume_t *volume);
unsigned volume_segments(const volume_t *volume); /* slots in use */
uint64_t volume_moved(const volume_t *volume);    /* records written again, as they were asked for often */
/* Asserts the invariants; writer's thread. */
void volume_check(const volume_t *volume);

#endif
