#include "edge/http/date.h"

static const char *const month_names[] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                          "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
static const char *const day_names[] = {"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};
static const char *const long_day_names[] = {"Sunday",   "Monday", "Tuesday", "Wednesday",
                                             "Thursday", "Friday", "Saturday"};

enum { SECONDS_PER_DAY = 86400 };
/* The first and last second of the years 0 to 9999, all that four digits can say. */
static const int64_t first_second = INT64_C(-62167219200);
static const int64_t last_second = INT64_C(253402300799);

typedef struct {
    int64_t year;
    int64_t month;  /* 1 to 12 */
    int64_t day;    /* 1 to 31 */
    int64_t second; /* of the day */
} civil_t;

static int64_t floor_divide(int64_t value, int64_t divisor)
{
    return value / divisor - (value % divisor < 0 ? 1 : 0);
}

/* The two conversions are Howard Hinnant's days_from_civil and civil_from_days: years begin in March, so that
 * the leap day is the last of its year, and repeat after an era of 400. */
static int64_t seconds_of(civil_t civil)
{
    int64_t year = civil.year - (civil.month <= 2 ? 1 : 0);
    int64_t era = floor_divide(year, 400);
    int64_t year_of_era = year - era * 400;
    int64_t day_of_year = (153 * (civil.month + (civil.month > 2 ? -3 : 9)) + 2) / 5 + civil.day - 1;
    int64_t day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    return (era * 146097 + day_of_era - 719468) * SECONDS_PER_DAY + civil.second;
}

static civil_t civil_of(int64_t seconds)
{
    int64_t days = floor_divide(seconds, SECONDS_PER_DAY);
    int64_t shifted = days + 719468;
    int64_t era = floor_divide(shifted, 146097);
    int64_t day_of_era = shifted - era * 146097;
    int64_t year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36524 - day_of_era / 146096) / 365;
    int64_t day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    int64_t march_month = (5 * day_of_year + 2) / 153;
    int64_t month = march_month + (march_month < 10 ? 3 : -9);
    return (civil_t){.year = year_of_era + era * 400 + (month <= 2 ? 1 : 0),
                     .month = month,
                     .day = day_of_year - (153 * march_month + 2) / 5 + 1,
                     .second = seconds - days * SECONDS_PER_DAY};
}

static int64_t days_in_month(int64_t year, int64_t month)
{
    if (month == 2)
        return (year % 4 == 0 && (year % 100 != 0 || year % 400 == 0)) ? 29 : 28;
    return month == 4 || month == 6 || month == 9 || month == 11 ? 30 : 31;
}

/* What is left to read; once something did not fit, nothing fits any more. */
typedef struct {
    text_t rest;
    bool wrong;
} cursor_t;

static void skip(cursor_t *cursor, size_t length)
{
    cursor->rest.data += length;
    cursor->rest.length -= length;
}

/* The first byte is compared here because it nearly always decides among names, and the call does not come
 * free. */
static bool starts_with(const cursor_t *cursor, const char *literal, size_t length)
{
    if (cursor->wrong || cursor->rest.length < length || ((cursor->rest.data[0] ^ literal[0]) & ~0x20) != 0)
        return false;
    return strncasecmp(cursor->rest.data, literal, length) == 0;
}

static void expect(cursor_t *cursor, const char *literal)
{
    size_t length = strlen(literal);
    if (starts_with(cursor, literal, length))
        skip(cursor, length);
    else
        cursor->wrong = true;
}

static void expect_byte(cursor_t *cursor, char byte)
{
    if (cursor->wrong || cursor->rest.length == 0 || cursor->rest.data[0] != byte)
        cursor->wrong = true;
    else
        skip(cursor, 1);
}

static int64_t digits(cursor_t *cursor, size_t count)
{
    int64_t number = 0;
    if (cursor->wrong || cursor->rest.length < count) {
        cursor->wrong = true;
        return 0;
    }
    for (size_t i = 0; i < count; i++) {
        char byte = cursor->rest.data[i];
        if (byte < '0' || byte > '9')
            cursor->wrong = true;
        number = number * 10 + (byte - '0');
    }
    skip(cursor, count);
    return number;
}

/* Which of the names comes next, counted from 0. */
static int64_t one_of(cursor_t *cursor, const char *const *names, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        size_t length = strlen(names[i]);
        if (starts_with(cursor, names[i], length)) {
            skip(cursor, length);
            return (int64_t)i;
        }
    }
    cursor->wrong = true;
    return 0;
}

static int64_t month(cursor_t *cursor)
{
    return one_of(cursor, month_names, 12) + 1;
}

