/* A configuration: settings, and what is made of them. Never changed once made; a reload makes another.
 * Whoever works by one holds a reference, so that each request and each fill ends by the configuration it
 * began with.
 *
 * The main thread makes them and hands them to the workers, each of which has one at a time (worker.h counts
 * its requests, without a shared write); a transfer has a reference of its own. Any thread may drop one. */
#ifndef SELVEDGE_EDGE_CONFIGURATION_H
#define SELVEDGE_EDGE_CONFIGURATION_H

#include <stdatomic.h>

#include "edge/sites/sites.h"
#include "edge/tls/tickets.h"
#include "purge/token.h"

typedef struct configuration {
    uint32_t magic;
    _Atomic unsigned references;
    settings_t settings;
    sites_t *sites;
    SSL_CTX *tls;           /* the set of certificates; NULL: no https listener */
    tls_tickets_t *tickets; /* NULL: the same */
    bool self_signed;       /* none was given */
    char token[TOKEN_LENGTH_MAX + 1];
    files_t *files; /* what it was made of, to be compared with what comes next */
} configuration_t;

enum { CONFIGURATION_MAGIC = 0x5e1c0f1, CONFIGURATION_ERROR_MAX = 1024 };

typedef struct {
    const configuration_t *before; /* in force, whose tickets go on; NULL: none is */
    /* Where these are, or are made, when the settings name none. */
    const char *token_file, *certificate_file;
} configuration_origin_t;

/* Takes over, whatever comes of it, the settings and the files in which what they name is found: certificates
 * and the token. One reference. NULL and a sentence in *error when a file is wrong. */
configuration_t *configuration_new(settings_t *settings, files_t **files,
                                   const configuration_origin_t *origin, char error[CONFIGURATION_ERROR_MAX]);

/* Could a configuration be made of these settings, and of the files that they name as they are now? Makes
 * nothing. False and a sentence in *error when not. */
bool configuration_check(const settings_t *settings, char error[CONFIGURATION_ERROR_MAX]);

configuration_t *configuration_ref(configuration_t *configuration);
void configuration_unref(configuration_t **configuration);

#endif
