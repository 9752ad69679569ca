/* What Location and Content-Location name: the examples of RFC 3986 section 5.4, and origins (RFC 9111
 * section 4.4). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "edge/http/reference.h"
#include "edge/http/url.h"

/* NULL: nothing of this origin. */
static void expect(const http_origin_t *origin, const char *base, const char *reference, const char *wanted)
{
    char buffer[256];
    text_t target;
    bool found =
        http_reference_target(origin, text_of(base), text_of(reference), buffer, sizeof buffer, &target);
    if (wanted == NULL) {
        assert_false(found);
        return;
    }
    assert_true(found);
    assert_int_equal(target.length, strlen(wanted));
    assert_memory_equal(target.data, wanted, target.length);
}

static const http_origin_t plain = {false, {"a", 1}};

static void examples_of_the_rfc(void **state)
{
    (void)state;
    static const struct {
        const char *reference, *wanted;
    } cases[] = {
        {"g:h", NULL},
        {"g", "/b/c/g"},
        {"./g", "/b/c/g"},
        {"g/", "/b/c/g/"},
        {"/g", "/g"},
        {"//g", NULL},
        {"//a/g", "/g"},
        {"?y", "/b/c/d;p?y"},
        {"g?y", "/b/c/g?y"},
        {"#s", "/b/c/d;p?q"},
        {"g#s", "/b/c/g"},
        {"g?y#s", "/b/c/g?y"},
        {";x", "/b/c/;x"},
        {"g;x", "/b/c/g;x"},
        {"g;x?y#s", "/b/c/g;x?y"},
        {"", "/b/c/d;p?q"},
        {".", "/b/c/"},
        {"./", "/b/c/"},
        {"..", "/b/"},
        {"../", "/b/"},
        {"../g", "/b/g"},
        {"../..", "/"},
        {"../../g", "/g"},
        {"../../../g", NULL}, /* above the root: no request is answered for that either */
        {"./../g", "/b/g"},
        {"g/./h", "/b/c/g/h"},
        {"g/../h", "/b/c/h"},
        {"g;x=1/../y", "/b/c/y"},
        {"g?y/./x", "/b/c/g?y/./x"},
        {"g:80/x", NULL},
        {"./g:80", "/b/c/g:80"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        expect(&plain, "/b/c/d;p?q", cases[i].reference, cases[i].wanted);
}

static void of_the_same_origin_alone(void **state)
{
    (void)state;
    static const struct {
        http_origin_t origin;
        const char *reference;
        bool same;
    } cases[] = {
        {{false, {"a.example", 9}}, "http://a.example/x", true},
        {{false, {"A.example", 9}}, "HTTP://a.EXAMPLE:80/x", true},
        {{false, {"a.example.", 10}}, "http://a.example/x", true},
        {{false, {"a.example:80", 12}}, "http://a.example/x", true},
        {{false, {"a.example", 9}}, "https://a.example/x", false},
        {{false, {"a.example", 9}}, "https://a.example:80/x", false},
        {{true, {"a.example", 9}}, "http://a.example:443/x", false},
        {{false, {"a.example", 9}}, "http://a.example:81/x", false},
        {{false, {"a.example", 9}}, "http://b.example/x", false},
        {{false, {"a.example", 9}}, "http://a.example.evil/x", false},
        {{false, {"a.example", 9}}, "http://a.example@evil/x", false},
        {{false, {"a.example", 9}}, "//a.example/x", true},
        {{false, {"a.example", 9}}, "//b.example/x", false},
        {{true, {"a.example:8443", 14}}, "https://a.example:8443/x", true},
        {{true, {"a.example:8443", 14}}, "//a.example:8443/x", true},
        {{true, {"a.example:8443", 14}}, "https://a.example/x", false},
        {{true, {"[::1]:8443", 10}}, "https://[::1]:8443/x", true},
        {{true, {"[::1]:8443", 10}}, "https://[::2]:8443/x", false},
        {{true, {NULL, 0}}, "https://a.example/x", false},
        {{true, {NULL, 0}}, "/x", true},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        expect(&cases[i].origin, "/b", cases[i].reference, cases[i].same ? "/x" : NULL);
}

static void it_is_normalised_as_requests_are(void **state)
{
    (void)state;
    expect(&plain, "/b", "http://a", "/");
    expect(&plain, "/b", "/%7Euser/%c3%a9", "/~user/%C3%A9");
    expect(&plain, "/b", "/a/%2e%2e/b", NULL);
    expect(&plain, "/b", "/a b", NULL);
    expect(&plain, "/b/", "%41", "/b/A");
    expect(&plain, "/b/c", "\x01", NULL);
}

static void what_does_not_fit_is_none(void **state)
{
    (void)state;
    static char reference[9000];
    char buffer[8];
    text_t target;
    memset(reference, 'x', sizeof reference - 1);
    assert_false(
        http_reference_target(&plain, TEXT("/b/"), text_of(reference), buffer, sizeof buffer, &target));
    assert_false(
        http_reference_target(&plain, TEXT("/b/"), TEXT("longer-than-that"), buffer, sizeof buffer, &target));
    assert_true(http_reference_target(&plain, TEXT("/b/"), TEXT("short"), buffer, sizeof buffer, &target));
    assert_int_equal(target.length, 8);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(examples_of_the_rfc),
        cmocka_unit_test(of_the_same_origin_alone),
        cmocka_unit_test(it_is_normalised_as_requests_are),
        cmocka_unit_test(what_does_not_fit_is_none),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
