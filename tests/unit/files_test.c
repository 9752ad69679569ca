/* The files of a configuration: read once, handed over in one piece, compared. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "conf/files.h"

static char folder[] = "/tmp/files_test_XXXXXX";

static const char *path_of(const char *name)
{
    static char paths[4][128];
    static unsigned next;
    char *path = paths[next++ % 4];
    snprintf(path, sizeof paths[0], "%s/%s", folder, name);
    return path;
}

static void write_file(const char *name, const char *bytes, size_t length)
{
    FILE *file = fopen(path_of(name), "we");
    assert_non_null(file);
    assert_int_equal(fwrite(bytes, 1, length, file), length);
    fclose(file);
}

static int make_folder(void **state)
{
    (void)state;
    return mkdtemp(folder) != NULL ? 0 : -1;
}

static int remove_folder(void **state)
{
    (void)state;
    const char *names[] = {"a", "b", "empty", "fifo", "piece"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        unlink(path_of(names[i]));
    return rmdir(folder);
}

static void assert_bytes(files_t *files, const char *name, const char *bytes, size_t length)
{
    text_t got;
    assert_true(files_get(files, path_of(name), &got));
    assert_int_equal(got.length, length);
    assert_memory_equal(got.data, bytes, length);
}

/* Gathers, writes and reads what is in the folder. */
static files_t *handed_over(files_t **gathered)
{
    text_t bytes;
    *gathered = files_new();
    files_get(*gathered, path_of("a"), &bytes);
    files_get(*gathered, path_of("empty"), &bytes);
    files_get(*gathered, path_of("gone"), &bytes);
    files_get(*gathered, folder, &bytes);
    int fd = open(path_of("piece"), O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    assert_true(fd >= 0 && files_write(*gathered, fd));
    files_t *files = files_read(fd);
    close(fd);
    assert_non_null(files);
    return files;
}

static void what_was_read_stays(void **state)
{
    (void)state;
    write_file("a", "one\0two", 7);
    write_file("empty", "", 0);
    files_t *gathered, *files = handed_over(&gathered);
    write_file("a", "other", 5);
    write_file("b", "b", 1);
    assert_bytes(gathered, "a", "one\0two", 7);
    assert_bytes(gathered, "b", "b", 1);
    assert_bytes(files, "a", "one\0two", 7);
    assert_bytes(files, "empty", "", 0);
    files_free(&gathered);
    files_free(&files);
}

static void what_could_not_be_read_says_why(void **state)
{
    (void)state;
    files_t *gathered, *files = handed_over(&gathered);
    files_t *both[] = {gathered, files};
    text_t bytes;
    for (int i = 0; i < 2; i++) {
        assert_false(files_get(both[i], path_of("gone"), &bytes));
        assert_int_equal(errno, ENOENT);
        assert_false(files_get(both[i], folder, &bytes));
        assert_int_equal(errno, EISDIR);
        assert_null(files_open(both[i], folder));
    }
    write_file("b", "b", 1);
    assert_false(files_get(files, path_of("b"), &bytes));
    assert_int_equal(errno, ENOENT); /* nothing is read any more */
    files_free(&gathered);
    files_free(&files);
}

static void a_fifo_without_a_writer_is_empty(void **state)
{
    (void)state;
    assert_int_equal(mkfifo(path_of("fifo"), 0600), 0);
    files_t *files = files_new();
    assert_bytes(files, "fifo", "", 0);
    files_free(&files);
}

static void a_stream_has_the_same_bytes(void **state)
{
    (void)state;
    write_file("a", "line\n\0x", 7);
    files_t *gathered, *files = handed_over(&gathered);
    files_t *all[] = {gathered, files, NULL};
    for (int i = 0; i < 3; i++) {
        char bytes[16];
        FILE *stream = files_open(all[i], path_of("a"));
        assert_non_null(stream);
        assert_int_equal(fread(bytes, 1, sizeof bytes, stream), 7);
        assert_memory_equal(bytes, "line\n\0x", 7);
        fclose(stream);
    }
    files_free(&gathered);
    files_free(&files);
}

static void a_piece_that_was_cut_is_none(void **state)
{
    (void)state;
    write_file("a", "content", 7);
    files_t *gathered, *files = handed_over(&gathered);
    files_free(&gathered);
    files_free(&files);
    files_t *piece = files_new();
    text_t bytes;
    assert_true(files_get(piece, path_of("piece"), &bytes));
    for (size_t length = 0; length < bytes.length; length++) {
        char *cut = malloc(length + 1); /* of its own, so that a read beyond is seen */
        memcpy(cut, bytes.data, length);
        files = files_parse((text_t){cut, length});
        assert_null(files);
        free(cut);
    }
    files_t *whole = files_parse(bytes);
    assert_non_null(whole);
    files_free(&whole);
    files_free(&piece);
}

static void count_changed(void *context, const char *path)
{
    assert_string_equal(path, path_of("a"));
    ++*(int *)context;
}

static void only_what_changed_is_told(void **state)
{
    (void)state;
    int changed = 0;
    write_file("a", "one", 3);
    files_t *gathered, *before = handed_over(&gathered);
    files_free(&gathered);
    files_forget(before);
    files_t *same = handed_over(&gathered);
    files_free(&gathered);
    files_compare(before, same, count_changed, &changed);
    assert_int_equal(changed, 0);
    write_file("a", "two", 3);
    files_t *other = handed_over(&gathered);
    files_compare(before, other, count_changed, &changed);
    assert_int_equal(changed, 1);
    files_free(&gathered);
    files_free(&before);
    files_free(&same);
    files_free(&other);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_was_read_stays),
        cmocka_unit_test(what_could_not_be_read_says_why),
        cmocka_unit_test(a_fifo_without_a_writer_is_empty),
        cmocka_unit_test(a_stream_has_the_same_bytes),
        cmocka_unit_test(a_piece_that_was_cut_is_none),
        cmocka_unit_test(only_what_changed_is_told),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
