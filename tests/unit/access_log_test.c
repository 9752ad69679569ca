/* The access log: every line valid JSON whatever a client sent; no worker ever waits; what is lost is
 * counted. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <fcntl.h>
#include <jansson.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "edge/observe/access_log.h"
#include "edge/observe/access_log_line.h"

static const access_log_line_t usual = {
    .time_us = 1767225599123456,
    .site = {"default", 7},
    .client = {"127.0.0.1", 9},
    .method = {"GET", 3},
    .host = {"localhost:8443", 14},
    .path = {"/a.js?v=1", 9},
    .user_agent = {"curl/7.88.1", 11},
    .node = {"edge-1", 6},
    .protocol = PROTOCOL_H2,
    .status = 200,
    .bytes = 4096,
    .duration_us = 123,
    .ttfb_us = 45,
    .cache = OUTCOME_HIT,
    .tier = "memory",
};

static char formatted[ACCESS_LOG_LINE_MAX + 1];

/* The line's bytes, in memory of exactly the size that its bound names, so that a byte more is seen. */
static size_t format(const access_log_line_t *line)
{
    access_log_clock_t clock = {0};
    size_t bound = access_log_line_bound(line);
    assert_true(bound <= ACCESS_LOG_LINE_MAX);
    char *exact = malloc(bound);
    size_t length = access_log_json(&clock, line, exact);
    assert_true(length <= bound);
    memcpy(formatted, exact, length);
    formatted[length] = 0;
    free(exact);
    return length;
}

/* Parsed by another's parser, which refuses what is not JSON or not UTF-8. */
static json_t *parse(const access_log_line_t *line)
{
    size_t length = format(line);
    assert_int_equal(formatted[length - 1], '\n');
    assert_null(memchr(formatted, '\n', length - 1));
    json_error_t error;
    json_t *parsed = json_loadb(formatted, length, JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL, &error);
    if (parsed == NULL)
        fail_msg("%s: %s", error.text, formatted);
    return parsed;
}

static void a_line_has_the_seventeen_fields_in_order(void **state)
{
    (void)state;
    format(&usual);
    assert_string_equal(
        formatted,
        "{\"time\":\"2025-12-31T23:59:59.123456Z\",\"site\":\"default\",\"client\":\"127.0.0.1\","
        "\"protocol\":\"h2\",\"method\":\"GET\",\"host\":\"localhost:8443\",\"path\":\"/a.js?v=1\","
        "\"status\":200,\"bytes\":4096,\"duration_us\":123,\"ttfb_us\":45,\"cache\":\"hit\","
        "\"tier\":\"memory\",\"origin_status\":null,\"user_agent\":\"curl/7.88.1\",\"referer\":null,"
        "\"node\":\"edge-1\"}\n");
}

static void what_is_absent_is_null_and_what_is_empty_is_empty(void **state)
{
    (void)state;
    access_log_line_t line = {
        .referer = {"", 0}, .ttfb_us = -1, .tier = "", .origin_status = 502, .cache = OUTCOME_ERROR};
    json_t *parsed = parse(&line);
    assert_int_equal(json_object_size(parsed), 17);
    static const char *const absent[] = {"site", "client",  "method", "host",
                                         "path", "ttfb_us", "tier",   "user_agent"};
    for (size_t i = 0; i < sizeof absent / sizeof *absent; i++)
        assert_true(json_is_null(json_object_get(parsed, absent[i])));
    assert_string_equal(json_string_value(json_object_get(parsed, "referer")), "");
    assert_int_equal(json_integer_value(json_object_get(parsed, "origin_status")), 502);
    json_decref(parsed);
}

static void assert_escaped(text_t text, const char *expected)
{
    access_log_line_t line = usual;
    line.user_agent = text;
    json_decref(parse(&line));
    char *start = strstr(formatted, "\"user_agent\":\"") + strlen("\"user_agent\":\"");
    char *end = strstr(start, "\",\"referer\"");
    assert_non_null(end);
    *end = 0;
    assert_string_equal(start, expected);
}

