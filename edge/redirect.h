/* Requests over http that the site wants over https. On the request's worker. */
#ifndef SELVEDGE_EDGE_REDIRECT_H
#define SELVEDGE_EDGE_REDIRECT_H

#include "edge/exchange.h"

/* Answers with a redirect and returns true when the site asks for that and the request is not over TLS. Its
 * site is known, and its target was found to be right. */
bool redirect_to_https(exchange_t *exchange);

#endif
