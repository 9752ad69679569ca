/* The journal's calls on the real file system. */
#include "purge/journal.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/file.h>
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

static int posix_open(void *context, const char *name, journal_mode_t mode)
{
    static const int flags[] = {[JOURNAL_READ] = O_RDONLY,
                                [JOURNAL_WRITE] = O_WRONLY | O_CREAT | O_TRUNC,
                                [JOURNAL_LOCK] = O_RDWR | O_CREAT};
    return result_of(openat(directory_of(context), name, flags[mode] | O_CLOEXEC | O_NOFOLLOW, 0600));
}

static ssize_t posix_read(void *context, int file, void *data, size_t length)
{
    (void)context;
    ssize_t done;
    do {
        done = read(file, data, length);
    } while (done < 0 && errno == EINTR);
    return done < 0 ? -errno : done;
}

static ssize_t posix_write(void *context, int file, const void *data, size_t length)
{
    (void)context;
    ssize_t done;
    do {
        done = write(file, data, length);
    } while (done < 0 && errno == EINTR);
    return done < 0 ? -errno : done;
}

static int posix_fsync(void *context, int file)
{
    (void)context;
    return result_of(fsync(file));
}

static int posix_lock(void *context, int file)
{
    (void)context;
    return result_of(flock(file, LOCK_EX | LOCK_NB));
}

static int posix_close(void *context, int file)
{
    (void)context;
    return result_of(close(file));
}

static int posix_rename(void *context, const char *from, const char *to)
{
    return result_of(renameat(directory_of(context), from, directory_of(context), to));
}

static int posix_unlink(void *context, const char *name)
{
    return result_of(unlinkat(directory_of(context), name, 0));
}

static int posix_fsync_directory(void *context)
{
    return result_of(fsync(directory_of(context)));
}

int journal_io_posix(journal_io_t *io, const char *directory)
{
    int opened = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (opened < 0)
        return -errno;
    *io = (journal_io_t){.context = (void *)(intptr_t)opened,
                         .open = posix_open,
                         .read = posix_read,
                         .write = posix_write,
                         .fsync = posix_fsync,
                         .lock = posix_lock,
                         .close = posix_close,
                         .rename = posix_rename,
                         .unlink = posix_unlink,
                         .fsync_directory = posix_fsync_directory};
    return 0;
}

void journal_io_posix_close(journal_io_t *io)
{
    close(directory_of(io->context));
    *io = (journal_io_t){0};
}