static void bytes_that_are_no_text_are_replaced(void **state)
{
    (void)state;
    assert_escaped(TEXT("a\"b\\c/d\x7f"), "a\\\"b\\\\c/d\x7f");
    assert_escaped(TEXT("\0\x01\n\r\t\x1f"), "\\u0000\\u0001\\u000a\\u000d\\u0009\\u001f");
    assert_escaped(TEXT("gr\xc3\xbc\xc3\x9f \xe2\x82\xac \xf0\x9f\x98\x80"),
                   "gr\xc3\xbc\xc3\x9f \xe2\x82\xac \xf0\x9f\x98\x80");
#define R "\xef\xbf\xbd"
    assert_escaped(TEXT("\xff\xfe"), R R);
    assert_escaped(TEXT("\x80"), R);
    assert_escaped(TEXT("\xc0\xaf"), R R);             /* an overlong slash */
    assert_escaped(TEXT("\xe0\x9f\xbf"), R R R);       /* overlong */
    assert_escaped(TEXT("\xf0\x8f\xbf\xbf"), R R R R); /* overlong */
    assert_escaped(TEXT("\xed\xa0\x80"), R R R);       /* a surrogate */
    assert_escaped(TEXT("\xf4\x90\x80\x80"), R R R R); /* above U+10FFFF */
    assert_escaped(TEXT("\xf4\x8f\xbf\xbf"), "\xf4\x8f\xbf\xbf");
    assert_escaped(TEXT("\xed\x9f\xbf\xee\x80\x80"), "\xed\x9f\xbf\xee\x80\x80");
    assert_escaped(TEXT("ab\xe2\x82"), "ab" R R); /* cut */
    assert_escaped(TEXT("\xe2\x82x"), R R "x");
    assert_escaped(TEXT("1234567\xc3"), "1234567" R); /* at the end of a word of eight */
    assert_escaped(TEXT("12345678\""), "12345678\\\"");
#undef R
}

/* A text of one byte among others is valid, and comes back as it was, or with the byte replaced. */
static void assert_valid_with(int byte, size_t place, size_t length)
{
    char text[64];
    memset(text, 'x', sizeof text);
    text[place] = (char)byte;
    char *exact = malloc(length); /* so that a byte read behind it is seen */
    assert_non_null(exact);
    memcpy(exact, text, length);
    access_log_line_t line = usual;
    line.path = (text_t){exact, length};
    json_t *parsed = parse(&line), *path = json_object_get(parsed, "path");
    const char *value = json_string_value(path);
    if (byte < 0x80) {
        assert_int_equal(json_string_length(path), length);
        assert_memory_equal(value, text, length);
    } else {
        assert_int_equal(json_string_length(path), length + 2);
        assert_memory_equal(value, text, place);
        assert_memory_equal(value + place, "\xef\xbf\xbd", 3);
        assert_memory_equal(value + place + 3, text + place + 1, length - place - 1);
    }
    json_decref(parsed);
    free(exact);
}

/* Each byte alone, at each place of the pieces that plain bytes are copied in. */
static void every_byte_at_every_place_is_valid(void **state)
{
    (void)state;
    for (int byte = 0; byte < 256; byte++)
        for (size_t length = 1; length <= 18; length++)
            for (size_t place = 0; place < length; place++)
                assert_valid_with(byte, place, length);
    static const unsigned char edges[] = {0,    0x1f, 0x20, '!',  '"',  '#', '[',
                                          '\\', ']',  0x7e, 0x7f, 0x80, 0xff};
    for (size_t i = 0; i < sizeof edges; i++)
        for (size_t length = 19; length <= 50; length++)
            for (size_t place = 0; place < length; place++)
                assert_valid_with(edges[i], place, length);
}

/* The line has its own copy of the counters' names. */
static void names_are_those_of_the_counters(void **state)
{
    (void)state;
    access_log_line_t line = usual;
    for (int outcome = 0; outcome < OUTCOMES; outcome++) {
        line.cache = (outcome_t)outcome;
        json_t *parsed = parse(&line);
        assert_string_equal(json_string_value(json_object_get(parsed, "cache")), outcome_name(line.cache));
        assert_string_equal(json_string_value(json_object_get(parsed, "tier")), "memory");
        json_decref(parsed);
    }
    for (int protocol = 0; protocol < PROTOCOLS; protocol++) {
        line.protocol = (protocol_t)protocol;
        json_t *parsed = parse(&line);
        assert_string_equal(json_string_value(json_object_get(parsed, "protocol")),
                            protocol_name(line.protocol));
        assert_string_equal(json_string_value(json_object_get(parsed, "method")), "GET");
        json_decref(parsed);
    }
}

