/* How readers stay without locks and never wait for the writer:
 *
 * - All words both sides touch are atomic; the writer stores with release, readers load with acquire. (No
 * fences: ThreadSanitizer does not know them, and on x86 the two cost the same.)
 * - A slot's words change in an order that makes any half-seen change err towards "stale for longer" (see
 * join).
 * - Entries are reused. Before a removed entry is filled again `removals` is stepped; a reader whose walk saw
 * the step starts over, as what it walked over may have been another chain. That is a seqlock whose writer is
 * never "inside": a writer that loses its processor half-way holds up nobody.
 * - A rule leaves the exact table only after the folded array has it, and readers look at the exact slots
 * first, then at the folded ones, last at `everything`: who no longer finds the one must find the other. */
#include "purge/ledger.h"

#include <stdatomic.h>
#define XXH_STATIC_LINKING_ONLY /* XXH3_state_t on the stack */
#include <xxhash.h>

enum { LEDGER_MAGIC = 0x1ed6e401, NONE = 0 };

typedef struct {
    _Atomic uint64_t hard;
    _Atomic uint64_t soft;
    _Atomic int64_t soft_time_ms;
    _Atomic uint64_t soft_before;
    _Atomic int64_t soft_earliest_ms;
} shared_marks_t;

typedef struct {
    /* Atomic: written by the writer, read by all. */
    _Atomic uint64_t low, high;
    shared_marks_t marks;
    _Atomic uint32_t next; /* in its bucket's chain; NONE ends it */
    /* Writer's only: the list by last update. */
    uint32_t older, newer;
} entry_t;

struct ledger {
    /* Fixed after creation. */
    uint32_t magic;
    size_t exact_slots;
    uint64_t bucket_mask, folded_mask;
    entry_t *entries; /* [1 .. exact_slots]; index NONE is nobody's */
    _Atomic uint32_t *buckets;
    shared_marks_t *folded;
    /* Writer's only. */
    uint64_t applied;
    uint32_t used; /* entries 1 .. used have been handed out; when all are, the oldest is reused */
    uint32_t oldest, newest;
    /* Atomic: written by the writer, read by all. */
    _Atomic uint64_t head;
    _Atomic uint64_t removals;
    shared_marks_t everything;
};

#define LOAD(word) atomic_load_explicit(&(word), memory_order_acquire)
#define STORE(word, value) atomic_store_explicit(&(word), (value), memory_order_release)

/* Marks. ----------------------------------------------------------------------------------------------------
 */

static ledger_marks_t marks_of_rule(const ledger_rule_t *rule)
{
    if (!rule->soft)
        return (ledger_marks_t){.hard = rule->sequence};
    return (ledger_marks_t){
        .soft = rule->sequence, .soft_time_ms = rule->time_ms, .soft_earliest_ms = rule->time_ms};
}

/* The order of these loads is the reverse of the stores in join(). */
static ledger_marks_t load(const shared_marks_t *shared)
{
    ledger_marks_t marks;
    marks.hard = LOAD(shared->hard);
    marks.soft = LOAD(shared->soft);
    marks.soft_time_ms = LOAD(shared->soft_time_ms);
    marks.soft_before = LOAD(shared->soft_before);
    marks.soft_earliest_ms = LOAD(shared->soft_earliest_ms);
    return marks;
}

static ledger_marks_t joined(const ledger_marks_t *a, const ledger_marks_t *b)
{
    const ledger_marks_t *later = b->soft > a->soft ? b : a;
    const ledger_marks_t *earlier = later == a ? b : a;
    ledger_marks_t both = *later;

    both.hard = a->hard > b->hard ? a->hard : b->hard;
    if (earlier->soft != 0) {
        /* The same rule may come in twice (a slot brought in again): it is not its own predecessor. */
        uint64_t before = earlier->soft == later->soft ? earlier->soft_before : earlier->soft;
        if (before > both.soft_before)
            both.soft_before = before;
        if (earlier->soft_earliest_ms < both.soft_earliest_ms)
            both.soft_earliest_ms = earlier->soft_earliest_ms;
    }
    return both;
}

/* A reader that sees the old `soft` beside any later word sees a `soft_before` not below that old value, and
 * so takes the earliest time: too stale at worst. One that sees the new `soft` sees all the rest. */
