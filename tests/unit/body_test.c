/* The block map: what is appended is what is read, at every edge of a block; nothing stays charged. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "edge/cache/body.h"

static const version_id_t version = {1, 2};

/* The byte at this offset of every test's body: no two blocks look alike. */
static char byte_at(uint64_t offset)
{
    return (char)(offset * 31 + offset / BLOCK_BYTES * 7 + 3);
}

static void append(body_t *body, size_t length)
{
    char *bytes = must_alloc(length + 1);
    uint64_t start = body_length(body);
    for (size_t i = 0; i < length; i++)
        bytes[i] = byte_at(start + i);
    body_append(body, bytes, length);
    free(bytes);
}

static void assert_span(const body_span_t *span, uint64_t offset)
{
    for (size_t i = 0; i < span->length; i++)
        if (span->bytes[i] != byte_at(offset + i))
            fail_msg("wrong byte at %llu", (unsigned long long)(offset + i));
}

/* Reads it all in steps of `most`; a step never crosses a block's end. */
static void assert_reads(const body_t *body, uint64_t from, size_t most)
{
    uint64_t offset = from;
    for (;;) {
        body_span_t span = body_span(body, offset, most);
        if (span.length == 0) {
            assert_null(span.block);
            break;
        }
        assert_true(span.length <= most);
        assert_int_equal(offset / BLOCK_BYTES, (offset + span.length - 1) / BLOCK_BYTES);
        assert_span(&span, offset);
        offset += span.length;
        block_unref(&span.block);
    }
    assert_int_equal(offset, body_length(body));
}

typedef struct {
    int64_t expected; /* -1: not known */
    size_t parts[6];
} shape_t;

static const shape_t shapes[] = {
    {-1, {0}},
    {0, {0}},
    {1, {1}},
    {-1, {1}},
    {-1, {1, 16 << 10, 1}},
    {-1, {(16 << 10) - 1, 1, 1}},
    {100, {40, 60}},
    {-1, {BLOCK_BYTES - 1, 1}},
    {-1, {BLOCK_BYTES, 1}},
    {-1, {BLOCK_BYTES + 1}},
    {BLOCK_BYTES, {BLOCK_BYTES}},
    {BLOCK_BYTES + 1, {BLOCK_BYTES, 1}},
    {BLOCK_BYTES - 1, {1, BLOCK_BYTES - 2}},
    {3 * BLOCK_BYTES, {BLOCK_BYTES / 2, BLOCK_BYTES, BLOCK_BYTES, BLOCK_BYTES / 2}},
    {-1, {5 * BLOCK_BYTES + 17, 1, 4096}},
    /* A length that turns out wrong may cost memory, never bytes. */
    {10, {10, 10, 100, 70000}},
    {2 * BLOCK_BYTES, {3}},
    {BLOCK_BYTES, {BLOCK_BYTES, 5}},
};

static void what_is_appended_is_read(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++) {
        memory_account_t account = {0};
        body_t *body = body_new(&account, version, shapes[i].expected);
        uint64_t length = 0;
        for (size_t part = 0; part < 6; part++) {
            append(body, shapes[i].parts[part]);
            length += shapes[i].parts[part];
            assert_int_equal(body_length(body), length);
            assert_reads(body, 0, BLOCK_BYTES);
        }
        assert_reads(body, 0, 100000);
        assert_reads(body, length / 2, SIZE_MAX);
        body_seal(body);
        body_seal(body); /* once more changes nothing */
        assert_reads(body, 0, 65536);
        assert_int_equal(body_blocks_held(body), (length + BLOCK_BYTES - 1) / BLOCK_BYTES);
        assert_true(atomic_load(&account.bytes) >= (int64_t)length);
        body_unref(&body);
        assert_null(body);
        assert_int_equal(atomic_load(&account.bytes), 0);
    }
}

/* What is stored should cost what it weighs: never a whole block for a small file. */
static void a_sealed_body_costs_little_more_than_its_bytes(void **state)
{
    (void)state;
    static const size_t lengths[] = {1, 1000, 17 << 10, 70000, 300000, BLOCK_BYTES, BLOCK_BYTES + 1000};
    for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++)
        for (int known = 0; known < 2; known++) {
            memory_account_t account = {0};
            body_t *body = body_new(&account, version, known ? (int64_t)lengths[i] : -1);
            for (size_t done = 0; done < lengths[i]; done += 1000)
                append(body, lengths[i] - done < 1000 ? lengths[i] - done : 1000);
            body_seal(body);
            size_t most = lengths[i] + lengths[i] / 3 + 8192;
            assert_in_range((size_t)atomic_load(&account.bytes), lengths[i], most);
            body_unref(&body);
        }
}

