/* What is too large to be stored whole, kept in pieces: RFC 9111 sections 3.3 and 3.4. */
#include "tests/unit/cache_world.h"

#include <inttypes.h>

#define FRESH "cache-control: max-age=60"
#define TAKES "accept-ranges: bytes"
#define LENGTH "content-length: 3145733" /* three pieces and five bytes */
#define FAR "range: bytes=2000000-2000009"

enum { WHOLE = 3 * PIECE_BYTES + 5 };

static const http_policy_t policy = {.tag_fields = {{{"cache-tag", 9}}, 1}};

static int begin(void **state)
{
    (void)state;
    world_begin(&world, 64 * (uint64_t)MIB, PIECE_BYTES);
    world.policy = &policy;
    return 0;
}

/* The head of a whole answer comes, and everybody leaves. What was kept before is stale by then. */
static void come_whole(const char *target, const char *const *lines)
{
    client_t client;
    world.now_ms += 60000;
    client_ask(&world, &client, target, NULL);
    assert_int_equal(client.step.kind, WALK_FILL);
    assert_int_equal(client_head(&world, &client, 200, lines), FILL_GO_ON);
    fill_fail(client.fill, (object_failure_t){503, "abandoned"});
    client_leave(&client);
}

static void keep_sparse(void)
{
    come_whole("/a", LINES(FRESH, TAKES, LENGTH, "etag: \"a\"", "x: 1"));
}

/* So many bytes come. */
static fill_action_t send(client_t *client, size_t length)
{
    char *bytes = must_calloc(1, length);
    size_t taken;
    fill_action_t action = fill_bytes(client->fill, bytes, length, &taken);
    assert_int_equal(taken, length);
    free(bytes);
    return action;
}

/* With nobody left who reads it. */
static walk_kind_t kind_of(const char *target, const char *const *lines)
{
    client_t client;
    client_ask(&world, &client, target, lines);
    walk_kind_t kind = client.step.kind;
    if (kind == WALK_HIT)
        assert_true(object_sparse(client.reader.object));
    if (client.fill != NULL)
        fill_fail(client.fill, (object_failure_t){502, "test"});
    client_leave(&client);
    return kind;
}

static void what_is_kept_in_pieces(void **state)
{
    (void)state;
    static const struct {
        const char *rfc;
        int status;
        const char *lines[6];
        bool kept;
    } rows[] = {
        {"RFC 9111 3.3", 200, {FRESH, TAKES, LENGTH, "etag: \"a\""}, true},
        {"RFC 9110 14.3: in any case", 200, {FRESH, "accept-ranges: Bytes", LENGTH, "etag: \"a\""}, true},
        {"RFC 9110 14.3: it takes none", 200, {FRESH, "accept-ranges: none", LENGTH, "etag: \"a\""}, false},
        {"RFC 9110 14.3: it does not say so", 200, {FRESH, LENGTH, "etag: \"a\""}, false},
        {"RFC 9111 3.4: a weak validator", 200, {FRESH, TAKES, LENGTH, "etag: W/\"a\""}, false},
        {"RFC 9111 3.4: a malformed one", 200, {FRESH, TAKES, LENGTH, "etag: a"}, false},
        {"RFC 9111 3.4: none", 200, {FRESH, TAKES, LENGTH}, false},
        {"RFC 9111 3.4: a date is none",
         200,
         {FRESH, TAKES, LENGTH, "last-modified: Sat, 29 Oct 1994 19:43:31 GMT"},
         false},
        {"RFC 9111 3.3: no length", 200, {FRESH, TAKES, "etag: \"a\""}, false},
        {"RFC 9111 3.3: another status", 404, {FRESH, TAKES, LENGTH, "etag: \"a\""}, false},
        {"RFC 9111 3: no-store", 200, {"cache-control: no-store", TAKES, LENGTH, "etag: \"a\""}, false},
        {"RFC 9111 3: private", 200, {"cache-control: private", TAKES, LENGTH, "etag: \"a\""}, false},
        {"RFC 9111 5.2.2.4: no-cache", 200, {"cache-control: no-cache", TAKES, LENGTH, "etag: \"a\""}, false},
        {"RFC 9111 4.1: it varies", 200, {FRESH, TAKES, LENGTH, "etag: \"a\"", "vary: accept"}, false},
        {"RFC 9111 4.1: by what upstream always gets the same of",
         200,
         {FRESH, TAKES, LENGTH, "etag: \"a\"", "vary: accept-encoding"},
         true},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        char target[16];
        snprintf(target, sizeof target, "/%zu", i);
        client_t client;
        client_ask(&world, &client, target, NULL);
        assert_int_equal(client_head(&world, &client, rows[i].status, rows[i].lines), FILL_GO_ON);
        fill_fail(client.fill, (object_failure_t){503, "abandoned"});
        client_leave(&client);
        if ((kind_of(target, LINES(FAR)) == WALK_HIT) != rows[i].kept)
            fail_msg("%s", rows[i].rfc);
    }
}

