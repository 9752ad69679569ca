/* The volume between what is written and what is on the device: what a power cut takes, and what a sync that
 * fails costs. */
#include "tests/unit/volume_life.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

enum { SEGMENTS = 6 };

static void fail_next_call(platter_t *medium)
{
    medium->fail_at = medium->calls + 1;
    medium->fail_for = 1;
    medium->fault = PLATTER_ERROR;
    medium->fail_errno = EIO;
}

static uint64_t calls_of_sync(life_t *life)
{
    uint64_t before = life->medium->calls;
    assert_true(volume_sync(life->volume));
    return life->medium->calls - before;
}

static void it_knows_what_is_not_on_the_device(void **state)
{
    (void)state;
    life_t life;
    life_start(&life, platter_new(7), SEGMENTS);
    assert_false(volume_is_dirty(life.volume));
    assert_true(life_put(&life, 1, 1));
    assert_true(volume_is_dirty(life.volume));
    assert_true(volume_flush(life.volume));
    assert_true(volume_is_dirty(life.volume));
    assert_true(volume_sync(life.volume));
    assert_false(volume_is_dirty(life.volume));
    assert_true(life_bury(&life, 1));
    assert_true(volume_is_dirty(life.volume));
    assert_true(volume_sync(life.volume));
    assert_false(volume_is_dirty(life.volume));
    life_die(&life, true, SEGMENTS);
    assert_int_equal(life_read(&life, 1), 0);
    life_finish(&life);
}

static void what_is_on_the_device_is_not_synced_again(void **state)
{
    (void)state;
    life_t life;
    life_start(&life, platter_new(7), SEGMENTS);
    assert_true(life_put(&life, 1, 1));
    assert_true(volume_flush(life.volume));
    assert_int_equal(calls_of_sync(&life), 1);
    assert_int_equal(calls_of_sync(&life), 0);
    life_finish(&life);
}

/* A sync that fails loses what it should have kept, though later ones succeed. */
static void what_was_buried_is_buried_again_when_a_sync_fails(void **state)
{
    (void)state;
    life_t life;
    life_start(&life, platter_new(7), SEGMENTS);
    for (uint64_t number = 1; number <= 8; number++)
        assert_true(life_put(&life, number, 1));
    assert_true(volume_sync(life.volume));
    for (uint64_t number = 1; number <= 4; number++)
        assert_true(life_bury(&life, number));
    assert_true(volume_flush(life.volume));
    unsigned segments = volume_segments(life.volume);
    fail_next_call(life.medium);
    assert_false(volume_sync(life.volume));
    assert_int_equal(volume_failure(life.volume).count, 1);
    assert_false(volume_failure(life.volume).broken);
    assert_int_equal(volume_segments(life.volume),
                     segments + 1); /* nothing stands behind what may be a gap */
    assert_true(volume_is_dirty(life.volume));
    volume_sync(life.volume);
    assert_false(volume_is_dirty(life.volume));
    life_die(&life, true, SEGMENTS);
    for (uint64_t number = 1; number <= 8; number++)
        assert_int_equal(life_read(&life, number), number <= 4 ? 0 : 1);
    life_finish(&life);
}

/* Though what is appended in between can be written. */
static void a_volume_that_cannot_be_synced_is_broken_in_the_end(void **state)
{
    (void)state;
    life_t life;
    life_start(&life, platter_new(7), SEGMENTS);
    for (uint64_t number = 1; number <= 3; number++) {
        assert_true(life_put(&life, number, 1));
        assert_true(volume_flush(life.volume));
        fail_next_call(life.medium);
        assert_false(volume_sync(life.volume));
        assert_false(volume_failure(life.volume).broken);
    }
    assert_true(life_put(&life, 4, 1));
    assert_true(volume_flush(life.volume));
    fail_next_call(life.medium);
    assert_false(volume_sync(life.volume));
    assert_true(volume_failure(life.volume).broken);
    life_finish(&life);
}

/* The file was made, and the header could not be written at first. */
static void the_name_of_a_segment_is_synced_though_it_began_anew(void **state)
{
    (void)state;
    life_t life;
    life_start(&life, platter_new(7), SEGMENTS);
    life.medium->fail_at = life.medium->calls + 3; /* behind open and set length */
    life.medium->fail_for = 1;
    life.medium->fault = PLATTER_ERROR;
    life.medium->fail_errno = EIO;
    assert_false(life_put(&life, 1, 1));
    assert_true(life_put(&life, 1, 1));
    assert_true(volume_sync(life.volume));
    life_die(&life, true, SEGMENTS);
    assert_int_equal(life_read(&life, 1), 1);
    life_finish(&life);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_knows_what_is_not_on_the_device),
        cmocka_unit_test(what_is_on_the_device_is_not_synced_again),
        cmocka_unit_test(what_was_buried_is_buried_again_when_a_sync_fails),
        cmocka_unit_test(a_volume_that_cannot_be_synced_is_broken_in_the_end),
        cmocka_unit_test(the_name_of_a_segment_is_synced_though_it_began_anew),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