static void numbers_of_all_lengths_are_exact(void **state)
{
    (void)state;
    access_log_line_t line = usual;
    for (uint64_t power = 1, digits = 1; digits <= 20; power *= 10, digits++) {
        const uint64_t around[] = {power - 1, power, power + 1, power * 9 / 2, 0};
        for (size_t i = 0; i < sizeof around / sizeof *around; i++) {
            char expected[64];
            line.bytes = around[i];
            format(&line);
            snprintf(expected, sizeof expected, ",\"bytes\":%llu,\"duration", (unsigned long long)around[i]);
            assert_non_null(strstr(formatted, expected));
        }
    }
    for (line.bytes = 0; line.bytes <= 20000; line.bytes++) {
        format(&line);
        assert_int_equal(strtoull(strstr(formatted, "\"bytes\":") + 8, NULL, 10), line.bytes);
    }
    line.bytes = UINT64_MAX;
    format(&line);
    assert_non_null(strstr(formatted, ",\"bytes\":18446744073709551615,"));
}

/* The second is kept from line to line: also when time goes back, and over its edges. */
static void a_kept_second_is_left_in_time(void **state)
{
    (void)state;
    static const struct {
        int64_t time_us;
        const char *text;
    } times[] = {
        {1767225599999999, "2025-12-31T23:59:59.999999Z"},
        {1767225600000000, "2026-01-01T00:00:00.000000Z"},
        {1767225600999999, "2026-01-01T00:00:00.999999Z"},
        {1767225599999998, "2025-12-31T23:59:59.999998Z"},
        {-5, "1970-01-01T00:00:00.000000Z"},
        {7, "1970-01-01T00:00:00.000007Z"},
        {INT64_MAX, "9999-12-31T23:59:59.999999Z"},
        {INT64_MIN, "1970-01-01T00:00:00.000000Z"},
    };
    access_log_clock_t clock = {0};
    for (size_t i = 0; i < sizeof times / sizeof *times; i++) {
        access_log_line_t line = usual;
        line.time_us = times[i].time_us;
        access_log_json(&clock, &line, formatted);
        assert_memory_equal(formatted + strlen("{\"time\":\""), times[i].text, strlen(times[i].text));
    }
}

/* xorshift64: the same bytes in every run. */
static uint64_t next_random(uint64_t *seed)
{
    *seed ^= *seed << 13;
    *seed ^= *seed >> 7;
    *seed ^= *seed << 17;
    return *seed;
}

static void random_bytes_of_all_lengths_are_valid(void **state)
{
    (void)state;
    static char bytes[20000];
    uint64_t seed = 4711;
    for (int round = 0; round < 3000; round++) {
        size_t length = next_random(&seed) % (round % 10 == 0 ? sizeof bytes : 300);
        uint64_t kind = next_random(&seed) % 3;
        for (size_t i = 0; i < length; i++) {
            uint64_t random = next_random(&seed);
            /* All bytes; mostly plain ones; mostly UTF-8's leading and following ones. */
            bytes[i] = (char)(kind == 0                  ? random
                              : kind == 1 && random % 16 ? 'a' + random % 26
                                                         : random | 0x80);
        }
        text_t text = {bytes, length};
        access_log_line_t line = {.site = text,
                                  .client = text,
                                  .method = text,
                                  .host = text,
                                  .path = text,
                                  .user_agent = text,
                                  .referer = text,
                                  .bytes = INT64_MAX,
                                  .status = 999,
                                  .duration_us = INT64_MAX,
                                  .ttfb_us = INT64_MAX,
                                  .time_us = (int64_t)next_random(&seed),
                                  .cache = OUTCOME_REVALIDATED,
                                  .tier = "memory",
                                  .origin_status = 999};
        json_decref(parse(&line));
    }
}

