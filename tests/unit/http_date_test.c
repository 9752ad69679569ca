#include "edge/http/date.h"
#include "tests/unit/http_table.h"

#include <time.h>

#define SECOND INT64_C(1000)
#define YEAR_2026 (INT64_C(1767225600) * SECOND) /* Thu, 01 Jan 2026 00:00:00 GMT */
#define NOV_1994 (INT64_C(784111777) * SECOND)   /* Sun, 06 Nov 1994 08:49:37 GMT */
#define WRONG INT64_MIN

static void parses(void **state)
{
    (void)state;
    static const struct {
        const char *rfc, *value;
        int64_t now_ms, time_ms;
    } rows[] = {
        {"RFC 9110 5.6.7: IMF-fixdate", "Sun, 06 Nov 1994 08:49:37 GMT", 0, NOV_1994},
        {"RFC 9110 5.6.7: rfc850-date", "Sunday, 06-Nov-94 08:49:37 GMT", YEAR_2026, NOV_1994},
        {"RFC 9110 5.6.7: asctime-date", "Sun Nov  6 08:49:37 1994", 0, NOV_1994},
        {"RFC 9110 5.6.7: asctime-date, two digits", "Wed Nov 16 08:49:37 1994", 0,
         NOV_1994 + 864000 * SECOND},
        {"RFC 9111 4.2: in any case", "sUN, 06 nOV 1994 08:49:37 gmt", 0, NOV_1994},
        {"RFC 9110 5.6.7: more than 50 years in the future is the past", "Wednesday, 01-Jan-77 00:00:00 GMT",
         YEAR_2026, INT64_C(220924800) * SECOND},
        {"RFC 9110 5.6.7: one second over 50 years", "Wednesday, 01-Jan-76 00:00:01 GMT", YEAR_2026,
         INT64_C(189302401) * SECOND},
        {"RFC 9110 5.6.7: 50 years are not more than 50", "Wednesday, 01-Jan-76 00:00:00 GMT", YEAR_2026,
         INT64_C(3345062400) * SECOND},
        {"RFC 9110 5.6.7: the next century", "Saturday, 01-Jan-00 00:00:00 GMT", INT64_C(946684799) * SECOND,
         INT64_C(946684800) * SECOND},
        {"RFC 9110 5.6.7: zone must be GMT", "Sun, 06 Nov 1994 08:49:37 UTC", 0, WRONG},
        {"RFC 9111 4.2: other zones are invalid", "Sun, 06 Nov 1994 08:49:37 EST", 0, WRONG},
        {"RFC 9110 5.6.7: no offset", "Sun, 06 Nov 1994 08:49:37 +0000", 0, WRONG},
        {"RFC 9110 5.6.7: no zone", "Sun, 06 Nov 1994 08:49:37", 0, WRONG},
        {"RFC 9110 5.6.7: nothing after it", "Sun, 06 Nov 1994 08:49:37 GMT ", 0, WRONG},
        {"RFC 9110 5.6.7: nothing after it", "Sun Nov  6 08:49:37 1994 GMT", 0, WRONG},
        {"RFC 9110 5.6.7: nothing before it", " Sun, 06 Nov 1994 08:49:37 GMT", 0, WRONG},
        {"RFC 9110 5.6.7: day is 2DIGIT", "Sun, 6 Nov 1994 08:49:37 GMT", 0, WRONG},
        {"RFC 9110 5.6.7: year is 4DIGIT", "Sun, 06 Nov 94 08:49:37 GMT", 0, WRONG},
        {"RFC 9110 5.6.7: rfc850 year is 2DIGIT", "Sunday, 06-Nov-1994 08:49:37 GMT", 0, WRONG},
        {"RFC 9110 5.6.7: rfc850 day-name-l", "Sun, 06-Nov-94 08:49:37 GMT", 0, WRONG},
        {"RFC 9110 5.6.7: day-name", "Sux, 06 Nov 1994 08:49:37 GMT", 0, WRONG},
        {"RFC 9110 5.6.7: month", "Sun, 06 Nox 1994 08:49:37 GMT", 0, WRONG},
        {"RFC 9110 5.6.7: hour 00 to 23", "Sun, 06 Nov 1994 24:00:00 GMT", 0, WRONG},
        {"RFC 9110 5.6.7: minute 00 to 59", "Sun, 06 Nov 1994 08:60:37 GMT", 0, WRONG},
        {"RFC 9110 5.6.7: second 00 to 60", "Sun, 06 Nov 1994 08:49:61 GMT", 0, WRONG},
        {"RFC 9110 5.6.7: leap second; RFC 9111 4.2: the nearest earlier", "Sat, 31 Dec 2016 23:59:60 GMT", 0,
         INT64_C(1483228799) * SECOND},
        {"RFC 9110 5.6.7: digits", "Sun, 06 Nov 1994 08:49:3x GMT", 0, WRONG},
        {"RFC 9110 5.6.7: digits, no sign", "Sun, 06 Nov -994 08:49:37 GMT", 0, WRONG},
        {"RFC 5322 3.3: a day the month has", "Wed, 31 Apr 2025 00:00:00 GMT", 0, WRONG},
        {"RFC 5322 3.3: a day the month has", "Sun, 00 Nov 1994 08:49:37 GMT", 0, WRONG},
        {"RFC 5322 3.3: no leap day in 1900", "Thu, 29 Feb 1900 00:00:00 GMT", 0, WRONG},
        {"RFC 5322 3.3: no leap day in 2025", "Sat, 29 Feb 2025 00:00:00 GMT", 0, WRONG},
        {"RFC 5322 3.3: a leap day in 2000", "Tue, 29 Feb 2000 00:00:00 GMT", 0, INT64_C(951782400) * SECOND},
        {"RFC 9110 5.6.7: before the epoch", "Wed, 31 Dec 1969 23:59:59 GMT", 0, -SECOND},
        {"RFC 9110 5.6.7: four digits reach so far", "Fri, 31 Dec 9999 23:59:59 GMT", 0,
         INT64_C(253402300799) * SECOND},
        {"RFC 9110 5.6.7: four digits begin here", "Sat, 01 Jan 0000 00:00:00 GMT", 0,
         INT64_C(-62167219200) * SECOND},
        {"RFC 9111 5.3: Expires: 0", "0", 0, WRONG},
        {"RFC 9111 5.3: Expires: -1", "-1", 0, WRONG},
        {"RFC 9110 5.6.7: empty", "", 0, WRONG},
        {"RFC 9110 5.6.7: cut", "Sun,", 0, WRONG},
        {"RFC 9110 5.6.7: cut", "Sun ", 0, WRONG},
        {"RFC 9110 5.6.7: cut", "Sund", 0, WRONG},
    };
    int failures = 0;
    for (size_t i = 0; i < LENGTH_OF(rows); i++) {
        text_t value = exact(rows[i].value);
        int64_t time_ms = WRONG;
        bool parsed = http_date_parse(value, rows[i].now_ms, &time_ms);
        if (parsed != (rows[i].time_ms != WRONG) || time_ms != rows[i].time_ms)
            FAIL_ROW(i, rows[i].rfc, "'%s' is %lld", rows[i].value, (long long)time_ms);
        text_free(value);
    }
    assert_int_equal(failures, 0);
}

