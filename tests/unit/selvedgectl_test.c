/* selvedgectl, the program, against a scripted node: what it sends, prints, and exits with. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <arpa/inet.h>
#include <jansson.h>
#include <limits.h>
#include <netinet/in.h>
#include <pthread.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "edge/base.h"

static char program[PATH_MAX];
static char output[65536]; /* both streams of the last run */

/* A node that takes one connection, reads one request, answers it with `script` and closes. */
static struct {
    int listener;
    pthread_t thread;
    const char *script; /* NULL: says nothing until the client goes */
    char request[65536];
    char url[64];
} node;

static void read_request(int fd)
{
    size_t length = 0;
    for (;;) {
        ssize_t got = recv(fd, node.request + length, sizeof node.request - 1 - length, 0);
        length += got > 0 ? (size_t)got : 0;
        node.request[length] = 0;
        const char *end = strstr(node.request, "\r\n\r\n"), *field = strstr(node.request, "Content-Length: ");
        size_t body = field != NULL ? strtoul(field + strlen("Content-Length: "), NULL, 10) : 0;
        if (got <= 0 || (end != NULL && strlen(end + 4) >= body))
            return;
    }
}

static void *serve(void *unused)
{
    (void)unused;
    int fd = accept(node.listener, NULL, NULL);
    char byte;
    read_request(fd);
    if (node.script != NULL && send(fd, node.script, strlen(node.script), MSG_NOSIGNAL) < 0)
        perror("send");
    if (node.script == NULL)
        while (recv(fd, &byte, 1, 0) > 0)
            ;
    close(fd);
    return NULL;
}

static void listen_anywhere(void)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t length = sizeof address;
    node.listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(node.listener, (struct sockaddr *)&address, length), 0);
    assert_int_equal(listen(node.listener, 1), 0);
    assert_int_equal(getsockname(node.listener, (struct sockaddr *)&address, &length), 0);
    snprintf(node.url, sizeof node.url, "http://127.0.0.1:%d", ntohs(address.sin_port));
}

/* Runs the program with words of a line; `$` is the node's URL. Returns its exit code. */
static int run(const char *line)
{
    static char words[16384], *argv[2048];
    argv[0] = program;
    int argc = 1, ends[2], status;
    char *rest = NULL;
    snprintf(words, sizeof words, "%s", line);
    for (char *word = strtok_r(words, " ", &rest); word != NULL; word = strtok_r(NULL, " ", &rest))
        argv[argc++] = strcmp(word, "$") == 0 ? node.url : word;
    argv[argc] = NULL;
    assert_int_equal(pipe(ends), 0);
    pid_t child = fork();
    if (child == 0) {
        dup2(ends[1], STDOUT_FILENO);
        dup2(ends[1], STDERR_FILENO);
        close(ends[0]);
        close(ends[1]);
        execv(program, argv);
        _exit(127);
    }
    close(ends[1]);
    size_t length = 0;
    for (ssize_t got; (got = read(ends[0], output + length, sizeof output - 1 - length)) > 0;)
        length += (size_t)got;
    output[length] = 0;
    close(ends[0]);
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    return WEXITSTATUS(status);
}

static int run_against(const char *script, const char *line)
{
    listen_anywhere();
    node.script = script;
    assert_int_equal(pthread_create(&node.thread, NULL, serve, NULL), 0);
    int code = run(line);
    assert_int_equal(pthread_join(node.thread, NULL), 0);
    close(node.listener);
    return code;
}

static void assert_output(const char *text)
{
    if (strstr(output, text) == NULL)
        fail_msg("the output is: %s", output);
}

/* The output is one JSON value with this code of an error. */
static void assert_error_code(const char *code)
{
    json_t *parsed = json_loads(output, 0, NULL);
    if (parsed == NULL)
        fail_msg("the output is: %s", output);
    assert_string_equal(json_string_value(json_object_get(json_object_get(parsed, "error"), "code")), code);
    json_decref(parsed);
}

static void assert_sent_body(const char *expected)
{
    const char *body = strstr(node.request, "\r\n\r\n");
    assert_non_null(body);
    json_t *sent = json_loads(body + 4, 0, NULL), *right = json_loads(expected, 0, NULL);
    assert_non_null(right);
    if (!json_equal(sent, right))
        fail_msg("sent: %s", body + 4);
    json_decref(sent);
    json_decref(right);
}

#define ANSWER(status, body)                                                                                 \
    "HTTP/1.1 " status "\r\nContent-Type: application/json\r\nConnection: close\r\n\r\n" body
#define PURGED ANSWER("200 OK", "{\"id\":\"abc\",\"sequence\":7,\"applied_here\":true}\n")

