#include "edge/reload_keys.h"

#include <pthread.h>

#include "edge/observe/counters.h"
#include "edge/sites/policy.h"

typedef struct {
    text_t name; /* kept as long as the process */
    uint64_t signature;
} noted_t;

struct reload_keys {
    noted_t *noted;
    size_t count;
};

reload_keys_t *reload_keys_new(void)
{
    return must_calloc(1, sizeof(reload_keys_t));
}

void reload_keys_free(reload_keys_t **keys)
{
    free((*keys)->noted);
    free(*keys);
    *keys = NULL;
}

static noted_t *find(const reload_keys_t *keys, text_t name)
{
    for (size_t i = 0; i < keys->count; i++)
        if (text_equal(keys->noted[i].name, name))
            return &keys->noted[i];
    return NULL;
}

text_t *reload_keys_changed(const reload_keys_t *keys, const sites_t *sites, size_t *count)
{
    text_t *names = must_calloc(sites_count(sites), sizeof *names);
    *count = 0;
    for (size_t i = 0; i < sites_count(sites); i++) {
        const site_t *site = sites_at(sites, i);
        const noted_t *noted = find(keys, site->cache.name);
        if (noted != NULL && noted->signature != site_keys_signature(site))
            names[(*count)++] = site->cache.name;
    }
    return names;
}

static noted_t *add(reload_keys_t *keys, text_t name)
{
    noted_t *noted = realloc(keys->noted, (keys->count + 1) * sizeof *noted);
    MUST(noted != NULL);
    keys->noted = noted;
    noted[keys->count].name = name;
    return &noted[keys->count++];
}

void reload_keys_note(reload_keys_t *keys, const sites_t *sites)
{
    for (size_t i = 0; i < sites_count(sites); i++) {
        const site_t *site = sites_at(sites, i);
        noted_t *noted = find(keys, site->cache.name);
        if (noted == NULL)
            noted = add(keys, site->cache.name);
        noted->signature = site_keys_signature(site);
    }
}

/* --- The purge --- */

typedef struct {
    publisher_purge_t purge;
    pthread_mutex_t lock;
    pthread_cond_t over;
    bool done, failed; /* under the lock */
    char *error;
} call_t;

/* The publisher's thread. */
static void on_done(publisher_purge_t *purge, uint64_t sequence, const char *error)
{
    (void)sequence;
    call_t *call = CONTAINER_OF(purge, call_t, purge);
    pthread_mutex_lock(&call->lock);
    call->done = true;
    call->failed = error != NULL;
    if (error != NULL)
        snprintf(call->error, RELOAD_KEYS_ERROR_MAX, "%s", error);
    pthread_cond_signal(&call->over);
    pthread_mutex_unlock(&call->lock);
}

static void wait_for(call_t *call)
{
    pthread_mutex_lock(&call->lock);
    while (!call->done)
        pthread_cond_wait(&call->over, &call->lock);
    pthread_mutex_unlock(&call->lock);
}

bool reload_keys_purge(const text_t *names, size_t count, publisher_t *publisher,
                       char error[RELOAD_KEYS_ERROR_MAX])
{
    if (count == 0)
        return true;
    call_t call = {
        .purge = {.rules = must_calloc(count, sizeof(ledger_rule_t)), .rule_count = count, .done = on_done},
        .error = error};
    MUST(pthread_mutex_init(&call.lock, NULL) == 0 && pthread_cond_init(&call.over, NULL) == 0);
    for (size_t i = 0; i < count; i++)
        call.purge.rules[i] = (ledger_rule_t){.kind = RULE_SITE, .site = names[i]};
    publisher_submit(publisher, &call.purge);
    wait_for(&call);
    pthread_cond_destroy(&call.over);
    pthread_mutex_destroy(&call.lock);
    free(call.purge.rules);
    for (size_t i = 0; i < count && !call.failed; i++)
        count_purge(RULE_SITE, false);
    return !call.failed;
}
