/* Conditional requests and what a 304 does to a stored head: RFC 9110 section 13, RFC 9111 sections 3.2
 * and 4.3. Pure. In which order conditions and ranges count is range.h's matter. */
#ifndef SELVEDGE_EDGE_HTTP_CONDITIONAL_H
#define SELVEDGE_EDGE_HTTP_CONDITIONAL_H

#include "edge/http/date.h"
#include "edge/http/fields.h"

/* Neither a condition nor a Range: the answer is the whole. Then the stored validators need not be looked at,
 * which on a hit saves fetching them from memory; one pass over the fields' first bytes. */
bool http_is_plain(http_fields_t request);

/* If-Match, or without it If-Unmodified-Since, against a 200 with these validators (each may be absent).
 * True: answer 412. An If-Match that is malformed names nothing and so fails; an If-Unmodified-Since that is
 * no date, or about what has none, is ignored (RFC 9110 sections 13.1.1 and 13.1.4). */
bool http_precondition_failed(http_fields_t request, text_t etag, text_t last_modified);

/* Does If-Range let the Range count? Without If-Range: yes. It does by an equal ETag, strong on both sides,
 * or by a date that is exactly the Last-Modified, if that is at least a second older than `date`, the
 * response's own (RFC 9110 sections 13.1.5 and 8.8.2.2). */
bool http_if_range(http_fields_t request, text_t etag, text_t last_modified, text_t date);

/* Is it an ETag, and a strong one? Are both, and the same (RFC 9110 section 8.8.3.2)? */
bool http_is_strong_etag(text_t etag);
bool http_same_strong_etag(text_t a, text_t b);

/* What a GET or HEAD asked for, against a 200 with these validators (each may be absent). True: answer 304.
 * If-None-Match (weak comparison, `*`, lists over several lines) goes before If-Modified-Since. What is
 * malformed, on either side, matches nothing: the answer is then the whole 200, which is always right. */
bool http_not_modified(http_fields_t request, text_t etag, text_t last_modified);

/* The fields of a 304 that keep their stored value: those that describe the stored bytes (Content-Length,
 * Content-Encoding, Content-Range, digests, ...) and hop-by-hop ones (RFC 9111 section 3.2). Fields named by
 * the 304's own Connection are the caller's to leave out. */
bool http_field_kept_on_304(text_t name);

/* Does the 304 that answers a client have this field, if a 200 would? All but those that describe the body
 * (RFC 9110 section 15.4.5: metadata of the representation, without those it demands). Lower-case name. */
bool http_field_in_304(text_t name);

/* Does a 304 with these fields speak of the stored response (RFC 9111 section 4.3.4)? A strong ETag in it
 * must equal the stored one strongly, a weak one weakly, else a Last-Modified must be the same time; without
 * any validator in it, it does. False: the stored response is not to be freshened, and a full answer has to
 * be fetched. */
bool http_304_selects(http_fields_t not_modified, text_t stored_etag, text_t stored_last_modified);

#endif
