/* From the command line and the file to settings_t: which option is which, who wins, defaults, and what must
 * fit together. */
#include "conf/settings.h"

#include "conf/config.h"
#include "conf/host.h"

#include <errno.h>
#include <stdarg.h>

/* One run over the command line. */
typedef struct {
    int argc;
    char *const *argv;
    int next; /* the argument to read next */
    FILE *out;
    settings_t *settings;
    bool given[SETTINGS_TABLE_MAX]; /* as an option; by place in the table */
    const char *file;               /* NULL: none */
    files_t *files;
    bool check;
    bool again; /* for a node that runs: mistakes are told as with --check, and nothing else is */
    config_place_t places[SETTINGS_TABLE_MAX]; /* of what the file says, and no option */
    size_t mistakes;
    char *error;
    size_t capacity;
} reading_t;

__attribute__((format(printf, 2, 3))) static settings_outcome_t wrong(reading_t *reading, const char *format,
                                                                      ...)
{
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(reading->error, reading->capacity, format, arguments);
    va_end(arguments);
    return SETTINGS_WRONG;
}

static settings_outcome_t explain(reading_t *reading, const char *name)
{
    const setting_t *setting = name != NULL ? setting_find(name) : NULL;
    if (name != NULL && setting == NULL) {
        const setting_t *nearest = setting_nearest(name);
        if (nearest == NULL)
            return wrong(reading, "--explain %.80s: there is no such setting; --explain alone shows them all",
                         name);
        return wrong(reading, "--explain %.80s: there is no such setting; did you mean %s (%s)?", name,
                     nearest->name, nearest->option != NULL ? nearest->option : "in the file");
    }
    for (size_t i = 0; i < settings_table_count; i++)
        if (setting == NULL || setting == &settings_table[i])
            settings_explain(reading->out, &settings_table[i]);
    return SETTINGS_ANSWERED;
}

static settings_outcome_t unknown(reading_t *reading, const char *option)
{
    if (option[0] != '-')
        return wrong(reading, "'%.200s' is not an option; every setting has one, see --help", option);
    const setting_t *nearest = setting_nearest_option(option);
    if (nearest == NULL)
        return wrong(reading, "%.200s: there is no such option; --help shows them all", option);
    return wrong(reading, "%.200s: there is no such option; did you mean %s? --help shows them all", option,
                 nearest->option);
}

/* The options that ask a question. SETTINGS_START: it is none of them. */
static settings_outcome_t answer(reading_t *reading, const char *argument)
{
    if (strcmp(argument, "--help") == 0 || strcmp(argument, "-h") == 0) {
        settings_help(reading->out);
        return SETTINGS_ANSWERED;
    }
    if (strcmp(argument, "--version") == 0) {
        fprintf(reading->out, "selvedge %s\n", SELVEDGE_VERSION);
        return SETTINGS_ANSWERED;
    }
    if (strcmp(argument, "--sample") == 0) {
        config_sample(reading->out);
        return SETTINGS_ANSWERED;
    }
    if (strcmp(argument, "--explain") == 0)
        return explain(reading, reading->next < reading->argc ? reading->argv[reading->next] : NULL);
    if (strncmp(argument, "--explain=", strlen("--explain=")) == 0)
        return explain(reading, argument + strlen("--explain="));
    return SETTINGS_START;
}

/* The setting whose option this argument is, as `--option` or `--option=value`. */
static const setting_t *match(const char *argument, const char **value)
{
    for (size_t i = 0; i < settings_table_count; i++) {
        if (settings_table[i].option == NULL)
            continue;
        size_t length = strlen(settings_table[i].option);
        if (strncmp(argument, settings_table[i].option, length) != 0)
            continue;
        if (argument[length] != 0 && argument[length] != '=')
            continue;
        *value = argument[length] == '=' ? argument + length + 1 : NULL;
        return &settings_table[i];
    }
    return NULL;
}

/* An option that is one of a site is for all of them. */
static settings_outcome_t put_option(reading_t *reading, const setting_t *setting, const char *value)
{
    char reason[SETTINGS_ERROR_MAX];
    if (setting->of_certificate && reading->settings->certificate_count == 0)
        settings_begin_certificate(reading->settings);
    size_t sites = setting->of_site && reading->settings->site_count > 1 ? reading->settings->site_count : 1;
    for (size_t i = 0; i < sites; i++) {
        if (setting_put_whole(setting, value, reading->settings, i, reason, sizeof reason))
            continue;
        setting_complaint(setting, setting->option, value, reason, reading->error, reading->capacity);
        return SETTINGS_WRONG;
    }
    reading->given[setting - settings_table] = true;
    reading->places[setting - settings_table] = (config_place_t){0, 0};
    return SETTINGS_START;
}

