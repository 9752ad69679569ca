/* The insides of the disk tier, shared by its files: disk.c (life, keys and devices), admit.c (what is to be
 * kept, and what no longer counts), writer.c (the thread that writes), reader.c (the threads that read, and
 * who waits for them), load.c (from a record to an object). Nobody else includes this. */
#ifndef SELVEDGE_EDGE_CACHE_DISK_DISK_PRIVATE_H
#define SELVEDGE_EDGE_CACHE_DISK_DISK_PRIVATE_H

#include <errno.h>
#include <math.h>
#include <pthread.h>
#include <time.h>

#include "edge/cache/disk/admission.h"
#include "edge/cache/disk/breaker.h"
#include "edge/cache/disk/disk.h"
#include "edge/cache/disk/members.h"
#include "edge/cache/disk/volume.h"

enum {
    DISK_MAGIC = 0x5e1d15c,
    READERS = 2,
    LOADS_MAX = 512,
    PENDING_SLOTS = 256,
    BURIALS_MAX = 1 << 18 /* that wait for one device */
};

typedef enum {
    COUNT_ADMITTED,
    COUNT_DROPPED_QUEUE,  /* more waited for the device than may */
    COUNT_DROPPED_SIZE,   /* no record can hold it */
    COUNT_DROPPED_BROKEN, /* it could not be written */
    COUNT_CHECKSUM_FAILURES,
    COUNT_READ_ERRORS,
    COUNT_READ_TIMEOUTS,
    COUNT_FROM_CACHE,
    COUNT_FROM_DEVICE,
    DISK_COUNTS
} disk_count_t;

typedef enum {
    ITEM_BURIAL, /* what is known of the name no longer counts */
    ITEM_OBJECT, /* a stored object, whole */
    ITEM_NODE,   /* the node of variants that its key leads to */
    /* Of one that is too large for a record, from its first byte on; one after the other, as the writer gets
       on. */
    ITEM_PIECE,
    ITEM_WHOLE /* and at last its head alone, by which the pieces are found */
} item_kind_t;

/* Something for the writer. What is to be buried is taken first: of what came before it, all that has its
 * name is revoked. */
typedef struct item {
    struct item *next;
    struct device *device;
    item_kind_t kind;
    bool is_part; /* a piece of what is fetched in pieces */
    ledger_hash_t name;
    object_t *object; /* a reference, of what is no part until its bytes have been taken; NULL: a burial */
    uint64_t first;   /* ITEM_PIECE: where it begins */
    size_t bytes;     /* of what is to be written, about */
    _Atomic bool revoked; /* it is no longer the newest */
    bool pending;         /* by its name, until the index has it, or it is dropped */
    struct item *next_pending;
} item_t;

typedef struct {
    item_t *first, *last;
} item_queue_t;

/* A read that somebody waits for. */
struct disk_load {
    struct disk_load *next;       /* in the queue */
    struct disk_load *next_known; /* of those that can still be joined, oldest first */
    ledger_hash_t name;
    disk_place_t place;
    cache_key_t key; /* its target is a copy of its own */
    cache_variant_t variant;
    bool has_variant;
    int64_t deadline_ms;
    bool late; /* the breaker has been told so */
    disk_wait_t *waits;
    char bytes[];
};

typedef struct device {
    disk_t *disk;
    /* Fixed after the start. */
    const char *path;
    uint64_t size, seed; /* seed: by its path, for which names it is the favourite */
    uint64_t waiting_id; /* of the directory while another process has it; 0: that is not known */
    uint16_t first_segment, segments_max;
    disk_io_t io;
    uint64_t queue_bytes_max;
    /* Set with release when it is open; read by anybody. */
    volume_t *_Atomic volume;
    _Atomic bool ready;   /* all that was there is indexed, and writing has begun */
    _Atomic bool failed;  /* taken out */
    _Atomic bool overdue; /* more waits to be buried than may */
    _Atomic unsigned write_errors;
    _Atomic uint64_t burials; /* queued */
    pthread_t writer, readers[READERS], clock;
    bool stumbled;      /* the writer's: a step failed */
    int64_t sync_at_ms; /* the writer's: when what it wrote is to be on the device; DISK_NEVER: it is */
    bool missed;        /* whoever opens it: its directory was not believed */
    /* Under the lock. */
    pthread_mutex_t lock;
    pthread_cond_t written, asked, ticked; /* for the writer, the readers, the clock */
    pthread_cond_t settled;                /* for who waits until nothing waits to be written */
    bool stopping, writer_rests, writing, ended,
        begun; /* begun: the writer is past all recovery, or has given up */
    item_queue_t to_bury, to_write;
    size_t queue_bytes; /* of what waits, or is being taken */
    disk_load_t *queue, *queue_last, *known, *known_last;
    unsigned loads;    /* queued, or being read */
    disk_load_t *room; /* known as if it were read: for those who wait until the queue is shorter; or NULL */
    unsigned read_errors; /* of late */
    breaker_t breaker;
} device_t;

struct disk {
    uint32_t magic;
    disk_config_t config;
    disk_index_t *index;
    admission_t *seen;
    _Atomic int admission;       /* a disk_admission_t */
    _Atomic unsigned recovering; /* devices */
    device_t devices[DISK_DEVICES_MAX];
    size_t device_count;
    /* What is on its way to the index. */
    pthread_mutex_t pending_lock;
    item_t *pending[PENDING_SLOTS];
    _Atomic uint64_t counts[DISK_COUNTS];
    /* Fixed after the start. */
    members_t members_before;
    bool bury_others; /* names may have belonged to other devices */
    /* Under the lock. */
    pthread_mutex_t membership_lock;
    members_t members;
    uint8_t noted[MEMBERS_BYTES];
    /* Under the lock: what of them was taken. */
    pthread_mutex_t taken_lock;
    disk_status_t taken;
};

