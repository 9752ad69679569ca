/* The admin API: what a request is answered with, and which rules reach the publisher. The publisher here is
 * the test. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <jansson.h>
#include <sys/stat.h>
#include <unistd.h>

#include "edge/observe/counters.h"
#include "purge/api.h"
#include "purge/api_trace.h"
#include "purge/token.h"

/* The publisher's and the ledger's part, played here. */
static publisher_purge_t *submitted;

void publisher_submit(publisher_t *publisher, publisher_purge_t *purge)
{
    (void)publisher;
    assert_null(submitted);
    submitted = purge;
}

static int64_t clock_now_ms = 100000;

static int64_t now_ms(void)
{
    return clock_now_ms;
}

/* What was answered. */
static struct {
    int count;
    api_answer_t answer;
    json_t *json;
} got;

static void keep(void *context, api_answer_t *answer)
{
    assert_ptr_equal(context, &got);
    got.count++;
    got.answer = *answer;
    assert_int_equal(strlen(answer->body), answer->body_length);
    got.json = json_loadb(answer->body, answer->body_length, 0, NULL);
}

static api_t *api;
static settings_t settings;
static sites_t *sites;
static ledger_t *ledger;

static void *configuration(void *context)
{
    assert_ptr_equal(context, &settings);
    return json_pack("{s:s}", "loaded", "today");
}

/* Whoever asks for a reload waits here. */
static api_reloaded_t *reloaded;
static void *asker;

static void reload(void *context, api_reloaded_t *to_call, void *asked)
{
    assert_ptr_equal(context, &settings);
    reloaded = to_call;
    asker = asked;
}

static int start(void **state)
{
    (void)state;
    settings.sites[0].name = TEXT("default");
    settings.site_count = 1;
    sites = sites_new(&settings);
    ledger = ledger_new(16, 16);
    ledger_publish(ledger, 4711);
    const api_config_t config = {.ledger = ledger,
                                 .now_ms = now_ms,
                                 .started_ms = 1500,
                                 .node = "edge-1",
                                 .pid = 4242,
                                 .reload = reload,
                                 .configuration = configuration,
                                 .reload_context = &settings};
    api = api_new(&config);
    return 0;
}

static void forget(void)
{
    json_decref(got.json);
    free(got.answer.body);
    memset(&got, 0, sizeof got);
}

static int stop(void **state)
{
    (void)state;
    forget();
    api_free(&api);
    sites_free(&sites);
    ledger_free(&ledger);
    return api == NULL && submitted == NULL ? 0 : -1;
}

/* Sends a request; each text of it in memory of its own that is gone afterwards. */
static text_t own(text_t text)
{
    if (text.data == NULL)
        return text;
    char *copy = malloc(text.length > 0 ? text.length : 1);
    memcpy(copy, text.data, text.length);
    return (text_t){copy, text.length};
}

static void send_all(text_t method, text_t path, text_t authorization, text_t type, text_t body)
{
    forget();
    api_request_t request = {.method = own(method),
                             .path = own(path),
                             .authorization = own(authorization),
                             .content_type = own(type),
                             .body = own(body)};
    api_rules_t rules = {TEXT("right-token"), sites};
    api_handle(api, &rules, &request, keep, &got);
    text_t *texts[] = {&request.method, &request.path, &request.authorization, &request.content_type,
                       &request.body};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        free((void *)(uintptr_t)texts[i]->data);
}

static void post(text_t body)
{
    send_all(TEXT("POST"), TEXT("/v1/purge"), TEXT("Bearer right-token"), TEXT("application/json"), body);
}

static const char *member(const char *name)
{
    return json_string_value(json_object_get(json_object_get(got.json, "error"), name));
}

static void assert_refused(int status, const char *code, const char *field)
{
    assert_int_equal(got.count, 1);
    assert_null(submitted);
    if (got.answer.status != status)
        fail_msg("status %d: %s", got.answer.status, got.answer.body);
    assert_string_equal(got.answer.content_type, "application/json");
    assert_string_equal(member("code"), code);
    assert_true(strlen(member("message")) > 10);
    if (field == NULL)
        assert_null(member("field"));
    else
        assert_string_equal(member("field"), field);
}

static void assert_rule(size_t index, rule_kind_t kind, bool soft, const char *target)
{
    assert_non_null(submitted);
    assert_true(index < submitted->rule_count);
    const ledger_rule_t *rule = &submitted->rules[index];
    assert_int_equal(rule->kind, kind);
    assert_int_equal(rule->soft, soft);
    assert_true(kind == RULE_EVERYTHING ? rule->site.length == 0 : text_equal(rule->site, TEXT("default")));
    if (!text_equal(rule->target, text_of(target)))
        fail_msg("target %.*s", (int)rule->target.length, rule->target.data);
}

/* The publisher's word. */
static void finish(uint64_t sequence, const char *error)
{
    assert_non_null(submitted);
    assert_int_equal(got.count, 0);
    publisher_purge_t *purge = submitted;
    submitted = NULL;
    purge->done(purge, sequence, error);
    assert_int_equal(got.count, 1);
}

