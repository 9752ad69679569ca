/* The memory tier: what a home holds and when it goes; room; accounts that come back to nothing; and many
 * threads at once. */
#include "tests/unit/cache_world.h"

#include <pthread.h>

#define FRESH "cache-control: max-age=60"

static cache_key_t key_of(const char *target)
{
    return cache_key(TEXT("www"), text_of(target));
}

static object_t *new_object(const cache_key_t *key)
{
    return memory_new_object(world.memory, &key->subject, ledger_sequence(world.ledger));
}

/* Gives it a head and a body of so many bytes, and completes it. */
static void fill_up_at(object_t *object, size_t length, int64_t now_ms)
{
    http_field_t list[8];
    http_storing_t storing = {.storable = true, .shareable = true, .lifetime_ms = 60000};
    head_t *head = head_new(memory_account(world.memory), 200, fields_of(list, LINES(FRESH)), (int64_t)length,
                            &storing, now_ms, NULL);
    object_begin(object, &head, OBJECT_SHAREABLE | OBJECT_ADMITTED);
    char *bytes = must_calloc(1, length + 1);
    object_append(object, bytes, length);
    free(bytes);
    object_complete(object);
}

static void fill_up(object_t *object, size_t length)
{
    fill_up_at(object, length, NOW_MS);
}

static bool begin_growing(const cache_key_t *key, object_t *object, const memory_view_t *seen)
{
    home_t *home = memory_home(world.memory, key, NULL);
    bool begun = memory_begin(world.memory, home, object, seen);
    home_unref(&home);
    return begun;
}

static void a_growing_object_becomes_the_stored_one(void **state)
{
    (void)state;
    cache_key_t key = key_of("/a");
    object_t *object = new_object(&key);
    assert_true(begin_growing(&key, object, NULL));
    memory_view_t view = memory_look(world.memory, &key, NULL);
    assert_true(view.growing == object && view.stored == NULL && view.variants == NULL);
    memory_view_drop(&view);
    fill_up(object, 100);
    assert_int_equal(memory_objects(world.memory), 0);
    assert_true(memory_store(world.memory, object));
    assert_int_equal(memory_objects(world.memory), 1);
    assert_false(memory_store(world.memory, object)); /* grows no more */
    assert_false(memory_withdraw(world.memory, object, 0));
    view = memory_look(world.memory, &key, NULL);
    assert_true(view.growing == NULL && view.stored == object);
    memory_view_drop(&view);
    object_unref(&object);
}

/* Between the look and the beginning anything may have happened: then it is looked at again. */
static void a_begin_finds_what_was_seen_or_nothing(void **state)
{
    (void)state;
    cache_key_t key = key_of("/a");
    memory_view_t nothing = memory_look(world.memory, &key, NULL);
    object_t *first = new_object(&key), *second = new_object(&key), *third = new_object(&key);
    assert_true(begin_growing(&key, first, &nothing));
    assert_false(begin_growing(&key, second, &nothing));
    assert_false(begin_growing(&key, second, NULL));
    memory_view_t growing = memory_look(world.memory, &key, NULL);
    assert_true(begin_growing(&key, second, &growing)); /* takes its place */
    assert_false(begin_growing(&key, third, &growing));
    fill_up(first, 5);
    assert_false(memory_store(world.memory, first));
    fill_up(second, 6);
    assert_true(memory_store(world.memory, second));
    /* Complete in the meantime: one more fill would be one too many. */
    assert_false(begin_growing(&key, third, &nothing));
    assert_false(begin_growing(&key, third, &growing));
    assert_true(begin_growing(&key, third, NULL));
    assert_true(memory_withdraw(world.memory, third, 0));
    memory_view_drop(&growing);
    object_unref(&first);
    object_unref(&second);
    object_unref(&third);
}

