#include "conf/config_file.h"

#include <errno.h>

#include "conf/config.h"

const char *config_read(const char *path, char **bytes, size_t *length)
{
    FILE *file = fopen(path, "re");
    if (file == NULL)
        return strerror(errno);
    *bytes = must_alloc(CONFIG_BYTES_MAX + 1);
    errno = 0; /* a directory opens, and fails here */
    *length = fread(*bytes, 1, CONFIG_BYTES_MAX + 1, file);
    int failed = ferror(file) ? errno : 0;
    fclose(file);
    if (failed == 0)
        return NULL;
    free(*bytes);
    *bytes = NULL;
    return strerror(failed);
}
