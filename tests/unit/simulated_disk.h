/* A disk in memory behind the journal's I/O table, as unkind as real ones: what was not synced may vanish or
 * stay in pieces at a power cut, a failed sync loses what it should have kept though later syncs succeed, a
 * failed rename may have happened. One call can be made to fail, chosen by its number. Header only, for the
 * tests of the journal and whatever owns one. */
#ifndef SELVEDGE_TESTS_SIMULATED_DISK_H
#define SELVEDGE_TESTS_SIMULATED_DISK_H

#include "purge/journal.h"

#include <errno.h>

enum { MEDIUM_NAMES = 12, MEDIUM_HANDLES = 8, MEDIUM_CHUNK = 64 };

typedef struct {
    uint8_t *data, *durable,
        *dirty; /* what processes see; what a power cut leaves; which bytes of the first differ */
    size_t length, durable_length, capacity;
    bool locked;
} medium_inode_t;

typedef struct {
    char name[48];
    size_t inode;
} medium_name_t;

typedef struct {
    medium_name_t names[MEDIUM_NAMES];
    size_t count;
} medium_directory_t;

typedef enum {
    MEDIUM_ERROR, /* the call fails; if it is a write, nothing was written */
    MEDIUM_SHORT, /* a write takes half, the next one fails; any other call fails */
    MEDIUM_CUT    /* the power goes during the call, which may have had its effect: all later ones fail */
} medium_fault_t;

typedef struct medium medium_t;
struct medium {
    uint64_t random;
    medium_inode_t *inodes;
    size_t inode_count;
    medium_directory_t
        *history; /* the directory after each change since its last sync; the first is what is durable */
    size_t history_count;
    struct {
        bool open, locks;
        size_t inode, position;
    } handles[MEDIUM_HANDLES];
    uint64_t calls;   /* made so far */
    uint64_t fail_at; /* this call fails, counted from 1; 0: none */
    medium_fault_t fault;
    int fail_errno;
    bool fail_next_write, dead;
    size_t write_most; /* bytes a write takes at most; 0: all */
    void (*on_write)(medium_t *disk, const uint8_t *data, size_t length);
    void *on_write_context;
};

