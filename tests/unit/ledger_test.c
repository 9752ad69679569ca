/* The ledger beside a model that keeps every rule in a list and asks each one. */
#include "purge/ledger.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <cmocka.h>

/* splitmix64: the same seed gives the same run everywhere. */
static uint64_t next_random(uint64_t *state)
{
    uint64_t z = (*state += 0x9e3779b97f4a7c15u);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

static uint64_t below(uint64_t *state, uint64_t limit)
{
    return next_random(state) % limit;
}

/* The model. ------------------------------------------------------------------------------------------------
 */

enum { SITES = 4, TARGETS = 60, TAGS = 5, RULES_MAX = 600 };

static const char *const site_names[SITES] = {"a", "ab", "shop", "img"};

/* Targets start with letters that site names end with, so that a name without lengths would collide. */
static text_t target_name(char buffer[16], unsigned number)
{
    int length = snprintf(buffer, 16, "%s/t%u", number % 3 == 0 ? "b" : "", number);
    return (text_t){buffer, (size_t)length};
}

typedef struct {
    rule_kind_t kind;
    bool soft;
    unsigned site, target;
    uint64_t sequence;
    int64_t time_ms;
} model_rule_t;

typedef struct {
    model_rule_t rules[RULES_MAX];
    size_t count;
} model_t;

/* A rule's target is a tag where it is of tags: each target has those of two numbers. */
static bool has_tag(unsigned target, unsigned tag)
{
    return tag == target % TAGS || tag == TAGS + target / TAGS % TAGS;
}

static bool matches(const model_rule_t *rule, unsigned site, unsigned target)
{
    if (rule->kind == RULE_EVERYTHING)
        return true;
    if (rule->site != site)
        return false;
    if (rule->kind == RULE_TAG)
        return has_tag(target, rule->target);
    return rule->kind == RULE_SITE || rule->target == target;
}

/* exact_time: in every slot all soft rules match, or none, or the latest alone, where the ledger promises the
 * exact time rather than one not later. */
static ledger_judgement_t model_judge(const model_t *model, unsigned site, unsigned target, uint64_t stamp,
                                      bool *exact_time)
{
    ledger_judgement_t judgement = {.verdict = LEDGER_VALID};
    unsigned all[RULE_KINDS + 2 * TAGS] = {0}, matching[RULE_KINDS + 2 * TAGS] = {0};

    for (size_t i = 0; i < model->count; i++) {
        const model_rule_t *rule = &model->rules[i];
        if (!matches(rule, site, target))
            continue;
        unsigned slot = rule->kind == RULE_TAG ? RULE_KINDS + rule->target : (unsigned)rule->kind;
        if (rule->soft)
            all[slot]++;
        if (rule->sequence <= stamp)
            continue;
        if (!rule->soft) {
            judgement.verdict = LEDGER_HARD;
            continue;
        }
        matching[slot]++;
        if (judgement.verdict == LEDGER_HARD)
            continue;
        if (judgement.verdict == LEDGER_VALID || rule->time_ms < judgement.stale_since_ms)
            judgement.stale_since_ms = rule->time_ms;
        judgement.verdict = LEDGER_SOFT;
    }
    if (judgement.verdict != LEDGER_SOFT)
        judgement.stale_since_ms = 0;
    *exact_time = true;
    for (int slot = 0; slot < RULE_KINDS + 2 * TAGS; slot++)
        *exact_time = *exact_time && (matching[slot] <= 1 || matching[slot] == all[slot]);
    return judgement;
}

/* Spelt like targets, which they must not be taken for. */
static text_t tag_name(char buffer[16], unsigned tag)
{
    return target_name(buffer, tag);
}

static ledger_tags_t tags_of(ledger_hash_t names[2], unsigned site, unsigned target)
{
    char buffer[16];
    size_t count = 0;
    for (unsigned tag = 0; tag < 2 * TAGS; tag++)
        if (has_tag(target, tag))
            names[count++] = ledger_tag(text_of(site_names[site]), tag_name(buffer, tag));
    assert_int_equal(count, 2);
    return (ledger_tags_t){names, count};
}

static void apply(ledger_t *ledger, const model_rule_t *rule)
{
    char buffer[16];
    ledger_rule_t applied = {
        .kind = rule->kind, .soft = rule->soft, .sequence = rule->sequence, .time_ms = rule->time_ms};
    if (rule->kind != RULE_EVERYTHING)
        applied.site = text_of(site_names[rule->site]);
    if (rule->kind == RULE_URL)
        applied.target = target_name(buffer, rule->target);
    if (rule->kind == RULE_TAG)
        applied.target = tag_name(buffer, rule->target);
    ledger_apply(ledger, &applied);
    ledger_publish(ledger, rule->sequence);
}

static ledger_judgement_t judge(const ledger_t *ledger, unsigned site, unsigned target, uint64_t stamp)
{
    char buffer[16];
    ledger_hash_t names[2];
    ledger_subject_t subject = ledger_subject(text_of(site_names[site]), target_name(buffer, target));
    return ledger_judge_tagged(ledger, &subject, tags_of(names, site, target), stamp);
}

static model_rule_t random_rule(uint64_t *random, uint64_t after)
{
    uint64_t dice = below(random, 100);
    rule_kind_t kind = dice < 75 ? RULE_URL : dice < 90 ? RULE_TAG : dice < 98 ? RULE_SITE : RULE_EVERYTHING;
    return (model_rule_t){.kind = kind,
                          .soft = below(random, 2) != 0,
                          .site = (unsigned)below(random, SITES),
                          .target = (unsigned)below(random, kind == RULE_TAG ? 2 * TAGS : TARGETS),
                          .sequence = after + 1 + below(random, 3),
                          /* Clocks are set back now and then. */
                          .time_ms = (int64_t)(after * 10 + below(random, 500))};
}

/* Never too little: what the model finds purged is purged, and stale not later than the model says. */
static void assert_covers(ledger_judgement_t got, ledger_judgement_t want)
{
    assert_true(got.verdict >= want.verdict);
    if (got.verdict == LEDGER_SOFT && want.verdict == LEDGER_SOFT)
        assert_true(got.stale_since_ms <= want.stale_since_ms);
}

static void assert_exact(ledger_judgement_t got, ledger_judgement_t want, bool exact_time)
{
    assert_covers(got, want);
    assert_int_equal(got.verdict, want.verdict);
    if (exact_time)
        assert_true(got.stale_since_ms == want.stale_since_ms);
}

/* The rule that is told to people: the latest that matches; what was folded may be told of another. */
static void compare_match(const ledger_t *ledger, const model_t *model, unsigned site, unsigned target,
                          bool folded)
{
    char buffer[16];
    ledger_subject_t subject = ledger_subject(text_of(site_names[site]), target_name(buffer, target));
    ledger_hash_t names[2];
    ledger_match_t got = ledger_last_match(ledger, &subject, tags_of(names, site, target));
    const model_rule_t *want = NULL;
    for (size_t i = 0; i < model->count; i++)
        if (matches(&model->rules[i], site, target))
            want = &model->rules[i];
    assert_true(got.sequence >= (want != NULL ? want->sequence : 0));
    if (folded)
        return;
    assert_int_equal(got.sequence, want != NULL ? want->sequence : 0);
    if (want != NULL)
        assert_true(got.kind == want->kind && got.soft == want->soft);
}

static void compare(const ledger_t *ledger, const model_t *model, uint64_t *random, bool folded,
                    size_t *equal)
{
    uint64_t last = model->rules[model->count - 1].sequence;
    unsigned site = (unsigned)below(random, SITES), target = (unsigned)below(random, TARGETS);
    /* Half of the stamps are recent, where most verdicts are in the balance. */
    uint64_t stamp =
        below(random, 2) ? below(random, last + 2) : last - below(random, last < 40 ? last + 1 : 40);
    bool exact_time;
    ledger_judgement_t want = model_judge(model, site, target, stamp, &exact_time);
    ledger_judgement_t got = judge(ledger, site, target, stamp);

    if (folded)
        assert_covers(got, want);
    else
        assert_exact(got, want, exact_time);
    *equal += got.verdict == want.verdict;
    compare_match(ledger, model, site, target, folded);
}

/* One run; returns the share of verdicts, in percent, that equal the model's. */
static unsigned run_beside_model(uint64_t seed, size_t exact_slots, size_t rules, bool folding)
{
    uint64_t random = seed, after = 0;
    ledger_t *ledger = ledger_new(exact_slots, 64);
    model_t *model = must_calloc(1, sizeof(*model));
    size_t equal = 0, asked = 0;

    while (model->count < rules) {
        model->rules[model->count] = random_rule(&random, after);
        after = model->rules[model->count].sequence;
        apply(ledger, &model->rules[model->count++]);
        ledger_check(ledger);
        for (int i = 0; i < 20; i++, asked++)
            compare(ledger, model, &random, folding, &equal);
    }
    if (folding)
        assert_int_equal(ledger_exact_used(ledger), exact_slots);
    assert_true(ledger_sequence(ledger) == after && ledger_applied(ledger) == after);
    free(model);
    ledger_free(&ledger);
    return (unsigned)(equal * 100 / asked);
}

static void test_exact_while_nothing_is_folded(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 60; seed++)
        assert_int_equal(run_beside_model(seed, SITES * (TARGETS + 2 * TAGS + 1), 200, false), 100);
}

