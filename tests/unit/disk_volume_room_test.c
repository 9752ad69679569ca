/* Room in a volume: its size is a bound, the oldest segment's slot is used again, and what is asked for most
 * is written once more before. */
#include "tests/unit/volume_life.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

enum { SEGMENTS = 5, FIRST_SEGMENT = 100 };

static bool find(life_t *life, uint64_t number, disk_place_t *place)
{
    ledger_hash_t name = life_name(number);
    return disk_index_find(life->index, &name, false, place);
}

/* Puts numbers from *next on, each once, until so many segments have been begun. */
static void fill(life_t *life, uint64_t *next, unsigned segments)
{
    disk_place_t place;
    int last = -1;
    for (unsigned begun = 0; begun <= segments; ++*next) {
        assert_true(life_put(life, *next, 1));
        assert_true(volume_flush(life->volume));
        assert_true(find(life, *next, &place));
        begun += place.segment != last;
        last = place.segment;
    }
}

/* Bounds. ------------------------------------------------------------------------------------------------ */

static void the_size_is_a_bound_at_every_call(void **state)
{
    (void)state;
    life_t life;
    life_start(&life, platter_new(7), SEGMENTS);
    for (uint64_t number = 1; number <= 1000; number++) {
        assert_true(life_put(&life, number, 1));
        assert_in_range(platter_bytes(life.medium), 0, life.config.size);
        assert_int_equal(platter_bytes(life.medium), volume_bytes(life.volume));
    }
    assert_int_equal(volume_segments(life.volume), SEGMENTS);
    assert_true(volume_flush(life.volume));
    assert_int_equal(life_read(&life, 1000), 1);
    assert_int_equal(life_read(&life, 1), 0);
    assert_in_range(disk_index_records(life.index), 20, 300);
    life_finish(&life);
}

static void the_newest_stay(void **state)
{
    (void)state;
    life_t life;
    life_start(&life, platter_new(7), SEGMENTS);
    uint64_t next = 1;
    fill(&life, &next, 12);
    for (int i = 0; i < 2; i++) {
        bool found = false;
        uint64_t oldest = next;
        for (uint64_t number = 1; number < next; number++) {
            bool there = life_read(&life, number) == 1;
            assert_true(there || !found); /* none is missing behind the first */
            if (there && !found)
                oldest = number;
            found = found || there;
        }
        assert_in_range(next - oldest, 60, 300);
        life_die(&life, false, SEGMENTS);
    }
    life_finish(&life);
}

/* A serial names one life of one slot. */
static void serials_are_never_used_again(void **state)
{
    (void)state;
    life_t life;
    life_start(&life, platter_new(7), SEGMENTS);
    uint64_t next = 1, before = 0;
    for (int i = 0; i < 12; i++) {
        disk_place_t place;
        record_address_t address;
        uint64_t offset;
        int file;
        fill(&life, &next, 1);
        assert_true(find(&life, next - 1, &place));
        assert_true(volume_where(life.volume, &place, &file, &offset, &address));
        assert_true(address.serial > before);
        before = address.serial;
        if (i % 3 == 2)
            life_die(&life, false, SEGMENTS);
    }
    life_finish(&life);
}

/* Before the first byte. --------------------------------------------------------------------------------- */

static life_t *watched;
static ssize_t (*write_below)(void *context, int file, const void *bytes, size_t length, uint64_t offset);
static unsigned headers_seen;
static disk_place_t places_seen[401];

/* Neither what can be found, nor what could be, leads to where a new life of a slot begins. */
static ssize_t write_watched(void *context, int file, const void *bytes, size_t length, uint64_t offset)
{
    record_address_t address;
    uint64_t at;
    int where;
    if (offset == 0 && length == SEGMENT_HEADER_BYTES) {
        headers_seen++;
        for (uint64_t number = 1; number <= 400; number++) {
            disk_place_t place;
            if (find(watched, number, &place) && volume_where(watched->volume, &place, &where, &at, &address))
                assert_true(where != file);
            if (places_seen[number].units > 0 &&
                volume_where(watched->volume, &places_seen[number], &where, &at, &address))
                assert_true(where != file);
        }
    }
    return write_below(context, file, bytes, length, offset);
}

