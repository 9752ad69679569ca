/* A node's identity: as old as its journal, whatever fails and wherever the power goes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "purge/identity.h"
#include "simulated_disk.h"

static const char old_one[] = "0123456789abcdef00000000000000ff\n";
static const uint64_t old_identity[2] = {0x0123456789abcdef, 0xff};

/* A process that opens the journal of this disk; each offers another identity. */
typedef struct {
    bool opened;
    journal_opening_t opening;
    uint64_t sequence;
} start_t;

static uint64_t starts;

static start_t start(medium_t *disk)
{
    start_t life = {0};
    ledger_t *ledger = ledger_new(16, 16);
    journal_error_t error;
    starts++;
    const journal_config_t config = {.io = medium_io(disk),
                                     .ledger = ledger,
                                     .random = starts,
                                     .compact_bytes = 1000,
                                     .identity = {starts, starts << 32}};
    journal_t *journal = journal_open(&config, &life.opening, &error);
    life.opened = journal != NULL;
    ledger_rule_t rule = {.kind = RULE_EVERYTHING};
    if (life.opened && journal_append(journal, &rule, 1, &error)) {
        life.sequence = rule.sequence;
        ledger_apply(ledger, &rule);
    }
    journal_close(&journal);
    ledger_free(&ledger);
    return life;
}

static bool same(const uint64_t a[2], const uint64_t b[2])
{
    return a[0] == b[0] && a[1] == b[1];
}

static medium_t *with_identity_alone(uint64_t seed)
{
    medium_t *disk = medium_new(seed);
    medium_put(disk, "identity", old_one, strlen(old_one));
    return disk;
}

static void it_is_written_as_it_is_read(void **state)
{
    (void)state;
    char text[IDENTITY_BYTES];
    uint64_t identity[2];
    identity_put(text, old_identity);
    assert_memory_equal(text, old_one, IDENTITY_BYTES);
    assert_true(identity_parse((const uint8_t *)old_one, IDENTITY_BYTES, identity));
    assert_true(same(identity, old_identity));
}

static void what_is_not_one_is_none(void **state)
{
    (void)state;
    static const char *const wrong[] = {"",
                                        "\n",
                                        "0123456789abcdef00000000000000ff",
                                        "0123456789abcdef00000000000000ff\n\n",
                                        "0123456789abcdef00000000000000fF\n",
                                        "0123456789abcde 00000000000000ff\n",
                                        "0123456789abcdef00000000000000f\n",
                                        "0123456789abcdef00000000000000f/\n",
                                        "0123456789abcdef00000000000000f:\n",
                                        "0123456789abcdef00000000000000f`\n",
                                        "0123456789abcdef00000000000000fg\n"};
    uint64_t identity[2];
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
        if (identity_parse((const uint8_t *)wrong[i], strlen(wrong[i]), identity))
            fail_msg("'%s' passes", wrong[i]);
}

static void a_new_journal_has_a_new_one_and_keeps_it(void **state)
{
    (void)state;
    medium_t *disk = with_identity_alone(1);
    start_t first = start(disk);
    assert_true(first.opened && !first.opening.identity_lost);
    assert_int_equal(first.opening.outcome, JOURNAL_NEW);
    assert_false(same(first.opening.identity, old_identity));
    medium_power_cut(disk);
    start_t second = start(disk);
    assert_true(second.opened && !second.opening.identity_lost);
    assert_true(same(first.opening.identity, second.opening.identity));
    medium_free(&disk);
}

static void one_that_is_damaged_or_gone_is_made_anew_and_told(void **state)
{
    (void)state;
    medium_t *disk = medium_new(1);
    start_t first = start(disk);
    medium_file(disk, "identity")->data[7] = 'x';
    start_t second = start(disk);
    assert_true(second.opened && second.opening.identity_lost);
    assert_int_equal(second.opening.outcome, JOURNAL_WHOLE);
    assert_false(same(first.opening.identity, second.opening.identity));
    medium_remove_name(disk, "identity");
    start_t third = start(disk);
    assert_true(third.opened && third.opening.identity_lost);
    assert_false(same(second.opening.identity, third.opening.identity));
    start_t fourth = start(disk);
    assert_false(fourth.opening.identity_lost);
    assert_true(same(third.opening.identity, fourth.opening.identity));
    medium_free(&disk);
}

