#include "tests/sim/schedule.h"

#include "tests/sim/fiber.h"
#include "tests/sim/interpose.h"
#include "tests/sim/note.h"

enum { THREADS_MAX = 24 };
static const int64_t start_us = INT64_C(1700000000) * 1000000;

typedef struct {
    int64_t time_us;
    uint64_t tie;  /* drawn: any order at the same time */
    unsigned life; /* of the node; 0: the world outside */
    thread_t *thread;
    event_t run; /* NULL: the thread goes on */
    void *context;
} entry_t;

typedef struct {
    event_t run;
    void *context;
} message_t;

struct thread {
    const char *name;
    fiber_t *fiber;
    void (*own_run)(void *context);
    void *own_context;
    message_t *inbox;
    size_t inbox_first, inbox_count, inbox_capacity;
    bool busy; /* in the middle of something */
    bool held_up, asleep, stopping;
    const void *sleeps_on;
    uintptr_t sleeps; /* how often it has */
    bool timed_out;
    int locks;
    void *room;
};

static struct {
    random_t *random;
    unsigned preempt_per_mille;
    int64_t now_us;
    uint64_t moment;
    unsigned life;
    bool dying;
    entry_t *heap;
    size_t count, capacity;
    thread_t *threads[THREADS_MAX];
    thread_t *current;
} all;

/* --- The heap of events --- */

static bool before(const entry_t *a, const entry_t *b)
{
    return a->time_us != b->time_us ? a->time_us < b->time_us : a->tie < b->tie;
}

static void swap(entry_t *a, entry_t *b)
{
    entry_t kept = *a;
    *a = *b;
    *b = kept;
}

static void push(entry_t entry)
{
    if (all.count == all.capacity) {
        all.capacity = all.capacity ? all.capacity * 2 : 256;
        all.heap = realloc(all.heap, all.capacity * sizeof *all.heap);
        MUST(all.heap != NULL);
    }
    size_t at = all.count++;
    all.heap[at] = entry;
    for (; at > 0 && before(&all.heap[at], &all.heap[(at - 1) / 2]); at = (at - 1) / 2)
        swap(&all.heap[at], &all.heap[(at - 1) / 2]);
}

static entry_t pop(void)
{
    entry_t first = all.heap[0];
    all.heap[0] = all.heap[--all.count];
    for (size_t at = 0;;) {
        size_t least = at;
        for (size_t child = 2 * at + 1; child <= 2 * at + 2 && child < all.count; child++)
            if (before(&all.heap[child], &all.heap[least]))
                least = child;
        if (least == at)
            return first;
        swap(&all.heap[at], &all.heap[least]);
        at = least;
    }
}

static void schedule(unsigned life, thread_t *thread, int64_t delay_us, event_t run, void *context)
{
    MUST(delay_us >= 0);
    push((entry_t){all.now_us + delay_us, random_next(all.random), life, thread, run, context});
}

void schedule_outside(int64_t delay_us, event_t run, void *context)
{
    schedule(0, NULL, delay_us, run, context);
}

void schedule_for_node(thread_t *thread, int64_t delay_us, event_t run, void *context)
{
    schedule(all.life, thread, delay_us, run, context);
}

/* --- Threads --- */

static bool take_message(thread_t *thread, message_t *message)
{
    if (thread->inbox_first == thread->inbox_count) {
        thread->inbox_first = thread->inbox_count = 0;
        return false;
    }
    *message = thread->inbox[thread->inbox_first++];
    return true;
}

static void run_thread(void *context)
{
    thread_t *thread = context;
    thread->busy = true;
    if (thread->own_run != NULL) {
        thread->own_run(thread->own_context);
        return;
    }
    message_t message;
    while (!thread->stopping) {
        while (take_message(thread, &message))
            message.run(message.context);
        thread->busy = false;
        fiber_yield();
        thread->busy = true;
    }
}

thread_t *schedule_thread_of(const char *name, void (*run)(void *context), void *context)
{
    thread_t *thread = must_calloc(1, sizeof *thread);
    thread->name = name;
    thread->own_run = run;
    thread->own_context = context;
    thread->fiber = fiber_new(run_thread, thread);
    for (size_t i = 0; i < THREADS_MAX; i++)
        if (all.threads[i] == NULL) {
            all.threads[i] = thread;
            return thread;
        }
    MUST(!"too many threads");
    return NULL;
}

thread_t *schedule_thread(const char *name)
{
    return schedule_thread_of(name, NULL, NULL);
}

static int64_t hold_up_us(void)
{
    unsigned kind = random_below(all.random, 100);
    if (kind < 25)
        return 0;
    if (kind < 65)
        return random_between(all.random, 0, 1000);
    return random_between(all.random, 0, kind < 97 ? 20000 : 400000);
}

static void go_on(thread_t *thread)
{
    all.current = thread;
    fiber_resume(thread->fiber);
    all.current = NULL;
    if (thread->held_up && !all.dying)
        schedule_for_node(thread, hold_up_us(), NULL, NULL);
}

static void deliver(thread_t *thread, event_t run, void *context)
{
    if (thread->inbox_count == thread->inbox_capacity) {
        thread->inbox_capacity = thread->inbox_capacity ? thread->inbox_capacity * 2 : 16;
        thread->inbox = realloc(thread->inbox, thread->inbox_capacity * sizeof *thread->inbox);
        MUST(thread->inbox != NULL);
    }
    thread->inbox[thread->inbox_count++] = (message_t){run, context};
    if (!thread->busy)
        go_on(thread);
}