/* A home made for a beginning that fails is not left behind (memory_free() would find it). */
static void a_home_made_for_nothing_goes(void **state)
{
    (void)state;
    cache_key_t key = key_of("/a");
    object_t *gone = new_object(&key), *late = new_object(&key);
    assert_true(begin_growing(&key, gone, NULL));
    memory_view_t seen = memory_look(world.memory, &key, NULL);
    assert_true(memory_withdraw(world.memory, gone, 0));
    assert_false(begin_growing(&key, late, &seen));
    memory_view_drop(&seen);
    object_unref(&gone);
    object_unref(&late);
    memory_settle();
    assert_int_equal(atomic_load(&memory_account(world.memory)->bytes), 0);
}

/* Withdrawn, then put in again, as when a fill asks a second time. */
static void an_object_may_begin_twice(void **state)
{
    (void)state;
    cache_key_t key = key_of("/a");
    object_t *object = new_object(&key);
    assert_true(begin_growing(&key, object, NULL));
    assert_true(memory_withdraw(world.memory, object, 0));
    assert_true(begin_growing(&key, object, NULL));
    fill_up(object, 10);
    assert_true(memory_store(world.memory, object));
    object_unref(&object);
}

static void a_mark_stays_until_it_is_lifted(void **state)
{
    (void)state;
    cache_key_t key = key_of("/a");
    object_t *object = new_object(&key);
    assert_true(begin_growing(&key, object, NULL));
    assert_true(memory_withdraw(world.memory, object, NOW_MS + 5));
    object_unref(&object);
    memory_view_t view = memory_look(world.memory, &key, NULL);
    assert_int_equal(view.bypass_until_ms, NOW_MS + 5);
    assert_int_equal(view.bypass_stamp, 0);
    object = new_object(&key);
    assert_true(begin_growing(&key, object, NULL));
    fill_up(object, 1);
    assert_true(memory_store(world.memory, object));
    object_unref(&object);
    view = memory_look(world.memory, &key, NULL);
    assert_int_equal(view.bypass_until_ms, 0);
    memory_view_drop(&view);
}

/* A mark weighs something too, and is evicted like anything else. */
static void marks_make_room(void **state)
{
    (void)state;
    for (int i = 0; i < 1000; i++) {
        char target[16];
        snprintf(target, sizeof target, "/%d", i);
        cache_key_t key = key_of(target);
        object_t *object = new_object(&key);
        assert_true(begin_growing(&key, object, NULL));
        assert_true(memory_withdraw(world.memory, object, NOW_MS + 5));
        object_unref(&object);
    }
    assert_true(memory_bytes(world.memory) > 1000 * 100);
    world_evict_all(&world);
    assert_int_equal(memory_bytes(world.memory), 0);
}

static void what_is_stored_stays_within_the_limit(void **state)
{
    (void)state;
    for (int i = 0; i < 200; i++) {
        char target[16];
        snprintf(target, sizeof target, "/%d", i);
        cache_key_t key = key_of(target);
        object_t *object = new_object(&key);
        assert_true(begin_growing(&key, object, NULL));
        fill_up(object, MIB);
        assert_true(memory_store(world.memory, object));
        object_unref(&object);
        assert_true(memory_bytes(world.memory) <= memory_limit(world.memory));
    }
    assert_in_range(memory_objects(world.memory), 50, 64);
}

/* What a reader holds counts after it was evicted, and no eviction can give it back. */
static void readers_of_evicted_objects_count(void **state)
{
    (void)state;
    cache_key_t key = key_of("/a");
    object_t *object = new_object(&key);
    assert_true(begin_growing(&key, object, NULL));
    fill_up(object, 3 * MIB);
    assert_true(memory_store(world.memory, object));
    world_evict_all(&world);
    assert_int_equal(memory_objects(world.memory), 0);
    assert_true(memory_bytes(world.memory) >= 3 * MIB);
    object_reader_t reader;
    object_open(&object, &reader);
    body_span_t span;
    assert_int_equal(object_read(&reader, SIZE_MAX, &span), READ_BYTES);
    object_leave(&reader);
    assert_in_range(memory_bytes(world.memory), BLOCK_BYTES, BLOCK_BYTES + 8192);
    block_unref(&span.block);
    assert_int_equal(memory_bytes(world.memory), 0);
}

