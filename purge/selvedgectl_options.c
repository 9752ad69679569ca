/* The command line of selvedgectl. */
#include "edge/http/url.h"
#include "purge/selvedgectl.h"

#include <getopt.h>

static const char help[] =
    "Usage: selvedgectl [OPTION]... purge URL...\n"
    "       selvedgectl [OPTION]... purge --tag TAG... [--site NAME]\n"
    "       selvedgectl [OPTION]... purge --site NAME | --everything\n"
    "       selvedgectl [OPTION]... status\n"
    "       selvedgectl [OPTION]... trace URL\n"
    "       selvedgectl [OPTION]... reload\n"
    "       selvedgectl check FILE\n"
    "       selvedgectl cache ls|stat|verify|dump KEY --dir DIR (see selvedgectl cache --help)\n"
    "Purges responses from a Selvedge node, shows how it is and how it would treat a URL, and has it read "
    "its\n"
    "configuration anew.\n"
    "\n"
    "  --admin URL        The node's admin listener. Default: $SELVEDGE_ADMIN, else http://127.0.0.1:8081.\n"
    "  --token-file FILE  The file with the admin token. Default: the token in $SELVEDGE_TOKEN, else the "
    "file\n"
    "                     named by $SELVEDGE_TOKEN_FILE.\n"
    "  --timeout SECONDS  How long to wait for the answer. Default: 30.\n"
    "  --json             Print JSON, for scripts; errors too.\n"
    "\n"
    "purge\n"
    "  URL...             These URLs: path and query count, the scheme and the host name do not.\n"
    "  --tag TAG          What has this tag, by word of the origin or by its path; may be given several "
    "times.\n"
    "                     Where a node has several sites, --site says of which.\n"
    "  --site NAME        Everything of one site.\n"
    "  --everything       Everything.\n"
    "  --soft             Mark as stale rather than forget: the origin is asked whether it has changed.\n"
    "  --reason TEXT      Why, at most 1024 bytes.\n"
    "\n"
    "reload               Ends with 0 when the new configuration is in force: no request that arrives from "
    "then "
    "on is\n"
    "                     served by the one before. What changed is said, and what needs a restart; or, with "
    "1, "
    "the\n"
    "                     mistakes that keep the one before in force.\n"
    "check FILE           The mistakes of a configuration file; 0 or 1. Not those of the files that it "
    "names:\n"
    "                     `selvedge --config FILE --check` tells these, too.\n"
    "\n"
    "When purge ends with 0, no request that arrives from then on gets what was stored before.\n"
    "\n"
    "Exit codes: 0 done; 1 failed; 2 wrong usage; 3 node not reachable; 4 refused by the node; 5 sent but "
    "not\n"
    "acknowledged in time (purge again).\n"
    "\n"
    "Examples:\n"
    "  export SELVEDGE_TOKEN_FILE=/var/lib/selvedge/admin-token\n"
    "  selvedgectl purge https://www.example.com/index.html https://www.example.com/app.css?v=2\n"
    "  selvedgectl purge --tag product-7 --tag product-8\n"
    "  selvedgectl purge --everything --soft --reason 'release 7'\n"
    "  selvedgectl --json status\n";

enum {
    OPTION_ADMIN = 256,
    OPTION_TOKEN_FILE,
    OPTION_TIMEOUT,
    OPTION_JSON,
    OPTION_SITE,
    OPTION_TAG,
    OPTION_EVERYTHING,
    OPTION_SOFT,
    OPTION_REASON,
    OPTION_DIR,
    OPTION_STATE,
    OPTION_HEADER,
    OPTION_VERSION
};

