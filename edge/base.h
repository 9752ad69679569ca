/* The few words every room uses: a span of bytes, an assertion that stays in release builds, magic numbers.
 * Header only, knows nobody. */
#ifndef SELVEDGE_EDGE_BASE_H
#define SELVEDGE_EDGE_BASE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

/* Bytes that somebody else owns; not terminated. {NULL, 0} means absent, length 0 with data means empty. */
typedef struct {
    const char *data;
    size_t length;
} text_t;

#define TEXT(literal) ((text_t){"" literal, sizeof(literal) - 1})

static inline text_t text_of(const char *string)
{
    return (text_t){string, strlen(string)};
}

static inline bool text_equal(text_t a, text_t b)
{
    return a.length == b.length && (a.length == 0 || memcmp(a.data, b.data, a.length) == 0);
}

/* ASCII case-insensitive, as field names and hosts compare. */
static inline bool text_equal_nocase(text_t a, text_t b)
{
    return a.length == b.length && (a.length == 0 || strncasecmp(a.data, b.data, a.length) == 0);
}

/* Of letters of ASCII alone. */
static inline char ascii_lower(char byte)
{
    return byte >= 'A' && byte <= 'Z' ? (char)(byte + ('a' - 'A')) : byte;
}

/* Takes what stands before a separator, or all there is, away from the front. False: there is nothing left.
 */
static inline bool text_take(text_t *rest, char separator, text_t *part)
{
    if (rest->length == 0)
        return false;
    const char *end = (const char *)memchr(rest->data, separator, rest->length);
    *part = (text_t){rest->data, end != NULL ? (size_t)(end - rest->data) : rest->length};
    size_t used = part->length + (end != NULL ? 1 : 0);
    *rest = (text_t){rest->data + used, rest->length - used};
    return true;
}

/* A bug ends the process with file and line, in every build: a cache that goes on after one may serve wrong
 * bytes. */
#define MUST(condition)                                                                                      \
    do {                                                                                                     \
        if (__builtin_expect(!(condition), 0)) {                                                             \
            fprintf(stderr, "selvedge: bug: %s:%d: %s does not hold\n", __FILE__, __LINE__, #condition);     \
            abort();                                                                                         \
        }                                                                                                    \
    } while (0)

/* Sanity functions (x_check) run at the edges of their structure in debug builds only. */
#ifdef NDEBUG
#define CHECKED(call) ((void)0)
#else
#define CHECKED(call) (call)
#endif

/* Where a void pointer becomes a type again: the object says what it is. */
#define MUST_BE(pointer, number) MUST((pointer) != NULL && (pointer)->magic == (number))

#define CONTAINER_OF(pointer, type, member) ((type *)(void *)((char *)(pointer)-offsetof(type, member)))

/* No memory for what cannot be done without is the end of the process, with a message. */
static inline void *must_alloc(size_t size)
{
    void *memory = malloc(size);
    MUST(memory != NULL);
    return memory;
}

enum { CACHE_LINE = 64 };

/* Zeroed memory that begins on a line of the processor's cache, so that what is read together is fetched
 * together. */
static inline void *must_calloc_aligned(size_t size)
{
    size_t rounded = (size + CACHE_LINE - 1) / CACHE_LINE * CACHE_LINE;
    void *memory = aligned_alloc(CACHE_LINE, rounded);
    MUST(memory != NULL);
    return memset(memory, 0, rounded);
}

static inline void *must_calloc(size_t count, size_t size)
{
    void *memory = calloc(count, size);
    MUST(memory != NULL);
    return memory;
}

#endif
