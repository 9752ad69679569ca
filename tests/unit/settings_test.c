/* Settings: every option, its range, what it says when it is wrong, and the help that comes from the same
 * table. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <arpa/inet.h>
#include <sys/stat.h>
#include <unistd.h>

#include "conf/host.h"
#include "conf/settings.h"
#include "conf/settings_table.h"

static settings_t settings;
static char error[SETTINGS_ERROR_MAX];
static char *printed;

/* Parses the words of a command line; the texts in `settings` live until the next call. */
static settings_outcome_t parse(const char *line)
{
    static char words[4096];
    char *argv[64] = {"selvedge"};
    int argc = 1;
    size_t printed_length;
    char *rest = NULL;
    snprintf(words, sizeof words, "%s", line);
    for (char *word = strtok_r(words, " ", &rest); word != NULL; word = strtok_r(NULL, " ", &rest))
        argv[argc++] = strcmp(word, "''") == 0 ? "" : word;
    free(printed);
    printed = NULL;
    FILE *out = open_memstream(&printed, &printed_length);
    assert_non_null(out);
    *error = 0;
    settings_free(&settings);
    settings_source_t source = {argc, argv, "/nonexistent/selvedge.yaml", files_new()};
    settings_outcome_t outcome = settings_parse(&source, out, &settings, error, sizeof error);
    files_free(&source.files);
    fclose(out);
    return outcome;
}

static void take(const char *options)
{
    char line[4096];
    snprintf(line, sizeof line, "--origin http://127.0.0.1:8000 %s", options);
    if (parse(line) != SETTINGS_START)
        fail_msg("%s: %s", options, error);
}

/* The command line is wrong, and the message has this in it. */
static void refuse(const char *options, const char *reason)
{
    char line[4096];
    snprintf(line, sizeof line, "--origin http://127.0.0.1:8000 %s", options);
    assert_int_equal(parse(line), SETTINGS_WRONG);
    if (strstr(error, reason) == NULL)
        fail_msg("%s: the message is: %s", options, error);
}

static void assert_text(text_t text, const char *expected)
{
    assert_int_equal(text.length, strlen(expected));
    assert_memory_equal(text.data, expected, text.length);
}

static void an_origin_is_enough(void **state)
{
    (void)state;
    assert_int_equal(parse("--origin http://127.0.0.1:8000"), SETTINGS_START);
    assert_int_equal(settings.listener_count, 2);
    assert_true(settings.listeners[0].https);
    assert_int_equal(settings.listeners[0].port, 8443);
    assert_string_equal(settings.listeners[0].host, "127.0.0.1");
    assert_false(settings.listeners[1].https);
    assert_int_equal(settings.listeners[1].port, 8080);
    assert_int_equal(settings.admin.port, 8081);
    assert_text(settings.sites[0].origin_url, "http://127.0.0.1:8000");
    assert_text(settings.sites[0].origin_host, "127.0.0.1:8000");
    assert_int_equal(settings.max_object_bytes, settings.memory_bytes / 8);
    assert_true(settings.workers >= 1);
    assert_null(settings.access_log);
    assert_null(settings.state_dir);
    assert_null(settings.admin_token);
    assert_null(settings.admin_token_file);
    assert_int_equal(settings.certificate_count, 0);
    assert_true(settings.sites[0].forwarded_https);
    assert_false(settings.sites[0].policy.forward_all);
    assert_int_equal(settings.sites[0].connect_timeout_ms, 5000);
    assert_int_equal(settings.sites[0].first_byte_timeout_ms, 30000);
    assert_int_equal(settings.sites[0].between_bytes_timeout_ms, 30000);
    assert_int_equal(settings.shutdown_timeout_ms, 30000);
    assert_int_equal(settings.heartbeat_limit_ms, 5000);
    assert_int_equal(settings.max_request_body_bytes, 16 << 20);
}

