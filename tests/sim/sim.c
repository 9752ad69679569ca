/* A seeded simulation: the real ledger, journal, publisher, objects, fills, walk and memory tier in virtual
 * time, with a referee that knows what may be served. See README.md.
 *
 *   sim --seeds N | A..B [--jobs N]   that many stories; 0 when none breaks a rule
 *   sim --seed N [--trace]            one of them again */
#include <inttypes.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/sim/interpose.h"
#include "tests/sim/world.h"
#include "tests/unit/simulated_disk.h"

world_t world;

/* In a run of so many seeds everything in note.h must have happened. */
enum { SEEDS_FOR_ALL = 2000, REPLAY_EVERY = 97, JOBS_MAX = 16 };

static random_t *chance(void)
{
    return &world.random;
}

/* --- One story --- */

/* Each seed is of another kind, so that none of them is about everything at once. */
static unsigned choose_kind(void)
{
    static const unsigned preempt[] = {0, 10, 50, 150, 400};
    static const unsigned purges[] = {0, 40, 100, 250};
    static const unsigned sweeps[] = {0, 10, 50};
    static const unsigned changes[] = {20, 80, 200};
    static const unsigned faults[] = {0, 50, 200};
    static const unsigned crashes[] = {0, 0, 5, 20};
    static const unsigned aborts[] = {0, 50, 300};
    static const unsigned disk_faults[] = {0, 0, 50, 200};
    static const uint64_t limits[] = {40 << 10, 200 << 10, 1 << 20, 32 << 20};
    static const size_t compact[] = {1, 300, 2000, 1 << 20};
    static const int64_t gaps[] = {200, 2000, 20000, 200000};
    static const int64_t stale[] = {0, 0, 2000, 30000};
    world.purge_rate = RANDOM_PICK(chance(), purges);
    world.sweep_rate = RANDOM_PICK(chance(), sweeps);
    world.change_rate = RANDOM_PICK(chance(), changes);
    world.fault_rate = RANDOM_PICK(chance(), faults);
    world.crash_rate = RANDOM_PICK(chance(), crashes);
    world.abort_rate = RANDOM_PICK(chance(), aborts);
    world.disk_fault_rate = RANDOM_PICK(chance(), disk_faults);
    world.memory_limit = RANDOM_PICK(chance(), limits);
    world.max_object = world.memory_limit / 8;
    world.compact_bytes = RANDOM_PICK(chance(), compact);
    world.gap_us = RANDOM_PICK(chance(), gaps);
    world.large_bodies = random_chance(chance(), 60);
    for (unsigned i = 0; i < SITES; i++) {
        world.policies[i].stale = (http_stale_t){RANDOM_PICK(chance(), stale), RANDOM_PICK(chance(), stale)};
        world.policies[i].tag_fields = (http_names_t){{TEXT("surrogate-key"), TEXT("cache-tag")}, 2};
    }
    world.policies[SITE_OF_PATH_TAGS].tags = TEXT("path-{-1}");
    world.url_count = 2 + random_below(chance(), URLS_MAX - 1);
    world.actions_left = 60 + random_below(chance(), world.large_bodies ? 60 : 240);
    unsigned preempted = RANDOM_PICK(chance(), preempt);
    if (world.in_pieces) { /* drawn last: the other seeds tell what they told before there were pieces */
        static const uint64_t sizes[] = {16 << 20, 32 << 20, 32 << 20};
        world.memory_limit = RANDOM_PICK(chance(), sizes);
        world.max_object = world.memory_limit / 8;
        world.url_count = 2 + random_below(chance(), 2);
        world.large_bodies = false;
        world.actions_left = 40 + random_below(chance(), 60);
    }
    return preempted;
}

/* What was read from a slot meets the next life of that, where the same name stands at the same place: a
 * drive of few records, all of one size and of two names, which change all the time. */