/* What readers hold cannot be evicted: it must not cost all others their place. */
static void readers_who_hold_more_than_the_limit_leave_half_of_it_to_the_rest(void **state)
{
    (void)state;
    enum { HELD = 80 };
    object_reader_t readers[HELD];
    for (int i = 0; i < HELD; i++) { /* stored, replaced, and still being read */
        cache_key_t key = key_of("/held");
        object_t *object = new_object(&key);
        assert_true(begin_growing(&key, object, NULL));
        fill_up(object, MIB);
        memory_store(world.memory, object);
        object_open(&object, &readers[i]);
    }
    assert_true(memory_is_pressed(world.memory));
    uint64_t limit = memory_limit(world.memory);
    assert_in_range(memory_pinned_bytes(world.memory), (HELD - 1) * (uint64_t)MIB,
                    (HELD + 1) * (uint64_t)MIB);
    for (int i = 0; i < 100; i++) {
        char target[16];
        snprintf(target, sizeof target, "/%d", i);
        cache_key_t key = key_of(target);
        object_t *object = new_object(&key);
        assert_true(begin_growing(&key, object, NULL));
        fill_up(object, MIB);
        assert_true(memory_store(world.memory, object));
        object_unref(&object);
        assert_false(memory_make_room(world.memory, 0));
    }
    assert_in_range(memory_objects(world.memory), limit / MEMORY_KEPT_PART / MIB - 2,
                    limit / MEMORY_KEPT_PART / MIB);
    for (int i = 0; i < HELD; i++)
        object_leave(&readers[i]);
    assert_false(memory_is_pressed(world.memory));
    assert_true(memory_make_room(world.memory, 0));
    assert_true(memory_pinned_bytes(world.memory) < MIB);
}

static void forgetting_takes_only_what_is_meant(void **state)
{
    (void)state;
    cache_key_t key = key_of("/a");
    object_t *old = new_object(&key), *new = new_object(&key);
    assert_true(begin_growing(&key, old, NULL));
    fill_up(old, 1);
    assert_true(memory_store(world.memory, old));
    assert_true(begin_growing(&key, new, NULL));
    fill_up(new, 2);
    assert_true(memory_store(world.memory, new));
    memory_forget(world.memory, old); /* replaced already */
    assert_int_equal(memory_objects(world.memory), 1);
    memory_forget(world.memory, new);
    memory_forget(world.memory, new);
    assert_int_equal(memory_objects(world.memory), 0);
    object_unref(&old);
    object_unref(&new);
}

static bool is_there(void *context, const ledger_hash_t *name)
{
    (void)context;
    (void)name;
    return true;
}

/* What a record of the object says, from such a time, enters memory. */
static void load(const cache_key_t *key, const object_t *of, int64_t now_ms)
{
    object_t *object =
        memory_new_object_as(world.memory, &key->subject, object_stamp(of), object_body_version(of));
    fill_up_at(object, 1, now_ms);
    object_t *stored = memory_put_loaded(world.memory, key, NULL, object, is_there, NULL);
    assert_true(stored == object);
    object_unref(&stored);
    object_unref(&object);
}

/* Evicted and read again it is another object, mostly in another home. */
static void what_is_forgotten_was_read_from_below_again(void **state)
{
    (void)state;
    cache_key_t key = key_of("/a");
    object_t *object = new_object(&key), *next = new_object(&key);
    assert_true(begin_growing(&key, object, NULL));
    fill_up(object, 1);
    assert_true(memory_store(world.memory, object));
    memory_evict_all(world.memory);
    load(&key, object, NOW_MS);
    memory_forget(world.memory, object);
    assert_int_equal(memory_objects(world.memory), 0);
    assert_true(begin_growing(&key, next, NULL));
    load(&key, object, NOW_MS); /* where something grows by now */
    memory_forget(world.memory, object);
    assert_int_equal(memory_objects(world.memory), 0);
    load(&key, object, NOW_MS + 1); /* confirmed since */
    memory_forget(world.memory, object);
    assert_int_equal(memory_objects(world.memory), 1);
    assert_true(memory_withdraw(world.memory, next, 0));
    object_unref(&object);
    object_unref(&next);
}