static void store(shared_marks_t *shared, const ledger_marks_t *marks)
{
    STORE(shared->soft_earliest_ms, marks->soft_earliest_ms);
    STORE(shared->soft_before, marks->soft_before);
    STORE(shared->soft_time_ms, marks->soft_time_ms);
    STORE(shared->soft, marks->soft);
    STORE(shared->hard, marks->hard);
}

static void join(shared_marks_t *into, const ledger_marks_t *from)
{
    ledger_marks_t old = load(into);
    ledger_marks_t both = joined(&old, from);
    store(into, &both);
}

/* Several soft rules may match; the head is stale as of the earliest, for a later time would treat it as
 * fresher than the earlier rule says. A slot does not keep all its rules: when only its latest matches, that
 * one's time is exact; when one before it does too, the earliest time of all stands for them, which may be
 * too early, never too late. */
static void weigh(ledger_judgement_t *judgement, const ledger_marks_t *marks, uint64_t stamp)
{
    if (marks->hard > stamp)
        judgement->verdict = LEDGER_HARD;
    if (marks->soft <= stamp || judgement->verdict == LEDGER_HARD)
        return;
    int64_t since_ms = marks->soft_before > stamp ? marks->soft_earliest_ms : marks->soft_time_ms;
    if (judgement->verdict == LEDGER_VALID || since_ms < judgement->stale_since_ms)
        judgement->stale_since_ms = since_ms;
    judgement->verdict = LEDGER_SOFT;
}

/* Names. ----------------------------------------------------------------------------------------------------
 */

/* The site's length is part of the name, so that "a" + "bc" and "ab" + "c" are two. Names of usual length are
 * put together first: hashing one piece is several times faster than three, and gives the same. */
static XXH128_hash_t hash_name(const uint64_t prefix[2], text_t site, text_t target)
{
    enum { PREFIX = 16, USUAL = 256 };
    XXH3_state_t state;
    uint8_t name[PREFIX + USUAL];

    if (site.length <= USUAL && target.length <= USUAL - site.length) {
        memcpy(name, prefix, PREFIX);
        if (site.length != 0)
            memcpy(name + PREFIX, site.data, site.length);
        if (target.length != 0)
            memcpy(name + PREFIX + site.length, target.data, target.length);
        return XXH3_128bits(name, PREFIX + site.length + target.length);
    }
    XXH3_INITSTATE(&state);
    XXH3_128bits_reset(&state);
    XXH3_128bits_update(&state, prefix, PREFIX);
    if (site.length != 0)
        XXH3_128bits_update(&state, site.data, site.length);
    if (target.length != 0)
        XXH3_128bits_update(&state, target.data, target.length);
    return XXH3_128bits_digest(&state);
}

static ledger_hash_t name_of(rule_kind_t kind, text_t site, text_t target)
{
    const uint64_t prefix[2] = {(uint64_t)kind, site.length};
    XXH128_hash_t hash = hash_name(prefix, site, target);
    return (ledger_hash_t){.low = hash.low64, .high = hash.high64};
}

ledger_subject_t ledger_subject_beside(const ledger_subject_t *sibling, text_t site, text_t target)
{
    return (ledger_subject_t){.url = name_of(RULE_URL, site, target), .site = sibling->site};
}

ledger_subject_t ledger_subject(text_t site, text_t target)
{
    return (ledger_subject_t){.url = name_of(RULE_URL, site, target),
                              .site = name_of(RULE_SITE, site, (text_t){NULL, 0})};
}

ledger_hash_t ledger_tag(text_t site, text_t tag)
{
    return name_of(RULE_TAG, site, tag);
}

/* Readers. --------------------------------------------------------------------------------------------------
 */

static ledger_marks_t find_exact(const ledger_t *ledger, const ledger_hash_t *name)
{
    for (;;) {
        uint64_t removals = LOAD(ledger->removals);
        ledger_marks_t marks = {0};
        uint32_t at = LOAD(ledger->buckets[name->low & ledger->bucket_mask]);
        for (; at != NONE; at = LOAD(ledger->entries[at].next)) {
            const entry_t *entry = &ledger->entries[at];
            if (LOAD(entry->low) == name->low && LOAD(entry->high) == name->high) {
                marks = load(&entry->marks);
                break;
            }
        }
        if (LOAD(ledger->removals) == removals)
            return marks;
    }
}

static ledger_marks_t find_folded(const ledger_t *ledger, const ledger_hash_t *name)
{
    return load(&ledger->folded[name->high & ledger->folded_mask]);
}

