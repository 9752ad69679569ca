/* What an origin says to caches like this one alone: RFC 9213, and Surrogate-Control before it. */
#include "edge/http/storing.h"
#include "edge/http/surrogate.h"
#include "tests/unit/http_table.h"

#define NOW INT64_C(784111777000)
#define CC "cache-control: max-age=7|"
#define CDN "cdn-cache-control: "
#define OURS "selvedge-cache-control: "
#define SC "surrogate-control: "

static const http_policy_t policy = {
    .targeted = {{{"selvedge-cache-control", 22}, {"cdn-cache-control", 17}, {"surrogate-control", 17}}, 3}};

typedef struct {
    const char *rfc, *fields, *why; /* NULL: stored */
    int64_t lifetime_s, stale_s;    /* while it is revalidated */
} row_t;

static const row_t rows[] = {
    {"RFC 9213 2.2: before Cache-Control", CC CDN "max-age=60", NULL, 60, 0},
    {"RFC 9213 2.2: before what Cache-Control forbids", "cache-control: no-store|" CDN "max-age=60", NULL, 60,
     0},
    {"RFC 9213 2.2: before what Cache-Control forbids", "cache-control: private, max-age=0|" CDN "max-age=60",
     NULL, 60, 0},
    {"RFC 9213 2.2: before Expires", "expires: Sun, 06 Nov 1994 09:49:37 GMT|" CDN "max-age=60", NULL, 60, 0},
    {"RFC 9213 2.2: Expires does not count where it says nothing of a lifetime",
     "expires: Sun, 06 Nov 1994 09:49:37 GMT|" CDN "public", "no-freshness", 0, 0},
    {"RFC 9213 2.2: nothing of Cache-Control counts", CC CDN "public", "no-freshness", 0, 0},
    {"RFC 9213 2.2: the first of the list", CC CDN "max-age=60|" OURS "max-age=30", NULL, 30, 0},
    {"RFC 9213 2.2: the first of the list", CC CDN "no-store|" OURS "max-age=30", NULL, 30, 0},
    {"RFC 9213 2.2: the first of the list that is well formed", CC CDN "max-age=60|" OURS "max-age=x", NULL,
     60, 0},
    {"RFC 9213 2.1: no-store", CC CDN "no-store, max-age=60", "no-store", 60, 0},
    {"RFC 9213 2.1: no-store that is false", CC CDN "no-store=?0, max-age=60", NULL, 60, 0},
    {"RFC 9213 2.1: private", CC CDN "private, max-age=60", "private", 60, 0},
    {"RFC 9213 2.1: private for some fields", CC CDN "private=\"x-a\", max-age=60", "private", 60, 0},
    {"RFC 9213 2.1: no-cache, without a validator", CC CDN "no-cache, max-age=60", "no-validator", 60, 0},
    {"RFC 9213 2.1: max-age=0", "etag: \"a\"|" CC CDN "max-age=0", NULL, 0, 0},
    {"RFC 9213 2.1: s-maxage goes before max-age", CC CDN "max-age=60, s-maxage=50", NULL, 50, 0},
    {"RFC 9213 2.1: the window of RFC 5861", CC CDN "max-age=60, stale-while-revalidate=5", NULL, 60, 5},
    {"RFC 9213 2.1: Cache-Control's window does not count",
     "cache-control: max-age=7, stale-while-revalidate=5|" CDN "max-age=60", NULL, 60, 0},
    {"RFC 9213 2.1: must-revalidate", CC CDN "max-age=60, stale-while-revalidate=5, must-revalidate", NULL,
     60, 0},
    {"RFC 9213 2.1: parameters do not count", CC CDN "max-age=60;a=b", NULL, 60, 0},
    {"RFC 9213 2.1: unknown directives are ignored", CC CDN "max-age=60, fancy=(1 2)", NULL, 60, 0},
    {"RFC 9213 2.1: understood, and of no consequence", CC CDN "max-age=60, immutable", NULL, 60, 0},
    {"RFC 8941 3.2: the last of a key", CC CDN "max-age=60, max-age=50", NULL, 50, 0},
    {"RFC 8941 4.2.2: the last of a key, whatever type the others have", CC CDN "max-age=\"5\", max-age=60",
     NULL, 60, 0},
    {"RFC 8941 4.2.2: and it alone can be wrong", CC CDN "max-age=60, max-age=\"5\"", NULL, 7, 0},
    {"RFC 8941 4.2.2: each key by itself", CC CDN "max-age=60, no-store=1, no-store=?0, private=x", NULL, 7,
     0},
    {"RFC 9213 2.1: must-understand", CC CDN "max-age=60, no-store, must-understand", NULL, 60, 0},
    {"RFC 9213 2.1: must-understand that is false", CC CDN "max-age=60, no-store, must-understand=?0",
     "no-store", 60, 0},
    {"RFC 9213 2.1: must-revalidate that is false",
     CC CDN "max-age=60, stale-while-revalidate=5, must-revalidate=?0", NULL, 60, 5},
    {"RFC 9111 1.2.2: 2^31 and more", CC CDN "max-age=2147483648", NULL, INT64_C(2147483648), 0},
    {"RFC 9111 1.2.2: 2^31 and more", CC CDN "max-age=999999999999999", NULL, INT64_C(2147483648), 0},
    {"RFC 9111 4.2.1: before now is none left", "etag: \"a\"|" CC CDN "max-age=-1", NULL, 0, 0},
    {"RFC 9213 2.1: a wrong type: ignored", CC CDN "max-age=\"60\"", NULL, 7, 0},
    {"RFC 9213 2.1: a wrong type: ignored", CC CDN "max-age=60.5", NULL, 7, 0},
    {"RFC 9213 2.1: a wrong type: ignored", CC CDN "max-age", NULL, 7, 0},
    {"RFC 9213 2.1: a wrong type: ignored", CC CDN "max-age=60, no-store=1", NULL, 7, 0},
    {"RFC 9213 2.1: a wrong type: ignored", CC CDN "max-age=60, private=x", NULL, 7, 0},
    {"RFC 9213 2.1: a wrong type: ignored", CC CDN "max-age=60, must-revalidate=1", NULL, 7, 0},
    {"RFC 9213 2.1: a wrong type: ignored", CC CDN "max-age=60, immutable=1", NULL, 7, 0},
    {"RFC 9213 2.1: a syntax error: ignored", CC CDN "max-age=60, ", NULL, 7, 0},
    {"RFC 9213 2.1: a syntax error: ignored", CC CDN "MAX-AGE=60", NULL, 7, 0},
    {"RFC 9213 2.1: a syntax error: ignored", CC CDN "max-age=60; no-store, &", NULL, 7, 0},
    {"RFC 9213 2.1: a syntax error beside no-store: ignored", CC CDN "no-store, &", NULL, 7, 0},
    {"RFC 9213 2.1: empty: ignored", CC CDN, NULL, 7, 0},
    {"RFC 9213 2.1: over two lines", CC CDN "public|" CDN "max-age=60", NULL, 60, 0},

    {"Edge Architecture 2.3: max-age", CC SC "max-age=60", NULL, 60, 0},
    {"Edge Architecture 2.3: in any case", CC SC "Max-Age=60", NULL, 60, 0},
    {"Edge Architecture 2.3: and for how long it may be used stale", CC SC "max-age=60+5", NULL, 60, 5},
    {"Edge Architecture 2.3: no-store", CC SC "no-store", "no-store", 0, 0},
    {"Edge Architecture 2.3: before what Cache-Control forbids", "cache-control: no-store|" SC "max-age=60",
     NULL, 60, 0},
    {"Edge Architecture 2.3: beside what is not understood", CC SC "content=\"ESI/1.0\", max-age=60, fancy",
     NULL, 60, 0},
    {"Edge Architecture 2.3: nothing that is understood", CC SC "content=\"ESI/1.0\"", NULL, 7, 0},
    {"Edge Architecture 2.3: for this device", CC SC "max-age=60;selvedge", NULL, 60, 0},
    {"Edge Architecture 2.3: for this device, and for all", CC SC "max-age=60;selvedge, no-store", NULL, 60,
     0},
    {"Edge Architecture 2.3: for this device, behind what is for all",
     CC SC "no-store, max-age=60 ; Selvedge", NULL, 60, 0},
    {"Edge Architecture 2.3: for another device", CC SC "max-age=60;squid", NULL, 7, 0},
    {"Edge Architecture 2.3: for another device", CC SC "no-store;squid, max-age=60", NULL, 60, 0},
    {"Edge Architecture 2.3: white space within", CC SC "max-age =60", NULL, 7, 0},
    {"Edge Architecture 2.3: white space within", CC SC "max-age= 60", NULL, 7, 0},
    {"Edge Architecture 2.3: no number", CC SC "max-age=60+", NULL, 7, 0},
    {"Edge Architecture 2.3: no number", CC SC "max-age=+60", NULL, 7, 0},
    {"Edge Architecture 2.3: no-store has no value", CC SC "no-store=1", NULL, 7, 0},
    {"Edge Architecture 2.3: over two lines", CC SC "content=\"ESI/1.0\"|" SC "max-age=60", NULL, 60, 0},
    {"RFC 9213 2.2: a targeted field goes before it in this list", CC SC "no-store|" CDN "max-age=60", NULL,
     60, 0},
};