static void choose_rereads(void)
{
    world.drive_count = 1;
    world.segment_bytes = 16 << 10;
    world.drive_bytes = world.segment_bytes * 2 + (16 << 10);
    world.drive_fault_rate = world.lock_rate = world.flip_rate = world.loss_rate = world.crash_rate = 0;
    world.fault_rate = world.abort_rate = world.purge_rate = world.sweep_rate = 0;
    world.evict_rate = 300;
    world.change_rate = 200;
    world.admits_always = true;
    world.names_collide = false;
    world.memory_limit = 100 << 10;
    world.max_object = world.memory_limit / 8;
    world.gap_us = 20000;
    world.url_count = 2;
    world.actions_left = 500;
}

/* Drives that are full at once, so that segments are used again all the time. */
static void choose_drives(void)
{
    static const unsigned counts[] = {1, 1, 2}, faults[] = {0, 0, 10, 40}, locks[] = {0, 0, 200};
    static const unsigned flips[] = {0, 0, 0, 10}, losses[] = {0, 0, 0, 200};
    static const unsigned cold[] = {0, 30, 100}, parts[] = {0, 0, 20}, slow[] = {0, 50, 300};
    static const unsigned evictions[] = {20, 100, 250};
    static const uint64_t segments[] = {16 << 10, 16 << 10, 32 << 10, 128 << 10};
    static const uint64_t limits[] = {40 << 10, 40 << 10, 100 << 10, 1 << 20};
    world.drive_count = RANDOM_PICK(chance(), counts);
    world.drive_kind = (drive_kind_t){RANDOM_PICK(chance(), cold), RANDOM_PICK(chance(), parts),
                                      RANDOM_PICK(chance(), slow)};
    world.drive_fault_rate = RANDOM_PICK(chance(), faults);
    world.lock_rate = RANDOM_PICK(chance(), locks);
    world.flip_rate = RANDOM_PICK(chance(), flips);
    world.loss_rate = RANDOM_PICK(chance(), losses);
    world.evict_rate = RANDOM_PICK(chance(), evictions);
    world.admits_always = random_chance(chance(), 500);
    world.names_collide = random_chance(chance(), 100);
    world.segment_bytes = world.in_pieces ? 2 << 20 : RANDOM_PICK(chance(), segments);
    world.drive_bytes = world.segment_bytes * (2 + random_below(chance(), 4)) + (16 << 10);
    world.crash_rate = world.crash_rate == 0 && random_chance(chance(), 500) ? 10 : world.crash_rate;
    if (world.splits) /* all of a body has to have room */
        world.drive_bytes = world.segment_bytes * (8 + random_below(chance(), 4)) + (16 << 10);
    if (world.rereads)
        choose_rereads();
    if (world.in_pieces || world.rereads)
        return;
    world.memory_limit = RANDOM_PICK(chance(), limits);
    world.max_object = world.memory_limit / 8;
    world.actions_left *= 2;
    if (world.drives_vary)
        world.drive_count = DRIVES_MAX;
    if (world.state_suffers)
        world.loss_rate = world.lock_rate = 0;
    if (world.drives_vary || world.state_suffers)
        world.crash_rate = 30;
    if (!world.drives_suffer)
        return;
    world.crash_rate = 50;
    world.flip_rate = world.loss_rate = 0; /* after which too much is let pass */
}

static void act(void *context);

/* What is stamped above the end of a journal that was restored is told by what is found first: until then it
 * goes on. */
static bool may_end(void)
{
    return world.fate != FATE_RESTORED || world.node.disk == NULL || interpose_has_found_all(world.node.disk);
}

static void restart(void)
{
    static const node_end_t ends[] = {END_STOP, END_KILL, END_POWER_CUT, END_POWER_CUT};
    node_end_t end = RANDOM_PICK(chance(), ends);
    if (world.drive_count > 0 && end == END_POWER_CUT)
        end = (node_end_t)random_below(chance(), 3);
    world.fate = node_choose_fate();
    node_end(end);
    if (random_chance(chance(), world.loss_rate))
        world.fate = FATE_LOST;
    node_change_state();
    node_start();
}

