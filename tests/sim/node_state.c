/* What befalls the state directory between two lives of the node: it is lost, copied, restored from an older
 * copy, or damaged. */
#include "purge/journal_format.h"
#include "tests/sim/referee_disk.h"
#include "tests/sim/world.h"
#include "tests/unit/simulated_disk.h"

enum { DAMAGES_MAX = 3 }; /* each may leave a file for people to look at */

/* The copy that was made last. */
static struct {
    medium_t *disk; /* NULL: there is none */
    uint64_t moment;
    uint64_t highest_sequence, highest_handed_out;
    uint8_t notes[sizeof world.notes];
    size_t notes_length;
} copy;
static unsigned damages;
static bool bound_is_gone; /* it was before */

static random_t *chance(void)
{
    return &world.apart;
}

fate_t node_choose_fate(void)
{
    unsigned kind = random_below(chance(), 100);
    if (!world.state_suffers || kind >= 75)
        return FATE_KEPT;
    if (kind < 10)
        return FATE_LOST;
    if (kind < 35)
        return FATE_COPIED;
    if (kind < 55)
        return copy.disk != NULL ? FATE_RESTORED : FATE_COPIED;
    return damages < DAMAGES_MAX ? FATE_DAMAGED : FATE_KEPT;
}

/* No rule that came later is known any more. */
static void lose_rules_since(uint64_t moment)
{
    for (size_t i = 0; i < world.purges.count; i++) {
        purge_t *purge = world.purges.at[i];
        purge->lost |= purge->acknowledged >= moment;
    }
}

static void remove_file(const char *name)
{
    if (medium_find(world.disk, name) != NULL)
        medium_remove_name(world.disk, name);
}

/* Nothing is known of what was purged before; what that was to keep away is told by the identity, which is a
 * new one also where the old one is left. A call may fail as the journal begins anew. */
static void lose(void)
{
    note_count(NOTE_STATES_LOST);
    if (world.state_suffers) {
        remove_file("journal");
        remove_file("sequence");
    } else {
        medium_free(&world.disk);
        world.disk = medium_new(random_next(&world.random));
        world.notes_length = 0;
    }
    referee_drives_are_foreign();
    world.highest_sequence = world.highest_handed_out = 0;
    lose_rules_since(0);
}

static void make_copy(void)
{
    if (copy.disk != NULL)
        medium_free(&copy.disk);
    copy.disk = medium_copy(world.disk, random_next(chance()));
    copy.moment = schedule_moment();
    copy.highest_sequence = world.highest_sequence;
    copy.highest_handed_out = world.highest_handed_out;
    copy.notes_length = world.notes_length;
    memcpy(copy.notes, world.notes, sizeof copy.notes);
}

static void restore(void)
{
    note_count(NOTE_STATES_RESTORED);
    medium_free(&world.disk);
    world.disk = medium_copy(copy.disk, random_next(chance()));
    world.highest_sequence = copy.highest_sequence;
    world.highest_handed_out = copy.highest_handed_out;
    world.notes_length = copy.notes_length;
    memcpy(world.notes, copy.notes, sizeof copy.notes);
    lose_rules_since(copy.moment);
}

/* --- Damage that the code is to see --- */

static void flip(const char *name, size_t below)
{
    medium_inode_t *inode = medium_file(world.disk, name);
    if (inode == NULL || inode->length == 0 || below == 0)
        return;
    size_t at = random_below(chance(), (unsigned)(below < inode->length ? below : inode->length));
    inode->data[at] ^= (uint8_t)(1u << random_below(chance(), 8));
    inode->durable[at] = inode->data[at];
}

static bool is_sequence_good(void)
{
    const medium_inode_t *inode = medium_file(world.disk, "sequence");
    uint64_t bound;
    return inode != NULL && format_sequence_parse(inode->data, inode->length, &bound) == FORMAT_PARSED;
}

/* 0: none of its bytes is told from a torn tail. */
static size_t journal_base(void)
{
    const medium_inode_t *inode = medium_file(world.disk, "journal");
    format_header_t header;
    bool good = inode != NULL && format_header_parse(inode->data, inode->length, &header) == FORMAT_PARSED;
    return good ? (size_t)header.base_length : 0;
}

/* In what was on stable storage before the file got its name; the last of what came later may be torn. */
static void damage_journal(void)
{
    world.is_damaged = true;
    if (random_chance(chance(), 300))
        medium_remove_name(world.disk, "journal");
    else
        flip("journal", journal_base());
}

/* Once they go on far above all that was seen; the second time nobody may have seen those. */
static void damage_sequence(void)
{
    if (bound_is_gone)
        world.highest_handed_out = world.highest_sequence;
    bound_is_gone = true;
    if (random_chance(chance(), 500))
        medium_remove_name(world.disk, "sequence");
    else
        flip("sequence", FORMAT_SEQUENCE_BYTES);
}

static void damage(void)
{
    unsigned kind = random_below(chance(), 10);
    note_count(NOTE_STATES_DAMAGED);
    damages++;
    /* Not both, of which one tells what the other has lost. */
    bool both_good = journal_base() > 0 && is_sequence_good();
    if (kind < 5 && both_good)
        damage_journal();
    else if (kind < 8 && both_good)
        damage_sequence();
    else
        flip("identity", SIZE_MAX);
}

void node_change_state(void)
{
    static void (*const change[])(void) = {
        [FATE_LOST] = lose, [FATE_COPIED] = make_copy, [FATE_RESTORED] = restore, [FATE_DAMAGED] = damage};
    if (world.fate == FATE_KEPT)
        return;
    note_event("state directory", world.fate, 0, 0);
    if (world.state_suffers) { /* all that was written is on stable storage by now */
        medium_t *before = world.disk;
        world.disk = medium_copy(before, random_next(chance()));
        medium_free(&before);
    }
    change[world.fate]();
}

void node_free_state(void)
{
    if (copy.disk != NULL)
        medium_free(&copy.disk);
    damages = 0;
    bound_is_gone = false;
}
