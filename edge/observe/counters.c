/* The table of metrics, the blocks that hold them, and the page.
 *
 * Each attached thread has a block that it alone writes, with plain loads and stores that readers may see at
 * any time (relaxed atomics, no locked instruction). A reader adds all blocks up under the lock of their
 * list. When a thread ends, its block is added to the shared one and freed, in one step under the same lock,
 * so that no sum ever goes down. */
#include "edge/observe/counters.h"

#include <inttypes.h>
#include <pthread.h>
#include <stdatomic.h>

enum { PURGE_KINDS = 4, PURGE_MODES = 2, RESULTS = 2, ONE = 1, METRIC_LABELS_MAX = 3 };

typedef enum {
    LABEL_NONE,
    LABEL_SITE,
    LABEL_OUTCOME,
    LABEL_PROTOCOL,
    LABEL_KIND,
    LABEL_MODE,
    LABEL_REASON,
    LABEL_CUT,
    LABEL_REFUSAL,
    LABEL_RESULT,
    LABEL_RESUME,
    LABEL_DISK_DROP,
    LABEL_DISK_READ,
    LABEL_NODE,
    LABEL_VERSION,
    LABELS
} label_t;

#define IDENTITY LABEL_NODE, LABEL_VERSION

/* The one table. COUNTER(field, dimensions, labels, name, sentence): one cell for each combination of label
 * values. GAUGE(first gauge, label, name, sentence): one gauge for each label value, from the first on. */
