/* What is purged by tag: which tags a head has, and what a rule of one means for who reads along, for what is
 * stored, and for what is asked about. */
#include "edge/http/tags.h"
#include "tests/unit/cache_world.h"

#define FRESH "cache-control: max-age=60"
#define ETAG "etag: \"a\""

static const http_policy_t policy = {.tag_fields = {{{"surrogate-key", 13}, {"cache-tag", 9}}, 2}};

static int begin(void **state)
{
    world_setup(state);
    world.policy = &policy;
    return 0;
}

/* --- Heads --- */

static const http_storing_t storing = {.storable = true, .shareable = true, .lifetime_ms = 60000};

static head_t *head_of(memory_account_t *account, const char *const *lines)
{
    http_field_t list[8];
    return head_new(account, 200, fields_of(list, lines), 3, &storing, NOW_MS, &policy);
}

/* With the tags that a 304 with these fields leaves it. */
static head_t *freshened(const head_t *stored, const char *const *lines)
{
    http_field_t list[8];
    head_t *head = head_freshened(stored, &(http_exchange_t){.status = 304,
                                                             .policy = &policy,
                                                             .fields = fields_of(list, lines),
                                                             .request_time_ms = NOW_MS,
                                                             .response_time_ms = NOW_MS});
    head_tag(head, TEXT("www"), TEXT("/x"), &policy, stored);
    return head;
}

/* The names of these tags, a space between two, are those that it has, each once; and the first so many are
 * its own. */
static void assert_tags(const head_t *head, const char *tags, size_t own)
{
    text_t rest = text_of(tags), tag;
    size_t count = 0;
    while (text_take(&rest, ' ', &tag)) {
        ledger_hash_t name = ledger_tag(TEXT("www"), tag);
        size_t found = 0;
        for (size_t i = 0; i < head->tags.count; i++)
            found += memcmp(&head->tags.at[i], &name, sizeof name) == 0;
        if (found != 1)
            fail_msg("%.*s: %zu times", (int)tag.length, tag.data, found);
        count++;
    }
    assert_int_equal(head->tags.count, count);
    assert_int_equal(head->own_tags, own);
}

static void a_head_has_each_tag_once(void **state)
{
    (void)state;
    static const struct {
        const char *target, *given, *fields[3], *tags;
        size_t count;
    } rows[] = {
        {"/x", "", {"a: b"}, "", 0},
        {"/x", "", {"surrogate-key: a"}, "a", 1},
        {"/x", "", {"surrogate-key: b a b,a", "cache-tag: a,c,b"}, "a b c", 3},
        {"/x", "{1} all {2}", {"a: b"}, "x all", 2},
        {"/x/y?z/w", "{-1} {2} {3}", {"a: b"}, "y", 1}, /* a query is no segment */
        {"/x/y", "{1} {-2} y", {"cache-tag: y,x,z"}, "x y z", 3},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        memory_account_t account = {0};
        http_policy_t own = policy;
        own.tags = text_of(rows[i].given);
        head_t *head = head_of(&account, rows[i].fields);
        head_tag(head, TEXT("www"), text_of(rows[i].target), &own, NULL);
        assert_tags(head, rows[i].tags, rows[i].count);
        head_free(&head);
        assert_int_equal(atomic_load(&account.bytes), 0);
    }
}

static void tags_are_those_of_their_site(void **state)
{
    (void)state;
    ledger_hash_t ours = ledger_tag(TEXT("www"), TEXT("a")), other = ledger_tag(TEXT("ww"), TEXT("wa"));
    assert_memory_not_equal(&ours, &other, sizeof ours);
    ledger_subject_t subject = ledger_subject(TEXT("www"), TEXT("a"));
    assert_memory_not_equal(&ours, &subject.url, sizeof ours);
}

