#include "purge/journal_format.h"

#include <xxhash.h>

/* Header: magic 8, version 4, zero 4, id 8, base length 8, first sequence 8, checksum 8.
 * Record: magic 4, length 4, kind 1, then by kind, checksum 8 over all before it.
 *   rule: rule kind 1, soft 1, zero 1, site length 4, sequence 8, batch's first 8, time 8, site, target
 *   slots: zero 3, count 4, then each slot: table 8, name 16, marks 40
 * Sequence file: magic 8, version 4, zero 4, bound 8, checksum 8. */
enum {
    VERSION = 1,
    RECORD_MAGIC = 0x4c525653, /* "SVRL" */
    RECORD_START = 8,
    RULE_FIXED = RECORD_START + 4 + 4 + 24,
    SLOTS_FIXED = RECORD_START + 4 + 4,
    CHECKSUM = 8,
    LENGTH_MIN = SLOTS_FIXED + CHECKSUM,
    LENGTH_MAX = RULE_FIXED + FORMAT_TEXTS_MAX + CHECKSUM
};

static const char header_magic[8] = {'S', 'E', 'L', 'V', 'J', 'R', 'N', 'L'};
static const char sequence_magic[8] = {'S', 'E', 'L', 'V', 'S', 'E', 'Q', 'N'};

/* Integers. -------------------------------------------------------------------------------------------------
 */

static void put(uint8_t *at, uint64_t value, size_t size)
{
    for (size_t i = 0; i < size; i++)
        at[i] = (uint8_t)(value >> (8 * i));
}

static uint64_t get(const uint8_t *at, size_t size)
{
    uint64_t value = 0;
    for (size_t i = 0; i < size; i++)
        value |= (uint64_t)at[i] << (8 * i);
    return value;
}

/* Bytes. ----------------------------------------------------------------------------------------------------
 */

void bytes_reserve(bytes_t *bytes, size_t more)
{
    if (bytes->capacity - bytes->length >= more)
        return;
    size_t capacity = bytes->capacity == 0 ? 4096 : bytes->capacity;
    while (capacity - bytes->length < more)
        capacity *= 2;
    uint8_t *data = realloc(bytes->data, capacity);
    MUST(data != NULL);
    bytes->data = data;
    bytes->capacity = capacity;
}

void bytes_free(bytes_t *bytes)
{
    free(bytes->data);
    *bytes = (bytes_t){0};
}

static uint8_t *extend(bytes_t *bytes, size_t more)
{
    bytes_reserve(bytes, more);
    uint8_t *at = bytes->data + bytes->length;
    memset(at, 0, more);
    bytes->length += more;
    return at;
}

/* The two fixed blocks. -------------------------------------------------------------------------------------
 */

static void seal(uint8_t *block, const char magic[8], size_t size)
{
    memcpy(block, magic, 8);
    put(block + 8, VERSION, 4);
    put(block + 12, 0, 4);
    put(block + size - CHECKSUM, XXH3_64bits(block, size - CHECKSUM), CHECKSUM);
}

static format_result_t check_block(const uint8_t *block, size_t length, const char magic[8], size_t size)
{
    if (length < size)
        return FORMAT_INCOMPLETE;
    bool right = memcmp(block, magic, 8) == 0 && get(block + 8, 4) == VERSION &&
                 get(block + size - CHECKSUM, CHECKSUM) == XXH3_64bits(block, size - CHECKSUM);
    return right ? FORMAT_PARSED : FORMAT_WRONG;
}

void format_header_put(uint8_t data[FORMAT_HEADER_BYTES], const format_header_t *header)
{
    put(data + 16, header->id, 8);
    put(data + 24, header->base_length, 8);
    put(data + 32, header->first_sequence, 8);
    seal(data, header_magic, FORMAT_HEADER_BYTES);
}

format_result_t format_header_parse(const uint8_t *data, size_t length, format_header_t *header)
{
    format_result_t result = check_block(data, length, header_magic, FORMAT_HEADER_BYTES);
    if (result != FORMAT_PARSED)
        return result;
    header->id = get(data + 16, 8);
    header->base_length = get(data + 24, 8);
    header->first_sequence = get(data + 32, 8);
    bool right = header->base_length >= FORMAT_HEADER_BYTES && header->first_sequence >= 1 &&
                 header->first_sequence <= FORMAT_SEQUENCE_MAX + 1;
    return right ? FORMAT_PARSED : FORMAT_WRONG;
}

