/* The bytes of the disk tier's files: what is put is what is parsed, and nothing else is, whatever is changed
 * of it or wherever else it stands. */
#include "tests/unit/disk_bytes.h"

enum { CASES = 2000 };

static const record_address_t here = {.directory_id = 0x1122334455667788, .serial = 9, .unit = 4711};

static uint64_t state_of_random;

static uint64_t draw(void)
{
    return XXH3_64bits_withSeed("draw", 4, ++state_of_random);
}

/* Mostly small, sometimes at either end. */
static uint32_t draw_up_to(uint32_t low, uint32_t most)
{
    switch (draw() % 8) {
    case 0:
        return low;
    case 1:
        return most;
    case 2:
        return low + (uint32_t)(draw() % (most - low + 1));
    default:
        return low + (uint32_t)(draw() % (most - low + 1) % 3000);
    }
}

static record_t draw_record(void)
{
    record_t record = {.kind = (record_kind_t)(1 + draw() % 3), .meta_checksum = draw()};
    record.meta_bytes = draw_up_to(1, RECORD_META_MAX);
    if (record.kind == RECORD_TOMBSTONES) {
        record.meta_bytes = (record.meta_bytes + 15) / 16 * 16;
        record.meta_bytes -= record.meta_bytes > RECORD_META_MAX ? 16 : 0;
        return record;
    }
    record.name = (ledger_hash_t){draw(), draw()};
    record.stamp = draw();
    record.version = (version_id_t){draw(), draw()};
    if (record.kind == RECORD_OBJECT)
        record.body_bytes = draw_up_to(0, RECORD_BODY_MAX);
    for (unsigned i = 0; i < record_blocks(&record); i++)
        record.block_checksums[i] = draw();
    return record;
}

static void assert_same(const record_t *a, const record_t *b)
{
    assert_int_equal(a->kind, b->kind);
    assert_int_equal(a->name.low, b->name.low);
    assert_int_equal(a->name.high, b->name.high);
    assert_int_equal(a->stamp, b->stamp);
    assert_int_equal(a->version.low, b->version.low);
    assert_int_equal(a->version.high, b->version.high);
    assert_int_equal(a->meta_bytes, b->meta_bytes);
    assert_int_equal(a->body_bytes, b->body_bytes);
    assert_int_equal(a->meta_checksum, b->meta_checksum);
    for (size_t i = 0; i < RECORD_BLOCKS_MAX; i++)
        assert_int_equal(a->block_checksums[i], b->block_checksums[i]);
}

static void what_is_put_is_parsed(void **state)
{
    (void)state;
    for (unsigned i = 0; i < CASES; i++) {
        uint8_t data[RECORD_HEADER_BYTES], again[RECORD_HEADER_BYTES];
        record_t record = draw_record(), found;
        record_address_t at = {draw(), draw(), 8 + (uint32_t)(draw() % 1000000)};
        record_header_put(data, &record, &at);
        assert_true(record_header_parse(data, sizeof data, &at, &found));
        assert_same(&record, &found);
        record_header_put(again, &found, &at);
        assert_memory_equal(data, again, sizeof data);
        assert_false(record_header_parse(data, sizeof data - 1, &at, &found));
    }
}

static void units_and_blocks(void **state)
{
    (void)state;
    static const struct {
        uint32_t meta_bytes, body_bytes, meta_units, units;
        unsigned blocks;
        uint32_t last;
    } rows[] = {
        {1, 0, 1, 1, 0, 0},
        {384, 1, 1, 2, 1, 1},
        {385, 512, 2, 3, 1, 512},
        {RECORD_META_MAX, 513, 127, 129, 1, 513},
        {1, BLOCK_BYTES, 1, 1025, 1, BLOCK_BYTES},
        {1, BLOCK_BYTES + 1, 1, 1026, 2, 1},
        {RECORD_META_MAX, RECORD_BODY_MAX, 127, RECORD_UNITS_MAX, 2, BLOCK_BYTES},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        record_t record = {
            .kind = RECORD_OBJECT, .meta_bytes = rows[i].meta_bytes, .body_bytes = rows[i].body_bytes};
        assert_int_equal(record_meta_units(&record), rows[i].meta_units);
        assert_int_equal(record_units(&record), rows[i].units);
        assert_int_equal(record_blocks(&record), rows[i].blocks);
        for (unsigned block = 0; block < rows[i].blocks; block++)
            assert_int_equal(record_block_bytes(&record, block),
                             block + 1 < rows[i].blocks ? BLOCK_BYTES : rows[i].last);
    }
}

