/* A request's decisions: hit, join, fill or alone; and who may be answered with what has come. */
#include "tests/unit/cache_world.h"

#define FRESH "cache-control: max-age=60"

/* One client asks, its fill is answered, it leaves. */
static void store(const char *target, const char *const *request, const char *const *response,
                  const char *body)
{
    client_t client;
    client_ask(&world, &client, target, request);
    assert_non_null(client.fill);
    client_answer(&world, &client, 200, response, body);
    client_leave(&client);
}

static walk_kind_t ask_and_leave(const char *target, const char *const *request)
{
    client_t client;
    client_ask(&world, &client, target, request);
    if (client.fill != NULL)
        fill_fail(client.fill, (object_failure_t){502, "test"});
    client_leave(&client);
    return client.step.kind;
}

static void a_miss_becomes_a_hit(void **state)
{
    (void)state;
    client_t first, second, third;
    client_ask(&world, &first, "/a", NULL);
    assert_int_equal(first.step.kind, WALK_FILL);
    assert_int_equal(first.step.forward, FORWARD_URI_MISS);
    client_ask(&world, &second, "/a", NULL);
    assert_int_equal(second.step.kind, WALK_JOIN);
    assert_true(object_wait_head(&second.reader));
    client_answer(&world, &first, 200, LINES(FRESH), "hello");
    assert_int_equal(second.wakes, 1);
    assert_int_equal(walk_at_head(&second.walk, &second.reader), HEAD_SERVE);
    assert_reads(&first, "hello", READ_END);
    assert_reads(&second, "hello", READ_END);
    world.now_ms += 1000;
    client_ask(&world, &third, "/a", NULL);
    assert_int_equal(third.step.kind, WALK_HIT);
    assert_int_equal(third.step.ttl_ms, 59000);
    assert_reads(&third, "hello", READ_END);
    client_leave(&first);
    client_leave(&second);
    client_leave(&third);
}

/* Each row: what was stored, when it is asked for, and what becomes of the request. */
static void stored_answers_and_time(void **state)
{
    (void)state;
    static const struct {
        const char *response, *other;
        int64_t later_ms;
        walk_kind_t kind;
        forward_t forward;
        bool base;
    } rows[] = {
        {FRESH, "etag: \"a\"", 59999, WALK_HIT, FORWARD_NOT, false},
        {FRESH, "etag: \"a\"", 60000, WALK_FILL, FORWARD_STALE, true},
        {FRESH, "a: b", 60000, WALK_FILL, FORWARD_STALE, false},
        {"cache-control: no-cache", "etag: \"a\"", 0, WALK_PASS, FORWARD_STALE, true},
        {"cache-control: private", "a: b", 0, WALK_PASS, FORWARD_BYPASS, false},
        {"cache-control: private", "a: b", FILL_BYPASS_MS, WALK_FILL, FORWARD_URI_MISS, false},
        {"cache-control: no-store", "a: b", 0, WALK_PASS, FORWARD_BYPASS, false},
        {"a: b", "a: b", 0, WALK_FILL, FORWARD_URI_MISS, false}, /* no freshness: shared, not stored */
        {FRESH, "vary: *", 0, WALK_PASS, FORWARD_BYPASS, false},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        char target[16];
        snprintf(target, sizeof target, "/%zu", i);
        store(target, NULL, LINES(rows[i].response, rows[i].other), "x");
        world.now_ms += rows[i].later_ms;
        client_t client;
        client_ask(&world, &client, target, NULL);
        assert_int_equal(client.step.kind, rows[i].kind);
        assert_int_equal(client.step.forward, rows[i].forward);
        http_field_t conditions[2];
        size_t count = client.fill != NULL ? fill_conditions(client.fill, conditions) : 0;
        assert_int_equal(count, rows[i].base);
        if (client.fill != NULL)
            fill_fail(client.fill, (object_failure_t){502, "test"});
        client_leave(&client);
    }
}

