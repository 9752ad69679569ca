/* The disk tier's calls on the real file system. */
#include "edge/cache/disk/io.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

/* The context is the directory's descriptor, by value. */
static int directory_of(const void *context)
{
    return (int)(intptr_t)context;
}

static int result_of(int result)
{
    return result < 0 ? -errno : result;
}

static int posix_open(void *context, const char *name, disk_open_t how)
{
    int flags = O_RDWR | O_CLOEXEC | O_NOFOLLOW | (how == DISK_OPEN_CREATE ? O_CREAT : 0);
    return result_of(openat(directory_of(context), name, flags, 0600));
}

static int posix_close(void *context, int file)
{
    (void)context;
    return result_of(close(file));
}

static ssize_t posix_read(void *context, int file, const struct iovec *to, int count, uint64_t offset)
{
    (void)context;
    ssize_t done;
    do {
        done = preadv(file, to, count, (off_t)offset);
    } while (done < 0 && errno == EINTR);
    return done < 0 ? -errno : done;
}

static ssize_t posix_read_cached(void *context, int file, const struct iovec *to, int count, uint64_t offset)
{
    (void)context;
    ssize_t done;
    do {
        done = preadv2(file, to, count, (off_t)offset, RWF_NOWAIT);
    } while (done < 0 && errno == EINTR);
    return done < 0 ? -errno : done;
}

static ssize_t posix_write(void *context, int file, const void *bytes, size_t length, uint64_t offset)
{
    (void)context;
    ssize_t done;
    do {
        done = pwrite(file, bytes, length, (off_t)offset);
    } while (done < 0 && errno == EINTR);
    return done < 0 ? -errno : done;
}

/* A hint: where the system cannot take it, the next sync has more to do. */
static int posix_start_writing(void *context, int file, uint64_t offset, uint64_t length)
{
    (void)context;
    int result = result_of(sync_file_range(file, (off_t)offset, (off_t)length, SYNC_FILE_RANGE_WRITE));
    return result == -ENOSYS || result == -EOPNOTSUPP || result == -ESPIPE ? 0 : result;
}

static int posix_sync(void *context, int file)
{
    (void)context;
    return result_of(fdatasync(file));
}

static int posix_set_length(void *context, int file, uint64_t length)
{
    (void)context;
    int result;
    do {
        result = ftruncate(file, (off_t)length);
    } while (result < 0 && errno == EINTR);
    return result_of(result);
}

static int posix_length(void *context, int file, uint64_t *length)
{
    (void)context;
    struct stat status;
    if (fstat(file, &status) < 0)
        return -errno;
    *length = (uint64_t)status.st_size;
    return 0;
}

static int posix_lock(void *context, int file)
{
    (void)context;
    return result_of(flock(file, LOCK_EX | LOCK_NB));
}

static int posix_rename(void *context, const char *from, const char *to)
{
    return result_of(renameat(directory_of(context), from, directory_of(context), to));
}

static int posix_unlink(void *context, const char *name)
{
    return result_of(unlinkat(directory_of(context), name, 0));
}

static int posix_sync_directory(void *context)
{
    return result_of(fsync(directory_of(context)));
}

static int posix_list(void *context, void (*each)(void *each_context, const char *name), void *each_context)
{
    int opened = openat(directory_of(context), ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *directory = opened < 0 ? NULL : fdopendir(opened);
    if (directory == NULL) {
        int failed = errno;
        if (opened >= 0)
            close(opened);
        return -failed;
    }
    const struct dirent *entry;
    errno = 0;
    while ((entry = readdir(directory)) != NULL) {
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
            each(each_context, entry->d_name);
        errno = 0;
    }
    int failed = errno;
    closedir(directory);
    return -failed;
}

/* What is not there, and what can't be written, later calls will tell. */
static bool reads_cached(int directory)
{
    int file = openat(directory, DISK_IO_PROBE, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (file < 0)
        return false;
    char byte = 0;
    struct iovec to = {&byte, 1};
    bool works =
        pwrite(file, &byte, 1, 0) == 1 && (preadv2(file, &to, 1, 0, RWF_NOWAIT) >= 0 || errno == EAGAIN);
    close(file);
    unlinkat(directory, DISK_IO_PROBE, 0);
    return works;
}

int disk_io_posix(disk_io_t *io, const char *directory)
{
    if (mkdir(directory, 0700) < 0 && errno != EEXIST)
        return -errno;
    int opened = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (opened < 0)
        return -errno;
    *io = (disk_io_t){.context = (void *)(intptr_t)opened,
                      .open = posix_open,
                      .close = posix_close,
                      .read = posix_read,
                      .read_cached = reads_cached(opened) ? posix_read_cached : NULL,
                      .write = posix_write,
                      .start_writing = posix_start_writing,
                      .sync = posix_sync,
                      .set_length = posix_set_length,
                      .length = posix_length,
                      .lock = posix_lock,
                      .rename = posix_rename,
                      .unlink = posix_unlink,
                      .sync_directory = posix_sync_directory,
                      .list = posix_list};
    return 0;
}

void disk_io_posix_close(disk_io_t *io)
{
    close(directory_of(io->context));
    *io = (disk_io_t){0};
}
