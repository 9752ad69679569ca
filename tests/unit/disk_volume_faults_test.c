/* The volume on media that are damaged and calls that fail: a miss and a counter each time, never a wrong
 * byte, and nothing that was replaced or buried. */
#include "tests/unit/volume_life.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

/* Each byte of a segment. -------------------------------------------------------------------------------- */

enum { RECORDS = 64, SMALL = 600, LARGE = 1000 };

/* What stands where in the segment: by the numbers of its records. */
typedef struct {
    uint64_t bytes; /* of the segment */
    size_t lengths[RECORDS + 1];
    uint8_t *records[RECORDS + 1];
} layout_t;

static volume_config_t config_for(medium_t *medium, uint64_t segment_bytes)
{
    volume_config_t config = life_config(medium, 2);
    config.segment_bytes = segment_bytes;
    config.size = 4096 + 3 * segment_bytes;
    return config;
}

/* So large that so many records just fit, with two names that are buried. */
static uint64_t size_for_records(void)
{
    uint64_t bytes = SEGMENT_HEADER_BYTES + DISK_UNIT + SEGMENT_TRAILER_BYTES + 2 * FOOTER_ENTRY_BYTES;
    for (uint64_t number = 1; number <= RECORDS; number++) {
        edition_t made = life_edition(number, 1, SMALL);
        volume_record_t record = life_record(&made);
        bytes += (uint64_t)record_units(&record.record) * DISK_UNIT + FOOTER_ENTRY_BYTES;
        free(made.meta);
    }
    return (bytes + 4095) / 4096 * 4096;
}

/* From this number on the first whose record does not fit into the rest of a page. */
static uint64_t large_number(uint64_t number)
{
    for (;; number++) {
        edition_t made = life_edition(number, 1, 20000);
        size_t length = made.body_length;
        free(made.meta);
        if (length > 6000)
            return number;
    }
}

static void begin_first(life_t *life)
{
    assert_true(life_put_told(life, 201, 1, SMALL, (told_t){0}));
    assert_true(life_put_told(life, 1, 7, SMALL, (told_t){0}));
    assert_true(volume_flush(life->volume));
}

/* An older segment with an edition of number 1 and a number 201; then a sealed one with 64 records, that
 * replaces the one and buries the other; then the beginning of a third. */
static medium_t *make_segments(uint64_t segment_bytes)
{
    life_t life;
    medium_t *medium = medium_new(5);
    volume_config_t config = config_for(medium, segment_bytes);
    assert_true(life_begin(&life, medium, &config));
    begin_first(&life);
    for (uint64_t number = LARGE; volume_segments(life.volume) < 2; number++)
        assert_true(life_put_told(&life, large_number(number), 1, 20000, (told_t){0}));
    life_end(&life);

    /* The first record of the second is not one of the 64: it goes. */
    char name[] = "segment-00001";
    disk_io_t io = medium_io(medium);
    assert_int_equal(io.unlink(io.context, name), 0);
    assert_true(life_begin(&life, medium, &config));
    life_bury(&life, 201);
    life_bury(&life, 202);
    for (uint64_t number = 1; number <= RECORDS; number++)
        assert_true(life_put_told(&life, number, 1, SMALL, (told_t){0}));
    assert_true(volume_flush(life.volume));
    assert_int_equal(volume_segments(life.volume), 2);
    assert_true(life_put_told(&life, large_number(LARGE + 500), 1, 20000, (told_t){0}));
    assert_int_equal(volume_segments(life.volume), 3);
    life_end(&life);
    medium_kill(medium);
    return medium;
}

/* A read that is judged by what stood there, which is faster than by what it says. */
static bool read_right(life_t *life, const layout_t *layout, uint64_t number)
{
    static uint8_t bytes[64 * DISK_UNIT];
    ledger_hash_t name = life_name(number);
    disk_place_t place;
    record_address_t address;
    record_t record;
    uint64_t offset;
    int file;
    if (!disk_index_find(life->index, &name, true, &place) ||
        !volume_where(life->volume, &place, &file, &offset, &address))
        return false;
    size_t length = (size_t)place.units * DISK_UNIT;
    if (length > sizeof bytes || !life_read_bytes(life, file, bytes, length, offset) ||
        !life_verify(bytes, length, &address, &name, &record))
        return false;
    MUST(length == layout->lengths[number]);
    MUST(memcmp(bytes, layout->records[number], RECORD_HEADER_BYTES + record.meta_bytes) == 0);
    size_t body = (size_t)record_meta_units(&record) * DISK_UNIT;
    MUST(memcmp(bytes + body, layout->records[number] + body, record.body_bytes) == 0);
    return true;
}

