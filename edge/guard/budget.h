/* What one connection may take upon the node without an answer to show for it: streams that are reset before
 * their response is finished (rapid reset, CVE-2023-44487, and MadeYouReset, CVE-2025-8671), and fills in
 * flight, those included that nobody waits for any more. Over either, an HTTP/2 connection gets
 * GOAWAY(ENHANCE_YOUR_CALM) at its next frame and is closed.
 *
 * Whoever accepts a socket keeps a guard_connection_t for it and puts its address into the socket's
 * on_close.data before h2o_accept(); a socket without one has no budgets. All on the connection's worker, but
 * for guard_fill_end(). */
#ifndef SELVEDGE_EDGE_GUARD_BUDGET_H
#define SELVEDGE_EDGE_GUARD_BUDGET_H

#include <h2o.h>

#include "edge/base.h"

enum {
    GUARD_SETTINGS_MAX = 100,    /* frames; browsers send one or two */
    GUARD_FILLS_MAX = 64,        /* in flight, per connection */
    GUARD_RESET_REFILL_MS = 1000 /* one reset more each second, up to the whole budget: readers cancel now and
                                    then for as long as they like */
};

typedef struct guard_fills guard_fills_t;

typedef struct {
    uint32_t most, left;
    int64_t refilled_ms; /* up to when `left` is true; the clock of whoever spends */
} guard_budget_t;

typedef struct {
    uint32_t magic;
    guard_budget_t resets, settings;
    guard_fills_t *fills; /* NULL: none yet; the connection's reference */
} guard_connection_t;

void guard_connection_open(guard_connection_t *connection, uint32_t resets_max);
/* Fills in flight keep what they need. */
void guard_connection_close(guard_connection_t *connection);

/* A stream was reset before its response was finished, at now_ms (any clock that does not go back). False:
 * there was no budget left for it. */
bool guard_spend_reset(guard_connection_t *connection, int64_t now_ms);

/* The same for a SETTINGS frame that came: each may change every stream's window. */
bool guard_spend_settings(guard_connection_t *connection, int64_t now_ms);

/* The request is about to start a fill. NULL: too many of its connection are in flight, this one must not
 * start, and the connection's end is on its way; counted. Else for guard_fill_end(), once. */
guard_fills_t *guard_fill_begin(const h2o_req_t *req);
/* Any thread. `fills`: a guard_fills_t. */
void guard_fill_end(void *fills);

#endif
