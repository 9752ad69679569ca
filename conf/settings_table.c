/* Every setting there is. */
#include "conf/settings_table.h"

#define FIELD(name) .offset = offsetof(settings_t, name)
#define SITE_FIELD(name) .of_site = true, .offset = offsetof(settings_site_t, name)
#define RULE_FIELD(name) .of_rule = true, .offset = offsetof(settings_rule_t, name)
#define LISTENER_FIELD(name) .of_listener = true, .offset = offsetof(settings_listener_t, name)
#define CERTIFICATE_FIELD(name) .of_certificate = true, .offset = offsetof(settings_certificate_t, name)
#define DISK_FIELD(name) .of_disk = true, .offset = offsetof(settings_disk_t, name)
#define KIB UINT64_C(1024)
#define MIB (KIB * 1024)
#define GIB (MIB * 1024)
#define SECOND UINT64_C(1000)
#define YEAR_S UINT64_C(31536000)

const setting_t settings_table[] = {
    {.name = "sites[].name",
     .placeholder = "NAME",
     .type = SETTING_NAME,
     SITE_FIELD(name),
     .required = true,
     .example = "example",
     .reload = true,
     .meaning = "What purges, metrics and the access log call the site. With --origin it is `default`."},
    {.name = "sites[].hosts",
     .placeholder = "HOST",
     .type = SETTING_HOST_NAMES,
     FIELD(hosts),
     .required = true,
     .example = "www.example.com",
     .reload = true,
     .meaning = "The host names that the site answers for, all alike: they share what is stored. A request "
                "for any other "
                "host is answered with 421."},
    {.name = "sites[].origin.url",
     .option = "--origin",
     .placeholder = "URL",
     .type = SETTING_ORIGIN,
     SITE_FIELD(origin),
     .required = true,
     .example = "http://127.0.0.1:8000",
     .reload = true,
     .meaning = "Where responses come from. The option makes one site, which answers for every host name, in "
                "place of the "
                "file's."},
    {.name = "listen[].url",
     .option = "--listen",
     .placeholder = "URL",
     .type = SETTING_LISTENERS,
     FIELD(listeners),
     .standard = {"https://127.0.0.1:8443", "http://127.0.0.1:8080"},
     .required = true,
     .meaning = "Where clients connect. May be given several times; giving it replaces both defaults. In the "
                "file an item of listen may be the URL alone."},
    {.name = "listen[].proxy_protocol",
     .placeholder = "on|off",
     .type = SETTING_CHOICE,
     LISTENER_FIELD(proxy_protocol),
     .choices = {"off", "on"},
     .standard = {"off"},
     .meaning =
         "Does a balancer connect here that sends the line of the PROXY protocol, version 1, first? Then "
         "each "
         "connection must begin with it, before TLS, and the client that it names is the one that limits and "
         "the "
         "access log see. Let nobody but the balancer reach such an address: the line can name anybody."},
    {.name = "admin.url",
     .option = "--admin",
     .placeholder = "URL",
     .type = SETTING_LISTENER,
     FIELD(admin),
     .standard = {"http://127.0.0.1:8081"},
     .meaning =
         "Where the purge API, /healthz and /metrics answer. Keep it away from clients: /metrics asks for no "
         "token."},
    {.name = "admin.token",
     .option = "--admin-token",
     .placeholder = "TOKEN",
     .type = SETTING_TOKEN,
     FIELD(admin_token),
     .minimum = 1,
     .maximum = 512,
     .standard_words = "one is made and written to STATE/admin-token",
     .reload = true,
     .example = "a-long-random-word",
     .meaning =
         "The bearer token that purges must show. Other users of the machine can read a command line: prefer "
         "--admin-token-file."},
    {.name = "admin.token_file",
     .option = "--admin-token-file",
     .placeholder = "FILE",
     .type = SETTING_FILE,
     FIELD(admin_token_file),
     .standard_words = "none",
     .reload = true,
     .example = "/etc/selvedge/admin-token",
     .content = true,
     .meaning = "A file whose first line is the bearer token that purges must show."},
    {.name = "memory.size",
     .option = "--memory",
     .placeholder = "SIZE",
     .type = SETTING_SIZE,
     FIELD(memory_bytes),
     .minimum = 16 * MIB,
     .maximum = 65536 * GIB,
     .standard_words = "a quarter of RAM, or of the control group's limit where that is less",
     .example = "512M",
     .meaning = "The memory that stored responses may take, with those still being sent to slow clients."},
    {.name = "memory.max_object",
     .option = "--max-object",
     .placeholder = "SIZE",
     .type = SETTING_SIZE,
     FIELD(max_object_bytes),
     .minimum = 1 * KIB,
     .maximum = 65536 * GIB,
     .standard_words = "an eighth of memory.size",
     .reload = true,
     .example = "64M",
     .meaning = "The largest response that is stored whole; a larger one streams through, and from 1M on it "
                "is kept in pieces "
                "as ranges of it are asked for. At most half of memory.size."},
    {.name = "disk[].path",
     .option = "--disk",
     .placeholder = "PATH:SIZE",
     .type = SETTING_DISK,
     DISK_FIELD(path),
     .standard_words = "none",
     .required = true,
     .example = "/var/cache/selvedge",
     .meaning =
         "A directory of the node's own, best one on each device, in which responses are stored beside "
         "memory "
         "and outlive a restart. It is made where there is none; nothing else belongs in there but the state "
         "directory. The option may be given several times, and replaces the file's; in the file an item of "
         "disk may be PATH:SIZE alone."},
    {.name = "disk[].size",
     .placeholder = "SIZE",
     .type = SETTING_SIZE,
     DISK_FIELD(size_bytes),
     .minimum = 64 * MIB,
     .maximum = SETTINGS_DISKS_BYTES_MAX,
     .standard_words = "none",
     .required = true,
     .example = "500G",
     .meaning = "How many bytes the files in there may take, at most; the oldest responses make room. Of "
                "memory each "
                "stored response takes some 20 bytes more than memory.size."},
    {.name = "disk_admission",
     .option = "--disk-admission",
     .placeholder = "second-hit|always",
     .type = SETTING_CHOICE,
     FIELD(disk_admits_always),
     .choices = {"second-hit", "always"},
     .standard = {"second-hit"},
     .reload = true,
     .meaning =
         "What is stored on disks? `second-hit`: what was asked for more than once, as most of what is asked "
         "for "
         "once never is again, and would wear the devices and push out what is. `always`: everything that "
         "memory stores."},
    {.name = "disk_wipe",
     .option = "--disk-wipe",
     .placeholder = "on|off",
     .type = SETTING_CHOICE,
     FIELD(disk_wipe),
     .choices = {"off", "on"},
     .standard = {"off"},
     .meaning =
         "May a directory of disk be begun anew, and lose what it holds, when another node, or a version of "
         "another format, has made it? `off`: then the node does not start, and says why."},
    {.name = "workers",
     .option = "--workers",
     .placeholder = "N",
     .type = SETTING_COUNT,
     FIELD(workers),
     .minimum = 1,
     .maximum = SETTINGS_WORKERS_MAX,
     .standard_words = "one for each processor",
     .example = "4",
     .meaning = "Threads that serve clients."},
    {.name = "node.name",
     .option = "--node-name",
     .placeholder = "NAME",
     .type = SETTING_NODE_NAME,
     FIELD(node_name),
     .standard_words = "the host's name",
     .example = "edge-1",
     .meaning =
         "What the node calls itself in its status, its metrics and its access log. Clients and origins "
         "do not see it."},
    {.name = "certificates[].cert",
     .option = "--cert",
     .placeholder = "FILE",
     .type = SETTING_FILE,
     CERTIFICATE_FIELD(certificate),
     .standard_words = "a self-signed certificate for localhost, kept in the state directory",
     .reload = true,
     .required = true,
     .example = "/etc/selvedge/example.crt",
     .content = true,
     .meaning =
         "A certificate shown to clients, PEM, with its chain behind it. Of several, a client is shown the "
         "one that has the host name it asks for (SNI) among its DNS names, exactly or by a wildcard for the "
         "first label; else the first. The option, which goes with --key, is for one in place of the "
         "file's."},
    {.name = "certificates[].key",
     .option = "--key",
     .placeholder = "FILE",
     .type = SETTING_FILE,
     CERTIFICATE_FIELD(key),
     .standard_words = "the self-signed certificate's",
     .reload = true,
     .required = true,
     .example = "/etc/selvedge/example.key",
     .content = true,
     .meaning = "The certificate's private key, PEM. Goes with --cert."},
    {.name = "certificates[].ocsp_staple",
     .option = "--ocsp-staple",
     .placeholder = "FILE",
     .type = SETTING_FILE,
     CERTIFICATE_FIELD(staple),
     .standard_words = "none",
     .reload = true,
     .example = "/etc/selvedge/example.ocsp",
     .content = true,
     .meaning = "What the certificate's authority says of it, an OCSP response in DER, shown to clients "
                "that ask. Once its time is over it is not shown any more. Goes with --cert."},
    {.name = "state_dir",
     .option = "--state-dir",
     .placeholder = "DIR",
     .type = SETTING_FILE,
     FIELD(state_dir),
     .standard_words =
         "the directory `state` on the first disk; without a disk a fresh private one, removed at exit",
     .example = "/var/lib/selvedge",
     .meaning = "What must outlive a restart: the journal of purges, the admin token, and the certificate "
                "for localhost that is made where none is given."},
    {.name = "user",
     .option = "--user",
     .placeholder = "NAME",
     .type = SETTING_USER,
     FIELD(user),
     .standard_words = "the user who starts it",
     .example = "selvedge",
     .meaning = "Whose rights the serving process has, once sockets are open and keys and tokens are read. "
                "Only root can "
                "name another one. A state directory or access log that is made belongs to that user."},
    {.name = "system_call_filter",
     .option = "--system-call-filter",
     .placeholder = "on|off",
     .type = SETTING_CHOICE,
     FIELD(filter_system_calls),
     .choices = {"off", "on"},
     .standard = {"on"},
     .meaning =
         "Is the serving process kept from system calls that it never makes (seccomp)? Turn it off only "
         "where the system has no such filter, or to look into the process with a debugger."},
    {.name = "access_log.path",
     .option = "--access-log",
     .placeholder = "FILE|-|off",
     .type = SETTING_FILE_OR_OFF,
     FIELD(access_log),
     .standard = {"off"},
     .meaning = "One line for each request, to a file (opened anew on SIGUSR1) or to standard output."},
    {.name = "access_log.format",
     .option = "--access-log-format",
     .placeholder = "json|combined",
     .type = SETTING_CHOICE,
     FIELD(access_log_combined),
     .choices = {"json", "combined"},
     .standard = {"json"},
     .meaning =
         "`json` has all that is known of a request; `combined` is the format that Apache and nginx call "
         "so, for programs that read theirs."},
    {.name = "sites[].request_fields",
     .option = "--forward",
     .placeholder = "safe|all",
     .type = SETTING_CHOICE,
     SITE_FIELD(policy.forward_all),
     .choices = {"safe", "all"},
     .standard = {"safe"},
     .reload = true,
     .meaning =
         "Request fields that the origin sees: `safe` is a short list that cannot change what others "
         "get; `all` "
         "is every end-to-end field except Cookie, Forwarded and X-Forwarded-* from clients, for origins "
         "that need them. An origin may have its responses vary by each of them (Vary): of one URL the 64 "
         "variants that came last are kept."},
    {.name = "sites[].forwarded_proto",
     .option = "--forwarded-proto",
     .placeholder = "http|https",
     .type = SETTING_CHOICE,
     SITE_FIELD(forwarded_https),
     .choices = {"http", "https"},
     .standard = {"https"},
     .reload = true,
     .meaning =
         "The X-Forwarded-Proto that the origin sees. One word for the site, as http and https share what is "
         "stored."},
    {.name = "sites[].set_cookie",
     .option = "--set-cookie",
     .placeholder = "bypass|store|remove",
     .type = SETTING_WORD,
     SITE_FIELD(policy.set_cookie),
     .choices = {"bypass", "store", "remove"},
     .standard = {"bypass"},
     .reload = true,
     .meaning =
         "What a Set-Cookie does to an answer to GET. `bypass`: it is for one client, and is not stored. "
         "`remove`: the cookie is taken out, and the rest may be stored: for assets of an origin that sets "
         "cookies on everything; what is neither stored nor shared, being private or bypassed, keeps its "
         "cookie. `store`: it is stored, and everybody gets the same cookie; an origin can "
         "still forbid it with Cache-Control: private. A change holds from the origin's next answer on: "
         "purge "
         "the site where cookies are stored."},
    {.name = "sites[].targeted_fields",
     .option = "--targeted-fields",
     .placeholder = "FIELDS|off",
     .type = SETTING_FIELDS,
     SITE_FIELD(policy.targeted),
     .standard = {"selvedge-cache-control, cdn-cache-control"},
     .reload = true,
     .meaning =
         "Fields in which the origin says to caches like this one what Cache-Control says to all (RFC 9213): "
         "structured fields with the same directives. Of those that an answer has and that are well formed "
         "the first in this list counts, and its Cache-Control and Expires do not. Surrogate-Control may be "
         "among them: it has its own, older syntax, and the origin is sent Surrogate-Capability then."},
    {.name = "sites[].consumed_fields",
     .option = "--consumed-fields",
     .placeholder = "FIELDS|off",
     .type = SETTING_FIELDS,
     SITE_FIELD(policy.consumed),
     .standard = {"selvedge-cache-control, surrogate-control, surrogate-key, cache-tag"},
     .reload = true,
     .meaning =
         "Fields of answers that end here: clients do not see them. What is not in this list is passed on, "
         "to caches behind this one among others."},
    {.name = "sites[].tag_fields",
     .option = "--tag-fields",
     .placeholder = "FIELDS|off",
     .type = SETTING_FIELDS,
     SITE_FIELD(policy.tag_fields),
     .standard = {"surrogate-key, cache-tag"},
     .reload = true,
     .meaning = "Fields in which the origin gives an answer tags, names by which it can be purged together "
                "with others: "
                "spaces or commas stand between them, case counts. An answer with more than 1024 of them is "
                "not stored. "
                "A change is a purge of the site."},
    {.name = "sites[].request_directives",
     .option = "--request-directives",
     .placeholder = "ignore|honour",
     .type = SETTING_CHOICE,
     SITE_FIELD(policy.honours_requests),
     .choices = {"ignore", "honour"},
     .standard = {"ignore"},
     .reload = true,
     .meaning = "Does what requests say in Cache-Control, or in Pragma, count: no-cache, no-store, max-age, "
                "max-stale, "
                "min-fresh and only-if-cached? `ignore`: a client that reloads a page does not make the node "
                "ask the "
                "origin, as befits a CDN, where the origin says how long to store and purges take back. "
                "`honour`: as "
                "for a cache of the client's own; then clients can make the node ask the origin as often as "
                "they like."},
    {.name = "sites[].purge_method",
     .option = "--purge-method",
     .placeholder = "on|off",
     .type = SETTING_CHOICE,
     SITE_FIELD(purge_method),
     .choices = {"off", "on"},
     .standard = {"off"},
     .reload = true,
     .meaning =
         "May clients purge a URL by asking for it with the method PURGE? They must show the admin token as "
         "Bearer: turn it on only where clients' connections are encrypted."},
    {.name = "sites[].redirect_https",
     .option = "--redirect-https",
     .placeholder = "on|off|PORT",
     .type = SETTING_REDIRECT,
     SITE_FIELD(redirect_https),
     .minimum = 1,
     .maximum = UINT16_MAX,
     .standard = {"off"},
     .reload = true,
     .meaning =
         "Are requests over http sent to https, with the same host, path and query? `on`: to the port of the "
         "https listener, the first where none is 443; a number: to this port, where clients see another. "
         "GET and HEAD are answered with 301, other methods with 308, which keeps the method; PURGE is not "
         "redirected. What counts is the listener: not for a node behind a balancer that takes TLS off."},
    {.name = "sites[].hsts",
     .option = "--hsts",
     .placeholder = "off|POLICY",
     .type = SETTING_HSTS,
     SITE_FIELD(hsts),
     .maximum = 10 * YEAR_S,
     .standard = {"off"},
     .reload = true,
     .meaning =
         "The Strict-Transport-Security that every answer of the site over https has, in place of the "
         "origin's own: how long browsers use nothing but https for its hosts. Over http there is none, not "
         "even the origin's. 0 lets browsers forget."},
/* clang-format off */
#define POLICY(word, field, kind, default_, value, says, ...)                                                \
    {.name = "sites[]." word, SITE_FIELD(policy.field), .type = kind, default_, .example = value,            \
     .placeholder = "VALUE", .reload = true, .meaning = says, __VA_ARGS__},
#include "conf/settings_table_policy.h"
#undef POLICY
    /* clang-format on */
    {.name = "sites[].rules[].path",
     .placeholder = "PATTERN",
     .type = SETTING_PATTERN,
     RULE_FIELD(path),
     .required = true,
     .example = "/assets/*",
     .reload = true,
     .meaning = "The paths that a rule is for. Of several rules the first whose pattern matches counts; what "
                "it does not say is as the site says. Between a `**` and the next, or a star at the end that "
                "stands for the rest, there are at most 8 segments."},
    {.name = "sites[].rules[].request_fields",
     .placeholder = "safe|all",
     .type = SETTING_CHOICE,
     RULE_FIELD(policy.forward_all),
     .choices = {"safe", "all"},
     .standard_words = "the site's",
     .example = "all",
     .reload = true,
     .meaning = "As the site's, for the rule's paths."},
    {.name = "sites[].rules[].set_cookie",
     .placeholder = "bypass|store|remove",
     .type = SETTING_WORD,
     RULE_FIELD(policy.set_cookie),
     .choices = {"bypass", "store", "remove"},
     .standard_words = "the site's",
     .example = "remove",
     .reload = true,
     .meaning = "As the site's, for the rule's paths."},
/* clang-format off */
#define POLICY(word, field, kind, default_, value, says, ...)                                                \
    {.name = "sites[].rules[]." word, RULE_FIELD(policy.field), .type = kind, .example = value,              \
     .standard_words = "the site's", .placeholder = "VALUE", .reload = true,                                 \
     .meaning = "As the site's, for the rule's paths.", __VA_ARGS__},
#include "conf/settings_table_policy.h"
#undef POLICY
    /* clang-format on */
    {.name = "sites[].origin.host",
     .option = "--origin-host",
     .placeholder = "HOST",
     .type = SETTING_HOST,
     SITE_FIELD(origin_host),
     .standard_words = "the host and port of the origin's URL",
     .reload = true,
     .example = "assets.example.com",
     .meaning = "The Host field that the origin sees."},
    {.name = "sites[].origin.client_address",
     .option = "--client-address",
     .placeholder = "off|x-forwarded-for|forwarded",
     .type = SETTING_WORD,
     SITE_FIELD(client_address),
     .choices = {"off", "x-forwarded-for", "forwarded"},
     .standard = {"off"},
     .reload = true,
     .meaning =
         "The field in which the origin is told the client's address: X-Forwarded-For, or Forwarded "
         "(RFC 7239). It is that address alone; what the client itself says in these fields never goes "
         "upstream. An answer that is stored is for everybody: where it depends on the address, the "
         "origin says so with Vary, or forbids to store it."},
    {.name = "sites[].origin.ca_file",
     .option = "--ca-file",
     .placeholder = "FILE",
     .type = SETTING_FILE,
     SITE_FIELD(ca_file),
     .standard_words = "none",
     .reload = true,
     .example = "/etc/selvedge/origin-ca.pem",
     .meaning =
         "Further certificate authorities, PEM, that an https origin may be signed by, beside the system's."},
    {.name = "sites[].origin.connect_timeout",
     .option = "--connect-timeout",
     .placeholder = "SECONDS",
     .type = SETTING_SECONDS,
     SITE_FIELD(connect_timeout_ms),
     .minimum = 1,
     .maximum = 3600 * SECOND,
     .standard = {"5"},
     .reload = true,
     .meaning = "How long a connection to the origin may take, TLS included."},
    {.name = "sites[].origin.first_byte_timeout",
     .option = "--first-byte-timeout",
     .placeholder = "SECONDS",
     .type = SETTING_SECONDS,
     SITE_FIELD(first_byte_timeout_ms),
     .minimum = 1,
     .maximum = 3600 * SECOND,
     .standard = {"30"},
     .reload = true,
     .meaning = "How long the origin may take from the request to the first byte of its answer."},
    {.name = "sites[].origin.between_bytes_timeout",
     .option = "--between-bytes-timeout",
     .placeholder = "SECONDS",
     .type = SETTING_SECONDS,
     SITE_FIELD(between_bytes_timeout_ms),
     .minimum = 1,
     .maximum = 3600 * SECOND,
     .standard = {"30"},
     .reload = true,
     .meaning = "How long the origin may fall silent within an answer."},
/* clang-format off */
#include "conf/settings_table_limits.h"
    /* clang-format on */
};

const size_t settings_table_count = sizeof settings_table / sizeof *settings_table;
