/* Disks: each is a path and a size, or both in one value. */
#include "conf/settings_table.h"

#include <stdarg.h>

__attribute__((format(printf, 3, 4))) static bool refuse(char *reason, size_t capacity, const char *format,
                                                         ...)
{
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(reason, capacity, format, arguments);
    va_end(arguments);
    return false;
}

size_t settings_begin_disk(settings_t *settings)
{
    MUST(settings->disk_count < SETTINGS_DISKS_MAX);
    settings->disks[settings->disk_count] = (settings_disk_t){0};
    return settings->disk_count++;
}

/* Without the slashes at its end, so that one directory is not taken for two. */
static text_t trim_path(const char *value)
{
    size_t length = strlen(value);
    while (length > 1 && value[length - 1] == '/')
        length--;
    return (text_t){value, length};
}

bool setting_put_disk(const char *value, settings_t *settings, size_t item, char *reason, size_t capacity)
{
    if (*value == 0)
        return refuse(reason, capacity, "is empty; give %s", setting_type_text(SETTING_DISK));
    const char *path = settings_keep(settings, trim_path(value));
    for (size_t i = 0; i < settings->disk_count; i++)
        if (i != item && settings->disks[i].path != NULL && strcmp(settings->disks[i].path, path) == 0)
            return refuse(reason, capacity, "another disk has this path; each needs a directory of its own");
    settings->disks[item].path = path;
    return true;
}

/* The last colon counts: a path may have some. */
static bool put_path_and_size(const char *value, settings_t *settings, char *reason, size_t capacity)
{
    const setting_t *size = setting_find("disk[].size");
    const char *colon = strrchr(value, ':');
    MUST(size != NULL);
    if (settings->disk_count == SETTINGS_DISKS_MAX)
        return refuse(reason, capacity, "one too many; at most %d disks are allowed", SETTINGS_DISKS_MAX);
    if (colon == NULL || colon == value)
        return refuse(reason, capacity, "%s is missing; give PATH:SIZE, such as /var/cache/selvedge:500G",
                      colon == NULL ? "the size" : "the path");
    size_t item = settings_begin_disk(settings);
    const char *path = settings_keep(settings, (text_t){value, (size_t)(colon - value)});
    return setting_put_disk(path, settings, item, reason, capacity) &&
           setting_put(size, colon + 1, settings, item, reason, capacity);
}

bool setting_put_whole(const setting_t *setting, const char *value, settings_t *settings, size_t item,
                       char *reason, size_t capacity)
{
    if (setting->type == SETTING_DISK)
        return put_path_and_size(value, settings, reason, capacity);
    return setting_put(setting, value, settings, item, reason, capacity);
}

uint64_t settings_disk_bytes(const settings_t *settings)
{
    uint64_t bytes = 0;
    for (size_t i = 0; i < settings->disk_count; i++)
        bytes += settings->disks[i].size_bytes;
    return bytes;
}

void settings_put_state_dir(settings_t *settings)
{
    static const char name[] = "/state";
    if (settings->state_dir != NULL || settings->disk_count == 0)
        return;
    const char *disk = settings->disks[0].path;
    size_t length = strcmp(disk, "/") == 0 ? 0 : strlen(disk);
    char *path = must_alloc(length + sizeof name);
    memcpy(path, disk, length);
    memcpy(path + length, name, sizeof name);
    settings->state_dir = settings_keep(settings, text_of(path));
    free(path);
}
