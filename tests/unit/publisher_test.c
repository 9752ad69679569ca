/* The publisher between threads that submit and a disk that can be held up or broken. */
#include "purge/publisher.h"
#include "tests/unit/simulated_disk.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <cmocka.h>
#include <unistd.h>

/* A gate in front of the disk's sync: it can be shut, and tells when somebody waits at it. */
static struct {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    bool shut, waiting;
    unsigned syncs;
} gate = {.lock = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER};

static int gated_fsync(void *context, int file)
{
    pthread_mutex_lock(&gate.lock);
    gate.syncs++;
    gate.waiting = true;
    pthread_cond_broadcast(&gate.changed);
    while (gate.shut)
        pthread_cond_wait(&gate.changed, &gate.lock);
    gate.waiting = false;
    pthread_mutex_unlock(&gate.lock);
    return medium_fsync(context, file);
}

static void set_gate(bool shut)
{
    pthread_mutex_lock(&gate.lock);
    gate.shut = shut;
    pthread_cond_broadcast(&gate.changed);
    pthread_mutex_unlock(&gate.lock);
}

static void await_somebody_at_gate(void)
{
    pthread_mutex_lock(&gate.lock);
    while (!gate.waiting)
        pthread_cond_wait(&gate.changed, &gate.lock);
    pthread_mutex_unlock(&gate.lock);
}

static unsigned count_syncs(void)
{
    pthread_mutex_lock(&gate.lock);
    unsigned syncs = gate.syncs;
    pthread_mutex_unlock(&gate.lock);
    return syncs;
}

/* A publisher on a disk of its own. */
static medium_t *disk;
static ledger_t *ledger;
static publisher_t *publisher;
static _Atomic unsigned order; /* counts the answers */
static uint64_t starts;

static int64_t fixed_clock(void)
{
    return 777;
}

static void start_publisher(void)
{
    journal_opening_t opening;
    journal_error_t error;
    ledger = ledger_new(1024, 16);
    journal_config_t config = {
        .io = medium_io(disk), .ledger = ledger, .random = ++starts, .compact_bytes = 1 << 20};
    config.io.fsync = gated_fsync;
    journal_t *journal = journal_open(&config, &opening, &error);
    assert_non_null(journal);
    assert_int_not_equal(opening.outcome, JOURNAL_FORGOTTEN);
    publisher = publisher_start(&journal, ledger, fixed_clock);
    assert_null(journal);
}

static void stop_publisher(void)
{
    publisher_stop(&publisher);
    assert_null(publisher);
    ledger_check(ledger);
    ledger_free(&ledger);
}

static int set_up(void **state)
{
    (void)state;
    disk = medium_new(1);
    order = 0;
    start_publisher();
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    set_gate(false); /* a test that failed may have left it shut */
    stop_publisher();
    medium_free(&disk);
    return 0;
}

/* A purge and what it was told. */
enum { RULES_MAX = 4 };

typedef struct {
    publisher_purge_t purge;
    ledger_rule_t rules[RULES_MAX];
    char targets[RULES_MAX][24];
    pthread_mutex_t lock;
    pthread_cond_t changed;
    unsigned answers;
    /* Fixed once answers is 1. */
    uint64_t sequence, head_at_answer;
    unsigned place; /* among all answers */
    bool refused, in_force_at_answer;
    char error[256];
} asked_t;

static bool in_force(const asked_t *asked)
{
    for (size_t i = 0; i < asked->purge.rule_count; i++) {
        ledger_subject_t subject = ledger_subject(asked->rules[i].site, asked->rules[i].target);
        if (ledger_judge(ledger, &subject, 0).verdict != LEDGER_HARD)
            return false;
    }
    return true;
}

static void answered(publisher_purge_t *purge, uint64_t sequence, const char *error)
{
    asked_t *asked = CONTAINER_OF(purge, asked_t, purge);
    pthread_mutex_lock(&asked->lock);
    asked->sequence = sequence;
    asked->head_at_answer = ledger_sequence(ledger);
    asked->place = atomic_fetch_add(&order, 1);
    asked->refused = error != NULL;
    asked->in_force_at_answer = in_force(asked);
    snprintf(asked->error, sizeof(asked->error), "%s", error != NULL ? error : "");
    asked->answers++;
    pthread_cond_signal(&asked->changed);
    pthread_mutex_unlock(&asked->lock);
}

