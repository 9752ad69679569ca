#include "edge/http/url.h"
#include "tests/unit/http_table.h"

typedef struct {
    const char *rfc, *target;
    const char *normal; /* NULL with an error */
    url_error_t error;
} normal_row_t;

static const normal_row_t normal_rows[] = {
    {"RFC 9112 3.2.1: origin-form", "/", "/", URL_OK},
    {"RFC 9112 3.2.1: an absent path is /", "", "/", URL_OK},
    {"RFC 9112 3.2.1: an absent path before a query", "?a=b", "/?a=b", URL_OK},
    {"RFC 9112 3.2.1: not origin-form", "a/b", NULL, URL_NOT_A_URL},
    {"RFC 9112 3.2.4: asterisk-form is not origin-form", "*", NULL, URL_NOT_A_URL},
    {"RFC 9112 3.2.2: absolute-form is not origin-form", "http://a/b", NULL, URL_NOT_A_URL},
    {"RFC 3986 3.3: pchar", "/aZ09-._~!$&'()*+,;=:@/", "/aZ09-._~!$&'()*+,;=:@/", URL_OK},
    {"RFC 3986 6.2.2.1: escapes in upper case", "/%c3%a9/%C3%A9", "/%C3%A9/%C3%A9", URL_OK},
    {"RFC 3986 6.2.2.1: the path keeps its case", "/A/b", "/A/b", URL_OK},
    {"RFC 3986 6.2.2.2: unreserved are decoded", "/%7Euser/%41%7a%30%2D%5f%2ejs", "/~user/Az0-_.js", URL_OK},
    {"RFC 3986 2.2: reserved stay escaped", "/%3a%40%21%2c%3f%23", "/%3A%40%21%2C%3F%23", URL_OK},
    {"RFC 3986 2.4: never decoded twice", "/%2541%252e%252f", "/%2541%252e%252f", URL_OK},
    {"RFC 3986 2.1: space, escaped", "/a%20b", "/a%20b", URL_OK},
    {"RFC 3986 2.1: `%` without two digits", "/%", NULL, URL_BAD_ESCAPE},
    {"RFC 3986 2.1: `%` without two digits", "/%4", NULL, URL_BAD_ESCAPE},
    {"RFC 3986 2.1: `%` without two digits", "/%4g", NULL, URL_BAD_ESCAPE},
    {"RFC 3986 2.1: `%` without two digits", "/%g4", NULL, URL_BAD_ESCAPE},
    {"RFC 3986 2.1: digits do not reach over a slash", "/%4/1", NULL, URL_BAD_ESCAPE},
    {"RFC 3986 2.1: digits do not reach into the query", "/%4?1", NULL, URL_BAD_ESCAPE},
    {"RFC 3986 7.3: %00", "/a%00b", NULL, URL_BAD_ESCAPE},
    {"RFC 3986 7.3: a hidden separator", "/a%2Fb", NULL, URL_HIDDEN_SEPARATOR},
    {"RFC 3986 7.3: a hidden separator", "/a%2fb", NULL, URL_HIDDEN_SEPARATOR},
    {"RFC 3986 7.3: a hidden separator", "/a%5Cb", NULL, URL_HIDDEN_SEPARATOR},
    {"RFC 3986 7.3: a hidden separator", "/a%5cb", NULL, URL_HIDDEN_SEPARATOR},
    {"RFC 3986 7.3: a backslash", "/a\\b", NULL, URL_HIDDEN_SEPARATOR},
    {"RFC 3986 7.3: a backslash that leads up", "/a\\..\\b", NULL, URL_HIDDEN_SEPARATOR},
    {"RFC 3986 6.2.2.3: a dot segment, hidden", "/a/%2e%2e/b", NULL, URL_HIDDEN_SEPARATOR},
    {"RFC 3986 6.2.2.3: a dot segment, hidden", "/a/%2E./b", NULL, URL_HIDDEN_SEPARATOR},
    {"RFC 3986 6.2.2.3: a dot segment, hidden", "/a/.%2e", NULL, URL_HIDDEN_SEPARATOR},
    {"RFC 3986 6.2.2.3: a dot segment, hidden", "/a/%2e/b", NULL, URL_HIDDEN_SEPARATOR},
    {"RFC 3986 6.2.2.3: a dot segment, hidden before a query", "/%2e?a", NULL, URL_HIDDEN_SEPARATOR},
    {"RFC 3986 6.2.2.3: a hidden one is not harmless because it is popped", "/a/%2e/../b", NULL,
     URL_HIDDEN_SEPARATOR},
    {"RFC 3986 6.2.2.3: dots within a name", "/a%2e%2eb/%2e%2e%2e/.%2ea", "/a..b/.../..a", URL_OK},
    {"RFC 3986 5.2.4: /a/b/c/./../../g", "/a/b/c/./../../g", "/a/g", URL_OK},
    {"RFC 3986 5.2.4: `.` at the end", "/a/.", "/a/", URL_OK},
    {"RFC 3986 5.2.4: `..` at the end", "/a/b/..", "/a/", URL_OK},
    {"RFC 3986 5.2.4: `..` down to the root", "/a/..", "/", URL_OK},
    {"RFC 3986 5.2.4: `.` only", "/.", "/", URL_OK},
    {"RFC 3986 5.2.4: `./` only", "/./", "/", URL_OK},
    {"RFC 3986 5.2.4: before a query", "/a/..?b/../c", "/?b/../c", URL_OK},
    {"RFC 3986 5.2.4: `.` before a query", "/a/.?q", "/a/?q", URL_OK},
    {"RFC 3986 5.4.2: names that begin or end with dots", "/.g/..g/g./g../.../....",
     "/.g/..g/g./g../.../....", URL_OK},
    {"RFC 3986 5.2.4: an empty segment is a segment", "/a//../b", "/a/b", URL_OK},
    {"RFC 3986 5.2.4: an empty segment is a segment", "//..", "/", URL_OK},
    {"RFC 3986 5.2.4: at the end, after an empty one", "/a//..", "/a/", URL_OK},
    {"RFC 3986 6.2.2: // is not collapsed", "//a///b//", "//a///b//", URL_OK},
    {"RFC 3986 5.2.4: above the root", "/..", NULL, URL_ESCAPES_ROOT},
    {"RFC 3986 5.2.4: above the root", "/../a", NULL, URL_ESCAPES_ROOT},
    {"RFC 3986 5.2.4: above the root", "/a/../../b", NULL, URL_ESCAPES_ROOT},
    {"RFC 3986 5.2.4: above the root", "/./..", NULL, URL_ESCAPES_ROOT},
    {"RFC 3986 5.2.4: above the root, before a query", "/..?a", NULL, URL_ESCAPES_ROOT},
    {"RFC 3986 3.3: not allowed raw, sent by browsers", "/a|b", "/a%7Cb", URL_OK},
    {"RFC 3986 3.3: not allowed raw, sent by browsers", "/\"<>[]^`{|}", "/%22%3C%3E%5B%5D%5E%60%7B%7C%7D",
     URL_OK},
    {"RFC 3986 3.3: one key with its escape", "/%5b%7c%5d", "/%5B%7C%5D", URL_OK},
    {"RFC 3986 3.4: the query byte for byte", "/a?%7e%2f%2e/../b?c=%zz%", "/a?%7e%2f%2e/../b?c=%zz%", URL_OK},
    {"RFC 3986 3.4: the query byte for byte", "/a?[b]=\"c\"|{d}^`<e>\\f", "/a?[b]=\"c\"|{d}^`<e>\\f", URL_OK},
    {"RFC 3986 3.4: ... when the path changes, too", "/%61?%61|\\", "/a?%61|\\", URL_OK},
    {"RFC 3986 3.4: an empty query is one", "/a?", "/a?", URL_OK},
    {"RFC 3986 3.5: a fragment", "/a#b", NULL, URL_BAD_BYTE},
    {"RFC 3986 3.5: a fragment", "/a?b#c", NULL, URL_BAD_BYTE},
    {"RFC 3986 2: a space", "/a b", NULL, URL_BAD_BYTE},
    {"RFC 3986 2: a space in the query", "/a?b c", NULL, URL_BAD_BYTE},
    {"RFC 3986 2: a line feed", "/a\nb", NULL, URL_BAD_BYTE},
    {"RFC 3986 2: a line feed in the query", "/a?\n", NULL, URL_BAD_BYTE},
    {"RFC 3986 2: a tab", "/\t", NULL, URL_BAD_BYTE},
    {"RFC 3986 2: DEL", "/\x7f", NULL, URL_BAD_BYTE},
    {"RFC 3986 2: not ASCII", "/\xc3\xa9", NULL, URL_BAD_BYTE},
    {"RFC 3986 2: not ASCII in the query", "/?\xff", NULL, URL_BAD_BYTE},
    {"RFC 3986 2: not ASCII in the query of a path that changes", "/%61?\x80", NULL, URL_BAD_BYTE},
};

