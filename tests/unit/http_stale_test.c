#include "edge/http/stale.h"
#include "tests/unit/http_table.h"

#define S(seconds) ((seconds)*INT64_C(1000))

/* For how long after its lifetime: as the response says, else as the site has it, and never against the
 * response's word. */
static void windows(void **state)
{
    (void)state;
    static const http_policy_t none = {.stale = {0, 0}}, site = {.stale = {S(7), S(8)}};
    static const struct {
        const char *rfc, *value;
        const http_policy_t *policy;
        int64_t while_revalidate_ms, if_error_ms;
    } rows[] = {
        {"RFC 9111 4.2.4: nobody permits it", "max-age=60", NULL, 0, 0},
        {"RFC 9111 4.2.4: nobody permits it", "max-age=60", &none, 0, 0},
        {"RFC 9111 4.2.4: by configuration", "max-age=60", &site, S(7), S(8)},
        {"RFC 9111 4.2.4: by configuration, of heuristic freshness too", "public", &site, S(7), S(8)},
        {"RFC 5861 3.1: the example", "max-age=600, stale-while-revalidate=30", NULL, S(30), 0},
        {"RFC 5861 4.1: the example", "max-age=600, stale-if-error=1200", NULL, 0, S(1200)},
        {"RFC 5861: both", "max-age=600, stale-while-revalidate=30, stale-if-error=1200", NULL, S(30),
         S(1200)},
        {"RFC 5861: the response's word before the site's", "max-age=600, stale-while-revalidate=30", &site,
         S(30), S(8)},
        {"RFC 5861: the response's word before the site's", "max-age=600, stale-if-error=1200", &site, S(7),
         S(1200)},
        {"RFC 5861: none is a word, too", "max-age=600, stale-while-revalidate=0, stale-if-error=0", &site, 0,
         0},
        {"RFC 9111 5.2: in any case", "max-age=600, Stale-While-Revalidate=30, STALE-IF-ERROR=3", NULL, S(30),
         S(3)},
        {"RFC 9111 1.2.2: more than 2^31", "max-age=1, stale-if-error=99999999999", NULL, 0,
         S(INT64_C(2147483648))},
        {"RFC 9111 5.2.2.2: must-revalidate",
         "max-age=60, must-revalidate, stale-while-revalidate=30, stale-if-error=30", &site, 0, 0},
        {"RFC 9111 5.2.2.8: proxy-revalidate",
         "max-age=60, stale-while-revalidate=30, stale-if-error=30, proxy-revalidate", &site, 0, 0},
        {"RFC 9111 5.2.2.10: s-maxage", "s-maxage=60, stale-while-revalidate=30, stale-if-error=30", &site, 0,
         0},
        {"RFC 9111 5.2.2.4: no-cache", "max-age=60, no-cache, stale-while-revalidate=30, stale-if-error=30",
         &site, 0, 0},
        {"RFC 9111 5.2.2.4: no-cache with names", "max-age=60, no-cache=\"x-a\", stale-if-error=30", &site, 0,
         0},
    };
    int failures = 0;
    for (size_t i = 0; i < LENGTH_OF(rows); i++) {
        http_field_t field = {TEXT("cache-control"), exact(rows[i].value)};
        http_cache_control_t control = http_cache_control((http_fields_t){&field, 1});
        http_stale_t got = http_stale_windows(&control, rows[i].policy);
        if (got.while_revalidate_ms != rows[i].while_revalidate_ms || got.if_error_ms != rows[i].if_error_ms)
            FAIL_ROW(i, rows[i].rfc, "%s: %lld ms, %lld ms", rows[i].value,
                     (long long)got.while_revalidate_ms, (long long)got.if_error_ms);
        text_free(field.value);
    }
    assert_int_equal(failures, 0);
}

#define NOW INT64_C(784111777000)
#define UNTROUBLED                                                                                           \
    {                                                                                                        \
        0, 0, 0                                                                                              \
    }
#define YES true

/* Stale by so much, with these windows, in this trouble: how may it be used, and is the origin to be asked
 * now? */
