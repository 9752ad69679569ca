/* What is stored and stale: used while one fill in the background asks for it, used when the origin fails, or
 * not at all. */
#include "tests/unit/cache_world.h"

#define LATER "cache-control: max-age=60, stale-while-revalidate=30"
#define ERROR "cache-control: max-age=60, stale-if-error=30"
#define BOTH "cache-control: max-age=60, stale-while-revalidate=10, stale-if-error=30"
#define TAG "etag: \"a\""

static void store(const char *target, const char *const *response)
{
    client_t client;
    client_ask(&world, &client, target, NULL);
    assert_int_equal(client.step.kind, WALK_FILL);
    client_answer(&world, &client, 200, response, "old");
    client_leave(&client);
}

static const object_failure_t broken = {502, "connection_refused"};

static void leave_broken(client_t *client)
{
    if (client->fill != NULL && !fill_ended(client->fill))
        fill_broken(client->fill, broken, world.now_ms);
    client_leave(client);
}

/* It has the stored response; does it have to start a fill in the background? */
static void assert_stale(client_t *client, http_use_t use, bool background)
{
    assert_int_equal(client->step.kind, WALK_HIT);
    assert_int_equal(client->step.use, use);
    assert_int_equal(client->step.forward, FORWARD_NOT);
    assert_int_equal(client->fill != NULL, background);
    assert_reads(client, "old", READ_END);
}

/* Asks and leaves; what is in the background breaks. */
static void look(const char *target, http_use_t use, bool background)
{
    client_t client;
    client_ask(&world, &client, target, NULL);
    assert_stale(&client, use, background);
    leave_broken(&client);
}

/* RFC 5861 section 3, RFC 9111 section 4.2.4: when may it be used without asking first? */
static void windows(void **state)
{
    (void)state;
    static const struct {
        const char *response;
        int64_t later_ms;
        bool used;
    } rows[] = {
        {LATER, 60000, true},
        {LATER, 89999, true},
        {LATER, 90000, false},
        {ERROR, 60000, false},
        {BOTH, 69999, true},
        {BOTH, 70000, false},
        {"cache-control: max-age=60, stale-while-revalidate=30, must-revalidate", 60000, false},
        {"cache-control: max-age=60, stale-while-revalidate=30, proxy-revalidate", 60000, false},
        {"cache-control: s-maxage=60, stale-while-revalidate=30", 60000, false},
        {"cache-control: max-age=60, stale-while-revalidate=30, no-cache", 0, false},
        {"cache-control: max-age=60, stale-while-revalidate=30, no-cache", 60000, false},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        store("/x", LINES(rows[i].response, TAG));
        world.now_ms += rows[i].later_ms;
        client_t client;
        client_ask(&world, &client, "/x", NULL);
        assert_int_equal(client.step.kind == WALK_HIT, rows[i].used);
        if (rows[i].used) {
            assert_int_equal(client.step.ttl_ms, 60000 - rows[i].later_ms);
            assert_stale(&client, HTTP_WHILE_REVALIDATE, true);
        }
        leave_broken(&client);
        world_evict_all(&world);
    }
}

/* One fill, conditional; all others have the stored response meanwhile, and afterwards what it brought. */
static void one_fill_in_the_background(void **state)
{
    (void)state;
    for (int modified = 0; modified < 2; modified++) {
        store("/x", LINES(LATER, TAG));
        world.now_ms += 60001;
        client_t first, others[3], last;
        client_ask(&world, &first, "/x", NULL);
        assert_stale(&first, HTTP_WHILE_REVALIDATE, true);
        http_field_t conditions[2];
        assert_int_equal(fill_conditions(first.fill, conditions), 1);
        /* Nobody reads what it brings; it goes on. */
        assert_int_equal(fill_notified(first.fill, FILLER_ABANDONED), FILL_GO_ON);
        for (size_t i = 0; i < 3; i++) {
            client_ask(&world, &others[i], "/x", NULL);
            assert_stale(&others[i], HTTP_WHILE_REVALIDATE, false);
            client_leave(&others[i]);
            assert_int_equal(fill_notified(first.fill, FILLER_ABANDONED), FILL_GO_ON);
        }
        if (modified)
            client_answer(&world, &first, 200, LINES(LATER, "etag: \"b\""), "new");
        else
            assert_int_equal(client_head(&world, &first, 304, LINES(LATER, TAG)), FILL_GO_ON);
        assert_true(fill_ended(first.fill));
        assert_false(fill_in_vain(first.fill));
        client_leave(&first);
        client_ask(&world, &last, "/x", NULL);
        assert_int_equal(last.step.use, HTTP_FRESH);
        assert_reads(&last, modified ? "new" : "old", READ_END);
        client_leave(&last);
        world_evict_all(&world);
    }
}

