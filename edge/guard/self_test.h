/* Is the guard in force with the libh2o that was loaded? Asked by main once, before any thread and any
 * listener.
 *
 * A child process runs a library context of its own and speaks to it over socket pairs. For each hook it
 * sends what the hook is there for, and demands the answer or the counter that only the hook gives. That the
 * child may die of it (the bare library does) is why it is a child; nothing of it is left in this process. A
 * few milliseconds. */
#ifndef SELVEDGE_EDGE_GUARD_SELF_TEST_H
#define SELVEDGE_EDGE_GUARD_SELF_TEST_H

#include "edge/base.h"

/* False: `error` says which hook is not in force, and the daemon must not listen. */
bool guard_self_test(char *error, size_t capacity);

enum { GUARD_BUILD_ID_MAX = 64 + 1 };

/* The build id of the loaded libh2o, in hex; "" when it has none. True when it is one that the guard was made
 * for: another may well do, and the self-test says whether it does. */
bool guard_knows_library(char id[GUARD_BUILD_ID_MAX]);

#endif
