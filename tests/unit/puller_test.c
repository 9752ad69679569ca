/* The puller's end: what is submitted while it stops, or after it has, fails and is given back. */
#include "tests/unit/cache_world.h"

#include <pthread.h>
#include <sched.h>

#include "edge/observe/counters.h"
#include "origin_pull/puller.h"

enum { SUBMITTERS = 3, SUBMITTED = 200 };

static configuration_t configuration = {.magic = CONFIGURATION_MAGIC};
/* Nobody listens on port 1. */
static settings_site_t site = {.name = {"www", 3},
                               .origin = {.port = 1},
                               .origin_url = {"http://127.0.0.1:1", 18},
                               .origin_host = {"127.0.0.1:1", 11},
                               .connect_timeout_ms = 1000,
                               .first_byte_timeout_ms = 1000,
                               .between_bytes_timeout_ms = 1000};

static int64_t now_ms(void)
{
    return NOW_MS;
}

static puller_t *start(void)
{
    const puller_config_t config = {.cdn_loop = TEXT("test"), .now_ms = now_ms};
    world_begin(&world, 64 * MIB, 8 * MIB);
    counters_attach();
    atomic_store(&configuration.references, 1);
    return puller_start(&config);
}

static void end(puller_t **puller)
{
    puller_free(puller);
    assert_int_equal(gauge_get(GAUGE_FILLS), 0);
    assert_int_equal(atomic_load(&configuration.references), 1);
    world_end(&world);
}

static void ask(puller_t *puller, client_t *client, const char *target)
{
    client_ask(&world, client, target, NULL);
    assert_int_equal(client->step.kind, WALK_FILL);
    puller_submit(puller, &client->fill, &configuration, &site);
    assert_null(client->fill);
}

static void what_is_submitted_to_a_stopped_one_fails_at_once(void **state)
{
    (void)state;
    puller_t *puller = start();
    puller_stop(puller);
    client_t client;
    ask(puller, &client, "/late");
    assert_reads(&client, "", READ_FAILED);
    object_failure_t failure = object_failure(client.reader.object);
    assert_int_equal(failure.status, 503);
    assert_string_equal(failure.detail, "shutting_down");
    client_leave(&client);
    end(&puller);
}

/* --- A reader that leaves at once --- */

void __real_object_set_filler(object_t *object, object_filler_t *filler);
void __wrap_object_set_filler(object_t *object, object_filler_t *filler);

static puller_t *puller_of_leaver;
static client_t *leaver;

/* It leaves as soon as that can be told, and all that the puller was told by then is done. */
void __wrap_object_set_filler(object_t *object, object_filler_t *filler)
{
    client_t *leaves = leaver, other;
    __real_object_set_filler(object, filler);
    if (leaves == NULL || filler == NULL)
        return;
    leaver = NULL;
    object_leave(&leaves->reader);
    ask(puller_of_leaver, &other, "/other");
    while (object_end(other.reader.object) == OBJECT_OPEN)
        sched_yield();
    client_leave(&other);
}

static void who_leaves_as_it_is_submitted_does_not_end_it_first(void **state)
{
    (void)state;
    puller_t *puller = puller_of_leaver = start();
    client_t client;
    client_ask(&world, &client, "/left", NULL);
    leaver = &client;
    puller_submit(puller, &client.fill, &configuration, &site);
    puller_stop(puller);
    end(&puller);
}

/* --- The end --- */

typedef struct {
    puller_t *puller;
    unsigned number;
    pthread_barrier_t *stopped;
    _Atomic unsigned *submitted;
    unsigned unfinished; /* read after the thread was joined */
} submitter_t;

static void *submit(void *context)
{
    submitter_t *submitter = context;
    static client_t clients[SUBMITTERS][SUBMITTED];
    memory_attach_thread();
    counters_attach();
    for (unsigned i = 0; i < SUBMITTED; i++) {
        char target[32];
        snprintf(target, sizeof target, "/%u/%u", submitter->number, i);
        ask(submitter->puller, &clients[submitter->number][i], target);
        atomic_fetch_add(submitter->submitted, 1);
    }
    pthread_barrier_wait(submitter->stopped);
    for (unsigned i = 0; i < SUBMITTED; i++) {
        client_t *client = &clients[submitter->number][i];
        body_span_t span;
        submitter->unfinished += object_read(&client->reader, 7, &span) != READ_FAILED;
        client_leave(client);
    }
    memory_detach_thread();
    return NULL;
}

static void what_is_submitted_while_it_stops_ends(void **state)
{
    (void)state;
    puller_t *puller = start();
    pthread_barrier_t stopped;
    _Atomic unsigned submitted = 0;
    submitter_t submitters[SUBMITTERS];
    pthread_t threads[SUBMITTERS];
    pthread_barrier_init(&stopped, NULL, SUBMITTERS + 1);
    for (unsigned i = 0; i < SUBMITTERS; i++) {
        submitters[i] = (submitter_t){puller, i, &stopped, &submitted, 0};
        assert_int_equal(pthread_create(&threads[i], NULL, submit, &submitters[i]), 0);
    }
    while (atomic_load(&submitted) < SUBMITTED / 2)
        sched_yield();
    puller_stop(puller);
    pthread_barrier_wait(&stopped);
    for (unsigned i = 0; i < SUBMITTERS; i++) {
        assert_int_equal(pthread_join(threads[i], NULL), 0);
        assert_int_equal(submitters[i].unfinished, 0);
    }
    pthread_barrier_destroy(&stopped);
    end(&puller);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(who_leaves_as_it_is_submitted_does_not_end_it_first),
        cmocka_unit_test(what_is_submitted_to_a_stopped_one_fails_at_once),
        cmocka_unit_test(what_is_submitted_while_it_stops_ends),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
