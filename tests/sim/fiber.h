/* Coroutines: stacks that take turns on one thread. A simulated thread runs on one, so that it can be held up
 * in the middle of the code under test while the others go on. */
#ifndef SELVEDGE_TESTS_SIM_FIBER_H
#define SELVEDGE_TESTS_SIM_FIBER_H

#include "edge/base.h"

typedef struct fiber fiber_t;

/* The stack is taken from a pool. Runs at the first fiber_resume(). */
fiber_t *fiber_new(void (*run)(void *context), void *context);
/* It has ended. */
void fiber_free(fiber_t **fiber);

/* From the main stack: goes on with the fiber until it yields or ends. */
void fiber_resume(fiber_t *fiber);
/* From a fiber: back to whoever resumed it. */
void fiber_yield(void);
bool fiber_ended(const fiber_t *fiber);

#endif