static const struct option known[] = {
    {"admin", required_argument, NULL, OPTION_ADMIN},
    {"token-file", required_argument, NULL, OPTION_TOKEN_FILE},
    {"timeout", required_argument, NULL, OPTION_TIMEOUT},
    {"json", no_argument, NULL, OPTION_JSON},
    {"site", required_argument, NULL, OPTION_SITE},
    {"tag", required_argument, NULL, OPTION_TAG},
    {"everything", no_argument, NULL, OPTION_EVERYTHING},
    {"soft", no_argument, NULL, OPTION_SOFT},
    {"reason", required_argument, NULL, OPTION_REASON},
    {"dir", required_argument, NULL, OPTION_DIR},
    {"state-dir", required_argument, NULL, OPTION_STATE},
    {"header", required_argument, NULL, OPTION_HEADER},
    {"help", no_argument, NULL, 'h'},
    {"version", no_argument, NULL, OPTION_VERSION},
    {NULL, 0, NULL, 0},
};

static ctl_exit_t wrong_usage(const ctl_options_t *options, const char *message, const char *what)
{
    return ctl_complain(options->json, CTL_USAGE, "usage", "%s%s; see selvedgectl --help", what, message);
}

/* Seconds, perhaps with a fraction; 0 when it is no time from 0.001 to an hour. */
static long timeout_ms(const char *text)
{
    char *end;
    if (*text < '0' || *text > '9' || text[1] == 'x' || text[1] == 'X')
        return 0;
    double seconds = strtod(text, &end);
    return *end == 0 && seconds >= 0.001 && seconds <= 3600 ? (long)(seconds * 1000) : 0;
}

/* One more of those that may be given several times. False: *code is the exit code. */
static bool take_one_of(const char *places[], int *count, int most, const ctl_options_t *options,
                        ctl_exit_t *code)
{
    if (*count < most) {
        places[(*count)++] = optarg;
        return true;
    }
    char message[80];
    snprintf(message, sizeof message, ": one too many; at most %d are taken", most);
    *code = wrong_usage(options, message, optarg);
    return false;
}

/* One option into its place. False: *code is the exit code. */
static bool take(int option, ctl_options_t *options, ctl_exit_t *code)
{
    switch (option) {
    case OPTION_ADMIN:
        options->admin = optarg;
        return true;
    case OPTION_TOKEN_FILE:
        options->token_file = optarg;
        return true;
    case OPTION_TIMEOUT:
        options->timeout_ms = timeout_ms(optarg);
        if (options->timeout_ms > 0)
            return true;
        *code = wrong_usage(options, " is no time; give seconds from 0.001 to 3600", optarg);
        return false;
    case OPTION_JSON:
        options->json = true;
        return true;
    case OPTION_SITE:
        options->site = optarg;
        return true;
    case OPTION_TAG:
        return take_one_of(options->tags, &options->tag_count, CTL_TAGS_MAX, options, code);
    case OPTION_DIR:
        return take_one_of(options->dirs, &options->dir_count, CTL_DIRS_MAX, options, code);
    case OPTION_HEADER:
        return take_one_of(options->headers, &options->header_count, CTL_HEADERS_MAX, options, code);
    case OPTION_STATE:
        options->state = optarg;
        return true;
    case OPTION_EVERYTHING:
        return options->everything = true;
    case OPTION_SOFT:
        return options->soft = true;
    case OPTION_REASON:
        options->reason = optarg;
        return true;
    case 'h':
        fputs(options->command == CTL_CACHE ? ctl_cache_help : help, stdout);
        *code = CTL_DONE;
        return false;
    case OPTION_VERSION:
        puts("selvedgectl " SELVEDGE_VERSION);
        *code = CTL_DONE;
        return false;
    default:
        MUST(option == 'h'); /* getopt knows no other */
        return false;
    }
}

static const char *wrong_purge(const ctl_options_t *options)
{
    bool tags = options->tag_count > 0, site = options->site != NULL && !tags;
    int targets = (options->url_count > 0) + tags + site + options->everything;
    if (targets == 0)
        return "nothing is named to be purged: give URLs, --tag TAG, --site NAME or --everything";
    if (targets > 1)
        return "URLs, --tag, --site and --everything do not go together: give one of the four (and --site "
               "beside "
               "--tag where a node has several)";
    return NULL;
}

