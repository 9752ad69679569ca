/* The lines of an upstream response's head, one at a time, into a checked list of fields. Pure parser over
 * (pointer, length). Strict: whatever could make two readers of one response disagree is wrong. */
#ifndef SELVEDGE_ORIGIN_PULL_FILL_LINES_H
#define SELVEDGE_ORIGIN_PULL_FILL_LINES_H

#include "edge/http/fields.h"

enum { FILL_FIELDS_MAX = 128, FILL_HEAD_BYTES_MAX = 64 << 10, FILL_INTERIM_MAX = 32 };

typedef struct {
    int status; /* 0 before a status line */
    bool http2;
    unsigned interim; /* heads before this one */
    size_t count;
    http_field_t fields[FILL_FIELDS_MAX];
    size_t used;
    char bytes[FILL_HEAD_BYTES_MAX]; /* what the fields point into */
} fill_lines_t;

typedef enum {
    LINES_MORE,     /* taken; more will come */
    LINES_INTERIM,  /* a 1xx head is complete, and forgotten; the next one begins */
    LINES_COMPLETE, /* the final head is complete */
    LINES_TOO_LARGE,
    LINES_WRONG
} fill_lines_result_t;

/* Before the first line. */
void fill_lines_begin(fill_lines_t *lines);
/* One line, its CR LF included. */
fill_lines_result_t fill_lines_add(fill_lines_t *lines, text_t line);

/* After LINES_COMPLETE. */
http_fields_t fill_lines_fields(const fill_lines_t *lines);
/* The body ends where the connection does. */
bool fill_lines_close_delimited(const fill_lines_t *lines);

#endif
