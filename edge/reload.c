#include "edge/reload.h"

#include <jansson.h>
#include <pthread.h>
#include <signal.h>
#include <time.h>
#include <unistd.h>

#include "edge/reload_keys.h"

enum { RELOAD_MAGIC = 0x5e1e10d };

typedef struct taking taking_t;

/* Somebody who waits for an answer. */
typedef struct asker asker_t;
struct asker {
    uint64_t asked; /* the reading that began after it answers it */
    api_reloaded_t *reloaded;
    void *context;
    asker_t *next;
};

struct reload {
    uint32_t magic;
    reload_config_t config;
    pthread_t main; /* fixed */
    /* The main thread's. */
    server_t *server;
    node_t *node;
    publisher_t *publisher; /* NULL once nobody is served any more */
    reload_keys_t *keys;
    configuration_t *newest; /* a reference */
    /* Under the lock. */
    pthread_mutex_t lock;
    asker_t *askers;
    taking_t *in_force, **last_in_force; /* which the workers have taken, to be said; the oldest first */
    bool stopped;
    int64_t loaded_ms;  /* when the one in force came into force; wall clock */
    int64_t refused_ms; /* when the last reload was refused; 0: it was not */
};

/* One offer on its way. */
struct taking {
    taking_t *next;
    reload_t *reload;
    handover_offer_t offer;
    const char *file;                     /* the configuration's own; NULL: none */
    json_t *changed, *restart, *mistakes; /* lists of texts */
    text_t *sites;                        /* the names of those with other keys */
    size_t site_count;
};

/* --- What is told --- */

static void add(json_t *list, const char *text)
{
    json_t *string = json_string(text);
    MUST(json_array_append_new(list, string != NULL ? string : json_string("?")) == 0);
}

static void on_differs(void *context, const char *name, bool needs_restart)
{
    taking_t *taking = context;
    add(needs_restart ? taking->restart : taking->changed, name);
}

static void on_changed(void *context, const char *path)
{
    taking_t *taking = context;
    if (taking->file == NULL || strcmp(taking->file, path) != 0)
        add(taking->changed, path);
}

static void add_lines(json_t *list, char *text)
{
    char *rest = NULL;
    for (char *line = strtok_r(text, "\n", &rest); line != NULL; line = strtok_r(NULL, "\n", &rest))
        add(list, line);
}

static void say_each(const char *before, json_t *list, const char *behind)
{
    size_t index;
    json_t *text;
    json_array_foreach(list, index, text)
        fprintf(stderr, "selvedge: %s%s%s\n", before, json_string_value(text), behind);
}

static void say(const taking_t *taking, bool in_force)
{
    if (!in_force) {
        say_each("", taking->mistakes, "");
        fprintf(stderr, "selvedge: not reloaded: the configuration before stays in force\n");
        return;
    }
    fprintf(stderr, "selvedge: reloaded: the new configuration is in force%s\n",
            json_array_size(taking->changed) == 0 ? "; nothing that it takes has changed" : "");
    say_each("changed: ", taking->changed, "");
    say_each("needs a restart: ", taking->restart, "; what it was at the start stays in force");
}

static void *report_of(const taking_t *taking, bool in_force)
{
    json_t *report = json_pack("{s:b,s:O,s:O,s:O}", "in_force", in_force, "changed", taking->changed,
                               "needs_restart", taking->restart, "mistakes", taking->mistakes);
    MUST(report != NULL);
    return report;
}

/* Those whom this reading answers. */
static asker_t *take_askers(reload_t *reload, const taking_t *taking, bool in_force)
{
    asker_t *answered = NULL;
    pthread_mutex_lock(&reload->lock);
    int64_t now_ms = reload->config.now_ms();
    reload->loaded_ms = in_force ? now_ms : reload->loaded_ms;
    reload->refused_ms = in_force ? 0 : now_ms;
    for (asker_t **at = &reload->askers; *at != NULL;) {
        asker_t *asker = *at;
        if (asker->asked > taking->offer.asked) {
            at = &asker->next;
            continue;
        }
        *at = asker->next;
        asker->next = answered;
        answered = asker;
    }
    pthread_mutex_unlock(&reload->lock);
    return answered;
}

