/* What the tables of the http_*_test.c share: rows that name the RFC section they come from, and texts in
 * heap blocks of exactly their length, so that the address sanitizer sees a parser that reads one byte too
 * far. */
#ifndef SELVEDGE_TESTS_UNIT_HTTP_TABLE_H
#define SELVEDGE_TESTS_UNIT_HTTP_TABLE_H

#include "edge/http/fields.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

#define LENGTH_OF(table) (sizeof(table) / sizeof((table)[0]))

/* NULL becomes an absent text; freed with text_free. */
static inline text_t exact(const char *string)
{
    if (string == NULL)
        return (text_t){NULL, 0};
    size_t length = strlen(string);
    char *copy = must_alloc(length == 0 ? 1 : length);
    memcpy(copy, string, length);
    return (text_t){copy, length};
}

static inline void text_free(text_t text)
{
    free((void *)(uintptr_t)text.data);
}

/* Fields written as "name: value|name: value"; each text in its own block. */
enum { TABLE_FIELDS_MAX = 24 };
typedef struct {
    http_field_t at[TABLE_FIELDS_MAX];
    size_t count;
} table_fields_t;

static inline text_t exact_part(const char *at, size_t length)
{
    char *copy = must_alloc(length == 0 ? 1 : length);
    memcpy(copy, at, length);
    return (text_t){copy, length};
}

static inline table_fields_t fields_of(const char *lines)
{
    table_fields_t fields = {.count = 0};
    while (*lines != '\0') {
        size_t line = strcspn(lines, "|"), name = strcspn(lines, ":");
        size_t value = name + 1 + (lines[name + 1] == ' ' ? 1 : 0);
        MUST(fields.count < TABLE_FIELDS_MAX && name < line && value <= line);
        fields.at[fields.count++] =
            (http_field_t){exact_part(lines, name), exact_part(lines + value, line - value)};
        lines += line + (lines[line] == '|' ? 1 : 0);
    }
    return fields;
}

static inline http_fields_t view(const table_fields_t *fields)
{
    return (http_fields_t){fields->at, fields->count};
}

static inline void fields_free(table_fields_t *fields)
{
    for (size_t i = 0; i < fields->count; i++) {
        text_free(fields->at[i].name);
        text_free(fields->at[i].value);
    }
}

/* A row failed: which, and where its claim comes from. */
#define FAIL_ROW(i, rfc, ...)                                                                                \
    do {                                                                                                     \
        print_error("row %zu (%s): ", (size_t)(i), rfc);                                                     \
        print_error(__VA_ARGS__);                                                                            \
        print_error("\n");                                                                                   \
        failures++;                                                                                          \
    } while (0)

#define SHOW(text) (int)(text).length, (text).data == NULL ? "" : (text).data

/* xorshift64*: the same numbers for the same seed everywhere. */
static inline uint64_t next_random(uint64_t *state)
{
    *state ^= *state >> 12;
    *state ^= *state << 25;
    *state ^= *state >> 27;
    return *state * UINT64_C(2685821657736338717);
}

#endif