/* Who may not have it stale any more reads along with what was begun in the background. */
static void who_may_not_have_it_stale_reads_along(void **state)
{
    (void)state;
    store("/x", LINES(LATER, TAG));
    world.now_ms += 89999;
    client_t first, second;
    client_ask(&world, &first, "/x", NULL);
    assert_stale(&first, HTTP_WHILE_REVALIDATE, true);
    world.now_ms++;
    client_ask(&world, &second, "/x", NULL);
    assert_int_equal(second.step.kind, WALK_JOIN);
    client_answer(&world, &first, 200, LINES(LATER), "new");
    assert_int_equal(walk_at_head(&second.walk, &second.reader), HEAD_SERVE);
    assert_reads(&second, "new", READ_END);
    client_leave(&first);
    client_leave(&second);
}

/* A fill that fails leaves what is stored, and the origin is left alone, for longer each time. */
static void a_failed_one_leaves_it_and_rests(void **state)
{
    (void)state;
    store("/x", LINES("cache-control: max-age=60, stale-while-revalidate=600", TAG));
    world.now_ms += 60000;
    static const int64_t rests[] = {1000, 2000, 4000, 8000, 16000, 30000, 30000};
    for (size_t i = 0; i < sizeof rests / sizeof *rests; i++) {
        look("/x", HTTP_WHILE_REVALIDATE, true); /* fails at once */
        world.now_ms += rests[i] - 1;
        look("/x", HTTP_WHILE_REVALIDATE, false);
        world.now_ms++;
    }
    client_t client;
    client_ask(&world, &client, "/x", NULL);
    assert_int_equal(client_head(&world, &client, 304, LINES("a: b")), FILL_GO_ON);
    client_leave(&client);
    look("/x", HTTP_FRESH, false);
    world.now_ms += 60000;
    look("/x", HTTP_WHILE_REVALIDATE, true); /* all is forgotten */
}

/* Each way in which the origin can fail; what the node itself cannot do is no trouble of the origin's, and
 * what it answers to one client is none for others. */
static void what_counts_as_trouble(void **state)
{
    (void)state;
    enum { BREAKS, BREAKS_IN_BODY, IS_SHORT, ANSWERS_503, IS_ABANDONED, WAYS };
    for (int way = 0; way < WAYS; way++) {
        store("/x", LINES(ERROR, TAG));
        world.now_ms += 60000;
        client_t client, later;
        client_ask(&world, &client, "/x", NULL);
        assert_int_equal(client.step.kind, WALK_FILL);
        if (way == BREAKS_IN_BODY || way == IS_SHORT) {
            client_head(&world, &client, 200, LINES(ERROR, "content-length: 9"));
            client_body(&client, "new");
        }
        if (way == BREAKS || way == BREAKS_IN_BODY)
            fill_broken(client.fill, broken, world.now_ms);
        else if (way == IS_SHORT)
            fill_complete(client.fill);
        else if (way == ANSWERS_503)
            client_answer(&world, &client, 503, LINES("cache-control: max-age=60"), "down");
        else {
            object_leave(&client.reader);
            assert_int_equal(fill_notified(client.fill, client.notified), FILL_STOP);
        }
        bool troubled = way != IS_ABANDONED && way != ANSWERS_503;
        assert_int_equal(fill_in_vain(client.fill), way != IS_ABANDONED);
        client_leave(&client);
        client_ask(&world, &later, "/x", NULL);
        assert_int_equal(later.step.kind, troubled ? WALK_HIT : WALK_FILL);
        if (troubled)
            assert_stale(&later, HTTP_IF_ERROR, false);
        leave_broken(&later);
        world_evict_all(&world);
    }
}

