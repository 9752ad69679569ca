/* A fill whose body breaks off: what is asked for then, which answer goes on with it, and when it is given
 * up. Pieces of what is large: pieces_test. */
#include "tests/unit/cache_world.h"

#define FRESH "cache-control: max-age=60"
#define TEN "content-length: 10"
#define TAG "etag: \"a\""
#define RANGES "accept-ranges: bytes"

static const object_failure_t lost = {502, "connection_terminated"};
static const object_failure_t stalled = {504, "connection_read_timeout"};

/* A fill has had so much of a body of ten bytes. */
static void begin(client_t *client, const char *body)
{
    client_ask(&world, client, "/x", NULL);
    assert_int_equal(client_head(&world, client, 200, LINES(FRESH, TEN, TAG, RANGES)), FILL_GO_ON);
    if (body[0] != '\0')
        client_body(client, body);
}

static void assert_asks(const client_t *client, const char *range)
{
    http_field_t conditions[2];
    assert_int_equal(fill_conditions(client->fill, conditions), 2);
    assert_true(text_equal(conditions[0].name, TEXT("range")));
    assert_true(text_equal(conditions[0].value, text_of(range)));
    assert_true(text_equal(conditions[1].name, TEXT("if-range")));
    assert_true(text_equal(conditions[1].value, TEXT("\"a\"")));
}

/* It breaks off, and is asked on for. */
static void break_off(client_t *client, const char *range)
{
    assert_int_equal(fill_cut_off(client->fill, lost, world.now_ms), FILL_AGAIN);
    assert_false(fill_ended(client->fill));
    assert_asks(client, range);
    fill_sent(client->fill, world.now_ms);
}

static walk_kind_t kind_of_next(void)
{
    client_t client;
    client_ask(&world, &client, "/x", NULL);
    walk_kind_t kind = client.step.kind;
    if (client.fill != NULL)
        fill_fail(client.fill, lost);
    client_leave(&client);
    return kind;
}

static void assert_failed(client_t *client, const char *text, object_failure_t failure)
{
    assert_true(fill_ended(client->fill));
    assert_reads(client, text, READ_FAILED);
    object_failure_t is = object_failure(client->reader.object);
    assert_int_equal(is.status, failure.status);
    assert_string_equal(is.detail, failure.detail);
}