static void what_may_be_stored_whole_is(void **state)
{
    (void)state;
    come_whole("/a", LINES(FRESH, TAKES, "content-length: 1048576", "etag: \"a\""));
    assert_int_equal(kind_of("/a", LINES("range: bytes=5-6")), WALK_FILL);
    assert_int_equal(memory_objects(world.memory), 0);
}

/* Parts, all of it, and what has no body: all from its head and its pieces. */
static void it_answers_every_request(void **state)
{
    (void)state;
    static const struct {
        const char *rfc;
        const char *lines[3];
    } rows[] = {
        {"RFC 9111 3.3: a part", {"range: bytes=0-9"}},
        {"RFC 9111 3.3: several", {"range: bytes=0-9,20-29"}},
        {"RFC 9111 3.3: all of it", {"range: bytes=0-"}},
        {"RFC 9110 15.5.17: 416", {"range: bytes=9999999-"}},
        {"RFC 9110 13.2.2: 304", {"range: bytes=0-9", "if-none-match: \"a\""}},
        {"RFC 9110 13.1.5: the same", {"range: bytes=0-9", "if-range: \"a\""}},
        {"RFC 9110 13.1.5: another", {"range: bytes=0-9", "if-range: \"b\""}},
        {"RFC 9110 14.2: malformed", {"range: bytes=9-0"}},
        {"RFC 9110 14.1: another unit", {"range: lines=0-9"}},
        {"RFC 9110 9.3.1: the whole", {"accept: */*"}},
        {"RFC 9110 13.1.2: the whole, if it has changed", {"if-none-match: \"b\""}},
        {"RFC 9110 13.1.2: 304", {"if-none-match: \"a\""}},
    };
    keep_sparse();
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        if (kind_of("/a", rows[i].lines) != WALK_HIT)
            fail_msg("%s", rows[i].rfc);
}

/* Where a site honours what requests say: for a part, too, nothing is fetched or stored against that. */
static void what_requests_forbid(void **state)
{
    (void)state;
    static const struct {
        const char *rfc;
        http_request_control_t control;
        walk_kind_t kind;
    } rows[] = {
        {"RFC 9111 5.2.1.7: only-if-cached", {.only_if_cached = true}, WALK_NONE},
        {"RFC 9111 5.2.1.5: no-store", {.no_store = true}, WALK_PASS},
    };
    keep_sparse();
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        client_t client;
        client_ask(&world, &client, "/a", LINES(FAR));
        assert_int_equal(client.step.kind, WALK_HIT);
        http_request_control_t control = http_request_control(client.walk.fields);
        control.only_if_cached = rows[i].control.only_if_cached;
        control.no_store = rows[i].control.no_store;
        client.walk.control = &control;
        object_leave(&client.reader);
        walk_step_t step = walk_begin(&client.walk, &client.reader);
        if (step.kind != rows[i].kind)
            fail_msg("%s: %d", rows[i].rfc, step.kind);
        client_leave(&client);
    }
}

/* --- Pieces --- */

static bool ask_piece(client_t *client, client_t *sparse, uint64_t offset)
{
    return client_ask_piece(&world, client, sparse, "/a", offset, LINES(FAR));
}

static void leave_both(client_t *client, client_t *sparse)
{
    client_leave(client);
    client_leave(sparse);
}

static void give(client_t *client, size_t length)
{
    assert_int_equal(send(client, length), FILL_GO_ON);
}

static walk_kind_t piece_kind(uint64_t offset)
{
    client_t client, sparse;
    assert_true(ask_piece(&client, &sparse, offset));
    walk_kind_t kind = client.step.kind;
    if (client.fill != NULL)
        fill_fail(client.fill, (object_failure_t){502, "test"});
    leave_both(&client, &sparse);
    return kind;
}

#define LAST "content-range: bytes 3145728-3145732/3145733"

static void store_last_piece(void)
{
    client_t client, sparse;
    assert_true(ask_piece(&client, &sparse, WHOLE - 1));
    assert_int_equal(client.step.kind, WALK_FILL);
    client_answer(&world, &client, 206, LINES(FRESH, LAST, "etag: \"a\""), "bytes");
    leave_both(&client, &sparse);
}

static void pieces_are_rows_of_the_whole(void **state)
{
    (void)state;
    keep_sparse();
    client_t sparse;
    client_ask(&world, &sparse, "/a", LINES(FAR));
    static const struct {
        uint64_t offset;
        piece_t piece;
    } rows[] = {
        {0, {0, PIECE_BYTES}},
        {PIECE_BYTES - 1, {0, PIECE_BYTES}},
        {PIECE_BYTES, {PIECE_BYTES, 2 * PIECE_BYTES}},
        {WHOLE - 1, {3 * PIECE_BYTES, WHOLE}},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        piece_t piece = piece_at(sparse.reader.object, rows[i].offset);
        assert_int_equal(piece.first, rows[i].piece.first);
        assert_int_equal(piece.end, rows[i].piece.end);
    }
    client_leave(&sparse);
}