static void submit(asked_t *asked, unsigned number, size_t rules)
{
    *asked = (asked_t){.purge = {.rules = asked->rules, .rule_count = rules, .done = answered}};
    pthread_mutex_init(&asked->lock, NULL);
    pthread_cond_init(&asked->changed, NULL);
    for (size_t i = 0; i < rules; i++) {
        snprintf(asked->targets[i], sizeof(asked->targets[i]), "/%u/%zu", number, i);
        asked->rules[i] =
            (ledger_rule_t){.kind = RULE_URL, .site = TEXT("shop"), .target = text_of(asked->targets[i])};
    }
    publisher_submit(publisher, &asked->purge);
}

static unsigned answers_so_far(asked_t *asked)
{
    pthread_mutex_lock(&asked->lock);
    unsigned answers = asked->answers;
    pthread_mutex_unlock(&asked->lock);
    return answers;
}

static void await_answer(asked_t *asked)
{
    pthread_mutex_lock(&asked->lock);
    while (asked->answers == 0)
        pthread_cond_wait(&asked->changed, &asked->lock);
    pthread_mutex_unlock(&asked->lock);
}

static void assert_accepted(const asked_t *asked)
{
    assert_int_equal(asked->answers, 1);
    assert_false(asked->refused);
    assert_true(asked->in_force_at_answer);
    assert_true(asked->head_at_answer >= asked->sequence);
    for (size_t i = 0; i < asked->purge.rule_count; i++) {
        assert_true(asked->rules[i].sequence == asked->sequence - (asked->purge.rule_count - 1 - i));
        assert_int_equal(asked->rules[i].time_ms, 777);
    }
}

static void assert_refused(const asked_t *asked)
{
    assert_int_equal(asked->answers, 1);
    assert_true(asked->refused);
    assert_true(asked->sequence == 0);
    assert_false(asked->in_force_at_answer);
}

/* ---------------------------------------------------------------------------------------------------------------------
 */

static void test_nothing_is_said_or_in_force_before_the_sync(void **state)
{
    (void)state;
    asked_t first, second;
    submit(&first, 1, 1);
    await_answer(&first); /* the sequences are reserved: what syncs now is the journal */
    uint64_t head = ledger_sequence(ledger);

    set_gate(true);
    submit(&second, 2, 1);
    await_somebody_at_gate();
    assert_int_equal(answers_so_far(&second), 0);
    assert_true(ledger_sequence(ledger) == head);
    assert_false(in_force(&second));
    set_gate(false);
    await_answer(&second);
    assert_accepted(&second);
    assert_true(second.sequence == first.sequence + 1);
}

static void test_all_that_wait_share_one_sync_in_order(void **state)
{
    (void)state;
    enum { WAITING = 50 };
    static asked_t first, waiting[WAITING];
    submit(&first, 0, 1);
    await_answer(&first);

    set_gate(true);
    submit(&first, 1, 1);
    await_somebody_at_gate();
    for (unsigned i = 0; i < WAITING; i++)
        submit(&waiting[i], 10 + i, 1 + i % RULES_MAX);
    unsigned before = count_syncs();
    set_gate(false);
    await_answer(&waiting[WAITING - 1]);
    assert_int_equal(count_syncs(), before + 1);
    uint64_t last = first.sequence;
    for (unsigned i = 0; i < WAITING; i++) {
        assert_accepted(&waiting[i]);
        assert_true(waiting[i].sequence == last + waiting[i].purge.rule_count);
        assert_int_equal(waiting[i].place, 2 + i);
        last = waiting[i].sequence;
    }
}

