/* Session tickets (RFC 5077, RFC 8446 section 2.2), encrypted with keys of their certificate's own: a ticket
 * made under one certificate resumes under no other.
 *
 * One secret for a process, shared by its workers, from which each certificate's keys are derived; so a set
 * of certificates that takes another's place goes on with the tickets of those that stayed. A day's secret
 * makes the next day's by a one-way step and is kept for one day more: tickets of older days, and what was
 * said in their sessions, can then be opened by nobody. With the process all of it is gone. Any thread. */
#ifndef SELVEDGE_EDGE_TLS_TICKETS_H
#define SELVEDGE_EDGE_TLS_TICKETS_H

#include "edge/base.h"

#include <openssl/ssl.h>

enum { TICKETS_PERIOD_S = 24 * 3600 };

typedef struct tls_tickets tls_tickets_t;

/* now_s: seconds of a clock that never goes back. NULL: there is no randomness. One
 * reference. */
tls_tickets_t *tls_tickets_new(int64_t (*now_s)(void));
tls_tickets_t *tls_tickets_ref(tls_tickets_t *tickets);
void tls_tickets_unref(tls_tickets_t **tickets);

/* Tickets of this context, which has its certificate and takes a reference, get their keys from here. False:
 * out of memory. */
bool tls_tickets_use(tls_tickets_t *tickets, SSL_CTX *context);

#endif
