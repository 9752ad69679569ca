/* The way of a configuration from its files, which only the node's starter may be able to read, to the
 * serving process, which has given up such rights.
 *
 * The files are read by a process of their own, forked from the parent for each reading: a file system that
 * hangs holds up nobody, and the parent itself still reads nothing but signals and counters. What it gathered
 * is a sealed memory file, which the parent passes on without looking. The serving process says by a number
 * that it is in force; then the parent keeps it for the serving processes to come. So a process that starts
 * again has the last good configuration, whatever lies in the files by then. */
#ifndef SELVEDGE_EDGE_SUPERVISOR_HANDOVER_H
#define SELVEDGE_EDGE_SUPERVISOR_HANDOVER_H

#include <sys/types.h>

#include "edge/base.h"

typedef struct handover handover_t;

/* --- The parent --- */

/* Writes what a configuration is made of into an empty file; false: it could not, and stderr says why. */
typedef bool handover_gather_t(void *context, int fd);

/* With what the first serving process starts by, which is gathered here. Before the first fork. NULL: it
 * could not be, and stderr says why. */
handover_t *handover_new(handover_gather_t *gather, void *context);

/* Has the files read once more. */
void handover_begin(handover_t *handover);
/* After each signal, and now and then: goes on with what is under way. child: the serving process; 0: none.
 */
void handover_turn(handover_t *handover, pid_t child);
/* Just before the next serving process is forked. */
void handover_prepare(handover_t *handover);
/* What the serving process asked for comes as this signal, which the parent has blocked. */
int handover_signal(void);

/* --- The serving process --- */

/* First of all: lets go of what is the parent's. */
void handover_enter(handover_t *handover);
/* What it starts by; not to be closed. */
int handover_first(const handover_t *handover);

/* Has the parent read the files, as SIGHUP does. A number that the offer to come is at least `asked` by. Any
 * thread. */
uint64_t handover_ask(handover_t *handover);

typedef struct {
    uint64_t number, asked;
    int fd; /* what was gathered, to be closed by the receiver; -1: that failed, and stderr says why */
} handover_offer_t;

/* What the parent has handed over, one at a time; it sends SIGHUP with each. False: there is none. */
bool handover_receive(handover_t *handover, handover_offer_t *offer);
/* What came of it. Any thread. */
void handover_answer(handover_t *handover, uint64_t number, bool in_force);

#endif
