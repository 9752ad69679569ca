#include "edge/observe/access_log_line.h"

enum {
    TEXTS_MAX = SITE_LIMIT + CLIENT_LIMIT + METHOD_LIMIT + HOST_LIMIT + PATH_LIMIT + TIER_LIMIT +
                AGENT_LIMIT + REFERER_LIMIT + NODE_LIMIT
};
/* All keys, punctuation, numbers at their longest and the words of the enumerations. */
enum { FIXED_MAX = 640, ESCAPE_MAX = 6 };
enum { SECOND_US = 1000000 };
_Static_assert(TEXTS_MAX + FIXED_MAX <= ACCESS_LOG_LINE_MAX, "the longest line fits");

static const char ellipsis[] = "\xe2\x80\xa6";
enum { ELLIPSIS_LENGTH = sizeof ellipsis - 1 };

static bool is_continuation(unsigned char byte)
{
    return (byte & 0xc0) == 0x80;
}

/* How many bytes the UTF-8 sequence at the start has (RFC 3629: shortest forms, no surrogates); 0 when it is
 * none. */
static size_t sequence_length(const unsigned char *at, size_t left)
{
    if (left >= 2 && at[0] >= 0xc2 && at[0] <= 0xdf && is_continuation(at[1]))
        return 2;
    if (left < 3 || !is_continuation(at[1]) || !is_continuation(at[2]))
        return 0;
    if (at[0] >= 0xe0 && at[0] <= 0xef) {
        bool overlong = at[0] == 0xe0 && at[1] < 0xa0, surrogate = at[0] == 0xed && at[1] > 0x9f;
        return overlong || surrogate ? 0 : 3;
    }
    if (left < 4 || !is_continuation(at[3]) || at[0] < 0xf0 || at[0] > 0xf4)
        return 0;
    bool overlong = at[0] == 0xf0 && at[1] < 0x90, beyond = at[0] == 0xf4 && at[1] > 0x8f;
    return overlong || beyond ? 0 : 4;
}

/* One byte, or one sequence, in the form that JSON takes. Returns its length there; *taken: how many bytes it
 * was. */
static size_t escape_one(const char *from, size_t left, char out[ESCAPE_MAX], size_t *taken)
{
    static const char hex[] = "0123456789abcdef";
    unsigned char byte = (unsigned char)*from;
    *taken = 1;
    if (byte == '"' || byte == '\\') {
        out[0] = '\\';
        out[1] = (char)byte;
        return 2;
    }
    if (byte < 0x20) {
        memcpy(out, "\\u00", 4);
        out[4] = hex[byte >> 4];
        out[5] = hex[byte & 15];
        return 6;
    }
    if (byte < 0x80) {
        out[0] = (char)byte;
        return 1;
    }
    size_t length = sequence_length((const unsigned char *)from, left);
    if (length == 0) {
        memcpy(out, "\xef\xbf\xbd", 3); /* U+FFFD, the replacement character, for each byte that is no text */
        return 3;
    }
    memcpy(out, from, length);
    *taken = length;
    return length;
}

/* Sixteen bytes looked at together, which the compiler keeps in one register; signed, so that all above ASCII
 * are below 0. */
typedef signed char wide_t __attribute__((vector_size(16)));
typedef uint64_t halves_t __attribute__((vector_size(16)));

/* Plain bytes are their own form in JSON: ASCII without control bytes, quote and backslash. The others'
 * places are not 0 in the answer. */
static inline wide_t special_bytes(wide_t bytes)
{
    return (wide_t)(bytes < 0x20) | (wide_t)(bytes == '"') | (wide_t)(bytes == '\\');
}

static inline bool is_empty(wide_t marks)
{
    halves_t halves = (halves_t)marks;
    return (halves[0] | halves[1]) == 0;
}

static inline bool all_plain(uint64_t front, uint64_t back)
{
    return is_empty(special_bytes((wide_t)(halves_t){front, back}));
}

/* These copy all bytes, as pieces that may overlap, and return whether all are plain; what was copied is of
 * no use otherwise. 1 to 3 bytes: */
