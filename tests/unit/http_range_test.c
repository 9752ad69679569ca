/* Ranges: RFC 9110 section 14, and their place among the conditions, section 13.2.2. */
#include "edge/http/range.h"

#include "edge/http/conditional.h"
#include "tests/unit/http_table.h"

#include <inttypes.h>

#define MODIFIED "Sat, 29 Oct 1994 19:43:31 GMT"
#define SECOND_LATER "Sat, 29 Oct 1994 19:43:32 GMT"
#define EARLIER "Sat, 29 Oct 1994 19:43:30 GMT"

enum { IGNORED = HTTP_RANGE_IGNORED, PART = HTTP_RANGE_PARTS, NONE = HTTP_RANGE_UNSATISFIABLE };

static void parses(void **state)
{
    (void)state;
    static const struct {
        const char *rfc, *value;
        uint64_t length;
        int kind;
        uint64_t first, end;
    } rows[] = {
        {"RFC 9110 14.1.2: the first 500 bytes", "bytes=0-499", 10000, PART, 0, 500},
        {"RFC 9110 14.1.2: the second 500 bytes", "bytes=500-999", 10000, PART, 500, 1000},
        {"RFC 9110 14.1.2: the final 500 bytes", "bytes=-500", 10000, PART, 9500, 10000},
        {"RFC 9110 14.1.2: from byte 9500 on", "bytes=9500-", 10000, PART, 9500, 10000},
        {"RFC 9110 14.1.2: one byte", "bytes=0-0", 10000, PART, 0, 1},
        {"RFC 9110 14.1.2: the last byte", "bytes=9999-9999", 10000, PART, 9999, 10000},
        {"RFC 9110 14.1.2: all of it", "bytes=0-", 10000, PART, 0, 10000},
        {"RFC 9110 14.1.2: a last position behind the end", "bytes=9999-10000", 10000, PART, 9999, 10000},
        {"RFC 9110 14.1.2: far behind the end", "bytes=1-18446744073709551615", 10, PART, 1, 10},
        {"RFC 9110 14.1.2: behind what 64 bits hold", "bytes=1-99999999999999999999999999", 10, PART, 1, 10},
        {"RFC 9110 14.1.2: a suffix longer than all", "bytes=-10001", 10000, PART, 0, 10000},
        {"RFC 9110 14.1.2: of exactly all", "bytes=-10000", 10000, PART, 0, 10000},
        {"RFC 9110 14.1.2: longer than 64 bits hold", "bytes=-18446744073709551616", 10, PART, 0, 10},
        {"RFC 9110 14.1.2: leading zeros", "bytes=0000000000000000000000001-02", 10, PART, 1, 3},
        {"RFC 9110 14.1: units in any case", "Bytes=0-1", 10, PART, 0, 2},
        {"RFC 9110 14.1.2: the length is as long as can be", "bytes=-1", UINT64_MAX, PART, UINT64_MAX - 1,
         UINT64_MAX},
        {"RFC 9110 14.1.2: begins at the end", "bytes=10000-", 10000, NONE, 0, 0},
        {"RFC 9110 14.1.2: begins behind the end", "bytes=10001-10002", 10000, NONE, 0, 0},
        {"RFC 9110 14.1.2: begins behind 64 bits", "bytes=18446744073709551616-", 10000, NONE, 0, 0},
        {"RFC 9110 14.1.2: both behind 64 bits", "bytes=99999999999999999999-99999999999999999999", 10, NONE,
         0, 0},
        {"RFC 9110 14.1.2: no byte at the end", "bytes=-0", 10000, NONE, 0, 0},
        {"RFC 9110 14.1.2: of an empty body", "bytes=0-", 0, NONE, 0, 0},
        {"RFC 9110 14.1.2: the last of an empty body", "bytes=-1", 0, IGNORED, 0, 0},
        {"RFC 9110 14.1.1: the last before the first", "bytes=5-4", 10, IGNORED, 0, 0},
        {"RFC 9110 14.1.1: the same behind the end", "bytes=15-14", 10, IGNORED, 0, 0},
        {"RFC 9110 14.1: another unit", "items=0-1", 10, IGNORED, 0, 0},
        {"RFC 9110 14.1: another unit", "bytesx=0-1", 10, IGNORED, 0, 0},
        {"RFC 9110 14.1.1: no unit", "0-1", 10, IGNORED, 0, 0},
        {"RFC 9110 14.1.1: no number at all", "bytes=-", 10, IGNORED, 0, 0},
        {"RFC 9110 14.1.1: no range", "bytes=", 10, IGNORED, 0, 0},
        {"RFC 9110 14.1.1: no equals sign", "bytes", 10, IGNORED, 0, 0},
        {"RFC 9110 14.1.1: empty", "", 10, IGNORED, 0, 0},
        {"RFC 9110 14.1.1: no dash", "bytes=5", 10, IGNORED, 0, 0},
        {"RFC 9110 14.1.1: a sign", "bytes=+1-2", 10, IGNORED, 0, 0},
        {"RFC 9110 14.1.1: two dashes", "bytes=--1", 10, IGNORED, 0, 0},
        {"RFC 9110 14.1.1: two dashes", "bytes=1--2", 10, IGNORED, 0, 0},
        {"RFC 9110 14.1.1: bytes behind it", "bytes=1-2x", 10, IGNORED, 0, 0},
        {"RFC 9110 14.1.1: bytes behind a suffix", "bytes=-2x", 10, IGNORED, 0, 0},
        {"RFC 9110 14.1.1: bytes behind an open one", "bytes=2-x", 10, IGNORED, 0, 0},
        {"RFC 9110 14.1.1: white space", "bytes = 0-1", 10, IGNORED, 0, 0},
        {"RFC 9110 14.1.1: white space", "bytes=0 - 1", 10, IGNORED, 0, 0},
        {"RFC 9110 14.1.1: hexadecimal", "bytes=0x0-0x1", 10, IGNORED, 0, 0},
    };
    int failures = 0;
    for (size_t i = 0; i < LENGTH_OF(rows); i++) {
        text_t value = exact(rows[i].value);
        http_ranges_t ranges;
        http_range_kind_t kind = http_range_parse(value, rows[i].length, &ranges);
        bool is_part = kind == HTTP_RANGE_PARTS && ranges.count == 1;
        http_range_t range = is_part ? ranges.at[0] : (http_range_t){0, 0};
        if ((int)kind != rows[i].kind || range.first != rows[i].first || range.end != rows[i].end)
            FAIL_ROW(i, rows[i].rfc, "%s of %" PRIu64 ": %d, %" PRIu64 " to %" PRIu64, rows[i].value,
                     rows[i].length, (int)kind, range.first, range.end);
        text_free(value);
    }
    assert_int_equal(failures, 0);
}