static void urls_become_rules_in_the_form_that_requests_have(void **state)
{
    (void)state;
    post(TEXT("{\"urls\":[\"https://example.com/%7Ea/./b/../c.css?x=%7e\",\"http://other:8080\",\"http://"
              "[::1]/a|b\","
              "\"http://e?q\"]}"));
    assert_int_equal(submitted->rule_count, 4);
    assert_rule(0, RULE_URL, false, "/~a/c.css?x=%7e");
    assert_rule(1, RULE_URL, false, "/");
    assert_rule(2, RULE_URL, false, "/a%7Cb");
    assert_rule(3, RULE_URL, false, "/?q");
    finish(12, NULL);
    assert_int_equal(got.answer.status, 200);
    assert_int_equal(json_integer_value(json_object_get(got.json, "sequence")), 12);
    assert_true(json_is_true(json_object_get(got.json, "applied_here")));
    assert_int_equal(json_object_size(got.json), 3);
    assert_int_equal(strlen(json_string_value(json_object_get(got.json, "id"))), 32);
}

static void assert_tag(size_t index, const char *site, bool soft, const char *tag)
{
    assert_non_null(submitted);
    assert_true(index < submitted->rule_count);
    const ledger_rule_t *rule = &submitted->rules[index];
    assert_int_equal(rule->kind, RULE_TAG);
    assert_int_equal(rule->soft, soft);
    assert_true(text_equal(rule->site, text_of(site)) && text_equal(rule->target, text_of(tag)));
}

/* With tags, `site` says whose they are, and is not purged. */
static void tags_become_rules_of_their_site(void **state)
{
    (void)state;
    post(TEXT("{\"tags\":[\"a\",\"B,{1}\",\"\xc3\xbc\",\"a\"]}"));
    assert_int_equal(submitted->rule_count, 6);
    assert_tag(0, "default", false, "a");
    assert_tag(1, "default", false, "B,{1}"); /* of a path; in a field they would be two */
    assert_tag(2, "default", false, "B");
    assert_tag(3, "default", false, "{1}");
    assert_tag(4, "default", false, "\xc3\xbc");
    assert_tag(5, "default", false, "a");
    finish(12, NULL);
    post(TEXT("{\"tags\":[\",,a,\",\",\"]}"));
    assert_int_equal(submitted->rule_count, 3);
    assert_tag(0, "default", false, ",,a,");
    assert_tag(1, "default", false, "a");
    assert_tag(2, "default", false, ",");
    finish(12, NULL);
    post(TEXT("{\"tags\":[\"a\"],\"site\":\"default\",\"soft\":true}"));
    assert_int_equal(submitted->rule_count, 1);
    assert_tag(0, "default", true, "a");
    finish(13, NULL);
    post(TEXT("{\"tags\":[\"a\"],\"urls\":[\"http://e/a\"],\"everything\":true,\"site\":\"default\"}"));
    assert_int_equal(submitted->rule_count, 3);
    assert_rule(0, RULE_URL, false, "/a");
    assert_tag(1, "default", false, "a");
    assert_rule(2, RULE_EVERYTHING, false, "");
    finish(14, NULL);
    post(TEXT("{\"tags\":[],\"urls\":[\"http://e/a\"],\"site\":\"default\"}"));
    assert_int_equal(submitted->rule_count, 1);
    assert_rule(0, RULE_URL, false, "/a");
    finish(15, NULL);
}

static void of_several_sites_one_is_named_with_tags(void **state)
{
    (void)state;
    settings.sites[1].name = TEXT("shop");
    settings.site_count = 2;
    sites_free(&sites);
    sites = sites_new(&settings);
    post(TEXT("{\"tags\":[\"a\"]}"));
    assert_refused(400, "bad_value", "site");
    assert_string_equal(member("message"),
                        "tags are those of one site: say of which, as in \"site\": \"NAME\"; "
                        "there is default, shop");
    post(TEXT("{\"tags\":[\"a\"],\"site\":\"sohp\"}"));
    assert_refused(400, "unknown_site", "site");
    post(TEXT("{\"tags\":[\"a\",\"b\"],\"site\":\"shop\"}"));
    assert_int_equal(submitted->rule_count, 2);
    assert_tag(0, "shop", false, "a");
    assert_tag(1, "shop", false, "b");
    finish(1, NULL);
    post(TEXT("{\"tags\":[],\"everything\":true}")); /* needs none where there is no tag */
    assert_int_equal(submitted->rule_count, 1);
    finish(2, NULL);
}

/* A text of so many bytes between what is in front of it and behind. */
static void post_long(const char *front, size_t length, const char *behind)
{
    size_t size = strlen(front) + length + strlen(behind) + 1;
    char *body = malloc(size), *end = stpcpy(body, front);
    memset(end, 'x', length);
    strcpy(end + length, behind);
    post(text_of(body));
    free(body);
}

