/* Is this HTTP/1 request one that every reader understands in the same way? RFC 9112, strictly: what two
 * programs could read differently is refused, because that is how requests are smuggled. Pure. */
#ifndef SELVEDGE_EDGE_GUARD_HTTP1_CHECK_H
#define SELVEDGE_EDGE_GUARD_HTTP1_CHECK_H

#include "edge/guard/guard.h"
#include "edge/http/fields.h"

typedef struct {
    text_t head; /* as received, from the request line (or the empty line before it) to the empty line at its
                    end */
    text_t method, target;
    int minor_version;
    http_fields_t fields; /* names as received; data NULL for a continued line; values without white space at
                             their ends */
} guard_http1_request_t;

guard_verdict_t guard_http1_check(const guard_http1_request_t *request);

/* Takes an absolute-form target (RFC 9112 section 3.2.2) apart: `rest` is the path and query, and may be
 * empty or start with `?`. False when it is none, or its scheme or authority is not one for us. */
bool guard_absolute_form(text_t target, text_t *authority, text_t *rest);

#endif
