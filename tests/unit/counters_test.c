/* Counters: what the metrics page shows, and that nothing counted is ever lost. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <pthread.h>
#include <stdatomic.h>

#include "edge/observe/counters.h"

/* The value on the line that starts with this; fails when there is none, or more than one. */
static uint64_t value_of(const char *series)
{
    size_t length;
    char *page = counters_page(&length);
    assert_int_equal(strlen(page), length);
    uint64_t value = UINT64_MAX;
    size_t found = 0, width = strlen(series);
    for (char *line = page; *line != 0; line = strchr(line, '\n') + 1) {
        if (strncmp(line, series, width) == 0 && line[width] == ' ') {
            value = strtoull(line + width + 1, NULL, 10);
            found++;
        }
    }
    free(page);
    if (found != 1)
        fail_msg("%s: %zu lines", series, found);
    return value;
}

static bool page_holds(const char *text)
{
    size_t length;
    char *page = counters_page(&length);
    bool holds = strstr(page, text) != NULL;
    free(page);
    return holds;
}

static void all_series_of_named_sites_are_there_at_zero(void **state)
{
    (void)state;
    assert_false(page_holds("selvedge_requests_total{"));
    counters_name_site(0, TEXT("default"));
    for (outcome_t outcome = 0; outcome < OUTCOMES; outcome++) {
        for (protocol_t protocol = 0; protocol < PROTOCOLS; protocol++) {
            char series[160];
            snprintf(series, sizeof series,
                     "selvedge_requests_total{site=\"default\",outcome=\"%s\",protocol=\"%s\"}",
                     outcome_name(outcome), protocol_name(protocol));
            assert_int_equal(value_of(series), 0);
        }
    }
    static const char *const others[] = {
        "selvedge_origin_requests_total{site=\"default\"}",
        "selvedge_revalidations_failed_total{site=\"default\"}",
        "selvedge_fill_resumes_total{result=\"completed\"}",
        "selvedge_fill_resumes_total{result=\"refused\"}",
        "selvedge_fill_resumes_total{result=\"broken\"}",
        "selvedge_fills",
        "selvedge_objects",
        "selvedge_memory_bytes",
        "selvedge_memory_limit_bytes",
        "selvedge_connections{protocol=\"h1\"}",
        "selvedge_connections{protocol=\"h2\"}",
        "selvedge_purge_sequence",
        "selvedge_purges_total{kind=\"url\",mode=\"hard\"}",
        "selvedge_purges_total{kind=\"url\",mode=\"soft\"}",
        "selvedge_purges_total{kind=\"site\",mode=\"hard\"}",
        "selvedge_purges_total{kind=\"site\",mode=\"soft\"}",
        "selvedge_purges_total{kind=\"everything\",mode=\"hard\"}",
        "selvedge_purges_total{kind=\"everything\",mode=\"soft\"}",
        "selvedge_guard_stopped_total{reason=\"window_after_end\"}",
        "selvedge_guard_stopped_total{reason=\"unknown_frame\"}",
        "selvedge_guard_stopped_total{reason=\"bad_framing\"}",
        "selvedge_guard_stopped_total{reason=\"bad_request\"}",
        "selvedge_guard_stopped_total{reason=\"bad_url\"}",
        "selvedge_guard_stopped_total{reason=\"header_too_large\"}",
        "selvedge_connections_cut_total{reason=\"idle\"}",
        "selvedge_connections_cut_total{reason=\"header\"}",
        "selvedge_connections_cut_total{reason=\"stall\"}",
        "selvedge_memory_pinned_bytes",
        "selvedge_connections_cut_total{reason=\"memory\"}",
        "selvedge_refused_total{reason=\"memory\"}",
        "selvedge_refused_total{reason=\"connections\"}",
        "selvedge_refused_total{reason=\"address_connections\"}",
        "selvedge_refused_total{reason=\"address_connection_rate\"}",
        "selvedge_refused_total{reason=\"addresses\"}",
        "selvedge_refused_total{reason=\"address_request_rate\"}",
        "selvedge_access_log_dropped_total",
        "selvedge_readers_cut_off_total",
        "selvedge_variants_evicted_total",
        "selvedge_disk_bytes",
        "selvedge_disk_limit_bytes",
        "selvedge_disk_segments",
        "selvedge_disk_records",
        "selvedge_disk_index_bytes",
        "selvedge_disk_recovering_segments",
        "selvedge_disk_failed_devices",
        "selvedge_disk_admitted_total",
        "selvedge_disk_dropped_total{reason=\"queue\"}",
        "selvedge_disk_dropped_total{reason=\"size\"}",
        "selvedge_disk_dropped_total{reason=\"broken\"}",
        "selvedge_disk_moved_total",
        "selvedge_disk_reads_total{how=\"cache\"}",
        "selvedge_disk_reads_total{how=\"device\"}",
        "selvedge_disk_checksum_failures_total",
        "selvedge_disk_read_errors_total",
        "selvedge_disk_read_timeouts_total",
        "selvedge_disk_write_errors_total",
    };
    for (size_t i = 0; i < sizeof others / sizeof *others; i++)
        assert_int_equal(value_of(others[i]), 0);
}

