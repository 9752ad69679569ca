/* The directories of the disk tier: made, and given to the user unless they hold other things. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "edge/supervisor/disk_directories.h"

static char root[] = "/tmp/disk_directories_XXXXXX", error[SANDBOX_ERROR_MAX];
static const sandbox_user_t user = {.name = "someone", .uid = 12345, .gid = 12345};

static settings_t *with_disk(const char *path)
{
    static settings_t settings;
    settings = (settings_t){.disk_count = 1, .disks = {{.path = path, .size_bytes = 64 << 20}}};
    return &settings;
}

static char *path_of(const char *name)
{
    static char paths[4][128];
    static unsigned next;
    char *path = paths[next++ % 4];
    snprintf(path, sizeof paths[0], "%s/%s", root, name);
    return path;
}

static void make_file(const char *name)
{
    int file = open(path_of(name), O_WRONLY | O_CREAT, 0600);
    assert_true(file >= 0);
    close(file);
}

static uid_t owner_of(const char *name)
{
    struct stat found;
    assert_int_equal(lstat(path_of(name), &found), 0);
    return found.st_uid;
}

static void one_is_made_private_and_kept(void **state)
{
    (void)state;
    struct stat found;
    const char *path = path_of("made");
    assert_true(disk_directories_make(with_disk(path), error));
    assert_int_equal(stat(path, &found), 0);
    assert_int_equal(found.st_mode & 0777, 0700);
    assert_true(disk_directories_make(with_disk(path), error));
    assert_false(disk_directories_make(with_disk(path_of("none/made")), error));
    assert_non_null(strstr(error, "/none/made: cannot be made: No such file or directory"));
}

static void a_path_is_within_one_or_not(void **state)
{
    (void)state;
    const settings_t *settings = with_disk("/a/b");
    assert_true(disk_directories_hold(settings, "/a/b/state"));
    assert_false(disk_directories_hold(settings, "/a/bc/state"));
    assert_false(disk_directories_hold(settings, "/a/b"));
    assert_false(disk_directories_hold(settings, "/a"));
}

static void the_tiers_files_are_given(void **state)
{
    (void)state;
    if (geteuid() != 0)
        skip();
    assert_int_equal(mkdir(path_of("given"), 0700), 0);
    assert_int_equal(mkdir(path_of("given/lost+found"), 0700), 0);
    make_file("given/directory");
    make_file("given/segment-00000");
    make_file("given/lock");
    assert_true(disk_directories_give(with_disk(path_of("given")), &(sandbox_user_t){0}, error));
    assert_int_equal(owner_of("given"), 0); /* nobody to give it to */
    assert_true(disk_directories_give(with_disk(path_of("given")), &user, error));
    assert_int_equal(owner_of("given"), 12345);
    assert_int_equal(owner_of("given/directory"), 12345);
    assert_int_equal(owner_of("given/segment-00000"), 12345);
    assert_int_equal(owner_of("given/lock"), 12345);
    assert_int_equal(owner_of("given/lost+found"), 0);
}

static void one_of_other_things_is_not(void **state)
{
    (void)state;
    if (geteuid() != 0)
        skip();
    assert_int_equal(mkdir(path_of("other"), 0700), 0);
    make_file("other/lock");
    make_file("other/passwords");
    assert_true(disk_directories_give(with_disk(path_of("other")), &user, error));
    assert_int_equal(owner_of("other"), 0);
    assert_int_equal(owner_of("other/lock"), 0);
    make_file("other/directory"); /* it is the tier's, with something beside it */
    assert_true(disk_directories_give(with_disk(path_of("other")), &user, error));
    assert_int_equal(owner_of("other"), 12345);
    assert_int_equal(owner_of("other/lock"), 12345);
    assert_int_equal(owner_of("other/passwords"), 0);
}

static int make_root(void **state)
{
    (void)state;
    return mkdtemp(root) != NULL ? 0 : -1;
}

static int remove_root(void **state)
{
    (void)state;
    static const char *const names[] = {
        "made",  "given/lost+found", "given/directory", "given/segment-00000", "given/lock",
        "given", "other/lock",       "other/passwords", "other/directory",     "other"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        remove(path_of(names[i]));
    return rmdir(root);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_is_made_private_and_kept),
        cmocka_unit_test(a_path_is_within_one_or_not),
        cmocka_unit_test(the_tiers_files_are_given),
        cmocka_unit_test(one_of_other_things_is_not),
    };
    return cmocka_run_group_tests(tests, make_root, remove_root);
}
