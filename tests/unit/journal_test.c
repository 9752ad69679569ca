/* The journal on a disk that breaks at every place it can. */
#include "purge/journal.h"
#include "purge/journal_format.h"
#include "tests/unit/simulated_disk.h"

#include <dirent.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>

/* One life of a process: the journal and the ledger it fills. */
typedef struct {
    ledger_t *ledger;
    journal_t *journal;
    journal_opening_t opening;
    journal_error_t error;
} life_t;

static uint64_t lives;

static bool life_begin(life_t *life, const journal_io_t *io, size_t compact_bytes)
{
    *life = (life_t){.ledger = ledger_new(16, 16)};
    const journal_config_t config = {
        .io = *io, .ledger = life->ledger, .random = ++lives, .compact_bytes = compact_bytes};
    life->journal = journal_open(&config, &life->opening, &life->error);
    return life->journal != NULL;
}

static void life_end(life_t *life)
{
    journal_close(&life->journal);
    ledger_check(life->ledger);
    ledger_free(&life->ledger);
}

/* A process that dies takes its memory along; the disk stays as it is, unless the power went too. */
static void life_crash(life_t *life, medium_t *disk, bool power)
{
    disk->dead = true;
    life_end(life);
    if (power)
        medium_power_cut(disk);
    else
        medium_kill(disk);
}

/* The n-th rule of a story: its target is its own, so a sequence used twice shows. */
typedef struct {
    char target[24];
    ledger_rule_t rule;
} numbered_t;

static void number_rule(numbered_t *numbered, unsigned number)
{
    int length = snprintf(numbered->target, sizeof(numbered->target), "/asset-%u", number);
    numbered->rule = (ledger_rule_t){.kind = RULE_URL,
                                     .soft = number % 3 == 2,
                                     .time_ms = 1000 + (int64_t)number,
                                     .site = TEXT("shop"),
                                     .target = {numbered->target, (size_t)length}};
}

static bool append(life_t *life, ledger_rule_t *rules, size_t count)
{
    if (!journal_append(life->journal, rules, count, &life->error)) {
        for (size_t i = 0; i < count; i++)
            assert_true(rules[i].sequence == 0);
        return false;
    }
    for (size_t i = 0; i < count; i++)
        ledger_apply(life->ledger, &rules[i]);
    ledger_publish(life->ledger, rules[count - 1].sequence);
    return true;
}

static bool append_number(life_t *life, unsigned number, uint64_t *sequence)
{
    numbered_t numbered;
    number_rule(&numbered, number);
    bool done = append(life, &numbered.rule, 1);
    *sequence = numbered.rule.sequence;
    return done;
}

static ledger_verdict_t verdict(const life_t *life, unsigned number, uint64_t stamp)
{
    numbered_t numbered;
    number_rule(&numbered, number);
    ledger_subject_t subject = ledger_subject(numbered.rule.site, numbered.rule.target);
    ledger_judgement_t judgement = ledger_judge(life->ledger, &subject, stamp);
    if (judgement.verdict == LEDGER_SOFT && numbered.rule.soft)
        assert_true(judgement.stale_since_ms <= numbered.rule.time_ms);
    return judgement.verdict;
}

/* At least as purged as the rule of this number and sequence says. */
static void assert_in_force(const life_t *life, unsigned number, uint64_t sequence)
{
    ledger_verdict_t least = number % 3 == 2 ? LEDGER_SOFT : LEDGER_HARD;
    assert_true(verdict(life, number, sequence - 1) >= least);
}

/* Every cut, every byte. ------------------------------------------------------------------------------------
 */

enum { RECORDS = 30 };

/* A file of 30 rules written one by one, as the disk has it after a crash. */
typedef struct {
    uint8_t *data;
    size_t length;
    size_t ends[RECORDS]; /* where each record ends */
    uint8_t sequence[FORMAT_SEQUENCE_BYTES];
    size_t base; /* where the first record begins */
} thirty_t;

static size_t journal_length(medium_t *disk)
{
    return medium_file(disk, "journal")->length;
}

static void write_thirty(thirty_t *thirty)
{
    medium_t *disk = medium_new(1);
    journal_io_t io = medium_io(disk);
    life_t life;
    uint64_t sequence;

    assert_true(life_begin(&life, &io, 1 << 20));
    assert_int_equal(life.opening.outcome, JOURNAL_NEW);
    thirty->base = journal_length(disk);
    for (unsigned i = 0; i < RECORDS; i++) {
        assert_true(append_number(&life, i, &sequence));
        assert_true(sequence == i + 1);
        thirty->ends[i] = journal_length(disk);
    }
    thirty->length = journal_length(disk);
    thirty->data = must_alloc(thirty->length);
    memcpy(thirty->data, medium_file(disk, "journal")->data, thirty->length);
    memcpy(thirty->sequence, medium_file(disk, "sequence")->data, sizeof(thirty->sequence));
    life_end(&life);
    medium_free(&disk);
}

