/* HTTP/2 requests, one line each, and header blocks byte by byte. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "edge/guard/http2_check.h"

typedef struct {
    const char *what;
    bool accepted;
    text_t method, path, authority;
    bool ends;
    uint64_t content_length;
    http_field_t field; /* one more; name data NULL: none */
} case_t;

static guard_verdict_t check(const case_t *c, bool scheme)
{
    return guard_http2_check(&(guard_http2_request_t){.method = c->method,
                                                      .path = c->path,
                                                      .authority = c->authority,
                                                      .scheme = scheme,
                                                      .ends = c->ends,
                                                      .content_length = c->content_length,
                                                      .fields = {&c->field, c->field.name.data != NULL}});
}

static void run(const case_t *cases, size_t count)
{
    for (size_t i = 0; i != count; ++i) {
        guard_verdict_t verdict = check(&cases[i], true);
        if ((verdict.status == 0) != cases[i].accepted)
            fail_msg("%s: %s", cases[i].what, verdict.status == 0 ? "accepted" : verdict.why);
        assert_true(verdict.status == 0 || verdict.reason == GUARD_BAD_REQUEST);
    }
}

#define RUN(cases) run(cases, sizeof(cases) / sizeof((cases)[0]))
#define A TEXT("a.example")
#define NO_LENGTH UINT64_MAX

/* RFC 9113 section 8.3.1. */
static void pseudo_fields(void **state)
{
    (void)state;
    static const case_t cases[] = {
        {.what = "plain", true, TEXT("GET"), TEXT("/a?b"), A, true, NO_LENGTH, {{0}, {0}}},
        {.what = "an empty path", false, TEXT("GET"), TEXT(""), A, true, NO_LENGTH, {{0}, {0}}},
        {.what = "no path", false, TEXT("GET"), {NULL, 0}, A, true, NO_LENGTH, {{0}, {0}}},
        {.what = "a path without a slash", false, TEXT("GET"), TEXT("a"), A, true, NO_LENGTH, {{0}, {0}}},
        {.what = "a space in the path",
         false,
         TEXT("GET"),
         TEXT("/ HTTP/1.1"),
         A,
         true,
         NO_LENGTH,
         {{0}, {0}}},
        {.what = "CRLF in the path", false, TEXT("GET"), TEXT("/a\r\nX: y"), A, true, NO_LENGTH, {{0}, {0}}},
        {.what = "OPTIONS *", true, TEXT("OPTIONS"), TEXT("*"), A, true, NO_LENGTH, {{0}, {0}}},
        {.what = "GET *", false, TEXT("GET"), TEXT("*"), A, true, NO_LENGTH, {{0}, {0}}},
        {.what = "absolute-form",
         false,
         TEXT("GET"),
         TEXT("http://a.example/"),
         A,
         true,
         NO_LENGTH,
         {{0}, {0}}},
        {.what = "an empty method", false, TEXT(""), TEXT("/"), A, true, NO_LENGTH, {{0}, {0}}},
        {.what = "no method", false, {NULL, 0}, TEXT("/"), A, true, NO_LENGTH, {{0}, {0}}},
        {.what = "a request line in the method",
         false,
         TEXT("GET /x HTTP/1.1"),
         TEXT("/"),
         A,
         true,
         NO_LENGTH,
         {{0}, {0}}},
        {.what = "no authority", false, TEXT("GET"), TEXT("/"), {NULL, 0}, true, NO_LENGTH, {{0}, {0}}},
        {.what = "an empty authority", false, TEXT("GET"), TEXT("/"), TEXT(""), true, NO_LENGTH, {{0}, {0}}},
        {.what = "userinfo",
         false,
         TEXT("GET"),
         TEXT("/"),
         TEXT("me@a.example"),
         true,
         NO_LENGTH,
         {{0}, {0}}},
        {.what = "a space in the authority",
         false,
         TEXT("GET"),
         TEXT("/"),
         TEXT("a b"),
         true,
         NO_LENGTH,
         {{0}, {0}}},
        {.what = "CONNECT with a path", false, TEXT("CONNECT"), TEXT("/"), A, true, NO_LENGTH, {{0}, {0}}},
    };
    RUN(cases);
    const case_t plain = {.what = "", true, TEXT("GET"), TEXT("/"), A, true, NO_LENGTH, {{0}, {0}}};
    assert_int_not_equal(check(&plain, false).status, 0); /* no :scheme */
    const case_t connect = {.what = "", true, TEXT("CONNECT"), {NULL, 0}, A, true, NO_LENGTH, {{0}, {0}}};
    assert_int_equal(check(&connect, false).status, 0); /* section 8.5 */
    assert_int_not_equal(check(&connect, true).status, 0);
}