/* What it weighs is charged with it, and given back. */
static void tags_weigh_something(void **state)
{
    (void)state;
    memory_account_t account = {0};
    head_t *head = head_of(&account, LINES("surrogate-key: a b c"));
    size_t before = head_weight(head);
    int64_t charged = atomic_load(&account.bytes);
    head_tag(head, TEXT("www"), TEXT("/x"), &policy, NULL);
    assert_true(head_weight(head) >= before + 3 * sizeof(ledger_hash_t));
    assert_int_equal(atomic_load(&account.bytes) - charged, head_weight(head) - before);
    head_t *other = head_of(&account, LINES("a: b"));
    head_tag_as(other, head);
    assert_tags(other, "a b c", 3);
    assert_true(other->tags.at != head->tags.at);
    head_free(&head);
    assert_tags(other, "a b c", 3);
    head_free(&other);
    assert_int_equal(atomic_load(&account.bytes), 0);
}

static void without_tags_it_weighs_nothing(void **state)
{
    (void)state;
    memory_account_t account = {0};
    head_t *head = head_of(&account, LINES("surrogate-key: ,")), *other = head_of(&account, LINES("a: b"));
    int64_t charged = atomic_load(&account.bytes);
    head_tag(head, TEXT("www"), TEXT("/x"), &policy, other);
    head_tag_as(other, head);
    assert_null(head->tags.at);
    assert_null(other->tags.at);
    assert_int_equal(atomic_load(&account.bytes), charged);
    head_free(&head);
    head_free(&other);
}

/* What the one before had kept from its own before is not handed on, or it would be kept for ever. */
static void a_304_keeps_the_own_tags_of_before(void **state)
{
    (void)state;
    memory_account_t account = {0};
    head_t *first = head_of(&account, LINES("surrogate-key: a b"));
    head_tag(first, TEXT("www"), TEXT("/x"), &policy, NULL);
    head_t *second = freshened(first, LINES("surrogate-key: b c"));
    assert_tags(second, "a b c", 2);
    head_t *third = freshened(second, LINES("surrogate-key: d"));
    assert_tags(third, "b c d", 1);
    head_t *silent = freshened(third, LINES("x: 1"));
    assert_tags(silent, "d", 1);
    head_t *none = freshened(silent, LINES("surrogate-key: "));
    assert_tags(none, "d", 0);
    head_t *last = freshened(none, LINES("x: 1"));
    assert_tags(last, "", 0);
    head_t *all[] = {first, second, third, silent, none, last};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        head_free(&all[i]);
    assert_int_equal(atomic_load(&account.bytes), 0);
}

/* --- Objects --- */

/* As long as there is no head its tags are not known: nothing is remembered of it. */
static void what_is_judged_before_its_head_is_judged_again(void **state)
{
    (void)state;
    static const struct {
        const char *tag;
        bool soft;
        ledger_verdict_t verdict;
    } rows[] = {{"a", false, LEDGER_HARD},
                {"a", true, LEDGER_SOFT},
                {"other", false, LEDGER_VALID},
                {"other", true, LEDGER_VALID}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        cache_key_t key = cache_key(TEXT("www"), TEXT("/x"));
        object_t *object = memory_new_object(world.memory, &key.subject, ledger_sequence(world.ledger));
        world.now_ms++;
        world_purge(&world, RULE_TAG, rows[i].tag, rows[i].soft);
        uint64_t sequence = ledger_sequence(world.ledger);
        assert_int_equal(object_judge(object, world.ledger, sequence).verdict, LEDGER_VALID);
        assert_int_equal(object_judge_now(object, world.ledger).verdict, LEDGER_VALID);
        head_t *head = head_of(memory_account(world.memory), LINES("cache-tag: b,a"));
        head_tag(head, TEXT("www"), TEXT("/x"), &policy, NULL);
        object_begin(object, &head, OBJECT_SHAREABLE);
        for (int again = 0; again < 2; again++) {
            ledger_judgement_t judgement = object_judge(object, world.ledger, sequence);
            assert_int_equal(judgement.verdict, rows[i].verdict);
            if (rows[i].verdict == LEDGER_SOFT)
                assert_int_equal(judgement.stale_since_ms, world.now_ms);
        }
        assert_int_equal(object_judge_now(object, world.ledger).verdict, rows[i].verdict);
        object_append(object, "abc", 3);
        object_complete(object);
        object_unref(&object);
    }
}

/* --- Stored --- */

static void store(const char *target, const char *const *request, const char *const *response)
{
    client_t client;
    client_ask(&world, &client, target, request);
    assert_non_null(client.fill);
    client_answer(&world, &client, 200, response, "old");
    client_leave(&client);
}

