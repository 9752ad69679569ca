/* What each client address takes of the node: connections open, new connections per second, requests per
 * second. One table for all workers, of a size fixed at the start. IPv6 clients count by /64.
 *
 * An address has a slot from its first connection until its last has closed and its rates have recovered. It
 * is looked for once, when a connection is accepted, under the lock of its set; the rest are atomic
 * operations on the slot's one line of the processor's cache. Where addresses meet is drawn with a seed, so
 * that nobody can choose them to meet. When every slot of a set is taken by open connections, a new address
 * is refused: the limits hold. No clock inside: whoever calls says what time it is. */
#ifndef SELVEDGE_EDGE_LIMITS_TABLE_H
#define SELVEDGE_EDGE_LIMITS_TABLE_H

#include <netinet/in.h>

#include "edge/limits/bucket.h"
#include "edge/observe/counters.h"

/* 0: no such limit. */
typedef struct {
    unsigned connections;             /* in all; the first fixes the table's size */
    unsigned connections_per_address; /* open at once */
    unsigned opens_per_second;        /* new connections of one address */
    unsigned requests_per_second;     /* of one address */
} limits_config_t;

typedef struct limits limits_t;
typedef struct limits_slot limits_slot_t;

limits_t *limits_new(const limits_config_t *config, uint64_t seed);
/* Other limits, for those that come from now on; the table keeps its size. Any thread. */
void limits_configure(limits_t *limits, const limits_config_t *config);
/* No connection is open. */
void limits_free(limits_t **limits);

/* What an address counts as: itself, or its /64. */
typedef struct {
    uint64_t high, low;
} limits_address_t;
limits_address_t limits_address(const struct sockaddr *address);

/* A connection comes. REFUSALS: it may stay, and *slot is for limits_request() and limits_close(). Any
 * thread. */
refusal_t limits_open(limits_t *limits, limits_address_t address, int64_t now_us, limits_slot_t **slot);
/* The same in two steps, for a connection whose client is known only later: it counts among all, and then for
 * its address. */
refusal_t limits_enter(limits_t *limits);
refusal_t limits_identify(limits_t *limits, limits_address_t address, int64_t now_us, limits_slot_t **slot);
/* slot: NULL when its client never became known. */
void limits_close(limits_t *limits, limits_slot_t *slot);

/* A request on an open connection. 0: it may be served; else after how many seconds to try again. */
unsigned limits_request(const limits_t *limits, limits_slot_t *slot, int64_t now_us);

/* Connections that are open. */
unsigned limits_connections(const limits_t *limits);

#endif