#define METRICS(COUNTER, GAUGE)                                                                              \
    COUNTER(requests, [SITES_MAX][OUTCOMES][PROTOCOLS], (LABEL_SITE, LABEL_OUTCOME, LABEL_PROTOCOL),         \
            "selvedge_requests_total", "Requests answered, by what the cache did for them.")                 \
    COUNTER(origin_requests, [SITES_MAX][ONE][ONE], (LABEL_SITE, LABEL_NONE, LABEL_NONE),                    \
            "selvedge_origin_requests_total", "Requests sent to the origin.")                                \
    COUNTER(failed_revalidations, [SITES_MAX][ONE][ONE], (LABEL_SITE, LABEL_NONE, LABEL_NONE),               \
            "selvedge_revalidations_failed_total",                                                           \
            "Times that the origin was asked about a stale response and failed, or answered 500, 502, 503 "  \
            "or 504.")                                                                                       \
    COUNTER(resumes, [RESUME_RESULTS][ONE][ONE], (LABEL_RESUME, LABEL_NONE, LABEL_NONE),                     \
            "selvedge_fill_resumes_total",                                                                   \
            "Responses of the origin that broke off and whose rest was asked for, by what came of it.")      \
    GAUGE(GAUGE_INFO, IDENTITY, "selvedge_info", "1, with what this node is called and runs.")               \
    GAUGE(GAUGE_FILLS, LABEL_NONE, "selvedge_fills", "Responses being fetched from the origin now.")         \
    GAUGE(GAUGE_OBJECTS, LABEL_NONE, "selvedge_objects", "Responses held in memory now.")                    \
    GAUGE(GAUGE_MEMORY_BYTES, LABEL_NONE, "selvedge_memory_bytes",                                           \
          "Memory taken by responses, with evicted ones that are still being sent.")                         \
    GAUGE(GAUGE_MEMORY_LIMIT_BYTES, LABEL_NONE, "selvedge_memory_limit_bytes",                               \
          "Memory that responses may take (memory.size).")                                                   \
    GAUGE(GAUGE_MEMORY_PINNED_BYTES, LABEL_NONE, "selvedge_memory_pinned_bytes",                             \
          "Memory that eviction cannot free: responses being fetched, and evicted ones still being sent.")   \
    GAUGE(GAUGE_DISK_BYTES, LABEL_NONE, "selvedge_disk_bytes", "Bytes that the files on disks take.")        \
    GAUGE(GAUGE_DISK_LIMIT_BYTES, LABEL_NONE, "selvedge_disk_limit_bytes",                                   \
          "Bytes that they may take (disk[].size), of the devices in use.")                                  \
    GAUGE(GAUGE_DISK_SEGMENTS, LABEL_NONE, "selvedge_disk_segments", "Segment files on disks.")              \
    GAUGE(GAUGE_DISK_RECORDS, LABEL_NONE, "selvedge_disk_records",                                           \
          "Stored responses and pieces that the index of the disks can find.")                               \
    GAUGE(GAUGE_DISK_INDEX_BYTES, LABEL_NONE, "selvedge_disk_index_bytes",                                   \
          "Memory that the index takes, beside memory.size.")                                                \
    GAUGE(GAUGE_DISK_RECOVERING_SEGMENTS, LABEL_NONE, "selvedge_disk_recovering_segments",                   \
          "Segments from before the start that the index does not have yet.")                                \
    GAUGE(GAUGE_DISK_FAILED_DEVICES, LABEL_NONE, "selvedge_disk_failed_devices",                             \
          "Devices that were taken out, as they failed or another process has them.")                        \
    COUNTER(disk_admitted, [ONE][ONE][ONE], (LABEL_NONE, LABEL_NONE, LABEL_NONE),                            \
            "selvedge_disk_admitted_total", "Records written to disks.")                                     \
    COUNTER(disk_dropped, [DISK_DROPS][ONE][ONE], (LABEL_DISK_DROP, LABEL_NONE, LABEL_NONE),                 \
            "selvedge_disk_dropped_total", "Records that were to be written and were not.")                  \
    COUNTER(disk_moved, [ONE][ONE][ONE], (LABEL_NONE, LABEL_NONE, LABEL_NONE), "selvedge_disk_moved_total",  \
            "Records written again, as they are asked for and the room of their segment was needed.")        \
    COUNTER(disk_reads, [DISK_READS][ONE][ONE], (LABEL_DISK_READ, LABEL_NONE, LABEL_NONE),                   \
            "selvedge_disk_reads_total",                                                                     \
            "Records read and verified, by whether the system had them in memory.")                          \
    COUNTER(disk_checksum_failures, [ONE][ONE][ONE], (LABEL_NONE, LABEL_NONE, LABEL_NONE),                   \
            "selvedge_disk_checksum_failures_total",                                                         \
            "Records that were not served, as what was read is not what was written.")                       \
    COUNTER(disk_read_errors, [ONE][ONE][ONE], (LABEL_NONE, LABEL_NONE, LABEL_NONE),                         \
            "selvedge_disk_read_errors_total", "Reads that failed.")                                         \
    COUNTER(disk_read_timeouts, [ONE][ONE][ONE], (LABEL_NONE, LABEL_NONE, LABEL_NONE),                       \
            "selvedge_disk_read_timeouts_total",                                                             \
            "Reads that did not come back in time; the origin was asked.")                                   \
    COUNTER(disk_write_errors, [ONE][ONE][ONE], (LABEL_NONE, LABEL_NONE, LABEL_NONE),                        \
            "selvedge_disk_write_errors_total",                                                              \
            "Writes and syncs that failed, or wrote less than they were given.")                             \
    GAUGE(GAUGE_CONNECTIONS_H1, LABEL_PROTOCOL, "selvedge_connections", "Connections of clients open now.")  \
    GAUGE(GAUGE_PURGE_SEQUENCE, LABEL_NONE, "selvedge_purge_sequence",                                       \
          "The sequence of the latest purge in force.")                                                      \
    COUNTER(purges, [PURGE_KINDS][PURGE_MODES][ONE], (LABEL_KIND, LABEL_MODE, LABEL_NONE),                   \
            "selvedge_purges_total",                                                                         \
            "Purge rules that came into force, one for each URL, site or everything.")                       \
    COUNTER(guard_stopped, [GUARD_REASONS][ONE][ONE], (LABEL_REASON, LABEL_NONE, LABEL_NONE),                \
            "selvedge_guard_stopped_total", "Requests and frames stopped before the cache saw them.")        \
    COUNTER(cuts, [CUTS][ONE][ONE], (LABEL_CUT, LABEL_NONE, LABEL_NONE), "selvedge_connections_cut_total",   \
            "Connections of clients ended because they kept the node waiting.")                              \
    COUNTER(refusals, [REFUSALS][ONE][ONE], (LABEL_REFUSAL, LABEL_NONE, LABEL_NONE),                         \
            "selvedge_refused_total",                                                                        \
            "Connections and requests of clients refused because a limit was reached or the PROXY line was " \
            "wrong.")                                                                                        \
    COUNTER(access_log_dropped, [ONE][ONE][ONE], (LABEL_NONE, LABEL_NONE, LABEL_NONE),                       \
            "selvedge_access_log_dropped_total", "Access log lines lost to a slow or failing log.")          \
    COUNTER(readers_cut_off, [ONE][ONE][ONE], (LABEL_NONE, LABEL_NONE, LABEL_NONE),                          \
            "selvedge_readers_cut_off_total",                                                                \
            "Clients cut off because they fell too far behind a response that is not stored.")               \
    COUNTER(variants_evicted, [ONE][ONE][ONE], (LABEL_NONE, LABEL_NONE, LABEL_NONE),                         \
            "selvedge_variants_evicted_total",                                                               \
            "Stored responses let go of because their URL had 64 newer variants (Vary).")                    \
    COUNTER(restarts, [ONE][ONE][ONE], (LABEL_NONE, LABEL_NONE, LABEL_NONE), "selvedge_restarts_total",      \
            "Times that the serving process was started again after an abnormal end.")                       \
    COUNTER(reloads, [RESULTS][ONE][ONE], (LABEL_RESULT, LABEL_NONE, LABEL_NONE), "selvedge_reloads_total",  \
            "Reloads of the configuration, by whether the new one came into force.")

