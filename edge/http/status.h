/* Statuses (RFC 9110 section 15). Knows nobody. */
#ifndef SELVEDGE_EDGE_HTTP_STATUS_H
#define SELVEDGE_EDGE_HTTP_STATUS_H

#include <stdbool.h>

/* The reason phrase, for HTTP/1. Never NULL; "Status" for what RFC 9110 and its neighbours do not name. */
const char *http_reason(int status);

/* Is it one of those? */
bool http_status_is_known(int status);

#endif
