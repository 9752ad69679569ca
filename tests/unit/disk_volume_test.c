/* The volume: what is written is found, before and after a restart, and nothing that it replaced or buried.
 */
#include "tests/unit/volume_life.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>

enum { SEGMENTS = 6 };

static void begin(life_t *life, platter_t *medium)
{
    volume_config_t config = life_config(medium, SEGMENTS);
    assert_true(life_begin(life, medium, &config));
}

/* The process ends as it should, and another begins. */
static void restart(life_t *life)
{
    platter_t *medium = life->medium;
    life_end(life);
    platter_kill(medium);
    begin(life, medium);
}

/* It is killed, and another begins. */
static void crash(life_t *life)
{
    platter_t *medium = life->medium;
    life_crash(life, false);
    begin(life, medium);
}

static void end(life_t *life)
{
    platter_t *medium = life->medium;
    life_end(life);
    platter_free(&medium);
}

static void make(life_t *life)
{
    begin(life, platter_new(7));
}

/* Writing. ----------------------------------------------------------------------------------------------- */

static void a_record_is_found_once_it_is_written(void **state)
{
    (void)state;
    life_t life;
    make(&life);
    assert_int_equal(life.opening.outcome, VOLUME_NEW);
    assert_true(life_put(&life, 1, 1));
    assert_int_equal(disk_index_records(life.index), 0);
    assert_true(volume_flush(life.volume));
    assert_int_equal(disk_index_records(life.index), 1);
    assert_int_equal(life_read(&life, 1), 1);
    assert_int_equal(life_read(&life, 2), 0);
    end(&life);
}

static void note_done(void *context, bool written)
{
    int *done = context;
    assert_int_equal(*done, -1);
    *done = written;
}

static void who_appends_is_told_when_it_is_in_the_file(void **state)
{
    (void)state;
    life_t life;
    make(&life);
    int done = -1;
    assert_true(life_put_told(&life, 1, 1, LIFE_BODY_MAX, (told_t){.done = note_done, .context = &done}));
    assert_int_equal(done, -1);
    assert_true(volume_flush(life.volume));
    assert_int_equal(done, 1);
    end(&life);
}

static void what_is_too_large_for_a_segment_is_dropped(void **state)
{
    (void)state;
    life_t life;
    make(&life);
    int done = -1;
    uint64_t number = 1;
    while (life_mix(number * 31 + 5, 1) % 7 != 1 || (life_mix(number * 31 + 5, 1) >> 20) % 300000 < 70000)
        number++;
    assert_false(life_put_told(&life, number, 1, 300000, (told_t){.done = note_done, .context = &done}));
    assert_int_equal(done, 0);
    assert_null(volume_failure(life.volume).call);
    end(&life);
}

static void what_was_revoked_meanwhile_does_not_enter_the_index(void **state)
{
    (void)state;
    life_t life;
    make(&life);
    _Atomic bool revoked = false;
    assert_true(life_put_told(&life, 1, 1, LIFE_BODY_MAX, (told_t){.revoked = &revoked}));
    atomic_store(&revoked, true);
    assert_true(life_bury(&life, 1));
    assert_true(volume_flush(life.volume));
    assert_int_equal(life_read(&life, 1), 0);
    restart(&life);
    assert_int_equal(life_read(&life, 1), 0);
    end(&life);
}

/* Whole pages, one behind the other; only the last page of what was flushed is written again. */
static void it_is_written_in_order_and_in_pages(void **state)
{
    (void)state;
    life_t life;
    make(&life);
    life_put(&life, 1, 1);
    life.medium->log_count = 0;
    uint64_t behind = 0;
    for (uint64_t number = 2; number < 12; number++) {
        life_put(&life, number, 1);
        if (number % 3 == 0)
            volume_flush(life.volume);
    }
    volume_flush(life.volume);
    for (size_t i = 0; i < life.medium->log_count; i++) {
        const platter_event_t *event = &life.medium->log[i];
        if (event->kind != PLATTER_WRITES)
            continue;
        assert_int_equal((event->offset + event->length) % 4096, 0);
        assert_true(event->offset <= behind || behind == 0);
        assert_true(behind == 0 || event->offset > behind - 4096);
        behind = event->offset + event->length;
    }
    assert_true(behind > 0);
    end(&life);
}