static medium_t *disk_with(const thirty_t *thirty, size_t length, bool with_sequence)
{
    medium_t *disk = medium_new(2);
    medium_put(disk, "journal", thirty->data, length);
    if (with_sequence)
        medium_put(disk, "sequence", thirty->sequence, sizeof(thirty->sequence));
    return disk;
}

static void assert_everything_purged(const life_t *life)
{
    for (unsigned i = 0; i <= RECORDS; i++)
        assert_int_equal(verdict(life, i, RECORDS), LEDGER_HARD);
    assert_int_equal(verdict(life, 0, ledger_sequence(life->ledger)), LEDGER_VALID);
}

/* Goes on after whatever was found: a new rule, above all sequences that were ever handed out, and found
 * again. */
static void assert_goes_on(life_t *life, const journal_io_t *io, uint64_t above)
{
    uint64_t sequence, head = ledger_sequence(life->ledger);
    assert_true(append_number(life, 1000, &sequence));
    assert_true(sequence > above && sequence > head);
    life_end(life);
    assert_true(life_begin(life, io, 1 << 20));
    assert_int_equal(life->opening.outcome, JOURNAL_WHOLE);
    assert_false(life->opening.sequence_lost);
    assert_true(ledger_sequence(life->ledger) == sequence);
    assert_in_force(life, 1000, sequence);
}

static void check_cut(const thirty_t *thirty, size_t cut, bool with_sequence)
{
    medium_t *disk = disk_with(thirty, cut, with_sequence);
    journal_io_t io = medium_io(disk);
    life_t life;
    unsigned whole = 0;
    bool at_record_end = cut == thirty->base;

    while (whole < RECORDS && thirty->ends[whole] <= cut)
        at_record_end = thirty->ends[whole++] == cut;
    assert_true(life_begin(&life, &io, 1 << 20));
    assert_int_equal(life.opening.sequence_lost, !with_sequence);
    if (cut < thirty->base) {
        assert_int_equal(life.opening.outcome, JOURNAL_FORGOTTEN);
        assert_everything_purged(&life);
    } else {
        assert_int_equal(life.opening.outcome, at_record_end ? JOURNAL_WHOLE : JOURNAL_TAIL_CUT);
        assert_int_equal(life.opening.rules, whole);
        assert_int_equal(ledger_sequence(life.ledger), whole);
        for (unsigned i = 0; i < whole; i++)
            assert_in_force(&life, i, i + 1);
    }
    assert_goes_on(&life, &io, RECORDS);
    if (cut >= thirty->base)
        for (unsigned i = 0; i < whole; i++)
            assert_in_force(&life, i, i + 1);
    life_end(&life);
    medium_free(&disk);
}

static void test_cut_at_each_byte(void **state)
{
    (void)state;
    thirty_t thirty;
    write_thirty(&thirty);
    for (size_t cut = 0; cut <= thirty.length; cut++) {
        check_cut(&thirty, cut, true);
        check_cut(&thirty, cut, false);
    }
    free(thirty.data);
}

static void check_flip(thirty_t *thirty, size_t at, uint8_t bits)
{
    thirty->data[at] ^= bits;
    medium_t *disk = disk_with(thirty, thirty->length, true);
    journal_io_t io = medium_io(disk);
    life_t life;

    assert_true(life_begin(&life, &io, 1 << 20));
    if (at >= thirty->ends[RECORDS - 2]) {
        /* The last write is not to be told from one that had not been finished. */
        assert_int_equal(life.opening.outcome, JOURNAL_TAIL_CUT);
        assert_int_equal(life.opening.rules, RECORDS - 1);
        assert_true(life.opening.bad_bytes == thirty->length - thirty->ends[RECORDS - 2]);
    } else {
        assert_int_equal(life.opening.outcome, JOURNAL_FORGOTTEN);
        assert_non_null(life.opening.damage);
        assert_everything_purged(&life);
        const medium_inode_t *kept = medium_file(disk, life.opening.kept_as);
        assert_non_null(kept);
        assert_int_equal(kept->length, thirty->length);
        assert_memory_equal(kept->data, thirty->data, thirty->length);
    }
    assert_goes_on(&life, &io, RECORDS);
    life_end(&life);
    medium_free(&disk);
    thirty->data[at] ^= bits;
}

