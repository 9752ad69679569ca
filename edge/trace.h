/* How the node would treat a URL, for people who ask why. Looks only: nothing is counted as asked for, and no
 * fill is started. Any attached thread. */
#ifndef SELVEDGE_EDGE_TRACE_H
#define SELVEDGE_EDGE_TRACE_H

#include <jansson.h>

#include "edge/node.h"

/* What a GET without further fields would meet. context: the node_t; target: normalised. A new reference. */
json_t *trace_target(void *context, const site_t *site, text_t target, int64_t now_ms);

#endif