static void count_gone(void *context, const ledger_hash_t *name)
{
    (void)name;
    ++*(unsigned *)context;
}

/* It may have been read from below since somebody found nothing here. */
static void what_is_buried_is_nowhere(void **state)
{
    (void)state;
    unsigned gone = 0;
    cache_key_t key = key_of("/a");
    memory_set_below(world.memory, &(memory_below_t){.context = &gone, .gone = count_gone});
    memory_bury(world.memory, &key, NULL, (text_t){NULL, 0});
    assert_int_equal(gone, 1);
    object_t *object = new_object(&key);
    fill_up(object, 1);
    load(&key, object, NOW_MS);
    memory_bury(world.memory, &key, NULL, TEXT("\"1\""));
    assert_int_equal(gone, 1);
    assert_int_equal(memory_objects(world.memory), 1);
    memory_bury(world.memory, &key, NULL, (text_t){NULL, 0});
    assert_int_equal(gone, 2);
    assert_int_equal(memory_objects(world.memory), 0);
    memory_set_below(world.memory, NULL);
    object_unref(&object);
}

/* Between the look for a home and the lock of its shard (ld --wrap): once, if there is something to do. */
static void (*meanwhile)(void);
home_t *__real_memory_home(memory_t *memory, const cache_key_t *key, const cache_variant_t *variant);
home_t *__wrap_memory_home(memory_t *memory, const cache_key_t *key, const cache_variant_t *variant);
home_t *__wrap_memory_home(memory_t *memory, const cache_key_t *key, const cache_variant_t *variant)
{
    home_t *home = __real_memory_home(memory, key, variant);
    void (*now)(void) = meanwhile;
    meanwhile = NULL;
    if (now != NULL)
        now();
    return home;
}

static object_t *to_be_read_again;

static void evict_and_read_again(void)
{
    cache_key_t key = key_of("/a");
    memory_evict_all(world.memory);
    load(&key, to_be_read_again, NOW_MS);
}

static void what_is_invalidated_was_read_from_below_again(void **state)
{
    (void)state;
    cache_key_t key = key_of("/a");
    to_be_read_again = new_object(&key);
    assert_true(begin_growing(&key, to_be_read_again, NULL));
    fill_up(to_be_read_again, 1);
    assert_true(memory_store(world.memory, to_be_read_again));
    meanwhile = evict_and_read_again;
    memory_invalidate(world.memory, &key);
    assert_null(meanwhile);
    assert_int_equal(memory_objects(world.memory), 0);
    object_unref(&to_be_read_again);
}

static void invalidation_forgets_all_and_stops_what_grows(void **state)
{
    (void)state;
    cache_key_t key = key_of("/a");
    memory_invalidate(world.memory, &key); /* nothing there */
    object_t *stored = new_object(&key), *growing = new_object(&key);
    assert_true(begin_growing(&key, stored, NULL));
    fill_up(stored, 1);
    assert_true(memory_store(world.memory, stored));
    assert_true(begin_growing(&key, growing, NULL));
    memory_invalidate(world.memory, &key);
    memory_view_t view = memory_look(world.memory, &key, NULL);
    assert_true(view.stored == NULL && view.growing == NULL);
    fill_up(growing, 1);
    assert_false(memory_store(world.memory, growing));
    object_unref(&stored);
    object_unref(&growing);
}

/* --- Variants --- */

static http_vary_t vary_of(const char *value, http_vary_names_t *names)
{
    http_field_t field = {TEXT("vary"), text_of(value)};
    return http_vary((http_fields_t){&field, 1}, names);
}