static void what_is_no_tag_is_refused(void **state)
{
    (void)state;
    static const char *const tags[] = {"\"\"",        "\"a b\"",      "\" a\"", "\"a\\tb\"", "\"a\\n\"",
                                       "\"\\u0000\"", "\"a\\u007f\"", "7",      "null",      "[\"a\"]"};
    for (size_t i = 0; i < sizeof tags / sizeof *tags; i++) {
        char body[64];
        snprintf(body, sizeof body, "{\"tags\":[\"a\",%s]}", tags[i]);
        post(text_of(body));
        assert_refused(400, "bad_value", "tags[1]");
        assert_string_equal(member("message"), "tags[1] must be a tag: 1 to 1024 bytes without spaces");
    }
    post_long("{\"tags\":[\"", 1024, "\"]}");
    assert_int_equal(submitted->rules[0].target.length, 1024);
    finish(1, NULL);
    post_long("{\"tags\":[\"", 1025, "\"]}");
    assert_refused(400, "bad_value", "tags[0]");
}

static void a_thousand_tags_and_no_more(void **state)
{
    (void)state;
    for (size_t count = 1000; count <= 1001; count++) {
        char *body = malloc(count * 8 + 32), *end = body + sprintf(body, "{\"tags\":[");
        for (size_t i = 0; i < count; i++)
            end += sprintf(end, "%s\"t%zu\"", i > 0 ? "," : "", i);
        strcpy(end, "]}");
        post(text_of(body));
        free(body);
        if (count > 1000)
            break;
        assert_int_equal(submitted->rule_count, 1000);
        assert_tag(999, "default", false, "t999");
        finish(1000, NULL);
    }
    assert_refused(400, "bad_value", "tags");
    assert_string_equal(member("message"), "1001 tags are too many for one purge; at most 1000 are allowed");
}

static void every_purge_has_its_own_id(void **state)
{
    (void)state;
    post(TEXT("{\"everything\":true}"));
    finish(1, NULL);
    char first[33];
    strcpy(first, json_string_value(json_object_get(got.json, "id")));
    post(TEXT("{\"everything\":true}"));
    finish(2, NULL);
    assert_string_not_equal(first, json_string_value(json_object_get(got.json, "id")));
}

static void all_kinds_go_together_hard_or_soft(void **state)
{
    (void)state;
    post(TEXT("{\"urls\":[\"http://e/"
              "a\"],\"site\":\"default\",\"everything\":true,\"soft\":true,\"reason\":\"release 7\"}"));
    assert_int_equal(submitted->rule_count, 3);
    assert_rule(0, RULE_URL, true, "/a");
    assert_rule(1, RULE_SITE, true, "");
    assert_rule(2, RULE_EVERYTHING, true, "");
    finish(1, NULL);
    post(TEXT("{\"site\":\"default\",\"everything\":false,\"soft\":false,\"urls\":[]}"));
    assert_int_equal(submitted->rule_count, 1);
    assert_rule(0, RULE_SITE, false, "");
    finish(2, NULL);
}

static uint64_t purges(const char *kind, const char *mode)
{
    size_t length;
    char *page = counters_page(&length), line[120];
    snprintf(line, sizeof line, "selvedge_purges_total{kind=\"%s\",mode=\"%s\"} ", kind, mode);
    uint64_t value = strtoull(strstr(page, line) + strlen(line), NULL, 10);
    free(page);
    return value;
}

static void rules_are_counted_when_they_are_in_force(void **state)
{
    (void)state;
    uint64_t urls = purges("url", "hard"), site = purges("site", "soft"),
             everything = purges("everything", "hard"), tags = purges("tag", "soft");
    post(TEXT("{\"urls\":[\"http://e/a\",\"http://e/b\"]}"));
    assert_int_equal(purges("url", "hard"), urls);
    finish(1, NULL);
    assert_int_equal(purges("url", "hard"), urls + 2);
    post(TEXT("{\"site\":\"default\",\"soft\":true}"));
    finish(2, NULL);
    assert_int_equal(purges("site", "soft"), site + 1);
    post(TEXT("{\"tags\":[\"a\",\"b\"],\"site\":\"default\",\"soft\":true}"));
    finish(3, NULL);
    assert_int_equal(purges("tag", "soft"), tags + 2);
    assert_int_equal(purges("site", "soft"), site + 1);
    post(TEXT("{\"everything\":true}"));
    finish(0, "the journal could not be synced: Input/output error");
    assert_int_equal(purges("everything", "hard"), everything);
}

static void a_journal_that_fails_acknowledges_nothing(void **state)
{
    (void)state;
    post(TEXT("{\"everything\":true}"));
    finish(0, "the journal could not be synced: Input/output error");
    assert_refused(500, "journal_failed", NULL);
    assert_non_null(strstr(member("message"), "Input/output error"));
    assert_null(json_object_get(got.json, "sequence"));
}

static void what_is_not_json_says_where(void **state)
{
    (void)state;
    static const char *const bodies[] = {"",
                                         " ",
                                         "{",
                                         "{\"urls\":",
                                         "{\"everything\":true}x",
                                         "{\"soft\":true,\"soft\":false}",
                                         "nonsense",
                                         "{\"site\":\"\xff\"}",
                                         "{\"a\\u0000b\":1}",
                                         "{'urls':[]}",
                                         "{\"site\":\"\xc3\xbc\xc3\xbc\xc3\xbc\xc3\xbc\xc3\xbc"};
    for (size_t i = 0; i < sizeof bodies / sizeof *bodies; i++) {
        post(text_of(bodies[i]));
        assert_refused(400, "bad_json", NULL);
    }
    post(TEXT("{\n\"urls\":]"));
    assert_non_null(strstr(member("message"), "line 2"));
    static const char *const others[] = {"[]", "[{\"everything\":true}]", "\"everything\"", "null", "1"};
    for (size_t i = 0; i < sizeof others / sizeof *others; i++) {
        post(text_of(others[i]));
        assert_refused(400, "bad_json", NULL);
    }
    static char deep[100000];
    memset(deep, '[', sizeof deep);
    post((text_t){deep, sizeof deep});
    assert_refused(400, "bad_json", NULL);
}