static void what_is_overwritten_can_no_longer_be_found(void **state)
{
    (void)state;
    life_t life;
    platter_t *medium = platter_new(7);
    volume_config_t config = life_config(medium, SEGMENTS);
    watched = &life;
    write_below = config.io.write;
    config.io.write = write_watched;
    headers_seen = 0;
    assert_true(life_begin(&life, medium, &config));
    memset(places_seen, 0, sizeof places_seen);
    for (uint64_t number = 1; number <= 400; number++) {
        assert_true(life_put(&life, number, 1));
        assert_true(volume_flush(life.volume));
        assert_true(find(&life, number, &places_seen[number]));
    }
    assert_in_range(headers_seen, SEGMENTS + 3, 100);
    life_finish(&life);
}

/* Who found it before, reads what does not verify. */
static void a_place_of_before_leads_to_nothing(void **state)
{
    (void)state;
    life_t life;
    life_start(&life, platter_new(7), SEGMENTS);
    uint64_t next = 1;
    fill(&life, &next, 1);
    disk_place_t place;
    assert_true(find(&life, 1, &place));
    fill(&life, &next, SEGMENTS);
    record_address_t address;
    record_t record;
    uint64_t offset;
    uint8_t header[RECORD_HEADER_BYTES];
    int file;
    assert_true(volume_where(life.volume, &place, &file, &offset, &address));
    assert_true(life_read_bytes(&life, file, header, sizeof header, offset));
    bool parsed = record_header_parse(header, sizeof header, &address, &record);
    assert_true(!parsed || record.name.low != life_name(1).low);
    life_finish(&life);
}

/* What is asked for most. -------------------------------------------------------------------------------- */

/* The numbers that were put into the segment of number 1. */
static uint64_t last_beside_first(life_t *life)
{
    disk_place_t first, place;
    uint64_t number = 1;
    assert_true(find(life, 1, &first));
    while (find(life, number + 1, &place) && place.segment == first.segment)
        number++;
    return number;
}

static void ask(life_t *life, uint64_t number, int times)
{
    for (int i = 0; i < times; i++)
        assert_int_equal(life_read(life, number), 1);
}

static void what_is_asked_for_is_written_again(void **state)
{
    (void)state;
    life_t life;
    life_start(&life, platter_new(7), SEGMENTS);
    uint64_t next = 1;
    fill(&life, &next, SEGMENTS - 2); /* one slot is left */
    ask(&life, 2, 1);
    fill(&life, &next, 2); /* and the first one has been used again */
    assert_int_equal(volume_moved(life.volume), 1);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(life_read(&life, 1), 0);
        assert_int_equal(life_read(&life, 2), 1); /* stamp and version, too */
        assert_int_equal(life_read(&life, 3), 0);
        life_die(&life, false, SEGMENTS);
    }
    life_finish(&life);
}

/* All of a segment is hot: a quarter of it is moved, and those that are asked for most. */
static void at_most_a_quarter_is_written_again_the_hottest_first(void **state)
{
    (void)state;
    life_t life;
    life_start(&life, platter_new(7), SEGMENTS);
    uint64_t next = 1;
    fill(&life, &next, SEGMENTS - 2);
    uint64_t last = last_beside_first(&life);
    assert_in_range(last, 12, 100);
    disk_place_t places[101];
    for (uint64_t number = 1; number <= last; number++) {
        ask(&life, number, number % 4 == 0 ? 3 : 1);
        assert_true(find(&life, number, &places[number]));
    }
    fill(&life, &next, 2);
    uint64_t bytes = 0, moved = 0;
    for (uint64_t number = 1; number <= last; number++) {
        disk_place_t place;
        bool there = find(&life, number, &place);
        bytes += there ? (uint64_t)place.units * DISK_UNIT : 0;
        moved += there;
    }
    assert_int_equal(volume_moved(life.volume), moved);
    assert_in_range(bytes, LIFE_SEGMENT / 8, LIFE_SEGMENT / 4);
    for (uint64_t number = 4; number <= last; number += 4) /* only what did not fit is left out */
        assert_true(find(&life, number, &places[0]) ||
                    bytes + (uint64_t)places[number].units * DISK_UNIT > LIFE_SEGMENT / 4);
    life_finish(&life);
}

