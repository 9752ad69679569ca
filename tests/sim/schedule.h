/* Virtual time, and the threads of the node that is simulated.
 *
 * Events happen in the order of their time, in an order drawn by chance at the same time. A thread handles
 * its messages one after the other and may be held up at any point where the code under test crosses into
 * another part (interpose.c) without holding a lock; meanwhile the others go on. So every interleaving of the
 * real threads at those points can happen, and each is a matter of the seed. */
#ifndef SELVEDGE_TESTS_SIM_SCHEDULE_H
#define SELVEDGE_TESTS_SIM_SCHEDULE_H

#include "tests/sim/random.h"

typedef struct thread thread_t;
typedef void (*event_t)(void *context);

/* preempt_per_mille: how likely a thread is held up at such a point. */
void schedule_begin(random_t *random, unsigned preempt_per_mille);
void schedule_end(void);

int64_t schedule_now_us(void);
int64_t schedule_now_ms(void);
/* Orders all that happens, also within one microsecond. */
uint64_t schedule_moment(void);

/* The world outside of the node: goes on across restarts. */
void schedule_outside(int64_t delay_us, event_t run, void *context);
/* Dies with the node: a message to one of its threads, or (thread NULL) something done for it elsewhere. */
void schedule_for_node(thread_t *thread, int64_t delay_us, event_t run, void *context);
/* Runs until nothing is left to happen. */
void schedule_run(void);

/* --- Threads --- */
thread_t *schedule_thread(const char *name);
/* One that runs a function of its own (interpose.c). */
thread_t *schedule_thread_of(const char *name, void (*run)(void *context), void *context);
/* From here on nobody is held up and messages are dropped: the node is about to end. */
void schedule_node_dies(void);
bool schedule_node_is_dying(void);
/* Lets a thread finish what it is doing; with `end`, to its end. */
void schedule_finish(thread_t **thread);
/* The node has ended: what is still on its way to it is dropped. */
void schedule_node_ended(void);

const char *schedule_thread_name(void);
bool schedule_in_thread(void);

/* --- For interpose.c --- */
/* The running thread may be held up here. */
void schedule_preempt(void);
/* Keeps account of locks held, so that nobody is held up with one. */
void schedule_locked(int change);
/* The running thread sleeps until it is woken on this, or until then. False: it was not woken. */
enum { SCHEDULE_NEVER = -1 };
bool schedule_sleep(const void *on, int64_t until_us);
/* One that sleeps on this, or all. */
void schedule_wake(const void *on, bool all);
/* The running thread, if it is one, is held up for so long: by a call that takes its time. */
void schedule_delay(int64_t delay_us);
/* So many bytes of the running thread's own, always the same and of the same size. */
void *schedule_thread_room(size_t bytes);
/* NULL: the running one. */
void schedule_name_thread(thread_t *thread, const char *name);

#endif