void schedule_preempt(void)
{
    thread_t *thread = all.current;
    if (thread == NULL || thread->locks > 0 || all.dying || !random_chance(all.random, all.preempt_per_mille))
        return;
    note_count(NOTE_PREEMPTIONS);
    thread->held_up = true;
    fiber_yield();
    thread->held_up = false;
}

void schedule_locked(int change)
{
    if (all.current != NULL)
        all.current->locks += change;
}

void schedule_delay(int64_t delay_us)
{
    thread_t *thread = all.current;
    if (thread == NULL || all.dying)
        return;
    MUST(thread->locks == 0);
    schedule_for_node(thread, delay_us, NULL, NULL);
    fiber_yield();
}

/* Its context: which sleep of the thread it ends. */
static void time_out(void *context)
{
    (void)context;
}

static void end_sleep(thread_t *thread, uintptr_t sleep)
{
    if (!thread->asleep || thread->sleeps != sleep)
        return;
    thread->asleep = false;
    thread->timed_out = true;
    go_on(thread);
}

bool schedule_sleep(const void *on, int64_t until_us)
{
    thread_t *thread = all.current;
    MUST(thread != NULL);
    thread->asleep = true;
    thread->sleeps_on = on;
    thread->sleeps++;
    thread->timed_out = false;
    if (until_us != SCHEDULE_NEVER && !all.dying) /* who ends wakes all that sleep */
        schedule_for_node(thread, until_us > all.now_us ? until_us - all.now_us : 0, time_out,
                          (void *)thread->sleeps);
    fiber_yield();
    return !thread->timed_out;
}

static void wake(thread_t *thread)
{
    thread->asleep = false;
    if (!all.dying)
        schedule_for_node(thread, hold_up_us(), NULL, NULL);
}

void schedule_wake(const void *on, bool every)
{
    thread_t *sleepers[THREADS_MAX];
    unsigned count = 0;
    for (size_t i = 0; i < THREADS_MAX; i++)
        if (all.threads[i] != NULL && all.threads[i]->asleep && all.threads[i]->sleeps_on == on)
            sleepers[count++] = all.threads[i];
    if (count > 1 && !every) {
        sleepers[0] = sleepers[random_below(all.random, count)];
        count = 1;
    }
    for (unsigned i = 0; i < count; i++)
        wake(sleepers[i]);
}

void *schedule_thread_room(size_t bytes)
{
    static void *of_main;
    void **room = all.current != NULL ? &all.current->room : &of_main;
    if (*room == NULL)
        *room = must_alloc(bytes);
    return *room;
}

void schedule_name_thread(thread_t *thread, const char *name)
{
    (thread != NULL ? thread : all.current)->name = name;
}

void schedule_node_dies(void)
{
    all.dying = true;
    for (size_t i = 0; i < THREADS_MAX; i++)
        if (all.threads[i] != NULL)
            all.threads[i]->inbox_first = all.threads[i]->inbox_count = 0;
}

bool schedule_node_is_dying(void)
{
    return all.dying;
}

void schedule_finish(thread_t **pointer)
{
    thread_t *thread = *pointer;
    *pointer = NULL;
    MUST(all.dying && all.current == NULL);
    thread->stopping = true;
    while (!fiber_ended(thread->fiber)) {
        MUST(!thread->asleep);
        go_on(thread);
    }
    fiber_free(&thread->fiber);
    for (size_t i = 0; i < THREADS_MAX; i++)
        if (all.threads[i] == thread)
            all.threads[i] = NULL;
    free(thread->inbox);
    free(thread->room);
    free(thread);
}

void schedule_node_ended(void)
{
    all.life++;
    all.dying = false;
}

const char *schedule_thread_name(void)
{
    return all.current != NULL ? all.current->name : "-";
}

bool schedule_in_thread(void)
{
    return all.current != NULL;
}

/* --- Time --- */

void schedule_begin(random_t *random, unsigned preempt_per_mille)
{
    all.random = random;
    all.preempt_per_mille = preempt_per_mille;
    all.now_us = start_us;
    all.moment = 0;
    all.life = 1;
    all.dying = false;
    all.count = 0;
}

void schedule_end(void)
{
    for (size_t i = 0; i < THREADS_MAX; i++)
        MUST(all.threads[i] == NULL);
    free(all.heap);
    all.heap = NULL;
    all.count = all.capacity = 0;
}

int64_t schedule_now_us(void)
{
    return all.now_us;
}

int64_t schedule_now_ms(void)
{
    return all.now_us / 1000;
}

uint64_t schedule_moment(void)
{
    return ++all.moment;
}

void schedule_run(void)
{
    enum { GRACE_PERIODS_PER_MILLE = 60 };
    while (all.count > 0) {
        entry_t next = pop();
        if (next.life != 0 && next.life != all.life)
            continue;
        all.now_us = next.time_us;
        if (next.thread == NULL)
            next.run(next.context);
        else if (next.run == NULL)
            go_on(next.thread);
        else if (next.run == time_out)
            end_sleep(next.thread, (uintptr_t)next.context);
        else
            deliver(next.thread, next.run, next.context);
        if (random_chance(all.random, GRACE_PERIODS_PER_MILLE))
            interpose_grace_period();
    }
}