static void test_never_too_little_when_folding(void **state)
{
    (void)state;
    unsigned lowest = 100;
    for (uint64_t seed = 1; seed <= 60; seed++) {
        unsigned share = run_beside_model(seed, 16 + seed % 7, 400, true);
        lowest = share < lowest ? share : lowest;
    }
    /* A ledger that called everything purged would pass the above: it must still tell apart. */
    assert_true(lowest >= 60);
}

/* Single rules. ---------------------------------------------------------------------------------------------
 */

static ledger_rule_t url_rule(uint64_t sequence, const char *target, bool soft, int64_t time_ms)
{
    return (ledger_rule_t){.kind = RULE_URL,
                           .soft = soft,
                           .sequence = sequence,
                           .time_ms = time_ms,
                           .site = TEXT("s"),
                           .target = text_of(target)};
}

static ledger_judgement_t judge_text(const ledger_t *ledger, const char *target, uint64_t stamp)
{
    ledger_subject_t subject = ledger_subject(TEXT("s"), text_of(target));
    return ledger_judge(ledger, &subject, stamp);
}

static void test_stamp_equal_to_the_rule_is_valid(void **state)
{
    (void)state;
    ledger_t *ledger = ledger_new(16, 16);
    ledger_rule_t rule = url_rule(7, "/x", false, 0);
    ledger_apply(ledger, &rule);
    assert_int_equal(judge_text(ledger, "/x", 6).verdict, LEDGER_HARD);
    assert_int_equal(judge_text(ledger, "/x", 7).verdict, LEDGER_VALID);
    assert_int_equal(judge_text(ledger, "/y", 6).verdict, LEDGER_VALID);
    ledger_free(&ledger);
}

