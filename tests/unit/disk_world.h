/* A world with a disk tier below memory, on real files in a directory of the test's own, and clients of it.
 */
#ifndef SELVEDGE_TESTS_UNIT_DISK_WORLD_H
#define SELVEDGE_TESTS_UNIT_DISK_WORLD_H

#include <errno.h>
#include <fcntl.h>
#include <semaphore.h>
#include <time.h>
#include <unistd.h>

#include "tests/unit/cache_world.h"

#define FRESH "cache-control: max-age=60"

enum { DISK_BYTES = 64 << 20 };

static char directory[64];
static disk_t *disk;
static _Atomic int64_t clock_ms;
static char said[DISK_ERROR_MAX];

static inline int64_t monotonic(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000 + atomic_load(&clock_ms);
}

static inline void say(const char *sentence)
{
    snprintf(said, sizeof said, "%s", sentence);
}

/* The system's calls, but that a test decides what the page cache holds, and holds up or breaks what a device
 * does. */
static disk_io_t real_io, io;
static _Atomic bool uncached, broken;
static _Atomic int held, writes_held;
static sem_t go_on;

static inline ssize_t read_cached(void *context, int file, const struct iovec *to, int count, uint64_t offset)
{
    return atomic_load(&uncached) ? -EAGAIN : real_io.read(context, file, to, count, offset);
}

static inline ssize_t read_device(void *context, int file, const struct iovec *to, int count, uint64_t offset)
{
    if (atomic_load(&held) > 0 && atomic_fetch_sub(&held, 1) > 0)
        sem_wait(&go_on);
    return atomic_load(&broken) ? -EIO : real_io.read(context, file, to, count, offset);
}

static inline ssize_t write_device(void *context, int file, const void *bytes, size_t length, uint64_t offset)
{
    if (atomic_load(&writes_held) > 0 && atomic_fetch_sub(&writes_held, 1) > 0)
        sem_wait(&go_on);
    return real_io.write(context, file, bytes, length, offset);
}

static inline disk_config_t config_of(disk_admission_t admission)
{
    assert_int_equal(disk_io_posix(&real_io, directory), 0);
    io = real_io;
    io.read_cached = read_cached;
    io.read = read_device;
    io.write = write_device;
    return (disk_config_t){.devices = {{directory, DISK_BYTES, &io}},
                           .device_count = 1,
                           .memory = world.memory,
                           .ledger = world.ledger,
                           .admission = admission,
                           .node = {1, 2},
                           .random = 4711,
                           .monotonic_ms = monotonic,
                           .say = say};
}

static inline void start(disk_admission_t admission)
{
    char error[DISK_ERROR_MAX];
    disk_config_t config = config_of(admission);
    disk = disk_start(&config, error);
    if (disk == NULL)
        fail_msg("%s", error);
    disk_settle(disk);
}

static inline void stop(void)
{
    disk_stop(&disk);
    disk_io_posix_close(&real_io);
}

/* The process ends and another one begins: memory is empty, the ledger has what the journal kept. */
static inline void restart(disk_admission_t admission)
{
    stop();
    world_evict_all(&world);
    start(admission);
}

static inline int setup(void **state)
{
    world_setup(state);
    snprintf(directory, sizeof directory, "/tmp/disk-test-XXXXXX");
    assert_non_null(mkdtemp(directory));
    sem_init(&go_on, 0, 0);
    atomic_store(&clock_ms, 0);
    atomic_store(&uncached, false);
    atomic_store(&broken, false);
    atomic_store(&held, 0);
    atomic_store(&writes_held, 0);
    start(DISK_ALWAYS);
    return 0;
}

static inline int teardown(void **state)
{
    enum { HELD_MAX = 16 };
    char command[128];
    atomic_store(&held, 0);
    atomic_store(&writes_held, 0);
    for (int i = 0; i < HELD_MAX; i++) /* a story that failed may have left some waiting */
        sem_post(&go_on);
    stop();
    sem_destroy(&go_on);
    snprintf(command, sizeof command, "rm -rf %s", directory);
    assert_int_equal(system(command), 0);
    return world_teardown(state);
}

/* --- Clients of it --- */

static sem_t woken;
static disk_wait_t wait_of_client;

static inline void wake_disk(disk_wait_t *wait)
{
    (void)wait;
    sem_post(&woken);
}

static inline void ask(client_t *client, const char *target, const char *const *lines)
{
    memset(client, 0, sizeof *client);
    wait_of_client = (disk_wait_t){.wake = wake_disk};
    client->walk = (walk_t){.memory = world.memory,
                            .ledger = world.ledger,
                            .key = cache_key(TEXT("www"), text_of(target)),
                            .fields = fields_of(client->fields, lines),
                            .sequence = ledger_sequence(world.ledger),
                            .now_ms = world.now_ms,
                            .wake = client_wake,
                            .disk = disk,
                            .wait = &wait_of_client};
    client_take(&world, client, walk_begin(&client->walk, &client->reader));
}

static inline void store(const char *target, const char *const *request, const char *const *response,
                         const char *body)
{
    client_t client;
    ask(&client, target, request);
    assert_non_null(client.fill);
    client_answer(&world, &client, 200, response, body);
    client_leave(&client);
}

/* What the request is answered with, and from where; NULL: it would have to be fetched. */
static inline const char *answer(const char *target, const char *const *request, bool from_disk)
{
    static char text[1024];
    client_t client;
    bool hit;
    ask(&client, target, request);
    hit = client.step.kind == WALK_HIT;
    if (hit) {
        assert_int_equal(client_read(&client, text, sizeof text), READ_END);
        assert_int_equal(client.step.from_disk, from_disk);
    } else if (client.fill != NULL)
        fill_fail(client.fill, (object_failure_t){502, "test"});
    client_leave(&client);
    return hit ? text : NULL;
}

static inline uint64_t object_length_of(const char *target)
{
    client_t client;
    ask(&client, target, NULL);
    assert_int_equal(client.step.kind, WALK_HIT);
    uint64_t length = object_length(client.reader.object);
    client_leave(&client);
    return length;
}

static inline bool answer_is_sparse(const char *target)
{
    client_t client;
    ask(&client, target, NULL);
    bool is = client.step.kind == WALK_HIT && object_sparse(client.reader.object);
    if (client.fill != NULL)
        fill_fail(client.fill, (object_failure_t){502, "test"});
    client_leave(&client);
    return is;
}

static inline void settle_and_evict(void)
{
    disk_settle(disk);
    world_evict_all(&world);
}

#endif
