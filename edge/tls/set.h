/* The certificates of a node: one immutable object, made from the settings.
 *
 * It is an SSL_CTX for the https listeners, the first certificate's, that shows each client the certificate
 * which the client's first bytes ask for: with its own chain, OCSP staple and ticket keys. References are
 * OpenSSL's: SSL_CTX_up_ref and SSL_CTX_free, on any thread. A connection has one of its own from its first
 * byte on (SSL_new), so that a set may be replaced at any time. Before that byte libh2o keeps only a pointer:
 * whoever accepts must hold a reference for as long. */
#ifndef SELVEDGE_EDGE_TLS_SET_H
#define SELVEDGE_EDGE_TLS_SET_H

#include "conf/settings.h"
#include "edge/tls/tickets.h"

/* Reads the files that the settings name, one certificate at least; nothing of the settings is kept. It has
 * references of its own to the tickets; the sets that follow it are given the same. NULL when it cannot be,
 * with a sentence in error that names the setting's file, line and column, what is wrong, and the
 * certificate's file. */
SSL_CTX *tls_set_new(const settings_t *settings, files_t *files, tls_tickets_t *tickets, char *error,
                     size_t capacity);

/* A set of the one certificate that is made for who gives none, and kept in the file `path`; see
 * self_signed.h. */
SSL_CTX *tls_set_self_signed(const char *path, tls_tickets_t *tickets, char *error, size_t capacity);

/* Does any listener need one? */
bool tls_set_needed(const settings_t *settings);

#endif