static bool to_variant(object_t *object, const char *vary, const char *line)
{
    http_vary_names_t names;
    http_field_t list[8];
    http_vary_t what = vary_of(vary, &names);
    return memory_to_variant(world.memory, object, &what, fields_of(list, LINES(line)));
}

/* Two fills began before it was known that the key varies, as one replaced the other; both turn out to be the
 * same variant: the second finds its place taken. */
static void the_variants_place_may_be_taken(void **state)
{
    (void)state;
    cache_key_t key = key_of("/v");
    object_t *first = new_object(&key), *second = new_object(&key);
    assert_true(begin_growing(&key, first, NULL));
    assert_true(to_variant(first, "a", "a: 1"));
    assert_true(begin_growing(&key, second, NULL));
    assert_false(to_variant(second, "a", "a: 1"));
    assert_true(text_equal(object_selector(second), object_selector(first)));
    fill_up(second, 1);
    assert_true(memory_withdraw(world.memory, second, 0)); /* it was left where it was */
    fill_up(first, 1);
    assert_true(memory_store(world.memory, first));
    assert_int_equal(memory_objects(world.memory), 1);
    object_unref(&first);
    object_unref(&second);
}

/* It was replaced before its head came: it goes nowhere, and what is stored stays. */
static void a_replaced_object_does_not_become_a_variant(void **state)
{
    (void)state;
    cache_key_t key = key_of("/v");
    object_t *old = new_object(&key), *new = new_object(&key);
    assert_true(begin_growing(&key, old, NULL));
    memory_view_t seen = memory_look(world.memory, &key, NULL);
    assert_true(begin_growing(&key, new, &seen));
    memory_view_drop(&seen);
    assert_false(to_variant(old, "a", "a: 1"));
    fill_up(old, 1);
    assert_false(memory_store(world.memory, old));
    assert_true(to_variant(new, "a", "a: 1"));
    fill_up(new, 1);
    assert_true(memory_store(world.memory, new));
    object_unref(&old);
    object_unref(&new);
}

static void more_names_make_a_new_node(void **state)
{
    (void)state;
    cache_key_t key = key_of("/v");
    object_t *first = new_object(&key), *second = new_object(&key);
    assert_true(begin_growing(&key, first, NULL));
    assert_true(to_variant(first, "a", "a: 1"));
    fill_up(first, 1);
    assert_true(memory_store(world.memory, first));
    memory_view_t before = memory_look(world.memory, &key, NULL);
    assert_true(begin_growing(&key, second, NULL));
    assert_true(to_variant(second, "b", "a: 1"));
    memory_view_t after = memory_look(world.memory, &key, NULL);
    assert_true(before.variants != after.variants);
    assert_int_equal(variants_vary(after.variants)->count, 2);
    fill_up(second, 1);
    assert_true(memory_store(world.memory, second));
    memory_view_drop(&before);
    memory_view_drop(&after);
    object_unref(&first);
    object_unref(&second);
}

/* --- Many threads --- */

enum { READERS = 4, KEYS = 24, ROUNDS = 4000, BODY_MOST = 40000 };

/* What the reading threads left to be filled; one thread fills, as in the daemon. */
typedef struct job {
    struct job *next;
    fill_t *fill;
    object_filler_t filler;
    _Atomic unsigned events;
    unsigned version; /* of the origin's content when it was asked */
} job_t;

static struct {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    job_t *jobs, **last;
    bool over;
    /* What the origin serves; a purge goes with each new one. */
    _Atomic unsigned content;
    _Atomic unsigned acknowledged;
    _Atomic unsigned hits, joins, fills, passes, backgrounds, wrong;
} stress;

typedef struct {
    object_reader_t reader;
    pthread_mutex_t lock;
    pthread_cond_t woken;
    bool awake;
} sleeper_t;