static void test_the_last_match_is_the_latest_of_all_kinds(void **state)
{
    (void)state;
    ledger_t *ledger = ledger_new(16, 16);
    ledger_subject_t subject = ledger_subject(TEXT("s"), TEXT("/a")),
                     other = ledger_subject(TEXT("t"), TEXT("/a"));
    const ledger_hash_t names[] = {ledger_tag(TEXT("s"), TEXT("one")), ledger_tag(TEXT("s"), TEXT("two"))};
    const ledger_tags_t tags = {names, 2};
    assert_int_equal(ledger_last_match(ledger, &subject, tags).sequence, 0);
    const ledger_rule_t rules[] = {
        url_rule(3, "/a", false, 10),
        {.kind = RULE_SITE, .soft = true, .sequence = 5, .time_ms = 20, .site = TEXT("s")},
        url_rule(7, "/b", false, 30),
        {.kind = RULE_EVERYTHING, .sequence = 8, .time_ms = 40},
        url_rule(9, "/a", true, 50),
        {.kind = RULE_TAG, .sequence = 11, .site = TEXT("s"), .target = TEXT("two")},
        {.kind = RULE_TAG, .sequence = 12, .site = TEXT("t"), .target = TEXT("one")},
        {.kind = RULE_TAG, .sequence = 13, .site = TEXT("s"), .target = TEXT("/a")}};
    const ledger_match_t want[] = {{RULE_URL, false, 3, 0},  {RULE_SITE, true, 5, 0},
                                   {RULE_SITE, true, 5, 0},  {RULE_EVERYTHING, false, 8, 0},
                                   {RULE_URL, true, 9, 0},   {RULE_TAG, false, 11, 1},
                                   {RULE_TAG, false, 11, 1}, {RULE_TAG, false, 11, 1}};
    for (size_t i = 0; i < sizeof(rules) / sizeof(rules[0]); i++) {
        ledger_apply(ledger, &rules[i]);
        ledger_match_t got = ledger_last_match(ledger, &subject, tags);
        assert_int_equal(got.sequence, want[i].sequence);
        assert_true(got.kind == want[i].kind && got.soft == want[i].soft && got.tag == want[i].tag);
    }
    assert_int_equal(ledger_last_match(ledger, &other, (ledger_tags_t){NULL, 0}).sequence, 8);
    ledger_free(&ledger);
}

