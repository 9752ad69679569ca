#include "tests/sim/referee_disk.h"

#include "tests/sim/drive.h"
#include "tests/sim/world.h"

typedef unsigned long long number_t;

/* How far it is with the tombstone by which what was known of a name no longer counts. */
typedef enum {
    STATE_UNSAID, /* there is none: nothing was known to be there */
    STATE_QUEUED, /* it waits for the writer; or the device is out of use, and its directory is to be disowned
                   */
    STATE_TAKEN,  /* the writer has it */
    STATE_WRITTEN, /* write() has taken it: a kill does not undo that */
    STATE_SYNCED,  /* nor does a power cut */
    STATE_LOST     /* the end of a life came before: what it was to bury may come back */
} state_t;

typedef struct {
    uint64_t moment;
    state_t state;
    unsigned life;
    size_t file; /* that it was written to */
    bool unsyncable;
    int64_t synced_by_us; /* when the writer means to sync it; 0: that is not known yet */
} gone_t;

typedef struct {
    uint64_t moment;
    record_id_t id;
    uint64_t stamp; /* 0: it has that of whatever it is written with, as a node of variants does */
    unsigned life;
} kept_t;

typedef struct {
    ledger_hash_t hash;
    unsigned drive;
    list_t gone, kept;  /* in their order */
    uint64_t moved;     /* moment: it came to this drive from another, which is to bury it; 0: it did not */
    record_id_t stored; /* what memory stored last, in this life of the node */
    unsigned stored_life;
} name_t;

enum {
    CHAINS = 256,
    CAME_BACK_MAX = 4096,
    RESTORES_MAX = 256,
    NO_DRIVE = DRIVES_MAX,
    UNSYNCED_MAX_US = 100000
};

static struct {
    list_t chains[CHAINS];
    uint64_t foreign; /* moment: since then, nothing of before may be read */
    struct {
        record_id_t id;
        unsigned life;
    } came_back[CAME_BACK_MAX];
    size_t came_back_count;
    bool unlisted[DRIVES_MAX];
    struct {
        uint64_t moment, sequence;
    } restored[RESTORES_MAX]; /* from an older copy of the journal, which ended there */
    size_t restored_count;
    state_t disowned[DRIVES_MAX]; /* what becomes of what goes from a device that is out of use */
} all;

void referee_disk_begin(void)
{
    all.foreign = 0;
    for (size_t i = 0; i < DRIVES_MAX; i++) {
        all.disowned[i] = STATE_QUEUED;
        all.unlisted[i] = false;
    }
    all.came_back_count = all.restored_count = 0;
}

void referee_disk_end(void)
{
    for (size_t i = 0; i < CHAINS; i++) {
        for (size_t j = 0; j < all.chains[i].count; j++) {
            name_t *name = all.chains[i].at[j];
            list_free(&name->gone);
            list_free(&name->kept);
        }
        list_free(&all.chains[i]);
    }
}

static name_t *find(const ledger_hash_t *hash)
{
    const list_t *chain = &all.chains[hash->low % CHAINS];
    for (size_t i = 0; i < chain->count; i++) {
        name_t *name = chain->at[i];
        if (name->hash.low == hash->low && name->hash.high == hash->high)
            return name;
    }
    return NULL;
}

static name_t *find_or_add(const ledger_hash_t *hash)
{
    name_t *name = find(hash);
    if (name != NULL)
        return name;
    name = list_add(&all.chains[hash->low % CHAINS], sizeof *name);
    name->hash = *hash;
    name->drive = NO_DRIVE;
    return name;
}

/* --- What is said while the node lives --- */

void referee_stored(const ledger_hash_t *hash, record_id_t id)
{
    name_t *name = find_or_add(hash);
    name->stored = id;
    name->stored_life = world.lives;
}

void referee_kept(const ledger_hash_t *hash, unsigned drive, record_id_t id, uint64_t stamp)
{
    name_t *name = find_or_add(hash);
    MUST(name->drive == drive || name->drive == NO_DRIVE);
    name->drive = drive;
    kept_t *kept = list_add(&name->kept, sizeof *kept);
    *kept = (kept_t){schedule_moment(), id, stamp, world.lives};
    referee_stored(hash, id);
    note_event("to disk", id.answer, id.version, hash->low % 1000);
}

