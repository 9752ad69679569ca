/* From the command line to settings_t: which option is which, defaults, and what must fit together. */
#include "conf/settings.h"

#include "conf/host.h"
#include "conf/settings_table.h"

#include <stdarg.h>

enum { SETTINGS_TABLE_MAX = 64 };

/* One run over the command line. */
typedef struct {
    int argc;
    char *const *argv;
    int next; /* the argument to read next */
    FILE *out;
    settings_t *settings;
    bool given[SETTINGS_TABLE_MAX]; /* by place in the table */
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
                     nearest->name, nearest->option);
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
    const setting_t *nearest = setting_nearest(option);
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

static settings_outcome_t read_option(reading_t *reading)
{
    const char *argument = reading->argv[reading->next++];
    settings_outcome_t outcome = answer(reading, argument);
    if (outcome != SETTINGS_START)
        return outcome;
    const char *value;
    const setting_t *setting = match(argument, &value);
    if (setting == NULL)
        return unknown(reading, argument);
    if (value == NULL) {
        if (reading->next == reading->argc)
            return wrong(reading, "%s: the value is missing; it is given as %s %s", setting->option,
                         setting->option, setting->placeholder);
        value = reading->argv[reading->next++];
    }
    reading->given[setting - settings_table] = true;
    return setting_put(setting, value, reading->settings, reading->error, reading->capacity) ? SETTINGS_START
                                                                                             : SETTINGS_WRONG;
}

/* Defaults that are texts go the way of values that were given, so they are right by the same rules. */
static settings_outcome_t put_standards(reading_t *reading)
{
    for (size_t i = 0; i < settings_table_count; i++) {
        const setting_t *setting = &settings_table[i];
        if (reading->given[i])
            continue;
        if (setting->standard[0] == NULL && setting->standard_words == NULL)
            return wrong(reading, "%s is missing: give the server that responses come from, such as %s %s",
                         setting->option, setting->option, "http://127.0.0.1:8000");
        for (size_t j = 0; j < 2 && setting->standard[j] != NULL; j++)
            MUST(setting_put(setting, setting->standard[j], reading->settings, reading->error,
                             reading->capacity));
    }
    return SETTINGS_START;
}

static bool was_given(const reading_t *reading, const char *option)
{
    const setting_t *setting = setting_find(option);
    MUST(setting != NULL);
    return reading->given[setting - settings_table];
}

/* Defaults that follow from the machine or from other settings. */
static void put_computed(reading_t *reading)
{
    settings_t *settings = reading->settings;
    const setting_t *memory = setting_find("--memory");
    MUST(memory != NULL);
    if (!was_given(reading, "--memory")) {
        uint64_t quarter = host_memory_bytes("") / 4;
        settings->memory_bytes = quarter < memory->minimum ? memory->minimum : quarter;
    }
    if (!was_given(reading, "--max-object"))
        settings->max_object_bytes = settings->memory_bytes / 8;
    if (!was_given(reading, "--workers")) {
        unsigned processors = host_processors();
        settings->workers = processors < SETTINGS_WORKERS_MAX ? processors : SETTINGS_WORKERS_MAX;
    }
    if (!was_given(reading, "--origin-host")) {
        size_t scheme = settings->origin.https ? strlen("https://") : strlen("http://");
        settings->origin_host =
            (text_t){settings->origin_url.data + scheme, settings->origin_url.length - scheme};
    }
}

/* SO_REUSEPORT would let one address be bound twice in silence, half of the clients going to the wrong place.
 */
static bool same_address(const settings_listener_t *a, const settings_listener_t *b)
{
    return a->port != 0 && a->address_length == b->address_length &&
           memcmp(&a->address, &b->address, a->address_length) == 0;
}

static settings_outcome_t check_addresses(reading_t *reading)
{
    const settings_t *settings = reading->settings;
    for (size_t i = 0; i < settings->listener_count; i++) {
        const settings_listener_t *listener = &settings->listeners[i];
        if (same_address(listener, &settings->admin))
            return wrong(
                reading,
                "--admin %s: clients connect at the same address (--listen %s); give the purge API one of "
                "its own",
                settings->admin.text, listener->text);
        for (size_t j = 0; j < i; j++)
            if (same_address(listener, &settings->listeners[j]))
                return wrong(
                    reading,
                    "--listen %s: the address is already that of --listen %s; each can be given once",
                    listener->text, settings->listeners[j].text);
    }
    return SETTINGS_START;
}

/* What no value shows alone. */
static settings_outcome_t check_together(reading_t *reading)
{
    const settings_t *settings = reading->settings;
    if ((settings->certificate_file == NULL) != (settings->key_file == NULL))
        return wrong(
            reading,
            "%s without %s: a certificate is of no use without its private key; give both, or neither for a "
            "self-signed one",
            settings->key_file == NULL ? "--cert" : "--key", settings->key_file == NULL ? "--key" : "--cert");
    if (settings->staple_file != NULL && settings->certificate_file == NULL)
        return wrong(reading, "--ocsp-staple without --cert: it speaks of a given certificate only");
    if (settings->admin_token != NULL && settings->admin_token_file != NULL)
        return wrong(reading,
                     "--admin-token and --admin-token-file: there is only one token; give one of the two");
    if (settings->max_object_bytes > settings->memory_bytes / 2) {
        char object[32], half[32];
        setting_size_text(settings->max_object_bytes, object, sizeof object);
        setting_size_text(settings->memory_bytes / 2, half, sizeof half);
        return wrong(reading,
                     "--max-object %s: one such object would push out most others; allowed is at most half "
                     "of --memory, "
                     "here %s",
                     object, half);
    }
    return check_addresses(reading);
}

settings_outcome_t settings_parse(int argc, char *const argv[], FILE *out, settings_t *settings, char *error,
                                  size_t capacity)
{
    MUST(settings_table_count <= SETTINGS_TABLE_MAX && capacity >= SETTINGS_ERROR_MAX);
    memset(settings, 0, sizeof *settings);
    settings->site_name = TEXT("default");
    reading_t reading = {.argc = argc,
                         .argv = argv,
                         .next = 1,
                         .out = out,
                         .settings = settings,
                         .error = error,
                         .capacity = capacity};
    while (reading.next < argc) {
        settings_outcome_t outcome = read_option(&reading);
        if (outcome != SETTINGS_START)
            return outcome;
    }
    if (put_standards(&reading) == SETTINGS_WRONG)
        return SETTINGS_WRONG;
    put_computed(&reading);
    return check_together(&reading);
}
