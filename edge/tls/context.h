/* A server context with one certificate: TLS 1.2 and 1.3, ALPN h2 before http/1.1. Knows OpenSSL only.
 *
 * Contexts are made by one thread and then shared by all (OpenSSL counts their references). */
#ifndef SELVEDGE_EDGE_TLS_CONTEXT_H
#define SELVEDGE_EDGE_TLS_CONTEXT_H

#include "conf/files.h"
#include "edge/base.h"

#include <openssl/ssl.h>

/* A file, and what messages call the setting that names it. */
typedef struct {
    const char *called, *path;
    files_t *files; /* where it is found; NULL: on the disk */
} tls_file_t;

/* Without a certificate. NULL when it cannot be, with a sentence in error. The caller owns it (SSL_CTX_free).
 */
SSL_CTX *tls_new_context(char *error, size_t error_size);

/* certificate: PEM, the server's certificate first, then its chain; key: PEM, the certificate's private key
 * without a passphrase. NULL and error as above; the sentence names the setting and the file. */
SSL_CTX *tls_server_context(const tls_file_t *certificate, const tls_file_t *key, char *error,
                            size_t error_size);

/* What OpenSSL says was wrong, and its error queue emptied. */
const char *tls_reason(void);

#endif
