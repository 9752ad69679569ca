/* The file that says which disks' directories may be believed. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "edge/cache/disk/members.h"

static const members_t some = {.ids = {7, UINT64_MAX, 1}, .count = 3, .sets = {11, 12}, .set_count = 2};

static void what_is_put_is_parsed(void **state)
{
    (void)state;
    uint8_t data[MEMBERS_BYTES];
    members_t found;
    const members_t few = {.sets = {5}, .set_count = 1};
    members_put(data, &some);
    assert_true(members_parse(data, sizeof data, &found));
    assert_memory_equal(&found, &some, sizeof some);
    assert_true(members_have(&found, 7) && members_have(&found, UINT64_MAX) && !members_have(&found, 0));
    members_put(data, &few);
    assert_true(members_parse(data, sizeof data, &found));
    assert_memory_equal(&found, &few, sizeof few);
}

static void each_byte_counts(void **state)
{
    (void)state;
    uint8_t data[MEMBERS_BYTES + 1] = {0};
    members_t found;
    members_put(data, &some);
    for (size_t i = 0; i < MEMBERS_BYTES; i++) {
        data[i] ^= 1;
        assert_false(members_parse(data, MEMBERS_BYTES, &found));
        data[i] ^= 1;
    }
    assert_false(members_parse(data, MEMBERS_BYTES - 1, &found));
    assert_false(members_parse(data, MEMBERS_BYTES + 1, &found));
    assert_false(members_parse(data, 0, &found));
    assert_true(members_parse(data, MEMBERS_BYTES, &found));
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(what_is_put_is_parsed),
                                       cmocka_unit_test(each_byte_counts)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
