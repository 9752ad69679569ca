/* HTTP/1 requests, one line each: what is wrong with it, and the status it gets. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "edge/guard/http1_check.h"
#include "edge/guard/syntax.h"

#define HOST                                                                                                 \
    {                                                                                                        \
        TEXT("Host"), TEXT("example.com")                                                                    \
    }

typedef struct {
    const char *what;
    int status; /* 0: accepted */
    text_t method, target;
    int minor_version;
    http_field_t fields[4];
} case_t;

static const text_t good_head = TEXT("GET / HTTP/1.1\r\nHost: example.com\r\n\r\n");

static guard_verdict_t check(const case_t *c, text_t head)
{
    size_t count = 0;
    while (count != 4 && (c->fields[count].name.data != NULL || c->fields[count].value.data != NULL))
        ++count;
    return guard_http1_check(&(guard_http1_request_t){.head = head,
                                                      .method = c->method,
                                                      .target = c->target,
                                                      .minor_version = c->minor_version,
                                                      .fields = {c->fields, count}});
}

static void run(const case_t *cases, size_t count)
{
    for (size_t i = 0; i != count; ++i) {
        guard_verdict_t verdict = check(&cases[i], good_head);
        if (verdict.status != cases[i].status)
            fail_msg("%s: %d (%s), not %d", cases[i].what, verdict.status,
                     verdict.why ? verdict.why : "accepted", cases[i].status);
        assert_true((verdict.why == NULL) == (verdict.status == 0));
    }
}

#define RUN(cases) run(cases, sizeof(cases) / sizeof((cases)[0]))

static void request_lines(void **state)
{
    (void)state;
    static const case_t lines[] = {
        {"plain", 0, TEXT("GET"), TEXT("/a/b?c=d"), 1, {HOST}},
        {"HTTP/1.0", 0, TEXT("GET"), TEXT("/"), 0, {HOST}},
        {"RFC 9110 2.5: HTTP/1.2", 505, TEXT("GET"), TEXT("/"), 2, {HOST}},
        {"HTTP/1.9", 505, TEXT("GET"), TEXT("/"), 9, {HOST}},
        {"a version that was not read", 505, TEXT("GET"), TEXT("/"), -1, {HOST}},
        {"RFC 9110 9.1: an unknown method is still a token", 0, TEXT("BREW"), TEXT("/"), 1, {HOST}},
        {"an empty method", 400, TEXT(""), TEXT("/"), 1, {HOST}},
        {"a space in the method", 400, TEXT("GET /x"), TEXT("/"), 1, {HOST}},
        {"a separator in the method", 400, TEXT("GE(T"), TEXT("/"), 1, {HOST}},
        {"a byte over 127 in the method", 400, TEXT("G\xc3\x89T"), TEXT("/"), 1, {HOST}},
        {"RFC 9112 3.2: an empty target", 400, TEXT("GET"), TEXT(""), 1, {HOST}},
        {"a relative target", 400, TEXT("GET"), TEXT("a/b"), 1, {HOST}},
        {"a space in the target", 400, TEXT("GET"), TEXT("/a b"), 1, {HOST}},
        {"a tab in the target", 400, TEXT("GET"), TEXT("/a\tb"), 1, {HOST}},
        {"CRLF in the target", 400, TEXT("GET"), TEXT("/a\r\nX: y"), 1, {HOST}},
        {"NUL in the target", 400, TEXT("GET"), TEXT("/a\0b"), 1, {HOST}},
        {"DEL in the target", 400, TEXT("GET"), TEXT("/abcdefgh\x7fijk"), 1, {HOST}},
        {"the asterisk is for OPTIONS", 400, TEXT("GET"), TEXT("*"), 1, {HOST}},
        {"OPTIONS *", 0, TEXT("OPTIONS"), TEXT("*"), 1, {HOST}},
        {"OPTIONS **", 400, TEXT("OPTIONS"), TEXT("**"), 1, {HOST}},
        {"RFC 9112 3.2.2: absolute-form", 0, TEXT("GET"), TEXT("http://a.example/x"), 1, {HOST}},
        {"absolute-form without a path", 0, TEXT("GET"), TEXT("HTTPS://a.example"), 1, {HOST}},
        {"absolute-form of another scheme", 400, TEXT("GET"), TEXT("ftp://a.example/"), 1, {HOST}},
        {"absolute-form without a host", 400, TEXT("GET"), TEXT("http:///x"), 1, {HOST}},
        {"absolute-form with userinfo", 400, TEXT("GET"), TEXT("http://me@a.example/x"), 1, {HOST}},
        {"RFC 9112 3.2.3: CONNECT", 0, TEXT("CONNECT"), TEXT("a.example:443"), 1, {HOST}},
        {"CONNECT to a path", 400, TEXT("CONNECT"), TEXT("/x"), 1, {HOST}},
        {"CONNECT without a port", 400, TEXT("CONNECT"), TEXT("a.example"), 1, {HOST}},
        {"authority-form for GET", 400, TEXT("GET"), TEXT("a.example:443"), 1, {HOST}},
    };
    RUN(lines);
}

