#include "tests/sim/drive.h"

#include "tests/sim/drive_rules.h"
#include "tests/sim/referee_disk.h"
#include "tests/sim/world.h"
#include "tests/unit/simulated_volume.h"

enum { FILES_MAX = 4096, SERIALS_MAX = 8192 };

struct drive {
    unsigned number;
    drive_kind_t kind;
    platter_t *medium;
    drive_rules_t *rules;
    disk_io_t io;
    /* Of each file: a sync failed, so that there may be gaps which no later one fills, until it is written
     * anew. */
    bool gaps[FILES_MAX];
    bool spoilt, lied;
    bool failed; /* but for the loss of its power, and of what that left unsynced */
    /* Of segments, by their serials: some of its records may never have reached the device whole, as it was
     * found without a trailer. */
    bool scanned[SERIALS_MAX];
    struct {
        uint64_t directory, serial, bytes;
    } moved;                                                  /* into the segment that is written */
    bool disowning, failed_disowning, failed_writing, broken; /* in this life of the node */
    int lock;                                                 /* another process's handle; -1: none has it */
};

static random_t *chance(void)
{
    return &world.random;
}

/* --- The calls: a thread may be held up before each and after it, while which the process may die --- */

static bool is_dead(void)
{
    return world.node.unplugged;
}

/* A device's threads may wait for it, and who starts or stops the node. */
static bool enter(void)
{
    const char *thread = schedule_thread_name();
    if (strncmp(thread, "disk", 4) != 0 && strcmp(thread, "-") != 0)
        note_violation("%s waits for a drive", thread);
    schedule_preempt();
    return !is_dead();
}

/* The page cache answers anybody. */
static bool enter_cache(void)
{
    schedule_preempt();
    return !is_dead();
}

static int leave(int result)
{
    schedule_preempt();
    return result;
}

static platter_t *medium_of(void *context)
{
    return ((drive_t *)context)->medium;
}

static void stop_failing(drive_t *drive)
{
    drive->medium->fail_at = 0;
    drive->medium->fail_next_write = false;
}

static size_t inode_of(const drive_t *drive, int file)
{
    return drive->medium->handles[file].inode;
}

static int io_open(void *context, const char *name, disk_open_t how)
{
    return enter() ? leave(platter_open(medium_of(context), name, how)) : -EIO;
}

static int io_close(void *context, int file)
{
    return platter_close(medium_of(context), file);
}

/* The device takes its time, so that who waits for it may have given up. */
static void be_slow(const drive_t *drive)
{
    if (random_chance(chance(), drive->kind.slow_rate))
        schedule_delay(random_between(chance(), 0, random_chance(chance(), 400) ? 3000000 : 300000));
}

static ssize_t io_read(void *context, int file, const struct iovec *to, int count, uint64_t offset)
{
    drive_t *drive = context;
    if (!enter())
        return -EIO;
    be_slow(drive);
    if (is_dead())
        return -EIO;
    ssize_t done = platter_read(drive->medium, file, to, count, offset);
    schedule_preempt();
    return done;
}

static ssize_t io_read_cached(void *context, int file, const struct iovec *to, int count, uint64_t offset)
{
    if (!enter_cache())
        return -EIO;
    ssize_t done = platter_read_cached(medium_of(context), file, to, count, offset);
    schedule_preempt();
    return done;
}

static void ask_rules(const drive_t *drive, int file, uint64_t offset, ssize_t done)
{
    size_t inode = inode_of(drive, file);
    if (done > 0)
        drive_rules_written(drive->rules, inode, offset, (uint64_t)done, drive->gaps[inode]);
}

/* What is being written when the process dies is written in part. */
static ssize_t tear(drive_t *drive, int file, const void *bytes, size_t length, uint64_t offset)
{
    size_t part = random_below(chance(), (unsigned)length + 1);
    note_count(NOTE_TORN_WRITES);
    stop_failing(drive);
    ssize_t done = part > 0 ? platter_write(drive->medium, file, bytes, part, offset) : 0;
    ask_rules(drive, file, offset, done);
    return -EIO;
}