/* Purges: kind, soft or hard, before whose eyes. */
static void purges_of_stored_answers(void **state)
{
    (void)state;
    static const struct {
        rule_kind_t kind;
        const char *target;
        bool soft;
        walk_kind_t then;
        bool base;
    } rows[] = {
        {RULE_URL, "/x", false, WALK_FILL, false},      {RULE_SITE, "", false, WALK_FILL, false},
        {RULE_EVERYTHING, "", false, WALK_FILL, false}, {RULE_URL, "/x", true, WALK_FILL, true},
        {RULE_EVERYTHING, "", true, WALK_FILL, true},   {RULE_URL, "/other", false, WALK_HIT, false},
        {RULE_URL, "/other", true, WALK_HIT, false},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        store("/x", NULL, LINES(FRESH, "etag: \"a\""), "old");
        assert_int_equal(ask_and_leave("/x", NULL), WALK_HIT);
        world_purge(&world, rows[i].kind, rows[i].target, rows[i].soft);
        client_t client;
        client_ask(&world, &client, "/x", NULL);
        assert_int_equal(client.step.kind, rows[i].then);
        http_field_t conditions[2];
        if (client.fill != NULL) {
            assert_int_equal(fill_conditions(client.fill, conditions), rows[i].base);
            client_answer(&world, &client, 200, LINES(FRESH, "etag: \"a\""), "new");
            assert_reads(&client, "new", READ_END);
        }
        client_leave(&client);
        world_evict_all(&world);
    }
}

/* A fill in flight when the purge came: who asked before may have it, who asks after may not, and it is not
 * stored over the new one. */
static void a_purge_during_a_fill(void **state)
{
    (void)state;
    for (int soft = 0; soft < 2; soft++) {
        client_t old, joined, after, last;
        client_ask(&world, &old, "/x", NULL);
        client_ask(&world, &joined, "/x", NULL);
        world_purge(&world, RULE_URL, "/x", soft);
        client_ask(&world, &after, "/x", NULL);
        assert_int_equal(after.step.kind, WALK_FILL);
        assert_true(after.reader.object != old.reader.object);
        client_answer(&world, &old, 200, LINES(FRESH), "old");
        assert_int_equal(walk_at_head(&joined.walk, &joined.reader), HEAD_SERVE);
        client_answer(&world, &after, 200, LINES(FRESH), "new");
        client_ask(&world, &last, "/x", NULL);
        assert_int_equal(last.step.kind, WALK_HIT);
        assert_reads(&last, "new", READ_END);
        client_leave(&old);
        client_leave(&joined);
        client_leave(&after);
        client_leave(&last);
        world_evict_all(&world);
    }
}

/* Its end comes before the newer fill's: still it must not be what is found. */
static void a_purged_fill_that_ends_last_is_not_stored(void **state)
{
    (void)state;
    client_t old, after;
    client_ask(&world, &old, "/x", NULL);
    world_purge(&world, RULE_URL, "/x", false);
    client_ask(&world, &after, "/x", NULL);
    client_answer(&world, &after, 200, LINES(FRESH), "new");
    client_answer(&world, &old, 200, LINES(FRESH), "old");
    client_leave(&old);
    client_leave(&after);
    client_ask(&world, &after, "/x", NULL);
    assert_int_equal(after.step.kind, WALK_HIT);
    assert_reads(&after, "new", READ_END);
    client_leave(&after);
}

/* One that nobody asked for after the purge completes and is stored; but then it is not served. */
static void a_purged_fill_that_is_stored_is_not_served(void **state)
{
    (void)state;
    client_t old;
    client_ask(&world, &old, "/x", NULL);
    world_purge(&world, RULE_SITE, "", false);
    client_answer(&world, &old, 200, LINES(FRESH, "etag: \"a\""), "old");
    client_leave(&old);
    client_t after;
    client_ask(&world, &after, "/x", NULL);
    assert_int_equal(after.step.kind, WALK_FILL);
    http_field_t conditions[2];
    assert_int_equal(fill_conditions(after.fill, conditions), 0);
    fill_fail(after.fill, (object_failure_t){502, "test"});
    client_leave(&after);
    assert_int_equal(memory_objects(world.memory), 0);
}

