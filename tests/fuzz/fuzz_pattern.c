/* Patterns of paths, and queries as sites want them. The input: a pattern, a list of names and a request
 * target, a line each. The referee: a pattern stays as it is when it is checked again, and matches what a
 * table of all pairs of segments says; what is left of a query are parameters that were there, and stays when
 * done again. */
#include "edge/http/pattern.h"
#include "edge/http/query.h"
#include "edge/http/url.h"

enum { SEGMENTS_MAX = 64 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static text_t copy_of(text_t text)
{
    char *copy = malloc(text.length > 0 ? text.length : 1);
    MUST(copy != NULL);
    memcpy(copy, text.data, text.length);
    return (text_t){copy, text.length};
}

static void drop(text_t text)
{
    free((void *)(uintptr_t)text.data);
}

static text_t take_line(text_t *rest)
{
    const char *end = rest->length > 0 ? memchr(rest->data, '\n', rest->length) : NULL;
    text_t line = {rest->data, end != NULL ? (size_t)(end - rest->data) : rest->length};
    size_t used = line.length + (end != NULL ? 1 : 0);
    *rest = (text_t){rest->data + used, rest->length - used};
    return line;
}

/* Does what stands between slashes fit? By trying everything: short ones only. */
static bool fits(text_t pattern, text_t text)
{
    if (pattern.length == 0)
        return text.length == 0;
    text_t after = {pattern.data + 1, pattern.length - 1};
    if (pattern.data[0] == '*')
        return fits(after, text) ||
               (text.length > 0 && fits(pattern, (text_t){text.data + 1, text.length - 1}));
    return text.length > 0 && text.data[0] == pattern.data[0] &&
           fits(after, (text_t){text.data + 1, text.length - 1});
}

static size_t split(text_t path, text_t *segments)
{
    size_t count = 0;
    const char *at = path.data, *end = path.data + path.length;
    while (at < end) {
        const char *slash = memchr(at + 1, '/', (size_t)(end - at - 1)), *stop = slash != NULL ? slash : end;
        MUST(count < SEGMENTS_MAX);
        segments[count++] = (text_t){at + 1, (size_t)(stop - at - 1)};
        at = stop;
    }
    return count;
}

/* Each pair of places once. */
static bool table_matches(text_t pattern, text_t path)
{
    static bool fit[SEGMENTS_MAX + 2][SEGMENTS_MAX + 2];
    text_t wanted[SEGMENTS_MAX], there[SEGMENTS_MAX];
    size_t n = split(pattern, wanted), m = split(path, there);
    memset(fit, 0, sizeof fit);
    fit[n][m] = true;
    for (size_t i = n; i-- > 0;)
        for (size_t j = m + 1; j-- > 0;) {
            bool two = text_equal(wanted[i], TEXT("**"));
            bool rest = i + 1 == n && (two || text_equal(wanted[i], TEXT("*")));
            if (rest)
                fit[i][j] = j < m;
            else if (two)
                fit[i][j] = (fit[i + 1][j] && j < m) || (j < m && fit[i][j + 1]);
            else
                fit[i][j] = j < m && fits(wanted[i], there[j]) && fit[i + 1][j + 1];
        }
    return fit[0][0];
}

static size_t count_of(text_t text, char byte)
{
    size_t count = 0;
    for (size_t i = 0; i < text.length; i++)
        count += text.data[i] == byte;
    return count;
}

static bool is_small(text_t pattern, text_t path)
{
    return count_of(pattern, '*') <= 4 && path.length <= 48 && pattern.length <= 48;
}

static void check_pattern(text_t pattern, text_t path)
{
    char buffer[HTTP_PATTERN_ROOM], second[HTTP_PATTERN_ROOM];
    text_t normal, again;
    if (http_pattern_check(pattern, buffer, &normal) != NULL)
        return;
    MUST(normal.length > 0);
    if (normal.length <= HTTP_PATTERN_MAX)
        MUST(http_pattern_check(normal, second, &again) == NULL && text_equal(normal, again));
    text_t exact = copy_of(normal);
    bool matches = http_pattern_matches(exact, path);
    if (is_small(normal, path) && normal.data[0] == '/')
        MUST(matches == table_matches(normal, path));
    if (count_of(normal, '*') == 0 && normal.data[0] == '/')
        MUST(matches == text_equal(normal, path));
    drop(exact);
}

static void check_query(const http_query_t *query, text_t target)
{
    char *buffer = malloc(target.length), *second = malloc(target.length);
    MUST(buffer != NULL && second != NULL);
    text_t left = http_query_apply(query, target, buffer);
    MUST(left.length > 0 && left.length <= target.length);
    MUST(text_equal(left, http_query_apply(query, left, second)));
    if (query->keep.data == NULL && query->drop.length == 0 &&
        memmem(target.data, target.length, "&&", 2) == NULL)
        MUST(left.length + 2 >= target.length);
    free(second);
    free(buffer);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    text_t rest = {(const char *)data, size};
    text_t pattern = copy_of(take_line(&rest)), names = copy_of(take_line(&rest)), target = copy_of(rest),
           normal;
    char *buffer = malloc(URL_NORMAL_MAX(target.length));
    MUST(buffer != NULL);
    if (url_normalize(target, buffer, URL_NORMAL_MAX(target.length), &normal) == URL_OK) {
        text_t exact = copy_of(normal);
        const char *mark = memchr(exact.data, '?', exact.length);
        text_t path =
            copy_of((text_t){exact.data, mark != NULL ? (size_t)(mark - exact.data) : exact.length});
        check_pattern(pattern, path);
        for (int i = 0; i < 4; i++) {
            http_query_t query = {.sort = i & 1};
            *(i & 2 ? &query.drop : &query.keep) = names;
            check_query(&query, exact);
        }
        drop(path);
        drop(exact);
    }
    free(buffer);
    drop(target);
    drop(names);
    drop(pattern);
    return 0;
}