static void a_piece_is_asked_for_read_along_and_stored(void **state)
{
    (void)state;
    keep_sparse();
    client_t first, second, third, sparse[3];
    assert_true(ask_piece(&first, &sparse[0], PIECE_BYTES + 7));
    assert_int_equal(first.step.kind, WALK_FILL);
    http_field_t conditions[2];
    assert_int_equal(fill_conditions(first.fill, conditions), 2);
    assert_true(text_equal(conditions[0].name, TEXT("range")));
    assert_true(text_equal(conditions[0].value, TEXT("bytes=1048576-2097151")));
    assert_true(text_equal(conditions[1].name, TEXT("if-range")));
    assert_true(text_equal(conditions[1].value, TEXT("\"a\"")));
    assert_true(ask_piece(&second, &sparse[1], PIECE_BYTES));
    assert_int_equal(second.step.kind, WALK_JOIN);
    object_seek(&second.reader, 1, 3);
    assert_int_equal(client_head(&world, &first, 206,
                                 LINES(FRESH, "etag: \"a\"", "content-range: bytes 1048576-2097151/3145733")),
                     FILL_GO_ON);
    client_body(&first, "abcde");
    assert_reads(&second, "bc", READ_END);
    give(&first, PIECE_BYTES - 5);
    fill_complete(first.fill);
    assert_true(ask_piece(&third, &sparse[2], 2 * PIECE_BYTES - 1));
    assert_int_equal(third.step.kind, WALK_HIT);
    assert_int_equal(object_length(third.reader.object), PIECE_BYTES);
    assert_int_equal(piece_kind(0), WALK_FILL);
    assert_int_equal(memory_objects(world.memory), 2);
    leave_both(&first, &sparse[0]);
    leave_both(&second, &sparse[1]);
    leave_both(&third, &sparse[2]);
}

static void which_answers_are_the_piece(void **state)
{
    (void)state;
    enum { NO, ENDED, TROUBLE, YES };
    static const struct {
        const char *rfc;
        int status;
        const char *lines[5];
        int taken;
    } rows[] = {
        {"RFC 9110 15.3.7.1", 206, {FRESH, LAST, "etag: \"a\""}, YES},
        {"RFC 9110 15.3.7.1: with its length", 206, {LAST, "etag: \"a\"", "content-length: 5"}, YES},
        {"RFC 9111 3.4: another validator", 206, {FRESH, LAST, "etag: \"b\""}, ENDED},
        {"RFC 9111 3.4: a weak one", 206, {FRESH, LAST, "etag: W/\"a\""}, ENDED},
        {"RFC 9111 3.4: none", 206, {FRESH, LAST}, ENDED},
        {"RFC 9110 14.4: no Content-Range", 206, {FRESH, "etag: \"a\""}, ENDED},
        {"RFC 9110 14.4: of another length",
         206,
         {FRESH, "etag: \"a\"", "content-range: bytes 3145728-3145732/3145734"},
         ENDED},
        {"RFC 9110 14.4: of an unknown one",
         206,
         {FRESH, "etag: \"a\"", "content-range: bytes 3145728-3145732/*"},
         ENDED},
        {"RFC 9110 14.4: less",
         206,
         {FRESH, "etag: \"a\"", "content-range: bytes 3145728-3145731/3145733"},
         ENDED},
        {"RFC 9110 14.4: more",
         206,
         {FRESH, "etag: \"a\"", "content-range: bytes 3145727-3145732/3145733"},
         ENDED},
        {"RFC 9110 15.3.7.2: a multipart",
         206,
         {FRESH, "etag: \"a\"", "content-type: multipart/byteranges; boundary=x"},
         ENDED},
        {"RFC 9110 13.1.5: the whole, as it has changed", 200, {FRESH, LENGTH, "etag: \"b\""}, ENDED},
        {"RFC 9110 15.5.17: 416", 416, {"content-range: bytes */5"}, ENDED},
        {"RFC 9110 15.5.5: 404", 404, {FRESH}, ENDED},
        {"RFC 9110 15.4.5: a 304 that nobody asked for", 304, {"etag: \"a\""}, ENDED},
        {"RFC 9110 15.6.4: 503", 503, {FRESH}, TROUBLE},
        {"RFC 6585 4: 429", 429, {FRESH}, TROUBLE},
        {"RFC 9111 3: no-store by now", 206, {"cache-control: no-store", LAST, "etag: \"a\""}, ENDED},
        {"RFC 9111 3: private by now", 206, {"cache-control: private", LAST, "etag: \"a\""}, ENDED},
        {"RFC 9111 4.1: it varies by now", 206, {FRESH, LAST, "etag: \"a\"", "vary: accept"}, ENDED},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        keep_sparse();
        client_t client, sparse;
        assert_true(ask_piece(&client, &sparse, WHOLE - 1));
        fill_action_t action = client_head(&world, &client, rows[i].status, rows[i].lines);
        if ((action == FILL_GO_ON) != (rows[i].taken == YES))
            fail_msg("%s", rows[i].rfc);
        if (action == FILL_GO_ON) {
            client_body(&client, "bytes");
            fill_complete(client.fill);
            assert_reads(&client, "bytes", READ_END);
        } else {
            bool ended = text_equal(text_of(object_failure(client.reader.object).detail),
                                    text_of(fill_version_ended.detail));
            if (ended != (rows[i].taken == ENDED))
                fail_msg("%s: %s", rows[i].rfc, object_failure(client.reader.object).detail);
        }
        leave_both(&client, &sparse);
        walk_kind_t then = kind_of("/a", LINES(FAR));
        if ((then == WALK_HIT) != (rows[i].taken != ENDED))
            fail_msg("%s: what is known is %s", rows[i].rfc, then == WALK_HIT ? "kept" : "forgotten");
        world_evict_all(&world);
    }
}

