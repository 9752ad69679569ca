/* What a request says of the stored responses that it takes. */
#include "edge/http/request_control.h"
#include "tests/unit/http_table.h"

enum { NO = HTTP_SECONDS_ABSENT };
#define ANY HTTP_SECONDS_MAX

static void reads_what_requests_say(void **state)
{
    (void)state;
    static const struct {
        const char *rfc, *fields;
        bool no_cache, no_store, only_if_cached;
        int64_t max_age, min_fresh, max_stale;
    } rows[] = {
        {"RFC 9111 5.2.1: nothing", "a: b", false, false, false, NO, NO, NO},
        {"RFC 9111 5.2.1.1: max-age", "cache-control: max-age=5", false, false, false, 5, NO, NO},
        {"RFC 9111 5.2.1.2: max-stale", "cache-control: max-stale=5", false, false, false, NO, NO, 5},
        {"RFC 9111 5.2.1.2: of any age", "cache-control: max-stale", false, false, false, NO, NO, ANY},
        {"RFC 9111 5.2.1.3: min-fresh", "cache-control: min-fresh=5", false, false, false, NO, 5, NO},
        {"RFC 9111 5.2.1.4: no-cache", "cache-control: no-cache", true, false, false, NO, NO, NO},
        {"RFC 9111 5.2.1.5: no-store", "cache-control: no-store", false, true, false, NO, NO, NO},
        {"RFC 9111 5.2.1.7: only-if-cached", "cache-control: only-if-cached", false, false, true, NO, NO, NO},
        {"RFC 9111 5.2: in any case, several, over lines",
         "cache-control: Max-Age=0, x=\"no-cache\"|cache-control: NO-STORE", false, true, false, 0, NO, NO},
        {"RFC 9111 1.2.2: 2^31 and more", "cache-control: max-age=99999999999", false, false, false, ANY, NO,
         NO},
        {"RFC 9111 1.2.2: no number is ignored",
         "cache-control: max-age=x, min-fresh=, max-stale=-1, max-age", false, false, false, NO, NO, NO},
        {"RFC 9111 5.2: both forms are accepted",
         "cache-control: max-age=\"5\", min-fresh=\"6\", max-stale=\"7\"", false, false, false, 5, 6, 7},
        {"RFC 9111 5.4: Pragma on several lines", "pragma: x|pragma: no-cache", true, false, false, NO, NO,
         NO},
        {"RFC 9111 5.4: Pragma", "pragma: x, No-Cache", true, false, false, NO, NO, NO},
        {"RFC 9111 5.4: another Pragma", "pragma: no-caches", false, false, false, NO, NO, NO},
        {"RFC 9111 5.4: only where there is no Cache-Control", "pragma: no-cache|cache-control: max-age=5",
         false, false, false, 5, NO, NO},
    };
    int failures = 0;
    for (size_t i = 0; i < LENGTH_OF(rows); i++) {
        table_fields_t fields = fields_of(rows[i].fields);
        http_request_control_t got = http_request_control(view(&fields));
        if (got.no_cache != rows[i].no_cache || got.no_store != rows[i].no_store ||
            got.only_if_cached != rows[i].only_if_cached || got.max_age != rows[i].max_age ||
            got.min_fresh != rows[i].min_fresh || got.max_stale != rows[i].max_stale)
            FAIL_ROW(i, rows[i].rfc, "%s: %d %d %d %lld %lld %lld", rows[i].fields, got.no_cache,
                     got.no_store, got.only_if_cached, (long long)got.max_age, (long long)got.min_fresh,
                     (long long)got.max_stale);
        fields_free(&fields);
    }
    assert_int_equal(failures, 0);
}

