#include "tests/sim/interpose.h"

#include <pthread.h>
#include <urcu/urcu-memb.h>

#include "edge/cache/memory.h"
#include "edge/cache/s3fifo.h"
#include "purge/journal_format.h"
#include "tests/sim/world.h"

/* --- Locks --- */

int REAL(pthread_mutex_lock)(pthread_mutex_t *mutex);
int WRAP(pthread_mutex_lock)(pthread_mutex_t *mutex);
int WRAP(pthread_mutex_lock)(pthread_mutex_t *mutex)
{
    schedule_preempt();
    schedule_locked(1);
    return REAL(pthread_mutex_lock)(mutex);
}

int REAL(pthread_mutex_unlock)(pthread_mutex_t *mutex);
int WRAP(pthread_mutex_unlock)(pthread_mutex_t *mutex);
int WRAP(pthread_mutex_unlock)(pthread_mutex_t *mutex)
{
    int result = REAL(pthread_mutex_unlock)(mutex);
    schedule_locked(-1);
    schedule_preempt();
    return result;
}

/* --- The ledger and the index --- */

/* What comes in after the ledger was read matters most. */
static void preempt_often(void)
{
    for (int i = 0; i < 4; i++)
        schedule_preempt();
}

uint64_t REAL(ledger_sequence)(const ledger_t *ledger);
uint64_t WRAP(ledger_sequence)(const ledger_t *ledger);
uint64_t WRAP(ledger_sequence)(const ledger_t *ledger)
{
    schedule_preempt();
    uint64_t sequence = REAL(ledger_sequence)(ledger);
    preempt_often();
    return sequence;
}

ledger_judgement_t REAL(ledger_judge)(const ledger_t *ledger, const ledger_subject_t *subject,
                                      uint64_t stamp);
ledger_judgement_t WRAP(ledger_judge)(const ledger_t *ledger, const ledger_subject_t *subject,
                                      uint64_t stamp);
ledger_judgement_t WRAP(ledger_judge)(const ledger_t *ledger, const ledger_subject_t *subject, uint64_t stamp)
{
    schedule_preempt();
    ledger_judgement_t judgement = REAL(ledger_judge)(ledger, subject, stamp);
    preempt_often();
    return judgement;
}

ledger_judgement_t REAL(ledger_judge_tagged)(const ledger_t *ledger, const ledger_subject_t *subject,
                                             ledger_tags_t tags, uint64_t stamp);
ledger_judgement_t WRAP(ledger_judge_tagged)(const ledger_t *ledger, const ledger_subject_t *subject,
                                             ledger_tags_t tags, uint64_t stamp);
ledger_judgement_t WRAP(ledger_judge_tagged)(const ledger_t *ledger, const ledger_subject_t *subject,
                                             ledger_tags_t tags, uint64_t stamp)
{
    schedule_preempt();
    ledger_judgement_t judgement = REAL(ledger_judge_tagged)(ledger, subject, tags, stamp);
    preempt_often();
    return judgement;
}

void REAL(ledger_apply)(ledger_t *ledger, const ledger_rule_t *rule);
void WRAP(ledger_apply)(ledger_t *ledger, const ledger_rule_t *rule);
void WRAP(ledger_apply)(ledger_t *ledger, const ledger_rule_t *rule)
{
    schedule_preempt();
    REAL(ledger_apply)(ledger, rule);
    schedule_preempt();
}

enum { PUBLICATIONS_MAX = 4096 };
static struct {
    size_t count;
    struct {
        uint64_t sequence, moment;
    } at[PUBLICATIONS_MAX];
} published;

void REAL(ledger_publish)(ledger_t *ledger, uint64_t sequence);
void WRAP(ledger_publish)(ledger_t *ledger, uint64_t sequence);
void WRAP(ledger_publish)(ledger_t *ledger, uint64_t sequence)
{
    schedule_preempt();
    MUST(published.count < PUBLICATIONS_MAX);
    published.at[published.count].sequence = sequence;
    published.at[published.count++].moment = schedule_moment();
    REAL(ledger_publish)(ledger, sequence);
    schedule_preempt();
}

uint64_t interpose_published(uint64_t sequence)
{
    for (size_t i = 0; i < published.count; i++)
        if (published.at[i].sequence >= sequence)
            return published.at[i].moment;
    return 0;
}

void interpose_forget_published(void)
{
    published.count = 0;
}

memory_view_t REAL(memory_look)(memory_t *memory, const cache_key_t *key, const cache_variant_t *variant);
memory_view_t WRAP(memory_look)(memory_t *memory, const cache_key_t *key, const cache_variant_t *variant);
memory_view_t WRAP(memory_look)(memory_t *memory, const cache_key_t *key, const cache_variant_t *variant)
{
    schedule_preempt();
    memory_view_t view = REAL(memory_look)(memory, key, variant);
    schedule_preempt();
    return view;
}

/* Each rule on its way to the disk. */
void REAL(format_rule_put)(bytes_t *bytes, uint64_t id, uint64_t offset, const ledger_rule_t *rule,
                           uint64_t batch_first);
void WRAP(format_rule_put)(bytes_t *bytes, uint64_t id, uint64_t offset, const ledger_rule_t *rule,
                           uint64_t batch_first);