/* RFC 9111 section 3.4: the stored head is updated as by a 304. */
static void a_206_brings_the_head_up_to_date(void **state)
{
    (void)state;
    keep_sparse();
    world.now_ms += 50000;
    client_t client, sparse;
    assert_true(ask_piece(&client, &sparse, WHOLE - 1));
    client_answer(&world, &client, 206, LINES(FRESH, LAST, "etag: \"a\"", "x: 2", "content-md5: part"),
                  "bytes");
    leave_both(&client, &sparse);
    world.now_ms += 50000;
    client_ask(&world, &client, "/a", LINES(FAR));
    assert_int_equal(client.step.kind, WALK_HIT);
    assert_int_equal(client.step.ttl_ms, 10000);
    const head_t *head = object_head(client.reader.object);
    assert_true(text_equal(http_fields_find(head->fields, TEXT("x"))->value, TEXT("2")));
    assert_null(http_fields_find(head->fields, TEXT("content-range")));
    assert_null(http_fields_find(head->fields, TEXT("content-md5")));
    assert_int_equal(head->status, 200);
    assert_int_equal(head->content_length, WHOLE);
    client_leave(&client);
}

static void a_304_confirms_it_and_the_pieces_stay(void **state)
{
    (void)state;
    keep_sparse();
    store_last_piece();
    world.now_ms += 60000;
    client_t client, whole;
    client_ask(&world, &client, "/a", LINES(FAR));
    assert_int_equal(client.step.kind, WALK_FILL);
    assert_int_equal(client.step.forward, FORWARD_STALE);
    http_field_t conditions[2];
    assert_int_equal(fill_conditions(client.fill, conditions), 1);
    assert_true(text_equal(conditions[0].name, TEXT("if-none-match")));
    client_ask(&world, &whole, "/a", NULL);
    assert_int_equal(whole.step.kind, WALK_JOIN);
    assert_int_equal(client_head(&world, &client, 304, LINES(FRESH, "etag: \"a\"")), FILL_GO_ON);
    assert_int_equal(walk_at_head(&client.walk, &client.reader), HEAD_SERVE);
    assert_true(object_sparse(client.reader.object));
    assert_int_equal(walk_at_head(&whole.walk, &whole.reader), HEAD_SERVE);
    client_leave(&client);
    client_leave(&whole);
    assert_int_equal(kind_of("/a", LINES(FAR)), WALK_HIT);
    assert_int_equal(piece_kind(WHOLE - 1), WALK_HIT);
}

/* Of an origin that knows no conditions: by its validator and length it is the same, and so are its pieces.
 */
static void the_same_bytes_keep_their_pieces(void **state)
{
    (void)state;
    static const struct {
        const char *lines[5];
        bool same;
    } rows[] = {
        {{FRESH, TAKES, LENGTH, "etag: \"a\""}, true},
        {{FRESH, TAKES, LENGTH, "etag: \"b\""}, false},
        {{FRESH, TAKES, "content-length: 3145734", "etag: \"a\""}, false},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        keep_sparse();
        store_last_piece();
        come_whole("/a", rows[i].lines);
        if ((piece_kind(WHOLE - 1) == WALK_HIT) != rows[i].same)
            fail_msg("row %zu", i);
        world_evict_all(&world);
    }
}

/* What an unsafe method changed may have kept its ETag. */
static void after_an_invalidation_no_piece_of_before(void **state)
{
    (void)state;
    keep_sparse();
    store_last_piece();
    cache_key_t key = cache_key(TEXT("www"), TEXT("/a"));
    memory_invalidate(world.memory, &key);
    keep_sparse();
    assert_int_equal(piece_kind(WHOLE - 1), WALK_FILL);
}

static void purges_of_pieces(void **state)
{
    (void)state;
    static const struct {
        rule_kind_t kind;
        const char *target;
        bool soft;
    } rows[] = {{RULE_URL, "/a", false},
                {RULE_SITE, "", false},
                {RULE_EVERYTHING, "", false},
                {RULE_URL, "/a", true}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        keep_sparse();
        store_last_piece();
        world_purge(&world, rows[i].kind, rows[i].target, rows[i].soft);
        client_t client;
        client_ask(&world, &client, "/a", LINES(FAR));
        assert_int_equal(client.step.kind, WALK_FILL);
        http_field_t conditions[2];
        assert_int_equal(fill_conditions(client.fill, conditions), rows[i].soft);
        /* The origin has it under the same validator: of a hard purge no byte comes back by that. */
        if (rows[i].soft)
            assert_int_equal(client_head(&world, &client, 304, LINES(FRESH, "etag: \"a\"")), FILL_GO_ON);
        else
            assert_int_equal(client_head(&world, &client, 200, LINES(FRESH, TAKES, LENGTH, "etag: \"a\"")),
                             FILL_STOP);
        if (!fill_ended(client.fill))
            fill_fail(client.fill, (object_failure_t){503, "abandoned"});
        client_leave(&client);
        assert_int_equal(piece_kind(WHOLE - 1), rows[i].soft ? WALK_HIT : WALK_FILL);
        world_evict_all(&world);
    }
}

