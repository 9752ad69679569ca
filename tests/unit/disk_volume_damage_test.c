/* A segment of a volume that is damaged: each of its bytes once, and more of them at once. A miss each time,
 * never a wrong byte, and nothing that it replaced or buried. */
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

static volume_config_t config_for(platter_t *medium, uint64_t segment_bytes)
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
static platter_t *make_segments(uint64_t segment_bytes)
{
    life_t life;
    platter_t *medium = platter_new(5);
    volume_config_t config = config_for(medium, segment_bytes);
    assert_true(life_begin(&life, medium, &config));
    begin_first(&life);
    for (uint64_t number = LARGE; volume_segments(life.volume) < 2; number++)
        assert_true(life_put_told(&life, large_number(number), 1, 20000, (told_t){0}));
    life_end(&life);

    /* The first record of the second is not one of the 64: it goes. */
    char name[] = "segment-00001";
    disk_io_t io = platter_io(medium);
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
    platter_kill(medium);
    return medium;
}

/* The same without the third, so that nothing is written when it is opened. */
static platter_t *make_sealed(uint64_t segment_bytes)
{
    platter_t *medium = make_segments(segment_bytes);
    disk_io_t io = platter_io(medium);
    assert_int_equal(io.unlink(io.context, "segment-00002"), 0);
    assert_int_equal(io.sync_directory(io.context), 0);
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

static layout_t note_layout(platter_t *medium, const volume_config_t *config)
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
               platter_file(medium, "segment-00001")->data + (size_t)place.unit * DISK_UNIT,
               layout.lengths[number]);
    }
    assert_int_equal(life_read(&life, 201), 0);
    life_end(&life);
    return layout;
}

/* How many of the 64 are hits. */
static unsigned start_and_read(platter_t *medium, const volume_config_t *config, const layout_t *layout)
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

/* A segment whose trailer was flipped is gone on with: what stood behind its records was cut off. */
static void restore(platter_t *medium, const uint8_t *pristine, uint64_t segment_bytes, uint64_t at)
{
    platter_inode_t *segment = platter_file(medium, "segment-00001");
    assert_int_equal(segment->length, segment_bytes);
    if (medium->log_count > 1) /* than a sync of the directory */
        memcpy(segment->data, pristine, segment_bytes);
    segment->data[at] = pristine[at];
}

