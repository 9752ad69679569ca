/* The files of one directory in memory, behind the disk tier's I/O table, as unkind as real ones: what was
 * not synced may vanish at a power cut, each sector for itself; a failed sync loses what it should have kept,
 * though later syncs succeed; a failed rename may have happened; what is read or written may come in parts,
 * and what is read may not be cached. Calls can be made to fail, chosen by their number.
 *
 * Header only, no global state, all of it from one seed: for the tests of the volume and whatever owns one.
 */
#ifndef SELVEDGE_TESTS_SIMULATED_VOLUME_H
#define SELVEDGE_TESTS_SIMULATED_VOLUME_H

#include "edge/cache/disk/io.h"

#include <errno.h>

enum { PLATTER_DIRTY = 1, PLATTER_TAKEN = 2 };
enum { PLATTER_SECTOR = 512, PLATTER_NAMES = 320, PLATTER_NAME_BYTES = 32, PLATTER_HANDLES = 640 };

typedef struct {
    /* What processes see, and what a power cut leaves; of each sector, whether these may differ, and whether
     * it takes room. */
    uint8_t *data, *durable, *sectors;
    uint64_t length, durable_length, capacity;
    bool locked;
} platter_inode_t;

typedef struct {
    size_t count;
    struct {
        char name[PLATTER_NAME_BYTES];
        size_t inode;
    } names[PLATTER_NAMES];
} platter_directory_t;

typedef enum {
    PLATTER_ERROR, /* the call fails; if it is a write, nothing was written */
    PLATTER_SHORT, /* a write does half and the next one fails; any other call fails */
    PLATTER_CUT    /* the power goes during the call, which may have had its effect: all later ones fail */
} platter_fault_t;

typedef enum {
    PLATTER_WRITES,
    PLATTER_SYNCS,
    PLATTER_LENGTHENS,
    PLATTER_RENAMES,
    PLATTER_UNLINKS,
    PLATTER_SYNCS_DIRECTORY
} platter_event_kind_t;

typedef struct {
    platter_event_kind_t kind;
    size_t inode;
    uint64_t offset, length;
} platter_event_t;

typedef struct {
    uint64_t random;
    platter_inode_t *inodes;
    size_t inode_count;
    /* The directory after each change since its last sync; the first is what is durable. */
    platter_directory_t *history;
    size_t history_count;
    struct {
        bool open, locks;
        size_t inode;
    } handles[PLATTER_HANDLES];
    uint64_t calls;    /* made so far */
    uint64_t fail_at;  /* this call fails, counted from 1; 0: none */
    uint64_t fail_for; /* and so many from it on; 0: one */
    platter_fault_t fault;
    int fail_errno;
    bool fail_next_write, dead;
    unsigned short_percent; /* of reads and writes do a part only */
    unsigned cold_percent;  /* of what is read is not in the page cache */
    uint64_t room;          /* bytes that all files may take; 0: any number */
    uint64_t taken;         /* bytes that they take */
    platter_event_t *log;   /* since it was last emptied */
    size_t log_count, log_capacity;
} platter_t;