/* Wherever it breaks off, readers get the whole, with the first answer's head, and it is stored. */
static void the_rest_is_appended(void **state)
{
    (void)state;
    static const struct {
        const char *first, *range, *content_range, *rest;
    } rows[] = {
        {"", "bytes=0-", "content-range: bytes 0-9/10", "0123456789"},
        {"0", "bytes=1-", "content-range: bytes 1-9/10", "123456789"},
        {"012345678", "bytes=9-", "content-range: bytes 9-9/10", "9"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        client_t client, other;
        begin(&client, rows[i].first);
        break_off(&client, rows[i].range);
        client_ask(&world, &other, "/x", NULL);
        assert_int_equal(other.step.kind, WALK_JOIN);
        int64_t response_time_ms = object_head(client.reader.object)->response_time_ms;
        world.now_ms += 5000;
        client_answer(&world, &client, 206,
                      LINES("cache-control: max-age=600", TAG, rows[i].content_range, "age: 7"),
                      rows[i].rest);
        assert_int_equal(fill_resumed(client.fill), FILL_RESUME_COMPLETED);
        assert_reads(&client, "0123456789", READ_END);
        assert_reads(&other, "0123456789", READ_END);
        const head_t *head = object_head(client.reader.object);
        assert_int_equal(head->status, 200);
        assert_int_equal(head->response_time_ms, response_time_ms);
        assert_int_equal(head_ttl_ms(head, world.now_ms, INT64_MAX), 55000);
        client_leave(&client);
        client_leave(&other);
        assert_int_equal(kind_of_next(), WALK_HIT);
        world_evict_all(&world);
    }
}

/* What a first answer needs to be gone on with, and what its request. */
static void which_bodies_have_a_rest(void **state)
{
    (void)state;
    static const struct {
        int status;
        const char *lines[4];
        const char *body;
        bool resumes;
    } rows[] = {
        {200, {TEN, TAG, RANGES}, "0123", true},
        {200, {TEN, TAG, "accept-ranges: Bytes"}, "0123", true},
        {200, {TEN, TAG, RANGES, "cache-control: no-store"}, "0123", true}, /* streams through */
        {200, {TEN, TAG, RANGES, "vary: accept-language"}, "0123", true},
        {200, {TEN, TAG, RANGES}, "0123456789", false}, /* nothing is missing */
        {200, {TEN, "etag: W/\"a\"", RANGES}, "0123", false},
        {200, {TEN, "x: none", RANGES}, "0123", false},
        {200, {TEN, "last-modified: Thu, 01 Jan 2026 00:00:00 GMT", RANGES}, "0123", false},
        {200, {TEN, TAG, "x: none"}, "0123", false},
        {200, {TEN, TAG, "accept-ranges: none"}, "0123", false},
        {200, {"x: chunked", TAG, RANGES}, "0123", false},
        {404, {TEN, TAG, RANGES}, "0123", false},
        {206, {TEN, TAG, RANGES, "content-range: bytes 0-9/20"}, "0123", false},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        client_t client;
        client_ask(&world, &client, "/x", NULL);
        const char *lines[6] = {FRESH};
        for (size_t j = 0; j < 4; j++)
            lines[j + 1] = rows[i].lines[j];
        assert_int_equal(client_head(&world, &client, rows[i].status, lines), FILL_GO_ON);
        client_body(&client, rows[i].body);
        fill_action_t action = fill_cut_off(client.fill, stalled, world.now_ms);
        assert_int_equal(action, rows[i].resumes ? FILL_AGAIN : FILL_STOP);
        if (rows[i].resumes)
            client_answer(&world, &client, 206, LINES(FRESH, TAG, "content-range: bytes 4-9/10"), "456789");
        else
            assert_failed(&client, rows[i].body, stalled);
        assert_int_equal(fill_resumed(client.fill),
                         rows[i].resumes ? FILL_RESUME_COMPLETED : FILL_NOT_RESUMED);
        client_leave(&client);
        world_evict_all(&world);
    }
}

/* Before a head nothing can be gone on with; another method, or a client's own Range, never. */
static void which_requests_have_a_rest(void **state)
{
    (void)state;
    static const struct {
        const char *method;
        bool ranged, head, resumes;
    } rows[] = {
        {"GET", false, true, true},
        {"GET", false, false, false},
        {"GET", true, true, false},
        {"POST", false, true, false},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        client_t client;
        memset(&client, 0, sizeof client);
        client.walk = (walk_t){.memory = world.memory,
                               .ledger = world.ledger,
                               .key = cache_key(TEXT("www"), TEXT("/x")),
                               .now_ms = world.now_ms,
                               .wake = client_wake};
        walk_private(&client.walk, &client.reader, FORWARD_METHOD);
        fill_request_t request = {.memory = world.memory,
                                  .method = text_of(rows[i].method),
                                  .key = client.walk.key,
                                  .object = client.reader.object,
                                  .ranged = rows[i].ranged};
        client.fill = fill_new(&request);
        fill_sent(client.fill, world.now_ms);
        if (rows[i].head) {
            assert_int_equal(client_head(&world, &client, 200, LINES(FRESH, TEN, TAG, RANGES)), FILL_GO_ON);
            client_body(&client, "0123");
        }
        assert_int_equal(fill_cut_off(client.fill, lost, world.now_ms),
                         rows[i].resumes ? FILL_AGAIN : FILL_STOP);
        fill_fail(client.fill, lost);
        client_leave(&client);
    }
}

/* Which answers are the rest of what has come of "a" with 10 bytes, four of them received. */
static void which_answers_go_on(void **state)
{
    (void)state;
#define REST "content-range: bytes 4-9/10"
    static const struct {
        int status;
        const char *lines[4];
        bool close_delimited, taken;
    } rows[] = {
        {206, {TAG, REST}, false, true},
        {206, {TAG, REST, "content-length: 6"}, false, true},
        {206, {TAG, REST, "content-length: 6", "last-modified: Thu, 01 Jan 2026 00:00:00 GMT"}, false, true},
        {206, {TAG, REST}, true, false},
        {206, {TAG, REST, "content-length: 5"}, false, false},
        {206, {TAG, REST, "content-length: 7"}, false, false},
        {206, {"etag: \"b\"", REST}, false, false},
        {206, {"etag: W/\"a\"", REST}, false, false},
        {206, {"x: none", REST}, false, false},
        {206, {TAG, TAG, REST}, false, false},
        {206, {TAG, REST, REST}, false, false},
        {206, {TAG, "x: none"}, false, false},
        {206, {TAG, "content-range: bytes 0-9/10"}, false, false},
        {206, {TAG, "content-range: bytes 3-9/10"}, false, false},
        {206, {TAG, "content-range: bytes 5-9/10"}, false, false},
        {206, {TAG, "content-range: bytes 4-8/10"}, false, false},
        {206, {TAG, "content-range: bytes 4-10/11"}, false, false},
        {206, {TAG, "content-range: bytes 4-9/11"}, false, false},
        {206, {TAG, "content-range: bytes 4-9/*"}, false, false},
        {206, {TAG, "content-range: lines 4-9/10"}, false, false},
        {206, {TAG, "content-range: bytes */10"}, false, false},
        {200, {TAG, REST, "content-length: 6"}, false, false},
        {200, {TAG, TEN}, false, false},
        {200, {"etag: \"b\"", TEN}, false, false},
        {204, {TAG, REST}, false, false},
        {304, {TAG, REST}, false, false},
        {404, {TAG, REST}, false, false},
        {416, {TAG, "content-range: bytes */10"}, false, false},
        {500, {TAG, REST}, false, false},
        {503, {TAG, REST}, false, false},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        client_t client;
        begin(&client, "0123");
        break_off(&client, "bytes=4-");
        http_field_t list[8];
        const char *lines[6] = {FRESH};
        for (size_t j = 0; j < 4; j++)
            lines[j + 1] = rows[i].lines[j];
        fill_answer_t answer = {rows[i].status, fields_of(list, lines), rows[i].close_delimited, true};
        fill_action_t action = fill_head(client.fill, &answer, world.now_ms);
        assert_int_equal(action, rows[i].taken ? FILL_GO_ON : FILL_STOP);
        if (rows[i].taken) {
            client_body(&client, "456789");
            fill_complete(client.fill);
            assert_reads(&client, "0123456789", READ_END);
        } else
            assert_failed(&client, "0123", lost);
        assert_int_equal(fill_resumed(client.fill),
                         rows[i].taken ? FILL_RESUME_COMPLETED : FILL_RESUME_REFUSED);
        client_leave(&client);
        assert_int_equal(kind_of_next(), rows[i].taken ? WALK_HIT : WALK_FILL);
        world_evict_all(&world);
    }
}

/* Of more or fewer bytes than are missing it fails, as any body does. */
static void the_rest_is_as_long_as_was_said(void **state)
{
    (void)state;
    client_t client;
    size_t taken;
    begin(&client, "0123");
    break_off(&client, "bytes=4-");
    assert_int_equal(client_head(&world, &client, 206, LINES(FRESH, TAG, REST)), FILL_GO_ON);
    assert_int_equal(fill_bytes(client.fill, "456789x", 7, &taken), FILL_STOP);
    assert_failed(&client, "0123", (object_failure_t){502, "http_protocol_error"});
    client_leave(&client);
    begin(&client, "0123");
    break_off(&client, "bytes=4-");
    assert_int_equal(client_head(&world, &client, 206, LINES(FRESH, TAG, REST)), FILL_GO_ON);
    client_body(&client, "45678");
    fill_complete(client.fill);
    assert_failed(&client, "012345678", (object_failure_t){502, "http_response_incomplete"});
    assert_int_equal(fill_resumed(client.fill), FILL_RESUME_BROKEN);
    client_leave(&client);
}

/* Two at most, and none after one that brought nothing. What ends by itself is not asked on for. */
static void it_is_given_up(void **state)
{
    (void)state;
    client_t client;
    begin(&client, "0123");
    break_off(&client, "bytes=4-");
    assert_int_equal(client_head(&world, &client, 206, LINES(FRESH, TAG, REST)), FILL_GO_ON);
    client_body(&client, "4");
    break_off(&client, "bytes=5-");
    assert_int_equal(client_head(&world, &client, 206, LINES(FRESH, TAG, "content-range: bytes 5-9/10")),
                     FILL_GO_ON);
    client_body(&client, "5");
    assert_int_equal(fill_cut_off(client.fill, stalled, world.now_ms), FILL_STOP);
    assert_failed(&client, "012345", stalled);
    assert_int_equal(fill_resumed(client.fill), FILL_RESUME_BROKEN);
    assert_int_equal(fill_cut_off(client.fill, lost, world.now_ms), FILL_STOP); /* after its end nothing is */
    client_leave(&client);

    begin(&client, "0123");
    break_off(&client, "bytes=4-");
    assert_int_equal(client_head(&world, &client, 206, LINES(FRESH, TAG, REST)), FILL_GO_ON);
    assert_int_equal(fill_cut_off(client.fill, lost, world.now_ms), FILL_STOP);
    assert_failed(&client, "0123", lost);
    client_leave(&client);

    begin(&client, "0123");
    break_off(&client, "bytes=4-");
    fill_broken(client.fill, (object_failure_t){502, "connection_refused"}, world.now_ms);
    assert_failed(&client, "0123", (object_failure_t){502, "connection_refused"});
    client_leave(&client);

    begin(&client, "0123");
    fill_broken(client.fill, (object_failure_t){502, "http_protocol_error"}, world.now_ms);
    assert_failed(&client, "0123", (object_failure_t){502, "http_protocol_error"});
    assert_int_equal(fill_resumed(client.fill), FILL_NOT_RESUMED);
    client_leave(&client);
    assert_int_equal(kind_of_next(), WALK_FILL);
}

/* Readers get all of it, and nobody else. */
static void a_rest_that_may_not_be_stored(void **state)
{
    (void)state;
    static const struct {
        const char *first, *line;
        bool stored;
    } rows[] = {
        {"x: y", "cache-control: max-age=1", true},
        {"x: y", "cache-control: no-store", false},
        {"x: y", "cache-control: private", false},
        {"x: y", "cache-control: max-age=60, no-cache", false},
        {"x: y", "vary: *", false},
        {"x: y", "vary: accept-language", false},
        {"vary: accept-language", "vary: accept-language", true},
        {"vary: accept-language", "vary: origin", false},
        {"vary: accept-language", "x: y", true},
        {"surrogate-key: a b", "surrogate-key: b", true},
        {"surrogate-key: a b", "x: y", true},
        {"surrogate-key: a", "surrogate-key: a b", false}, /* a purge by that would not find it */
        {"x: y", "surrogate-key: a", false},
    };
    const http_policy_t policy = {.tag_fields = {{{"surrogate-key", 13}}, 1}};
    world.policy = &policy;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        client_t client;
        client_ask(&world, &client, "/x", NULL);
        assert_int_equal(client_head(&world, &client, 200, LINES(FRESH, TEN, TAG, RANGES, rows[i].first)),
                         FILL_GO_ON);
        client_body(&client, "0123");
        break_off(&client, "bytes=4-");
        assert_int_equal(client_head(&world, &client, 206, LINES(rows[i].line, TAG, REST)), FILL_GO_ON);
        client_body(&client, "456789");
        fill_complete(client.fill);
        assert_reads(&client, "0123456789", READ_END);
        client_leave(&client);
        assert_int_equal(kind_of_next(), rows[i].stored ? WALK_HIT : WALK_FILL);
        world_evict_all(&world);
    }
    world.policy = NULL;
}