/* What becomes of a request, and whether what is stored is asked about for it. */
static walk_kind_t kind_of(const char *target, const char *const *request, bool *asks)
{
    client_t client;
    http_field_t conditions[2];
    client_ask(&world, &client, target, request);
    if (asks != NULL)
        *asks = client.fill != NULL && fill_conditions(client.fill, conditions) > 0;
    if (client.fill != NULL)
        fill_fail(client.fill, (object_failure_t){502, "test"});
    client_leave(&client);
    return client.step.kind;
}

static void purges_of_stored_answers(void **state)
{
    (void)state;
    static const struct {
        const char *site, *tag;
        bool soft;
        walk_kind_t then;
        bool asks;
    } rows[] = {
        {"www", "a", false, WALK_FILL, false},  {"www", "b", false, WALK_FILL, false},
        {"www", "x", false, WALK_FILL, false},  {"www", "a", true, WALK_FILL, true},
        {"www", "c", false, WALK_HIT, false},   {"www", "c", true, WALK_HIT, false},
        {"www", "A", false, WALK_HIT, false},   {"www", "a,b", false, WALK_HIT, false},
        {"other", "a", false, WALK_HIT, false}, {"www", "/x", false, WALK_HIT, false},
        {"www", "", false, WALK_HIT, false},
    };
    http_policy_t with_path = policy;
    with_path.tags = TEXT("{1}");
    world.policy = &with_path;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        store("/x", NULL, LINES(FRESH, ETAG, "surrogate-key: a", "cache-tag: b"));
        assert_int_equal(kind_of("/x", NULL, NULL), WALK_HIT); /* remembered as valid */
        ledger_rule_t rule = {RULE_TAG,     rows[i].soft,          ++world.sequence,
                              world.now_ms, text_of(rows[i].site), text_of(rows[i].tag)};
        ledger_apply(world.ledger, &rule);
        ledger_publish(world.ledger, rule.sequence);
        bool asks;
        if (kind_of("/x", NULL, &asks) != rows[i].then || asks != rows[i].asks)
            fail_msg("row %zu", i);
        world_evict_all(&world);
    }
}

static void a_304_lifts_a_soft_purge(void **state)
{
    (void)state;
    store("/x", NULL, LINES(FRESH, ETAG, "cache-tag: a"));
    world_purge(&world, RULE_TAG, "a", true);
    client_t client;
    client_ask(&world, &client, "/x", NULL);
    assert_int_equal(client.step.forward, FORWARD_STALE);
    assert_int_equal(client_head(&world, &client, 304, LINES(FRESH, ETAG)), FILL_GO_ON);
    assert_reads(&client, "old", READ_END);
    client_leave(&client);
    assert_int_equal(kind_of("/x", NULL, NULL), WALK_HIT);
    world_purge(&world, RULE_TAG, "a", false); /* which it has still */
    bool asks;
    assert_int_equal(kind_of("/x", NULL, &asks), WALK_FILL);
    assert_false(asks);
}

/* The origin takes the tag away, while what had it is purged by it: the body is the purged one. */
static void a_304_that_takes_the_purged_tag_away(void **state)
{
    (void)state;
    for (int later = 0; later < 2; later++) {
        store("/x", NULL, LINES(FRESH, ETAG, "cache-tag: a"));
        world.now_ms += 60000;
        client_t client;
        client_ask(&world, &client, "/x", NULL);
        if (!later)
            world_purge(&world, RULE_TAG, "a", false);
        assert_int_equal(client_head(&world, &client, 304, LINES(FRESH, ETAG, "cache-tag: b")), FILL_GO_ON);
        client_leave(&client);
        if (later) {
            /* Once more it is confirmed without the tag, before it is purged: it has nothing to do with it.
             */
            world.now_ms += 60000;
            client_ask(&world, &client, "/x", NULL);
            assert_int_equal(client_head(&world, &client, 304, LINES(FRESH, ETAG)), FILL_GO_ON);
            client_leave(&client);
            world_purge(&world, RULE_TAG, "a", false);
        }
        bool asks;
        assert_int_equal(kind_of("/x", NULL, &asks), later ? WALK_HIT : WALK_FILL);
        assert_false(asks);
        world_purge(&world, RULE_TAG, "b", false);
        assert_int_equal(kind_of("/x", NULL, NULL), WALK_FILL);
        world_evict_all(&world);
    }
}

