/* Inputs made of lines, as fields: each text lies in a block of exactly its length, so that the address
 * sanitizer sees a parser that reads one byte too far. */
#ifndef SELVEDGE_TESTS_FUZZ_LINES_H
#define SELVEDGE_TESTS_FUZZ_LINES_H

#include "edge/http/fields.h"

enum { LINES_MAX = 24 };

typedef struct {
    size_t count;
    http_field_t at[LINES_MAX];
} lines_t;

static inline text_t exactly(text_t text)
{
    char *copy = must_alloc(text.length > 0 ? text.length : 1);
    if (text.length > 0)
        memcpy(copy, text.data, text.length);
    return (text_t){copy, text.length};
}

/* The next line without its line feed; false when there is no more. */
static inline bool next_line(text_t *rest, text_t *line)
{
    if (rest->length == 0)
        return false;
    const char *end = memchr(rest->data, '\n', rest->length);
    *line = (text_t){rest->data, end == NULL ? rest->length : (size_t)(end - rest->data)};
    size_t used = line->length + (end != NULL);
    *rest = (text_t){rest->data + used, rest->length - used};
    return true;
}

/* The next line; empty when there is none. Freed by free_text(). */
static inline text_t take_line(text_t *rest)
{
    text_t line = {NULL, 0};
    next_line(rest, &line);
    return exactly(line);
}

static inline void free_text(text_t text)
{
    free((void *)(uintptr_t)text.data);
}

/* Each line is the value of a field of this name; up to an empty line, which is taken. */
static inline void take_values(text_t *rest, text_t name, lines_t *lines)
{
    text_t line;
    lines->count = 0;
    while (next_line(rest, &line) && line.length > 0)
        if (lines->count < LINES_MAX)
            lines->at[lines->count++] = (http_field_t){exactly(name), exactly(line)};
}

/* Lines `name:value`. Names are not empty, and in lower case as the front hands them over. */
static inline void take_fields(text_t *rest, lines_t *lines)
{
    text_t line;
    lines->count = 0;
    while (lines->count < LINES_MAX && next_line(rest, &line)) {
        const char *colon = line.length > 0 ? memchr(line.data, ':', line.length) : NULL;
        if (colon == NULL || colon == line.data)
            continue;
        text_t name = exactly((text_t){line.data, (size_t)(colon - line.data)});
        for (size_t i = 0; i < name.length; i++)
            if (name.data[i] >= 'A' && name.data[i] <= 'Z')
                ((char *)(uintptr_t)name.data)[i] += 'a' - 'A';
        lines->at[lines->count++] =
            (http_field_t){name, exactly((text_t){colon + 1, line.length - name.length - 1})};
    }
}

static inline http_fields_t fields_of(const lines_t *lines)
{
    return (http_fields_t){lines->at, lines->count};
}

/* All values as one, as RFC 9110 section 5.3 lets a reader combine them. Freed by free_text(). */
static inline text_t combined(const lines_t *lines)
{
    size_t length = 0;
    for (size_t i = 0; i < lines->count; i++)
        length += lines->at[i].value.length + 2;
    char *text = must_alloc(length > 0 ? length : 1), *at = text;
    for (size_t i = 0; i < lines->count; i++) {
        if (i > 0)
            *at++ = ',', *at++ = ' ';
        memcpy(at, lines->at[i].value.data, lines->at[i].value.length);
        at += lines->at[i].value.length;
    }
    return (text_t){text, (size_t)(at - text)};
}

static inline void free_lines(lines_t *lines)
{
    for (size_t i = 0; i < lines->count; i++) {
        free_text(lines->at[i].name);
        free_text(lines->at[i].value);
    }
}

#endif
