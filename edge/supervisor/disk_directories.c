#include "edge/supervisor/disk_directories.h"

#include <dirent.h>
#include <errno.h>
#include <sys/stat.h>

enum { NAMES_MAX = 1 << 16 }; /* more segments than the index can name */

bool disk_directories_make(const settings_t *settings, char error[SANDBOX_ERROR_MAX])
{
    for (size_t i = 0; i < settings->disk_count; i++) {
        const char *path = settings->disks[i].path;
        if (mkdir(path, 0700) == 0 || errno == EEXIST)
            continue;
        snprintf(error, SANDBOX_ERROR_MAX, "--disk %.150s: cannot be made: %s", path, strerror(errno));
        return false;
    }
    return true;
}

bool disk_directories_hold(const settings_t *settings, const char *path)
{
    for (size_t i = 0; i < settings->disk_count; i++) {
        size_t length = strlen(settings->disks[i].path);
        if (strncmp(path, settings->disks[i].path, length) == 0 && path[length] == '/')
            return true;
    }
    return false;
}

/* What a directory of the tier's holds. */
typedef struct {
    char **names; /* of its files */
    size_t count;
    bool is_one;  /* the file that says so is there */
    bool foreign; /* so is what is neither the tier's, nor the node's state, nor the file system's */
} content_t;

static void take_name(content_t *content, const char *name)
{
    static const char segment[] = "segment-";
    bool says_so = strcmp(name, "directory") == 0;
    bool is_file = says_so || strcmp(name, "directory.new") == 0 || strcmp(name, "probe.new") == 0 ||
                   strcmp(name, "lock") == 0 || strncmp(name, segment, strlen(segment)) == 0;
    content->is_one = content->is_one || says_so;
    if (is_file && content->count < NAMES_MAX)
        MUST((content->names[content->count++] = strdup(name)) != NULL);
    else if (name[0] != '.' && strcmp(name, "state") != 0 && strcmp(name, "lost+found") != 0)
        content->foreign = true;
}

/* False: it cannot be read. */
static bool read_content(const char *path, content_t *content)
{
    DIR *directory = opendir(path);
    if (directory == NULL)
        return false;
    content->names = must_alloc(NAMES_MAX * sizeof *content->names);
    for (const struct dirent *entry; (entry = readdir(directory)) != NULL;)
        take_name(content, entry->d_name);
    closedir(directory);
    return true;
}

static void free_content(content_t *content)
{
    for (size_t i = 0; i < content->count; i++)
        free(content->names[i]);
    free(content->names);
}

static bool give(const char *path, const sandbox_user_t *user, char error[SANDBOX_ERROR_MAX])
{
    content_t content = {0};
    if (!read_content(path, &content)) {
        snprintf(error, SANDBOX_ERROR_MAX, "--disk %.150s: cannot be read: %s", path, strerror(errno));
        return false;
    }
    bool good = (content.foreign && !content.is_one) ||
                sandbox_give_directory(user, path, (const char *const *)content.names, content.count, error);
    free_content(&content);
    return good;
}

bool disk_directories_give(const settings_t *settings, const sandbox_user_t *user,
                           char error[SANDBOX_ERROR_MAX])
{
    for (size_t i = 0; user->name != NULL && i < settings->disk_count; i++)
        if (!give(settings->disks[i].path, user, error))
            return false;
    return true;
}
