/* What stands between the internet and libh2o 2.2.5.
 *
 * The library ends the process, or holds a loop, on input that any client can send, and passes on requests
 * that no cache should see. This room replaces a few of the library's global functions by functions of the
 * same name in the executable (the library calls them through its PLT), checks, and calls the original.
 * README.md lists which and why.
 *
 * Nothing calls into the room but main (guard_in_force, once, before a listener opens), workers (limits,
 * budgets) and whoever needs its syntax checks; libh2o calls the hooks on the worker that owns the
 * connection. Its state is thread-local. What it stops is counted in selvedge_guard_stopped_total. */
#ifndef SELVEDGE_EDGE_GUARD_H
#define SELVEDGE_EDGE_GUARD_H

#include "edge/base.h"
#include "edge/observe/counters.h"

enum {
    /* What holds until guard_set_limits(). */
    GUARD_HEAD_BYTES = 32 * 1024,
    GUARD_TARGET_BYTES = 16 * 1024,
    /* How far the limits may be raised: as the library was built, and what the rooms behind it have room for.
     */
    GUARD_FIELDS_MAX = 100,
    GUARD_HEAD_BYTES_MAX = 128 * 1024,
    /* What is over a limit is read so far, in order to answer at its end: four times the limit, and at most
     * this. Beyond it, and beyond so many fields, an HTTP/2 connection ends. */
    GUARD_HEAD_BYTES_READ_MAX = 256 * 1024,
    GUARD_FIELDS_READ_MAX = 128
};

/* Of one request; over one it is answered with 431 or 414. */
typedef struct {
    size_t head_bytes;   /* as it comes on HTTP/1; on HTTP/2 as it would be there */
    size_t fields;       /* field lines, pseudo-fields apart; at most GUARD_FIELDS_MAX */
    size_t target_bytes; /* of the request target */
} guard_limits_t;

/* The calling thread's connections keep to them from now on. */
void guard_set_limits(const guard_limits_t *limits);
const guard_limits_t *guard_limits(void);

/* What a check found. status 0: nothing wrong; else the answer it deserves on HTTP/1 (on HTTP/2 a stream
 * error). */
typedef struct {
    int status;
    guard_reason_t reason;
    const char *why; /* a sentence without a full stop, static */
} guard_verdict_t;

/* Is a request of so many bytes and fields within the limits? Pure. */
guard_verdict_t guard_check_size(const guard_limits_t *limits, size_t head_bytes, size_t fields,
                                 size_t target_bytes);
/* How much of a head is read in order to answer. Pure. */
size_t guard_bytes_read_max(const guard_limits_t *limits);

/* NULL when every replaced function resolves to ours, with the library's behind it; else a sentence saying
 * which does not, and the daemon must not listen. Any thread. */
const char *guard_in_force(void);

/* A test has switched all hooks off (builds with SELVEDGE_TEST_HOOKS only). Any thread. */
bool guard_is_off(void);

/* host [":" port] of RFC 3986 section 3.2: a name or an IP literal in brackets, no userinfo, port at most
 * 65535. */
bool guard_authority_valid(text_t authority);

#endif
