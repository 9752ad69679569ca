/* What goes to disk: a name is seen when it was noted, is forgotten in the order they came, and hardly ever
 * taken for another. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <pthread.h>

#include "edge/cache/disk/admission.h"

static const uint64_t gib = (uint64_t)1 << 30;

static uint64_t mixed(uint64_t value)
{
    value += 0x9e3779b97f4a7c15u;
    value = (value ^ (value >> 30)) * 0xbf58476d1ce4e5b9u;
    value = (value ^ (value >> 27)) * 0x94d049bb133111ebu;
    return value ^ (value >> 31);
}

/* Notes names first to last; how many were seen. */
static size_t note(admission_t *admission, uint64_t first, uint64_t last)
{
    size_t seen = 0;
    for (uint64_t name = first; name < last; name++)
        seen += admission_seen(admission, mixed(name));
    return seen;
}

static void the_second_time_it_is_seen(void **state)
{
    (void)state;
    admission_t *admission = admission_new(64 * gib);
    for (uint64_t name = 0; name < 200; name++) {
        assert_false(admission_seen(admission, mixed(name)));
        assert_true(admission_seen(admission, mixed(name)));
        assert_true(admission_seen(admission, mixed(name)));
    }
    admission_free(&admission);
    assert_null(admission);
}

static void names_that_share_their_upper_or_their_lower_half_are_told_apart(void **state)
{
    (void)state;
    admission_t *admission = admission_new(gib);
    uint64_t name = (uint64_t)1 << 63 | 7;
    assert_false(admission_seen(admission, name));
    assert_false(admission_seen(admission, name + 1));
    assert_false(admission_seen(admission, name ^ (uint64_t)1 << 62));
    assert_false(admission_seen(admission, 0));
    assert_true(admission_seen(admission, 0));
    admission_free(&admission);
}

/* In a word of its own: the ninth pushes out the first, and being seen renews nothing. */
static void what_was_noted_first_is_forgotten_first(void **state)
{
    (void)state;
    admission_t *admission = admission_new(gib);
    for (uint64_t name = 0; name < 8; name++)
        assert_false(admission_seen(admission, name));
    for (uint64_t name = 0; name < 8; name++)
        assert_true(admission_seen(admission, name));
    assert_false(admission_seen(admission, 8));
    assert_true(admission_seen(admission, 1));
    assert_false(admission_seen(admission, 0));
    assert_false(admission_seen(admission, 1));
    assert_true(admission_seen(admission, 8));
    admission_free(&admission);
}

/* A byte for every 32 KiB of disk: what came half of that ago is mostly known, what came four times that ago
 * is not, and of the others one in 32 passes for seen. */
static void it_remembers_what_the_disk_can_hold(void **state)
{
    (void)state;
    static const uint64_t disks[] = {2, 8, 32};
    for (size_t disk = 0; disk < sizeof disks / sizeof *disks; disk++) {
        admission_t *admission = admission_new(disks[disk] * gib);
        uint64_t names = disks[disk] * gib / (32 * 1024);
        assert_in_range(admission_bytes(admission), names, names + 64);
        size_t of_nothing = note(admission, 0, names / 2);
        assert_true(of_nothing < names / 2 / 50);
        assert_true(note(admission, 0, names / 2) > names / 2 * 90 / 100);
        size_t mistaken = note(admission, names, 6 * names);
        assert_true(mistaken < 5 * names / 28 && mistaken > 5 * names / 40);
        assert_true(note(admission, 5 * names + names / 2, 6 * names) > names / 2 * 90 / 100);
        assert_true(note(admission, names, 2 * names) < names / 20);
        admission_free(&admission);
    }
}

static void it_is_bounded(void **state)
{
    (void)state;
    admission_t *least = admission_new(0), *most = admission_new(UINT64_MAX);
    assert_in_range(admission_bytes(least), 65536, 65536 + 64);
    assert_in_range(admission_bytes(most), 512 * 1024 * 1024, 512 * 1024 * 1024 + 64);
    assert_false(admission_seen(most, UINT64_MAX));
    assert_true(admission_seen(most, UINT64_MAX));
    admission_free(&least);
    admission_free(&most);
}

typedef struct {
    admission_t *admission;
    size_t unseen;
} race_t;

enum { RACE_NAMES = 20000 };

static void *race_note(void *context)
{
    race_t *race = context;
    race->unseen = RACE_NAMES - note(race->admission, 0, RACE_NAMES);
    return NULL;
}

/* Each name is new to one of them alone; nothing of what one notes is lost by what the other does. */
static void threads_take_nothing_from_each_other(void **state)
{
    (void)state;
    race_t races[2] = {{.admission = admission_new(64 * gib)}};
    races[1] = races[0];
    pthread_t threads[2];
    for (int i = 0; i < 2; i++)
        pthread_create(&threads[i], NULL, race_note, &races[i]);
    for (int i = 0; i < 2; i++)
        pthread_join(threads[i], NULL);
    assert_true(races[0].unseen + races[1].unseen <= RACE_NAMES);
    assert_int_equal(note(races[0].admission, 0, RACE_NAMES), RACE_NAMES);
    admission_free(&races[0].admission);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_second_time_it_is_seen),
        cmocka_unit_test(names_that_share_their_upper_or_their_lower_half_are_told_apart),
        cmocka_unit_test(what_was_noted_first_is_forgotten_first),
        cmocka_unit_test(it_remembers_what_the_disk_can_hold),
        cmocka_unit_test(it_is_bounded),
        cmocka_unit_test(threads_take_nothing_from_each_other),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
