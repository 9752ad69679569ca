/* How long the disk tier takes to index what it finds on starting: a directory of real files, whose segments
 * are full of records of 32 KiB and hold nothing but their headers, their footers' entries and trailers; what
 * lies between is a hole.
 *
 *   disk_start RECORDS DIRECTORY
 *
 * The directory is made, and is gone afterwards. Prints lines of `name value` of the median of three starts:
 * start_s, from opening to the index being complete; cpu_s, the processor's part of it; bytes_per_record, the
 * index's. The footers are in the page cache, as they have just been written. */
#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "edge/cache/disk/volume.h"

enum { RECORD_UNITS = 64, META_UNITS = 2, NAME_BYTES = 4096, MEET_MAX = 10, STARTS = 3 };
static const uint64_t segment_bytes = (uint64_t)512 << 20;

static uint64_t mixed(uint64_t value)
{
    value += 0x9e3779b97f4a7c15u;
    value = (value ^ (value >> 30)) * 0xbf58476d1ce4e5b9u;
    value = (value ^ (value >> 27)) * 0x94d049bb133111ebu;
    return value ^ (value >> 31);
}

static double now_s(clockid_t clock)
{
    struct timespec now;
    clock_gettime(clock, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static uint32_t records_of_segment(void)
{
    return (uint32_t)((segment_bytes - SEGMENT_HEADER_BYTES - SEGMENT_TRAILER_BYTES) /
                      (RECORD_UNITS * DISK_UNIT + FOOTER_ENTRY_BYTES));
}

static volume_config_t config_of(const disk_io_t *io, disk_index_t *index, uint64_t segments)
{
    return (volume_config_t){.io = *io,
                             .index = index,
                             .size = (segments + 1) * segment_bytes,
                             .segment_bytes = segment_bytes,
                             .segments_max = (uint16_t)(segments + 1),
                             .node = {1, 2},
                             .random = 3,
                             .sequence = 1};
}

static volume_t *opened(const volume_config_t *config, volume_outcome_t outcome)
{
    volume_opening_t opening;
    volume_t *volume = volume_open(config, &opening);
    if (volume == NULL || opening.outcome != outcome) {
        fprintf(stderr, "disk_start: opening came to %d, %s of %s: %s\n", (int)opening.outcome,
                opening.call != NULL ? opening.call : "no call", opening.file != NULL ? opening.file : "none",
                strerror(-opening.number));
        exit(2);
    }
    return volume;
}

static uint64_t directory_id(const char *path)
{
    char name[NAME_BYTES];
    uint8_t data[DIRECTORY_BYTES];
    directory_t directory;
    snprintf(name, sizeof name, "%s/directory", path);
    int file = open(name, O_RDONLY);
    MUST(file >= 0 && read(file, data, sizeof data) == (ssize_t)sizeof data && close(file) == 0);
    MUST(directory_parse(data, sizeof data, &directory) == DIRECTORY_PARSED);
    return directory.id;
}

/* From its entries on to its end. */
static size_t put_footer(uint8_t *footer, uint64_t id, uint64_t serial, uint64_t first, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        const footer_entry_t entry = {.kind = RECORD_OBJECT,
                                      .name = {mixed(first + i), mixed(~(first + i))},
                                      .unit = SEGMENT_HEADER_BYTES / DISK_UNIT + i * RECORD_UNITS,
                                      .units = RECORD_UNITS,
                                      .meta_units = META_UNITS};
        footer_entry_put(footer + i * FOOTER_ENTRY_BYTES, &entry);
    }
    size_t length = (size_t)count * FOOTER_ENTRY_BYTES;
    const trailer_t trailer = {.serial = serial,
                               .entries = count,
                               .end_unit = SEGMENT_HEADER_BYTES / DISK_UNIT + count * RECORD_UNITS,
                               .stamp_max = 1,
                               .entries_checksum = footer_checksum(footer, length)};
    trailer_put(footer + length, id, &trailer);
    return length + SEGMENT_TRAILER_BYTES;
}

static void make_segment(const char *path, uint64_t id, uint64_t number, uint64_t first, uint32_t count)
{
    char name[NAME_BYTES];
    uint8_t header[SEGMENT_HEADER_BYTES],
        *footer = must_alloc((size_t)count * FOOTER_ENTRY_BYTES + SEGMENT_TRAILER_BYTES);
    snprintf(name, sizeof name, "%s/segment-%05u", path, (unsigned)number);
    int file = open(name, O_WRONLY | O_CREAT | O_EXCL, 0600);
    MUST(file >= 0 && ftruncate(file, (off_t)segment_bytes) == 0);
    segment_header_put(header, id, number + 1);
    MUST(pwrite(file, header, sizeof header, 0) == (ssize_t)sizeof header);
    size_t length = put_footer(footer, id, number + 1, first, count);
    MUST(pwrite(file, footer, length, (off_t)(segment_bytes - length)) == (ssize_t)length &&
         close(file) == 0);
    free(footer);
}

static void make(const char *path, const disk_io_t *io, uint64_t records, uint64_t segments)
{
    disk_index_t *none = disk_index_new(1, segment_bytes);
    volume_config_t config = config_of(io, none, segments);
    volume_t *volume = opened(&config, VOLUME_NEW);
    volume_close(&volume);
    disk_index_free(&none);
    uint64_t id = directory_id(path), first = 0;
    for (uint64_t number = 0; number < segments; number++, first += records_of_segment()) {
        uint64_t left = records - first;
        make_segment(path, id, number, first,
                     left < records_of_segment() ? (uint32_t)left : records_of_segment());
    }
}

typedef struct {
    double start_s, cpu_s, bytes_per_record;
} start_t;

static start_t measured(const disk_io_t *io, uint64_t records, uint64_t segments)
{
    double start = now_s(CLOCK_MONOTONIC), cpu = now_s(CLOCK_PROCESS_CPUTIME_ID);
    disk_index_t *index = disk_index_new(mixed(records), segments * segment_bytes);
    volume_config_t config = config_of(io, index, segments);
    volume_t *volume = opened(&config, VOLUME_OPENED);
    while (volume_recover_next(volume))
        continue;
    disk_index_complete(index);
    start_t result = {now_s(CLOCK_MONOTONIC) - start, now_s(CLOCK_PROCESS_CPUTIME_ID) - cpu,
                      (double)disk_index_bytes(index) / (double)records};
    /* Names may meet in the index, two among ten million or so. */
    MUST(disk_index_records(index) >= records - MEET_MAX && !volume_forgotten(volume));
    volume_close(&volume);
    disk_index_free(&index);
    return result;
}

static int sooner(const void *a, const void *b)
{
    const start_t *left = a, *right = b;
    return left->start_s < right->start_s ? -1 : left->start_s > right->start_s;
}

static void measure(const disk_io_t *io, uint64_t records, uint64_t segments)
{
    start_t starts[STARTS];
    for (int i = 0; i < STARTS; i++)
        starts[i] = measured(io, records, segments);
    qsort(starts, STARTS, sizeof *starts, sooner);
    const start_t *median = &starts[STARTS / 2];
    printf("start_s %.3f\ncpu_s %.3f\nbytes_per_record %.2f\n", median->start_s, median->cpu_s,
           median->bytes_per_record);
}

static void forget(const char *path)
{
    DIR *directory = opendir(path);
    MUST(directory != NULL);
    for (struct dirent *entry = readdir(directory); entry != NULL; entry = readdir(directory))
        if (entry->d_name[0] != '.')
            MUST(unlinkat(dirfd(directory), entry->d_name, 0) == 0);
    MUST(closedir(directory) == 0 && rmdir(path) == 0);
}

int main(int count, char **arguments)
{
    uint64_t records = count == 3 ? strtoull(arguments[1], NULL, 10) : 0;
    if (records == 0) {
        fprintf(stderr, "usage: disk_start RECORDS DIRECTORY\n");
        return 2;
    }
    const char *path = arguments[2];
    uint64_t segments = (records + records_of_segment() - 1) / records_of_segment();
    disk_io_t io;
    if (mkdir(path, 0700) != 0 || disk_io_posix(&io, path) != 0) {
        fprintf(stderr, "disk_start: %s cannot be made\n", path);
        return 2;
    }
    make(path, &io, records, segments);
    measure(&io, records, segments);
    disk_io_posix_close(&io);
    forget(path);
    return 0;
}