/* The value of an option: what is behind its `=`, or the next argument. */
static settings_outcome_t take_value(reading_t *reading, const char *option, const char *placeholder,
                                     const char **value)
{
    if (*value != NULL)
        return SETTINGS_START;
    if (reading->next == reading->argc)
        return wrong(reading, "%s: the value is missing; it is given as %s %s", option, option, placeholder);
    *value = reading->argv[reading->next++];
    return SETTINGS_START;
}

/* The options that are about the file. True: it was one of them, and *outcome says how it went. */
static bool read_file_option(reading_t *reading, const char *argument, settings_outcome_t *outcome)
{
    static const char name[] = "--config";
    size_t length = strlen(name);
    *outcome = SETTINGS_START;
    if (strcmp(argument, "--check") == 0) {
        reading->check = true;
        return true;
    }
    if (strncmp(argument, name, length) != 0 || (argument[length] != 0 && argument[length] != '='))
        return false;
    reading->file = argument[length] == '=' ? argument + length + 1 : NULL;
    *outcome = take_value(reading, name, "FILE", &reading->file);
    return true;
}

static settings_outcome_t read_option(reading_t *reading)
{
    const char *argument = reading->argv[reading->next++];
    settings_outcome_t outcome = answer(reading, argument);
    if (outcome != SETTINGS_START || read_file_option(reading, argument, &outcome))
        return outcome;
    const char *value;
    const setting_t *setting = match(argument, &value);
    if (setting == NULL)
        return unknown(reading, argument);
    outcome = take_value(reading, setting->option, setting->placeholder, &value);
    return outcome == SETTINGS_START ? put_option(reading, setting, value) : outcome;
}

static settings_outcome_t read_line(reading_t *reading)
{
    for (reading->next = 1; reading->next < reading->argc;) {
        settings_outcome_t outcome = read_option(reading);
        if (outcome != SETTINGS_START)
            return outcome;
    }
    return SETTINGS_START;
}

/* --- Defaults --- */

/* Defaults that are texts go the way of values that were given, so they are right by the same rules. */
static void put_standard(settings_t *settings, const setting_t *setting, size_t site)
{
    char reason[SETTINGS_ERROR_MAX];
    for (size_t j = 0; j < 2 && setting->standard[j] != NULL; j++)
        MUST(setting_put(setting, setting->standard[j], settings, site, reason, sizeof reason));
}

/* Before the file and the options are read; a list has its default only when it stays empty. */
static void put_standards(settings_t *settings)
{
    for (size_t i = 0; i < settings_table_count; i++)
        if (!settings_table[i].of_site && !settings_table[i].of_rule && !settings_table[i].of_listener &&
            !settings_table[i].of_disk && settings_table[i].type != SETTING_LISTENERS)
            put_standard(settings, &settings_table[i], 0);
}

size_t settings_begin_site(settings_t *settings)
{
    MUST(settings->site_count < SETTINGS_SITES_MAX);
    size_t site = settings->site_count++;
    for (size_t i = 0; i < settings_table_count; i++)
        if (settings_table[i].of_site)
            put_standard(settings, &settings_table[i], site);
    return site;
}

size_t settings_begin_certificate(settings_t *settings)
{
    MUST(settings->certificate_count < SETTINGS_CERTIFICATES_MAX);
    return settings->certificate_count++;
}

static void put_origin_host(settings_site_t *site)
{
    size_t scheme = site->origin.https ? strlen("https://") : strlen("http://");
    if (site->origin_host.length == 0)
        site->origin_host = (text_t){site->origin_url.data + scheme, site->origin_url.length - scheme};
}

