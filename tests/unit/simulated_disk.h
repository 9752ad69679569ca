/* A disk in memory behind the journal's I/O table, as unkind as real ones: what was not synced may vanish or
 * stay in pieces at a power cut, a failed sync loses what it should have kept though later syncs succeed, a
 * failed rename may have happened. One call can be made to fail, chosen by its number. Header only, for the
 * tests of the journal and whatever owns one. */
#ifndef SELVEDGE_TESTS_SIMULATED_DISK_H
#define SELVEDGE_TESTS_SIMULATED_DISK_H

#include "purge/journal.h"

#include <errno.h>

enum { DISK_NAMES = 12, DISK_HANDLES = 8, DISK_CHUNK = 64 };

typedef struct {
    uint8_t *data, *durable,
        *dirty; /* what processes see; what a power cut leaves; which bytes of the first differ */
    size_t length, durable_length, capacity;
    bool locked;
} disk_inode_t;

typedef struct {
    char name[48];
    size_t inode;
} disk_name_t;

typedef struct {
    disk_name_t names[DISK_NAMES];
    size_t count;
} disk_directory_t;

typedef enum {
    DISK_ERROR, /* the call fails; if it is a write, nothing was written */
    DISK_SHORT, /* a write takes half, the next one fails; any other call fails */
    DISK_CUT    /* the power goes during the call, which may have had its effect: all later ones fail */
} disk_fault_t;

typedef struct disk disk_t;
struct disk {
    uint64_t random;
    disk_inode_t *inodes;
    size_t inode_count;
    disk_directory_t
        *history; /* the directory after each change since its last sync; the first is what is durable */
    size_t history_count;
    struct {
        bool open, locks;
        size_t inode, position;
    } handles[DISK_HANDLES];
    uint64_t calls;   /* made so far */
    uint64_t fail_at; /* this call fails, counted from 1; 0: none */
    disk_fault_t fault;
    int fail_errno;
    bool fail_next_write, dead;
    size_t write_most; /* bytes a write takes at most; 0: all */
    void (*on_write)(disk_t *disk, const uint8_t *data, size_t length);
    void *on_write_context;
};