static void framing(void **state)
{
    (void)state;
#define LENGTH(value)                                                                                        \
    {                                                                                                        \
        TEXT("Content-Length"), TEXT(value)                                                                  \
    }
#define CODING(value)                                                                                        \
    {                                                                                                        \
        TEXT("Transfer-Encoding"), TEXT(value)                                                               \
    }
    static const case_t cases[] = {
        {"RFC 9112 6.3: a length", 0, TEXT("POST"), TEXT("/"), 1, {HOST, LENGTH("5")}},
        {"a length of zero", 0, TEXT("POST"), TEXT("/"), 1, {HOST, LENGTH("0")}},
        {"leading zeros", 0, TEXT("POST"), TEXT("/"), 1, {HOST, LENGTH("0005")}},
        {"two equal lengths", 400, TEXT("POST"), TEXT("/"), 1, {HOST, LENGTH("5"), LENGTH("5")}},
        {"two lengths", 400, TEXT("POST"), TEXT("/"), 1, {HOST, LENGTH("5"), LENGTH("6")}},
        {"two lengths, another case",
         400,
         TEXT("POST"),
         TEXT("/"),
         1,
         {HOST, LENGTH("5"), {TEXT("content-LENGTH"), TEXT("6")}}},
        {"a list", 400, TEXT("POST"), TEXT("/"), 1, {HOST, LENGTH("5, 5")}},
        {"a sign", 400, TEXT("POST"), TEXT("/"), 1, {HOST, LENGTH("+5")}},
        {"a negative one", 400, TEXT("POST"), TEXT("/"), 1, {HOST, LENGTH("-5")}},
        {"hexadecimal", 400, TEXT("POST"), TEXT("/"), 1, {HOST, LENGTH("0x5")}},
        {"an empty length", 400, TEXT("POST"), TEXT("/"), 1, {HOST, LENGTH("")}},
        {"letters", 400, TEXT("POST"), TEXT("/"), 1, {HOST, LENGTH("abc")}},
        {"a length over 64 bits", 400, TEXT("POST"), TEXT("/"), 1, {HOST, LENGTH("18446744073709551617")}},
        {"RFC 9112 6.1: chunked", 0, TEXT("POST"), TEXT("/"), 1, {HOST, CODING("chunked")}},
        {"codings have no case", 0, TEXT("POST"), TEXT("/"), 1, {HOST, CODING("Chunked")}},
        {"another coding", 501, TEXT("POST"), TEXT("/"), 1, {HOST, CODING("gzip")}},
        {"a list of codings", 501, TEXT("POST"), TEXT("/"), 1, {HOST, CODING("gzip, chunked")}},
        {"chunked twice in one line", 501, TEXT("POST"), TEXT("/"), 1, {HOST, CODING("chunked, chunked")}},
        {"chunked in disguise", 501, TEXT("POST"), TEXT("/"), 1, {HOST, CODING("xchunked")}},
        {"identity", 501, TEXT("POST"), TEXT("/"), 1, {HOST, CODING("identity")}},
        {"an empty coding", 501, TEXT("POST"), TEXT("/"), 1, {HOST, CODING("")}},
        {"two lines of chunked",
         400,
         TEXT("POST"),
         TEXT("/"),
         1,
         {HOST, CODING("chunked"), CODING("chunked")}},
        {"both", 400, TEXT("POST"), TEXT("/"), 1, {HOST, LENGTH("5"), CODING("chunked")}},
        {"both, the other way round",
         400,
         TEXT("POST"),
         TEXT("/"),
         1,
         {HOST, CODING("chunked"), LENGTH("5")}},
        {"chunked in HTTP/1.0", 400, TEXT("POST"), TEXT("/"), 0, {HOST, CODING("chunked")}},
    };
    RUN(cases);
}