/* Whatever becomes of it, the newer fill stays where it is found: private, failed, or left by all. */
static void a_replaced_fill_touches_nothing(void **state)
{
    (void)state;
    for (int how = 0; how < 3; how++) {
        client_t old, after, joined;
        client_ask(&world, &old, "/x", NULL);
        world_purge(&world, RULE_URL, "/x", false);
        client_ask(&world, &after, "/x", NULL);
        assert_int_equal(after.step.kind, WALK_FILL);
        object_leave(&old.reader);
        if (how == 0)
            client_answer(&world, &old, 200, LINES("cache-control: private"), "old");
        else if (how == 1)
            fill_fail(old.fill, (object_failure_t){502, "test"});
        else
            assert_int_equal(fill_notified(old.fill, FILLER_ABANDONED), FILL_STOP);
        fill_free(&old.fill);
        client_ask(&world, &joined, "/x", NULL);
        assert_int_equal(joined.step.kind, WALK_JOIN);
        client_answer(&world, &after, 200, LINES(FRESH), "new");
        assert_reads(&joined, "new", READ_END);
        client_leave(&after);
        client_leave(&joined);
        world_evict_all(&world);
    }
}

static void hit_for_miss_ends(void **state)
{
    (void)state;
    enum { BY_PURGE, BY_STORABLE, BY_TIME, NOT };
    for (int how = BY_PURGE; how <= NOT; how++) {
        store("/p", NULL, LINES("cache-control: private"), "mine");
        assert_int_equal(ask_and_leave("/p", NULL), WALK_PASS);
        if (how == BY_PURGE)
            world_purge(&world, RULE_URL, "/p", false);
        if (how == BY_TIME)
            world.now_ms += FILL_BYPASS_MS;
        if (how == BY_STORABLE)
            store("/p", NULL, LINES(FRESH), "for all");
        walk_kind_t expected = how == NOT ? WALK_PASS : how == BY_STORABLE ? WALK_HIT : WALK_FILL;
        assert_int_equal(ask_and_leave("/p", NULL), expected);
        world_evict_all(&world);
    }
}

/* Who waited for what turns out private asks alone; the owner is answered. */
static void a_private_answer_is_its_owners(void **state)
{
    (void)state;
    client_t owner, waiter;
    client_ask(&world, &owner, "/p", NULL);
    client_ask(&world, &waiter, "/p", NULL);
    assert_int_equal(waiter.step.kind, WALK_JOIN);
    client_head(&world, &owner, 200, LINES("cache-control: private"));
    assert_int_equal(walk_at_head(&owner.walk, &owner.reader), HEAD_SERVE);
    assert_int_equal(walk_at_head(&waiter.walk, &waiter.reader), HEAD_ALONE);
    client_again(&world, &waiter);
    assert_int_equal(waiter.step.kind, WALK_PASS);
    client_body(&owner, "secret");
    fill_complete(owner.fill);
    client_answer(&world, &waiter, 200, LINES("cache-control: private"), "other");
    assert_reads(&owner, "secret", READ_END);
    assert_reads(&waiter, "other", READ_END);
    client_leave(&owner);
    client_leave(&waiter);
}

static void a_failed_fill_has_no_head(void **state)
{
    (void)state;
    client_t owner, waiter, later;
    client_ask(&world, &owner, "/f", NULL);
    client_ask(&world, &waiter, "/f", NULL);
    assert_true(object_wait_head(&waiter.reader));
    fill_fail(owner.fill, (object_failure_t){504, "http_response_timeout"});
    assert_int_equal(waiter.wakes, 1);
    assert_false(object_wait_head(&waiter.reader));
    assert_int_equal(walk_at_head(&waiter.walk, &waiter.reader), HEAD_FAILED);
    assert_int_equal(object_failure(waiter.reader.object).status, 504);
    client_ask(&world, &later, "/f", NULL);
    assert_int_equal(later.step.kind, WALK_FILL);
    client_answer(&world, &later, 200, LINES(FRESH), "ok");
    client_leave(&owner);
    client_leave(&waiter);
    client_leave(&later);
}

/* --- Variants --- */

static void variants_are_kept_apart(void **state)
{
    (void)state;
    store("/v", LINES("accept-language: en"), LINES(FRESH, "vary: Accept-Language"), "yes");
    store("/v", LINES("accept-language: de"), LINES(FRESH, "vary: Accept-Language"), "ja");
    store("/v", NULL, LINES(FRESH, "vary: Accept-Language"), "any");
    assert_int_equal(memory_objects(world.memory), 3);
    static const struct {
        const char *line, *body;
    } rows[] = {{"accept-language: en", "yes"}, {"accept-language: de", "ja"}, {"other: x", "any"}};
    for (size_t i = 0; i < 3; i++) {
        client_t client;
        client_ask(&world, &client, "/v", LINES(rows[i].line));
        assert_int_equal(client.step.kind, WALK_HIT);
        assert_reads(&client, rows[i].body, READ_END);
        client_leave(&client);
    }
    client_t client;
    client_ask(&world, &client, "/v", LINES("accept-language: fr"));
    assert_int_equal(client.step.forward, FORWARD_VARY_MISS);
    fill_fail(client.fill, (object_failure_t){502, "test"});
    client_leave(&client);
}

