/* The files of the disk tier: directory, segment header, record with its meta, footer. The referee: what is
 * parsed has one form, so that it has the same bytes when it is put again, and a record passes in its own
 * place alone; of a meta that is parsed an object can be made, which is as large as it says.
 *
 * No fuzzer guesses a checksum. So when the input's first byte is odd, the right ones are put in the places
 * that record.c names, and what is in them is reached. */
#include <xxhash.h>

#include "edge/cache/disk/little_endian.h"
#include "edge/cache/disk/meta.h"
#include "edge/cache/memory.h"

enum { CHECKSUM = 8, SEGMENT_SAYS = 32, SEALED = 1, KIND_SHIFT = 1, KINDS = 4 };

static const record_address_t here = {.directory_id = 7, .serial = 3, .unit = 20};

static void seal(uint8_t *block, const char *magic, size_t size, uint64_t seed)
{
    memcpy(block, magic, 8);
    le_put(block + 8, DISK_FORMAT, 4);
    le_put(block + size - CHECKSUM, XXH3_64bits_withSeed(block, size - CHECKSUM, seed), CHECKSUM);
}

/* A block of this size, with the input before zeroes. */
static uint8_t *block_of(const uint8_t *data, size_t size, size_t block_bytes)
{
    uint8_t *block = must_calloc(1, block_bytes);
    if (size > 0)
        memcpy(block, data, size < block_bytes ? size : block_bytes);
    return block;
}

static void try_directory(const uint8_t *data, size_t size, bool sealed)
{
    size_t length = sealed ? DIRECTORY_BYTES : size;
    uint8_t *block = block_of(data, size, length + (length == 0)), again[DIRECTORY_BYTES];
    if (sealed)
        seal(block, "SELVDISK", DIRECTORY_BYTES, 0);
    directory_t directory;
    if (directory_parse(block, length, &directory) == DIRECTORY_PARSED) {
        directory_put(again, &directory);
        MUST(length == sizeof again && memcmp(block, again, sizeof again) == 0);
    }
    free(block);
}

static void try_segment(const uint8_t *data, size_t size, bool sealed)
{
    size_t length = sealed ? SEGMENT_HEADER_BYTES : size;
    uint8_t *block = block_of(data, size, length + (length == 0));
    uint8_t *again = must_alloc(SEGMENT_HEADER_BYTES);
    if (sealed)
        seal(block, "SELVSEGM", SEGMENT_SAYS, here.directory_id);
    uint64_t serial;
    if (segment_header_parse(block, length, here.directory_id, &serial)) {
        segment_header_put(again, here.directory_id, serial);
        MUST(memcmp(block, again, SEGMENT_HEADER_BYTES) == 0);
        MUST(!segment_header_parse(block, length, here.directory_id + 1, &serial));
    }
    free(again);
    free(block);
}

/* --- Records --- */

static void on_release(object_t *object)
{
    object_destroy(object);
}

/* It is made, and put again as it was. */
static void remake_object(const disk_meta_t *meta, const uint8_t *bytes, size_t length)
{
    memory_account_t account = {0};
    variants_t *node = meta->has_node ? variants_new(NULL, &meta->vary, meta->node) : NULL;
    const cache_key_t key = cache_key(meta->site, meta->target);
    const cache_variant_t variant = {node, meta->selector};
    object_t *object = object_new(&account, &key.subject, 1, (version_id_t){1, 2}, on_release);
    bool empty = disk_meta_has_body(meta, 0);
    if (empty) {
        head_t *head = head_load(&account, meta);
        body_t *body = body_new(&account, (version_id_t){1, 2}, 0);
        object_complete_loaded(object, &head, meta->flags, &body);
        uint8_t *again = must_alloc(length);
        MUST(disk_meta_put(object, &key, &variant, again) == length && memcmp(again, bytes, length) == 0);
        free(again);
    }
    object_unref(&object);
    MUST(atomic_load(&account.bytes) == 0);
    if (node != NULL)
        variants_unref(&node);
}

static void remake_node(const disk_meta_t *meta, const uint8_t *bytes, size_t length)
{
    variants_t *node = variants_new(NULL, &meta->vary, meta->node);
    const cache_key_t key = cache_key(meta->site, meta->target);
    MUST(disk_meta_node_size(&key, node) == length);
    uint8_t *again = must_alloc(length);
    MUST(disk_meta_put_node(&key, node, again) == length && memcmp(again, bytes, length) == 0);
    free(again);
    variants_unref(&node);
}

static void try_names(const uint8_t *bytes, size_t length)
{
    for (size_t i = 0; i + TOMBSTONE_BYTES <= length; i += TOMBSTONE_BYTES) {
        uint8_t again[TOMBSTONE_BYTES];
        ledger_hash_t name = tombstone_name(bytes + i);
        tombstone_put(again, &name);
        MUST(memcmp(again, bytes + i, TOMBSTONE_BYTES) == 0);
    }
}

