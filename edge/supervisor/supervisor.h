/* The supervisor: the parent process. It runs the serving process, passes signals on to it, and starts it
 * again after an abnormal end: by a signal, with an exit status that is not 0, or because one of its threads
 * hung. One thread, plain POSIX; it reads nothing that came from outside.
 *
 * What the parent opened before (listening sockets, the state directory) every serving process inherits, so a
 * connection that comes in between waits in the kernel for the next one. The parent's pid is the node's. */
#ifndef SELVEDGE_EDGE_SUPERVISOR_H
#define SELVEDGE_EDGE_SUPERVISOR_H

#include <signal.h>

#include "edge/supervisor/handover.h"
#include "edge/supervisor/heartbeat.h"

typedef struct {
    /* In the serving process, with the signals of supervisor_signals() blocked. Its result is the exit
     * status; 0 is a clean stop, and then the node ends. */
    int (*serve)(void *context, heartbeats_t *heartbeats);
    /* In the parent, before the first TERM or INT is passed on: lets go of the listening sockets, so that
     * nobody queues for a process that will not come. */
    void (*stopping)(void *context);
    void *context;
    handover_t *handover; /* of configurations, on HUP */
    /* A process of which a thread has hung is killed after nine tenths of this, so that the next one answers
     * within it. */
    int64_t heartbeat_limit_ms;
} supervisor_config_t;

/* Runs until the node ends; the exit status. A first start that ends before supervisor_ready() is not tried
 * again: its status is the result. Call it before any thread exists. */
int supervisor_run(const supervisor_config_t *config);

/* What the parent passes on: TERM, INT and USR1; and HUP, with a configuration. */
sigset_t supervisor_signals(void);

/* The serving process: it serves. From here on its end is one to start again after. */
void supervisor_ready(heartbeats_t *heartbeats);

/* The serving process: asks the kernel to kill it with its parent, and ends it when that has gone already.
 * To be called anew after a change of user, which the kernel forgets it over. */
void supervisor_die_with_parent(pid_t parent);

/* --- The pause before a new start: a rule of its own, for tests --- */

enum { STEADY_MS = 1000, FIRST_PAUSE_MS = 100, LONGEST_PAUSE_MS = 10000 };

/* How long to wait after a process that served for so long. quick_deaths counts those in a row that served
 * for less than STEADY_MS: the first death after a steady time costs nothing, then 100 ms, doubling to 10 s.
 */
int64_t supervisor_pause_ms(unsigned *quick_deaths, int64_t served_ms);

#endif