/* Every prefix of every form is wrong, and read within its bounds. */
static void refuses_prefixes(void **state)
{
    (void)state;
    static const char *const whole[] = {"Sun, 06 Nov 1994 08:49:37 GMT", "Sunday, 06-Nov-94 08:49:37 GMT",
                                        "Sun Nov  6 08:49:37 1994"};
    for (size_t i = 0; i < LENGTH_OF(whole); i++) {
        for (size_t length = 0; length < strlen(whole[i]); length++) {
            text_t cut = exact_part(whole[i], length);
            int64_t time_ms;
            assert_false(http_date_parse(cut, YEAR_2026, &time_ms));
            text_free(cut);
        }
    }
}

/* Against the C library's calendar, over random times. */
static void agrees_with_the_library(void **state)
{
    (void)state;
    uint64_t seed = 42;
    for (int i = 0; i < 20000; i++) {
        int64_t seconds = INT64_C(-62167219200) +
                          (int64_t)(next_random(&seed) % (UINT64_C(62167219200) + UINT64_C(253402300800)));
        struct tm tm;
        time_t wanted_time = (time_t)seconds;
        char wanted[64], got[HTTP_DATE_LENGTH + 1];
        assert_non_null(gmtime_r(&wanted_time, &tm));
        strftime(wanted, sizeof(wanted), "%a, %d %b ", &tm);
        size_t length = strlen(wanted);
        snprintf(wanted + length, sizeof(wanted) - length, "%04d %02d:%02d:%02d GMT", tm.tm_year + 1900,
                 tm.tm_hour, tm.tm_min, tm.tm_sec);
        int64_t within_ms = (int64_t)(next_random(&seed) % 1000);
        http_date_format(seconds * 1000 + within_ms, got);
        assert_string_equal(got, wanted);
        int64_t parsed_ms;
        assert_true(http_date_parse(text_of(got), 0, &parsed_ms));
        assert_true(parsed_ms == seconds * 1000);
    }
}

static void formats_the_extremes(void **state)
{
    (void)state;
    char out[HTTP_DATE_LENGTH + 1];
    int64_t time_ms;
    http_date_format(INT64_MAX, out);
    assert_string_equal(out, "Fri, 31 Dec 9999 23:59:59 GMT");
    http_date_format(INT64_MIN, out);
    assert_string_equal(out, "Sat, 01 Jan 0000 00:00:00 GMT");
    http_date_format(-1, out);
    assert_string_equal(out, "Wed, 31 Dec 1969 23:59:59 GMT");
    assert_true(http_date_parse(TEXT("Sunday, 06-Nov-94 08:49:37 GMT"), INT64_MAX, &time_ms));
    assert_true(http_date_parse(TEXT("Sunday, 06-Nov-94 08:49:37 GMT"), INT64_MIN, &time_ms));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(parses),
        cmocka_unit_test(refuses_prefixes),
        cmocka_unit_test(agrees_with_the_library),
        cmocka_unit_test(formats_the_extremes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
