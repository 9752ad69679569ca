/* What the disk tier's files say of themselves beside records: directories, the headers of segments, footers.
 * Nothing that is changed passes, nor what is out of range under a right checksum. */
#include "tests/unit/disk_bytes.h"

static const directory_t directory = {.id = 0x0102030405060708,
                                      .node = {0x1112131415161718, 0x2122232425262728},
                                      .segment_bytes = 64 << 20,
                                      .segments = 256};

static void directories(void **state)
{
    (void)state;
    uint8_t data[DIRECTORY_BYTES];
    directory_t found;
    directory_put(data, &directory);
    assert_int_equal(directory_parse(data, sizeof data, &found), DIRECTORY_PARSED);
    assert_int_equal(found.id, directory.id);
    assert_int_equal(found.node[0], directory.node[0]);
    assert_int_equal(found.node[1], directory.node[1]);
    assert_int_equal(found.segment_bytes, directory.segment_bytes);
    assert_int_equal(found.segments, directory.segments);
    for (size_t i = 0; i < sizeof data; i++) {
        data[i] ^= 0x10;
        directory_result_t result = directory_parse(data, sizeof data, &found);
        assert_int_equal(result, i >= 8 && i < 12 ? DIRECTORY_OTHER_FORMAT : DIRECTORY_WRONG);
        data[i] ^= 0x10;
    }
    uint8_t longer[DIRECTORY_BYTES + 1] = {0};
    memcpy(longer, data, sizeof data);
    assert_int_equal(directory_parse(longer, sizeof longer, &found), DIRECTORY_WRONG);
    for (size_t length = 0; length < sizeof data; length++)
        assert_int_equal(directory_parse(data, length, &found), DIRECTORY_WRONG);
    data[8] = 2; /* of which another version makes what it likes */
    assert_int_equal(directory_parse(data, 12, &found), DIRECTORY_OTHER_FORMAT);
}

static void directories_out_of_range(void **state)
{
    (void)state;
    static const change_t rows[] = {
        {40, 8, 8192, true},
        {40, 8, 4096, false},
        {40, 8, 8193, false},
        {40, 8, 512 << 20, true},
        {40, 8, (512 << 20) + 4096, false},
        {40, 8, 0, false},
        {48, 4, 0, false},
        {48, 4, 65536, true},
        {48, 4, 65537, false},
        {12, 1, 1, false},
        {52, 1, 1, false},
        {119, 1, 1, false},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        uint8_t data[DIRECTORY_BYTES];
        directory_t found;
        directory_put(data, &directory);
        le_put(data + rows[i].at, rows[i].value, rows[i].size);
        reseal(data, sizeof data, 0);
        if ((directory_parse(data, sizeof data, &found) == DIRECTORY_PARSED) != rows[i].right)
            fail_msg("row %zu", i);
    }
}

static void segment_headers(void **state)
{
    (void)state;
    static uint8_t data[SEGMENT_HEADER_BYTES];
    uint64_t serial = 0;
    segment_header_put(data, 7, 3);
    assert_true(segment_header_parse(data, sizeof data, 7, &serial));
    assert_int_equal(serial, 3);
    assert_false(segment_header_parse(data, sizeof data, 8, &serial));
    assert_false(segment_header_parse(data, sizeof data - 1, 7, &serial));
    for (size_t i = 0; i < sizeof data; i++) {
        data[i] ^= 0x04;
        assert_false(segment_header_parse(data, sizeof data, 7, &serial));
        data[i] ^= 0x04;
    }
    enum { SAYS = 32 };
    data[12] = 1;
    reseal(data, SAYS, 7);
    assert_false(segment_header_parse(data, sizeof data, 7, &serial));
    data[12] = 0;
    data[16] = 0; /* no serial is 0 */
    reseal(data, SAYS, 7);
    assert_false(segment_header_parse(data, sizeof data, 7, &serial));
    data[16] = 1;
    reseal(data, SAYS, 7);
    assert_true(segment_header_parse(data, sizeof data, 7, &serial));
}

