/* The times of one connection, with a clock of the test's own. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "edge/limits/watch.h"

static const watch_limits_t limits = {.idle_ms = 60000, .header_ms = 15000, .stall_ms = 30000};

enum { ENOUGH = 30 * WATCH_BYTES_PER_SECOND };

/* Looks once a second, from second `from` to `to`; the first cut, and when. */
typedef struct {
    cut_t cut;
    int64_t at_s;
} verdict_t;

static verdict_t look_on(watch_t *watch, client_look_t look, int64_t from, int64_t to)
{
    for (int64_t s = from; s <= to; s++) {
        cut_t cut = watch_judge(watch, &look, &limits, s * 1000);
        if (cut != CUTS)
            return (verdict_t){cut, s};
    }
    return (verdict_t){CUTS, -1};
}

static void an_idle_connection_may_rest_for_so_long(void **state)
{
    (void)state;
    watch_t watch = {0};
    verdict_t verdict = look_on(&watch, (client_look_t){.phase = CLIENT_IDLE, .request = 1}, 5, 1000);
    assert_int_equal(verdict.cut, CUT_IDLE);
    assert_int_equal(verdict.at_s, 65);
}

static void one_that_is_only_seen_at_rest_is_not_idle(void **state)
{
    (void)state;
    watch_t watch = {0};
    for (uint64_t request = 0; request < 30; request++) {
        client_look_t look = {.phase = CLIENT_IDLE, .request = request};
        int64_t from = (int64_t)request * 50;
        assert_int_equal(look_on(&watch, look, from, from + 49).cut, CUTS);
    }
}

static void a_head_must_be_whole_in_time_however_it_drips(void **state)
{
    (void)state;
    watch_t watch = {0};
    assert_int_equal(look_on(&watch, (client_look_t){.phase = CLIENT_IDLE}, 0, 20).cut, CUTS);
    verdict_t verdict = look_on(&watch, (client_look_t){.phase = CLIENT_HEAD, .request = 3}, 21, 1000);
    assert_int_equal(verdict.cut, CUT_HEADER);
    assert_int_equal(verdict.at_s, 36);
}

static void heads_of_many_requests_are_not_one(void **state)
{
    (void)state;
    watch_t watch = {0};
    for (uint64_t request = 1; request < 30; request++) {
        client_look_t look = {.phase = CLIENT_HEAD, .request = request};
        int64_t from = (int64_t)request * 10;
        assert_int_equal(look_on(&watch, look, from, from + 9).cut, CUTS);
    }
}

static void the_handshake_counts_with_the_first_head(void **state)
{
    (void)state;
    watch_t watch = {0};
    assert_int_equal(look_on(&watch, (client_look_t){.phase = CLIENT_NEW}, 0, 10).cut, CUTS);
    verdict_t verdict = look_on(&watch, (client_look_t){.phase = CLIENT_HEAD, .request = 7}, 11, 1000);
    assert_int_equal(verdict.cut, CUT_HEADER);
    assert_int_equal(verdict.at_s, 15);
    watch_t silent = {0};
    verdict = look_on(&silent, (client_look_t){.phase = CLIENT_NEW}, 0, 1000);
    assert_int_equal(verdict.cut, CUT_HEADER);
    assert_int_equal(verdict.at_s, 15);
}

static void who_waits_for_us_is_waited_with(void **state)
{
    (void)state;
    watch_t watch = {0};
    assert_int_equal(look_on(&watch, (client_look_t){.phase = CLIENT_WORKING}, 0, 100000).cut, CUTS);
}

static void who_takes_nothing_is_cut(void **state)
{
    (void)state;
    watch_t watch = {0};
    assert_int_equal(look_on(&watch, (client_look_t){.phase = CLIENT_WORKING}, 0, 99).cut, CUTS);
    client_look_t look = {.phase = CLIENT_WORKING, .owes_taking = true, .taken_bytes = 1 << 20};
    verdict_t verdict = look_on(&watch, look, 100, 1000);
    assert_int_equal(verdict.cut, CUT_STALL);
    assert_int_equal(verdict.at_s, 130);
}

