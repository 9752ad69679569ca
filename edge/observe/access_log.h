/* The access log: a line for each request, JSON or the combined format, formatted on the worker into its own
 * buffer, written by the housekeeping thread.
 *
 * A worker never waits: when the writer falls behind, lines are dropped and counted
 * (selvedge_access_log_dropped_total). */
#ifndef SELVEDGE_EDGE_OBSERVE_ACCESS_LOG_H
#define SELVEDGE_EDGE_OBSERVE_ACCESS_LOG_H

#include "edge/base.h"
#include "edge/observe/counters.h"

typedef struct access_log access_log_t;               /* the file and its writer thread */
typedef struct access_log_buffer access_log_buffer_t; /* one worker's */

typedef enum { ACCESS_LOG_JSON, ACCESS_LOG_COMBINED } access_log_format_t;

typedef struct {
    int64_t time_us; /* wall clock at the request's start, microseconds since the epoch */
    text_t site, client, method, host, path, user_agent, referer,
        node; /* as received; escaped when written */
    protocol_t protocol;
    int version; /* 0x100, 0x101 or 0x200, as libh2o writes it */
    int status;
    uint64_t bytes; /* of body sent */
    int64_t duration_us;
    int64_t ttfb_us; /* to the first byte of the answer; -1 when none was sent */
    outcome_t cache;
    const char *tier;  /* "memory", "origin", "" */
    int origin_status; /* 0 when the origin was not asked */
} access_log_line_t;

/* path: a file, or "-" for standard output. NULL and *error (a sentence, static) when it cannot be opened. */
access_log_t *access_log_open(const char *path, access_log_format_t format, const char **error);
/* Writes what is buffered and closes. All buffers must have been freed before. */
void access_log_close(access_log_t **log);
/* Opens the path anew at the writer's next step; async-signal-safe is NOT needed (called from the main
 * thread). */
void access_log_reopen(access_log_t *log);

access_log_buffer_t *access_log_buffer_new(access_log_t *log);
void access_log_buffer_free(access_log_buffer_t **buffer); /* hands over what it holds first */
/* Its worker only. */
void access_log_add(access_log_buffer_t *buffer, const access_log_line_t *line);
/* Its worker only, about once a second: hands a partly filled buffer to the writer. */
void access_log_flush(access_log_buffer_t *buffer);

#endif
