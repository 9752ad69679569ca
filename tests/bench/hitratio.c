/* Replays a trace of requests through FIFO, LRU and the memory tier's S3-FIFO, and through memory with a disk
 * behind it, and prints their miss ratios. See the script beside it, which reads packed traces and knows what
 * the shipped one must come to.
 *
 *   hitratio TRACE|-
 *
 * Lines are `time id bytes`; sizes are per cent of the footprint (each object once, at its first size) in
 * bytes. The first table is of plain policies: everything that fits is admitted. */
#include <errno.h>

#include "tests/bench/trace.h"

typedef enum { FIFO, LRU, S3FIFO, POLICIES } policy_t;
static const char *const policy_names[POLICIES] = {"FIFO", "LRU", "S3-FIFO"};

/* Room for twice what there is, in steps that double. */
static void *make_room(void *memory, size_t count, size_t size)
{
    if (count < 1024 ? count != 0 : (count & (count - 1)) != 0)
        return memory;
    void *larger = realloc(memory, (count < 1024 ? 1024 : count * 2) * size);
    MUST(larger != NULL);
    return larger;
}

static uint32_t object_of(trace_t *trace, uint64_t id, size_t bytes)
{
    size_t at = hash_of(id) & (trace->index_size - 1);
    while (trace->index[at] != 0) {
        if (trace->objects[trace->index[at] - 1].id == id)
            return trace->index[at] - 1;
        at = (at + 1) & (trace->index_size - 1);
    }
    trace->objects = make_room(trace->objects, trace->object_count, sizeof(object_t));
    trace->objects[trace->object_count] = (object_t){.id = id, .bytes = bytes};
    trace->footprint += bytes;
    trace->index[at] = (uint32_t)++trace->object_count;
    MUST(trace->object_count < trace->index_size / 2);
    return (uint32_t)(trace->object_count - 1);
}

static void trace_read(trace_t *trace, FILE *file)
{
    unsigned long long time, id, bytes;
    *trace = (trace_t){.index_size = (size_t)1 << 24};
    trace->index = must_calloc(trace->index_size, sizeof(uint32_t));
    while (fscanf(file, "%llu %llu %llu", &time, &id, &bytes) == 3) {
        uint32_t object = object_of(trace, id, bytes);
        trace->requests = make_room(trace->requests, trace->request_count, sizeof(request_t));
        trace->requests[trace->request_count++] = (request_t){object, bytes};
    }
    MUST(feof(file) && trace->request_count > 0);
    for (size_t i = 0; i < trace->request_count; i++)
        trace->requested_bytes += (double)trace->objects[trace->requests[i].object].bytes;
}

/* The list behind FIFO and LRU. */
typedef struct {
    s3fifo_node_t head; /* head.older: newest; head.newer: oldest */
    size_t bytes;
} list_t;

static void list_add(list_t *list, s3fifo_node_t *node)
{
    node->newer = &list->head;
    node->older = list->head.older;
    node->older->newer = node;
    list->head.older = node;
}

static s3fifo_node_t *list_take(s3fifo_node_t *node)
{
    node->newer->older = node->older;
    node->older->newer = node->newer;
    return node;
}

static misses_t replay_list(trace_t *trace, size_t capacity, bool move_on_hit)
{
    list_t list = {.bytes = 0};
    list.head.newer = list.head.older = &list.head;
    misses_t misses = {0, 0};
    for (size_t i = 0; i < trace->request_count; i++) {
        object_t *object = &trace->objects[trace->requests[i].object];
        if (object->stored) {
            if (move_on_hit)
                list_add(&list, list_take(&object->node));
            continue;
        }
        misses.objects += 1;
        misses.bytes += (double)object->bytes;
        if (object->bytes > capacity)
            continue;
        while (list.bytes + object->bytes > capacity) {
            object_t *victim = CONTAINER_OF(list_take(list.head.newer), object_t, node);
            victim->stored = false;
            list.bytes -= victim->bytes;
        }
        list_add(&list, &object->node);
        list.bytes += object->bytes;
        object->stored = true;
    }
    return misses;
}