static ssize_t io_write(void *context, int file, const void *bytes, size_t length, uint64_t offset)
{
    drive_t *drive = context;
    if (!enter())
        return -EIO;
    schedule_preempt();
    if (is_dead())
        return tear(drive, file, bytes, length, offset);
    ssize_t done = platter_write(drive->medium, file, bytes, length, offset);
    if (done > 0)
        drive->gaps[inode_of(drive, file)] &= offset != 0;
    ask_rules(drive, file, offset, done);
    if (done < 0)
        drive->spoilt = drive->failed_writing = true;
    drive->failed |= done < 0 && !drive->medium->dead;
    schedule_preempt();
    return done;
}

static int io_start_writing(void *context, int file, uint64_t offset, uint64_t length)
{
    return enter() ? platter_start_writing(medium_of(context), file, offset, length) : -EIO;
}

static int io_sync(void *context, int file)
{
    drive_t *drive = context;
    if (!enter())
        return -EIO;
    int result = platter_sync(drive->medium, file);
    size_t number = inode_of(drive, file);
    MUST(number < FILES_MAX);
    if (result < 0)
        drive->spoilt = drive->gaps[number] = true;
    drive->failed |= result < 0 && !drive->medium->dead;
    referee_synced(drive->number, number, !drive->gaps[number]);
    return leave(result);
}

static int io_set_length(void *context, int file, uint64_t length)
{
    drive_t *drive = context;
    if (!enter())
        return -EIO;
    size_t inode = inode_of(drive, file);
    if (length == 0)
        drive_rules_goes(drive->rules, inode);
    uint64_t before = drive->medium->inodes[inode].length;
    int result = platter_set_length(drive->medium, file, length);
    drive_rules_went(drive->rules, inode, before);
    return leave(result);
}

static int io_length(void *context, int file, uint64_t *length)
{
    return enter() ? platter_length(medium_of(context), file, length) : -EIO;
}

static int io_lock(void *context, int file)
{
    return enter() ? leave(platter_lock(medium_of(context), file)) : -EIO;
}

static int io_rename(void *context, const char *from, const char *to)
{
    drive_t *drive = context;
    if (!enter())
        return -EIO;
    if (strcmp(to, "directory") == 0)
        drive_rules_anew(drive->rules);
    int result = platter_rename(drive->medium, from, to);
    if (strcmp(to, "directory") == 0) {
        drive->disowning = false;
        referee_owned(drive->number);
    }
    return leave(result);
}

/* -1: none has this name. */
static int64_t inode_named(const drive_t *drive, const char *name)
{
    int64_t found = platter_find(drive->medium, name);
    return found < 0 ? -1 : (int64_t)platter_directory(drive->medium)->names[found].inode;
}

static int io_unlink(void *context, const char *name)
{
    drive_t *drive = context;
    bool is_directory = strcmp(name, "directory") == 0;
    if (!enter())
        return -EIO;
    int64_t inode = inode_named(drive, name);
    if (inode >= 0)
        drive_rules_goes(drive->rules, (size_t)inode);
    int result = platter_unlink(drive->medium, name);
    if (inode >= 0)
        drive_rules_went(drive->rules, (size_t)inode, 0);
    if (is_directory && result == 0)
        referee_disowned(drive->number, false);
    drive->disowning |= is_directory && result == 0;
    drive->failed_disowning |= is_directory && result < 0;
    return leave(result);
}

static int io_sync_directory(void *context)
{
    drive_t *drive = context;
    if (!enter())
        return -EIO;
    int result = platter_sync_directory(drive->medium);
    if (result == 0 && drive->disowning)
        referee_disowned(drive->number, true);
    return leave(result);
}

static int io_list(void *context, void (*each)(void *each_context, const char *name), void *each_context)
{
    return enter() ? platter_list(medium_of(context), each, each_context) : -EIO;
}

/* --- Life --- */