static void fields_that_are_not_known_are_refused(void **state)
{
    (void)state;
    post(TEXT("{\"everything\":true,\"sotf\":true}"));
    assert_refused(400, "unknown_field", "sotf");
    assert_string_equal(member("message"),
                        "'sotf' is not a field of a purge; the fields are urls, tags, site, "
                        "everything, soft and reason");
    post(TEXT("{\"URLs\":[]}"));
    assert_refused(400, "unknown_field", "URLs");
    post(TEXT("{\"everything\":true,\"gr\xc3\xbc\xc3\x9f\":1}"));
    assert_refused(400, "unknown_field", "gr\xc3\xbc\xc3\x9f");
}

static void values_of_a_wrong_kind_are_refused(void **state)
{
    (void)state;
    static const char *const bodies[][2] = {
        {"{\"urls\":\"http://e/\"}", "urls"},
        {"{\"urls\":null}", "urls"},
        {"{\"urls\":{}}", "urls"},
        {"{\"tags\":\"a\"}", "tags"},
        {"{\"tags\":null}", "tags"},
        {"{\"tags\":{}}", "tags"},
        {"{\"site\":1}", "site"},
        {"{\"site\":null}", "site"},
        {"{\"everything\":1}", "everything"},
        {"{\"everything\":\"true\"}", "everything"},
        {"{\"everything\":true,\"soft\":\"no\"}", "soft"},
        {"{\"everything\":true,\"soft\":null}", "soft"},
        {"{\"everything\":true,\"reason\":7}", "reason"},
        {"{\"urls\":[\"http://e/\",7]}", "urls[1]"},
        {"{\"urls\":[null]}", "urls[0]"},
        {"{\"urls\":[[\"http://e/\"]]}", "urls[0]"},
    };
    for (size_t i = 0; i < sizeof bodies / sizeof *bodies; i++) {
        post(text_of(bodies[i][0]));
        assert_refused(400, "bad_value", bodies[i][1]);
    }
    post(TEXT("{\"tags\":\"a\"}"));
    assert_string_equal(member("message"), "tags must be an array of tags, such as [\"product-7\"]");
}

static void urls_that_no_request_could_have_are_refused(void **state)
{
    (void)state;
    static const char *const urls[] = {"/a.css",           "a.css",           "",
                                       "ftp://e/a",        "http:///a",       "http://e/%zz",
                                       "http://e/a%2fb",   "http://e/../a",   "http://e/%2e%2e/a",
                                       "http://e/a#b",     "http://u:p@e/",   "http://e/a b",
                                       "http://e/%00",     "http://e/a\\\\b", "http://e/\\u0000",
                                       "http://e/\xc3\xbc"};
    for (size_t i = 0; i < sizeof urls / sizeof *urls; i++) {
        char body[200];
        snprintf(body, sizeof body, "{\"urls\":[\"http://e/fine\",\"%s\"]}", urls[i]);
        post(text_of(body));
        assert_refused(400, "bad_url", "urls[1]");
        assert_non_null(strstr(member("message"), "urls[1]"));
    }
}

static void the_site_must_be_known(void **state)
{
    (void)state;
    post(TEXT("{\"site\":\"shop\"}"));
    assert_refused(400, "unknown_site", "site");
    assert_non_null(strstr(member("message"), "there is default"));
    post(TEXT("{\"site\":\"default\\u0000\"}"));
    assert_refused(400, "unknown_site", "site");
    post(TEXT("{\"site\":\"\"}"));
    assert_refused(400, "unknown_site", "site");
}

static void something_must_be_named(void **state)
{
    (void)state;
    static const char *const bodies[] = {
        "{}", "{\"urls\":[]}", "{\"everything\":false}", "{\"soft\":true,\"reason\":\"x\"}", "{\"tags\":[]}",
        /* A list that came out empty does not become a purge of all the site. */
        "{\"tags\":[],\"site\":\"default\"}"};
    for (size_t i = 0; i < sizeof bodies / sizeof *bodies; i++) {
        post(text_of(bodies[i]));
        assert_refused(400, "nothing_to_purge", NULL);
        assert_string_equal(member("message"),
                            "nothing is named that could be purged; give urls, or tags, or site, "
                            "or everything: true");
    }
}

static char *body_of_urls(size_t count)
{
    char *body = malloc(count * 16 + 32), *end = body + sprintf(body, "{\"urls\":[");
    for (size_t i = 0; i < count; i++)
        end += sprintf(end, "%s\"http://e/%zu\"", i > 0 ? "," : "", i % 1000);
    strcpy(end, "]}");
    return body;
}