static inline uint64_t platter_random(platter_t *medium)
{
    uint64_t z = (medium->random += 0x9e3779b97f4a7c15u);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

static inline bool platter_coin(platter_t *medium)
{
    return (platter_random(medium) & 1) != 0;
}

static inline void platter_note(platter_t *medium, platter_event_kind_t kind, size_t inode, uint64_t offset,
                                uint64_t length)
{
    if (medium->log_count == medium->log_capacity) {
        medium->log_capacity = medium->log_capacity == 0 ? 256 : medium->log_capacity * 2;
        medium->log = realloc(medium->log, medium->log_capacity * sizeof *medium->log);
        MUST(medium->log != NULL);
    }
    medium->log[medium->log_count++] = (platter_event_t){kind, inode, offset, length};
}

/* The directory. ----------------------------------------------------------------------------------------- */

static inline platter_directory_t *platter_directory(const platter_t *medium)
{
    return &medium->history[medium->history_count - 1];
}

/* -1: there is none. */
static inline int64_t platter_find(const platter_t *medium, const char *name)
{
    const platter_directory_t *directory = platter_directory(medium);
    for (size_t i = 0; i < directory->count; i++)
        if (strcmp(directory->names[i].name, name) == 0)
            return (int64_t)i;
    return -1;
}

/* NULL: there is none. */
static inline platter_inode_t *platter_file(const platter_t *medium, const char *name)
{
    int64_t found = platter_find(medium, name);
    return found < 0 ? NULL : &medium->inodes[platter_directory(medium)->names[found].inode];
}

/* Every change of the directory is a new one, so that a power cut can go back to any since the last sync. */
static inline void platter_directory_changes(platter_t *medium)
{
    medium->history = realloc(medium->history, (medium->history_count + 1) * sizeof *medium->history);
    MUST(medium->history != NULL);
    medium->history[medium->history_count] = medium->history[medium->history_count - 1];
    medium->history_count++;
}

static inline void platter_set_name(platter_t *medium, const char *name, size_t inode)
{
    platter_directory_t *directory = platter_directory(medium);
    int64_t found = platter_find(medium, name);
    if (found < 0) {
        MUST(directory->count < PLATTER_NAMES);
        found = (int64_t)directory->count++;
        snprintf(directory->names[found].name, PLATTER_NAME_BYTES, "%s", name);
    }
    directory->names[found].inode = inode;
}

static inline void platter_remove_name(platter_t *medium, const char *name)
{
    platter_directory_t *directory = platter_directory(medium);
    int64_t found = platter_find(medium, name);
    directory->names[found] = directory->names[--directory->count];
}

static inline size_t platter_new_inode(platter_t *medium)
{
    medium->inodes = realloc(medium->inodes, (medium->inode_count + 1) * sizeof *medium->inodes);
    MUST(medium->inodes != NULL);
    medium->inodes[medium->inode_count] = (platter_inode_t){0};
    return medium->inode_count++;
}

/* Bytes of a file. --------------------------------------------------------------------------------------- */

static inline void platter_grow(platter_inode_t *inode, uint64_t length)
{
    if (length <= inode->capacity)
        return;
    uint64_t capacity = (length * 2 + PLATTER_SECTOR - 1) / PLATTER_SECTOR * PLATTER_SECTOR;
    uint8_t **arrays[] = {&inode->data, &inode->durable, &inode->sectors};
    for (size_t i = 0; i < 3; i++) {
        size_t each = i < 2 ? 1 : PLATTER_SECTOR;
        *arrays[i] = realloc(*arrays[i], capacity / each);
        MUST(*arrays[i] != NULL);
        memset(*arrays[i] + inode->capacity / each, 0, (capacity - inode->capacity) / each);
    }
    inode->capacity = capacity;
}

static inline void platter_settle_sector(platter_inode_t *inode, uint64_t sector)
{
    memcpy(inode->durable + sector * PLATTER_SECTOR, inode->data + sector * PLATTER_SECTOR, PLATTER_SECTOR);
}

/* A sector that is written once more before it was synced may have got to the device in between. data NULL:
 * zeroes. */
static inline void platter_write_at(platter_t *medium, platter_inode_t *inode, uint64_t offset,
                                    const uint8_t *data, uint64_t length)
{
    if (length == 0)
        return;
    platter_grow(inode, offset + length);
    for (uint64_t sector = offset / PLATTER_SECTOR; sector <= (offset + length - 1) / PLATTER_SECTOR;
         sector++) {
        if ((inode->sectors[sector] & PLATTER_DIRTY) != 0 && platter_coin(medium))
            platter_settle_sector(inode, sector);
        if ((inode->sectors[sector] & PLATTER_TAKEN) == 0)
            medium->taken += PLATTER_SECTOR;
        inode->sectors[sector] = PLATTER_DIRTY | PLATTER_TAKEN;
    }
    if (data != NULL)
        memcpy(inode->data + offset, data, length);
    else
        memset(inode->data + offset, 0, length);
}

/* All that was not synced reaches the device, or some of it, and then the rest still may or never will. */
typedef enum { PLATTER_ALL, PLATTER_SOME, PLATTER_SOME_AT_LAST } platter_settling_t;

static inline void platter_settle(platter_t *medium, platter_inode_t *inode, platter_settling_t how)
{
    for (uint64_t sector = 0; sector < inode->capacity / PLATTER_SECTOR; sector++) {
        if ((inode->sectors[sector] & PLATTER_DIRTY) != 0 && (how == PLATTER_ALL || platter_coin(medium)))
            platter_settle_sector(inode, sector);
        if (how != PLATTER_SOME)
            inode->sectors[sector] &= (uint8_t)~PLATTER_DIRTY;
    }
    if (how == PLATTER_ALL || platter_coin(medium))
        inode->durable_length = inode->length;
}

static inline void platter_change_length(platter_t *medium, platter_inode_t *inode, uint64_t length)
{
    if (length < inode->length)
        platter_write_at(medium, inode, length, NULL, inode->length - length);
    for (uint64_t sector = (length + PLATTER_SECTOR - 1) / PLATTER_SECTOR;
         sector < inode->capacity / PLATTER_SECTOR; sector++)
        if ((inode->sectors[sector] & PLATTER_TAKEN) != 0) {
            medium->taken -= PLATTER_SECTOR;
            inode->sectors[sector] &= (uint8_t)~PLATTER_TAKEN;
        }
    platter_grow(inode, length);
    inode->length = length;
}

/* Life. -------------------------------------------------------------------------------------------------- */

static inline platter_t *platter_new(uint64_t seed)
{
    platter_t *medium = must_calloc(1, sizeof *medium);
    medium->random = seed;
    medium->history = must_calloc(1, sizeof *medium->history);
    medium->history_count = 1;
    medium->fail_errno = EIO;
    return medium;
}

static inline void platter_free_inodes(platter_t *medium)
{
    for (size_t i = 0; i < medium->inode_count; i++) {
        free(medium->inodes[i].data);
        free(medium->inodes[i].durable);
        free(medium->inodes[i].sectors);
    }
    free(medium->inodes);
}

static inline void platter_free(platter_t **medium)
{
    platter_free_inodes(*medium);
    free((*medium)->history);
    free((*medium)->log);
    free(*medium);
    *medium = NULL;
}

/* The process is gone, what it wrote is not. */
static inline void platter_kill(platter_t *medium)
{
    memset(medium->handles, 0, sizeof medium->handles);
    for (size_t i = 0; i < medium->inode_count; i++)
        medium->inodes[i].locked = false;
    medium->dead = medium->fail_next_write = false;
    medium->fail_at = 0;
}

static inline void platter_cut_file(platter_t *medium, platter_inode_t *inode)
{
    uint64_t low = inode->length < inode->durable_length ? inode->length : inode->durable_length;
    uint64_t high = inode->length + inode->durable_length - low;
    platter_settle(medium, inode, PLATTER_SOME_AT_LAST);
    if (high != low && platter_coin(medium))
        inode->durable_length = low + platter_random(medium) % (high - low + 1);
    if (inode->capacity > inode->durable_length)
        memset(inode->durable + inode->durable_length, 0, inode->capacity - inode->durable_length);
    if (inode->capacity != 0)
        memcpy(inode->data, inode->durable, inode->capacity);
    inode->length = inode->durable_length;
}

static inline void platter_power_cut(platter_t *medium)
{
    platter_kill(medium);
    medium->history[0] = medium->history[platter_random(medium) % medium->history_count];
    medium->history_count = 1;
    for (size_t i = 0; i < medium->inode_count; i++)
        platter_cut_file(medium, &medium->inodes[i]);
}

/* A file as it should be found, on stable storage. */
static inline void platter_put(platter_t *medium, const char *name, const void *data, size_t length)
{
    size_t number = platter_new_inode(medium);
    platter_inode_t *inode = &medium->inodes[number];
    platter_write_at(medium, inode, 0, data, length);
    inode->length = length;
    platter_settle(medium, inode, PLATTER_ALL);
    platter_set_name(medium, name, number);
}

/* All that is there, for another to begin with. */
static inline platter_t *platter_copy(const platter_t *from, uint64_t seed)
{
    platter_t *medium = platter_new(seed);
    const platter_directory_t *directory = platter_directory(from);
    for (size_t i = 0; i < directory->count; i++) {
        const platter_inode_t *inode = &from->inodes[directory->names[i].inode];
        platter_put(medium, directory->names[i].name, inode->data, inode->length);
    }
    return medium;
}

/* Bytes of all files. */
static inline uint64_t platter_bytes(const platter_t *medium)
{
    const platter_directory_t *directory = platter_directory(medium);
    uint64_t bytes = 0;
    for (size_t i = 0; i < directory->count; i++)
        bytes += medium->inodes[directory->names[i].inode].length;
    return bytes;
}

/* The calls. --------------------------------------------------------------------------------------------- */

/* 0: go on. Else the call fails, and *effect says whether it is to have its effect all the same. */
static inline int platter_trip(platter_t *medium, bool *effect)
{
    *effect = false;
    if (medium->dead)
        return -EIO;
    uint64_t number = ++medium->calls, first = medium->fail_at;
    uint64_t count = medium->fail_for == 0 ? 1 : medium->fail_for;
    if (first == 0 || number < first || number - first >= count)
        return 0;
    *effect = platter_coin(medium);
    if (medium->fault == PLATTER_CUT)
        medium->dead = true;
    return medium->fault == PLATTER_CUT ? -EIO : -medium->fail_errno;
}

static inline platter_inode_t *platter_opened(platter_t *medium, int file)
{
    MUST(file >= 0 && file < PLATTER_HANDLES && medium->handles[file].open);
    return &medium->inodes[medium->handles[file].inode];
}

static inline uint64_t platter_part(platter_t *medium, uint64_t length)
{
    bool whole = length < 2 || platter_random(medium) % 100 >= medium->short_percent;
    return whole ? length : 1 + platter_random(medium) % (length - 1);
}

static inline int platter_open(void *context, const char *name, disk_open_t how)
{
    platter_t *medium = context;
    bool effect;
    int failure = platter_trip(medium, &effect), file = 0;
    if (failure != 0)
        return failure;
    if (platter_find(medium, name) < 0) {
        if (how == DISK_OPEN_EXISTING)
            return -ENOENT;
        size_t inode = platter_new_inode(medium);
        platter_directory_changes(medium);
        platter_set_name(medium, name, inode);
    }
    while (medium->handles[file].open)
        MUST(++file < PLATTER_HANDLES);
    medium->handles[file].open = true;
    medium->handles[file].locks = false;
    medium->handles[file].inode = platter_directory(medium)->names[platter_find(medium, name)].inode;
    return file;
}

static inline int platter_close(void *context, int file)
{
    platter_t *medium = context;
    platter_inode_t *inode = platter_opened(medium, file);
    medium->handles[file].open = false;
    if (medium->handles[file].locks)
        inode->locked = false;
    return 0;
}

static inline ssize_t platter_read_into(platter_t *medium, const platter_inode_t *inode,
                                        const struct iovec *to, int count, uint64_t offset)
{
    uint64_t left = inode->length > offset ? inode->length - offset : 0, wanted = 0;
    for (int i = 0; i < count; i++)
        wanted += to[i].iov_len;
    left = platter_part(medium, wanted < left ? wanted : left);
    ssize_t done = 0;
    for (int i = 0; i < count && left > 0; i++) {
        uint64_t part = to[i].iov_len < left ? to[i].iov_len : left;
        memcpy(to[i].iov_base, inode->data + offset + (uint64_t)done, part);
        done += (ssize_t)part;
        left -= part;
    }
    return done;
}

static inline ssize_t platter_read(void *context, int file, const struct iovec *to, int count,
                                   uint64_t offset)
{
    platter_t *medium = context;
    bool effect;
    int failure = platter_trip(medium, &effect);
    if (failure != 0)
        return failure;
    return platter_read_into(medium, platter_opened(medium, file), to, count, offset);
}

static inline ssize_t platter_read_cached(void *context, int file, const struct iovec *to, int count,
                                          uint64_t offset)
{
    platter_t *medium = context;
    bool effect;
    int failure = platter_trip(medium, &effect);
    if (failure != 0)
        return failure;
    if (platter_random(medium) % 100 < medium->cold_percent)
        return -EAGAIN;
    return platter_read_into(medium, platter_opened(medium, file), to, count, offset);
}

/* Some of so many bytes, in whole sectors: half of one is on no device. */
static inline uint64_t platter_sectors(platter_t *medium, uint64_t length)
{
    uint64_t sectors = (length + PLATTER_SECTOR - 1) / PLATTER_SECTOR;
    uint64_t part = platter_random(medium) % (sectors + 1) * PLATTER_SECTOR;
    return part < length ? part : length;
}

/* How much of a write is done, when it is to fail or not; *failure what it then returns. */
static inline uint64_t platter_write_part(platter_t *medium, uint64_t length, int *failure)
{
    bool effect, was_dead = medium->dead;
    *failure = platter_trip(medium, &effect);
    if (*failure != 0 && medium->fault == PLATTER_SHORT) {
        *failure = 0;
        medium->fail_next_write = true;
        return length / 2;
    }
    if (*failure != 0)
        return medium->dead && !was_dead ? platter_sectors(medium, length) : 0;
    if (medium->fail_next_write) {
        medium->fail_next_write = false;
        *failure = -medium->fail_errno;
        return 0;
    }
    return platter_part(medium, length);
}

/* How much of it can be written before the file system is full. */
static inline uint64_t platter_fitting(const platter_t *medium, const platter_inode_t *inode, uint64_t offset,
                                       uint64_t length)
{
    uint64_t room = medium->room > medium->taken ? medium->room - medium->taken : 0;
    if (medium->room == 0)
        return length;
    for (uint64_t at = offset; at < offset + length; at = (at / PLATTER_SECTOR + 1) * PLATTER_SECTOR) {
        bool taken = at < inode->capacity && (inode->sectors[at / PLATTER_SECTOR] & PLATTER_TAKEN) != 0;
        if (!taken && room < PLATTER_SECTOR)
            return at - offset;
        room -= taken ? 0 : PLATTER_SECTOR;
    }
    return length;
}

static inline ssize_t platter_write(void *context, int file, const void *bytes, size_t length,
                                    uint64_t offset)
{
    platter_t *medium = context;
    platter_inode_t *inode = platter_opened(medium, file);
    int failure;
    uint64_t done = platter_write_part(medium, length, &failure);
    uint64_t fitting = platter_fitting(medium, inode, offset, done);
    if (fitting == 0 && done > 0)
        return -ENOSPC;
    done = fitting;
    platter_note(medium, PLATTER_WRITES, medium->handles[file].inode, offset, done);
    platter_write_at(medium, inode, offset, bytes, done);
    if (done != 0 && offset + done > inode->length)
        inode->length = offset + done;
    return failure != 0 ? failure : (ssize_t)done;
}

static inline int platter_start_writing(void *context, int file, uint64_t offset, uint64_t length)
{
    platter_t *medium = context;
    bool effect;
    (void)offset;
    (void)length;
    platter_opened(medium, file);
    return platter_trip(medium, &effect);
}

static inline int platter_sync(void *context, int file)
{
    platter_t *medium = context;
    bool effect;
    int failure = platter_trip(medium, &effect);
    platter_inode_t *inode = platter_opened(medium, file);
    if (failure == 0)
        platter_note(medium, PLATTER_SYNCS, medium->handles[file].inode, 0, 0);
    if (failure == 0)
        platter_settle(medium, inode, PLATTER_ALL);
    else if (!medium->dead)
        platter_settle(medium, inode, PLATTER_SOME_AT_LAST);
    else if (effect)
        platter_settle(medium, inode, PLATTER_SOME);
    return failure;
}

static inline int platter_set_length(void *context, int file, uint64_t length)
{
    platter_t *medium = context;
    bool effect;
    int failure = platter_trip(medium, &effect);
    platter_inode_t *inode = platter_opened(medium, file);
    if (failure != 0 && !effect)
        return failure;
    platter_note(medium, PLATTER_LENGTHENS, medium->handles[file].inode, 0, length);
    platter_change_length(medium, inode, length);
    return failure;
}

static inline int platter_length(void *context, int file, uint64_t *length)
{
    platter_t *medium = context;
    bool effect;
    int failure = platter_trip(medium, &effect);
    if (failure == 0)
        *length = platter_opened(medium, file)->length;
    return failure;
}

static inline int platter_lock(void *context, int file)
{
    platter_t *medium = context;
    bool effect;
    int failure = platter_trip(medium, &effect);
    platter_inode_t *inode = platter_opened(medium, file);
    if (failure == 0 && inode->locked)
        return -EWOULDBLOCK;
    if (failure == 0)
        inode->locked = medium->handles[file].locks = true;
    return failure;
}

static inline int platter_rename(void *context, const char *from, const char *to)
{
    platter_t *medium = context;
    bool effect;
    int failure = platter_trip(medium, &effect);
    if (failure != 0 && !effect)
        return failure;
    int64_t found = platter_find(medium, from);
    if (found < 0)
        return -ENOENT;
    size_t inode = platter_directory(medium)->names[found].inode;
    platter_note(medium, PLATTER_RENAMES, inode, 0, 0);
    platter_directory_changes(medium);
    platter_remove_name(medium, from);
    platter_set_name(medium, to, inode);
    return failure;
}

static inline int platter_unlink(void *context, const char *name)
{
    platter_t *medium = context;
    bool effect;
    int failure = platter_trip(medium, &effect);
    if (failure != 0 && !effect)
        return failure;
    int64_t found = platter_find(medium, name);
    if (found < 0)
        return -ENOENT;
    platter_note(medium, PLATTER_UNLINKS, platter_directory(medium)->names[found].inode, 0, 0);
    platter_directory_changes(medium);
    platter_remove_name(medium, name);
    return failure;
}

static inline int platter_sync_directory(void *context)
{
    platter_t *medium = context;
    bool effect;
    int failure = platter_trip(medium, &effect);
    if (failure != 0 && !effect)
        return failure;
    platter_note(medium, PLATTER_SYNCS_DIRECTORY, 0, 0, 0);
    medium->history[0] = *platter_directory(medium);
    medium->history_count = 1;
    return failure;
}

static inline int platter_list(void *context, void (*each)(void *each_context, const char *name),
                               void *each_context)
{
    platter_t *medium = context;
    bool effect;
    int failure = platter_trip(medium, &effect);
    if (failure != 0)
        return failure;
    const platter_directory_t *directory = platter_directory(medium);
    for (size_t i = 0; i < directory->count; i++)
        each(each_context, directory->names[i].name);
    return 0;
}

static inline disk_io_t platter_io(platter_t *medium)
{
    return (disk_io_t){.context = medium,
                       .open = platter_open,
                       .close = platter_close,
                       .read = platter_read,
                       .read_cached = platter_read_cached,
                       .write = platter_write,
                       .start_writing = platter_start_writing,
                       .sync = platter_sync,
                       .set_length = platter_set_length,
                       .length = platter_length,
                       .lock = platter_lock,
                       .rename = platter_rename,
                       .unlink = platter_unlink,
                       .sync_directory = platter_sync_directory,
                       .list = platter_list};
}

#endif