/* The later edition is in the buffer, and the index does not know of it yet. */
static void what_is_about_to_be_replaced_is_not_written_again(void **state)
{
    (void)state;
    life_t life;
    life_start(&life, platter_new(7), SEGMENTS);
    uint64_t next = 1, last;
    fill(&life, &next, SEGMENTS - 2);
    last = last_beside_first(&life);
    for (uint64_t number = 1; number <= last; number++)
        ask(&life, number, 1);
    while (volume_segments(life.volume) <
           SEGMENTS) /* until number 1 is written again, with the first of the next */
        assert_true(life_put(&life, next++, 1));
    assert_true(life_put(&life, 2, 100)); /* number 2 would be next */
    assert_true(volume_flush(life.volume));
    assert_int_equal(volume_moved(life.volume), 2);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(life_read(&life, 2), 100);
        life_die(&life, false, SEGMENTS);
    }
    life_finish(&life);
}

static void what_is_buried_is_not_written_again(void **state)
{
    (void)state;
    life_t life;
    life_start(&life, platter_new(7), SEGMENTS);
    uint64_t next = 1;
    fill(&life, &next, SEGMENTS - 2);
    ask(&life, 2, 3);
    ask(&life, 3, 3);
    assert_true(life_bury(&life, 2));
    fill(&life, &next, 3 * SEGMENTS);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(life_read(&life, 2), 0);
        life_die(&life, false, SEGMENTS);
    }
    life_finish(&life);
}

static void what_is_damaged_is_not_written_again(void **state)
{
    (void)state;
    life_t life;
    life_start(&life, platter_new(7), SEGMENTS);
    uint64_t next = 1;
    disk_place_t place;
    fill(&life, &next, SEGMENTS - 2);
    ask(&life, 2, 1);
    ask(&life, 3, 1);
    assert_true(find(&life, 2, &place));
    platter_file(life.medium, "segment-00000")->data[(size_t)place.unit * DISK_UNIT + 130] ^= 1;
    fill(&life, &next, 2);
    assert_int_equal(volume_moved(life.volume), 1);
    assert_int_equal(life_read(&life, 2), 0);
    assert_int_equal(life_read(&life, 3), 1);
    life_finish(&life);
}

/* A segment whose footer cannot be read any more is used again all the same. */
static void a_footer_that_is_gone_leaves_no_entry_behind(void **state)
{
    (void)state;
    life_t life;
    life_start(&life, platter_new(7), SEGMENTS);
    uint64_t next = 1;
    fill(&life, &next, SEGMENTS - 1);
    uint64_t last = last_beside_first(&life);
    platter_file(life.medium, "segment-00000")->data[LIFE_SEGMENT - 200] ^= 1;
    fill(&life, &next, 1);
    disk_place_t place;
    for (uint64_t number = 1; number <= last; number++)
        assert_false(find(&life, number, &place));
    life_finish(&life);
}

/* Other sizes. ------------------------------------------------------------------------------------------- */

static void a_volume_that_is_made_smaller_keeps_the_newest(void **state)
{
    (void)state;
    life_t life;
    life_start(&life, platter_new(7), SEGMENTS);
    uint64_t next = 1;
    assert_true(life_put(&life, next++, 1));
    assert_true(life_bury(&life, 1));
    fill(&life, &next, SEGMENTS + 1); /* the newest stand in the first slots */
    platter_t *medium = life.medium;
    life_end(&life);
    for (int i = 0; i < 2; i++) {
        life_start(&life, medium, 3);
        assert_in_range(volume_segments(life.volume), 2, 3);
        assert_in_range(platter_bytes(medium), 0, life.config.size);
        assert_int_equal(life_read(&life, 1), 0);
        for (uint64_t number = next - 30; number < next; number++)
            assert_int_equal(life_read(&life, number), 1);
        life_end(&life);
    }
    life_start(&life, medium, 3);
    uint64_t more = next;
    fill(&life, &more, 4);
    assert_in_range(platter_bytes(medium), 0, life.config.size);
    life_finish(&life);
}