/* No record bears a serial that the device does not know of. */
static void the_header_is_synced_before_the_first_record(void **state)
{
    (void)state;
    life_t life;
    make(&life);
    life.medium->log_count = 0;
    life_put(&life, 1, 1);
    volume_flush(life.volume);
    bool header = false, synced = false;
    for (size_t i = 0; i < life.medium->log_count; i++) {
        const platter_event_t *event = &life.medium->log[i];
        if (event->kind == PLATTER_WRITES && event->offset == 0)
            header = true;
        if (event->kind == PLATTER_SYNCS)
            synced = header;
        if (event->kind == PLATTER_WRITES && event->offset == SEGMENT_HEADER_BYTES)
            assert_true(synced);
    }
    assert_true(synced);
    end(&life);
}

/* Starting. ---------------------------------------------------------------------------------------------- */

static void all_is_found_again(void **state)
{
    (void)state;
    life_t life;
    make(&life);
    for (uint64_t number = 1; number <= 80; number++) /* more than a segment, fewer than all */
        assert_true(life_put(&life, number, 1));
    assert_true(volume_flush(life.volume));
    assert_in_range(volume_segments(life.volume), 2, SEGMENTS - 1);
    crash(&life);
    assert_int_equal(life.opening.outcome, VOLUME_OPENED);
    for (uint64_t number = 1; number <= 80; number++)
        assert_int_equal(life_read(&life, number), 1);
    end(&life);
}

/* A segment at a time, newest first, and what is found may be read at once. */
static void service_begins_before_all_is_found(void **state)
{
    (void)state;
    life_t life;
    make(&life);
    for (uint64_t number = 1; number <= 80; number++)
        assert_true(life_put(&life, number, 1));
    platter_t *medium = life.medium;
    life_end(&life);
    platter_kill(medium);

    volume_config_t config = life_config(medium, SEGMENTS);
    assert_true(life_open(&life, medium, &config));
    assert_int_equal(life_read(&life, 80), 0);
    assert_true(volume_recover_next(life.volume));
    assert_int_equal(life_read(&life, 80), 1);
    assert_int_equal(life_read(&life, 1), 0);
    while (volume_recover_next(life.volume))
        ;
    assert_int_equal(life_read(&life, 1), 1);
    end(&life);
}

static void a_later_edition_holds_over_a_restart(void **state)
{
    (void)state;
    life_t life;
    make(&life);
    for (uint64_t number = 1; number <= 80; number++)
        assert_true(life_put(&life, number, 1));
    assert_true(life_put(&life, 1, 2));  /* in another segment than its first */
    assert_true(life_put(&life, 80, 2)); /* in the same one */
    assert_true(volume_flush(life.volume));
    for (int i = 0; i < 2; i++) {
        assert_int_equal(life_read(&life, 1), 2);
        assert_int_equal(life_read(&life, 80), 2);
        assert_int_equal(life_read(&life, 2), 1);
        crash(&life);
    }
    end(&life);
}

static void what_was_buried_does_not_come_back(void **state)
{
    (void)state;
    life_t life;
    make(&life);
    for (uint64_t number = 1; number <= 80; number++)
        assert_true(life_put(&life, number, 1));
    assert_true(volume_flush(life.volume));
    assert_true(life_bury(&life, 1));
    assert_true(life_bury(&life, 80));
    assert_true(life_bury(&life, 2));
    assert_true(life_put(&life, 2, 2)); /* it came after it was buried */
    assert_true(volume_flush(life.volume));
    for (int i = 0; i < 2; i++) {
        assert_int_equal(life_read(&life, 1), 0);
        assert_int_equal(life_read(&life, 80), 0);
        assert_int_equal(life_read(&life, 2), 2);
        assert_int_equal(life_read(&life, 3), 1);
        crash(&life);
    }
    end(&life);
}

