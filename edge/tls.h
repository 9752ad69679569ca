/* TLS for the listeners: a server context from a certificate file, or from a certificate made here.
 *
 * TLS 1.2 and 1.3, ALPN h2 before http/1.1. Called by main before the workers start; the context is then
 * shared by all of them (OpenSSL counts its references). Knows OpenSSL only. */
#ifndef SELVEDGE_EDGE_TLS_H
#define SELVEDGE_EDGE_TLS_H

#include "edge/base.h"

#include <openssl/ssl.h>

/* cert_file: PEM, the server's certificate first, then its chain; key_file: PEM, the certificate's private
 * key without a passphrase. NULL when it cannot be, with a sentence that names the option and the file in
 * error. The caller owns the context (SSL_CTX_free). */
SSL_CTX *tls_server_context(const char *cert_file, const char *key_file, char *error, size_t error_size);

/* A certificate for localhost, 127.0.0.1 and ::1, signed by its own new P-256 key, valid for a year; both
 * live in memory only. NULL and error as above. */
SSL_CTX *tls_self_signed_context(char *error, size_t error_size);

#endif
