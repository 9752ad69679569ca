/* How long a client may take: the times of one connection. Pure: who looks, and with which clock, is
 * stalled.c's business.
 *
 * Three limits. Idle: between requests. Header: from the first byte of a connection or request until its head
 * is whole, with the TLS handshake where one leads to the other without a rest; not restarted by bytes that
 * come. Stall: while an answer waits for the client to take it, or a request's body for the client to give
 * it, at least WATCH_BYTES_PER_SECOND must pass on average within each span of that length. Who waits for an
 * origin is not waited for, and no limit runs. */
#ifndef SELVEDGE_EDGE_LIMITS_WATCH_H
#define SELVEDGE_EDGE_LIMITS_WATCH_H

#include "edge/observe/counters.h"

/* An eighth of the slowest client that is meant to be served (2 KiB/s), and ten times what opening a window
 * by one byte per second makes pass in frames and TLS records. */
enum { WATCH_BYTES_PER_SECOND = 256 };

typedef enum {
    CLIENT_NEW,     /* the TLS handshake is under way */
    CLIENT_IDLE,    /* between two requests */
    CLIENT_HEAD,    /* part of a request's head has come */
    CLIENT_WORKING, /* a whole head is being served */
    CLIENT_CLOSING  /* the library ends the connection */
} client_phase_t;

/* A connection as it is now. */
typedef struct {
    client_phase_t phase;
    uint64_t request;     /* CLIENT_HEAD: another number for another request */
    bool owes_taking;     /* bytes of an answer wait for it */
    bool owes_giving;     /* a request's body is not whole */
    uint64_t taken_bytes; /* that its host has acknowledged; read when owes_taking */
    uint64_t given_bytes; /* that have come from it; read when owes_giving */
    uint64_t held; /* of the memory, by its requests: bytes times milliseconds; seen under pressure only */
} client_look_t;

typedef struct {
    int64_t idle_ms, header_ms, stall_ms;
} watch_limits_t;

typedef struct {
    bool owed;
    int64_t since_ms;
    uint64_t bytes; /* that had passed then */
} pace_t;

/* What is remembered of a connection from one look to the next; starts as zeroes. */
typedef struct {
    bool begun;
    client_phase_t phase;
    uint64_t request;
    int64_t since_ms; /* of this phase, and this request */
    pace_t taking, giving;
} watch_t;

/* Is it over a limit? now_ms: a clock that only goes forward. CUTS: it is not. */
cut_t watch_judge(watch_t *watch, const client_look_t *look, const watch_limits_t *limits, int64_t now_ms);

#endif