static void long_fields_are_cut_and_show_it(void **state)
{
    (void)state;
    static char path[100000];
    memset(path, 'p', sizeof path);
    access_log_line_t line = usual;
    line.path = (text_t){path, 8189};
    json_t *parsed = parse(&line);
    assert_int_equal(json_string_length(json_object_get(parsed, "path")), 8189);
    json_decref(parsed);
    line.path.length = sizeof path;
    parsed = parse(&line);
    const char *cut = json_string_value(json_object_get(parsed, "path"));
    assert_int_equal(strlen(cut), 8192);
    assert_string_equal(cut + 8188, "p\xe2\x80\xa6");
    json_decref(parsed);
    memset(path, 1, sizeof path);
    parsed = parse(&line);
    cut = json_string_value(json_object_get(parsed, "path"));
    assert_string_equal(cut + strlen(cut) - 4, "\x01\xe2\x80\xa6");
    json_decref(parsed);
}

/* Against the C library's calendar. */
static void times_are_rfc_3339_in_utc(void **state)
{
    (void)state;
    access_log_clock_t clock = {0};
    uint64_t seed = 99;
    for (int i = 0; i < 20000; i++) {
        access_log_line_t line = usual;
        line.time_us = (int64_t)(next_random(&seed) % UINT64_C(253402300800000000));
        time_t second = line.time_us / 1000000;
        struct tm parts;
        char expected[64], day[32];
        strftime(day, sizeof day, "%Y-%m-%dT%H:%M:%S", gmtime_r(&second, &parts));
        snprintf(expected, sizeof expected, "{\"time\":\"%s.%06dZ\"", day, (int)(line.time_us % 1000000));
        access_log_json(&clock, &line, formatted);
        assert_memory_equal(formatted, expected, strlen(expected));
    }
    static const int64_t days[] = {0, 951782400, 951868799, 4107542400, 1709164800, 253402300799};
    for (size_t i = 0; i < sizeof days / sizeof *days; i++) {
        access_log_line_t line = usual;
        time_t second = days[i];
        struct tm parts;
        char expected[64];
        line.time_us = days[i] * 1000000;
        strftime(expected, sizeof expected, "{\"time\":\"%Y-%m-%dT%H:%M:%S.000000Z",
                 gmtime_r(&second, &parts));
        access_log_json(&clock, &line, formatted);
        assert_memory_equal(formatted, expected, strlen(expected));
    }
}

/* The combined format. */

static void format_combined(const access_log_line_t *line)
{
    access_log_clock_t clock = {0};
    size_t bound = access_log_line_bound(line);
    char *exact = malloc(bound);
    assert_non_null(exact);
    size_t length = access_log_combined(&clock, line, exact);
    assert_true(length <= bound);
    memcpy(formatted, exact, length);
    formatted[length] = 0;
    free(exact);
    assert_int_equal(strlen(formatted), length);
    assert_ptr_equal(strchr(formatted, '\n'), formatted + length - 1);
}

static void the_combined_format_is_nginxs(void **state)
{
    (void)state;
    access_log_line_t line = usual;
    line.version = 0x200;
    format_combined(&line);
    assert_string_equal(formatted,
                        "127.0.0.1 - - [31/Dec/2025:23:59:59 +0000] \"GET /a.js?v=1 HTTP/2.0\" 200 4096 "
                        "\"-\" \"curl/7.88.1\"\n");
    line.version = 0x101;
    line.referer = TEXT("https://r/");
    line.user_agent = TEXT("");
    format_combined(&line);
    assert_string_equal(formatted,
                        "127.0.0.1 - - [31/Dec/2025:23:59:59 +0000] \"GET /a.js?v=1 HTTP/1.1\" 200 4096 "
                        "\"https://r/\" \"\"\n");
    line = (access_log_line_t){.version = 0x100, .status = -1, .time_us = -1};
    format_combined(&line);
    assert_string_equal(formatted, "- - - [01/Jan/1970:00:00:00 +0000] \"  HTTP/1.0\" 000 0 \"-\" \"-\"\n");
    line.time_us = INT64_MAX;
    format_combined(&line);
    assert_non_null(strstr(formatted, "[31/Dec/9999:23:59:59 +0000]"));
}