/* The stamp is that of the first request. */
static void a_purge_before_the_rest(void **state)
{
    (void)state;
    client_t client;
    begin(&client, "0123");
    break_off(&client, "bytes=4-");
    world_purge(&world, RULE_URL, "/x", false);
    client_answer(&world, &client, 206, LINES(FRESH, TAG, REST), "456789");
    assert_reads(&client, "0123456789", READ_END);
    client_leave(&client);
    assert_int_equal(kind_of_next(), WALK_FILL);
}

/* Not for nobody, but where little is missing of what is stored; and given up when they leave later. */
static void what_nobody_waits_for(void **state)
{
    (void)state;
    static const struct {
        const char *length;
        bool leaves_later;
        fill_action_t action;
    } rows[] = {
        {"content-length: 1000", false, FILL_AGAIN},
        {"content-length: 5000000", false, FILL_STOP},
        {"content-length: 5000000", true, FILL_STOP},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        client_t client;
        client_ask(&world, &client, "/x", NULL);
        assert_int_equal(client_head(&world, &client, 200, LINES(FRESH, rows[i].length, TAG, RANGES)),
                         FILL_GO_ON);
        client_body(&client, "0123");
        if (rows[i].leaves_later)
            assert_int_equal(fill_cut_off(client.fill, lost, world.now_ms), FILL_AGAIN);
        object_leave(&client.reader);
        assert_int_equal(rows[i].leaves_later ? fill_notified(client.fill, FILLER_ABANDONED)
                                              : fill_cut_off(client.fill, lost, world.now_ms),
                         rows[i].action);
        assert_int_equal(fill_ended(client.fill), rows[i].action == FILL_STOP);
        fill_fail(client.fill, lost);
        fill_free(&client.fill);
    }
}