static void disks_are_a_path_and_a_size(void **state)
{
    (void)state;
    take("");
    assert_int_equal(settings.disk_count, 0);
    assert_false(settings.disk_admits_always);
    assert_false(settings.disk_wipe);
    take("--disk /a:64M --disk=/b:c//:2G --disk-admission always --disk-wipe on");
    assert_int_equal(settings.disk_count, 2);
    assert_string_equal(settings.disks[0].path, "/a");
    assert_int_equal(settings.disks[0].size_bytes, 64 << 20);
    assert_string_equal(settings.disks[1].path, "/b:c");
    assert_int_equal(settings.disks[1].size_bytes, UINT64_C(2) << 30);
    assert_true(settings.disk_admits_always);
    assert_true(settings.disk_wipe);
}

static void with_a_disk_the_state_is_on_it(void **state)
{
    (void)state;
    take("--disk /a/:1G --disk /b:1G");
    assert_string_equal(settings.state_dir, "/a/state");
    take("--disk /:1G");
    assert_string_equal(settings.state_dir, "/state");
    take("--disk /a:1G --state-dir /s");
    assert_string_equal(settings.state_dir, "/s");
}

static void without_an_origin_it_says_so(void **state)
{
    (void)state;
    assert_int_equal(parse(""), SETTINGS_WRONG);
    assert_non_null(strstr(error, "--origin is missing"));
}

static void memory_by_default_is_a_quarter_of_what_the_host_offers(void **state)
{
    (void)state;
    take("");
    uint64_t quarter = host_memory_bytes("") / 4;
    assert_true(quarter > 0);
    assert_int_equal(settings.memory_bytes, quarter < (16 << 20) ? 16 << 20 : quarter);
}

static void sizes_are_powers_of_1024(void **state)
{
    (void)state;
    take("--memory 64M --max-object 3K");
    assert_int_equal(settings.memory_bytes, UINT64_C(64) << 20);
    assert_int_equal(settings.max_object_bytes, 3072);
    take("--memory=2g");
    assert_int_equal(settings.memory_bytes, UINT64_C(2) << 30);
    take("--memory 16777216 --max-request-body 0");
    assert_int_equal(settings.memory_bytes, 16777216);
    assert_int_equal(settings.max_request_body_bytes, 0);
    refuse("--memory 12X",
           "--memory 12X: 'X' is not a unit; a size is a number with an optional K, M or G (powers of 1024), "
           "such as 512M");
    refuse("--memory 12MB", "'MB' is not a unit");
    refuse("--memory 1.5G", "'.5G' is not a unit");
    refuse("--memory M", "does not start with a number");
    refuse("--memory -1", "does not start with a number");
    refuse("--memory ''", "does not start with a number");
    refuse("--memory 16777215", "too small; allowed is 16M to 65536G");
    refuse("--memory 65537G", "too large");
    refuse("--memory 18446744073709551616", "too large");
    refuse("--memory 17179869185G",
           "too large"); /* 1G more than 2^64 bytes: a shift that wraps would let it pass */
    refuse("--memory 16M --max-object 9M", "at most half of --memory, here 8M");
}

static void times_are_seconds_with_three_decimals(void **state)
{
    (void)state;
    take(
        "--connect-timeout 0.5 --first-byte-timeout 1.25 --between-bytes-timeout 0.001 --shutdown-timeout 0");
    assert_int_equal(settings.sites[0].connect_timeout_ms, 500);
    assert_int_equal(settings.sites[0].first_byte_timeout_ms, 1250);
    assert_int_equal(settings.sites[0].between_bytes_timeout_ms, 1);
    assert_int_equal(settings.shutdown_timeout_ms, 0);
    refuse("--connect-timeout 0", "too small; allowed is 0.001 to 3600");
    refuse("--connect-timeout 3600.001", "too large");
    refuse("--connect-timeout 99999999999999999999", "too large");
    refuse("--connect-timeout 5s", "not a time");
    refuse("--connect-timeout 5.", "not a time");
    refuse("--connect-timeout .5", "not a time");
    refuse("--connect-timeout 1.2345", "not a time");
    refuse("--connect-timeout -1", "not a time");
    refuse("--connect-timeout 1e3", "not a time");
}

