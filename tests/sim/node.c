/* The node's lives: it starts from what its disk holds, is purged, and ends in a stop, a kill or a power cut.
 */
#include "tests/sim/interpose.h"
#include "tests/sim/referee_disk.h"
#include "tests/sim/world.h"
#include "tests/unit/simulated_disk.h"

enum { LEDGER_SLOTS = 16 };

static random_t *chance(void)
{
    return &world.random;
}

/* --- The disk: dead from the moment of a crash on; a thread may be held up before each call --- */

static bool is_dead(void)
{
    schedule_preempt();
    return world.node.unplugged;
}

/* Of open files: a call failed that was to bring something into it. A later sync does not tell what that one
 * lost, so nothing is written behind it. */
static bool has_failed[MEDIUM_HANDLES];

static int io_open(void *context, const char *name, journal_mode_t mode)
{
    int file = is_dead() ? -EIO : medium_open(context, name, mode);
    if (file >= 0)
        has_failed[file] = false;
    return file;
}

static ssize_t io_read(void *context, int file, void *data, size_t length)
{
    return is_dead() ? -EIO : medium_read(context, file, data, length);
}

static ssize_t io_write(void *context, int file, const void *data, size_t length)
{
    if (is_dead())
        return -EIO;
    if (has_failed[file])
        note_violation("a file of the state directory is written on after a write or sync of it failed");
    ssize_t done = medium_write(context, file, data, length);
    has_failed[file] |= done < 0;
    return done;
}

static int io_fsync(void *context, int file)
{
    if (is_dead())
        return -EIO;
    int result = medium_fsync(context, file);
    has_failed[file] |= result < 0;
    return result;
}

static int io_lock(void *context, int file)
{
    return is_dead() ? -EIO : medium_lock(context, file);
}

static int io_close(void *context, int file)
{
    return medium_close(context, file);
}

static int io_rename(void *context, const char *from, const char *to)
{
    return is_dead() ? -EIO : medium_rename(context, from, to);
}

static int io_unlink(void *context, const char *name)
{
    return is_dead() ? -EIO : medium_unlink(context, name);
}

static int io_fsync_directory(void *context)
{
    return is_dead() ? -EIO : medium_fsync_directory(context);
}

static journal_io_t node_io(void)
{
    return (journal_io_t){.context = world.disk,
                          .open = io_open,
                          .read = io_read,
                          .write = io_write,
                          .fsync = io_fsync,
                          .lock = io_lock,
                          .close = io_close,
                          .rename = io_rename,
                          .unlink = io_unlink,
                          .fsync_directory = io_fsync_directory};
}

/* --- Starting --- */

/* Version ids are numbers of transfers, so that any object leads to its story. */
static version_id_t new_version(void *context)
{
    (void)context;
    transfer_t *transfer = list_add(&world.transfers, sizeof *transfer);
    transfer->id = (int)world.transfers.count - 1;
    transfer->created = schedule_moment();
    return (version_id_t){(uint64_t)transfer->id, random_next(chance())};
}

static journal_t *open_journal(void)
{
    journal_opening_t opening;
    journal_error_t error;
    journal_config_t config = {.io = node_io(),
                               .ledger = world.node.ledger,
                               .random = random_next(chance()),
                               .compact_bytes = world.compact_bytes};
    config.identity[0] = config.random; /* another one at each start, and no further number of the seed's */
    journal_t *journal = journal_open(&config, &opening, &error);
    if (journal == NULL)
        return NULL;
    if (opening.outcome == JOURNAL_FORGOTTEN && world.is_damaged)
        note_count(NOTE_JOURNALS_FORGOTTEN);
    else if (opening.outcome == JOURNAL_FORGOTTEN)
        note_violation("the journal was forgotten, though only power cuts and failing calls befell it: %s",
                       opening.damage);
    if (opening.outcome == JOURNAL_TAIL_CUT)
        note_count(NOTE_TAILS_CUT);
    bool is_new = opening.identity[0] != world.identity[0] || opening.identity[1] != world.identity[1];
    if (is_new && world.identity[0] != 0)
        referee_drives_are_foreign();
    memcpy(world.identity, opening.identity, sizeof world.identity);
    note_event("journal opened", opening.outcome, opening.rules, ledger_sequence(world.node.ledger));
    return journal;
}

