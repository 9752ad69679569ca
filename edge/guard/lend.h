/* What an HTTPS connection is given to send is encrypted straight from where it lies (edge/tls/records),
 * where the library would have it copied three times.
 *
 * Over HTTP/2 the library asks for the bytes of a body by a pull callback, to be put into the connection's
 * buffer behind their frame's header. There they may be left out, and lent instead: they are put in as that
 * buffer is encrypted, which the library does in the same call. The worker that owns the connection calls all
 * of this. */
#ifndef SELVEDGE_EDGE_GUARD_LEND_H
#define SELVEDGE_EDGE_GUARD_LEND_H

#include "edge/base.h"

#include <h2o.h>

/* May a response to this request be sent by such a callback? */
bool guard_lends(const h2o_req_t *req);

/* Within the callback, in place of copying to `place`: the bytes are good until the loop's turn is over.
 * Copies them if they are few, or if the connection cannot lend any more. */
void guard_lend(const h2o_req_t *req, char *place, text_t bytes);

#endif