void WRAP(format_rule_put)(bytes_t *bytes, uint64_t id, uint64_t offset, const ledger_rule_t *rule,
                           uint64_t batch_first)
{
    referee_handed_out(rule->sequence);
    REAL(format_rule_put)(bytes, id, offset, rule, batch_first);
}

/* --- Only counted --- */

bool REAL(memory_begin)(memory_t *memory, home_t *home, object_t *object, const memory_view_t *seen);
bool WRAP(memory_begin)(memory_t *memory, home_t *home, object_t *object, const memory_view_t *seen);
bool WRAP(memory_begin)(memory_t *memory, home_t *home, object_t *object, const memory_view_t *seen)
{
    bool begun = REAL(memory_begin)(memory, home, object, seen);
    if (begun && seen != NULL && seen->growing != NULL)
        note_count(NOTE_REPLACED);
    return begun;
}

bool REAL(memory_to_variant)(memory_t *memory, object_t *object, const http_vary_t *vary,
                             http_fields_t request);
bool WRAP(memory_to_variant)(memory_t *memory, object_t *object, const http_vary_t *vary,
                             http_fields_t request);
bool WRAP(memory_to_variant)(memory_t *memory, object_t *object, const http_vary_t *vary,
                             http_fields_t request)
{
    bool moved = REAL(memory_to_variant)(memory, object, vary, request);
    if (moved)
        note_count(NOTE_TO_VARIANT);
    return moved;
}

void REAL(memory_forget)(memory_t *memory, object_t *stored);
void WRAP(memory_forget)(memory_t *memory, object_t *stored);
void WRAP(memory_forget)(memory_t *memory, object_t *stored)
{
    note_count(NOTE_FORGOTTEN);
    REAL(memory_forget)(memory, stored);
}

void REAL(object_make_windowed)(object_t *object);
void WRAP(object_make_windowed)(object_t *object);
void WRAP(object_make_windowed)(object_t *object)
{
    note_count(NOTE_GREW_TOO_LARGE);
    REAL(object_make_windowed)(object);
}

s3fifo_node_t *REAL(s3fifo_evict)(s3fifo_t *policy);
s3fifo_node_t *WRAP(s3fifo_evict)(s3fifo_t *policy);
s3fifo_node_t *WRAP(s3fifo_evict)(s3fifo_t *policy)
{
    s3fifo_node_t *victim = REAL(s3fifo_evict)(policy);
    if (victim != NULL && !schedule_node_is_dying())
        note_count(NOTE_EVICTIONS);
    return victim;
}

/* --- Grace periods --- */

typedef struct {
    struct rcu_head *head;
    void (*reclaim)(struct rcu_head *head);
} deferred_t;

static struct {
    deferred_t *at;
    size_t count, capacity;
} deferred;

void WRAP(urcu_memb_call_rcu)(struct rcu_head *head, void (*reclaim)(struct rcu_head *head));
void WRAP(urcu_memb_call_rcu)(struct rcu_head *head, void (*reclaim)(struct rcu_head *head))
{
    if (deferred.count == deferred.capacity) {
        deferred.capacity = deferred.capacity ? deferred.capacity * 2 : 256;
        deferred.at = realloc(deferred.at, deferred.capacity * sizeof *deferred.at);
        MUST(deferred.at != NULL);
    }
    deferred.at[deferred.count++] = (deferred_t){head, reclaim};
}

/* Inside read sections, over all threads. */
static unsigned reading;

void REAL(urcu_memb_read_lock)(void);
void WRAP(urcu_memb_read_lock)(void);
void WRAP(urcu_memb_read_lock)(void)
{
    REAL(urcu_memb_read_lock)();
    reading++;
}

void REAL(urcu_memb_read_unlock)(void);
void WRAP(urcu_memb_read_unlock)(void);
void WRAP(urcu_memb_read_unlock)(void)
{
    MUST(reading-- > 0);
    REAL(urcu_memb_read_unlock)();
}

/* None ends while somebody reads. What reclamation lets go of in turn waits for the next one. */
void interpose_grace_period(void)
{
    if (reading > 0)
        return;
    size_t ripe = deferred.count;
    for (size_t i = 0; i < ripe; i++)
        deferred.at[i].reclaim(deferred.at[i].head);
    deferred.count -= ripe;
    if (deferred.count > 0)
        memmove(deferred.at, deferred.at + ripe, deferred.count * sizeof *deferred.at);
}

void WRAP(urcu_memb_barrier)(void);
void WRAP(urcu_memb_barrier)(void)
{
    interpose_grace_period();
}

/* --- What memory weighs --- */

static size_t last_size;
static void *last_memory;

void *REAL(malloc)(size_t size);
void *WRAP(malloc)(size_t size);
void *WRAP(malloc)(size_t size)
{
    last_size = size;
    return last_memory = REAL(malloc)(size);
}

/* Asked right after the allocation (memory_take); what is not of malloc() does not weigh. */
size_t REAL(malloc_usable_size)(void *memory);
size_t WRAP(malloc_usable_size)(void *memory);
size_t WRAP(malloc_usable_size)(void *memory)
{
    if (memory != last_memory)
        return REAL(malloc_usable_size)(memory);
    return last_size < 24 ? 24 : ((last_size + 8 + 15) & ~(size_t)15) - 8;
}