static void variants_have_tags_of_their_own(void **state)
{
    (void)state;
    store("/v", LINES("x-a: 1"), LINES(FRESH, "vary: x-a", "cache-tag: one,both"));
    store("/v", LINES("x-a: 2"), LINES(FRESH, "vary: x-a", "cache-tag: two,both"));
    world_purge(&world, RULE_TAG, "one", false);
    assert_int_equal(kind_of("/v", LINES("x-a: 1"), NULL), WALK_FILL);
    assert_int_equal(kind_of("/v", LINES("x-a: 2"), NULL), WALK_HIT);
    world_purge(&world, RULE_TAG, "both", false);
    assert_int_equal(kind_of("/v", LINES("x-a: 2"), NULL), WALK_FILL);
}

/* Housekeeping frees what was purged, and nothing else. */
static void a_sweep_takes_what_was_purged(void **state)
{
    (void)state;
    store("/x", NULL, LINES(FRESH, "cache-tag: a"));
    store("/y", NULL, LINES(FRESH, "cache-tag: a,b"));
    store("/z", NULL, LINES(FRESH, "cache-tag: b"));
    world_purge(&world, RULE_TAG, "a", true);
    memory_sweep(world.memory, world.ledger, world.now_ms);
    assert_int_equal(memory_objects(world.memory), 3); /* it may still be asked about */
    world_purge(&world, RULE_TAG, "a", false);
    memory_sweep(world.memory, world.ledger, world.now_ms);
    assert_int_equal(memory_objects(world.memory), 1);
    assert_int_equal(kind_of("/z", NULL, NULL), WALK_HIT);
    world_purge(&world, RULE_TAG, "b", false);
    memory_sweep(world.memory, world.ledger, world.now_ms);
    memory_settle();
    assert_int_equal(memory_objects(world.memory), 0);
    assert_int_equal(memory_bytes(world.memory), 0);
}

/* --- In flight --- */

/* Who asked before the purge may have it. Who asks after waits for the head, which tells the tag, and moves
 * on; and it is not used once it is stored. */
static void a_purge_during_a_fill(void **state)
{
    (void)state;
    for (int soft = 0; soft < 2; soft++) {
        client_t owner, before, after;
        client_ask(&world, &owner, "/x", NULL);
        client_ask(&world, &before, "/x", NULL);
        world_purge(&world, RULE_TAG, "a", soft);
        client_ask(&world, &after, "/x", NULL);
        assert_int_equal(after.step.kind, WALK_JOIN);
        assert_true(object_wait_head(&after.reader));
        client_answer(&world, &owner, 200, LINES(FRESH, ETAG, "cache-tag: a"), "old");
        assert_int_equal(after.wakes, 1);
        assert_int_equal(walk_at_head(&owner.walk, &owner.reader), HEAD_SERVE);
        assert_int_equal(walk_at_head(&before.walk, &before.reader), HEAD_SERVE);
        assert_int_equal(walk_at_head(&after.walk, &after.reader), HEAD_AGAIN);
        assert_reads(&before, "old", READ_END);
        client_again(&world, &after);
        assert_int_equal(after.step.kind, WALK_FILL);
        http_field_t conditions[2];
        assert_int_equal(fill_conditions(after.fill, conditions), soft);
        client_answer(&world, &after, 200, LINES(FRESH, ETAG, "cache-tag: a"), "new");
        assert_reads(&after, "new", READ_END);
        assert_int_equal(kind_of("/x", NULL, NULL), WALK_HIT);
        client_leave(&owner);
        client_leave(&before);
        client_leave(&after);
        world_evict_all(&world);
    }
}

