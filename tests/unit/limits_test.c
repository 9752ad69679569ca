/* The token bucket and the table of client addresses, with a clock of the test's own. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <arpa/inet.h>
#include <pthread.h>

#include "edge/limits/table.h"

enum { SECOND = 1000000 };

static limits_address_t address_of(const char *text)
{
    union {
        struct sockaddr any;
        struct sockaddr_in v4;
        struct sockaddr_in6 v6;
    } address = {.any.sa_family = strchr(text, ':') ? AF_INET6 : AF_INET};
    void *bytes = strchr(text, ':') ? (void *)&address.v6.sin6_addr : (void *)&address.v4.sin_addr;
    assert_int_equal(inet_pton(address.any.sa_family, text, bytes), 1);
    return limits_address(&address.any);
}

static bool is_one_client(const char *a, const char *b)
{
    limits_address_t x = address_of(a), y = address_of(b);
    return x.high == y.high && x.low == y.low;
}

static void a_full_bucket_holds_its_depth_and_then_what_comes(void **state)
{
    (void)state;
    bucket_t bucket = {0};
    bucket_rate_t rate = bucket_rate(10, 3);
    int64_t now = 1000 * (int64_t)SECOND;
    for (int i = 0; i < 30; i++)
        assert_int_equal(bucket_take(&bucket, &rate, now), 0);
    assert_int_equal(bucket_take(&bucket, &rate, now), SECOND / 10);
    assert_int_equal(bucket_take(&bucket, &rate, now + SECOND / 20), SECOND / 20);
    unsigned taken = 0;
    for (int i = 1; i <= 1000; i++)
        taken += bucket_take(&bucket, &rate, now + i * 10000) == 0;
    assert_int_equal(taken, 100);
    assert_false(bucket_is_full(&bucket, now + 10 * SECOND));
    assert_true(bucket_is_full(&bucket, now + 13 * SECOND));
}

static void a_clock_that_was_set_back_locks_nobody_out(void **state)
{
    (void)state;
    bucket_t bucket = {0};
    bucket_rate_t rate = bucket_rate(1, 1);
    assert_int_equal(bucket_take(&bucket, &rate, 1000 * (int64_t)SECOND), 0);
    assert_int_equal(bucket_take(&bucket, &rate, 5 * (int64_t)SECOND), 0);
    assert_int_equal(bucket_take(&bucket, &rate, 5 * (int64_t)SECOND), SECOND);
}

static void extreme_rates_are_rates(void **state)
{
    (void)state;
    for (unsigned per_second = 1; per_second <= 1000000; per_second = per_second * 7 + 1) {
        bucket_rate_t rate = bucket_rate(per_second, 5);
        assert_true(rate.token_us >= 1 && rate.depth_us >= rate.token_us);
    }
}

static void ipv6_clients_count_by_64(void **state)
{
    (void)state;
    assert_true(is_one_client("2001:db8:1:2::1", "2001:db8:1:2:ffff:ffff:ffff:ffff"));
    assert_false(is_one_client("2001:db8:1:2::1", "2001:db8:1:3::1"));
    assert_false(is_one_client("192.0.2.1", "192.0.2.2"));
    assert_true(is_one_client("::ffff:192.0.2.1", "192.0.2.1"));
    assert_false(is_one_client("::ffff:192.0.2.1", "::ffff:192.0.2.2"));
}

static void connections_in_all(void **state)
{
    (void)state;
    limits_config_t config = {.connections = 3};
    limits_t *limits = limits_new(&config, 1);
    limits_slot_t *slots[3], *none = NULL;
    for (int i = 0; i < 3; i++)
        assert_int_equal(limits_open(limits, address_of("192.0.2.1"), SECOND, &slots[i]), REFUSALS);
    assert_int_equal(limits_open(limits, address_of("192.0.2.2"), SECOND, &none), REFUSED_CONNECTIONS);
    assert_null(none);
    limits_close(limits, slots[0]);
    assert_int_equal(limits_open(limits, address_of("192.0.2.2"), SECOND, &slots[0]), REFUSALS);
    for (int i = 0; i < 3; i++)
        limits_close(limits, slots[i]);
    assert_int_equal(limits_connections(limits), 0);
    limits_free(&limits);
}

static void connections_of_one_address(void **state)
{
    (void)state;
    limits_config_t config = {.connections = 100, .connections_per_address = 2};
    limits_t *limits = limits_new(&config, 2);
    limits_slot_t *a[2], *b, *none;
    for (int i = 0; i < 2; i++)
        assert_int_equal(limits_open(limits, address_of("2001:db8::1"), SECOND, &a[i]), REFUSALS);
    assert_int_equal(limits_open(limits, address_of("2001:db8::2"), SECOND, &none), REFUSED_ADDRESS);
    assert_int_equal(limits_open(limits, address_of("192.0.2.1"), SECOND, &b), REFUSALS);
    assert_int_equal(limits_connections(limits), 3);
    limits_close(limits, a[0]);
    assert_int_equal(limits_open(limits, address_of("2001:db8::3"), SECOND, &a[0]), REFUSALS);
    limits_close(limits, a[0]);
    limits_close(limits, a[1]);
    limits_close(limits, b);
    limits_free(&limits);
}

static void new_connections_per_second_are_remembered_after_the_last_closed(void **state)
{
    (void)state;
    limits_config_t config = {.connections = 100, .opens_per_second = 2};
    limits_t *limits = limits_new(&config, 3);
    unsigned opened = 0;
    for (int i = 0; i < 1000; i++) { /* within one second */
        limits_slot_t *slot;
        refusal_t refusal =
            limits_open(limits, address_of("192.0.2.1"), 50 * (int64_t)SECOND + i * 1000, &slot);
        if (refusal == REFUSALS) {
            opened++;
            limits_close(limits, slot);
        } else
            assert_int_equal(refusal, REFUSED_OPENS);
    }
    assert_in_range(opened, 10, 12);
    limits_free(&limits);
}

