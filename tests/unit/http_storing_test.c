#include "edge/http/storing.h"
#include "tests/unit/http_table.h"

/* The response came at DATE, in a second; the request was sent at the same time unless a row says otherwise.
 */
#define NOW INT64_C(784111777000)
#define DATE "date: Sun, 06 Nov 1994 08:49:37 GMT"
#define TEN_SECONDS_AGO "date: Sun, 06 Nov 1994 08:49:27 GMT"
#define MODIFIED "last-modified: Sun, 06 Nov 1994 08:48:37 GMT" /* a minute ago: 6 s */
#define MODIFIED_LONG_AGO "last-modified: Sat, 06 Nov 1993 08:49:37 GMT"
#define TEN(letter)                                                                                          \
    letter "0," letter "1," letter "2," letter "3," letter "4," letter "5," letter "6," letter "7," letter   \
           "8," letter "9"
#define SIXTY TEN("a") "," TEN("b") "," TEN("c") "," TEN("d") "," TEN("e") "," TEN("f")

enum { BOTH, SHARED_ONLY, STORED_ONLY, NEITHER };
#define WITH_AUTHORIZATION true

typedef struct {
    const char *rfc, *fields;
    int status;
    int allowed;
    const char *why; /* NULL when stored */
    int64_t lifetime_s, age_s;
    bool authorization;
} row_t;

