/* The replay through memory and disk: the real policy of memory, the real admission, index and volume, whose
 * files are in memory and keep what is not zero. What a node does around them is done here in a few lines,
 * after edge/cache/disk/admit.c: what is stored in memory is offered to the disk if it was fetched lately, or
 * as it is asked for again; what is found on disk is stored in memory; who is evicted from memory is not
 * written then.
 *
 * A record has a meta of 500 bytes. What is larger than a record has several, and is a hit when all are
 * there. Segments are small, 2 MiB, so that even a disk as small as a trace's has some to turn over; a node's
 * are 4 MiB or more, 256 of them. */
#include "edge/cache/disk/admission.h"
#include "edge/cache/disk/volume.h"
#include "tests/bench/sparse_files.h"
#include "tests/bench/trace.h"

enum { META_BYTES = 500, SEGMENT_BYTES = 2 << 20 };

typedef struct {
    trace_t *trace;
    size_t memory_bytes;
    bool always;
    s3fifo_t *memory;
    admission_t *admission;
    disk_index_t *index;
    sparse_files_t *files;
    volume_t *volume;
} node_t;

static const uint8_t zeroes[BLOCK_BYTES];

static ledger_hash_t name_of(const object_t *object, size_t part)
{
    uint64_t parts[2] = {object->id, part};
    XXH128_hash_t name = XXH3_128bits(parts, sizeof parts);
    return (ledger_hash_t){name.low64, name.high64};
}

static size_t parts_of(const object_t *object)
{
    return object->bytes == 0 ? 1 : (object->bytes + RECORD_BODY_MAX - 1) / RECORD_BODY_MAX;
}

static size_t part_bytes(const object_t *object, size_t part)
{
    size_t rest = object->bytes - part * RECORD_BODY_MAX;
    return rest < RECORD_BODY_MAX ? rest : RECORD_BODY_MAX;
}

static bool part_known(const node_t *node, const object_t *object, size_t part, bool asked)
{
    ledger_hash_t name = name_of(object, part);
    disk_place_t place;
    return disk_index_find(node->index, &name, asked, &place);
}

static bool is_on_disk(const node_t *node, const object_t *object)
{
    bool all = true;
    for (size_t part = 0; part < parts_of(object); part++)
        all = part_known(node, object, part, true) && all;
    return all;
}

static void write_part(const node_t *node, const object_t *object, size_t part)
{
    static const uint8_t meta[META_BYTES] = {1};
    size_t bytes = part_bytes(object, part);
    volume_record_t record = {.record = {.kind = RECORD_OBJECT,
                                         .name = name_of(object, part),
                                         .version = {object->id, 1},
                                         .meta_bytes = META_BYTES,
                                         .body_bytes = (uint32_t)bytes},
                              .meta = meta};
    for (unsigned i = 0; i < record_blocks(&record.record); i++)
        record.body[i] = (struct iovec){(void *)(uintptr_t)zeroes, record_block_bytes(&record.record, i)};
    MUST(volume_append(node->volume, &record) && volume_flush(node->volume));
}

static void offer(const node_t *node, object_t *object)
{
    if (object->offered)
        return;
    object->offered = true;
    for (size_t part = 0; part < parts_of(object); part++)
        if (!part_known(node, object, part, false))
            write_part(node, object, part);
}

/* What does not fit into memory passes by it, through a window, and is offered in any case. */
static void store(const node_t *node, object_t *object)
{
    if (object->bytes > node->memory_bytes)
        return;
    while (s3fifo_bytes(node->memory) + object->bytes > node->memory_bytes)
        CONTAINER_OF(s3fifo_evict(node->memory), object_t, node)->stored = false;
    s3fifo_insert(node->memory, &object->node, object->bytes);
    object->stored = true;
}

static void fetch(const node_t *node, object_t *object)
{
    ledger_hash_t name = name_of(object, 0);
    bool seen = admission_seen(node->admission, disk_index_hash(node->index, &name));
    store(node, object);
    object->offered = false;
    if (seen || node->always || !object->stored)
        offer(node, object);
}

static void ask(const node_t *node, object_t *object, tiers_t *tiers)
{
    if (object->stored) {
        s3fifo_touch(&object->node);
        offer(node, object);
        return;
    }
    tiers->memory.objects += 1;
    tiers->memory.bytes += (double)object->bytes;
    if (is_on_disk(node, object)) {
        store(node, object);
        object->offered = true;
        return;
    }
    tiers->both.objects += 1;
    tiers->both.bytes += (double)object->bytes;
    fetch(node, object);
}

static void node_begin(node_t *node, size_t disk_bytes)
{
    volume_opening_t opening;
    node->memory = s3fifo_new(node->memory_bytes);
    node->admission = admission_new(disk_bytes);
    node->index = disk_index_new(1, disk_bytes);
    node->files = sparse_files_new();
    volume_config_t config = {.io = sparse_files_io(node->files),
                              .index = node->index,
                              .size = disk_bytes,
                              .segment_bytes = SEGMENT_BYTES,
                              .segments_max = UINT16_MAX,
                              .random = 1};
    node->volume = volume_open(&config, &opening);
    MUST(node->volume != NULL && opening.outcome == VOLUME_NEW);
    while (volume_recover_next(node->volume))
        continue;
    disk_index_complete(node->index);
}

static void node_end(node_t *node)
{
    while (s3fifo_evict(node->memory) != NULL)
        continue;
    MUST(volume_failure(node->volume).call == NULL &&
         volume_bytes(node->volume) <= volume_size(node->volume));
    s3fifo_free(&node->memory);
    volume_close(&node->volume);
    sparse_files_free(&node->files);
    disk_index_free(&node->index);
    admission_free(&node->admission);
}

tiers_t replay_tiers(trace_t *trace, size_t memory_bytes, size_t disk_bytes, bool always)
{
    node_t node = {.trace = trace, .memory_bytes = memory_bytes, .always = always};
    tiers_t tiers = {.written = 0};
    trace_begin(trace);
    node_begin(&node, disk_bytes);
    for (size_t i = 0; i < trace->request_count; i++)
        ask(&node, &trace->objects[trace->requests[i].object], &tiers);
    tiers.moved = volume_moved(node.volume);
    tiers.records = disk_index_records(node.index);
    tiers.written = (double)sparse_files_written(node.files);
    node_end(&node);
    return tiers;
}
