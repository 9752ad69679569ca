/* Reason phrases (RFC 9110 section 15), for HTTP/1. Knows nobody. */
#ifndef SELVEDGE_EDGE_HTTP_STATUS_H
#define SELVEDGE_EDGE_HTTP_STATUS_H

/* Never NULL; "Status" for what RFC 9110 and its neighbours do not name. */
const char *http_reason(int status);

#endif
