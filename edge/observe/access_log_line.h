/* One line of the access log, as bytes. Pure. For access_log.c only. */
#ifndef SELVEDGE_EDGE_OBSERVE_ACCESS_LOG_LINE_H
#define SELVEDGE_EDGE_OBSERVE_ACCESS_LOG_LINE_H

#include "edge/observe/access_log.h"

/* No line is longer, its line end included. */
enum { ACCESS_LOG_LINE_MAX = 16384 };

/* How long a text may get in the line, in bytes after escaping; what is cut ends in an ellipsis. */
enum {
    SITE_LIMIT = 256,
    CLIENT_LIMIT = 64,
    METHOD_LIMIT = 64,
    HOST_LIMIT = 512,
    PATH_LIMIT = 8192,
    TIER_LIMIT = 32,
    AGENT_LIMIT = 1024,
    REFERER_LIMIT = 2048,
    NODE_LIMIT = 96
};

enum { ACCESS_LOG_CLOCK_MAX = 32 };

/* The second formatted last, for most lines are of the same one. Starts as zeroes; of one format only. */
typedef struct {
    int64_t from_us, until_us;       /* its first microsecond, and the next one's */
    char text[ACCESS_LOG_CLOCK_MAX]; /* as the format has it, not terminated */
} access_log_clock_t;

/* Write the line at `out` and return how long it is. `out` has room for access_log_line_bound() of it. */

/* Always valid JSON and valid UTF-8, whatever bytes a client sent. An absent text is null, an empty one "".
 */
size_t access_log_json(access_log_clock_t *clock, const access_log_line_t *line, char *out);
/* The combined format of Apache and nginx. Whatever bytes a client sent, what it sent stands between two
 * quotes and holds none: quotes, backslashes and bytes that are not printable ASCII become \xHH as nginx has
 * them. An absent text is "-", an empty one "". */
size_t access_log_combined(access_log_clock_t *clock, const access_log_line_t *line, char *out);

/* The line is not longer than this in either format; at most ACCESS_LOG_LINE_MAX. */
size_t access_log_line_bound(const access_log_line_t *line);

#endif
