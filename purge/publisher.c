#include "purge/publisher.h"

#include <pthread.h>
#include <signal.h>

enum { PUBLISHER_MAGIC = 0x9b115e4a };

/* Purges in the order they were submitted. */
typedef struct {
    publisher_purge_t *first, *last;
} queue_t;

/* A site of which purges are widened. */
typedef struct widened widened_t;
struct widened {
    widened_t *next;
    size_t length;
    char name[];
};

struct publisher {
    /* Fixed after creation. */
    uint32_t magic;
    pthread_t thread;
    ledger_t *ledger;
    int64_t (*now_ms)(void);
    /* Under the lock. */
    pthread_mutex_t lock;
    pthread_cond_t changed;
    queue_t waiting;
    bool stopping;
    widened_t *widened;
    /* The publisher's thread only. */
    journal_t *journal;
};

static void push(queue_t *queue, publisher_purge_t *purge)
{
    purge->next = NULL;
    if (queue->last != NULL)
        queue->last->next = purge;
    else
        queue->first = purge;
    queue->last = purge;
}

static publisher_purge_t *pop(queue_t *queue)
{
    publisher_purge_t *purge = queue->first;
    queue->first = purge->next;
    if (queue->first == NULL)
        queue->last = NULL;
    purge->next = NULL;
    return purge;
}

/* --- Widening. Under the lock. --- */

static widened_t **find_widened(publisher_t *publisher, text_t site)
{
    widened_t **at = &publisher->widened;
    while (*at != NULL && !text_equal((text_t){(*at)->name, (*at)->length}, site))
        at = &(*at)->next;
    return at;
}

static void widen_all(publisher_t *publisher, const publisher_purge_t *purge)
{
    for (; purge != NULL; purge = purge->next)
        for (size_t i = 0; i < purge->rule_count; i++) {
            ledger_rule_t *rule = &purge->rules[i];
            bool of_site = rule->kind == RULE_URL || rule->kind == RULE_TAG;
            if (of_site && *find_widened(publisher, rule->site) != NULL) {
                rule->kind = RULE_SITE;
                rule->target = (text_t){NULL, 0};
            }
        }
}

/* All that waits, taken at once; empty only when the publisher is to stop and nothing is left. */
static queue_t take_waiting(publisher_t *publisher)
{
    pthread_mutex_lock(&publisher->lock);
    while (publisher->waiting.first == NULL && !publisher->stopping)
        pthread_cond_wait(&publisher->changed, &publisher->lock);
    queue_t taken = publisher->waiting;
    publisher->waiting = (queue_t){0};
    if (publisher->widened != NULL)
        widen_all(publisher, taken.first);
    pthread_mutex_unlock(&publisher->lock);
    return taken;
}

static bool fits(const publisher_purge_t *purge)
{
    for (size_t i = 0; i < purge->rule_count; i++)
        if (!journal_takes(&purge->rules[i]))
            return false;
    return true;
}

/* One too long for a record must not spoil the batch it waits in. */
static queue_t refuse_too_long(queue_t taken)
{
    queue_t kept = {0};
    while (taken.first != NULL) {
        publisher_purge_t *purge = pop(&taken);
        if (fits(purge))
            push(&kept, purge);
        else
            purge->done(purge, 0, "a rule of the purge is too long to be kept");
    }
    return kept;
}

static size_t count_rules(const queue_t *batch)
{
    size_t count = 0;
    for (const publisher_purge_t *purge = batch->first; purge != NULL; purge = purge->next) {
        MUST(purge->rule_count >= 1);
        count += purge->rule_count;
    }
    return count;
}

static void gather(ledger_rule_t *rules, const queue_t *batch, int64_t now_ms)
{
    for (const publisher_purge_t *purge = batch->first; purge != NULL; purge = purge->next)
        for (size_t i = 0; i < purge->rule_count; i++) {
            *rules = purge->rules[i];
            rules++->time_ms = now_ms;
        }
}

/* The rules, now with sequence and time, go back to their purges; each is told. */
static void answer(queue_t *batch, const ledger_rule_t *rules, const char *error)
{
    while (batch->first != NULL) {
        publisher_purge_t *purge = pop(batch);
        memcpy(purge->rules, rules, purge->rule_count * sizeof(*rules));
        rules += purge->rule_count;
        purge->done(purge, rules[-1].sequence, error);
    }
}

