/* OCSP staples (RFC 6066 section 8, RFC 6960): what a certificate's authority says of it, shown in the
 * handshake to clients that ask for it, who then need not ask the authority themselves. Whatever keeps the
 * file fresh is the operator's; one whose time is over is not shown. Knows OpenSSL only. */
#ifndef SELVEDGE_EDGE_TLS_STAPLE_H
#define SELVEDGE_EDGE_TLS_STAPLE_H

#include "edge/tls/context.h"

/* The most that a staple may have: it goes into one handshake message. */
enum { STAPLE_BYTES_MAX = 16 << 10 };

/* file: an OCSP response, DER, that says of the context's certificate that it is good. The context shows it
 * from now on, on all threads, and frees it. False: it cannot be used, with a sentence that names the setting
 * and the file in error. */
bool tls_staple(SSL_CTX *context, const tls_file_t *file, char *error, size_t error_size);

#endif
