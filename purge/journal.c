/* Two rules keep the file simple: a file found at the start is only read, never written (the first append
 * makes a fresh one), and a file one of whose writes or syncs failed is never written again. So what follows
 * a bad record can only be the rest of the one write that was under way, and a retry never trusts a sync that
 * comes after a failed one. */
#include "purge/identity.h"
#include "purge/state_file.h"

#include <errno.h>
#include <inttypes.h>
#include <xxhash.h>

enum {
    JOURNAL_MAGIC = 0x10c4a11e,
    RESERVE = 4096 /* sequences per write of the sequence file; a crash skips at most so many */
};

/* How far sequences jump when nothing says which were handed out: more than any run can have used since its
 * last rule. */
static const uint64_t SEQUENCE_LOST_JUMP = UINT64_C(1) << 32;

struct journal {
    uint32_t magic;
    journal_config_t config;
    int lock;
    /* The file being appended to; NO_FILE: the next append makes a fresh one. */
    int file;
    uint64_t id, length, base_length;
    uint64_t files_made;
    /* The next sequence, and the highest one reserved on stable storage. */
    uint64_t next, bound;
    uint64_t acknowledged; /* the last one; the ledger must hold it when a fresh file is written */
    bytes_t bytes;         /* what is being written */
};

/* Calls. ----------------------------------------------------------------------------------------------------
 */

void journal_error_text(const journal_error_t *error, char *text, size_t size)
{
    char reason[128];
    switch (error->failure) {
    case JOURNAL_LOCKED:
        snprintf(text, size, "another process uses this state directory");
        return;
    case JOURNAL_EXHAUSTED:
        snprintf(text, size, "all purge sequences have been used");
        return;
    case JOURNAL_IO_FAILED:
        snprintf(text, size, "%s of %s failed: %s", error->call, error->file,
                 strerror_r(error->number, reason, sizeof(reason)));
        return;
    }
}

/* Sequences. ------------------------------------------------------------------------------------------------
 */

static bool write_bound(journal_t *journal, uint64_t bound, journal_error_t *error)
{
    uint8_t data[FORMAT_SEQUENCE_BYTES];
    format_sequence_put(data, bound);
    if (!state_file_replace(&journal->config.io, "sequence", "sequence.new", data, sizeof(data), NULL, error))
        return false;
    journal->bound = bound;
    return true;
}

/* Makes sure that the next `count` sequences may be handed out. */
static bool reserve(journal_t *journal, size_t count, journal_error_t *error)
{
    if (count > FORMAT_SEQUENCE_MAX || journal->next > FORMAT_SEQUENCE_MAX + 1 - count) {
        *error = (journal_error_t){.failure = JOURNAL_EXHAUSTED};
        return false;
    }
    uint64_t last = journal->next + count - 1;
    if (last <= journal->bound)
        return true;
    return write_bound(journal, last < FORMAT_SEQUENCE_MAX - RESERVE ? last + RESERVE : FORMAT_SEQUENCE_MAX,
                       error);
}

/* Writing. --------------------------------------------------------------------------------------------------
 */

typedef struct {
    bytes_t *bytes;
    uint64_t id;
    size_t count;
    ledger_slot_t slots[FORMAT_SLOTS_MAX];
} slot_writer_t;

static void flush_slots(slot_writer_t *writer)
{
    if (writer->count != 0)
        format_slots_put(writer->bytes, writer->id, 0, writer->slots, writer->count);
    writer->count = 0;
}

static void collect_slot(void *context, const ledger_slot_t *slot)
{
    slot_writer_t *writer = context;
    writer->slots[writer->count++] = *slot;
    if (writer->count == FORMAT_SLOTS_MAX)
        flush_slots(writer);
}

static void put_slots(journal_t *journal)
{
    slot_writer_t writer = {.bytes = &journal->bytes, .id = journal->id};
    ledger_export(journal->config.ledger, collect_slot, &writer);
    flush_slots(&writer);
}

static void put_rules(journal_t *journal, uint64_t offset, const ledger_rule_t *rules, size_t count)
{
    for (size_t i = 0; i < count; i++)
        format_rule_put(&journal->bytes, journal->id, offset, &rules[i], rules[0].sequence);
}