static void ten_thousand_urls_and_no_more(void **state)
{
    (void)state;
    char *body = body_of_urls(10000);
    post(text_of(body));
    free(body);
    assert_int_equal(submitted->rule_count, 10000);
    assert_rule(9999, RULE_URL, false, "/999");
    finish(10000, NULL);
    body = body_of_urls(10001);
    post(text_of(body));
    free(body);
    assert_refused(400, "bad_value", "urls");
}

static void a_reason_is_at_most_1024_bytes(void **state)
{
    (void)state;
    char body[1200], reason[1026];
    memset(reason, 'r', sizeof reason);
    reason[1025] = 0;
    snprintf(body, sizeof body, "{\"everything\":true,\"reason\":\"%s\"}", reason);
    post(text_of(body));
    assert_refused(400, "bad_value", "reason");
    reason[1024] = 0;
    snprintf(body, sizeof body, "{\"everything\":true,\"reason\":\"%s\"}", reason);
    post(text_of(body));
    finish(1, NULL);
    assert_int_equal(got.answer.status, 200);
}

static void a_body_is_at_most_a_mebibyte_and_is_json(void **state)
{
    (void)state;
    static char body[API_BODY_MAX + 1];
    memset(body, ' ', sizeof body);
    memcpy(body, "{\"everything\":true}", strlen("{\"everything\":true}"));
    post((text_t){body, sizeof body});
    assert_refused(413, "too_large", NULL);
    post((text_t){body, sizeof body - 1});
    finish(1, NULL);
    assert_int_equal(got.answer.status, 200);
    static const char *const types[] = {"text/plain", "application/x-www-form-urlencoded",
                                        "application/jsonx", "", ";"};
    for (size_t i = 0; i < sizeof types / sizeof *types; i++) {
        send_all(TEXT("POST"), TEXT("/v1/purge"), TEXT("Bearer right-token"), text_of(types[i]),
                 TEXT("{\"everything\":true}"));
        assert_refused(415, "unsupported_media_type", NULL);
    }
    send_all(TEXT("POST"), TEXT("/v1/purge"), TEXT("Bearer right-token"), (text_t){NULL, 0},
             TEXT("{\"everything\":true}"));
    assert_refused(415, "unsupported_media_type", NULL);
    send_all(TEXT("POST"), TEXT("/v1/purge"), TEXT("bearer  right-token"),
             TEXT("Application/JSON ; charset=utf-8"), TEXT("{\"everything\":true}"));
    finish(2, NULL);
    assert_int_equal(got.answer.status, 200);
}

/* --- Traces --- */

/* The query in memory of exactly its size. The target that is asked about; "" for a refusal, kept in `got`.
 */
static const char *traced(text_t query)
{
    static char target[4096];
    api_trace_t trace;
    text_t copy = own(query);
    forget();
    bool read = api_trace_read(copy, sites, &trace, &got.answer);
    free((void *)(uintptr_t)copy.data);
    if (!read) {
        got.count = 1;
        got.json = json_loadb(got.answer.body, got.answer.body_length, 0, NULL);
        assert_null(trace.room);
        return "";
    }
    assert_ptr_equal(trace.site, sites_named(sites, TEXT("default")));
    snprintf(target, sizeof target, "%.*s", (int)trace.target.length, trace.target.data);
    api_trace_free(&trace);
    return target;
}

static void a_trace_asks_about_the_target_of_a_request(void **state)
{
    (void)state;
    assert_string_equal(traced(TEXT("url=http%3A%2F%2Fa%2Fb%3fc%3D1%262")), "/b?c=1&2");
    assert_string_equal(traced(TEXT("url=http://a/b")), "/b");
    assert_string_equal(traced(TEXT("url=https://a")), "/");
    assert_string_equal(traced(TEXT("url=http://a/x/../%2541%7c")), "/A%7C");
    assert_string_equal(traced(TEXT("url=http://a/?url=%2525")), "/?url=%25");
    char query[600] = "url=http://a/", expected[2000] = "/";
    for (int i = 0; i < 500; i++) { /* every byte thrice as long */
        strcat(query, "|");
        strcat(expected, "%7C");
    }
    assert_string_equal(traced(text_of(query)), expected);
}

/* As requests do, and in memory that a sanitizer watches: all bytes of a query may change their place. */
static void urls_lose_what_their_sites_keys_have_not(void **state)
{
    (void)state;
    settings.sites[0].policy.query = (http_query_t){.drop = TEXT("utm_*"), .sort = true};
    post(TEXT("{\"urls\":[\"http://e/a?utm_x=1&b=2\",\"http://e/%7E|?b&utm_x&a\",\"http://e/?utm_y\"]}"));
    assert_rule(0, RULE_URL, false, "/a?b=2");
    assert_rule(1, RULE_URL, false, "/~%7C?a&b");
    assert_rule(2, RULE_URL, false, "/");
    finish(12, NULL);
    assert_string_equal(traced(TEXT("url=http://e/%257e|?b%26utm_x%26a")), "/~%7C?a&b");
    assert_string_equal(traced(TEXT("url=http://e/|?utm_x")), "/%7C");
    settings.sites[0].policy.query = (http_query_t){.sort = false};
}

