/* What cannot be asked for in parts, and is too large for memory, is kept as it comes: fill_split.c. */
#include "tests/unit/cache_world.h"

#define FRESH "cache-control: max-age=60"
#define LENGTH "content-length: 4194309"

enum { WHOLE = 4 * PIECE_BYTES + 5 };

/* The tier below, as a fill sees it. */
static bool takes;
static uint64_t holds;

static bool below_takes(void *context, const ledger_hash_t *name)
{
    (void)context;
    (void)name;
    return takes;
}

static uint64_t below_holds(void *context)
{
    (void)context;
    return holds;
}

static void set_below(void)
{
    memory_set_below(world.memory, &(memory_below_t){.takes = below_takes, .holds = below_holds});
}

static int begin(void **state)
{
    (void)state;
    takes = true;
    holds = WHOLE;
    world_begin(&world, 64 * (uint64_t)MIB, PIECE_BYTES);
    set_below();
    return 0;
}

static char byte_at(uint64_t at)
{
    return (char)(at % 251);
}

static fill_action_t send(fill_t *fill, uint64_t from, uint64_t to)
{
    enum { PART = 300007 };
    static char bytes[PART];
    fill_action_t action = FILL_GO_ON;
    while (from < to && action == FILL_GO_ON) {
        size_t part = to - from < PART ? (size_t)(to - from) : PART, taken;
        for (size_t i = 0; i < part; i++)
            bytes[i] = byte_at(from + i);
        action = fill_bytes(fill, bytes, part, &taken);
        assert_true(taken == part || action != FILL_GO_ON);
        from += part;
    }
    return action;
}

/* --- What is found as the head is stored --- */

bool __real_memory_put(memory_t *memory, home_t *home, object_t *object);
bool __wrap_memory_put(memory_t *memory, home_t *home, object_t *object);

static unsigned on_their_way;

bool __wrap_memory_put(memory_t *memory, home_t *home, object_t *object)
{
    cache_key_t key = cache_key(TEXT("www"), TEXT("/a"));
    on_their_way = 0;
    for (uint64_t at = 0; object_sparse(object) && at < WHOLE; at += PIECE_BYTES) {
        memory_view_t view = pieces_look(memory, &key, object, piece_at(object, at));
        on_their_way += view.growing != NULL;
        memory_view_drop(&view);
    }
    return __real_memory_put(memory, home, object);
}

/* All is there of the piece with this byte. */
static bool has_piece(client_t *client, uint64_t at)
{
    return walk_finds_piece(&client->walk, client->reader.object, piece_at(client->reader.object, at));
}

/* Somebody asks, and the head has come. */
static fill_action_t ask(client_t *client, const char *const *lines)
{
    client_ask(&world, client, "/a", NULL);
    assert_non_null(client->fill);
    return client_head(&world, client, 200, lines);
}

static void it_is_one_row(void **state)
{
    (void)state;
    client_t client, late;
    object_reader_t reader;
    walk_step_t step;
    body_span_t span;
    assert_int_equal(ask(&client, LINES(FRESH, LENGTH)), FILL_GO_ON);
    assert_true(object_sparse(client.reader.object));
    assert_int_equal(on_their_way, 5);
    assert_int_equal(walk_at_head(&client.walk, &client.reader), HEAD_SERVE);
    client_ask(&world, &late, "/a", NULL);
    assert_int_equal(late.step.kind, WALK_HIT);
    piece_t last = piece_at(late.reader.object, WHOLE - 1);
    assert_true(walk_piece(&late.walk, late.reader.object, last, &reader, &step));
    assert_int_equal(step.kind, WALK_JOIN);
    assert_int_equal(send(client.fill, 0, WHOLE), FILL_GO_ON);
    fill_complete(client.fill);
    assert_int_equal(object_read(&reader, 10, &span), READ_BYTES);
    assert_int_equal(span.length, 5);
    assert_int_equal(span.bytes[0], byte_at(4 * PIECE_BYTES));
    block_unref(&span.block);
    object_leave(&reader);
    assert_int_equal(walk_count_pieces(&late.walk, late.reader.object, 100), 5);
    client_leave(&client);
    client_leave(&late);
    client_ask(&world, &late, "/a", NULL);
    assert_int_equal(late.step.kind, WALK_HIT);
    client_leave(&late);
    assert_int_equal(world.wasted, 0);
}