void referee_gone(const ledger_hash_t *hash, gone_kind_t kind)
{
    name_t *name = find(hash);
    if (name == NULL || name->drive == NO_DRIVE)
        return;
    gone_t *gone = list_add(&name->gone, sizeof *gone);
    *gone = (gone_t){.moment = schedule_moment(),
                     .state = kind == GONE_UNSAID   ? STATE_UNSAID
                              : kind == GONE_QUEUED ? STATE_QUEUED
                                                    : all.disowned[name->drive],
                     .life = world.lives};
    note_event("gone", kind, name->drive, hash->low % 1000);
    if (kind == GONE_QUEUED)
        note_count(NOTE_TOMBSTONES);
}

void referee_buried(unsigned drive, const ledger_hash_t *hash)
{
    name_t *name = find(hash);
    for (size_t i = 0; name != NULL && i < name->gone.count; i++) {
        gone_t *gone = name->gone.at[i];
        if (gone->state != STATE_QUEUED || gone->life != world.lives)
            continue;
        MUST(name->drive == drive);
        gone->state = STATE_TAKEN;
        return;
    }
}

static void each_gone(unsigned drive, void (*with)(gone_t *gone, const void *context), const void *context)
{
    for (size_t i = 0; i < CHAINS; i++)
        for (size_t j = 0; j < all.chains[i].count; j++) {
            const name_t *name = all.chains[i].at[j];
            for (size_t k = 0; name->drive == drive && k < name->gone.count; k++)
                with(name->gone.at[k], context);
        }
}

/* What the writer has taken; or what is buried once more, as the sync of where it stands failed. */
void referee_entombed(unsigned drive, const ledger_hash_t *hash, size_t file)
{
    name_t *name = find(hash);
    for (size_t i = 0; name != NULL && name->drive == drive && i < name->gone.count; i++) {
        gone_t *gone = name->gone.at[i];
        bool again = gone->state == STATE_WRITTEN && gone->unsyncable && gone->file != file;
        if (gone->state != STATE_TAKEN && !again)
            continue;
        gone->state = STATE_WRITTEN;
        gone->file = file;
        if (again) {
            gone->unsyncable = false;
            gone->synced_by_us = 0;
        }
    }
}

/* Whatever failed on the way. */
static void check_entombed(gone_t *gone, const void *context)
{
    (void)context;
    if (gone->state == STATE_TAKEN && gone->life == world.lives)
        note_violation("the writer has written all that it took, and no tombstone stands for what went at "
                       "moment %llu",
                       (number_t)gone->moment);
}

void referee_flushed(unsigned drive)
{
    each_gone(drive, check_entombed, NULL);
}

/* What is to be buried is written when the writer rests, and synced no later than it means to by then. */
static void check_rest(gone_t *gone, const void *context)
{
    int64_t until_us = *(const int64_t *)context, now_us = schedule_now_us();
    if (gone->life != world.lives || gone->unsyncable || gone->state < STATE_QUEUED ||
        gone->state > STATE_WRITTEN)
        return;
    if (gone->state != STATE_WRITTEN)
        note_violation("the writer rests, and a tombstone of moment %llu is not written",
                       (number_t)gone->moment);
    if (gone->synced_by_us == 0 && until_us != SCHEDULE_NEVER && until_us <= now_us + UNSYNCED_MAX_US)
        gone->synced_by_us = until_us;
    if (until_us == SCHEDULE_NEVER || until_us > gone->synced_by_us)
        note_violation("the writer rests for %lld us, and a tombstone of moment %llu is not synced",
                       (long long)(until_us - now_us), (number_t)gone->moment);
}

void referee_rests(unsigned drive, int64_t until_us)
{
    each_gone(drive, check_rest, &until_us);
}

static void sync_one(gone_t *gone, const void *file)
{
    if (gone->state == STATE_WRITTEN && gone->file == *(const size_t *)file && !gone->unsyncable)
        gone->state = STATE_SYNCED;
}

/* A sync that failed may have lost what later ones are said to have kept: also what stands behind the gaps.
 */
static void fail_to_sync(gone_t *gone, const void *file)
{
    gone->unsyncable |=
        gone->state == STATE_TAKEN || (gone->state == STATE_WRITTEN && gone->file == *(const size_t *)file);
}

void referee_synced(unsigned drive, size_t file, bool whole)
{
    each_gone(drive, whole ? sync_one : fail_to_sync, &file);
}

static void disown(gone_t *gone, const void *context)
{
    bool durable = *(const bool *)context;
    if (gone->state == STATE_LOST || gone->state == STATE_UNSAID)
        return;
    gone->unsyncable = false;
    if (durable)
        gone->state = STATE_SYNCED;
    else if (gone->state < STATE_WRITTEN)
        gone->state = STATE_WRITTEN;
}