static void wake_sleeper(object_reader_t *reader)
{
    sleeper_t *sleeper = CONTAINER_OF(reader, sleeper_t, reader);
    pthread_mutex_lock(&sleeper->lock);
    sleeper->awake = true;
    pthread_cond_signal(&sleeper->woken);
    pthread_mutex_unlock(&sleeper->lock);
}

static void sleep_until_woken(sleeper_t *sleeper)
{
    pthread_mutex_lock(&sleeper->lock);
    while (!sleeper->awake)
        pthread_cond_wait(&sleeper->woken, &sleeper->lock);
    sleeper->awake = false;
    pthread_mutex_unlock(&sleeper->lock);
}

static void note_events(object_filler_t *filler, unsigned events)
{
    atomic_fetch_or(&CONTAINER_OF(filler, job_t, filler)->events, events);
}

static void post_fill(const walk_t *walk, walk_step_t *step, object_t *object)
{
    fill_request_t request = {.memory = world.memory,
                              .method = TEXT("GET"),
                              .key = walk->key,
                              .fields = walk->fields,
                              .object = object,
                              .base = step->base,
                              .stale = step->stale,
                              .indexed = step->background != NULL || step->kind == WALK_FILL,
                              .background = step->background != NULL};
    job_t *job = must_calloc(1, sizeof *job);
    job->fill = fill_new(&request);
    job->filler.notify = note_events;
    object_set_filler(object, &job->filler);
    pthread_mutex_lock(&stress.lock);
    *stress.last = job;
    stress.last = &job->next;
    pthread_cond_signal(&stress.changed);
    pthread_mutex_unlock(&stress.lock);
}

static job_t *next_job(void)
{
    pthread_mutex_lock(&stress.lock);
    while (stress.jobs == NULL && !stress.over)
        pthread_cond_wait(&stress.changed, &stress.lock);
    job_t *job = stress.jobs;
    if (job != NULL && (stress.jobs = job->next) == NULL)
        stress.last = &stress.jobs;
    pthread_mutex_unlock(&stress.lock);
    return job;
}

/* Offers again what finds no memory while readers hold it; but those may wait for what this thread is to fill
 * next, so not for ever. */
static void give(fill_t *fill, const char *bytes, size_t length)
{
    enum { PATIENCE = 1000 };
    size_t taken = 0;
    for (unsigned tries = 1; fill_bytes(fill, bytes, length, &taken) == FILL_PAUSE; tries++) {
        bytes += taken;
        length -= taken;
        if (tries % PATIENCE == 0)
            fill_stalled(fill);
        sched_yield();
    }
}

/* The body says in every byte which content it is. */
static void answer(job_t *job, uint64_t random)
{
    bool varies = random % 3 == 0, fails = random % 17 == 0, private = random % 29 == 0;
    bool is_stale = random % 5 == 0; /* and used so: the next one has it asked for in the background */
    size_t length = (size_t)(random >> 8) % BODY_MOST, half = length / 2;
    http_field_t list[8];
    fill_answer_t head = {
        200,
        fields_of(list, LINES(private    ? "cache-control: private"
                              : is_stale ? "cache-control: max-age=0, stale-while-revalidate=9"
                                         : FRESH,
                              varies ? "vary: accept-language" : "x-not: vary")),
        false, true};
    fill_sent(job->fill, NOW_MS);
    char *bytes = must_alloc(length + 1);
    memset(bytes, (int)(atomic_load(&stress.content) & 0xff), length);
    if (fill_head(job->fill, &head, NOW_MS) == FILL_STOP) {
        const char *why = object_failure(fill_object(job->fill)).detail;
        assert_true(strcmp(why, "memory") == 0 || strcmp(why, "abandoned") == 0);
    }
    give(job->fill, bytes, half);
    fill_notified(job->fill, atomic_exchange(&job->events, 0));
    if (fails)
        fill_fail(job->fill, (object_failure_t){502, "test"});
    give(job->fill, bytes + half, length - half);
    fill_complete(job->fill);
    free(bytes);
}