static void purging_urls(void **state)
{
    (void)state;
    assert_int_equal(run_against(PURGED, "--admin $ purge http://e/a http://e/b?c --soft --reason seven"), 0);
    assert_string_equal(output, "purged: sequence 7, id abc\n");
    assert_non_null(strstr(node.request, "POST /v1/purge HTTP/1.1\r\n"));
    assert_non_null(strstr(node.request, "\r\nAuthorization: Bearer t0ken\r\n"));
    assert_non_null(strstr(node.request, "\r\nContent-Type: application/json\r\n"));
    assert_sent_body("{\"urls\":[\"http://e/a\",\"http://e/b?c\"],\"soft\":true,\"reason\":\"seven\"}");
    assert_int_equal(run_against(PURGED, "--json --admin $ purge --site default"), 0);
    assert_string_equal(output, "{\"id\":\"abc\",\"sequence\":7,\"applied_here\":true}\n");
    assert_sent_body("{\"site\":\"default\"}");
    assert_int_equal(run_against(PURGED, "purge --everything --admin $"), 0);
    assert_sent_body("{\"everything\":true}");
}

static void purging_tags(void **state)
{
    (void)state;
    assert_int_equal(run_against(PURGED, "--admin $ purge --tag product-7"), 0);
    assert_string_equal(output, "purged: sequence 7, id abc\n");
    assert_sent_body("{\"tags\":[\"product-7\"]}");
    assert_int_equal(run_against(PURGED, "--admin $ purge --tag a --site shop --tag=B,c --soft --reason r"),
                     0);
    assert_sent_body("{\"tags\":[\"a\",\"B,c\"],\"site\":\"shop\",\"soft\":true,\"reason\":\"r\"}");
}

/* As many as the node takes in one purge. */
static void a_thousand_tags_and_no_more(void **state)
{
    (void)state;
    static char line[16384];
    char *end = line + sprintf(line, "--admin $ purge");
    for (int i = 0; i < 1000; i++)
        end += sprintf(end, " --tag t%d", i);
    assert_int_equal(run_against(PURGED, line), 0);
    assert_non_null(strstr(node.request, "\"t999\""));
    strcpy(end, " --tag last");
    assert_int_equal(run(line), 2);
    assert_output("selvedgectl: last: one too many; at most 1000 are taken");
}

static void showing_the_status(void **state)
{
    (void)state;
    static const char script[] =
        ANSWER("200 OK", "{\"version\":\"1.2\",\"pid\":5,\"uptime_s\":6,\"sequence\":7,\"objects\":8,"
                         "\"memory_bytes\":1048576,\"memory_limit_bytes\":16777216}");
    assert_int_equal(run_against(script, "--admin $ status"), 0);
    assert_non_null(strstr(node.request, "GET /v1/status HTTP/1.1\r\n"));
    assert_output("sequence  7\n");
    assert_output("memory    1.0 of 16.0 MiB\n");
    assert_null(strstr(output, "disk "));
    assert_int_equal(run_against(script, "--admin $ --json status"), 0);
    assert_output("\"memory_bytes\":1048576");
}

static void showing_the_status_of_disks(void **state)
{
    (void)state;
    static const char well[] = ANSWER(
        "200 OK", "{\"version\":\"1.2\",\"disk\":{\"bytes\":1048576,\"limit_bytes\":67108864,\"records\":9,"
                  "\"recovering_segments\":0,\"failed_devices\":0}}");
    static const char unwell[] =
        ANSWER("200 OK", "{\"version\":\"1.2\",\"disk\":{\"bytes\":0,\"limit_bytes\":1048576,\"records\":0,"
                         "\"recovering_segments\":3,\"failed_devices\":2}}");
    assert_int_equal(run_against(well, "--admin $ status"), 0);
    assert_output("disk      1.0 of 64.0 MiB, 9 records\n");
    assert_int_equal(run_against(unwell, "--admin $ status"), 0);
    assert_output(
        "disk      0.0 of 1.0 MiB, 0 records; 3 segments from before the start are not known yet; 2 out of "
        "use\n");
}

#define TRACED(more)                                                                                         \
    ANSWER("200 OK", "{\"site\":\"a\",\"key\":\"/x\",\"treatment\":\"fetch\",\"why\":\"w\",\"stored\":null," \
                     "\"growing\":null,\"variants\":0,\"hit_for_miss_s\":0,\"rule\":null," more "}")

static void a_trace_shows_tags(void **state)
{
    (void)state;
    assert_int_equal(
        run_against(TRACED("\"tags\":[\"b\",\"a\"],\"purge\":{\"rule\":\"tag\",\"mode\":\"soft\","
                           "\"sequence\":7,\"tag\":\"a\"}"),
                    "--admin $ trace http://e/x"),
        0);
    assert_output("\ntags       b a\npurge      tag a, soft, sequence 7\n");
    assert_int_equal(
        run_against(TRACED("\"tags\":[],\"purge\":{\"rule\":\"site\",\"mode\":\"hard\",\"sequence\":8}"),
                    "--admin $ trace http://e/x"),
        0);
    assert_output("\npurge      site, hard, sequence 8\n");
    assert_null(strstr(output, "tags"));
}