/* What is gone of it cannot be fetched: all of it is asked for, under another version. */
static void what_lacks_a_piece_is_asked_for_anew(void **state)
{
    (void)state;
    client_t client, again;
    uint64_t numbers[PIECE_NUMBERS];
    for (int i = 0; i < 2; i++) {
        const char *const *lines =
            i == 0 ? LINES(FRESH, LENGTH) : LINES(FRESH, LENGTH, "etag: \"1\"", "accept-ranges: none");
        assert_int_equal(ask(&client, lines), FILL_GO_ON);
        assert_int_equal(send(client.fill, 0, WHOLE), FILL_GO_ON);
        fill_complete(client.fill);
        cache_variant_t piece =
            piece_variant(client.reader.object, piece_at(client.reader.object, PIECE_BYTES), numbers);
        memory_bury(world.memory, &client.walk.key, &piece, (text_t){NULL, 0});
        assert_int_equal(ask(&again, lines), FILL_GO_ON);
        version_id_t was = object_body_version(client.reader.object),
                     is = object_body_version(again.reader.object);
        assert_false(was.low == is.low && was.high == is.high);
        client_leave(&client);
        assert_int_equal(send(again.fill, 0, WHOLE), FILL_GO_ON);
        fill_complete(again.fill);
        client_leave(&again);
        world_evict_all(&world);
    }
}

/* Somebody reads of it as long as somebody has its head: what was waited for, or what was found. */
static void it_ends_when_nobody_reads(void **state)
{
    (void)state;
    for (int i = 0; i < 3; i++) {
        client_t client, found;
        bool is_found = i == 1, is_held = i == 2;
        assert_int_equal(ask(&client, LINES(FRESH, LENGTH)), FILL_GO_ON);
        if (is_found)
            client_ask(&world, &found, "/a", NULL);
        if (!is_held)
            object_leave(&client.reader);
        bool goes_on = is_found || is_held;
        assert_int_equal(send(client.fill, 0, PIECE_BYTES + 1), goes_on ? FILL_GO_ON : FILL_STOP);
        assert_int_equal(fill_ended(client.fill), !goes_on);
        if (is_found)
            client_leave(&found);
        if (is_held)
            object_leave(&client.reader);
        /* The last piece is worth being finished. */
        if (goes_on)
            assert_int_equal(send(client.fill, PIECE_BYTES + 1, 2 * PIECE_BYTES + 1), FILL_STOP);
        assert_true(fill_ended(client.fill));
        client_leave(&client);
        client_ask(&world, &client, "/a", NULL);
        assert_int_equal(client.step.kind, WALK_FILL);
        fill_fail(client.fill, (object_failure_t){502, "test"});
        client_leave(&client);
        world_evict_all(&world);
    }
}

static void it_is_finished_where_little_is_missing(void **state)
{
    (void)state;
    client_t client;
    assert_int_equal(ask(&client, LINES(FRESH, LENGTH)), FILL_GO_ON);
    assert_int_equal(send(client.fill, 0, 3 * PIECE_BYTES + 1), FILL_GO_ON);
    object_leave(&client.reader);
    assert_int_equal(send(client.fill, 3 * PIECE_BYTES + 1, WHOLE), FILL_GO_ON);
    fill_complete(client.fill);
    client_leave(&client);
    client_ask(&world, &client, "/a", NULL);
    assert_int_equal(client.step.kind, WALK_HIT);
    client_leave(&client);
}

static void it_waits_for_the_tier_below_and_then_goes_past_it(void **state)
{
    (void)state;
    client_t client;
    size_t taken;
    assert_int_equal(ask(&client, LINES(FRESH, LENGTH)), FILL_GO_ON);
    assert_int_equal(send(client.fill, 0, PIECE_BYTES - 1), FILL_GO_ON);
    takes = false;
    assert_int_equal(fill_bytes(client.fill, "ab", 2, &taken), FILL_PAUSE);
    assert_true(fill_is_starved(client.fill) && fill_awaits_below(client.fill) && taken == 0);
    takes = true;
    assert_int_equal(send(client.fill, PIECE_BYTES - 1, 2 * PIECE_BYTES - 1), FILL_GO_ON);
    takes = false;
    assert_int_equal(fill_bytes(client.fill, "ab", 2, &taken), FILL_PAUSE);
    assert_int_equal(fill_stalled(client.fill), 0);
    assert_int_equal(send(client.fill, 2 * PIECE_BYTES - 1, WHOLE), FILL_GO_ON);
    fill_complete(client.fill);
    assert_true(has_piece(&client, 0) && has_piece(&client, WHOLE - 1));
    client_leave(&client);
}

