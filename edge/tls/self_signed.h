/* A certificate for who gives none, kept so that clients that were told to trust it can go on to. Knows
 * OpenSSL and one file. */
#ifndef SELVEDGE_EDGE_TLS_SELF_SIGNED_H
#define SELVEDGE_EDGE_TLS_SELF_SIGNED_H

#include "edge/base.h"

#include <openssl/ssl.h>
#include <time.h>

/* One that has less left is made anew. */
enum { SELF_SIGNED_LEFT_S = 30 * 24 * 3600 };

/* A certificate for localhost, 127.0.0.1 and ::1, signed by its own P-256 key, valid for a year from when it
 * was made. path: where both are kept, PEM, for this user alone (0600); what is there is taken unless it is
 * of no use by now, or anybody else's to read or write. NULL: in memory only. now_s: wall clock. NULL when it
 * cannot be, with a sentence in error. The caller owns the context. */
SSL_CTX *tls_self_signed_context(const char *path, time_t now_s, char *error, size_t error_size);

#endif