typedef _Atomic uint64_t cell_t;

typedef struct block block_t;
struct block {
#define CELLS(field, dimensions, labels, name, help) cell_t field dimensions;
#define NOTHING(first, label, name, help)
    METRICS(CELLS, NOTHING)
#undef NOTHING
#undef CELLS
    block_t *next; /* under blocks_lock */
};

typedef struct {
    const char *name, *help;
    size_t offset; /* of the first cell in a block; gauges: unused */
    bool is_gauge;
    gauge_t gauge; /* the first */
    label_t labels[METRIC_LABELS_MAX];
} metric_t;

#define UNPACK(a, b, c) a, b, c
static const metric_t metrics[] = {
#define COUNTER_ROW(field, dimensions, label_list, metric_name, sentence)                                    \
    {.name = metric_name,                                                                                    \
     .help = sentence,                                                                                       \
     .offset = offsetof(block_t, field),                                                                     \
     .labels = {UNPACK label_list}},
#define GAUGE_ROW(first, label, metric_name, sentence)                                                       \
    {.name = metric_name, .help = sentence, .is_gauge = true, .gauge = first, .labels = {label}},
    METRICS(COUNTER_ROW, GAUGE_ROW)
#undef GAUGE_ROW
#undef COUNTER_ROW
};

static const char *const outcome_names[OUTCOMES] = {"hit",  "miss",  "stale",    "revalidated",
                                                    "pass", "error", "redirect", "preflight"};
static const char *const protocol_names[PROTOCOLS] = {"h1", "h2"};
static const char *const kind_names[PURGE_KINDS] = {"url", "site", "everything", "tag"};
static const char *const mode_names[PURGE_MODES] = {"hard", "soft"};
static const char *const reason_names[GUARD_REASONS] = {
    "window_after_end", "unknown_frame",   "bad_framing",       "bad_request",      "bad_url",
    "header_too_large", "too_many_resets", "too_many_settings", "too_many_at_once", "too_many_frames",
    "too_many_fills",   "too_many_fields", "url_too_long",      "unknown_host"};

static const char *const version_names[ONE] = {SELVEDGE_VERSION};

static const char *const result_names[RESULTS] = {"refused", "ok"};
static const char *const disk_drop_names[DISK_DROPS] = {"queue", "size", "broken"};
static const char *const disk_read_names[DISK_READS] = {"cache", "device"};
static const char *const resume_names[RESUME_RESULTS] = {"completed", "refused", "broken"};
static const char *const cut_names[CUTS] = {"idle", "header", "stall", "memory"};