/* Defaults that follow from the machine or from other settings. What was given is never 0. */
static void put_computed(settings_t *settings)
{
    const setting_t *memory = setting_find("memory.size"), *listen = setting_find("listen[].url");
    MUST(memory != NULL && listen != NULL);
    if (settings->memory_bytes == 0) {
        uint64_t quarter = host_memory_bytes("") / 4;
        settings->memory_bytes = quarter < memory->minimum ? memory->minimum : quarter;
    }
    if (settings->max_object_bytes == 0)
        settings->max_object_bytes = settings->memory_bytes / 8;
    if (settings->workers == 0) {
        unsigned processors = host_processors();
        settings->workers = processors < SETTINGS_WORKERS_MAX ? processors : SETTINGS_WORKERS_MAX;
    }
    if (settings->node_name == NULL) {
        char name[HOST_NAME_BYTES];
        host_name(name);
        settings->node_name = settings_keep(settings, text_of(name));
    }
    if (settings->listener_count == 0)
        put_standard(settings, listen, 0);
    for (size_t i = 0; i < settings->site_count; i++)
        put_origin_host(&settings->sites[i]);
    settings_put_state_dir(settings);
    settings_put_inherited(settings);
}

/* --- What must fit together --- */

static size_t index_of(const char *name)
{
    const setting_t *setting = setting_find(name);
    MUST(setting != NULL);
    return (size_t)(setting - settings_table);
}

/* What a setting is called where it was said. */
static const char *called(const reading_t *reading, const char *name)
{
    const setting_t *setting = &settings_table[index_of(name)];
    bool by_option = reading->given[index_of(name)] || reading->file == NULL;
    return by_option && setting->option != NULL ? setting->option : name;
}

/* Puts the place in the file where the setting was said, if it was, before the error. */
static settings_outcome_t locate(reading_t *reading, const char *name)
{
    config_place_t place = reading->places[index_of(name)];
    char text[SETTINGS_ERROR_MAX];
    snprintf(text, sizeof text, "%s", reading->error);
    if (place.line != 0)
        snprintf(reading->error, reading->capacity, "%.500s:%zu:%zu: %.1400s", reading->file, place.line,
                 place.column, text);
    return SETTINGS_WRONG;
}

static settings_outcome_t check_addresses(reading_t *reading)
{
    const settings_t *settings = reading->settings;
    for (size_t i = 0; i < settings->listener_count; i++) {
        const settings_listener_t *listener = &settings->listeners[i];
        if (!setting_same_address(listener, &settings->admin))
            continue;
        wrong(reading,
              "%s %.200s: clients connect at the same address (%s %.200s); give the purge API one of its own",
              called(reading, "admin.url"), settings->admin.text, called(reading, "listen[].url"),
              listener->text);
        bool by_admin = reading->places[index_of("admin.url")].line != 0;
        return locate(reading, by_admin ? "admin.url" : "listen[].url");
    }
    return SETTINGS_START;
}

static settings_outcome_t check_certificate(reading_t *reading)
{
    const bool *given = reading->given;
    bool has_key = given[index_of("certificates[].key")];
    if (has_key == given[index_of("certificates[].cert")])
        return SETTINGS_START;
    return wrong(
        reading,
        "%s without %s: a certificate is of no use without its private key; give both, or neither for a "
        "self-signed one",
        has_key ? "--key" : "--cert", has_key ? "--cert" : "--key");
}

static settings_outcome_t check_max_object(reading_t *reading)
{
    const settings_t *settings = reading->settings;
    if (settings->max_object_bytes <= settings->memory_bytes / 2)
        return SETTINGS_START;
    char object[32], half[32];
    setting_size_text(settings->max_object_bytes, object, sizeof object);
    setting_size_text(settings->memory_bytes / 2, half, sizeof half);
    wrong(reading,
          "%s %s: one such object would push out most others; allowed is at most half of %s, here %s",
          called(reading, "memory.max_object"), object, called(reading, "memory.size"), half);
    return locate(reading, "memory.max_object");
}

static settings_outcome_t check_disks(reading_t *reading)
{
    uint64_t bytes = settings_disk_bytes(reading->settings);
    if (bytes <= SETTINGS_DISKS_BYTES_MAX)
        return SETTINGS_START;
    char all[32], most[32];
    setting_size_text(bytes, all, sizeof all);
    setting_size_text(SETTINGS_DISKS_BYTES_MAX, most, sizeof most);
    wrong(reading, "%s: the sizes of all disks add up to %s; allowed are at most %s",
          called(reading, "disk[].path"), all, most);
    return locate(reading, "disk[].path");
}

