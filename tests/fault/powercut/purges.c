#include "tests/fault/powercut/purges.h"

#include "purge/journal.h"
#include "tests/unit/simulated_disk.h"
#include "tests/unit/volume_life.h"

enum { SEGMENTS = 4, NUMBERS = 24, LIVES = 4, CALLS_MOST = 200, STEPS_MOST = 400 };

/* Each number is a response of one site; what is known of it is what the referee believes. */
typedef struct {
    platter_t *medium; /* of the volume */
    medium_t *state;   /* of the journal */
    ledger_t *ledger;
    journal_t *journal;
    life_t life;
    uint64_t edition, acknowledged; /* the last edition; the highest sequence that was acknowledged */
    /* A rule that was not acknowledged when the process was killed may be in force since, and not on stable
     * storage: the journal writes a file that it found with the next rule. What is stamped by it may have to
     * be forgotten. */
    bool may_forget;
    uint64_t purged[NUMBERS];                /* up to which sequence, acknowledged */
    uint64_t stamps[LIVES * STEPS_MOST + 1]; /* of each edition */
    _Atomic bool revoked[LIVES * STEPS_MOST + 1];
    uint64_t last[NUMBERS];
    purges_t *tally;
} story_t;

static ledger_subject_t subject_of(uint64_t number, char target[24])
{
    snprintf(target, 24, "/asset-%u", (unsigned)number);
    return ledger_subject(TEXT("site"), text_of(target));
}

/* As the publisher does: on stable storage, then in force, then acknowledged. number NUMBERS: everything. */
static void purge(story_t *story, uint64_t number)
{
    char target[24];
    journal_error_t error;
    subject_of(number, target);
    ledger_rule_t rule = {.kind = RULE_EVERYTHING};
    if (number < NUMBERS)
        rule = (ledger_rule_t){.kind = RULE_URL, .site = TEXT("site"), .target = text_of(target)};
    if (!journal_append(story->journal, &rule, 1, &error))
        return;
    ledger_apply(story->ledger, &rule);
    ledger_publish(story->ledger, rule.sequence);
    MUST(rule.sequence > story->acknowledged); /* none is used twice */
    story->acknowledged = rule.sequence;
    story->may_forget = false;
    for (uint64_t i = 0; i < NUMBERS; i++)
        if (number == NUMBERS || number == i)
            story->purged[i] = rule.sequence;
    story->tally->acknowledged++;
}

/* A fill has the stamp that it began with, and purges may have come since. */
static void put(story_t *story, uint64_t number)
{
    uint64_t now = ledger_sequence(story->ledger), ago = platter_random(story->medium) % 3;
    uint64_t edition = ++story->edition, stamp = now > ago ? now - ago : now;
    atomic_store(&story->revoked[story->last[number]], true);
    life_bury(&story->life, number);
    story->stamps[edition] = stamp;
    story->last[number] = edition;
    if (stamp > 0)
        life_put_told(&story->life, number, edition, LIFE_BODY_MAX,
                      (told_t){.revoked = &story->revoked[edition], .stamp = stamp});
}

/* As a request does: what is found is asked about. */
static void get(story_t *story, uint64_t number)
{
    char target[24];
    record_t record;
    uint64_t edition = life_read_record(&story->life, number, &record);
    if (edition == 0)
        return;
    ledger_subject_t subject = subject_of(number, target);
    MUST(record.stamp == story->stamps[edition]);
    bool valid = ledger_judge(story->ledger, &subject, record.stamp).verdict == LEDGER_VALID;
    if (valid && record.stamp < story->purged[number]) {
        fprintf(stderr, "powercut: edition %llu of number %llu is served after its purge was acknowledged\n",
                (unsigned long long)edition, (unsigned long long)number);
        abort();
    }
    ++*(valid ? &story->tally->served : &story->tally->refused);
}

static void step(story_t *story)
{
    uint64_t what = platter_random(story->medium) % 32, number = platter_random(story->medium) % NUMBERS;
    if (what == 0)
        purge(story, NUMBERS);
    else if (what < 5)
        purge(story, number);
    else if (what < 8)
        volume_sync(story->life.volume);
    else if (what < 12)
        get(story, number);
    else
        put(story, number);
}

static void begin(story_t *story)
{
    journal_opening_t opening;
    journal_error_t error;
    story->ledger = ledger_new(16, 16);
    const journal_config_t config = {.io = medium_io(story->state),
                                     .ledger = story->ledger,
                                     .random = platter_random(story->medium),
                                     .compact_bytes = 600};
    story->journal = journal_open(&config, &opening, &error);
    MUST(story->journal != NULL && opening.outcome != JOURNAL_FORGOTTEN);
    MUST(ledger_sequence(story->ledger) >= story->acknowledged);
    volume_config_t volume = life_config(story->medium, SEGMENTS);
    volume.sequence = ledger_sequence(story->ledger);
    MUST(life_begin(&story->life, story->medium, &volume));
    MUST(story->may_forget || !volume_forgotten(story->life.volume)); /* what is stamped is acknowledged */
    for (uint64_t number = 0; number < NUMBERS; number++)
        get(story, number);
}

static void end(story_t *story)
{
    journal_close(&story->journal);
    ledger_free(&story->ledger);
}

/* Both media lose their power at once, during a call of one of them. */
static void live(story_t *story)
{
    bool power = platter_random(story->medium) % 4 != 0;
    uint64_t calls = 1 + platter_random(story->medium) % CALLS_MOST;
    if (platter_coin(story->medium)) {
        story->medium->fail_at = story->medium->calls + calls;
        story->medium->fault = PLATTER_CUT;
    } else {
        story->state->fail_at = story->state->calls + 1 + calls / 4;
        story->state->fault = MEDIUM_CUT;
    }
    for (int i = 0; i < STEPS_MOST && !story->medium->dead && !story->state->dead; i++)
        step(story);
    story->medium->dead = story->state->dead = true;
    end(story);
    life_crash(&story->life, power);
    if (power)
        medium_power_cut(story->state);
    else
        medium_kill(story->state);
    story->state->fail_at = 0;
    story->tally->cuts++;
    begin(story);
    story->may_forget = story->may_forget || !power;
}

void purges_story(uint64_t seed, purges_t *tally)
{
    story_t *story = must_calloc(1, sizeof *story);
    story->tally = tally;
    story->medium = platter_new(seed ^ 0x5eed);
    story->state = medium_new(seed);
    begin(story);
    purge(story, NUMBERS); /* so that there are stamps */
    for (int i = 0; i < LIVES; i++)
        live(story);
    end(story);
    life_end(&story->life);
    platter_free(&story->medium);
    medium_free(&story->state);
    free(story);
}