/* "0-4 7-10": the ranges as `first-end`, `end` excluded. */
static void write_ranges(const http_ranges_t *ranges, char *out, size_t capacity)
{
    size_t length = 0;
    out[0] = 0;
    for (size_t i = 0; i < ranges->count; i++)
        length += (size_t)snprintf(out + length, capacity - length, "%s%" PRIu64 "-%" PRIu64,
                                   i > 0 ? " " : "", ranges->at[i].first, ranges->at[i].end);
}

static void parses_sets(void **state)
{
    (void)state;
    static const struct {
        const char *rfc, *value;
        uint64_t length;
        const char *ranges; /* NULL: ignored; empty: unsatisfiable */
    } rows[] = {
        {"RFC 9110 14.1.2: the first and the last byte", "bytes=0-0,-1", 10000, "0-1 9999-10000"},
        {"RFC 9110 14.1.2: first, middle and last 1000", "bytes= 0-999, 4500-5499, -1000", 10000,
         "0-1000 4500-5500 9000-10000"},
        {"RFC 9110 14.1.2: the second 500 bytes, in two", "bytes=500-600,601-999", 10000, "500-1000"},
        {"RFC 9110 14.1.2: the same, overlapping", "bytes=500-700,601-999", 10000, "500-1000"},
        {"RFC 9110 15.3.7.2: in the order that was asked for", "bytes=50-59,0-9,30-", 100, "30-100 0-10"},
        {"RFC 9110 5.6.1: white space and empty members", "bytes=,\t0-1 ,, 5-6\t,", 10, "0-2 5-7"},
        {"RFC 9110 5.6.1: no member at all", "bytes=, ,", 10, NULL},
        {"RFC 9110 15.3.7.2: overlapping ones in any order", "bytes=5-9,0-3,2-6", 20, "0-10"},
        {"RFC 9110 15.3.7.2: in the place of the first of them", "bytes=50-59,0-9,80-89,5-12", 100,
         "50-60 0-13 80-90"},
        {"RFC 9110 15.3.7.2: one holds all others", "bytes=1-2,5-6,9-10,0-", 20, "0-20"},
        {"RFC 9110 15.3.7.2: one within another", "bytes=0-9,3-4,20-", 30, "0-10 20-30"},
        {"RFC 9110 15.3.7.2: they touch", "bytes=0-4, 5-9", 10, "0-10"},
        {"RFC 9110 15.3.7.2: a byte between them", "bytes=0-3, 5-9", 10, "0-4 5-10"},
        {"RFC 9110 14.1.2: without those that are not there", "bytes=0-1,10-,4-5,-0", 10, "0-2 4-6"},
        {"RFC 9110 15.3.7.2: one that is there", "bytes=10-,4-5,99-100", 10, "4-6"},
        {"RFC 9110 15.5.17: none is there", "bytes=10-,-0, 99-100", 10, ""},
        {"RFC 9110 15.5.17: none of nothing", "bytes=0-0,1-", 0, ""},
        {"RFC 9110 14.1.2: a suffix of nothing is there", "bytes=0-0,-1", 0, NULL},
        {"RFC 9110 14.2: a malformed one", "bytes=0-1,5-4", 10, NULL},
        {"RFC 9110 14.2: a malformed one", "bytes=0-1,x", 10, NULL},
        {"RFC 9110 14.2: a malformed one behind what is not there", "bytes=10-,-", 10, NULL},
        {"RFC 9110 14.1.1: quoted", "bytes=\"0-1,2-3\"", 10, NULL},
        {"RFC 9110 14.2: as many as are taken",
         "bytes=0-0,2-2,4-4,6-6,8-8,10-10,12-12,14-14,16-16,18-18,20-20,22-22,24-24,26-26,28-28,30-30", 99,
         "0-1 2-3 4-5 6-7 8-9 10-11 12-13 14-15 16-17 18-19 20-21 22-23 24-25 26-27 28-29 30-31"},
        {"RFC 9110 14.2: one more",
         "bytes=0-0,2-2,4-4,6-6,8-8,10-10,12-12,14-14,16-16,18-18,20-20,22-22,24-24,"
         "26-26,28-28,30-30,32-32",
         99, NULL},
        {"RFC 9110 14.2: one more, which overlaps",
         "bytes=0-0,2-2,4-4,6-6,8-8,10-10,12-12,14-14,16-16,18-18,"
         "20-20,22-22,24-24,26-26,28-28,30-30,15-15",
         99, "0-1 2-3 4-5 6-7 8-9 10-11 12-13 14-17 18-19 20-21 22-23 24-25 26-27 28-29 30-31"},
        {"RFC 9110 17.15: the same again and again",
         "bytes=0-,0-,0-,0-,0-,0-,0-,0-,0-,0-,0-,0-,0-,0-,0-,0-,0-,0-", 10, "0-10"},
    };
    int failures = 0;
    for (size_t i = 0; i < LENGTH_OF(rows); i++) {
        text_t value = exact(rows[i].value);
        http_ranges_t ranges;
        http_range_kind_t kind = http_range_parse(value, rows[i].length, &ranges);
        char found[1024] = "";
        if (kind == HTTP_RANGE_PARTS)
            write_ranges(&ranges, found, sizeof found);
        const char *wanted = rows[i].ranges;
        bool as_wanted = wanted == NULL ? kind == HTTP_RANGE_IGNORED
                                        : kind == (*wanted ? HTTP_RANGE_PARTS : HTTP_RANGE_UNSATISFIABLE) &&
                                              strcmp(found, wanted) == 0;
        if (!as_wanted)
            FAIL_ROW(i, rows[i].rfc, "%s of %" PRIu64 ": %d, %s", rows[i].value, rows[i].length, (int)kind,
                     found);
        text_free(value);
    }
    assert_int_equal(failures, 0);
}