static inline uint64_t medium_random(medium_t *disk)
{
    uint64_t z = (disk->random += 0x9e3779b97f4a7c15u);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

static inline bool medium_coin(medium_t *disk)
{
    return (medium_random(disk) & 1) != 0;
}

/* The directory. --------------------------------------------------------------------------------------------
 */

static inline medium_directory_t *medium_directory(medium_t *disk)
{
    return &disk->history[disk->history_count - 1];
}

static inline medium_name_t *medium_find(medium_t *disk, const char *name)
{
    medium_directory_t *directory = medium_directory(disk);
    for (size_t i = 0; i < directory->count; i++)
        if (strcmp(directory->names[i].name, name) == 0)
            return &directory->names[i];
    return NULL;
}

/* Every change of the directory is a new one, so that a power cut can go back to any since the last sync. */
static inline void medium_directory_changes(medium_t *disk)
{
    disk->history = realloc(disk->history, (disk->history_count + 1) * sizeof(*disk->history));
    MUST(disk->history != NULL);
    disk->history[disk->history_count] = disk->history[disk->history_count - 1];
    disk->history_count++;
}

static inline void medium_set_name(medium_t *disk, const char *name, size_t inode)
{
    medium_name_t *found = medium_find(disk, name);
    if (found == NULL) {
        MUST(medium_directory(disk)->count < MEDIUM_NAMES);
        found = &medium_directory(disk)->names[medium_directory(disk)->count++];
        snprintf(found->name, sizeof(found->name), "%s", name);
    }
    found->inode = inode;
}

static inline void medium_remove_name(medium_t *disk, const char *name)
{
    *medium_find(disk, name) = medium_directory(disk)->names[medium_directory(disk)->count - 1];
    medium_directory(disk)->count--;
}

/* Files. ----------------------------------------------------------------------------------------------------
 */

static inline medium_inode_t *medium_file(medium_t *disk, const char *name)
{
    medium_name_t *found = medium_find(disk, name);
    return found == NULL ? NULL : &disk->inodes[found->inode];
}

static inline size_t medium_new_inode(medium_t *disk)
{
    disk->inodes = realloc(disk->inodes, (disk->inode_count + 1) * sizeof(*disk->inodes));
    MUST(disk->inodes != NULL);
    disk->inodes[disk->inode_count] = (medium_inode_t){0};
    return disk->inode_count++;
}

static inline void medium_grow(medium_inode_t *inode, size_t capacity)
{
    if (capacity <= inode->capacity)
        return;
    uint8_t **arrays[] = {&inode->data, &inode->durable, &inode->dirty};
    for (size_t i = 0; i < 3; i++) {
        *arrays[i] = realloc(*arrays[i], capacity * 2);
        MUST(*arrays[i] != NULL);
        memset(*arrays[i] + inode->capacity, 0, capacity * 2 - inode->capacity);
    }
    inode->capacity = capacity * 2;
}

static inline void medium_write_at(medium_inode_t *inode, size_t position, const uint8_t *data, size_t length)
{
    medium_grow(inode, position + length + 1);
    if (length > 0) /* of an empty file there are no bytes */
        memcpy(inode->data + position, data, length);
    memset(inode->dirty + position, 1, length);
    if (position + length > inode->length)
        inode->length = position + length;
}

/* Some of the unsynced chunks, or all of them, reach the medium. */
static inline void medium_settle(medium_t *disk, medium_inode_t *inode, bool all)
{
    for (size_t chunk = 0; chunk < inode->capacity; chunk += MEDIUM_CHUNK) {
        size_t end = chunk + MEDIUM_CHUNK < inode->capacity ? chunk + MEDIUM_CHUNK : inode->capacity;
        bool kept = all || medium_coin(disk);
        for (size_t i = chunk; i < end; i++) {
            if (kept && inode->dirty[i])
                inode->durable[i] = inode->data[i];
            inode->dirty[i] = 0;
        }
    }
    if (all || medium_coin(disk))
        inode->durable_length = inode->length;
}

/* Life. -----------------------------------------------------------------------------------------------------
 */

static inline medium_t *medium_new(uint64_t seed)
{
    medium_t *disk = must_calloc(1, sizeof(*disk));
    disk->random = seed;
    disk->history = must_calloc(1, sizeof(*disk->history));
    disk->history_count = 1;
    return disk;
}

static inline void medium_free(medium_t **disk)
{
    for (size_t i = 0; i < (*disk)->inode_count; i++) {
        free((*disk)->inodes[i].data);
        free((*disk)->inodes[i].durable);
        free((*disk)->inodes[i].dirty);
    }
    free((*disk)->inodes);
    free((*disk)->history);
    free(*disk);
    *disk = NULL;
}

/* The process is gone, what it wrote is not. */
static inline void medium_kill(medium_t *disk)
{
    memset(disk->handles, 0, sizeof(disk->handles));
    for (size_t i = 0; i < disk->inode_count; i++)
        disk->inodes[i].locked = false;
    disk->dead = disk->fail_next_write = false;
}

static inline void medium_power_cut(medium_t *disk)
{
    medium_kill(disk);
    disk->history[0] = disk->history[medium_random(disk) % disk->history_count];
    disk->history_count = 1;
    for (size_t i = 0; i < disk->inode_count; i++) {
        medium_inode_t *inode = &disk->inodes[i];
        size_t low = inode->length < inode->durable_length ? inode->length : inode->durable_length;
        size_t high = inode->length + inode->durable_length - low;
        medium_settle(disk, inode, false);
        if (high != low && medium_coin(disk))
            inode->durable_length = low + medium_random(disk) % (high - low + 1);
        for (size_t j = inode->durable_length; j < inode->capacity; j++)
            inode->durable[j] = 0;
        if (inode->capacity != 0)
            memcpy(inode->data, inode->durable, inode->capacity);
        inode->length = inode->durable_length;
    }
}

/* A file as it should be found, on stable storage. */
static inline void medium_put(medium_t *disk, const char *name, const void *data, size_t length)
{
    size_t inode = medium_new_inode(disk);
    medium_write_at(&disk->inodes[inode], 0, data, length);
    medium_settle(disk, &disk->inodes[inode], true);
    medium_set_name(disk, name, inode);
}

/* All that is there, for another to begin with. */
static inline medium_t *medium_copy(medium_t *from, uint64_t seed)
{
    medium_t *disk = medium_new(seed);
    const medium_directory_t *directory = medium_directory(from);
    for (size_t i = 0; i < directory->count; i++) {
        const medium_inode_t *inode = &from->inodes[directory->names[i].inode];
        medium_put(disk, directory->names[i].name, inode->data, inode->length);
    }
    return disk;
}

/* The calls. ------------------------------------------------------------------------------------------------
 */

/* 0: go on. Else the call fails, and *effect says whether it is to have its effect all the same. */
static inline int medium_trip(medium_t *disk, bool *effect)
{
    *effect = false;
    if (disk->dead)
        return -EIO;
    if (++disk->calls != disk->fail_at)
        return 0;
    *effect = medium_coin(disk);
    if (disk->fault == MEDIUM_CUT)
        disk->dead = true;
    return disk->fault == MEDIUM_CUT ? -EIO : -disk->fail_errno;
}

static inline int medium_open_handle(medium_t *disk, size_t inode)
{
    for (int i = 0; i < MEDIUM_HANDLES; i++)
        if (!disk->handles[i].open) {
            disk->handles[i].open = true;
            disk->handles[i].locks = false;
            disk->handles[i].inode = inode;
            disk->handles[i].position = 0;
            return i;
        }
    MUST(!"a handle leaks");
    return -EMFILE;
}

static inline int medium_open(void *context, const char *name, journal_mode_t mode)
{
    medium_t *disk = context;
    bool effect;
    int failure = medium_trip(disk, &effect);
    if (failure != 0)
        return failure;
    medium_name_t *found = medium_find(disk, name);
    if (found == NULL && mode == JOURNAL_READ)
        return -ENOENT;
    if (found == NULL) {
        size_t inode = medium_new_inode(disk);
        medium_directory_changes(disk);
        medium_set_name(disk, name, inode);
        return medium_open_handle(disk, inode);
    }
    if (mode == JOURNAL_WRITE) {
        medium_inode_t *inode = &disk->inodes[found->inode];
        inode->length = 0;
        if (inode->capacity != 0)
            memset(inode->dirty, 0, inode->capacity);
    }
    return medium_open_handle(disk, found->inode);
}

static inline ssize_t medium_read(void *context, int file, void *data, size_t length)
{
    medium_t *disk = context;
    bool effect;
    int failure = medium_trip(disk, &effect);
    if (failure != 0)
        return failure;
    const medium_inode_t *inode = &disk->inodes[disk->handles[file].inode];
    size_t left = inode->length - disk->handles[file].position;
    size_t done = length < left ? length : left;
    if (done != 0)
        memcpy(data, inode->data + disk->handles[file].position, done);
    disk->handles[file].position += done;
    return (ssize_t)done;
}

static inline ssize_t medium_write(void *context, int file, const void *data, size_t length)
{
    medium_t *disk = context;
    bool effect;
    int failure = medium_trip(disk, &effect);
    size_t done = length;

    if (failure != 0 && disk->fault == MEDIUM_SHORT) {
        failure = 0;
        done = length / 2;
        disk->fail_next_write = true;
    } else if (failure != 0 && disk->fault == MEDIUM_CUT) {
        done = medium_random(disk) % (length + 1);
    } else if (failure != 0) {
        return failure;
    } else if (disk->fail_next_write) {
        disk->fail_next_write = false;
        return -disk->fail_errno;
    } else if (disk->write_most != 0 && done > disk->write_most) {
        done = disk->write_most;
    }
    medium_write_at(&disk->inodes[disk->handles[file].inode], disk->handles[file].position, data, done);
    disk->handles[file].position += done;
    if (disk->on_write != NULL)
        disk->on_write(disk, data, done);
    return failure != 0 ? failure : (ssize_t)done;
}

static inline int medium_fsync(void *context, int file)
{
    medium_t *disk = context;
    bool effect;
    int failure = medium_trip(disk, &effect);
    medium_inode_t *inode = &disk->inodes[disk->handles[file].inode];
    if (failure == 0 || (!disk->dead || effect))
        medium_settle(disk, inode, failure == 0);
    return failure;
}

static inline int medium_lock(void *context, int file)
{
    medium_t *disk = context;
    bool effect;
    int failure = medium_trip(disk, &effect);
    medium_inode_t *inode = &disk->inodes[disk->handles[file].inode];
    if (failure == 0 && inode->locked)
        failure = -EWOULDBLOCK;
    if (failure == 0)
        inode->locked = disk->handles[file].locks = true;
    return failure;
}

static inline int medium_close(void *context, int file)
{
    medium_t *disk = context;
    MUST(disk->handles[file].open);
    disk->handles[file].open = false;
    if (disk->handles[file].locks)
        disk->inodes[disk->handles[file].inode].locked = false;
    return 0;
}

static inline int medium_rename(void *context, const char *from, const char *to)
{
    medium_t *disk = context;
    bool effect;
    int failure = medium_trip(disk, &effect);
    if (failure != 0 && !effect)
        return failure;
    if (medium_find(disk, from) == NULL)
        return -ENOENT;
    size_t inode = medium_find(disk, from)->inode;
    medium_directory_changes(disk);
    medium_remove_name(disk, from);
    medium_set_name(disk, to, inode);
    return failure;
}

static inline int medium_unlink(void *context, const char *name)
{
    medium_t *disk = context;
    bool effect;
    int failure = medium_trip(disk, &effect);
    if (failure != 0 && !effect)
        return failure;
    if (medium_find(disk, name) == NULL)
        return -ENOENT;
    medium_directory_changes(disk);
    medium_remove_name(disk, name);
    return failure;
}

static inline int medium_fsync_directory(void *context)
{
    medium_t *disk = context;
    bool effect;
    int failure = medium_trip(disk, &effect);
    if (failure != 0 && !effect)
        return failure;
    disk->history[0] = *medium_directory(disk);
    disk->history_count = 1;
    return failure;
}

static inline journal_io_t medium_io(medium_t *disk)
{
    return (journal_io_t){.context = disk,
                          .open = medium_open,
                          .read = medium_read,
                          .write = medium_write,
                          .fsync = medium_fsync,
                          .lock = medium_lock,
                          .close = medium_close,
                          .rename = medium_rename,
                          .unlink = medium_unlink,
                          .fsync_directory = medium_fsync_directory};
}

#endif
