/* Settings: one table (in settings_table.c), from which the command line, the file's keys, `--help`,
 * `--explain` and the sample come.
 *
 * Called once by main before any thread exists. Knows nobody but the parser of URLs. Texts in settings_t
 * point into argv, are literals, or are its own copies from the file: argv must outlive it. */
#ifndef SELVEDGE_CONF_SETTINGS_H
#define SELVEDGE_CONF_SETTINGS_H

#include <netinet/in.h>

#include "conf/files.h"
#include "edge/base.h"
#include "edge/http/policy.h"
#include "edge/http/url.h"

enum {
    SETTINGS_LISTENERS_MAX = 16,
    SETTINGS_SITES_MAX = 256,
    SETTINGS_HOSTS_MAX = 4096,
    SETTINGS_RULES_MAX = 1024,
    SETTINGS_CERTIFICATES_MAX = 1024,
    SETTINGS_DISKS_MAX = 16,
    SETTINGS_WORKERS_MAX = 256,
    SETTINGS_HEADER_BYTES_MAX = 128 * 1024,
    SETTINGS_HEADER_FIELDS_MAX = 100, /* the library has room for no more */
    SETTINGS_ERROR_MAX = 2048
};

/* Of all disks: an index entry has room to name so many segments. */
#define SETTINGS_DISKS_BYTES_MAX (UINT64_C(30720) << 30)

#define SETTINGS_FILE "/etc/selvedge/selvedge.yaml"

typedef struct {
    const char *text; /* as written, for messages; port 0 is still 0 here */
    bool https;
    bool ipv6;
    bool proxy_protocol;         /* each connection begins with the PROXY protocol's line, version 1 */
    char host[INET6_ADDRSTRLEN]; /* the address, without brackets */
    uint16_t port;               /* 0: the kernel chooses one */
    union {                      /* ready for bind(2) */
        struct sockaddr any;
        struct sockaddr_in v4;
        struct sockaddr_in6 v6;
    } address;
    socklen_t address_length;
} settings_listener_t;

/* settings_site_t.redirect_https: a port, or one of these. */
enum { REDIRECT_OFF = -1, REDIRECT_TO_LISTENER = 0 };

/* How an origin is told the client's address. */
typedef enum {
    CLIENT_ADDRESS_OFF,
    CLIENT_ADDRESS_X_FORWARDED_FOR,
    CLIENT_ADDRESS_FORWARDED
} client_address_t;

/* One site: the host names it answers for, and where its responses come from. */
typedef struct {
    text_t name;
    url_parts_t origin;  /* target is empty or "/" */
    text_t origin_url;   /* scheme and authority, without a slash at the end: put the target behind it */
    text_t origin_host;  /* the Host sent upstream */
    const char *ca_file; /* further authorities for the origin's certificate, PEM; NULL: the system's only */
    int64_t connect_timeout_ms, first_byte_timeout_ms, between_bytes_timeout_ms;
    unsigned client_address; /* a client_address_t */
    bool forwarded_https;    /* X-Forwarded-Proto upstream */
    bool purge_method;       /* clients may purge by the method PURGE, with the admin token */
    int redirect_https;      /* where requests over http are sent: a port, or REDIRECT_OFF or _TO_LISTENER */
    text_t hsts;             /* Strict-Transport-Security, ready to be sent; empty: none */
    http_policy_t policy;    /* what caching leaves to the site */
} settings_site_t;

typedef struct {
    text_t name; /* as url_host() writes it */
    size_t site; /* its place in settings_t.sites */
} settings_host_t;

enum { SETTINGS_TABLE_MAX = 128 };

/* One rule of a site, for the paths that match its pattern and no pattern before. */
typedef struct {
    size_t site;          /* its place in settings_t.sites; a site's rules follow each other in their order */
    text_t path;          /* a pattern as edge/http/pattern.h has it, normal */
    http_policy_t policy; /* where the rule says nothing, the site's */
    bool said[SETTINGS_TABLE_MAX]; /* what the rule itself says; by place in the table */
} settings_rule_t;

/* A file that is opened later, and where it was said, for who finds it wrong. */
typedef struct {
    const char *path;    /* first: the place of a text; NULL: none */
    size_t line, column; /* in the configuration file; line 0: said by an option */
} settings_file_t;

/* One certificate of the node's, with its key and perhaps what its authority says of it. */
typedef struct {
    settings_file_t certificate, key; /* both; PEM */
    settings_file_t staple;           /* an OCSP response, DER; NULL: none */
} settings_certificate_t;

