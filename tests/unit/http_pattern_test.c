/* Patterns of paths: what each kind of star stands for, and what is no pattern. Paths are as RFC 3986 section
 * 3.3 has them, normalised. */
#include "http_table.h"

#include "edge/http/pattern.h"

static void matches_what_it_says(void **state)
{
    (void)state;
    static const struct {
        const char *kind, *pattern, *matched, *others; /* paths, a space between each */
    } rows[] = {
        {"exact", "/robots.txt", "/robots.txt",
         "/robots.txt/ /robots.tx /robots_txt /a/robots.txt / /Robots.txt"},
        {"exact", "/", "/", "/a //"},
        {"exact", "/a//b", "/a//b", "/a/b /a//b/"},
        {"prefix", "/*", "/ /a /a/b //", ""},
        {"prefix", "/assets/*", "/assets/ /assets/a /assets/a/b.css /assets//",
         "/assets /asset/a /a/assets/b"},
        {"prefix", "/assets/**", "/assets/ /assets/a /assets/a/b.css", "/assets /asset/a"},
        {"prefix", "/*/img/*", "/a/img/ /a/img/b/c //img/", "/img/a /a/b/img/c /a/img"},
        {"glob", "/*.css", "/a.css /.css /a.b.css", "/a/b.css /a.css/ /a.cs"},
        {"glob", "/v*/app-*.js", "/v1/app-0a.js /v/app-.js", "/v1/2/app-a.js /v1/app-a/b.js /app-a.js"},
        {"glob", "/*a*b*", "/ab /xaxbx /aabb", "/ba /a/b /ab/"},
        {"glob", "/*ab*aba", "/ababa /abaaba /xabyaba", "/aba /abab /abaa"},
        {"glob", "/ab*ba", "/abba /abxba", "/aba /abb"},
        {"glob", "/a*", "/a /ab", "/a/ /a/b /b"},
        {"glob", "/a/*/b", "/a/x/b /a//b", "/a/b /a/x/y/b"},
        {"segments", "/**/b", "/b /a/b /a/x/b //b /b/b", "/b/ /ab /a/b/c"},
        {"segments", "/a/**/b/*.js", "/a/b/1.js /a/x/y/b/1.js /a/b/b/1.js /a/b/b/c/b/1.js",
         "/a/b/x/1.js /b/1.js /a/x/1.js /a/b"},
        {"segments", "/**/a/**/b/**/c", "/a/b/c /x/a/y/b/z/c /a/a/b/b/c/c", "/a/c/b /a/b /b/a/c"},
        {"segments", "/**/a/b", "/a/b /a/a/b /a/x/a/b", "/a/b/a /a/x/b"},
        {"segments", "/**/a/**/b/*", "/a/b/ /x/a/y/b/z /a/a/b/b/c", "/a/b /x/a/y/b /b/a/"},
        {"segments", "/**/a/b/**", "/a/b/ /a/a/b/c /a/b/a/b", "/a/b /x/a/x/b/c"},
        {"segments", "/a/**/*", "/a/ /a/b /a/b/c", "/a /b/a/"},
        {"segments", "/a/**/a", "/a/a /a/b/a", "/a /a/a/"},
        {"segments", "/a*/**/b*/**/c*d", "/a/b/cd /ax/y/bx/y/cxd /a/b/b/c/cd", "/a/cd /b/a/b/cd /a/b/cd/"},
        {"segments", "/**/**/b", "/b /a/b", "/a /b/"},
        {"segments", "/**/1/2/3/4/5/6/7/8/*", "/1/2/3/4/5/6/7/8/ /a/1/2/3/4/5/6/7/8/9", "/1/2/3/4/5/6/7/8"},
        {"segments", "/**/1/2/3/4/5/6/7/8/9", "/1/2/3/4/5/6/7/8/9 /a/1/2/3/4/5/6/7/8/9",
         "/1/2/3/4/5/6/7/8 /1/2/3/4/5/6/7/8/9/ /2/3/4/5/6/7/8/9"},
        {"segments", "/**/*.css", "/a.css /a/b.css", "/a/b.css/ /acss"},
        {"name", "*.css", "/a.css /a/b.css /.css", "/a.css/ /a.css/b /"},
        {"name", "robots.txt", "/robots.txt /a/robots.txt", "/robots.txt/ /arobots.txt"},
        {"name", "*", "/ /a /a/", ""},
    };
    size_t failures = 0;
    for (size_t i = 0; i < LENGTH_OF(rows); i++) {
        text_t pattern = exact(rows[i].pattern);
        for (int want = 1; want >= 0; want--) {
            const char *at = want ? rows[i].matched : rows[i].others;
            for (size_t length; *at != '\0'; at += length + (at[length] == ' ')) {
                length = strcspn(at, " ");
                text_t path = exact_part(at, length);
                if (http_pattern_matches(pattern, path) != (want == 1))
                    FAIL_ROW(i, rows[i].kind, "%s and %.*s", rows[i].pattern, SHOW(path));
                text_free(path);
            }
        }
        text_free(pattern);
    }
    assert_int_equal(failures, 0);
}