static void workers_are_counted(void **state)
{
    (void)state;
    take("--workers 256");
    assert_int_equal(settings.workers, 256);
    refuse("--workers 0", "too small; allowed is 1 to 256");
    refuse("--workers 257", "too large");
    refuse("--workers 4294967297", "too large"); /* 2^32 + 1: a narrowing that wraps would make it 1 */
    refuse("--workers two", "not a number");
    refuse("--workers 2x", "not a number");
}

static void listeners_add_up_and_are_ready_to_bind(void **state)
{
    (void)state;
    take("--listen http://127.0.0.1:0 --listen https://[::1]:443 --listen=http://localhost:80/ --admin "
         "http://[::]:0");
    assert_int_equal(settings.listener_count, 3);
    const settings_listener_t *first = &settings.listeners[0], *second = &settings.listeners[1];
    assert_int_equal(first->port, 0);
    assert_int_equal(first->address.v4.sin_family, AF_INET);
    assert_int_equal(first->address.v4.sin_addr.s_addr, htonl(INADDR_LOOPBACK));
    assert_string_equal(first->text, "http://127.0.0.1:0");
    assert_true(second->ipv6 && second->https);
    assert_string_equal(second->host, "::1");
    assert_int_equal(second->address.v6.sin6_port, htons(443));
    assert_int_equal(second->address_length, sizeof(struct sockaddr_in6));
    assert_memory_equal(&second->address.v6.sin6_addr, &in6addr_loopback, sizeof in6addr_loopback);
    assert_string_equal(settings.listeners[2].host, "127.0.0.1");
    assert_true(settings.admin.ipv6);
}

static void listeners_that_cannot_be_are_refused(void **state)
{
    (void)state;
    refuse("--listen 127.0.0.1:80", "http://ADDR:PORT");
    refuse("--listen ftp://127.0.0.1:80", "scheme");
    refuse("--listen http://127.0.0.1", "the port is missing");
    refuse("--listen http://127.0.0.1:65536", "port");
    refuse("--listen http://example.com:80", "'example.com' is not an address");
    refuse("--listen http://127.0.0.1:80/path", "'/path' is more than a server");
    refuse("--listen http://127.0.0.1:80?x", "more than a server");
    refuse("--listen http://256.0.0.1:80", "address");
    refuse("--admin http://127.0.0.1", "--admin http://127.0.0.1: the port is missing");
    char many[1024] = "";
    for (int i = 0; i <= SETTINGS_LISTENERS_MAX; i++)
        snprintf(many + strlen(many), sizeof many - strlen(many), "--listen http://127.0.0.1:%d ", 1000 + i);
    refuse(many, "at most 16");
}

static void one_address_is_not_bound_twice(void **state)
{
    (void)state;
    refuse("--listen http://127.0.0.1:90 --listen https://127.0.0.1:90",
           "already that of http://127.0.0.1:90");
    refuse("--listen http://[::1]:90 --listen http://[0:0::1]:90", "already that of");
    refuse("--listen http://127.0.0.1:8081", "clients connect at the same address");
    take("--listen http://127.0.0.1:0 --listen https://127.0.0.1:0 --admin http://127.0.0.1:0");
    take("--listen http://127.0.0.1:90 --listen http://[::1]:90 --listen http://127.0.0.2:90");
}