static layout_t note_layout(medium_t *medium, const volume_config_t *config)
{
    life_t life;
    layout_t layout = {.bytes = config->segment_bytes};
    assert_true(life_begin(&life, medium, config));
    for (uint64_t number = 1; number <= RECORDS; number++) {
        ledger_hash_t name = life_name(number);
        disk_place_t place;
        assert_int_equal(life_read(&life, number), 1);
        assert_true(disk_index_find(life.index, &name, false, &place));
        layout.lengths[number] = (size_t)place.units * DISK_UNIT;
        layout.records[number] = must_alloc(layout.lengths[number]);
        memcpy(layout.records[number],
               medium_file(medium, "segment-00001")->data + (size_t)place.unit * DISK_UNIT,
               layout.lengths[number]);
    }
    assert_int_equal(life_read(&life, 201), 0);
    life_end(&life);
    return layout;
}

/* How many of the 64 are hits. */
static unsigned start_and_read(medium_t *medium, const volume_config_t *config, const layout_t *layout)
{
    life_t life;
    unsigned hits = 0;
    MUST(life_begin(&life, medium, config));
    for (uint64_t number = 1; number <= RECORDS; number++)
        hits += read_right(&life, layout, number);
    MUST(life_read(&life, 201) == 0);
    volume_close(&life.volume);
    disk_index_free(&life.index);
    return hits;
}

/* A segment whose trailer was flipped has been sealed anew. */
static void restore(medium_t *medium, const uint8_t *pristine, uint64_t segment_bytes, uint64_t at)
{
    uint8_t *data = medium_file(medium, "segment-00001")->data;
    bool written = false;
    for (size_t i = 0; i < medium->log_count; i++)
        written = written || medium->log[i].kind == MEDIUM_WRITES;
    if (written)
        assert_memory_equal(data, pristine, segment_bytes);
    data[at] = pristine[at];
}

/* Of a byte that nothing is said by, all are hits; else at most the record that it is of is a miss. */
static void each_byte_of_a_segment_is_flipped(void **state)
{
    (void)state;
    uint64_t segment_bytes = size_for_records();
    medium_t *medium = make_segments(segment_bytes);
    volume_config_t config = config_for(medium, segment_bytes);
    layout_t layout = note_layout(medium, &config);
    uint64_t misses = 0, flips = 0;
    uint8_t *pristine = must_alloc(segment_bytes);
    memcpy(pristine, medium_file(medium, "segment-00001")->data, segment_bytes);
    for (uint64_t at = 0; at < segment_bytes; at++) {
        uint8_t *byte = &medium_file(medium, "segment-00001")->data[at];
        uint8_t mask = (uint8_t)(1u << (life_mix(at, 3) % 8));
        *byte ^= mask;
        medium->log_count = 0;
        unsigned hits = start_and_read(medium, &config, &layout);
        assert_in_range(hits, RECORDS - 1, RECORDS);
        misses += RECORDS - hits;
        flips++;
        restore(medium, pristine, segment_bytes, at);
    }
    assert_int_equal(flips, segment_bytes);
    assert_in_range(misses, segment_bytes / 8, segment_bytes);
    for (size_t i = 1; i <= RECORDS; i++)
        free(layout.records[i]);
    free(pristine);
    medium_free(&medium);
}

/* Calls that fail. --------------------------------------------------------------------------------------- */

enum { SEGMENTS = 4, NUMBERS = 24, OPERATIONS = 260 };

typedef struct {
    medium_fault_t fault;
    int number;
    bool for_ever;
} trouble_t;

/* What may be found of each number: its last edition, unless it was dropped or buried since. */
typedef struct {
    life_t life;
    medium_t *medium;
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
                  (told_t){&story->revoked[story->edition], note_dropped, &story->dropped});
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
    story_t story = {.medium = medium_new(fail_at + 11)};
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
    medium_kill(story.medium);
    story.hits = 0;
    open_story(&story);
    assert_true(story.alive);
    read_story(&story, !(story.broken && trouble->for_ever));
    if (fail_at == 0) {
        assert_int_equal(story.dropped, 0);
        assert_in_range(story.hits, NUMBERS / 2, NUMBERS);
    }
    close_story(&story);
    medium_free(&story.medium);
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
    a_call_fails(&(trouble_t){MEDIUM_ERROR, EIO, false});
}

static void enospc_at_each_call(void **state)
{
    (void)state;
    a_call_fails(&(trouble_t){MEDIUM_ERROR, ENOSPC, false});
}