/* The second of the cut when so many bytes pass in each, all at once every `lump` seconds; -1: none. */
static int64_t cut_at_rate(uint64_t per_second, int64_t lump, bool giving)
{
    watch_t watch = {0};
    for (int64_t s = 0; s < 10000; s++) {
        uint64_t bytes = (uint64_t)(s / lump * lump) * per_second;
        client_look_t look = {.phase = CLIENT_WORKING,
                              .owes_taking = !giving,
                              .owes_giving = giving,
                              .taken_bytes = giving ? 0 : bytes,
                              .given_bytes = giving ? bytes : 0};
        if (watch_judge(&watch, &look, &limits, s * 1000) != CUTS)
            return s;
    }
    return -1;
}

static void next_to_nothing_is_cut_and_slow_is_not(void **state)
{
    (void)state;
    for (int giving = 0; giving < 2; giving++) {
        assert_int_equal(cut_at_rate(1, 1, giving), 30);
        assert_int_equal(cut_at_rate(40, 1, giving), 30); /* a byte per second, with frames and records */
        assert_int_equal(cut_at_rate(2048, 1, giving), -1);
        assert_int_equal(cut_at_rate(2048, 16, giving), -1); /* as windows open: 32 KiB at once */
        assert_int_equal(cut_at_rate(2 * WATCH_BYTES_PER_SECOND, 1, giving), -1);
    }
}

static void a_burst_does_not_last_for_ever(void **state)
{
    (void)state;
    watch_t watch = {0};
    client_look_t look = {.phase = CLIENT_WORKING, .owes_taking = true};
    assert_int_equal(look_on(&watch, look, 0, 10).cut, CUTS);
    look.taken_bytes = 100 * ENOUGH;
    verdict_t verdict = look_on(&watch, look, 11, 1000);
    assert_int_equal(verdict.cut, CUT_STALL);
    assert_int_equal(verdict.at_s, 41);
}

static void who_was_owed_an_answer_begins_anew(void **state)
{
    (void)state;
    watch_t watch = {0};
    for (int64_t turn = 0; turn < 20; turn++) {
        client_look_t takes = {.phase = CLIENT_WORKING, .owes_taking = true};
        assert_int_equal(look_on(&watch, takes, turn * 40, turn * 40 + 28).cut, CUTS);
        assert_int_equal(
            look_on(&watch, (client_look_t){.phase = CLIENT_WORKING}, turn * 40 + 29, turn * 40 + 39).cut,
            CUTS);
    }
}

static void a_farewell_that_is_not_taken_is_cut(void **state)
{
    (void)state;
    watch_t watch = {0};
    verdict_t verdict = look_on(&watch, (client_look_t){.phase = CLIENT_CLOSING}, 0, 1000);
    assert_int_equal(verdict.cut, CUT_STALL);
    assert_int_equal(verdict.at_s, 30);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_idle_connection_may_rest_for_so_long),
        cmocka_unit_test(one_that_is_only_seen_at_rest_is_not_idle),
        cmocka_unit_test(a_head_must_be_whole_in_time_however_it_drips),
        cmocka_unit_test(heads_of_many_requests_are_not_one),
        cmocka_unit_test(the_handshake_counts_with_the_first_head),
        cmocka_unit_test(who_waits_for_us_is_waited_with),
        cmocka_unit_test(who_takes_nothing_is_cut),
        cmocka_unit_test(next_to_nothing_is_cut_and_slow_is_not),
        cmocka_unit_test(a_burst_does_not_last_for_ever),
        cmocka_unit_test(who_was_owed_an_answer_begins_anew),
        cmocka_unit_test(a_farewell_that_is_not_taken_is_cut),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
