/* The eviction policy: who leaves, who moves, what the ghost brings back; and random operations against a
 * naive model. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <pthread.h>
#include <sys/mman.h>
#include <unistd.h>

#include "edge/cache/s3fifo.h"

enum { MIB = 1 << 20 };

/* A fixed bijection on 64 bits (splitmix64's finaliser): well mixed hashes and a repeatable random source. */
static uint64_t mixed(uint64_t value)
{
    value += 0x9e3779b97f4a7c15u;
    value = (value ^ (value >> 30)) * 0xbf58476d1ce4e5b9u;
    value = (value ^ (value >> 27)) * 0x94d049bb133111ebu;
    return value ^ (value >> 31);
}

static s3fifo_node_t *nodes_new(size_t count)
{
    s3fifo_node_t *nodes = must_calloc(count, sizeof(*nodes));
    for (size_t i = 0; i < count; i++)
        nodes[i].hash = mixed(i);
    return nodes;
}

static void insert_all(s3fifo_t *policy, s3fifo_node_t *nodes, size_t count, size_t bytes)
{
    for (size_t i = 0; i < count; i++)
        s3fifo_insert(policy, &nodes[i], bytes);
}

static void finish(s3fifo_t **policy, s3fifo_node_t *nodes)
{
    s3fifo_check(*policy);
    while (s3fifo_evict(*policy) != NULL)
        s3fifo_check(*policy);
    assert_int_equal(s3fifo_bytes(*policy), 0);
    assert_int_equal(s3fifo_count(*policy), 0);
    s3fifo_free(policy);
    assert_null(*policy);
    free(nodes);
}

static void unused_entries_leave_in_the_order_they_came(void **state)
{
    (void)state;
    s3fifo_t *policy = s3fifo_new(64 * MIB);
    s3fifo_node_t *nodes = nodes_new(10);
    insert_all(policy, nodes, 10, MIB);
    assert_int_equal(s3fifo_bytes(policy), 10 * MIB);
    assert_int_equal(s3fifo_count(policy), 10);
    for (size_t i = 0; i < 10; i++) {
        assert_ptr_equal(s3fifo_evict(policy), &nodes[i]);
        assert_int_equal(nodes[i].queue, S3FIFO_NOWHERE);
    }
    assert_null(s3fifo_evict(policy));
    finish(&policy, nodes);
}

static void a_used_entry_moves_to_main_and_outlives_the_others(void **state)
{
    (void)state;
    s3fifo_t *policy = s3fifo_new(64 * MIB);
    s3fifo_node_t *nodes = nodes_new(10);
    insert_all(policy, nodes, 10, MIB);
    s3fifo_touch(&nodes[0]);
    s3fifo_touch(&nodes[1]);
    assert_ptr_equal(s3fifo_evict(policy), &nodes[2]);
    assert_int_equal(nodes[0].queue, S3FIFO_MAIN);
    assert_int_equal(nodes[1].queue, S3FIFO_MAIN);
    assert_int_equal(nodes[3].queue, S3FIFO_SMALL);
    s3fifo_remove(policy, &nodes[1]);
    finish(&policy, nodes);
}

/* What comes back after it was evicted goes to main, once: a second return starts in small again. */
static void the_ghost_brings_back_to_main_once(void **state)
{
    (void)state;
    s3fifo_t *policy = s3fifo_new(64 * MIB);
    s3fifo_node_t *nodes = nodes_new(10);
    insert_all(policy, nodes, 10, MIB);
    assert_ptr_equal(s3fifo_evict(policy), &nodes[0]);
    s3fifo_insert(policy, &nodes[0], MIB);
    assert_int_equal(nodes[0].queue, S3FIFO_MAIN);
    s3fifo_remove(policy, &nodes[0]);
    s3fifo_insert(policy, &nodes[0], MIB);
    assert_int_equal(nodes[0].queue, S3FIFO_SMALL);
    finish(&policy, nodes);
}

