/* The fill: what each upstream event means for the object and the index. */
#include "tests/unit/cache_world.h"

#define FRESH "cache-control: max-age=60"

/* Gives it so many bytes; all of them are to be taken. */
static void give(fill_t *fill, size_t length)
{
    char *bytes = must_calloc(1, length + 1);
    size_t taken;
    assert_int_equal(fill_bytes(fill, bytes, length, &taken), FILL_GO_ON);
    assert_int_equal(taken, length);
    free(bytes);
}

static bool is_stored(const char *target)
{
    cache_key_t key = cache_key(TEXT("www"), text_of(target));
    memory_view_t view = memory_look(world.memory, &key, NULL);
    bool stored = view.stored != NULL;
    memory_view_drop(&view);
    return stored;
}

static bool is_growing(const char *target)
{
    cache_key_t key = cache_key(TEXT("www"), text_of(target));
    memory_view_t view = memory_look(world.memory, &key, NULL);
    bool growing = view.growing != NULL;
    memory_view_drop(&view);
    return growing;
}

/* What the head says and what comes of it: may it be shared, will it be stored, is the key marked. */
static void heads(void **state)
{
    (void)state;
    static const struct {
        int status;
        const char *a, *b;
        bool close_delimited;
        bool shareable, stored, marked;
    } rows[] = {
        {200, FRESH, "content-length: 3", false, true, true, false},
        {200, FRESH, "a: b", false, true, true, false},
        {200, FRESH, "a: b", true, true, false, false},
        {200, FRESH, "content-length: 3", true, true, true, false},
        {200, FRESH, "vary: *", false, false, false, true},
        {200, FRESH, "set-cookie: a=b", false, false, false, true},
        {200, "cache-control: private", "a: b", false, false, false, true},
        {200, "cache-control: no-store", "a: b", false, false, false, true},
        {200, "cache-control: no-cache", "etag: \"a\"", false, false, true, false},
        {200, "cache-control: no-cache", "a: b", false, false, false, false},
        {200, "a: b", "c: d", false, true, false, false},
        {404, FRESH, "a: b", false, true, true, false},
        {500, FRESH, "a: b", false, true, true, false},
        {500, "last-modified: Thu, 01 Jan 2026 00:00:00 GMT", "a: b", false, true, false, false},
        {206, FRESH, "a: b", false, false, false, true},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        client_t client;
        client_ask(&world, &client, "/x", NULL);
        assert_int_equal(client.step.kind, WALK_FILL);
        http_field_t list[8];
        fill_answer_t answer = {rows[i].status, fields_of(list, LINES(rows[i].a, rows[i].b)),
                                rows[i].close_delimited, true};
        assert_int_equal(fill_head(client.fill, &answer, world.now_ms), FILL_GO_ON);
        object_t *object = fill_object(client.fill);
        assert_int_equal(object_shareable(object), rows[i].shareable);
        assert_int_equal(object_admitted(object), rows[i].stored);
        assert_int_equal(is_growing("/x"), rows[i].stored);
        give(client.fill, 3);
        fill_complete(client.fill);
        assert_int_equal(is_stored("/x"), rows[i].stored);
        assert_reads(&client, "", READ_END); /* three zero bytes: an empty string */
        client_leave(&client);
        cache_key_t key = cache_key(TEXT("www"), TEXT("/x"));
        memory_view_t view = memory_look(world.memory, &key, NULL);
        assert_int_equal(view.bypass_until_ms != 0, rows[i].marked);
        memory_view_drop(&view);
        world_evict_all(&world);
    }
}