/* --- In another place it is nothing --- */

static void a_record_of_another_place(void **state)
{
    (void)state;
    uint8_t data[RECORD_HEADER_BYTES];
    record_t record = draw_record(), found;
    record_header_put(data, &record, &here);
    record_address_t elsewhere[] = {here, here, here, here};
    elsewhere[0].directory_id++;
    elsewhere[1].serial++;
    elsewhere[2].serial--;
    elsewhere[3].unit++;
    for (size_t i = 0; i < sizeof elsewhere / sizeof *elsewhere; i++)
        assert_false(record_header_parse(data, sizeof data, &elsewhere[i], &found));
    assert_true(record_header_parse(data, sizeof data, &here, &found));
}

static void a_block_of_another_version_or_number(void **state)
{
    (void)state;
    uint8_t block[1000];
    for (size_t i = 0; i < sizeof block; i++)
        block[i] = (uint8_t)draw();
    const version_id_t version = {1, 2}, others[] = {{2, 1}, {1, 3}, {3, 2}, {0, 0}};
    uint64_t right = record_block_checksum(version, 0, block, sizeof block);
    assert_int_equal(record_block_checksum(version, 0, block, sizeof block), right);
    for (size_t i = 0; i < sizeof others / sizeof *others; i++)
        assert_int_not_equal(record_block_checksum(others[i], 0, block, sizeof block), right);
    assert_int_not_equal(record_block_checksum(version, 1, block, sizeof block), right);
    assert_int_not_equal(record_block_checksum(version, 0, block, sizeof block - 1), right);
}

/* Whatever of it the processor can do, a file that another machine wrote is read. */
static void checksums_are_what_they_were(void **state)
{
    (void)state;
    static uint8_t bytes[BLOCK_BYTES];
    for (size_t i = 0; i < sizeof bytes; i++)
        bytes[i] = (uint8_t)(i * 7 + i / 251);
    const version_id_t version = {0x0123456789abcdef, 0xfedcba9876543210};
    assert_int_equal(record_meta_checksum(bytes, 300), UINT64_C(0x7e3ec985b925cacc));
    assert_int_equal(footer_checksum(bytes, 24), UINT64_C(0x25da37b787c3b790));
    assert_int_equal(record_block_checksum(version, 0, bytes, 5), UINT64_C(0x2db3918e042c890));
    assert_int_equal(record_block_checksum(version, 1, bytes, sizeof bytes), UINT64_C(0x3a57399e323426f1));
    uint8_t header[RECORD_HEADER_BYTES];
    const record_t record = {.kind = RECORD_OBJECT,
                             .name = {1, 2},
                             .stamp = 3,
                             .version = version,
                             .meta_bytes = 4,
                             .body_bytes = BLOCK_BYTES + 5,
                             .meta_checksum = 6,
                             .block_checksums = {7, 8}};
    record_header_put(header, &record, &here);
    assert_int_equal(XXH3_64bits(header, sizeof header), UINT64_C(0x78c2e74800320505));
}

/* --- A byte is changed --- */

/* All that a reader does before a byte of it counts. */
static bool is_whole(const uint8_t *data, size_t length)
{
    record_t record;
    if (!record_header_parse(data, length, &here, &record) ||
        length != (size_t)record_units(&record) * DISK_UNIT)
        return false;
    if (record_meta_checksum(data + RECORD_HEADER_BYTES, record.meta_bytes) != record.meta_checksum)
        return false;
    const uint8_t *body = data + (size_t)record_meta_units(&record) * DISK_UNIT;
    for (unsigned i = 0; i < record_blocks(&record); i++)
        if (record_block_checksum(record.version, i, body + (size_t)i * BLOCK_BYTES,
                                  record_block_bytes(&record, i)) != record.block_checksums[i])
            return false;
    return true;
}

