/* The insides of a volume, shared by its files: volume.c (closing, places, numbers, calls), volume_open.c
 * (from what a directory holds to a volume), volume_recover.c (from what the segments hold to the index),
 * volume_write.c (the buffer and the end of a segment), volume_room.c (the beginning of one, in place of the
 * oldest). Nobody else includes this. */
#ifndef SELVEDGE_EDGE_CACHE_DISK_VOLUME_PRIVATE_H
#define SELVEDGE_EDGE_CACHE_DISK_VOLUME_PRIVATE_H

#include "edge/cache/disk/volume.h"

enum {
    VOLUME_MAGIC = 0x701d15c,
    NO_FILE = -1,
    PAGE_BYTES = 4096,
    BUFFER_BYTES = 1 << 20,
    SEGMENT_BYTES_LEAST = 16 << 10,
    FAILURES_MAX = 4, /* in a row: then it is broken */
    MOVED_PART = 4,   /* at most one such part of a segment is written again */
    NAMES_MAX = RECORD_META_MAX / TOMBSTONE_BYTES
};

/* What the directory and lock files may take of the volume's size. */
enum { SIZE_APART = PAGE_BYTES };

typedef struct {
    /* The writer's. */
    uint64_t length;   /* of its file */
    bool sealed;       /* its trailer is known */
    bool unnamed;      /* the name of its file may not be on the device yet */
    bool stale;        /* the index may have records of a life that has ended */
    trailer_t trailer; /* if so */
    /* Any thread's to read; the file is set once, before the first serial. */
    _Atomic int file;        /* NO_FILE: there is none yet */
    _Atomic uint64_t serial; /* 0: nothing is to be read there */
} slot_t;

/* What a segment holds, in its order: an entry for each record, of tombstones one for each name. */
typedef struct {
    footer_entry_t *entries;
    size_t count, capacity;
    uint64_t end; /* where its records end */
    uint64_t stamp_max;
} contents_t;

/* A record that is in the buffer, at least in part. */
typedef struct {
    uint64_t end;        /* of its bytes, in the segment */
    size_t first, count; /* its entries */
    bool moved;          /* from `from`: it is written again */
    disk_place_t from;
    const _Atomic bool *revoked;
    void (*done)(void *context, bool written);
    void *context;
} waiting_t;

typedef struct {
    footer_entry_t entry;
    int uses;
} moving_t;

struct volume {
    uint32_t magic;
    /* Fixed once it is open. */
    volume_config_t config;
    uint64_t segment_bytes;
    size_t slot_count;
    slot_t *slots;
    int lock;

    /* The writer's. */
    uint64_t next_serial;
    bool full;     /* the file system has no more room than what the slots have */
    bool unsynced; /* something that was written may never have reached the device */
    bool forgotten, disowned;
    unsigned failures;      /* in a row */
    unsigned sync_failures; /* of what was appended, since it could be synced last */
    volume_failure_t failure;

    /* What was found on opening and is to be indexed, newest first. */
    slot_t **found;
    size_t found_count, found_next;
    bool recovered;

    /* The segment that is written; NULL: none. Its bytes up to `written` are in the file, those up to
     * contents.end stand in the buffer, which begins at the multiple of BUFFER_BYTES at or before `written`.
     */
    slot_t *open;
    contents_t contents;
    uint64_t written;
    uint64_t synced;     /* its bytes up to there are on the device, */
    size_t synced_count; /* and so many of its entries */
    uint8_t *buffer;     /* NULL until it is needed */
    waiting_t *waiting;  /* whose bytes are not all written, in their order */
    size_t waiting_count, waiting_capacity;
    ledger_hash_t *buried; /* names that no record says yet */
    size_t buried_count, buried_capacity;

    /* Of the segment whose slot is used next: what is to be written again, hottest first. */
    slot_t *moving_from;
    moving_t *moving;
    size_t moving_count, moving_next;
    uint64_t moving_left; /* bytes that may still be */