static void nothing_that_a_client_sends_ends_a_field_of_the_combined_format(void **state)
{
    (void)state;
    char all[256];
    access_log_line_t line = usual;
    for (int i = 0; i < 256; i++)
        all[i] = (char)i;
    line.method = line.path = line.referer = line.user_agent = (text_t){all, sizeof all};
    format_combined(&line);
    size_t quotes = 0;
    for (const char *at = formatted; *at != 0; at++) {
        assert_true((*at >= ' ' && *at <= '~') || at[1] == 0);
        quotes += *at == '"' ? 1 : 0;
        assert_true(*at != '\\' || at[1] == 'x');
    }
    assert_int_equal(quotes, 6);
    line.user_agent = TEXT("a\"b\\c\n\x7f");
    format_combined(&line);
    assert_non_null(strstr(formatted, " \"a\\x22b\\x5Cc\\x0A\\x7F\"\n"));
}

static void what_is_too_long_is_cut_in_the_combined_format(void **state)
{
    (void)state;
    static char much[20000];
    for (int byte = 1; byte <= 'p'; byte += 'p' - 1) {
        access_log_line_t line = usual;
        memset(much, byte, sizeof much);
        line.path = line.referer = line.user_agent = line.method = (text_t){much, sizeof much};
        format_combined(&line);
        assert_non_null(strstr(formatted, byte == 'p' ? "pp... HTTP" : "\\x01... HTTP"));
        assert_non_null(strstr(formatted, byte == 'p' ? "pp...\"\n" : "\\x01...\"\n"));
    }
}

/* Files, and what goes wrong with them. */

static char directory[] = "/tmp/selvedge-access-log-XXXXXX";
static char file_path[64];

static int make_directory(void **state)
{
    (void)state;
    signal(SIGPIPE, SIG_IGN);
    signal(SIGXFSZ, SIG_IGN);
    if (mkdtemp(directory) == NULL)
        return -1;
    snprintf(file_path, sizeof file_path, "%s/access.log", directory);
    return 0;
}

static int remove_directory(void **state)
{
    (void)state;
    return rmdir(directory);
}

static uint64_t dropped(void)
{
    size_t length;
    char *page = counters_page(&length);
    const char *line = strstr(page, "\nselvedge_access_log_dropped_total ");
    assert_non_null(line);
    uint64_t value = strtoull(strchr(line, ' '), NULL, 10);
    free(page);
    return value;
}

static access_log_t *open_log(const char *path)
{
    const char *error = NULL;
    access_log_t *log = access_log_open(path, ACCESS_LOG_JSON, &error);
    if (log == NULL)
        fail_msg("%s: %s", path, error);
    return log;
}

static void add_numbered(access_log_buffer_t *buffer, uint64_t from, uint64_t to)
{
    access_log_line_t line = usual;
    for (line.bytes = from; line.bytes < to; line.bytes++)
        access_log_add(buffer, &line);
}

/* Whole lines of a file, all valid; and those that are torn where `torn` is given. */
static uint64_t count_valid_lines(const char *path, uint64_t *torn)
{
    FILE *file = fopen(path, "r");
    assert_non_null(file);
    char *line = NULL;
    size_t capacity = 0;
    uint64_t count = 0;
    for (ssize_t length; (length = getline(&line, &capacity, file)) > 0;) {
        json_t *parsed = line[length - 1] == '\n' ? json_loadb(line, (size_t)length, 0, NULL) : NULL;
        if (parsed == NULL && torn == NULL)
            fail_msg("not a line: %s", line);
        if (parsed == NULL)
            (*torn)++;
        else
            count++;
        json_decref(parsed);
    }
    free(line);
    fclose(file);
    return count;
}

