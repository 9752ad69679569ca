/* The volume: what is written is found, before and after a restart, and nothing that it replaced or buried.
 */
#include "tests/unit/volume_life.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

enum { SEGMENTS = 6 };

/* Writing. ----------------------------------------------------------------------------------------------- */

static void a_record_is_found_once_it_is_written(void **state)
{
    (void)state;
    life_t life;
    life_start(&life, platter_new(7), SEGMENTS);
    assert_int_equal(life.opening.outcome, VOLUME_NEW);
    assert_true(life_put(&life, 1, 1));
    assert_int_equal(disk_index_records(life.index), 0);
    assert_true(volume_flush(life.volume));
    assert_int_equal(disk_index_records(life.index), 1);
    assert_int_equal(life_read(&life, 1), 1);
    assert_int_equal(life_read(&life, 2), 0);
    life_finish(&life);
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
    life_start(&life, platter_new(7), SEGMENTS);
    int done = -1;
    assert_true(life_put_told(&life, 1, 1, LIFE_BODY_MAX, (told_t){.done = note_done, .context = &done}));
    assert_int_equal(done, -1);
    assert_true(volume_flush(life.volume));
    assert_int_equal(done, 1);
    life_finish(&life);
}

static void what_is_too_large_for_a_segment_is_dropped(void **state)
{
    (void)state;
    life_t life;
    life_start(&life, platter_new(7), SEGMENTS);
    int done = -1;
    uint64_t number = 1;
    while (life_mix(number * 31 + 5, 1) % 7 != 1 || (life_mix(number * 31 + 5, 1) >> 20) % 300000 < 70000)
        number++;
    assert_false(life_put_told(&life, number, 1, 300000, (told_t){.done = note_done, .context = &done}));
    assert_int_equal(done, 0);
    assert_null(volume_failure(life.volume).call);
    life_finish(&life);
}

static void what_was_revoked_meanwhile_does_not_enter_the_index(void **state)
{
    (void)state;
    life_t life;
    life_start(&life, platter_new(7), SEGMENTS);
    _Atomic bool revoked = false;
    assert_true(life_put_told(&life, 1, 1, LIFE_BODY_MAX, (told_t){.revoked = &revoked}));
    atomic_store(&revoked, true);
    assert_true(life_bury(&life, 1));
    assert_true(volume_flush(life.volume));
    assert_int_equal(life_read(&life, 1), 0);
    life_restart(&life, SEGMENTS);
    assert_int_equal(life_read(&life, 1), 0);
    life_finish(&life);
}

/* Whole pages, one behind the other; only the last page of what was flushed is written again. */
static void it_is_written_in_order_and_in_pages(void **state)
{
    (void)state;
    life_t life;
    life_start(&life, platter_new(7), SEGMENTS);
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
    life_finish(&life);
}

/* No record bears a serial that the device does not know of. */
static void the_header_is_synced_before_the_first_record(void **state)
{
    (void)state;
    life_t life;
    life_start(&life, platter_new(7), SEGMENTS);
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
    life_finish(&life);
}

/* Starting. ---------------------------------------------------------------------------------------------- */

static void all_is_found_again(void **state)
{
    (void)state;
    life_t life;
    life_start(&life, platter_new(7), SEGMENTS);
    for (uint64_t number = 1; number <= 80; number++) /* more than a segment, fewer than all */
        assert_true(life_put(&life, number, 1));
    assert_true(volume_flush(life.volume));
    assert_in_range(volume_segments(life.volume), 2, SEGMENTS - 1);
    life_die(&life, false, SEGMENTS);
    assert_int_equal(life.opening.outcome, VOLUME_OPENED);
    for (uint64_t number = 1; number <= 80; number++)
        assert_int_equal(life_read(&life, number), 1);
    life_finish(&life);
}

/* A segment at a time, newest first, and what is found may be read at once. */
static void service_begins_before_all_is_found(void **state)
{
    (void)state;
    life_t life;
    life_start(&life, platter_new(7), SEGMENTS);
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
    life_finish(&life);
}

static void a_later_edition_holds_over_a_restart(void **state)
{
    (void)state;
    life_t life;
    life_start(&life, platter_new(7), SEGMENTS);
    for (uint64_t number = 1; number <= 80; number++)
        assert_true(life_put(&life, number, 1));
    assert_true(life_put(&life, 1, 2));  /* in another segment than its first */
    assert_true(life_put(&life, 80, 2)); /* in the same one */
    assert_true(volume_flush(life.volume));
    for (int i = 0; i < 2; i++) {
        assert_int_equal(life_read(&life, 1), 2);
        assert_int_equal(life_read(&life, 80), 2);
        assert_int_equal(life_read(&life, 2), 1);
        life_die(&life, false, SEGMENTS);
    }
    life_finish(&life);
}