static void a_trace_of_anything_else_is_refused(void **state)
{
    (void)state;
    static const char *const queries[] = {"",
                                          "url",
                                          "uri=http://a/",
                                          "url=http://a/&x",
                                          "x&url=http://a/",
                                          "URL=http://a/",
                                          "url=http%3",
                                          "url=http://a%",
                                          "url=http://a/%2",
                                          "url=http://a/%zz",
                                          "url=http://a/%2g",
                                          "url=http://a/%g2",
                                          "url=%\x14\x11",
                                          "url=http://a/%2\x11"};
    for (size_t i = 0; i < sizeof queries / sizeof *queries; i++) {
        assert_string_equal(traced(text_of(queries[i])), "");
        assert_refused(400, "bad_value", "url");
    }
    static const char *const urls[] = {"url=",
                                       "url=/a",
                                       "url=ftp://a/",
                                       "url=http://a/%252f",
                                       "url=http://a/../b",
                                       "url=http://a/%00",
                                       "url=http://a/%20",
                                       "url=http://a/%2523%23"};
    for (size_t i = 0; i < sizeof urls / sizeof *urls; i++) {
        assert_string_equal(traced(text_of(urls[i])), "");
        assert_refused(400, "bad_url", "url");
    }
}

static void a_trace_of_a_host_without_a_site_is_refused(void **state)
{
    (void)state;
    sites_t *any = sites;
    static settings_t named;
    named.sites[0].name = TEXT("default");
    named.site_count = named.host_count = 1;
    named.hosts[0] = (settings_host_t){TEXT("www.example"), 0};
    sites = sites_new(&named);
    assert_string_equal(traced(TEXT("url=http://other.example/")), "");
    assert_refused(400, "unknown_site", "url");
    assert_string_equal(traced(TEXT("url=http://WWW.example:81/a")), "/a");
    sites_free(&sites);
    sites = any;
}

static void without_the_token_nothing_is_done(void **state)
{
    (void)state;
    static const char *const missing[] = {"", "Bearer", "Bearer ", "Basic cmlnaHQtdG9rZW4=", "right-token"};
    static const char *const wrong[] = {"Bearer wrong-token", "Bearer right-toke", "Bearer right-token1",
                                        "Bearer right-tokem", "Bearer right-token x"};
    static const char *const paths[][2] = {{"POST", "/v1/purge"}, {"GET", "/v1/status"}};
    for (size_t path = 0; path < 2; path++) {
        text_t method = text_of(paths[path][0]), target = text_of(paths[path][1]);
        send_all(method, target, (text_t){NULL, 0}, TEXT("application/json"), TEXT("{\"everything\":true}"));
        assert_refused(401, "unauthorized", NULL);
        assert_non_null(got.answer.authenticate);
        for (size_t i = 0; i < sizeof missing / sizeof *missing; i++) {
            send_all(method, target, text_of(missing[i]), TEXT("application/json"),
                     TEXT("{\"everything\":true}"));
            assert_refused(401, "unauthorized", NULL);
        }
        for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
            send_all(method, target, text_of(wrong[i]), TEXT("application/json"),
                     TEXT("{\"everything\":true}"));
            assert_refused(403, "forbidden", NULL);
            assert_null(strstr(got.answer.body, "right-token"));
        }
    }
}

static void a_target_is_purged_by_whoever_shows_the_token(void **state)
{
    (void)state;
    const text_t wrong[] = {{NULL, 0},
                            TEXT(""),
                            TEXT("Bearer "),
                            TEXT("Bearer right-toke"),
                            TEXT("Bearer right-token2"),
                            TEXT("Bearer Right-token"),
                            TEXT("Basic right-token"),
                            TEXT("right-token")};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        forget();
        api_purge_target(api, TEXT("right-token"), wrong[i], TEXT("default"), TEXT("/a?b"), keep, &got);
        assert_refused(403, "forbidden", NULL);
    }
    forget();
    text_t target = own(TEXT("/a?b"));
    api_purge_target(api, TEXT("right-token"), TEXT("bearer right-token"), TEXT("default"), target, keep,
                     &got);
    free((void *)(uintptr_t)target.data);
    assert_int_equal(submitted->rule_count, 1);
    assert_rule(0, RULE_URL, false, "/a?b");
    finish(12, NULL);
    assert_int_equal(got.answer.status, 200);
    assert_int_equal(json_integer_value(json_object_get(got.json, "sequence")), 12);
    forget();
    api_purge_target(api, TEXT("right-token"), TEXT("Bearer right-token"), TEXT("default"), TEXT("/"), keep,
                     &got);
    finish(0, "the disk is full");
    assert_int_equal(got.answer.status, 500);
}

