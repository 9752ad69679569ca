/* What goes upstream of what a client said. */
#include "tests/unit/cache_world.h"

#include "origin_pull/fill_upstream.h"

/* All that was added, as lines. */
static char sent[4096];

static void note(void *context, text_t name, text_t value)
{
    (void)context;
    size_t length = strlen(sent);
    snprintf(sent + length, sizeof sent - length, "%.*s: %.*s\n", (int)name.length, name.data,
             (int)value.length, value.data);
}

static bool has_line(const char *line)
{
    size_t length = strlen(line);
    for (const char *at = sent; at != NULL && *at != '\0'; at = strchr(at, '\n') + 1)
        if (strncasecmp(at, line, length) == 0 && at[length] == '\n')
            return true;
    return false;
}

static void send_request(const char *method, bool all, http_fields_t fields)
{
    upstream_request_t request = {.method = text_of(method),
                                  .host = TEXT("origin.test"),
                                  .forwarded_https = true,
                                  .forward_all = all,
                                  .cdn_loop = TEXT("selvedge; node=1"),
                                  .fields = fields};
    sent[0] = '\0';
    upstream_fields(&request, note, NULL);
}

/* Only where the origin's answer to it is listened to. */
static void a_surrogate_says_what_it_is(void **state)
{
    (void)state;
    upstream_request_t request = {
        .method = TEXT("GET"), .host = TEXT("a"), .cdn_loop = TEXT("b"), .tells_surrogate = true};
    sent[0] = '\0';
    upstream_fields(&request, note, NULL);
    assert_true(has_line("surrogate-capability: selvedge=\"Surrogate/1.0\""));
    send_request("GET", true, (http_fields_t){NULL, 0});
    assert_null(strstr(sent, "surrogate"));
}

/* For each: with GET and with POST, by the allow-list and with everything. */
static void which_fields_go(void **state)
{
    (void)state;
    static const struct {
        const char *line;
        bool get, post, get_all, post_all;
    } rows[] = {
        {"accept: text/html", true, true, true, true},
        {"accept-language: en", true, true, true, true},
        {"user-agent: x", true, true, true, true},
        {"origin: https://a", true, true, true, true},
        {"authorization: Basic x", true, true, true, true},
        {"x-anything: 1", false, false, true, true},
        {"referer: https://a", false, false, true, true},
        {"content-type: text/plain", false, true, true, true},
        {"if-none-match: \"a\"", false, true, false, true},
        {"if-match: \"a\"", false, true, false, true},
        {"if-modified-since: x", false, true, false, true},
        {"range: bytes=0-1", false, false, false, true},
        {"cookie: a=b", false, false, false, false},
        {"host: evil.test", false, false, false, false},
        {"surrogate-capability: a=b", false, false, false, false},
        {"accept-encoding: br", false, false, false, false},
        {"content-length: 5", false, false, false, false},
        {"expect: 100-continue", false, false, false, false},
        {"x-forwarded-for: 1.2.3.4", false, false, false, false},
        {"forwarded: for=1.2.3.4", false, false, false, false},
        {"x-forwarded-host: evil", false, false, false, false},
        {"connection: keep-alive", false, false, false, false},
        {"transfer-encoding: chunked", false, false, false, false},
        {"te: trailers", false, false, false, false},
        {"upgrade: h2c", false, false, false, false},
        {"proxy-authorization: x", false, false, false, false},
        {"x-hop: 1", false, false, false, false}, /* the Connection below names it */
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        http_field_t list[8];
        http_fields_t fields = fields_of(list, LINES("connection: X-Hop, close", rows[i].line));
        send_request("GET", false, fields);
        assert_int_equal(has_line(rows[i].line), rows[i].get);
        send_request("POST", false, fields);
        assert_int_equal(has_line(rows[i].line), rows[i].post);
        send_request("GET", true, fields);
        assert_int_equal(has_line(rows[i].line), rows[i].get_all);
        send_request("POST", true, fields);
        assert_int_equal(has_line(rows[i].line), rows[i].post_all);
    }
}

