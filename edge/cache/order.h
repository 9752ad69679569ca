/* ThreadSanitizer does not see through liburcu's hash table and grace periods: these tell it what they order.
 * Nothing in other builds. */
#ifndef SELVEDGE_EDGE_CACHE_ORDER_H
#define SELVEDGE_EDGE_CACHE_ORDER_H

/* Not with _LGPL_SOURCE: inlined, read sections could no longer be seen by the simulation, which frees what
 * no section holds (tests/sim/interpose.c). */
#include <urcu/urcu-memb.h>

#if defined(__SANITIZE_THREAD__)
void __tsan_acquire(void *address);
void __tsan_release(void *address);
#define ORDER_ACQUIRE(address) __tsan_acquire((void *)(address))
#define ORDER_RELEASE(address) __tsan_release((void *)(address))
#else
#define ORDER_ACQUIRE(address) ((void)(address))
#define ORDER_RELEASE(address) ((void)(address))
#endif

/* What came before the end of a read section, or before call_rcu, is over when the memory is reclaimed:
 * release at the former two, acquire at the latter. The library's own object stands for its grace periods. */
#define GRACE_PERIOD (&urcu_memb_flavor)

#endif
