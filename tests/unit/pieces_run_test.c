/* Pieces in a row that one request to upstream brings: fill_run.c. */
#include "tests/unit/cache_world.h"

#define FRESH "cache-control: max-age=60"
#define TAG "etag: \"a\""
#define WHOLE_LINES FRESH, "accept-ranges: bytes", "content-length: 3145733", TAG
#define ALL "content-range: bytes 0-3145732/3145733"

enum { WHOLE = 3 * PIECE_BYTES + 5, LAST = 3 * PIECE_BYTES };

static int begin(void **state)
{
    (void)state;
    world_begin(&world, 64 * (uint64_t)MIB, PIECE_BYTES);
    return 0;
}

/* The head of a whole answer is known, and none of its bytes. */
static void keep_sparse(void)
{
    client_t client;
    client_ask(&world, &client, "/a", LINES("range: bytes=2000000-2000009"));
    assert_int_equal(client_head(&world, &client, 200, LINES(WHOLE_LINES)), FILL_STOP);
    client_leave(&client);
    world.wasted = 0;
}

/* One who needs the piece with this byte; what has to be fetched for it comes with what is missing behind it.
 */
static void ask(client_t *client, client_t *sparse, uint64_t offset, uint64_t end)
{
    world.run_end = end;
    assert_true(client_ask_piece(&world, client, sparse, "/a", offset, NULL));
    world.run_end = 0;
}

static void leave(client_t *client, client_t *sparse)
{
    client_leave(client);
    client_leave(sparse);
}

static walk_kind_t kind_of(uint64_t offset)
{
    client_t client, sparse;
    ask(&client, &sparse, offset, 0);
    walk_kind_t kind = client.step.kind;
    if (client.fill != NULL)
        fill_fail(client.fill, (object_failure_t){502, "test"});
    leave(&client, &sparse);
    return kind;
}

static void assert_asks(const client_t *client, const char *range)
{
    http_field_t conditions[2];
    assert_int_equal(fill_conditions(client->fill, conditions), 2);
    assert_true(text_equal(conditions[0].value, text_of(range)));
}

/* Bytes that say where they are. */
static char byte_at(uint64_t at)
{
    return (char)(at % 251);
}

/* So many come, in parts that end nowhere in particular. */
static fill_action_t send(client_t *client, uint64_t from, uint64_t to)
{
    enum { PART = 300007 };
    static char bytes[PART];
    fill_action_t action = FILL_GO_ON;
    while (from < to && action == FILL_GO_ON) {
        size_t part = to - from < PART ? (size_t)(to - from) : PART, taken;
        for (size_t i = 0; i < part; i++)
            bytes[i] = byte_at(from + i);
        action = fill_bytes(client->fill, bytes, part, &taken);
        assert_true(taken == part || action == FILL_STOP);
        from += part;
    }
    return action;
}

/* All that is there of a piece, which begins there; what ended it. */
static object_read_t read_piece(client_t *client, uint64_t first, uint64_t *length)
{
    for (*length = 0;;) {
        body_span_t span;
        object_read_t read = object_read(&client->reader, 65536, &span);
        if (read != READ_BYTES)
            return read;
        for (size_t i = 0; i < span.length; i++)
            assert_int_equal(span.bytes[i], byte_at(first + *length + i));
        *length += span.length;
        block_unref(&span.block);
    }
}

static void assert_left_out(client_t *client)
{
    assert_int_equal(object_end(client->reader.object), OBJECT_FAILED);
    assert_string_equal(object_failure(client->reader.object).detail, fill_run_ended.detail);
}