typedef struct {
    record_t record;
    uint8_t *data;
    size_t length;
} written_t;

static written_t write_record(uint32_t meta_bytes, uint32_t body_bytes)
{
    written_t written = {.record = {.kind = RECORD_OBJECT,
                                    .name = {draw(), draw()},
                                    .stamp = draw(),
                                    .version = {draw(), draw()},
                                    .meta_bytes = meta_bytes,
                                    .body_bytes = body_bytes}};
    record_t *record = &written.record;
    written.length = (size_t)record_units(record) * DISK_UNIT;
    written.data = must_calloc(1, written.length);
    uint8_t *meta = written.data + RECORD_HEADER_BYTES,
            *body = written.data + (size_t)record_meta_units(record) * DISK_UNIT;
    for (size_t i = 0; i < meta_bytes; i++)
        meta[i] = (uint8_t)draw();
    for (size_t i = 0; i < body_bytes; i++)
        body[i] = (uint8_t)draw();
    record->meta_checksum = record_meta_checksum(meta, meta_bytes);
    for (unsigned i = 0; i < record_blocks(record); i++)
        record->block_checksums[i] = record_block_checksum(record->version, i, body + (size_t)i * BLOCK_BYTES,
                                                           record_block_bytes(record, i));
    record_header_put(written.data, record, &here);
    return written;
}

/* Each of `count` bytes in all ways that `flips` names. */
static void assert_flips_are_seen(written_t *written, size_t from, size_t count, size_t step)
{
    static const uint8_t flips[] = {0x01, 0x80, 0xff};
    for (size_t i = from; i < from + count; i += step)
        for (size_t flip = 0; flip < sizeof flips; flip++) {
            written->data[i] ^= flips[flip];
            if (is_whole(written->data, written->length))
                fail_msg("byte %zu flipped by %02x is taken for whole", i, flips[flip]);
            written->data[i] ^= flips[flip];
        }
}

static void each_byte_counts(void **state)
{
    (void)state;
    static const struct {
        uint32_t meta_bytes, body_bytes;
    } rows[] = {{1, 0}, {700, 1}, {384, 512}, {1000, 4000}, {385, 3}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        written_t written = write_record(rows[i].meta_bytes, rows[i].body_bytes);
        size_t body = (size_t)record_meta_units(&written.record) * DISK_UNIT;
        assert_true(is_whole(written.data, written.length));
        assert_flips_are_seen(&written, 0, RECORD_HEADER_BYTES + rows[i].meta_bytes, 1);
        assert_flips_are_seen(&written, body, rows[i].body_bytes, 1);
        assert_true(is_whole(written.data, written.length));
        free(written.data);
    }
}

/* Of two blocks, around their border and here and there. */
static void bytes_of_both_blocks_count(void **state)
{
    (void)state;
    written_t written = write_record(300, BLOCK_BYTES + 3000);
    size_t body = (size_t)record_meta_units(&written.record) * DISK_UNIT;
    assert_true(is_whole(written.data, written.length));
    assert_flips_are_seen(&written, body, BLOCK_BYTES, 65521);
    assert_flips_are_seen(&written, body + BLOCK_BYTES - 4, 8, 1);
    assert_flips_are_seen(&written, body + BLOCK_BYTES + 2996, 4, 1);
    free(written.data);
}

/* --- A right checksum does not make right what is out of range --- */

