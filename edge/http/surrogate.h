/* Surrogate-Control, the forerunner of targeted cache control (W3C Note "Edge Architecture Specification",
 * 2001, section 2.3). Pure. */
#ifndef SELVEDGE_EDGE_HTTP_SURROGATE_H
#define SELVEDGE_EDGE_HTTP_SURROGATE_H

#include "edge/http/cache_control.h"

/* What the origin is told of this surrogate where it may answer so, and by what name it can speak to it
 * alone. */
#define HTTP_SURROGATE_DEVICE "selvedge"
#define HTTP_SURROGATE_CAPABILITY HTTP_SURROGATE_DEVICE "=\"Surrogate/1.0\""

/* no-store, and max-age with the time behind `+` for which it may be used stale. What is for this device
 * alone goes before what is for all; what is for another does not count. False: nothing that is understood
 * was said. */
bool http_surrogate_control(http_fields_t response, http_cache_control_t *control);

#endif
