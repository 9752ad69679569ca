/* Settings: one table (in settings_table.c), from which the command line, `--help` and `--explain` come.
 *
 * Called once by main before any thread exists. Knows nobody but the parser of URLs. Texts in settings_t
 * point into argv or are literals: argv must outlive it. */
#ifndef SELVEDGE_CONF_SETTINGS_H
#define SELVEDGE_CONF_SETTINGS_H

#include <netinet/in.h>

#include "edge/base.h"
#include "edge/http/url.h"

enum { SETTINGS_LISTENERS_MAX = 16, SETTINGS_WORKERS_MAX = 256, SETTINGS_ERROR_MAX = 1024 };

typedef struct {
    const char *text; /* as written, for messages; port 0 is still 0 here */
    bool https;
    bool ipv6;
    char host[INET6_ADDRSTRLEN]; /* the address, without brackets */
    uint16_t port;               /* 0: the kernel chooses one */
    union {                      /* ready for bind(2) */
        struct sockaddr any;
        struct sockaddr_in v4;
        struct sockaddr_in6 v6;
    } address;
    socklen_t address_length;
} settings_listener_t;

typedef struct {
    settings_listener_t listeners[SETTINGS_LISTENERS_MAX];
    size_t listener_count; /* at least 1 */
    settings_listener_t admin;

    url_parts_t origin;  /* target is empty or "/" */
    text_t origin_url;   /* scheme and authority, without a slash at the end: put the target behind it */
    text_t origin_host;  /* the Host sent upstream */
    const char *ca_file; /* further authorities for the origin's certificate, PEM; NULL: the system's only */
    int64_t connect_timeout_ms, first_byte_timeout_ms, between_bytes_timeout_ms;

    text_t site_name;     /* of the one site that --origin makes */
    bool forwarded_https; /* X-Forwarded-Proto upstream */
    bool forward_all;     /* --forward all */

    uint64_t memory_bytes;
    uint64_t max_object_bytes; /* larger ones stream through and are not stored */
    uint64_t max_request_body_bytes;
    unsigned workers;
    unsigned http2_reset_budget; /* streams of one connection reset before their response was finished */

    const char *certificate_file, *key_file; /* both or neither; neither: self-signed for localhost */
    const char *staple_file;                 /* an OCSP response for the certificate, DER; NULL: none */
    const char *state_dir;                   /* NULL: a fresh private one, removed at exit */
    const char *admin_token;                 /* at most one of the two; neither: main makes one */
    const char *admin_token_file;
    const char *access_log; /* NULL: off; "-": standard output; else a path */
    int64_t idle_timeout_ms, header_timeout_ms, stall_timeout_ms;
    int64_t shutdown_timeout_ms;
    int64_t heartbeat_limit_ms; /* a hung serving process is replaced within it */
} settings_t;

typedef enum {
    SETTINGS_START,    /* all is well: start the node */
    SETTINGS_ANSWERED, /* --help, --version or --explain: `out` has the answer, exit 0 */
    SETTINGS_WRONG     /* `error` says what, why, and what is allowed; exit 2 */
} settings_outcome_t;

/* Reads the command line into *settings, defaults filled in and everything checked that can be without
 * opening a file. error: at least SETTINGS_ERROR_MAX bytes; a sentence without "selvedge: " and without a
 * line end. */
settings_outcome_t settings_parse(int argc, char *const argv[], FILE *out, settings_t *settings, char *error,
                                  size_t capacity);

#endif
