#include "tests/unit/http_table.h"

static void finds_by_name(void **state)
{
    (void)state;
    table_fields_t table = fields_of("age: 1|vary: a|varyx: no|vary: b|var: no|vary:");
    http_fields_t fields = view(&table);
    assert_ptr_equal(http_fields_find(fields, TEXT("vary")), &table.at[1]);
    assert_ptr_equal(http_fields_next(fields, &table.at[1], TEXT("vary")), &table.at[3]);
    assert_ptr_equal(http_fields_next(fields, &table.at[3], TEXT("vary")), &table.at[5]);
    assert_null(http_fields_next(fields, &table.at[5], TEXT("vary")));
    assert_int_equal(http_fields_count(fields, TEXT("vary")), 3);
    assert_int_equal(http_fields_count(fields, TEXT("age")), 1);
    assert_int_equal(http_fields_count(fields, TEXT("va")), 0);
    assert_null(http_fields_find((http_fields_t){NULL, 0}, TEXT("vary")));
    assert_int_equal(http_fields_count((http_fields_t){NULL, 0}, TEXT("vary")), 0);
    fields_free(&table);
}

static void walks_lists(void **state)
{
    (void)state;
    static const struct {
        const char *rfc, *list, *members; /* members each followed by ';' */
    } rows[] = {
        {"RFC 9110 5.6.1.2: \"foo ,bar,charlie\"", "foo ,bar,charlie", "foo;bar;charlie;"},
        {"RFC 9110 5.6.1.2: \"foo , ,bar,charlie   \"", "foo , ,bar,charlie   ", "foo;bar;charlie;"},
        {"RFC 9110 5.6.1.2: \"\"", "", ""},
        {"RFC 9110 5.6.1.2: \",\"", ",", ""},
        {"RFC 9110 5.6.1.2: \",   ,\"", ",   ,", ""},
        {"RFC 9110 5.6.1.2: an empty member at the end", "a, ", "a;"},
        {"RFC 9110 5.6.3: OWS is SP and HTAB", "\t a \t,\t b\t", "a;b;"},
        {"RFC 9110 5.6.4: commas in quoted-string", "a=\"1,2\", b", "a=\"1,2\";b;"},
        {"RFC 9110 5.6.4: quoted-pair", "a=\"\\\",\", b", "a=\"\\\",\";b;"},
        {"RFC 9110 5.6.4: escaped backslash ends no pair", "\"\\\\\",b", "\"\\\\\";b;"},
        {"RFC 9110 5.6.4: a string that does not end", "\"a, b", "\"a, b;"},
        {"RFC 9110 5.6.4: a pair cut off", "\"a\\", "\"a\\;"},
        {"RFC 9110 5.6.4: a backslash outside quotes is a byte", "\\,b", "\\;b;"},
        {"RFC 9110 5.6.1: white space within a member stays", "a b,c", "a b;c;"},
    };
    int failures = 0;
    for (size_t i = 0; i < LENGTH_OF(rows); i++) {
        char got[64] = "";
        text_t list = exact(rows[i].list), rest = list, member;
        while (http_list_next(&rest, &member)) {
            strncat(got, member.data, member.length);
            strcat(got, ";");
        }
        if (strcmp(got, rows[i].members) != 0)
            FAIL_ROW(i, rows[i].rfc, "got %s", got);
        text_free(list);
    }
    assert_int_equal(failures, 0);
}

static void knows_tokens(void **state)
{
    (void)state;
    static const struct {
        const char *rfc, *text;
        bool token;
    } rows[] = {
        {"RFC 9110 5.6.2: tchar", "!#$%&'*+-.^_`|~09azAZ", true},
        {"RFC 9110 5.6.2: 1*tchar", "", false},
        {"RFC 9110 5.6.2: no delimiters", "a b", false},
        {"RFC 9110 5.6.2: no delimiters", "a/b", false},
        {"RFC 9110 5.6.2: no delimiters", "a:", false},
        {"RFC 9110 5.6.2: no delimiters", "\"a\"", false},
        {"RFC 9110 5.6.2: VCHAR only", "a\x80", false},
        {"RFC 9110 5.6.2: VCHAR only", "\x01", false},
        {"RFC 9110 5.6.2: VCHAR only", "\x7f", false},
    };
    int failures = 0;
    for (size_t i = 0; i < LENGTH_OF(rows); i++) {
        text_t text = exact(rows[i].text);
        if (http_is_token(text) != rows[i].token)
            FAIL_ROW(i, rows[i].rfc, "'%s'", rows[i].text);
        text_free(text);
    }
    assert_false(http_is_token((text_t){"a\0", 2}));
    assert_int_equal(failures, 0);
}

