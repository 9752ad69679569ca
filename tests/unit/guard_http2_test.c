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
                                                      .fields = {&c->field, c->field.name.data != NULL}},
                             guard_limits());
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
    static char value[GUARD_HEAD_BYTES];
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
    assert_int_equal(guard_http2_check(&request, guard_limits()).status, 0);
    request.fields.count = GUARD_FIELDS_MAX + 1;
    assert_int_equal(guard_http2_check(&request, guard_limits()).status, 431);
    assert_int_equal(guard_http2_check(&request, guard_limits()).reason, GUARD_TOO_MANY_FIELDS);
    many[0].value = (text_t){value, sizeof(value)};
    request.fields.count = 1;
    assert_int_equal(guard_http2_check(&request, guard_limits()).status, 431);
    assert_int_equal(guard_http2_check(&request, guard_limits()).reason, GUARD_HEADER_TOO_LARGE);
    many[0].value.length -= 100;
    assert_int_equal(guard_http2_check(&request, guard_limits()).status, 0);
    guard_limits_t limits = {1000, 2, 10};
    many[0].value = TEXT("b");
    request.fields.count = 2;
    request.path = TEXT("/123456789");
    assert_int_equal(guard_http2_check(&request, &limits).status, 0);
    request.path = TEXT("/1234567890");
    assert_int_equal(guard_http2_check(&request, &limits).status, 414);
    assert_int_equal(guard_http2_check(&request, &limits).reason, GUARD_URL_TOO_LONG);
    request.fields.count = 3;
    assert_int_equal(guard_http2_check(&request, &limits).status, 414);
    request.path = TEXT("/");
    assert_int_equal(guard_http2_check(&request, &limits).status, 431);
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

/* The plain way of RFC 7541, written without regard to speed, for comparison. */
static bool plain_integer(const uint8_t **at, const uint8_t *end, unsigned bits, uint32_t *value)
{
    uint32_t most = (1u << bits) - 1;
    if (*at == end)
        return false;
    *value = *(*at)++ & most;
    if (*value < most)
        return true;
    for (unsigned octets = 0; octets < 4; ++octets) {
        if (*at == end)
            return false;
        uint8_t octet = *(*at)++;
        *value += (uint32_t)(octet & 0x7f) << (7 * octets);
        if (octet < 0x80)
            return true;
    }
    return false;
}

static bool plain_string(const uint8_t **at, const uint8_t *end, uint32_t *length)
{
    if (!plain_integer(at, end, 7, length) || *length > (size_t)(end - *at))
        return false;
    *at += *length;
    return true;
}

static hpack_scan_t plain_scan(const uint8_t *at, size_t length, size_t most)
{
    const uint8_t *end = at + length;
    size_t count = 0;
    while (at < end) {
        uint32_t value, size;
        if (*at >= 0x20 && *at < 0x40) {
            if (!plain_integer(&at, end, 5, &value))
                return HPACK_BROKEN;
            continue;
        }
        if (*at >= 0x80) {
            if (!plain_integer(&at, end, 7, &value) || value == 0)
                return HPACK_BROKEN;
        } else {
            if (!plain_integer(&at, end, *at >= 0x40 ? 6 : 4, &value))
                return HPACK_BROKEN;
            if (value == 0 && !plain_string(&at, end, &size))
                return HPACK_BROKEN;
            if (value == 0 && size == 0)
                return HPACK_EMPTY_NAME;
            if (!plain_string(&at, end, &size))
                return HPACK_BROKEN;
        }
        if (++count > most)
            return HPACK_TOO_MANY;
    }
    return HPACK_FINE;
}

/* Whatever shortcuts the scan takes, it says what the plain way says: each first and second octet, at each
 * distance from the end that could matter; and octets at random, most of them small. */
