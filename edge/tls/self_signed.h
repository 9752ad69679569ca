/* A certificate for who gives none. Knows OpenSSL only. */
#ifndef SELVEDGE_EDGE_TLS_SELF_SIGNED_H
#define SELVEDGE_EDGE_TLS_SELF_SIGNED_H

#include "edge/base.h"

#include <openssl/ssl.h>

/* A certificate for localhost, 127.0.0.1 and ::1, signed by its own new P-256 key, valid for a year; both
 * live in memory only. NULL when it cannot be, with a sentence in error. The caller owns the context. */
SSL_CTX *tls_self_signed_context(char *error, size_t error_size);

#endif
