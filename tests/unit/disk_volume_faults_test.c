/* The volume on media that are damaged and calls that fail: a miss and a counter each time, never a wrong
 * byte, and nothing that was replaced or buried. */
#include "tests/unit/volume_life.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

/* Calls that fail. --------------------------------------------------------------------------------------- */

enum { SEGMENTS = 4, NUMBERS = 24, OPERATIONS = 260 };

typedef struct {
    platter_fault_t fault;
    int number;
    bool for_ever;
} trouble_t;

/* What may be found of each number: its last edition, unless it was dropped or buried since. */
typedef struct {
    life_t life;
    platter_t *medium;
    bool alive;
    uint64_t last[NUMBERS];
    uint64_t edition;
    _Atomic bool revoked[OPERATIONS * 3 + 1]; /* by edition */
    unsigned dropped, hits;
    bool broken; /* the tombstones of a broken volume may be lost, where not even its directory could be
                    removed */
} story_t;

static void open_story(story_t *story)
{
    volume_config_t config = life_config(story->medium, SEGMENTS);
    story->alive = life_begin(&story->life, story->medium, &config);
    if (!story->alive)
        assert_int_equal(story->life.opening.outcome, VOLUME_FAILED);
}

static void close_story(story_t *story)
{
    story->broken = story->broken || (story->alive && volume_failure(story->life.volume).broken);
    life_end(&story->life);
    story->alive = false;
}

static void read_story(story_t *story, bool strict)
{
    for (uint64_t number = 0; story->alive && number < NUMBERS; number++) {
        uint64_t edition = life_read(&story->life, number);
        if (strict)
            assert_true(edition == 0 || edition == story->last[number]);
        story->hits += edition != 0;
    }
}

static void note_dropped(void *context, bool written)
{
    unsigned *dropped = context;
    *dropped += !written;
}

static void bury_story(story_t *story, uint64_t number)
{
    atomic_store(&story->revoked[story->last[number]], true);
    life_bury(&story->life, number);
    story->last[number] = 0;
}

/* As the tier does it: what is replaced is buried first. */
static void put_story(story_t *story, uint64_t number)
{
    bury_story(story, number);
    story->last[number] = ++story->edition;
    life_put_told(&story->life, number, story->edition, LIFE_BODY_MAX,
                  (told_t){.revoked = &story->revoked[story->edition],
                           .done = note_dropped,
                           .context = &story->dropped});
}

static void step_story(story_t *story, uint64_t step)
{
    uint64_t what = life_mix(step, 77), number = (what >> 8) % NUMBERS;
    switch (what % 16) {
    case 0:
        bury_story(story, number);
        return;
    case 1:
        volume_flush(story->life.volume);
        return;
    case 2:
        volume_sync(story->life.volume);
        return;
    case 3:
    case 4:
    case 5:
        life_read(&story->life, number);
        return;
    default:
        put_story(story, number);
    }
}

/* Two lives, and a third on a medium without fault. The number of calls of the first two. */
static uint64_t tell_story(uint64_t fail_at, const trouble_t *trouble)
{
    story_t story = {.medium = platter_new(fail_at + 11)};
    story.medium->fail_at = fail_at;
    story.medium->fail_for = trouble->for_ever ? UINT64_MAX : 1;
    story.medium->fault = trouble->fault;
    story.medium->fail_errno = trouble->number;
    for (uint64_t life = 0; life < 2; life++) {
        open_story(&story);
        for (uint64_t step = 0; story.alive && step < OPERATIONS / 2; step++)
            step_story(&story, life * OPERATIONS + step);
        if (story.alive)
            volume_flush(story.life.volume);
        read_story(&story, true);
        close_story(&story);
    }
    uint64_t calls = story.medium->calls;
    platter_kill(story.medium);
    story.hits = 0;
    open_story(&story);
    assert_true(story.alive);
    read_story(&story, !(story.broken && trouble->for_ever));
    if (fail_at == 0) {
        assert_int_equal(story.dropped, 0);
        assert_in_range(story.hits, NUMBERS / 2, NUMBERS);
    }
    close_story(&story);
    platter_free(&story.medium);
    return calls;
}

static void a_call_fails(const trouble_t *trouble)
{
    uint64_t calls = tell_story(0, trouble);
    assert_in_range(calls, 200, 5000);
    for (uint64_t fail_at = 1; fail_at <= calls; fail_at++)
        tell_story(fail_at, trouble);
}