static inline uint64_t disk_random(disk_t *disk)
{
    uint64_t z = (disk->random += 0x9e3779b97f4a7c15u);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

static inline bool disk_coin(disk_t *disk)
{
    return (disk_random(disk) & 1) != 0;
}

/* The directory. --------------------------------------------------------------------------------------------
 */

static inline disk_directory_t *disk_directory(disk_t *disk)
{
    return &disk->history[disk->history_count - 1];
}

static inline disk_name_t *disk_find(disk_t *disk, const char *name)
{
    disk_directory_t *directory = disk_directory(disk);
    for (size_t i = 0; i < directory->count; i++)
        if (strcmp(directory->names[i].name, name) == 0)
            return &directory->names[i];
    return NULL;
}

/* Every change of the directory is a new one, so that a power cut can go back to any since the last sync. */
static inline void disk_directory_changes(disk_t *disk)
{
    disk->history = realloc(disk->history, (disk->history_count + 1) * sizeof(*disk->history));
    MUST(disk->history != NULL);
    disk->history[disk->history_count] = disk->history[disk->history_count - 1];
    disk->history_count++;
}

static inline void disk_set_name(disk_t *disk, const char *name, size_t inode)
{
    disk_name_t *found = disk_find(disk, name);
    if (found == NULL) {
        MUST(disk_directory(disk)->count < DISK_NAMES);
        found = &disk_directory(disk)->names[disk_directory(disk)->count++];
        snprintf(found->name, sizeof(found->name), "%s", name);
    }
    found->inode = inode;
}

static inline void disk_remove_name(disk_t *disk, const char *name)
{
    *disk_find(disk, name) = disk_directory(disk)->names[disk_directory(disk)->count - 1];
    disk_directory(disk)->count--;
}

/* Files. ----------------------------------------------------------------------------------------------------
 */

static inline disk_inode_t *disk_file(disk_t *disk, const char *name)
{
    disk_name_t *found = disk_find(disk, name);
    return found == NULL ? NULL : &disk->inodes[found->inode];
}

static inline size_t disk_new_inode(disk_t *disk)
{
    disk->inodes = realloc(disk->inodes, (disk->inode_count + 1) * sizeof(*disk->inodes));
    MUST(disk->inodes != NULL);
    disk->inodes[disk->inode_count] = (disk_inode_t){0};
    return disk->inode_count++;
}

static inline void disk_grow(disk_inode_t *inode, size_t capacity)
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

static inline void disk_write_at(disk_inode_t *inode, size_t position, const uint8_t *data, size_t length)
{
    disk_grow(inode, position + length + 1);
    memcpy(inode->data + position, data, length);
    memset(inode->dirty + position, 1, length);
    if (position + length > inode->length)
        inode->length = position + length;
}

/* Some of the unsynced chunks, or all of them, reach the medium. */
static inline void disk_settle(disk_t *disk, disk_inode_t *inode, bool all)
{
    for (size_t chunk = 0; chunk < inode->capacity; chunk += DISK_CHUNK) {
        size_t end = chunk + DISK_CHUNK < inode->capacity ? chunk + DISK_CHUNK : inode->capacity;
        bool kept = all || disk_coin(disk);
        for (size_t i = chunk; i < end; i++) {
            if (kept && inode->dirty[i])
                inode->durable[i] = inode->data[i];
            inode->dirty[i] = 0;
        }
    }
    if (all || disk_coin(disk))
        inode->durable_length = inode->length;
}

/* Life. -----------------------------------------------------------------------------------------------------
 */

static inline disk_t *disk_new(uint64_t seed)
{
    disk_t *disk = must_calloc(1, sizeof(*disk));
    disk->random = seed;
    disk->history = must_calloc(1, sizeof(*disk->history));
    disk->history_count = 1;
    return disk;
}

static inline void disk_free(disk_t **disk)
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
static inline void disk_kill(disk_t *disk)
{
    memset(disk->handles, 0, sizeof(disk->handles));
    for (size_t i = 0; i < disk->inode_count; i++)
        disk->inodes[i].locked = false;
    disk->dead = disk->fail_next_write = false;
}

static inline void disk_power_cut(disk_t *disk)
{
    disk_kill(disk);
    disk->history[0] = disk->history[disk_random(disk) % disk->history_count];
    disk->history_count = 1;
    for (size_t i = 0; i < disk->inode_count; i++) {
        disk_inode_t *inode = &disk->inodes[i];
        size_t low = inode->length < inode->durable_length ? inode->length : inode->durable_length;
        size_t high = inode->length + inode->durable_length - low;
        disk_settle(disk, inode, false);
        if (high != low && disk_coin(disk))
            inode->durable_length = low + disk_random(disk) % (high - low + 1);
        for (size_t j = inode->durable_length; j < inode->capacity; j++)
            inode->durable[j] = 0;
        if (inode->capacity != 0)
            memcpy(inode->data, inode->durable, inode->capacity);
        inode->length = inode->durable_length;
    }
}

/* A file as it should be found, on stable storage. */
static inline void disk_put(disk_t *disk, const char *name, const void *data, size_t length)
{
    size_t inode = disk_new_inode(disk);
    disk_write_at(&disk->inodes[inode], 0, data, length);
    disk_settle(disk, &disk->inodes[inode], true);
    disk_set_name(disk, name, inode);
}

/* The calls. ------------------------------------------------------------------------------------------------
 */

/* 0: go on. Else the call fails, and *effect says whether it is to have its effect all the same. */
static inline int disk_trip(disk_t *disk, bool *effect)
{
    *effect = false;
    if (disk->dead)
        return -EIO;
    if (++disk->calls != disk->fail_at)
        return 0;
    *effect = disk_coin(disk);
    if (disk->fault == DISK_CUT)
        disk->dead = true;
    return disk->fault == DISK_CUT ? -EIO : -disk->fail_errno;
}

static inline int disk_open_handle(disk_t *disk, size_t inode)
{
    for (int i = 0; i < DISK_HANDLES; i++)
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

static inline int disk_open(void *context, const char *name, journal_mode_t mode)
{
    disk_t *disk = context;
    bool effect;
    int failure = disk_trip(disk, &effect);
    if (failure != 0)
        return failure;
    disk_name_t *found = disk_find(disk, name);
    if (found == NULL && mode == JOURNAL_READ)
        return -ENOENT;
    if (found == NULL) {
        size_t inode = disk_new_inode(disk);
        disk_directory_changes(disk);
        disk_set_name(disk, name, inode);
        return disk_open_handle(disk, inode);
    }
    if (mode == JOURNAL_WRITE) {
        disk_inode_t *inode = &disk->inodes[found->inode];
        inode->length = 0;
        if (inode->capacity != 0)
            memset(inode->dirty, 0, inode->capacity);
    }
    return disk_open_handle(disk, found->inode);
}

static inline ssize_t disk_read(void *context, int file, void *data, size_t length)
{
    disk_t *disk = context;
    bool effect;
    int failure = disk_trip(disk, &effect);
    if (failure != 0)
        return failure;
    const disk_inode_t *inode = &disk->inodes[disk->handles[file].inode];
    size_t left = inode->length - disk->handles[file].position;
    size_t done = length < left ? length : left;
    if (done != 0)
        memcpy(data, inode->data + disk->handles[file].position, done);
    disk->handles[file].position += done;
    return (ssize_t)done;
}

static inline ssize_t disk_write(void *context, int file, const void *data, size_t length)
{
    disk_t *disk = context;
    bool effect;
    int failure = disk_trip(disk, &effect);
    size_t done = length;

    if (failure != 0 && disk->fault == DISK_SHORT) {
        failure = 0;
        done = length / 2;
        disk->fail_next_write = true;
    } else if (failure != 0 && disk->fault == DISK_CUT) {
        done = disk_random(disk) % (length + 1);
    } else if (failure != 0) {
        return failure;
    } else if (disk->fail_next_write) {
        disk->fail_next_write = false;
        return -disk->fail_errno;
    } else if (disk->write_most != 0 && done > disk->write_most) {
        done = disk->write_most;
    }
    disk_write_at(&disk->inodes[disk->handles[file].inode], disk->handles[file].position, data, done);
    disk->handles[file].position += done;
    if (disk->on_write != NULL)
        disk->on_write(disk, data, done);
    return failure != 0 ? failure : (ssize_t)done;
}

static inline int disk_fsync(void *context, int file)
{
    disk_t *disk = context;
    bool effect;
    int failure = disk_trip(disk, &effect);
    disk_inode_t *inode = &disk->inodes[disk->handles[file].inode];
    if (failure == 0 || (!disk->dead || effect))
        disk_settle(disk, inode, failure == 0);
    return failure;
}

static inline int disk_lock(void *context, int file)
{
    disk_t *disk = context;
    bool effect;
    int failure = disk_trip(disk, &effect);
    disk_inode_t *inode = &disk->inodes[disk->handles[file].inode];
    if (failure == 0 && inode->locked)
        failure = -EWOULDBLOCK;
    if (failure == 0)
        inode->locked = disk->handles[file].locks = true;
    return failure;
}

static inline int disk_close(void *context, int file)
{
    disk_t *disk = context;
    MUST(disk->handles[file].open);
    disk->handles[file].open = false;
    if (disk->handles[file].locks)
        disk->inodes[disk->handles[file].inode].locked = false;
    return 0;
}

static inline int disk_rename(void *context, const char *from, const char *to)
{
    disk_t *disk = context;
    bool effect;
    int failure = disk_trip(disk, &effect);
    if (failure != 0 && !effect)
        return failure;
    if (disk_find(disk, from) == NULL)
        return -ENOENT;
    size_t inode = disk_find(disk, from)->inode;
    disk_directory_changes(disk);
    disk_remove_name(disk, from);
    disk_set_name(disk, to, inode);
    return failure;
}

static inline int disk_unlink(void *context, const char *name)
{
    disk_t *disk = context;
    bool effect;
    int failure = disk_trip(disk, &effect);
    if (failure != 0 && !effect)
        return failure;
    if (disk_find(disk, name) == NULL)
        return -ENOENT;
    disk_directory_changes(disk);
    disk_remove_name(disk, name);
    return failure;
}

static inline int disk_fsync_directory(void *context)
{
    disk_t *disk = context;
    bool effect;
    int failure = disk_trip(disk, &effect);
    if (failure != 0 && !effect)
        return failure;
    disk->history[0] = *disk_directory(disk);
    disk->history_count = 1;
    return failure;
}

static inline journal_io_t disk_io(disk_t *disk)
{
    return (journal_io_t){.context = disk,
                          .open = disk_open,
                          .read = disk_read,
                          .write = disk_write,
                          .fsync = disk_fsync,
                          .lock = disk_lock,
                          .close = disk_close,
                          .rename = disk_rename,
                          .unlink = disk_unlink,
                          .fsync_directory = disk_fsync_directory};
}

#endif
