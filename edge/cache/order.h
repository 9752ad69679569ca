/* ThreadSanitizer does not see through liburcu's hash table and grace periods: these tell it what they order.
 * Nothing in other builds. */
#ifndef SELVEDGE_EDGE_CACHE_ORDER_H
#define SELVEDGE_EDGE_CACHE_ORDER_H

/* Has read sections begin and end without a call: they are few lines each, and meant to be used so. */
#define _LGPL_SOURCE
#include <urcu/urcu-memb.h>
#undef _LGPL_SOURCE

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