/* Whoever reads it counts on that it can be paused: the rest comes where it can. */
static void the_rest_can_be_paused_too(void **state)
{
    (void)state;
    for (int can_pause = 0; can_pause < 2; can_pause++) {
        client_t client;
        client_ask(&world, &client, "/x", NULL);
        http_field_t list[8];
        fill_answer_t answer = {200, fields_of(list, LINES(FRESH, TEN, TAG, RANGES)), false, can_pause};
        assert_int_equal(fill_head(client.fill, &answer, world.now_ms), FILL_GO_ON);
        client_body(&client, "0123");
        assert_false(fill_needs_pauses(client.fill));
        break_off(&client, "bytes=4-");
        assert_int_equal(fill_needs_pauses(client.fill), can_pause);
        fill_fail(client.fill, lost);
        client_leave(&client);
    }
}

/* --- What is kept in pieces --- */

enum { WHOLE = PIECE_BYTES + 5 };
#define FAR LINES("range: bytes=1048576-1048577")
#define LAST "content-range: bytes 1048576-1048580/1048581"

static int begin_large(void **state)
{
    (void)state;
    world_begin(&world, 64 * (uint64_t)MIB, PIECE_BYTES);
    return 0;
}

/* The head of a whole that is kept in pieces comes; of its body, nothing. */
static void begin_whole(client_t *client)
{
    char length[40];
    snprintf(length, sizeof length, "content-length: %u", (unsigned)WHOLE);
    client_ask(&world, client, "/x", NULL);
    assert_int_equal(client_head(&world, client, 200, LINES(FRESH, length, TAG, RANGES)), FILL_GO_ON);
}