static void by_one_request(void **state)
{
    (void)state;
    keep_sparse();
    client_t first, third, sparse[2];
    uint64_t length;
    ask(&first, &sparse[0], 0, WHOLE);
    assert_asks(&first, "bytes=0-3145732");
    ask(&third, &sparse[1], 2 * PIECE_BYTES, 0);
    assert_int_equal(third.step.kind, WALK_JOIN);
    assert_int_equal(client_head(&world, &first, 206, LINES(FRESH, TAG, ALL)), FILL_GO_ON);
    assert_int_equal(send(&first, 0, WHOLE), FILL_GO_ON);
    assert_false(fill_ended(first.fill));
    fill_complete(first.fill);
    assert_int_equal(read_piece(&first, 0, &length), READ_END);
    assert_int_equal(length, PIECE_BYTES);
    assert_int_equal(read_piece(&third, 2 * PIECE_BYTES, &length), READ_END);
    assert_int_equal(length, PIECE_BYTES);
    leave(&first, &sparse[0]);
    leave(&third, &sparse[1]);
    for (uint64_t at = 0; at < WHOLE; at += PIECE_BYTES)
        assert_int_equal(kind_of(at), WALK_HIT);
    assert_int_equal(world.wasted, 0);
}

/* What comes behind the last of them is too much. */
static void no_more_than_was_asked_for(void **state)
{
    (void)state;
    keep_sparse();
    client_t client, sparse;
    ask(&client, &sparse, 0, 2 * PIECE_BYTES);
    assert_asks(&client, "bytes=0-2097151");
    assert_int_equal(
        client_head(&world, &client, 206, LINES(FRESH, TAG, "content-range: bytes 0-2097151/3145733")),
        FILL_GO_ON);
    assert_int_equal(send(&client, 0, 2 * PIECE_BYTES + 1), FILL_STOP);
    leave(&client, &sparse);
    assert_int_equal(kind_of(0), WALK_HIT);
    assert_int_equal(kind_of(PIECE_BYTES), WALK_FILL);
}

static void an_answer_of_the_first_alone_is_not_it(void **state)
{
    (void)state;
    keep_sparse();
    client_t client, sparse;
    ask(&client, &sparse, 0, WHOLE);
    assert_int_equal(
        client_head(&world, &client, 206, LINES(FRESH, TAG, "content-range: bytes 0-1048575/3145733")),
        FILL_STOP);
    leave(&client, &sparse);
}

/* Where others bring what comes next, or it is there: a row ends before it. */
static void a_row_ends_before_what_is_there(void **state)
{
    (void)state;
    keep_sparse();
    client_t client, other, sparse[2];
    ask(&other, &sparse[1], 2 * PIECE_BYTES, 0);
    ask(&client, &sparse[0], 0, WHOLE);
    assert_asks(&client, "bytes=0-2097151");
    piece_t piece = piece_at(sparse[0].reader.object, 0);
    assert_int_equal(walk_run_end(&client.walk, sparse[0].reader.object, piece, WHOLE, 8), PIECE_BYTES);
    fill_fail(client.fill, (object_failure_t){502, "test"});
    assert_int_equal(walk_run_end(&client.walk, sparse[0].reader.object, piece, WHOLE, 8), 2 * PIECE_BYTES);
    fill_fail(other.fill, (object_failure_t){502, "test"});
    assert_int_equal(walk_run_end(&client.walk, sparse[0].reader.object, piece, WHOLE, 8), WHOLE);
    assert_int_equal(walk_run_end(&client.walk, sparse[0].reader.object, piece, WHOLE, 2), 2 * PIECE_BYTES);
    assert_int_equal(walk_run_end(&client.walk, sparse[0].reader.object, piece, PIECE_BYTES + 1, 8),
                     2 * PIECE_BYTES);
    leave(&client, &sparse[0]);
    leave(&other, &sparse[1]);
}