/* Bodies against Content-Length: fewer, more, as many; an end without a head. */
static void a_body_is_as_long_as_was_said(void **state)
{
    (void)state;
    static const struct {
        const char *line;
        size_t sent;
        object_end_t end;
    } rows[] = {
        {"content-length: 10", 10, OBJECT_COMPLETE},
        {"content-length: 10", 9, OBJECT_FAILED},
        {"content-length: 10", 0, OBJECT_FAILED},
        {"content-length: 0", 0, OBJECT_COMPLETE},
        {"content-length: 10", 11, OBJECT_FAILED},
        {"content-length: 0", 1, OBJECT_FAILED},
        {"a: b", 7, OBJECT_COMPLETE},
        {"a: b", 0, OBJECT_COMPLETE},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        client_t client;
        client_ask(&world, &client, "/x", NULL);
        client_head(&world, &client, 200, LINES(FRESH, rows[i].line));
        fill_action_t last = FILL_GO_ON;
        for (size_t byte = 0; byte < rows[i].sent; byte++) {
            size_t taken;
            last = fill_bytes(client.fill, "x", 1, &taken);
        }
        bool too_many = rows[i].end == OBJECT_FAILED && rows[i].sent > 0 && rows[i].sent != 9;
        assert_int_equal(last, too_many ? FILL_STOP : FILL_GO_ON);
        fill_complete(client.fill);
        fill_complete(client.fill); /* after its end nothing changes it */
        fill_fail(client.fill, (object_failure_t){504, "late"});
        assert_true(fill_ended(client.fill));
        assert_int_equal(object_end(client.reader.object), rows[i].end);
        assert_int_equal(is_stored("/x"), rows[i].end == OBJECT_COMPLETE);
        assert_false(is_growing("/x"));
        client_leave(&client);
        world_evict_all(&world);
    }
    client_t client;
    client_ask(&world, &client, "/x", NULL);
    fill_complete(client.fill);
    assert_int_equal(object_failure(client.reader.object).status, 502);
    client_leave(&client);
}

/* --- Revalidation --- */

static void store(const char *target, const char *const *response)
{
    client_t client;
    client_ask(&world, &client, target, NULL);
    client_answer(&world, &client, 200, response, "body");
    client_leave(&client);
}

static void a_304_freshens_what_was_asked_about(void **state)
{
    (void)state;
    static const struct {
        const char *etag;
        fill_action_t action;
    } rows[] = {
        {"etag: \"a\"", FILL_GO_ON},
        {"x: none", FILL_GO_ON},
        {"etag: \"b\"", FILL_AGAIN}, /* speaks of something else: asked again without conditions */
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        store("/x", LINES(FRESH, "etag: \"a\""));
        world.now_ms += 60000;
        client_t client, waiter, later;
        client_ask(&world, &client, "/x", NULL);
        client_ask(&world, &waiter, "/x", NULL);
        assert_int_equal(waiter.step.kind, WALK_JOIN);
        http_field_t conditions[2];
        assert_int_equal(fill_conditions(client.fill, conditions), 1);
        assert_int_equal(client_head(&world, &client, 304, LINES(FRESH, rows[i].etag)), rows[i].action);
        if (rows[i].action == FILL_AGAIN) {
            assert_int_equal(fill_conditions(client.fill, conditions), 0);
            fill_sent(client.fill, world.now_ms);
            client_answer(&world, &client, 200, LINES(FRESH, "etag: \"b\""), "body");
        }
        assert_true(fill_ended(client.fill));
        assert_reads(&client, "body", READ_END);
        assert_reads(&waiter, "body", READ_END);
        client_leave(&client);
        client_leave(&waiter);
        client_ask(&world, &later, "/x", NULL);
        assert_int_equal(later.step.kind, WALK_HIT);
        client_leave(&later);
        world_evict_all(&world);
    }
}

static void a_304_that_nobody_asked_for_fails(void **state)
{
    (void)state;
    client_t client;
    client_ask(&world, &client, "/x", NULL);
    assert_int_equal(client_head(&world, &client, 304, LINES(FRESH)), FILL_STOP);
    assert_int_equal(object_failure(client.reader.object).status, 502);
    client_leave(&client);
}

/* A hard purge while it is asked: the 304 may answer who asked before, and nobody after. */
static void a_purge_during_revalidation(void **state)
{
    (void)state;
    store("/x", LINES(FRESH, "etag: \"a\""));
    world.now_ms += 60000;
    client_t client, later;
    client_ask(&world, &client, "/x", NULL);
    world_purge(&world, RULE_URL, "/x", false);
    client_head(&world, &client, 304, LINES(FRESH, "etag: \"a\""));
    client_leave(&client);
    client_ask(&world, &later, "/x", NULL);
    assert_int_equal(later.step.kind, WALK_FILL);
    http_field_t conditions[2];
    assert_int_equal(fill_conditions(later.fill, conditions), 0);
    fill_fail(later.fill, (object_failure_t){502, "test"});
    client_leave(&later);
}

/* --- Large bodies --- */