/* Without memory it waits, too; when there is none for long, its readers are cut off. */
static void it_waits_for_memory(void **state)
{
    (void)state;
    for (int i = 0; i < 2; i++) {
        client_t client;
        size_t taken;
        assert_int_equal(ask(&client, LINES(FRESH, LENGTH)), FILL_GO_ON);
        assert_int_equal(send(client.fill, 0, PIECE_BYTES - 1), FILL_GO_ON);
        size_t left = (size_t)(memory_limit(world.memory) - memory_bytes(world.memory)) - PIECE_BYTES / 2;
        assert_true(memory_reserve(world.memory, left));
        assert_int_equal(fill_bytes(client.fill, "ab", 2, &taken), FILL_PAUSE);
        assert_true(fill_is_starved(client.fill) && !fill_awaits_below(client.fill));
        if (i == 1) {
            fill_stalled(client.fill);
            assert_int_equal(fill_bytes(client.fill, "ab", 2, &taken), FILL_STOP);
        }
        memory_unpromise(memory_account(world.memory), left);
        if (i == 0) {
            assert_int_equal(send(client.fill, PIECE_BYTES - 1, WHOLE), FILL_GO_ON);
            fill_complete(client.fill);
        }
        assert_true(has_piece(&client, 0));
        assert_int_equal(has_piece(&client, WHOLE - 1), i == 0);
        client_leave(&client);
        world_evict_all(&world);
    }
}

/* Over HTTP/2 it could not wait: it is asked for once more. */
static void ask_over_http2(client_t *client)
{
    http_field_t list[8];
    fill_answer_t answer = {200, fields_of(list, LINES(FRESH, LENGTH)), false, false};
    client_ask(&world, client, "/a", NULL);
    assert_int_equal(fill_head(client->fill, &answer, world.now_ms), FILL_AGAIN);
}

static void it_is_asked_for_where_it_can_wait(void **state)
{
    (void)state;
    client_t client;
    ask_over_http2(&client);
    assert_true(fill_needs_pauses(client.fill));
    assert_int_equal(client_head(&world, &client, 200, LINES(FRESH, LENGTH)), FILL_GO_ON);
    assert_true(object_sparse(client.reader.object));
    fill_fail(client.fill, (object_failure_t){502, "test"});
    client_leave(&client);
}

/* What is said by then counts alone. */
static void asked_for_once_more_it_may_not_be_stored(void **state)
{
    (void)state;
    client_t client;
    ask_over_http2(&client);
    assert_int_equal(
        client_head(&world, &client, 200,
                    LINES("cache-control: no-store", LENGTH, "etag: \"1\"", "accept-ranges: bytes")),
        FILL_GO_ON);
    assert_false(object_sparse(client.reader.object));
    fill_fail(client.fill, (object_failure_t){502, "test"});
    client_leave(&client);
    client_ask(&world, &client, "/a", NULL);
    assert_int_not_equal(client.step.kind, WALK_HIT);
    fill_fail(client.fill, (object_failure_t){502, "test"});
    client_leave(&client);
}

/* Who waits for what was to come is told that it does not. */
static void it_fails_for_all_when_upstream_breaks_off(void **state)
{
    (void)state;
    client_t client;
    object_reader_t reader;
    walk_step_t step;
    assert_int_equal(ask(&client, LINES(FRESH, LENGTH)), FILL_GO_ON);
    assert_true(walk_piece(&client.walk, client.reader.object, piece_at(client.reader.object, WHOLE - 1),
                           &reader, &step));
    assert_int_equal(send(client.fill, 0, PIECE_BYTES + 7), FILL_GO_ON);
    object_failure_t lost = {502, "connection_terminated"};
    assert_int_equal(fill_cut_off(client.fill, lost, world.now_ms), FILL_STOP);
    assert_string_equal(object_failure(reader.object).detail, fill_run_ended.detail);
    assert_int_equal(walk_at_head(&client.walk, &client.reader), HEAD_AGAIN);
    object_leave(&reader);
    client_leave(&client);
}

