/* The account of what the memory tier holds for bodies and heads, and what is promised of it.
 *
 * All of it is in bytes as the allocator rounds them, and charged until the last reference is dropped, so
 * that slow readers of evicted blocks count too. What a growing body will need is reserved before it is
 * there: the account then holds the promise, and a block that is made draws from that. Any thread; pure. */
#ifndef SELVEDGE_EDGE_CACHE_ACCOUNT_H
#define SELVEDGE_EDGE_CACHE_ACCOUNT_H

#include <stdatomic.h>

#include "edge/base.h"

typedef struct {
    _Atomic int64_t bytes; /* charged, promises included */
} memory_account_t;

/* Allocates and frees what is charged; `charged` is what memory_give() needs to know. */
void *memory_take(memory_account_t *account, size_t bytes, size_t *charged);
void memory_give(memory_account_t *account, void *memory, size_t charged);

/* Charges so many bytes unless the account would then be over its limit. They are given back with
 * memory_unpromise(), or by the reservation that they are put into. */
bool memory_promise(memory_account_t *account, size_t bytes, uint64_t limit);
void memory_unpromise(memory_account_t *account, size_t bytes);

/* What one growing body may take without asking. Its blocks draw from it, and what they give back while it is
 * open may be drawn again; once it is closed, all that is given back goes to the account. */
typedef struct reservation reservation_t;

/* Empty; one reference. */
reservation_t *reservation_new(memory_account_t *account);
void reservation_ref(reservation_t *reservation);
/* The last one closes it. */
void reservation_unref(reservation_t **reservation);

/* Puts in what memory_promise() charged. */
void reservation_add(reservation_t *reservation, size_t bytes);
size_t reservation_left(const reservation_t *reservation);
void reservation_close(reservation_t *reservation);

/* As above; what it does not hold is charged to the account. */
void *reservation_take(reservation_t *reservation, size_t bytes, size_t *charged);
void reservation_give(reservation_t *reservation, void *memory, size_t charged);

#endif