static void eio_at_each_call(void **state)
{
    (void)state;
    a_call_fails(&(trouble_t){PLATTER_ERROR, EIO, false});
}

static void enospc_at_each_call(void **state)
{
    (void)state;
    a_call_fails(&(trouble_t){PLATTER_ERROR, ENOSPC, false});
}

static void each_write_is_cut_short(void **state)
{
    (void)state;
    a_call_fails(&(trouble_t){PLATTER_SHORT, ENOSPC, false});
}

static void eio_from_each_call_on(void **state)
{
    (void)state;
    a_call_fails(&(trouble_t){PLATTER_ERROR, EIO, true});
}

static void enospc_from_each_call_on(void **state)
{
    (void)state;
    a_call_fails(&(trouble_t){PLATTER_ERROR, ENOSPC, true});
}

/* Reads and writes that do parts are no failures. */
static void parts_are_put_together(void **state)
{
    (void)state;
    story_t story = {.medium = platter_new(3)};
    story.medium->short_percent = 60;
    for (uint64_t life = 0; life < 3; life++) {
        open_story(&story);
        assert_true(story.alive);
        for (uint64_t step = 0; step < OPERATIONS; step++)
            step_story(&story, life * OPERATIONS + step);
        volume_flush(story.life.volume);
        read_story(&story, true);
        assert_null(volume_failure(story.life.volume).call);
        close_story(&story);
    }
    assert_int_equal(story.dropped, 0);
    assert_true(story.hits > 0);
    platter_free(&story.medium);
}

/* Failures in a row. ------------------------------------------------------------------------------------- */

static void what_cannot_be_written_is_counted_and_dropped_and_the_next_is_kept(void **state)
{
    (void)state;
    story_t story = {.medium = platter_new(3)};
    open_story(&story);
    put_story(&story, 1);
    volume_flush(story.life.volume);
    put_story(&story, 2);
    story.medium->fail_at = story.medium->calls + 1;
    assert_false(volume_flush(story.life.volume));
    assert_int_equal(story.dropped, 1);
    volume_failure_t failure = volume_failure(story.life.volume);
    assert_string_equal(failure.call, "write");
    assert_int_equal(failure.number, EIO);
    assert_int_equal(failure.count, 1);
    assert_false(failure.broken);
    put_story(&story, 3);
    assert_true(volume_flush(story.life.volume));
    assert_int_equal(life_read(&story.life, 1), 1);
    assert_int_equal(life_read(&story.life, 2), 0);
    assert_int_equal(life_read(&story.life, 3), 3);
    close_story(&story);
    platter_free(&story.medium);
}

/* What should have been buried would come back: rather nothing does. */
static void a_broken_volume_that_could_not_bury_is_disowned(void **state)
{
    (void)state;
    story_t story = {.medium = platter_new(3)};
    open_story(&story);
    put_story(&story, 1);
    put_story(&story, 2);
    volume_flush(story.life.volume);
    story.medium->room = 1; /* no file gets any more */
    platter_change_length(story.medium, platter_file(story.medium, "segment-00000"), 4096);
    life_bury(&story.life, 1);
    for (int i = 0; i < 10; i++)
        volume_flush(story.life.volume);
    assert_true(volume_failure(story.life.volume).broken);
    assert_int_equal(platter_find(story.medium, "directory"), -1);
    assert_false(life_put(&story.life, 5, 5));
    close_story(&story);
    story.medium->room = 0;
    open_story(&story);
    assert_true(story.alive);
    assert_int_equal(story.life.opening.outcome, VOLUME_NEW);
    assert_int_equal(life_read(&story.life, 1), 0);
    close_story(&story);
    platter_free(&story.medium);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(eio_at_each_call),
        cmocka_unit_test(enospc_at_each_call),
        cmocka_unit_test(each_write_is_cut_short),
        cmocka_unit_test(eio_from_each_call_on),
        cmocka_unit_test(enospc_from_each_call_on),
        cmocka_unit_test(parts_are_put_together),
        cmocka_unit_test(what_cannot_be_written_is_counted_and_dropped_and_the_next_is_kept),
        cmocka_unit_test(a_broken_volume_that_could_not_bury_is_disowned),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