/* In the background an error as the answer has the origin rest, but lets nobody have it stale who otherwise
 * may not. */
static void an_error_in_the_background(void **state)
{
    (void)state;
    for (int answered = 0; answered < 2; answered++) {
        store("/x", LINES(BOTH, TAG));
        world.now_ms += 69999;
        client_t client, later;
        client_ask(&world, &client, "/x", NULL);
        assert_stale(&client, HTTP_WHILE_REVALIDATE, true);
        if (answered)
            client_answer(&world, &client, 503, LINES("content-length: 4"), "down");
        leave_broken(&client);
        look("/x", HTTP_WHILE_REVALIDATE, false);
        world.now_ms++;
        client_ask(&world, &later, "/x", NULL);
        assert_int_equal(later.step.kind, answered ? WALK_FILL : WALK_HIT);
        leave_broken(&later);
        world_evict_all(&world);
    }
}

/* RFC 5861 section 4: who waits when the origin fails is answered with what is stored, if that is allowed. */
static void on_an_error_it_answers_instead(void **state)
{
    (void)state;
    static const struct {
        const char *response;
        int64_t later_ms;
        int status; /* 0: it breaks */
        bool used;
    } rows[] = {
        {ERROR, 60000, 0, true},
        {ERROR, 89999, 0, true},
        {ERROR, 90000, 0, false},
        {ERROR, 60000, 500, true},
        {ERROR, 60000, 502, true},
        {ERROR, 60000, 503, true},
        {ERROR, 60000, 504, true},
        {ERROR, 90000, 503, false},
        {"cache-control: max-age=60, stale-if-error=0", 60000, 0, false},
        {"cache-control: max-age=60", 60000, 0, false}, /* this site allows nothing by itself */
        {"cache-control: max-age=60, stale-if-error=30, must-revalidate", 60000, 0, false},
        {"cache-control: max-age=60, stale-if-error=30, proxy-revalidate", 60000, 503, false},
        {"cache-control: s-maxage=60, stale-if-error=30", 60000, 0, false},
        {"cache-control: max-age=60, stale-if-error=30, no-cache", 10000, 0, false},
        {"cache-control: max-age=60, stale-if-error=30, no-cache", 60000, 503, false},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        store("/x", LINES(rows[i].response, TAG));
        world.now_ms += rows[i].later_ms;
        client_t client, joined;
        client_ask(&world, &client, "/x", NULL);
        client_ask(&world, &joined, "/x", NULL);
        assert_non_null(client.fill);
        if (rows[i].status == 0)
            fill_broken(client.fill, broken, world.now_ms);
        else
            client_answer(&world, &client, rows[i].status, LINES("cache-control: no-store"), "down");
        client_t *both[] = {&client, &joined};
        for (size_t j = 0; j < 2; j++) {
            walk_step_t step;
            assert_int_equal(walk_on_error(&both[j]->walk, &both[j]->reader, &step), rows[i].used);
            if (rows[i].used) {
                assert_int_equal(step.use, HTTP_IF_ERROR);
                assert_int_equal(step.ttl_ms, 60000 - rows[i].later_ms);
                assert_reads(both[j], "old", READ_END);
            }
            leave_broken(both[j]);
        }
        if (rows[i].used) /* nobody took the error, as there was better */
            assert_int_equal(world.wasted, 0);
        world_evict_all(&world);
    }
}

/* An error that may be stored by its own word replaces what is stored, but not where that may answer instead.
 */
static void an_error_that_may_be_stored(void **state)
{
    (void)state;
    static const struct {
        const char *response;
        int64_t later_ms;
        bool replaced;
    } rows[] = {{ERROR, 60000, false},
                {ERROR, 90000, true},
                {"cache-control: max-age=60", 60000, true},
                {"cache-control: max-age=60, must-revalidate", 60000, true},
                {BOTH, 65000, false},
                {LATER, 65000, true}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        store("/x", LINES(rows[i].response, TAG));
        world.now_ms += rows[i].later_ms;
        client_t client, later;
        client_ask(&world, &client, "/x", NULL);
        client_answer(&world, &client, 503, LINES("cache-control: max-age=60", "content-length: 4"), "down");
        client_leave(&client);
        client_ask(&world, &later, "/x", NULL);
        if (later.step.kind == WALK_FILL) { /* the origin may have better for this one */
            fill_broken(later.fill, broken, world.now_ms);
            assert_true(walk_on_error(&later.walk, &later.reader, &later.step));
        }
        assert_int_equal(later.step.kind, WALK_HIT);
        assert_int_equal(later.step.use == HTTP_FRESH, rows[i].replaced);
        assert_reads(&later, rows[i].replaced ? "down" : "old", READ_END);
        leave_broken(&later);
        world_evict_all(&world);
    }
}