void format_sequence_put(uint8_t data[FORMAT_SEQUENCE_BYTES], uint64_t bound)
{
    put(data + 16, bound, 8);
    seal(data, sequence_magic, FORMAT_SEQUENCE_BYTES);
}

format_result_t format_sequence_parse(const uint8_t *data, size_t length, uint64_t *bound)
{
    format_result_t result = check_block(data, length, sequence_magic, FORMAT_SEQUENCE_BYTES);
    if (result != FORMAT_PARSED)
        return result;
    if (get(data + 16, 8) > FORMAT_SEQUENCE_MAX)
        return FORMAT_WRONG;
    *bound = get(data + 16, 8);
    return FORMAT_PARSED;
}

/* Records. --------------------------------------------------------------------------------------------------
 */

static uint64_t checksum(const uint8_t *record, size_t length, uint64_t id, uint64_t offset)
{
    uint64_t place[2] = {id, offset};
    return XXH3_64bits_withSeed(record, length - CHECKSUM, XXH3_64bits(place, sizeof(place)));
}

static uint8_t *begin(bytes_t *bytes, size_t length, format_record_kind_t kind)
{
    uint8_t *record = extend(bytes, length);
    put(record, RECORD_MAGIC, 4);
    put(record + 4, length, 4);
    record[RECORD_START] = (uint8_t)kind;
    return record;
}

static void end(const bytes_t *bytes, uint8_t *record, size_t length, uint64_t id, uint64_t offset)
{
    uint64_t place = offset + (uint64_t)(record - bytes->data);
    put(record + length - CHECKSUM, checksum(record, length, id, place), CHECKSUM);
}

void format_rule_put(bytes_t *bytes, uint64_t id, uint64_t offset, const ledger_rule_t *rule,
                     uint64_t batch_first)
{
    MUST(rule->site.length <= FORMAT_TEXTS_MAX &&
         rule->target.length <= FORMAT_TEXTS_MAX - rule->site.length);
    size_t length = RULE_FIXED + rule->site.length + rule->target.length + CHECKSUM;
    uint8_t *record = begin(bytes, length, FORMAT_RULE), *at = record + RECORD_START;

    at[1] = (uint8_t)rule->kind;
    at[2] = rule->soft;
    put(at + 4, rule->site.length, 4);
    put(at + 8, rule->sequence, 8);
    put(at + 16, batch_first, 8);
    put(at + 24, (uint64_t)rule->time_ms, 8);
    if (rule->site.length != 0)
        memcpy(record + RULE_FIXED, rule->site.data, rule->site.length);
    if (rule->target.length != 0)
        memcpy(record + RULE_FIXED + rule->site.length, rule->target.data, rule->target.length);
    end(bytes, record, length, id, offset);
}

static format_result_t parse_rule(const uint8_t *data, format_record_t *record)
{
    const uint8_t *at = data + RECORD_START;
    if (record->length < RULE_FIXED + CHECKSUM)
        return FORMAT_WRONG;
    size_t texts = record->length - RULE_FIXED - CHECKSUM, site = get(at + 4, 4);
    const char *text = (const char *)data + RULE_FIXED;

    if (at[1] >= RULE_KINDS || at[2] > 1 || site > texts)
        return FORMAT_WRONG;
    record->rule = (ledger_rule_t){.kind = (rule_kind_t)at[1],
                                   .soft = at[2] != 0,
                                   .sequence = get(at + 8, 8),
                                   .time_ms = (int64_t)get(at + 24, 8),
                                   .site = {text, site},
                                   .target = {text + site, texts - site}};
    record->batch_first = get(at + 16, 8);
    bool right = record->rule.sequence >= 1 && record->rule.sequence <= FORMAT_SEQUENCE_MAX &&
                 record->batch_first <= record->rule.sequence;
    return right ? FORMAT_PARSED : FORMAT_WRONG;
}