static void what_was_buried_does_not_come_back(void **state)
{
    (void)state;
    life_t life;
    life_start(&life, platter_new(7), SEGMENTS);
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
        life_die(&life, false, SEGMENTS);
    }
    life_finish(&life);
}

/* In sealed segments, too, whose footers say it. */
static void what_was_buried_long_ago_does_not_come_back(void **state)
{
    (void)state;
    life_t life;
    life_start(&life, platter_new(7), SEGMENTS);
    assert_true(life_put(&life, 1, 1));
    assert_true(volume_flush(life.volume));
    assert_true(life_bury(&life, 1));
    for (uint64_t number = 2; number <= 80; number++)
        assert_true(life_put(&life, number, 1));
    assert_true(volume_flush(life.volume));
    for (int i = 0; i < 2; i++) {
        assert_int_equal(life_read(&life, 1), 0);
        assert_int_equal(life_read(&life, 2), 1);
        life_die(&life, false, SEGMENTS);
    }
    life_finish(&life);
}

/* More names than one record holds. */
static void many_can_be_buried_at_once(void **state)
{
    (void)state;
    life_t life;
    life_start(&life, platter_new(7), SEGMENTS);
    assert_true(life_put(&life, 1, 1));
    for (uint64_t number = 9000; number > 0; number--)
        assert_true(life_bury(&life, number));
    assert_true(life_put(&life, 2, 2));
    assert_true(volume_flush(life.volume));
    life_die(&life, false, SEGMENTS);
    assert_int_equal(life_read(&life, 1), 0);
    assert_int_equal(life_read(&life, 2), 2);
    life_finish(&life);
}

static void what_was_removed_while_it_starts_is_not_found(void **state)
{
    (void)state;
    life_t life;
    life_start(&life, platter_new(7), SEGMENTS);
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
    life_finish(&life);
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
    life_start(&life, platter_new(7), SEGMENTS);
    assert_true(life_put(&life, 1, 1) && life_put(&life, second, 1) && life_put(&life, third, 1));
    assert_true(volume_flush(life.volume));
    assert_true(disk_index_find(life.index, &name, false, &place));
    platter_file(life.medium, "segment-00000")->data[(size_t)place.unit * DISK_UNIT + 20] ^= 1;
    life_die(&life, false, SEGMENTS);
    assert_int_equal(life_read(&life, 1), 1);
    assert_int_equal(life_read(&life, second), 0);
    assert_int_equal(life_read(&life, third), 0);
    assert_true(life_put(&life, second, 1));
    assert_true(volume_flush(life.volume));
    life_die(&life, false, SEGMENTS);
    assert_int_equal(life_read(&life, second), 1);
    assert_int_equal(life_read(&life, third), 0);
    life_finish(&life);
}

/* Each start would cost a slot, if the last segment were not gone on with. */
static void a_segment_is_gone_on_with_after_a_crash(void **state)
{
    (void)state;
    life_t life;
    life_start(&life, platter_new(7), SEGMENTS);
    for (uint64_t number = 1; number <= 30; number++) {
        assert_true(life_put(&life, number % 10, number));
        assert_true(volume_flush(life.volume));
        life_die(&life, false, SEGMENTS);
    }
    assert_in_range(volume_segments(life.volume), 1, 3);
    for (uint64_t number = 21; number <= 30; number++)
        assert_int_equal(life_read(&life, number % 10), number);
    life_finish(&life);
}

/* Killed while it writes: the record of before is there, or the whole of the new one. */
static void what_was_torn_by_a_kill_takes_the_place_of_nothing(void **state)
{
    (void)state;
    enum { KILLS = 40, LARGE = 20000 };
    for (uint64_t i = 0; i < KILLS; i++) {
        life_t life;
        life_start(&life, platter_new(100 + i), SEGMENTS);
        assert_true(life_put(&life, 1, 1));
        assert_true(volume_flush(life.volume));
        life.medium->fail_at = life.medium->calls + 1;
        life.medium->fault = PLATTER_CUT;
        assert_true(life_put_told(&life, 1, 2, LARGE, (told_t){0}));
        assert_false(volume_flush(life.volume));
        life_die(&life, false, SEGMENTS);
        assert_in_range(life_read(&life, 1), 1, 2);
        assert_true(life_put(&life, 2, 1)); /* behind what is left */
        life_restart(&life, SEGMENTS);
        assert_int_equal(life_read(&life, 2), 1);
        life_finish(&life);
    }
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
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
