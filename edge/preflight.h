/* Preflights of CORS: where a site says by itself who may read its answers, browsers ask the node, not the
 * origin server, what else they may send. */
#ifndef SELVEDGE_EDGE_PREFLIGHT_H
#define SELVEDGE_EDGE_PREFLIGHT_H

#include "edge/exchange.h"

/* Answers the request if it is one; false: it is none. */
bool preflight_answer(exchange_t *exchange);

#endif
