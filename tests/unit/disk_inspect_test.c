/* A directory of the disk tier as people read it: what a node would find there, and nothing that is damaged.
 * On real files, in a directory of the test's own. */
#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "edge/cache/disk/inspect.h"
#include "edge/cache/disk/volume.h"
#include "edge/cache/memory_private.h"
#include "tests/unit/kept_objects.h"

enum { SEGMENT_BYTES = 16 << 10, SEGMENTS = 8, NAMES = 40 };

static char path[64];

/* --- What a node writes --- */

typedef struct {
    disk_io_t io;
    disk_index_t *index;
    volume_t *volume;
} writer_t;

/* No power goes in here. */
static int no_sync(void *context, int file)
{
    (void)context, (void)file;
    return 0;
}

static void open_writer(writer_t *writer)
{
    assert_int_equal(disk_io_posix(&writer->io, path), 0);
    writer->io.sync = no_sync;
    writer->index = disk_index_new(9, SEGMENTS * SEGMENT_BYTES);
    const volume_config_t config = {.io = writer->io,
                                    .index = writer->index,
                                    .size = 4096 + SEGMENTS * SEGMENT_BYTES,
                                    .segment_bytes = SEGMENT_BYTES,
                                    .segments_max = SEGMENTS,
                                    .node = {1, 2},
                                    .random = 4711,
                                    .sequence = 1000};
    volume_opening_t opening;
    writer->volume = volume_open(&config, &opening);
    assert_non_null(writer->volume);
    while (volume_recover_next(writer->volume))
        ;
}

static void close_writer(writer_t *writer)
{
    volume_close(&writer->volume);
    disk_index_free(&writer->index);
    disk_io_posix_close(&writer->io);
}

/* One of NAMES names, so that many replace each other; those of nodes are not among them. */
static ledger_hash_t name_of(size_t number)
{
    return (ledger_hash_t){number * 0x9e3779b97f4a7c15u, number + 1};
}

static void append(writer_t *writer, size_t number)
{
    kept_t kept;
    draw_kept(&kept);
    meta_bytes_t meta = put(&kept, kept.object);
    object_t *reference = kept.object;
    object_reader_t reader;
    body_span_t span = {0};
    object_ref(reference);
    object_open(&reference, &reader);
    volume_record_t out = {.record = {.kind = RECORD_OBJECT,
                                      .name = name_of(number),
                                      .stamp = object_stamp(kept.object),
                                      .version = object_body_version(kept.object),
                                      .meta_bytes = (uint32_t)meta.length},
                           .meta = meta.data};
    if (object_read(&reader, BLOCK_BYTES, &span) == READ_BYTES) {
        out.body[0] = (struct iovec){(char *)(uintptr_t)span.bytes, span.length};
        out.record.body_bytes = (uint32_t)span.length;
    }
    assert_true(volume_append(writer->volume, &out));
    block_unref(&span.block);
    object_leave(&reader);
    free(meta.data);
    drop(&kept);
}

static void bury(writer_t *writer, size_t number)
{
    ledger_hash_t name = name_of(number);
    disk_index_remove(writer->index, &name);
    assert_true(volume_bury(writer->volume, &name));
}

static void write_much(writer_t *writer, unsigned count)
{
    for (unsigned i = 0; i < count; i++)
        if (draw_below(5) == 0)
            bury(writer, draw_below(NAMES));
        else
            append(writer, draw_below(NAMES));
    assert_true(volume_flush(writer->volume));
}

/* --- What is seen of it --- */

typedef struct {
    const disk_index_t *index; /* the node's; NULL: it is not asked */
    unsigned segment;          /* of which meaningful bytes are counted */
    uint64_t records, live, faults, meaningful, entries, buried, buried_last /* in the oldest */;
    XXH64_hash_t told;
    const char *what;
    uint64_t last; /* offset of a record */
    uint64_t bytes, all;
} seen_t;