/* What came in the background is not to be stored: what was stored is not used any longer, and what is long
 * is not read to its end for nobody. */
static void what_may_not_be_stored_replaces_it_all_the_same(void **state)
{
    (void)state;
    static const struct {
        const char *control, *length;
        fill_action_t action;
    } rows[] = {
        {"cache-control: no-store", "content-length: 9000000", FILL_STOP},
        {"cache-control: no-store", "a: b", FILL_STOP},
        {"cache-control: no-store", "content-length: 3", FILL_GO_ON},
        {"cache-control: max-age=60", "content-length: 9000000", FILL_STOP}, /* larger than is kept */
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        store("/x", LINES(LATER)); /* without anything to ask with */
        world.now_ms += 60000;
        client_t client, later;
        client_ask(&world, &client, "/x", NULL);
        assert_stale(&client, HTTP_WHILE_REVALIDATE, true);
        assert_int_equal(client_head(&world, &client, 200, LINES(rows[i].control, rows[i].length)),
                         rows[i].action);
        if (rows[i].action == FILL_GO_ON) {
            client_body(&client, "new");
            fill_complete(client.fill);
        }
        assert_true(fill_ended(client.fill));
        client_leave(&client);
        client_ask(&world, &later, "/x", NULL);
        assert_int_not_equal(later.step.kind, WALK_HIT);
        leave_broken(&later);
        world_evict_all(&world);
    }
    store("/x", LINES(LATER, TAG));
    world.now_ms += 60000;
    client_t client, later;
    client_ask(&world, &client, "/x", NULL);
    assert_int_equal(client_head(&world, &client, 304, LINES("cache-control: no-store", TAG)), FILL_GO_ON);
    client_leave(&client);
    client_ask(&world, &later, "/x", NULL);
    assert_int_equal(later.step.kind, WALK_PASS);
    assert_int_equal(later.step.forward, FORWARD_BYPASS);
    leave_broken(&later);
}

/* RFC 9111 section 3.5: what one client's credentials bring may not be stored, and that is all. What is
 * stored for others stays, and they may still wait for each other. */
static void what_credentials_bring_ends_nothing(void **state)
{
    (void)state;
    static const struct {
        const char *authorization, *response;
        int status;
        bool stays, marked;
    } rows[] = {
        {"authorization: x", "cache-control: max-age=60", 200, true, false},
        {"authorization: x", "cache-control: max-age=60", 304, true, false},
        {"authorization: x", "cache-control: no-store", 401, true, false},
        {"authorization: x", "cache-control: no-store", 403, true, false},
        {"authorization: x", "cache-control: no-store", 407, true, false},
        {"authorization: x", "cache-control: private", 200, true, true}, /* it says so to everybody */
        {"authorization: x", "cache-control: public, max-age=60", 200, false, false},
        {"a: b", "cache-control: no-store", 401, false, true},
        {"a: b", "cache-control: no-store", 200, false, true},
        {"a: b", "cache-control: no-store", 304, false, true},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        store("/x", LINES(ERROR, TAG));
        world.now_ms += 60000;
        client_t client, later;
        client_ask(&world, &client, "/x", LINES(rows[i].authorization));
        assert_int_equal(client.step.kind, WALK_FILL);
        if (rows[i].status == 304)
            assert_int_equal(client_head(&world, &client, 304, LINES(rows[i].response, TAG)), FILL_GO_ON);
        else
            client_answer(&world, &client, rows[i].status, LINES(rows[i].response, "content-length: 3"),
                          "new");
        client_leave(&client);
        client_ask(&world, &later, "/x", NULL);
        if (rows[i].stays) {
            assert_int_equal(later.step.kind, WALK_FILL);
            assert_int_equal(later.step.forward, FORWARD_STALE);
        } else
            assert_int_equal(later.step.kind, rows[i].marked ? WALK_PASS : WALK_HIT);
        leave_broken(&later);
        world_evict_all(&world);
        /* With nothing stored: is the key marked? */
        client_ask(&world, &client, "/y", LINES(rows[i].authorization));
        if (rows[i].status != 304)
            client_answer(&world, &client, rows[i].status, LINES(rows[i].response, "content-length: 3"),
                          "new");
        bool asked = rows[i].status != 304;
        leave_broken(&client);
        client_ask(&world, &later, "/y", NULL);
        assert_int_equal(later.step.kind == WALK_PASS, asked && rows[i].marked);
        leave_broken(&later);
        world_evict_all(&world);
    }
}