/* In sealed segments, too, whose footers say it. */
static void what_was_buried_long_ago_does_not_come_back(void **state)
{
    (void)state;
    life_t life;
    make(&life);
    assert_true(life_put(&life, 1, 1));
    assert_true(volume_flush(life.volume));
    assert_true(life_bury(&life, 1));
    for (uint64_t number = 2; number <= 80; number++)
        assert_true(life_put(&life, number, 1));
    assert_true(volume_flush(life.volume));
    for (int i = 0; i < 2; i++) {
        assert_int_equal(life_read(&life, 1), 0);
        assert_int_equal(life_read(&life, 2), 1);
        crash(&life);
    }
    end(&life);
}

/* More names than one record holds. */
static void many_can_be_buried_at_once(void **state)
{
    (void)state;
    life_t life;
    make(&life);
    assert_true(life_put(&life, 1, 1));
    for (uint64_t number = 9000; number > 0; number--)
        assert_true(life_bury(&life, number));
    assert_true(life_put(&life, 2, 2));
    assert_true(volume_flush(life.volume));
    crash(&life);
    assert_int_equal(life_read(&life, 1), 0);
    assert_int_equal(life_read(&life, 2), 2);
    end(&life);
}

static void what_was_removed_while_it_starts_is_not_found(void **state)
{
    (void)state;
    life_t life;
    make(&life);
    assert_true(life_put(&life, 1, 1));
    platter_t *medium = life.medium;
    life_end(&life);
    platter_kill(medium);
    volume_config_t config = life_config(medium, SEGMENTS);
    assert_true(life_open(&life, medium, &config));
    ledger_hash_t name = life_name(1);
    disk_index_remove(life.index, &name);
    while (volume_recover_next(life.volume))
        ;
    assert_true(volume_bury(life.volume, &name));
    assert_int_equal(life_read(&life, 1), 0);
    end(&life);
}

static uint32_t units_of(uint64_t number)
{
    edition_t made = life_edition(number, 1, LIFE_BODY_MAX);
    volume_record_t record = life_record(&made);
    free(made.meta);
    return record_units(&record.record);
}

/* What stood behind a bad record is cut off, and does not come back when the segment is gone on with and what
 * is written ends just there: on the end of a page, as what pads one would hide it. */
static void what_was_cut_off_does_not_come_back(void **state)
{
    (void)state;
    life_t life;
    disk_place_t place;
    uint64_t second = 2;
    while ((units_of(1) + units_of(second)) % (4096 / DISK_UNIT) != 0)
        second++;
    const uint64_t third = second + 1;
    ledger_hash_t name = life_name(second);
    make(&life);
    assert_true(life_put(&life, 1, 1) && life_put(&life, second, 1) && life_put(&life, third, 1));
    assert_true(volume_flush(life.volume));
    assert_true(disk_index_find(life.index, &name, false, &place));
    platter_file(life.medium, "segment-00000")->data[(size_t)place.unit * DISK_UNIT + 20] ^= 1;
    crash(&life);
    assert_int_equal(life_read(&life, 1), 1);
    assert_int_equal(life_read(&life, second), 0);
    assert_int_equal(life_read(&life, third), 0);
    assert_true(life_put(&life, second, 1));
    assert_true(volume_flush(life.volume));
    crash(&life);
    assert_int_equal(life_read(&life, second), 1);
    assert_int_equal(life_read(&life, third), 0);
    end(&life);
}

/* Each start would cost a slot, if the last segment were not gone on with. */
static void a_segment_is_gone_on_with_after_a_crash(void **state)
{
    (void)state;
    life_t life;
    make(&life);
    for (uint64_t number = 1; number <= 30; number++) {
        assert_true(life_put(&life, number % 10, number));
        assert_true(volume_flush(life.volume));
        crash(&life);
    }
    assert_in_range(volume_segments(life.volume), 1, 3);
    for (uint64_t number = 21; number <= 30; number++)
        assert_int_equal(life_read(&life, number % 10), number);
    end(&life);
}