static void start_ledger(void)
{
    journal_t *journal = NULL;
    bool broken = random_chance(chance(), world.disk_fault_rate);
    broken |= world.state_suffers && world.fate == FATE_LOST && random_chance(&world.apart, 500);
    world.disk->fail_at = broken ? world.disk->calls + 1 + random_below(chance(), 20) : 0;
    while (journal == NULL) {
        world.node.ledger = ledger_new(LEDGER_SLOTS, LEDGER_SLOTS);
        journal = open_journal();
        MUST(journal != NULL || world.disk->fail_at != 0);
        if (journal == NULL)
            ledger_free(&world.node.ledger);
        world.disk->fail_at = 0;
    }
    if (ledger_sequence(world.node.ledger) < world.highest_sequence)
        note_violation("after the restart the ledger is at sequence %llu, it was at %llu before",
                       (unsigned long long)ledger_sequence(world.node.ledger),
                       (unsigned long long)world.highest_sequence);
    if (world.fate == FATE_RESTORED)
        referee_journal_is_older(ledger_sequence(world.node.ledger));
    world.is_damaged = false;
    interpose_forget_published();
    world.node.publisher = publisher_start(&journal, world.node.ledger, schedule_now_ms);
}

void node_start(void)
{
    static const char *const names[WORKERS_MAX] = {"worker 1", "worker 2", "worker 3"};
    node_t *node = &world.node;
    *node = (node_t){0};
    world.lives++;
    start_ledger();
    memory_config_t config = {world.memory_limit, world.max_object, new_version, NULL};
    node->memory = memory_new(&config);
    node_start_disk();
    node->worker_count = 1 + random_below(chance(), WORKERS_MAX);
    for (unsigned i = 0; i < node->worker_count; i++)
        node->workers[i] = schedule_thread(names[i]);
    node->puller = schedule_thread("puller");
    node->housekeeper = schedule_thread("housekeeper");
    referee_rules_in_force();
}

/* --- Ending --- */

static void count_folded(void *context, const ledger_slot_t *slot)
{
    (void)context;
    if (slot->table == LEDGER_FOLDED)
        note_count(NOTE_FOLDED);
}

/* Everything is taken out of the tier: then nothing may be left. */
static void check_gauges(void)
{
    memory_t *memory = world.node.memory;
    memory_account_t *account = memory_account(memory);
    memory_check(memory);
    memory_evict_all(memory);
    if (atomic_load(&account->bytes) != 0 || memory_objects(memory) != 0)
        note_violation("with everything gone, %lld bytes and %llu objects are left",
                       (long long)atomic_load(&account->bytes), (unsigned long long)memory_objects(memory));
}

static void finish_threads(void)
{
    node_t *node = &world.node;
    schedule_node_dies();
    publisher_stop(&node->publisher);
    for (unsigned i = 0; i < node->worker_count; i++)
        schedule_finish(&node->workers[i]);
    schedule_finish(&node->puller);
    schedule_finish(&node->housekeeper);
}

static void end_disk(node_end_t how)
{
    static const note_t counted[] = {
        [END_STOP] = NOTE_STOPS, [END_KILL] = NOTE_KILLS, [END_POWER_CUT] = NOTE_POWER_CUTS};
    note_count(counted[how]);
    world.disk->fail_at = 0;
    if (how == END_KILL)
        medium_kill(world.disk);
    else if (how == END_POWER_CUT)
        medium_power_cut(world.disk);
}

