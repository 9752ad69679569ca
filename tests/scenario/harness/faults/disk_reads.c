/* Preloaded into a node: while the file named by SCENARIO_READS exists, the page cache holds none of a record, and a
 * device that is asked for one fails if the file has a byte, else does not answer. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

typedef ssize_t preadv2_t(int fd, const struct iovec *to, int count, off_t offset, int flags);
typedef ssize_t preadv_t(int fd, const struct iovec *to, int count, off_t offset);

/* A record's parts come in several places; all else is read in one. */
static int is_troubled(int count, struct stat *status)
{
    const char *file = getenv("SCENARIO_READS");
    return count > 1 && file != NULL && stat(file, status) == 0;
}

ssize_t preadv2(int fd, const struct iovec *to, int count, off_t offset, int flags)
{
    struct stat status;
    if (!is_troubled(count, &status))
        return ((preadv2_t *)dlsym(RTLD_NEXT, "preadv2"))(fd, to, count, offset, flags);
    errno = EAGAIN;
    return -1;
}

ssize_t preadv(int fd, const struct iovec *to, int count, off_t offset)
{
    struct stat status;
    while (is_troubled(count, &status)) {
        if (status.st_size > 0) {
            errno = EIO;
            return -1;
        }
        usleep(1000);
    }
    return ((preadv_t *)dlsym(RTLD_NEXT, "preadv"))(fd, to, count, offset);
}
