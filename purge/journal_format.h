/* The bytes of the journal's two files, as pure functions: no I/O, no allocation but the growing buffer they
 * write to. For purge/journal.c alone.
 *
 *   journal    header, then records: the tables' slots as they were when the file was made, and the rules
 * since sequence   one number, the bound up to which sequences may have been handed out
 *
 * All integers are little-endian. Every record carries a checksum seeded with the file's random id and the
 * record's offset, so neither the bytes of a former file nor a record in another place can pass. */
#ifndef SELVEDGE_PURGE_JOURNAL_FORMAT_H
#define SELVEDGE_PURGE_JOURNAL_FORMAT_H

#include "purge/ledger.h"

enum {
    FORMAT_HEADER_BYTES = 48,
    FORMAT_SEQUENCE_BYTES = 32,
    FORMAT_SLOT_BYTES = 64,
    FORMAT_SLOTS_MAX = 64,     /* in one record */
    FORMAT_TEXTS_MAX = 4 << 20 /* bytes of a rule's site and target together */
};

/* Sequences fit the integers every JSON reader knows. */
#define FORMAT_SEQUENCE_MAX ((UINT64_C(1) << 53) - 1)

typedef enum { FORMAT_PARSED, FORMAT_INCOMPLETE, FORMAT_WRONG } format_result_t;

/* Bytes that grow; all zero is empty. */
typedef struct {
    uint8_t *data;
    size_t length, capacity;
} bytes_t;

void bytes_reserve(bytes_t *bytes, size_t more);
void bytes_free(bytes_t *bytes);

typedef struct {
    uint64_t id;             /* random, of this file alone */
    uint64_t base_length;    /* bytes that were on stable storage before the file got its name */
    uint64_t first_sequence; /* of the first rule in it; later ones follow without a gap */
} format_header_t;

typedef enum { FORMAT_RULE = 1, FORMAT_SLOTS = 2 } format_record_kind_t;

typedef struct {
    format_record_kind_t kind;
    size_t length;        /* of the whole record */
    ledger_rule_t rule;   /* FORMAT_RULE; its texts point into the bytes parsed */
    uint64_t batch_first; /* FORMAT_RULE: the first sequence of the batch it was written with */
    const uint8_t *slots; /* FORMAT_SLOTS */
    size_t slot_count;
} format_record_t;

/* The header is written into bytes already there, when the base length is known. */
void format_header_put(uint8_t data[FORMAT_HEADER_BYTES], const format_header_t *header);
format_result_t format_header_parse(const uint8_t *data, size_t length, format_header_t *header);

/* Records are appended to `bytes`, whose first byte will stand at `offset` of the file with this id. */
void format_rule_put(bytes_t *bytes, uint64_t id, uint64_t offset, const ledger_rule_t *rule,
                     uint64_t batch_first);
void format_slots_put(bytes_t *bytes, uint64_t id, uint64_t offset, const ledger_slot_t *slots, size_t count);

/* Parses the record that starts at `data`, which stands at `offset` of the file. PARSED means that every
 * field is in range. */
format_result_t format_record_parse(const uint8_t *data, size_t length, uint64_t id, uint64_t offset,
                                    format_record_t *record);
ledger_slot_t format_slot(const format_record_t *record, size_t index);

void format_sequence_put(uint8_t data[FORMAT_SEQUENCE_BYTES], uint64_t bound);
format_result_t format_sequence_parse(const uint8_t *data, size_t length, uint64_t *bound);

#endif