static void is_kept_in_the_form_of_paths(void **state)
{
    (void)state;
    static const struct {
        const char *pattern, *normal, *wrong;
    } rows[] = {
        {"/a", "/a", NULL},
        {"/%7euser/caf%c3%a9/*", "/~user/caf%C3%A9/*", NULL},
        {"/a/./b/../*.js", "/a/*.js", NULL},
        {"/a|b", "/a%7Cb", NULL},
        {"*.css", "*.css", NULL},
        {"%61*", "a*", NULL},
        {"/a/**/b", "/a/**/b", NULL},
        {"**", "**", NULL},
        {"", NULL, "is empty"},
        {"a/b", NULL, "does not begin with a slash"},
        {"/a?b", NULL, "holds a `?`: rules go by the path alone"},
        {"/a/**.js", NULL, "has `**` within a segment: it stands for whole ones, as in /a/**/b"},
        {"***", NULL, "has `**` within a segment: it stands for whole ones, as in /a/**/b"},
        {"/**/1/2/3/4/5/6/7/8/*", "/**/1/2/3/4/5/6/7/8/*", NULL},
        {"/1/2/3/4/5/6/7/8/9/**/1/2/3/4/5/6/7/8/9", "/1/2/3/4/5/6/7/8/9/**/1/2/3/4/5/6/7/8/9", NULL},
        {"/**/1/2/3/4/5/6/7/8/9/*", NULL,
         "has more than 8 segments between `**` and the next, or the star at its end"},
        {"/**/1/2/3/4/5/6/7/8/9/**", NULL,
         "has more than 8 segments between `**` and the next, or the star at its end"},
        {"/**/1/2/3/4/5/6/7/8/9/**/b", NULL,
         "has more than 8 segments between `**` and the next, or the star at its end"},
        {"/a b", NULL, "holds a control byte, a space, a `#` or a byte that is not ASCII"},
        {"/caf\xc3\xa9", NULL, "holds a control byte, a space, a `#` or a byte that is not ASCII"},
        {"/a%2Fb", NULL, "hides a separator: a backslash, `%2F`, `%5C`, or a dot segment written with `%2E`"},
        {"/../a", NULL, "leads above the root with `..`"},
        {"..", NULL, "leads above the root with `..`"},
        {".", NULL, "is a dot segment"},
        {"/a%zz", NULL, "holds a `%` without two hexadecimal digits after it, or `%00`"},
    };
    for (size_t i = 0; i < LENGTH_OF(rows); i++) {
        char buffer[HTTP_PATTERN_ROOM];
        text_t pattern = exact(rows[i].pattern), normal;
        const char *wrong = http_pattern_check(pattern, buffer, &normal);
        if (rows[i].wrong != NULL) {
            assert_string_equal(wrong, rows[i].wrong);
        } else {
            assert_null(wrong);
            assert_int_equal(normal.length, strlen(rows[i].normal));
            assert_memory_equal(normal.data, rows[i].normal, normal.length);
        }
        text_free(pattern);
    }
}

static void has_a_longest(void **state)
{
    (void)state;
    char bytes[HTTP_PATTERN_MAX + 1], buffer[HTTP_PATTERN_ROOM];
    text_t normal;
    memset(bytes, '|', sizeof bytes);
    bytes[0] = '/';
    assert_null(http_pattern_check((text_t){bytes, HTTP_PATTERN_MAX}, buffer, &normal));
    assert_int_equal(normal.length, 3 * HTTP_PATTERN_MAX - 2);
    assert_string_equal(http_pattern_check((text_t){bytes, HTTP_PATTERN_MAX + 1}, buffer, &normal),
                        "is longer than 512 bytes");
    memset(bytes, '|', sizeof bytes);
    assert_null(http_pattern_check((text_t){bytes, HTTP_PATTERN_MAX}, buffer, &normal));
    assert_int_equal(normal.length, 3 * HTTP_PATTERN_MAX);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(matches_what_it_says),
        cmocka_unit_test(is_kept_in_the_form_of_paths),
        cmocka_unit_test(has_a_longest),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