/* Sections 3, 5.2.2: may it be stored, may it be shared? */
static const row_t permission_rows[] = {
    {"RFC 9111 3: max-age", "cache-control: max-age=60", 200, BOTH, NULL, 60, 0, 0},
    {"RFC 9111 3: no-store", "cache-control: max-age=60, no-store", 200, NEITHER, "no-store", 60, 0, 0},
    {"RFC 9111 3: private", "cache-control: private, max-age=60", 200, NEITHER, "private", 60, 0, 0},
    {"RFC 9111 5.2.2.7: private with names", "cache-control: max-age=60, private=\"x-a, x-b\"", 200, NEITHER,
     "private", 60, 0, 0},
    {"RFC 9111 5.2: directives in any case", "cache-control: Max-Age=60, NO-STORE", 200, NEITHER, "no-store",
     60, 0, 0},
    {"RFC 9110 5.3: lines combined", "cache-control: max-age=60|cache-control: no-store", 200, NEITHER,
     "no-store", 60, 0, 0},
    {"RFC 9111 5.2.2.5: no-store with a value forbids, too", "cache-control: max-age=60, no-store=x", 200,
     NEITHER, "no-store", 60, 0, 0},
    {"RFC 9111 5.2.2.3: must-understand lifts no-store where the status is understood",
     "cache-control: max-age=60, must-understand, no-store", 200, BOTH, NULL, 60, 0, 0},
    {"RFC 9111 5.2.2.3: and not where it is not", "cache-control: max-age=60, must-understand, no-store", 299,
     NEITHER, "status", 60, 0, 0},
    {"RFC 9111 5.2.2.3: nor is it stored without no-store then", "cache-control: max-age=60, must-understand",
     599, NEITHER, "status", 60, 0, 0},
    {"RFC 9111 5.2.2.3: must-understand alone", "cache-control: max-age=60, must-understand", 200, BOTH, NULL,
     60, 0, 0},
    {"RFC 9111 5.2.2.4: no-cache", "cache-control: no-cache, max-age=60|etag: \"a\"", 200, STORED_ONLY, NULL,
     60, 0, 0},
    {"RFC 9111 5.2.2.4: no-cache with names",
     "cache-control: no-cache=\"set-cookie\", max-age=60|etag: \"a\"", 200, STORED_ONLY, NULL, 60, 0, 0},
    {"RFC 9111 5.2.2.4: no-cache needs no lifetime", "cache-control: no-cache|etag: \"a\"", 200, STORED_ONLY,
     NULL, 0, 0, 0},
    {"RFC 9111 5.2.2.4: no-cache with nothing to ask with", "cache-control: no-cache, max-age=60", 200,
     NEITHER, "no-validator", 60, 0, 0},
    {"RFC 9111 5.2.2.4: no-cache and a status that needs a lifetime", "cache-control: no-cache|etag: \"a\"",
     302, NEITHER, "no-freshness", 0, 0, 0},
    {"RFC 9111 5.2.2: all that is understood",
     "cache-control: public, max-age=60, must-revalidate, proxy-revalidate, no-transform, immutable, "
     "stale-while-revalidate=5, stale-if-error=6, s-maxage=50",
     200, BOTH, NULL, 50, 0, 0},
    {"RFC 9111 5.2.3: an unknown directive", "cache-control: max-age=60, community=\"UCI\"", 200, BOTH, NULL,
     60, 0, 0},
    {"RFC 9110 5.6.4: an empty quoted string is one", "cache-control: max-age=60, x=\"\"", 200, BOTH, NULL,
     60, 0, 0},
    {"RFC 9111 5.2: a request directive", "cache-control: max-age=60, min-fresh=1", 200, BOTH, NULL, 60, 0,
     0},
    {"RFC 9111 5.2: hidden in a quoted value is not there",
     "cache-control: max-age=60, x=\"private, no-store\"", 200, BOTH, NULL, 60, 0, 0},
    {"RFC 9111 5.2: empty members", "cache-control: ,max-age=60,,", 200, BOTH, NULL, 60, 0, 0},
    {"RFC 9111 5.2: a quote that does not end may hide anything", "cache-control: max-age=60, x=\"a, private",
     200, NEITHER, "bad-cache-control", 60, 0, 0},
    {"RFC 9111 5.2: separated by semicolons", "cache-control: private; max-age=60", 200, NEITHER,
     "bad-cache-control", 0, 0, 0},
    {"RFC 9111 5.2: separated by spaces", "cache-control: max-age=60 private", 200, NEITHER,
     "bad-cache-control", 0, 0, 0},
    {"RFC 9111 5.2: spaces around the equals sign", "cache-control: max-age = 60", 200, NEITHER,
     "bad-cache-control", 0, 0, 0},
    {"RFC 9111 5.2: a value of two strings", "cache-control: x=\"a\"\"b\", max-age=60", 200, NEITHER,
     "bad-cache-control", 60, 0, 0},
    {"RFC 9111 5.2: no name", "cache-control: =1, max-age=60", 200, NEITHER, "bad-cache-control", 60, 0, 0},
    {"RFC 9111 5.2: public takes no value", "cache-control: public=1, max-age=60", 200, SHARED_ONLY,
     "bad-cache-control", 60, 0, 0},
    {"RFC 9111 5.2.2.1: max-age without a value", "cache-control: max-age|" MODIFIED, 200, SHARED_ONLY,
     "bad-cache-control", 6, 0, 0},
    {"RFC 9111 5.2.2.1: an empty max-age", "cache-control: max-age=|" MODIFIED, 200, NEITHER,
     "bad-cache-control", 6, 0, 0},
    {"RFC 9111 5.2: recipients ought to accept both forms", "cache-control: max-age=\"60\"", 200, BOTH, NULL,
     60, 0, 0},
    {"RFC 9111 5.2: both forms, of one that goes first",
     "cache-control: max-age=60, s-maxage=\"0\"|etag: \"a\"", 200, BOTH, NULL, 0, 0, 0},
    {"RFC 9111 4.2.1: the same in both forms", "cache-control: max-age=\"60\", max-age=60", 200, BOTH, NULL,
     60, 0, 0},
    {"RFC 9111 4.2.1: another one in the other form", "cache-control: max-age=\"60\", max-age=61", 200,
     SHARED_ONLY, "bad-cache-control", 61, 0, 0},
    {"RFC 9111 1.2.2: quoted, delta-seconds are digits all the same", "cache-control: max-age=\" 60\"", 200,
     SHARED_ONLY, "bad-cache-control", 0, 0, 0},
    {"RFC 9111 1.2.2: quoted, there must be one", "cache-control: max-age=\"\"", 200, SHARED_ONLY,
     "bad-cache-control", 0, 0, 0},
    {"RFC 9111 5.2: other quotes are none", "cache-control: max-age='60'", 200, SHARED_ONLY,
     "bad-cache-control", 0, 0, 0},
    {"RFC 9111 1.2.2: delta-seconds are digits", "cache-control: max-age=-1", 200, SHARED_ONLY,
     "bad-cache-control", 0, 0, 0},
    {"RFC 9111 1.2.2: delta-seconds are digits", "cache-control: max-age=1.5", 200, SHARED_ONLY,
     "bad-cache-control", 0, 0, 0},
    {"RFC 9111 1.2.2: delta-seconds are digits", "cache-control: max-age=60s", 200, SHARED_ONLY,
     "bad-cache-control", 0, 0, 0},
    {"RFC 9111 1.2.2: delta-seconds are digits", "cache-control: s-maxage=x, max-age=60", 200, SHARED_ONLY,
     "bad-cache-control", 60, 0, 0},
    {"RFC 5861 3: stale-while-revalidate takes seconds", "cache-control: max-age=60, stale-while-revalidate",
     200, SHARED_ONLY, "bad-cache-control", 60, 0, 0},
    {"RFC 9111 4.2.1: the same twice", "cache-control: max-age=60, max-age=060", 200, BOTH, NULL, 60, 0, 0},
    {"RFC 9111 4.2.1: two that differ", "cache-control: max-age=60, max-age=61", 200, SHARED_ONLY,
     "bad-cache-control", 61, 0, 0},
    {"RFC 9111 4.2.1: two that differ, on two lines", "cache-control: s-maxage=60|cache-control: s-maxage=1",
     200, SHARED_ONLY, "bad-cache-control", 1, 0, 0},
    {"RFC 9111 5.4: Pragma is of requests", "cache-control: max-age=60|pragma: no-cache", 200, BOTH, NULL, 60,
     0, 0},
    {"RFC 9111 7.3: Set-Cookie", "cache-control: public, max-age=60|set-cookie: a=b", 200, NEITHER,
     "set-cookie", 60, 0, 0},
    {"RFC 9111 4.1: Vary: *", "cache-control: max-age=60|vary: *", 200, NEITHER, "vary", 60, 0, 0},
    {"RFC 9111 4.1: Vary with names", "cache-control: max-age=60|vary: accept-language", 200, BOTH, NULL, 60,
     0, 0},
    {"RFC 9111 4.1: more names in Vary than are kept", "cache-control: max-age=60|vary: q,r,s,t,u, " SIXTY,
     200, NEITHER, "vary", 60, 0, 0},
    {"RFC 9111 3.3: incomplete", "cache-control: max-age=60|content-range: bytes 0-9/20", 206, NEITHER,
     "partial", 60, 0, 0},
    {"RFC 9110 14.4: Content-Range with another status means nothing",
     "cache-control: max-age=60|content-range: bytes 0-9/20", 200, BOTH, NULL, 60, 0, 0},
};