static bool on_record(void *context, const inspect_record_t *record)
{
    seen_t *seen = context;
    seen->records++;
    seen->last = record->offset;
    seen->live += record->live;
    seen->entries += record->segment == seen->segment;
    if (record->segment == seen->segment)
        seen->meaningful += RECORD_HEADER_BYTES + record->record->meta_bytes + record->record->body_bytes;
    const uint64_t parts[] = {seen->told,
                              record->segment,
                              record->offset,
                              record->live,
                              record->record->stamp,
                              record->record->name.low,
                              record->record->meta_checksum,
                              record->body != NULL ? XXH3_64bits(record->body, record->record->body_bytes)
                                                   : 0};
    seen->told = XXH3_64bits(parts, sizeof parts);
    disk_place_t place;
    if (seen->index != NULL && record->live) {
        assert_true(
            disk_index_find((disk_index_t *)(uintptr_t)seen->index, &record->record->name, false, &place));
        assert_int_equal(place.segment, record->segment);
        assert_int_equal(place.unit * DISK_UNIT, record->offset);
    }
    return true;
}

static void on_fault(void *context, const inspect_fault_t *fault)
{
    seen_t *seen = context;
    seen->faults++;
    seen->what = fault->what;
}

static void on_buried(void *context, uint64_t names)
{
    seen_t *seen = context;
    seen->buried += names;
    seen->buried_last = names;
}

static void on_progress(void *context, uint64_t bytes, uint64_t all)
{
    seen_t *seen = context;
    assert_true(bytes >= seen->bytes && bytes <= all && (seen->all == 0 || all == seen->all));
    seen->bytes = bytes;
    seen->all = all;
}

static seen_t look(bool bodies, const disk_index_t *index, unsigned segment)
{
    char error[INSPECT_ERROR_MAX];
    inspection_t *inspection = inspection_open(path, error);
    if (inspection == NULL)
        fail_msg("%s", error);
    seen_t seen = {.index = index, .segment = segment};
    const inspect_visitor_t visitor = {.context = &seen,
                                       .bodies = bodies,
                                       .record = on_record,
                                       .fault = on_fault,
                                       .buried = on_buried,
                                       .progress = on_progress};
    inspection_walk(inspection, &visitor);
    inspection_free(&inspection);
    return seen;
}

static void a_node_would_find_the_same(void **state)
{
    (void)state;
    for (unsigned round = 0; round < 30; round++) {
        writer_t writer;
        open_writer(&writer);
        write_much(&writer, 1 + (unsigned)draw_below(60));
        close_writer(&writer);
        open_writer(&writer); /* as it finds it */
        disk_index_complete(writer.index);
        seen_t seen = look(false, writer.index, 0);
        assert_int_equal(seen.live, disk_index_records(writer.index));
        assert_int_equal(seen.faults, 0);
        seen_t whole = look(true, writer.index, 0);
        assert_int_equal(whole.faults, 0);
        assert_int_equal(whole.records, seen.records);
        assert_true(whole.live > 0 && whole.buried > 0);
        assert_int_equal(whole.bytes, whole.all);
        close_writer(&writer);
    }
}

/* --- Damage --- */

static int open_segment(unsigned number)
{
    char name[128];
    snprintf(name, sizeof name, "%s/segment-%05u", path, number);
    int file = open(name, O_RDWR);
    assert_true(file >= 0);
    return file;
}

static void flip(int file, uint64_t offset)
{
    uint8_t byte;
    assert_int_equal(pread(file, &byte, 1, (off_t)offset), 1);
    byte ^= 0x10;
    assert_int_equal(pwrite(file, &byte, 1, (off_t)offset), 1);
}

/* Either it is told, or what is told is the same as before: then nothing has that byte. */
static void flip_each_byte_of(unsigned segment, uint64_t length)
{
    const seen_t whole = look(true, NULL, segment);
    uint64_t told = 0;
    int file = open_segment(segment);
    assert_int_equal(whole.faults, 0);
    for (uint64_t offset = 0; offset < length; offset++) {
        flip(file, offset);
        seen_t seen = look(true, NULL, segment);
        flip(file, offset);
        told += seen.faults > 0;
        if (seen.faults == 0 && seen.told != whole.told)
            fail_msg("the byte at %u is another, and that is not told", (unsigned)offset);
    }
    close(file);
    assert_true(whole.meaningful > 2000 && whole.buried_last > 0);
    /* What the footer names and the records themselves, with at least one that has the names. */
    uint64_t footer = (whole.entries + whole.buried_last) * FOOTER_ENTRY_BYTES + SEGMENT_TRAILER_BYTES;
    uint64_t names = RECORD_HEADER_BYTES + whole.buried_last * TOMBSTONE_BYTES;
    assert_true(told >= SEGMENT_HEADER_BYTES + whole.meaningful + names + footer);
}