static void test_each_byte_changed(void **state)
{
    (void)state;
    thirty_t thirty;
    write_thirty(&thirty);
    for (size_t at = 0; at < thirty.length; at++) {
        check_flip(&thirty, at, 0xff);
        check_flip(&thirty, at, (uint8_t)(1 << (at % 8)));
    }
    free(thirty.data);
}

/* A file that begins with slots and a batch was on stable storage before it got its name: nothing missing is
 * a torn tail. */
static void test_fresh_file_is_never_torn(void **state)
{
    (void)state;
    thirty_t thirty;
    write_thirty(&thirty);
    medium_t *first = disk_with(&thirty, thirty.length, true);
    journal_io_t io = medium_io(first);
    life_t life;
    uint64_t sequence;
    assert_true(life_begin(&life, &io, 1 << 20));
    assert_true(append_number(&life, 40, &sequence)); /* makes the fresh file */
    life_end(&life);
    medium_inode_t *file = medium_file(first, "journal");

    for (size_t at = 0; at < file->length; at++) {
        medium_t *disk = medium_new(3);
        journal_io_t second = medium_io(disk);
        medium_put(disk, "journal", file->data, at % 2 ? at : file->length);
        medium_file(disk, "journal")->data[at] ^= 0x10; /* past the end of a cut one: nothing */
        medium_put(disk, "sequence", medium_file(first, "sequence")->data, FORMAT_SEQUENCE_BYTES);
        assert_true(life_begin(&life, &second, 1 << 20));
        assert_int_equal(life.opening.outcome, JOURNAL_FORGOTTEN);
        assert_int_equal(verdict(&life, 40, sequence), LEDGER_HARD);
        assert_goes_on(&life, &second, sequence);
        life_end(&life);
        medium_free(&disk);
    }
    medium_free(&first);
    free(thirty.data);
}

static void test_sequence_file_damaged(void **state)
{
    (void)state;
    thirty_t thirty;
    write_thirty(&thirty);
    for (size_t at = 0; at < 2 * FORMAT_SEQUENCE_BYTES; at++) {
        medium_t *disk = disk_with(&thirty, thirty.length, true);
        journal_io_t io = medium_io(disk);
        medium_inode_t *file = medium_file(disk, "sequence");
        life_t life;
        if (at < FORMAT_SEQUENCE_BYTES)
            file->data[at] ^= 0x21;
        else
            file->length = at - FORMAT_SEQUENCE_BYTES;
        assert_true(life_begin(&life, &io, 1 << 20));
        assert_true(life.opening.sequence_lost);
        assert_int_equal(life.opening.outcome, JOURNAL_WHOLE);
        assert_goes_on(&life, &io, UINT64_C(1) << 32);
        life_end(&life);
        medium_free(&disk);
    }
    free(thirty.data);
}

static void test_journal_gone(void **state)
{
    (void)state;
    thirty_t thirty;
    write_thirty(&thirty);
    medium_t *disk = medium_new(4);
    journal_io_t io = medium_io(disk);
    life_t life;
    medium_put(disk, "sequence", thirty.sequence, sizeof(thirty.sequence));
    assert_true(life_begin(&life, &io, 1 << 20));
    assert_int_equal(life.opening.outcome, JOURNAL_FORGOTTEN);
    assert_string_equal(life.opening.kept_as, "");
    assert_everything_purged(&life);
    assert_goes_on(&life, &io, RECORDS);
    life_end(&life);
    medium_free(&disk);
    free(thirty.data);
}

/* Bytes of a former file behind the end, or a whole record moved or repeated, are no rules. */
static void test_foreign_records_do_not_pass(void **state)
{
    (void)state;
    thirty_t one, other;
    write_thirty(&one);
    write_thirty(&other);
    assert_int_equal(one.length, other.length);
    size_t from = one.ends[19], last = one.ends[18];
    uint8_t *mixed = must_alloc(one.length * 2);

    for (int way = 0; way < 2; way++) {
        size_t length = from;
        memcpy(mixed, one.data, from);
        if (way == 0) { /* the other file's records 20 to 29, in their places */
            memcpy(mixed + from, other.data + from, other.length - from);
            length = other.length;
        } else { /* its own last record once more */
            memcpy(mixed + from, one.data + last, from - last);
            length += from - last;
        }
        medium_t *disk = medium_new(5);
        journal_io_t io = medium_io(disk);
        life_t life;
        medium_put(disk, "journal", mixed, length);
        medium_put(disk, "sequence", one.sequence, sizeof(one.sequence));
        assert_true(life_begin(&life, &io, 1 << 20));
        assert_int_equal(life.opening.outcome, JOURNAL_TAIL_CUT);
        assert_int_equal(life.opening.rules, 20);
        life_end(&life);
        medium_free(&disk);
    }
    free(mixed);
    free(one.data);
    free(other.data);
}