/* Larger than is kept, by its own word or as it turns out: it streams, bounded, and the key is free. */
static void too_large_to_keep(void **state)
{
    (void)state;
    for (int known = 0; known < 2; known++) {
        client_t client;
        client_ask(&world, &client, "/big", NULL);
        client_head(&world, &client, 200, LINES(FRESH, known ? "content-length: 20000000" : "a: b"));
        assert_int_equal(is_growing("/big"), !known);
        char *bytes = must_calloc(1, 100000);
        size_t sent = 0, read = 0, taken;
        while (sent < 20000000) {
            size_t part = 20000000 - sent < 100000 ? 20000000 - sent : 100000;
            fill_action_t action = fill_bytes(client.fill, bytes, part, &taken);
            sent += taken;
            if (action == FILL_GO_ON)
                continue;
            assert_int_equal(action, FILL_PAUSE);
            /* What was paused is always resumed, whenever the reader makes room. */
            client.notified = 0;
            while (client.notified == 0) {
                body_span_t span;
                assert_int_equal(object_read(&client.reader, 65536, &span), READ_BYTES);
                read += span.length;
                block_unref(&span.block);
            }
            assert_int_equal(fill_notified(client.fill, client.notified), FILL_RESUME);
            assert_true(memory_bytes(world.memory) < 14 * MIB);
        }
        free(bytes);
        fill_complete(client.fill);
        assert_false(is_growing("/big") || is_stored("/big"));
        for (body_span_t span; object_read(&client.reader, SIZE_MAX, &span) == READ_BYTES;) {
            read += span.length;
            block_unref(&span.block);
        }
        assert_int_equal(read, sent);
        client_leave(&client);
        world_evict_all(&world);
    }
}

static fill_action_t unpausable_head(client_t *client, const char *const *lines)
{
    http_field_t list[8];
    fill_answer_t answer = {200, fields_of(list, lines), false, false};
    return fill_head(client->fill, &answer, world.now_ms);
}

/* On a connection that must not be paused: asked again on another, when it may be needed. The second answer
 * counts, whatever the first one was. */
static void asked_again_where_it_can_be_paused(void **state)
{
    (void)state;
    static const struct {
        const char *first, *length;
        fill_action_t action;
        const char *second;
        bool stored;
    } rows[] = {
        {"cache-control: private", "content-length: 9000000", FILL_AGAIN, "cache-control: private", false},
        {"cache-control: private", "a: b", FILL_AGAIN, FRESH, true},
        {"vary: accept", "content-length: 9000000", FILL_AGAIN, FRESH, true},
        {"vary: accept", "content-length: 9000000", FILL_AGAIN, "vary: accept", false},
        {"cache-control: private", "content-length: 4", FILL_GO_ON, NULL, false},
        {FRESH, "content-length: 4", FILL_GO_ON, NULL, true},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        client_t client;
        client_ask(&world, &client, "/x", NULL);
        assert_false(fill_needs_pauses(client.fill));
        assert_int_equal(unpausable_head(&client, LINES(rows[i].first, rows[i].length)), rows[i].action);
        if (rows[i].action == FILL_AGAIN) {
            assert_true(fill_needs_pauses(client.fill));
            assert_null(object_head(client.reader.object));
            fill_sent(client.fill, world.now_ms);
            client_head(&world, &client, 200, LINES(rows[i].second));
        }
        give(client.fill, 4);
        fill_complete(client.fill);
        assert_int_equal(object_end(client.reader.object), OBJECT_COMPLETE);
        assert_int_equal(memory_objects(world.memory), rows[i].stored);
        client_leave(&client);
        world_evict_all(&world);
    }
}

/* It cannot be paused and turns out larger than is kept: who falls behind is cut off, nobody else. */
static void unpausable_and_larger_than_thought(void **state)
{
    (void)state;
    client_t client, slow;
    client_ask(&world, &client, "/big", NULL);
    client_ask(&world, &slow, "/big", NULL);
    assert_int_equal(unpausable_head(&client, LINES(FRESH)), FILL_GO_ON);
    for (size_t sent = 0; sent < 20000000; sent += 100000) {
        give(client.fill, 100000);
        body_span_t span;
        while (object_read(&client.reader, SIZE_MAX, &span) == READ_BYTES)
            block_unref(&span.block);
    }
    fill_complete(client.fill);
    body_span_t span;
    assert_int_equal(object_read(&client.reader, SIZE_MAX, &span), READ_END);
    assert_int_equal(object_read(&slow.reader, SIZE_MAX, &span), READ_BEHIND);
    client_leave(&client);
    client_leave(&slow);
}