static uint64_t next_random(uint64_t *state)
{
    *state = *state * 6364136223846793005u + 1442695040888963407u;
    return *state >> 20;
}

static void *run_filler(void *context)
{
    (void)context;
    memory_attach_thread();
    uint64_t random = 7;
    for (job_t *job; (job = next_job()) != NULL;) {
        answer(job, next_random(&random));
        fill_free(&job->fill);
        free(job);
    }
    memory_detach_thread();
    return NULL;
}

/* Every byte must be of one content, and of one that was not purged before the request came. */
static void read_all(sleeper_t *sleeper, unsigned acknowledged)
{
    int content = -1;
    for (;;) {
        body_span_t span;
        object_read_t read = object_read(&sleeper->reader, 3000, &span);
        if (read == READ_WAIT) {
            sleep_until_woken(sleeper);
            continue;
        }
        if (read != READ_BYTES)
            return;
        for (size_t i = 0; i < span.length; i++) {
            int byte = (unsigned char)span.bytes[i];
            if (content >= 0 && byte != content)
                atomic_fetch_add(&stress.wrong, 1);
            content = byte;
        }
        if ((uint8_t)((unsigned)content - acknowledged) > 128)
            atomic_fetch_add(&stress.wrong, 1);
        block_unref(&span.block);
    }
}

static void take_step(const walk_t *walk, walk_step_t *step, sleeper_t *sleeper)
{
    _Atomic unsigned *const counts[] = {&stress.hits, &stress.joins, &stress.fills, &stress.passes};
    atomic_fetch_add(counts[step->kind], 1);
    if (step->kind == WALK_FILL || step->kind == WALK_PASS)
        post_fill(walk, step, sleeper->reader.object);
    if (step->background == NULL)
        return;
    atomic_fetch_add(&stress.backgrounds, 1);
    post_fill(walk, step, step->background);
    object_unref(&step->background);
}

static void ask_once(sleeper_t *sleeper, uint64_t random)
{
    char target[8];
    snprintf(target, sizeof target, "/%u", (unsigned)(random % KEYS));
    http_field_t list[8];
    http_fields_t fields =
        fields_of(list, LINES(random & 0x10000 ? "accept-language: en" : "accept-language: de"));
    unsigned acknowledged = atomic_load(&stress.acknowledged);
    walk_t walk = {.memory = world.memory,
                   .ledger = world.ledger,
                   .key = key_of(target),
                   .fields = fields,
                   .sequence = ledger_sequence(world.ledger),
                   .now_ms = NOW_MS,
                   .wake = wake_sleeper};
    walk_step_t step = walk_begin(&walk, &sleeper->reader);
    take_step(&walk, &step, sleeper);
    bool leaves_early = (random & 0xf00000) == 0;
    while (step.kind != WALK_HIT && !leaves_early) {
        if (object_wait_head(&sleeper->reader))
            sleep_until_woken(sleeper);
        walk_head_t head = walk_at_head(&walk, &sleeper->reader);
        if (head == HEAD_SERVE || head == HEAD_FAILED)
            break;
        object_leave(&sleeper->reader);
        step = head == HEAD_ALONE ? walk_private(&walk, &sleeper->reader, FORWARD_BYPASS)
                                  : walk_begin(&walk, &sleeper->reader);
        take_step(&walk, &step, sleeper);
    }
    if (!leaves_early)
        read_all(sleeper, acknowledged);
    object_leave(&sleeper->reader);
    sleeper->awake = false;
}

static void *run_reader(void *context)
{
    memory_attach_thread();
    uint64_t random = (uint64_t)(uintptr_t)context * 7919 + 1;
    sleeper_t sleeper = {.awake = false};
    pthread_mutex_init(&sleeper.lock, NULL);
    pthread_cond_init(&sleeper.woken, NULL);
    for (int i = 0; i < ROUNDS; i++)
        ask_once(&sleeper, next_random(&random));
    pthread_cond_destroy(&sleeper.woken);
    pthread_mutex_destroy(&sleeper.lock);
    memory_detach_thread();
    return NULL;
}

