#include <xxhash.h>

#include "edge/cache/disk/index_private.h"

enum { USES_MAX = 3 };

uint64_t disk_index_hash(const disk_index_t *index, const ledger_hash_t *name)
{
    return XXH3_64bits_withSeed(name, sizeof *name, index->seed);
}

/* Not locked. */
static view_t view_of(disk_index_t *index, const ledger_hash_t *name)
{
    MUST_BE(index, INDEX_MAGIC);
    uint64_t hash = disk_index_hash(index, name);
    size_t number = hash >> (64 - index->table_bits);
    return (view_t){index, &index->tables[number], number, hash & (((uint64_t)1 << TAG_BITS) - 1)};
}

static view_t enter(disk_index_t *index, const ledger_hash_t *name)
{
    view_t view = view_of(index, name);
    enter_table(index, view.number);
    return view;
}

static disk_place_t place_of(const entry_t *entry)
{
    return (disk_place_t){(uint16_t)entry->segment, entry->unit, (uint16_t)entry->units,
                          (uint8_t)entry->meta_units};
}

static bool is_at(const entry_t *entry, const disk_place_t *place)
{
    return entry->units == place->units && entry->segment == place->segment && entry->unit == place->unit &&
           entry->meta_units == place->meta_units;
}

static entry_t entry_made(uint64_t tag)
{
    return (entry_t){.tag_low = (uint32_t)tag, .tag_high = (tag >> 32) & ((1u << TAG_HIGH_BITS) - 1)};
}

static entry_t entry_at(uint64_t tag, const disk_place_t *place)
{
    MUST(place->unit < 1u << 20 && place->units > 0 && place->units < 1u << 12 &&
         place->meta_units < 1u << 7);
    entry_t entry = entry_made(tag);
    entry.segment = place->segment;
    entry.unit = place->unit & ((1u << 20) - 1);
    entry.units = place->units & ((1u << 12) - 1);
    entry.meta_units = place->meta_units & ((1u << 7) - 1);
    return entry;
}

/* NULL: neither a record nor a mark. */
static entry_t *find_entry(const view_t *view)
{
    uint32_t at;
    return index_table_find(view, &at) ? entry_of(view, at) : NULL;
}

static entry_t *find_record(const view_t *view)
{
    entry_t *entry = find_entry(view);
    return entry != NULL && !entry->mark ? entry : NULL;
}

static void count(const view_t *view, int64_t records)
{
    atomic_fetch_add_explicit(&view->index->records, (uint64_t)records, memory_order_relaxed);
}

/* Whatever is there: a record, a mark or nothing. True: a record. */
static bool take_out(const view_t *view)
{
    uint32_t at;
    bool found = index_table_find(view, &at), record = found && !entry_of(view, at)->mark;
    entry_t mark = entry_made(view->tag);
    mark.mark = 1;
    if (record)
        count(view, -1);
    if (marks_are_left(view) && found)
        *entry_of(view, at) = mark;
    else if (marks_are_left(view))
        index_table_add(view, mark);
    else if (found)
        index_table_close_up(view, at);
    return record;
}

disk_index_t *disk_index_new(uint64_t seed, uint64_t expected_bytes)
{
    disk_index_t *index = must_calloc_aligned(sizeof *index);
    index->magic = INDEX_MAGIC;
    index->seed = seed;
    index_tables_init(index, expected_bytes);
    return index;
}

void disk_index_free(disk_index_t **pointer)
{
    disk_index_t *index = *pointer;
    *pointer = NULL;
    if (index == NULL)
        return;
    MUST_BE(index, INDEX_MAGIC);
    index_tables_end(index);
    free(index);
}

bool disk_index_find(disk_index_t *index, const ledger_hash_t *name, bool asked, disk_place_t *place)
{
    view_t view = enter(index, name);
    entry_t *entry = find_record(&view);
    if (entry != NULL) {
        *place = place_of(entry);
        if (asked && entry->uses < USES_MAX)
            entry->uses = (entry->uses + 1u) & USES_MAX;
    }
    leave(&view);
    return entry != NULL;
}

/* Under the lock: in place of a record, a mark or nothing. */
static void put(const view_t *view, const disk_place_t *place)
{
    entry_t *entry = find_entry(view);
    if (entry == NULL || entry->mark)
        count(view, 1);
    if (entry != NULL)
        *entry = entry_at(view->tag, place);
    else
        index_table_add(view, entry_at(view->tag, place));
}

bool disk_index_put(disk_index_t *index, const ledger_hash_t *name, const disk_place_t *place,
                    const _Atomic bool *revoked)
{
    view_t view = enter(index, name);
    bool wanted = revoked == NULL || !atomic_load_explicit(revoked, memory_order_acquire);
    if (wanted)
        put(&view, place);
    leave(&view);
    if (disk_index_is_complete(index))
        index_tables_shrink(index);
    return wanted;
}