void referee_disowned(unsigned drive, bool durable)
{
    all.disowned[drive] = durable ? STATE_SYNCED : STATE_WRITTEN;
    each_gone(drive, disown, &durable);
}

void referee_owned(unsigned drive)
{
    all.disowned[drive] = STATE_QUEUED;
}

static void lose(gone_t *gone, const void *context)
{
    (void)context;
    if (gone->life != world.lives && gone->state != STATE_UNSAID)
        gone->state = STATE_LOST;
}

void referee_lied(unsigned drive)
{
    each_gone(drive, lose, NULL);
}

void referee_listed(unsigned drive, bool listed)
{
    all.unlisted[drive] = !listed;
}

/* --- The ends of lives --- */

typedef struct {
    state_t least; /* what is less far is lost */
    bool unsaid;   /* this life's, too */
} ending_t;

static void end_one(gone_t *gone, const void *context)
{
    const ending_t *ending = context;
    bool unsaid = gone->state == STATE_UNSAID && ending->unsaid && gone->life == world.lives;
    if (unsaid || (gone->state != STATE_UNSAID && gone->state < ending->least))
        gone->state = STATE_LOST;
}

void referee_drive_ends(unsigned number, int how)
{
    const drive_t *drive = world.drives[number];
    ending_t ending = {.least = how == END_KILL   ? STATE_WRITTEN
                                : how == END_STOP ? STATE_UNSAID
                                                  : STATE_SYNCED};
    if (drive_has_lied(drive))
        ending = (ending_t){STATE_LOST, true};
    else if (world.node.notes_failed && ending.least < STATE_WRITTEN)
        ending.least = STATE_WRITTEN;
    /* An older note may say of a drive that has been taken out since that it misses nothing. */
    bool is_listed_again = all.unlisted[number] && world.fate == FATE_RESTORED;
    if (is_listed_again && ending.least < STATE_WRITTEN)
        ending.least = STATE_WRITTEN;
    if (all.unlisted[number] && !is_listed_again)
        each_gone(number, disown, &(bool){true});
    /* What could not be written may be there all the same, and is buried when something else is written. */
    ending.unsaid |= is_listed_again || (how != END_STOP && drive_failed_writing(drive));
    each_gone(number, end_one, &ending);
    all.disowned[number] = STATE_QUEUED;
    all.unlisted[number] = false;
}

void referee_drives_are_foreign(void)
{
    all.foreign = schedule_moment();
}

void referee_journal_is_older(uint64_t sequence)
{
    MUST(all.restored_count < RESTORES_MAX);
    all.restored[all.restored_count].moment = schedule_moment();
    all.restored[all.restored_count++].sequence = sequence;
}

void referee_drives_vary(unsigned (*owner)(const ledger_hash_t *name))
{
    for (size_t i = 0; i < CHAINS; i++)
        for (size_t j = 0; j < all.chains[i].count; j++) {
            name_t *name = all.chains[i].at[j];
            unsigned drive = owner(&name->hash);
            if (name->drive == NO_DRIVE || name->drive == drive)
                continue;
            name->drive = drive;
            name->moved = schedule_moment();
            note_count(NOTE_NAMES_MOVED);
        }
}

/* --- What is read --- */

static const kept_t *find_kept(const name_t *name, record_id_t id)
{
    for (size_t i = name != NULL ? name->kept.count : 0; i-- > 0;) {
        const kept_t *kept = name->kept.at[i];
        if (kept->id.version == id.version && kept->id.answer == id.answer)
            return kept;
    }
    return NULL;
}

static bool came_back(const record_id_t *id, bool any_version)
{
    for (size_t i = 0; i < all.came_back_count; i++)
        if (all.came_back[i].id.answer == id->answer && all.came_back[i].life == world.lives &&
            (any_version || all.came_back[i].id.version == id->version))
            return true;
    return false;
}

bool referee_came_back(unsigned answer)
{
    return came_back(&(record_id_t){0, answer}, true);
}

static void note_came_back(const record_id_t *id)
{
    note_count(NOTE_CAME_BACK);
    if (came_back(id, false))
        return;
    MUST(all.came_back_count < CAME_BACK_MAX);
    all.came_back[all.came_back_count].id = *id;
    all.came_back[all.came_back_count++].life = world.lives;
}

/* Whose tombstone is there, it must not come back. Where none is, as it was no longer known, that is for an
 * earlier one that was. True: all of them were lost. */
