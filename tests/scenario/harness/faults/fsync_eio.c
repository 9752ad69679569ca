/* Preloaded into a node: while the file named by SCENARIO_SYNC_FAILS exists, fsync and fdatasync fail with EIO. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

static int fails(void)
{
    const char *file = getenv("SCENARIO_SYNC_FAILS");
    if (file == NULL || access(file, F_OK) != 0)
        return 0;
    errno = EIO;
    return 1;
}

static int call(const char *name, int fd)
{
    int (*real)(int) = (int (*)(int))dlsym(RTLD_NEXT, name);
    return real(fd);
}

int fsync(int fd)
{
    return fails() ? -1 : call("fsync", fd);
}

int fdatasync(int fd)
{
    return fails() ? -1 : call("fdatasync", fd);
}
