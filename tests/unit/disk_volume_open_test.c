/* Opening a volume: whose directory it is, what is refused, made anew or forgotten, and the real calls. */
#include "tests/unit/volume_life.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>

enum { SEGMENTS = 6 };

/* Whose directory it is. --------------------------------------------------------------------------------- */

/* Opens it so, and tells what came of it. */
static volume_outcome_t outcome_of(life_t *life, platter_t *medium, volume_config_t config)
{
    life_begin(life, medium, &config);
    return life->opening.outcome;
}

static platter_t *medium_with_a_record(void)
{
    life_t life;
    life_start(&life, platter_new(7), SEGMENTS);
    assert_true(life_put(&life, 1, 1));
    platter_t *medium = life.medium;
    life_end(&life);
    platter_kill(medium);
    return medium;
}

static void the_directory_of_another_node_is_refused_or_wiped(void **state)
{
    (void)state;
    life_t life;
    platter_t *medium = medium_with_a_record();
    volume_config_t config = life_config(medium, SEGMENTS);
    config.node[1]++;
    assert_int_equal(outcome_of(&life, medium, config), VOLUME_OTHER_NODE);
    assert_null(life.volume);
    life_end(&life);
    config.node[1]--;
    assert_int_equal(outcome_of(&life, medium, config), VOLUME_OPENED);
    assert_int_equal(life_read(&life, 1), 1);
    life_end(&life);
    config.node[1]++;
    config.wipe = true;
    assert_int_equal(outcome_of(&life, medium, config), VOLUME_WIPED);
    assert_int_equal(life_read(&life, 1), 0);
    assert_true(life_put(&life, 2, 1));
    life_end(&life);
    assert_int_equal(outcome_of(&life, medium, config), VOLUME_OPENED);
    assert_int_equal(life_read(&life, 2), 1);
    life_finish(&life);
}

static void a_directory_that_cannot_be_read_is_refused_or_wiped(void **state)
{
    (void)state;
    static const struct {
        size_t at;
        volume_outcome_t outcome;
    } rows[] = {{8, VOLUME_OTHER_FORMAT}, {0, VOLUME_DAMAGED}, {60, VOLUME_DAMAGED}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        life_t life;
        platter_t *medium = medium_with_a_record();
        platter_file(medium, "directory")->data[rows[i].at] ^= 2;
        volume_config_t config = life_config(medium, SEGMENTS);
        assert_int_equal(outcome_of(&life, medium, config), rows[i].outcome);
        life_end(&life);
        config.wipe = true;
        assert_int_equal(outcome_of(&life, medium, config), VOLUME_WIPED);
        assert_int_equal(life_read(&life, 1), 0);
        life_finish(&life);
    }
}

static void the_files_of_others_are_not_touched(void **state)
{
    (void)state;
    life_t life;
    platter_t *medium = platter_new(3);
    platter_put(medium, "thesis.tex", "words", 5);
    platter_put(medium, "segment-1", "words", 5);
    volume_config_t config = life_config(medium, SEGMENTS);
    config.wipe = true;
    assert_int_equal(outcome_of(&life, medium, config), VOLUME_FOREIGN);
    assert_int_equal(platter_directory(medium)->count, 2);
    life_finish(&life);

    medium = medium_with_a_record();
    platter_put(medium, "thesis.tex", "words", 5);
    config = life_config(medium, SEGMENTS);
    config.wipe = true;
    config.node[0]++;
    assert_int_equal(outcome_of(&life, medium, config), VOLUME_WIPED);
    assert_memory_equal(platter_file(medium, "thesis.tex")->data, "words", 5);
    life_finish(&life);
}

static void the_nodes_state_and_what_file_systems_have_may_be_there(void **state)
{
    (void)state;
    life_t life;
    platter_t *medium = platter_new(3);
    platter_put(medium, "state", "", 0);
    platter_put(medium, "lost+found", "", 0);
    assert_int_equal(outcome_of(&life, medium, life_config(medium, SEGMENTS)), VOLUME_NEW);
    life_finish(&life);
}

static void what_was_left_half_made_is_made_anew(void **state)
{
    (void)state;
    life_t life;
    platter_t *medium = medium_with_a_record();
    disk_io_t io = platter_io(medium);
    assert_int_equal(io.unlink(io.context, "directory"), 0);
    platter_put(medium, "directory.new", "half", 4);
    platter_put(medium, "lost+found", "", 0);
    assert_int_equal(outcome_of(&life, medium, life_config(medium, SEGMENTS)), VOLUME_NEW);
    assert_int_equal(life_read(&life, 1), 0);
    life_finish(&life);
}

static void one_process_at_a_time(void **state)
{
    (void)state;
    life_t life, other;
    life_start(&life, platter_new(7), SEGMENTS);
    assert_int_equal(outcome_of(&other, life.medium, life.config), VOLUME_LOCKED);
    assert_null(other.volume);
    life_end(&other);
    life_finish(&life);
}

static void it_must_have_room_for_two_segments(void **state)
{
    (void)state;
    life_t life;
    platter_t *medium = platter_new(3);
    assert_int_equal(outcome_of(&life, medium, life_config(medium, 1)), VOLUME_TOO_SMALL);
    assert_int_equal(platter_bytes(medium), 0);
    life_finish(&life);
}

static void segments_fit_the_size(void **state)
{
    (void)state;
    static const struct {
        uint64_t size_mib, segment_mib;
    } rows[] = {{9, 4}, {64, 4}, {4096, 16}, {1 << 20, 512}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        life_t life;
        platter_t *medium = platter_new(3);
        volume_config_t config = life_config(medium, 2);
        config.segment_bytes = 0;
        config.size = rows[i].size_mib << 20;
        assert_int_equal(outcome_of(&life, medium, config), VOLUME_NEW);
        assert_int_equal(volume_segment_bytes(life.volume), rows[i].segment_mib << 20);
        life_finish(&life);
    }
}