static void says_what_a_request_takes(void **state)
{
    (void)state;
    static const struct {
        const char *rfc, *value;
        http_use_t use; /* without the request's word */
        int64_t age_s, ttl_s;
        bool bound;
        http_use_t expected;
    } rows[] = {
        {"RFC 9111 4: nothing said", "x", HTTP_FRESH, 5, 5, false, HTTP_FRESH},
        {"RFC 9111 4: nothing said", "x", HTTP_VALIDATE, 5, -5, false, HTTP_VALIDATE},
        {"RFC 9111 4: nothing said", "x", HTTP_IF_ERROR, 5, -5, false, HTTP_IF_ERROR},
        {"RFC 9111 5.2.1.4: no-cache", "no-cache", HTTP_FRESH, 5, 5, false, HTTP_VALIDATE},
        {"RFC 9111 5.2.1.4: no-cache", "no-cache", HTTP_WHILE_REVALIDATE, 5, -5, false, HTTP_VALIDATE},
        {"RFC 9111 5.2.1.4: no-cache goes before max-stale", "no-cache, max-stale", HTTP_VALIDATE, 5, -5,
         false, HTTP_VALIDATE},
        {"RFC 9111 5.2.1.5: no-store does not speak of what is stored", "no-store", HTTP_FRESH, 5, 5, false,
         HTTP_FRESH},
        {"RFC 9111 5.2.1.1: younger", "max-age=5", HTTP_FRESH, 5, 5, false, HTTP_FRESH},
        {"RFC 9111 5.2.1.1: older", "max-age=5", HTTP_FRESH, 6, 5, false, HTTP_VALIDATE},
        {"RFC 9111 5.2.1.1: of no age", "max-age=0", HTTP_FRESH, 1, 5, false, HTTP_VALIDATE},
        {"RFC 9111 5.2.1.1: nothing stale with it", "max-age=9", HTTP_WHILE_REVALIDATE, 5, -1, false,
         HTTP_VALIDATE},
        {"RFC 9111 5.2.1.1: unless max-stale is there", "max-age=9, max-stale=1", HTTP_WHILE_REVALIDATE, 5,
         -1, false, HTTP_WHILE_REVALIDATE},
        {"RFC 9111 5.2.1.3: fresh for long enough", "min-fresh=5", HTTP_FRESH, 5, 5, false, HTTP_FRESH},
        {"RFC 9111 5.2.1.3: not for long enough", "min-fresh=5", HTTP_FRESH, 5, 4, false, HTTP_VALIDATE},
        {"RFC 9111 5.2.1.3: nor stale", "min-fresh=5", HTTP_WHILE_REVALIDATE, 5, -1, false, HTTP_VALIDATE},
        {"RFC 9111 5.2.1.2: stale for so long", "max-stale=5", HTTP_VALIDATE, 5, -5, false, HTTP_ON_REQUEST},
        {"RFC 9111 5.2.1.2: stale for longer", "max-stale=5", HTTP_VALIDATE, 5, -6, false, HTTP_VALIDATE},
        {"RFC 9111 5.2.1.2: of any age", "max-stale", HTTP_VALIDATE, 5, -99999, false, HTTP_ON_REQUEST},
        {"RFC 9111 5.2.1.2: fresh ones, too", "max-stale=5", HTTP_FRESH, 5, 1, false, HTTP_FRESH},
        {"RFC 9111 5.2.2.2: not where it must be validated", "max-stale", HTTP_VALIDATE, 5, -5, true,
         HTTP_VALIDATE},
    };
    int failures = 0;
    for (size_t i = 0; i < LENGTH_OF(rows); i++) {
        http_field_t field = {TEXT("cache-control"), text_of(rows[i].value)};
        http_request_control_t control = http_request_control((http_fields_t){&field, 1});
        http_use_t got = http_request_use(&control, rows[i].use, rows[i].age_s * 1000, rows[i].ttl_s * 1000,
                                          rows[i].bound);
        if (got != rows[i].expected)
            FAIL_ROW(i, rows[i].rfc, "%s: %d", rows[i].value, (int)got);
    }
    assert_int_equal(failures, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_what_requests_say),
        cmocka_unit_test(says_what_a_request_takes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