/* With a buffer of exactly the promised capacity, so that one byte more is seen. */
static url_error_t normalize(text_t target, char **buffer, text_t *normal)
{
    *buffer = must_alloc(URL_NORMAL_MAX(target.length));
    return url_normalize(target, *buffer, URL_NORMAL_MAX(target.length), normal);
}

static void normalizes(void **state)
{
    (void)state;
    int failures = 0;
    for (size_t i = 0; i < LENGTH_OF(normal_rows); i++) {
        const normal_row_t *row = &normal_rows[i];
        text_t target = exact(row->target), normal = {NULL, 0};
        char *buffer;
        url_error_t error = normalize(target, &buffer, &normal);
        if (error != row->error)
            FAIL_ROW(i, row->rfc, "'%s' gives error %d", row->target, error);
        else if (error == URL_OK && !text_equal(normal, text_of(row->normal)))
            FAIL_ROW(i, row->rfc, "'%s' gives '%.*s'", row->target, SHOW(normal));
        else if (error == URL_OK && strcmp(row->target, row->normal) == 0 && normal.data != target.data)
            FAIL_ROW(i, row->rfc, "'%s' does not change, and is copied", row->target);
        free(buffer);
        text_free(target);
    }
    assert_int_equal(failures, 0);
}

/* Every byte, alone in a path and in a query. */
static void judges_every_byte(void **state)
{
    (void)state;
    for (int byte = 0; byte < 256; byte++) {
        char path[] = {'/', (char)byte, 'x'}, query[] = {'/', '?', (char)byte}, buffer[URL_NORMAL_MAX(3)];
        bool bad = byte <= ' ' || byte >= 0x7f || byte == '#';
        text_t normal;
        url_error_t error = url_normalize((text_t){path, 3}, buffer, sizeof(buffer), &normal);
        url_error_t wanted = bad            ? URL_BAD_BYTE
                             : byte == '%'  ? URL_BAD_ESCAPE
                             : byte == '\\' ? URL_HIDDEN_SEPARATOR
                                            : URL_OK;
        assert_int_equal(error, wanted);
        error = url_normalize((text_t){query, 3}, buffer, sizeof(buffer), &normal);
        assert_int_equal(error, bad ? URL_BAD_BYTE : URL_OK);
    }
}