static void a_refusal_is_four_and_a_failure_one(void **state)
{
    (void)state;
    static const char refusal[] =
        ANSWER("400 Bad Request", "{\"error\":{\"code\":\"bad_url\",\"message\":\"urls[0]: is not\","
                                  "\"field\":\"urls[0]\"}}");
    static const char failure[] =
        ANSWER("500 Oops", "{\"error\":{\"code\":\"journal_failed\",\"message\":\"disk full\"}}");
    assert_int_equal(run_against(refusal, "--admin $ purge x"), 4);
    assert_string_equal(output, "selvedgectl: refused: urls[0]: is not [400]\n");
    assert_int_equal(run_against(refusal, "--admin $ --json purge x"), 4);
    assert_error_code("bad_url");
    assert_int_equal(run_against(failure, "--admin $ purge x"), 1);
    assert_string_equal(output, "selvedgectl: failed: disk full [500]\n");
    assert_int_equal(run_against(failure, "--admin $ --json purge x"), 1);
    assert_error_code("journal_failed");
}

static void what_is_no_node_is_a_failure(void **state)
{
    (void)state;
    static const char *const scripts[] = {
        ANSWER("200 OK", "<html>"),
        ANSWER("200 OK", "{}"),
        ANSWER("404 Not Found", "nothing"),
        ANSWER("200 OK", ""),
        "HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/\r\nConnection: close\r\n\r\n",
    };
    for (size_t i = 0; i < sizeof scripts / sizeof *scripts; i++) {
        assert_int_equal(run_against(scripts[i], "--admin $ --json purge http://e/"), 1);
        assert_error_code("bad_answer");
        assert_int_equal(run_against(scripts[i], "--admin $ status"), 1);
    }
}

static void nobody_there_is_three(void **state)
{
    (void)state;
    listen_anywhere();
    close(node.listener);
    assert_int_equal(run("--admin $ purge http://e/"), 3);
    assert_output("cannot be reached");
    assert_int_equal(run("--admin $ --json status"), 3);
    assert_error_code("unreachable");
}

static void sent_but_not_acknowledged_is_five(void **state)
{
    (void)state;
    assert_int_equal(run_against(NULL, "--admin $ --timeout 0.3 --json purge http://e/"), 5);
    assert_error_code("not_acknowledged");
    assert_int_equal(run_against("", "--admin $ --json purge http://e/"), 5);
    assert_error_code("not_acknowledged");
    assert_int_equal(
        run_against("HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n{", "--admin $ --json purge http://e/"), 5);
    assert_error_code("not_acknowledged");
    assert_int_equal(
        run_against(ANSWER("202 Accepted", "{\"id\":\"a\",\"sequence\":1,\"applied_here\":true}"),
                    "--admin $ --json purge http://e/"),
        5);
    assert_error_code("not_acknowledged");
    assert_int_equal(run_against(ANSWER("200 OK", "{\"id\":\"a\",\"sequence\":1,\"applied_here\":false}"),
                                 "--admin $ purge http://e/"),
                     5);
    /* A status changes nothing, so a silent node is only a node out of reach. */
    assert_int_equal(run_against(NULL, "--admin $ --timeout 0.3 status"), 3);
}

static void a_wrong_command_line_is_two(void **state)
{
    (void)state;
    static const char *const lines[] = {
        "",
        "frob",
        "purge",
        "purge --soft",
        "purge --everything http://e/",
        "purge --site a --everything",
        "purge --site a http://e/",
        "status http://e/",
        "purge --tag a http://e/",
        "purge --tag a --everything",
        "trace http://e/ --tag a",
        "status --tag a",
        "reload --tag a",
        "status --soft",
        "--nope status",
        "-x status",
        "-xy status",
        "--admin",
        "status --timeout 0",
        "status --timeout x",
        "status --timeout nan",
        "status --timeout 3601",
        "--json=1 status",
    };
    for (size_t i = 0; i < sizeof lines / sizeof *lines; i++) {
        char line[100];
        assert_int_equal(run(lines[i]), 2);
        assert_output("selvedgectl: ");
        assert_output("see selvedgectl --help");
        if (strstr(lines[i], "--json") == NULL && strstr(lines[i], "--admin") == NULL) {
            snprintf(line, sizeof line, "%s --json", lines[i]);
            assert_int_equal(run(line), 2);
            assert_error_code("usage");
        }
    }
    assert_int_equal(run("--json purge --reason \xff http://e/"), 2);
    assert_error_code("usage");
    assert_int_equal(run("--json purge --tag"), 2);
    assert_error_code("usage");
    assert_int_equal(run("--json purge --tag \xff"), 2);
    assert_error_code("usage");
    static const struct {
        const char *line, *says;
    } rows[] = {{"purge", "nothing is named to be purged: give URLs, --tag TAG, --site NAME or --everything"},
                {"purge --tag a http://e/",
                 "URLs, --tag, --site and --everything do not go together: give one of the four (and "
                 "--site beside --tag where a node has several)"},
                {"trace http://e/ --tag a", "trace takes one URL and none of the options of purge"},
                {"status --tag a", "status and reload take neither URLs nor the options of purge"}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        assert_int_equal(run(rows[i].line), 2);
        assert_output(rows[i].says);
    }
}