static void what_was_removed_is_not_remembered(void **state)
{
    (void)state;
    s3fifo_t *policy = s3fifo_new(64 * MIB);
    s3fifo_node_t *nodes = nodes_new(10);
    insert_all(policy, nodes, 10, MIB);
    s3fifo_remove(policy, &nodes[4]);
    assert_int_equal(s3fifo_bytes(policy), 9 * MIB);
    s3fifo_insert(policy, &nodes[4], MIB);
    assert_int_equal(nodes[4].queue, S3FIFO_SMALL);
    finish(&policy, nodes);
}

/* Main is judged while small is below its target; each use there is worth one more round. */
static void each_use_is_worth_a_round_in_main(void **state)
{
    (void)state;
    s3fifo_t *policy = s3fifo_new(64 * MIB);
    s3fifo_node_t *nodes = nodes_new(3);
    insert_all(policy, nodes, 3, MIB);
    for (int i = 0; i < 3; i++)
        assert_non_null(s3fifo_evict(policy));
    s3fifo_node_t *other = nodes_new(100);
    for (int i = 0; i < 100; i++)
        other[i].hash = mixed((uint64_t)i + 1000);
    insert_all(policy, other, 4, MIB); /* gives the ghost a length */
    insert_all(policy, nodes, 3, MIB);
    for (int i = 0; i < 4; i++)
        s3fifo_remove(policy, &other[i]);
    for (int i = 0; i < 3; i++)
        assert_int_equal(nodes[i].queue, S3FIFO_MAIN);
    s3fifo_touch(&nodes[0]);
    s3fifo_touch(&nodes[0]);
    s3fifo_touch(&nodes[1]);
    assert_ptr_equal(s3fifo_evict(policy), &nodes[2]);
    assert_ptr_equal(s3fifo_evict(policy), &nodes[1]);
    assert_ptr_equal(s3fifo_evict(policy), &nodes[0]);
    free(other);
    finish(&policy, nodes);
}

/* The small queue keeps at least four blocks, but no more than a fifth of a tiny cache. */
static void the_small_queue_has_a_floor(void **state)
{
    (void)state;
    const struct {
        size_t capacity, kept;
    } cases[] = {{100 * MIB, 10 * MIB}, {16 * MIB, 2 * MIB}, {5 * MIB, MIB}};
    for (size_t i = 0; i < 3; i++) {
        s3fifo_t *policy = s3fifo_new(cases[i].capacity);
        size_t unit = cases[i].capacity / 100, count = cases[i].kept / unit + 20;
        s3fifo_node_t *nodes = nodes_new(count + 1);
        insert_all(policy, nodes, 1, unit);
        s3fifo_touch(&nodes[0]); /* the one entry that main will hold */
        insert_all(policy, nodes + 1, count, unit);
        while (nodes[0].queue == S3FIFO_SMALL || s3fifo_bytes(policy) - unit >= cases[i].kept)
            assert_ptr_not_equal(s3fifo_evict(policy), &nodes[0]);
        assert_int_equal(nodes[0].queue, S3FIFO_MAIN);
        assert_ptr_equal(s3fifo_evict(policy), &nodes[0]); /* small is below its target: main gives */
        finish(&policy, nodes);
    }
}

static void a_resize_moves_the_sums_and_nothing_else(void **state)
{
    (void)state;
    s3fifo_t *policy = s3fifo_new(64 * MIB);
    s3fifo_node_t *nodes = nodes_new(3);
    insert_all(policy, nodes, 3, 1000);
    s3fifo_resize(policy, &nodes[0], 5000);
    s3fifo_resize(policy, &nodes[1], 0);
    s3fifo_check(policy);
    assert_int_equal(s3fifo_bytes(policy), 6000);
    assert_ptr_equal(s3fifo_evict(policy), &nodes[0]);
    assert_int_equal(s3fifo_bytes(policy), 1000);
    finish(&policy, nodes);
}

/* With everything in use, one eviction still ends soon, and with a victim. */
static void an_eviction_passes_over_a_bounded_number(void **state)
{
    (void)state;
    enum { COUNT = 20000 };
    s3fifo_t *policy = s3fifo_new(64 * MIB);
    s3fifo_node_t *nodes = nodes_new(COUNT);
    insert_all(policy, nodes, COUNT, 4096);
    for (int i = 0; i < COUNT; i++)
        for (int use = 0; use < 5; use++)
            s3fifo_touch(&nodes[i]);
    assert_non_null(s3fifo_evict(policy));
    int judged = 0;
    for (int i = 0; i < COUNT; i++)
        judged += nodes[i].queue != S3FIFO_SMALL || atomic_load(&nodes[i].frequency) != S3FIFO_FREQUENCY_MAX;
    assert_in_range(judged, 1, 300);
    s3fifo_check(policy);
    while (s3fifo_evict(policy) != NULL)
        continue;
    finish(&policy, nodes);
}