static void test_site_and_target_do_not_run_together(void **state)
{
    (void)state;
    ledger_t *ledger = ledger_new(16, 16);
    ledger_rule_t rule = {.kind = RULE_URL, .sequence = 1, .site = TEXT("a"), .target = TEXT("b/x")};
    ledger_apply(ledger, &rule);
    ledger_subject_t same = ledger_subject(TEXT("a"), TEXT("b/x"));
    ledger_subject_t shifted = ledger_subject(TEXT("ab"), TEXT("/x"));
    assert_int_equal(ledger_judge(ledger, &same, 0).verdict, LEDGER_HARD);
    assert_int_equal(ledger_judge(ledger, &shifted, 0).verdict, LEDGER_VALID);
    /* A URL rule with an empty target is not a site rule. */
    ledger_rule_t empty = {.kind = RULE_URL, .sequence = 2, .site = TEXT("q"), .target = TEXT("")};
    ledger_apply(ledger, &empty);
    ledger_subject_t other = ledger_subject(TEXT("q"), TEXT("/other"));
    assert_int_equal(ledger_judge(ledger, &other, 0).verdict, LEDGER_VALID);
    ledger_free(&ledger);
}

/* Around and above the length up to which names are hashed in one piece. */
static void test_long_names(void **state)
{
    (void)state;
    char text[600];
    memset(text, 'x', sizeof(text));
    ledger_t *ledger = ledger_new(1024, 16);
    for (uint64_t length = 0; length < sizeof(text); length++) {
        ledger_rule_t rule = {
            .kind = RULE_URL, .sequence = length + 1, .site = TEXT("s"), .target = {text, length}};
        ledger_apply(ledger, &rule);
    }
    assert_int_equal(ledger_exact_used(ledger), sizeof(text));
    for (uint64_t length = 0; length < sizeof(text); length++) {
        ledger_subject_t subject = ledger_subject(TEXT("s"), (text_t){text, length});
        assert_int_equal(ledger_judge(ledger, &subject, length).verdict, LEDGER_HARD);
        assert_int_equal(ledger_judge(ledger, &subject, length + 1).verdict, LEDGER_VALID);
    }
    ledger_free(&ledger);
}

static void test_repeated_soft_purges_do_not_make_fresher(void **state)
{
    (void)state;
    ledger_t *ledger = ledger_new(16, 16);
    ledger_rule_t first = url_rule(1, "/x", true, 1000), second = url_rule(2, "/x", true, 5000);
    ledger_rule_t hard = url_rule(3, "/x", false, 6000);
    ledger_apply(ledger, &first);
    assert_true(judge_text(ledger, "/x", 0).stale_since_ms == 1000);
    ledger_apply(ledger, &second);
    assert_true(judge_text(ledger, "/x", 0).stale_since_ms == 1000);
    assert_true(judge_text(ledger, "/x", 1).stale_since_ms == 5000);
    assert_int_equal(judge_text(ledger, "/x", 2).verdict, LEDGER_VALID);
    ledger_apply(ledger, &hard);
    assert_int_equal(judge_text(ledger, "/x", 2).verdict, LEDGER_HARD);
    assert_int_equal(judge_text(ledger, "/x", 3).verdict, LEDGER_VALID);
    ledger_free(&ledger);
}

/* The exact slots' names, oldest first. */
typedef struct {
    ledger_hash_t names[64];
    size_t count;
} exact_t;

static void collect_exact(void *context, const ledger_slot_t *slot)
{
    exact_t *exact = context;
    if (slot->table == LEDGER_EXACT)
        exact->names[exact->count++] = slot->name;
}