/* The end of an offer. */
static void conclude(taking_t *taking, bool in_force)
{
    reload_t *reload = taking->reload;
    say(taking, in_force);
    count_reload(in_force);
    asker_t *asker = take_askers(reload, taking, in_force);
    handover_answer(reload->config.handover, taking->offer.number, in_force);
    while (asker != NULL) {
        asker_t *next = asker->next;
        asker->reloaded(asker->context, in_force, report_of(taking, in_force));
        free(asker);
        asker = next;
    }
    json_decref(taking->changed);
    json_decref(taking->restart);
    json_decref(taking->mistakes);
    free(taking->sites);
    free(taking);
}

/* The last worker's thread. It waits for nobody, and who reads stderr may be slow: the main thread says it.
 */
static void on_in_force(void *context)
{
    taking_t *taking = context;
    reload_t *reload = taking->reload;
    pthread_mutex_lock(&reload->lock);
    *reload->last_in_force = taking;
    reload->last_in_force = &taking->next;
    pthread_mutex_unlock(&reload->lock);
    MUST(pthread_kill(reload->main, SIGHUP) == 0);
}

/* What workers that had not switched yet stored. From here on there is one way to name what is stored. */
static void purge_again(taking_t *taking)
{
    char error[RELOAD_KEYS_ERROR_MAX];
    publisher_t *publisher = taking->reload->publisher;
    if (publisher == NULL)
        return;
    if (!reload_keys_purge(taking->sites, taking->site_count, publisher, error))
        fprintf(stderr, "selvedge: sites whose keys have changed could not be purged again: %s\n", error);
    publisher_widen_end(publisher, taking->sites, taking->site_count);
}

static void conclude_those_in_force(reload_t *reload)
{
    pthread_mutex_lock(&reload->lock);
    taking_t *taking = reload->in_force;
    reload->in_force = NULL;
    reload->last_in_force = &reload->in_force;
    pthread_mutex_unlock(&reload->lock);
    while (taking != NULL) {
        taking_t *next = taking->next;
        purge_again(taking);
        conclude(taking, true);
        taking = next;
    }
}

/* --- Reading --- */

/* The settings of these files; NULL after mistakes, which are added to the list. */
static settings_t *read_settings(const reload_t *reload, files_t *files, json_t *mistakes)
{
    char *text = NULL;
    size_t length;
    FILE *out = open_memstream(&text, &length);
    MUST(out != NULL);
    settings_source_t source = reload->config.source;
    source.files = files;
    settings_t *settings = must_calloc(1, sizeof *settings);
    bool right = settings_parse_again(&source, out, settings);
    MUST(fclose(out) == 0);
    add_lines(mistakes, text);
    free(text);
    if (right)
        return settings;
    settings_free(settings);
    free(settings);
    return NULL;
}

/* A file may be right whose listeners need a restart first. */
static bool has_listeners_for(const settings_t *settings)
{
    bool needed = false, there = false;
    for (size_t i = 0; i < settings->site_count; i++)
        needed = needed || settings->sites[i].redirect_https == REDIRECT_TO_LISTENER;
    for (size_t i = 0; i < settings->listener_count; i++)
        there = there || settings->listeners[i].https;
    return there || !needed;
}