/* Clients can only be sent to https where it is answered. */
static settings_outcome_t check_redirect(reading_t *reading)
{
    const settings_t *settings = reading->settings;
    bool redirects = false, https = false;
    for (size_t i = 0; i < settings->site_count; i++)
        redirects = redirects || settings->sites[i].redirect_https == REDIRECT_TO_LISTENER;
    for (size_t i = 0; i < settings->listener_count; i++)
        https = https || settings->listeners[i].https;
    if (https || !redirects)
        return SETTINGS_START;
    wrong(reading,
          "%s on: there is no https listener to send clients to; give one with %s, or the port where "
          "https is answered",
          called(reading, "sites[].redirect_https"), called(reading, "listen[].url"));
    return locate(reading, "sites[].redirect_https");
}

/* What no value shows alone. */
static settings_outcome_t check_together(reading_t *reading)
{
    const settings_t *settings = reading->settings;
    settings_outcome_t outcome = check_certificate(reading);
    if (outcome == SETTINGS_START && reading->given[index_of("certificates[].ocsp_staple")] &&
        !reading->given[index_of("certificates[].cert")])
        outcome = wrong(reading, "--ocsp-staple without --cert: it speaks of a given certificate only");
    if (outcome == SETTINGS_START && settings->admin_token != NULL && settings->admin_token_file != NULL) {
        wrong(reading, "%s and %s: there is only one token; give one of the two",
              called(reading, "admin.token"), called(reading, "admin.token_file"));
        outcome = locate(reading, "admin.token");
    }
    if (outcome == SETTINGS_START)
        outcome = check_max_object(reading);
    if (outcome == SETTINGS_START)
        outcome = check_disks(reading);
    if (outcome == SETTINGS_START)
        outcome = check_redirect(reading);
    return outcome == SETTINGS_START ? check_addresses(reading) : outcome;
}

/* --- The file --- */

/* With --check each mistake is a line of the answer; else the first is the error. */
static void on_mistake(void *context, config_place_t place, const char *text)
{
    reading_t *reading = context;
    if (reading->check)
        fprintf(reading->out, "%s:%zu:%zu: %s\n", reading->file, place.line, place.column, text);
    else if (reading->mistakes == 0)
        wrong(reading, "%.500s:%zu:%zu: %s", reading->file, place.line, place.column, text);
    reading->mistakes++;
}

static settings_outcome_t refuse_file(reading_t *reading)
{
    size_t length = strlen(reading->error);
    if (reading->check)
        return SETTINGS_MISTAKES;
    if (reading->mistakes > 1)
        snprintf(reading->error + length, reading->capacity - length,
                 " (and %zu more mistakes: --check shows them all)", reading->mistakes - 1);
    return SETTINGS_WRONG;
}

static settings_outcome_t load_file(reading_t *reading)
{
    text_t bytes;
    reading->settings->file = reading->file;
    if (!files_get(reading->files, reading->file, &bytes)) {
        wrong(reading, "%.500s: the file cannot be read: %s; --config names a file", reading->file,
              strerror(errno));
        if (!reading->check)
            return SETTINGS_WRONG;
        fprintf(reading->out, "%s\n", reading->error);
        return SETTINGS_MISTAKES;
    }
    config_report_t report = {reading, on_mistake};
    config_load(bytes, reading->settings, reading->places, &report);
    return reading->mistakes == 0 ? SETTINGS_START : refuse_file(reading);
}

/* One site for every host name, that of --origin. */
static void make_only_site(settings_t *settings)
{
    memset(settings->sites, 0, sizeof settings->sites);
    settings->site_count = settings->host_count = settings->rule_count = 0;
    settings_begin_site(settings);
    settings->sites[0].name = TEXT("default");
}

static void forget_certificates(settings_t *settings)
{
    memset(settings->certificates, 0, sizeof settings->certificates);
    settings->certificate_count = 0;
}

/* An option for what is a list, or one of two that go together, replaces what the file says of it whole. */
static void make_way(reading_t *reading)
{
    settings_t *settings = reading->settings;
    const bool *given = reading->given;
    if (given[index_of("listen[].url")]) {
        memset(settings->listeners, 0, sizeof settings->listeners);
        settings->listener_count = 0;
    }
    if (given[index_of("disk[].path")])
        settings->disk_count = 0;
    if (given[index_of("certificates[].cert")] || given[index_of("certificates[].key")])
        forget_certificates(settings);
    if (given[index_of("admin.token")] || given[index_of("admin.token_file")])
        settings->admin_token = settings->admin_token_file = NULL;
    if (given[index_of("sites[].origin.url")])
        make_only_site(settings);
}