static bool holds_exactly(const ledger_t *ledger, const char *target)
{
    exact_t exact = {.count = 0};
    ledger_subject_t subject = ledger_subject(TEXT("s"), text_of(target));
    ledger_export(ledger, collect_exact, &exact);
    for (size_t i = 0; i < exact.count; i++)
        if (exact.names[i].low == subject.url.low && exact.names[i].high == subject.url.high)
            return true;
    return false;
}

static void test_the_oldest_alone_is_folded(void **state)
{
    (void)state;
    enum { SLOTS = 32 };
    ledger_t *ledger = ledger_new(SLOTS, 1 << 16);
    char target[16];
    for (unsigned i = 0; i < SLOTS; i++) {
        snprintf(target, sizeof(target), "/%u", i);
        ledger_rule_t rule = url_rule(i + 1, target, false, 0);
        ledger_apply(ledger, &rule);
    }
    ledger_rule_t again = url_rule(100, "/0", false, 0), fresh = url_rule(101, "/new", false, 0);
    ledger_apply(ledger, &again);
    ledger_apply(ledger, &fresh); /* folds /1, now the one updated longest ago */
    ledger_check(ledger);
    assert_int_equal(ledger_exact_used(ledger), SLOTS);
    assert_true(holds_exactly(ledger, "/0") && holds_exactly(ledger, "/new"));
    for (unsigned i = 1; i < SLOTS; i++) {
        snprintf(target, sizeof(target), "/%u", i);
        assert_int_equal(holds_exactly(ledger, target), i != 1);
    }
    assert_int_equal(judge_text(ledger, "/0", 99).verdict, LEDGER_HARD);
    assert_int_equal(judge_text(ledger, "/1", 1).verdict, LEDGER_HARD);
    assert_int_equal(judge_text(ledger, "/1", 2).verdict, LEDGER_VALID);
    ledger_free(&ledger);
}

/* Keeping it. -----------------------------------------------------------------------------------------------
 */

static void import_into(void *context, const ledger_slot_t *slot)
{
    ledger_import(context, slot);
}

/* A copy through export and import, into tables of other sizes, covers the model too, and is exact when
 * nothing was or had to be folded. */
static void copy_and_compare(uint64_t seed, size_t from_exact, size_t from_folded, size_t exact,
                             size_t folded)
{
    uint64_t random = seed, after = 0;
    ledger_t *ledger = ledger_new(from_exact, from_folded), *copy = ledger_new(exact, folded);
    model_t *model = must_calloc(1, sizeof(*model));
    size_t equal = 0, all = SITES * (TARGETS + 1);

    while (model->count < 300) {
        model->rules[model->count] = random_rule(&random, after);
        after = model->rules[model->count].sequence;
        apply(ledger, &model->rules[model->count++]);
    }
    ledger_export(ledger, import_into, copy);
    ledger_export(ledger, import_into, copy); /* twice is as good as once */
    ledger_check(copy);
    assert_true(ledger_applied(copy) == after);
    for (int i = 0; i < 3000; i++)
        compare(copy, model, &random, from_exact < all || exact < all, &equal);
    free(model);
    ledger_free(&ledger);
    ledger_free(&copy);
}

static void test_copies_hold_the_same(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 20; seed++) {
        copy_and_compare(seed, 300, 64, 300, 64);
        copy_and_compare(seed, 300, 64, 20, 64);
        copy_and_compare(seed, 20, 64, 20, 64);
        copy_and_compare(seed, 20, 64, 300, 256);
        copy_and_compare(seed, 20, 256, 300, 16);
    }
}

/* Threads. --------------------------------------------------------------------------------------------------
 */

/* The targets of the rules. Their slots share `chains` of the sixteen chains: with few, readers walk far
 * while entries are reused under them. Few targets keep being updated, many keep being folded. Set before the
 * threads start. */
enum { CROWD_MAX = 200 };
static unsigned crowd[CROWD_MAX], crowd_size;

static void choose_crowd(unsigned size, unsigned chains)
{
    char buffer[16];
    crowd_size = size;
    for (unsigned number = 0, chosen = 0; chosen < size; number++) {
        text_t site = text_of(site_names[number % SITES]);
        ledger_subject_t subject = ledger_subject(site, target_name(buffer, number));
        if (subject.url.low % 16 < chains)
            crowd[chosen++] = number;
    }
}

