/* What was fetched and thrown away: counted for a minute, for each name apart. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "edge/limits/waste.h"

static const int64_t second = 1000000;
static const waste_name_t somebody = {1, 2}, other = {1, 3};

static void a_minute_begins_with_its_first_bytes(void **state)
{
    (void)state;
    waste_t *waste = waste_new(7);
    assert_int_equal(waste_wait(waste, somebody, 100, 0), 0);
    waste_add(waste, somebody, 99, 5 * second);
    assert_int_equal(waste_wait(waste, somebody, 100, 5 * second), 0);
    waste_add(waste, somebody, 1, 15 * second);
    assert_int_equal(waste_bytes(waste, somebody, 15 * second), 100);
    assert_int_equal(waste_wait(waste, somebody, 100, 15 * second), 50);
    assert_int_equal(waste_wait(waste, somebody, 101, 15 * second), 0);
    assert_int_equal(waste_wait(waste, somebody, 0, 15 * second), 0); /* no limit */
    assert_int_equal(waste_wait(waste, other, 100, 15 * second), 0);
    assert_int_equal(waste_wait(waste, somebody, 100, 65 * second - 1), 1);
    assert_int_equal(waste_wait(waste, somebody, 100, 65 * second), 0);
    assert_int_equal(waste_bytes(waste, somebody, 65 * second), 0);
    waste_add(waste, somebody, 0, 66 * second); /* begins nothing */
    waste_add(waste, somebody, 5, 70 * second);
    assert_int_equal(waste_bytes(waste, somebody, 129 * second), 5);
    waste_free(&waste);
}

/* Whoever has wasted much is remembered, however many others come. */
static void the_worst_are_not_forgotten(void **state)
{
    (void)state;
    waste_t *waste = waste_new(7);
    for (uint64_t i = 0; i < 100; i++)
        waste_add(waste, (waste_name_t){i, 0}, 1000000, second);
    for (uint64_t i = 0; i < 100000; i++)
        waste_add(waste, (waste_name_t){i, 1}, 10, second);
    for (uint64_t i = 0; i < 100; i++)
        assert_int_equal(waste_bytes(waste, (waste_name_t){i, 0}, second), 1000000);
    waste_free(&waste);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_minute_begins_with_its_first_bytes),
        cmocka_unit_test(the_worst_are_not_forgotten),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