static void all_lines_arrive_in_order(void **state)
{
    (void)state;
    enum { LINES = 9000 };
    access_log_t *log = open_log(file_path);
    access_log_buffer_t *buffer = access_log_buffer_new(log);
    add_numbered(buffer, 0, LINES);
    access_log_flush(buffer);
    access_log_flush(buffer);
    access_log_buffer_free(&buffer);
    assert_null(buffer);
    access_log_close(&log);
    assert_null(log);
    assert_int_equal(dropped(), 0);
    FILE *file = fopen(file_path, "r");
    char *line = NULL;
    size_t capacity = 0;
    for (uint64_t i = 0; i < LINES; i++) {
        assert_true(getline(&line, &capacity, file) > 0);
        assert_int_equal(strtoull(strstr(line, "\"bytes\":") + 8, NULL, 10), i);
    }
    assert_true(getline(&line, &capacity, file) < 0);
    free(line);
    fclose(file);
    struct stat status;
    assert_int_equal(stat(file_path, &status), 0);
    assert_int_equal(status.st_mode & 07, 0);
    unlink(file_path);
}

static void wait_for(const char *path)
{
    struct stat status;
    for (int i = 0; i < 10000 && (stat(path, &status) != 0 || status.st_size == 0); i++)
        poll(NULL, 0, 1);
    assert_int_equal(stat(path, &status), 0);
    assert_true(status.st_size > 0);
}

static void a_moved_file_is_left_when_reopened(void **state)
{
    (void)state;
    char moved[80];
    snprintf(moved, sizeof moved, "%s.1", file_path);
    access_log_t *log = open_log(file_path);
    access_log_buffer_t *buffer = access_log_buffer_new(log);
    add_numbered(buffer, 0, 10);
    access_log_flush(buffer);
    wait_for(file_path);
    assert_int_equal(rename(file_path, moved), 0);
    access_log_reopen(log);
    add_numbered(buffer, 10, 30);
    access_log_flush(buffer);
    wait_for(file_path);
    access_log_buffer_free(&buffer);
    access_log_close(&log);
    assert_int_equal(count_valid_lines(moved, NULL), 10);
    assert_int_equal(count_valid_lines(file_path, NULL), 20);
    unlink(moved);
    unlink(file_path);
}

static void a_full_disk_loses_lines_and_counts_them(void **state)
{
    (void)state;
    uint64_t before = dropped();
    access_log_t *log = open_log("/dev/full");
    access_log_buffer_t *buffer = access_log_buffer_new(log);
    add_numbered(buffer, 0, 1000);
    access_log_buffer_free(&buffer);
    access_log_close(&log);
    assert_int_equal(dropped() - before, 1000);
}

/* A limit on the file's size makes a write short, in the middle of a line, and the next one fail. */
static void a_write_cut_short_counts_the_lines_that_are_not_whole(void **state)
{
    (void)state;
    struct rlimit old, small;
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &old), 0);
    small = old;
    small.rlim_cur = 1000;
    uint64_t before = dropped(), torn = 0;
    access_log_t *log = open_log(file_path);
    access_log_buffer_t *buffer = access_log_buffer_new(log);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
    add_numbered(buffer, 0, 10);
    access_log_flush(buffer);
    for (int i = 0; i < 10000 && dropped() == before; i++)
        poll(NULL, 0, 1);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &old), 0);
    uint64_t lost = dropped() - before;
    assert_in_range(lost, 1, 9);
    /* Then there is room again: what follows is whole lines. */
    add_numbered(buffer, 10, 15);
    access_log_buffer_free(&buffer);
    access_log_close(&log);
    assert_int_equal(count_valid_lines(file_path, &torn), 10 - lost + 5);
    assert_int_equal(torn, 1);
    assert_int_equal(dropped() - before, lost);
    unlink(file_path);
}

