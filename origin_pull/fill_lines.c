#include "origin_pull/fill_lines.h"

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static bool starts_with(text_t line, const char *prefix)
{
    size_t length = strlen(prefix);
    return line.length >= length && memcmp(line.data, prefix, length) == 0;
}

/* HTTP/1.1 200 OK, HTTP/2 200. */
static fill_lines_result_t take_status(fill_lines_t *lines, text_t line)
{
    const char *space = memchr(line.data, ' ', line.length);
    if (space == NULL || line.length - (size_t)(space - line.data) < 4)
        return LINES_WRONG;
    if (!is_digit(space[1]) || !is_digit(space[2]) || !is_digit(space[3]))
        return LINES_WRONG;
    size_t behind = (size_t)(space - line.data) + 4;
    if (behind < line.length && line.data[behind] != ' ')
        return LINES_WRONG;
    lines->status = (space[1] - '0') * 100 + (space[2] - '0') * 10 + (space[3] - '0');
    lines->http2 = starts_with(line, "HTTP/2");
    lines->count = lines->used = 0;
    return lines->status >= 100 && lines->status <= 599 ? LINES_MORE : LINES_WRONG;
}

static bool is_value(text_t value)
{
    for (size_t i = 0; i < value.length; i++) {
        unsigned char c = (unsigned char)value.data[i];
        if ((c < 0x20 && c != '\t') || c == 0x7f)
            return false;
    }
    return true;
}

static text_t keep(fill_lines_t *lines, text_t text, bool lower)
{
    char *at = lines->bytes + lines->used;
    for (size_t i = 0; i < text.length; i++) {
        char c = text.data[i];
        at[i] = lower && c >= 'A' && c <= 'Z' ? (char)(c + 32) : c;
    }
    lines->used += text.length;
    return (text_t){at, text.length};
}

static fill_lines_result_t take_field(fill_lines_t *lines, text_t line)
{
    const char *colon = memchr(line.data, ':', line.length);
    if (colon == NULL)
        return LINES_WRONG;
    text_t name = {line.data, (size_t)(colon - line.data)};
    text_t value = http_trim((text_t){colon + 1, line.length - name.length - 1});
    if (!http_is_token(name) || !is_value(value))
        return LINES_WRONG;
    if (lines->count == FILL_FIELDS_MAX || lines->used + name.length + value.length > FILL_HEAD_BYTES_MAX)
        return LINES_TOO_LARGE;
    lines->fields[lines->count].name = keep(lines, name, true);
    lines->fields[lines->count].value = keep(lines, value, false);
    lines->count++;
    return LINES_MORE;
}

/* RFC 9110 section 15.2: a head before the final one. It ends with its empty line, whatever its fields say of
 * a body (RFC 9112 section 6.3). 101 was not asked for. */
static fill_lines_result_t finish_interim(fill_lines_t *lines)
{
    if (lines->status == 101)
        return LINES_WRONG;
    if (lines->interim++ == FILL_INTERIM_MAX)
        return LINES_TOO_LARGE;
    lines->status = 0;
    return LINES_INTERIM;
}

/* RFC 9112 section 6.3: a message has one length, or none that we believe. */
static bool is_framed_well(const fill_lines_t *lines)
{
    http_fields_t fields = fill_lines_fields(lines);
    size_t lengths = http_fields_count(fields, TEXT("content-length"));
    size_t codings = http_fields_count(fields, TEXT("transfer-encoding"));
    if (lengths > 1 || codings > 1 || (lengths > 0 && codings > 0))
        return false;
    if (codings > 0) {
        text_t coding = http_fields_find(fields, TEXT("transfer-encoding"))->value;
        return !lines->http2 && text_equal_nocase(coding, TEXT("chunked"));
    }
    if (lengths == 0)
        return true;
    text_t length = http_fields_find(fields, TEXT("content-length"))->value;
    for (size_t i = 0; i < length.length; i++)
        if (!is_digit(length.data[i]))
            return false;
    return length.length > 0 && length.length <= 18;
}

void fill_lines_begin(fill_lines_t *lines)
{
    lines->status = 0;
    lines->interim = 0;
    lines->count = lines->used = 0;
}

fill_lines_result_t fill_lines_add(fill_lines_t *lines, text_t line)
{
    if (line.length > 0 && line.data[line.length - 1] == '\n')
        line.length--;
    if (line.length > 0 && line.data[line.length - 1] == '\r')
        line.length--;
    if (lines->status == 0)
        return starts_with(line, "HTTP/") ? take_status(lines, line) : LINES_WRONG;
    if (line.length > 0)
        return take_field(lines, line);
    if (lines->status < 200)
        return finish_interim(lines);
    return is_framed_well(lines) ? LINES_COMPLETE : LINES_WRONG;
}

http_fields_t fill_lines_fields(const fill_lines_t *lines)
{
    return (http_fields_t){lines->fields, lines->count};
}

bool fill_lines_close_delimited(const fill_lines_t *lines)
{
    http_fields_t fields = fill_lines_fields(lines);
    return !lines->http2 && lines->status != 204 && lines->status != 304 &&
           http_fields_find(fields, TEXT("content-length")) == NULL &&
           http_fields_find(fields, TEXT("transfer-encoding")) == NULL;
}