static inline void disk_lock(pthread_mutex_t *lock)
{
    MUST(pthread_mutex_lock(lock) == 0);
}

static inline void disk_unlock(pthread_mutex_t *lock)
{
    MUST(pthread_mutex_unlock(lock) == 0);
}

/* Of the clock that deadlines are in. */
static const int64_t DISK_NEVER = INT64_MAX;

static inline int64_t disk_now_ms(const device_t *device)
{
    return device->disk->config.monotonic_ms();
}

/* Under the lock: sleeps until it is signalled, or until then. False: it is that time. */
static inline bool disk_sleep(pthread_cond_t *on, pthread_mutex_t *lock, int64_t until_ms)
{
    if (until_ms == DISK_NEVER) {
        MUST(pthread_cond_wait(on, lock) == 0);
        return true;
    }
    const struct timespec until = {.tv_sec = (time_t)(until_ms / 1000),
                                   .tv_nsec = (long)(until_ms % 1000) * 1000000};
    int result = pthread_cond_timedwait(on, lock, &until);
    MUST(result == 0 || result == ETIMEDOUT);
    return result == 0;
}

static inline void disk_count(disk_t *disk, disk_count_t what)
{
    atomic_fetch_add_explicit(&disk->counts[what], 1, memory_order_relaxed);
}

/* --- disk.c --- */
/* Whose it is; NULL: that one cannot be used now. */
device_t *disk_device_of(disk_t *disk, const ledger_hash_t *name);
device_t *disk_device_at(disk_t *disk, const disk_place_t *place);
/* The same, whether it can be used or not. */
device_t *disk_favourite(disk_t *disk, const ledger_hash_t *name);
/* NULL: as *opening says. */
volume_t *device_open(device_t *device, volume_opening_t *opening);
/* Why it was not opened. */
void device_refusal(const volume_opening_t *opening, char why[DISK_ERROR_MAX / 2]);
/* Takes it out with all its records. Not a worker's: it writes. */
void device_take_out(device_t *device, const char *why);
void device_fail(device_t *device, const char *call, int number);
/* If recovering, or opening it, found that it cannot be trusted. */
void device_say_forgotten(const device_t *device, const volume_t *volume);
/* After a read: where too many of those of late failed, too. */
void device_judge_read(device_t *device, bool failed);

/* --- membership.c --- */
/* Before the directories are opened. */
void membership_begin(disk_t *disk);
/* volume_config_t's; the context is the device. */
bool membership_believes(void *device, uint64_t id);
bool membership_owns(void *device, const ledger_hash_t *name);
/* Notes who misses nothing as it is now; false: that could not be kept. Not a worker's. */
bool membership_note(disk_t *disk);
/* All that belongs to others is buried. */
void membership_settled(disk_t *disk);

/* --- admit.c --- */
void disk_gone(void *context, const ledger_hash_t *name);
bool disk_takes(void *context, const ledger_hash_t *name);
uint64_t disk_holds(void *context);
void disk_stored(void *context, object_t *object);
/* What is fetched in pieces is found while it is on its way: memory may let go of it before the index has it,
 * and where upstream takes no ranges it could not be fetched again. A reference, or NULL. */
object_t *admit_find_part(disk_t *disk, const cache_key_t *key, const cache_variant_t *variant,
                          const ledger_hash_t *name);
/* It is in the index, or will never be. */
typedef enum { ITEM_WRITTEN, ITEM_REVOKED, ITEM_NOT_QUEUED, ITEM_BROKEN } item_end_t;
void item_end(item_t *item, item_end_t how);
/* The piece of a large object that begins at `first`; behind the last one, its head. False: it is to be
 * offered again. */
bool admit_part(disk_t *disk, object_t *object, uint64_t first);

/* --- writer.c --- */
void *writer_run(void *device);
/* Waits until it rests. */
void writer_settle(device_t *device);
/* Puts an item at the end of its device's queue; false, and nothing is done: that is full. A device for which
 * too much waits to be buried is taken out. */
bool writer_queue(item_t *item);

/* --- room.c --- */
/* For header and meta of one record: RECORD_META_UNITS_MAX units, the calling thread's own. */
char *disk_room(void);

/* --- load.c --- */
typedef enum {
    LOAD_FOUND,
    LOAD_ABSENT,   /* it is another's, or of before: nothing is wrong with it */
    LOAD_UNCACHED, /* the device has to be asked */
    LOAD_FAILED,   /* the device did */
    LOAD_NO_MEMORY
} load_t;
/* Reads the record at this place into memory. cached: only if that needs no device. */
load_t load_record(disk_t *disk, const cache_key_t *key, const cache_variant_t *variant,
                   const ledger_hash_t *name, const disk_place_t *place, bool cached, memory_view_t *view);

/* --- reader.c --- */
void *reader_run(void *device);
/* Wakes those who have waited for too long. */
void *clock_run(void *device);
/* Has it read for this one who waits, along with others that wait for the same. False: it is not to be had.
 */
bool reader_await(device_t *device, const cache_key_t *key, const cache_variant_t *variant,
                  const ledger_hash_t *name, const disk_place_t *place, disk_wait_t *wait);
/* The same for room in the writer's queue. False: there is some. wait: may be NULL. */
bool reader_await_room(device_t *device, disk_wait_t *wait);
/* Under the lock: wakes those, if there is room now. */
void reader_note_room(device_t *device);
/* All that wait are woken in vain. */
void reader_wake_all(device_t *device);

#endif