/* The order is the promise: stable storage, tables, head sequence, and only then the answers. */
static void publish(publisher_t *publisher, queue_t *batch)
{
    size_t count = count_rules(batch);
    ledger_rule_t *rules = must_calloc(count, sizeof(*rules));
    journal_error_t error;

    gather(rules, batch, publisher->now_ms());
    if (journal_append(publisher->journal, rules, count, &error)) {
        for (size_t i = 0; i < count; i++)
            ledger_apply(publisher->ledger, &rules[i]);
        ledger_publish(publisher->ledger, rules[count - 1].sequence);
        answer(batch, rules, NULL);
    } else {
        char reason[256], sentence[320];
        journal_error_text(&error, reason, sizeof(reason));
        snprintf(sentence, sizeof(sentence), "the purge could not be put on stable storage: %s", reason);
        answer(batch, rules, sentence);
    }
    free(rules);
}

static void *run(void *argument)
{
    publisher_t *publisher = argument;
    MUST_BE(publisher, PUBLISHER_MAGIC);
    for (;;) {
        queue_t taken = take_waiting(publisher);
        if (taken.first == NULL)
            return NULL;
        queue_t batch = refuse_too_long(taken);
        if (batch.first != NULL)
            publish(publisher, &batch);
    }
}

/* Signals are the main thread's business. */
static void start_thread(publisher_t *publisher)
{
    sigset_t all, before;
    sigfillset(&all);
    MUST(pthread_sigmask(SIG_SETMASK, &all, &before) == 0);
    MUST(pthread_create(&publisher->thread, NULL, run, publisher) == 0);
    MUST(pthread_sigmask(SIG_SETMASK, &before, NULL) == 0);
    pthread_setname_np(publisher->thread, "publisher");
}

publisher_t *publisher_start(journal_t **journal, ledger_t *ledger, int64_t (*now_ms)(void))
{
    MUST(*journal != NULL);
    publisher_t *publisher = must_calloc(1, sizeof(*publisher));
    publisher->magic = PUBLISHER_MAGIC;
    publisher->ledger = ledger;
    publisher->now_ms = now_ms;
    publisher->journal = *journal;
    *journal = NULL;
    MUST(pthread_mutex_init(&publisher->lock, NULL) == 0);
    MUST(pthread_cond_init(&publisher->changed, NULL) == 0);
    start_thread(publisher);
    return publisher;
}

void publisher_submit(publisher_t *publisher, publisher_purge_t *purge)
{
    MUST_BE(publisher, PUBLISHER_MAGIC);
    pthread_mutex_lock(&publisher->lock);
    MUST(!publisher->stopping);
    push(&publisher->waiting, purge);
    pthread_cond_signal(&publisher->changed);
    pthread_mutex_unlock(&publisher->lock);
}

void publisher_widen(publisher_t *publisher, const text_t *sites, size_t count)
{
    MUST_BE(publisher, PUBLISHER_MAGIC);
    pthread_mutex_lock(&publisher->lock);
    for (size_t i = 0; i < count; i++) {
        widened_t *widened = must_alloc(sizeof *widened + sites[i].length);
        widened->next = publisher->widened;
        widened->length = sites[i].length;
        memcpy(widened->name, sites[i].data, sites[i].length);
        publisher->widened = widened;
    }
    pthread_mutex_unlock(&publisher->lock);
}

void publisher_widen_end(publisher_t *publisher, const text_t *sites, size_t count)
{
    MUST_BE(publisher, PUBLISHER_MAGIC);
    pthread_mutex_lock(&publisher->lock);
    for (size_t i = 0; i < count; i++) {
        widened_t **at = find_widened(publisher, sites[i]), *ended = *at;
        MUST(ended != NULL);
        *at = ended->next;
        free(ended);
    }
    pthread_mutex_unlock(&publisher->lock);
}

void publisher_stop(publisher_t **publisher)
{
    publisher_t *stopping = *publisher;
    if (stopping == NULL)
        return;
    MUST_BE(stopping, PUBLISHER_MAGIC);
    pthread_mutex_lock(&stopping->lock);
    stopping->stopping = true;
    pthread_cond_signal(&stopping->changed);
    pthread_mutex_unlock(&stopping->lock);
    MUST(pthread_join(stopping->thread, NULL) == 0);

    while (stopping->widened != NULL)
        publisher_widen_end(stopping, &(text_t){stopping->widened->name, stopping->widened->length}, 1);
    journal_close(&stopping->journal);
    pthread_cond_destroy(&stopping->changed);
    pthread_mutex_destroy(&stopping->lock);
    stopping->magic = 0;
    free(stopping);
    *publisher = NULL;
}
