/* The combined format, as nginx writes it: address - - [day:time +0000] "request" status bytes "referer"
 * "agent". */
#include <inttypes.h>
#include <time.h>

#include "edge/observe/access_log_line.h"

enum { ESCAPED = 4, DOTS = 3, SECOND_US = 1000000, NUMBERS_MAX = 64 };

/* A byte that could end the text, or that a reader or terminal could take for more than itself. */
static bool must_be_escaped(unsigned char byte)
{
    return byte < ' ' || byte > '~' || byte == '"' || byte == '\\';
}

/* At most `limit` bytes; what is cut ends in three dots. */
static char *put_bytes(char *out, text_t text, size_t limit)
{
    static const char hex[] = "0123456789ABCDEF";
    size_t used = 0;
    for (size_t i = 0; i < text.length; i++) {
        unsigned char byte = (unsigned char)text.data[i];
        if (used + ESCAPED + DOTS > limit) {
            memcpy(out + used, "...", DOTS);
            return out + used + DOTS;
        }
        if (!must_be_escaped(byte)) {
            out[used++] = (char)byte;
            continue;
        }
        const char escaped[ESCAPED] = {'\\', 'x', hex[byte >> 4], hex[byte & 15]};
        memcpy(out + used, escaped, ESCAPED);
        used += ESCAPED;
    }
    return out + used;
}

static char *put_field(char *out, text_t text, size_t limit)
{
    *out++ = '"';
    out = put_bytes(out, text.data != NULL ? text : TEXT("-"), limit);
    *out++ = '"';
    return out;
}

static char *put_literal(char *out, text_t text)
{
    memcpy(out, text.data, text.length);
    return out + text.length;
}

enum { CLOCK_LENGTH = sizeof "[31/Jan/2026:12:00:00 +0000]" - 1 };
_Static_assert(sizeof "[31/Jan/2026:12:00:00 +0000]" <= sizeof((access_log_clock_t *)NULL)->text, "it fits");

/* Months have English names in every locale. */
static void set_clock(access_log_clock_t *clock, int64_t second)
{
    static const char months[12][4] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                       "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
    struct tm parts;
    char text[64];
    MUST(gmtime_r(&(time_t){second}, &parts) != NULL);
    int length =
        snprintf(text, sizeof text, "[%02d/%s/%04d:%02d:%02d:%02d +0000]", parts.tm_mday,
                 months[parts.tm_mon], parts.tm_year + 1900, parts.tm_hour, parts.tm_min, parts.tm_sec);
    MUST(length == CLOCK_LENGTH);
    memcpy(clock->text, text, CLOCK_LENGTH);
    clock->from_us = second * SECOND_US;
    clock->until_us = clock->from_us + SECOND_US;
}

/* Times before 1970 and after 9999 are their nearest end. */
static char *put_time(access_log_clock_t *clock, char *out, int64_t time_us)
{
    if (time_us < clock->from_us || time_us >= clock->until_us) {
        const int64_t last_second = INT64_C(253402300799);
        int64_t second = time_us < 0 ? 0 : time_us / SECOND_US;
        set_clock(clock, second > last_second ? last_second : second);
    }
    return put_literal(out, (text_t){clock->text, CLOCK_LENGTH});
}

static text_t version_text(int version)
{
    if (version >= 0x200)
        return TEXT(" HTTP/2.0\"");
    return version == 0x100 ? TEXT(" HTTP/1.0\"") : TEXT(" HTTP/1.1\"");
}

size_t access_log_combined(access_log_clock_t *clock, const access_log_line_t *line, char *out)
{
    char *end = put_bytes(out, line->client.length > 0 ? line->client : TEXT("-"), CLIENT_LIMIT);
    end = put_literal(end, TEXT(" - - "));
    end = put_time(clock, end, line->time_us);
    end = put_literal(end, TEXT(" \""));
    end = put_bytes(end, line->method, METHOD_LIMIT);
    *end++ = ' ';
    end = put_bytes(end, line->path, PATH_LIMIT);
    end = put_literal(end, version_text(line->version));
    end += snprintf(end, NUMBERS_MAX, " %03d %" PRIu64 " ", line->status < 0 ? 0 : line->status, line->bytes);
    end = put_field(end, line->referer, REFERER_LIMIT);
    *end++ = ' ';
    end = put_field(end, line->user_agent, AGENT_LIMIT);
    *end++ = '\n';
    return (size_t)(end - out);
}