static const char *const refusal_names[REFUSALS] = {
    "connections", "address_connections", "address_connection_rate", "addresses", "address_request_rate",
    "memory",      "proxy_line",          "address_waste",           "key_waste"};

static const struct {
    const char *name;
    size_t size;
    const char *const *values; /* NULL: they are named when the process runs */
} labels[LABELS] = {
    [LABEL_NONE] = {NULL, 1, NULL},
    [LABEL_SITE] = {"site", SITES_MAX, NULL},
    [LABEL_OUTCOME] = {"outcome", OUTCOMES, outcome_names},
    [LABEL_PROTOCOL] = {"protocol", PROTOCOLS, protocol_names},
    [LABEL_KIND] = {"kind", PURGE_KINDS, kind_names},
    [LABEL_MODE] = {"mode", PURGE_MODES, mode_names},
    [LABEL_REASON] = {"reason", GUARD_REASONS, reason_names},
    [LABEL_CUT] = {"reason", CUTS, cut_names},
    [LABEL_REFUSAL] = {"reason", REFUSALS, refusal_names},
    [LABEL_RESULT] = {"result", RESULTS, result_names},
    [LABEL_RESUME] = {"result", RESUME_RESULTS, resume_names},
    [LABEL_DISK_DROP] = {"reason", DISK_DROPS, disk_drop_names},
    [LABEL_DISK_READ] = {"how", DISK_READS, disk_read_names},
    [LABEL_NODE] = {"node", ONE, NULL},
    [LABEL_VERSION] = {"version", ONE, version_names},
};

/* Under blocks_lock. */
static pthread_mutex_t blocks_lock = PTHREAD_MUTEX_INITIALIZER;
static block_t *blocks;
static char *site_names[SITES_MAX];
static char *node_name;

/* Of threads that have ended, and of those that never attached: atomic adds. */
static block_t shared;

/* This thread's. */
static _Thread_local block_t *mine;
static pthread_key_t end_of_thread;
static pthread_once_t end_of_thread_once = PTHREAD_ONCE_INIT;

/* Gauges are few and change seldom beside requests; a line of the processor's cache for each keeps them
 * apart. */
static struct {
    _Alignas(64) cell_t value;
} gauges[GAUGES];

/* What a block's cells are when looked at as one row. */
enum { BLOCK_CELLS = offsetof(block_t, next) / sizeof(cell_t) };
_Static_assert(offsetof(block_t, next) % sizeof(cell_t) == 0, "a block is cells and its link");

static cell_t *cell_at(block_t *block, size_t offset)
{
    return (cell_t *)(void *)((char *)block + offset);
}

static void fold_and_free(void *ended)
{
    block_t *block = ended;
    pthread_mutex_lock(&blocks_lock);
    for (size_t i = 0; i < BLOCK_CELLS; i++) {
        uint64_t value = atomic_load_explicit(cell_at(block, i * sizeof(cell_t)), memory_order_relaxed);
        if (value != 0)
            atomic_fetch_add_explicit(cell_at(&shared, i * sizeof(cell_t)), value, memory_order_relaxed);
    }
    block_t **link = &blocks;
    while (*link != block)
        link = &(*link)->next;
    *link = block->next;
    pthread_mutex_unlock(&blocks_lock);
    /* Other ends of this thread may still count: into the shared block. */
    mine = NULL;
    free(block);
}

static void make_key(void)
{
    MUST(pthread_key_create(&end_of_thread, fold_and_free) == 0);
}

void counters_attach(void)
{
    if (mine != NULL)
        return;
    pthread_once(&end_of_thread_once, make_key);
    mine = must_calloc(1, sizeof *mine);
    MUST(pthread_setspecific(end_of_thread, mine) == 0);
    pthread_mutex_lock(&blocks_lock);
    mine->next = blocks;
    blocks = mine;
    pthread_mutex_unlock(&blocks_lock);
}

void counters_name_site(unsigned site, text_t name)
{
    MUST(site < SITES_MAX);
    char *copy = strndup(name.length > 0 ? name.data : "", name.length);
    MUST(copy != NULL);
    pthread_mutex_lock(&blocks_lock);
    free(site_names[site]);
    site_names[site] = copy;
    pthread_mutex_unlock(&blocks_lock);
}