static disk_io_t table(drive_t *drive)
{
    return (disk_io_t){.context = drive,
                       .open = io_open,
                       .close = io_close,
                       .read = io_read,
                       .read_cached = io_read_cached,
                       .write = io_write,
                       .start_writing = io_start_writing,
                       .sync = io_sync,
                       .set_length = io_set_length,
                       .length = io_length,
                       .lock = io_lock,
                       .rename = io_rename,
                       .unlink = io_unlink,
                       .sync_directory = io_sync_directory,
                       .list = io_list};
}

drive_t *drive_new(unsigned number, const drive_kind_t *kind, uint64_t seed)
{
    drive_t *drive = must_calloc(1, sizeof *drive);
    drive->number = number;
    drive->kind = *kind;
    drive->medium = platter_new(seed);
    drive->rules = drive_rules_new(number, drive->medium);
    drive->medium->cold_percent = kind->cold_percent;
    drive->medium->short_percent = kind->short_percent;
    drive->io = table(drive);
    drive->lock = -1;
    return drive;
}

void drive_free(drive_t **pointer)
{
    drive_t *drive = *pointer;
    *pointer = NULL;
    drive_rules_free(&drive->rules);
    platter_free(&drive->medium);
    free(drive);
}

const disk_io_t *drive_io(drive_t *drive)
{
    drive->disowning = drive->failed_disowning = drive->failed_writing = drive->broken = false;
    drive_rules_begin(drive->rules);
    return &drive->io;
}

unsigned drive_number(const drive_t *drive)
{
    return drive->number;
}

void drive_break(drive_t *drive, unsigned within, bool cut)
{
    static const int errors[] = {EIO, EIO, ENOSPC};
    static const unsigned in_a_row[] = {1, 1, 1, 2, 5, 60};
    platter_t *medium = drive->medium;
    drive->broken = true;
    medium->fail_at = medium->calls + 1 + random_below(chance(), within);
    medium->fail_for = cut ? 1 : RANDOM_PICK(chance(), in_a_row);
    medium->fault = cut ? PLATTER_CUT : random_chance(chance(), 300) ? PLATTER_SHORT : PLATTER_ERROR;
    medium->fail_errno = RANDOM_PICK(chance(), errors);
    note_event("drive is about to fail", drive->number, medium->fail_for, medium->fault);
}

void drive_mend(drive_t *drive)
{
    stop_failing(drive);
}

bool drive_see(const drive_t *drive, int file, void *to, size_t length, uint64_t offset)
{
    const platter_inode_t *inode = platter_opened(drive->medium, file);
    if (offset + length > inode->length)
        return false;
    memcpy(to, inode->data + offset, length);
    return true;
}

void drive_found(const drive_t *drive, int file, uint64_t offset, bool sealed)
{
    drive_rules_found(drive->rules, inode_of(drive, file), offset, sealed);
}

bool drive_is_cut(const drive_t *drive)
{
    return drive->medium->dead;
}

/* Its header and its trailer tell the same. */
void drive_flip_end(drive_t *drive, random_t *random)
{
    enum { HEADER_BYTES = 32, TRAILER_BYTES = 128 };
    platter_t *medium = drive->medium;
    char name[32];
    snprintf(name, sizeof name, "segment-%05u", random_below(random, 4));
    platter_inode_t *inode = platter_file(medium, name);
    if (inode == NULL || inode->length <= TRAILER_BYTES)
        return;
    uint64_t at = random_chance(random, 700)
                      ? random_below(random, HEADER_BYTES)
                      : inode->length - TRAILER_BYTES + random_below(random, TRAILER_BYTES);
    inode->data[at] ^= (uint8_t)(1u << random_below(random, 8));
    inode->durable[at] = inode->data[at];
    drive->spoilt = drive->failed = true;
    note_count(NOTE_ENDS_FLIPPED);
    note_event("an end of a segment flips", drive->number, at, 0);
}