static void block_states(void **state)
{
    (void)state;
    memory_account_t account = {0};
    body_t *body = body_new(&account, version, -1);
    assert_int_equal(body_block_state(body, 0), BLOCK_ABSENT);
    append(body, 1);
    assert_int_equal(body_block_state(body, 0), BLOCK_IN_FLIGHT);
    assert_int_equal(body_block_state(body, BLOCK_BYTES), BLOCK_ABSENT);
    append(body, BLOCK_BYTES - 1);
    assert_int_equal(body_block_state(body, BLOCK_BYTES - 1), BLOCK_PRESENT);
    assert_int_equal(body_block_state(body, BLOCK_BYTES), BLOCK_ABSENT);
    append(body, 1);
    assert_int_equal(body_block_state(body, BLOCK_BYTES), BLOCK_IN_FLIGHT);
    assert_true(body_forget_before(body, BLOCK_BYTES));
    assert_int_equal(body_block_state(body, 0), BLOCK_ABSENT);
    body_seal(body);
    assert_int_equal(body_block_state(body, BLOCK_BYTES), BLOCK_PRESENT);
    assert_int_equal(body_version(body).low, version.low);
    body_unref(&body);
    assert_int_equal(atomic_load(&account.bytes), 0);
}

/* A span stays what it was while its block moves to larger memory, is let go, and the body ends. */
static void a_span_outlives_everything(void **state)
{
    (void)state;
    memory_account_t account = {0};
    body_t *body = body_new(&account, version, -1);
    append(body, 1000);
    body_span_t small = body_span(body, 0, SIZE_MAX);
    assert_int_equal(small.length, 1000);
    append(body, BLOCK_BYTES);
    body_span_t large = body_span(body, 10, SIZE_MAX);
    assert_int_equal(large.length, BLOCK_BYTES - 10);
    assert_true(body_forget_before(body, BLOCK_BYTES + 5));
    body_span_t tail = body_span(body, BLOCK_BYTES, SIZE_MAX);
    body_seal(body);
    body_unref(&body);
    assert_span(&small, 0);
    assert_span(&large, 10);
    assert_span(&tail, BLOCK_BYTES);
    int64_t before = atomic_load(&account.bytes);
    block_unref(&large.block);
    assert_null(large.block);
    assert_true(atomic_load(&account.bytes) <= before - BLOCK_BYTES);
    block_unref(&small.block);
    block_unref(&tail.block);
    assert_int_equal(atomic_load(&account.bytes), 0);
}

static void forgetting_takes_whole_blocks_only(void **state)
{
    (void)state;
    static const struct {
        uint64_t before;
        bool any;
        uint64_t start;
    } steps[] = {
        {0, false, 0},
        {BLOCK_BYTES - 1, false, 0},
        {BLOCK_BYTES, true, BLOCK_BYTES},
        {BLOCK_BYTES, false, BLOCK_BYTES},
        {3 * BLOCK_BYTES + 1, true, 3 * BLOCK_BYTES},
        {4 * BLOCK_BYTES, true, 4 * BLOCK_BYTES},
    };
    memory_account_t account = {0};
    body_t *body = body_new(&account, version, -1);
    append(body, 4 * BLOCK_BYTES);
    for (size_t i = 0; i < sizeof steps / sizeof *steps; i++) {
        assert_int_equal(body_forget_before(body, steps[i].before), steps[i].any);
        assert_int_equal(body_start(body), steps[i].start);
        assert_int_equal(body_blocks_held(body), 4 - steps[i].start / BLOCK_BYTES);
    }
    /* With nothing held it goes on growing. */
    append(body, BLOCK_BYTES + 3);
    assert_reads(body, 4 * BLOCK_BYTES, 1000);
    assert_int_equal(body_blocks_held(body), 2);
    body_unref(&body);
    assert_int_equal(atomic_load(&account.bytes), 0);
}