/* A power cut may keep the end of one write and lose its beginning: that is a torn tail, and what is whole
 * before the hole counts. A hole in an earlier write is damage. */
static void test_hole_in_the_last_batch(void **state)
{
    (void)state;
    medium_t *disk = medium_new(6);
    journal_io_t io = medium_io(disk);
    life_t life;
    numbered_t numbered[20];
    ledger_rule_t rules[20];
    uint64_t sequence;

    assert_true(life_begin(&life, &io, 1 << 20));
    for (unsigned i = 0; i < 20; i++) {
        number_rule(&numbered[i], i);
        rules[i] = numbered[i].rule;
    }
    size_t before = journal_length(disk);
    assert_true(append(&life, rules, 20));
    size_t record = (journal_length(disk) - before) / 20;
    uint8_t image[8192];
    size_t length = journal_length(disk);
    assert_true(length < sizeof(image));
    memcpy(image, medium_file(disk, "journal")->data, length);
    life_end(&life);

    memset(image + before + 5 * record, 0, record);
    medium_put(disk, "journal", image, length);
    assert_true(life_begin(&life, &io, 1 << 20));
    assert_int_equal(life.opening.outcome, JOURNAL_TAIL_CUT);
    assert_in_range(life.opening.rules, 3, 6);
    life_end(&life);

    medium_free(&disk);
    disk = medium_new(7);
    io = medium_io(disk);
    assert_true(life_begin(&life, &io, 1 << 20));
    number_rule(&numbered[0], 0);
    assert_true(append(&life, rules, 20));
    assert_true(append_number(&life, 30, &sequence));
    memset(medium_file(disk, "journal")->data + before + 5 * record, 0, record);
    life_crash(&life, disk, false);
    assert_true(life_begin(&life, &io, 1 << 20));
    assert_int_equal(life.opening.outcome, JOURNAL_FORGOTTEN);
    life_end(&life);
    medium_free(&disk);
}

/* Faults. ---------------------------------------------------------------------------------------------------
 */

enum { STORY_RULES_MAX = 200 };

/* What the referee remembers of a story. */
typedef struct {
    medium_t *disk;
    uint64_t sequence_of[STORY_RULES_MAX]; /* of acknowledged rules, else 0 */
    unsigned next_number;
    unsigned written_count;
    struct {
        uint64_t sequence;
        uint64_t target;            /* its number */
    } written[STORY_RULES_MAX * 4]; /* every rule record that was handed to the disk */
    unsigned refused;
} story_t;

/* Any sequence that ever reached the disk belongs to one rule for ever. */
static void watch_write(medium_t *disk, const uint8_t *data, size_t length)
{
    story_t *story = disk->on_write_context;
    for (size_t at = 0; at + 60 < length; at++) {
        if (memcmp(data + at, "SVRL", 4) != 0 || data[at + 8] != FORMAT_RULE)
            continue;
        uint64_t sequence = 0, number = strtoul((const char *)data + at + 40 + 4 + 7, NULL, 10);
        memcpy(&sequence, data + at + 16, 8);
        assert_memory_equal(data + at + 40, "shop/asset-", 11);
        for (unsigned i = 0; i < story->written_count; i++)
            if (story->written[i].sequence == sequence)
                assert_int_equal(story->written[i].target, number);
        assert_true(story->written_count < STORY_RULES_MAX * 4);
        story->written[story->written_count].sequence = sequence;
        story->written[story->written_count++].target = number;
    }
}

static void story_append(story_t *story, life_t *life)
{
    numbered_t numbered[3];
    ledger_rule_t rules[3];
    size_t count = 1 + story->next_number % 3;
    unsigned first = story->next_number;

    for (unsigned i = 0; i < count; i++) {
        number_rule(&numbered[i], story->next_number++);
        rules[i] = numbered[i].rule;
    }
    if (!append(life, rules, count)) {
        assert_int_equal(life->error.failure, JOURNAL_IO_FAILED);
        story->refused++;
        return;
    }
    for (unsigned i = 0; i < count; i++)
        story->sequence_of[first + i] = rules[i].sequence;
}