void node_end(node_end_t how)
{
    node_t *node = &world.node;
    note_event("node ends", how, 0, 0);
    interpose_check_agreement(node->disk, node->memory);
    node->unplugged = how != END_STOP;
    finish_threads();
    for (size_t i = 0; i < world.transfers.count; i++)
        transfer_close(world.transfers.at[i]);
    for (size_t i = 0; i < world.exchanges.count; i++)
        exchange_close(world.exchanges.at[i]);
    node_stop_disk(how);
    uint64_t reached = ledger_sequence(node->ledger);
    if (reached > world.highest_handed_out)
        world.highest_handed_out = reached; /* stamps of before must stay below all rules to come */
    ledger_check(node->ledger);
    ledger_export(node->ledger, count_folded, NULL);
    ledger_free(&node->ledger);
    check_gauges();
    memory_free(&node->memory);
    for (size_t i = 0; i < world.purges.count; i++) {
        purge_t *purge = world.purges.at[i];
        if (!purge->answered)
            note_count(NOTE_UNACKNOWLEDGED);
        purge->answered = true;
    }
    end_disk(how);
    schedule_node_ended();
}

/* --- Housekeeping --- */

static void sweep(void *context)
{
    node_t *node = context;
    uint64_t emptied = memory_sweep(node->memory, node->ledger, schedule_now_ms());
    note_event("swept", emptied, 0, 0);
    notes.counts[NOTE_SWEPT] += emptied;
}

void node_sweep(void)
{
    interpose_check_agreement(world.node.disk, world.node.memory);
    schedule_for_node(world.node.housekeeper, 0, sweep, &world.node);
}

static void evict(void *context)
{
    node_t *node = context;
    note_event("evicts all", 0, 0, 0);
    memory_evict_all(node->memory);
}

void node_evict(void)
{
    schedule_for_node(world.node.housekeeper, 0, evict, &world.node);
}

/* --- Purges --- */

static void on_done(publisher_purge_t *super, uint64_t sequence, const char *error)
{
    purge_t *purge = CONTAINER_OF(super, purge_t, super);
    if (world.node.unplugged)
        return; /* the process that would have answered is gone */
    purge->answered = true;
    note_event(error ? "purge fails" : "purge acknowledged", sequence, super->rule_count, 0);
    if (error != NULL) {
        note_count(NOTE_PURGE_FAILED);
        return;
    }
    purge->sequence = sequence;
    purge->published = interpose_published(sequence);
    purge->acknowledged = schedule_moment();
    if (purge->published == 0)
        purge->published = purge->acknowledged;
    referee_acknowledged(purge);
    if (sequence > world.highest_sequence)
        world.highest_sequence = sequence;
}

static void add_rule(purge_t *purge, rule_kind_t kind, bool soft, unsigned site, text_t target)
{
    static const note_t kinds[RULE_KINDS][2] = {
        [RULE_URL] = {NOTE_HARD_URL, NOTE_SOFT_URL},
        [RULE_SITE] = {NOTE_HARD_SITE, NOTE_SOFT_SITE},
        [RULE_TAG] = {NOTE_HARD_TAG, NOTE_SOFT_TAG},
        [RULE_EVERYTHING] = {NOTE_HARD_EVERYTHING, NOTE_SOFT_EVERYTHING}};
    size_t at = purge->super.rule_count++;
    ledger_rule_t *rule = &purge->rules[at];
    *rule = (ledger_rule_t){.kind = kind, .soft = soft};
    if (kind != RULE_EVERYTHING)
        rule->site = site_name(site);
    if (kind == RULE_URL || kind == RULE_TAG) {
        memcpy(purge->targets[at], target.data, target.length);
        rule->target = (text_t){purge->targets[at], target.length};
    }
    note_count(kinds[kind][soft]);
}

static void add_url(purge_t *purge, bool soft, unsigned url)
{
    add_rule(purge, RULE_URL, soft, world.urls[url].site, url_target(url));
}

static unsigned url_of(size_t exchange)
{
    return ((const exchange_t *)world.exchanges.at[exchange])->url;
}