/* RFC 9110 section 15.1, RFC 9111 section 3: which statuses. */
static const row_t status_rows[] = {
    {"RFC 9111 3: a final status", "cache-control: max-age=60", 103, NEITHER, "status", 60, 0, 0},
    {"RFC 9110 15: a status", "cache-control: max-age=60", 600, NEITHER, "status", 60, 0, 0},
    {"RFC 9110 15: a status", "cache-control: max-age=60", 0, NEITHER, "status", 60, 0, 0},
    {"RFC 9111 3: 206", "cache-control: max-age=60", 206, NEITHER, "partial", 60, 0, 0},
    {"RFC 9111 3: 304", "cache-control: max-age=60", 304, NEITHER, "partial", 60, 0, 0},
    {"RFC 9110 15.5.13: 412", "cache-control: max-age=60", 412, NEITHER, "partial", 60, 0, 0},
    {"RFC 9110 15.5.17: 416", "cache-control: max-age=60", 416, NEITHER, "partial", 60, 0, 0},
    {"RFC 9110 15.4.3: 302, explicit", "cache-control: max-age=60", 302, BOTH, NULL, 60, 0, 0},
    {"RFC 9110 15.4.8: 307, explicit", "expires: Sun, 06 Nov 1994 08:49:47 GMT|" DATE, 307, BOTH, NULL, 10, 0,
     0},
    {"RFC 9111 4.2.2: 302, heuristic", DATE "|" MODIFIED, 302, SHARED_ONLY, "no-freshness", 6, 0, 0},
    {"RFC 9111 3: any final status, explicit", "cache-control: max-age=60", 403, BOTH, NULL, 60, 0, 0},
    {"RFC 9111 3: any final status, explicit", "cache-control: max-age=60", 503, BOTH, NULL, 60, 0, 0},
    {"RFC 9111 3: any final status, explicit", "cache-control: max-age=60", 303, BOTH, NULL, 60, 0, 0},
    {"RFC 9111 3: one that nobody knows, explicit", "cache-control: max-age=60", 299, BOTH, NULL, 60, 0, 0},
    {"RFC 9111 3: one that nobody knows, explicit", "cache-control: s-maxage=60", 599, BOTH, NULL, 60, 0, 0},
    {"RFC 9111 4.2.2: 403, heuristic", DATE "|" MODIFIED, 403, SHARED_ONLY, "no-freshness", 6, 0, 0},
    {"RFC 9111 4.2.2: one that nobody knows, heuristic", DATE "|" MODIFIED, 599, SHARED_ONLY, "no-freshness",
     6, 0, 0},
};

/* Section 3.5. */
static const row_t authorization_rows[] = {
    {"RFC 9111 3.5: nothing allows it", "cache-control: max-age=60", 200, NEITHER, "authorization", 60, 0,
     WITH_AUTHORIZATION},
    {"RFC 9111 3.5: nothing said", DATE "|" MODIFIED, 200, NEITHER, "authorization", 6, 0,
     WITH_AUTHORIZATION},
    {"RFC 9111 3.5: public", "cache-control: max-age=60, public", 200, BOTH, NULL, 60, 0, WITH_AUTHORIZATION},
    {"RFC 9111 3.5: s-maxage", "cache-control: s-maxage=60", 200, BOTH, NULL, 60, 0, WITH_AUTHORIZATION},
    {"RFC 9111 3.5: must-revalidate", "cache-control: max-age=60, must-revalidate", 200, BOTH, NULL, 60, 0,
     WITH_AUTHORIZATION},
    {"RFC 9111 3.5: proxy-revalidate is not named", "cache-control: max-age=60, proxy-revalidate", 200,
     NEITHER, "authorization", 60, 0, WITH_AUTHORIZATION},
    {"RFC 9111 3.5: a malformed s-maxage allows nothing", "cache-control: s-maxage=x, max-age=60", 200,
     NEITHER, "authorization", 60, 0, WITH_AUTHORIZATION},
    {"RFC 9111 3.5: public=x allows nothing", "cache-control: public=x, max-age=60", 200, NEITHER,
     "authorization", 60, 0, WITH_AUTHORIZATION},
    {"RFC 9111 3.5: private, though public", "cache-control: public, private, max-age=60", 200, NEITHER,
     "private", 60, 0, WITH_AUTHORIZATION},
};