static http_storing_t decide(const table_fields_t *fields, const http_policy_t *by)
{
    return http_storing(&(http_exchange_t){.status = 200,
                                           .fields = view(fields),
                                           .request_time_ms = NOW,
                                           .response_time_ms = NOW,
                                           .policy = by});
}

static bool same_why(const char *a, const char *b)
{
    return a == b || (a != NULL && b != NULL && strcmp(a, b) == 0);
}

static void counts_before_cache_control(void **state)
{
    (void)state;
    int failures = 0;
    for (size_t i = 0; i < LENGTH_OF(rows); i++) {
        table_fields_t fields = fields_of(rows[i].fields);
        http_storing_t got = decide(&fields, &policy);
        if (!same_why(got.why, rows[i].why) || got.lifetime_ms != rows[i].lifetime_s * 1000 ||
            got.stale.while_revalidate_ms != rows[i].stale_s * 1000)
            FAIL_ROW(i, rows[i].rfc, "%s: %s, lifetime %lld, stale %lld", rows[i].fields,
                     got.why != NULL ? got.why : "stored", (long long)got.lifetime_ms,
                     (long long)got.stale.while_revalidate_ms);
        fields_free(&fields);
    }
    assert_int_equal(failures, 0);
}

/* Each site has its own list. */
static void counts_only_where_the_site_says_so(void **state)
{
    (void)state;
    static const http_policy_t other = {.targeted = {{{"cdn-cache-control", 17}}, 1}};
    table_fields_t fields = fields_of(CC SC "no-store|" OURS "max-age=60|" CDN "max-age=30");
    assert_int_equal(decide(&fields, NULL).lifetime_ms, 7000);
    assert_int_equal(decide(&fields, &(http_policy_t){0}).lifetime_ms, 7000);
    assert_int_equal(decide(&fields, &other).lifetime_ms, 30000);
    assert_int_equal(decide(&fields, &policy).lifetime_ms, 60000);
    fields_free(&fields);
}

/* What ends here, and what goes on. */
static void keeps_back_what_is_consumed(void **state)
{
    (void)state;
    static const http_policy_t consumes = {.consumed = {{{"a", 1}, {"b", 1}}, 2},
                                           .set_cookie = HTTP_SET_COOKIE_REMOVE};
    assert_false(http_policy_sends(&consumes, TEXT("a")));
    assert_false(http_policy_sends(&consumes, TEXT("b")));
    assert_true(http_policy_sends(&consumes, TEXT("ab")));
    assert_true(http_policy_sends(&consumes, TEXT("set-cookie"))); /* where it is still there */
    assert_true(http_policy_removes(&consumes, TEXT("set-cookie")));
    assert_true(http_policy_sends(&policy, TEXT("set-cookie")));
    assert_true(http_policy_sends(NULL, TEXT("a")));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(counts_before_cache_control),
        cmocka_unit_test(counts_only_where_the_site_says_so),
        cmocka_unit_test(keeps_back_what_is_consumed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