/* Every escape, in either case: RFC 3986 section 6.2.2. */
static void judges_every_escape(void **state)
{
    (void)state;
    for (int byte = 0; byte < 256; byte++) {
        char upper[8], lower[8], buffer[URL_NORMAL_MAX(6)], wanted[8];
        snprintf(upper, sizeof(upper), "/a%%%02X", (unsigned)byte);
        snprintf(lower, sizeof(lower), "/a%%%02x", (unsigned)byte);
        bool unreserved =
            byte < 128 && byte != 0 &&
            strchr("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~", byte) != NULL;
        url_error_t error = byte == 0                     ? URL_BAD_ESCAPE
                            : byte == '/' || byte == '\\' ? URL_HIDDEN_SEPARATOR
                                                          : URL_OK;
        if (unreserved)
            snprintf(wanted, sizeof(wanted), "/a%c", byte);
        else
            strcpy(wanted, upper);
        const char *targets[] = {upper, lower};
        for (size_t i = 0; i < 2; i++) {
            text_t normal;
            assert_int_equal(url_normalize(text_of(targets[i]), buffer, sizeof(buffer), &normal), error);
            if (error == URL_OK)
                assert_true(text_equal(normal, text_of(wanted)));
        }
    }
}

/* Targets from the pieces that matter, so that most of them are interesting. */
static text_t random_target(uint64_t *seed)
{
    static const char *const pieces[] = {"/",   "/",   "/",   ".",    "..",  "/..", "/.",  "/./", "/../",
                                         "a",   "bc",  "%",   "%2",   "%2e", "%2E", "%2f", "%5c", "%41",
                                         "%7e", "%c3", "%C3", "%00",  "%25", "|",   "[",   "\"",  "?",
                                         "\\",  "#",   " ",   "\x80", ";",   "=",   "//"};
    static const size_t harmless = 15; /* mostly from the front, so that many targets are not refused */
    char target[160] = "/";
    if (next_random(seed) % 16 == 0)
        target[0] = '\0';
    for (uint64_t left = next_random(seed) % 20; left > 0; left--) {
        size_t among = next_random(seed) % 8 == 0 ? LENGTH_OF(pieces) : harmless - 4;
        strcat(target, pieces[next_random(seed) % among]);
    }
    return exact(target);
}