/* Sections 4.2.1 and 4.2.2. */
static const row_t lifetime_rows[] = {
    {"RFC 9111 4.2.1: s-maxage first", "cache-control: max-age=60, s-maxage=50|" DATE "|expires: 0", 200,
     BOTH, NULL, 50, 0, 0},
    {"RFC 9111 4.2.1: max-age before Expires", "cache-control: max-age=60|" DATE "|expires: 0", 200, BOTH,
     NULL, 60, 0, 0},
    {"RFC 9111 4.2.1: Expires minus Date", DATE "|expires: Sun, 06 Nov 1994 09:49:37 GMT", 200, BOTH, NULL,
     3600, 0, 0},
    {"RFC 9111 4.2.1: Expires minus a Date of earlier",
     TEN_SECONDS_AGO "|expires: Sun, 06 Nov 1994 09:49:37 GMT", 200, BOTH, NULL, 3610, 10, 0},
    {"RFC 9110 6.6.1: without Date, the time of receipt", "expires: Sun, 06 Nov 1994 09:49:37 GMT", 200, BOTH,
     NULL, 3600, 0, 0},
    {"RFC 9110 6.6.1: an invalid Date is none", "date: today|expires: Sun, 06 Nov 1994 09:49:37 GMT", 200,
     BOTH, NULL, 3600, 0, 0},
    {"RFC 9111 5.3: Expires: 0 is in the past", DATE "|expires: 0", 200, SHARED_ONLY, "no-validator", 0, 0,
     0},
    {"RFC 9111 5.3: Expires: 0, but not a heuristic", DATE "|expires: 0|" MODIFIED_LONG_AGO, 200, BOTH, NULL,
     0, 0, 0},
    {"RFC 9111 5.3: in the past", DATE "|expires: Sun, 06 Nov 1994 08:49:36 GMT|etag: \"a\"", 200, BOTH, NULL,
     0, 0, 0},
    {"RFC 9111 4.2.1: two that differ are stale",
     DATE "|expires: Sun, 06 Nov 1994 09:49:37 GMT|expires: Sun, 06 Nov 1994 09:49:38 GMT", 200, SHARED_ONLY,
     "no-validator", 0, 0, 0},
    {"RFC 9111 4.2.1: the same twice are stale, too",
     DATE "|expires: Sun, 06 Nov 1994 09:49:37 GMT|expires: Sun, 06 Nov 1994 09:49:37 GMT", 200, SHARED_ONLY,
     "no-validator", 0, 0, 0},
    {"RFC 9111 4.2.2: a tenth of the time since", DATE "|" MODIFIED, 200, BOTH, NULL, 6, 0, 0},
    {"RFC 9111 4.2.2: at most a day", DATE "|" MODIFIED_LONG_AGO, 200, BOTH, NULL, 86400, 0, 0},
    {"RFC 9111 4.2.2: not of the future", DATE "|last-modified: Mon, 07 Nov 1994 08:49:37 GMT", 200, BOTH,
     NULL, 0, 0, 0},
    {"RFC 9111 4.2.2: not of what is no date", DATE "|last-modified: then", 200, SHARED_ONLY, "no-freshness",
     0, 0, 0},
    {"RFC 9111 4.2.2: nothing to go by", DATE, 200, SHARED_ONLY, "no-freshness", 0, 0, 0},
    {"RFC 9111 4.2.2: public makes a guess good for any status", DATE "|cache-control: public|" MODIFIED, 599,
     BOTH, NULL, 6, 0, 0},
    {"RFC 9111 4.2.2: and nothing else does", DATE "|cache-control: no-transform|" MODIFIED, 599, SHARED_ONLY,
     "no-freshness", 6, 0, 0},
    {"RFC 9111 4.2.2: public is no lifetime", DATE "|cache-control: public|etag: \"a\"", 200, SHARED_ONLY,
     "no-freshness", 0, 0, 0},
    {"RFC 9111 4.3.1: max-age=0 with something to ask with", "cache-control: max-age=0|etag: \"a\"", 200,
     BOTH, NULL, 0, 0, 0},
    {"RFC 9111 4.3.1: ... with Last-Modified", "cache-control: max-age=0|" MODIFIED, 200, BOTH, NULL, 0, 0,
     0},
    {"RFC 9111 4.3.1: max-age=0 without", "cache-control: max-age=0", 200, SHARED_ONLY, "no-validator", 0, 0,
     0},
    {"RFC 9111 4.3.1: an empty ETag is none", "cache-control: max-age=0|etag:", 200, SHARED_ONLY,
     "no-validator", 0, 0, 0},
    {"RFC 9111 4.2: stale on arrival", "cache-control: max-age=60|age: 60", 200, SHARED_ONLY, "no-validator",
     60, 60, 0},
    {"RFC 5861 3: stale on arrival, but to be used all the same",
     "cache-control: max-age=60, stale-while-revalidate=1|age: 60", 200, BOTH, NULL, 60, 60, 0},
    {"RFC 5861 3: stale on arrival, and for too long",
     "cache-control: max-age=60, stale-while-revalidate=1|age: 61", 200, SHARED_ONLY, "no-validator", 60, 61,
     0},
    {"RFC 5861 4: stale on arrival, but to be used when the origin fails",
     "cache-control: max-age=0, stale-if-error=60", 200, BOTH, NULL, 0, 0, 0},
    {"RFC 9111 5.2.2.2: stale on arrival, and never to be used so",
     "cache-control: max-age=0, stale-if-error=60, must-revalidate", 200, SHARED_ONLY, "no-validator", 0, 0,
     0},
    {"RFC 9111 4.2: stale on arrival, with something to ask with",
     "cache-control: max-age=60|age: 61|etag: \"a\"", 200, BOTH, NULL, 60, 61, 0},
    {"RFC 9111 4.2: fresh for one more second", "cache-control: max-age=60|age: 59", 200, BOTH, NULL, 60, 59,
     0},
    {"RFC 9111 1.2.2: 2^31", "cache-control: max-age=2147483648", 200, BOTH, NULL, INT64_C(2147483648), 0, 0},
    {"RFC 9111 1.2.2: more than 2^31", "cache-control: max-age=2147483649", 200, BOTH, NULL,
     INT64_C(2147483648), 0, 0},
    {"RFC 9111 1.2.2: more than 2^64", "cache-control: max-age=99999999999999999999999", 200, BOTH, NULL,
     INT64_C(2147483648), 0, 0},
    {"RFC 9111 1.2.2: Expires, too", DATE "|expires: Fri, 31 Dec 9999 23:59:59 GMT", 200, BOTH, NULL,
     INT64_C(2147483648), 0, 0},
};