/* Where it matters: a URL that was asked for just now, or whose fill is in flight. */
static unsigned choose_url(void)
{
    unsigned back = random_below(chance(), 8);
    if (world.exchanges.count > back && random_chance(chance(), 400))
        return url_of(world.exchanges.count - 1 - back / 2);
    for (size_t i = world.transfers.count; i-- > 0 && random_chance(chance(), 800);) {
        const transfer_t *transfer = world.transfers.at[i];
        if (transfer->fill == NULL || back-- > 0)
            continue;
        note_count(NOTE_PURGE_IN_FLIGHT);
        return url_of((size_t)transfer->owner);
    }
    return random_below(chance(), world.url_count);
}

/* URLs that nobody asks for: they fill the exact table, so that others are folded. */
static void add_strangers(purge_t *purge, bool soft)
{
    unsigned count = 1 + random_below(chance(), 14);
    for (unsigned i = 0; i < count; i++) {
        char target[24];
        snprintf(target, sizeof target, "/other/%u", random_below(chance(), 60));
        add_rule(purge, RULE_URL, soft, random_below(chance(), SITES), text_of(target));
    }
}

/* What the origin is just being asked about, and may have lost a tag of meanwhile; NULL: nothing. */
static const answer_t *choose_asked_about(void)
{
    for (size_t i = world.transfers.count; i-- > 0;) {
        const transfer_t *transfer = world.transfers.at[i];
        const answer_t *base = transfer->base_answer;
        if (transfer->fill != NULL && !transfer->answered && base != NULL && base->tags != 0 &&
            random_chance(chance(), 700))
            return base;
    }
    return NULL;
}

/* One of these, or sometimes any. */
static unsigned choose_tag(unsigned tags)
{
    unsigned tag = random_below(chance(), TAGS);
    while (tags != 0 && !(tags & (1u << tag)) && random_chance(chance(), 900))
        tag = random_below(chance(), TAGS);
    return tag;
}

static void add_tag(purge_t *purge, bool soft)
{
    char buffer[24];
    const answer_t *asked_about = choose_asked_about();
    unsigned url = asked_about != NULL ? asked_about->url : choose_url(), site = world.urls[url].site;
    unsigned tag = choose_tag(asked_about != NULL ? asked_about->tags : world.urls[url].tags);
    bool of_path = site == SITE_OF_PATH_TAGS && random_chance(chance(), 300);
    add_rule(purge, RULE_TAG, soft, site, of_path ? path_tag(url, buffer) : tag_name(tag));
}

void node_purge(void)
{
    purge_t *purge = list_add(&world.purges, sizeof *purge);
    bool soft = random_chance(chance(), 350);
    unsigned kind = random_below(chance(), 100);
    purge->super.rules = purge->rules;
    purge->super.done = on_done;
    if (kind < 30 || kind >= 95)
        add_url(purge, soft, choose_url());
    if ((kind >= 30 && kind < 60) || kind >= 98)
        add_tag(purge, soft);
    if (kind >= 60 && kind < 70)
        add_rule(purge, RULE_SITE, soft, random_below(chance(), SITES), (text_t){NULL, 0});
    else if (kind >= 70 && kind < 75)
        add_rule(purge, RULE_EVERYTHING, soft, 0, (text_t){NULL, 0});
    else if (kind >= 75)
        add_strangers(purge, soft);
    if (purge->super.rule_count > 1)
        note_count(NOTE_PURGE_BATCHES);
    if (random_chance(chance(), world.disk_fault_rate) && world.disk->fail_at <= world.disk->calls) {
        world.disk->fail_at = world.disk->calls + 1 + random_below(chance(), 8);
        world.disk->fault = random_chance(chance(), 300) ? MEDIUM_SHORT : MEDIUM_ERROR;
        world.disk->fail_errno = EIO;
    }
    note_event("purge", world.purges.count - 1, purge->super.rule_count, soft);
    publisher_submit(world.node.publisher, &purge->super);
}