/* The head is there already: who comes after the purge does not even join. */
static void a_purge_behind_the_head(void **state)
{
    (void)state;
    client_t owner, after;
    client_ask(&world, &owner, "/x", NULL);
    client_head(&world, &owner, 200, LINES(FRESH, "cache-tag: a"));
    world_purge(&world, RULE_TAG, "b", false);
    client_ask(&world, &after, "/x", NULL);
    assert_int_equal(after.step.kind, WALK_JOIN);
    assert_int_equal(walk_at_head(&after.walk, &after.reader), HEAD_SERVE);
    client_leave(&after);
    world_purge(&world, RULE_TAG, "a", false);
    client_ask(&world, &after, "/x", NULL);
    assert_int_equal(after.step.kind, WALK_FILL);
    client_answer(&world, &after, 200, LINES(FRESH, "cache-tag: a"), "new");
    client_body(&owner, "old");
    fill_complete(owner.fill);
    client_leave(&owner);
    client_leave(&after);
    client_ask(&world, &after, "/x", NULL);
    assert_int_equal(after.step.kind, WALK_HIT);
    assert_reads(&after, "new", READ_END);
    client_leave(&after);
}

/* A purge of a tag that it turns out not to have keeps nobody from reading along. */
static void a_purge_of_another_tag_during_a_fill(void **state)
{
    (void)state;
    client_t owner, after;
    client_ask(&world, &owner, "/x", NULL);
    world_purge(&world, RULE_TAG, "b", false);
    client_ask(&world, &after, "/x", NULL);
    assert_int_equal(after.step.kind, WALK_JOIN);
    client_answer(&world, &owner, 200, LINES(FRESH, "cache-tag: a"), "old");
    assert_int_equal(walk_at_head(&after.walk, &after.reader), HEAD_SERVE);
    client_leave(&owner);
    client_leave(&after);
    assert_int_equal(kind_of("/x", NULL, NULL), WALK_HIT);
}

static void a_purged_fill_that_is_stored_is_not_served(void **state)
{
    (void)state;
    client_t old;
    client_ask(&world, &old, "/x", NULL);
    world_purge(&world, RULE_TAG, "a", false);
    client_answer(&world, &old, 200, LINES(FRESH, ETAG, "cache-tag: a"), "old");
    client_leave(&old);
    assert_int_equal(memory_objects(world.memory), 1);
    bool asks;
    assert_int_equal(kind_of("/x", NULL, &asks), WALK_FILL);
    assert_false(asks);
    assert_int_equal(memory_objects(world.memory), 0);
}

/* It could not be purged by all of them. */
static void with_too_many_tags_it_is_not_stored(void **state)
{
    (void)state;
    for (size_t count = HTTP_TAGS_MAX; count <= HTTP_TAGS_MAX + 1; count++) {
        static char line[16 * (HTTP_TAGS_MAX + 1)];
        char *at = line + sprintf(line, "cache-tag: ");
        for (size_t i = 0; i < count; i++)
            at += sprintf(at, "%zu,", i);
        client_t client;
        client_ask(&world, &client, "/x", NULL);
        client_answer(&world, &client, 200, LINES(FRESH, line), "x");
        bool few = count <= HTTP_TAGS_MAX;
        assert_int_equal(object_shareable(client.reader.object), few);
        assert_int_equal(object_admitted(client.reader.object), few);
        assert_int_equal(object_head(client.reader.object)->tags.count, count);
        if (!few)
            assert_string_equal(object_head(client.reader.object)->storing.why, "too-many-tags");
        client_leave(&client);
        assert_int_equal(memory_objects(world.memory), few);
        world_evict_all(&world);
    }
}

int main(void)
{
#define STORY(name) cmocka_unit_test_setup_teardown(name, begin, world_teardown)
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_head_has_each_tag_once),
        cmocka_unit_test(tags_are_those_of_their_site),
        cmocka_unit_test(tags_weigh_something),
        cmocka_unit_test(without_tags_it_weighs_nothing),
        cmocka_unit_test(a_304_keeps_the_own_tags_of_before),
        STORY(what_is_judged_before_its_head_is_judged_again),
        STORY(purges_of_stored_answers),
        STORY(a_304_lifts_a_soft_purge),
        STORY(a_304_that_takes_the_purged_tag_away),
        STORY(variants_have_tags_of_their_own),
        STORY(a_sweep_takes_what_was_purged),
        STORY(a_purge_during_a_fill),
        STORY(a_purge_behind_the_head),
        STORY(a_purge_of_another_tag_during_a_fill),
        STORY(a_purged_fill_that_is_stored_is_not_served),
        STORY(with_too_many_tags_it_is_not_stored),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
