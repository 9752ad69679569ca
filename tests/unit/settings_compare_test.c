/* What differs between settings: all of it is named, and what no reload takes stays as it was at the start.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "conf/settings_table.h"

static char told[4096];

/* Settings, and the words that they point into: freed at the end. */
static void *kept[512];
static size_t kept_count;

static void *keep(void *memory)
{
    assert_non_null(memory);
    assert_true(kept_count < sizeof kept / sizeof *kept);
    return kept[kept_count++] = memory;
}

static settings_t *parsed[64];
static size_t parsed_count;

static settings_t *new_settings(void)
{
    assert_true(parsed_count < sizeof parsed / sizeof *parsed);
    return parsed[parsed_count++] = keep(calloc(1, sizeof(settings_t)));
}

static int free_kept(void **state)
{
    (void)state;
    while (parsed_count > 0)
        settings_free(parsed[--parsed_count]);
    while (kept_count > 0)
        free(kept[--kept_count]);
    return 0;
}

static void on_differs(void *context, const char *name, bool needs_restart)
{
    (void)context;
    size_t length = strlen(told);
    snprintf(told + length, sizeof told - length, "%s%s%s", length > 0 ? ", " : "", name,
             needs_restart ? "!" : "");
}

/* The settings of these options. */
static settings_t *parse(const char *line)
{
    char *words = strdup(line), *argv[64] = {"selvedge", "--origin", "http://127.0.0.1:8000"}, *rest = NULL;
    int argc = 3;
    char error[SETTINGS_ERROR_MAX];
    settings_t *settings = new_settings();
    for (char *word = strtok_r(words, " ", &rest); word != NULL; word = strtok_r(NULL, " ", &rest))
        argv[argc++] = keep(strdup(word));
    settings_source_t source = {argc, argv, "/nonexistent/selvedge.yaml", files_new()};
    if (settings_parse(&source, stderr, settings, error, sizeof error) != SETTINGS_START)
        fail_msg("%s: %s", line, error);
    files_free(&source.files);
    free(words);
    return settings;
}

static const char *compare(const char *start, const char *before, const char *after, settings_t **settings)
{
    *told = 0;
    *settings = parse(after);
    settings_compare(parse(start), parse(before), *settings, on_differs, NULL);
    return told;
}

static void the_same_is_the_same(void **state)
{
    (void)state;
    settings_t *settings;
    const char *line = "--workers 2 --memory 64M --access-log /l --user u --cert c --key k --admin-token t";
    assert_string_equal(compare(line, line, line, &settings), "");
}

static void a_reload_compares_with_what_is_in_force(void **state)
{
    (void)state;
    settings_t *settings;
    assert_string_equal(compare("--idle-timeout 1", "--idle-timeout 2", "--idle-timeout 2", &settings), "");
    assert_string_equal(compare("--idle-timeout 1", "--idle-timeout 2", "--idle-timeout 1", &settings),
                        "timeouts.idle");
    assert_int_equal(settings->idle_timeout_ms, 1000);
}

static void what_needs_a_restart_stays_as_at_the_start(void **state)
{
    (void)state;
    settings_t *settings;
    const char *after = "--workers 3 --memory 32M --state-dir /s --listen http://127.0.0.1:1 --admin "
                        "http://127.0.0.1:2 --user u --access-log /l --access-log-format combined "
                        "--heartbeat-limit 9 --system-call-filter off";
    compare("--workers 2 --memory 64M", "--workers 2 --memory 64M", after, &settings);
    const char *names[] = {
        "workers!",   "memory.size!", "memory.max_object!", "state_dir!",         "listen[].url!",
        "admin.url!", "user!",        "access_log.path!",   "access_log.format!", "timeouts.heartbeat!"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (strstr(told, names[i]) == NULL)
            fail_msg("%s is not told: %s", names[i], told);
    assert_int_equal(settings->workers, 2);
    assert_int_equal(settings->memory_bytes, 64 << 20);
    assert_int_equal(settings->max_object_bytes, 8 << 20);
    assert_int_equal(settings->listener_count, 2);
    assert_string_equal(settings->admin.text, "http://127.0.0.1:8081");
    assert_null(settings->state_dir);
    assert_null(settings->user);
    assert_null(settings->access_log);
    assert_int_equal(settings->heartbeat_limit_ms, 5000);
}

static void disks_stay_and_what_is_admitted_is_taken(void **state)
{
    (void)state;
    settings_t *settings;
    const char *start = "--state-dir /s --disk /a:1G --disk /b:1G";
    assert_string_equal(compare(start, start, start, &settings), "");
    assert_string_equal(
        compare(start, start, "--state-dir /s --disk /a:1G --disk /b:2G --disk-admission always", &settings),
        "disk[].size!, disk_admission");
    assert_int_equal(settings->disks[1].size_bytes, UINT64_C(1) << 30);
    assert_true(settings->disk_admits_always);
    assert_string_equal(compare(start, start, "--state-dir /s --disk-wipe on", &settings),
                        "disk[].path!, disk[].size!, disk_wipe!");
    assert_int_equal(settings->disk_count, 2);
    assert_string_equal(settings->disks[1].path, "/b");
    assert_false(settings->disk_wipe);
}

static void certificates_and_tokens_are_taken(void **state)
{
    (void)state;
    settings_t *settings;
    assert_string_equal(compare("", "", "--cert c --key k --admin-token-file f", &settings),
                        "admin.token_file, certificates[].cert, certificates[].key");
    assert_int_equal(settings->certificate_count, 1);
}

/* A file's text as settings; for sites, which options do not have. */
static settings_t *load(const char *text)
{
    char path[] = "/tmp/settings_compare_XXXXXX";
    int fd = mkstemp(path);
    FILE *file = fdopen(fd, "w");
    fputs(text, file);
    fclose(file);
    char *argv[] = {"selvedge", "--config", keep(strdup(path))}, error[SETTINGS_ERROR_MAX];
    settings_source_t source = {3, argv, "", files_new()};
    settings_t *settings = new_settings();
    if (settings_parse(&source, stderr, settings, error, sizeof error) != SETTINGS_START)
        fail_msg("%s", error);
    files_free(&source.files);
    remove(path);
    return settings;
}

static void sites_are_compared_by_name(void **state)
{
    (void)state;
    settings_t *before = load("sites:\n"
                              "- {name: a, hosts: [a.x, b.x], origin: {url: 'http://o'}}\n"
                              "- {name: b, hosts: [c.x], origin: {url: 'http://o', host: h}}\n");
    settings_t *after = load("sites:\n"
                             "- {name: c, hosts: [c.x], origin: {url: 'http://o'}}\n"
                             "- {name: a, hosts: [a.x], origin: {url: 'http://p'}, purge_method: on}\n");
    *told = 0;
    settings_compare(before, before, after, on_differs, NULL);
    assert_string_equal(told, "sites[c] is new, sites[a].hosts, sites[a].origin.url, sites[a].purge_method, "
                              "sites[b] is removed");
    settings_free(before);
    settings_free(after);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_same_is_the_same),
        cmocka_unit_test(a_reload_compares_with_what_is_in_force),
        cmocka_unit_test(what_needs_a_restart_stays_as_at_the_start),
        cmocka_unit_test(disks_stay_and_what_is_admitted_is_taken),
        cmocka_unit_test(certificates_and_tokens_are_taken),
        cmocka_unit_test(sites_are_compared_by_name),
    };
    return cmocka_run_group_tests(tests, NULL, free_kept);
}