/* What nobody waits for is asked for with nobody's credentials; so a refusal says nothing. */
static void in_the_background_without_credentials(void **state)
{
    (void)state;
    static const struct {
        const char *response;
        int status;
        bool stays;
    } rows[] = {
        {"cache-control: no-store", 401, true},
        {"cache-control: no-store", 200, false},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        store("/x", LINES(LATER, TAG));
        world.now_ms += 60000;
        client_t client, later;
        client_ask(&world, &client, "/x", LINES("authorization: x", "accept: y"));
        assert_stale(&client, HTTP_WHILE_REVALIDATE, true);
        assert_int_equal(fill_fields(client.fill).count, 1);
        assert_null(http_fields_find(fill_fields(client.fill), TEXT("authorization")));
        client_answer(&world, &client, rows[i].status, LINES(rows[i].response, "content-length: 3"), "new");
        client_leave(&client);
        client_ask(&world, &later, "/x", NULL);
        assert_int_equal(later.step.kind, rows[i].stays ? WALK_HIT : WALK_PASS);
        leave_broken(&later);
        world_evict_all(&world);
    }
}

/* Those that are selected by credentials are asked for while the client waits. */
static void selected_by_credentials(void **state)
{
    (void)state;
    static const char vary[] = "vary: authorization",
                      control[] = "cache-control: public, max-age=60, stale-while-revalidate=30";
    static const struct {
        const char *field;
        bool background;
    } rows[] = {{"authorization: x", false}, {"a: b", true}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        client_t client;
        client_ask(&world, &client, "/x", LINES(rows[i].field));
        client_answer(&world, &client, 200, LINES(control, vary, TAG), "old");
        client_leave(&client);
        world.now_ms += 60000;
        client_ask(&world, &client, "/x", LINES(rows[i].field));
        if (rows[i].background)
            assert_stale(&client, HTTP_WHILE_REVALIDATE, true);
        else
            assert_int_equal(client.step.kind, WALK_FILL);
        client_answer(&world, &client, 200, LINES(control, vary), "new");
        client_leave(&client);
        client_ask(&world, &client, "/x", LINES(rows[i].field));
        assert_int_equal(client.step.use, HTTP_FRESH);
        assert_reads(&client, "new", READ_END);
        client_leave(&client);
        world_evict_all(&world);
    }
}

/* It turns out larger than is kept, and nobody reads it. */
static void too_large_for_the_background(void **state)
{
    (void)state;
    store("/x", LINES(LATER, TAG));
    world.now_ms += 60000;
    client_t client;
    client_ask(&world, &client, "/x", NULL);
    client_head(&world, &client, 200, LINES(LATER));
    static char bytes[MIB];
    fill_action_t action = FILL_GO_ON;
    size_t taken, sent = 0;
    for (; action == FILL_GO_ON && sent < 20 * MIB; sent += sizeof bytes)
        action = fill_bytes(client.fill, bytes, sizeof bytes, &taken);
    assert_int_equal(action, FILL_STOP);
    assert_int_equal(sent, 9 * MIB);
    client_leave(&client);
}