static void every_family_has_help_and_type_before_its_lines(void **state)
{
    (void)state;
    size_t length;
    char *page = counters_page(&length), family[80] = "";
    for (char *line = page; *line != 0; line = strchr(line, '\n') + 1) {
        char help[80], type[80], kind[16];
        if (sscanf(line, "# HELP %79s", help) == 1) {
            line = strchr(line, '\n') + 1;
            assert_int_equal(sscanf(line, "# TYPE %79s %15s", type, kind), 2);
            assert_string_equal(help, type);
            bool total = strlen(type) > 6 && strcmp(type + strlen(type) - 6, "_total") == 0;
            assert_string_equal(kind, total ? "counter" : "gauge");
            strcpy(family, type);
        } else {
            assert_int_equal(strcspn(line, "{ "), strlen(family));
            assert_memory_equal(line, family, strlen(family));
        }
    }
    free(page);
}

static void each_count_moves_its_own_line(void **state)
{
    (void)state;
    counters_name_site(0, TEXT("default"));
    counters_name_site(SITES_MAX - 1, TEXT("last"));
    count_request(SITES_MAX - 1, OUTCOME_ERROR, PROTOCOL_H2);
    count_request(0, OUTCOME_HIT, PROTOCOL_H1);
    count_origin_request(0);
    count_origin_request(0);
    count_resume(RESUME_REFUSED);
    count_purge(0, true);
    count_purge(2, false);
    count_guard_stopped(GUARD_HEADER_TOO_LARGE);
    count_access_log_dropped(7);
    count_reader_cut_off();
    count_variants_evicted(3);
    assert_int_equal(value_of("selvedge_requests_total{site=\"last\",outcome=\"error\",protocol=\"h2\"}"), 1);
    assert_int_equal(value_of("selvedge_requests_total{site=\"default\",outcome=\"hit\",protocol=\"h1\"}"),
                     1);
    assert_int_equal(value_of("selvedge_requests_total{site=\"default\",outcome=\"hit\",protocol=\"h2\"}"),
                     0);
    assert_int_equal(value_of("selvedge_origin_requests_total{site=\"default\"}"), 2);
    assert_int_equal(value_of("selvedge_origin_requests_total{site=\"last\"}"), 0);
    assert_int_equal(value_of("selvedge_fill_resumes_total{result=\"refused\"}"), 1);
    assert_int_equal(value_of("selvedge_fill_resumes_total{result=\"completed\"}"), 0);
    assert_int_equal(value_of("selvedge_purges_total{kind=\"url\",mode=\"soft\"}"), 1);
    assert_int_equal(value_of("selvedge_purges_total{kind=\"url\",mode=\"hard\"}"), 0);
    assert_int_equal(value_of("selvedge_purges_total{kind=\"everything\",mode=\"hard\"}"), 1);
    assert_int_equal(value_of("selvedge_guard_stopped_total{reason=\"header_too_large\"}"), 1);
    assert_int_equal(value_of("selvedge_access_log_dropped_total"), 7);
    assert_int_equal(value_of("selvedge_readers_cut_off_total"), 1);
    assert_int_equal(value_of("selvedge_variants_evicted_total"), 3);
}