void counters_name_node(text_t name)
{
    char *copy = strndup(name.length > 0 ? name.data : "", name.length);
    MUST(copy != NULL);
    pthread_mutex_lock(&blocks_lock);
    free(node_name);
    node_name = copy;
    pthread_mutex_unlock(&blocks_lock);
    gauge_set(GAUGE_INFO, 1);
}

static inline void count(size_t offset, uint64_t more)
{
    if (__builtin_expect(mine == NULL, 0)) {
        atomic_fetch_add_explicit(cell_at(&shared, offset), more, memory_order_relaxed);
        return;
    }
    cell_t *cell = cell_at(mine, offset);
    atomic_store_explicit(cell, atomic_load_explicit(cell, memory_order_relaxed) + more,
                          memory_order_relaxed);
}

/* The offset of one cell, from its indices. */
#define CELL(field) ((size_t)((char *)&shared.field - (char *)&shared))

void count_request(unsigned site, outcome_t outcome, protocol_t protocol)
{
    MUST(site < SITES_MAX && outcome < OUTCOMES && protocol < PROTOCOLS);
    count(CELL(requests[site][outcome][protocol]), 1);
}

void count_origin_request(unsigned site)
{
    MUST(site < SITES_MAX);
    count(CELL(origin_requests[site][0][0]), 1);
}

void count_failed_revalidation(unsigned site)
{
    MUST(site < SITES_MAX);
    count(CELL(failed_revalidations[site][0][0]), 1);
}

void count_resume(resume_result_t result)
{
    MUST(result < RESUME_RESULTS);
    count(CELL(resumes[result][0][0]), 1);
}

void count_purge(unsigned kind, bool soft)
{
    MUST(kind < PURGE_KINDS);
    count(CELL(purges[kind][soft][0]), 1);
}

void count_guard_stopped(guard_reason_t reason)
{
    MUST(reason < GUARD_REASONS);
    count(CELL(guard_stopped[reason][0][0]), 1);
}

void count_cut(cut_t reason)
{
    MUST(reason < CUTS);
    count(CELL(cuts[reason][0][0]), 1);
}

void count_refusal(refusal_t reason)
{
    MUST(reason < REFUSALS);
    count(CELL(refusals[reason][0][0]), 1);
}

void count_access_log_dropped(uint64_t lines)
{
    count(CELL(access_log_dropped[0][0][0]), lines);
}

void count_restarts(uint64_t restarts)
{
    count(CELL(restarts[0][0][0]), restarts);
}

void count_reload(bool in_force)
{
    count(CELL(reloads[in_force][0][0]), 1);
}

void count_variants_evicted(uint64_t variants)
{
    count(CELL(variants_evicted[0][0][0]), variants);
}

void count_reader_cut_off(void)
{
    count(CELL(readers_cut_off[0][0][0]), 1);
}

void count_disk_admitted(uint64_t records)
{
    count(CELL(disk_admitted[0][0][0]), records);
}

void count_disk_dropped(disk_drop_t reason, uint64_t records)
{
    MUST(reason < DISK_DROPS);
    count(CELL(disk_dropped[reason][0][0]), records);
}

void count_disk_moved(uint64_t records)
{
    count(CELL(disk_moved[0][0][0]), records);
}

void count_disk_read(disk_read_t how, uint64_t records)
{
    MUST(how < DISK_READS);
    count(CELL(disk_reads[how][0][0]), records);
}

void count_disk_checksum_failures(uint64_t times)
{
    count(CELL(disk_checksum_failures[0][0][0]), times);
}

void count_disk_read_errors(uint64_t times)
{
    count(CELL(disk_read_errors[0][0][0]), times);
}

void count_disk_read_timeouts(uint64_t times)
{
    count(CELL(disk_read_timeouts[0][0][0]), times);
}

void count_disk_write_errors(uint64_t times)
{
    count(CELL(disk_write_errors[0][0][0]), times);
}

