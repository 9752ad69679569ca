#include "edge/supervisor/sandbox.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <pwd.h>
#include <stdarg.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

__attribute__((format(printf, 2, 3))) static bool fail(char error[SANDBOX_ERROR_MAX], const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(error, SANDBOX_ERROR_MAX, format, arguments);
    va_end(arguments);
    return false;
}

static bool is_already(const sandbox_user_t *user)
{
    return getuid() == user->uid && geteuid() == user->uid && getgid() == user->gid;
}

bool sandbox_find_user(const char *name, sandbox_user_t *user, char error[SANDBOX_ERROR_MAX])
{
    *user = (sandbox_user_t){.name = name};
    if (name == NULL)
        return true;
    errno = 0;
    const struct passwd *found = getpwnam(name);
    if (found == NULL)
        return fail(error, "--user %.100s: %s", name, errno ? strerror(errno) : "there is no such user");
    user->uid = found->pw_uid;
    user->gid = found->pw_gid;
    if (geteuid() != 0 && !is_already(user))
        return fail(error, "--user %.100s: only root can become another user", name);
    return true;
}

/* --- Ownership --- */

static bool give_names(int directory, const sandbox_user_t *user, const char *const names[], size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (fchownat(directory, names[i], user->uid, user->gid, AT_SYMLINK_NOFOLLOW) != 0 && errno != ENOENT)
            return false;
    return true;
}

static bool give_directory(const sandbox_user_t *user, const char *path, int how, const char *const names[],
                           size_t count, char error[SANDBOX_ERROR_MAX])
{
    if (user->name == NULL)
        return true;
    struct stat found;
    int directory = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC | how);
    bool given = directory >= 0 && fstat(directory, &found) == 0;
    bool only_ours = given && found.st_uid == geteuid() && (found.st_mode & (S_IWGRP | S_IWOTH)) == 0;
    if (only_ours && found.st_uid != user->uid)
        /* The files first: afterwards the user could put others in their place. */
        given = give_names(directory, user, names, count) && fchown(directory, user->uid, user->gid) == 0;
    int reason = errno;
    if (directory >= 0)
        close(directory);
    return given || fail(error, "%.100s cannot be given to %.50s: %s", path, user->name, strerror(reason));
}

bool sandbox_give_directory(const sandbox_user_t *user, const char *path, const char *const names[],
                            size_t count, char error[SANDBOX_ERROR_MAX])
{
    return give_directory(user, path, 0, names, count, error);
}

bool sandbox_give_inner_directory(const sandbox_user_t *user, const char *path, const char *const names[],
                                  size_t count, char error[SANDBOX_ERROR_MAX])
{
    return give_directory(user, path, O_NOFOLLOW, names, count, error);
}

bool sandbox_give_file(const sandbox_user_t *user, const char *path, char error[SANDBOX_ERROR_MAX])
{
    if (user->name == NULL)
        return true;
    /* Only one that is new is given away: an existing one may be anything. */
    int file = open(path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_NOCTTY | O_CLOEXEC, 0640);
    if (file < 0)
        return true;
    bool given = fchown(file, user->uid, user->gid) == 0;
    int reason = errno;
    close(file);
    return given || fail(error, "%.100s cannot be given to %.50s: %s", path, user->name, strerror(reason));
}

/* --- Rights --- */

/* Nothing of the former user is left, and nothing leads back. */
static bool has_become(const sandbox_user_t *user)
{
    uid_t uids[3];
    gid_t gids[3];
    if (getresuid(&uids[0], &uids[1], &uids[2]) != 0 || getresgid(&gids[0], &gids[1], &gids[2]) != 0)
        return false;
    for (int i = 0; i < 3; i++)
        if (uids[i] != user->uid || gids[i] != user->gid)
            return false;
    return user->uid == 0 || setuid(0) != 0;
}

bool sandbox_become(const sandbox_user_t *user, char error[SANDBOX_ERROR_MAX])
{
    if (user->name == NULL || (geteuid() != 0 && is_already(user)))
        return true;
    if (initgroups(user->name, user->gid) != 0 || setresgid(user->gid, user->gid, user->gid) != 0 ||
        setresuid(user->uid, user->uid, user->uid) != 0)
        return fail(error, "--user %.100s: %s", user->name, strerror(errno));
    return has_become(user) ||
           fail(error, "--user %.100s: the rights of the former user are still there", user->name);
}

bool sandbox_restrict(char error[SANDBOX_ERROR_MAX])
{
    const struct rlimit none = {0, 0};
    if (setrlimit(RLIMIT_CORE, &none) != 0)
        return fail(error, "core dumps cannot be turned off: %s", strerror(errno));
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0)
        return fail(error, "no_new_privs cannot be set: %s", strerror(errno));
    return true;
}
