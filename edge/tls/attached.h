/* A value of ours that lives as long as an OpenSSL context, and is freed with it.
 *
 * The thread that makes the contexts attaches, one at a time; handlers of connections ask on any thread, once
 * the context is handed to them. */
#ifndef SELVEDGE_EDGE_TLS_ATTACHED_H
#define SELVEDGE_EDGE_TLS_ATTACHED_H

#include <openssl/ssl.h>

#include "edge/base.h"

/* One kind of value; static, with `free` alone set at the start. */
typedef struct {
    void (*free)(void *value);
    bool known;
    int place; /* OpenSSL's number of it, once known */
} tls_attachment_t;

/* Takes the value over; false: it is freed. A context has at most one of a kind. */
bool tls_attach(SSL_CTX *context, tls_attachment_t *kind, void *value);
/* NULL: the context has none. */
void *tls_attached(const SSL_CTX *context, const tls_attachment_t *kind);

#endif