/* The purge rules that these records should be judged by are lost. */
static void a_record_stamped_after_the_journals_end_forgets_all(void **state)
{
    (void)state;
    for (int sealed = 0; sealed < 2; sealed++) {
        life_t life;
        life_start(&life, platter_new(7), SEGMENTS);
        uint64_t last = sealed ? 80 : 5, highest = 0;
        for (uint64_t number = 1; number <= last; number++) {
            assert_true(life_put(&life, number, 1));
            highest = life_stamp(number, 1) > highest ? life_stamp(number, 1) : highest;
        }
        platter_t *medium = life.medium;
        life_end(&life);
        volume_config_t config = life_config(medium, SEGMENTS);
        config.sequence = highest;
        assert_int_equal(outcome_of(&life, medium, config), VOLUME_OPENED);
        assert_false(volume_forgotten(life.volume));
        life_end(&life);
        config.sequence = highest - 1;
        assert_int_equal(outcome_of(&life, medium, config), VOLUME_OPENED);
        assert_true(volume_forgotten(life.volume));
        for (uint64_t number = 1; number <= last; number++)
            assert_int_equal(life_read(&life, number), 0);
        assert_int_equal(disk_index_records(life.index), 0);
        assert_true(life_put(&life, 1, 2));
        life_restart(&life, SEGMENTS);
        assert_int_equal(life_read(&life, 1), 2);
        assert_int_equal(life_read(&life, 2), 0);
        life_finish(&life);
    }
}

/* It shows late, when the newest segment is open again already: an older one has lost its trailer. */
static void one_in_an_older_segment_that_is_scanned_forgets_all_too(void **state)
{
    (void)state;
    enum { LIMIT = 900 };
    life_t life;
    uint64_t late = 1;
    while (life_stamp(late, 1) <= LIMIT)
        late++;
    life_start(&life, platter_new(7), SEGMENTS);
    assert_true(life_put(&life, late, 1));
    for (uint64_t number = 1000; volume_segments(life.volume) < 2; number++)
        if (life_stamp(number, 1) <= LIMIT)
            assert_true(life_put(&life, number, 1));
    platter_t *medium = life.medium;
    life_end(&life);
    platter_file(medium, "segment-00000")->data[LIFE_SEGMENT - 2] ^= 1;
    volume_config_t config = life_config(medium, SEGMENTS);
    config.sequence = LIMIT;
    assert_int_equal(outcome_of(&life, medium, config), VOLUME_OPENED);
    assert_true(volume_forgotten(life.volume));
    assert_int_equal(disk_index_records(life.index), 0);
    assert_true(life_put(&life, 1, 2));
    life_restart(&life, SEGMENTS);
    assert_int_equal(life_read(&life, 1), 2);
    life_finish(&life);
}

/* The real calls. ---------------------------------------------------------------------------------------- */

static void count_name(void *context, const char *name)
{
    unsigned *count = context;
    assert_true(name[0] != '.');
    ++*count;
}

static void the_real_calls_do_the_same(void **state)
{
    (void)state;
    char directory[] = "/tmp/selvedge-volume-XXXXXX", inner[sizeof directory + 8];
    assert_non_null(mkdtemp(directory));
    snprintf(inner, sizeof inner, "%s/disk", directory);
    life_t life;
    platter_t *medium = platter_new(3);
    volume_config_t config = life_config(medium, SEGMENTS);
    assert_int_equal(disk_io_posix(&config.io, inner), 0);
    assert_int_equal(outcome_of(&life, medium, config), VOLUME_NEW);
    for (uint64_t number = 1; number <= 80; number++)
        assert_true(life_put(&life, number, 1));
    assert_true(life_bury(&life, 7));
    assert_true(volume_sync(life.volume));
    unsigned names = 0;
    assert_int_equal(config.io.list(config.io.context, count_name, &names), 0);
    assert_int_equal(names, 2 + volume_segments(life.volume));
    life_t other;
    assert_int_equal(outcome_of(&other, medium, config), VOLUME_LOCKED);
    life_end(&other);
    life_end(&life);

    assert_int_equal(outcome_of(&life, medium, config), VOLUME_OPENED);
    for (uint64_t number = 1; number <= 80; number++)
        assert_int_equal(life_read(&life, number), number == 7 ? 0 : 1);
    struct stat status;
    char path[sizeof inner + 24];
    snprintf(path, sizeof path, "%s/segment-00000", inner);
    assert_int_equal(stat(path, &status), 0);
    assert_int_equal(status.st_mode & 0777, 0600);
    life_end(&life);
    snprintf(path, sizeof path, "rm -r %s", directory);
    assert_int_equal(system(path), 0);
    disk_io_posix_close(&config.io);
    platter_free(&medium);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_directory_of_another_node_is_refused_or_wiped),
        cmocka_unit_test(a_directory_that_cannot_be_read_is_refused_or_wiped),
        cmocka_unit_test(the_files_of_others_are_not_touched),
        cmocka_unit_test(the_nodes_state_and_what_file_systems_have_may_be_there),
        cmocka_unit_test(what_was_left_half_made_is_made_anew),
        cmocka_unit_test(one_process_at_a_time),
        cmocka_unit_test(it_must_have_room_for_two_segments),
        cmocka_unit_test(segments_fit_the_size),
        cmocka_unit_test(a_record_stamped_after_the_journals_end_forgets_all),
        cmocka_unit_test(one_in_an_older_segment_that_is_scanned_forgets_all_too),
        cmocka_unit_test(the_real_calls_do_the_same),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