static void other_paths_and_methods_are_refused(void **state)
{
    (void)state;
    static const char *const paths[] = {"/", "", "/v1/purge/", "/v2/purge", "/v1", "/metricsx"};
    for (size_t i = 0; i < sizeof paths / sizeof *paths; i++) {
        send_all(TEXT("GET"), text_of(paths[i]), (text_t){NULL, 0}, (text_t){NULL, 0}, (text_t){NULL, 0});
        assert_refused(404, "not_found", NULL);
    }
    send_all(TEXT("GET"), TEXT("/v1/purge"), TEXT("Bearer right-token"), (text_t){NULL, 0},
             (text_t){NULL, 0});
    assert_refused(405, "method_not_allowed", NULL);
    assert_string_equal(got.answer.allow, "POST");
    send_all(TEXT("\xff\xc3\x01"), TEXT("/metrics"), (text_t){NULL, 0}, (text_t){NULL, 0}, (text_t){NULL, 0});
    assert_refused(405, "method_not_allowed", NULL);
    assert_string_equal(got.answer.allow, "GET, HEAD");
}

static void health_and_metrics_ask_for_no_token(void **state)
{
    (void)state;
    send_all(TEXT("GET"), TEXT("/healthz"), (text_t){NULL, 0}, (text_t){NULL, 0}, (text_t){NULL, 0});
    assert_int_equal(got.answer.status, 200);
    assert_string_equal(got.answer.body, "ok\n");
    send_all(TEXT("GET"), TEXT("/metrics"), (text_t){NULL, 0}, (text_t){NULL, 0}, (text_t){NULL, 0});
    assert_int_equal(got.answer.status, 200);
    assert_string_equal(got.answer.content_type, "text/plain; version=0.0.4; charset=utf-8");
    assert_non_null(strstr(got.answer.body, "\nselvedge_fills 0\n"));
}

static void status_shows_the_gauges(void **state)
{
    (void)state;
    gauge_set(GAUGE_OBJECTS, 3);
    gauge_set(GAUGE_MEMORY_BYTES, 1000);
    gauge_set(GAUGE_MEMORY_LIMIT_BYTES, UINT64_C(1) << 40);
    clock_now_ms = 9500;
    send_all(TEXT("GET"), TEXT("/v1/status"), TEXT("Bearer right-token"), (text_t){NULL, 0},
             (text_t){NULL, 0});
    assert_int_equal(got.answer.status, 200);
    json_t *expected =
        json_pack("{s:s,s:s,s:i,s:i,s:i,s:i,s:i,s:i,s:I,s:n,s:{s:s}}", "node", "edge-1", "version",
                  SELVEDGE_VERSION, "pid", 4242, "serving_pid", (int)getpid(), "uptime_s", 8, "sequence",
                  4711, "objects", 3, "memory_bytes", 1000, "memory_limit_bytes", (json_int_t)1 << 40, "disk",
                  "configuration", "loaded", "today");
    assert_true(json_equal(got.json, expected));
    json_decref(expected);
}

static void status_shows_the_disks(void **state)
{
    (void)state;
    gauge_set(GAUGE_DISK_LIMIT_BYTES, UINT64_C(1) << 40);
    gauge_set(GAUGE_DISK_BYTES, 4096);
    gauge_set(GAUGE_DISK_RECORDS, 5);
    gauge_set(GAUGE_DISK_RECOVERING_SEGMENTS, 6);
    gauge_set(GAUGE_DISK_FAILED_DEVICES, 1);
    send_all(TEXT("GET"), TEXT("/v1/status"), TEXT("Bearer right-token"), (text_t){NULL, 0},
             (text_t){NULL, 0});
    json_t *expected = json_pack("{s:i,s:I,s:i,s:i,s:i}", "bytes", 4096, "limit_bytes", (json_int_t)1 << 40,
                                 "records", 5, "recovering_segments", 6, "failed_devices", 1);
    assert_true(json_equal(json_object_get(got.json, "disk"), expected));
    json_decref(expected);
    gauge_set(GAUGE_DISK_LIMIT_BYTES, 0);
    gauge_set(GAUGE_DISK_FAILED_DEVICES, 0);
}

static void a_reload_is_answered_when_it_is_over(void **state)
{
    (void)state;
    for (int in_force = 0; in_force < 2; in_force++) {
        send_all(TEXT("POST"), TEXT("/v1/reload"), TEXT("Bearer right-token"), (text_t){NULL, 0},
                 (text_t){NULL, 0});
        assert_int_equal(got.count, 0);
        reloaded(asker, in_force, json_pack("{s:b}", "in_force", in_force));
        assert_int_equal(got.answer.status, in_force ? 200 : 422);
        assert_int_equal(json_is_true(json_object_get(got.json, "in_force")), in_force);
    }
    reloaded = NULL;
    send_all(TEXT("POST"), TEXT("/v1/reload"), TEXT("Bearer wrong-token"), (text_t){NULL, 0},
             (text_t){NULL, 0});
    assert_refused(403, "forbidden", NULL);
    assert_null(reloaded);
}

static void assert_token(const char *content, const char *expected)
{
    char path[] = "/tmp/selvedge-token-XXXXXX", token[TOKEN_LENGTH_MAX + 1], error[TOKEN_ERROR_MAX];
    int fd = mkstemp(path);
    assert_true(write(fd, content, strlen(content)) == (ssize_t)strlen(content));
    close(fd);
    bool good = token_read(path, token, error);
    unlink(path);
    assert_int_equal(good, expected != NULL);
    if (good)
        assert_string_equal(token, expected);
    else
        assert_non_null(strstr(error, path));
}