static void hosts(void **state)
{
    (void)state;
#define HOST_IS(value)                                                                                       \
    {                                                                                                        \
        TEXT("HOST"), TEXT(value)                                                                            \
    }
    static const case_t cases[] = {
        {"RFC 9112 3.2: no Host in HTTP/1.1",
         400,
         TEXT("GET"),
         TEXT("/"),
         1,
         {{TEXT("Accept"), TEXT("*/*")}}},
        {"no Host in HTTP/1.0", 0, TEXT("GET"), TEXT("/"), 0, {{TEXT("Accept"), TEXT("*/*")}}},
        {"two", 400, TEXT("GET"), TEXT("/"), 1, {HOST, HOST_IS("b.example")}},
        {"two equal ones", 400, TEXT("GET"), TEXT("/"), 1, {HOST, HOST}},
        {"two in HTTP/1.0", 400, TEXT("GET"), TEXT("/"), 0, {HOST, HOST}},
        {"an empty one", 400, TEXT("GET"), TEXT("/"), 1, {HOST_IS("")}},
        {"with a port", 0, TEXT("GET"), TEXT("/"), 1, {HOST_IS("a.example:8080")}},
        {"a path in it", 400, TEXT("GET"), TEXT("/"), 1, {HOST_IS("a.example/x")}},
        {"two in one line", 400, TEXT("GET"), TEXT("/"), 1, {HOST_IS("a.example b.example")}},
        {"no Host next to absolute-form",
         400,
         TEXT("GET"),
         TEXT("http://a.example/"),
         1,
         {{TEXT("Accept"), TEXT("*/*")}}},
    };
    RUN(cases);
}

static void fields(void **state)
{
    (void)state;
    static const case_t cases[] = {
        {"RFC 9112 5.2: obs-fold", 400, TEXT("GET"), TEXT("/"), 1, {HOST, {{NULL, 0}, TEXT("more")}}},
        {"RFC 9110 5.1: an empty name", 400, TEXT("GET"), TEXT("/"), 1, {HOST, {TEXT(""), TEXT("x")}}},
        {"RFC 9112 5.1: a space before the colon",
         400,
         TEXT("GET"),
         TEXT("/"),
         1,
         {HOST, {TEXT("X "), TEXT("x")}}},
        {"a colon in the name", 400, TEXT("GET"), TEXT("/"), 1, {HOST, {TEXT(":path"), TEXT("x")}}},
        {"a byte over 127 in the name", 400, TEXT("GET"), TEXT("/"), 1, {HOST, {TEXT("X\xe9"), TEXT("x")}}},
        {"RFC 9110 5.5: an empty value", 0, TEXT("GET"), TEXT("/"), 1, {HOST, {TEXT("X"), TEXT("")}}},
        {"a tab and a byte over 127 in a value",
         0,
         TEXT("GET"),
         TEXT("/"),
         1,
         {HOST, {TEXT("X"), TEXT("caf\xc3\xa9\tau lait")}}},
        {"CR in a value", 400, TEXT("GET"), TEXT("/"), 1, {HOST, {TEXT("X"), TEXT("a\rb")}}},
        {"NUL in a value", 400, TEXT("GET"), TEXT("/"), 1, {HOST, {TEXT("X"), TEXT("a\0b")}}},
        {"DEL at a value's end",
         400,
         TEXT("GET"),
         TEXT("/"),
         1,
         {HOST, {TEXT("X"), TEXT("abcdefghijk\x7f")}}},
    };
    RUN(cases);
}

static void line_ends(void **state)
{
    (void)state;
    static const case_t plain = {"plain", 0, TEXT("GET"), TEXT("/"), 1, {HOST}};
    static const text_t bad[] = {
        TEXT("GET / HTTP/1.1\nHost: example.com\r\n\r\n"),
        TEXT("GET / HTTP/1.1\r\nHost: example.com\n\r\n"),
        TEXT("GET / HTTP/1.1\r\nHost: example.com\r\n\n"),
        TEXT("GET / HTTP/1.1\r\nHost: exam\rple.com\r\n\r\n"),
        TEXT("\nGET / HTTP/1.1\r\nHost: example.com\r\n\r\n"),
        TEXT("GET / HTTP/1.1\r\r\nHost: example.com\r\n\r\n"),
    };
    for (size_t i = 0; i != sizeof(bad) / sizeof(bad[0]); ++i)
        assert_int_equal(check(&plain, bad[i]).status, 400); /* RFC 9112 section 2.2 */
    assert_int_equal(check(&plain, TEXT("\r\nGET / HTTP/1.1\r\nHost: example.com\r\n\r\n")).status, 0);
}