/* Whoever it was for leaves: what has begun is finished, and nothing behind it. */
static void it_ends_when_nobody_reads(void **state)
{
    (void)state;
    for (int i = 0; i < 3; i++) {
        bool ahead = i == 1, is_next_read = i == 2;
        keep_sparse();
        client_t client, second, third, sparse[3];
        world.ahead = ahead;
        ask(&client, &sparse[0], 0, WHOLE);
        world.ahead = false;
        if (is_next_read)
            ask(&second, &sparse[1], PIECE_BYTES, 0);
        ask(&third, &sparse[2], 2 * PIECE_BYTES, 0);
        assert_int_equal(client_head(&world, &client, 206, LINES(FRESH, TAG, ALL)), FILL_GO_ON);
        object_leave(&client.reader);
        assert_int_equal(fill_notified(client.fill, client.notified), FILL_GO_ON);
        bool goes_on = ahead || is_next_read;
        assert_int_equal(send(&client, 0, PIECE_BYTES + 1), goes_on ? FILL_GO_ON : FILL_STOP);
        assert_int_equal(fill_ended(client.fill), !goes_on);
        if (!goes_on) {
            assert_left_out(&third);
            assert_int_equal(world.wasted, FILL_GIVEN_UP_BYTES);
            assert_int_equal(kind_of(PIECE_BYTES), WALK_FILL);
        } else
            fill_fail(client.fill, (object_failure_t){502, "test"});
        leave(&client, &sparse[0]);
        if (is_next_read)
            leave(&second, &sparse[1]);
        leave(&third, &sparse[2]);
        assert_int_equal(kind_of(0), WALK_HIT);
        world_evict_all(&world);
    }
}

/* When it fails, who waits for what was to come behind asks for that by itself. */
static void a_failure_is_that_of_one(void **state)
{
    (void)state;
    keep_sparse();
    client_t client, third, sparse[2];
    ask(&client, &sparse[0], 0, WHOLE);
    ask(&third, &sparse[1], 2 * PIECE_BYTES, 0);
    fill_broken(client.fill, (object_failure_t){502, "connection_refused"}, world.now_ms);
    assert_string_equal(object_failure(client.reader.object).detail, "connection_refused");
    assert_left_out(&third);
    leave(&client, &sparse[0]);
    leave(&third, &sparse[1]);
    assert_int_equal(kind_of(2 * PIECE_BYTES), WALK_FILL);
}

static bool takes_nothing(void *context, const ledger_hash_t *name)
{
    (void)context;
    (void)name;
    return false;
}

/* A row has begun, and a second one waits for its next piece. */
static void begin_row(client_t *client, client_t *second, client_t sparse[2])
{
    keep_sparse();
    ask(client, &sparse[0], 0, WHOLE);
    ask(second, &sparse[1], PIECE_BYTES, 0);
    assert_int_equal(client_head(&world, client, 206, LINES(FRESH, TAG, ALL)), FILL_GO_ON);
}

static void it_ends_where_there_is_no_memory(void **state)
{
    (void)state;
    client_t client, second, sparse[2];
    begin_row(&client, &second, sparse);
    size_t left = (size_t)(memory_limit(world.memory) - memory_bytes(world.memory)) - PIECE_BYTES / 2;
    assert_true(memory_reserve(world.memory, left));
    assert_int_equal(send(&client, 0, PIECE_BYTES + 1), FILL_STOP);
    assert_int_equal(object_end(client.reader.object), OBJECT_COMPLETE);
    assert_left_out(&second);
    memory_unpromise(memory_account(world.memory), left);
    leave(&client, &sparse[0]);
    leave(&second, &sparse[1]);
}

/* Until it takes more, or has not for as long as anything may be held up. */
static void it_waits_for_the_tier_below(void **state)
{
    (void)state;
    for (int i = 0; i < 2; i++) {
        bool is_stalled = i == 0;
        memory_below_t below = {.takes = takes_nothing};
        client_t client, second, sparse[2];
        size_t taken;
        begin_row(&client, &second, sparse);
        assert_int_equal(send(&client, 0, PIECE_BYTES - 1), FILL_GO_ON);
        memory_set_below(world.memory, &below);
        assert_int_equal(fill_bytes(client.fill, "ab", 2, &taken), FILL_PAUSE);
        assert_int_equal(taken, 0);
        assert_true(fill_is_starved(client.fill));
        if (is_stalled)
            assert_int_equal(fill_stalled(client.fill), 0);
        memory_set_below(world.memory, NULL);
        assert_int_equal(fill_bytes(client.fill, "ab", 2, &taken), is_stalled ? FILL_STOP : FILL_GO_ON);
        assert_int_equal(object_end(client.reader.object), OBJECT_COMPLETE);
        if (is_stalled)
            assert_left_out(&second);
        else
            fill_fail(client.fill, (object_failure_t){502, "test"});
        leave(&client, &sparse[0]);
        leave(&second, &sparse[1]);
        world_evict_all(&world);
    }
}

