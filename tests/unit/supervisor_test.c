/* The pause before a new start, as a rule over numbers. */
#include "edge/supervisor/supervisor.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static void quick_deaths_double_the_pause_up_to_ten_seconds(void **state)
{
    (void)state;
    static const int64_t expected_ms[] = {0, 100, 200, 400, 800, 1600, 3200, 6400, 10000, 10000};
    unsigned quick_deaths = 0;
    for (size_t i = 0; i < sizeof expected_ms / sizeof *expected_ms; i++)
        assert_int_equal(supervisor_pause_ms(&quick_deaths, 0), expected_ms[i]);
    for (int i = 0; i < 1000; i++)
        assert_int_equal(supervisor_pause_ms(&quick_deaths, STEADY_MS - 1), LONGEST_PAUSE_MS);
}

static void a_steady_time_starts_from_nothing(void **state)
{
    (void)state;
    unsigned quick_deaths = 0;
    for (int i = 0; i < 5; i++)
        supervisor_pause_ms(&quick_deaths, 10);
    assert_int_equal(supervisor_pause_ms(&quick_deaths, STEADY_MS), 0);
    assert_int_equal(supervisor_pause_ms(&quick_deaths, STEADY_MS), 0);
    assert_int_equal(supervisor_pause_ms(&quick_deaths, 10), 100);
}

static void what_nobody_watches_may_tick(void **state)
{
    (void)state;
    heart_t *heart = heart_claim(NULL);
    assert_null(heart);
    heart_begin(heart, "nobody");
    heart_tick(heart);
    heart_end(heart);
}

static void a_heart_is_watched_from_its_begin_to_its_end(void **state)
{
    (void)state;
    static heartbeats_t heartbeats;
    heart_t *first = heart_claim(&heartbeats), *second = heart_claim(&heartbeats);
    assert_ptr_not_equal(first, second);
    assert_int_equal(first->ticks, 0);
    heart_begin(first, "a name that is too long");
    assert_string_equal(first->name, "a name that is ");
    heart_tick(first);
    assert_true(first->ticks == 2 && second->ticks == 0);
    heart_end(first);
    assert_int_equal(first->ticks, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(quick_deaths_double_the_pause_up_to_ten_seconds),
        cmocka_unit_test(a_steady_time_starts_from_nothing),
        cmocka_unit_test(what_nobody_watches_may_tick),
        cmocka_unit_test(a_heart_is_watched_from_its_begin_to_its_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