static void footer_entries(void **state)
{
    (void)state;
    static const struct {
        footer_entry_t entry;
        bool right;
    } rows[] = {
        {{.kind = RECORD_OBJECT, .unit = 8, .units = 1, .meta_units = 1}, true},
        {{.kind = RECORD_OBJECT, .unit = 8, .units = RECORD_UNITS_MAX, .meta_units = 127}, true},
        {{.kind = RECORD_OBJECT, .unit = 8, .units = RECORD_UNITS_MAX, .meta_units = 126}, false},
        {{.kind = RECORD_OBJECT, .unit = 8, .units = 200, .meta_units = 128}, false},
        {{.kind = RECORD_OBJECT, .unit = 8, .units = 4, .meta_units = 5}, false},
        {{.kind = RECORD_OBJECT, .unit = 8, .units = 4, .meta_units = 0}, false},
        {{.kind = RECORD_OBJECT, .unit = 8, .units = 0, .meta_units = 0}, false},
        {{.kind = RECORD_OBJECT, .unit = 7, .units = 4, .meta_units = 1}, false},
        {{.kind = RECORD_OBJECT, .unit = SEGMENT_UNITS_MAX - 4, .units = 4, .meta_units = 1}, true},
        {{.kind = RECORD_OBJECT, .unit = SEGMENT_UNITS_MAX - 3, .units = 4, .meta_units = 1}, false},
        {{.kind = RECORD_VARIANTS, .unit = 8, .units = 2, .meta_units = 2}, true},
        {{.kind = RECORD_VARIANTS, .unit = 8, .units = 2, .meta_units = 1}, false},
        {{.kind = RECORD_TOMBSTONES}, true},
        {{.kind = RECORD_TOMBSTONES, .unit = 8}, false},
        {{.kind = RECORD_TOMBSTONES, .units = 1}, false},
        {{.kind = RECORD_TOMBSTONES, .meta_units = 1}, false},
        {{.kind = (record_kind_t)0, .unit = 8, .units = 1, .meta_units = 1}, false},
        {{.kind = (record_kind_t)4, .unit = 8, .units = 1, .meta_units = 1}, false},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        footer_entry_t entry = rows[i].entry, found;
        uint8_t data[FOOTER_ENTRY_BYTES] = {0}, again[FOOTER_ENTRY_BYTES];
        le_put(data, 0x0102030405060708, 8);
        le_put(data + 8, 0x1112131415161718, 8);
        le_put(data + 16, entry.unit | (uint32_t)entry.units << 20, 4);
        data[20] = entry.meta_units;
        data[21] = (uint8_t)entry.kind;
        if (footer_entry_parse(data, &found) != rows[i].right)
            fail_msg("row %zu", i);
        if (!rows[i].right)
            continue;
        assert_int_equal(found.kind, entry.kind);
        assert_int_equal(found.unit, entry.unit);
        assert_int_equal(found.units, entry.units);
        assert_int_equal(found.meta_units, entry.meta_units);
        assert_int_equal(found.name.low, 0x0102030405060708);
        assert_int_equal(found.name.high, 0x1112131415161718);
        footer_entry_put(again, &found);
        assert_memory_equal(data, again, sizeof data);
        data[22] = 1;
        assert_false(footer_entry_parse(data, &found));
    }
}

static const trailer_t trailer = {
    .serial = 12, .entries = 64, .end_unit = 700, .stamp_max = 99, .entries_checksum = 0x1234567812345678};

static void trailers(void **state)
{
    (void)state;
    uint8_t data[SEGMENT_TRAILER_BYTES];
    trailer_t found;
    trailer_put(data, 7, &trailer);
    assert_true(trailer_parse(data, sizeof data, 7, &found));
    assert_int_equal(found.serial, trailer.serial);
    assert_int_equal(found.entries, trailer.entries);
    assert_int_equal(found.end_unit, trailer.end_unit);
    assert_int_equal(found.stamp_max, trailer.stamp_max);
    assert_int_equal(found.entries_checksum, trailer.entries_checksum);
    assert_false(trailer_parse(data, sizeof data, 8, &found));
    assert_false(trailer_parse(data, sizeof data - 1, 7, &found));
    for (size_t i = 0; i < sizeof data; i++) {
        data[i] ^= 0x20;
        assert_false(trailer_parse(data, sizeof data, 7, &found));
        data[i] ^= 0x20;
    }
}

static void trailers_out_of_range(void **state)
{
    (void)state;
    static const change_t rows[] = {
        {16, 8, 0, false}, {16, 8, 1, true},       {24, 4, 7, false},
        {24, 4, 8, true},  {24, 4, 1 << 20, true}, {24, 4, (1 << 20) + 1, false},
        {28, 1, 1, false}, {48, 1, 1, false},      {119, 1, 1, false},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        uint8_t data[SEGMENT_TRAILER_BYTES];
        trailer_t found;
        trailer_put(data, 7, &trailer);
        le_put(data + rows[i].at, rows[i].value, rows[i].size);
        reseal(data, sizeof data, 7);
        if (trailer_parse(data, sizeof data, 7, &found) != rows[i].right)
            fail_msg("row %zu", i);
    }
}

static void entries_lie_between_records_and_trailer(void **state)
{
    (void)state;
    const trailer_t full = {.serial = 1, .entries = 16, .end_unit = 15}; /* 384 bytes, and 128 */
    assert_int_equal(trailer_entries_at(&full, 16 * DISK_UNIT), 15 * DISK_UNIT);
    assert_int_equal(trailer_entries_at(&full, 17 * DISK_UNIT), 16 * DISK_UNIT);
    assert_int_equal(trailer_entries_at(&full, 15 * DISK_UNIT), 0);
    assert_int_equal(trailer_entries_at(&full, 8 * DISK_UNIT), 0);
    const trailer_t many = {.serial = 1, .entries = 17, .end_unit = 15};
    assert_int_equal(trailer_entries_at(&many, 16 * DISK_UNIT), 0);
    const trailer_t most = {.serial = 1, .entries = UINT32_MAX, .end_unit = 15};
    assert_int_equal(trailer_entries_at(&most, 512 << 20), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(directories),
        cmocka_unit_test(directories_out_of_range),
        cmocka_unit_test(segment_headers),
        cmocka_unit_test(footer_entries),
        cmocka_unit_test(trailers),
        cmocka_unit_test(trailers_out_of_range),
        cmocka_unit_test(entries_lie_between_records_and_trailer),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