/* What a reload does not take is as at the start from here on. */
static configuration_t *make(const reload_t *reload, settings_t *settings, files_t **files, taking_t *taking)
{
    char error[CONFIGURATION_ERROR_MAX];
    const configuration_t *before = reload->newest;
    const settings_t *start = reload->config.start;
    settings_compare(start, before != NULL ? &before->settings : start, settings, on_differs, taking);
    taking->file = settings->file;
    if (before != NULL)
        files_compare(before->files, *files, on_changed, taking);
    if (!has_listeners_for(settings)) {
        add(taking->mistakes,
            "sites[].redirect_https on: the https listener to send clients to needs a restart first");
        return NULL;
    }
    configuration_origin_t origin = {before, reload->config.token_file, reload->config.certificate_file};
    configuration_t *made = configuration_new(settings, files, &origin, error);
    if (made == NULL)
        add(taking->mistakes, error);
    return made;
}

/* NULL after mistakes. */
static configuration_t *read_configuration(const reload_t *reload, int fd, taking_t *taking)
{
    files_t *files = fd >= 0 ? files_read(fd) : NULL;
    if (files == NULL) {
        add(taking->mistakes, "the files of the configuration could not be read");
        return NULL;
    }
    configuration_t *made = NULL;
    settings_t *settings = read_settings(reload, files, taking->mistakes);
    if (settings != NULL) {
        made = make(reload, settings, &files, taking);
        settings_free(settings); /* what the configuration did not take over */
    }
    free(settings);
    if (files != NULL)
        files_free(&files);
    return made;
}

static taking_t *taking_new(reload_t *reload)
{
    taking_t *taking = must_calloc(1, sizeof *taking);
    taking->reload = reload;
    taking->changed = json_array();
    taking->restart = json_array();
    taking->mistakes = json_array();
    MUST(taking->changed != NULL && taking->restart != NULL && taking->mistakes != NULL);
    return taking;
}

/* --- Coming into force --- */

/* What the workers do not have of their own. */
static void apply(const reload_t *reload, const settings_t *settings)
{
    limits_config_t limits = server_limits(settings);
    limits_configure(reload->node->limits, &limits);
    memory_set_max_object(reload->node->memory, settings->max_object_bytes);
    if (reload->node->disk != NULL)
        disk_set_admission(reload->node->disk, settings->disk_admits_always ? DISK_ALWAYS : DISK_SECOND_HIT);
}

/* Of the sites with other keys nothing that is stored is used with those. False: that could not be made sure.
 */
static bool purge_changed(reload_t *reload, const configuration_t *made, taking_t *taking)
{
    char error[RELOAD_KEYS_ERROR_MAX], text[RELOAD_KEYS_ERROR_MAX + 128];
    taking->sites = reload_keys_changed(reload->keys, made->sites, &taking->site_count);
    /* Until every worker has switched, a purge may name the keys of before, and another store by those of now. */
    publisher_widen(reload->publisher, taking->sites, taking->site_count);
    if (reload_keys_purge(taking->sites, taking->site_count, reload->publisher, error)) {
        reload_keys_note(reload->keys, made->sites);
        return true;
    }
    publisher_widen_end(reload->publisher, taking->sites, taking->site_count);
    snprintf(text, sizeof text, "the purge of sites whose keys change could not be kept: %s", error);
    add(taking->mistakes, text);
    return false;
}

static void take(reload_t *reload, const handover_offer_t *offer)
{
    taking_t *taking = taking_new(reload);
    taking->offer = *offer;
    configuration_t *made = read_configuration(reload, offer->fd, taking);
    if (offer->fd >= 0)
        close(offer->fd);
    if (made != NULL && !purge_changed(reload, made, taking))
        configuration_unref(&made);
    if (made == NULL) {
        conclude(taking, false);
        return;
    }
    configuration_unref(&reload->newest);
    reload->newest = made;
    apply(reload, &made->settings);
    server_take(reload->server, made, on_in_force, taking);
}

void reload_take(reload_t *reload)
{
    MUST_BE(reload, RELOAD_MAGIC);
    handover_offer_t offer;
    conclude_those_in_force(reload);
    while (handover_receive(reload->config.handover, &offer))
        take(reload, &offer);
}