/* RFC 3986 section 3.2. */
static void authorities(void **state)
{
    (void)state;
    static const char *const good[] = {
        "a",           "example.com",           "EXAMPLE.com",           "a.example:80",
        "a.example:",  "a.example:65535",       "127.0.0.1:8080",        "[::1]",
        "[::1]:8443",  "[2001:db8::192.0.2.1]", "xn--bcher-kva.example", "under_score",
        "%41.example", "a!$&'()*+,;=b",
    };
    static const char *const wrong[] = {
        "",
        ":80",
        "a:65536",
        "a:080808",
        "a:-1",
        "a:8a",
        "a:80:80",
        "me@a.example",
        "a b",
        "a/b",
        "a?b",
        "a#b",
        "a\\b",
        "\"a\"",
        "<a>",
        "a%",
        "a%4",
        "a%zz",
        "[",
        "[]",
        "[::1",
        "::1",
        "[::1]x",
        "[::1]:x",
        "[:]",
        "[g::1]",
        "[a.b.c.d]",
        "[1:2:3:4:5:6:7:8:9]",
        "a\tb",
        "b\xc3\xbc"
        "cher.example",
        "a\x7f",
    };
    for (size_t i = 0; i != sizeof(good) / sizeof(good[0]); ++i)
        if (!guard_authority_valid(text_of(good[i])))
            fail_msg("%s was refused", good[i]);
    for (size_t i = 0; i != sizeof(wrong) / sizeof(wrong[0]); ++i)
        if (guard_authority_valid(text_of(wrong[i])))
            fail_msg("%s was accepted", wrong[i]);
    char longest[256];
    memset(longest, 'a', sizeof(longest));
    assert_true(guard_authority_valid((text_t){longest, 255}));
    assert_false(guard_authority_valid((text_t){longest, 256}));
    assert_false(guard_authority_valid((text_t){NULL, 0}));
}

/* The scan by eight bytes against the definition, for each byte at each place of texts around that length. */
static void byte_classes(void **state)
{
    (void)state;
    char text[20];
    for (size_t length = 1; length != sizeof(text); ++length)
        for (size_t place = 0; place != length; ++place)
            for (unsigned byte = 0; byte != 256; ++byte) {
                memset(text, 'a', length);
                text[place] = (char)byte;
                bool control = byte < 0x20 || byte == 0x7f;
                assert_int_equal(syntax_is_field_value((text_t){text, length}), !control || byte == '\t');
                assert_int_equal(syntax_is_visible((text_t){text, length}), !control && byte != ' ');
            }
    for (unsigned byte = 0; byte != 256; ++byte) {
        char one = (char)byte;
        bool upper = byte >= 'A' && byte <= 'Z';
        bool token = upper || (byte >= 'a' && byte <= 'z') || (byte >= '0' && byte <= '9') ||
                     (byte != 0 && strchr("!#$%&'*+-.^_`|~", (int)byte) != NULL);
        assert_int_equal(syntax_is_token((text_t){&one, 1}), token);
        assert_int_equal(syntax_is_lower_token((text_t){&one, 1}), token && !upper);
        assert_int_equal(syntax_is_digits((text_t){&one, 1}), byte >= '0' && byte <= '9');
    }
}

static void absolute_forms(void **state)
{
    (void)state;
    text_t authority, rest;
    assert_true(guard_absolute_form(TEXT("http://a.example:1/x?y"), &authority, &rest));
    assert_true(text_equal(authority, TEXT("a.example:1")) && text_equal(rest, TEXT("/x?y")));
    assert_true(guard_absolute_form(TEXT("http://a.example?y"), &authority, &rest));
    assert_true(text_equal(authority, TEXT("a.example")) && text_equal(rest, TEXT("?y")));
    assert_true(guard_absolute_form(TEXT("http://a.example"), &authority, &rest));
    assert_int_equal(rest.length, 0);
    assert_false(guard_absolute_form(TEXT("http:/a"), &authority, &rest));
    assert_false(guard_absolute_form(TEXT("http"), &authority, &rest));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(request_lines), cmocka_unit_test(framing),        cmocka_unit_test(hosts),
        cmocka_unit_test(fields),        cmocka_unit_test(line_ends),      cmocka_unit_test(authorities),
        cmocka_unit_test(byte_classes),  cmocka_unit_test(absolute_forms),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