static bool check_gone(const name_t *name, const kept_t *kept)
{
    static const char *const states[] = {"not to be written", "queued", "taken", "written", "synced"};
    bool lost = false;
    for (size_t i = 0; i < name->gone.count; i++) {
        const gone_t *gone = name->gone.at[i];
        if (gone->moment < kept->moment)
            continue;
        bool unknown = gone->state == STATE_UNSAID && gone->life != world.lives;
        lost |= gone->state == STATE_LOST || (unknown && world.names_collide);
        if (gone->state == STATE_LOST || (unknown && lost))
            continue;
        note_violation(
            "what was answer %u came back from drive %u, gone since moment %llu, in life %u, and its "
            "tombstone was %s",
            (unsigned)kept->id.answer, name->drive, (number_t)gone->moment, gone->life, states[gone->state]);
    }
    return lost;
}

bool referee_is_kept(const ledger_hash_t *name, record_id_t id)
{
    return find_kept(find(name), id) != NULL;
}

void referee_stamped(const ledger_hash_t *hash, record_id_t id, uint64_t stamp)
{
    const kept_t *kept = find_kept(find(hash), id);
    if (kept != NULL && kept->stamp != 0 && kept->stamp != stamp)
        note_violation("answer %llu came from disk, stamped %llu, and was stamped %llu when it went there",
                       (number_t)id.answer, (number_t)stamp, (number_t)kept->stamp);
    for (size_t i = 0; kept != NULL && i < all.restored_count; i++)
        if (kept->moment < all.restored[i].moment && stamp > all.restored[i].sequence)
            note_violation(
                "answer %llu came from disk, stamped %llu, and the journal was restored up to %llu",
                (number_t)id.answer, (number_t)stamp, (number_t)all.restored[i].sequence);
}

/* What no longer counted by then does not enter, nor what is older than what was kept last, in this life:
 * what an earlier one kept may never have been written. */
void referee_indexed(const ledger_hash_t *hash, uint64_t version, uint64_t moment)
{
    const name_t *name = find(hash);
    const kept_t *last = NULL;
    for (size_t i = 0; name != NULL && i < name->kept.count; i++) {
        const kept_t *kept = name->kept.at[i];
        if (kept->life == world.lives && kept->moment < moment)
            last = kept;
    }
    uint64_t kept_at = last != NULL ? last->moment : 0;
    if (last != NULL && last->id.answer != RECORD_OF_NODE && last->id.version != version)
        note_violation("version %llu enters the index, and %llu went to disk after it", (number_t)version,
                       (number_t)last->id.version);
    for (size_t i = 0; name != NULL && i < name->gone.count; i++) {
        const gone_t *gone = name->gone.at[i];
        if (gone->life == world.lives && gone->moment > kept_at && gone->moment < moment)
            note_violation("version %llu enters the index, gone since moment %llu", (number_t)version,
                           (number_t)gone->moment);
    }
}

/* It has the bytes of its version whenever that is: whether they may be used is for the head of the whole to
 * say, and for its own stamp. */
static void check_piece(record_id_t id)
{
    const transfer_t *transfer = world.transfers.at[id.version];
    if (transfer->created < all.foreign)
        note_violation("a piece of version %llu came from the disk of a node whose purges are not known",
                       (number_t)id.version);
}

/* A variant can be found again when the node that leads to it is. */
void referee_loaded(const ledger_hash_t *hash, record_id_t id, const record_id_t *node)
{
    const name_t *name = find(hash);
    const kept_t *kept = find_kept(name, id);
    note_event("from disk", id.answer, id.version, hash->low % 1000);
    note_count(NOTE_LOADED);
    if (id.answer == RECORD_OF_PIECE) {
        check_piece(id);
        return;
    }
    if (kept == NULL)
        note_violation("answer %llu came from disk, where it never went under this name",
                       (number_t)id.answer);
    if (kept->moment < all.foreign)
        note_violation("answer %llu came from the disk of a node whose purges are not known",
                       (number_t)id.answer);
    /* That it was buried there, as another drive had its name, is what a drive lied about. */
    bool is_of_before = kept->moment < name->moved;
    if (is_of_before && !drive_has_lied(world.drives[name->drive]))
        note_violation("answer %llu came from drive %u, which had it before another drive did",
                       (number_t)id.answer, name->drive);
    bool is_node = id.answer == RECORD_OF_NODE;
    if (!is_node && name->stored_life == world.lives && name->stored.answer != id.answer)
        note_violation("answer %llu came from disk, though answer %llu was stored since", (number_t)id.answer,
                       (number_t)name->stored.answer);
    if (is_of_before || check_gone(name, kept) || (node != NULL && came_back(node, false)))
        note_came_back(&id);
}