static void the_origin_is_a_server_and_nothing_more(void **state)
{
    (void)state;
    assert_int_equal(parse("--origin https://assets.example.com/"), SETTINGS_START);
    assert_true(settings.sites[0].origin.https);
    assert_int_equal(settings.sites[0].origin.port, 443);
    assert_text(settings.sites[0].origin_url, "https://assets.example.com");
    assert_text(settings.sites[0].origin_host, "assets.example.com");
    assert_int_equal(parse("--origin http://[::1]:8000"), SETTINGS_START);
    assert_text(settings.sites[0].origin_host, "[::1]:8000");
    assert_true(settings.sites[0].origin.ipv6);
    assert_int_equal(parse("--origin http://a/b"), SETTINGS_WRONG);
    assert_non_null(strstr(error, "'/b' is more than a server"));
    assert_int_equal(parse("--origin http://a/?q"), SETTINGS_WRONG);
    assert_int_equal(parse("--origin http://a?"), SETTINGS_WRONG);
    assert_int_equal(parse("--origin http://a:0"), SETTINGS_WRONG);
    assert_int_equal(parse("--origin http://user@a"), SETTINGS_WRONG);
    assert_int_equal(parse("--origin a.example.com"), SETTINGS_WRONG);
    assert_non_null(strstr(error, "an origin is http://HOST[:PORT]"));
}

static void the_host_sent_upstream_can_be_set(void **state)
{
    (void)state;
    take("--origin-host assets.example.com:8443");
    assert_text(settings.sites[0].origin_host, "assets.example.com:8443");
    refuse("--origin-host a/b", "not a host");
    refuse("--origin-host ''", "not a host");
    refuse("--origin-host a?b", "not a host");
    refuse("--origin-host u@a", "not a host");
}

static void a_certificate_goes_with_its_key(void **state)
{
    (void)state;
    take("--cert c.pem --key k.pem");
    assert_int_equal(settings.certificate_count, 1);
    assert_string_equal(settings.certificates[0].certificate.path, "c.pem");
    assert_string_equal(settings.certificates[0].key.path, "k.pem");
    refuse("--cert c.pem", "--cert without --key");
    refuse("--key k.pem", "--key without --cert");
}

static void a_token_is_given_once_and_never_repeated_in_messages(void **state)
{
    (void)state;
    take("--admin-token abc-._~+/123==");
    assert_string_equal(settings.admin_token, "abc-._~+/123==");
    take("--admin-token-file token");
    assert_string_equal(settings.admin_token_file, "token");
    refuse("--admin-token a --admin-token-file b", "give one of the two");
    refuse("--admin-token s3cret=x", "the token given is not one");
    assert_null(strstr(error, "s3cret"));
    refuse("--admin-token ''", "the token given is not one");
    refuse("--admin-token ==", "the token given is not one");
    char line[600] = "--admin-token ";
    memset(line + strlen(line), 'a', 513);
    refuse(line, "1 to 512");
}

static void choices_know_their_words(void **state)
{
    (void)state;
    take("--forward all --forwarded-proto http");
    assert_true(settings.sites[0].policy.forward_all);
    assert_false(settings.sites[0].forwarded_https);
    refuse("--forward some", "allowed is safe or all");
    refuse("--forwarded-proto h2", "allowed is http or https");
}

static void the_access_log_is_off_a_file_or_standard_output(void **state)
{
    (void)state;
    take("--access-log off");
    assert_null(settings.access_log);
    take("--access-log -");
    assert_string_equal(settings.access_log, "-");
    take("--access-log /var/log/x.log");
    assert_string_equal(settings.access_log, "/var/log/x.log");
    refuse("--access-log ''", "a path, - for standard output, or off");
    take("--access-log x.log --access-log off");
    assert_null(settings.access_log);
}

static void what_is_no_option_is_answered_with_the_nearest(void **state)
{
    (void)state;
    refuse("--memroy 1G", "--memroy: there is no such option; did you mean --memory?");
    refuse("--listn=x", "did you mean --listen?");
    refuse("--memoryx 1G", "did you mean --memory?");
    refuse("--mem 1G", "no such option");
    refuse("--xyzzyplugh", "there is no such option; --help shows them all");
    refuse("--", "there is no such option");
    refuse("-x", "there is no such option");
    refuse("start", "'start' is not an option");
    refuse("--memory", "the value is missing; it is given as --memory SIZE");
}