/* Stored or only shared: who waited with another language asks again. `other` makes it one or the other. */
static void a_waiter_of_another_variant_moves_on(void **state)
{
    (void)state;
    static const char *const others[] = {FRESH, "x-no: freshness", "cache-control: max-age=0",
                                         "cache-control: max-age=60, x-unknown=1"};
    for (size_t i = 0; i < sizeof others / sizeof *others; i++) {
        client_t english, same, german;
        client_ask(&world, &english, "/v", LINES("accept-language: en"));
        client_ask(&world, &same, "/v", LINES("accept-language: en"));
        client_ask(&world, &german, "/v", LINES("accept-language: de"));
        assert_int_equal(german.step.kind, WALK_JOIN);
        client_answer(&world, &english, 200, LINES(others[i], "vary: accept-language"), "yes");
        assert_int_equal(walk_at_head(&same.walk, &same.reader), HEAD_SERVE);
        assert_int_equal(walk_at_head(&german.walk, &german.reader), HEAD_AGAIN);
        client_again(&world, &german);
        assert_int_equal(german.step.kind, WALK_FILL);
        client_answer(&world, &german, 200, LINES(others[i], "vary: accept-language"), "ja");
        assert_reads(&german, "ja", READ_END);
        client_leave(&english);
        client_leave(&same);
        client_leave(&german);
        world_evict_all(&world);
    }
}

#define TEN(l) l "0," l "1," l "2," l "3," l "4," l "5," l "6," l "7," l "8," l "9"
#define FORTY(l) "vary: " TEN(l "1") "," TEN(l "2") "," TEN(l "3") "," TEN(l "4")

/* There are names that one node takes no more of: with more in sum the newer response's own count. */
static void names_that_do_not_fit_together(void **state)
{
    (void)state;
    store("/v", LINES("a11: x"), LINES(FRESH, FORTY("a")), "first");
    client_t owner, waiter;
    client_ask(&world, &owner, "/v", LINES("a11: y", "b11: 1"));
    client_ask(&world, &waiter, "/v", LINES("a11: y", "b11: 2"));
    assert_int_equal(waiter.step.kind, WALK_JOIN);
    client_answer(&world, &owner, 200, LINES(FRESH, FORTY("b")), "one");
    assert_int_equal(walk_at_head(&waiter.walk, &waiter.reader), HEAD_AGAIN);
    client_leave(&owner);
    client_again(&world, &waiter);
    assert_int_equal(waiter.step.kind, WALK_FILL);
    client_answer(&world, &waiter, 200, LINES(FRESH, FORTY("b")), "two");
    client_leave(&waiter);
    client_ask(&world, &owner, "/v", LINES("b11: 1"));
    assert_int_equal(owner.step.kind, WALK_HIT);
    assert_reads(&owner, "one", READ_END);
    client_leave(&owner);
}

/* A 304 that says for the first time that the response varies. */
static void a_304_may_bring_vary(void **state)
{
    (void)state;
    store("/v", LINES("accept-language: en"), LINES(FRESH, "etag: \"a\""), "yes");
    world.now_ms += 60000;
    client_t client;
    client_ask(&world, &client, "/v", LINES("accept-language: en"));
    assert_int_equal(client.step.forward, FORWARD_STALE);
    client_head(&world, &client, 304, LINES(FRESH, "etag: \"a\"", "vary: accept-language"));
    assert_reads(&client, "yes", READ_END);
    client_leave(&client);
    assert_int_equal(ask_and_leave("/v", LINES("accept-language: en")), WALK_HIT);
    assert_int_equal(ask_and_leave("/v", LINES("accept-language: de")), WALK_FILL);
}