/* A soft purge makes it stale as of then, and its windows begin then. A hard one ends it. */
static void purges(void **state)
{
    (void)state;
    store("/x", LINES(LATER, TAG));
    world.now_ms += 10000;
    world_purge(&world, RULE_URL, "/x", true);
    client_t first, second, after;
    client_ask(&world, &first, "/x", NULL);
    assert_int_equal(first.step.ttl_ms, 0);
    assert_stale(&first, HTTP_WHILE_REVALIDATE, true);
    world.now_ms += 29999;
    client_ask(&world, &second, "/x", NULL);
    assert_int_equal(second.step.ttl_ms, -29999);
    assert_stale(&second, HTTP_WHILE_REVALIDATE, false);
    client_leave(&second);
    /* What is asked for was asked for before this one: it is asked for anew. */
    world_purge(&world, RULE_SITE, "", true);
    client_ask(&world, &second, "/x", NULL);
    assert_stale(&second, HTTP_WHILE_REVALIDATE, true);
    client_head(&world, &first, 304, LINES(LATER, TAG));
    client_leave(&first);
    client_ask(&world, &after, "/x", NULL);
    assert_stale(&after, HTTP_WHILE_REVALIDATE, false);
    client_leave(&after);
    /* Nor does the hard one leave anything of it, whoever asks for it in the background. */
    world_purge(&world, RULE_URL, "/x", false);
    client_ask(&world, &after, "/x", NULL);
    assert_int_equal(after.step.kind, WALK_FILL);
    http_field_t conditions[2];
    assert_int_equal(fill_conditions(after.fill, conditions), 0);
    client_head(&world, &second, 304, LINES(LATER, TAG));
    client_leave(&second);
    walk_step_t step;
    fill_broken(after.fill, broken, world.now_ms);
    assert_false(walk_on_error(&after.walk, &after.reader, &step));
    client_leave(&after);
}

/* Purged while the origin is asked: who asked before the purge may have it, who asks after it not. */
static void a_hard_purge_before_the_error(void **state)
{
    (void)state;
    store("/x", LINES(ERROR, TAG));
    world.now_ms += 60000;
    client_t before, after;
    client_ask(&world, &before, "/x", NULL);
    world_purge(&world, RULE_URL, "/x", false);
    client_ask(&world, &after, "/x", NULL);
    assert_int_equal(after.step.kind, WALK_FILL);
    fill_broken(before.fill, broken, world.now_ms);
    fill_broken(after.fill, broken, world.now_ms);
    walk_step_t step;
    assert_false(walk_on_error(&after.walk, &after.reader, &step));
    client_leave(&before);
    client_leave(&after);
}

/* Nor is what an unsafe method has invalidated used, nor what comes of before. */
static void invalidated_in_the_background(void **state)
{
    (void)state;
    store("/x", LINES(LATER, TAG));
    world.now_ms += 60000;
    client_t client, later;
    client_ask(&world, &client, "/x", NULL);
    assert_stale(&client, HTTP_WHILE_REVALIDATE, true);
    memory_invalidate(world.memory, &client.walk.key);
    client_ask(&world, &later, "/x", NULL);
    assert_int_equal(later.step.kind, WALK_FILL);
    client_head(&world, &client, 304, LINES(LATER, TAG));
    client_leave(&client);
    leave_broken(&later);
    client_ask(&world, &later, "/x", NULL);
    assert_int_equal(later.step.kind, WALK_FILL);
    leave_broken(&later);
}

int main(void)
{
#define STORY(name) cmocka_unit_test_setup_teardown(name, world_setup, world_teardown)
    const struct CMUnitTest tests[] = {
        STORY(windows),
        STORY(one_fill_in_the_background),
        STORY(who_may_not_have_it_stale_reads_along),
        STORY(a_failed_one_leaves_it_and_rests),
        STORY(what_counts_as_trouble),
        STORY(an_error_in_the_background),
        STORY(on_an_error_it_answers_instead),
        STORY(an_error_that_may_be_stored),
        STORY(what_may_not_be_stored_replaces_it_all_the_same),
        STORY(what_credentials_bring_ends_nothing),
        STORY(in_the_background_without_credentials),
        STORY(selected_by_credentials),
        STORY(too_large_for_the_background),
        STORY(purges),
        STORY(a_hard_purge_before_the_error),
        STORY(invalidated_in_the_background),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