static bool holds_dot_segment(text_t target)
{
    const char *mark = target.length == 0 ? NULL : memchr(target.data, '?', target.length);
    size_t end = mark == NULL ? target.length : (size_t)(mark - target.data);
    for (size_t i = 0; i < end; i++) {
        size_t next = i + 1;
        while (next < end && target.data[next] != '/')
            next++;
        text_t segment = {target.data + i + 1, next - i - 1};
        if (target.data[i] == '/' && (text_equal(segment, TEXT(".")) || text_equal(segment, TEXT(".."))))
            return true;
    }
    return false;
}

/* Idempotent, without dot segments, within its capacity; with any smaller capacity the same or URL_TOO_LONG.
 */
static void keeps_its_properties(void **state)
{
    (void)state;
    uint64_t seed = 1;
    size_t accepted = 0, changed = 0;
    for (int i = 0; i < 100000; i++) {
        text_t target = random_target(&seed), normal, again, small_normal;
        char *buffer, *again_buffer;
        url_error_t error = normalize(target, &buffer, &normal);
        size_t capacity = next_random(&seed) % URL_NORMAL_MAX(target.length);
        char *small = must_alloc(capacity == 0 ? 1 : capacity);
        url_error_t small_error = url_normalize(target, small, capacity, &small_normal);
        assert_true(small_error == error || small_error == URL_TOO_LONG);
        if (error == URL_OK) {
            accepted++;
            changed += normal.data != target.data;
            assert_true(normal.length >= 1 && normal.data[0] == '/');
            assert_false(holds_dot_segment(normal));
            assert_true(small_error == URL_TOO_LONG || text_equal(small_normal, normal));
            text_t copy = exact_part(normal.data, normal.length);
            assert_int_equal(normalize(copy, &again_buffer, &again), URL_OK);
            assert_true(again.data == copy.data && text_equal(again, normal));
            free(again_buffer);
            text_free(copy);
        }
        free(small);
        free(buffer);
        text_free(target);
    }
    assert_true(accepted > 20000 && changed > 10000); /* the inputs reach what is asserted */
}

/* Bytes without any sense: nothing is read or written outside. */
static void survives_any_bytes(void **state)
{
    (void)state;
    uint64_t seed = 3;
    for (int i = 0; i < 50000; i++) {
        char bytes[24];
        size_t length = next_random(&seed) % sizeof(bytes);
        for (size_t at = 0; at < length; at++)
            bytes[at] = (char)next_random(&seed);
        text_t text = exact_part(bytes, length), normal;
        char *buffer;
        normalize(text, &buffer, &normal);
        url_parts_t parts;
        url_split(text, &parts);
        free(buffer);
        text_free(text);
    }
}

/* The longest expansion fits exactly, one byte less does not. */
static void fills_its_capacity_exactly(void **state)
{
    (void)state;
    text_t target = exact("/||||"), normal;
    char *buffer = must_alloc(13), *small = must_alloc(12);
    assert_int_equal(url_normalize(target, buffer, 13, &normal), URL_OK);
    assert_true(text_equal(normal, TEXT("/%7C%7C%7C%7C")));
    assert_int_equal(url_normalize(target, small, 12, &normal), URL_TOO_LONG);
    assert_int_equal(url_normalize(target, NULL, 0, &normal), URL_TOO_LONG);
    free(buffer);
    free(small);
    text_free(target);
}

typedef struct {
    const char *rfc, *url;
    url_error_t error;
    url_parts_t parts;
} split_row_t;

#define PARTS(secure, name, six, number, given, rest)                                                        \
    {                                                                                                        \
        .https = secure, .host = {name, sizeof(name) - 1}, .ipv6 = six, .port = number, .port_given = given, \
        .target = {                                                                                          \
            rest,                                                                                            \
            sizeof(rest) - 1                                                                                 \
        }                                                                                                    \
    }

