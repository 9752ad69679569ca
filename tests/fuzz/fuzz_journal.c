/* The journal's two files, as a start finds them. The referee: opening never fails for what the files hold,
 * what was forgotten is purged, and a rule appended afterwards comes after all that was read.
 *
 * No fuzzer guesses a checksum. So when the input's first byte is odd, its blocks and records get the right
 * ones, and what is in them is reached. */
#include <errno.h>
#include <xxhash.h>

#include "purge/journal.h"
#include "purge/journal_format.h"

enum { FILES = 12, HANDLES = 16, EXACT_SLOTS = 64, FOLDED_SLOTS = 16, COMPACT_BYTES = 1 << 20, CHECKSUM = 8 };

/* A directory in memory: names and bytes. */
typedef struct {
    char name[64]; /* empty: none */
    bytes_t bytes;
} file_t;

static file_t files[FILES];

static struct {
    file_t *file; /* NULL: closed */
    size_t position;
} handles[HANDLES];

static file_t *find(const char *name)
{
    for (size_t i = 0; i < FILES; i++)
        if (strcmp(files[i].name, name) == 0)
            return &files[i];
    return NULL;
}

static int open_file(void *context, const char *name, journal_mode_t mode)
{
    (void)context;
    file_t *file = find(name);
    if (file == NULL && mode == JOURNAL_READ)
        return -ENOENT;
    if (file == NULL) {
        file = find("");
        MUST(file != NULL && strlen(name) < sizeof file->name);
        memcpy(file->name, name, strlen(name) + 1);
    }
    if (mode == JOURNAL_WRITE)
        file->bytes.length = 0;
    int handle = 0;
    while (handles[handle].file != NULL)
        MUST(++handle < HANDLES);
    handles[handle].file = file;
    handles[handle].position = 0;
    return handle;
}

static ssize_t read_file(void *context, int handle, void *data, size_t length)
{
    (void)context;
    const bytes_t *bytes = &handles[handle].file->bytes;
    size_t left = bytes->length - handles[handle].position, part = length < left ? length : left;
    if (part > 0)
        memcpy(data, bytes->data + handles[handle].position, part);
    handles[handle].position += part;
    return (ssize_t)part;
}

static ssize_t write_file(void *context, int handle, const void *data, size_t length)
{
    (void)context;
    bytes_t *bytes = &handles[handle].file->bytes;
    if (length == 0)
        return 0;
    bytes_reserve(bytes, length);
    memcpy(bytes->data + bytes->length, data, length);
    bytes->length += length;
    return (ssize_t)length;
}

static int nothing(void *context, int handle)
{
    (void)context;
    (void)handle;
    return 0;
}

static int close_file(void *context, int handle)
{
    (void)context;
    handles[handle].file = NULL;
    return 0;
}

static int unlink_file(void *context, const char *name)
{
    (void)context;
    file_t *file = find(name);
    if (file == NULL)
        return -ENOENT;
    file->name[0] = '\0';
    file->bytes.length = 0;
    return 0;
}

static int rename_file(void *context, const char *from, const char *to)
{
    unlink_file(context, to);
    file_t *file = find(from);
    if (file == NULL)
        return -ENOENT;
    memcpy(file->name, to, strlen(to) + 1);
    return 0;
}

static int sync_directory(void *context)
{
    (void)context;
    return 0;
}

static const journal_io_t io = {.open = open_file,
                                .read = read_file,
                                .write = write_file,
                                .fsync = nothing,
                                .lock = nothing,
                                .close = close_file,
                                .rename = rename_file,
                                .unlink = unlink_file,
                                .fsync_directory = sync_directory};

static void remove_files(void)
{
    for (size_t i = 0; i < FILES; i++) {
        bytes_free(&files[i].bytes);
        files[i].name[0] = '\0';
    }
}

static void put_file(const char *name, const uint8_t *data, size_t length)
{
    int handle = open_file(NULL, name, JOURNAL_WRITE);
    write_file(NULL, handle, data, length);
    close_file(NULL, handle);
}

/* --- Right checksums, in the places that journal_format.h names --- */

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

static void seal_block(const char *name, const char magic[8], size_t size)
{
    file_t *file = find(name);
    if (file == NULL || file->bytes.length < size)
        return;
    uint8_t *data = file->bytes.data;
    memcpy(data, magic, 8);
    put(data + 8, 1, 4);
    put(data + 12, 0, 4);
    put(data + size - CHECKSUM, XXH3_64bits(data, size - CHECKSUM), CHECKSUM);
}

static void seal_records(void)
{
    enum { MAGIC = 0x4c525653, LENGTH_MIN = 24 };
    file_t *file = find("journal");
    if (file == NULL || file->bytes.length < FORMAT_HEADER_BYTES)
        return;
    uint8_t *data = file->bytes.data;
    uint64_t place[2] = {get(data + 16, 8), FORMAT_HEADER_BYTES};
    while (place[1] + LENGTH_MIN <= file->bytes.length) {
        uint8_t *record = data + place[1];
        size_t left = file->bytes.length - place[1], length = get(record + 4, 4) & 0xfff;
        if (length < LENGTH_MIN)
            length = LENGTH_MIN;
        if (length > left)
            length = left;
        put(record, MAGIC, 4);
        put(record + 4, length, 4);
        uint64_t sum = XXH3_64bits_withSeed(record, length - CHECKSUM, XXH3_64bits(place, sizeof place));
        put(record + length - CHECKSUM, sum, CHECKSUM);
        place[1] += length;
    }
}

/* The first byte, the sequence file, the journal. */
static void put_files(const uint8_t *data, size_t size)
{
    size_t sequence = size - 1 < FORMAT_SEQUENCE_BYTES ? size - 1 : FORMAT_SEQUENCE_BYTES;
    if ((data[0] & 2) == 0)
        put_file("sequence", data + 1, sequence);
    if ((data[0] & 4) == 0)
        put_file("journal", data + 1 + sequence, size - 1 - sequence);
    if ((data[0] & 1) == 0)
        return;
    seal_block("sequence", "SELVSEQN", FORMAT_SEQUENCE_BYTES);
    seal_block("journal", "SELVJRNL", FORMAT_HEADER_BYTES);
    seal_records();
}

/* --- One start, and one more --- */

/* Opens what is there, appends a rule. Returns the rule's sequence; 0 when no sequence is left. */
static uint64_t start(journal_outcome_t *outcome)
{
    ledger_t *ledger = ledger_new(EXACT_SLOTS, FOLDED_SLOTS);
    journal_config_t config = {io, ledger, 42, COMPACT_BYTES, {4, 2}};
    journal_opening_t opening;
    journal_error_t error;
    ledger_rule_t rule = {.kind = RULE_EVERYTHING};
    journal_t *journal = journal_open(&config, &opening, &error);
    MUST(journal != NULL || error.failure == JOURNAL_EXHAUSTED);
    if (journal != NULL) {
        uint64_t last = ledger_sequence(ledger);
        *outcome = opening.outcome;
        if (journal_append(journal, &rule, 1, &error))
            MUST(rule.sequence > last);
        else
            MUST(rule.sequence == 0 && error.failure == JOURNAL_EXHAUSTED);
        journal_close(&journal);
    }
    ledger_free(&ledger);
    return rule.sequence;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    journal_outcome_t outcome = JOURNAL_NEW;
    if (size == 0)
        return -1;
    put_files(data, size);
    uint64_t first = start(&outcome);
    if (first != 0) {
        uint64_t second = start(&outcome);
        MUST(outcome == JOURNAL_WHOLE && (second == 0 || second > first));
    }
    remove_files();
    return 0;
}