static void a_reader_that_stalls_holds_up_no_worker_and_not_the_end(void **state)
{
    (void)state;
    enum { LINES = 60000 };
    assert_int_equal(mkfifo(file_path, 0600), 0);
    const char *error = NULL;
    assert_null(access_log_open(file_path, ACCESS_LOG_JSON, &error));
    assert_non_null(strstr(error, "FIFO"));
    int reader = open(file_path, O_RDONLY | O_NONBLOCK);
    assert_true(reader >= 0);
    uint64_t before = dropped();
    access_log_t *log = open_log(file_path);
    access_log_buffer_t *buffer = access_log_buffer_new(log);
    add_numbered(buffer, 0, LINES); /* would never come back if it waited */
    access_log_buffer_free(&buffer);
    access_log_close(&log);
    uint64_t lost = dropped() - before, read_lines = 0;
    char bytes[65536];
    for (ssize_t length; (length = read(reader, bytes, sizeof bytes)) > 0;)
        for (ssize_t i = 0; i < length; i++)
            read_lines += bytes[i] == '\n';
    assert_true(read_lines > 0);
    assert_int_equal(lost + read_lines, LINES);
    close(reader);
    unlink(file_path);
}

/* Reads what comes until there are this many lines. A wake-up that is lost shows as silence. */
static void read_lines(int reader, uint64_t lines)
{
    enum { SILENCE_MS = 20000 };
    char bytes[65536];
    while (lines > 0) {
        struct pollfd poll_fd = {.fd = reader, .events = POLLIN};
        assert_int_equal(poll(&poll_fd, 1, SILENCE_MS), 1);
        ssize_t length = read(reader, bytes, sizeof bytes);
        assert_true(length > 0);
        for (ssize_t i = 0; i < length; i++)
            lines -= bytes[i] == '\n';
    }
}

static void every_flush_wakes_the_writer(void **state)
{
    (void)state;
    assert_int_equal(mkfifo(file_path, 0600), 0);
    int reader = open(file_path, O_RDONLY | O_NONBLOCK);
    access_log_t *log = open_log(file_path);
    access_log_buffer_t *buffer = access_log_buffer_new(log);
    for (uint64_t i = 0; i < 3000; i++) {
        add_numbered(buffer, i, i + 1);
        access_log_flush(buffer);
        if (i % 3 != 0) /* now and then two at once, for a writer that is not asleep */
            read_lines(reader, i % 3 == 1 ? 2 : 1);
    }
    access_log_buffer_free(&buffer);
    access_log_close(&log);
    close(reader);
    unlink(file_path);
}

/* As on a machine of many cores: more buffers than chunks may wait, all flushed in one moment, while the
 * writer is held up. */
static void all_workers_may_flush_together(void **state)
{
    (void)state;
    enum { BUFFERS = 40 };
    assert_int_equal(mkfifo(file_path, 0600), 0);
    int reader = open(file_path, O_RDONLY | O_NONBLOCK);
    assert_true(fcntl(reader, F_SETPIPE_SZ, 4096) == 4096);
    uint64_t before = dropped();
    access_log_t *log = open_log(file_path);
    access_log_buffer_t *buffers[BUFFERS];
    for (int i = 0; i < BUFFERS; i++) {
        buffers[i] = access_log_buffer_new(log);
        add_numbered(buffers[i], 0, 100);
    }
    for (int i = 0; i < BUFFERS; i++)
        access_log_flush(buffers[i]);
    read_lines(reader, BUFFERS * 100);
    assert_int_equal(dropped(), before);
    for (int i = 0; i < BUFFERS; i++)
        access_log_buffer_free(&buffers[i]);
    access_log_close(&log);
    close(reader);
    unlink(file_path);
}

enum { WORKERS = 4, WORKER_LINES = 20000 };

static void *work(void *argument)
{
    access_log_t *log = argument;
    counters_attach();
    access_log_buffer_t *buffer = access_log_buffer_new(log);
    for (uint64_t i = 0; i < WORKER_LINES; i++) {
        add_numbered(buffer, i, i + 1);
        if (i % 16 == 0)
            access_log_flush(buffer);
    }
    access_log_buffer_free(&buffer);
    return NULL;
}

static void of_many_workers_each_line_is_written_or_counted(void **state)
{
    (void)state;
    pthread_t workers[WORKERS];
    uint64_t before = dropped();
    access_log_t *log = open_log(file_path);
    for (int i = 0; i < WORKERS; i++)
        assert_int_equal(pthread_create(&workers[i], NULL, work, log), 0);
    access_log_reopen(log);
    for (int i = 0; i < WORKERS; i++)
        assert_int_equal(pthread_join(workers[i], NULL), 0);
    access_log_close(&log);
    uint64_t written = count_valid_lines(file_path, NULL);
    assert_true(written > 0);
    assert_int_equal(written + dropped() - before, WORKERS * WORKER_LINES);
    unlink(file_path);
}

