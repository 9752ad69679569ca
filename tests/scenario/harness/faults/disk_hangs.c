/* Preloaded into a node: while the file named by SCENARIO_WRITES_HANG exists, pwrite does not return. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdlib.h>
#include <unistd.h>

typedef ssize_t pwrite_t(int fd, const void *bytes, size_t length, off_t offset);

ssize_t pwrite64(int fd, const void *bytes, size_t length, off_t offset)
{
    const char *file = getenv("SCENARIO_WRITES_HANG");
    while (file != NULL && access(file, F_OK) == 0)
        usleep(1000);
    return ((pwrite_t *)dlsym(RTLD_NEXT, "pwrite64"))(fd, bytes, length, offset);
}

ssize_t pwrite(int fd, const void *bytes, size_t length, off_t offset)
{
    return pwrite64(fd, bytes, length, offset);
}
