/* HTTP dates. The referee: what is read is written in a form that is read as the same, in each of the three
 * forms; two digits of a year are of the century about now.
 *
 * The input is what time it is, 8 bytes, then a date. */
#include "edge/http/date.h"
#include "tests/fuzz/lines.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int64_t read_back(const char *text, size_t length, int64_t now_ms)
{
    int64_t time_ms;
    text_t exact = exactly((text_t){text, length});
    MUST(http_date_parse(exact, now_ms, &time_ms));
    free_text(exact);
    return time_ms;
}

/* Any time is written; years beyond 0 to 9999 at their border. */
static void check_format(int64_t time_ms)
{
    char out[HTTP_DATE_LENGTH + 1];
    http_date_format(time_ms, out);
    MUST(strlen(out) == HTTP_DATE_LENGTH);
    int64_t again_ms = read_back(out, HTTP_DATE_LENGTH, 0);
    const int64_t first_ms = INT64_C(-62167219200000), last_ms = INT64_C(253402300799000);
    int64_t held_ms = time_ms < first_ms ? first_ms : time_ms > last_ms + 999 ? last_ms : time_ms;
    MUST(again_ms <= held_ms && again_ms > held_ms - 1000);
}

/* Thu, 01 Jan 1970 00:00:00 GMT as Thu Jan  1 00:00:00 1970. */
static void check_asctime(int64_t time_ms)
{
    char imf[HTTP_DATE_LENGTH + 1], asctime[25];
    http_date_format(time_ms, imf);
    int length = snprintf(asctime, sizeof asctime, "%.3s %.3s %c%c %.8s %.4s", imf, imf + 8,
                          imf[5] == '0' ? ' ' : imf[5], imf[6], imf + 17, imf + 12);
    MUST(length == 24 && read_back(asctime, 24, 0) == time_ms);
}

/* The same with two digits of its year is within a hundred years that end 50 years, and leap days, from now.
 */
static void check_rfc850(int64_t time_ms, int64_t now_ms)
{
    const int64_t year_ms = INT64_C(366) * 86400000;
    char imf[HTTP_DATE_LENGTH + 1], rfc850[48];
    http_date_format(time_ms, imf);
    int length = snprintf(rfc850, sizeof rfc850, "Wednesday, %.2s-%.3s-%.2s %.8s GMT", imf + 5, imf + 8,
                          imf + 14, imf + 17);
    int64_t read_ms;
    text_t exact = exactly((text_t){rfc850, (size_t)length});
    if (http_date_parse(exact, now_ms, &read_ms)) /* 29 February is not in every century */
        MUST(read_ms <= now_ms + 51 * year_ms && read_ms >= now_ms - 51 * year_ms);
    free_text(exact);
}

/* A clock that could be: 1970 to 2100. */
static int64_t held(int64_t now_ms)
{
    const int64_t last_ms = INT64_C(4102444800000);
    return now_ms < 0 ? 0 : now_ms > last_ms ? last_ms : now_ms;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    int64_t now_ms, time_ms;
    if (size < sizeof now_ms)
        return -1;
    memcpy(&now_ms, data, sizeof now_ms);
    check_format(now_ms);
    text_t value = exactly((text_t){(const char *)data + sizeof now_ms, size - sizeof now_ms});
    if (http_date_parse(value, held(now_ms), &time_ms)) {
        MUST(time_ms % 1000 == 0);
        check_format(time_ms);
        check_asctime(time_ms);
        check_rfc850(time_ms, held(now_ms));
    }
    free_text(value);
    return 0;
}