/* Killed while it writes: the record of before is there, or the whole of the new one. */
static void what_was_torn_by_a_kill_takes_the_place_of_nothing(void **state)
{
    (void)state;
    enum { KILLS = 40, LARGE = 20000 };
    for (uint64_t i = 0; i < KILLS; i++) {
        life_t life;
        begin(&life, platter_new(100 + i));
        assert_true(life_put(&life, 1, 1));
        assert_true(volume_flush(life.volume));
        life.medium->fail_at = life.medium->calls + 1;
        life.medium->fault = PLATTER_CUT;
        assert_true(life_put_told(&life, 1, 2, LARGE, (told_t){0}));
        assert_false(volume_flush(life.volume));
        crash(&life);
        assert_in_range(life_read(&life, 1), 1, 2);
        assert_true(life_put(&life, 2, 1)); /* behind what is left */
        restart(&life);
        assert_int_equal(life_read(&life, 2), 1);
        end(&life);
    }
}

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
    make(&life);
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
    end(&life);
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
        end(&life);
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
    end(&life);

    medium = medium_with_a_record();
    platter_put(medium, "thesis.tex", "words", 5);
    config = life_config(medium, SEGMENTS);
    config.wipe = true;
    config.node[0]++;
    assert_int_equal(outcome_of(&life, medium, config), VOLUME_WIPED);
    assert_memory_equal(platter_file(medium, "thesis.tex")->data, "words", 5);
    end(&life);
}

static void the_nodes_state_and_what_file_systems_have_may_be_there(void **state)
{
    (void)state;
    life_t life;
    platter_t *medium = platter_new(3);
    platter_put(medium, "state", "", 0);
    platter_put(medium, "lost+found", "", 0);
    assert_int_equal(outcome_of(&life, medium, life_config(medium, SEGMENTS)), VOLUME_NEW);
    end(&life);
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
    end(&life);
}

static void one_process_at_a_time(void **state)
{
    (void)state;
    life_t life, other;
    make(&life);
    assert_int_equal(outcome_of(&other, life.medium, life.config), VOLUME_LOCKED);
    assert_null(other.volume);
    life_end(&other);
    end(&life);
}

static void it_must_have_room_for_two_segments(void **state)
{
    (void)state;
    life_t life;
    platter_t *medium = platter_new(3);
    assert_int_equal(outcome_of(&life, medium, life_config(medium, 1)), VOLUME_TOO_SMALL);
    assert_int_equal(platter_bytes(medium), 0);
    end(&life);
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
        end(&life);
    }
}

/* The purge rules that these records should be judged by are lost. */
static void a_record_stamped_after_the_journals_end_forgets_all(void **state)
{
    (void)state;
    for (int sealed = 0; sealed < 2; sealed++) {
        life_t life;
        make(&life);
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
        restart(&life);
        assert_int_equal(life_read(&life, 1), 2);
        assert_int_equal(life_read(&life, 2), 0);
        end(&life);
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
    make(&life);
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
    restart(&life);
    assert_int_equal(life_read(&life, 1), 2);
    end(&life);
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
        cmocka_unit_test(a_record_is_found_once_it_is_written),
        cmocka_unit_test(who_appends_is_told_when_it_is_in_the_file),
        cmocka_unit_test(what_is_too_large_for_a_segment_is_dropped),
        cmocka_unit_test(what_was_revoked_meanwhile_does_not_enter_the_index),
        cmocka_unit_test(it_is_written_in_order_and_in_pages),
        cmocka_unit_test(the_header_is_synced_before_the_first_record),
        cmocka_unit_test(all_is_found_again),
        cmocka_unit_test(service_begins_before_all_is_found),
        cmocka_unit_test(a_later_edition_holds_over_a_restart),
        cmocka_unit_test(what_was_buried_does_not_come_back),
        cmocka_unit_test(what_was_buried_long_ago_does_not_come_back),
        cmocka_unit_test(many_can_be_buried_at_once),
        cmocka_unit_test(what_was_removed_while_it_starts_is_not_found),
        cmocka_unit_test(what_was_cut_off_does_not_come_back),
        cmocka_unit_test(a_segment_is_gone_on_with_after_a_crash),
        cmocka_unit_test(what_was_torn_by_a_kill_takes_the_place_of_nothing),
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