static void parses_content_ranges(void **state)
{
    (void)state;
    static const struct {
        const char *rfc, *value;
        bool parsed;
        uint64_t first, end, length;
    } rows[] = {
        {"RFC 9110 14.4: an example", "bytes 42-1233/1234", true, 42, 1234, 1234},
        {"RFC 9110 14.4: the first 500 bytes", "bytes 0-499/1234", true, 0, 500, 1234},
        {"RFC 9110 14.1: units in any case", "Bytes 0-0/1", true, 0, 1, 1},
        {"RFC 9110 14.4: as long as can be", "bytes 0-18446744073709551614/18446744073709551615", true, 0,
         UINT64_MAX, UINT64_MAX},
        {"RFC 9110 14.4: of an unknown length", "bytes 42-1233/*", false, 0, 0, 0},
        {"RFC 9110 14.4: unsatisfied", "bytes */1234", false, 0, 0, 0},
        {"RFC 9110 14.4: the last before the first", "bytes 5-4/10", false, 0, 0, 0},
        {"RFC 9110 14.4: longer than the whole", "bytes 0-10/10", false, 0, 0, 0},
        {"RFC 9110 14.4: the length is behind 64 bits", "bytes 0-99999999999999999999/99999999999999999999",
         false, 0, 0, 0},
        {"RFC 9110 14.4: another unit", "lines 0-1/10", false, 0, 0, 0},
        {"RFC 9110 14.4: no unit", "0-1/10", false, 0, 0, 0},
        {"RFC 9110 14.4: no length", "bytes 0-1", false, 0, 0, 0},
        {"RFC 9110 14.4: an empty length", "bytes 0-1/", false, 0, 0, 0},
        {"RFC 9110 14.4: no last", "bytes 0-/10", false, 0, 0, 0},
        {"RFC 9110 14.4: no first", "bytes -1/10", false, 0, 0, 0},
        {"RFC 9110 14.4: bytes behind it", "bytes 0-1/10 ", false, 0, 0, 0},
        {"RFC 9110 14.4: an equals sign", "bytes=0-1/10", false, 0, 0, 0},
        {"RFC 9110 14.4: empty", "", false, 0, 0, 0},
    };
    int failures = 0;
    for (size_t i = 0; i < LENGTH_OF(rows); i++) {
        text_t value = exact(rows[i].value);
        http_range_t range = {0, 0};
        uint64_t length = 0;
        bool parsed = http_content_range_parse(value, &range, &length);
        bool same =
            !parsed || (range.first == rows[i].first && range.end == rows[i].end && length == rows[i].length);
        if (parsed != rows[i].parsed || !same)
            FAIL_ROW(i, rows[i].rfc, "%s: %d, %" PRIu64 " to %" PRIu64, rows[i].value, parsed, range.first,
                     range.end);
        text_free(value);
    }
    assert_int_equal(failures, 0);
}

