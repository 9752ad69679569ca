/* Conditional requests and what a 304 does to a stored head: RFC 9110 section 13, RFC 9111 section 3.2. Pure. */
#ifndef SELVEDGE_EDGE_HTTP_CONDITIONAL_H
#define SELVEDGE_EDGE_HTTP_CONDITIONAL_H

#include "edge/http/fields.h"

/* What a GET or HEAD asked for, against a 200 with these validators (each may be absent). True: answer 304.
 * If-None-Match (weak comparison, `*`, lists over several lines) goes before If-Modified-Since. */
bool http_not_modified(http_fields_t request, text_t etag, text_t last_modified);

/* The fields of a 304 that keep their stored value: those that describe the stored bytes (Content-Length,
 * Content-Encoding, Content-Range, Transfer-Encoding, ...) and hop-by-hop ones (RFC 9111 section 3.2). */
bool http_field_kept_on_304(text_t name);

/* Does a 304 with these fields speak of the stored response (RFC 9111 section 4.3.4)? A strong ETag in it must equal the
 * stored one; without any validator in it, it does. */
bool http_304_selects(http_fields_t not_modified, text_t stored_etag, text_t stored_last_modified);

/* HTTP dates (RFC 9110 section 5.6.7). Parsing takes IMF-fixdate, RFC 850 and asctime forms; false for all else. */
bool http_date_parse(text_t value, int64_t now_ms, int64_t *time_ms);
enum { HTTP_DATE_LENGTH = 29 };
void http_date_format(int64_t time_ms, char out[HTTP_DATE_LENGTH + 1]);

#endif