static void requests_per_second(void **state)
{
    (void)state;
    limits_config_t config = {.connections = 100, .requests_per_second = 5};
    limits_t *limits = limits_new(&config, 4);
    limits_slot_t *one, *same, *other;
    int64_t now = 77 * (int64_t)SECOND;
    assert_int_equal(limits_open(limits, address_of("192.0.2.1"), now, &one), REFUSALS);
    assert_int_equal(limits_open(limits, address_of("192.0.2.1"), now, &same), REFUSALS);
    assert_int_equal(limits_open(limits, address_of("192.0.2.2"), now, &other), REFUSALS);
    for (int i = 0; i < 50; i++)
        assert_int_equal(limits_request(limits, i % 2 ? one : same, now), 0);
    assert_int_equal(limits_request(limits, one, now), 1);
    assert_int_equal(limits_request(limits, same, now), 1);
    assert_int_equal(limits_request(limits, other, now), 0);
    assert_int_equal(limits_request(limits, one, now + SECOND), 0);
    limits_close(limits, one);
    limits_close(limits, same);
    limits_close(limits, other);
    limits_free(&limits);
}

/* Addresses whose connections are open keep their slots, however many others come; a table that is full of
 * such refuses. */
static void many_addresses(void **state)
{
    (void)state;
    enum { CONNECTIONS = 2000 };
    limits_config_t config = {.connections = CONNECTIONS, .connections_per_address = 1};
    limits_t *limits = limits_new(&config, 5);
    limits_slot_t *slots[CONNECTIONS], *none;
    for (uint32_t i = 0; i < CONNECTIONS; i++) {
        limits_address_t address = {1, i};
        assert_int_equal(limits_open(limits, address, SECOND, &slots[i]), REFUSALS);
    }
    limits_close(limits, slots[0]);
    for (uint32_t i = 0; i < 100000; i++) {
        limits_slot_t *slot;
        limits_address_t address = {2, i};
        if (limits_open(limits, address, SECOND, &slot) == REFUSALS)
            limits_close(limits, slot);
    }
    for (uint32_t i = 1; i < CONNECTIONS; i++) {
        limits_address_t address = {1, i};
        assert_int_equal(limits_open(limits, address, SECOND, &none), REFUSED_ADDRESS);
        limits_close(limits, slots[i]);
    }
    limits_free(&limits);
}

static void *open_and_close(void *context)
{
    limits_t *limits = context;
    for (int i = 0; i < 20000; i++) {
        limits_slot_t *slot;
        limits_address_t address = {7, (uint64_t)i % 50};
        if (limits_open(limits, address, SECOND, &slot) != REFUSALS)
            continue;
        limits_request(limits, slot, SECOND);
        limits_close(limits, slot);
    }
    return NULL;
}

static void many_threads(void **state)
{
    (void)state;
    limits_config_t config = {.connections = 100,
                              .connections_per_address = 2,
                              .opens_per_second = 1000,
                              .requests_per_second = 10};
    limits_t *limits = limits_new(&config, 6);
    pthread_t threads[4];
    for (int i = 0; i < 4; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, open_and_close, limits), 0);
    for (int i = 0; i < 4; i++)
        pthread_join(threads[i], NULL);
    assert_int_equal(limits_connections(limits), 0);
    limits_free(&limits);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_full_bucket_holds_its_depth_and_then_what_comes),
        cmocka_unit_test(a_clock_that_was_set_back_locks_nobody_out),
        cmocka_unit_test(extreme_rates_are_rates),
        cmocka_unit_test(ipv6_clients_count_by_64),
        cmocka_unit_test(connections_in_all),
        cmocka_unit_test(connections_of_one_address),
        cmocka_unit_test(new_connections_per_second_are_remembered_after_the_last_closed),
        cmocka_unit_test(requests_per_second),
        cmocka_unit_test(many_addresses),
        cmocka_unit_test(many_threads),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
