#include "edge/http/structured.h"

enum { END = -1 };
enum { INTEGER_DIGITS = 15, DECIMAL_DIGITS = 12, FRACTION_DIGITS = 3 };

/* The lines of a field as one value, a comma between two (section 4.2), without a copy. */
typedef struct {
    http_fields_t fields;
    text_t name;
    const http_field_t *line;
    size_t at;
} reader_t;

static int peek(const reader_t *reader)
{
    if (reader->at < reader->line->value.length)
        return (unsigned char)reader->line->value.data[reader->at];
    return http_fields_next(reader->fields, reader->line, reader->name) != NULL ? ',' : END;
}

/* After a peek that was not the end. */
static void step(reader_t *reader)
{
    if (reader->at < reader->line->value.length) {
        reader->at++;
        return;
    }
    reader->line = http_fields_next(reader->fields, reader->line, reader->name);
    reader->at = 0;
}

static bool take(reader_t *reader, char byte)
{
    if (peek(reader) != byte)
        return false;
    step(reader);
    return true;
}

static void skip_spaces(reader_t *reader)
{
    while (take(reader, ' '))
        continue;
}

/* OWS: tabs, too. */
static void skip_white_space(reader_t *reader)
{
    while (take(reader, ' ') || take(reader, '\t'))
        continue;
}

static bool is_digit(int byte)
{
    return byte >= '0' && byte <= '9';
}

static bool is_lower(int byte)
{
    return byte >= 'a' && byte <= 'z';
}

static bool is_alpha(int byte)
{
    return is_lower(byte) || (byte >= 'A' && byte <= 'Z');
}

static bool is_one_of(int byte, const char *bytes)
{
    return byte > 0 && strchr(bytes, byte) != NULL;
}

/* Section 4.2.3.3. It lies within a line: a comma is no part of it. */
static bool read_key(reader_t *reader, text_t *key)
{
    int first = peek(reader);
    if (!is_lower(first) && first != '*')
        return false;
    *key = (text_t){reader->line->value.data + reader->at, 0};
    while (is_lower(peek(reader)) || is_digit(peek(reader)) || is_one_of(peek(reader), "_-.*")) {
        key->length++;
        step(reader);
    }
    return true;
}

static size_t read_digits(reader_t *reader, int64_t *number)
{
    size_t count = 0;
    for (; is_digit(peek(reader)) && count <= INTEGER_DIGITS; count++) {
        *number = *number * 10 + (peek(reader) - '0');
        step(reader);
    }
    return count;
}

/* Section 4.2.4. */
static bool read_number(reader_t *reader, structured_value_t *value)
{
    int64_t sign = take(reader, '-') ? -1 : 1, number = 0, fraction = 0;
    size_t digits = read_digits(reader, &number);
    if (digits == 0 || digits > INTEGER_DIGITS)
        return false;
    if (!take(reader, '.')) {
        *value = (structured_value_t){STRUCTURED_INTEGER, sign * number};
        return true;
    }
    *value = (structured_value_t){STRUCTURED_DECIMAL, 0};
    size_t behind = read_digits(reader, &fraction);
    return digits <= DECIMAL_DIGITS && behind > 0 && behind <= FRACTION_DIGITS;
}

/* Section 4.2.5. */
static bool read_string(reader_t *reader)
{
    step(reader);
    for (;;) {
        int byte = peek(reader);
        if (byte < ' ' || byte > '~')
            return false;
        step(reader);
        if (byte == '"')
            return true;
        if (byte == '\\' && !take(reader, '"') && !take(reader, '\\'))
            return false;
    }
}

/* Section 4.2.6. */
static void read_token(reader_t *reader)
{
    while (is_alpha(peek(reader)) || is_digit(peek(reader)) || is_one_of(peek(reader), "!#$%&'*+-.^_`|~:/"))
        step(reader);
}

/* Section 4.2.7: what is between the colons is not decoded. */
static bool read_bytes(reader_t *reader)
{
    step(reader);
    while (is_alpha(peek(reader)) || is_digit(peek(reader)) || is_one_of(peek(reader), "+/="))
        step(reader);
    return take(reader, ':');
}

/* Section 4.2.8. */
static bool read_boolean(reader_t *reader, structured_value_t *value)
{
    step(reader);
    *value = (structured_value_t){STRUCTURED_BOOLEAN, peek(reader) == '1'};
    return take(reader, '1') || take(reader, '0');
}

/* Section 4.2.3.1. */
static bool read_bare_item(reader_t *reader, structured_value_t *value)
{
    int first = peek(reader);
    if (first == '-' || is_digit(first))
        return read_number(reader, value);
    if (first == '?')
        return read_boolean(reader, value);
    *value = (structured_value_t){first == '"'   ? STRUCTURED_STRING
                                  : first == ':' ? STRUCTURED_BYTES
                                                 : STRUCTURED_TOKEN,
                                  0};
    if (first == '"')
        return read_string(reader);
    if (first == ':')
        return read_bytes(reader);
    if (!is_alpha(first) && first != '*')
        return false;
    read_token(reader);
    return true;
}

/* Section 4.2.3.2. */
static bool skip_parameters(reader_t *reader)
{
    text_t key;
    structured_value_t value;
    while (take(reader, ';')) {
        skip_spaces(reader);
        if (!read_key(reader, &key) || (take(reader, '=') && !read_bare_item(reader, &value)))
            return false;
    }
    return true;
}

/* Section 4.2.1.2. */
static bool read_inner_list(reader_t *reader)
{
    structured_value_t item;
    step(reader);
    for (;;) {
        skip_spaces(reader);
        if (take(reader, ')'))
            return true;
        if (!read_bare_item(reader, &item) || !skip_parameters(reader))
            return false;
        if (peek(reader) != ' ' && peek(reader) != ')')
            return false;
    }
}

/* What is behind a key: nothing means true. */
static bool read_value(reader_t *reader, structured_value_t *value)
{
    *value = (structured_value_t){STRUCTURED_BOOLEAN, 1};
    if (!take(reader, '='))
        return true;
    if (peek(reader) != '(')
        return read_bare_item(reader, value);
    *value = (structured_value_t){STRUCTURED_INNER_LIST, 0};
    return read_inner_list(reader);
}

bool structured_dictionary(http_fields_t fields, text_t name,
                           void (*member)(void *context, text_t key, structured_value_t value), void *context)
{
    reader_t reader = {fields, name, http_fields_find(fields, name), 0};
    if (reader.line == NULL)
        return false;
    skip_spaces(&reader);
    for (;;) {
        text_t key;
        structured_value_t value;
        if (!read_key(&reader, &key) || !read_value(&reader, &value) || !skip_parameters(&reader))
            return false;
        member(context, key, value);
        skip_white_space(&reader);
        if (peek(&reader) == END)
            return true;
        if (!take(&reader, ','))
            return false;
        skip_white_space(&reader);
    }
}