/* Section 4.2.3. */
static const row_t age_rows[] = {
    {"RFC 9111 4.2.3: age_value", "cache-control: max-age=60|age: 7|" DATE, 200, BOTH, NULL, 60, 7, 0},
    {"RFC 9111 4.2.3: apparent_age", "cache-control: max-age=60|" TEN_SECONDS_AGO, 200, BOTH, NULL, 60, 10,
     0},
    {"RFC 9111 4.2.3: the greater", "cache-control: max-age=60|age: 7|" TEN_SECONDS_AGO, 200, BOTH, NULL, 60,
     10, 0},
    {"RFC 9111 4.2.3: the greater", "cache-control: max-age=60|age: 11|" TEN_SECONDS_AGO, 200, BOTH, NULL, 60,
     11, 0},
    {"RFC 9111 4.2.3: a Date of the future", "cache-control: max-age=60|date: Sun, 06 Nov 1994 09:49:37 GMT",
     200, BOTH, NULL, 60, 0, 0},
    {"RFC 9111 5.1: the first of several", "cache-control: max-age=60|age: 7|age: 9", 200, BOTH, NULL, 60, 7,
     0},
    {"RFC 9111 5.1: the first of a list", "cache-control: max-age=60|age: 7, 9", 200, BOTH, NULL, 60, 7, 0},
    {"RFC 9111 5.1: with parameters that it does not have", "cache-control: max-age=60|age: 7;a=b", 200, BOTH,
     NULL, 60, 7, 0},
    {"RFC 9111 5.1: the same", "cache-control: max-age=60|age: 7 ; a=9", 200, BOTH, NULL, 60, 7, 0},
    {"RFC 9111 5.1: nothing but a parameter", "cache-control: max-age=60|age: ;7", 200, BOTH, NULL, 60, 0, 0},
    {"RFC 9111 5.1: an invalid one is ignored", "cache-control: max-age=60|age: -7", 200, BOTH, NULL, 60, 0,
     0},
    {"RFC 9111 5.1: an invalid one is ignored", "cache-control: max-age=60|age: 7.5", 200, BOTH, NULL, 60, 0,
     0},
    {"RFC 9111 5.1: an empty one is ignored", "cache-control: max-age=60|age:", 200, BOTH, NULL, 60, 0, 0},
    {"RFC 9111 1.2.2: more than 2^31", "cache-control: max-age=60|age: 99999999999999999999", 200,
     SHARED_ONLY, "no-validator", 60, INT64_C(2147483648), 0},
};

static http_storing_t decide(const char *lines, int status, bool authorization, int64_t delay_ms)
{
    table_fields_t fields = fields_of(lines);
    http_exchange_t exchange = {.request_authorization = authorization,
                                .status = status,
                                .fields = view(&fields),
                                .request_time_ms = NOW - delay_ms,
                                .response_time_ms = NOW};
    http_storing_t storing = http_storing(&exchange);
    fields_free(&fields);
    return storing;
}