    /* Any thread's to read. */
    _Atomic uint64_t id, bytes, moved;
    _Atomic unsigned segments;
};

static inline uint64_t round_up(uint64_t value, uint64_t to)
{
    return (value + to - 1) / to * to;
}

/* --- volume.c --- */
/* Notes a call that failed. False, for who returns that. */
bool volume_note(volume_t *volume, const char *call, int64_t result);
/* After a failure that cost a segment: too many in a row and the volume is broken. */
void volume_count_failure(volume_t *volume);
/* How many bytes there were, or a negative errno. */
ssize_t volume_read(volume_t *volume, int file, void *to, size_t length, uint64_t offset);
/* How many bytes were written, from the first on; fewer than all: the call that failed is noted. */
size_t volume_write(volume_t *volume, int file, const void *bytes, size_t length, uint64_t offset);
bool volume_set_length(volume_t *volume, slot_t *slot, uint64_t length);
void volume_set_serial(volume_t *volume, slot_t *slot, uint64_t serial);

void contents_add(contents_t *contents, const footer_entry_t *entry);
void contents_clear(contents_t *contents);

static inline int slot_file(const slot_t *slot)
{
    return atomic_load_explicit(&slot->file, memory_order_relaxed);
}

static inline uint64_t slot_serial(const slot_t *slot)
{
    return atomic_load_explicit(&slot->serial, memory_order_relaxed);
}

static inline uint16_t slot_number(const volume_t *volume, const slot_t *slot)
{
    return (uint16_t)(volume->config.first_segment + (slot - volume->slots));
}

static inline disk_place_t entry_place(const volume_t *volume, const slot_t *slot,
                                       const footer_entry_t *entry)
{
    return (disk_place_t){slot_number(volume, slot), entry->unit, entry->units, entry->meta_units};
}

/* --- volume_open.c --- */
enum { SLOT_NAME_BYTES = 24 };
void volume_slot_name(char name[SLOT_NAME_BYTES], size_t number);
/* Forgets all that was found, in files and index. False: a call failed. */
bool volume_forget(volume_t *volume);

/* --- volume_recover.c --- */
/* The entries of a sealed segment; false: they cannot be read as such. */
bool volume_read_footer(volume_t *volume, const slot_t *slot, contents_t *contents);

/* --- volume_write.c --- */
/* A name that is to be buried with what is written next. */
void volume_add_buried(volume_t *volume, const ledger_hash_t *name);
/* Copies a record behind the others; there is room. from: where it was; NULL: it is new. False: a call
 * failed, and the segment is abandoned. */
bool volume_put(volume_t *volume, const volume_record_t *record, const disk_place_t *from);
/* Does a record of so many units and entries end before what has to stand at the segment's end? */
bool volume_fits(const volume_t *volume, uint32_t units, size_t entries);
/* Puts entries and trailer at the end of a segment whose records are on the device, and syncs that. */
bool volume_write_footer(volume_t *volume, slot_t *slot, const contents_t *contents);
/* Leaves the segment that is written as it is; what waits is dropped, names to be buried are kept. */
void volume_abandon(volume_t *volume);

/* --- volume_room.c --- */
/* Begins a segment, in a new slot or in place of the oldest. False: a call failed. */
bool volume_begin_segment(volume_t *volume);
/* Writes one of the hottest of the oldest again, if there is one and room for it. */
void volume_move_next(volume_t *volume);
void volume_stop_moving(volume_t *volume);
/* The record of this entry that should be at `at`, in so many bytes as the entry says; false: not all of it
 * verifies.
 */
bool volume_view_record(const uint8_t *bytes, const footer_entry_t *entry, const record_address_t *at,
                        volume_record_t *view);
/* What it held is not found by the next start either. False: a call failed. */
bool volume_empty_slot(volume_t *volume, slot_t *slot);

#endif
