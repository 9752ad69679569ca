/* What a site changes of the fields of answers, and who may read them: RFC 9110 section 5.3 (a name may have
 * several lines), section 12.5.5 (Vary), and Fetch's CORS protocol. */
#include "http_table.h"

#include "edge/http/cors.h"
#include "edge/http/response_fields.h"

static void changes_what_it_says(void **state)
{
    (void)state;
    static const struct {
        const char *rfc, *set, *add, *remove, *cors, *before, *after;
    } rows[] = {
        {"RFC 9110 5.3: nothing is said", "", "", "", "", "a: 1|b: 2|a: 3", "a: 1|b: 2|a: 3"},
        {"RFC 9110 5.3: set is in place of all lines of the name", "a: 9", "", "", "", "a: 1|b: 2|a: 3",
         "b: 2|a: 9"},
        {"RFC 9110 5.3: it is there where there was none", "c: x: y", "", "", "", "a: 1", "a: 1|c: x: y"},
        {"RFC 9110 5.3: set twice is two lines", "a: 8\na: 9", "", "", "", "a: 1", "a: 8|a: 9"},
        {"RFC 9110 5.3: added is beside", "", "a: 9", "", "", "a: 1", "a: 1|a: 9"},
        {"RFC 9110 5.3: removed are all lines of the name", "", "", "a b", "", "a: 1|b: 2|a: 3|ab: 4",
         "ab: 4"},
        {"RFC 9110 5.3: what the site says stays", "a: 9", "b: 8", "a b", "", "a: 1|b: 2", "a: 9|b: 8"},
        {"RFC 9110 5.3: a part of a name is another", "ab: 1", "", "abc", "", "a: 1|abcd: 2",
         "a: 1|abcd: 2|ab: 1"},
        {"Fetch: all", "", "", "", "*", "access-control-allow-origin: https://a|a: 1",
         "a: 1|access-control-allow-origin: *"},
        {"Fetch: some; caches must know (RFC 9110 12.5.5)", "", "", "", "https://a https://b",
         "access-control-allow-origin: https://a|a: 1", "a: 1|vary: origin"},
        {"RFC 9110 12.5.5: they know already", "", "", "", "https://a", "vary: accept, Origin",
         "vary: accept, Origin"},
        {"RFC 9110 12.5.5: they know already", "", "", "", "https://a", "vary: *", "vary: *"},
        {"RFC 9110 12.5.5: another is beside", "", "", "", "https://a", "vary: accept",
         "vary: accept|vary: origin"},
        {"RFC 9110 12.5.5: whatever the site removes", "", "", "vary", "https://a", "vary: origin",
         "vary: origin"},
    };
    size_t failures = 0;
    for (size_t i = 0; i < LENGTH_OF(rows); i++) {
        http_response_fields_t said = {.set = exact(rows[i].set),
                                       .add = exact(rows[i].add),
                                       .remove = exact(rows[i].remove),
                                       .cors = exact(rows[i].cors)};
        table_fields_t before = fields_of(rows[i].before);
        size_t room = before.count + http_response_fields_more(&said), used = 0;
        http_field_t *changed = must_calloc(room, sizeof *changed);
        http_fields_t got = http_response_fields_apply(&said, view(&before), changed);
        char text[512] = "";
        for (size_t j = 0; j < got.count; j++)
            used += (size_t)snprintf(text + used, sizeof text - used, "%s%.*s: %.*s", j > 0 ? "|" : "",
                                     SHOW(got.at[j].name), SHOW(got.at[j].value));
        if (strcmp(text, rows[i].after) != 0 || got.count > room)
            FAIL_ROW(i, rows[i].rfc, "%s", text);
        http_response_fields_sign(&said);
        if ((said.signature == 0) != (i == 0))
            FAIL_ROW(i, rows[i].rfc, "signed as %llu", (unsigned long long)said.signature);
        free(changed);
        fields_free(&before);
        text_free(said.set);
        text_free(said.add);
        text_free(said.remove);
        text_free(said.cors);
    }
    assert_int_equal(failures, 0);
}

