/* The calls that the disk tier makes on the files of one directory, as a table, so that a test can break any
 * of them and cut the power at any write. Each returns a negative errno when it fails.
 *
 * read, read_cached and write may do fewer bytes than asked, which is no failure: read of 0 bytes is the
 * file's end. Any thread; calls on one file may overlap. */
#ifndef SELVEDGE_EDGE_CACHE_DISK_IO_H
#define SELVEDGE_EDGE_CACHE_DISK_IO_H

#include <sys/types.h>
#include <sys/uio.h>

#include "edge/base.h"

/* DISK_OPEN_EXISTING fails with -ENOENT; DISK_OPEN_CREATE keeps what is there. */
typedef enum { DISK_OPEN_EXISTING, DISK_OPEN_CREATE } disk_open_t;

typedef struct {
    void *context;
    int (*open)(void *context, const char *name, disk_open_t how); /* its number; for reading and writing */
    int (*close)(void *context, int file);
    ssize_t (*read)(void *context, int file, const struct iovec *to, int count, uint64_t offset);
    /* Only what needs no device: -EAGAIN when that is nothing; NULL: the system has no such call. */
    ssize_t (*read_cached)(void *context, int file, const struct iovec *to, int count, uint64_t offset);
    ssize_t (*write)(void *context, int file, const void *bytes, size_t length, uint64_t offset);
    /* Begins to bring what was written there to the device, and does not wait. */
    int (*start_writing)(void *context, int file, uint64_t offset, uint64_t length);
    int (*sync)(void *context, int file);
    /* So long it is from now on: what is new reads as zero and takes no room yet. */
    int (*set_length)(void *context, int file, uint64_t length);
    int (*length)(void *context, int file, uint64_t *length);
    int (*lock)(void *context, int file); /* -EWOULDBLOCK: another process has it */
    int (*rename)(void *context, const char *from, const char *to);
    int (*unlink)(void *context, const char *name);
    int (*sync_directory)(void *context);
    /* Calls `each` with the name of each file. */
    int (*list)(void *context, void (*each)(void *each_context, const char *name), void *each_context);
} disk_io_t;

/* The file that disk_io_posix() makes for a moment, to see what the system can do there. */
#define DISK_IO_PROBE "probe.new"

/* The real calls, files with mode 0600; the directory is made when there is none. Tries whether
 * preadv2(RWF_NOWAIT) works there. 0, or a negative errno. */
int disk_io_posix(disk_io_t *io, const char *directory);
void disk_io_posix_close(disk_io_t *io);

#endif