void gauge_set(gauge_t gauge, uint64_t value)
{
    MUST(gauge < GAUGES);
    atomic_store_explicit(&gauges[gauge].value, value, memory_order_relaxed);
}

void gauge_add(gauge_t gauge, int64_t delta)
{
    MUST(gauge < GAUGES);
    atomic_fetch_add_explicit(&gauges[gauge].value, (uint64_t)delta, memory_order_relaxed);
}

uint64_t gauge_get(gauge_t gauge)
{
    MUST(gauge < GAUGES);
    return atomic_load_explicit(&gauges[gauge].value, memory_order_relaxed);
}

const char *outcome_name(outcome_t outcome)
{
    MUST(outcome < OUTCOMES);
    return outcome_names[outcome];
}

const char *refusal_name(refusal_t refusal)
{
    MUST(refusal < REFUSALS);
    return refusal_names[refusal];
}

const char *protocol_name(protocol_t protocol)
{
    MUST(protocol < PROTOCOLS);
    return protocol_names[protocol];
}

static uint64_t sum(size_t offset)
{
    uint64_t total = atomic_load_explicit(cell_at(&shared, offset), memory_order_relaxed);
    for (block_t *block = blocks; block != NULL; block = block->next)
        total += atomic_load_explicit(cell_at(block, offset), memory_order_relaxed);
    return total;
}

/* Label values in the text format: backslash, quote and line end are escaped. */
static void write_escaped(FILE *out, const char *text)
{
    for (; *text != 0; text++) {
        if (*text == '\\' || *text == '"')
            fputc('\\', out);
        if (*text == '\n')
            fputs("\\n", out);
        else
            fputc(*text, out);
    }
}

/* NULL: a site that is not configured, which has no line. */
static const char *label_value(label_t label, size_t index)
{
    if (label == LABEL_NODE)
        return node_name != NULL ? node_name : "";
    return label == LABEL_SITE ? site_names[index] : labels[label].values[index];
}

static void write_labels(FILE *out, const metric_t *metric, const size_t index[METRIC_LABELS_MAX])
{
    const char *before = "{";
    for (size_t i = 0; i < METRIC_LABELS_MAX; i++) {
        if (metric->labels[i] == LABEL_NONE)
            continue;
        fprintf(out, "%s%s=\"", before, labels[metric->labels[i]].name);
        write_escaped(out, label_value(metric->labels[i], index[i]));
        fputc('"', out);
        before = ",";
    }
    if (*before == ',')
        fputc('}', out);
}

static bool is_configured(const metric_t *metric, const size_t index[METRIC_LABELS_MAX])
{
    return metric->labels[0] != LABEL_SITE || site_names[index[0]] != NULL;
}

static void write_metric(FILE *out, const metric_t *metric)
{
    size_t sizes[METRIC_LABELS_MAX], cells = 1;
    for (size_t i = 0; i < METRIC_LABELS_MAX; i++)
        cells *= sizes[i] = labels[metric->labels[i]].size;
    fprintf(out, "# HELP %s %s\n# TYPE %s %s\n", metric->name, metric->help, metric->name,
            metric->is_gauge ? "gauge" : "counter");
    for (size_t cell = 0; cell < cells; cell++) {
        size_t index[METRIC_LABELS_MAX] = {cell / (sizes[1] * sizes[2]), cell / sizes[2] % sizes[1],
                                           cell % sizes[2]};
        if (!is_configured(metric, index))
            continue;
        fputs(metric->name, out);
        write_labels(out, metric, index);
        uint64_t value = metric->is_gauge ? gauge_get(metric->gauge + (gauge_t)cell)
                                          : sum(metric->offset + cell * sizeof(cell_t));
        fprintf(out, " %" PRIu64 "\n", value);
    }
}

char *counters_page(size_t *length)
{
    char *page = NULL;
    FILE *out = open_memstream(&page, length);
    MUST(out != NULL);
    pthread_mutex_lock(&blocks_lock);
    for (size_t i = 0; i < sizeof metrics / sizeof *metrics; i++)
        write_metric(out, &metrics[i]);
    pthread_mutex_unlock(&blocks_lock);
    MUST(fclose(out) == 0);
    return page;
}