static void act_once(void)
{
    if (random_chance(chance(), world.drive_fault_rate))
        node_break_drive();
    if (random_chance(chance(), world.flip_rate))
        node_flip();
    unsigned kind = random_below(chance(), 1000);
    if (kind < world.crash_rate && may_end())
        restart();
    else if (kind < world.crash_rate)
        return;
    else if ((kind -= world.crash_rate) < world.purge_rate)
        node_purge();
    else if ((kind -= world.purge_rate) < world.sweep_rate)
        node_sweep();
    else if ((kind -= world.sweep_rate) < world.evict_rate)
        node_evict();
    else if ((kind -= world.evict_rate) < world.change_rate)
        origin_change(random_below(chance(), world.url_count), random_chance(chance(), 700),
                      random_chance(chance(), 300));
    else
        exchange_begin();
}

static int64_t next_gap_us(void)
{
    if (random_chance(chance(), 20))
        return random_between(chance(), 0, 3000000);
    return random_chance(chance(), 300) ? 0 : random_between(chance(), 0, world.gap_us);
}

static void act(void *context)
{
    (void)context;
    act_once();
    if (--world.actions_left > 0)
        schedule_outside(next_gap_us(), act, NULL);
}

/* All has happened that was to happen: nobody may still be waiting. */
static void check_ended(void)
{
    for (size_t i = 0; i < world.exchanges.count; i++) {
        const exchange_t *exchange = world.exchanges.at[i];
        if (!exchange->finished)
            note_violation("request %d waits for ever", exchange->id);
    }
    for (size_t i = 0; i < world.transfers.count; i++) {
        const transfer_t *transfer = world.transfers.at[i];
        if (transfer->fill != NULL)
            note_violation("fill %d never ends", transfer->id);
    }
    for (size_t i = 0; i < world.purges.count; i++)
        if (!((const purge_t *)world.purges.at[i])->answered)
            note_violation("purge %zu is never answered", i);
    referee_rules_in_force();
}

/* The story's hash. */
static uint64_t tell(const char *program, uint64_t seed, bool trace)
{
    enum {
        PIECES_EVERY = 8,
        KINDS = 16,
        STATE_SUFFERS = 13,
        DRIVES_VARY = 10,
        DRIVES_SUFFER = 22,
        SPLITS_EVERY = 32,
        REREADS_EVERY = 64,
        REREADS = 33
    };
    bool has_disk = seed % 4 == 1 || seed % 4 == 2 || seed % (2 * PIECES_EVERY) == 0;
    world = (world_t){.random = {seed * 2 + 1},
                      .apart = {random_mix(seed)},
                      .in_pieces = seed % PIECES_EVERY == 0,
                      .splits = seed % SPLITS_EVERY == SPLITS_EVERY / 2,
                      .rereads = seed % REREADS_EVERY == REREADS,
                      .state_suffers = seed % KINDS == STATE_SUFFERS,
                      .drives_vary = seed % KINDS == DRIVES_VARY,
                      .drives_suffer = seed % (2 * KINDS) == DRIVES_SUFFER};
    note_begin(program, seed, trace);
    schedule_begin(chance(), choose_kind());
    if (has_disk)
        choose_drives();
    node_make_drives();
    world.disk = medium_new(random_next(chance()));
    origin_begin();
    node_start();
    schedule_outside(0, act, NULL);
    schedule_run();
    check_ended();
    node_end(END_STOP);
    medium_free(&world.disk);
    node_free_state();
    node_free_drives();
    list_free(&world.answers);
    list_free(&world.exchanges);
    list_free(&world.transfers);
    list_free(&world.purges);
    transfer_forget_steps();
    interpose_grace_period();
    schedule_end();
    return note_hash();
}

/* --- Many --- */

typedef struct {
    const char *program;
    uint64_t first, last;
    unsigned jobs;
    bool one, trace;
} options_t;

static void tell_all(const options_t *options, unsigned job)
{
    for (uint64_t seed = options->first + job; seed <= options->last; seed += options->jobs) {
        uint64_t hash = tell(options->program, seed, options->trace);
        if (seed % REPLAY_EVERY != 0)
            continue;
        notes_t kept = notes;
        if (tell(options->program, seed, false) != hash)
            note_violation("the same seed told another story");
        notes = kept;
    }
}