/* In the middle of the second one: the rest of that, and what is behind it. */
static void it_breaks_off(void **state)
{
    (void)state;
    keep_sparse();
    client_t client, sparse;
    ask(&client, &sparse, 0, WHOLE);
    assert_int_equal(client_head(&world, &client, 206, LINES(FRESH, TAG, ALL)), FILL_GO_ON);
    assert_int_equal(send(&client, 0, PIECE_BYTES + 5), FILL_GO_ON);
    object_failure_t lost = {502, "connection_terminated"};
    assert_int_equal(fill_cut_off(client.fill, lost, world.now_ms), FILL_AGAIN);
    assert_asks(&client, "bytes=1048581-3145732");
    assert_int_equal(
        client_head(&world, &client, 206, LINES(FRESH, TAG, "content-range: bytes 1048581-3145732/3145733")),
        FILL_GO_ON);
    assert_int_equal(send(&client, PIECE_BYTES + 5, WHOLE), FILL_GO_ON);
    fill_complete(client.fill);
    leave(&client, &sparse);
    for (uint64_t at = 0; at < WHOLE; at += PIECE_BYTES)
        assert_int_equal(kind_of(at), WALK_HIT);
}

/* The rest says that it may not be stored: so may nothing behind it. */
static void a_rest_that_forbids_it_ends_it(void **state)
{
    (void)state;
    keep_sparse();
    client_t client, second, sparse[2];
    ask(&client, &sparse[0], 0, WHOLE);
    ask(&second, &sparse[1], PIECE_BYTES, 0);
    assert_int_equal(client_head(&world, &client, 206, LINES(FRESH, TAG, ALL)), FILL_GO_ON);
    assert_int_equal(send(&client, 0, 5), FILL_GO_ON);
    object_failure_t lost = {502, "connection_terminated"};
    assert_int_equal(fill_cut_off(client.fill, lost, world.now_ms), FILL_AGAIN);
    assert_int_equal(
        client_head(&world, &client, 206,
                    LINES("cache-control: no-store", TAG, "content-range: bytes 5-3145732/3145733")),
        FILL_GO_ON);
    assert_left_out(&second);
    assert_int_equal(send(&client, 5, PIECE_BYTES + 9), FILL_STOP);
    assert_int_equal(object_end(client.reader.object), OBJECT_COMPLETE);
    leave(&client, &sparse[0]);
    leave(&second, &sparse[1]);
    assert_int_equal(memory_objects(world.memory), 0);
}

/* What is wanted whole, and is not much more than a piece, comes with the first answer. */
static void the_first_answer_brings_all_of_it(void **state)
{
    (void)state;
    client_t client;
    client_ask(&world, &client, "/a", NULL);
    assert_int_equal(client_head(&world, &client, 200, LINES(WHOLE_LINES)), FILL_GO_ON);
    assert_true(object_sparse(client.reader.object));
    assert_int_equal(send(&client, 0, WHOLE), FILL_GO_ON);
    fill_complete(client.fill);
    client_leave(&client);
    for (uint64_t at = 0; at < WHOLE; at += PIECE_BYTES)
        assert_int_equal(kind_of(at), WALK_HIT);
    assert_int_equal(world.wasted, 0);
}

int main(void)
{
#define STORY(name) cmocka_unit_test_setup_teardown(name, begin, world_teardown)
    const struct CMUnitTest tests[] = {
        STORY(by_one_request),
        STORY(no_more_than_was_asked_for),
        STORY(an_answer_of_the_first_alone_is_not_it),
        STORY(a_row_ends_before_what_is_there),
        STORY(it_ends_when_nobody_reads),
        STORY(a_failure_is_that_of_one),
        STORY(it_ends_where_there_is_no_memory),
        STORY(it_waits_for_the_tier_below),
        STORY(it_breaks_off),
        STORY(a_rest_that_forbids_it_ends_it),
        STORY(the_first_answer_brings_all_of_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
