/* The disk tier's door: what is known on disk of a key, what is to be kept there, and what is known there no
 * longer.
 *
 * Several devices share one cache, each a volume (volume.h) in a directory of its own, with one thread that
 * writes and a few that read. A key belongs to one device, by its name, so that one thread orders all that is
 * written of it. Under the memory tier, whose hooks it takes: as long as memory has an object stored, what is
 * known here of its name is that very object, or nothing.
 *
 * disk_look() may be called by any thread that is attached to memory, and never waits: what the page cache
 * does not hold is read by a thread of the device, and who asked is woken. */
#ifndef SELVEDGE_EDGE_CACHE_DISK_DISK_H
#define SELVEDGE_EDGE_CACHE_DISK_DISK_H

#include "edge/cache/disk/io.h"
#include "edge/cache/memory.h"

typedef struct disk disk_t;
typedef struct disk_load disk_load_t;

enum { DISK_DEVICES_MAX = 16, DISK_ERROR_MAX = 1024, DISK_DEADLINE_MS = 1000 };

typedef enum {
    DISK_SECOND_HIT, /* what is asked for again: one-hit wonders stay off the disk */
    DISK_ALWAYS
} disk_admission_t;

typedef struct {
    const char *path;
    uint64_t size;          /* bytes of all its files, at most */
    const disk_io_t *io;    /* what is called for its files; copied; NULL: the system */
    uint64_t segment_bytes; /* of a directory that is made: a multiple of 4096; 0: as fits the size */
} disk_device_config_t;

/* A small file beside the node's journal, as a whole: read up to so many bytes; replaced, on stable storage
 * when it returns true. False: that failed, or there is none. Any thread, one at a time. */
typedef struct {
    void *context;
    bool (*read)(void *context, uint8_t *data, size_t room, size_t *length);
    bool (*replace)(void *context, const uint8_t *data, size_t length);
} disk_notes_t;

typedef struct {
    disk_device_config_t devices[DISK_DEVICES_MAX];
    size_t device_count; /* at least 1 */
    memory_t *memory;
    const ledger_t *ledger;
    disk_admission_t admission;
    bool wipe;        /* make a directory anew that is of another format or node, rather than refuse it */
    uint64_t node[2]; /* the identity of the node's journal */
    /* Where it is noted which directories have missed nothing (membership.c); all NULL: all are believed. */
    disk_notes_t notes;
    uint64_t random;
    int64_t (*monotonic_ms)(void);
    /* Says a sentence of what happened to a device; any thread. */
    void (*say)(const char *sentence);
} disk_config_t;

/* Opens the directories, sets memory's tier below, and begins to index what is there. Another process that
 * still uses a directory is no error: it is taken when that is gone. NULL: one cannot be used, and `error` is
 * a sentence of why, and what to do. */
disk_t *disk_start(const disk_config_t *config, char error[DISK_ERROR_MAX]);
/* Nobody looks any more: what waits to be written is written. Memory has no tier below from then on. */
void disk_stop(disk_t **disk);
/* The same for no longer than that, in whole seconds. False: a device hangs, and it and all that it uses must
 * stay until the process ends; what waited there is lost, and the next start will not believe its directory.
 */
bool disk_stop_within(disk_t **disk, int64_t timeout_ms);

/* Waits until all that was there on starting is indexed, and all that was admitted so far is written: what
 * tests await. */
void disk_settle(disk_t *disk);

void disk_set_admission(disk_t *disk, disk_admission_t admission);

/* --- Looking --- */

/* One who waits for a device. Embedded in a request; all zero before. */
typedef struct disk_wait disk_wait_t;
struct disk_wait {
    /* Fixed before. Any thread, under a lock: must only carry a message. */
    void (*wake)(disk_wait_t *wait);
    /* Set by disk_look(). */
    struct device *device;
    /* Under the device's lock. */
    disk_load_t *load;
    disk_wait_t *next, **link;
    bool for_room; /* not for a read: until there is room for what is to be fetched */
    /* Set before it is woken: it was late, or failed, and is to be done without. */
    bool in_vain;
};

typedef enum {
    DISK_ABSENT, /* nothing of it is known, or can be had */
    DISK_FOUND,  /* memory has it now, and so has the view; a part that is on its way the view alone; a whole
                    that is kept in pieces memory alone: it is looked for among what is sparse */
    DISK_WAIT    /* the wait will be woken; then memory is to be looked into again */
} disk_look_t;

/* What memory does not know of a key or variant. wait: NULL: only what the page cache holds is found. *view:
 * empty; references as of memory_look(). */
disk_look_t disk_look(disk_t *disk, const cache_key_t *key, const cache_variant_t *variant, disk_wait_t *wait,
                      memory_view_t *view);
/* Is its record known, or a part on its way, and not of before an object that memory has? Without reading it,
 * nor a trace. */
bool disk_knows(disk_t *disk, const cache_key_t *key, const cache_variant_t *variant);
/* Is more on its way to its device than that takes at the moment? Then what is about to be fetched for it
 * would have to be dropped. wait: is woken when there is room, and by the deadline; NULL: only asks. */
bool disk_await_room(disk_t *disk, const cache_key_t *key, const cache_variant_t *variant, disk_wait_t *wait);
/* It need not be woken any more; a wake that is under way by then may still come. */
void disk_wait_leave(disk_wait_t *wait);

/* --- Keeping --- */

/* A stored object was asked for: it is kept, if that is the second time. */
void disk_note_hit(disk_t *disk, object_t *object);

/* --- For people --- */

/* How it is, and what has been since the start. */
typedef struct {
    uint64_t bytes, size, records, segments, index_bytes, segments_to_index;
    unsigned failed_devices, waiting_devices; /* taken out; still used by another process */
    struct {
        uint64_t admitted, dropped_queue, dropped_size, dropped_broken, moved;
        uint64_t checksum_failures, read_errors, read_timeouts, write_errors;
        uint64_t reads_from_cache, reads_from_device;
    } counts;
} disk_status_t;
disk_status_t disk_status(const disk_t *disk);
/* The same with the counts of what has been since somebody last took them. */
disk_status_t disk_take_status(disk_t *disk);

#endif
