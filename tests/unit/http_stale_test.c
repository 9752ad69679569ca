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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(windows),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
