/* What a site says of how long responses are fresh, and of those that it wants nothing stored of: beside what
 * RFC 9111 says of the same fields. */
#include "edge/http/storing.h"
#include "tests/unit/http_table.h"

/* The response came at DATE. */
#define NOW INT64_C(784111777000)
#define DATE "date: Sun, 06 Nov 1994 08:49:37 GMT"
#define MODIFIED DATE "|last-modified: Sun, 06 Nov 1994 08:48:37 GMT" /* a minute ago: 6 s */

enum { NO = -1 };

static const struct {
    const char *rfc;
    int always_s, standard_s, negative_s; /* NO: none is said */
    int status;
    const char *fields, *why; /* why NULL: it is stored */
    int64_t lifetime_s;
} rows[] = {
    {"RFC 9111 4.2.1: nothing is said", NO, NO, NO, 200, DATE, "no-freshness", 0},
    {"RFC 9111 4.2.2: the heuristic is the cache's own", NO, NO, NO, 200, MODIFIED, NULL, 6},
    /* where the origin says none */
    {"RFC 9111 4.2.2: the site's in its place", NO, 60, NO, 200, MODIFIED, NULL, 60},
    {"RFC 9111 4.2.2: without Last-Modified, too", NO, 60, NO, 200, DATE, NULL, 60},
    {"RFC 9111 4.2.1: s-maxage comes first", NO, 60, NO, 200, "cache-control: s-maxage=5", NULL, 5},
    {"RFC 9111 4.2.1: so does max-age", NO, 60, NO, 200, "cache-control: max-age=5", NULL, 5},
    {"RFC 9111 4.2.1: and Expires", NO, 60, NO, 200, DATE "|expires: Sun, 06 Nov 1994 08:49:42 GMT", NULL, 5},
    {"RFC 9111 5.3: one that is no date, too", NO, 60, NO, 200, "expires: 0", "no-validator", 0},
    {"RFC 9111 4.2.3: a response may come older than that", NO, 60, NO, 200, DATE "|age: 61", "no-validator",
     60},
    {"RFC 9111 4.2.2: 0 is a lifetime", NO, 0, NO, 200, MODIFIED, NULL, 0},
    {"RFC 9111 4.2.2: a permanent redirect", NO, 60, NO, 308, DATE, NULL, 60},
    {"RFC 9111 4.2.2: the other one", NO, 60, NO, 301, DATE, NULL, 60},
    {"RFC 9111 4.2.2: what somebody has transformed", NO, 60, NO, 203, DATE, NULL, 60},
    {"RFC 9111 4.2.2: nothing", NO, 60, NO, 204, DATE, NULL, 60},
    {"RFC 9111 4.2.2: several choices", NO, 60, NO, 300, DATE, NULL, 60},
    {"RFC 9111 4.2.2: no status with a lifetime of its own", NO, 60, NO, 302, DATE, "no-freshness", 0},
    {"RFC 9111 4.2.2: an error is no answer", NO, 60, NO, 500, DATE, "no-freshness", 0},
    {"RFC 9111 4.2.2: a 404 has the negative one", NO, 60, NO, 404, DATE, "no-freshness", 0},
    /* 404 and 410 */
    {"RFC 9111 4.2.2: 404", NO, NO, 10, 404, DATE, NULL, 10},
    {"RFC 9111 4.2.2: 410", NO, 60, 10, 410, DATE, NULL, 10},
    {"RFC 9111 4.2.2: in place of the heuristic", NO, NO, 10, 404, MODIFIED, NULL, 10},
    {"RFC 9111 4.2.1: what the origin says comes first", NO, NO, 10, 404, "cache-control: max-age=5", NULL,
     5},
    {"RFC 9111 4.2.2: neither 200", NO, NO, 10, 200, DATE, "no-freshness", 0},
    {"RFC 9111 4.2.2: nor 405", NO, NO, 10, 405, DATE, "no-freshness", 0},
    {"RFC 9111 5.2.2.5: no-store", NO, NO, 10, 404, "cache-control: no-store", "no-store", 10},
    /* whatever the origin says */
    {"RFC 9111 4.2.1: in place of max-age", 60, NO, NO, 200, "cache-control: max-age=5", NULL, 60},
    {"RFC 9111 4.2.1: of s-maxage", 60, 7, NO, 200, "cache-control: s-maxage=500", NULL, 60},
    {"RFC 9111 4.2.1: of Expires", 60, NO, NO, 200, "expires: 0", NULL, 60},
    {"RFC 9111 4.2.2: of none", 60, 7, NO, 200, DATE, NULL, 60},
    {"RFC 9111 4.2.1: max-age=0 is but a lifetime", 60, NO, NO, 200, "cache-control: max-age=0", NULL, 60},
    {"RFC 9111 4.2.1: of one that is none", 60, NO, NO, 200, "cache-control: max-age=abc", NULL, 60},
    {"RFC 9111 4.2.1: of two that differ", 60, NO, NO, 200, "cache-control: max-age=5, max-age=6", NULL, 60},
    {"RFC 9111 4.2.1: in its place alone", NO, 60, NO, 200, "cache-control: max-age=abc", "bad-cache-control",
     60},
    {"RFC 9111 4.2.1: not of an error's", 60, NO, NO, 404, "cache-control: max-age=abc", "bad-cache-control",
     0},
    {"RFC 9111 5.2: anything may hide in what is no list", 60, NO, NO, 200, "cache-control: max-age = 5",
     "bad-cache-control", 60},
    {"RFC 9111 5.2.2.5: no-store beside one that is none", 60, NO, NO, 200,
     "cache-control: max-age=abc, no-store", "no-store", 60},
    {"RFC 9111 4.2.3: age counts", 60, NO, NO, 200, DATE "|age: 60", "no-validator", 60},
    {"RFC 9111 4.2: 0, to be asked for each time", 0, NO, NO, 200, "cache-control: max-age=60|etag: \"a\"",
     NULL, 0},
    {"RFC 9111 5.2.2.5: not of no-store", 60, NO, NO, 200, "cache-control: no-store", "no-store", 60},
    {"RFC 9111 5.2.2.7: nor of private", 60, NO, NO, 200, "cache-control: private", "private", 60},
    {"RFC 9111 5.2.2.4: nor of no-cache", 60, NO, NO, 200, "cache-control: no-cache", "no-validator", 60},
    {"RFC 9111 4.1: nor of Vary: *", 60, NO, NO, 200, "vary: *", "vary", 60},
    {"RFC 9111 4.2.1: not of an error", 60, NO, NO, 404, "cache-control: max-age=5", NULL, 5},
    {"RFC 9111 4.2.1: nor of what is none, but depends on the request", 60, NO, NO, 302, DATE, "no-freshness",
     0},
};