/* --- Tags --- */

static void keep_tagged(const char *tags)
{
    come_whole("/a", LINES(FRESH, TAKES, LENGTH, "etag: \"a\"", tags));
}

static void store_tagged_piece(const char *tags)
{
    client_t client, sparse;
    assert_true(ask_piece(&client, &sparse, WHOLE - 1));
    assert_int_equal(client.step.kind, WALK_FILL);
    client_answer(&world, &client, 206, LINES(FRESH, LAST, "etag: \"a\"", tags), "bytes");
    leave_both(&client, &sparse);
}

/* A piece has the tags that the whole had when it came, that its own answer names, and that the whole has
 * now: purged by any of them it is not used again, though the origin has the same bytes under the same ETag,
 * now without that tag. */
static void purges_of_pieces_by_tag(void **state)
{
    (void)state;
    static const struct {
        const char *whole, *piece, *then, *purged;
        bool soft, whole_stays, piece_stays;
    } rows[] = {
        {"cache-tag: a", "x: 1", "cache-tag: b", "a", false, false, false},
        {"cache-tag: a", "x: 1", "cache-tag: a", "a", false, false, false},
        {"cache-tag: a", "cache-tag: b", "x: 1", "a", false, false, false}, /* that of before */
        {"cache-tag: a", "cache-tag: b", "x: 1", "b", false, false, false},
        {"cache-tag: a", "x: 1", "cache-tag: b", "c", false, true, true},
        {"cache-tag: a", "x: 1", "cache-tag: b", "a", true, false, true},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        keep_tagged(rows[i].whole);
        store_tagged_piece(rows[i].piece);
        world_purge(&world, RULE_TAG, rows[i].purged, rows[i].soft);
        if ((kind_of("/a", LINES(FAR)) == WALK_HIT) != rows[i].whole_stays)
            fail_msg("row %zu: the whole", i);
        if (!rows[i].whole_stays)
            keep_tagged(rows[i].then);
        if ((piece_kind(WHOLE - 1) == WALK_HIT) != rows[i].piece_stays)
            fail_msg("row %zu: the piece", i);
        world_evict_all(&world);
    }
}

/* The whole was found by its tag only once the piece was stored: what its origin says of it now counts for
 * its pieces of before. */
static void a_piece_by_a_tag_that_the_whole_got_since(void **state)
{
    (void)state;
    keep_tagged("x: 1");
    store_tagged_piece("x: 1");
    world_purge(&world, RULE_TAG, "late", false);
    assert_int_equal(piece_kind(WHOLE - 1), WALK_HIT);
    keep_tagged("cache-tag: late");
    assert_int_equal(piece_kind(WHOLE - 1), WALK_FILL);
}

/* In flight when the purge of its whole's tag comes: not joined later, and not used once it is complete. */
static void a_purge_by_tag_during_the_fill_of_a_piece(void **state)
{
    (void)state;
    keep_tagged("cache-tag: a");
    client_t client, sparse, after, fresh;
    assert_true(ask_piece(&client, &sparse, WHOLE - 1));
    world_purge(&world, RULE_TAG, "a", false);
    keep_tagged("cache-tag: a");
    assert_true(ask_piece(&after, &fresh, WHOLE - 1));
    assert_int_equal(after.step.kind, WALK_FILL);
    fill_fail(after.fill, (object_failure_t){502, "test"});
    leave_both(&after, &fresh);
    client_answer(&world, &client, 206, LINES(FRESH, LAST, "etag: \"a\""), "bytes");
    leave_both(&client, &sparse);
    assert_int_equal(piece_kind(WHOLE - 1), WALK_FILL);
}

/* What its own answer names is known once that is here: who joined after a purge by it moves on, unless it
 * has begun to read; who joined before may have it. */
