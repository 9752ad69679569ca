/* A device that misses what is forgotten is noted as one that does, before and after it has told what it
 * holds. */
#include <errno.h>
#include <semaphore.h>
#include <time.h>
#include <unistd.h>

#include "edge/cache/disk/members.h"
#include "edge/cache/disk/record.h"
#include "tests/unit/cache_world.h"

#define FRESH "cache-control: max-age=60"

enum { MORE_THAN_MAY_WAIT = (1 << 18) + 1 };

static char directory[64], said[DISK_ERROR_MAX];
static disk_t *disk;
static disk_io_t real_io, io;
static sem_t told, go_on, held_up;
static _Atomic bool hold, sick;
static uint8_t notes[MEMBERS_BYTES];
static size_t notes_length;
static bool notes_fail;
static uint64_t size;

static int64_t monotonic(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static void say(const char *sentence)
{
    snprintf(said, sizeof said, "%s", sentence);
    sem_post(&told);
}

/* What is cut off on starting is synced: there it can be held up. */
static int sync_file(void *context, int file)
{
    if (atomic_exchange(&hold, false)) {
        sem_post(&held_up);
        sem_wait(&go_on);
    }
    return real_io.sync(context, file);
}

/* A segment's records cannot be read for a while, and nothing can be taken away. */
static ssize_t read_file(void *context, int file, const struct iovec *to, int count, uint64_t offset)
{
    bool fails = offset == SEGMENT_HEADER_BYTES && atomic_load(&sick);
    return fails ? -EIO : real_io.read(context, file, to, count, offset);
}

static int set_length(void *context, int file, uint64_t length)
{
    return atomic_load(&sick) ? -EIO : real_io.set_length(context, file, length);
}

static int unlink_file(void *context, const char *name)
{
    return atomic_load(&sick) ? -EIO : real_io.unlink(context, name);
}

static bool read_notes(void *context, uint8_t *data, size_t room, size_t *length)
{
    (void)context;
    assert_true(notes_length <= room);
    memcpy(data, notes, notes_length);
    *length = notes_length;
    return notes_length > 0;
}

static bool replace_notes(void *context, const uint8_t *data, size_t length)
{
    (void)context;
    if (notes_fail)
        return false;
    assert_int_equal(length, sizeof notes);
    memcpy(notes, data, length);
    notes_length = length;
    return true;
}

static bool start(void)
{
    char error[DISK_ERROR_MAX];
    assert_int_equal(disk_io_posix(&real_io, directory), 0);
    io = real_io;
    io.sync = sync_file;
    io.read = read_file;
    io.set_length = set_length;
    io.unlink = unlink_file;
    disk_config_t config = {.devices = {{directory, size, &io}},
                            .device_count = 1,
                            .memory = world.memory,
                            .ledger = world.ledger,
                            .admission = DISK_ALWAYS,
                            .node = {1, 2},
                            .notes = {NULL, read_notes, replace_notes},
                            .random = 4711,
                            .monotonic_ms = monotonic,
                            .say = say};
    disk = disk_start(&config, error);
    if (disk == NULL)
        disk_io_posix_close(&real_io);
    return disk != NULL;
}

static void stop(void)
{
    disk_stop(&disk);
    disk_io_posix_close(&real_io);
}

static cache_key_t key_of(const char *target)
{
    return cache_key(TEXT("www"), text_of(target));
}

static bool is_known(const char *target)
{
    cache_key_t key = key_of(target);
    return disk_knows(disk, &key, NULL);
}

static void bury(const char *target)
{
    cache_key_t key = key_of(target);
    memory_bury(world.memory, &key, NULL, (text_t){NULL, 0});
}

/* Stored, with a segment that was not sealed. */
static int setup(void **state)
{
    client_t client;
    world_setup(state);
    snprintf(directory, sizeof directory, "/tmp/disk-test-XXXXXX");
    assert_non_null(mkdtemp(directory));
    sem_init(&told, 0, 0);
    sem_init(&go_on, 0, 0);
    sem_init(&held_up, 0, 0);
    notes_length = 0;
    notes_fail = false;
    size = 64 << 20;
    assert_true(start());
    disk_settle(disk);
    memset(&client, 0, sizeof client);
    client.walk = (walk_t){.memory = world.memory,
                           .ledger = world.ledger,
                           .key = key_of("/a"),
                           .fields = fields_of(client.fields, NULL),
                           .sequence = ledger_sequence(world.ledger),
                           .now_ms = world.now_ms,
                           .wake = client_wake,
                           .disk = disk};
    client_take(&world, &client, walk_begin(&client.walk, &client.reader));
    client_answer(&world, &client, 200, LINES(FRESH), "hello");
    client_leave(&client);
    disk_settle(disk);
    assert_true(is_known("/a"));
    stop();
    world_evict_all(&world);
    return 0;
}

static int teardown(void **state)
{
    char command[128];
    stop();
    snprintf(command, sizeof command, "rm -rf %s", directory);
    assert_int_equal(system(command), 0);
    return world_teardown(state);
}

static void start_held_up(void)
{
    atomic_store(&hold, true);
    assert_true(start());
    sem_wait(&held_up);
}

static void what_missed_nothing_is_believed(void **state)
{
    (void)state;
    assert_true(start());
    disk_settle(disk);
    assert_true(is_known("/a"));
}

static void what_nobody_noted_is_not(void **state)
{
    (void)state;
    notes_length = 0;
    assert_true(start());
    disk_settle(disk);
    assert_false(is_known("/a"));
    assert_non_null(strstr(said, "it missed"));
}

static void without_a_note_it_does_not_start(void **state)
{
    (void)state;
    notes_fail = true;
    notes[20] ^= 1;
    assert_false(start());
    notes_fail = false;
    notes[20] ^= 1;
    assert_true(start());
}

/* Stopped while it is not known yet what there is. */
static void what_is_buried_meanwhile_does_not_come_back(void **state)
{
    (void)state;
    start_held_up();
    bury("/a");
    sem_post(&go_on);
    stop();
    assert_true(start());
    disk_settle(disk);
    assert_false(is_known("/a"));
}

static void a_device_for_which_too_much_waits_is_taken_out(void **state)
{
    (void)state;
    char target[32];
    start_held_up();
    bury("/a");
    for (int i = 0; i < MORE_THAN_MAY_WAIT; i++) {
        snprintf(target, sizeof target, "/%d", i);
        bury(target);
    }
    sem_wait(&told);
    assert_non_null(strstr(said, "more waits to be written than can be remembered"));
    assert_int_equal(disk_status(disk).failed_devices, 1);
    sem_post(&go_on);
    stop();
    assert_true(start());
    disk_settle(disk);
    assert_false(is_known("/a"));
}

/* What it holds is not known, so that nothing of what goes is to be buried. */
static void what_breaks_as_it_is_found_is_not_believed_again(void **state)
{
    (void)state;
    atomic_store(&sick, true);
    assert_true(start());
    disk_settle(disk);
    assert_int_equal(disk_status(disk).failed_devices, 1);
    assert_false(is_known("/a"));
    bury("/a");
    stop();
    atomic_store(&sick, false);
    assert_true(start());
    disk_settle(disk);
    assert_false(is_known("/a"));
}

static size_t noted_sets(void)
{
    members_t members;
    assert_true(members_parse(notes, notes_length, &members));
    return members.set_count;
}

/* While another process has it nothing can be buried there that is another's now. */
static void what_was_not_opened_is_not_settled(void **state)
{
    (void)state;
    disk_io_t other;
    assert_int_equal(disk_io_posix(&other, directory), 0);
    int lock = other.open(other.context, "lock", DISK_OPEN_CREATE);
    assert_int_equal(other.lock(other.context, lock), 0);
    size *= 2;
    assert_true(start());
    stop();
    assert_int_equal(noted_sets(), 2);
    other.close(other.context, lock);
    disk_io_posix_close(&other);
    assert_true(start());
    disk_settle(disk);
    assert_int_equal(noted_sets(), 1);
    assert_true(is_known("/a"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(what_missed_nothing_is_believed, setup, teardown),
        cmocka_unit_test_setup_teardown(what_nobody_noted_is_not, setup, teardown),
        cmocka_unit_test_setup_teardown(without_a_note_it_does_not_start, setup, teardown),
        cmocka_unit_test_setup_teardown(what_is_buried_meanwhile_does_not_come_back, setup, teardown),
        cmocka_unit_test_setup_teardown(a_device_for_which_too_much_waits_is_taken_out, setup, teardown),
        cmocka_unit_test_setup_teardown(what_breaks_as_it_is_found_is_not_believed_again, setup, teardown),
        cmocka_unit_test_setup_teardown(what_was_not_opened_is_not_settled, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
