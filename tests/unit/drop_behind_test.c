/* What a growing file was written with leaves the page cache again, all but its newest part. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <fcntl.h>
#include <poll.h>
#include <sys/mman.h>
#include <unistd.h>

#include "edge/observe/drop_behind.h"

enum { PAGE = 4096, MIB = 1 << 20 };

static char path[] = "/tmp/selvedge-drop-behind-XXXXXX";
static int fd = -1;

static int make_file(void **state)
{
    (void)state;
    strcpy(path + sizeof path - 7, "XXXXXX");
    fd = mkostemp(path, O_CLOEXEC | O_APPEND);
    return fd >= 0 ? 0 : -1;
}

static int remove_file(void **state)
{
    (void)state;
    close(fd);
    return unlink(path);
}

static void grow(size_t bytes)
{
    static char lines[MIB];
    memset(lines, 'l', sizeof lines);
    for (size_t part; bytes > 0; bytes -= part) {
        part = bytes < sizeof lines ? bytes : sizeof lines;
        assert_int_equal(write(fd, lines, part), part);
    }
}

/* How many pages of [from, to) the page cache has. */
static size_t cached(size_t from, size_t to)
{
    static unsigned char pages[64 * MIB / PAGE];
    void *mapped = mmap(NULL, to - from, PROT_READ, MAP_SHARED, fd, (off_t)from);
    assert_ptr_not_equal(mapped, MAP_FAILED);
    assert_int_equal(mincore(mapped, to - from, pages), 0);
    munmap(mapped, to - from);
    size_t count = 0;
    for (size_t i = 0; i < (to - from) / PAGE; i++)
        count += pages[i] & 1;
    return count;
}

/* Where files lie in memory alone there is nothing to drop them for. */
static void skip_if_files_are_memory(void)
{
    grow(PAGE);
    assert_int_equal(fsync(fd), 0);
    posix_fadvise(fd, 0, PAGE, POSIX_FADV_DONTNEED);
    if (cached(0, PAGE) != 0)
        skip();
}

static void what_lies_behind_is_dropped_and_the_newest_stays(void **state)
{
    (void)state;
    skip_if_files_are_memory();
    drop_behind_file_t file;
    drop_behind_open(&file, fd);
    grow(4 * MIB);
    drop_behind_step(&file, fd);
    assert_int_equal(cached(PAGE, 4 * MIB), 4 * MIB / PAGE - 1);
    grow(DROP_BEHIND_KEPT_BYTES);
    drop_behind_step(&file, fd);
    assert_int_equal(fsync(fd), 0); /* begun before; what the disk has is dropped at the next step */
    drop_behind_step(&file, fd);
    assert_int_equal(cached(PAGE, 4 * MIB), 0);
    size_t end = PAGE + 4 * MIB + DROP_BEHIND_KEPT_BYTES;
    assert_int_equal(cached(4 * MIB + PAGE, end), DROP_BEHIND_KEPT_BYTES / PAGE);
}

static void what_was_there_before_is_left_alone(void **state)
{
    (void)state;
    skip_if_files_are_memory();
    grow(2 * MIB);
    assert_int_equal(fsync(fd), 0);
    drop_behind_file_t file;
    drop_behind_open(&file, fd);
    grow(DROP_BEHIND_KEPT_BYTES + MIB);
    assert_int_equal(fsync(fd), 0);
    drop_behind_step(&file, fd);
    assert_int_equal(cached(PAGE, 2 * MIB), 2 * MIB / PAGE - 1);
    assert_int_equal(cached(2 * MIB + PAGE, 3 * MIB + PAGE), 0);
}

/* As rotation by copying and cutting does. */
static void a_file_that_is_cut_short_begins_again(void **state)
{
    (void)state;
    skip_if_files_are_memory();
    drop_behind_file_t file;
    drop_behind_open(&file, fd);
    grow(4 * MIB);
    drop_behind_step(&file, fd);
    assert_int_equal(ftruncate(fd, 0), 0);
    drop_behind_step(&file, fd);
    assert_int_equal(file.started, 0);
    grow(DROP_BEHIND_KEPT_BYTES + MIB);
    assert_int_equal(fsync(fd), 0);
    drop_behind_step(&file, fd);
    assert_int_equal(cached(0, MIB), 0);
}

/* With its thread, which has no way to say that it is done but the pages themselves. */
static void the_thread_drops_what_the_writer_tells_of(void **state)
{
    (void)state;
    skip_if_files_are_memory();
    drop_behind_t *drop = drop_behind_start();
    drop_behind_take(drop, -1);
    drop_behind_wrote(drop, DROP_BEHIND_STEP_BYTES);
    drop_behind_take(drop, fd);
    bool dropped = false;
    for (size_t end = PAGE; !dropped && end < 64 * MIB; end += DROP_BEHIND_STEP_BYTES) {
        grow(DROP_BEHIND_STEP_BYTES);
        assert_int_equal(fsync(fd), 0);
        drop_behind_wrote(drop, DROP_BEHIND_STEP_BYTES);
        poll(NULL, 0, 10); /* lets the thread have its turn; the next step asks again */
        dropped = cached(0, end) < end / PAGE;
    }
    assert_true(dropped);
    drop_behind_take(drop, fd);
    drop_behind_take(drop, fd);
    drop_behind_stop(&drop);
    assert_null(drop);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(what_lies_behind_is_dropped_and_the_newest_stays, make_file,
                                        remove_file),
        cmocka_unit_test_setup_teardown(what_was_there_before_is_left_alone, make_file, remove_file),
        cmocka_unit_test_setup_teardown(a_file_that_is_cut_short_begins_again, make_file, remove_file),
        cmocka_unit_test_setup_teardown(the_thread_drops_what_the_writer_tells_of, make_file, remove_file),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