/* The order matters: the exact slots of all names, then what they may have been folded into. */
ledger_judgement_t ledger_judge_tagged(const ledger_t *ledger, const ledger_subject_t *subject,
                                       ledger_tags_t tags, uint64_t stamp)
{
    ledger_judgement_t judgement = {.verdict = LEDGER_VALID};
    ledger_marks_t marks[5];
    for (size_t i = 0; i < tags.count; i++) {
        marks[0] = find_exact(ledger, &tags.at[i]);
        weigh(&judgement, &marks[0], stamp);
    }
    marks[0] = find_exact(ledger, &subject->url);
    marks[1] = find_exact(ledger, &subject->site);
    marks[2] = find_folded(ledger, &subject->url);
    marks[3] = find_folded(ledger, &subject->site);
    for (size_t i = 0; i < tags.count; i++) {
        marks[4] = find_folded(ledger, &tags.at[i]);
        weigh(&judgement, &marks[4], stamp);
    }
    marks[4] = load(&ledger->everything);

    for (size_t i = 0; i < sizeof(marks) / sizeof(marks[0]); i++)
        weigh(&judgement, &marks[i], stamp);
    if (judgement.verdict != LEDGER_SOFT)
        judgement.stale_since_ms = 0;
    return judgement;
}

ledger_judgement_t ledger_judge(const ledger_t *ledger, const ledger_subject_t *subject, uint64_t stamp)
{
    return ledger_judge_tagged(ledger, subject, (ledger_tags_t){NULL, 0}, stamp);
}

static void take_later(ledger_match_t *last, rule_kind_t kind, size_t tag, ledger_marks_t marks)
{
    uint64_t sequence = marks.hard > marks.soft ? marks.hard : marks.soft;
    if (sequence > last->sequence)
        *last = (ledger_match_t){kind, marks.soft > marks.hard, sequence, tag};
}

ledger_match_t ledger_last_match(const ledger_t *ledger, const ledger_subject_t *subject, ledger_tags_t tags)
{
    ledger_match_t last = {.sequence = 0};
    take_later(&last, RULE_URL, 0, find_exact(ledger, &subject->url));
    take_later(&last, RULE_SITE, 0, find_exact(ledger, &subject->site));
    for (size_t i = 0; i < tags.count; i++)
        take_later(&last, RULE_TAG, i, find_exact(ledger, &tags.at[i]));
    take_later(&last, RULE_URL, 0, find_folded(ledger, &subject->url));
    take_later(&last, RULE_SITE, 0, find_folded(ledger, &subject->site));
    for (size_t i = 0; i < tags.count; i++)
        take_later(&last, RULE_TAG, i, find_folded(ledger, &tags.at[i]));
    take_later(&last, RULE_EVERYTHING, 0, load(&ledger->everything));
    return last;
}

uint64_t ledger_sequence(const ledger_t *ledger)
{
    return LOAD(ledger->head);
}

/* The writer. -----------------------------------------------------------------------------------------------
 */

static uint32_t find(const ledger_t *ledger, const ledger_hash_t *name)
{
    uint32_t at = LOAD(ledger->buckets[name->low & ledger->bucket_mask]);
    while (at != NONE &&
           (LOAD(ledger->entries[at].low) != name->low || LOAD(ledger->entries[at].high) != name->high))
        at = LOAD(ledger->entries[at].next);
    return at;
}

static void list_remove(ledger_t *ledger, uint32_t at)
{
    entry_t *entry = &ledger->entries[at];
    if (entry->older != NONE)
        ledger->entries[entry->older].newer = entry->newer;
    else
        ledger->oldest = entry->newer;
    if (entry->newer != NONE)
        ledger->entries[entry->newer].older = entry->older;
    else
        ledger->newest = entry->older;
}

static void list_add_newest(ledger_t *ledger, uint32_t at)
{
    entry_t *entry = &ledger->entries[at];
    entry->older = ledger->newest;
    entry->newer = NONE;
    if (ledger->newest != NONE)
        ledger->entries[ledger->newest].newer = at;
    else
        ledger->oldest = at;
    ledger->newest = at;
}

static void chain_remove(ledger_t *ledger, uint32_t at)
{
    const entry_t *entry = &ledger->entries[at];
    _Atomic uint32_t *link = &ledger->buckets[LOAD(entry->low) & ledger->bucket_mask];
    while (LOAD(*link) != at) {
        MUST(LOAD(*link) != NONE);
        link = &ledger->entries[LOAD(*link)].next;
    }
    STORE(*link, LOAD(entry->next));
}