static void end_whole(client_t *client)
{
    fill_fail(client->fill, lost);
    client_leave(client);
}

static walk_kind_t kind_of_part(void)
{
    client_t client;
    client_ask(&world, &client, "/x", FAR);
    walk_kind_t kind = client.step.kind;
    if (client.fill != NULL)
        fill_fail(client.fill, lost);
    client_leave(&client);
    return kind;
}

static walk_kind_t kind_of_piece(void)
{
    client_t client, sparse;
    assert_true(client_ask_piece(&world, &client, &sparse, "/x", WHOLE - 1, FAR));
    walk_kind_t kind = client.step.kind;
    if (client.fill != NULL)
        fill_fail(client.fill, lost);
    client_leave(&client);
    client_leave(&sparse);
    return kind;
}

/* When the rest may not be stored, nothing is kept of that version any more. */
static void a_piece_that_breaks_off(void **state)
{
    (void)state;
    static const struct {
        const char *range, *etag, *control;
        bool taken, stored;
    } rows[] = {
        {"content-range: bytes 1048578-1048580/1048581", TAG, FRESH, true, true},
        {"content-range: bytes 1048578-1048580/1048581", TAG, "cache-control: no-store", true, false},
        {"content-range: bytes 1048578-1048580/1048581", "etag: \"b\"", FRESH, false, false},
        {"content-range: bytes 1048578-1048580/1048582", TAG, FRESH, false, false},
        {LAST, TAG, FRESH, false, false},
        {"content-range: bytes 2-4/1048581", TAG, FRESH, false, false},
        {"content-range: bytes 2-4/5", TAG, FRESH, false, false},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        client_t client, sparse;
        begin_whole(&client);
        end_whole(&client);
        assert_true(client_ask_piece(&world, &client, &sparse, "/x", WHOLE - 1, FAR));
        assert_int_equal(client_head(&world, &client, 206, LINES(FRESH, LAST, TAG)), FILL_GO_ON);
        client_body(&client, "by");
        break_off(&client, "bytes=1048578-1048580");
        fill_action_t action =
            client_head(&world, &client, 206, LINES(rows[i].control, rows[i].range, rows[i].etag));
        assert_int_equal(action, rows[i].taken ? FILL_GO_ON : FILL_STOP);
        if (rows[i].taken) {
            client_body(&client, "tes");
            fill_complete(client.fill);
            assert_reads(&client, "bytes", READ_END);
        } else
            assert_failed(&client, "by", lost);
        client_leave(&client);
        client_leave(&sparse);
        bool forbidden = rows[i].taken && !rows[i].stored;
        assert_int_equal(kind_of_part(), forbidden ? WALK_FILL : WALK_HIT);
        if (!forbidden)
            assert_int_equal(kind_of_piece(), rows[i].stored ? WALK_HIT : WALK_FILL);
        world_evict_all(&world);
    }
}

