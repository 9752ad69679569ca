/* Power cuts on a volume: lives of a process on a simulated medium, each ended at a call that the seed
 * chooses, with all that was synced left and each unsynced sector for itself. A referee knows what was put,
 * replaced and buried, and judges every byte that the next life finds.
 *
 *   powercut [--cuts N] [--seed N]
 *
 * What the referee demands after each cut:
 *  - never a byte that was not written under that name;
 *  - never what was replaced or buried before the last sync that succeeded (before the last flush, when only
 * the process was killed), nor what had not come back after the cut before;
 *  - what was synced is a hit, if its segment was not used again, nor itself written again, since;
 *  - nothing is forgotten, and it opens.
 * And, with a journal beside the volume (purges.c): no purge that was acknowledged is lost.
 * Exits with 1 and the seed at the first that does not hold. */
#include "tests/fault/powercut/purges.h"
#include "tests/unit/volume_life.h"

#include <getopt.h>
#include <signal.h>
#include <unistd.h>

enum { SEGMENTS = 4, NUMBERS = 48, EVENTS = 4096, LIVES = 6, CALLS_MOST = 260 };

/* Something happened to a name: an edition was put (0: it was buried). */
typedef struct {
    uint64_t number, edition;
} event_t;

/* Where something synced stood. */
typedef struct {
    bool there;
    disk_place_t place;
    uint64_t serial, edition;
} synced_t;

typedef struct {
    platter_t *medium;
    life_t life;
    bool alive;
    uint64_t edition;                     /* the last that was put */
    uint64_t before[NUMBERS];             /* what was found when the last life that came so far began */
    event_t events[EVENTS];               /* since then */
    size_t count, flushed, synced;        /* events; of these, so many were flushed and synced */
    synced_t places[NUMBERS];             /* of what was synced */
    _Atomic bool revoked[EVENTS * LIVES]; /* by edition */
} story_t;

static struct {
    uint64_t seed, cuts, kills, hits, demanded, opened_in_vain;
} tally;

static void violation(const char *what, uint64_t number, uint64_t edition)
{
    fprintf(stderr, "powercut: %s: number %llu, edition %llu; --seed %llu --cuts 1\n", what,
            (unsigned long long)number, (unsigned long long)edition, (unsigned long long)tally.seed);
    exit(1);
}

static void tell_seed(int number)
{
    char text[64];
    int length =
        snprintf(text, sizeof text, "powercut: --seed %llu --cuts 1\n", (unsigned long long)tally.seed);
    (void)!write(STDERR_FILENO, text, (size_t)length);
    signal(number, SIG_DFL);
}

/* What is done. ------------------------------------------------------------------------------------------ */

static void note(story_t *story, uint64_t number, uint64_t edition)
{
    MUST(story->count < EVENTS);
    story->events[story->count++] = (event_t){number, edition};
}

/* The last edition of a number; 0: there is none. */
static uint64_t last_edition(const story_t *story, uint64_t number)
{
    for (size_t i = story->count; i > 0; i--)
        if (story->events[i - 1].number == number)
            return story->events[i - 1].edition;
    return story->before[number];
}

static void bury(story_t *story, uint64_t number)
{
    atomic_store(&story->revoked[last_edition(story, number)], true);
    note(story, number, 0);
    life_bury(&story->life, number);
}

static void put(story_t *story, uint64_t number)
{
    if (platter_random(story->medium) % 4 != 0)
        bury(story, number); /* as the tier does; but what is appended later holds anyway */
    atomic_store(&story->revoked[last_edition(story, number)], true);
    uint64_t edition = ++story->edition;
    note(story, number, edition);
    life_put_told(&story->life, number, edition, LIFE_BODY_MAX,
                  (told_t){.revoked = &story->revoked[edition]});
}

static void note_places(story_t *story)
{
    for (uint64_t number = 0; number < NUMBERS; number++) {
        synced_t *synced = &story->places[number];
        ledger_hash_t name = life_name(number);
        record_address_t address;
        uint64_t offset;
        int file;
        synced->there = disk_index_find(story->life.index, &name, false, &synced->place) &&
                        volume_where(story->life.volume, &synced->place, &file, &offset, &address);
        synced->serial = synced->there ? address.serial : 0;
        synced->edition = last_edition(story, number);
    }
}

static void flush(story_t *story, bool sync)
{
    bool done = sync ? volume_sync(story->life.volume) : volume_flush(story->life.volume);
    if (!done)
        return;
    story->flushed = story->count;
    if (sync) {
        story->synced = story->count;
        note_places(story);
    }
}

static void step(story_t *story)
{
    uint64_t what = platter_random(story->medium) % 32, number = platter_random(story->medium) % NUMBERS;
    if (what < 3)
        bury(story, number);
    else if (what < 7)
        flush(story, false);
    else if (what < 9)
        flush(story, true);
    else if (what < 12)
        life_read(&story->life, number);
    else
        put(story, number);
}

/* The referee. ------------------------------------------------------------------------------------------- */

/* May this edition be found, when the first so many events are kept? */
static bool is_allowed(const story_t *story, uint64_t number, uint64_t edition, size_t kept)
{
    uint64_t now = story->before[number];
    for (size_t i = 0; i < kept; i++)
        if (story->events[i].number == number)
            now = story->events[i].edition;
    bool allowed = edition == 0 || edition == now;
    for (size_t i = kept; i < story->count; i++)
        allowed = allowed || (story->events[i].number == number && story->events[i].edition == edition);
    return allowed;
}