static http_lifetime_t lifetime(int seconds)
{
    return seconds == NO ? (http_lifetime_t){.said = false} : (http_lifetime_t){true, seconds * 1000};
}

static http_storing_t decide(const http_policy_t *policy, int status, const char *lines)
{
    table_fields_t fields = fields_of(lines);
    http_exchange_t exchange = {.status = status,
                                .fields = view(&fields),
                                .request_time_ms = NOW,
                                .response_time_ms = NOW,
                                .policy = policy};
    http_storing_t storing = http_storing(&exchange);
    fields_free(&fields);
    return storing;
}

static void the_site_says_how_long(void **state)
{
    (void)state;
    size_t failures = 0;
    for (size_t i = 0; i < LENGTH_OF(rows); i++) {
        http_policy_t policy = {.lifetimes = {lifetime(rows[i].always_s), lifetime(rows[i].standard_s),
                                              lifetime(rows[i].negative_s)}};
        http_storing_t got = decide(&policy, rows[i].status, rows[i].fields);
        const char *why = got.why != NULL ? got.why : "stored";
        if (strcmp(why, rows[i].why != NULL ? rows[i].why : "stored") != 0 ||
            got.lifetime_ms != rows[i].lifetime_s * 1000)
            FAIL_ROW(i, rows[i].rfc, "%s, %lld ms", why, (long long)got.lifetime_ms);
    }
    assert_int_equal(failures, 0);
}

static void nothing_is_stored_or_shared_of_what_is_bypassed(void **state)
{
    (void)state;
    const http_policy_t policy = {.lifetimes.always = {true, 60000}, .bypass = true};
    http_storing_t got = decide(&policy, 200, "cache-control: max-age=60");
    assert_false(got.storable || got.shareable);
    assert_string_equal(got.why, "bypass");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_site_says_how_long),
        cmocka_unit_test(nothing_is_stored_or_shared_of_what_is_bypassed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