/* In memory exactly as long as it is. */
static void try_meta(const uint8_t *data, size_t length, record_kind_t kind)
{
    uint8_t *bytes = block_of(data, length, length + (length == 0));
    disk_meta_t meta;
    if (kind == RECORD_TOMBSTONES)
        try_names(bytes, length);
    bool parsed = disk_meta_parse(bytes, length, kind, &meta);
    MUST(!parsed || kind != RECORD_TOMBSTONES);
    if (parsed && kind == RECORD_VARIANTS)
        remake_node(&meta, bytes, length);
    else if (parsed)
        remake_object(&meta, bytes, length);
    free(bytes);
}

static void judge_record(const uint8_t *header, const record_t *record)
{
    uint8_t again[RECORD_HEADER_BYTES];
    record_t other;
    record_header_put(again, record, &here);
    MUST(memcmp(header, again, sizeof again) == 0);
    const record_address_t elsewhere[] = {{here.directory_id, here.serial, here.unit + 1},
                                          {here.directory_id, here.serial + 1, here.unit},
                                          {here.directory_id + 1, here.serial, here.unit}};
    for (size_t i = 0; i < sizeof elsewhere / sizeof *elsewhere; i++)
        MUST(!record_header_parse(header, RECORD_HEADER_BYTES, &elsewhere[i], &other));
    uint32_t bytes = 0;
    for (unsigned i = 0; i < record_blocks(record); i++)
        bytes += record_block_bytes(record, i);
    MUST(bytes == record->body_bytes && record_units(record) <= RECORD_UNITS_MAX);
}

/* The header, and behind it the meta to the end of the input; sealed, it says so itself. */
static void try_record(const uint8_t *data, size_t size, bool sealed)
{
    size_t meta_bytes = size > RECORD_HEADER_BYTES ? size - RECORD_HEADER_BYTES : 0;
    uint8_t *header =
        block_of(data, size, sealed || size > RECORD_HEADER_BYTES ? RECORD_HEADER_BYTES : size + (size == 0));
    if (sealed) {
        le_put(header + 16, here.serial, 8);
        le_put(header + 24, here.unit, 4);
        le_put(header + 28, meta_bytes, 4);
        seal(header, "SELVRECD", RECORD_HEADER_BYTES, here.directory_id);
    }
    record_t record;
    if (record_header_parse(header, sealed ? RECORD_HEADER_BYTES : size, &here, &record)) {
        judge_record(header, &record);
        record_kind_t kind = record.kind;
        if (sealed)
            try_meta(data + RECORD_HEADER_BYTES, meta_bytes, kind);
        record_meta_checksum(header, RECORD_HEADER_BYTES);
        MUST(record_block_checksum(record.version, 0, header, 64) !=
             record_block_checksum(record.version, 1, header, 64));
    }
    free(header);
}

/* --- Footers: a trailer, and then entries --- */

static void try_entries(const uint8_t *data, size_t size)
{
    for (size_t i = 0; i + FOOTER_ENTRY_BYTES <= size; i += FOOTER_ENTRY_BYTES) {
        footer_entry_t entry;
        uint8_t again[FOOTER_ENTRY_BYTES];
        if (!footer_entry_parse(data + i, &entry))
            continue;
        footer_entry_put(again, &entry);
        MUST(memcmp(again, data + i, FOOTER_ENTRY_BYTES) == 0);
        MUST(entry.meta_units <= entry.units && entry.unit + entry.units <= SEGMENT_UNITS_MAX);
    }
    footer_checksum(data, size);
}

static void try_footer(const uint8_t *data, size_t size, bool sealed)
{
    enum { SEGMENT = 4 << 20 };
    size_t length = sealed ? SEGMENT_TRAILER_BYTES : size;
    uint8_t *block = block_of(data, size, length + (length == 0)), again[SEGMENT_TRAILER_BYTES];
    if (sealed)
        seal(block, "SELVTAIL", SEGMENT_TRAILER_BYTES, here.directory_id);
    trailer_t trailer;
    if (trailer_parse(block, length, here.directory_id, &trailer)) {
        trailer_put(again, here.directory_id, &trailer);
        MUST(memcmp(block, again, sizeof again) == 0);
        uint64_t at = trailer_entries_at(&trailer, SEGMENT);
        MUST(at == 0 || (at >= (uint64_t)trailer.end_unit * DISK_UNIT && at < SEGMENT));
    }
    free(block);
    if (size > SEGMENT_TRAILER_BYTES)
        try_entries(data + SEGMENT_TRAILER_BYTES, size - SEGMENT_TRAILER_BYTES);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static void (*const tries[KINDS])(const uint8_t *, size_t, bool) = {try_record, try_directory,
                                                                        try_segment, try_footer};
    if (size == 0)
        return -1;
    memory_attach_thread(); /* nodes of variants are freed a grace period later */
    tries[data[0] >> KIND_SHIFT & (KINDS - 1)](data + 1, size - 1, data[0] & SEALED);
    memory_detach_thread();
    return 0;
}