static void a_reader_that_leaves_is_an_error_that_is_counted(void **state)
{
    (void)state;
    assert_int_equal(mkfifo(file_path, 0600), 0);
    int reader = open(file_path, O_RDONLY | O_NONBLOCK);
    access_log_t *log = open_log(file_path);
    close(reader);
    uint64_t before = dropped();
    access_log_buffer_t *buffer = access_log_buffer_new(log);
    add_numbered(buffer, 0, 5);
    access_log_buffer_free(&buffer);
    access_log_close(&log);
    assert_int_equal(dropped() - before, 5);
    unlink(file_path);
}

static void what_cannot_be_opened_says_why(void **state)
{
    (void)state;
    const char *error = NULL;
    assert_null(access_log_open("/nowhere/at/all", ACCESS_LOG_JSON, &error));
    assert_string_equal(error, "No such file or directory");
    assert_null(access_log_open(directory, ACCESS_LOG_JSON, &error));
    assert_string_equal(error, "Is a directory");
}

/* Reopening a path that has gone away keeps the old file. */
static void a_failed_reopen_goes_on_with_the_old_file(void **state)
{
    (void)state;
    char gone[64], path[80], kept[64];
    snprintf(gone, sizeof gone, "%s/gone", directory);
    snprintf(kept, sizeof kept, "%s/kept", directory);
    snprintf(path, sizeof path, "%s/log", gone);
    assert_int_equal(mkdir(gone, 0700), 0);
    access_log_t *log = open_log(path);
    access_log_buffer_t *buffer = access_log_buffer_new(log);
    assert_int_equal(rename(path, kept), 0);
    assert_int_equal(rmdir(gone), 0);
    access_log_reopen(log);
    add_numbered(buffer, 0, 3);
    access_log_buffer_free(&buffer);
    access_log_close(&log);
    assert_int_equal(count_valid_lines(kept, NULL), 3);
    unlink(kept);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_line_has_the_seventeen_fields_in_order),
        cmocka_unit_test(what_is_absent_is_null_and_what_is_empty_is_empty),
        cmocka_unit_test(bytes_that_are_no_text_are_replaced),
        cmocka_unit_test(every_byte_at_every_place_is_valid),
        cmocka_unit_test(names_are_those_of_the_counters),
        cmocka_unit_test(numbers_of_all_lengths_are_exact),
        cmocka_unit_test(a_kept_second_is_left_in_time),
        cmocka_unit_test(random_bytes_of_all_lengths_are_valid),
        cmocka_unit_test(long_fields_are_cut_and_show_it),
        cmocka_unit_test(times_are_rfc_3339_in_utc),
        cmocka_unit_test(the_combined_format_is_nginxs),
        cmocka_unit_test(nothing_that_a_client_sends_ends_a_field_of_the_combined_format),
        cmocka_unit_test(what_is_too_long_is_cut_in_the_combined_format),
        cmocka_unit_test(all_lines_arrive_in_order),
        cmocka_unit_test(a_moved_file_is_left_when_reopened),
        cmocka_unit_test(a_full_disk_loses_lines_and_counts_them),
        cmocka_unit_test(a_write_cut_short_counts_the_lines_that_are_not_whole),
        cmocka_unit_test(a_reader_that_stalls_holds_up_no_worker_and_not_the_end),
        cmocka_unit_test(every_flush_wakes_the_writer),
        cmocka_unit_test(all_workers_may_flush_together),
        cmocka_unit_test(of_many_workers_each_line_is_written_or_counted),
        cmocka_unit_test(a_reader_that_leaves_is_an_error_that_is_counted),
        cmocka_unit_test(what_cannot_be_opened_says_why),
        cmocka_unit_test(a_failed_reopen_goes_on_with_the_old_file),
    };
    return cmocka_run_group_tests(tests, make_directory, remove_directory);
}