void disk_index_expect(disk_index_t *index, uint64_t records)
{
    MUST_BE(index, INDEX_MAGIC);
    atomic_fetch_add_explicit(&index->expected, records, memory_order_relaxed);
}

void disk_index_prefetch(disk_index_t *index, const ledger_hash_t *name)
{
    view_t view = view_of(index, name);
    index_table_prefetch(&view);
}

bool disk_index_found(disk_index_t *index, const ledger_hash_t *name, const disk_place_t *place)
{
    view_t view = enter(index, name);
    MUST(marks_are_left(&view));
    bool wanted = find_entry(&view) == NULL;
    if (wanted)
        put(&view, place);
    leave(&view);
    return wanted;
}

void disk_index_found_buried(disk_index_t *index, const ledger_hash_t *name)
{
    view_t view = enter(index, name);
    MUST(marks_are_left(&view));
    if (find_entry(&view) == NULL)
        take_out(&view);
    leave(&view);
}

bool disk_index_move(disk_index_t *index, const ledger_hash_t *name, const disk_place_t *from,
                     const disk_place_t *to)
{
    view_t view = enter(index, name);
    entry_t *entry = find_record(&view);
    bool there = entry != NULL && is_at(entry, from);
    if (there)
        *entry = entry_at(view.tag, to);
    leave(&view);
    return there;
}

bool disk_index_remove(disk_index_t *index, const ledger_hash_t *name)
{
    view_t view = enter(index, name);
    bool there = take_out(&view);
    leave(&view);
    return there;
}

bool disk_index_remove_at(disk_index_t *index, const ledger_hash_t *name, const disk_place_t *place)
{
    view_t view = enter(index, name);
    const entry_t *entry = find_record(&view);
    bool there = entry != NULL && is_at(entry, place);
    if (there)
        take_out(&view);
    leave(&view);
    return there;
}

int disk_index_uses(disk_index_t *index, const ledger_hash_t *name, const disk_place_t *place)
{
    view_t view = enter(index, name);
    const entry_t *entry = find_record(&view);
    int uses = entry != NULL && is_at(entry, place) ? (int)entry->uses : -1;
    leave(&view);
    return uses;
}

/* Which entries go: marks, or the records of some segments. */
typedef struct {
    bool marks;
    uint16_t first, last;
} going_t;

static bool goes(const entry_t *entry, const going_t *going)
{
    if (is_empty(entry) || entry->mark)
        return entry->mark && going->marks;
    return !going->marks && entry->segment >= going->first && entry->segment <= going->last;
}

/* What closes up comes from behind, so that the same place is looked at again. */
static uint64_t clear_table(const view_t *view, const going_t *going)
{
    uint64_t gone = 0;
    for (uint32_t at = 0; at < length_of(view); at++)
        for (; goes(entry_of(view, at), going); gone++)
            index_table_close_up(view, at);
    return gone;
}

static uint64_t clear(disk_index_t *index, const going_t *going)
{
    uint64_t gone = 0;
    for (size_t number = 0; number < table_count(index); number++) {
        view_t view = enter_table(index, number);
        uint64_t here = clear_table(&view, going);
        if (!going->marks)
            count(&view, -(int64_t)here);
        gone += here;
        leave(&view);
    }
    index_tables_shrink(index);
    return gone;
}

uint64_t disk_index_remove_segments(disk_index_t *index, uint16_t first, uint16_t last)
{
    MUST_BE(index, INDEX_MAGIC);
    return clear(index, &(going_t){false, first, last});
}

void disk_index_complete(disk_index_t *index)
{
    MUST_BE(index, INDEX_MAGIC);
    atomic_store_explicit(&index->complete, true, memory_order_release);
    clear(index, &(going_t){.marks = true});
}

bool disk_index_is_complete(const disk_index_t *index)
{
    return atomic_load_explicit(&index->complete, memory_order_acquire);
}

uint64_t disk_index_records(const disk_index_t *index)
{
    return atomic_load_explicit(&index->records, memory_order_relaxed);
}

uint64_t disk_index_bytes(const disk_index_t *index)
{
    return sizeof *index + index_tables_bytes(index);
}

void disk_index_check(disk_index_t *index)
{
    MUST_BE(index, INDEX_MAGIC);
    uint64_t records = 0;
    for (size_t number = 0; number < table_count(index); number++) {
        view_t view = enter_table(index, number);
        records += index_table_check(&view);
        leave(&view);
    }
    MUST(records == disk_index_records(index) && index->moving_bytes == 0);
}