static void scans_agree(void **state)
{
    (void)state;
    unsigned seen[4] = {0};
    uint32_t seed = 12345;
    for (size_t round = 0; round != 65536 * 4 + 200000; ++round) {
        uint8_t octets[200];
        size_t length = round < 65536 * 4 ? (size_t[]){1, 2, 16, 130}[round / 65536] : seed / 65536 % 24;
        for (size_t i = 0; i != length; ++i) {
            seed = seed * 1103515245u + 12345u;
            octets[i] = (uint8_t)(seed >> 16 & (seed >> 30 == 0 ? 0xff : 0x87));
        }
        if (round < 65536 * 4) {
            octets[0] = (uint8_t)(round >> 8);
            octets[1] = (uint8_t)round;
        }
        uint8_t *copy = malloc(length + (length == 0));
        assert_non_null(copy);
        memcpy(copy, octets, length);
        hpack_scan_t expected = plain_scan(copy, length, 5);
        assert_int_equal(guard_hpack_scan(copy, length, 5), expected);
        ++seen[expected];
        free(copy);
    }
    for (size_t i = 0; i != 4; ++i)
        assert_true(seen[i] > 1000);
}

/* What is remembered changes no answer. */
static void authorities_again(void **state)
{
    (void)state;
    static char longest[300];
    memset(longest, 'a', sizeof(longest));
    const text_t authorities[] = {
        {NULL, 0},         TEXT(""),          TEXT("a.example"), TEXT("a.example"),  TEXT("a.exampl"),
        TEXT("a.exampl "), TEXT("a.example"), {NULL, 0},         TEXT(""),           TEXT("a.example:80"),
        TEXT("b.example"), TEXT("b@example"), TEXT("b@example"), TEXT("b.example"),  {longest, 64},
        {longest, 64},     {longest, 65},     {longest, 65},     {longest, 255},     {longest, 256},
        {longest, 256},    {longest, 64},     {longest, 63},     TEXT("[::1]:8443"), TEXT("[::1]:844x"),
    };
    guard_authority_t last = {0};
    for (size_t i = 0; i != sizeof(authorities) / sizeof(authorities[0]); ++i) {
        bool valid = guard_authority_valid(authorities[i]);
        for (int times = 0; times != 2; ++times)
            assert_int_equal(guard_authority_again(&last, authorities[i]), valid);
    }
}

/* A byte that a path must not hold is seen at each place of the pieces that are looked at together. */
static void every_byte_of_a_path(void **state)
{
    (void)state;
    for (size_t length = 2; length <= 50; ++length) {
        char *path = malloc(length);
        assert_non_null(path);
        memset(path, 'x', length);
        path[0] = '/';
        guard_http2_request_t request = {.method = TEXT("GET"),
                                         .path = {path, length},
                                         .authority = A,
                                         .scheme = true,
                                         .ends = true,
                                         .content_length = NO_LENGTH};
        for (size_t place = 1; place != length; ++place) {
            for (int byte = 0; byte != 256; ++byte) {
                path[place] = (char)byte;
                bool good = byte > ' ' && byte != 0x7f;
                assert_int_equal(guard_http2_check(&request, guard_limits()).status, good ? 0 : 400);
            }
            path[place] = 'x';
        }
        free(path);
    }
}

/* The same of a value, which may hold spaces and tabs, but not at its ends. */
static void every_byte_of_a_value(void **state)
{
    (void)state;
    for (size_t length = 1; length <= 50; ++length) {
        char *value = malloc(length);
        assert_non_null(value);
        memset(value, 'x', length);
        const http_field_t field = {TEXT("x"), {value, length}};
        guard_http2_request_t request = {.method = TEXT("GET"),
                                         .path = TEXT("/"),
                                         .authority = A,
                                         .scheme = true,
                                         .ends = true,
                                         .content_length = NO_LENGTH,
                                         .fields = {&field, 1}};
        for (size_t place = 0; place != length; ++place) {
            for (int byte = 0; byte != 256; ++byte) {
                value[place] = (char)byte;
                bool blank = byte == ' ' || byte == '\t', at_end = place == 0 || place == length - 1;
                bool good = blank ? !at_end : byte > ' ' && byte != 0x7f;
                assert_int_equal(guard_http2_check(&request, guard_limits()).status, good ? 0 : 400);
            }
            value[place] = 'x';
        }
        free(value);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pseudo_fields),
        cmocka_unit_test(fields),
        cmocka_unit_test(content_length),
        cmocka_unit_test(sizes),
        cmocka_unit_test(blocks),
        cmocka_unit_test(cut_blocks),
        cmocka_unit_test(scans_agree),
        cmocka_unit_test(authorities_again),
        cmocka_unit_test(every_byte_of_a_path),
        cmocka_unit_test(every_byte_of_a_value),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
