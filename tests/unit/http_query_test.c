/* Queries: what is kept, dropped and sorted. RFC 3986 section 3.4 leaves to each site what its parameters
 * mean; that they stand between ampersands is HTML's form encoding. */
#include "http_table.h"

#include "edge/http/query.h"

static void has_what_the_site_wants(void **state)
{
    (void)state;
    static const struct {
        const char *keep, *drop; /* keep NULL: all */
        bool sort;
        const char *target, *wanted;
    } rows[] = {
        {NULL, "", false, "/a?b=2&a=1&&", "/a?b=2&a=1&&"},
        {NULL, "", false, "/a?", "/a?"},
        /* dropped */
        {NULL, "utm_* fbclid", false, "/a?utm_source=x&v=1&fbclid=y&utm_=", "/a?v=1"},
        {NULL, "utm_* fbclid", false, "/a?fbclid", "/a"},
        {NULL, "utm_* fbclid", false, "/a", "/a"},
        {NULL, "utm_* fbclid", false, "/a?fbclid2=1&xfbclid=2&FBCLID=3&utm=4",
         "/a?fbclid2=1&xfbclid=2&FBCLID=3&utm=4"},
        {NULL, "fbclid", false, "/fbclid?a=fbclid&b=?fbclid=1", "/fbclid?a=fbclid&b=?fbclid=1"},
        {NULL, "fbclid", false, "/a?fbcli%64=1", "/a?fbcli%64=1"},
        {NULL, "*", false, "/a?a&b=1&=c", "/a"},
        {NULL, "a b c d* *e", false, "/a?=b&de&a&xe&e&d&c=1&ax", "/a?=b&ax"},
        /* kept */
        {"v w", "", false, "/a?x=1&w=2&v&y=3&v=4", "/a?w=2&v&v=4"},
        {"v w", "", false, "/a?vw=1&V=2&=v", "/a"},
        {"", "", false, "/a?v=1", "/a"},
        {"", "", false, "/a?", "/a"},
        {"v*", "v2", false, "/a?v1=1&v2=2&v3=3&u=4", "/a?v1=1&v3=3"},
        {"*", "", false, "/a?&a&&b=&=&", "/a?a&b=&="},
        /* sorted */
        {NULL, "", true, "/a?b=2&a=1&b=1&B=3&a", "/a?B=3&a=1&a&b=2&b=1"},
        {NULL, "", true, "/a?ab=1&a=2&a-=3&aa", "/a?a=2&a-=3&aa&ab=1"},
        {NULL, "", true, "/a?b&&a&", "/a?a&b"},
        {"a b c", "c", true, "/a?c=1&b=2&d=3&a=4", "/a?a=4&b=2"},
        {NULL, "", true, "/b?a?c&a=/?&", "/b?a=/?&a?c"},
    };
    size_t failures = 0;
    for (size_t i = 0; i < LENGTH_OF(rows); i++) {
        http_query_t query = {.keep = exact(rows[i].keep), .drop = exact(rows[i].drop), .sort = rows[i].sort};
        text_t target = exact(rows[i].target);
        char *buffer = must_alloc(target.length), *second = must_alloc(target.length);
        text_t found = http_query_apply(&query, target, buffer);
        if (!text_equal(found, text_of(rows[i].wanted)))
            FAIL_ROW(i, rows[i].target, "%.*s, not %s", SHOW(found), rows[i].wanted);
        if (!text_equal(found, http_query_apply(&query, found, second)))
            FAIL_ROW(i, rows[i].target, "not the same when done twice");
        if ((found.data == target.data) !=
            (http_query_is_plain(&query) || strchr(rows[i].target, '?') == NULL))
            FAIL_ROW(i, rows[i].target, "copied, or not");
        text_free(query.keep);
        text_free(query.drop);
        text_free(target);
        free(second);
        free(buffer);
    }
    assert_int_equal(failures, 0);
}

static text_t many(size_t count, char *text)
{
    char *at = text + sprintf(text, "/a");
    for (size_t i = 0; i < count; i++)
        at += sprintf(at, "%c%03zu", i == 0 ? '?' : '&', count - i);
    return (text_t){text, (size_t)(at - text)};
}

static void too_many_stay_in_their_order(void **state)
{
    (void)state;
    char text[1024], buffer[1024];
    const http_query_t query = {.sort = true, .drop = TEXT("x")};
    text_t target = many(HTTP_QUERY_SORTED_MAX, text);
    text_t found = http_query_apply(&query, target, buffer);
    assert_int_equal(found.length, target.length);
    assert_memory_equal(found.data, "/a?001&002&", 11);
    target = many(HTTP_QUERY_SORTED_MAX + 1, text);
    assert_true(text_equal(http_query_apply(&query, target, buffer), target));
    /* Those that go do not count. */
    memcpy(text + target.length, "&x", 2);
    text[3] = 'x', text[4] = '&', text[5] = 'x';
    found = http_query_apply(&query, (text_t){text, target.length + 2}, buffer);
    assert_memory_equal(found.data, "/a?001&002&", 11);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(has_what_the_site_wants),
        cmocka_unit_test(too_many_stay_in_their_order),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