static inline bool copy_three(char *out, const char *from, size_t length)
{
    unsigned char first = (unsigned char)from[0], last = (unsigned char)from[length - 1];
    unsigned char middle = (unsigned char)from[length / 2];
    out[0] = (char)first;
    out[length / 2] = (char)middle;
    out[length - 1] = (char)last;
    const uint64_t spaces = UINT64_C(0x2020202020000000);
    uint64_t word = spaces | (uint64_t)first << 16 | (uint64_t)middle << 8 | last;
    return all_plain(word, word);
}

/* 4 to 7 bytes. */
static inline bool copy_seven(char *out, const char *from, size_t length)
{
    uint32_t front, back;
    memcpy(&front, from, sizeof front);
    memcpy(&back, from + length - sizeof back, sizeof back);
    memcpy(out, &front, sizeof front);
    memcpy(out + length - sizeof back, &back, sizeof back);
    uint64_t word = (uint64_t)front << 32 | back;
    return all_plain(word, word);
}

/* 8 to 16. */
static inline bool copy_sixteen(char *out, const char *from, size_t length)
{
    uint64_t front, back;
    memcpy(&front, from, sizeof front);
    memcpy(&back, from + length - sizeof back, sizeof back);
    memcpy(out, &front, sizeof front);
    memcpy(out + length - sizeof back, &back, sizeof back);
    return all_plain(front, back);
}

/* 16 and more. */
static inline bool copy_many(char *out, const char *from, size_t length)
{
    wide_t bytes, marks = {0};
    size_t last = length - sizeof bytes;
    for (size_t done = 0; done < last; done += sizeof bytes) {
        memcpy(&bytes, from + done, sizeof bytes);
        memcpy(out + done, &bytes, sizeof bytes);
        marks |= special_bytes(bytes);
    }
    memcpy(&bytes, from + last, sizeof bytes);
    memcpy(out + last, &bytes, sizeof bytes);
    return is_empty(marks | special_bytes(bytes));
}

static inline bool copy_if_plain(char *out, const char *from, size_t length)
{
    if (length > 16)
        return copy_many(out, from, length);
    if (length >= 8)
        return copy_sixteen(out, from, length);
    if (length >= 4)
        return copy_seven(out, from, length);
    return length == 0 || copy_three(out, from, length);
}

/* The text between quotes, of which not all is plain, or which is longer than `room`. */
static __attribute__((noinline)) char *put_escaped(char *out, text_t text, size_t room)
{
    enum { RUN = 8 };
    size_t used = 0, read = 0;
    *out++ = '"';
    while (read < text.length) {
        if (text.length - read >= RUN && room - used >= RUN &&
            copy_sixteen(out + used, text.data + read, RUN)) {
            used += RUN;
            read += RUN;
            continue;
        }
        char escaped[ESCAPE_MAX];
        size_t taken, length = escape_one(text.data + read, text.length - read, escaped, &taken);
        if (used + length > room) {
            memcpy(out + used, ellipsis, ELLIPSIS_LENGTH);
            used += ELLIPSIS_LENGTH;
            break;
        }
        memcpy(out + used, escaped, length);
        used += length;
        read += taken;
    }
    out[used] = '"';
    return out + used + 1;
}

/* The text between quotes, or null; at most `limit` bytes of it. */
static char *put_text(char *out, text_t text, size_t limit)
{
    if (text.data == NULL) {
        memcpy(out, "null", 4);
        return out + 4;
    }
    size_t room = limit - ELLIPSIS_LENGTH;
    if (text.length > room || !copy_if_plain(out + 1, text.data, text.length))
        return put_escaped(out, text, room);
    out[0] = out[text.length + 1] = '"';
    return out + text.length + 2;
}

/* "00" to "99". */
static const char two_digits[200] =
    "0001020304050607080910111213141516171819202122232425262728293031323334353637383940414243"
    "44454647484950515253545556575859606162636465666768697071727374757677787980818283848586"
    "87888990919293949596979899";

static char *put_two_digits(char *out, unsigned number)
{
    memcpy(out, two_digits + 2 * number, 2);
    return out + 2;
}