/* A window moving over a long body holds what the window is long. */
static void a_window_costs_a_window(void **state)
{
    (void)state;
    memory_account_t account = {0};
    body_t *body = body_new(&account, version, -1);
    int64_t most = 0;
    for (int i = 0; i < 200; i++) {
        append(body, BLOCK_BYTES / 2 + 1);
        if (body_length(body) > 2 * BLOCK_BYTES)
            body_forget_before(body, body_length(body) - 2 * BLOCK_BYTES);
        if (atomic_load(&account.bytes) > most)
            most = atomic_load(&account.bytes);
    }
    assert_true(most <= 4 * (BLOCK_BYTES + 8192));
    body_unref(&body);
    assert_int_equal(atomic_load(&account.bytes), 0);
}

/* What is promised is charged once, before and after it is used, and all that is left goes back at the end;
 * what a window lets go of may be used again. */
static void what_is_reserved_is_drawn_and_given_back(void **state)
{
    (void)state;
    static const int64_t lengths[] = {1, 100000, BLOCK_BYTES, 3 * BLOCK_BYTES + 5};
    for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++) {
        memory_account_t account = {0};
        body_t *body = body_new(&account, version, lengths[i]);
        size_t lacking, cost = body_cost(lengths[i], true), length = (size_t)lengths[i];
        assert_int_equal(body_fits(body, length, &lacking), 0);
        assert_true(lacking > 0 && lacking <= cost);
        int64_t before = atomic_load(&account.bytes);
        assert_false(memory_promise(&account, cost, (uint64_t)before + cost - 1));
        assert_true(memory_promise(&account, cost, (uint64_t)before + cost));
        body_reserve(body, cost);
        assert_int_equal(body_fits(body, length, &lacking), length);
        assert_int_equal(lacking, 0);
        append(body, length);
        assert_int_equal(atomic_load(&account.bytes), before + (int64_t)cost);
        body_span_t span = body_span(body, 0, 1);
        body_seal(body);
        assert_in_range(atomic_load(&account.bytes), lengths[i], before + (int64_t)cost);
        body_unref(&body);
        assert_true(atomic_load(&account.bytes) > 0);
        block_unref(&span.block);
        assert_int_equal(atomic_load(&account.bytes), 0);
    }
}

/* What readers hold stays beside what takes its place: both fit what is reserved, or nothing takes its place.
 */
static void what_is_sealed_takes_no_more_than_is_reserved(void **state)
{
    (void)state;
    enum { BYTES = 70000 }; /* of a block of four times 64 KiB */
    for (int reserved = 0; reserved < 2; reserved++) {
        memory_account_t account = {0};
        body_t *body = body_new(&account, version, -1);
        append(body, BYTES);
        assert_int_equal(body_seal_lacks(body), 0); /* nobody holds it */
        body_span_t span = body_span(body, 0, 1);
        size_t lacking = body_seal_lacks(body);
        assert_true(lacking >= BYTES);
        int64_t before = atomic_load(&account.bytes);
        if (reserved) {
            assert_true(memory_promise(&account, lacking, SIZE_MAX / 2));
            body_reserve(body, lacking);
            assert_int_equal(body_seal_lacks(body), 0);
        }
        body_seal(body);
        assert_true(atomic_load(&account.bytes) <= before + (reserved ? (int64_t)lacking : 0));
        assert_reads(body, 0, BYTES);
        block_unref(&span.block);
        assert_true((atomic_load(&account.bytes) < BYTES * 2) == (reserved == 1));
        body_unref(&body);
        assert_int_equal(atomic_load(&account.bytes), 0);
    }
}

static void a_window_lives_on_one_block(void **state)
{
    (void)state;
    memory_account_t account = {0};
    body_t *body = body_new(&account, version, 20 * BLOCK_BYTES);
    size_t cost = body_cost(20 * BLOCK_BYTES, false), lacking;
    assert_true(memory_promise(&account, cost, SIZE_MAX / 2));
    body_reserve(body, cost);
    int64_t full = atomic_load(&account.bytes);
    for (int i = 0; i < 20; i++) {
        assert_int_equal(body_fits(body, 2 * BLOCK_BYTES, &lacking), BLOCK_BYTES);
        append(body, BLOCK_BYTES);
        assert_int_equal(body_fits(body, 1, &lacking), 0);
        body_span_t span = body_span(body, body_length(body) - 1, 1);
        body_forget_before(body, body_length(body));
        assert_int_equal(body_fits(body, 1, &lacking), 0); /* a reader has it still */
        block_unref(&span.block);
        assert_int_equal(atomic_load(&account.bytes), full);
    }
    body_unref(&body);
    assert_int_equal(atomic_load(&account.bytes), 0);
}