/* A saturated hit writes nothing: the page may be read only. */
static void a_touch_that_changes_nothing_writes_nothing(void **state)
{
    (void)state;
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    s3fifo_node_t *node = mmap(NULL, page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    assert_ptr_not_equal(node, MAP_FAILED);
    for (unsigned use = 1; use <= S3FIFO_FREQUENCY_MAX; use++) {
        s3fifo_touch(node);
        assert_int_equal(atomic_load(&node->frequency), use);
    }
    assert_int_equal(mprotect(node, page, PROT_READ), 0);
    s3fifo_touch(node);
    assert_int_equal(atomic_load(&node->frequency), S3FIFO_FREQUENCY_MAX);
    munmap(node, page);
}

/* The ghost grows with the number of entries, remembers nearly all of its length, and nothing older. */
static void the_ghost_grows_and_forgets(void **state)
{
    (void)state;
    enum { COUNT = 100000, STORED = 10000, BYTES = 4096 };
    s3fifo_t *policy = s3fifo_new((size_t)STORED * BYTES);
    s3fifo_node_t *nodes = nodes_new(COUNT);
    for (size_t i = 0; i < COUNT; i++) {
        while (s3fifo_bytes(policy) + BYTES > (size_t)STORED * BYTES)
            assert_non_null(s3fifo_evict(policy));
        s3fifo_insert(policy, &nodes[i], BYTES);
        assert_int_equal(nodes[i].queue, S3FIFO_SMALL);
    }
    /* Evicted so far: the first COUNT - STORED; the last 9,000 of these are remembered. */
    int remembered = 0, ancient = 0;
    for (size_t i = COUNT - STORED - 8900; i < COUNT - STORED; i++) {
        s3fifo_insert(policy, &nodes[i], BYTES);
        remembered += nodes[i].queue == S3FIFO_MAIN;
        s3fifo_remove(policy, &nodes[i]);
    }
    for (size_t i = 0; i < COUNT - STORED - 9100; i++) {
        s3fifo_insert(policy, &nodes[i], BYTES);
        ancient += nodes[i].queue == S3FIFO_MAIN;
        s3fifo_remove(policy, &nodes[i]);
    }
    assert_in_range(remembered, 8900 * 97 / 100, 8900);
    assert_int_equal(ancient, 0);
    finish(&policy, nodes);
}

/* Entries shrink, so that the ghost must hold more of them: what it knew before it grew is still known. */
static void a_ghost_that_grows_keeps_what_it_knew(void **state)
{
    (void)state;
    s3fifo_t *policy = s3fifo_new(64 * MIB);
    s3fifo_node_t *nodes = nodes_new(200);
    insert_all(policy, nodes, 200, MIB / 4);
    for (size_t i = 0; i < 100; i++)
        assert_ptr_equal(s3fifo_evict(policy), &nodes[i]);
    for (size_t i = 100; i < 200; i++)
        s3fifo_resize(policy, &nodes[i], 1024);
    assert_ptr_equal(s3fifo_evict(policy), &nodes[100]); /* the note that makes it grow */
    for (size_t i = 0; i <= 100; i++) {
        s3fifo_insert(policy, &nodes[i], 1024);
        assert_int_equal(nodes[i].queue, S3FIFO_MAIN);
    }
    finish(&policy, nodes);
}

/* Hashes made to share one bucket cost memory of the past, nothing else. */
static void colliding_hashes_do_no_harm(void **state)
{
    (void)state;
    s3fifo_t *policy = s3fifo_new(64 * MIB);
    s3fifo_node_t *nodes = nodes_new(500);
    for (size_t i = 0; i < 500; i++)
        nodes[i].hash = i << 40;
    insert_all(policy, nodes, 500, MIB / 16);
    for (size_t i = 0; i < 400; i++)
        assert_ptr_equal(s3fifo_evict(policy), &nodes[i]);
    for (size_t i = 0; i < 400; i++) {
        s3fifo_insert(policy, &nodes[i], MIB / 16);
        assert_int_equal(nodes[i].queue, i < 400 - 8 ? S3FIFO_SMALL : S3FIFO_MAIN);
    }
    s3fifo_check(policy);
    finish(&policy, nodes);
}

/* The same policy written naively: ids in arrays, the ghost as the list of all hashes ever noted. */
enum { IDS = 300, NOTES = 400000, MODEL_CAPACITY = 1000000, MODEL_SMALL = MODEL_CAPACITY / 5 };
typedef struct {
    int ids[IDS];
    int count;
    size_t bytes;
} model_queue_t;
typedef struct {
    model_queue_t small, main;
    size_t bytes[IDS];
    int frequency[IDS];
    int *notes; /* -1 where taken back */
    int note_count;
} model_t;

static void model_push(model_t *model, model_queue_t *queue, int id)
{
    queue->ids[queue->count++] = id;
    queue->bytes += model->bytes[id];
}

static bool model_drop(model_t *model, model_queue_t *queue, int id)
{
    int at = 0;
    while (at < queue->count && queue->ids[at] != id)
        at++;
    if (at == queue->count)
        return false;
    memmove(&queue->ids[at], &queue->ids[at + 1], sizeof(int) * (size_t)(queue->count - at - 1));
    queue->count--;
    queue->bytes -= model->bytes[id];
    return true;
}

static int model_ghost_length(const model_t *model)
{
    size_t bytes = model->small.bytes + model->main.bytes;
    size_t count = (size_t)(model->small.count + model->main.count);
    size_t length = count == 0 ? 0 : (MODEL_CAPACITY - MODEL_SMALL) / (bytes > count ? bytes / count : 1);
    return (int)(length < 512 * 2 ? length : 512 * 2); /* a slot for each 512 bytes, half of them used */
}

static void model_insert(model_t *model, int id, size_t bytes)
{
    bool remembered = false;
    int length = model_ghost_length(model);
    for (int age = 0; age < length && age < model->note_count; age++) {
        int *note = &model->notes[model->note_count - 1 - age];
        if (*note == id) {
            remembered = true;
            *note = -1;
            break;
        }
    }
    model->bytes[id] = bytes;
    model->frequency[id] = 0;
    model_push(model, remembered ? &model->main : &model->small, id);
}

static int model_evict(model_t *model)
{
    while (model->small.count + model->main.count > 0) {
        bool small = model->main.count == 0 || (model->small.count > 0 && model->small.bytes >= MODEL_SMALL);
        int id = small ? model->small.ids[0] : model->main.ids[0];
        model_drop(model, small ? &model->small : &model->main, id);
        if (model->frequency[id] == 0) {
            if (small) {
                assert_true(model->note_count < NOTES);
                model->notes[model->note_count++] = id;
            }
            return id;
        }
        model->frequency[id] -= 1;
        model_push(model, &model->main, id);
    }
    return -1;
}

static bool model_stored(const model_t *model, int id, s3fifo_queue_t *queue)
{
    for (int i = 0; i < model->small.count; i++)
        if (model->small.ids[i] == id)
            return *queue = S3FIFO_SMALL, true;
    for (int i = 0; i < model->main.count; i++)
        if (model->main.ids[i] == id)
            return *queue = S3FIFO_MAIN, true;
    return *queue = S3FIFO_NOWHERE, false;
}

/* One operation on both; what they say must be equal. */
static void step(model_t *model, s3fifo_t *policy, s3fifo_node_t *nodes, uint64_t random)
{
    s3fifo_queue_t queue;
    int id = (int)(mixed(random) % IDS);
    size_t bytes = 1 + mixed(random + 1) % 20000;
    id = random & 1 ? id / 8 : id; /* some are asked for more often */
    if (!model_stored(model, id, &queue)) {
        model_insert(model, id, bytes);
        s3fifo_insert(policy, &nodes[id], bytes);
    } else if (random % 16 < 12) {
        model->frequency[id] += model->frequency[id] < S3FIFO_FREQUENCY_MAX;
        s3fifo_touch(&nodes[id]);
    } else if (random % 16 < 14) {
        model_queue_t *holder = queue == S3FIFO_SMALL ? &model->small : &model->main;
        holder->bytes += bytes - model->bytes[id];
        model->bytes[id] = bytes;
        s3fifo_resize(policy, &nodes[id], bytes);
    } else {
        assert_true(model_drop(model, queue == S3FIFO_SMALL ? &model->small : &model->main, id));
        s3fifo_remove(policy, &nodes[id]);
    }
    while (model->small.bytes + model->main.bytes > MODEL_CAPACITY)
        assert_ptr_equal(s3fifo_evict(policy), &nodes[model_evict(model)]);
}

static void random_operations_agree_with_the_model(void **state)
{
    (void)state;
    uint64_t moved = 0;
    for (uint64_t seed = 0; seed < 20; seed++) {
        model_t *model = must_calloc(1, sizeof(*model));
        model->notes = must_calloc(NOTES, sizeof(int));
        s3fifo_t *policy = s3fifo_new(MODEL_CAPACITY);
        s3fifo_node_t *nodes = nodes_new(IDS);
        for (uint64_t i = 0; i < 5000; i++) {
            step(model, policy, nodes, mixed(seed << 32 | i));
            s3fifo_check(policy);
            assert_int_equal(s3fifo_bytes(policy), model->small.bytes + model->main.bytes);
            assert_int_equal(s3fifo_count(policy), model->small.count + model->main.count);
        }
        for (int id = 0; id < IDS; id++) {
            s3fifo_queue_t queue;
            model_stored(model, id, &queue);
            assert_int_equal(nodes[id].queue, queue);
            moved += queue == S3FIFO_MAIN;
        }
        finish(&policy, nodes);
        free(model->notes);
        free(model);
    }
    assert_true(moved > 100); /* the run did reach main and the ghost */
}

typedef struct {
    s3fifo_node_t *nodes;
    size_t count;
    atomic_bool stop;
} toucher_t;

static void *touch_without_the_lock(void *argument)
{
    toucher_t *toucher = argument;
    while (!atomic_load(&toucher->stop))
        for (size_t i = 0; i < toucher->count; i++)
            s3fifo_touch(&toucher->nodes[i]);
    return NULL;
}

/* Readers note uses while the queues move: values stay in range, evictions end. */
static void touches_from_other_threads_do_no_harm(void **state)
{
    (void)state;
    toucher_t toucher = {.nodes = nodes_new(64), .count = 64};
    s3fifo_t *policy = s3fifo_new(64 * 1024);
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, touch_without_the_lock, &toucher), 0);
    insert_all(policy, toucher.nodes, toucher.count, 1024);
    for (int i = 0; i < 20000; i++) {
        s3fifo_node_t *victim = s3fifo_evict(policy);
        assert_non_null(victim);
        s3fifo_insert(policy, victim, 1024);
    }
    s3fifo_check(policy);
    atomic_store(&toucher.stop, true);
    pthread_join(thread, NULL);
    finish(&policy, toucher.nodes);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(unused_entries_leave_in_the_order_they_came),
        cmocka_unit_test(a_used_entry_moves_to_main_and_outlives_the_others),
        cmocka_unit_test(the_ghost_brings_back_to_main_once),
        cmocka_unit_test(what_was_removed_is_not_remembered),
        cmocka_unit_test(each_use_is_worth_a_round_in_main),
        cmocka_unit_test(the_small_queue_has_a_floor),
        cmocka_unit_test(a_resize_moves_the_sums_and_nothing_else),
        cmocka_unit_test(an_eviction_passes_over_a_bounded_number),
        cmocka_unit_test(a_touch_that_changes_nothing_writes_nothing),
        cmocka_unit_test(the_ghost_grows_and_forgets),
        cmocka_unit_test(a_ghost_that_grows_keeps_what_it_knew),
        cmocka_unit_test(colliding_hashes_do_no_harm),
        cmocka_unit_test(random_operations_agree_with_the_model),
        cmocka_unit_test(touches_from_other_threads_do_no_harm),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