void reload_serve(reload_t *reload, server_t *server, node_t *node, publisher_t *publisher)
{
    MUST_BE(reload, RELOAD_MAGIC);
    reload->server = server;
    reload->node = node;
    reload->publisher = publisher;
    reload_keys_note(reload->keys, reload->newest->sites);
}

configuration_t *reload_newest(const reload_t *reload)
{
    return reload->newest;
}

/* --- Any thread --- */

/* The node ends, and nothing comes into force any more. */
static void refuse(api_reloaded_t *reloaded, void *asked)
{
    json_t *report = json_pack("{s:b,s:[],s:[],s:[s]}", "in_force", 0, "changed", "needs_restart", "mistakes",
                               "the node is stopping");
    MUST(report != NULL);
    reloaded(asked, false, report);
}

void reload_ask(void *context, api_reloaded_t *reloaded, void *asked)
{
    reload_t *reload = context;
    MUST_BE(reload, RELOAD_MAGIC);
    pthread_mutex_lock(&reload->lock);
    bool stopped = reload->stopped;
    if (!stopped) {
        asker_t *asker = must_alloc(sizeof *asker);
        /* Asked within the lock, so that the answer finds it in the list. */
        *asker = (asker_t){handover_ask(reload->config.handover), reloaded, asked, reload->askers};
        reload->askers = asker;
    }
    pthread_mutex_unlock(&reload->lock);
    if (stopped)
        refuse(reloaded, asked);
}

void reload_stop(reload_t *reload)
{
    MUST_BE(reload, RELOAD_MAGIC);
    conclude_those_in_force(reload);
    reload->publisher = NULL;
    pthread_mutex_lock(&reload->lock);
    asker_t *asker = reload->askers;
    reload->askers = NULL;
    reload->stopped = true;
    pthread_mutex_unlock(&reload->lock);
    while (asker != NULL) {
        asker_t *next = asker->next;
        refuse(asker->reloaded, asker->context);
        free(asker);
        asker = next;
    }
}

static json_t *time_json(int64_t wall_ms)
{
    if (wall_ms == 0)
        return json_null();
    time_t seconds = (time_t)(wall_ms / 1000);
    struct tm utc;
    char text[32];
    strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%SZ", gmtime_r(&seconds, &utc));
    return json_string(text);
}

void *reload_status(void *context)
{
    reload_t *reload = context;
    MUST_BE(reload, RELOAD_MAGIC);
    pthread_mutex_lock(&reload->lock);
    json_t *status = json_pack("{s:o,s:o}", "loaded", time_json(reload->loaded_ms), "last_reload_refused",
                               time_json(reload->refused_ms));
    pthread_mutex_unlock(&reload->lock);
    MUST(status != NULL);
    return status;
}

/* --- Life --- */

reload_t *reload_new(const reload_config_t *config)
{
    reload_t *reload = must_calloc(1, sizeof *reload);
    reload->magic = RELOAD_MAGIC;
    reload->config = *config;
    reload->main = pthread_self();
    reload->keys = reload_keys_new();
    reload->last_in_force = &reload->in_force;
    MUST(pthread_mutex_init(&reload->lock, NULL) == 0);
    taking_t *taking = taking_new(reload);
    reload->newest = read_configuration(reload, handover_first(config->handover), taking);
    say_each("", taking->mistakes, "");
    json_decref(taking->changed);
    json_decref(taking->restart);
    json_decref(taking->mistakes);
    free(taking);
    reload->loaded_ms = config->now_ms();
    if (reload->newest == NULL)
        reload_free(&reload);
    return reload;
}

void reload_free(reload_t **pointer)
{
    reload_t *reload = *pointer;
    *pointer = NULL;
    MUST_BE(reload, RELOAD_MAGIC);
    conclude_those_in_force(reload); /* the last that the workers took before they ended */
    if (reload->newest != NULL)
        configuration_unref(&reload->newest);
    reload_keys_free(&reload->keys);
    pthread_mutex_destroy(&reload->lock);
    free(reload);
}
