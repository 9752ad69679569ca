/* The disk tier's index at full size: what it takes, and how long a look into it takes.
 *
 *   disk_index RECORDS DISK-GIB
 *
 * Prints lines of `name value`: bytes_per_record (of what it says itself), resident_per_record (of what the
 * process grew by, the allocator's losses included), hit_ns and miss_ns: medians over batches of 64 random
 * names. */
#include <time.h>
#include <unistd.h>

#include "edge/cache/disk/index.h"

/* Names that meet in the index: two among ten million or so, one look-up in millions. */
enum { BATCH = 64, BATCHES = 20000, MEET_MAX = 10 };

static uint64_t mixed(uint64_t value)
{
    value += 0x9e3779b97f4a7c15u;
    value = (value ^ (value >> 30)) * 0xbf58476d1ce4e5b9u;
    value = (value ^ (value >> 27)) * 0x94d049bb133111ebu;
    return value ^ (value >> 31);
}

static ledger_hash_t name_of(uint64_t number)
{
    return (ledger_hash_t){mixed(number), mixed(~number)};
}

static uint64_t now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static uint64_t resident_bytes(void)
{
    unsigned long long whole, resident;
    FILE *file = fopen("/proc/self/statm", "r");
    MUST(file != NULL && fscanf(file, "%llu %llu", &whole, &resident) == 2);
    fclose(file);
    return resident * (uint64_t)sysconf(_SC_PAGESIZE);
}

static void fill(disk_index_t *index, uint64_t records)
{
    for (uint64_t i = 0; i < records; i++) {
        ledger_hash_t name = name_of(i);
        disk_place_t place = {(uint16_t)(i >> 14), (uint32_t)(i << 6 & 0xfffff), 64, 2};
        disk_index_found(index, &name, &place);
    }
    disk_index_complete(index);
}

static int compare(const void *a, const void *b)
{
    double left = *(const double *)a, right = *(const double *)b;
    return left < right ? -1 : left > right;
}

/* Nanoseconds for each look: of names from `first` on, of which `expected` are found in each batch. */
static double look(disk_index_t *index, uint64_t first, uint64_t records, unsigned expected)
{
    double *each = must_calloc(BATCHES, sizeof *each);
    uint64_t random = first;
    unsigned strange = 0;
    for (unsigned batch = 0; batch < BATCHES; batch++) {
        ledger_hash_t names[BATCH];
        disk_place_t place;
        unsigned found = 0;
        for (unsigned i = 0; i < BATCH; i++)
            names[i] = name_of(first + mixed(random++) % records);
        uint64_t start = now_ns();
        for (unsigned i = 0; i < BATCH; i++)
            found += disk_index_find(index, &names[i], true, &place);
        each[batch] = (double)(now_ns() - start) / BATCH;
        strange += found != expected;
    }
    MUST(strange <= MEET_MAX);
    qsort(each, BATCHES, sizeof *each, compare);
    double median = each[BATCHES / 2];
    free(each);
    return median;
}

int main(int count, char **arguments)
{
    uint64_t records = count == 3 ? strtoull(arguments[1], NULL, 10) : 0;
    uint64_t disk_gib = count == 3 ? strtoull(arguments[2], NULL, 10) : 0;
    if (records == 0 || disk_gib == 0) {
        fprintf(stderr, "usage: disk_index RECORDS DISK-GIB\n");
        return 2;
    }
    uint64_t before = resident_bytes();
    disk_index_t *index = disk_index_new(mixed(1), disk_gib << 30);
    fill(index, records);
    MUST(disk_index_records(index) >= records - MEET_MAX);
    printf("bytes_per_record %.2f\n", (double)disk_index_bytes(index) / (double)records);
    printf("resident_per_record %.2f\n", (double)(resident_bytes() - before) / (double)records);
    printf("hit_ns %.0f\n", look(index, 0, records, BATCH));
    printf("miss_ns %.0f\n", look(index, records, records, 0));
    disk_index_free(&index);
    return 0;
}