/* Frees the entry updated longest ago. Its rules go to the folded array first: a reader may see them twice,
 * never not at all. Rules that a hard purge of everything has overtaken say nothing any more and are not
 * folded. */
static uint32_t fold_oldest(ledger_t *ledger)
{
    uint32_t at = ledger->oldest;
    const entry_t *entry = &ledger->entries[at];
    ledger_marks_t marks = load(&entry->marks);

    join(&ledger->folded[LOAD(entry->high) & ledger->folded_mask], &marks);
    list_remove(ledger, at);
    chain_remove(ledger, at);
    STORE(ledger->removals, LOAD(ledger->removals) + 1);
    return at;
}

static void add(ledger_t *ledger, const ledger_hash_t *name, const ledger_marks_t *marks)
{
    uint32_t at = ledger->used < ledger->exact_slots ? ++ledger->used : fold_oldest(ledger);
    entry_t *entry = &ledger->entries[at];
    _Atomic uint32_t *bucket = &ledger->buckets[name->low & ledger->bucket_mask];

    STORE(entry->low, name->low);
    STORE(entry->high, name->high);
    store(&entry->marks, marks);
    STORE(entry->next, LOAD(*bucket));
    list_add_newest(ledger, at);
    STORE(*bucket, at);
}

static void update(ledger_t *ledger, const ledger_hash_t *name, const ledger_marks_t *marks)
{
    uint32_t at = find(ledger, name);
    if (at == NONE) {
        add(ledger, name, marks);
        return;
    }
    join(&ledger->entries[at].marks, marks);
    list_remove(ledger, at);
    list_add_newest(ledger, at);
}

void ledger_apply(ledger_t *ledger, const ledger_rule_t *rule)
{
    MUST_BE(ledger, LEDGER_MAGIC);
    MUST(rule->sequence > ledger->applied);
    ledger_marks_t marks = marks_of_rule(rule);

    if (rule->kind == RULE_EVERYTHING) {
        join(&ledger->everything, &marks);
    } else {
        MUST(rule->kind == RULE_URL || rule->kind == RULE_SITE || rule->kind == RULE_TAG);
        text_t target = rule->kind == RULE_SITE ? (text_t){NULL, 0} : rule->target;
        ledger_hash_t name = name_of(rule->kind, rule->site, target);
        update(ledger, &name, &marks);
    }
    ledger->applied = rule->sequence;
}

void ledger_publish(ledger_t *ledger, uint64_t sequence)
{
    MUST_BE(ledger, LEDGER_MAGIC);
    MUST(sequence >= LOAD(ledger->head));
    STORE(ledger->head, sequence);
}

/* Keeping it. -----------------------------------------------------------------------------------------------
 */

static bool is_empty(const ledger_marks_t *marks)
{
    return marks->hard == 0 && marks->soft == 0;
}

void ledger_export(const ledger_t *ledger, void (*visit)(void *context, const ledger_slot_t *slot),
                   void *context)
{
    MUST_BE(ledger, LEDGER_MAGIC);
    ledger_slot_t slot = {.table = LEDGER_EVERYTHING, .marks = load(&ledger->everything)};
    if (!is_empty(&slot.marks))
        visit(context, &slot);

    slot.table = LEDGER_FOLDED;
    for (uint64_t i = 0; i <= ledger->folded_mask; i++) {
        slot.name = (ledger_hash_t){.low = i, .high = ledger->folded_mask + 1};
        slot.marks = load(&ledger->folded[i]);
        if (!is_empty(&slot.marks))
            visit(context, &slot);
    }

    slot.table = LEDGER_EXACT;
    for (uint32_t at = ledger->oldest; at != NONE; at = ledger->entries[at].newer) {
        const entry_t *entry = &ledger->entries[at];
        slot.name = (ledger_hash_t){.low = LOAD(entry->low), .high = LOAD(entry->high)};
        slot.marks = load(&entry->marks);
        visit(context, &slot);
    }
}

/* Both counts are powers of two and cells are chosen by the name's low bits: a cell of a smaller array stands
 * for every cell here with the same low bits, one of a larger array for the one whose low bits it has. */
static void import_folded(ledger_t *ledger, const ledger_slot_t *slot)
{
    uint64_t step = slot->name.high;
    MUST(step != 0 && (step & (step - 1)) == 0 && slot->name.low < step);

    if (step > ledger->folded_mask) {
        join(&ledger->folded[slot->name.low & ledger->folded_mask], &slot->marks);
        return;
    }
    for (uint64_t i = slot->name.low; i <= ledger->folded_mask; i += step)
        join(&ledger->folded[i], &slot->marks);
}

