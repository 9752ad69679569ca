/* The thread that writes: what it wrote is on the device a moment later, whether anything more comes or not.
 */
#include <sched.h>

#include "edge/cache/disk/record.h"
#include "tests/unit/disk_world.h"

/* --- What is on the device --- */

/* How many writes there were, and how many of them when the last sync that ended began. */
static _Atomic unsigned writes, synced, syncs;
static sem_t sync_ended;

/* Of this tombstone: what was written before it, and with it. */
static uint8_t tombstone[TOMBSTONE_BYTES];
static _Atomic size_t before_it, behind_it;
static _Atomic bool has_come;

static ssize_t write_noted(void *context, int file, const void *bytes, size_t length, uint64_t offset)
{
    atomic_fetch_add(&writes, 1);
    const char *found = memmem(bytes, length, tombstone, sizeof tombstone);
    if (found != NULL && !atomic_exchange(&has_come, true))
        atomic_store(&behind_it, (size_t)((const char *)bytes + length - found));
    else if (!atomic_load(&has_come))
        atomic_fetch_add(&before_it, length);
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

/* --- What is on its way --- */

static void assert_piece_from_disk(const client_t *client)
{
    object_reader_t reader;
    walk_step_t step;
    object_t *sparse = client->reader.object;
    assert_true(walk_finds_piece(&client->walk, sparse, piece_at(sparse, 0)));
    assert_true(walk_piece(&client->walk, sparse, piece_at(sparse, 0), &reader, &step));
    assert_int_equal(step.kind, WALK_HIT);
    assert_true(step.from_disk);
    assert_int_equal(object_length(reader.object), PIECE_BYTES);
    object_leave(&reader);
}

/* Memory may let go of it before it is written; where upstream takes no ranges, it could not be fetched
 * again.
 */
static void a_piece_is_found_while_it_is_on_its_way(void **state)
{
    (void)state;
    static char bytes[PIECE_BYTES + 1];
    client_t client;
    size_t taken;
    memory_set_max_object(world.memory, PIECE_BYTES);
    atomic_store(&writes_held, 1);
    ask(&client, "/large", NULL);
    assert_int_equal(client_head(&world, &client, 200, LINES(FRESH, "content-length: 3000000")), FILL_GO_ON);
    assert_true(object_sparse(client.reader.object));
    assert_int_equal(fill_bytes(client.fill, bytes, sizeof bytes, &taken), FILL_GO_ON);
    world_evict_all(&world);
    assert_piece_from_disk(&client);
    sem_post(&go_on);
    disk_settle(disk);
    world_evict_all(&world);
    assert_piece_from_disk(&client);
    fill_fail(client.fill, (object_failure_t){502, "test"});
    client_leave(&client);
}

/* --- What is buried --- */

/* The device is in the middle of this write, or of the next one that comes. */
static void hold_next_write(void)
{
    atomic_store(&writes_held, 1);
}

static void await_held_write(void)
{
    while (atomic_load(&writes_held) > 0)
        sched_yield();
}

/* The device is busy and much waits for it: a process that dies then has forgotten no more of what was
 * invalidated than it must. */
static void what_is_buried_is_written_before_what_waits(void **state)
{
    (void)state;
    enum { WAITING = 8 };
    static char body[900001];
    char target[] = "/a";
    memset(body, 'x', sizeof body - 1);
    cache_key_t key = cache_key(TEXT("www"), TEXT("/first"));
    ledger_hash_t name = memory_name(&key, NULL);
    disk_settle(disk);
    hold_next_write();
    store(target, NULL, LINES(FRESH), body);
    await_held_write();
    for (int i = 0; i < WAITING; i++) {
        target[1]++;
        store(target, NULL, LINES(FRESH), body);
    }
    hold_next_write();
    sem_post(&go_on);
    await_held_write(); /* now the writer has taken all of them */
    tombstone_put(tombstone, &name);
    atomic_store(&before_it, 0);
    atomic_store(&has_come, false);
    memory_invalidate(world.memory, &key);
    sem_post(&go_on);
    disk_settle(disk);
    assert_true(atomic_load(&has_come));
    assert_in_range(atomic_load(&before_it), 0, 1 << 20);
    assert_in_range(atomic_load(&behind_it), 0, 8 << 10); /* the rest of a page: it waited for no more */
    assert_int_equal(disk_status(disk).counts.dropped_queue, 0);
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
        cmocka_unit_test_setup_teardown(a_piece_is_found_while_it_is_on_its_way, setup, teardown),
        cmocka_unit_test_setup_teardown(what_is_buried_is_written_before_what_waits, setup_noted,
                                        teardown_noted),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