/* Its oldest segments stand in the last slots, so that none need be renamed. */
static void what_a_smaller_volume_let_go_of_does_not_come_back_with_the_power(void **state)
{
    (void)state;
    enum { SMALLER = 3, TRIES = 20 };
    for (uint64_t i = 0; i < TRIES; i++) {
        life_t life;
        disk_place_t place;
        life_start(&life, platter_new(i), SEGMENTS);
        uint64_t next = 1, old = 1;
        fill(&life, &next, SEGMENTS + SMALLER - 1);
        while (!find(&life, old, &place) || place.segment < FIRST_SEGMENT + SMALLER)
            old++;
        platter_t *medium = life.medium;
        life_end(&life);
        life_start(&life, medium, SMALLER);
        life_crash(&life, true);
        life_start(&life, medium, SEGMENTS);
        assert_int_equal(life_read(&life, old), 0);
        life_finish(&life);
    }
}

static void a_volume_that_is_made_larger_keeps_all(void **state)
{
    (void)state;
    life_t life;
    life_start(&life, platter_new(7), 3);
    uint64_t next = 1;
    fill(&life, &next, 5);
    platter_t *medium = life.medium;
    uint64_t records = disk_index_records(life.index);
    life_end(&life);
    life_start(&life, medium, SEGMENTS);
    assert_int_equal(disk_index_records(life.index), records);
    fill(&life, &next, 2);
    assert_int_equal(volume_segments(life.volume), SEGMENTS);
    assert_true(disk_index_records(life.index) > records);
    life_finish(&life);
}

/* The file system is full before the volume is: it goes on with the slots that it has. */
static void on_a_full_file_system_it_goes_on_with_what_it_has(void **state)
{
    (void)state;
    life_t life;
    platter_t *medium = platter_new(7);
    volume_config_t config = life_config(medium, 20);
    assert_true(life_begin(&life, medium, &config));
    uint64_t next = 1;
    fill(&life, &next, 4);
    medium->room = medium->taken + 1000;
    unsigned dropped = 0;
    for (; next < 600; next++)
        dropped += !life_put(&life, next, 1);
    volume_flush(life.volume);
    volume_failure_t failure = volume_failure(life.volume);
    assert_false(failure.broken);
    assert_int_equal(failure.number, ENOSPC);
    assert_in_range(failure.count, 1, 20);
    assert_in_range(dropped, 0, 20);
    for (uint64_t number = next - 30; number < next; number++)
        assert_int_equal(life_read(&life, number), 1);
    assert_in_range(volume_segments(life.volume), 3, 6);
    life_finish(&life);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_size_is_a_bound_at_every_call),
        cmocka_unit_test(the_newest_stay),
        cmocka_unit_test(serials_are_never_used_again),
        cmocka_unit_test(what_is_overwritten_can_no_longer_be_found),
        cmocka_unit_test(a_place_of_before_leads_to_nothing),
        cmocka_unit_test(what_is_asked_for_is_written_again),
        cmocka_unit_test(at_most_a_quarter_is_written_again_the_hottest_first),
        cmocka_unit_test(what_is_about_to_be_replaced_is_not_written_again),
        cmocka_unit_test(what_is_buried_is_not_written_again),
        cmocka_unit_test(what_is_damaged_is_not_written_again),
        cmocka_unit_test(a_footer_that_is_gone_leaves_no_entry_behind),
        cmocka_unit_test(a_volume_that_is_made_smaller_keeps_the_newest),
        cmocka_unit_test(what_a_smaller_volume_let_go_of_does_not_come_back_with_the_power),
        cmocka_unit_test(a_volume_that_is_made_larger_keeps_all),
        cmocka_unit_test(on_a_full_file_system_it_goes_on_with_what_it_has),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