/* New content, a purge of the old, and now and then no room at all. */
static void *run_purger(void *context)
{
    _Atomic bool *over = context;
    memory_attach_thread();
    for (unsigned i = 1; !atomic_load(over); i++) {
        atomic_store(&stress.content, i);
        world_purge(&world, i % 2 ? RULE_EVERYTHING : RULE_SITE, "", false);
        atomic_store(&stress.acknowledged, i);
        unsigned before = atomic_load(&stress.hits) + atomic_load(&stress.joins);
        while (!atomic_load(over) && atomic_load(&stress.hits) + atomic_load(&stress.joins) < before + 40)
            sched_yield();
        cache_key_t key = key_of(i % 2 ? "/1" : "/2");
        memory_invalidate(world.memory, &key);
        memory_sweep(world.memory, world.ledger, NOW_MS);
        memory_make_room(world.memory, 0);
    }
    memory_detach_thread();
    return NULL;
}

static void many_threads(void **state)
{
    (void)state;
    pthread_t readers[READERS], filler, purger;
    _Atomic bool over = false;
    stress.last = &stress.jobs;
    pthread_mutex_init(&stress.lock, NULL);
    pthread_cond_init(&stress.changed, NULL);
    assert_int_equal(pthread_create(&filler, NULL, run_filler, NULL), 0);
    assert_int_equal(pthread_create(&purger, NULL, run_purger, &over), 0);
    for (size_t i = 0; i < READERS; i++)
        assert_int_equal(pthread_create(&readers[i], NULL, run_reader, (void *)(i + 1)), 0);
    for (size_t i = 0; i < READERS; i++)
        pthread_join(readers[i], NULL);
    atomic_store(&over, true);
    pthread_join(purger, NULL);
    pthread_mutex_lock(&stress.lock);
    stress.over = true;
    pthread_cond_signal(&stress.changed);
    pthread_mutex_unlock(&stress.lock);
    pthread_join(filler, NULL);
    print_message("hits %u, joins %u, fills %u, alone %u, in the background %u, purges %llu\n", stress.hits,
                  stress.joins, stress.fills, stress.passes, stress.backgrounds,
                  (unsigned long long)world.sequence);
    assert_int_equal(stress.wrong, 0);
    assert_true(stress.hits > 100 && stress.joins > 100 && stress.fills > 100 && stress.passes > 10 &&
                stress.backgrounds > 10);
    memory_settle();
}

static int begin_small(void **state)
{
    (void)state;
    world_begin(&world, 400000, 100000); /* evicts all the time */
    return 0;
}

int main(void)
{
#define STORY(name) cmocka_unit_test_setup_teardown(name, world_setup, world_teardown)
    const struct CMUnitTest tests[] = {
        STORY(a_growing_object_becomes_the_stored_one),
        STORY(a_begin_finds_what_was_seen_or_nothing),
        STORY(a_home_made_for_nothing_goes),
        STORY(an_object_may_begin_twice),
        STORY(a_mark_stays_until_it_is_lifted),
        STORY(marks_make_room),
        STORY(what_is_stored_stays_within_the_limit),
        STORY(readers_of_evicted_objects_count),
        STORY(readers_who_hold_more_than_the_limit_leave_half_of_it_to_the_rest),
        STORY(forgetting_takes_only_what_is_meant),
        STORY(what_is_forgotten_was_read_from_below_again),
        STORY(what_is_buried_is_nowhere),
        STORY(invalidation_forgets_all_and_stops_what_grows),
        STORY(what_is_invalidated_was_read_from_below_again),
        STORY(the_variants_place_may_be_taken),
        STORY(a_replaced_object_does_not_become_a_variant),
        STORY(more_names_make_a_new_node),
        cmocka_unit_test_setup_teardown(many_threads, begin_small, world_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