static void a_tag_that_a_piece_turns_out_to_have(void **state)
{
    (void)state;
    static const struct {
        const char *purged;
        bool soft, moves_on;
    } rows[] = {{"late", false, true}, {"late", true, true}, {"other", false, false}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        keep_tagged("x: 1");
        client_t owner, before, after, sparse[3];
        assert_true(ask_piece(&owner, &sparse[0], WHOLE - 1));
        assert_true(ask_piece(&before, &sparse[1], WHOLE - 1));
        world_purge(&world, RULE_TAG, rows[i].purged, rows[i].soft);
        assert_true(ask_piece(&after, &sparse[2], WHOLE - 1));
        assert_int_equal(after.step.kind, WALK_JOIN);
        assert_false(walk_piece_overtaken(world.ledger, &after.reader));
        client_answer(&world, &owner, 206, LINES(FRESH, LAST, "etag: \"a\"", "cache-tag: late"), "bytes");
        assert_false(walk_piece_overtaken(world.ledger, &owner.reader));
        assert_false(walk_piece_overtaken(world.ledger, &before.reader));
        assert_int_equal(walk_piece_overtaken(world.ledger, &after.reader), rows[i].moves_on);
        assert_reads(&before, "bytes", READ_END);
        assert_reads(&after, "bytes", READ_END);
        assert_false(walk_piece_overtaken(world.ledger, &after.reader));
        leave_both(&owner, &sparse[0]);
        leave_both(&before, &sparse[1]);
        leave_both(&after, &sparse[2]);
        world_evict_all(&world);
    }
}

/* Its answer is under way: nothing may be asked about what is hard-purged, not even for its next piece. */
static void a_purge_while_pieces_are_read(void **state)
{
    (void)state;
    keep_sparse();
    store_last_piece();
    client_t client, sparse;
    client_ask(&world, &sparse, "/a", LINES(FAR));
    world_purge(&world, RULE_URL, "/a", false);
    walk_step_t step;
    memset(&client, 0, sizeof client);
    assert_false(walk_piece(&sparse.walk, sparse.reader.object, piece_at(sparse.reader.object, 0),
                            &client.reader, &step));
    assert_true(walk_piece(&sparse.walk, sparse.reader.object, piece_at(sparse.reader.object, WHOLE - 1),
                           &client.reader, &step));
    assert_int_equal(step.kind, WALK_HIT); /* it asked before the purge */
    client_leave(&client);
    client_leave(&sparse);
    assert_int_equal(kind_of("/a", LINES(FAR)), WALK_FILL);
}

/* A piece in flight when the purge comes is not joined later, and not used when it is complete. */
static void a_purge_during_the_fill_of_a_piece(void **state)
{
    (void)state;
    keep_sparse();
    client_t client, sparse;
    assert_true(ask_piece(&client, &sparse, WHOLE - 1));
    world_purge(&world, RULE_URL, "/a", false);
    client_answer(&world, &client, 206, LINES(FRESH, LAST, "etag: \"a\""), "bytes");
    leave_both(&client, &sparse);
    assert_int_equal(kind_of("/a", LINES(FAR)), WALK_FILL);
    keep_sparse();
    assert_int_equal(piece_kind(WHOLE - 1), WALK_FILL);
}

static void what_an_unsafe_method_invalidates(void **state)
{
    (void)state;
    keep_sparse();
    client_t client, sparse;
    assert_true(ask_piece(&client, &sparse, WHOLE - 1));
    memory_invalidate(world.memory, &sparse.walk.key);
    assert_int_equal(client_head(&world, &client, 206, LINES(FRESH, LAST, "etag: \"a\"")), FILL_STOP);
    leave_both(&client, &sparse);
    assert_int_equal(kind_of("/a", LINES(FAR)), WALK_FILL);
    assert_int_equal(memory_objects(world.memory), 0);
}

/* The head of a whole answer that was asked for before does not bring it back. */
static void a_whole_answer_that_was_overtaken(void **state)
{
    (void)state;
    client_t client;
    client_ask(&world, &client, "/a", NULL);
    memory_invalidate(world.memory, &client.walk.key);
    assert_int_equal(client_head(&world, &client, 200, LINES(FRESH, TAKES, LENGTH, "etag: \"a\"")),
                     FILL_GO_ON);
    fill_fail(client.fill, (object_failure_t){503, "abandoned"});
    client_leave(&client);
    assert_int_equal(kind_of("/a", LINES(FAR)), WALK_FILL);
}

/* The ETag of what is kept, or NULL. */
static void assert_kept(const char *etag, size_t row)
{
    cache_key_t key = cache_key(TEXT("www"), TEXT("/a"));
    memory_view_t view = pieces_peek_sparse(world.memory, &key);
    bool right = etag == NULL
                     ? view.stored == NULL
                     : view.stored != NULL && text_equal(object_head(view.stored)->etag, text_of(etag));
    memory_view_drop(&view);
    if (!right)
        fail_msg("row %zu", row);
}