static bool same_why(const char *a, const char *b)
{
    return a == b || (a != NULL && b != NULL && strcmp(a, b) == 0);
}

static void check_rows(const row_t *rows, size_t count)
{
    int failures = 0;
    for (size_t i = 0; i < count; i++) {
        const row_t *row = &rows[i];
        http_storing_t got = decide(row->fields, row->status, row->authorization, 0);
        bool storable = row->allowed == BOTH || row->allowed == STORED_ONLY;
        bool shareable = row->allowed == BOTH || row->allowed == SHARED_ONLY;
        if (got.storable != storable || got.shareable != shareable || !same_why(got.why, row->why) ||
            got.lifetime_ms != row->lifetime_s * 1000 || got.initial_age_ms != row->age_s * 1000)
            FAIL_ROW(i, row->rfc, "%d %s: storable %d, shareable %d, %s, lifetime %lld, age %lld",
                     row->status, row->fields, got.storable, got.shareable, got.why == NULL ? "-" : got.why,
                     (long long)got.lifetime_ms, (long long)got.initial_age_ms);
    }
    assert_int_equal(failures, 0);
}

static void permits(void **state)
{
    (void)state;
    check_rows(permission_rows, LENGTH_OF(permission_rows));
}

static void knows_statuses(void **state)
{
    (void)state;
    check_rows(status_rows, LENGTH_OF(status_rows));
    static const int heuristic[] = {200, 203, 204, 300, 301, 308, 404, 405, 410, 414, 501};
    size_t stored = 0, stored_explicitly = 0;
    for (int status = 0; status < 1000; status++) {
        stored += decide(DATE "|" MODIFIED, status, false, 0).storable;
        stored_explicitly += decide("cache-control: max-age=60", status, false, 0).storable;
    }
    for (size_t i = 0; i < LENGTH_OF(heuristic); i++)
        assert_true(decide(DATE "|" MODIFIED, heuristic[i], false, 0).storable);
    assert_int_equal(stored, LENGTH_OF(heuristic));
    assert_int_equal(stored_explicitly, 400 - 4); /* the final ones, but 206, 304, 412 and 416 */
}

static void respects_authorization(void **state)
{
    (void)state;
    check_rows(authorization_rows, LENGTH_OF(authorization_rows));
}

static void computes_lifetimes(void **state)
{
    (void)state;
    check_rows(lifetime_rows, LENGTH_OF(lifetime_rows));
}

static void computes_ages(void **state)
{
    (void)state;
    check_rows(age_rows, LENGTH_OF(age_rows));
    /* response_delay is counted on top of age_value, to the millisecond, and not on top of apparent_age */
    assert_int_equal(decide("cache-control: max-age=60|age: 7|" DATE, 200, false, 1500).initial_age_ms, 8500);
    assert_int_equal(decide("cache-control: max-age=60|" TEN_SECONDS_AGO, 200, false, 1500).initial_age_ms,
                     10000);
    assert_int_equal(decide("cache-control: max-age=60|" TEN_SECONDS_AGO, 200, false, 10500).initial_age_ms,
                     10500);
    /* a clock that was set back */
    assert_int_equal(decide("cache-control: max-age=60|age: 7", 200, false, -1500).initial_age_ms, 7000);
}

/* Date says seconds only: within the second it names, nothing has aged. */
static void rounds_the_apparent_age_down(void **state)
{
    (void)state;
    table_fields_t fields = fields_of("cache-control: max-age=60|" DATE);
    http_exchange_t exchange = {
        .status = 200, .fields = view(&fields), .request_time_ms = NOW + 999, .response_time_ms = NOW + 999};
    assert_int_equal(http_storing(&exchange).initial_age_ms, 0);
    exchange.request_time_ms = exchange.response_time_ms = NOW + 1000;
    assert_int_equal(http_storing(&exchange).initial_age_ms, 1000);
    fields_free(&fields);
}

static void computes_the_current_age(void **state)
{
    (void)state;
    static const struct {
        const char *rfc;
        int64_t initial_ms, response_ms, now_ms, age_ms;
    } rows[] = {
        {"RFC 9111 4.2.3: resident_time is added", 5000, NOW, NOW + 2500, 7500},
        {"RFC 9111 4.2.3: at once", 5000, NOW, NOW, 5000},
        {"RFC 9111 4.2.3: a clock that was set back", 5000, NOW, NOW - 9000, 5000},
        {"RFC 9111 5.1: never negative", -5000, NOW, NOW, 0},
        {"RFC 9111 1.2.2: no overflow", INT64_MAX, NOW, NOW + 1, INT64_MAX},
        {"RFC 9111 1.2.2: no overflow", 1, INT64_MIN, INT64_MAX, INT64_MAX},
        {"RFC 9111 1.2.2: no overflow", 1, INT64_MAX, INT64_MIN, 1},
    };
    int failures = 0;
    for (size_t i = 0; i < LENGTH_OF(rows); i++) {
        int64_t age = http_current_age_ms(rows[i].initial_ms, rows[i].response_ms, rows[i].now_ms);
        if (age != rows[i].age_ms)
            FAIL_ROW(i, rows[i].rfc, "%lld", (long long)age);
    }
    assert_int_equal(failures, 0);
}