static void story_check(const story_t *story, const life_t *life)
{
    assert_int_not_equal(life->opening.outcome, JOURNAL_FORGOTTEN);
    for (unsigned i = 0; i < story->next_number; i++)
        if (story->sequence_of[i] != 0) {
            assert_in_force(life, i, story->sequence_of[i]);
            assert_true(ledger_sequence(life->ledger) >= story->sequence_of[i]);
        }
}

/* Starts until it works: one fault breaks at most one start. */
static void story_begin(story_t *story, life_t *life, bool power)
{
    journal_io_t io = medium_io(story->disk);
    for (int tries = 0;; tries++) {
        if (life_begin(life, &io, 300))
            break;
        assert_int_equal(life->error.failure, JOURNAL_IO_FAILED);
        assert_true(tries < 1);
        life_crash(life, story->disk, power || story->disk->dead);
    }
    story_check(story, life);
}

/* Two lives of 12 appends and one clean stop in the middle; returns whether the fault happened. */
static bool tell_story(uint64_t seed, uint64_t fail_at, medium_fault_t fault, int number, bool power)
{
    story_t *story = must_calloc(1, sizeof(*story));
    story->disk = medium_new(seed);
    story->disk->on_write = watch_write;
    story->disk->on_write_context = story;
    story->disk->fail_at = fail_at;
    story->disk->fault = fault;
    story->disk->fail_errno = number;
    life_t life;

    for (int part = 0; part < 2; part++) {
        story_begin(story, &life, power);
        for (int i = 0; i < 12; i++) {
            bool tripped = story->disk->calls >= fail_at;
            unsigned refused = story->refused;
            story_append(story, &life);
            if (tripped && !story->disk->dead)
                assert_int_equal(story->refused, refused); /* the next one after a fault works again */
            if (story->disk->dead) {
                life_crash(&life, story->disk, true);
                story_begin(story, &life, power);
            }
        }
        if (part == 0)
            life_end(&life);
    }
    bool happened = story->disk->calls >= fail_at;
    life_crash(&life, story->disk, power);
    story_begin(story, &life, power);
    story_append(story, &life);
    assert_true(story->sequence_of[story->next_number - 1] != 0 || story->disk->calls >= fail_at);
    life_end(&life);
    medium_free(&story->disk);
    free(story);
    return happened;
}

static void break_every_call(medium_fault_t fault, int number)
{
    static const char *const names[] = {"failure", "short write", "power cut"};
    uint64_t broken = 0;
    for (uint64_t seed = 1; seed <= 8; seed++)
        for (uint64_t call = 1; tell_story(seed, call, fault, number, seed % 2 != 0); call++)
            broken++;
    printf("%s %s: %u calls broken, one at a time\n", names[fault], strerror(number), (unsigned)broken);
    assert_true(broken > 8 * 80); /* a story makes that many calls at least */
}

static void test_every_call_fails_with_eio(void **state)
{
    (void)state;
    break_every_call(MEDIUM_ERROR, EIO);
}

static void test_every_call_fails_with_enospc(void **state)
{
    (void)state;
    break_every_call(MEDIUM_ERROR, ENOSPC);
}

static void test_every_write_is_cut_short(void **state)
{
    (void)state;
    break_every_call(MEDIUM_SHORT, ENOSPC);
}

static void test_power_cut_at_every_call(void **state)
{
    (void)state;
    break_every_call(MEDIUM_CUT, EIO);
}

/* The next fault comes a few calls from now. */
static void plan_fault(medium_t *disk)
{
    static const medium_fault_t faults[] = {MEDIUM_ERROR, MEDIUM_ERROR, MEDIUM_SHORT, MEDIUM_CUT};
    disk->fail_at = disk->calls + 1 + medium_random(disk) % 30;
    disk->fault = faults[medium_random(disk) % 4];
    disk->fail_errno = medium_coin(disk) ? EIO : ENOSPC;
}

