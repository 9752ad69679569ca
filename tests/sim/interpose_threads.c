/* The threads that the code under test makes: the publisher's, and those of each device. They and the
 * conditions they wait on are the schedule's, and deadlines are in its time. */
#include <errno.h>
#include <pthread.h>

#include "edge/cache/memory.h"
#include "tests/sim/interpose.h"
#include "tests/sim/schedule.h"

enum { MADE_MAX = 24 };

static struct {
    thread_t *thread; /* NULL: this one can be used */
    void *(*run)(void *argument);
    void *argument;
} made[MADE_MAX];

static void run_made(void *context)
{
    size_t number = (size_t)(uintptr_t)context;
    made[number].run(made[number].argument);
}

static void begin_made(void *context)
{
    (void)context;
}

int WRAP(pthread_create)(pthread_t *thread, const pthread_attr_t *attributes, void *(*run)(void *argument),
                         void *argument);
int WRAP(pthread_create)(pthread_t *thread, const pthread_attr_t *attributes, void *(*run)(void *argument),
                         void *argument)
{
    (void)attributes;
    size_t number = 0;
    while (made[number].thread != NULL)
        MUST(++number < MADE_MAX);
    *thread = (pthread_t)number;
    made[number].run = run;
    made[number].argument = argument;
    made[number].thread = schedule_thread_of("made", run_made, (void *)(uintptr_t)number);
    schedule_for_node(made[number].thread, 0, begin_made, NULL);
    return 0;
}

int WRAP(pthread_join)(pthread_t thread, void **result);
int WRAP(pthread_join)(pthread_t thread, void **result)
{
    (void)result;
    schedule_finish(&made[(size_t)thread].thread);
    return 0;
}

int WRAP(pthread_timedjoin_np)(pthread_t thread, void **result, const struct timespec *until);
int WRAP(pthread_timedjoin_np)(pthread_t thread, void **result, const struct timespec *until)
{
    (void)until;
    return WRAP(pthread_join)(thread, result);
}

/* Either the one that was made just now, by its number, or the one that runs, by pthread_self(). */
int WRAP(pthread_setname_np)(pthread_t thread, const char *name);
int WRAP(pthread_setname_np)(pthread_t thread, const char *name)
{
    schedule_name_thread(schedule_in_thread() ? NULL : made[(size_t)thread].thread, name);
    return 0;
}

/* --- Conditions --- */

int REAL(pthread_mutex_lock)(pthread_mutex_t *mutex);
int REAL(pthread_mutex_unlock)(pthread_mutex_t *mutex);

static bool sleep_on(pthread_cond_t *condition, pthread_mutex_t *mutex, int64_t until_us)
{
    MUST(REAL(pthread_mutex_unlock)(mutex) == 0);
    schedule_locked(-1);
    interpose_sleeps(condition, until_us);
    bool woken = schedule_sleep(condition, until_us);
    schedule_locked(1);
    MUST(REAL(pthread_mutex_lock)(mutex) == 0);
    return woken;
}

int WRAP(pthread_cond_wait)(pthread_cond_t *condition, pthread_mutex_t *mutex);
int WRAP(pthread_cond_wait)(pthread_cond_t *condition, pthread_mutex_t *mutex)
{
    sleep_on(condition, mutex, SCHEDULE_NEVER);
    return 0;
}

int WRAP(pthread_cond_timedwait)(pthread_cond_t *condition, pthread_mutex_t *mutex,
                                 const struct timespec *until);
int WRAP(pthread_cond_timedwait)(pthread_cond_t *condition, pthread_mutex_t *mutex,
                                 const struct timespec *until)
{
    int64_t until_us = (int64_t)until->tv_sec * 1000000 + until->tv_nsec / 1000;
    return sleep_on(condition, mutex, until_us) ? 0 : ETIMEDOUT;
}

int WRAP(pthread_cond_signal)(pthread_cond_t *condition);
int WRAP(pthread_cond_signal)(pthread_cond_t *condition)
{
    schedule_wake(condition, false);
    return 0;
}

int WRAP(pthread_cond_broadcast)(pthread_cond_t *condition);
int WRAP(pthread_cond_broadcast)(pthread_cond_t *condition)
{
    schedule_wake(condition, true);
    return 0;
}

/* --- What else each thread does --- */

/* All of them are one for liburcu. */
void REAL(memory_attach_thread)(void);
void WRAP(memory_attach_thread)(void);
void WRAP(memory_attach_thread)(void)
{
    if (!schedule_in_thread())
        REAL(memory_attach_thread)();
}

void REAL(memory_detach_thread)(void);
void WRAP(memory_detach_thread)(void);
void WRAP(memory_detach_thread)(void)
{
    if (!schedule_in_thread())
        REAL(memory_detach_thread)();
}
