/* One line of the access log, as bytes. Pure. For access_log.c only.
 *
 * Always valid JSON and valid UTF-8, whatever bytes a client sent. An absent text is null, an empty one "".
 */
#ifndef SELVEDGE_EDGE_OBSERVE_ACCESS_LOG_LINE_H
#define SELVEDGE_EDGE_OBSERVE_ACCESS_LOG_LINE_H

#include "edge/observe/access_log.h"

/* No line is longer, its line end included. */
enum { ACCESS_LOG_LINE_MAX = 16384 };

/* The second formatted last, for most lines are of the same one. Starts as zeroes. */
typedef struct {
    int64_t from_us, until_us; /* its first microsecond, and the next one's */
    char text[20];             /* "2026-01-31T12:00:00.", not terminated */
} access_log_clock_t;

/* Writes the line at `out` and returns how long it is. `out` has room for access_log_line_bound() of it. */
size_t access_log_format(access_log_clock_t *clock, const access_log_line_t *line, char *out);

/* The line is not longer than this; at most ACCESS_LOG_LINE_MAX. */
size_t access_log_line_bound(const access_log_line_t *line);

#endif