static void values_of_any_length_leave_room_for_the_reason(void **state)
{
    (void)state;
    char line[3000] = "--memory ";
    memset(line + strlen(line), '7', 2000);
    strcat(line, "X");
    refuse(line, "is not a unit");
    memset(line + strlen("--memory "), 'x', 2000);
    refuse(line, "a size is a number");
    memcpy(line, "--listen ", strlen("--listen "));
    refuse(line, "http://ADDR:PORT");
    memset(line, 'x', 2000);
    line[2000] = 0;
    refuse(line, "is not an option");
}

static void help_and_version_answer(void **state)
{
    (void)state;
    assert_int_equal(parse("--help"), SETTINGS_ANSWERED);
    for (size_t i = 0; i < settings_table_count; i++)
        if (settings_table[i].option != NULL)
            assert_non_null(strstr(printed, settings_table[i].option));
    for (char *line = printed; line != NULL; line = strchr(line, '\n') ? strchr(line, '\n') + 1 : NULL)
        assert_true(strcspn(line, "\n") <= 100);
    assert_int_equal(parse("-h"), SETTINGS_ANSWERED);
    assert_int_equal(parse("--version"), SETTINGS_ANSWERED);
    assert_string_equal(printed, "selvedge " SELVEDGE_VERSION "\n");
}

static void explain_knows_names_and_options(void **state)
{
    (void)state;
    assert_int_equal(parse("--explain memory.size"), SETTINGS_ANSWERED);
    assert_non_null(strstr(printed, "memory.size\n"));
    assert_non_null(strstr(printed, "16M to 65536G"));
    assert_null(strstr(printed, "workers"));
    assert_int_equal(parse("--explain --workers"), SETTINGS_ANSWERED);
    assert_non_null(strstr(printed, "1 to 256"));
    assert_int_equal(parse("--explain=sites[].request_fields"), SETTINGS_ANSWERED);
    assert_non_null(strstr(printed, "safe or all"));
    assert_int_equal(parse("--explain"), SETTINGS_ANSWERED);
    for (size_t i = 0; i < settings_table_count; i++)
        assert_non_null(strstr(printed, settings_table[i].name));
    assert_int_equal(parse("--explain memory.sise"), SETTINGS_WRONG);
    assert_non_null(strstr(error, "did you mean memory.size (--memory)?"));
    assert_int_equal(parse("--explain qqqqqqqq"), SETTINGS_WRONG);
    assert_non_null(strstr(error, "--explain alone shows them all"));
}

static void the_table_is_sound(void **state)
{
    (void)state;
    for (size_t i = 0; i < settings_table_count; i++) {
        const setting_t *setting = &settings_table[i];
        assert_true(setting->minimum <= setting->maximum);
        assert_true(strlen(setting->meaning) > 10 && setting->meaning[strlen(setting->meaning) - 1] == '.');
        assert_ptr_equal(setting_find(setting->name), setting);
        assert_true(setting->required || setting->standard[0] != NULL || setting->standard_words != NULL);
        assert_true(setting->standard[0] != NULL || setting->example != NULL);
        if (setting->option != NULL) {
            assert_memory_equal(setting->option, "--", 2);
            assert_ptr_equal(setting_find(setting->option), setting);
        }
        for (size_t j = 0; j < i; j++)
            assert_true(setting->of_site != settings_table[j].of_site ||
                        setting->of_certificate != settings_table[j].of_certificate ||
                        setting->of_listener != settings_table[j].of_listener ||
                        setting->of_disk != settings_table[j].of_disk ||
                        setting->offset != settings_table[j].offset);
    }
}