/* Is this byte in one of the ranges, and in no other? */
static unsigned holders(const http_ranges_t *ranges, uint64_t at)
{
    unsigned count = 0;
    for (size_t i = 0; i < ranges->count; i++)
        count += ranges->at[i].first <= at && at < ranges->at[i].end;
    return count;
}

/* Ranges of a short body, against a map of its bytes. */
static void a_set_holds_the_bytes_that_were_asked_for(void **state)
{
    (void)state;
    enum { BYTES = 40 };
    uint64_t seed = 5;
    for (int round = 0; round < 20000; round++) {
        char line[400] = "bytes=";
        unsigned asked[BYTES + 1] = {0}, runs = 0;
        for (uint64_t left = 1 + next_random(&seed) % 8; left > 0; left--) {
            unsigned first = (unsigned)(next_random(&seed) % BYTES);
            unsigned last = first + (unsigned)(next_random(&seed) % (BYTES - first));
            sprintf(line + strlen(line), "%u-%u,", first, last);
            for (unsigned i = first; i <= last; i++)
                asked[i] = 1;
        }
        http_ranges_t ranges;
        assert_int_equal(http_range_parse(text_of(line), BYTES, &ranges), HTTP_RANGE_PARTS);
        for (unsigned i = 0; i < BYTES; i++) {
            runs += asked[i] && !asked[i + 1];
            if (holders(&ranges, i) != asked[i])
                fail_msg("%s: byte %u", line, i);
        }
        if (runs != ranges.count)
            fail_msg("%s: %zu ranges", line, ranges.count);
    }
}

