/* Host names and the certificates that have them, and the bytes that a client names its host in. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "edge/tls/names.h"

enum { NOBODY = 999 };

static tls_names_t *names;
static unsigned other;

static int begin(void **state)
{
    (void)state;
    names = tls_names_new();
    return 0;
}

static int end(void **state)
{
    (void)state;
    tls_names_free(&names);
    return 0;
}

static tls_name_t add(const char *name, unsigned certificate)
{
    return tls_names_add(names, text_of(name), certificate, &other);
}

static unsigned find(const char *host)
{
    unsigned certificate = NOBODY;
    return tls_names_find(names, text_of(host), &certificate) ? certificate : NOBODY;
}

static void exactly_and_then_by_wildcard(void **state)
{
    (void)state;
    assert_int_equal(add("*.a.example", 1), TLS_NAME_ADDED);
    assert_int_equal(add("X.a.example", 2), TLS_NAME_ADDED);
    assert_int_equal(add("a.example.", 3), TLS_NAME_ADDED);
    assert_int_equal(find("x.A.example"), 2);
    assert_int_equal(find("y.a.example"), 1);
    assert_int_equal(find("y.a.example."), 1);
    assert_int_equal(find("a.example"), 3);
    assert_int_equal(find("z.y.a.example"), NOBODY);
    assert_int_equal(find("example"), NOBODY);
    assert_int_equal(find("a.exampl"), NOBODY);
    assert_int_equal(find("xa.example"), NOBODY);
}

static void a_name_is_one_certificates(void **state)
{
    (void)state;
    assert_int_equal(add("a.example", 1), TLS_NAME_ADDED);
    assert_int_equal(add("A.example", 1), TLS_NAME_ADDED);
    assert_int_equal(add("a.EXAMPLE.", 2), TLS_NAME_TAKEN);
    assert_int_equal(other, 1);
    assert_int_equal(add("*.a.example", 2), TLS_NAME_ADDED);
    assert_int_equal(add("*.A.example", 3), TLS_NAME_TAKEN);
    assert_int_equal(other, 2);
    assert_int_equal(find("a.example"), 1);
}

static void what_is_no_host_name_is_nobodys(void **state)
{
    (void)state;
    static const char *const wrong[] = {"",      ".",    "*",   "*.",   "**.a",  "a.*.b",
                                        "f*.a",  "a..b", ".a",  "a b",  "a\x80", "*.*.a",
                                        "[::1]", "a:80", "a/b", "*..a", "a..",   "*a.b"};
    char longest[TLS_NAME_MAX + 2];
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        assert_int_equal(add(wrong[i], 1), TLS_NAME_UNUSABLE);
        assert_int_equal(find(wrong[i]), NOBODY);
    }
    memset(longest, 'a', sizeof longest);
    assert_int_equal(tls_names_add(names, (text_t){longest, TLS_NAME_MAX + 1}, 1, &other), TLS_NAME_UNUSABLE);
    assert_int_equal(tls_names_add(names, (text_t){longest, TLS_NAME_MAX}, 1, &other), TLS_NAME_ADDED);
    assert_int_equal(tls_names_add(names, (text_t){"a\0b", 3}, 1, &other), TLS_NAME_UNUSABLE);
}

static void a_wildcard_is_not_asked_for_as_such(void **state)
{
    (void)state;
    add("*.a.example", 1);
    assert_int_equal(find("*.a.example"), NOBODY);
    assert_int_equal(find(".a.example"), NOBODY);
}

static void of_many_each_is_found(void **state)
{
    (void)state;
    enum { MANY = 1000 };
    char name[32];
    for (unsigned i = 0; i < MANY; i++) {
        snprintf(name, sizeof name, "h%u.example", i * 7919 % MANY);
        assert_int_equal(add(name, i * 7919 % MANY), TLS_NAME_ADDED);
    }
    for (unsigned i = 0; i < MANY; i++) {
        snprintf(name, sizeof name, "h%u.example", i);
        assert_int_equal(find(name), i);
    }
}

/* A copy of exactly so many bytes, so that a read beyond them is seen. */
static bool take(const char *bytes, size_t length, char *host, size_t capacity)
{
    char *copy = must_alloc(length > 0 ? length : 1);
    memcpy(copy, bytes, length);
    text_t found = {NULL, 0};
    bool taken = tls_server_name((text_t){copy, length}, &found);
    snprintf(host, capacity, "%.*s", (int)found.length, taken ? found.data : "");
    free(copy);
    return taken;
}

static void the_extension_names_one_host(void **state)
{
    (void)state;
    static const char right[] = "\0\x0c\0\0\x09"
                                "a.example";
    char host[32];
    assert_true(take(right, sizeof right - 1, host, sizeof host));
    assert_string_equal(host, "a.example");
    for (size_t length = 0; length < sizeof right - 1; length++)
        assert_false(take(right, length, host, sizeof host));
    assert_false(take(right, sizeof right, host, sizeof host)); /* one byte too many */
    assert_false(take("\0\x0c\1\0\x09"
                      "a.example",
                      14, host, sizeof host)); /* another type of name */
    assert_false(take("\0\x0c\0\0\x08"
                      "a.example",
                      14, host, sizeof host)); /* something behind it */
    assert_false(take("\0\x03\0\0\0", 5, host, sizeof host));
    assert_false(take("\0\0", 2, host, sizeof host));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(exactly_and_then_by_wildcard, begin, end),
        cmocka_unit_test_setup_teardown(a_name_is_one_certificates, begin, end),
        cmocka_unit_test_setup_teardown(what_is_no_host_name_is_nobodys, begin, end),
        cmocka_unit_test_setup_teardown(a_wildcard_is_not_asked_for_as_such, begin, end),
        cmocka_unit_test_setup_teardown(of_many_each_is_found, begin, end),
        cmocka_unit_test(the_extension_names_one_host),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