static void what_the_node_says_itself(void **state)
{
    (void)state;
    http_field_t list[8], conditions[1] = {{TEXT("if-none-match"), TEXT("\"a\"")}};
    upstream_request_t request = {.method = TEXT("GET"),
                                  .host = TEXT("origin.test"),
                                  .cdn_loop = TEXT("selvedge; node=1"),
                                  .fields = fields_of(list, LINES("if-none-match: \"client\"", "via: 1.1 a")),
                                  .conditions = {conditions, 1}};
    sent[0] = '\0';
    upstream_fields(&request, note, NULL);
    assert_true(has_line("Host: origin.test"));
    assert_true(has_line("if-none-match: \"a\""));
    assert_false(has_line("if-none-match: \"client\""));
    assert_true(has_line("Accept-Encoding: identity"));
    assert_true(has_line("X-Forwarded-Proto: http"));
    assert_true(has_line("via: 1.1 selvedge"));
    assert_true(has_line("cdn-loop: selvedge; node=1"));
    send_request("GET", true, request.fields);
    assert_true(has_line("X-Forwarded-Proto: https"));
    assert_true(has_line("via: 1.1 a, 1.1 selvedge"));
}

/* RFC 9111 section 4.1: what selects a variant is what upstream was told; other methods are stored for
 * nobody. */
static void lists_go_in_one_form(void **state)
{
    (void)state;
    http_field_t list[8];
    http_fields_t fields = fields_of(list, LINES("accept-language: fr;q=0.50,, EN-gb", "accept: a/b , c/d",
                                                 "user-agent: A (b,c , d)", "accept-language: de"));
    for (int all = 0; all < 2; all++) {
        send_request("GET", all == 1, fields);
        assert_true(has_line("accept-language: de,en-GB,fr;q=0.5"));
        assert_true(has_line("accept: a/b,c/d"));
        assert_true(has_line("user-agent: A (b,c , d)"));
        const char *first = strstr(sent, "accept-language");
        assert_null(strstr(first + 1, "accept-language"));
        send_request("POST", all == 1, fields);
        assert_true(has_line("accept-language: fr;q=0.50,, EN-gb"));
        assert_true(has_line("accept-language: de"));
        assert_true(has_line("accept: a/b , c/d"));
    }
}

/* What others said in CDN-Loop goes on, up to a bound, and ours is always there. */
static void loops(void **state)
{
    (void)state;
    static const size_t lengths[] = {0, 1, 100, 509, 510, 511, 512, 2000};
    for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++) {
        char value[2001];
        memset(value, 'c', lengths[i]);
        http_field_t fields[2] = {{TEXT("cdn-loop"), {value, lengths[i]}}, {TEXT("cdn-loop"), TEXT("other")}};
        send_request("GET", false, (http_fields_t){fields, 2});
        const char *line = strstr(sent, "cdn-loop: ");
        assert_non_null(line);
        assert_non_null(strstr(line, "selvedge; node=1\n"));
        assert_int_equal(strstr(line, "other, ") != NULL, lengths[i] + 2 + 7 <= 512 || lengths[i] > 510);
    }
    static const struct {
        const char *value;
        bool loop;
    } rows[] = {
        {"selvedge; node=1", true},
        {"a, selvedge; node=1, b", true},
        {"selvedge; node=2", false},
        {"selvedge", false},
        {"", false},
        {"a,,selvedge; node=1", true},
        {"\"selvedge; node=1\"", false},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        http_field_t fields[3] = {{TEXT("via"), TEXT("selvedge; node=1")},
                                  {TEXT("cdn-loop"), TEXT("first")},
                                  {TEXT("cdn-loop"), text_of(rows[i].value)}};
        assert_int_equal(upstream_is_loop((http_fields_t){fields, 3}, TEXT("selvedge; node=1")),
                         rows[i].loop);
    }
}

/* A client that names the field in Connection does not get rid of it. */
static void the_clients_address_is_the_nodes_to_say(void **state)
{
    (void)state;
    const http_field_t fields[] = {{TEXT("connection"), TEXT("x-forwarded-for")},
                                   {TEXT("forwarded"), TEXT("for=192.0.2.66")},
                                   {TEXT("x-forwarded-for"), TEXT("203.0.113.7")}};
    for (int all = 0; all < 2; all++) {
        upstream_request_t request = {.method = TEXT("GET"),
                                      .host = TEXT("origin.test"),
                                      .forward_all = all == 1,
                                      .client_field = TEXT("x-forwarded-for"),
                                      .cdn_loop = TEXT("selvedge; node=1"),
                                      .fields = {fields, 3}};
        sent[0] = '\0';
        upstream_fields(&request, note, NULL);
        assert_true(has_line("X-Forwarded-For: 203.0.113.7"));
        assert_null(strstr(sent, "192.0.2.66"));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(which_fields_go),
        cmocka_unit_test(a_surrogate_says_what_it_is),
        cmocka_unit_test(what_the_node_says_itself),
        cmocka_unit_test(lists_go_in_one_form),
        cmocka_unit_test(loops),
        cmocka_unit_test(the_clients_address_is_the_nodes_to_say),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