/* Of a byte that nothing is said by, all are hits; else at most the record that it is of is a miss. */
static void each_byte_of_a_segment_is_flipped(void **state)
{
    (void)state;
    uint64_t segment_bytes = size_for_records();
    platter_t *medium = make_sealed(segment_bytes);
    volume_config_t config = config_for(medium, segment_bytes);
    layout_t layout = note_layout(medium, &config);
    uint64_t misses = 0, flips = 0;
    uint8_t *pristine = must_alloc(segment_bytes);
    memcpy(pristine, platter_file(medium, "segment-00001")->data, segment_bytes);
    for (uint64_t at = 0; at < segment_bytes; at++) {
        uint8_t *byte = &platter_file(medium, "segment-00001")->data[at];
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
    platter_free(&medium);
}

/* Damage that is not known for what it is. --------------------------------------------------------------- */

/* Neither header nor trailer: what it replaced and buried is not known. */
static void a_segment_that_cannot_be_told_forgets_all(void **state)
{
    (void)state;
    uint64_t segment_bytes = size_for_records();
    platter_t *medium = make_segments(segment_bytes);
    volume_config_t config = config_for(medium, segment_bytes);
    platter_file(medium, "segment-00001")->data[3] ^= 1;
    platter_file(medium, "segment-00001")->data[segment_bytes - 3] ^= 1;
    life_t life;
    assert_true(life_begin(&life, medium, &config));
    assert_true(volume_forgotten(life.volume));
    assert_int_equal(disk_index_records(life.index), 0);
    life_end(&life);
    platter_free(&medium);
}

/* Neither footer nor all of its records: what is older counts for nothing. */
static void what_is_older_than_a_segment_that_cannot_be_read_is_forgotten(void **state)
{
    (void)state;
    uint64_t segment_bytes = size_for_records();
    platter_t *medium = make_segments(segment_bytes);
    volume_config_t config = config_for(medium, segment_bytes);
    platter_file(medium, "segment-00001")->data[SEGMENT_HEADER_BYTES + 20] ^= 1; /* its tombstones */
    platter_file(medium, "segment-00001")->data[segment_bytes - SEGMENT_TRAILER_BYTES - 20] ^= 1;
    life_t life;
    assert_true(life_begin(&life, medium, &config));
    assert_true(volume_forgotten(life.volume));
    assert_int_equal(life_read(&life, 201), 0);
    assert_int_equal(life_read(&life, 1), 0);
    assert_int_equal(life_read(&life, large_number(LARGE + 500)), 1);
    life_end(&life);
    platter_free(&medium);
}

static uint64_t last_record_at(void)
{
    uint64_t at = SEGMENT_HEADER_BYTES + DISK_UNIT;
    for (uint64_t number = 1; number < RECORDS; number++) {
        edition_t made = life_edition(number, 1, SMALL);
        volume_record_t record = life_record(&made);
        at += (uint64_t)record_units(&record.record) * DISK_UNIT;
        free(made.meta);
    }
    return at;
}

/* It may have been replaced or buried by what cannot be read behind it. */
static void nor_does_what_stands_there_before_a_bad_record_count(void **state)
{
    (void)state;
    uint64_t segment_bytes = size_for_records();
    platter_t *medium = make_segments(segment_bytes);
    volume_config_t config = config_for(medium, segment_bytes);
    platter_file(medium, "segment-00001")->data[last_record_at() + 20] ^= 1;
    platter_file(medium, "segment-00001")->data[segment_bytes - SEGMENT_TRAILER_BYTES - 20] ^= 1;
    life_t life;
    assert_true(life_begin(&life, medium, &config));
    assert_true(volume_forgotten(life.volume));
    for (uint64_t number = 1; number <= RECORDS; number++)
        assert_int_equal(life_read(&life, number), 0);
    assert_int_equal(life_read(&life, large_number(LARGE + 500)), 1);
    life_end(&life);
    platter_free(&medium);
}

/* A segment's records and footer, which cannot be read for a while. */
static struct {
    size_t inode;
    uint64_t segment_bytes;
} unreadable;

static ssize_t read_ends_only(void *context, int file, const struct iovec *to, int count, uint64_t offset)
{
    bool is_end = offset == 0 || offset == unreadable.segment_bytes - SEGMENT_TRAILER_BYTES;
    platter_t *medium = context;
    if (medium->handles[file].inode == unreadable.inode && !is_end)
        return -EIO;
    return platter_read(context, file, to, count, offset);
}

/* Two calls fail, or all from there on. False: it came to its end before. */
static bool start_without(const char *name, platter_t *medium, uint64_t segment_bytes, platter_fault_t fault,
                          unsigned after)
{
    life_t life;
    volume_config_t config = config_for(medium, segment_bytes);
    unreadable.inode = platter_directory(medium)->names[platter_find(medium, name)].inode;
    unreadable.segment_bytes = segment_bytes;
    config.io.read = read_ends_only;
    medium->fail_at = medium->calls + after;
    medium->fail_for = 2;
    medium->fault = fault;
    life_begin(&life, medium, &config);
    bool failed = medium->calls >= medium->fail_at;
    life_crash(&life, true);
    return failed;
}

static void check_none_comes_back(platter_t *medium, uint64_t segment_bytes)
{
    life_t life;
    volume_config_t config = config_for(medium, segment_bytes);
    assert_true(life_begin(&life, medium, &config));
    assert_int_equal(life_read(&life, 201), 0);
    assert_int_not_equal(life_read(&life, 1), 7);
    life_end(&life);
}

/* Those that bury and those of what is buried are not emptied at once. */
static void it_ends_while_what_cannot_be_read_is_forgotten(void **state)
{
    (void)state;
    static const char *const names[] = {"segment-00001", "segment-00002"};
    static const platter_fault_t faults[] = {PLATTER_CUT, PLATTER_ERROR};
    enum { TRIES = 12 };
    uint64_t segment_bytes = size_for_records();
    platter_t *made = make_segments(segment_bytes);
    for (size_t i = 0; i < TRIES; i++) {
        bool failed = true;
        for (unsigned after = 1; failed; after++) {
            platter_t *medium = platter_copy(made, 100 * i + after);
            failed = start_without(names[i % 2], medium, segment_bytes, faults[i / 2 % 2], after);
            check_none_comes_back(medium, segment_bytes);
            platter_free(&medium);
        }
    }
    platter_free(&made);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_byte_of_a_segment_is_flipped),
        cmocka_unit_test(a_segment_that_cannot_be_told_forgets_all),
        cmocka_unit_test(what_is_older_than_a_segment_that_cannot_be_read_is_forgotten),
        cmocka_unit_test(nor_does_what_stands_there_before_a_bad_record_count),
        cmocka_unit_test(it_ends_while_what_cannot_be_read_is_forgotten),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
