/* A disk's directory, as a start finds it. The referee: whatever its files hold, it opens or is refused,
 * never more; what can be read afterwards verifies; its size holds; and what is put then is found by the next
 * start, in place of all that was there, and what is buried is not.
 *
 * No fuzzer guesses a checksum. So the input is a list of steps that put headers, records, entries and
 * trailers with the right ones, and bytes over all of it. */
#include "tests/unit/volume_life.h"

enum { SLOTS = 5, SEGMENT = 16 << 10, NAMES = 8 };

typedef struct {
    const uint8_t *data;
    size_t size;
} input_t;

static uint32_t take(input_t *input, unsigned bytes)
{
    uint32_t value = 0;
    for (unsigned i = 0; i < bytes && input->size > 0; i++, input->size--)
        value |= (uint32_t)*input->data++ << (8 * i);
    return value;
}

/* The directory's id is known to all of them. */
enum { DIRECTORY_ID = 77 };

static void put_bytes(input_t *input, uint8_t *segment)
{
    uint32_t at = take(input, 2) % SEGMENT, length = take(input, 1) % 32;
    for (uint32_t i = 0; i < length && at + i < SEGMENT; i++)
        segment[at + i] = (uint8_t)take(input, 1);
}

static void put_header(input_t *input, uint8_t *segment)
{
    segment_header_put(segment, DIRECTORY_ID, 1 + take(input, 1));
}

static uint32_t put_meta(input_t *input, uint8_t *meta, record_t *record)
{
    uint32_t names = 1 + take(input, 1) % 4;
    if (record->kind != RECORD_TOMBSTONES)
        return 1 + take(input, 2) % 3000;
    for (uint32_t i = 0; i < names; i++) {
        ledger_hash_t name = life_name(take(input, 1) % NAMES);
        tombstone_put(meta + i * TOMBSTONE_BYTES, &name);
    }
    return names * TOMBSTONE_BYTES;
}

/* Header and meta; the body is what stands there. Where it stands, or says that it stands, and how long it
 * says that it is, is the input's choice. */
static void put_record(input_t *input, uint8_t *segment)
{
    record_t record = {.kind = (record_kind_t)(RECORD_OBJECT + take(input, 1) % 3)};
    record_address_t at = {DIRECTORY_ID, 1 + take(input, 1), 8 + take(input, 1) % 24};
    uint8_t meta[4 * TOMBSTONE_BYTES] = {0};
    record.meta_bytes = put_meta(input, meta, &record);
    if (record.kind != RECORD_TOMBSTONES) {
        record.name = life_name(take(input, 1) % NAMES);
        record.stamp = take(input, 2);
    }
    if (record.kind == RECORD_OBJECT)
        record.body_bytes = take(input, 2);
    size_t offset = (size_t)at.unit * DISK_UNIT;
    bool fits = offset + RECORD_HEADER_BYTES + record.meta_bytes <= SEGMENT;
    if (record.kind == RECORD_TOMBSTONES && fits)
        memcpy(segment + offset + RECORD_HEADER_BYTES, meta, record.meta_bytes);
    if (fits)
        record.meta_checksum =
            record_meta_checksum(segment + offset + RECORD_HEADER_BYTES, record.meta_bytes);
    if (offset + RECORD_HEADER_BYTES <= SEGMENT)
        record_header_put(segment + offset, &record, &at);
}

static void put_entry(input_t *input, uint8_t *segment)
{
    size_t behind = SEGMENT_TRAILER_BYTES + (1 + take(input, 1) % 40) * (size_t)FOOTER_ENTRY_BYTES;
    footer_entry_t entry = {.kind = (record_kind_t)(RECORD_OBJECT + take(input, 1) % 3),
                            .name = life_name(take(input, 1) % NAMES)};
    if (entry.kind != RECORD_TOMBSTONES) {
        entry.unit = 8 + take(input, 3) % (SEGMENT_UNITS_MAX - 8 - RECORD_UNITS_MAX);
        entry.meta_units = (uint8_t)(1 + take(input, 1) % RECORD_META_UNITS_MAX);
        entry.units = entry.meta_units;
    }
    if (entry.kind == RECORD_OBJECT)
        entry.units = (uint16_t)(entry.units + take(input, 2) % (RECORD_BODY_MAX / DISK_UNIT + 1));
    footer_entry_put(segment + SEGMENT - behind, &entry);
}