static char *put_number(char *out, uint64_t number)
{
    if (number >= 10000) {
        out = put_number(out, number / 10000);
        out = put_two_digits(out, (unsigned)(number / 100 % 100));
        return put_two_digits(out, (unsigned)(number % 100));
    }
    unsigned small = (unsigned)number;
    if (small >= 1000)
        out = put_two_digits(out, small / 100);
    else if (small >= 100)
        *out++ = (char)('0' + small / 100);
    if (small >= 10)
        return put_two_digits(out, small % 100);
    *out = (char)('0' + small);
    return out + 1;
}

/* Negative: not known. */
static char *put_duration(char *out, int64_t us)
{
    if (us >= 0)
        return put_number(out, (uint64_t)us);
    memcpy(out, "null", 4);
    return out + 4;
}

/* The date of a day since 1970-01-01 in the Gregorian calendar. Years start in March, so that the leap day is
 * the last; 400 of them have 146097 days (Howard Hinnant, "chrono-compatible low-level date algorithms"). */
static void date_of(uint64_t day, unsigned *year, unsigned *month, unsigned *day_of_month)
{
    uint64_t shifted = day + 719468;
    uint64_t era = shifted / 146097, day_of_era = shifted % 146097;
    uint64_t year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36524 - day_of_era / 146096) / 365;
    uint64_t day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    uint64_t shifted_month = (5 * day_of_year + 2) / 153;
    *day_of_month = (unsigned)(day_of_year - (153 * shifted_month + 2) / 5 + 1);
    *month = (unsigned)(shifted_month < 10 ? shifted_month + 3 : shifted_month - 9);
    *year = (unsigned)(year_of_era + era * 400 + (*month <= 2));
}

enum { CLOCK_LENGTH = sizeof "2026-01-31T12:00:00." - 1 };

static void set_clock(access_log_clock_t *clock, int64_t second)
{
    unsigned year, month, day, of_day = (unsigned)(second % 86400);
    date_of((uint64_t)second / 86400, &year, &month, &day);
    char *out = put_two_digits(clock->text, year / 100);
    out = put_two_digits(out, year % 100);
    *out++ = '-';
    out = put_two_digits(out, month);
    *out++ = '-';
    out = put_two_digits(out, day);
    *out++ = 'T';
    out = put_two_digits(out, of_day / 3600);
    *out++ = ':';
    out = put_two_digits(out, of_day / 60 % 60);
    *out++ = ':';
    out = put_two_digits(out, of_day % 60);
    *out = '.';
    clock->from_us = second * SECOND_US;
    clock->until_us = clock->from_us + SECOND_US;
}

/* RFC 3339, UTC, microseconds. Times before 1970 and after 9999 are their nearest end. */
static char *put_time(access_log_clock_t *clock, char *out, int64_t time_us)
{
    if (time_us < clock->from_us || time_us >= clock->until_us) {
        const int64_t last_us = INT64_C(253402300799999999);
        time_us = time_us < 0 ? 0 : time_us > last_us ? last_us : time_us;
        set_clock(clock, time_us / SECOND_US);
    }
    unsigned fraction = (unsigned)(time_us - clock->from_us);
    memcpy(out, clock->text, CLOCK_LENGTH);
    out = put_two_digits(out + CLOCK_LENGTH, fraction / 10000);
    out = put_two_digits(out, fraction / 100 % 100);
    out = put_two_digits(out, fraction % 100);
    *out++ = 'Z';
    return out;
}

/* A piece of the line that is known beforehand, with a name of counters.h in it. */
typedef struct {
    char text[40];
    size_t length;
} piece_t;

#define PIECE(literal)                                                                                       \
    {                                                                                                        \
        literal, sizeof(literal) - 1                                                                         \
    }

static const piece_t protocol_pieces[PROTOCOLS] = {
    [PROTOCOL_H1] = PIECE(",\"protocol\":\"h1\",\"method\":"),
    [PROTOCOL_H2] = PIECE(",\"protocol\":\"h2\",\"method\":"),
};