static void help_and_version(void **state)
{
    (void)state;
    assert_int_equal(run("--help"), 0);
    assert_output("Exit codes:");
    assert_int_equal(run("-h"), 0);
    assert_int_equal(run("--version"), 0);
    assert_string_equal(output, "selvedgectl " SELVEDGE_VERSION "\n");
}

static void tokens_come_from_option_then_variable_then_named_file(void **state)
{
    (void)state;
    char path[] = "/tmp/selvedge-token-XXXXXX", line[200];
    int fd = mkstemp(path);
    assert_int_equal(write(fd, "from-file\n", 10), 10);
    close(fd);
    snprintf(line, sizeof line, "--admin $ --token-file %s purge http://e/", path);
    assert_int_equal(run_against(PURGED, line), 0);
    assert_non_null(strstr(node.request, "Bearer from-file\r\n"));
    setenv("SELVEDGE_TOKEN_FILE", path, 1);
    assert_int_equal(run_against(PURGED, "--admin $ purge http://e/"), 0);
    assert_non_null(strstr(node.request, "Bearer t0ken\r\n"));
    unsetenv("SELVEDGE_TOKEN");
    assert_int_equal(run_against(PURGED, "--admin $ purge http://e/"), 0);
    assert_non_null(strstr(node.request, "Bearer from-file\r\n"));
    unlink(path);
    assert_int_equal(run("--json purge http://e/"), 2);
    assert_error_code("bad_token");
    assert_output("No such file or directory");
    unsetenv("SELVEDGE_TOKEN_FILE");
    assert_int_equal(run("--json purge http://e/"), 2);
    assert_error_code("no_token");
    setenv("SELVEDGE_TOKEN", "two words", 1);
    assert_int_equal(run("--json purge http://e/"), 2);
    assert_error_code("bad_token");
    setenv("SELVEDGE_TOKEN", "t0ken", 1);
}

static void the_node_may_be_named_by_the_environment(void **state)
{
    (void)state;
    listen_anywhere();
    node.script = PURGED;
    setenv("SELVEDGE_ADMIN", node.url, 1);
    setenv("http_proxy", "http://127.0.0.1:1", 1);
    assert_int_equal(pthread_create(&node.thread, NULL, serve, NULL), 0);
    assert_int_equal(run("purge http://e/"), 0);
    assert_int_equal(pthread_join(node.thread, NULL), 0);
    close(node.listener);
    unsetenv("SELVEDGE_ADMIN");
    unsetenv("http_proxy");
}

/* The program stands two directories above this test; SELVEDGECTL names another. */
static int find_program(void **state)
{
    (void)state;
    const char *given = getenv("SELVEDGECTL");
    if (given != NULL) {
        snprintf(program, sizeof program, "%s", given);
    } else {
        ssize_t length = readlink("/proc/self/exe", program, sizeof program - 32);
        if (length < 0)
            return -1;
        program[length] = 0;
        for (int i = 0; i < 3; i++)
            *strrchr(program, '/') = 0;
        strcat(program, "/selvedgectl");
    }
    setenv("SELVEDGE_TOKEN", "t0ken", 1);
    return access(program, X_OK);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(purging_urls),
        cmocka_unit_test(purging_tags),
        cmocka_unit_test(a_thousand_tags_and_no_more),
        cmocka_unit_test(a_trace_shows_tags),
        cmocka_unit_test(showing_the_status),
        cmocka_unit_test(showing_the_status_of_disks),
        cmocka_unit_test(a_refusal_is_four_and_a_failure_one),
        cmocka_unit_test(what_is_no_node_is_a_failure),
        cmocka_unit_test(nobody_there_is_three),
        cmocka_unit_test(sent_but_not_acknowledged_is_five),
        cmocka_unit_test(a_wrong_command_line_is_two),
        cmocka_unit_test(help_and_version),
        cmocka_unit_test(tokens_come_from_option_then_variable_then_named_file),
        cmocka_unit_test(the_node_may_be_named_by_the_environment),
    };
    return cmocka_run_group_tests(tests, find_program, NULL);
}