static void token_files_hold_a_token_on_their_first_line(void **state)
{
    (void)state;
    assert_token("abc", "abc");
    assert_token("  abc-._~+/1== \r\nsecond\n", "abc-._~+/1==");
    assert_token("", NULL);
    assert_token("\n\n", NULL);
    assert_token("two words\n", NULL);
    assert_token("=a\n", NULL);
    char content[1100];
    memset(content, 'a', sizeof content);
    content[512] = 0;
    assert_token(content, content);
    content[512] = 'a';
    content[513] = 0;
    assert_token(content, NULL);
    content[513] = 'a';
    content[1099] = 0;
    assert_token(content, NULL);
    char token[TOKEN_LENGTH_MAX + 1], error[TOKEN_ERROR_MAX];
    assert_false(token_read("/nowhere/token", token, error));
    assert_string_equal(error, "/nowhere/token cannot be read: No such file or directory");
    assert_false(token_read("/tmp", token, error));
}

static void a_token_is_made_once_and_is_private(void **state)
{
    (void)state;
    char directory[] = "/tmp/selvedge-token-XXXXXX", path[64], error[TOKEN_ERROR_MAX];
    char first[TOKEN_LENGTH_MAX + 1], second[TOKEN_LENGTH_MAX + 1];
    assert_non_null(mkdtemp(directory));
    snprintf(path, sizeof path, "%s/admin-token", directory);
    assert_true(token_read_or_make(path, first, error));
    assert_int_equal(strlen(first), 64);
    struct stat status;
    assert_int_equal(stat(path, &status), 0);
    assert_int_equal(status.st_mode & 0777, 0600);
    assert_true(token_read_or_make(path, second, error));
    assert_string_equal(first, second);
    unlink(path);
    assert_true(token_read_or_make(path, second, error));
    assert_string_not_equal(first, second);
    unlink(path);
    assert_int_equal(rmdir(directory), 0); /* nothing else was left there */
    assert_false(token_read_or_make(path, second, error));
    assert_non_null(strstr(error, "cannot be written"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(urls_become_rules_in_the_form_that_requests_have, start, stop),
        cmocka_unit_test_setup_teardown(urls_lose_what_their_sites_keys_have_not, start, stop),
        cmocka_unit_test_setup_teardown(tags_become_rules_of_their_site, start, stop),
        cmocka_unit_test_setup_teardown(of_several_sites_one_is_named_with_tags, start, stop),
        cmocka_unit_test_setup_teardown(what_is_no_tag_is_refused, start, stop),
        cmocka_unit_test_setup_teardown(a_thousand_tags_and_no_more, start, stop),
        cmocka_unit_test_setup_teardown(every_purge_has_its_own_id, start, stop),
        cmocka_unit_test_setup_teardown(all_kinds_go_together_hard_or_soft, start, stop),
        cmocka_unit_test_setup_teardown(rules_are_counted_when_they_are_in_force, start, stop),
        cmocka_unit_test_setup_teardown(a_journal_that_fails_acknowledges_nothing, start, stop),
        cmocka_unit_test_setup_teardown(what_is_not_json_says_where, start, stop),
        cmocka_unit_test_setup_teardown(fields_that_are_not_known_are_refused, start, stop),
        cmocka_unit_test_setup_teardown(values_of_a_wrong_kind_are_refused, start, stop),
        cmocka_unit_test_setup_teardown(urls_that_no_request_could_have_are_refused, start, stop),
        cmocka_unit_test_setup_teardown(the_site_must_be_known, start, stop),
        cmocka_unit_test_setup_teardown(something_must_be_named, start, stop),
        cmocka_unit_test_setup_teardown(ten_thousand_urls_and_no_more, start, stop),
        cmocka_unit_test_setup_teardown(a_reason_is_at_most_1024_bytes, start, stop),
        cmocka_unit_test_setup_teardown(a_body_is_at_most_a_mebibyte_and_is_json, start, stop),
        cmocka_unit_test_setup_teardown(a_trace_asks_about_the_target_of_a_request, start, stop),
        cmocka_unit_test_setup_teardown(a_trace_of_anything_else_is_refused, start, stop),
        cmocka_unit_test_setup_teardown(a_trace_of_a_host_without_a_site_is_refused, start, stop),
        cmocka_unit_test_setup_teardown(without_the_token_nothing_is_done, start, stop),
        cmocka_unit_test_setup_teardown(a_target_is_purged_by_whoever_shows_the_token, start, stop),
        cmocka_unit_test_setup_teardown(other_paths_and_methods_are_refused, start, stop),
        cmocka_unit_test_setup_teardown(health_and_metrics_ask_for_no_token, start, stop),
        cmocka_unit_test_setup_teardown(status_shows_the_gauges, start, stop),
        cmocka_unit_test_setup_teardown(status_shows_the_disks, start, stop),
        cmocka_unit_test_setup_teardown(a_reload_is_answered_when_it_is_over, start, stop),
        cmocka_unit_test(token_files_hold_a_token_on_their_first_line),
        cmocka_unit_test(a_token_is_made_once_and_is_private),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