/* A file with all that the ledger holds and then these rules, whose first sequence is `first`. */
static bool write_fresh(journal_t *journal, const ledger_rule_t *rules, size_t count, uint64_t first,
                        journal_error_t *error)
{
    MUST(ledger_applied(journal->config.ledger) >= journal->acknowledged);
    const uint64_t name[2] = {journal->config.random, journal->files_made++};
    state_file_close(&journal->config.io, &journal->file);
    journal->id = XXH3_64bits(name, sizeof(name));

    journal->bytes.length = 0;
    bytes_reserve(&journal->bytes, FORMAT_HEADER_BYTES);
    journal->bytes.length = FORMAT_HEADER_BYTES;
    put_slots(journal);
    put_rules(journal, 0, rules, count);
    journal->base_length = journal->length = journal->bytes.length;
    const format_header_t header = {
        .id = journal->id, .base_length = journal->base_length, .first_sequence = first};
    format_header_put(journal->bytes.data, &header);

    return state_file_replace(&journal->config.io, "journal", "journal.new", journal->bytes.data,
                              journal->bytes.length, &journal->file, error);
}

static bool write_behind(journal_t *journal, const ledger_rule_t *rules, size_t count, journal_error_t *error)
{
    journal->bytes.length = 0;
    put_rules(journal, journal->length, rules, count);
    if (!state_file_write(&journal->config.io, journal->file, "journal", journal->bytes.data,
                          journal->bytes.length, error)) {
        state_file_close(&journal->config.io, &journal->file);
        return false;
    }
    journal->length += journal->bytes.length;
    return true;
}

static void number_rules(ledger_rule_t *rules, size_t count, uint64_t first)
{
    for (size_t i = 0; i < count; i++)
        rules[i].sequence = first == 0 ? 0 : first + i;
}

bool journal_append(journal_t *journal, ledger_rule_t *rules, size_t count, journal_error_t *error)
{
    MUST_BE(journal, JOURNAL_MAGIC);
    MUST(count >= 1);
    number_rules(rules, count, 0);
    if (!reserve(journal, count, error))
        return false;

    uint64_t first = journal->next;
    number_rules(rules, count, first);
    journal->next += count;

    bool full = journal->length - journal->base_length >= journal->config.compact_bytes;
    bool done = journal->file == NO_FILE || full ? write_fresh(journal, rules, count, first, error)
                                                 : write_behind(journal, rules, count, error);
    if (done)
        journal->acknowledged = journal->next - 1;
    else
        number_rules(rules, count, 0);
    return done;
}

bool journal_takes(const ledger_rule_t *rule)
{
    return rule->site.length <= FORMAT_TEXTS_MAX &&
           rule->target.length <= FORMAT_TEXTS_MAX - rule->site.length;
}

/* Reading. --------------------------------------------------------------------------------------------------
 */

/* A walk over a journal's bytes; applies what it finds to the ledger. */
typedef struct {
    const uint8_t *data;
    size_t length, offset;
    format_header_t header;
    uint64_t next_rule; /* the sequence the next rule must have */
    uint64_t highest;   /* sequence seen anywhere */
} walk_t;

static format_result_t parse_at(const walk_t *walk, size_t offset, format_record_t *record)
{
    return format_record_parse(walk->data + offset, walk->length - offset, walk->header.id, offset, record);
}

static void import_slots(ledger_t *ledger, const format_record_t *record)
{
    for (size_t i = 0; i < record->slot_count; i++) {
        ledger_slot_t slot = format_slot(record, i);
        ledger_import(ledger, &slot);
    }
}

/* NULL, or what is wrong with this record in this place: slots come first, rules follow without a gap. */
static const char *take_record(walk_t *walk, ledger_t *ledger, const format_record_t *record)
{
    if (record->kind == FORMAT_SLOTS) {
        if (walk->offset >= walk->header.base_length || walk->next_rule != walk->header.first_sequence)
            return "slots behind rules";
        import_slots(ledger, record);
    } else {
        if (record->rule.sequence != walk->next_rule || ledger_applied(ledger) >= walk->next_rule)
            return "a rule out of order";
        ledger_apply(ledger, &record->rule);
        walk->next_rule++;
    }
    walk->offset += record->length;
    return NULL;
}

