/* The thread that writes: what it wrote is on the device a moment later, whether anything more comes or not.
 */
#include "tests/unit/disk_world.h"

/* --- What is on the device --- */

/* How many writes there were, and how many of them when the last sync that ended began. */
static _Atomic unsigned writes, synced, syncs;
static sem_t sync_ended;

static ssize_t write_noted(void *context, int file, const void *bytes, size_t length, uint64_t offset)
{
    atomic_fetch_add(&writes, 1);
    return write_device(context, file, bytes, length, offset);
}

static int sync_noted(void *context, int file)
{
    unsigned before = atomic_load(&writes);
    int result = real_io.sync(context, file);
    atomic_fetch_add(&syncs, 1);
    atomic_store(&synced, before);
    sem_post(&sync_ended);
    return result;
}

static void start_noted(void)
{
    char error[DISK_ERROR_MAX];
    disk_config_t config = config_of(DISK_ALWAYS);
    io.write = write_noted;
    io.sync = sync_noted;
    disk = disk_start(&config, error);
    assert_non_null(disk);
    disk_settle(disk);
}

static int setup_noted(void **state)
{
    setup(state);
    stop();
    sem_init(&sync_ended, 0, 0);
    start_noted();
    store("/first", NULL, LINES(FRESH), "a segment begins");
    return 0;
}

static int teardown_noted(void **state)
{
    int result = teardown(state);
    sem_destroy(&sync_ended);
    return result;
}

/* No more traffic comes. How long it took. */
static int64_t await_clean(void)
{
    int64_t began = monotonic();
    while (atomic_load(&synced) != atomic_load(&writes))
        sem_wait(&sync_ended);
    return monotonic() - began;
}

static void what_is_written_is_on_the_device_a_moment_later(void **state)
{
    (void)state;
    store("/a", NULL, LINES(FRESH), "hello");
    disk_settle(disk);
    await_clean();
}

/* As long as a read takes that nobody waits for any more. */
static void let_time_pass(const char *target)
{
    client_t client;
    world_evict_all(&world);
    atomic_store(&uncached, true);
    atomic_store(&held, 1);
    ask(&client, target, NULL);
    assert_int_equal(client.step.kind, WALK_WAIT);
    sem_wait(&woken);
    sem_post(&go_on);
    client_leave(&client);
}

static void nothing_is_synced_when_nothing_was_written(void **state)
{
    (void)state;
    disk_settle(disk);
    await_clean();
    unsigned before = atomic_load(&syncs);
    let_time_pass("/first");
    assert_int_equal(atomic_load(&syncs), before);
    store("/a", NULL, LINES(FRESH), "hello");
    disk_settle(disk);
    await_clean();
    assert_int_equal(atomic_load(&syncs), before + 1);
}

/* A loaded machine may be late now and then, but not each time. */
static void what_is_buried_is_on_the_device_sooner(void **state)
{
    (void)state;
    cache_key_t key = cache_key(TEXT("www"), TEXT("/a"));
    int64_t took = INT64_MAX;
    for (int i = 0; i < 20 && took >= 600; i++) {
        store("/a", NULL, LINES(FRESH), "hello");
        disk_settle(disk);
        await_clean();
        memory_invalidate(world.memory, &key);
        disk_settle(disk);
        took = await_clean();
    }
    assert_true(took < 600);
}

static void a_stop_leaves_nothing_to_be_synced(void **state)
{
    (void)state;
    store("/a", NULL, LINES(FRESH), "hello");
    stop();
    assert_int_equal(atomic_load(&synced), atomic_load(&writes));
    start_noted();
    assert_string_equal(answer("/a", NULL, false), "hello");
}

int main(void)
{
    sem_init(&woken, 0, 0);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(what_is_written_is_on_the_device_a_moment_later, setup_noted,
                                        teardown_noted),
        cmocka_unit_test_setup_teardown(nothing_is_synced_when_nothing_was_written, setup_noted,
                                        teardown_noted),
        cmocka_unit_test_setup_teardown(what_is_buried_is_on_the_device_sooner, setup_noted, teardown_noted),
        cmocka_unit_test_setup_teardown(a_stop_leaves_nothing_to_be_synced, setup_noted, teardown_noted),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