/* What rule `sequence` is follows from the number, so that readers know it without asking the writer. */
static ledger_rule_t rule_number(uint64_t sequence, char buffer[16])
{
    uint64_t random = sequence;
    unsigned target = crowd[below(&random, crowd_size)];
    return (ledger_rule_t){.kind = below(&random, 50) == 0 ? RULE_SITE : RULE_URL,
                           .soft = below(&random, 2) != 0,
                           .sequence = sequence,
                           .time_ms = (int64_t)sequence * 10,
                           .site = text_of(site_names[target % SITES]),
                           .target = target_name(buffer, target)};
}

typedef struct {
    ledger_t *ledger;
    uint64_t rules;
    uint64_t seed;
    _Atomic bool *finished;
    uint64_t asked, missed; /* read after the thread was joined */
} thread_t;

static void *write_rules(void *argument)
{
    thread_t *thread = argument;
    char buffer[16];
    for (uint64_t sequence = 1; sequence <= thread->rules; sequence++) {
        ledger_rule_t rule = rule_number(sequence, buffer);
        ledger_apply(thread->ledger, &rule);
        ledger_publish(thread->ledger, sequence);
    }
    atomic_store(thread->finished, true);
    return NULL;
}

static void *ask(void *argument)
{
    thread_t *thread = argument;
    uint64_t random = thread->seed;
    char buffer[16];
    bool last_round = false;

    while (!last_round) {
        last_round = atomic_load(thread->finished);
        uint64_t head = ledger_sequence(thread->ledger);
        if (head == 0)
            continue;
        uint64_t chosen = head - below(&random, head < 20 ? head : 20);
        ledger_rule_t rule = rule_number(chosen, buffer);
        ledger_subject_t subject = ledger_subject(rule.site, rule.target);
        ledger_judgement_t got = ledger_judge(thread->ledger, &subject, chosen - 1);
        bool seen = rule.soft ? got.verdict != LEDGER_VALID : got.verdict == LEDGER_HARD;
        if (got.verdict == LEDGER_SOFT && got.stale_since_ms > rule.time_ms)
            seen = false;
        thread->asked++;
        thread->missed += !seen;
    }
    return NULL;
}

static void run_threads(uint64_t rules)
{
    enum { READERS = 3 };
    _Atomic bool finished = false;
    ledger_t *ledger = ledger_new(16, 1024);
    pthread_t threads[READERS + 1];
    thread_t parts[READERS + 1];

    for (unsigned i = 0; i <= READERS; i++) {
        parts[i] = (thread_t){.ledger = ledger, .rules = rules, .seed = i, .finished = &finished};
        assert_int_equal(pthread_create(&threads[i], NULL, i == READERS ? write_rules : ask, &parts[i]), 0);
    }
    for (unsigned i = 0; i <= READERS; i++)
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    for (unsigned i = 0; i < READERS; i++) {
        assert_true(parts[i].asked > 0);
        assert_int_equal(parts[i].missed, 0);
    }
    ledger_check(ledger);
    ledger_free(&ledger);
}

static void test_readers_see_rules_being_folded(void **state)
{
    (void)state;
    choose_crowd(CROWD_MAX, 16);
    run_threads(100000);
}

static void test_readers_walk_chains_being_reused(void **state)
{
    (void)state;
    choose_crowd(24, 2);
    run_threads(200000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_stamp_equal_to_the_rule_is_valid),
        cmocka_unit_test(test_the_last_match_is_the_latest_of_all_kinds),
        cmocka_unit_test(test_site_and_target_do_not_run_together),
        cmocka_unit_test(test_long_names),
        cmocka_unit_test(test_repeated_soft_purges_do_not_make_fresher),
        cmocka_unit_test(test_the_oldest_alone_is_folded),
        cmocka_unit_test(test_exact_while_nothing_is_folded),
        cmocka_unit_test(test_never_too_little_when_folding),
        cmocka_unit_test(test_copies_hold_the_same),
        cmocka_unit_test(test_readers_see_rules_being_folded),
        cmocka_unit_test(test_readers_walk_chains_being_reused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