/* RFC 9113 sections 8.2.1 and 8.2.2. */
static void fields(void **state)
{
    (void)state;
#define WITH(name, value)                                                                                    \
    TEXT("GET"), TEXT("/"), A, true, NO_LENGTH,                                                              \
    {                                                                                                        \
        TEXT(name), TEXT(value)                                                                              \
    }
    static const case_t cases[] = {
        {.what = "plain", true, WITH("accept", "*/*")},
        {.what = "an empty value", true, WITH("x", "")},
        {.what = "an upper case letter", false, WITH("Accept", "*/*")},
        {.what = "an empty name", false, WITH("", "x")},
        {.what = "a space in the name", false, WITH("a b", "x")},
        {.what = "a colon in the name", false, WITH("a:b", "x")},
        {.what = "a pseudo-field among the fields", false, WITH(":path", "/x")},
        {.what = "CRLF in the value", false, WITH("x", "a\r\nb: c")},
        {.what = "NUL in the value", false, WITH("x", "a\0b")},
        {.what = "a space before the value", false, WITH("x", " a")},
        {.what = "a tab after the value", false, WITH("x", "a\t")},
        {.what = "a space in the value", true, WITH("x", "a b")},
        {.what = "connection", false, WITH("connection", "close")},
        {.what = "keep-alive", false, WITH("keep-alive", "5")},
        {.what = "proxy-connection", false, WITH("proxy-connection", "close")},
        {.what = "transfer-encoding", false, WITH("transfer-encoding", "chunked")},
        {.what = "upgrade", false, WITH("upgrade", "h2c")},
        {.what = "http2-settings", false, WITH("http2-settings", "AAMAAABk")},
        {.what = "te: trailers", true, WITH("te", "trailers")},
        {.what = "te: gzip", false, WITH("te", "gzip")},
        {.what = "te: trailers and more", false, WITH("te", "trailers, gzip")},
    };
    RUN(cases);
}

/* RFC 9113 section 8.1.1. */
static void content_length(void **state)
{
    (void)state;
    static const case_t cases[] = {
        {.what = "a body, and no END_STREAM yet", true, TEXT("POST"), TEXT("/"), A, false, 5, {{0}, {0}}},
        {.what = "a length, and END_STREAM", false, TEXT("POST"), TEXT("/"), A, true, 5, {{0}, {0}}},
        {.what = "zero, and END_STREAM", true, TEXT("POST"), TEXT("/"), A, true, 0, {{0}, {0}}},
    };
    RUN(cases);
}

static void sizes(void **state)
{
    (void)state;
    static char value[GUARD_HEAD_BYTES_MAX];
    memset(value, 'a', sizeof(value));
    http_field_t many[GUARD_FIELDS_MAX + 1];
    for (size_t i = 0; i != GUARD_FIELDS_MAX + 1; ++i)
        many[i] = (http_field_t){TEXT("a"), TEXT("b")};
    guard_http2_request_t request = {.method = TEXT("GET"),
                                     .path = TEXT("/"),
                                     .authority = A,
                                     .scheme = true,
                                     .ends = true,
                                     .content_length = UINT64_MAX,
                                     .fields = {many, GUARD_FIELDS_MAX}};
    assert_int_equal(guard_http2_check(&request).status, 0);
    request.fields.count = GUARD_FIELDS_MAX + 1;
    assert_int_equal(guard_http2_check(&request).status, 431);
    many[0].value = (text_t){value, sizeof(value)};
    request.fields.count = 1;
    assert_int_equal(guard_http2_check(&request).status, 431);
    assert_int_equal(guard_http2_check(&request).reason, GUARD_HEADER_TOO_LARGE);
    many[0].value.length -= 100;
    assert_int_equal(guard_http2_check(&request).status, 0);
}