/* Of what was synced, what still stood there at the end, and was neither asked for (it may be written again)
 * nor changed since; asked while the life's index is still there. */
static void note_demanded(story_t *story)
{
    for (uint64_t number = 0; number < NUMBERS; number++) {
        synced_t *synced = &story->places[number];
        ledger_hash_t name = life_name(number);
        disk_place_t place;
        record_address_t address;
        uint64_t offset;
        int file;
        synced->there = synced->there && story->alive && last_edition(story, number) == synced->edition &&
                        disk_index_uses(story->life.index, &name, &synced->place) == 0 &&
                        disk_index_find(story->life.index, &name, false, &place) &&
                        volume_where(story->life.volume, &place, &file, &offset, &address) &&
                        address.serial == synced->serial;
        for (size_t i = story->synced; i < story->count; i++)
            synced->there = synced->there && story->events[i].number != number;
    }
}

static void judge(story_t *story, size_t kept)
{
    if (volume_forgotten(story->life.volume))
        violation("all was forgotten", 0, 0);
    for (uint64_t number = 0; number < NUMBERS; number++) {
        uint64_t edition = life_read(&story->life, number);
        if (!is_allowed(story, number, edition, kept))
            violation("what was replaced or buried came back", number, edition);
        if (story->places[number].there && edition != story->places[number].edition)
            violation("what was synced is gone", number, edition);
        tally.demanded += story->places[number].there;
        tally.hits += edition != 0;
        story->before[number] = edition;
    }
    story->count = story->flushed = story->synced = 0;
    memset(story->places, 0, sizeof story->places);
}

/* Lives. ------------------------------------------------------------------------------------------------- */

/* Begins on what the last one left, first on a medium without fault, so that all of it can be judged. */
static void begin(story_t *story, size_t kept)
{
    volume_config_t config = life_config(story->medium, SEGMENTS);
    if (!life_begin(&story->life, story->medium, &config))
        violation("it does not open", 0, story->life.opening.outcome);
    judge(story, kept);
    story->alive = true;
}

/* A cut while it starts, after which all is as before. */
static void begin_in_vain(story_t *story)
{
    volume_config_t config = life_config(story->medium, SEGMENTS);
    story->medium->fail_at = story->medium->calls + 1 + platter_random(story->medium) % 60;
    story->medium->fault = PLATTER_CUT;
    life_begin(&story->life, story->medium, &config);
    life_crash(&story->life, true);
    tally.opened_in_vain++;
}

static void live(story_t *story)
{
    platter_t *medium = story->medium;
    bool power = platter_random(medium) % 4 != 0;
    medium->fail_at = medium->calls + 1 + platter_random(medium) % CALLS_MOST;
    medium->fault = PLATTER_CUT;
    medium->short_percent = platter_random(medium) % 2 == 0 ? 0 : 20;
    while (!medium->dead && story->count < EVENTS - 2)
        step(story);
    note_demanded(story);
    life_crash(&story->life, power);
    story->alive = false;
    tally.cuts += power;
    tally.kills += !power;
    bool in_vain = platter_random(medium) % 4 == 0;
    if (in_vain)
        begin_in_vain(story);
    begin(story, power || in_vain ? story->synced : story->flushed);
}

static void tell_story(uint64_t seed)
{
    tally.seed = seed;
    story_t *story = must_calloc(1, sizeof *story);
    story->medium = platter_new(seed);
    begin(story, 0);
    for (int i = 0; i < LIVES; i++)
        live(story);
    life_end(&story->life);
    platter_free(&story->medium);
    free(story);
}

static uint64_t number_of(const char *text)
{
    char *end;
    uint64_t number = strtoull(text, &end, 10);
    if (*text == '\0' || *end != '\0') {
        fprintf(stderr, "powercut: not a number: %s\n", text);
        exit(2);
    }
    return number;
}

int main(int argc, char **argv)
{
    static const struct option options[] = {
        {"cuts", required_argument, NULL, 'c'}, {"seed", required_argument, NULL, 's'}, {0}};
    uint64_t cuts = 1000, seed = 1;
    int option;
    while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
        if (option != 'c' && option != 's')
            return 2;
        *(option == 'c' ? &cuts : &seed) = number_of(optarg);
    }
    signal(SIGABRT, tell_seed);
    purges_t purges = {0};
    for (; tally.cuts + purges.cuts < cuts; seed++) {
        tell_story(seed);
        purges_story(seed, &purges);
    }
    printf("with a journal: %llu power cuts and kills, %llu purges acknowledged, %llu hits, %llu records "
           "that were purged; 0 "
           "of them served\n",
           (unsigned long long)purges.cuts, (unsigned long long)purges.acknowledged,
           (unsigned long long)purges.served, (unsigned long long)purges.refused);
    printf("%llu power cuts, %llu of them while it started, %llu kills: %llu hits, %llu of them demanded; "
           "0 wrong bytes, 0 that were replaced or buried\n",
           (unsigned long long)(tally.cuts + tally.opened_in_vain), (unsigned long long)tally.opened_in_vain,
           (unsigned long long)tally.kills, (unsigned long long)tally.hits,
           (unsigned long long)tally.demanded);
    return 0;
}
