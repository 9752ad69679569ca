/* What stands between the internet and libh2o 2.2.5.
 *
 * The library ends the process, or holds a loop, on input that any client can send, and passes on requests
 * that no cache should see. This room replaces a few of the library's global functions by functions of the
 * same name in the executable (the library calls them through its PLT), checks, and calls the original.
 * README.md lists which and why.
 *
 * Nothing calls into the room but main (guard_in_force, once, before a listener opens) and whoever needs its
 * syntax checks; libh2o calls the hooks on the worker that owns the connection. Its state is thread-local.
 * What it stops is counted in selvedge_guard_stopped_total. */
#ifndef SELVEDGE_EDGE_GUARD_H
#define SELVEDGE_EDGE_GUARD_H

#include "edge/base.h"
#include "edge/observe/counters.h"

enum {
    GUARD_HEAD_BYTES_MAX = 32 * 1024,   /* a request's head; over it: 431, on HTTP/2 the connection ends */
    GUARD_TARGET_BYTES_MAX = 16 * 1024, /* a request target longer than this makes it 414 */
    GUARD_FIELDS_MAX = 100,             /* field lines of one request, pseudo-fields apart */
    GUARD_HEAD_BYTES_READ_MAX =
        128 * 1024 /* HTTP/1: how much of a head is read in order to answer 431 at its end */
};

/* What a check found. status 0: nothing wrong; else the answer it deserves on HTTP/1 (on HTTP/2 a stream
 * error). */
typedef struct {
    int status;
    guard_reason_t reason;
    const char *why; /* a sentence without a full stop, static */
} guard_verdict_t;

/* NULL when every replaced function resolves to ours, with the library's behind it; else a sentence saying
 * which does not, and the daemon must not listen. Any thread. */
const char *guard_in_force(void);

/* A test has switched all hooks off (builds with SELVEDGE_TEST_HOOKS only). Any thread. */
bool guard_is_off(void);

/* host [":" port] of RFC 3986 section 3.2: a name or an IP literal in brackets, no userinfo, port at most
 * 65535. */
bool guard_authority_valid(text_t authority);

#endif