/* Looks behind a bad record for good ones. Each batch was on stable storage before the next was written, so
 * one of a later batch means that bytes went bad which had been good. One of the same batch does not: a power
 * cut may keep the end of a write and lose its beginning. */
static bool later_batch_follows(walk_t *walk)
{
    bool follows = false;
    for (size_t offset = walk->offset + 1; offset < walk->length; offset++) {
        format_record_t record;
        if (parse_at(walk, offset, &record) != FORMAT_PARSED || record.kind != FORMAT_RULE)
            continue;
        if (record.rule.sequence > walk->highest)
            walk->highest = record.rule.sequence;
        follows = follows || record.batch_first > walk->next_rule;
    }
    return follows;
}

static const char *walk_records(walk_t *walk, ledger_t *ledger)
{
    while (walk->offset < walk->length) {
        format_record_t record;
        if (parse_at(walk, walk->offset, &record) != FORMAT_PARSED)
            break;
        const char *damage = take_record(walk, ledger, &record);
        if (damage != NULL)
            return damage;
    }
    bool later = later_batch_follows(walk);
    if (walk->offset < walk->header.base_length)
        return "bytes missing or changed that were on stable storage";
    return later ? "a bad record with good ones behind it" : NULL;
}

/* NULL, or what is wrong with the file. */
static const char *walk_file(walk_t *walk, ledger_t *ledger, journal_opening_t *opening)
{
    const char *damage = "no header of this version";
    if (format_header_parse(walk->data, walk->length, &walk->header) == FORMAT_PARSED) {
        walk->offset = FORMAT_HEADER_BYTES;
        walk->next_rule = walk->header.first_sequence;
        damage = walk_records(walk, ledger);
        opening->rules = walk->next_rule - walk->header.first_sequence;
        if (walk->next_rule - 1 > walk->highest)
            walk->highest = walk->next_rule - 1;
    }
    opening->good_bytes = walk->offset;
    opening->bad_bytes = walk->length - walk->offset;
    return damage;
}

/* What a directory holds when it is opened. */
typedef struct {
    bool journal, sequence; /* there is such a file */
    bool bound_good;        /* and the sequence file can be believed */
    uint64_t bound;
    uint64_t highest; /* sequence seen in the journal */
} found_t;

/* Fills the ledger. false on an error of the environment; that there is no file is none. */
static bool read_journal(journal_t *journal, found_t *found, journal_opening_t *opening,
                         journal_error_t *error)
{
    ledger_t *ledger = journal->config.ledger;
    bytes_t bytes = {0};
    found->journal = state_file_read(&journal->config.io, "journal", &bytes, error);
    if (found->journal) {
        walk_t walk = {.data = bytes.data, .length = bytes.length};
        opening->damage = walk_file(&walk, ledger, opening);
        found->highest = walk.highest > ledger_applied(ledger) ? walk.highest : ledger_applied(ledger);
    } else {
        opening->damage = "gone";
    }
    bytes_free(&bytes);
    return found->journal || error->number == ENOENT;
}

static bool read_bound(journal_t *journal, found_t *found, journal_error_t *error)
{
    bytes_t bytes = {0};
    found->sequence = state_file_read(&journal->config.io, "sequence", &bytes, error);
    found->bound_good =
        found->sequence && format_sequence_parse(bytes.data, bytes.length, &found->bound) == FORMAT_PARSED;
    bytes_free(&bytes);
    return found->sequence || error->number == ENOENT;
}

/* Opening. --------------------------------------------------------------------------------------------------
 */

static bool take_lock(journal_t *journal, journal_error_t *error)
{
    const journal_io_t *io = &journal->config.io;
    int file = io->open(io->context, "lock", JOURNAL_LOCK);
    if (file < 0)
        return state_file_fail(error, "open", "lock", file);
    journal->lock = file;
    int result = io->lock(io->context, file);
    if (result == -EWOULDBLOCK) {
        *error = (journal_error_t){.failure = JOURNAL_LOCKED};
        return false;
    }
    return result == 0 || state_file_fail(error, "flock", "lock", result);
}

static bool make_identity(journal_t *journal, journal_opening_t *opening, journal_error_t *error)
{
    memcpy(opening->identity, journal->config.identity, sizeof opening->identity);
    return identity_make(&journal->config.io, opening->identity, error);
}