static void test_failed_sync_is_an_error_and_passes(void **state)
{
    (void)state;
    asked_t before, refused, after;
    submit(&before, 1, 2);
    await_answer(&before);
    assert_accepted(&before);

    disk->fail_at = disk->calls + 2; /* the write, then the sync */
    disk->fail_errno = EIO;
    submit(&refused, 2, 2);
    await_answer(&refused);
    assert_refused(&refused);
    assert_non_null(strstr(refused.error, "fsync"));
    assert_non_null(strstr(refused.error, "Input/output error"));
    assert_true(ledger_sequence(ledger) == before.sequence);

    const medium_inode_t *old = medium_file(disk, "journal");
    submit(&after, 3, 1);
    await_answer(&after);
    assert_accepted(&after);
    assert_true(after.sequence == before.sequence + 3); /* the refused rules' sequences are gone */
    assert_ptr_not_equal(medium_file(disk, "journal"), old);

    stop_publisher();
    medium_power_cut(disk);
    start_publisher();
    assert_true(in_force(&before) && in_force(&after) && !in_force(&refused));
    assert_true(ledger_sequence(ledger) == after.sequence);
}

static void test_too_long_a_purge_does_not_spoil_its_batch(void **state)
{
    (void)state;
    enum { HUGE_BYTES = 5 << 20 };
    static asked_t first, good[2], huge;
    char *bytes = must_alloc(HUGE_BYTES);
    memset(bytes, 'x', HUGE_BYTES);
    set_gate(true);
    submit(&first, 0, 1);
    await_somebody_at_gate();
    submit(&good[0], 1, 1);
    huge = (asked_t){.purge = {.rules = huge.rules, .rule_count = 1, .done = answered},
                     .rules = {{.kind = RULE_URL, .site = TEXT("s"), .target = {bytes, HUGE_BYTES}}},
                     .lock = PTHREAD_MUTEX_INITIALIZER,
                     .changed = PTHREAD_COND_INITIALIZER};
    publisher_submit(publisher, &huge.purge);
    submit(&good[1], 2, 1);
    set_gate(false);
    await_answer(&good[1]);
    await_answer(&huge);
    assert_accepted(&good[0]);
    assert_accepted(&good[1]);
    assert_refused(&huge);
    free(bytes);
}

/* One of each kind for `shop`, and one for another site; what became of each. */
static void submit_each_kind(asked_t *asked)
{
    *asked = (asked_t){.purge = {.rules = asked->rules, .rule_count = 4, .done = answered},
                       .rules = {{.kind = RULE_URL, .soft = true, .site = TEXT("shop"), .target = TEXT("/a")},
                                 {.kind = RULE_TAG, .site = TEXT("shop"), .target = TEXT("t")},
                                 {.kind = RULE_EVERYTHING, .soft = true},
                                 {.kind = RULE_URL, .site = TEXT("blog"), .target = TEXT("/a")}},
                       .lock = PTHREAD_MUTEX_INITIALIZER,
                       .changed = PTHREAD_COND_INITIALIZER};
    publisher_submit(publisher, &asked->purge);
}

static void assert_kinds(const asked_t *asked, bool widened)
{
    const ledger_rule_t *rules = asked->rules;
    assert_int_equal(rules[0].kind, widened ? RULE_SITE : RULE_URL);
    assert_int_equal(rules[1].kind, widened ? RULE_SITE : RULE_TAG);
    assert_true(rules[0].soft && !rules[1].soft);
    assert_int_equal(rules[2].kind, RULE_EVERYTHING);
    assert_int_equal(rules[3].kind, RULE_URL);
}

/* What is stored under another name than the purge says is purged, too, and so it is after a restart. */
static void test_purges_are_widened_to_a_site_while_its_keys_change(void **state)
{
    (void)state;
    static asked_t first, asked;
    const text_t both[] = {TEXT("shop"), TEXT("shop")};
    ledger_subject_t other = ledger_subject(TEXT("shop"), TEXT("/other"));
    submit_each_kind(&asked);
    await_answer(&asked);
    assert_kinds(&asked, false);

    set_gate(true);
    submit(&first, 1, 1);
    await_somebody_at_gate();
    submit_each_kind(&asked); /* it waits when the change begins */
    publisher_widen(publisher, both, 2);
    set_gate(false);
    await_answer(&asked);
    assert_kinds(&asked, true);
    assert_true(ledger_judge(ledger, &other, asked.sequence - 3).verdict == LEDGER_HARD);
    stop_publisher();
    medium_power_cut(disk);
    start_publisher();
    assert_true(ledger_judge(ledger, &other, asked.sequence - 3).verdict == LEDGER_HARD);

    publisher_widen(publisher, both, 2);
    publisher_widen_end(publisher, both, 1);
    submit_each_kind(&asked);
    await_answer(&asked);
    assert_kinds(&asked, true);
    publisher_widen_end(publisher, both, 1);
    submit_each_kind(&asked);
    await_answer(&asked);
    assert_kinds(&asked, false);
}