static int64_t time_of_day(cursor_t *cursor)
{
    int64_t hour = digits(cursor, 2);
    expect_byte(cursor, ':');
    int64_t minute = digits(cursor, 2);
    expect_byte(cursor, ':');
    int64_t second = digits(cursor, 2);
    if (hour > 23 || minute > 59 || second > 60)
        cursor->wrong = true;
    /* A leap second: the nearest earlier time that can be told (RFC 9111 section 4.2). */
    return hour * 3600 + minute * 60 + (second == 60 ? 59 : second);
}

/* Sun, 06 Nov 1994 08:49:37 GMT */
static civil_t imf_fixdate(cursor_t *cursor)
{
    civil_t civil;
    one_of(cursor, day_names, 7);
    expect(cursor, ", ");
    civil.day = digits(cursor, 2);
    expect_byte(cursor, ' ');
    civil.month = month(cursor);
    expect_byte(cursor, ' ');
    civil.year = digits(cursor, 4);
    expect_byte(cursor, ' ');
    civil.second = time_of_day(cursor);
    expect(cursor, " GMT");
    return civil;
}

/* Sun Nov  6 08:49:37 1994 */
static civil_t asctime_date(cursor_t *cursor)
{
    civil_t civil;
    one_of(cursor, day_names, 7);
    expect_byte(cursor, ' ');
    civil.month = month(cursor);
    expect_byte(cursor, ' ');
    bool one_digit = !cursor->wrong && cursor->rest.length > 0 && cursor->rest.data[0] == ' ';
    if (one_digit)
        skip(cursor, 1);
    civil.day = digits(cursor, one_digit ? 1 : 2);
    expect_byte(cursor, ' ');
    civil.second = time_of_day(cursor);
    expect_byte(cursor, ' ');
    civil.year = digits(cursor, 4);
    return civil;
}

/* The latest year with these last digits whose date is not more than 50 years after now. */
static int64_t full_year(civil_t civil, int64_t two_digits, int64_t now_seconds)
{
    civil_t limit = civil_of(now_seconds);
    limit.year += 50;
    civil.year = limit.year - (limit.year - two_digits) % 100;
    return seconds_of(civil) > seconds_of(limit) ? civil.year - 100 : civil.year;
}

/* Sunday, 06-Nov-94 08:49:37 GMT */
static civil_t rfc850_date(cursor_t *cursor, int64_t now_seconds)
{
    civil_t civil;
    one_of(cursor, long_day_names, 7);
    expect(cursor, ", ");
    civil.day = digits(cursor, 2);
    expect_byte(cursor, '-');
    civil.month = month(cursor);
    expect_byte(cursor, '-');
    int64_t two_digits = digits(cursor, 2);
    expect_byte(cursor, ' ');
    civil.second = time_of_day(cursor);
    expect(cursor, " GMT");
    civil.year = 0;
    if (!cursor->wrong)
        civil.year = full_year(civil, two_digits, now_seconds);
    return civil;
}

static int64_t clamp_seconds(int64_t seconds)
{
    return seconds < first_second ? first_second : seconds > last_second ? last_second : seconds;
}

bool http_date_parse(text_t value, int64_t now_ms, int64_t *time_ms)
{
    cursor_t cursor = {value, value.length < 4};
    if (cursor.wrong)
        return false;
    civil_t civil;
    if (value.data[3] == ',')
        civil = imf_fixdate(&cursor);
    else if (value.data[3] == ' ')
        civil = asctime_date(&cursor);
    else
        civil = rfc850_date(&cursor, clamp_seconds(floor_divide(now_ms, 1000)));
    if (cursor.wrong || cursor.rest.length != 0 || civil.day < 1 ||
        civil.day > days_in_month(civil.year, civil.month))
        return false;
    *time_ms = seconds_of(civil) * 1000;
    return true;
}

static void put_digits(char *out, int64_t number, int count)
{
    for (int i = count - 1; i >= 0; i--) {
        out[i] = (char)('0' + number % 10);
        number /= 10;
    }
}

void http_date_format(int64_t time_ms, char out[HTTP_DATE_LENGTH + 1])
{
    int64_t seconds = clamp_seconds(floor_divide(time_ms, 1000));
    civil_t civil = civil_of(seconds);
    int64_t days = floor_divide(seconds, SECONDS_PER_DAY);
    int64_t weekday = ((days + 4) % 7 + 7) % 7; /* the epoch was a Thursday */
    memcpy(out, "Day, 00 Mon 0000 00:00:00 GMT", HTTP_DATE_LENGTH + 1);
    memcpy(out, day_names[weekday], 3);
    put_digits(out + 5, civil.day, 2);
    memcpy(out + 8, month_names[civil.month - 1], 3);
    put_digits(out + 12, civil.year, 4);
    put_digits(out + 17, civil.second / 3600, 2);
    put_digits(out + 20, civil.second / 60 % 60, 2);
    put_digits(out + 23, civil.second % 60, 2);
}
