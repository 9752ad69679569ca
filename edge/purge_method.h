/* The PURGE method on client listeners: a hard purge of the URL that is asked for, by whoever shows the admin
 * token as Bearer. Answered once the purge is on stable storage and in force; the worker does not wait for
 * it.
 */
#ifndef SELVEDGE_EDGE_PURGE_METHOD_H
#define SELVEDGE_EDGE_PURGE_METHOD_H

#include "edge/exchange.h"

/* The exchange's key is made. 200, 403 without the token, 405 when the site does not take the method, 500
 * when the purge could not be kept. Its worker only. */
void purge_method(exchange_t *exchange);

#endif