static void knows_hop_by_hop(void **state)
{
    (void)state;
    static const struct {
        const char *rfc, *name, *connection;
        bool hop;
    } rows[] = {
        {"RFC 9110 7.6.1: Connection itself", "connection", NULL, true},
        {"RFC 9110 7.6.1: Proxy-Connection", "proxy-connection", NULL, true},
        {"RFC 9110 7.6.1: Keep-Alive", "keep-alive", NULL, true},
        {"RFC 9110 7.6.1: TE", "te", NULL, true},
        {"RFC 9110 7.6.1: Transfer-Encoding", "transfer-encoding", NULL, true},
        {"RFC 9110 7.6.1: Upgrade", "upgrade", NULL, true},
        {"RFC 9110 6.6.2: Trailer", "trailer", NULL, true},
        {"RFC 7540 3.2.1: HTTP2-Settings", "http2-settings", NULL, true},
        {"RFC 9111 3.1: Proxy-Authenticate", "proxy-authenticate", NULL, true},
        {"RFC 9111 3.1: Proxy-Authorization", "proxy-authorization", NULL, true},
        {"RFC 9111 3.1: Proxy-Authentication-Info", "proxy-authentication-info", NULL, true},
        {"RFC 9110 7.6.1: end-to-end", "cache-control", NULL, false},
        {"RFC 9110 7.6.1: named, in any case", "x-a", "close, X-A", true},
        {"RFC 9110 7.6.1: not named", "x-a", "close, x-ab, x", false},
        {"RFC 9110 7.6.1: an empty Connection", "x-a", "", false},
        {"RFC 9110 7.6.1: a prefix is another name", "tee", NULL, false},
    };
    int failures = 0;
    for (size_t i = 0; i < LENGTH_OF(rows); i++) {
        text_t name = exact(rows[i].name), connection = exact(rows[i].connection);
        if (http_field_is_hop_by_hop(name, connection) != rows[i].hop)
            FAIL_ROW(i, rows[i].rfc, "%s", rows[i].name);
        text_free(name);
        text_free(connection);
    }
    assert_int_equal(failures, 0);
}

static void asks_all_connection_lines(void **state)
{
    (void)state;
    table_fields_t table = fields_of("connection: close|x-a: 1|connection: x-b, X-A"),
                   none = fields_of("x-a: 1");
    assert_true(http_fields_hop_by_hop(view(&table), TEXT("x-a")));
    assert_true(http_fields_hop_by_hop(view(&table), TEXT("x-b")));
    assert_true(http_fields_hop_by_hop(view(&table), TEXT("te")));
    assert_false(http_fields_hop_by_hop(view(&table), TEXT("x-c")));
    assert_false(http_fields_hop_by_hop(view(&none), TEXT("x-a")));
    assert_true(http_fields_hop_by_hop(view(&none), TEXT("te")));
    assert_true(http_fields_hop_by_hop((http_fields_t){NULL, 0}, TEXT("te")));
    fields_free(&table);
    fields_free(&none);
}

static void finds_what_connection_names(void **state)
{
    (void)state;
    static const struct {
        const char *rfc, *message, *named; /* one digit for each field */
    } rows[] = {
        {"RFC 9110 7.6.1: no Connection", "x-a: 1|te: x", "00"},
        {"RFC 9110 7.6.1: it names none", "connection: keep-alive|x-a: 1", "00"},
        {"RFC 9110 7.6.1: an empty one", "connection:|x-a: 1", "00"},
        {"RFC 9110 7.6.1: in any case", "x-a: 1|connection: close, X-A|x-ab: 1", "100"},
        {"RFC 9110 7.6.1: each line of it", "x-a: 1|connection: X-A|x-b: 1|x-a: 2", "1001"},
        {"RFC 9110 7.6.1: all lines of Connection", "connection: x-b|x-a: 1|connection: ,x-a|x-b: 1", "0101"},
        {"RFC 9110 7.6.1: never itself", "connection: connection, x-a|connection: x|x-a: 1", "001"},
        {"RFC 9110 7.6.1: what is there is not all named", "connection: x-c, te|x-a: 1|te: trailers", "001"},
    };
    int failures = 0;
    for (size_t i = 0; i < LENGTH_OF(rows); i++) {
        table_fields_t message = fields_of(rows[i].message);
        bool named[TABLE_FIELDS_MAX];
        http_fields_named(view(&message), named);
        for (size_t n = 0; n < message.count; n++)
            if (named[n] != (rows[i].named[n] == '1'))
                FAIL_ROW(i, rows[i].rfc, "field %zu of %s", n, rows[i].message);
        fields_free(&message);
    }
    http_fields_named((http_fields_t){NULL, 0}, NULL);
    assert_int_equal(failures, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(finds_by_name),
        cmocka_unit_test(walks_lists),
        cmocka_unit_test(knows_tokens),
        cmocka_unit_test(knows_hop_by_hop),
        cmocka_unit_test(asks_all_connection_lines),
        cmocka_unit_test(finds_what_connection_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