static void stalled_readers_are_cut_off(void **state)
{
    (void)state;
    client_t client;
    client_ask(&world, &client, "/big", NULL);
    client_head(&world, &client, 200, LINES("cache-control: private"));
    assert_int_equal(fill_stalled(client.fill), 0); /* has all there is before it */
    char *bytes = must_calloc(1, 5 * MIB);
    size_t taken;
    assert_int_equal(fill_bytes(client.fill, bytes, 5 * MIB, &taken), FILL_PAUSE);
    assert_int_equal(taken, WINDOW_BLOCKS * BLOCK_BYTES);
    assert_int_equal(fill_stalled(client.fill), 1);
    assert_true(client.notified & FILLER_ROOM);
    assert_int_equal(fill_bytes(client.fill, bytes, 1000, &taken), FILL_GO_ON);
    free(bytes);
    fill_complete(client.fill);
    assert_int_equal(fill_stalled(client.fill), 0);
    client_leave(&client);
}

/* --- Readers who leave --- */

static void an_abandoned_fill_is_finished_when_little_is_missing(void **state)
{
    (void)state;
    static const struct {
        const char *cache, *length;
        size_t sent;
        bool finished;
    } rows[] = {
        {FRESH, "content-length: 1048576", 0, true},
        {FRESH, "content-length: 1048577", 0, false},
        {FRESH, "content-length: 1048577", 1, true},
        {FRESH, "a: b", 1, false}, /* nobody knows how much */
        {"cache-control: private", "content-length: 5", 1, false},
        {NULL, NULL, 0, false}, /* no head yet */
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        client_t client;
        client_ask(&world, &client, "/x", NULL);
        if (rows[i].cache != NULL)
            client_head(&world, &client, 200, LINES(rows[i].cache, rows[i].length));
        give(client.fill, rows[i].sent);
        fill_t *fill = client.fill;
        object_leave(&client.reader);
        assert_int_equal(client.notified, FILLER_ABANDONED);
        assert_int_equal(fill_notified(fill, FILLER_ABANDONED), rows[i].finished ? FILL_GO_ON : FILL_STOP);
        assert_int_equal(fill_ended(fill), !rows[i].finished);
        assert_int_equal(is_growing("/x"), rows[i].finished);
        if (rows[i].finished) {
            give(fill, (size_t)atol(rows[i].length + 16) - rows[i].sent);
            fill_complete(fill);
            assert_true(is_stored("/x"));
        }
        fill_free(&client.fill);
        world_evict_all(&world);
    }
}

/* What came, was not kept, and was taken by nobody; and something for what was on its way. */
static void what_nobody_took_is_counted(void **state)
{
    (void)state;
    static const struct {
        const char *cache;
        size_t sent, read, skipped;
        uint64_t worth, wasted;
    } rows[] = {
        {FRESH, 0, 0, 0, 0, FILL_GIVEN_UP_BYTES},
        {FRESH, 100000, 0, 0, 0, 100000 + FILL_GIVEN_UP_BYTES},
        {FRESH, 100000, 40000, 0, 0, 60000 + FILL_GIVEN_UP_BYTES},
        {FRESH, 100000, 40000, 30000, 0,
         60000 + FILL_GIVEN_UP_BYTES},     /* what a part left out was not taken */
        {FRESH, 100000, 0, 0, 3 * MIB, 0}, /* it is worth the rest: kept */
        {"cache-control: no-store", 4 * MIB, 4 * MIB, 0, 0, 0},
        {"cache-control: no-store", 4 * MIB, MIB, 0, 0, 3 * MIB},
    };
    static char bytes[4 * MIB];
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        client_t client;
        world.wasted = 0;
        world.worth_bytes = rows[i].worth;
        client_ask(&world, &client, "/x", NULL);
        fill_t *fill = client.fill;
        client_head(&world, &client, 200, LINES(rows[i].cache, "content-length: 4194304"));
        if (rows[i].skipped > 0)
            object_seek(&client.reader, rows[i].skipped, 4 * MIB);
        size_t taken, read = 0;
        assert_int_equal(fill_bytes(fill, bytes, rows[i].sent, &taken), FILL_GO_ON);
        for (body_span_t span; read < rows[i].read; block_unref(&span.block)) {
            assert_int_equal(object_read(&client.reader, rows[i].read - read, &span), READ_BYTES);
            read += span.length;
        }
        object_leave(&client.reader);
        fill_notified(fill, FILLER_ABANDONED);
        if (!fill_ended(fill)) {
            assert_int_equal(fill_bytes(fill, bytes, 4 * MIB - rows[i].sent, &taken), FILL_GO_ON);
            fill_complete(fill);
        }
        assert_int_equal(world.wasted, rows[i].wasted);
        fill_free(&client.fill);
        world_evict_all(&world);
    }
}