/* Whatever is sent, what comes out are parts that are there. */
static void parts_lie_within(void **state)
{
    (void)state;
    static const char *const pieces[] = {"bytes=", "0", "9", "18446744073709551615", "-", "-", ",", " ", "x"};
    uint64_t seed = 11;
    unsigned parts = 0;
    for (int i = 0; i < 200000; i++) {
        char line[160] = "bytes=";
        for (uint64_t left = next_random(&seed) % 5; left > 0; left--)
            strcat(line, pieces[next_random(&seed) % LENGTH_OF(pieces)]);
        text_t value = exact(line + (next_random(&seed) % 8 == 0 ? 3 : 0));
        uint64_t length = next_random(&seed) % 4 == 0 ? UINT64_MAX : next_random(&seed) % 12;
        http_ranges_t ranges = {0};
        bool any = http_range_parse(value, length, &ranges) == HTTP_RANGE_PARTS;
        parts += any;
        for (size_t at = 0; any && at < ranges.count; at++) {
            const http_range_t *range = &ranges.at[at];
            if (range->first >= range->end || range->end > length)
                fail_msg("%s of %" PRIu64 ": %" PRIu64 " to %" PRIu64, line, length, range->first,
                         range->end);
        }
        text_free(value);
    }
    assert_true(parts > 1000);
}