static void references_keep_a_body(void **state)
{
    (void)state;
    memory_account_t account = {0};
    body_t *body = body_new(&account, version, 5), *second = body;
    append(body, 5);
    body_seal(body);
    body_ref(body);
    body_unref(&body);
    assert_reads(second, 0, 5);
    body_unref(&second);
    assert_int_equal(atomic_load(&account.bytes), 0);
}

/* Read in whole units, of which the last is not all its own. */
static void what_is_loaded_lies_where_it_was_read(void **state)
{
    (void)state;
    static const struct {
        size_t read, length;
        int blocks;
    } rows[] = {{512, 1, 1},
                {512, 512, 1},
                {100 * 512, 99 * 512 + 1, 1},
                {BLOCK_BYTES, BLOCK_BYTES - 511, 1},
                {BLOCK_BYTES + 512, BLOCK_BYTES + 1, 2},
                {BLOCK_BYTES + 512, BLOCK_BYTES + 512, 2},
                {2 * BLOCK_BYTES, 2 * BLOCK_BYTES, 2}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        memory_account_t account = {0};
        size_t cost = body_cost((int64_t)rows[i].read, true);
        assert_true(memory_promise(&account, cost, cost));
        body_t *body = body_for_load(&account, rows[i].read, cost);
        assert_int_equal(body_block_state(body, 0), BLOCK_IN_FLIGHT);
        int64_t begun = atomic_load(&account.bytes);
        struct iovec places[BODY_LOAD_BLOCKS_MAX];
        assert_int_equal(body_load_places(body, places), rows[i].blocks);
        uint64_t offset = 0;
        for (int place = 0; place < rows[i].blocks; place++) {
            for (size_t j = 0; j < places[place].iov_len; j++)
                ((char *)places[place].iov_base)[j] = byte_at(offset + j);
            offset += places[place].iov_len;
        }
        assert_int_equal(offset, rows[i].read);
        body_loaded(body, version, rows[i].length);
        body_check(body);
        assert_int_equal(body_length(body), rows[i].length);
        assert_int_equal(body_version(body).high, version.high);
        assert_int_equal(body_block_state(body, 0), BLOCK_PRESENT);
        assert_reads(body, 0, SIZE_MAX);
        text_t whole;
        assert_int_equal(body_in_one(body, &whole), rows[i].blocks == 1);
        /* Nothing beside what was promised, and a little more than there is in the end. */
        assert_in_range(begun, cost, cost + 512);
        assert_in_range(atomic_load(&account.bytes), rows[i].length, cost + 512);
        body_unref(&body);
        assert_int_equal(atomic_load(&account.bytes), 0);
    }
}

static void what_is_not_loaded_is_given_back(void **state)
{
    (void)state;
    memory_account_t account = {0};
    size_t cost = body_cost(2 * BLOCK_BYTES, true);
    assert_true(memory_promise(&account, cost, cost));
    body_t *body = body_for_load(&account, 2 * BLOCK_BYTES, cost);
    body_unref(&body);
    assert_int_equal(atomic_load(&account.bytes), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_appended_is_read),
        cmocka_unit_test(a_sealed_body_costs_little_more_than_its_bytes),
        cmocka_unit_test(block_states),
        cmocka_unit_test(a_span_outlives_everything),
        cmocka_unit_test(forgetting_takes_whole_blocks_only),
        cmocka_unit_test(a_window_costs_a_window),
        cmocka_unit_test(what_is_reserved_is_drawn_and_given_back),
        cmocka_unit_test(what_is_sealed_takes_no_more_than_is_reserved),
        cmocka_unit_test(a_window_lives_on_one_block),
        cmocka_unit_test(references_keep_a_body),
        cmocka_unit_test(what_is_loaded_lies_where_it_was_read),
        cmocka_unit_test(what_is_not_loaded_is_given_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
