/* What the page cache does not hold is asked of a device, which may be late, fail, or not be waited for. */
#include "edge/cache/disk/disk_private.h"
#include "edge/cache/memory_private.h"
#include "tests/unit/disk_world.h"

/* --- Devices that are asked --- */

static unsigned uses_of(const object_t *object)
{
    const home_t *home = object_home(object);
    return atomic_load(&home->policy.frequency);
}

static void who_asks_a_device_waits_and_is_woken(void **state)
{
    (void)state;
    client_t client;
    store("/a", NULL, LINES(FRESH), "hello");
    settle_and_evict();
    atomic_store(&uncached, true);
    ask(&client, "/a", NULL);
    assert_int_equal(client.step.kind, WALK_WAIT);
    sem_wait(&woken);
    assert_false(wait_of_client.in_vain);
    client.walk.again = true;
    client_again(&world, &client);
    assert_int_equal(client.step.kind, WALK_HIT);
    /* That was one use: else all that a device is asked for would push out what is asked for often. */
    assert_int_equal(uses_of(client.reader.object), 0);
    assert_reads(&client, "hello", READ_END);
    client_leave(&client);
    assert_int_equal(disk_status(disk).counts.reads_from_device, 1);
}

static void a_device_that_is_late_is_done_without(void **state)
{
    (void)state;
    client_t client;
    store("/a", NULL, LINES(FRESH), "hello");
    settle_and_evict();
    atomic_store(&uncached, true);
    atomic_store(&held, 1);
    ask(&client, "/a", NULL);
    assert_int_equal(client.step.kind, WALK_WAIT);
    sem_wait(&woken); /* the clock's doing: the device is still at it */
    assert_true(wait_of_client.in_vain);
    sem_post(&go_on);
    client_leave(&client);
    assert_int_equal(disk_status(disk).counts.read_timeouts, 1);
}

/* All that was asked for has been read, late or not. */
static void await_readers(void)
{
    for (unsigned loads = 1; loads > 0; sched_yield()) {
        disk_lock(&disk->devices[0].lock);
        loads = disk->devices[0].loads;
        disk_unlock(&disk->devices[0].lock);
    }
}

/* The clock tells of it, and the thread that reads when it has done so. */
static void a_late_read_counts_once(void **state)
{
    (void)state;
    enum { LATE = BREAKER_FAILURES - 1 };
    char target[] = "/a";
    for (int i = 0; i < LATE; i++, target[1]++)
        store(target, NULL, LINES(FRESH), "hello");
    settle_and_evict();
    atomic_store(&uncached, true);
    atomic_store(&held, LATE);
    for (target[1] = 'a'; target[1] < 'a' + LATE; target[1]++) {
        client_t client;
        ask(&client, target, NULL);
        assert_int_equal(client.step.kind, WALK_WAIT);
        disk_wait_leave(&wait_of_client);
        client_leave(&client);
    }
    while (disk_status(disk).counts.read_timeouts < LATE)
        sched_yield();
    for (int i = 0; i < LATE; i++)
        sem_post(&go_on);
    await_readers();
    world_evict_all(&world);
    client_t client;
    ask(&client, "/a", NULL);
    assert_int_equal(client.step.kind, WALK_WAIT); /* it is asked again */
    sem_wait(&woken);
    client_leave(&client);
}

static void a_device_that_fails_is_a_miss(void **state)
{
    (void)state;
    client_t client;
    store("/a", NULL, LINES(FRESH), "hello");
    settle_and_evict();
    atomic_store(&uncached, true);
    atomic_store(&broken, true);
    ask(&client, "/a", NULL);
    assert_int_equal(client.step.kind, WALK_WAIT);
    sem_wait(&woken);
    assert_true(wait_of_client.in_vain);
    client_leave(&client);
    assert_int_equal(disk_status(disk).counts.read_errors, 1);
}

/* How often a device was asked until it was taken out. */
static int ask_until_taken_out(const char *target, int most)
{
    int asked = 0;
    for (; asked < most && disk_status(disk).failed_devices == 0; asked++) {
        client_t client;
        ask(&client, target, NULL);
        if (client.step.kind == WALK_WAIT)
            sem_wait(&woken);
        client.walk.disk = NULL; /* it does without */
        client_again(&world, &client);
        if (client.fill != NULL)
            fill_fail(client.fill, (object_failure_t){502, "test"});
        client_leave(&client);
        world_evict_all(&world);
        atomic_fetch_add(&clock_ms, 1100); /* so that a breaker lets one through */
    }
    return asked;
}

static void a_device_that_only_fails_is_taken_out(void **state)
{
    (void)state;
    store("/a", NULL, LINES(FRESH), "hello");
    settle_and_evict();
    atomic_store(&uncached, true);
    atomic_store(&broken, true);
    for (int i = 0; i < 5; i++) { /* a few bad places among good ones */
        assert_int_equal(ask_until_taken_out("/a", 5), 5);
        atomic_store(&broken, false);
        assert_int_equal(ask_until_taken_out("/a", 40), 40);
        atomic_store(&broken, true);
    }
    assert_true(ask_until_taken_out("/a", 100) < 30);
    assert_int_equal(disk_status(disk).failed_devices, 1);
    assert_int_equal(disk_status(disk).records, 0);
    assert_non_null(strstr(said, "read failed"));
    store("/b", NULL, LINES(FRESH), "there"); /* the node goes on */
    assert_string_equal(answer("/b", NULL, false), "there");
}

static void who_leaves_is_not_woken(void **state)
{
    (void)state;
    client_t client;
    store("/a", NULL, LINES(FRESH), "hello");
    settle_and_evict();
    atomic_store(&uncached, true);
    atomic_store(&held, 1);
    ask(&client, "/a", NULL);
    assert_int_equal(client.step.kind, WALK_WAIT);
    disk_wait_leave(&wait_of_client);
    sem_post(&go_on);
    stop();
    assert_int_equal(sem_trywait(&woken), -1);
    start(DISK_ALWAYS);
}

int main(void)
{
    sem_init(&woken, 0, 0);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(who_asks_a_device_waits_and_is_woken, setup, teardown),
        cmocka_unit_test_setup_teardown(a_device_that_is_late_is_done_without, setup, teardown),
        cmocka_unit_test_setup_teardown(a_late_read_counts_once, setup, teardown),
        cmocka_unit_test_setup_teardown(a_device_that_fails_is_a_miss, setup, teardown),
        cmocka_unit_test_setup_teardown(a_device_that_only_fails_is_taken_out, setup, teardown),
        cmocka_unit_test_setup_teardown(who_leaves_is_not_woken, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