#define SCAN(bytes, most) guard_hpack_scan((const uint8_t *)(bytes), sizeof(bytes) - 1, most)

/* RFC 7541 sections 5 and 6. */
static void blocks(void **state)
{
    (void)state;
    assert_int_equal(SCAN("", 0), HPACK_FINE);
    assert_int_equal(SCAN("\x82", 1), HPACK_FINE); /* indexed */
    assert_int_equal(SCAN("\x82", 0), HPACK_TOO_MANY);
    assert_int_equal(SCAN("\x82\x86\x84", 3), HPACK_FINE);
    assert_int_equal(SCAN("\x82\x86\x84", 2), HPACK_TOO_MANY);
    assert_int_equal(SCAN("\x80", 9), HPACK_BROKEN);   /* index 0 */
    assert_int_equal(SCAN("\xff\x00", 9), HPACK_FINE); /* index 127 */
    assert_int_equal(SCAN("\xff", 9), HPACK_BROKEN);   /* cut */
    assert_int_equal(SCAN("\xff\x80\x80\x80\x01", 9), HPACK_FINE);
    assert_int_equal(SCAN("\xff\x80\x80\x80\x80\x01", 9),
                     HPACK_BROKEN); /* more octets than the decoder takes */
    assert_int_equal(SCAN("\x40\x01"
                          "a"
                          "\x01"
                          "b",
                          1),
                     HPACK_FINE); /* literal, with indexing */
    assert_int_equal(SCAN("\x00\x01"
                          "a"
                          "\x01"
                          "b",
                          1),
                     HPACK_FINE); /* without */
    assert_int_equal(SCAN("\x10\x01"
                          "a"
                          "\x01"
                          "b",
                          1),
                     HPACK_FINE); /* never */
    assert_int_equal(SCAN("\x41\x01"
                          "b",
                          1),
                     HPACK_FINE); /* indexed name */
    assert_int_equal(SCAN("\x0f\x01\x01"
                          "b",
                          1),
                     HPACK_FINE);
    assert_int_equal(SCAN("\x40\x00\x01"
                          "b",
                          1),
                     HPACK_EMPTY_NAME);
    assert_int_equal(SCAN("\x40\x00", 1), HPACK_EMPTY_NAME);
    assert_int_equal(SCAN("\x40\x80\x01"
                          "b",
                          1),
                     HPACK_EMPTY_NAME); /* Huffman, of nothing */
    assert_int_equal(SCAN("\x40\x01"
                          "a",
                          1),
                     HPACK_BROKEN);
    assert_int_equal(SCAN("\x40\x01"
                          "a"
                          "\x02"
                          "b",
                          1),
                     HPACK_BROKEN);                                      /* a value longer than the block */
    assert_int_equal(SCAN("\x40\x7f\xff\xff\xff\x7f", 1), HPACK_BROKEN); /* a name longer than any block */
    assert_int_equal(SCAN("\x20", 0), HPACK_FINE);                       /* table size update: no field */
    assert_int_equal(SCAN("\x3f\xe1\x1f\x82", 1), HPACK_FINE);
}

/* Cut anywhere, a block is fine or broken, and nothing is read behind its end (the sanitizer's part). */
static void cut_blocks(void **state)
{
    (void)state;
    static const char whole[] = "\x82\x86\x84\x41\x09"
                                "a.example"
                                "\x40\x03"
                                "abc"
                                "\x7f\x00"
                                "\x3f\xe1\x1f\xff\x00";
    for (size_t length = 0; length != sizeof(whole); ++length) {
        uint8_t *copy = malloc(length + (length == 0));
        assert_non_null(copy);
        memcpy(copy, whole, length);
        hpack_scan_t scan = guard_hpack_scan(copy, length, 100);
        assert_true(scan == HPACK_FINE || scan == HPACK_BROKEN);
        free(copy);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pseudo_fields), cmocka_unit_test(fields), cmocka_unit_test(content_length),
        cmocka_unit_test(sizes),         cmocka_unit_test(blocks), cmocka_unit_test(cut_blocks),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