static void survives_extreme_clocks(void **state)
{
    (void)state;
    static const int64_t clocks[] = {INT64_MIN, -1, 0, NOW, INT64_MAX};
    static const char *const lines[] = {
        "date: Sat, 01 Jan 0000 00:00:00 GMT|expires: Fri, 31 Dec 9999 23:59:59 GMT|age: 99999999999",
        "date: Fri, 31 Dec 9999 23:59:59 GMT|last-modified: Sat, 01 Jan 0000 00:00:00 GMT",
        "last-modified: Sunday, 06-Nov-94 08:49:37 GMT", "expires: Sun, 06 Nov 1994 08:49:37 GMT"};
    for (size_t i = 0; i < LENGTH_OF(clocks) * LENGTH_OF(clocks) * LENGTH_OF(lines); i++) {
        table_fields_t fields = fields_of(lines[i % LENGTH_OF(lines)]);
        size_t clock = i / LENGTH_OF(lines);
        http_exchange_t exchange = {.status = 200,
                                    .fields = view(&fields),
                                    .request_time_ms = clocks[clock % LENGTH_OF(clocks)],
                                    .response_time_ms = clocks[clock / LENGTH_OF(clocks)]};
        http_storing_t storing = http_storing(&exchange);
        assert_true(storing.lifetime_ms >= 0 && storing.initial_age_ms >= 0);
        assert_true(storing.lifetime_ms <= INT64_C(2147483648000));
        fields_free(&fields);
    }
}

static void tells_what_must_be_revalidated(void **state)
{
    (void)state;
    static const struct {
        const char *rfc, *value;
        bool no_cache, must_revalidate;
    } rows[] = {
        {"RFC 9111 5.2.2.1: max-age", "max-age=60", false, false},
        {"RFC 9111 5.2.2.2: must-revalidate", "max-age=60, must-revalidate", false, true},
        {"RFC 9111 5.2.2.8: proxy-revalidate", "max-age=60, proxy-revalidate", false, true},
        {"RFC 9111 5.2.2.10: s-maxage has its meaning", "s-maxage=60", false, true},
        {"RFC 9111 5.2.2.4: no-cache", "no-cache, max-age=60", true, false},
        {"RFC 9111 5.2.2.4: no-cache with names", "max-age=60, no-cache=\"age\"", true, false},
    };
    int failures = 0;
    for (size_t i = 0; i < LENGTH_OF(rows); i++) {
        char lines[128];
        snprintf(lines, sizeof(lines), "etag: \"a\"|cache-control: %s", rows[i].value);
        http_storing_t got = decide(lines, 200, false, 0);
        if (!got.storable || got.no_cache != rows[i].no_cache ||
            got.must_revalidate != rows[i].must_revalidate)
            FAIL_ROW(i, rows[i].rfc, "%s", rows[i].value);
    }
    assert_int_equal(failures, 0);
}

/* Section 7.3 leaves it to the cache: here to the site. */
static void leaves_set_cookie_to_the_site(void **state)
{
    (void)state;
    static const struct {
        const char *fields;
        http_set_cookie_t choice;
        const char *why;
    } rows[] = {
        {"cache-control: max-age=60|set-cookie: a=b", HTTP_SET_COOKIE_BYPASS, "set-cookie"},
        {"cache-control: max-age=60|set-cookie: a=b", HTTP_SET_COOKIE_STORE, NULL},
        {"cache-control: max-age=60|set-cookie: a=b", HTTP_SET_COOKIE_REMOVE, NULL},
        {"cache-control: max-age=60, private|set-cookie: a=b", HTTP_SET_COOKIE_STORE, "private"},
        {"cache-control: max-age=60, no-store|set-cookie: a=b", HTTP_SET_COOKIE_REMOVE, "no-store"},
    };
    int failures = 0;
    for (size_t i = 0; i < LENGTH_OF(rows); i++) {
        table_fields_t fields = fields_of(rows[i].fields);
        http_policy_t policy = {.set_cookie = rows[i].choice};
        http_exchange_t exchange = {.status = 200,
                                    .fields = view(&fields),
                                    .request_time_ms = NOW,
                                    .response_time_ms = NOW,
                                    .policy = &policy};
        http_storing_t got = http_storing(&exchange);
        if (!same_why(got.why, rows[i].why) || got.storable != (rows[i].why == NULL))
            FAIL_ROW(i, "RFC 9111 7.3", "%s", rows[i].fields);
        fields_free(&fields);
    }
    assert_int_equal(failures, 0);
}