static void each_byte_of_a_sealed_segment_counts(void **state)
{
    (void)state;
    writer_t writer;
    open_writer(&writer);
    append(&writer, 1);
    bury(&writer, 1);
    while (volume_segments(writer.volume) < 2)
        write_much(&writer, 1);
    close_writer(&writer);
    flip_each_byte_of(0, SEGMENT_BYTES);
}

/* Of a segment that is not sealed the last record is not missed: nothing says that there was one. */
static void a_record_that_others_follow_is_told(void **state)
{
    (void)state;
    writer_t writer;
    open_writer(&writer);
    for (size_t number = 0; number < 3; number++)
        append(&writer, number);
    assert_true(volume_flush(writer.volume));
    close_writer(&writer);
    int file = open_segment(0);
    flip(file, SEGMENT_HEADER_BYTES + 10);
    seen_t seen = look(true, NULL, 0);
    assert_int_equal(seen.records, 0);
    assert_int_equal(seen.faults, 1);
    assert_string_equal(seen.what, "a record is damaged, and others stand behind it");
    flip(file, SEGMENT_HEADER_BYTES + 10);
    uint64_t last = look(true, NULL, 0).last;
    flip(file, last + 10);
    seen = look(true, NULL, 0);
    assert_int_equal(seen.records, 2);
    assert_int_equal(seen.faults, 0);
    close(file);
}

static void a_process_that_has_it_is_seen(void **state)
{
    (void)state;
    char error[INSPECT_ERROR_MAX];
    writer_t writer;
    open_writer(&writer);
    append(&writer, 1);
    for (int i = 0; i < 2; i++) {
        inspection_t *inspection = inspection_open(path, error);
        assert_non_null(inspection);
        inspect_summary_t summary = inspection_summary(inspection);
        assert_int_equal(summary.in_use, i == 0);
        assert_int_equal(summary.directory.node[1], 2);
        assert_int_equal(summary.segments, 1);
        assert_int_equal(summary.sealed, 0);
        inspection_free(&inspection);
        if (i == 0)
            close_writer(&writer);
    }
}

static void one_record_is_read_again(void **state)
{
    (void)state;
    char error[INSPECT_ERROR_MAX];
    writer_t writer;
    open_writer(&writer);
    append(&writer, 1);
    close_writer(&writer);
    inspection_t *inspection = inspection_open(path, error);
    seen_t seen = {0};
    const inspect_visitor_t visitor = {
        .context = &seen, .bodies = true, .record = on_record, .fault = on_fault};
    assert_true(inspection_read(inspection, 0, SEGMENT_HEADER_BYTES, &visitor));
    assert_int_equal(seen.records, 1);
    assert_false(inspection_read(inspection, 0, 0, &visitor));
    int file = open_segment(0);
    flip(file, SEGMENT_HEADER_BYTES + RECORD_HEADER_BYTES);
    close(file);
    assert_false(inspection_read(inspection, 0, SEGMENT_HEADER_BYTES, &visitor));
    assert_int_equal(seen.records, 1);
    assert_int_equal(seen.faults, 1);
    inspection_free(&inspection);
}

static int make_directory(void **state)
{
    (void)state;
    state_of_random = 5;
    snprintf(path, sizeof path, "/tmp/disk-inspect-XXXXXX");
    return mkdtemp(path) != NULL ? 0 : -1;
}

static int remove_directory(void **state)
{
    (void)state;
    char command[128];
    snprintf(command, sizeof command, "rm -rf %s", path);
    return system(command);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_node_would_find_the_same, make_directory, remove_directory),
        cmocka_unit_test_setup_teardown(each_byte_of_a_sealed_segment_counts, make_directory,
                                        remove_directory),
        cmocka_unit_test_setup_teardown(a_record_that_others_follow_is_told, make_directory,
                                        remove_directory),
        cmocka_unit_test_setup_teardown(a_process_that_has_it_is_seen, make_directory, remove_directory),
        cmocka_unit_test_setup_teardown(one_record_is_read_again, make_directory, remove_directory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