static void a_key_holds_so_many_variants(void **state)
{
    (void)state;
    char line[32];
    for (int i = 0; i < 200; i++) {
        snprintf(line, sizeof line, "x-user: %d", i);
        store("/v", LINES(line), LINES(FRESH, "vary: x-user"), "x");
    }
    assert_int_equal(memory_objects(world.memory), MEMORY_VARIANTS_MAX);
    assert_int_equal(memory_take_variants_evicted(world.memory), 200 - MEMORY_VARIANTS_MAX);
    assert_int_equal(memory_take_variants_evicted(world.memory), 0);
    assert_int_equal(ask_and_leave("/v", LINES("x-user: 199")), WALK_HIT);
    assert_int_equal(ask_and_leave("/v", LINES("x-user: 0")), WALK_FILL);
    cache_key_t key = cache_key(TEXT("www"), TEXT("/v"));
    memory_invalidate(world.memory, &key);
    assert_int_equal(memory_objects(world.memory), 0);
    assert_int_equal(ask_and_leave("/v", LINES("x-user: 199")), WALK_FILL);
}

static void purged_variants(void **state)
{
    (void)state;
    store("/v", LINES("a: 1"), LINES(FRESH, "vary: a"), "one");
    store("/v", LINES("a: 2"), LINES(FRESH, "vary: a"), "two");
    world_purge(&world, RULE_URL, "/v", false);
    assert_int_equal(ask_and_leave("/v", LINES("a: 1")), WALK_FILL);
    assert_int_equal(ask_and_leave("/v", LINES("a: 2")), WALK_FILL);
    assert_int_equal(memory_objects(world.memory), 0);
}

/* Housekeeping frees what was purged, variants and marks included, and nothing that came after the purge. */
static void a_sweep_takes_what_was_purged(void **state)
{
    (void)state;
    store("/v", LINES("a: 1"), LINES(FRESH, "vary: a"), "old");
    store("/v", LINES("a: 2"), LINES(FRESH, "vary: a"), "old");
    store("/x", NULL, LINES(FRESH), "old");
    store("/p", NULL, LINES("cache-control: private"), "mine");
    assert_int_equal(memory_sweep(world.memory, world.ledger, world.now_ms), 0);
    world_purge(&world, RULE_EVERYTHING, "", false);
    store("/v", LINES("a: 1"), LINES(FRESH, "vary: a"), "new");
    memory_sweep(world.memory, world.ledger, world.now_ms);
    assert_int_equal(memory_objects(world.memory), 1);
    assert_int_equal(ask_and_leave("/v", LINES("a: 1")), WALK_HIT);
    world_purge(&world, RULE_EVERYTHING, "", true); /* soft: it may still be asked about */
    memory_sweep(world.memory, world.ledger, world.now_ms);
    assert_int_equal(memory_objects(world.memory), 1);
    world_purge(&world, RULE_SITE, "", false);
    memory_sweep(world.memory, world.ledger, world.now_ms);
    memory_settle();
    assert_int_equal(memory_objects(world.memory), 0);
    assert_int_equal(memory_bytes(world.memory), 0);
}

static void names_for_cache_status(void **state)
{
    (void)state;
    static const char *const names[] = {"",        "miss",    "vary-miss", "stale",
                                        "request", "partial", "bypass",    "method"};
    for (int i = FORWARD_NOT; i <= FORWARD_METHOD; i++)
        assert_string_equal(forward_name((forward_t)i), names[i]);
}

int main(void)
{
#define STORY(name) cmocka_unit_test_setup_teardown(name, world_setup, world_teardown)
    const struct CMUnitTest tests[] = {
        STORY(a_miss_becomes_a_hit),
        STORY(stored_answers_and_time),
        STORY(purges_of_stored_answers),
        STORY(a_purge_during_a_fill),
        STORY(a_purged_fill_that_ends_last_is_not_stored),
        STORY(a_purged_fill_that_is_stored_is_not_served),
        STORY(a_replaced_fill_touches_nothing),
        STORY(hit_for_miss_ends),
        STORY(a_private_answer_is_its_owners),
        STORY(a_failed_fill_has_no_head),
        STORY(variants_are_kept_apart),
        STORY(a_waiter_of_another_variant_moves_on),
        STORY(names_that_do_not_fit_together),
        STORY(a_304_may_bring_vary),
        STORY(a_key_holds_so_many_variants),
        STORY(purged_variants),
        STORY(a_sweep_takes_what_was_purged),
        cmocka_unit_test(names_for_cache_status),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