static misses_t replay_s3fifo(trace_t *trace, size_t capacity)
{
    s3fifo_t *policy = s3fifo_new(capacity);
    misses_t misses = {0, 0};
    for (size_t i = 0; i < trace->request_count; i++) {
        object_t *object = &trace->objects[trace->requests[i].object];
        if (object->stored) {
            s3fifo_touch(&object->node);
            continue;
        }
        misses.objects += 1;
        misses.bytes += (double)object->bytes;
        if (object->bytes > capacity)
            continue;
        while (s3fifo_bytes(policy) + object->bytes > capacity)
            CONTAINER_OF(s3fifo_evict(policy), object_t, node)->stored = false;
        s3fifo_insert(policy, &object->node, object->bytes);
        object->stored = true;
    }
    s3fifo_check(policy);
    while (s3fifo_evict(policy) != NULL)
        continue;
    s3fifo_free(&policy);
    return misses;
}

static misses_t replay(trace_t *trace, policy_t policy, size_t capacity)
{
    trace_begin(trace);
    return policy == S3FIFO ? replay_s3fifo(trace, capacity) : replay_list(trace, capacity, policy == LRU);
}

static size_t part_of(const trace_t *trace, double percent)
{
    return (size_t)((double)trace->footprint * percent / 100);
}

static void print_policies(trace_t *trace, double percent)
{
    double ratios[POLICIES];
    printf("%5.1f %%", percent);
    for (policy_t policy = FIFO; policy < POLICIES; policy++) {
        misses_t misses = replay(trace, policy, part_of(trace, percent));
        ratios[policy] = misses.objects / (double)trace->request_count;
        printf("   %-7s %.4f, %.4f", policy_names[policy], ratios[policy],
               misses.bytes / trace->requested_bytes);
    }
    printf("   S3-FIFO / LRU %.4f\n", ratios[S3FIFO] / ratios[LRU]);
}

/* Of all requests; what was written as a part of what was asked for. */
static void print_tiers(trace_t *trace, double memory, double disk)
{
    static const char *const names[] = {"second-hit", "always"};
    printf("%5.1f %% + %5.1f %%", memory, disk);
    for (int always = 0; always < 2; always++) {
        tiers_t tiers = replay_tiers(trace, part_of(trace, memory), part_of(trace, disk), always);
        printf("   %-10s %.4f, %.4f  written %.4f  moved %5llu", names[always],
               tiers.both.objects / (double)trace->request_count, tiers.both.bytes / trace->requested_bytes,
               tiers.written / trace->requested_bytes, (unsigned long long)tiers.moved);
    }
    printf("\n");
}

static void print_tables(trace_t *trace)
{
    static const double sizes[] = {1, 5, 10, 50}, disks[] = {5, 10, 20, 50, 100};
    printf("%zu requests, %zu objects, footprint %.1f MiB; miss ratios by objects, by bytes\n",
           trace->request_count, trace->object_count, (double)trace->footprint / (1 << 20));
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++)
        print_policies(trace, sizes[i]);
    printf("memory 1 %% and a disk behind it: what reaches the origin, and bytes written to disk for each "
           "byte asked for\n");
    for (size_t i = 0; i < sizeof disks / sizeof *disks; i++)
        print_tiers(trace, 1, disks[i]);
}

int main(int count, char **arguments)
{
    if (count != 2) {
        fprintf(stderr, "usage: hitratio TRACE|-\n");
        return 2;
    }
    FILE *file = strcmp(arguments[1], "-") == 0 ? stdin : fopen(arguments[1], "r");
    if (file == NULL) {
        fprintf(stderr, "hitratio: %s: %s\n", arguments[1], strerror(errno));
        return 2;
    }
    trace_t trace;
    trace_read(&trace, file);
    print_tables(&trace);
    free(trace.requests);
    free(trace.objects);
    free(trace.index);
    return file == stdin || fclose(file) == 0 ? 0 : 1;
}