static const split_row_t split_rows[] = {
    {"RFC 9110 4.2.1: http", "http://a.example/b", URL_OK, PARTS(false, "a.example", false, 80, false, "/b")},
    {"RFC 9110 4.2.2: https", "https://a.example/b?c", URL_OK,
     PARTS(true, "a.example", false, 443, false, "/b?c")},
    {"RFC 3986 3.1: schemes in any case", "HttpS://A", URL_OK, PARTS(true, "A", false, 443, false, "")},
    {"RFC 3986 3.2.3: port", "http://a:8080/", URL_OK, PARTS(false, "a", false, 8080, true, "/")},
    {"RFC 3986 3.2.3: an empty port", "http://a:/", URL_OK, PARTS(false, "a", false, 80, false, "/")},
    {"RFC 3986 3.2.3: the caller judges port 0", "http://a:0", URL_OK, PARTS(false, "a", false, 0, true, "")},
    {"RFC 3986 3.2.3: leading zeros", "http://a:00080", URL_OK, PARTS(false, "a", false, 80, true, "")},
    {"RFC 3986 3.2: query without path", "http://a?b:c@d", URL_OK,
     PARTS(false, "a", false, 80, false, "?b:c@d")},
    {"RFC 3986 3.2.2: IPv6", "http://[::1]:81/x", URL_OK, PARTS(false, "::1", true, 81, true, "/x")},
    {"RFC 3986 3.2.2: IPv6 with IPv4", "https://[::ffff:1.2.3.4]", URL_OK,
     PARTS(true, "::ffff:1.2.3.4", true, 443, false, "")},
    {"RFC 3986 3.2.2: IPv4", "http://127.0.0.1:1", URL_OK, PARTS(false, "127.0.0.1", false, 1, true, "")},
    {"RFC 3986 3.3: the target is not judged here", "http://a/../%", URL_OK,
     PARTS(false, "a", false, 80, false, "/../%")},
    {"RFC 3986 3.2.3: port too large", "http://a:65536/", URL_BAD_PORT, {0}},
    {"RFC 3986 3.2.3: port too large", "http://a:99999999999999999999/", URL_BAD_PORT, {0}},
    {"RFC 3986 3.2.3: port too large", "http://a:4294967376/", URL_BAD_PORT, {0}},
    {"RFC 3986 3.2.3: port of digits", "http://a:8o/", URL_BAD_PORT, {0}},
    {"RFC 3986 3.2.3: port of digits", "http://a:+80/", URL_BAD_PORT, {0}},
    {"RFC 3986 3.2.3: one port", "http://a:80:80/", URL_BAD_PORT, {0}},
    {"RFC 9110 4.2.4: userinfo", "http://u:p@a/", URL_BAD_HOST, {0}},
    {"RFC 9110 4.2.4: userinfo", "http://@a/", URL_BAD_HOST, {0}},
    {"RFC 9110 4.2.1: an empty host", "http:///a", URL_BAD_HOST, {0}},
    {"RFC 9110 4.2.1: an empty host", "http://:80/", URL_BAD_HOST, {0}},
    {"RFC 9110 4.2.1: an empty host", "http://", URL_BAD_HOST, {0}},
    {"RFC 9110 4.2.1: an empty host", "http://?a", URL_BAD_HOST, {0}},
    {"RFC 3986 3.2.2: a host with a space", "http://a b/", URL_BAD_HOST, {0}},
    {"RFC 3986 3.2.2: a host with a backslash", "http://a\\b/", URL_BAD_HOST, {0}},
    {"RFC 3986 3.2.2: a host with an escape", "http://a%2fb/", URL_BAD_HOST, {0}},
    {"RFC 3986 3.2.2: a host that is not ASCII", "http://\xc3\xa9/", URL_BAD_HOST, {0}},
    {"RFC 3986 3.2.2: not an IPv6 address", "http://[::g]/", URL_BAD_HOST, {0}},
    {"RFC 3986 3.2.2: not an IPv6 address", "http://[1.2.3.4]/", URL_BAD_HOST, {0}},
    {"RFC 3986 3.2.2: the longest IPv6 address", "http://[0000:0000:0000:0000:0000:ffff:255.255.255.255]",
     URL_OK, PARTS(false, "0000:0000:0000:0000:0000:ffff:255.255.255.255", true, 80, false, "")},
    {"RFC 3986 3.2.2: longer than that",
     "http://[00000:0000:0000:0000:0000:ffff:255.255.255.255]",
     URL_BAD_HOST,
     {0}},
    {"RFC 3986 3.2.2: not an IPv6 address", "http://[]/", URL_BAD_HOST, {0}},
    {"RFC 3986 3.2.2: IPv6 without an end", "http://[::1/", URL_BAD_HOST, {0}},
    {"RFC 3986 3.2.2: IPv6 without brackets", "http://::1/", URL_BAD_HOST, {0}},
    {"RFC 3986 3.2.2: bytes after the bracket", "http://[::1]a/", URL_BAD_HOST, {0}},
    {"RFC 6874 2: a zone", "http://[fe80::1%25eth0]/", URL_BAD_HOST, {0}},
    {"RFC 9110 4.2.5: a fragment", "http://a/b#c", URL_BAD_BYTE, {0}},
    {"RFC 9110 4.2.5: a fragment", "http://a#c", URL_BAD_BYTE, {0}},
    {"RFC 9110 4.2: another scheme", "ftp://a/", URL_BAD_SCHEME, {0}},
    {"RFC 9110 4.2: another scheme", "httpss://a/", URL_BAD_SCHEME, {0}},
    {"RFC 3986 4.2: relative", "/a", URL_NOT_A_URL, {0}},
    {"RFC 3986 4.2: relative", "//a/b", URL_NOT_A_URL, {0}},
    {"RFC 3986 4.2: relative", "a.example/b", URL_NOT_A_URL, {0}},
    {"RFC 3986 4.2: relative, a URL in its query", "/a?u=http://b/", URL_NOT_A_URL, {0}},
    {"RFC 3986 3: no authority", "http:a", URL_NOT_A_URL, {0}},
    {"RFC 3986 3: no authority", "http:/a", URL_NOT_A_URL, {0}},
    {"RFC 3986 3: cut off", "http:", URL_NOT_A_URL, {0}},
    {"RFC 3986 3: cut off", "http", URL_NOT_A_URL, {0}},
    {"RFC 3986 3: empty", "", URL_NOT_A_URL, {0}},
    {"RFC 3986 3.1: an empty scheme", "://a", URL_NOT_A_URL, {0}},
};