/* Its pieces are found by nobody but those who read it already; they go on. */
static void it_goes_on_when_it_is_invalidated(void **state)
{
    (void)state;
    client_t client, late;
    assert_int_equal(ask(&client, LINES(FRESH, LENGTH)), FILL_GO_ON);
    memory_invalidate(world.memory, &client.walk.key);
    assert_int_equal(send(client.fill, 0, WHOLE), FILL_GO_ON);
    fill_complete(client.fill);
    assert_true(has_piece(&client, 0) && has_piece(&client, WHOLE - 1));
    client_ask(&world, &late, "/a", NULL);
    assert_int_equal(late.step.kind, WALK_FILL);
    fill_fail(late.fill, (object_failure_t){502, "test"});
    client_leave(&late);
    client_leave(&client);
}

static void what_is_not_kept_streams_through(void **state)
{
    (void)state;
    static const char *const huge = "content-length: 4294967297"; /* more pieces than may be named at once */
    const struct {
        uint64_t holds;
        const char *const *lines;
    } cases[] = {{WHOLE - 1, LINES(FRESH, LENGTH)},
                 {0, LINES(FRESH, LENGTH)},
                 {UINT64_MAX, LINES(FRESH, huge)},
                 {WHOLE, LINES(FRESH, LENGTH, "vary: accept-language")},
                 {WHOLE, LINES("cache-control: no-cache", LENGTH)},
                 {WHOLE, LINES("cache-control: no-store", LENGTH)},
                 {WHOLE, LINES(FRESH)}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        client_t client;
        holds = cases[i].holds;
        assert_int_equal(ask(&client, cases[i].lines), FILL_GO_ON);
        assert_false(object_sparse(client.reader.object));
        fill_fail(client.fill, (object_failure_t){502, "test"});
        client_leave(&client);
        world_evict_all(&world);
    }
}

/* --- A part that is far --- */

static void a_part_is_far_until_what_is_before_it_has_come(void **state)
{
    (void)state;
    client_t client;
    assert_int_equal(ask(&client, LINES(FRESH, LENGTH)), FILL_GO_ON);
    object_t *sparse = client.reader.object;
    assert_false(walk_is_far(&client.walk, sparse, 5, PIECE_BYTES));
    assert_false(walk_is_far(&client.walk, sparse, PIECE_BYTES + 5, PIECE_BYTES));
    assert_true(walk_is_far(&client.walk, sparse, 2 * PIECE_BYTES + 5, PIECE_BYTES));
    assert_int_equal(send(client.fill, 0, PIECE_BYTES + 1), FILL_GO_ON);
    assert_false(walk_is_far(&client.walk, sparse, 2 * PIECE_BYTES + 5, PIECE_BYTES));
    assert_true(walk_is_far(&client.walk, sparse, 3 * PIECE_BYTES + 5, PIECE_BYTES));
    fill_fail(client.fill, (object_failure_t){502, "test"});
    assert_false(walk_is_far(&client.walk, sparse, 3 * PIECE_BYTES + 5, PIECE_BYTES));
    client_leave(&client);
}

int main(void)
{
#define STORY(name) cmocka_unit_test_setup_teardown(name, begin, world_teardown)
    const struct CMUnitTest tests[] = {
        STORY(it_is_one_row),
        STORY(what_lacks_a_piece_is_asked_for_anew),
        STORY(it_ends_when_nobody_reads),
        STORY(it_is_finished_where_little_is_missing),
        STORY(it_waits_for_the_tier_below_and_then_goes_past_it),
        STORY(it_waits_for_memory),
        STORY(it_is_asked_for_where_it_can_wait),
        STORY(asked_for_once_more_it_may_not_be_stored),
        STORY(it_fails_for_all_when_upstream_breaks_off),
        STORY(it_goes_on_when_it_is_invalidated),
        STORY(what_is_not_kept_streams_through),
        STORY(a_part_is_far_until_what_is_before_it_has_come),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