/* A directory in which responses are stored. */
typedef struct {
    const char *path; /* without slashes at its end */
    uint64_t size_bytes;
} settings_disk_t;

typedef struct settings_text settings_text_t;

typedef struct {
    settings_listener_t listeners[SETTINGS_LISTENERS_MAX];
    size_t listener_count; /* at least 1 */
    settings_listener_t admin;

    settings_site_t sites[SETTINGS_SITES_MAX];
    size_t site_count; /* at least 1 */
    settings_host_t hosts[SETTINGS_HOSTS_MAX];
    size_t host_count; /* 0: the one site answers for every host name */
    settings_rule_t rules[SETTINGS_RULES_MAX];
    size_t rule_count;

    uint64_t memory_bytes;
    uint64_t max_object_bytes; /* larger ones stream through and are not stored */
    settings_disk_t disks[SETTINGS_DISKS_MAX];
    size_t disk_count;       /* 0: nothing is stored on disks */
    bool disk_admits_always; /* what is asked for once only, too */
    bool disk_wipe; /* what another node or version left there goes, rather than that the node refuses */
    uint64_t max_request_body_bytes;
    uint64_t max_header_bytes, max_url_bytes;
    unsigned max_header_fields;
    unsigned workers;
    unsigned http2_reset_budget; /* streams of one connection reset before their response was finished */

    const char *file; /* the configuration's; NULL: none */
    settings_certificate_t certificates[SETTINGS_CERTIFICATES_MAX];
    size_t certificate_count; /* 0: one for localhost, signed by itself */
    const char *state_dir;    /* NULL: a fresh private one, removed at exit. With disks there always is one */
    const char *admin_token;  /* at most one of the two; neither: main makes one */
    const char *admin_token_file;
    const char *access_log;   /* NULL: off; "-": standard output; else a path */
    bool access_log_combined; /* in the combined format, not in JSON */
    /* Of clients; per address: 0 is no limit. */
    unsigned max_connections, max_connections_per_address, max_opens_per_second, max_requests_per_second;
    /* Fetched and thrown away, per minute; 0: no limit. */
    uint64_t address_waste_bytes, key_waste_bytes;
    int64_t idle_timeout_ms, header_timeout_ms, stall_timeout_ms;
    int64_t shutdown_timeout_ms;
    const char *node_name;      /* what the node calls itself; a site's name has the same form */
    const char *user;           /* whose rights the serving process has; NULL: the starter's */
    bool filter_system_calls;   /* of the serving process */
    int64_t heartbeat_limit_ms; /* a hung serving process is replaced within it */

    settings_text_t *texts; /* of the file; see settings_free() */
} settings_t;

typedef enum {
    SETTINGS_START,    /* all is well: start the node */
    SETTINGS_ANSWERED, /* --help, --version, --explain or --sample: exit 0 */
    SETTINGS_CHECKED,  /* --check found no mistake; there may be some in the files that are named */
    SETTINGS_MISTAKES, /* --check found mistakes: `out` has them, a line each; exit 1 */
    SETTINGS_WRONG     /* `error` says what, why, and what is allowed; exit 2 */
} settings_outcome_t;

/* What settings are read from; more than once, when the files are. */
typedef struct {
    int argc;
    char *const *argv;
    const char *default_file; /* read when neither a file nor an origin is named and it exists */
    files_t *files;           /* where the configuration file is found */
} settings_source_t;

/* Reads the command line, and the file that it names, into *settings, defaults filled in and everything
 * checked that can be without opening further files. error: at least SETTINGS_ERROR_MAX bytes; a sentence
 * without "selvedge: " and without a line end. Whatever the outcome, settings_free() gives back what
 * *settings holds. */
settings_outcome_t settings_parse(const settings_source_t *source, FILE *out, settings_t *settings,
                                  char *error, size_t capacity);
/* The same for a node that runs: every mistake is a line of `out`, as --check has it. False: there are some.
 */
bool settings_parse_again(const settings_source_t *source, FILE *out, settings_t *settings);
/* Has the other files read whose content belongs to the configuration. */
void settings_gather(const settings_t *settings, files_t *files);

/* Puts what no reload takes back to what the node was started with, and names each setting that is another:
 * of those a reload takes, than it was `before`; of the others, than at the start. A site's are called
 * sites[NAME].key. The texts of `start` must outlive *settings. */
void settings_compare(const settings_t *start, const settings_t *before, settings_t *settings,
                      void (*differs)(void *context, const char *name, bool needs_restart), void *context);
void settings_free(settings_t *settings);

#endif
