/* Patterns of paths: how many bytes are looked at, whatever path a client thinks of. The code under test is
 * compiled into this file, with a count in each function that goes over bytes. */
#include "http_table.h"

#include "edge/http/url.h"

static size_t steps;

static const void *counted_memchr(const void *bytes, int byte, size_t length)
{
    const char *found = memchr(bytes, byte, length);
    steps += found != NULL ? (size_t)(found - (const char *)bytes) + 1 : length + 1;
    return found;
}

static const void *counted_memrchr(const void *bytes, int byte, size_t length)
{
    const char *found = memrchr(bytes, byte, length);
    steps += found != NULL ? length - (size_t)(found - (const char *)bytes) : length + 1;
    return found;
}

/* The library's takes time linear in both lengths. */
static const void *counted_memmem(const void *bytes, size_t length, const void *part, size_t part_length)
{
    const char *found = memmem(bytes, length, part, part_length);
    steps += part_length + (found != NULL ? (size_t)(found - (const char *)bytes) + 1 : length + 1);
    return found;
}

static int counted_memcmp(const void *a, const void *b, size_t length)
{
    size_t same = 0;
    while (same < length && ((const char *)a)[same] == ((const char *)b)[same])
        same++;
    steps += same + 1;
    return memcmp(a, b, length);
}

#define memchr counted_memchr
#define memrchr counted_memrchr
#define memmem counted_memmem
#define memcmp counted_memcmp
#include "edge/http/pattern.c"
#undef memchr
#undef memrchr
#undef memmem
#undef memcmp

enum { PATH = 16 << 10 };

/* `unit` again and again between `start` and `end`. */
static text_t repeated(const char *start, const char *unit, size_t count, const char *end)
{
    size_t length = strlen(start) + count * strlen(unit) + strlen(end);
    char *text = must_alloc(length + 1), *at = stpcpy(text, start);
    for (size_t i = 0; i < count; i++)
        at = stpcpy(at, unit);
    stpcpy(at, end);
    return (text_t){text, length};
}

static const char *const units[] = {
    "/", "/a", "a", "ab", "/aa", "/aaaaaaaaaaaaaaaa", "/aaaaaaaab", "/b/a/a/a/a/a/a/a"};

static size_t steps_of(text_t pattern)
{
    size_t most = 0;
    char buffer[HTTP_PATTERN_ROOM];
    text_t normal;
    assert_null(http_pattern_check(pattern, buffer, &normal));
    for (size_t i = 0; i < LENGTH_OF(units); i++) {
        const char *start = units[i][0] == '/' ? "" : "/";
        text_t path = repeated(start, units[i], PATH / strlen(units[i]), "");
        steps = 0;
        http_pattern_matches(normal, path);
        most = steps > most ? steps : most;
        text_free(path);
    }
    return most;
}

static void no_path_takes_long(void **state)
{
    (void)state;
    static const struct {
        const char *kind, *start, *unit;
        size_t count;
        const char *end;
        size_t most; /* so often each byte of the path */
    } rows[] = {
        {"a long literal between stars", "*", "a", 250, "b*.css", 8},
        {"the same in a segment", "/*", "a", 250, "b*.css", 8},
        {"many stars", "/", "*a", 250, "*b", 8},
        {"many stars in the name", "", "*a", 250, "*b", 8},
        {"many segments behind two stars", "/**/", "a/", 120, "b", 8},
        {"many with stars", "/**/", "a*/", 120, "b", 8},
        {"many groups", "/**", "/a/**", 80, "/b", 8},
        {"many groups with stars", "/**", "/*a*/**", 60, "/b", 8},
        {"two stars again and again", "", "/**", 160, "/b", 8},
        {"as many as are looked for", "/**", "/a", 7, "/b/*", 64},
        {"the same with stars", "/**", "/*a*", 7, "/b/*", 64},
        {"the same in the middle", "/**", "/a*", 7, "/b/**/c", 64},
        {"a long one that is looked for", "/**/", "a", 480, "b*/*", 64},
        {"a long one behind a star", "/**/*", "a", 480, "b/*", 64},
        {"many segments at the start", "", "/a", 200, "/b/**/c", 8},
    };
    size_t failures = 0;
    for (size_t i = 0; i < LENGTH_OF(rows); i++) {
        text_t pattern = repeated(rows[i].start, rows[i].unit, rows[i].count, rows[i].end);
        size_t most = steps_of(pattern);
        if (most > rows[i].most * (PATH + pattern.length))
            FAIL_ROW(i, rows[i].kind, "%zu steps for each byte", most / PATH);
        text_free(pattern);
    }
    assert_int_equal(failures, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(no_path_takes_long)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
