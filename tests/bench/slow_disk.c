/* Preloaded, makes all that is read from a disk's segments come from the device: the page cache is said to
 * hold none of it, and each read then takes SLOW_DISK_MS milliseconds before it begins. */
#include <dlfcn.h>
#include <errno.h>
#include <stdlib.h>
#include <sys/uio.h>
#include <time.h>

/* The node tries with one byte whether the system knows the call. */
ssize_t preadv2(int file, const struct iovec *to, int count, off_t offset, int flags)
{
    static ssize_t (*real)(int, const struct iovec *, int, off_t, int);
    if (real == NULL)
        real = (ssize_t(*)(int, const struct iovec *, int, off_t, int))dlsym(RTLD_NEXT, "preadv2");
    if ((flags & RWF_NOWAIT) != 0 && !(count == 1 && to->iov_len == 1)) {
        errno = EAGAIN;
        return -1;
    }
    return real(file, to, count, offset, flags);
}

ssize_t preadv(int file, const struct iovec *to, int count, off_t offset)
{
    static ssize_t (*real)(int, const struct iovec *, int, off_t);
    static long ms = -1;
    if (real == NULL)
        real = (ssize_t(*)(int, const struct iovec *, int, off_t))dlsym(RTLD_NEXT, "preadv");
    if (ms < 0)
        ms = getenv("SLOW_DISK_MS") != NULL ? atol(getenv("SLOW_DISK_MS")) : 0;
    struct timespec delay = {ms / 1000, ms % 1000 * 1000000};
    if (count > 1 && ms > 0) /* a record's parts; what a start reads comes in one */
        nanosleep(&delay, NULL);
    return real(file, to, count, offset);
}