static void another_version_takes_its_place(void **state)
{
    (void)state;
    static const struct {
        int status;
        const char *lines[5];
        const char *kept;
        const char *field; /* of the request */
    } rows[] = {
        {200, {FRESH, TAKES, LENGTH, "etag: \"b\""}, "\"b\"", NULL},
        {200, {FRESH, LENGTH, "etag: \"b\""}, NULL, NULL},
        {200, {"cache-control: no-store"}, NULL, NULL},
        {404, {FRESH}, NULL, NULL},
        {503, {FRESH}, "\"a\"", NULL}, /* in trouble, it says nothing about it */
        /* RFC 9111 section 3.5: what credentials bring says nothing about it either. */
        {200, {FRESH, TAKES, LENGTH, "etag: \"b\""}, "\"a\"", "authorization: x"},
        {401, {"cache-control: no-store"}, "\"a\"", "authorization: x"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        keep_sparse();
        store_last_piece();
        world.now_ms += 60000;
        client_t client;
        client_ask(&world, &client, "/a", LINES(rows[i].field));
        assert_int_equal(client.step.kind, WALK_FILL);
        assert_int_equal(client_head(&world, &client, rows[i].status, rows[i].lines), FILL_GO_ON);
        fill_fail(client.fill, (object_failure_t){503, "abandoned"});
        client_leave(&client);
        assert_kept(rows[i].kept, i);
        if (i == 0)
            assert_int_equal(piece_kind(WHOLE - 1), WALK_FILL); /* the piece is of the other */
        world_evict_all(&world);
    }
}

/* RFC 9111 section 3.5. */
static void credentials_end_no_version(void **state)
{
    (void)state;
    static const struct {
        int status;
        const char *lines[4];
    } rows[] = {{206, {FRESH, LAST, "etag: \"a\""}}, {401, {"cache-control: no-store"}}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        keep_sparse();
        client_t client, sparse;
        assert_true(
            client_ask_piece(&world, &client, &sparse, "/a", WHOLE - 1, LINES(FAR, "authorization: x")));
        assert_int_equal(client_head(&world, &client, rows[i].status, rows[i].lines), FILL_STOP);
        assert_string_equal(object_failure(client.reader.object).detail, fill_version_ended.detail);
        leave_both(&client, &sparse);
        assert_int_equal(kind_of("/a", LINES(FAR)), WALK_HIT);
        world_evict_all(&world);
    }
}

static void a_piece_that_nobody_reads_is_finished(void **state)
{
    (void)state;
    keep_sparse();
    client_t client, sparse;
    assert_true(ask_piece(&client, &sparse, WHOLE - 1));
    object_leave(&client.reader);
    assert_int_equal(client.notified, FILLER_ABANDONED);
    assert_int_equal(fill_notified(client.fill, client.notified), FILL_GO_ON);
    client_answer(&world, &client, 206, LINES(FRESH, LAST, "etag: \"a\""), "bytes");
    leave_both(&client, &sparse);
    assert_int_equal(piece_kind(WHOLE - 1), WALK_HIT);
    assert_int_equal(world.wasted, 0);
}

static void a_piece_that_ends_short_is_not_stored(void **state)
{
    (void)state;
    keep_sparse();
    client_t client, sparse;
    assert_true(ask_piece(&client, &sparse, WHOLE - 1));
    assert_int_equal(client_head(&world, &client, 206, LINES(FRESH, LAST, "etag: \"a\"")), FILL_GO_ON);
    client_body(&client, "byte");
    fill_complete(client.fill);
    assert_int_equal(object_end(client.reader.object), OBJECT_FAILED);
    leave_both(&client, &sparse);
    assert_int_equal(piece_kind(WHOLE - 1), WALK_FILL);
}

static void pieces_need_room(void **state)
{
    (void)state;
    memory_set_max_object(world.memory, PIECE_BYTES - 1);
    keep_sparse();
    assert_int_equal(kind_of("/a", LINES(FAR)), WALK_FILL);
}

/* --- The first answer --- */

#define KEPT FRESH, TAKES, LENGTH, "etag: \"a\""
/* More than is asked for at once. */
#define LONG FRESH, TAKES, "content-length: 20971520", "etag: \"a\""

/* Who waits is answered from pieces, and reads the first along as it comes; behind that the transfer ends. */
static void the_first_answer_becomes_the_first_piece(void **state)
{
    (void)state;
    client_t owner, joined, piece;
    client_ask(&world, &owner, "/a", NULL);
    client_ask(&world, &joined, "/a", LINES(FAR));
    assert_int_equal(joined.step.kind, WALK_JOIN);
    assert_int_equal(client_head(&world, &owner, 200, LINES(LONG)), FILL_GO_ON);
    assert_int_equal(walk_at_head(&owner.walk, &owner.reader), HEAD_SERVE);
    assert_int_equal(walk_at_head(&joined.walk, &joined.reader), HEAD_SERVE);
    object_t *sparse = joined.reader.object;
    assert_true(object_sparse(sparse) && object_sparse(owner.reader.object) && object_admitted(sparse));
    memset(&piece, 0, sizeof piece);
    piece.walk = owner.walk;
    assert_true(walk_piece(&piece.walk, sparse, piece_at(sparse, 0), &piece.reader, &piece.step));
    assert_int_equal(piece.step.kind, WALK_JOIN);
    client_body(&owner, "abc");
    assert_reads(&piece, "abc", READ_WAIT);
    client_leave(&piece);
    give(&owner, PIECE_BYTES - 4);
    assert_int_equal(send(&owner, 100), FILL_STOP);
    assert_true(fill_ended(owner.fill));
    assert_int_equal(world.wasted, FILL_GIVEN_UP_BYTES);
    assert_int_equal(piece_kind(0), WALK_HIT);
    assert_int_equal(piece_kind(PIECE_BYTES), WALK_FILL);
    assert_int_equal(memory_objects(world.memory), 2);
    client_leave(&owner);
    client_leave(&joined);
}

static void which_requests_want_its_start(void **state)
{
    (void)state;
    static const struct {
        const char *line;
        bool wanted;
    } rows[] = {
        {"accept: */*", true},
        {"range: bytes=0-9", true},
        {"range: bytes=1048575-", true},
        {"range: bytes=1048576-", false},
        {"range: bytes=0-9,2000000-", true},
        {"range: bytes=2000000-2000009,3000000-", false},
        {"range: bytes=9999999-", false},
        {"if-none-match: \"a\"", false},
        {"if-none-match: \"b\"", true},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        client_t client;
        client_ask(&world, &client, "/a", LINES(rows[i].line));
        fill_action_t action = client_head(&world, &client, 200, LINES(KEPT));
        if (action != (rows[i].wanted ? FILL_GO_ON : FILL_STOP))
            fail_msg("%s", rows[i].line);
        assert_true(object_sparse(client.reader.object));
        fill_fail(client.fill, (object_failure_t){502, "test"});
        client_leave(&client);
        world_evict_all(&world);
    }
}

static void the_first_piece_breaks_off(void **state)
{
    (void)state;
    client_t client;
    client_ask(&world, &client, "/a", NULL);
    assert_int_equal(client_head(&world, &client, 200, LINES(LONG)), FILL_GO_ON);
    client_body(&client, "abcde");
    object_failure_t lost = {502, "connection_terminated"};
    assert_int_equal(fill_cut_off(client.fill, lost, world.now_ms), FILL_AGAIN);
    http_field_t conditions[2];
    assert_int_equal(fill_conditions(client.fill, conditions), 2);
    assert_true(text_equal(conditions[0].value, TEXT("bytes=5-1048575")));
    assert_int_equal(client_head(&world, &client, 206,
                                 LINES(FRESH, "etag: \"a\"", "content-range: bytes 5-1048575/20971520")),
                     FILL_GO_ON);
    give(&client, PIECE_BYTES - 5);
    fill_complete(client.fill);
    client_leave(&client);
    assert_int_equal(piece_kind(0), WALK_HIT);
}

/* It says that it takes ranges, and sends all of it: nothing is asked for in pieces any more, of that
 * version. */
static void an_upstream_that_takes_no_ranges(void **state)
{
    (void)state;
    keep_sparse();
    client_t client, sparse;
    assert_true(ask_piece(&client, &sparse, PIECE_BYTES));
    assert_int_equal(client_head(&world, &client, 200, LINES(KEPT)), FILL_STOP);
    assert_string_equal(object_failure(client.reader.object).detail, fill_no_ranges.detail);
    leave_both(&client, &sparse);
    client_ask(&world, &client, "/a", LINES(FAR));
    assert_int_equal(client.step.kind, WALK_FILL); /* not all of it is there */
    assert_int_equal(client_head(&world, &client, 200, LINES(KEPT)), FILL_GO_ON);
    assert_false(object_sparse(client.reader.object));
    fill_fail(client.fill, (object_failure_t){502, "test"});
    client_leave(&client);
    come_whole("/a", LINES(FRESH, TAKES, LENGTH, "etag: \"b\""));
    assert_int_equal(piece_kind(PIECE_BYTES), WALK_FILL);
}

int main(void)
{
#define STORY(name) cmocka_unit_test_setup_teardown(name, begin, world_teardown)
    const struct CMUnitTest tests[] = {
        STORY(what_is_kept_in_pieces),
        STORY(what_may_be_stored_whole_is),
        STORY(it_answers_every_request),
        STORY(what_requests_forbid),
        STORY(pieces_are_rows_of_the_whole),
        STORY(a_piece_is_asked_for_read_along_and_stored),
        STORY(which_answers_are_the_piece),
        STORY(a_206_brings_the_head_up_to_date),
        STORY(a_304_confirms_it_and_the_pieces_stay),
        STORY(the_same_bytes_keep_their_pieces),
        STORY(after_an_invalidation_no_piece_of_before),
        STORY(purges_of_pieces),
        STORY(purges_of_pieces_by_tag),
        STORY(a_piece_by_a_tag_that_the_whole_got_since),
        STORY(a_purge_by_tag_during_the_fill_of_a_piece),
        STORY(a_tag_that_a_piece_turns_out_to_have),
        STORY(a_purge_while_pieces_are_read),
        STORY(a_purge_during_the_fill_of_a_piece),
        STORY(what_an_unsafe_method_invalidates),
        STORY(a_whole_answer_that_was_overtaken),
        STORY(another_version_takes_its_place),
        STORY(credentials_end_no_version),
        STORY(a_piece_that_nobody_reads_is_finished),
        STORY(a_piece_that_ends_short_is_not_stored),
        STORY(pieces_need_room),
        STORY(the_first_answer_becomes_the_first_piece),
        STORY(which_requests_want_its_start),
        STORY(the_first_piece_breaks_off),
        STORY(an_upstream_that_takes_no_ranges),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
