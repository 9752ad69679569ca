/* Which certificate a client is shown: its host name (SNI, RFC 6066 section 3) among the certificates' names.
 *
 * Plain functions over bytes; a table is fixed once it is shared, and any thread may ask. */
#ifndef SELVEDGE_EDGE_TLS_NAMES_H
#define SELVEDGE_EDGE_TLS_NAMES_H

#include "edge/base.h"

enum { TLS_NAME_MAX = 253 };

typedef struct tls_names tls_names_t;

typedef enum {
    TLS_NAME_ADDED,
    TLS_NAME_UNUSABLE, /* no client can ask for it: a wildcard within a label, letters that are none */
    TLS_NAME_TAKEN     /* another certificate has it */
} tls_name_t;

tls_names_t *tls_names_new(void);
void tls_names_free(tls_names_t **names);

/* A DNS name of that certificate's, which may begin with `*.`, for any one label. `*other`: whose it is when
 * it is taken; a certificate may say its own twice. */
tls_name_t tls_names_add(tls_names_t *names, text_t name, unsigned certificate, unsigned *other);

/* The one with exactly this name, or else with the wildcard for its first label. False: none has it. */
bool tls_names_find(const tls_names_t *names, text_t host, unsigned *certificate);

/* The host name in a server_name extension's bytes. False: it has none, or is malformed. */
bool tls_server_name(text_t extension, text_t *host);

#endif
