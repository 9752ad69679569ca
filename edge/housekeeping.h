/* Housekeeping: one thread for what nobody waits for. Today: freeing what was purged.
 *
 * A purge costs the same for one object or a hundred million, for it only writes a rule; the memory of what
 * it hit is freed here, when the ledger has moved on, at no more than a tenth of one processor. */
#ifndef SELVEDGE_EDGE_HOUSEKEEPING_H
#define SELVEDGE_EDGE_HOUSEKEEPING_H

#include "edge/node.h"

typedef struct housekeeping housekeeping_t;

/* The node outlives it. now_ms: wall clock. */
housekeeping_t *housekeeping_start(const node_t *node, int64_t (*now_ms)(void));
void housekeeping_stop(housekeeping_t **housekeeping);

#endif