static unsigned tell_story_of_many_faults(uint64_t seed)
{
    story_t *story = must_calloc(1, sizeof(*story));
    story->disk = medium_new(seed);
    story->disk->on_write = watch_write;
    story->disk->on_write_context = story;
    journal_io_t io = medium_io(story->disk);
    life_t life;
    unsigned faults = 0, appends = 0;

    plan_fault(story->disk);
    while (appends < 60) {
        bool alive = life_begin(&life, &io, 300);
        if (alive)
            story_check(story, &life);
        for (bool on = alive; on && appends < 60; appends++) {
            story_append(story, &life);
            on = !story->disk->dead && medium_random(story->disk) % 12 != 0;
        }
        if (!story->disk->dead && medium_coin(story->disk)) {
            life_end(&life); /* even a clean stop may meet the fault */
            if (story->disk->dead)
                medium_power_cut(story->disk);
        } else {
            life_crash(&life, story->disk, story->disk->dead || medium_coin(story->disk));
        }
        if (story->disk->calls >= story->disk->fail_at) {
            faults++;
            plan_fault(story->disk);
        }
    }
    story->disk->fail_at = 0;
    assert_true(life_begin(&life, &io, 300));
    story_check(story, &life);
    story_append(story, &life);
    assert_true(story->sequence_of[story->next_number - 1] != 0);
    life_end(&life);
    medium_free(&story->disk);
    free(story);
    return faults;
}

static void test_many_faults_in_one_story(void **state)
{
    (void)state;
    enum { STORIES = 800 };
    unsigned faults = 0;
    for (uint64_t seed = 1; seed <= STORIES; seed++)
        faults += tell_story_of_many_faults(seed);
    printf("%d stories with %u faults\n", STORIES, faults);
    assert_true(faults > STORIES * 3);
}

/* After a failed sync the old file is not trusted again, though its next sync would succeed. */
static void test_failed_sync_makes_a_fresh_file(void **state)
{
    (void)state;
    medium_t *disk = medium_new(8);
    journal_io_t io = medium_io(disk);
    life_t life;
    uint64_t one, two, three;
    assert_true(life_begin(&life, &io, 1 << 20));
    assert_true(append_number(&life, 1, &one));
    const medium_inode_t *before = medium_file(disk, "journal");

    disk->fail_at = disk->calls + 2; /* write, then fsync */
    disk->fail_errno = EIO;
    assert_false(append_number(&life, 2, &two));
    assert_string_equal(life.error.call, "fsync");
    assert_string_equal(life.error.file, "journal");
    assert_int_equal(life.error.number, EIO);
    char text[200];
    journal_error_text(&life.error, text, sizeof(text));
    assert_string_equal(text, "fsync of journal failed: Input/output error");
    assert_int_equal(verdict(&life, 2, one), LEDGER_VALID);

    assert_true(append_number(&life, 3, &three));
    assert_true(three == one + 2); /* the refused rule's sequence is not used again */
    assert_ptr_not_equal(medium_file(disk, "journal"), before);
    life_crash(&life, disk, true);
    assert_true(life_begin(&life, &io, 1 << 20));
    assert_in_force(&life, 1, one);
    assert_in_force(&life, 3, three);
    life_end(&life);
    medium_free(&disk);
}

static void test_writes_of_a_few_bytes(void **state)
{
    (void)state;
    medium_t *disk = medium_new(9);
    journal_io_t io = medium_io(disk);
    life_t life;
    uint64_t sequences[30];
    disk->write_most = 7;
    assert_true(life_begin(&life, &io, 500));
    for (unsigned i = 0; i < 30; i++)
        assert_true(append_number(&life, i, &sequences[i]));
    life_end(&life);
    assert_true(life_begin(&life, &io, 500));
    assert_int_equal(life.opening.outcome, JOURNAL_WHOLE);
    for (unsigned i = 0; i < 30; i++)
        assert_in_force(&life, i, sequences[i]);
    life_end(&life);
    medium_free(&disk);
}

/* Bounds. ---------------------------------------------------------------------------------------------------
 */

static void test_the_file_stays_bounded(void **state)
{
    (void)state;
    enum { COMPACT = 2000 };
    /* Header, 1 + 16 + 16 slots in one record, one batch; then at most COMPACT and the batch that crosses it.
     */
    const size_t most = FORMAT_HEADER_BYTES + 24 + 33 * FORMAT_SLOT_BYTES + 200 + COMPACT + 200;
    medium_t *disk = medium_new(10);
    journal_io_t io = medium_io(disk);
    life_t life;
    uint64_t sequence = 0;
    unsigned number = 0;
    for (int restart = 0; restart < 5; restart++) {
        assert_true(life_begin(&life, &io, COMPACT));
        for (int i = 0; i < 2000; i++) {
            assert_true(append_number(&life, number++, &sequence));
            assert_true(journal_length(disk) <= most);
        }
        assert_in_force(&life, number - 1, sequence);
        life_end(&life);
    }
    /* Clean stops skip no sequence. */
    assert_int_equal(sequence, number);
    medium_free(&disk);
}