static const piece_t cache_pieces[OUTCOMES] = {
    [OUTCOME_HIT] = PIECE(",\"cache\":\"hit\",\"tier\":"),
    [OUTCOME_MISS] = PIECE(",\"cache\":\"miss\",\"tier\":"),
    [OUTCOME_STALE] = PIECE(",\"cache\":\"stale\",\"tier\":"),
    [OUTCOME_REVALIDATED] = PIECE(",\"cache\":\"revalidated\",\"tier\":"),
    [OUTCOME_PASS] = PIECE(",\"cache\":\"pass\",\"tier\":"),
    [OUTCOME_ERROR] = PIECE(",\"cache\":\"error\",\"tier\":"),
    [OUTCOME_REDIRECT] = PIECE(",\"cache\":\"redirect\",\"tier\":"),
    [OUTCOME_PREFLIGHT] = PIECE(",\"cache\":\"preflight\",\"tier\":"),
};

/* Copies the whole array, at a length known to the compiler; what follows in the line is longer than what is
 * too much. */
static char *put_piece(char *out, const piece_t *piece)
{
    memcpy(out, piece->text, sizeof piece->text);
    return out + piece->length;
}

#define PUT_KEY(out, literal) (memcpy(out, literal, sizeof literal - 1), (out) + sizeof literal - 1)

static char *put_request(access_log_clock_t *clock, char *out, const access_log_line_t *line)
{
    out = PUT_KEY(out, "{\"time\":\"");
    out = put_time(clock, out, line->time_us);
    out = PUT_KEY(out, "\",\"site\":");
    out = put_text(out, line->site, SITE_LIMIT);
    out = PUT_KEY(out, ",\"client\":");
    out = put_text(out, line->client, CLIENT_LIMIT);
    MUST(line->protocol < PROTOCOLS);
    out = put_piece(out, &protocol_pieces[line->protocol]);
    out = put_text(out, line->method, METHOD_LIMIT);
    out = PUT_KEY(out, ",\"host\":");
    out = put_text(out, line->host, HOST_LIMIT);
    out = PUT_KEY(out, ",\"path\":");
    return put_text(out, line->path, PATH_LIMIT);
}

static char *put_answer(char *out, const access_log_line_t *line)
{
    out = PUT_KEY(out, ",\"status\":");
    out = put_number(out, line->status < 0 ? 0 : (uint64_t)line->status);
    out = PUT_KEY(out, ",\"bytes\":");
    out = put_number(out, line->bytes);
    out = PUT_KEY(out, ",\"duration_us\":");
    out = put_duration(out, line->duration_us);
    out = PUT_KEY(out, ",\"ttfb_us\":");
    out = put_duration(out, line->ttfb_us);
    MUST(line->cache < OUTCOMES);
    out = put_piece(out, &cache_pieces[line->cache]);
    bool tier = line->tier != NULL && *line->tier != 0;
    out = put_text(out, tier ? text_of(line->tier) : (text_t){NULL, 0}, TIER_LIMIT);
    out = PUT_KEY(out, ",\"origin_status\":");
    return put_duration(out, line->origin_status > 0 ? line->origin_status : -1);
}

size_t access_log_json(access_log_clock_t *clock, const access_log_line_t *line, char *out)
{
    char *end = put_request(clock, out, line);
    end = put_answer(end, line);
    end = PUT_KEY(end, ",\"user_agent\":");
    end = put_text(end, line->user_agent, AGENT_LIMIT);
    end = PUT_KEY(end, ",\"referer\":");
    end = put_text(end, line->referer, REFERER_LIMIT);
    end = PUT_KEY(end, ",\"node\":");
    end = put_text(end, line->node, NODE_LIMIT);
    end = PUT_KEY(end, "}\n");
    return (size_t)(end - out);
}

static size_t bound(text_t text, size_t limit)
{
    return text.length < limit / ESCAPE_MAX ? text.length * ESCAPE_MAX : limit;
}

size_t access_log_line_bound(const access_log_line_t *line)
{
    return FIXED_MAX + TIER_LIMIT + bound(line->site, SITE_LIMIT) + bound(line->client, CLIENT_LIMIT) +
           bound(line->method, METHOD_LIMIT) + bound(line->host, HOST_LIMIT) + bound(line->path, PATH_LIMIT) +
           bound(line->user_agent, AGENT_LIMIT) + bound(line->referer, REFERER_LIMIT) +
           bound(line->node, NODE_LIMIT);
}