static void other_changes_have_another_signature(void **state)
{
    (void)state;
    http_response_fields_t said[] = {{.set = TEXT("a: b")},
                                     {.add = TEXT("a: b")},
                                     {.set = TEXT("a: c")},
                                     {.remove = TEXT("a")},
                                     {.cors = TEXT("a")},
                                     {.cors = TEXT("*")},
                                     {.set = TEXT("a: b"), .remove = TEXT("a")},
                                     {.set = TEXT("a: b")}};
    for (size_t i = 0; i < LENGTH_OF(said); i++)
        http_response_fields_sign(&said[i]);
    for (size_t i = 0; i < LENGTH_OF(said); i++)
        for (size_t j = 0; j < i; j++)
            assert_int_equal(said[i].signature == said[j].signature, j == 0 && i == LENGTH_OF(said) - 1);
}

static void what_the_node_says_is_not_the_sites_to_say(void **state)
{
    (void)state;
    static const char *const ours[] = {"",
                                       "a b",
                                       "a:",
                                       "connection",
                                       "content-length",
                                       "date",
                                       "age",
                                       "etag",
                                       "transfer-encoding",
                                       "cache-status",
                                       "access-control-allow-origin"};
    static const char *const free_ones[] = {"x-frame-options", "cache-control", "content-type", "vary",
                                            "server"};
    for (size_t i = 0; i < LENGTH_OF(ours); i++)
        assert_false(http_response_field_is_free(text_of(ours[i])));
    for (size_t i = 0; i < LENGTH_OF(free_ones); i++)
        assert_true(http_response_field_is_free(text_of(free_ones[i])));
}

static void origins_are_allowed_as_they_are_listed(void **state)
{
    (void)state;
    static const struct {
        const char *cors, *origin, *allowed;
    } rows[] = {
        {"*", "https://a", "*"},
        {"*", NULL, "*"},
        {"https://a http://b:81", "https://a", "https://a"},
        {"https://a http://b:81", "http://b:81", "http://b:81"},
        {"https://a http://b:81", "http://b", NULL},
        {"https://a http://b:81", "http://a", NULL},
        {"https://a http://b:81", "https://a.b", NULL},
        {"https://a http://b:81", "null", NULL},
        {"https://a http://b:81", "", NULL},
        {"https://a http://b:81", NULL, NULL},
        {"https://*.a.b", "https://x.a.b", "https://x.a.b"},
        {"https://*.a.b", "https://x.y.a.b", "https://x.y.a.b"},
        {"https://*.a.b", "https://a.b", NULL},
        {"https://*.a.b", "https://xa.b", NULL},
        {"", "https://a", NULL},
    };
    for (size_t i = 0; i < LENGTH_OF(rows); i++) {
        text_t cors = exact(rows[i].cors), origin = exact(rows[i].origin);
        text_t allowed = http_cors_allow(cors, origin);
        if (rows[i].allowed == NULL)
            assert_int_equal(allowed.length, 0);
        else
            assert_true(text_equal(allowed, text_of(rows[i].allowed)));
        text_free(cors);
        text_free(origin);
    }
}

static void origins_are_written_as_browsers_do(void **state)
{
    (void)state;
    static const char *const right[] = {"https://a.example", "http://a:81", "https://*.a.b",
                                        "http://127.0.0.1:8080"};
    static const char *const wrong[] = {"",           "a.example",     "https://a/",   "https://A.example",
                                        "https://",   "https://a:443", "http://a:80",  "https://a:",
                                        "ftp://a",    "https://a.*",   "https://*",    "https://*.*.a",
                                        "https://*a", "https://a/*.b", "null",         "https://u@a",
                                        "https://*.", "https://a b",   "https://*.a/b"};
    for (size_t i = 0; i < LENGTH_OF(right); i++)
        if (!http_cors_is_origin(text_of(right[i])))
            fail_msg("%s", right[i]);
    for (size_t i = 0; i < LENGTH_OF(wrong); i++)
        if (http_cors_is_origin(text_of(wrong[i])))
            fail_msg("%s", wrong[i]);
    char longest[400] = "https://";
    memset(longest + 8, 'a', sizeof longest - 9);
    assert_false(http_cors_is_origin(text_of(longest)));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(changes_what_it_says),
        cmocka_unit_test(other_changes_have_another_signature),
        cmocka_unit_test(what_the_node_says_is_not_the_sites_to_say),
        cmocka_unit_test(origins_are_allowed_as_they_are_listed),
        cmocka_unit_test(origins_are_written_as_browsers_do),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