/* What was folded before the restart is purged after it, and what was not is not. */
static void test_folded_rules_survive(void **state)
{
    (void)state;
    medium_t *disk = medium_new(11);
    journal_io_t io = medium_io(disk);
    life_t life;
    ledger_verdict_t before[200];
    uint64_t sequence;
    unsigned valid = 0;
    assert_true(life_begin(&life, &io, 700));
    for (unsigned i = 0; i < 100; i++)
        assert_true(append_number(&life, i, &sequence));
    for (unsigned i = 0; i < 200; i++)
        before[i] = verdict(&life, i, 90);
    life_end(&life);
    for (int restart = 0; restart < 4; restart++) {
        assert_true(life_begin(&life, &io, 700));
        for (unsigned i = 0; i < 200; i++) {
            assert_int_equal(verdict(&life, i, 90), before[i]);
            valid += before[i] == LEDGER_VALID;
        }
        numbered_t again;
        number_rule(&again, 99); /* a rule that changes no verdict, so that a fresh file is made */
        assert_true(append(&life, &again.rule, 1));
        life_end(&life);
    }
    assert_true(valid > 100);
    medium_free(&disk);
}

/* A purge by tag, written as it is and, after a restart, as a slot of the fresh file. */
static void test_a_tag_survives(void **state)
{
    (void)state;
    medium_t *disk = medium_new(14);
    journal_io_t io = medium_io(disk);
    life_t life;
    ledger_rule_t rules[] = {
        {.kind = RULE_TAG, .site = TEXT("shop"), .target = TEXT("a,\xc3\xbc")},
        {.kind = RULE_TAG, .soft = true, .time_ms = 7, .site = TEXT("shop"), .target = TEXT("b")}};
    assert_true(life_begin(&life, &io, 700));
    assert_true(append(&life, rules, 2));
    life_end(&life);
    const ledger_subject_t subject = ledger_subject(TEXT("shop"), TEXT("/x"));
    const struct {
        const char *site, *tag;
        ledger_verdict_t verdict;
    } rows[] = {{"shop", "a,\xc3\xbc", LEDGER_HARD},
                {"shop", "b", LEDGER_SOFT},
                {"shop", "a", LEDGER_VALID},
                {"img", "b", LEDGER_VALID}};
    for (int restart = 0; restart < 3; restart++) {
        assert_true(life_begin(&life, &io, 700));
        for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
            ledger_hash_t name = ledger_tag(text_of(rows[i].site), text_of(rows[i].tag));
            ledger_judgement_t judgement =
                ledger_judge_tagged(life.ledger, &subject, (ledger_tags_t){&name, 1}, 0);
            assert_int_equal(judgement.verdict, rows[i].verdict);
            if (judgement.verdict == LEDGER_SOFT)
                assert_int_equal(judgement.stale_since_ms, 7);
            assert_int_equal(
                ledger_judge_tagged(life.ledger, &subject, (ledger_tags_t){&name, 1}, rules[1].sequence)
                    .verdict,
                LEDGER_VALID);
        }
        numbered_t again;
        number_rule(&again, (unsigned)restart); /* so that a fresh file is made */
        assert_true(append(&life, &again.rule, 1));
        life_end(&life);
    }
    medium_free(&disk);
}

static void test_sequences_run_out(void **state)
{
    (void)state;
    medium_t *disk = medium_new(12);
    journal_io_t io = medium_io(disk);
    life_t life;
    uint64_t sequence;
    uint8_t data[FORMAT_SEQUENCE_BYTES];
    assert_true(life_begin(&life, &io, 700));
    life_end(&life);
    format_sequence_put(data, FORMAT_SEQUENCE_MAX - 1);
    medium_put(disk, "sequence", data, sizeof(data));
    assert_true(life_begin(&life, &io, 700));
    assert_true(append_number(&life, 1, &sequence));
    assert_true(sequence == FORMAT_SEQUENCE_MAX);
    assert_false(append_number(&life, 2, &sequence));
    assert_int_equal(life.error.failure, JOURNAL_EXHAUSTED);
    life_end(&life);
    medium_free(&disk);
}