void ledger_import(ledger_t *ledger, const ledger_slot_t *slot)
{
    MUST_BE(ledger, LEDGER_MAGIC);
    MUST(slot->table < LEDGER_TABLES);
    if (slot->table == LEDGER_EVERYTHING)
        join(&ledger->everything, &slot->marks);
    else if (slot->table == LEDGER_FOLDED)
        import_folded(ledger, slot);
    else
        update(ledger, &slot->name, &slot->marks);

    if (slot->marks.hard > ledger->applied)
        ledger->applied = slot->marks.hard;
    if (slot->marks.soft > ledger->applied)
        ledger->applied = slot->marks.soft;
}

uint64_t ledger_applied(const ledger_t *ledger)
{
    return ledger->applied;
}

size_t ledger_exact_used(const ledger_t *ledger)
{
    return ledger->used;
}

/* Life and sanity. ------------------------------------------------------------------------------------------
 */

static uint64_t power_of_two_from(uint64_t least)
{
    uint64_t power = 1;
    while (power < least)
        power *= 2;
    return power;
}

ledger_t *ledger_new(size_t exact_slots, size_t folded_slots)
{
    MUST(exact_slots >= 16 && exact_slots < UINT32_MAX);
    MUST(folded_slots >= 16 && (folded_slots & (folded_slots - 1)) == 0);
    ledger_t *ledger = must_calloc(1, sizeof(*ledger));
    size_t buckets = power_of_two_from(exact_slots);

    ledger->magic = LEDGER_MAGIC;
    ledger->exact_slots = exact_slots;
    ledger->bucket_mask = buckets - 1;
    ledger->folded_mask = folded_slots - 1;
    ledger->entries = must_calloc(exact_slots + 1, sizeof(*ledger->entries));
    ledger->buckets = must_calloc(buckets, sizeof(*ledger->buckets));
    ledger->folded = must_calloc(folded_slots, sizeof(*ledger->folded));
    return ledger;
}

void ledger_free(ledger_t **ledger)
{
    if (*ledger == NULL)
        return;
    MUST_BE(*ledger, LEDGER_MAGIC);
    free((*ledger)->entries);
    free((*ledger)->buckets);
    free((*ledger)->folded);
    (*ledger)->magic = 0;
    free(*ledger);
    *ledger = NULL;
}

static void check_marks(const ledger_t *ledger, const shared_marks_t *shared)
{
    ledger_marks_t marks = load(shared);
    MUST(marks.hard <= ledger->applied && marks.soft <= ledger->applied);
    MUST(marks.soft == 0 || marks.soft_before < marks.soft);
    MUST(marks.soft == 0 || marks.soft_earliest_ms <= marks.soft_time_ms);
}

/* The chains hold exactly the entries of the list, each in its bucket and once. */
static size_t check_chains(const ledger_t *ledger)
{
    size_t chained = 0;
    for (uint64_t bucket = 0; bucket <= ledger->bucket_mask; bucket++)
        for (uint32_t at = LOAD(ledger->buckets[bucket]); at != NONE; at = LOAD(ledger->entries[at].next)) {
            const entry_t *entry = &ledger->entries[at];
            ledger_hash_t name = {.low = LOAD(entry->low), .high = LOAD(entry->high)};
            MUST((name.low & ledger->bucket_mask) == bucket);
            MUST(find(ledger, &name) == at);
            check_marks(ledger, &entry->marks);
            MUST(++chained <= ledger->used);
        }
    return chained;
}

void ledger_check(const ledger_t *ledger)
{
    MUST_BE(ledger, LEDGER_MAGIC);
    MUST(ledger->used <= ledger->exact_slots);
    MUST(check_chains(ledger) == ledger->used);

    size_t listed = 0;
    uint32_t older = NONE;
    for (uint32_t at = ledger->oldest; at != NONE; older = at, at = ledger->entries[at].newer) {
        MUST(ledger->entries[at].older == older);
        MUST(++listed <= ledger->used);
    }
    MUST(older == ledger->newest && listed == ledger->used);

    for (uint64_t i = 0; i <= ledger->folded_mask; i++)
        check_marks(ledger, &ledger->folded[i]);
    check_marks(ledger, &ledger->everything);
}