static bool has_options_of_purge(const ctl_options_t *options)
{
    return options->site != NULL || options->tag_count > 0 || options->everything || options->soft ||
           options->reason != NULL;
}

static const char *wrong_trace(const ctl_options_t *options)
{
    if (options->url_count != 1 || has_options_of_purge(options))
        return "trace takes one URL and none of the options of purge";
    return NULL;
}

static const char *wrong_status(const ctl_options_t *options)
{
    if (options->url_count > 0 || has_options_of_purge(options))
        return "status and reload take neither URLs nor the options of purge";
    return NULL;
}

static const char *wrong_check(const ctl_options_t *options)
{
    return options->url_count == 1 ? NULL : "check takes one file";
}

typedef const char *wrong_t(const ctl_options_t *options);

static const struct {
    const char *name;
    ctl_command_t command;
    wrong_t *wrong;
} commands[] = {{"purge", CTL_PURGE, wrong_purge}, {"status", CTL_STATUS, wrong_status},
                {"trace", CTL_TRACE, wrong_trace}, {"reload", CTL_RELOAD, wrong_status},
                {"check", CTL_CHECK, wrong_check}, {"cache", CTL_CACHE, ctl_cache_wrong}};

/* The command and what follows it. */
static bool take_command(int argc, char **argv, ctl_options_t *options, ctl_exit_t *code)
{
    if (optind == argc) {
        *code =
            wrong_usage(options, "the command is missing: purge, status, trace, reload, check or cache", "");
        return false;
    }
    const char *name = argv[optind];
    size_t i = 0, count = sizeof commands / sizeof *commands;
    while (i < count && strcmp(commands[i].name, name) != 0)
        i++;
    if (i == count) {
        *code = wrong_usage(
            options, " is not a command; there are purge, status, trace, reload, check and cache", name);
        return false;
    }
    options->command = commands[i].command;
    options->urls = argv + optind + 1;
    options->url_count = argc - optind - 1;
    const char *wrong = commands[i].wrong(options);
    if (wrong != NULL)
        *code = wrong_usage(options, wrong, "");
    return wrong == NULL;
}

/* getopt leaves a short option in optopt, and a long one behind it. */
static ctl_exit_t wrong_option(const ctl_options_t *options, char *const *argv)
{
    char letter[] = {'-', (char)optopt, 0};
    bool is_letter = optopt > 0 && optopt < 128;
    return wrong_usage(options, ": no such option, or one that takes no value",
                       is_letter ? letter : argv[optind - 1]);
}

static bool check_admin(const ctl_options_t *options, ctl_exit_t *code)
{
    url_parts_t parts;
    url_error_t error = url_split(text_of(options->admin), &parts);
    if (error == URL_OK)
        return true;
    char message[256];
    snprintf(message, sizeof message, ": the admin URL %s; it is like http://127.0.0.1:8081",
             url_error_text(error));
    *code = wrong_usage(options, message, options->admin);
    return false;
}

bool ctl_options(int argc, char **argv, ctl_options_t *options, ctl_exit_t *code)
{
    *options = (ctl_options_t){.admin = getenv("SELVEDGE_ADMIN"), .timeout_ms = 30000};
    if (options->admin == NULL || *options->admin == 0)
        options->admin = "http://127.0.0.1:8081";
    /* Complaints about options before --json are for scripts too; the help is that of the command. */
    for (int i = 1; i < argc && strcmp(argv[i], "--") != 0; i++) {
        options->json |= strcmp(argv[i], "--json") == 0;
        if (strcmp(argv[i], "cache") == 0)
            options->command = CTL_CACHE;
    }
    opterr = 0;
    for (int option; (option = getopt_long(argc, argv, ":h", known, NULL)) != -1;) {
        if (option == ':') {
            *code = wrong_usage(options, ": the value is missing", argv[optind - 1]);
            return false;
        }
        if (option == '?') {
            *code = wrong_option(options, argv);
            return false;
        }
        if (!take(option, options, code))
            return false;
    }
    return check_admin(options, code) && take_command(argc, argv, options, code);
}