static void test_texts_of_any_bytes(void **state)
{
    (void)state;
    medium_t *disk = medium_new(13);
    journal_io_t io = medium_io(disk);
    life_t life;
    char *huge = must_alloc(FORMAT_TEXTS_MAX);
    memset(huge, 'x', FORMAT_TEXTS_MAX);
    ledger_rule_t rules[] = {
        {.kind = RULE_SITE, .site = TEXT("a\0b")},
        {.kind = RULE_URL, .site = TEXT(""), .target = TEXT("")},
        {.kind = RULE_URL, .site = TEXT("s"), .target = {huge, FORMAT_TEXTS_MAX - 1}},
        {.kind = RULE_EVERYTHING, .soft = true, .time_ms = -5},
    };
    ledger_rule_t too_long = {.kind = RULE_URL, .site = TEXT("ss"), .target = {huge, FORMAT_TEXTS_MAX - 1}};
    assert_true(journal_takes(&rules[2]));
    assert_false(journal_takes(&too_long));
    assert_true(life_begin(&life, &io, 1 << 20));
    assert_true(append(&life, rules, 4));
    life_end(&life);
    assert_true(life_begin(&life, &io, 1 << 20));
    assert_int_equal(life.opening.rules, 4);
    ledger_subject_t subjects[] = {
        ledger_subject(TEXT("a\0b"), TEXT("/")), ledger_subject(TEXT(""), TEXT("")),
        ledger_subject(rules[2].site, rules[2].target), ledger_subject(TEXT("a"), TEXT("/"))};
    for (size_t i = 0; i < 3; i++)
        assert_int_equal(ledger_judge(life.ledger, &subjects[i], i).verdict, LEDGER_HARD);
    assert_int_equal(ledger_judge(life.ledger, &subjects[3], 0).verdict, LEDGER_SOFT);
    assert_true(ledger_judge(life.ledger, &subjects[3], 0).stale_since_ms == -5);
    life_end(&life);
    medium_free(&disk);
    free(huge);
}

/* The real file system. -------------------------------------------------------------------------------------
 */

static void remove_directory(const char *path)
{
    DIR *directory = opendir(path);
    assert_non_null(directory);
    for (struct dirent *entry; (entry = readdir(directory)) != NULL;)
        if (entry->d_name[0] != '.')
            unlinkat(dirfd(directory), entry->d_name, 0);
    closedir(directory);
    assert_int_equal(rmdir(path), 0);
}

static void test_on_the_real_file_system(void **state)
{
    (void)state;
    char path[] = "/tmp/journal-test-XXXXXX";
    assert_non_null(mkdtemp(path));
    journal_io_t io;
    life_t life, second;
    uint64_t sequences[100];
    assert_int_equal(journal_io_posix(&io, "/nonexistent/directory"), -ENOENT);
    assert_int_equal(journal_io_posix(&io, path), 0);

    for (unsigned restart = 0; restart < 2; restart++) {
        assert_true(life_begin(&life, &io, 1000));
        assert_false(life_begin(&second, &io, 1000));
        assert_int_equal(second.error.failure, JOURNAL_LOCKED);
        life_end(&second);
        for (unsigned i = restart * 50; i < restart * 50 + 50; i++)
            assert_true(append_number(&life, i, &sequences[i]));
        for (unsigned i = 0; i < restart * 50 + 50; i++)
            assert_in_force(&life, i, sequences[i]);
        life_end(&life);
    }
    static const char *const names[] = {"journal", "sequence", "lock"};
    for (size_t i = 0; i < 3; i++) {
        char file[64];
        struct stat status;
        snprintf(file, sizeof(file), "%s/%s", path, names[i]);
        assert_int_equal(stat(file, &status), 0);
        assert_int_equal(status.st_mode & 0777, 0600);
    }
    journal_io_posix_close(&io);
    remove_directory(path);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_cut_at_each_byte),
        cmocka_unit_test(test_each_byte_changed),
        cmocka_unit_test(test_fresh_file_is_never_torn),
        cmocka_unit_test(test_sequence_file_damaged),
        cmocka_unit_test(test_journal_gone),
        cmocka_unit_test(test_foreign_records_do_not_pass),
        cmocka_unit_test(test_hole_in_the_last_batch),
        cmocka_unit_test(test_every_call_fails_with_eio),
        cmocka_unit_test(test_every_call_fails_with_enospc),
        cmocka_unit_test(test_every_write_is_cut_short),
        cmocka_unit_test(test_power_cut_at_every_call),
        cmocka_unit_test(test_many_faults_in_one_story),
        cmocka_unit_test(test_failed_sync_makes_a_fresh_file),
        cmocka_unit_test(test_writes_of_a_few_bytes),
        cmocka_unit_test(test_the_file_stays_bounded),
        cmocka_unit_test(test_folded_rules_survive),
        cmocka_unit_test(test_a_tag_survives),
        cmocka_unit_test(test_sequences_run_out),
        cmocka_unit_test(test_texts_of_any_bytes),
        cmocka_unit_test(test_on_the_real_file_system),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