/* So it is when the rest of the first piece says so, which came as the whole. */
static void a_first_piece_that_breaks_off(void **state)
{
    (void)state;
    static const struct {
        const char *control;
        walk_kind_t kind;
    } rows[] = {{FRESH, WALK_HIT}, {"cache-control: no-store", WALK_FILL}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        client_t client;
        begin_whole(&client);
        assert_int_equal(kind_of_part(), WALK_HIT);
        break_off(&client, "bytes=0-1048580");
        assert_int_equal(client_head(&world, &client, 206,
                                     LINES(rows[i].control, "content-range: bytes 0-1048580/1048581", TAG)),
                         FILL_GO_ON);
        assert_int_equal(kind_of_part(), rows[i].kind);
        end_whole(&client);
        world_evict_all(&world);
    }
}

int main(void)
{
#define STORY(name) cmocka_unit_test_setup_teardown(name, world_setup, world_teardown)
#define LARGE(name) cmocka_unit_test_setup_teardown(name, begin_large, world_teardown)
    const struct CMUnitTest tests[] = {
        STORY(the_rest_is_appended),
        STORY(which_bodies_have_a_rest),
        STORY(which_requests_have_a_rest),
        STORY(which_answers_go_on),
        STORY(the_rest_is_as_long_as_was_said),
        STORY(it_is_given_up),
        STORY(a_rest_that_may_not_be_stored),
        STORY(a_purge_before_the_rest),
        STORY(what_nobody_waits_for),
        STORY(the_rest_can_be_paused_too),
        LARGE(a_piece_that_breaks_off),
        LARGE(a_first_piece_that_breaks_off),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