/* The rule for everything does what another identity would. */
static void a_journal_that_is_forgotten_keeps_it(void **state)
{
    (void)state;
    medium_t *disk = medium_new(1);
    start_t first = start(disk);
    medium_remove_name(disk, "journal");
    start_t second = start(disk);
    assert_int_equal(second.opening.outcome, JOURNAL_FORGOTTEN);
    assert_true(same(first.opening.identity, second.opening.identity));
    medium_free(&disk);
}

/* What holds of two starts, the first of which may have failed: nobody has ever used the identity of before,
 * and what the first may have used, the second has. */
static void judge(const start_t *first, const start_t *second)
{
    assert_true(second->opened);
    assert_false(same(second->opening.identity, old_identity));
    assert_false(second->opening.identity_lost);
    if (!first->opened)
        return;
    assert_false(same(first->opening.identity, old_identity));
    assert_true(same(first->opening.identity, second->opening.identity));
    assert_true(second->opening.outcome != JOURNAL_NEW);
}

/* False: the story has fewer calls. */
static bool tell(uint64_t seed, uint64_t call, medium_fault_t fault, int number)
{
    medium_t *disk = with_identity_alone(seed);
    disk->fail_at = call;
    disk->fault = fault;
    disk->fail_errno = number;
    start_t first = start(disk);
    bool happened = disk->calls >= call;
    if (seed % 4 != 0 || fault == MEDIUM_CUT)
        medium_power_cut(disk);
    else
        medium_kill(disk);
    disk->fail_at = 0;
    start_t second = start(disk);
    judge(&first, &second);
    medium_power_cut(disk);
    start_t third = start(disk);
    assert_true(same(second.opening.identity, third.opening.identity));
    medium_free(&disk);
    return happened;
}

static void at_every_call(medium_fault_t fault, int number)
{
    unsigned broken = 0;
    for (uint64_t seed = 1; seed <= 200; seed++)
        for (uint64_t call = 1; tell(seed, call, fault, number); call++)
            broken++;
    assert_true(broken > 200 * 20); /* a first start makes that many calls at least */
}

static void no_power_cut_joins_a_new_journal_with_an_old_one(void **state)
{
    (void)state;
    at_every_call(MEDIUM_CUT, EIO);
}

static void no_failing_call_does(void **state)
{
    (void)state;
    at_every_call(MEDIUM_ERROR, EIO);
    at_every_call(MEDIUM_SHORT, ENOSPC);
}

/* The power may also go again and again before the first start is through. */
static void nor_do_several_power_cuts(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 2000; seed++) {
        medium_t *disk = with_identity_alone(seed);
        disk->fault = MEDIUM_CUT;
        start_t life = {0};
        for (int i = 0; i < 5; i++) {
            disk->fail_at = disk->calls + 1 + medium_random(disk) % 30;
            start_t next = start(disk);
            if (life.opened && next.opened)
                assert_true(same(life.opening.identity, next.opening.identity));
            life = next.opened ? next : life;
            medium_power_cut(disk);
        }
        disk->fail_at = 0;
        start_t last = start(disk);
        judge(&life, &last);
        medium_free(&disk);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_is_written_as_it_is_read),
        cmocka_unit_test(what_is_not_one_is_none),
        cmocka_unit_test(a_new_journal_has_a_new_one_and_keeps_it),
        cmocka_unit_test(one_that_is_damaged_or_gone_is_made_anew_and_told),
        cmocka_unit_test(a_journal_that_is_forgotten_keeps_it),
        cmocka_unit_test(no_power_cut_joins_a_new_journal_with_an_old_one),
        cmocka_unit_test(no_failing_call_does),
        cmocka_unit_test(nor_do_several_power_cuts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