/* The file first, then the options once more over it. */
static settings_outcome_t read_file(reading_t *reading)
{
    settings_free(reading->settings);
    memset(reading->settings, 0, sizeof *reading->settings);
    put_standards(reading->settings);
    settings_outcome_t outcome = load_file(reading);
    if (outcome != SETTINGS_START)
        return outcome;
    make_way(reading);
    MUST(read_line(reading) == SETTINGS_START);
    if (reading->settings->site_count > 0)
        return SETTINGS_START;
    on_mistake(reading, (config_place_t){1, 1},
               "sites is missing; give at least one, with name, hosts and origin");
    return refuse_file(reading);
}

static bool find_file(reading_t *reading, const char *default_file)
{
    bool origin = reading->given[index_of("sites[].origin.url")];
    text_t bytes;
    bool check = reading->check && !reading->again;
    if (reading->file == NULL &&
        (check || (!origin && (files_get(reading->files, default_file, &bytes) || errno != ENOENT))))
        reading->file = default_file;
    return reading->file != NULL;
}

static settings_outcome_t need_origin(reading_t *reading)
{
    if (reading->given[index_of("sites[].origin.url")])
        return SETTINGS_START;
    return wrong(reading, "--origin is missing: give the server that responses come from, such as --origin "
                          "http://127.0.0.1:8000, or a file with --config");
}

/* With --check all is an answer. */
static settings_outcome_t conclude(reading_t *reading, settings_outcome_t outcome)
{
    if (!reading->check || outcome == SETTINGS_MISTAKES)
        return outcome;
    if (outcome == SETTINGS_START)
        return reading->again ? SETTINGS_START : SETTINGS_CHECKED;
    fprintf(reading->out, "%s\n", reading->error);
    return SETTINGS_MISTAKES;
}

static settings_outcome_t read_all(reading_t *reading, const char *default_file)
{
    settings_t *settings = reading->settings;
    put_standards(settings);
    make_only_site(settings);
    settings_outcome_t outcome = read_line(reading);
    if (outcome != SETTINGS_START)
        return outcome;
    outcome = find_file(reading, default_file) ? read_file(reading) : need_origin(reading);
    if (outcome != SETTINGS_START)
        return outcome;
    put_computed(settings);
    return conclude(reading, check_together(reading));
}

static reading_t reading_of(const settings_source_t *source, FILE *out, settings_t *settings)
{
    MUST(settings_table_count <= SETTINGS_TABLE_MAX);
    memset(settings, 0, sizeof *settings);
    return (reading_t){
        .argc = source->argc, .argv = source->argv, .files = source->files, .out = out, .settings = settings};
}

settings_outcome_t settings_parse(const settings_source_t *source, FILE *out, settings_t *settings,
                                  char *error, size_t capacity)
{
    MUST(capacity >= SETTINGS_ERROR_MAX);
    reading_t reading = reading_of(source, out, settings);
    reading.error = error;
    reading.capacity = capacity;
    return read_all(&reading, source->default_file);
}

bool settings_parse_again(const settings_source_t *source, FILE *out, settings_t *settings)
{
    char error[SETTINGS_ERROR_MAX];
    reading_t reading = reading_of(source, out, settings);
    reading.check = reading.again = true;
    reading.error = error;
    reading.capacity = sizeof error;
    settings_outcome_t outcome = read_all(&reading, source->default_file);
    if (outcome == SETTINGS_WRONG)
        outcome = conclude(&reading, outcome);
    return outcome == SETTINGS_START;
}

/* --- Texts of the file --- */

struct settings_text {
    settings_text_t *next;
    char bytes[];
};

const char *settings_keep(settings_t *settings, text_t text)
{
    settings_text_t *kept = must_alloc(sizeof *kept + text.length + 1);
    memcpy(kept->bytes, text.data, text.length);
    kept->bytes[text.length] = 0;
    kept->next = settings->texts;
    settings->texts = kept;
    return kept->bytes;
}

void settings_free(settings_t *settings)
{
    while (settings->texts != NULL) {
        settings_text_t *text = settings->texts;
        settings->texts = text->next;
        free(text);
    }
}