static void selects(void **state)
{
    (void)state;
    static const struct {
        const char *rfc, *request, *etag, *last_modified, *date;
        http_selection_t selection;
    } rows[] = {
        {"RFC 9110 14.2: no Range", "accept: */*", "\"a\"", MODIFIED, SECOND_LATER, HTTP_WHOLE},
        {"RFC 9110 14.2: a Range", "range: bytes=1-2", "\"a\"", MODIFIED, SECOND_LATER, HTTP_PART},
        {"RFC 9110 14.2: without any validator", "range: bytes=1-2", NULL, NULL, NULL, HTTP_PART},
        {"RFC 9110 15.5.17: unsatisfiable", "range: bytes=10-", "\"a\"", NULL, NULL, HTTP_UNSATISFIABLE},
        {"RFC 9110 15.3.7.2: several", "range: bytes=1-2,4-5", "\"a\"", NULL, NULL, HTTP_PARTS},
        {"RFC 9110 15.3.7.2: several that are one", "range: bytes=1-1,2-2", "\"a\"", NULL, NULL, HTTP_PART},
        {"RFC 9110 15.3.7.2: several of which one is there", "range: bytes=10-,1-2", "\"a\"", NULL, NULL,
         HTTP_PART},
        {"RFC 9110 13.1.5: several, if it is the same", "range: bytes=1-2,4-5|if-range: \"a\"", "\"a\"", NULL,
         NULL, HTTP_PARTS},
        {"RFC 9110 13.1.5: several, and another ETag", "range: bytes=1-2,4-5|if-range: \"b\"", "\"a\"", NULL,
         NULL, HTTP_WHOLE},
        {"RFC 9110 5.3: Range twice", "range: bytes=1-2|range: bytes=1-2", "\"a\"", NULL, NULL, HTTP_WHOLE},
        {"RFC 9111 4.3.2: no Last-Modified, and a Date that is not later", "if-modified-since: " SECOND_LATER,
         "\"a\"", NULL, SECOND_LATER, HTTP_NOT_MODIFIED},
        {"RFC 9111 4.3.2: no Last-Modified, and a Date that is later", "if-modified-since: " MODIFIED, NULL,
         NULL, SECOND_LATER, HTTP_WHOLE},
        {"RFC 9111 4.3.2: Last-Modified goes before the Date", "if-modified-since: " MODIFIED, NULL, MODIFIED,
         SECOND_LATER, HTTP_NOT_MODIFIED},
        {"RFC 9110 13.2.2: 304 before 206", "range: bytes=1-2|if-none-match: \"a\"", "\"a\"", NULL, NULL,
         HTTP_NOT_MODIFIED},
        {"RFC 9110 13.2.2: 304 before 416", "range: bytes=99-|if-none-match: \"a\"", "\"a\"", NULL, NULL,
         HTTP_NOT_MODIFIED},
        {"RFC 9110 13.2.2: modified, so a part", "range: bytes=1-2|if-none-match: \"b\"", "\"a\"", NULL, NULL,
         HTTP_PART},
        {"RFC 9110 13.2.2: 412 before 206", "range: bytes=1-2|if-match: \"b\"", "\"a\"", NULL, NULL,
         HTTP_PRECONDITION_FAILED},
        {"RFC 9110 13.2.2: 412 before 304", "if-none-match: \"a\"|if-match: \"b\"", "\"a\"", NULL, NULL,
         HTTP_PRECONDITION_FAILED},
        {"RFC 9110 13.2.2: 412 before 416", "range: bytes=99-|if-match: \"b\"", "\"a\"", NULL, NULL,
         HTTP_PRECONDITION_FAILED},
        {"RFC 9110 13.1.1: If-Match", "range: bytes=1-2|if-match: \"b\", \"a\"", "\"a\"", NULL, NULL,
         HTTP_PART},
        {"RFC 9110 13.1.1: If-Match: *", "if-match: *", NULL, NULL, NULL, HTTP_WHOLE},
        {"RFC 9110 13.1.1: strong comparison, a weak one sent", "if-match: W/\"a\"", "\"a\"", NULL, NULL,
         HTTP_PRECONDITION_FAILED},
        {"RFC 9110 13.1.1: strong comparison, a weak one stored", "if-match: \"a\"", "W/\"a\"", NULL, NULL,
         HTTP_PRECONDITION_FAILED},
        {"RFC 9110 13.1.1: a strong one behind a weak one", "if-match: W/\"a\", \"a\"", "\"a\"", NULL, NULL,
         HTTP_WHOLE},
        {"RFC 9110 13.1.1: no ETag", "if-match: \"a\"", NULL, MODIFIED, NULL, HTTP_PRECONDITION_FAILED},
        {"RFC 9110 13.1.4: modified since", "if-unmodified-since: " EARLIER, NULL, MODIFIED, NULL,
         HTTP_PRECONDITION_FAILED},
        {"RFC 9110 13.1.4: not modified since", "if-unmodified-since: " MODIFIED, NULL, MODIFIED, NULL,
         HTTP_WHOLE},
        {"RFC 9110 13.1.4: beside If-Match", "if-match: \"a\"|if-unmodified-since: " EARLIER, "\"a\"",
         MODIFIED, NULL, HTTP_WHOLE},
        {"RFC 9110 13.1.4: no date", "if-unmodified-since: yesterday", NULL, MODIFIED, NULL, HTTP_WHOLE},
        {"RFC 9110 13.1.4: no Last-Modified", "if-unmodified-since: " EARLIER, NULL, NULL, NULL, HTTP_WHOLE},
        {"RFC 9110 13.1.5: the same ETag", "range: bytes=1-2|if-range: \"a\"", "\"a\"", NULL, NULL,
         HTTP_PART},
        {"RFC 9110 13.1.5: another ETag", "range: bytes=1-2|if-range: \"b\"", "\"a\"", NULL, NULL,
         HTTP_WHOLE},
        {"RFC 9110 13.1.5: another ETag, unsatisfiable", "range: bytes=99-|if-range: \"b\"", "\"a\"", NULL,
         NULL, HTTP_WHOLE},
        {"RFC 9110 13.1.5: a weak ETag sent", "range: bytes=1-2|if-range: W/\"a\"", "\"a\"", NULL, NULL,
         HTTP_WHOLE},
        {"RFC 9110 13.1.5: a weak ETag stored", "range: bytes=1-2|if-range: \"a\"", "W/\"a\"", NULL, NULL,
         HTTP_WHOLE},
        {"RFC 9110 13.1.5: both weak", "range: bytes=1-2|if-range: W/\"a\"", "W/\"a\"", NULL, NULL,
         HTTP_WHOLE},
        {"RFC 9110 13.1.5: it is no list", "range: bytes=1-2|if-range: \"a\", \"b\"", "\"a\"", NULL, NULL,
         HTTP_WHOLE},
        {"RFC 9110 13.1.5: it is no list", "range: bytes=1-2|if-range: *", "\"a\"", NULL, NULL, HTTP_WHOLE},
        {"RFC 9110 13.1.5: twice", "range: bytes=1-2|if-range: \"a\"|if-range: \"a\"", "\"a\"", NULL, NULL,
         HTTP_WHOLE},
        {"RFC 9110 13.1.5: the date", "range: bytes=1-2|if-range: " MODIFIED, "\"a\"", MODIFIED, SECOND_LATER,
         HTTP_PART},
        {"RFC 9110 13.1.5: a later date is not the same",
         "range: bytes=1-2|if-range: Sun, 30 Oct 1994 00:00:00 GMT", NULL, MODIFIED,
         "Mon, 31 Oct 1994 00:00:00 GMT", HTTP_WHOLE},
        {"RFC 9110 13.1.5: an earlier date", "range: bytes=1-2|if-range: " EARLIER, NULL, MODIFIED,
         SECOND_LATER, HTTP_WHOLE},
        {"RFC 9110 8.8.2.2: modified in the second it was sent in", "range: bytes=1-2|if-range: " MODIFIED,
         NULL, MODIFIED, MODIFIED, HTTP_WHOLE},
        {"RFC 9110 8.8.2.2: when it was sent is not known", "range: bytes=1-2|if-range: " MODIFIED, NULL,
         MODIFIED, NULL, HTTP_WHOLE},
        {"RFC 9110 13.1.5: nothing to compare with", "range: bytes=1-2|if-range: " MODIFIED, "\"a\"", NULL,
         SECOND_LATER, HTTP_WHOLE},
        {"RFC 9110 13.1.5: junk", "range: bytes=1-2|if-range: a", "a", NULL, NULL, HTTP_WHOLE},
        {"RFC 9110 13.1.5: empty", "range: bytes=1-2|if-range:", NULL, NULL, NULL, HTTP_WHOLE},
        {"RFC 9110 13.1.5: without Range", "if-range: \"b\"", "\"a\"", NULL, NULL, HTTP_WHOLE},
    };
    int failures = 0;
    for (size_t i = 0; i < LENGTH_OF(rows); i++) {
        table_fields_t request = fields_of(rows[i].request);
        http_selected_t selected = {
            exact(rows[i].etag), exact(rows[i].last_modified), exact(rows[i].date), 10, true, false};
        http_ranges_t ranges;
        http_selection_t selection = http_select(view(&request), &selected, &ranges);
        if (selection != rows[i].selection)
            FAIL_ROW(i, rows[i].rfc, "%s: %d", rows[i].request, (int)selection);
        if (selection == HTTP_PART && (ranges.count != 1 || ranges.at[0].first != 1 || ranges.at[0].end != 3))
            FAIL_ROW(i, rows[i].rfc, "%s: another part", rows[i].request);
        fields_free(&request);
        text_free(selected.etag);
        text_free(selected.last_modified);
        text_free(selected.date);
    }
    assert_int_equal(failures, 0);
}