/* A directory that looks like a machine: proc/meminfo, proc/self/cgroup and limits. */
static char machine[] = "/tmp/selvedge-machine-XXXXXX";

static void put_file(const char *path, const char *text)
{
    char full[256];
    snprintf(full, sizeof full, "%s%s", machine, path);
    for (char *slash = strchr(full + strlen(machine) + 1, '/'); slash != NULL;
         slash = strchr(slash + 1, '/')) {
        *slash = 0;
        mkdir(full, 0700);
        *slash = '/';
    }
    FILE *file = fopen(full, "w");
    assert_non_null(file);
    fputs(text, file);
    assert_int_equal(fclose(file), 0);
}

static void memory_is_the_smallest_limit_on_the_way(void **state)
{
    (void)state;
    assert_non_null(mkdtemp(machine));
    assert_int_equal(host_memory_bytes(machine), 0);
    put_file("/proc/meminfo", "MemTotal:       1000000 kB\nMemFree: 1 kB\n");
    assert_int_equal(host_memory_bytes(machine), 1024000000);
    put_file("/proc/self/cgroup", "0::/a/b\n");
    assert_int_equal(host_memory_bytes(machine), 1024000000);
    put_file("/sys/fs/cgroup/a/b/memory.max", "max\n");
    put_file("/sys/fs/cgroup/a/memory.max", "500000000\n");
    assert_int_equal(host_memory_bytes(machine), 500000000);
    put_file("/sys/fs/cgroup/memory.max", "400000000\n");
    assert_int_equal(host_memory_bytes(machine), 400000000);
    put_file("/proc/self/cgroup", "5:cpu:/a\n4:memory:/x\n1:name=systemd:/\n");
    put_file("/sys/fs/cgroup/memory/x/memory.limit_in_bytes", "300000000\n");
    put_file("/sys/fs/cgroup/memory/memory.limit_in_bytes", "9223372036854771712\n");
    assert_int_equal(host_memory_bytes(machine), 300000000);
    char command[128];
    snprintf(command, sizeof command, "rm -r %s", machine);
    assert_int_equal(system(command), 0);
}

static int free_printed(void **state)
{
    (void)state;
    settings_free(&settings);
    free(printed);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_origin_is_enough),
        cmocka_unit_test(disks_are_a_path_and_a_size),
        cmocka_unit_test(with_a_disk_the_state_is_on_it),
        cmocka_unit_test(without_an_origin_it_says_so),
        cmocka_unit_test(memory_by_default_is_a_quarter_of_what_the_host_offers),
        cmocka_unit_test(sizes_are_powers_of_1024),
        cmocka_unit_test(times_are_seconds_with_three_decimals),
        cmocka_unit_test(workers_are_counted),
        cmocka_unit_test(listeners_add_up_and_are_ready_to_bind),
        cmocka_unit_test(listeners_that_cannot_be_are_refused),
        cmocka_unit_test(one_address_is_not_bound_twice),
        cmocka_unit_test(the_origin_is_a_server_and_nothing_more),
        cmocka_unit_test(the_host_sent_upstream_can_be_set),
        cmocka_unit_test(a_certificate_goes_with_its_key),
        cmocka_unit_test(a_token_is_given_once_and_never_repeated_in_messages),
        cmocka_unit_test(choices_know_their_words),
        cmocka_unit_test(the_access_log_is_off_a_file_or_standard_output),
        cmocka_unit_test(what_is_no_option_is_answered_with_the_nearest),
        cmocka_unit_test(values_of_any_length_leave_room_for_the_reason),
        cmocka_unit_test(help_and_version_answer),
        cmocka_unit_test(explain_knows_names_and_options),
        cmocka_unit_test(the_table_is_sound),
        cmocka_unit_test(memory_is_the_smallest_limit_on_the_way),
    };
    return cmocka_run_group_tests(tests, NULL, free_printed);
}