static void headers_out_of_range(void **state)
{
    (void)state;
    static const change_t rows[] = {
        {0, 1, 'S', true},
        {0, 1, 'T', false}, /* magic */
        {8, 4, 2, false},   /* format */
        {12, 1, 0, false},  /* kinds */
        {12, 1, 4, false},
        {12, 1, RECORD_VARIANTS, false}, /* with a body */
        {12, 1, RECORD_TOMBSTONES, false},
        {13, 1, 1, false},
        {15, 1, 1, false},
        {28, 4, 0, false}, /* meta */
        {28, 4, 1, true},
        {28, 4, RECORD_META_MAX, true},
        {28, 4, RECORD_META_MAX + 1, false},
        {28, 4, UINT32_MAX, false},
        {32, 4, RECORD_BODY_MAX, true}, /* body */
        {32, 4, RECORD_BODY_MAX + 1, false},
        {32, 4, UINT32_MAX, false},
        {32, 4, BLOCK_BYTES, false}, /* and a second checksum */
        {32, 4, 0, false},
        {36, 1, 1, false},
        {39, 1, 1, false},
        {104, 1, 1, false},
        {119, 1, 1, false},
    };
    const record_t record = {.kind = RECORD_OBJECT,
                             .name = {1, 2},
                             .stamp = 3,
                             .version = {4, 5},
                             .meta_bytes = 100,
                             .body_bytes = BLOCK_BYTES + 1,
                             .meta_checksum = 6,
                             .block_checksums = {7, 8}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        uint8_t data[RECORD_HEADER_BYTES];
        record_t found;
        record_header_put(data, &record, &here);
        le_put(data + rows[i].at, rows[i].value, rows[i].size);
        reseal(data, sizeof data, here.directory_id);
        if (record_header_parse(data, sizeof data, &here, &found) != rows[i].right)
            fail_msg("row %zu", i);
    }
}

static void tombstones_have_nothing_else(void **state)
{
    (void)state;
    static const change_t rows[] = {
        {28, 4, 16, true},
        {28, 4, 24, false},
        {28, 4, 1, false},
        {32, 4, 1, false},
        {40, 1, 1, false},
        {55, 1, 1, false},
        {56, 1, 1, false},
        {64, 1, 1, false},
        {79, 1, 1, false},
        {88, 1, 1, false},
        {12, 1, RECORD_VARIANTS, true},
    };
    const record_t record = {.kind = RECORD_TOMBSTONES, .meta_bytes = 48, .meta_checksum = 6};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        uint8_t data[RECORD_HEADER_BYTES];
        record_t found;
        record_header_put(data, &record, &here);
        le_put(data + rows[i].at, rows[i].value, rows[i].size);
        reseal(data, sizeof data, here.directory_id);
        if (record_header_parse(data, sizeof data, &here, &found) != rows[i].right)
            fail_msg("row %zu", i);
    }
    const ledger_hash_t name = {0x1234567890abcdef, 0xfedcba0987654321};
    uint8_t data[TOMBSTONE_BYTES];
    tombstone_put(data, &name);
    ledger_hash_t found = tombstone_name(data);
    assert_true(found.low == name.low && found.high == name.high);
}

static void no_record_reaches_out_of_a_segment(void **state)
{
    (void)state;
    static const struct {
        uint32_t unit;
        bool right;
    } rows[] = {{0, false},
                {7, false},
                {8, true},
                {SEGMENT_UNITS_MAX - 4, true},
                {SEGMENT_UNITS_MAX - 3, false},
                {SEGMENT_UNITS_MAX, false},
                {UINT32_MAX, false}};
    const record_t record = {.kind = RECORD_OBJECT,
                             .meta_bytes = 385,
                             .body_bytes = 513,
                             .block_checksums = {1, 0}}; /* four units */
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        uint8_t data[RECORD_HEADER_BYTES];
        record_t found;
        record_address_t at = here;
        record_header_put(data, &record, &at);
        at.unit = rows[i].unit;
        le_put(data + 24, at.unit, 4);
        reseal(data, sizeof data, here.directory_id);
        assert_int_equal(record_header_parse(data, sizeof data, &at, &found), rows[i].right);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_put_is_parsed),
        cmocka_unit_test(units_and_blocks),
        cmocka_unit_test(a_record_of_another_place),
        cmocka_unit_test(a_block_of_another_version_or_number),
        cmocka_unit_test(checksums_are_what_they_were),
        cmocka_unit_test(each_byte_counts),
        cmocka_unit_test(bytes_of_both_blocks_count),
        cmocka_unit_test(headers_out_of_range),
        cmocka_unit_test(tombstones_have_nothing_else),
        cmocka_unit_test(no_record_reaches_out_of_a_segment),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