static void put_slot(uint8_t *at, const ledger_slot_t *slot)
{
    const uint64_t words[8] = {slot->table,
                               slot->name.low,
                               slot->name.high,
                               slot->marks.hard,
                               slot->marks.soft,
                               (uint64_t)slot->marks.soft_time_ms,
                               slot->marks.soft_before,
                               (uint64_t)slot->marks.soft_earliest_ms};
    for (size_t i = 0; i < 8; i++)
        put(at + 8 * i, words[i], 8);
}

static ledger_slot_t get_slot(const uint8_t *at)
{
    return (ledger_slot_t){.table = (ledger_table_t)get(at, 8),
                           .name = {.low = get(at + 8, 8), .high = get(at + 16, 8)},
                           .marks = {.hard = get(at + 24, 8),
                                     .soft = get(at + 32, 8),
                                     .soft_time_ms = (int64_t)get(at + 40, 8),
                                     .soft_before = get(at + 48, 8),
                                     .soft_earliest_ms = (int64_t)get(at + 56, 8)}};
}

void format_slots_put(bytes_t *bytes, uint64_t id, uint64_t offset, const ledger_slot_t *slots, size_t count)
{
    MUST(count >= 1 && count <= FORMAT_SLOTS_MAX);
    size_t length = SLOTS_FIXED + count * FORMAT_SLOT_BYTES + CHECKSUM;
    uint8_t *record = begin(bytes, length, FORMAT_SLOTS);

    put(record + RECORD_START + 4, count, 4);
    for (size_t i = 0; i < count; i++)
        put_slot(record + SLOTS_FIXED + i * FORMAT_SLOT_BYTES, &slots[i]);
    end(bytes, record, length, id, offset);
}

static bool slot_in_range(const uint8_t *at)
{
    ledger_slot_t slot = get_slot(at);
    uint64_t cells = slot.name.high;

    if (get(at, 8) >= LEDGER_TABLES)
        return false;
    if (slot.table == LEDGER_FOLDED && (cells == 0 || (cells & (cells - 1)) != 0 || slot.name.low >= cells))
        return false;
    if (slot.marks.hard > FORMAT_SEQUENCE_MAX || slot.marks.soft > FORMAT_SEQUENCE_MAX)
        return false;
    return slot.marks.soft == 0 || (slot.marks.soft_before < slot.marks.soft &&
                                    slot.marks.soft_earliest_ms <= slot.marks.soft_time_ms);
}

static format_result_t parse_slots(const uint8_t *data, format_record_t *record)
{
    record->slots = data + SLOTS_FIXED;
    record->slot_count = get(data + RECORD_START + 4, 4);
    if (record->slot_count == 0 || record->slot_count > FORMAT_SLOTS_MAX ||
        record->length != SLOTS_FIXED + record->slot_count * FORMAT_SLOT_BYTES + CHECKSUM)
        return FORMAT_WRONG;
    for (size_t i = 0; i < record->slot_count; i++)
        if (!slot_in_range(record->slots + i * FORMAT_SLOT_BYTES))
            return FORMAT_WRONG;
    return FORMAT_PARSED;
}

format_result_t format_record_parse(const uint8_t *data, size_t length, uint64_t id, uint64_t offset,
                                    format_record_t *record)
{
    if (length < RECORD_START)
        return FORMAT_INCOMPLETE;
    *record = (format_record_t){.length = get(data + 4, 4)};
    if (get(data, 4) != RECORD_MAGIC || record->length < LENGTH_MIN || record->length > LENGTH_MAX)
        return FORMAT_WRONG;
    if (length < record->length)
        return FORMAT_INCOMPLETE;
    if (get(data + record->length - CHECKSUM, CHECKSUM) != checksum(data, record->length, id, offset))
        return FORMAT_WRONG;

    record->kind = (format_record_kind_t)data[RECORD_START];
    if (record->kind == FORMAT_RULE)
        return parse_rule(data, record);
    return record->kind == FORMAT_SLOTS ? parse_slots(data, record) : FORMAT_WRONG;
}

ledger_slot_t format_slot(const format_record_t *record, size_t index)
{
    MUST(record->kind == FORMAT_SLOTS && index < record->slot_count);
    return get_slot(record->slots + index * FORMAT_SLOT_BYTES);
}