static bool parts_equal(const url_parts_t *a, const url_parts_t *b)
{
    return a->https == b->https && text_equal(a->host, b->host) && a->ipv6 == b->ipv6 && a->port == b->port &&
           a->port_given == b->port_given && text_equal(a->target, b->target);
}

static void splits(void **state)
{
    (void)state;
    int failures = 0;
    for (size_t i = 0; i < LENGTH_OF(split_rows); i++) {
        text_t url = exact(split_rows[i].url);
        url_parts_t parts;
        url_error_t error = url_split(url, &parts);
        if (error != split_rows[i].error)
            FAIL_ROW(i, split_rows[i].rfc, "'%s' gives error %d", split_rows[i].url, error);
        else if (error == URL_OK && !parts_equal(&parts, &split_rows[i].parts))
            FAIL_ROW(i, split_rows[i].rfc, "'%s' gives %.*s %u %.*s", split_rows[i].url, SHOW(parts.host),
                     parts.port, SHOW(parts.target));
        text_free(url);
    }
    assert_int_equal(failures, 0);
}

static void refuses_long_hosts(void **state)
{
    (void)state;
    char url[300] = "http://";
    memset(url + 7, 'a', 256);
    url_parts_t parts;
    assert_int_equal(url_split((text_t){url, 7 + 255}, &parts), URL_OK);
    assert_int_equal(url_split((text_t){url, 7 + 256}, &parts), URL_BAD_HOST);
}

static void names_every_error(void **state)
{
    (void)state;
    assert_null(url_error_text(URL_OK));
    for (url_error_t error = URL_NOT_A_URL; error <= URL_TOO_LONG; error++)
        assert_true(strlen(url_error_text(error)) > 8);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(normalizes),
        cmocka_unit_test(judges_every_byte),
        cmocka_unit_test(judges_every_escape),
        cmocka_unit_test(keeps_its_properties),
        cmocka_unit_test(survives_any_bytes),
        cmocka_unit_test(fills_its_capacity_exactly),
        cmocka_unit_test(splits),
        cmocka_unit_test(refuses_long_hosts),
        cmocka_unit_test(names_every_error),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