static void no_part_of_a_head_or_of_what_has_no_length(void **state)
{
    (void)state;
    table_fields_t request = fields_of("range: bytes=1-2");
    http_ranges_t range;
    assert_int_equal(http_select(view(&request), &(http_selected_t){.length = 10}, &range), HTTP_WHOLE);
    http_selected_t unknown = {.length = -1, .is_get = true};
    assert_int_equal(http_select(view(&request), &unknown, &range), HTTP_WHOLE);
    fields_free(&request);
}

static void of_what_is_coded_no_part(void **state)
{
    (void)state;
    http_selected_t coded = {.length = 10, .is_get = true, .is_coded = true};
    http_ranges_t ranges;
    table_fields_t one = fields_of("range: bytes=1-2"), several = fields_of("range: bytes=1-2,4-5");
    table_fields_t beyond = fields_of("range: bytes=10-");
    assert_int_equal(http_select(view(&one), &coded, &ranges), HTTP_WHOLE);
    assert_int_equal(http_select(view(&beyond), &coded, &ranges), HTTP_WHOLE);
    assert_int_equal(http_select(view(&several), &coded, &ranges), HTTP_WHOLE);
    fields_free(&one);
    fields_free(&several);
    fields_free(&beyond);
}

static void what_is_plain(void **state)
{
    (void)state;
    static const struct {
        const char *fields;
        bool plain;
    } rows[] = {
        {"", true},
        {"accept: */*|user-agent: x", true},
        {"range: bytes=0-", false},
        {"accept: */*|if-none-match: x", false},
        {"if-modified-since: x", false},
        {"if-match: x", false},
        {"if-unmodified-since: x", false},
        {"if-range: x", false},
        {"ranges: x|rang: x|xrange: x|if: x|i: x", true},
    };
    for (size_t i = 0; i < LENGTH_OF(rows); i++) {
        table_fields_t fields = fields_of(rows[i].fields);
        if (http_is_plain(view(&fields)) != rows[i].plain)
            fail_msg("%s", rows[i].fields);
        fields_free(&fields);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(parses),
        cmocka_unit_test(parses_sets),
        cmocka_unit_test(parses_content_ranges),
        cmocka_unit_test(a_set_holds_the_bytes_that_were_asked_for),
        cmocka_unit_test(parts_lie_within),
        cmocka_unit_test(selects),
        cmocka_unit_test(no_part_of_a_head_or_of_what_has_no_length),
        cmocka_unit_test(of_what_is_coded_no_part),
        cmocka_unit_test(what_is_plain),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
