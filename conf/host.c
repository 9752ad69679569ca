#include "conf/host.h"

#include <limits.h>
#include <sched.h>
#include <unistd.h>

/* A small file of the kernel's; false when it is not there. */
static bool read_small(const char *root, const char *path, char *text, size_t capacity)
{
    char full[PATH_MAX];
    int written = snprintf(full, sizeof full, "%s%s", root, path);
    if (written < 0 || (size_t)written >= sizeof full)
        return false;
    FILE *file = fopen(full, "re");
    if (file == NULL)
        return false;
    size_t length = fread(text, 1, capacity - 1, file);
    bool whole = ferror(file) == 0;
    fclose(file);
    text[length] = 0;
    return whole;
}

/* The number at the start of a control group's limit file. `max` (version 2) and absurd numbers (version 1)
 * mean none. */
static uint64_t read_limit(const char *root, const char *path)
{
    char text[64];
    if (!read_small(root, path, text, sizeof text) || text[0] < '0' || text[0] > '9')
        return UINT64_MAX;
    return strtoull(text, NULL, 10);
}

/* A limit holds for everything below it, so the smallest on the way from the group up to the root counts. */
static uint64_t smallest_limit(const char *root, const char *mount, const char *group, const char *file)
{
    uint64_t smallest = UINT64_MAX;
    char path[PATH_MAX], level[PATH_MAX];
    snprintf(level, sizeof level, "%s", group);
    for (;;) {
        int written = snprintf(path, sizeof path, "%s%s/%s", mount, level, file);
        uint64_t limit = written > 0 && (size_t)written < sizeof path ? read_limit(root, path) : UINT64_MAX;
        smallest = limit < smallest ? limit : smallest;
        char *slash = strrchr(level, '/');
        if (slash == NULL)
            return smallest;
        *slash = 0;
    }
}

/* A line of /proc/self/cgroup is `number:controllers:path`; version 2 is number 0 without controllers. */
static uint64_t limit_of_line(const char *root, char *line)
{
    char *controllers = strchr(line, ':');
    char *group = controllers != NULL ? strchr(controllers + 1, ':') : NULL;
    if (group == NULL)
        return UINT64_MAX;
    *group++ = 0;
    controllers++;
    if (*controllers == 0)
        return smallest_limit(root, "/sys/fs/cgroup", group, "memory.max");
    if (strcmp(controllers, "memory") == 0)
        return smallest_limit(root, "/sys/fs/cgroup/memory", group, "memory.limit_in_bytes");
    return UINT64_MAX;
}

static uint64_t control_group_limit(const char *root)
{
    char text[8192];
    if (!read_small(root, "/proc/self/cgroup", text, sizeof text))
        return UINT64_MAX;
    uint64_t smallest = UINT64_MAX;
    char *rest = NULL;
    for (char *line = strtok_r(text, "\n", &rest); line != NULL; line = strtok_r(NULL, "\n", &rest)) {
        uint64_t limit = limit_of_line(root, line);
        smallest = limit < smallest ? limit : smallest;
    }
    return smallest;
}

uint64_t host_memory_bytes(const char *root)
{
    char text[4096];
    if (!read_small(root, "/proc/meminfo", text, sizeof text))
        return 0;
    const char *total = strstr(text, "MemTotal:");
    uint64_t machine = total != NULL ? strtoull(total + strlen("MemTotal:"), NULL, 10) * 1024 : 0;
    uint64_t limit = control_group_limit(root);
    return limit < machine ? limit : machine;
}

unsigned host_processors(void)
{
    cpu_set_t allowed;
    int count = sched_getaffinity(0, sizeof allowed, &allowed) == 0 ? CPU_COUNT(&allowed) : 1;
    return count > 0 ? (unsigned)count : 1;
}

void host_name(char name[HOST_NAME_BYTES])
{
    static const char allowed[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.";
    if (gethostname(name, HOST_NAME_BYTES) != 0)
        *name = 0;
    name[HOST_NAME_BYTES - 1] = 0;
    for (char *at = name + strspn(name, allowed); *at != 0; at += strspn(at, allowed))
        *at = '-';
    if (*name == 0)
        snprintf(name, HOST_NAME_BYTES, "node");
}
