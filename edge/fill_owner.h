/* Who started a fill, and what it costs: its connection's place among the fills in flight, and the bytes that
 * it made the node fetch and throw away, by the client's address and by the key. On the request's worker, but
 * for the ends. */
#ifndef SELVEDGE_EDGE_FILL_OWNER_H
#define SELVEDGE_EDGE_FILL_OWNER_H

#include "edge/exchange.h"

/* May this request go to the origin? REFUSALS: it may; else in *seconds. */
refusal_t fill_owner_judge(const exchange_t *exchange, unsigned *seconds);

/* Puts what is to be called at its ends into the request for the fill, and how much of it is worth fetching
 * when nobody waits for it any more. False: its connection has too many fills in flight. */
bool fill_owner_begin(const exchange_t *exchange, fill_request_t *request);

/* The same for a fill in the background, which no client waits for: it has no place among its connection's,
 * but among all that are in the background, and what it throws away is the key's alone. False: there are too
 * many. */
bool fill_owner_begin_background(const exchange_t *exchange, fill_request_t *request);

#endif