static void each_write_is_cut_short(void **state)
{
    (void)state;
    a_call_fails(&(trouble_t){MEDIUM_SHORT, ENOSPC, false});
}

static void eio_from_each_call_on(void **state)
{
    (void)state;
    a_call_fails(&(trouble_t){MEDIUM_ERROR, EIO, true});
}

static void enospc_from_each_call_on(void **state)
{
    (void)state;
    a_call_fails(&(trouble_t){MEDIUM_ERROR, ENOSPC, true});
}

/* Reads and writes that do parts are no failures. */
static void parts_are_put_together(void **state)
{
    (void)state;
    story_t story = {.medium = medium_new(3)};
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
    medium_free(&story.medium);
}

/* Failures in a row. ------------------------------------------------------------------------------------- */

static void what_cannot_be_written_is_counted_and_dropped_and_the_next_is_kept(void **state)
{
    (void)state;
    story_t story = {.medium = medium_new(3)};
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
    medium_free(&story.medium);
}

/* What should have been buried would come back: rather nothing does. */
static void a_broken_volume_that_could_not_bury_is_disowned(void **state)
{
    (void)state;
    story_t story = {.medium = medium_new(3)};
    open_story(&story);
    put_story(&story, 1);
    put_story(&story, 2);
    volume_flush(story.life.volume);
    story.medium->room = 1; /* no file gets any more */
    medium_change_length(story.medium, medium_file(story.medium, "segment-00000"), 4096);
    life_bury(&story.life, 1);
    for (int i = 0; i < 10; i++)
        volume_flush(story.life.volume);
    assert_true(volume_failure(story.life.volume).broken);
    assert_int_equal(medium_find(story.medium, "directory"), -1);
    assert_false(life_put(&story.life, 5, 5));
    close_story(&story);
    story.medium->room = 0;
    open_story(&story);
    assert_true(story.alive);
    assert_int_equal(story.life.opening.outcome, VOLUME_NEW);
    assert_int_equal(life_read(&story.life, 1), 0);
    close_story(&story);
    medium_free(&story.medium);
}

/* Damage that is not known for what it is. --------------------------------------------------------------- */

/* Neither header nor trailer: what it replaced and buried is not known. */
static void a_segment_that_cannot_be_told_forgets_all(void **state)
{
    (void)state;
    uint64_t segment_bytes = size_for_records();
    medium_t *medium = make_segments(segment_bytes);
    volume_config_t config = config_for(medium, segment_bytes);
    medium_file(medium, "segment-00001")->data[3] ^= 1;
    medium_file(medium, "segment-00001")->data[segment_bytes - 3] ^= 1;
    life_t life;
    assert_true(life_begin(&life, medium, &config));
    assert_true(volume_forgotten(life.volume));
    assert_int_equal(disk_index_records(life.index), 0);
    life_end(&life);
    medium_free(&medium);
}

/* Neither footer nor all of its records: what is older counts for nothing. */
static void what_is_older_than_a_segment_that_cannot_be_read_is_forgotten(void **state)
{
    (void)state;
    uint64_t segment_bytes = size_for_records();
    medium_t *medium = make_segments(segment_bytes);
    volume_config_t config = config_for(medium, segment_bytes);
    medium_file(medium, "segment-00001")->data[SEGMENT_HEADER_BYTES + 20] ^= 1; /* its tombstones */
    medium_file(medium, "segment-00001")->data[segment_bytes - SEGMENT_TRAILER_BYTES - 20] ^= 1;
    life_t life;
    assert_true(life_begin(&life, medium, &config));
    assert_true(volume_forgotten(life.volume));
    assert_int_equal(life_read(&life, 201), 0);
    assert_int_equal(life_read(&life, 1), 0);
    assert_int_equal(life_read(&life, large_number(LARGE + 500)), 1);
    life_end(&life);
    medium_free(&medium);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_byte_of_a_segment_is_flipped),
        cmocka_unit_test(eio_at_each_call),
        cmocka_unit_test(enospc_at_each_call),
        cmocka_unit_test(each_write_is_cut_short),
        cmocka_unit_test(eio_from_each_call_on),
        cmocka_unit_test(enospc_from_each_call_on),
        cmocka_unit_test(parts_are_put_together),
        cmocka_unit_test(what_cannot_be_written_is_counted_and_dropped_and_the_next_is_kept),
        cmocka_unit_test(a_broken_volume_that_could_not_bury_is_disowned),
        cmocka_unit_test(a_segment_that_cannot_be_told_forgets_all),
        cmocka_unit_test(what_is_older_than_a_segment_that_cannot_be_read_is_forgotten),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
