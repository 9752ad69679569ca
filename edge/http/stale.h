/* May a stale response be used, and for how long? RFC 5861, RFC 9111 section 4.2.4. Pure. */
#ifndef SELVEDGE_EDGE_HTTP_STALE_H
#define SELVEDGE_EDGE_HTTP_STALE_H

#include "edge/http/cache_control.h"
#include "edge/http/policy.h"

/* Never to be used stale: must-revalidate, proxy-revalidate, s-maxage. */
bool http_must_revalidate(const http_cache_control_t *control);

/* For how long a response with these directives may be used when it is stale: as it says, else as the site
 * has it (policy; NULL: it allows nothing), and never where it says that it must be validated first. */
http_stale_t http_stale_windows(const http_cache_control_t *control, const http_policy_t *policy);

#endif