static void each_count_of_the_disks_moves_its_own_line(void **state)
{
    (void)state;
    static const struct {
        const char *series;
        uint64_t value;
    } expected[] = {
        {"selvedge_disk_admitted_total", 5},
        {"selvedge_disk_dropped_total{reason=\"queue\"}", 3},
        {"selvedge_disk_dropped_total{reason=\"size\"}", 1},
        {"selvedge_disk_dropped_total{reason=\"broken\"}", 0},
        {"selvedge_disk_moved_total", 2},
        {"selvedge_disk_reads_total{how=\"cache\"}", 1},
        {"selvedge_disk_reads_total{how=\"device\"}", 2},
        {"selvedge_disk_checksum_failures_total", 1},
        {"selvedge_disk_read_errors_total", 2},
        {"selvedge_disk_read_timeouts_total", 3},
        {"selvedge_disk_write_errors_total", 4},
    };
    count_disk_admitted(5);
    count_disk_dropped(DISK_DROP_QUEUE, 3);
    count_disk_dropped(DISK_DROP_SIZE, 1);
    count_disk_moved(2);
    count_disk_read(DISK_READ_CACHE, 1);
    count_disk_checksum_failures(1);
    for (int i = 0; i < 2; i++) {
        count_disk_read(DISK_READ_DEVICE, 1);
        count_disk_read_errors(1);
    }
    for (int i = 0; i < 3; i++)
        count_disk_read_timeouts(1);
    for (int i = 0; i < 4; i++)
        count_disk_write_errors(1);
    for (size_t i = 0; i < sizeof expected / sizeof *expected; i++)
        assert_int_equal(value_of(expected[i].series), expected[i].value);
}

static void gauges_are_set_and_moved(void **state)
{
    (void)state;
    gauge_set(GAUGE_MEMORY_BYTES, UINT64_C(1) << 40);
    gauge_add(GAUGE_MEMORY_BYTES, -1);
    gauge_add(GAUGE_CONNECTIONS_H2, 3);
    gauge_add(GAUGE_CONNECTIONS_H2, -1);
    assert_int_equal(gauge_get(GAUGE_MEMORY_BYTES), (UINT64_C(1) << 40) - 1);
    assert_int_equal(value_of("selvedge_memory_bytes"), (UINT64_C(1) << 40) - 1);
    assert_int_equal(value_of("selvedge_connections{protocol=\"h2\"}"), 2);
    assert_int_equal(value_of("selvedge_connections{protocol=\"h1\"}"), 0);
}

static void names_of_sites_are_escaped(void **state)
{
    (void)state;
    counters_name_site(9, TEXT("a\"b\\c\nd"));
    count_origin_request(9);
    assert_int_equal(value_of("selvedge_origin_requests_total{site=\"a\\\"b\\\\c\\nd\"}"), 1);
    counters_name_site(9, TEXT("renamed"));
    assert_int_equal(value_of("selvedge_origin_requests_total{site=\"renamed\"}"), 1);
}

enum { THREADS = 4, ROUNDS = 20, COUNTS = 5000 };
static const char threads_series[] =
    "selvedge_requests_total{site=\"threads\",outcome=\"pass\",protocol=\"h1\"}";

static void *count_much(void *attach)
{
    if (attach != NULL)
        counters_attach();
    for (int i = 0; i < COUNTS; i++)
        count_request(3, OUTCOME_PASS, PROTOCOL_H1);
    return NULL;
}

static atomic_bool reading;

/* No sum ever goes down, while threads count, end and are folded in. */
static void *read_on(void *unused)
{
    (void)unused;
    uint64_t before = 0;
    while (atomic_load(&reading)) {
        uint64_t now = value_of(threads_series);
        if (now < before)
            return &reading;
        before = now;
    }
    return NULL;
}

static void threads_that_end_leave_their_counts(void **state)
{
    (void)state;
    counters_name_site(3, TEXT("threads"));
    pthread_t reader, threads[THREADS];
    atomic_store(&reading, true);
    assert_int_equal(pthread_create(&reader, NULL, read_on, NULL), 0);
    for (int round = 0; round < ROUNDS; round++) {
        /* One of them never attaches: it counts in the shared block, at the same time as the others' are
         * folded in. */
        for (int i = 0; i < THREADS; i++)
            assert_int_equal(pthread_create(&threads[i], NULL, count_much, i == 0 ? NULL : &reading), 0);
        for (int i = 0; i < THREADS; i++)
            assert_int_equal(pthread_join(threads[i], NULL), 0);
        assert_int_equal(value_of(threads_series), (round + 1) * THREADS * COUNTS);
    }
    atomic_store(&reading, false);
    void *fell;
    assert_int_equal(pthread_join(reader, &fell), 0);
    assert_null(fell);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(all_series_of_named_sites_are_there_at_zero),
        cmocka_unit_test(every_family_has_help_and_type_before_its_lines),
        cmocka_unit_test(each_count_moves_its_own_line),
        cmocka_unit_test(each_count_of_the_disks_moves_its_own_line),
        cmocka_unit_test(gauges_are_set_and_moved),
        cmocka_unit_test(names_of_sites_are_escaped),
        cmocka_unit_test(threads_that_end_leave_their_counts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
