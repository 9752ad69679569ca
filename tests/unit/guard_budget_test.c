/* The budgets of a connection, in a time of the test's own. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "edge/guard/budget.h"

static unsigned spend_all(guard_connection_t *connection, int64_t now_ms)
{
    unsigned spent = 0;
    while (guard_spend_reset(connection, now_ms))
        spent++;
    return spent;
}

static void all_at_once(void **state)
{
    (void)state;
    guard_connection_t connection;
    guard_connection_open(&connection, 200);
    assert_int_equal(spend_all(&connection, 5), 200);
    assert_int_equal(spend_all(&connection, 5), 0);
    guard_connection_close(&connection);
}

static void one_more_each_second(void **state)
{
    (void)state;
    guard_connection_t connection;
    guard_connection_open(&connection, 3);
    assert_int_equal(spend_all(&connection, 0), 3);
    assert_int_equal(spend_all(&connection, 999), 0);
    assert_int_equal(spend_all(&connection, 1000), 1);
    assert_int_equal(spend_all(&connection, 1999), 0);
    assert_int_equal(spend_all(&connection, 3500), 2);
    assert_int_equal(spend_all(&connection, 4000), 1); /* the half second was kept */
    guard_connection_close(&connection);
}

static void never_more_than_the_whole(void **state)
{
    (void)state;
    guard_connection_t connection;
    guard_connection_open(&connection, 3);
    assert_true(guard_spend_reset(&connection, INT64_C(1700000000000)));
    assert_int_equal(spend_all(&connection, INT64_C(1700000000000)), 2);
    assert_int_equal(spend_all(&connection, INT64_MAX), 3);
    guard_connection_close(&connection);
}

/* One for each second, for as long as it takes: a reader, not an attacker. */
static void a_steady_reader_is_never_stopped(void **state)
{
    (void)state;
    guard_connection_t connection;
    guard_connection_open(&connection, 1);
    for (int64_t second = 1; second < 100000; second++)
        assert_true(guard_spend_reset(&connection, second * 1000));
    guard_connection_close(&connection);
}

static unsigned spend_frames(guard_connection_t *connection, int64_t now_ms, uint64_t sent_bytes)
{
    unsigned spent = 0;
    while (guard_spend_frame(connection, now_ms, sent_bytes))
        spent++;
    return spent;
}

static void frames_grow_with_time_requests_and_bytes(void **state)
{
    (void)state;
    guard_connection_t connection;
    guard_connection_open(&connection, 1);
    assert_int_equal(spend_frames(&connection, 0, 100), GUARD_FRAMES_MAX);
    assert_int_equal(spend_frames(&connection, GUARD_FRAMES_REFILL_MS, 100), 1);
    guard_earn_frames(&connection);
    assert_int_equal(spend_frames(&connection, GUARD_FRAMES_REFILL_MS, 100), GUARD_FRAMES_OF_REQUEST);
    assert_int_equal(spend_frames(&connection, GUARD_FRAMES_REFILL_MS, 10 * GUARD_BYTES_OF_FRAME), 10);
    assert_int_equal(spend_frames(&connection, GUARD_FRAMES_REFILL_MS, 11 * GUARD_BYTES_OF_FRAME - 1), 0);
    assert_int_equal(spend_frames(&connection, GUARD_FRAMES_REFILL_MS, 11 * GUARD_BYTES_OF_FRAME), 1);
    for (unsigned i = 0; i < 2 * GUARD_FRAMES_MAX; i++)
        guard_earn_frames(&connection);
    assert_int_equal(spend_frames(&connection, GUARD_FRAMES_REFILL_MS, UINT64_MAX / 2), GUARD_FRAMES_MAX);
    guard_connection_close(&connection);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(all_at_once),
        cmocka_unit_test(one_more_each_second),
        cmocka_unit_test(never_more_than_the_whole),
        cmocka_unit_test(a_steady_reader_is_never_stopped),
        cmocka_unit_test(frames_grow_with_time_requests_and_bytes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