static void uses(void **state)
{
    (void)state;
    static const struct {
        const char *rfc;
        http_stale_t windows;
        int64_t ttl_ms;
        http_trouble_t trouble;
        http_use_t use;
        bool ask;
    } rows[] = {
        {"RFC 9111 4.2: fresh", {0, 0}, 1, UNTROUBLED, HTTP_FRESH, 0},
        {"RFC 9111 4.2: fresh, whatever the origin does", {S(30), S(60)}, 1, {3, NOW, 0}, HTTP_FRESH, 0},
        {"RFC 9111 4.2: as old as it may become is stale", {0, 0}, 0, UNTROUBLED, HTTP_VALIDATE, YES},
        {"RFC 9111 4.2.4: stale, and nobody permits it", {0, 0}, -1, UNTROUBLED, HTTP_VALIDATE, YES},
        {"RFC 9111 4.2.4: nor does trouble", {0, 0}, -1, {1, NOW, 0}, HTTP_VALIDATE, 0},
        {"RFC 5861 3: within the window", {S(30), 0}, 0, UNTROUBLED, HTTP_WHILE_REVALIDATE, YES},
        {"RFC 5861 3: within the window", {S(30), 0}, 1 - S(30), UNTROUBLED, HTTP_WHILE_REVALIDATE, YES},
        {"RFC 5861 3: after it", {S(30), 0}, -S(30), UNTROUBLED, HTTP_VALIDATE, YES},
        {"RFC 5861 4: no error is known", {0, S(60)}, -1, UNTROUBLED, HTTP_VALIDATE, YES},
        {"RFC 5861 4: an error just now", {0, S(60)}, -1, {1, NOW, 0}, HTTP_IF_ERROR, 0},
        {"RFC 5861 4: within the window", {0, S(60)}, 1 - S(60), {1, NOW, 0}, HTTP_IF_ERROR, 0},
        {"RFC 5861 4: after it", {0, S(60)}, -S(60), {1, NOW, 0}, HTTP_VALIDATE, 0},
        {"RFC 5861: the longer one for errors", {S(30), S(60)}, -S(45), {1, NOW, 0}, HTTP_IF_ERROR, 0},
        {"RFC 5861: the longer one for errors", {S(30), S(60)}, -S(45), UNTROUBLED, HTTP_VALIDATE, YES},
        {"RFC 5861: both", {S(30), S(60)}, -S(15), {1, NOW, 0}, HTTP_WHILE_REVALIDATE, 0},
        {"rests for a second", {S(30), 0}, -1, {1, NOW - 999, 0}, HTTP_WHILE_REVALIDATE, 0},
        {"and asks again", {S(30), 0}, -1, {1, NOW - S(1), 0}, HTTP_WHILE_REVALIDATE, YES},
        {"rests twice as long each time", {S(30), 0}, -1, {4, NOW + 1 - S(8), 0}, HTTP_WHILE_REVALIDATE, 0},
        {"and asks again", {S(30), 0}, -1, {4, NOW - S(8), 0}, HTTP_WHILE_REVALIDATE, YES},
        {"but not longer than this", {S(30), 0}, -1, {6, NOW + 1 - S(30), 0}, HTTP_WHILE_REVALIDATE, 0},
        {"but not longer than this",
         {S(30), 0},
         -1,
         {4000000000, NOW - S(30), 0},
         HTTP_WHILE_REVALIDATE,
         YES},
        {"an error is known until it was to be asked again",
         {0, S(60)},
         -1,
         {2, NOW - S(2), 0},
         HTTP_IF_ERROR,
         YES},
        {"and as long again", {0, S(60)}, -1, {2, NOW + 1 - S(4), 0}, HTTP_IF_ERROR, YES},
        {"then no more", {0, S(60)}, -1, {2, NOW - S(4), 0}, HTTP_VALIDATE, YES},
        {"what it answers to one request is not known of all",
         {0, S(60)},
         -1,
         {1, NOW, YES},
         HTTP_VALIDATE,
         0},
        {"and has it rest", {S(30), S(60)}, -1, {1, NOW - 999, YES}, HTTP_WHILE_REVALIDATE, 0},
        {"and asks again", {S(30), S(60)}, -1, {1, NOW - S(1), YES}, HTTP_WHILE_REVALIDATE, YES},
        {"a clock that was put back", {S(30), S(60)}, -1, {1, NOW + S(3600), 0}, HTTP_WHILE_REVALIDATE, YES},
        {"a clock that was put back", {0, S(60)}, -1, {1, NOW + S(3600), 0}, HTTP_VALIDATE, YES},
        {"a window without end",
         {S(INT64_C(2147483648)), 0},
         -S(100000),
         UNTROUBLED,
         HTTP_WHILE_REVALIDATE,
         YES},
    };
    int failures = 0;
    for (size_t i = 0; i < LENGTH_OF(rows); i++) {
        bool ask = false;
        http_use_t use = http_use(&rows[i].windows, rows[i].ttl_ms, rows[i].trouble, NOW, &ask);
        if (use != rows[i].use || ask != rows[i].ask)
            FAIL_ROW(i, rows[i].rfc, "use %d, ask %d", use, ask);
    }
    assert_int_equal(failures, 0);
}

/* RFC 5861 section 4: which answers are errors, and what may answer instead. */
static void errors(void **state)
{
    (void)state;
    static const int are[] = {500, 502, 503, 504},
                     are_not[] = {200, 304, 404, 408, 429, 501, 505, 507, 511, 599};
    for (size_t i = 0; i < LENGTH_OF(are); i++)
        assert_true(http_is_error(are[i]));
    for (size_t i = 0; i < LENGTH_OF(are_not); i++)
        assert_false(http_is_error(are_not[i]));
    static const struct {
        int64_t if_error_ms, ttl_ms;
        bool usable;
    } rows[] = {{0, -1, false},          {0, 0, false},          {0, 1, false},     {S(60), 0, YES},
                {S(60), 1 - S(60), YES}, {S(60), -S(60), false}, {S(60), S(5), YES}};
    for (size_t i = 0; i < LENGTH_OF(rows); i++)
        assert_int_equal(http_use_on_error(&(http_stale_t){S(999), rows[i].if_error_ms}, rows[i].ttl_ms),
                         rows[i].usable);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(windows),
        cmocka_unit_test(uses),
        cmocka_unit_test(errors),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