/* In a process of its own; its notes come back through a pipe. 0, or its exit status. */
typedef struct {
    pid_t process;
    int notes;
} job_t;

static job_t start_job(const options_t *options, unsigned number)
{
    int ends[2];
    MUST(pipe(ends) == 0);
    fflush(stdout);
    pid_t process = fork();
    MUST(process >= 0);
    if (process != 0) {
        close(ends[1]);
        return (job_t){process, ends[0]};
    }
    close(ends[0]);
    memory_attach_thread();
    tell_all(options, number);
    memory_detach_thread();
    fflush(stdout);
    ssize_t done = write(ends[1], &notes, sizeof notes);
    exit(done == (ssize_t)sizeof notes ? 0 : 1);
}

static bool finish_job(const job_t *job, notes_t *sum)
{
    notes_t part;
    int status;
    bool whole = read(job->notes, &part, sizeof part) == (ssize_t)sizeof part;
    close(job->notes);
    MUST(waitpid(job->process, &status, 0) == job->process);
    for (size_t i = 0; whole && i < NOTE_KINDS; i++)
        sum->counts[i] += part.counts[i];
    return whole && WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

static bool run_jobs(const options_t *options, notes_t *sum)
{
    job_t jobs[JOBS_MAX];
    bool good = true;
    for (unsigned i = 0; i < options->jobs; i++)
        jobs[i] = start_job(options, i);
    for (unsigned i = 0; i < options->jobs; i++)
        good &= finish_job(&jobs[i], sum);
    return good;
}

static bool report(const options_t *options, const notes_t *sum)
{
    uint64_t seeds = options->last - options->first + 1;
    bool all = true;
    for (size_t i = 0; i < NOTE_KINDS; i++) {
        printf("%12" PRIu64 "  %s\n", sum->counts[i], note_text((note_t)i));
        all &= sum->counts[i] != 0;
    }
    if (!all && seeds >= SEEDS_FOR_ALL) {
        fprintf(stderr, "something never happened: the simulation proves too little\n");
        return false;
    }
    printf("%" PRIu64 " seeds (%" PRIu64 "..%" PRIu64 "): no violation\n", seeds, options->first,
           options->last);
    return true;
}

/* --- The command --- */

static _Noreturn void usage(void)
{
    fprintf(stderr, "sim --seeds N | --seeds A..B [--jobs N]\nsim --seed N [--trace]\n");
    exit(2);
}

static uint64_t number_of(const char *text, const char **rest)
{
    char *end;
    if (*text < '0' || *text > '9')
        usage();
    uint64_t number = strtoull(text, &end, 10);
    *rest = end;
    return number;
}

static void take_seeds(options_t *options, const char *text)
{
    const char *rest;
    options->first = 1;
    options->last = number_of(text, &rest);
    if (strncmp(rest, "..", 2) == 0) {
        options->first = options->last;
        options->last = number_of(rest + 2, &rest);
    }
    if (*rest != '\0' || options->last < options->first)
        usage();
}

static options_t read_options(int count, char **arguments)
{
    options_t options = {.program = arguments[0], .jobs = 1};
    for (int i = 1; i < count; i++) {
        const char *name = arguments[i], *value = i + 1 < count ? arguments[i + 1] : NULL, *rest;
        if (strcmp(name, "--trace") == 0) {
            options.trace = true;
            continue;
        }
        if (value == NULL)
            usage();
        if (strcmp(name, "--seeds") == 0 || strcmp(name, "--seed") == 0)
            take_seeds(&options, value);
        else if (strcmp(name, "--jobs") == 0)
            options.jobs = (unsigned)number_of(value, &rest);
        else
            usage();
        options.one = strcmp(name, "--seed") == 0 || options.one;
        i++;
    }
    if (options.one)
        options.first = options.last;
    if (options.last == 0 || options.jobs < 1 || options.jobs > JOBS_MAX)
        usage();
    return options;
}

int main(int count, char **arguments)
{
    options_t options = read_options(count, arguments);
    notes_t sum = {0};
    if (!run_jobs(&options, &sum))
        return 1;
    return report(&options, &sum) ? 0 : 1;
}