/* RFC 5861 section 4: it is there for errors, and no error itself. */
static void comes_back_to_no_error(void **state)
{
    (void)state;
    static const struct {
        int status;
        int64_t if_error_s;
    } rows[] = {{200, 9}, {404, 9}, {500, 0}, {501, 9}, {502, 0}, {503, 0}, {504, 0}};
    for (size_t i = 0; i < LENGTH_OF(rows); i++) {
        http_storing_t got = decide("cache-control: max-age=60, stale-if-error=9", rows[i].status, false, 0);
        assert_true(got.storable);
        assert_int_equal(got.stale.if_error_ms, rows[i].if_error_s * 1000);
    }
}

/* Section 4.2.4 lets a site use what is stale when the origin fails: what could be used in no other way is
 * not stored for that, unless the response itself says so. */
static void what_only_a_site_would_use_on_an_error_is_not_kept(void **state)
{
    (void)state;
    static const struct {
        const char *fields, *why;
    } rows[] = {
        {"cache-control: max-age=0", "no-validator"},
        {"cache-control: max-age=0|etag: \"a\"", NULL},
        {"cache-control: max-age=0, stale-if-error=1", NULL},
        {"cache-control: max-age=1", NULL},
    };
    int failures = 0;
    const http_policy_t policy = {.stale = {.if_error_ms = 60000}};
    for (size_t i = 0; i < LENGTH_OF(rows); i++) {
        table_fields_t fields = fields_of(rows[i].fields);
        http_exchange_t exchange = {.status = 200,
                                    .fields = view(&fields),
                                    .request_time_ms = NOW,
                                    .response_time_ms = NOW,
                                    .policy = &policy};
        http_storing_t got = http_storing(&exchange);
        if (!same_why(got.why, rows[i].why) || got.stale.if_error_ms == 0)
            FAIL_ROW(i, "RFC 9111 4.2.4", "%s: %s", rows[i].fields, got.why);
        fields_free(&fields);
    }
    assert_int_equal(failures, 0);
}

/* Any mixture: what forbids always wins, `why` says so, and sharing follows from storing. */
static void never_stores_what_is_forbidden(void **state)
{
    (void)state;
    static const struct {
        const char *line;
        bool forbids_storing, forbids_sharing;
    } pieces[] = {
        {"cache-control: no-store", true, true},
        {"cache-control: private", true, true},
        {"set-cookie: a=b", true, true},
        {"vary: *", true, true},
        {"content-range: bytes 0-1/2", false, false},
        {"cache-control: \"", true, true},
        {"cache-control: no-cache", false, true},
        {"cache-control: x-unknown", false, false},
        {"cache-control: max-age=x", true, false},
        {"cache-control: max-age=60", false, false},
        {"cache-control: s-maxage=50", false, false},
        {"cache-control: public, immutable", false, false},
        {"cache-control: stale-if-error=5", false, false},
        {"expires: Sun, 06 Nov 1994 09:49:37 GMT", false, false},
        {"etag: \"a\"", false, false},
        {"vary: accept, origin", false, false},
        {"age: 3", false, false},
        {MODIFIED, false, false},
        {DATE, false, false},
    };
    uint64_t seed = 11;
    size_t stored = 0;
    for (int i = 0; i < 50000; i++) {
        char lines[512] = "etag: \"b\"|cache-control: max-age=60";
        bool forbids_storing = false, forbids_sharing = false;
        for (uint64_t left = next_random(&seed) % 5; left > 0; left--) {
            size_t piece = next_random(&seed) % LENGTH_OF(pieces);
            strcat(strcat(lines, "|"), pieces[piece].line);
            forbids_storing = forbids_storing || pieces[piece].forbids_storing;
            forbids_sharing = forbids_sharing || pieces[piece].forbids_sharing;
        }
        http_storing_t got = decide(lines, 200, false, 0);
        if (got.storable == forbids_storing || got.shareable == forbids_sharing ||
            got.storable != (got.why == NULL) || (got.storable && !got.shareable && !got.no_cache))
            fail_msg("%s: storable %d, shareable %d", lines, got.storable, got.shareable);
        stored += got.storable;
    }
    assert_in_range(stored, 5000, 45000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(permits),
        cmocka_unit_test(knows_statuses),
        cmocka_unit_test(respects_authorization),
        cmocka_unit_test(computes_lifetimes),
        cmocka_unit_test(computes_ages),
        cmocka_unit_test(rounds_the_apparent_age_down),
        cmocka_unit_test(computes_the_current_age),
        cmocka_unit_test(survives_extreme_clocks),
        cmocka_unit_test(tells_what_must_be_revalidated),
        cmocka_unit_test(leaves_set_cookie_to_the_site),
        cmocka_unit_test(comes_back_to_no_error),
        cmocka_unit_test(what_only_a_site_would_use_on_an_error_is_not_kept),
        cmocka_unit_test(never_stores_what_is_forbidden),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