/* Somewhere in a segment, best where something is. */
bool drive_flip(drive_t *drive)
{
    platter_t *medium = drive->medium;
    for (int i = 0; i < 20; i++) {
        char name[32];
        snprintf(name, sizeof name, "segment-%05u", random_below(chance(), 8));
        platter_inode_t *inode = platter_file(medium, name);
        if (inode == NULL || inode->length == 0)
            continue;
        uint64_t at = random_below(chance(), (unsigned)inode->length);
        if ((inode->sectors[at / PLATTER_SECTOR] & PLATTER_DIRTY) != 0 || (inode->data[at] == 0 && i < 16))
            continue;
        inode->data[at] ^= (uint8_t)(1u << random_below(chance(), 8));
        inode->durable[at] = inode->data[at];
        drive->spoilt = drive->lied = drive->failed = true;
        drive_rules_lied(drive->rules);
        note_count(NOTE_FLIPS);
        note_event("a bit flips", drive->number, at, 0);
        return true;
    }
    return false;
}

/* What a record had that is another now is missed by nobody but who asks for it, and where its segment has no
 * footer, nor is what stood behind it. */
void drive_damage(drive_t *drive, random_t *random)
{
    bool whole_segment = random_chance(random, 500);
    if (!(whole_segment ? drive_damage_segment : drive_damage_record)(drive->rules, drive->medium, random))
        return;
    drive->spoilt = drive->failed = true;
    drive->lied |= !whole_segment;
    if (!whole_segment)
        referee_lied(drive->number);
    note_count(whole_segment ? NOTE_SEGMENTS_DAMAGED : NOTE_RECORDS_MISPLACED);
    note_event("drive is damaged", drive->number, whole_segment, 0);
}

/* --- Another process --- */

static void unlock(void *context)
{
    drive_t *drive = context;
    if (drive->lock >= 0)
        platter_close(drive->medium, drive->lock);
    drive->lock = -1;
}

void drive_lock(drive_t *drive)
{
    if (drive->lock >= 0)
        return;
    drive->lock = platter_open(drive->medium, "lock", DISK_OPEN_CREATE);
    MUST(drive->lock >= 0 && platter_lock(drive->medium, drive->lock) == 0);
    note_count(NOTE_LOCKED);
    note_event("drive is another process's", drive->number, 0, 0);
    schedule_outside(random_between(chance(), 1, 1500000), unlock, drive);
}

/* --- The end of the node's life --- */

void drive_end(drive_t *drive, bool killed, bool cut)
{
    stop_failing(drive);
    unlock(drive);
    if (cut) {
        drive->spoilt = true;
        platter_power_cut(drive->medium);
        drive_rules_cut(drive->rules);
    } else if (killed) {
        platter_kill(drive->medium);
    }
}

bool drive_is_spoilt(const drive_t *drive)
{
    return drive->spoilt;
}

bool drive_has_failed(const drive_t *drive)
{
    return drive->failed;
}

void drive_note_scanned(drive_t *drive, uint64_t serial)
{
    MUST(serial < SERIALS_MAX);
    drive->scanned[serial] = true;
}

bool drive_was_scanned(const drive_t *drive, uint64_t serial)
{
    MUST(serial < SERIALS_MAX);
    return drive->scanned[serial];
}

uint64_t drive_note_moved(drive_t *drive, uint64_t directory, uint64_t serial, uint64_t bytes)
{
    bool same = drive->moved.directory == directory && drive->moved.serial == serial;
    drive->moved.directory = directory;
    drive->moved.serial = serial;
    drive->moved.bytes = (same ? drive->moved.bytes : 0) + bytes;
    return drive->moved.bytes;
}

bool drive_is_owned(const drive_t *drive)
{
    return !drive->failed_disowning && platter_find(drive->medium, "directory") >= 0;
}

uint64_t drive_bytes(const drive_t *drive)
{
    return platter_bytes(drive->medium);
}

bool drive_has_lied(const drive_t *drive)
{
    return drive->lied;
}

bool drive_failed_writing(const drive_t *drive)
{
    return drive->failed_writing;
}

bool drive_was_broken(const drive_t *drive)
{
    return drive->broken;
}