/* The identity comes first: no journal without the rules of before is ever found with the one of before. Then
 * the journal: a crash in between leaves an empty journal, which says that no rule was lost. */
static bool begin_new(journal_t *journal, journal_opening_t *opening, journal_error_t *error)
{
    opening->outcome = JOURNAL_NEW;
    opening->damage = NULL;
    journal->next = 1;
    return make_identity(journal, opening, error) && write_fresh(journal, NULL, 0, 1, error) &&
           reserve(journal, 1, error);
}

/* The rules are lost, so everything is purged: whatever is stored has an older stamp. The damaged file is
 * kept for people to look at. A crash at any point in here leads here again. */
static bool begin_again(journal_t *journal, const found_t *found, journal_opening_t *opening,
                        journal_error_t *error)
{
    const journal_io_t *io = &journal->config.io;
    opening->outcome = JOURNAL_FORGOTTEN;
    if (!reserve(journal, 1, error))
        return false;
    const ledger_rule_t everything = {.kind = RULE_EVERYTHING, .sequence = journal->next++};

    if (found->journal) {
        snprintf(opening->kept_as, sizeof(opening->kept_as), "journal.damaged-%" PRIu64, everything.sequence);
        int result = io->rename(io->context, "journal", opening->kept_as);
        if (result != 0)
            return state_file_fail(error, "rename", "journal", result);
    }
    ledger_apply(journal->config.ledger, &everything);
    return write_fresh(journal, NULL, 0, journal->next, error);
}

/* Of a journal that is there, whatever is left of it. */
static bool keep_identity(journal_t *journal, journal_opening_t *opening, journal_error_t *error)
{
    bool good;
    if (!identity_read(&journal->config.io, opening->identity, &good, error) && error->number != ENOENT)
        return false;
    opening->identity_lost = !good;
    return good || make_identity(journal, opening, error);
}

static bool begin(journal_t *journal, journal_opening_t *opening, journal_error_t *error)
{
    found_t found = {0};
    if (!take_lock(journal, error) || !read_bound(journal, &found, error) ||
        !read_journal(journal, &found, opening, error))
        return false;
    if (!found.journal && !found.sequence)
        return begin_new(journal, opening, error);
    if (!keep_identity(journal, opening, error))
        return false;

    opening->sequence_lost = !found.bound_good;
    if (opening->sequence_lost)
        found.highest += SEQUENCE_LOST_JUMP;
    journal->bound = found.bound;
    journal->next = (found.bound > found.highest ? found.bound : found.highest) + 1;
    if (opening->damage != NULL)
        return begin_again(journal, &found, opening, error);
    opening->outcome = opening->bad_bytes == 0 ? JOURNAL_WHOLE : JOURNAL_TAIL_CUT;
    return true;
}

journal_t *journal_open(const journal_config_t *config, journal_opening_t *opening, journal_error_t *error)
{
    MUST(ledger_applied(config->ledger) == 0 && config->compact_bytes >= 1);
    journal_t *journal = must_calloc(1, sizeof(*journal));
    journal->magic = JOURNAL_MAGIC;
    journal->config = *config;
    journal->lock = journal->file = NO_FILE;
    *opening = (journal_opening_t){0};

    if (!begin(journal, opening, error)) {
        journal->next = 0; /* nothing was handed out: leave the bound as it is */
        journal_close(&journal);
        return NULL;
    }
    journal->acknowledged = ledger_applied(config->ledger);
    ledger_publish(config->ledger, journal->acknowledged);
    return journal;
}

void journal_close(journal_t **journal)
{
    journal_t *closing = *journal;
    journal_error_t error;
    if (closing == NULL)
        return;
    MUST_BE(closing, JOURNAL_MAGIC);
    /* The exact bound instead of the reserved one. If it cannot be written, the reserved one is as true. */
    if (closing->next != 0 && closing->bound > closing->next - 1)
        write_bound(closing, closing->next - 1, &error);
    state_file_close(&closing->config.io, &closing->file);
    state_file_close(&closing->config.io, &closing->lock);
    bytes_free(&closing->bytes);
    closing->magic = 0;
    free(closing);
    *journal = NULL;
}
