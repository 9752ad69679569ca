/* The insides of answers, shared by respond.c (from an object to a response), respond_own.c (answers of the
 * node's own) and respond_status.c (Cache-Status). Nobody else includes this. */
#ifndef SELVEDGE_EDGE_RESPOND_PRIVATE_H
#define SELVEDGE_EDGE_RESPOND_PRIVATE_H

#include "edge/exchange.h"

/* name: lives as long as the request. */
static inline void respond_add(h2o_req_t *req, const h2o_iovec_t *name, text_t value)
{
    h2o_headers_t *headers = &req->res.headers;
    h2o_vector_reserve(&req->pool, headers, headers->size + 1);
    headers->entries[headers->size++] =
        (h2o_header_t){(h2o_iovec_t *)name, NULL, {(char *)value.data, value.length}};
}

/* Digits of a number that is not negative, written to the end of `buffer`'s 20 bytes. */
static inline text_t respond_decimal(uint64_t number, char buffer[20])
{
    char *at = buffer + 20;
    do
        *--at = (char)('0' + number % 10);
    while ((number /= 10) > 0);
    return (text_t){at, (size_t)(buffer + 20 - at)};
}

static inline bool respond_has_no_body(int status)
{
    return status == 204 || status == 304;
}

/* --- respond.c --- */
/* The site's policy, or else the origin's. Over http there is none (RFC 6797 section 7.2). */
void respond_add_hsts(exchange_t *exchange, text_t origins);
/* What depends on who asks, where the rest of the answer does not. */
void respond_add_allowed_origin(exchange_t *exchange, text_t cors);
/* Via, and the Cache-Status that `status` writes into `room` bytes; the answer's own status is set by then.
 */
void respond_add_own(exchange_t *exchange, size_t room, text_t (*status)(const exchange_t *, char *));
/* Sends an answer whose fields are there, with all of its body. */
void respond_at_once(exchange_t *exchange, int status, text_t body);

/* --- respond_status.c: the value of Cache-Status (RFC 9211), how this node handled the request --- */
enum { STATUS_BYTES = 192, STATUS_HIT_BYTES = 19 + 20 + 13 }; /* the latter: words, digits, and where from */
/* Each writes it into `buffer`, of STATUS_BYTES; that of a fresh hit needs no more than STATUS_HIT_BYTES. */
text_t respond_status_forwarded(const exchange_t *exchange, char *buffer);
text_t respond_status_hit(const exchange_t *exchange, char *buffer);
/* What is stored and stale, or was come back to when the origin failed. */
text_t respond_status_stale(const exchange_t *exchange, char *buffer);
text_t respond_status_refusal(const exchange_t *exchange, char *buffer);

#endif