static void *open_gate(void *nothing)
{
    set_gate(false);
    return nothing;
}

/* The gate opens while the stop is under way. Which of the two is seen first is left to chance, so: many
 * rounds. */
static void test_stopping_finishes_what_was_submitted(void **state)
{
    (void)state;
    enum { WAITING = 20, ROUNDS = 20 };
    static asked_t asked[WAITING];
    for (unsigned round = 0; round < ROUNDS; round++) {
        pthread_t opener;
        set_gate(true);
        submit(&asked[0], round * WAITING, 1);
        await_somebody_at_gate();
        for (unsigned i = 1; i < WAITING; i++)
            submit(&asked[i], round * WAITING + i, 1);
        assert_int_equal(pthread_create(&opener, NULL, open_gate, NULL), 0);
        publisher_stop(&publisher);
        assert_int_equal(pthread_join(opener, NULL), 0);
        for (unsigned i = 0; i < WAITING; i++)
            assert_accepted(&asked[i]);
        ledger_free(&ledger);

        start_publisher();
        assert_true(ledger_sequence(ledger) == asked[WAITING - 1].sequence);
        for (unsigned i = 0; i < WAITING; i++)
            assert_true(in_force(&asked[i]));
    }
}

enum { SUBMITTERS = 4, EACH = 150 };

static asked_t crowd[SUBMITTERS][EACH];

static void *submit_many(void *argument)
{
    unsigned row = (unsigned)(uintptr_t)argument;
    for (unsigned i = 0; i < EACH; i++) {
        submit(&crowd[row][i], row * EACH + i, 1 + i % RULES_MAX);
        if (i % 3 == 0)
            await_answer(&crowd[row][i]);
    }
    for (unsigned i = 0; i < EACH; i++)
        await_answer(&crowd[row][i]);
    return NULL;
}

/* All at once, with a sync that fails now and then: each gets one answer, sequences rise in the order of each
 * submitter, no two are equal, and exactly the accepted ones are there after a power cut. */
static void test_many_submitters_and_a_failing_disk(void **state)
{
    (void)state;
    pthread_t threads[SUBMITTERS];
    disk->fail_at = 40;
    disk->fail_errno = ENOSPC;
    for (uintptr_t i = 0; i < SUBMITTERS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, submit_many, (void *)i), 0);
    for (unsigned i = 0; i < SUBMITTERS; i++)
        assert_int_equal(pthread_join(threads[i], NULL), 0);

    unsigned refused = 0;
    static bool seen[2 * SUBMITTERS * EACH * RULES_MAX];
    memset(seen, 0, sizeof(seen));
    for (unsigned row = 0; row < SUBMITTERS; row++)
        for (unsigned i = 0, last = 0; i < EACH; i++) {
            const asked_t *asked = &crowd[row][i];
            if (asked->refused) {
                assert_refused(asked);
                refused++;
                continue;
            }
            assert_accepted(asked);
            assert_true(asked->sequence > last && asked->sequence < sizeof(seen));
            assert_false(seen[asked->sequence]);
            seen[asked->sequence] = true;
            last = (unsigned)asked->sequence;
        }
    assert_in_range(refused, 1, SUBMITTERS * EACH - 1);
    stop_publisher();
    medium_power_cut(disk);
    start_publisher();
    for (unsigned row = 0; row < SUBMITTERS; row++)
        for (unsigned i = 0; i < EACH; i++)
            assert_true(crowd[row][i].refused || in_force(&crowd[row][i]));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_nothing_is_said_or_in_force_before_the_sync, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_all_that_wait_share_one_sync_in_order, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_failed_sync_is_an_error_and_passes, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_too_long_a_purge_does_not_spoil_its_batch, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_purges_are_widened_to_a_site_while_its_keys_change, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(test_stopping_finishes_what_was_submitted, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_many_submitters_and_a_failing_disk, set_up, tear_down),
    };
    alarm(60); /* a publisher that never answers, or never stops, fails here rather than hold what waits for
                  it */
    return cmocka_run_group_tests(tests, NULL, NULL);
}