static void who_comes_before_the_cancel_keeps_it_going(void **state)
{
    (void)state;
    client_t first, second;
    client_ask(&world, &first, "/x", NULL);
    object_leave(&first.reader);
    client_ask(&world, &second, "/x", NULL);
    assert_int_equal(second.step.kind, WALK_JOIN);
    assert_int_equal(fill_notified(first.fill, FILLER_ABANDONED), FILL_GO_ON);
    client_answer(&world, &first, 200, LINES(FRESH), "body");
    assert_reads(&second, "body", READ_END);
    client_leave(&second);
    fill_free(&first.fill);
}

/* --- Other methods --- */

static void unsafe_methods_invalidate(void **state)
{
    (void)state;
    static const struct {
        const char *method;
        int status;
        bool invalidates;
    } rows[] = {{"POST", 200, true},  {"PUT", 204, true},   {"DELETE", 303, true},   {"POST", 404, false},
                {"POST", 500, false}, {"PATCH", 200, true}, {"OPTIONS", 200, false}, {"BREW", 200, true}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        store("/x", LINES(FRESH));
        client_t client;
        memset(&client, 0, sizeof client);
        client.walk = (walk_t){.memory = world.memory,
                               .ledger = world.ledger,
                               .key = cache_key(TEXT("www"), TEXT("/x")),
                               .now_ms = world.now_ms,
                               .wake = client_wake};
        walk_step_t step = walk_private(&client.walk, &client.reader, FORWARD_METHOD);
        assert_int_equal(step.kind, WALK_PASS);
        fill_request_t request = {.memory = world.memory,
                                  .method = text_of(rows[i].method),
                                  .key = client.walk.key,
                                  .body = TEXT("payload"),
                                  .object = client.reader.object};
        client.fill = fill_new(&request);
        assert_true(text_equal(fill_body(client.fill), TEXT("payload")));
        assert_true(text_equal(fill_target(client.fill), TEXT("/x")));
        assert_true(fill_needs_pauses(client.fill));
        client_head(&world, &client, rows[i].status, LINES(FRESH));
        assert_int_equal(is_stored("/x"), !rows[i].invalidates);
        fill_complete(client.fill);
        assert_false(object_shareable(client.reader.object));
        client_leave(&client);
        world_evict_all(&world);
    }
}

/* What it asks with is its own: the request may be gone by then. */
static void a_fill_keeps_copies(void **state)
{
    (void)state;
    char target[] = "/copy", line[] = "accept: text/html";
    client_t client;
    client_ask(&world, &client, target, LINES(line, "x-empty: "));
    memset(target, '-', sizeof target - 1);
    memset(line, '-', sizeof line - 1);
    assert_true(text_equal(fill_target(client.fill), TEXT("/copy")));
    http_fields_t fields = fill_fields(client.fill);
    assert_int_equal(fields.count, 2);
    assert_true(text_equal(fields.at[0].name, TEXT("accept")));
    assert_true(text_equal(fields.at[0].value, TEXT("text/html")));
    assert_int_equal(fields.at[1].value.length, 0);
    assert_true(text_equal(fill_method(client.fill), TEXT("GET")));
    assert_null(fill_body(client.fill).data);
    fill_fail(client.fill, (object_failure_t){502, "test"});
    client_leave(&client);
}

int main(void)
{
#define STORY(name) cmocka_unit_test_setup_teardown(name, world_setup, world_teardown)
    const struct CMUnitTest tests[] = {
        STORY(heads),
        STORY(a_body_is_as_long_as_was_said),
        STORY(a_304_freshens_what_was_asked_about),
        STORY(a_304_that_nobody_asked_for_fails),
        STORY(a_purge_during_revalidation),
        STORY(too_large_to_keep),
        STORY(asked_again_where_it_can_be_paused),
        STORY(unpausable_and_larger_than_thought),
        STORY(stalled_readers_are_cut_off),
        STORY(an_abandoned_fill_is_finished_when_little_is_missing),
        STORY(what_nobody_took_is_counted),
        STORY(who_comes_before_the_cancel_keeps_it_going),
        STORY(unsafe_methods_invalidate),
        STORY(a_fill_keeps_copies),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
