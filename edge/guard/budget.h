/* What one connection may take upon the node without an answer to show for it: streams that are reset before
 * their response is finished (rapid reset, CVE-2023-44487, and MadeYouReset, CVE-2025-8671), and fills in
 * flight, those included that nobody waits for any more. Over either, an HTTP/2 connection gets
 * GOAWAY(ENHANCE_YOUR_CALM) at its next frame and is closed. So does one that sends too many frames which
 * bring nothing: PING, PRIORITY, empty DATA and the like, each of them cheap, without end not.
 *
 * Whoever accepts a socket keeps a guard_connection_t for it and puts its address into the socket's
 * on_close.data before h2o_accept(); a socket without one has no budgets. All on the connection's worker, but
 * for guard_fill_end(). */
#ifndef SELVEDGE_EDGE_GUARD_BUDGET_H
#define SELVEDGE_EDGE_GUARD_BUDGET_H

#include <h2o.h>

#include "edge/base.h"

enum {
    GUARD_SETTINGS_MAX = 100,     /* frames; browsers send one or two */
    GUARD_FILLS_MAX = 64,         /* in flight, per connection */
    GUARD_RESET_REFILL_MS = 1000, /* one reset more each second, up to the whole budget: readers cancel now
                                    and then for as long as they like; the same for SETTINGS */
    GUARD_FRAMES_MAX = 1000,      /* that bring nothing; and so much for who behaves: */
    GUARD_FRAMES_REFILL_MS = 10,
    GUARD_FRAMES_OF_REQUEST = 8, /* browsers send a few PRIORITY for each stream */
    GUARD_BYTES_OF_FRAME = 512   /* WINDOW_UPDATE acknowledges bytes: one or two for each DATA frame */
};

enum { GUARD_PIPELINED_MAX = 64 }; /* requests of one HTTP/1 connection in one turn of the loop */

typedef struct guard_fills guard_fills_t;
struct st_h2o_http2_conn_t;
typedef ssize_t guard_reader_t(struct st_h2o_http2_conn_t *, const uint8_t *, size_t, const char **);

typedef struct {
    uint32_t most, left;
    uint32_t refill_ms;  /* until there is one more */
    int64_t refilled_ms; /* up to when `left` is true; the clock of whoever spends */
} guard_budget_t;

typedef struct {
    uint32_t magic;
    guard_budget_t resets, settings, frames;
    uint64_t paid_bytes;    /* sent to the client: up to which `frames` has grown for them */
    int64_t turn_ms;        /* HTTP/1: the turn of the loop in which the latest request was processed */
    uint32_t pipelined;     /* and how many in that turn */
    guard_reader_t *reader; /* the library's, of the next frame; NULL before HTTP/2 */
    guard_fills_t *fills;   /* NULL: none yet; the connection's reference */
} guard_connection_t;

void guard_connection_open(guard_connection_t *connection, uint32_t resets_max);
/* Fills in flight keep what they need. */
void guard_connection_close(guard_connection_t *connection);

/* A stream was reset before its response was finished, at now_ms (any clock that does not go back). False:
 * there was no budget left for it. */
bool guard_spend_reset(guard_connection_t *connection, int64_t now_ms);

/* The same for a SETTINGS frame that came: each may change every stream's window. */
bool guard_spend_settings(guard_connection_t *connection, int64_t now_ms);

/* The same for a frame that brings nothing; sent_bytes: all that the client was sent so far. */
bool guard_spend_frame(guard_connection_t *connection, int64_t now_ms, uint64_t sent_bytes);
/* A request came. */
void guard_earn_frames(guard_connection_t *connection);

/* A request of HTTP/1 is processed in the turn of the loop that is named by its time. False: there were too
 * many in this turn, the connection must end with this one's answer. */
bool guard_count_pipelined(guard_connection_t *connection, int64_t turn_ms);

/* The request is about to start a fill. NULL: too many of its connection are in flight, this one must not
 * start, and the connection's end is on its way; counted. Else for guard_fill_end(), once. */
guard_fills_t *guard_fill_begin(const h2o_req_t *req);
/* Any thread. `fills`: a guard_fills_t. */
void guard_fill_end(void *fills);

#endif