static void put_trailer(input_t *input, uint8_t *segment)
{
    trailer_t trailer = {.serial = 1 + take(input, 1),
                         .entries = take(input, 1) % 64,
                         .end_unit = 8 + take(input, 1) % 30,
                         .stamp_max = take(input, 2)};
    size_t length = trailer.entries * (size_t)FOOTER_ENTRY_BYTES;
    trailer.entries_checksum = footer_checksum(segment + SEGMENT - SEGMENT_TRAILER_BYTES - length, length);
    trailer_put(segment + SEGMENT - SEGMENT_TRAILER_BYTES, DIRECTORY_ID, &trailer);
}

static void put_slots(input_t *input, platter_t *medium, unsigned slots)
{
    static void (*const steps[])(input_t * input, uint8_t * segment) = {put_bytes, put_header, put_record,
                                                                        put_entry, put_trailer};
    uint8_t *segments = must_calloc(SLOTS, SEGMENT);
    size_t lengths[SLOTS];
    for (size_t i = 0; i < SLOTS; i++)
        lengths[i] = SEGMENT;
    while (input->size > 0) {
        uint32_t what = take(input, 1), slot = what / 8 % slots;
        if (what % 8 < sizeof steps / sizeof *steps)
            steps[what % 8](input, segments + slot * SEGMENT);
        else
            lengths[slot] = take(input, 2) % (SEGMENT + 1);
    }
    for (size_t i = 0; i < slots; i++) {
        char name[32];
        snprintf(name, sizeof name, "segment-%05zu", i);
        platter_put(medium, name, segments + i * SEGMENT, lengths[i]);
    }
    free(segments);
}

static void put_directory(input_t *input, platter_t *medium, bool right)
{
    uint8_t data[DIRECTORY_BYTES] = {0};
    const directory_t directory = {DIRECTORY_ID, {1, 2}, SEGMENT, SLOTS};
    directory_put(data, &directory);
    for (size_t i = 0; !right && i < sizeof data; i++)
        data[i] = (uint8_t)take(input, 1);
    platter_put(medium, "directory", data, sizeof data);
}

/* Whatever can be read verifies, or is a miss; what it says may be anything. */
static void read_any(life_t *life, uint64_t number)
{
    ledger_hash_t name = life_name(number);
    disk_place_t place;
    record_address_t address;
    record_t record;
    uint64_t offset;
    int file;
    if (!disk_index_find(life->index, &name, true, &place) ||
        !volume_where(life->volume, &place, &file, &offset, &address))
        return;
    size_t length = (size_t)place.units * DISK_UNIT;
    uint8_t *bytes = must_alloc(length);
    if (life_read_bytes(life, file, bytes, length, offset))
        life_verify(bytes, length, &address, &name, &record);
    free(bytes);
}

/* Puts some over what was there, buries some, and fills it so that slots are used again. */
static void use(life_t *life, unsigned more)
{
    for (uint64_t number = 0; number < NAMES; number++)
        read_any(life, number);
    for (uint64_t number = 100; number < 100 + more; number++)
        life_put_told(life, number, 1, 600, (told_t){0});
    for (uint64_t number = 0; number < NAMES; number += 2)
        life_put_told(life, number, 9, 600, (told_t){0});
    for (uint64_t number = 1; number < NAMES; number += 2)
        life_bury(life, number);
    volume_flush(life->volume);
    volume_check(life->volume);
}

/* whole: no call failed, so that nothing of before is left. */
static void read_again(life_t *life, bool whole)
{
    for (uint64_t number = 0; number < NAMES; number++)
        if (!whole)
            read_any(life, number);
        else
            MUST(life_read(life, number) == (number % 2 == 0 ? 9 : 0));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 4)
        return -1;
    input_t input = {data, size};
    uint32_t flags = take(&input, 1), fail_at = take(&input, 1), more = take(&input, 1) % 64;
    platter_t *medium = platter_new(flags);
    put_directory(&input, medium, flags % 8 != 0);
    put_slots(&input, medium, 1 + flags / 8 % SLOTS);
    medium->fail_at = flags / 64 == 1 ? fail_at : 0;
    medium->short_percent = flags / 64 == 2 ? 50 : 0;

    volume_config_t config = life_config(medium, SLOTS);
    config.size = 4096 + (uint64_t)(SLOTS - (flags / 64 == 3)) * SEGMENT;
    config.segment_bytes = SEGMENT;
    life_t life;
    if (life_begin(&life, medium, &config))
        use(&life, more);
    bool used = life.volume != NULL, whole = used && volume_failure(life.volume).call == NULL;
    MUST(!used || platter_bytes(medium) <= config.size);
    life_end(&life);
    platter_kill(medium);
    medium->short_percent = 0;
    if (used) {
        MUST(life_begin(&life, medium, &config));
        read_again(&life, whole);
        life_end(&life);
    }
    platter_free(&medium);
    return 0;
}
