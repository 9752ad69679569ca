/* Open addressing with linear probing in many small tables, none more than four fifths full. An entry's home
 * is its tag scaled to the table's length, so that a table is moved by its entries alone, in their order, and
 * what is taken out is closed up behind (Knuth, The Art of Computer Programming 3, 6.4, algorithm R): no
 * tombstones of the table's own. */
#include "edge/cache/disk/index.h"

#include <malloc.h>
#include <pthread.h>
#include <xxhash.h>

enum { INDEX_MAGIC = 0x5e1d1de };
enum { TAG_BITS = 38, TAG_HIGH_BITS = TAG_BITS - 32 };
enum { USES_MAX = 3 };
/* Each table serves so much of the disk, as far as the number of tables goes: some hundred records, and some
 * thousand on the largest disks. More tables would cost too much while there are few records. */
enum { TABLE_BITS_MIN = 6, TABLE_BITS_MAX = 13, TABLE_DISK_BYTES = 16 * 1024 * 1024 };
enum { STRIPES_MAX = 1024 };
enum { CAPACITY_MIN = 4, CAPACITY_MAX = 1 << (64 - TAG_BITS - 1) };
enum { ALLOCATION_STEP = 16, FULL_LEAST = 44, FULL_MOST = FULL_LEAST + 7 }; /* see is_full() */

/* 12 bytes. All zero: empty. units 0: a mark, that this name was removed. */
typedef struct {
    uint32_t tag_low;
    uint32_t unit : 20, units : 12;
    uint32_t segment : 16, meta_units : 7, uses : 2, mark : 1, tag_high : TAG_HIGH_BITS;
} entry_t;
_Static_assert(sizeof(entry_t) == 12, "what an entry takes is promised");

/* Under its stripe's lock. */
typedef struct {
    entry_t *entries; /* NULL while capacity is 0 */
    uint32_t capacity, used;
} table_t;

/* Locks are fewer than tables, as each takes a line: what is small together stays in the processor's cache.
 */
typedef struct {
    _Alignas(CACHE_LINE) pthread_mutex_t lock;
} stripe_t;

struct disk_index {
    /* Fixed after creation. */
    uint32_t magic;
    unsigned table_bits;
    uint64_t seed;
    size_t stripe_count; /* a power of two */
    table_t *tables;
    stripe_t *stripes;
    /* Atomic. */
    _Alignas(CACHE_LINE) _Atomic uint64_t records;
    _Atomic uint64_t bytes;
    _Atomic bool complete;
};

/* A table that is locked, and what is looked for in it. */
typedef struct {
    disk_index_t *index;
    table_t *table;
    size_t number;
    uint64_t tag;
} view_t;

static size_t table_count(const disk_index_t *index)
{
    return (size_t)1 << index->table_bits;
}

static pthread_mutex_t *lock_of(disk_index_t *index, size_t number)
{
    return &index->stripes[number & (index->stripe_count - 1)].lock;
}

static view_t enter_table(disk_index_t *index, size_t number)
{
    MUST(pthread_mutex_lock(lock_of(index, number)) == 0);
    return (view_t){index, &index->tables[number], number, 0};
}

static void leave(const view_t *view)
{
    MUST(pthread_mutex_unlock(lock_of(view->index, view->number)) == 0);
}

uint64_t disk_index_hash(const disk_index_t *index, const ledger_hash_t *name)
{
    return XXH3_64bits_withSeed(name, sizeof *name, index->seed);
}

static view_t enter(disk_index_t *index, const ledger_hash_t *name)
{
    MUST_BE(index, INDEX_MAGIC);
    uint64_t hash = disk_index_hash(index, name);
    view_t view = enter_table(index, hash >> (64 - index->table_bits));
    view.tag = hash & (((uint64_t)1 << TAG_BITS) - 1);
    return view;
}

static uint64_t tag_of(const entry_t *entry)
{
    return (uint64_t)entry->tag_high << 32 | entry->tag_low;
}

static bool is_empty(const entry_t *entry)
{
    return entry->units == 0 && !entry->mark;
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

static uint32_t home_of(uint64_t tag, uint32_t capacity)
{
    return (uint32_t)(tag * capacity >> TAG_BITS);
}

static uint32_t after(const table_t *table, uint32_t at)
{
    return at + 1 == table->capacity ? 0 : at + 1;
}

/* Where this tag is, or the empty entry where it would go. The table has at least one. */
static uint32_t probe(const table_t *table, uint64_t tag)
{
    uint32_t at = home_of(tag, table->capacity);
    while (!is_empty(&table->entries[at]) && tag_of(&table->entries[at]) != tag)
        at = after(table, at);
    return at;
}

/* NULL: neither a record nor a mark. */
static entry_t *find_entry(const view_t *view)
{
    if (view->table->capacity == 0)
        return NULL;
    entry_t *entry = &view->table->entries[probe(view->table, view->tag)];
    return is_empty(entry) ? NULL : entry;
}

static entry_t *find_record(const view_t *view)
{
    entry_t *entry = find_entry(view);
    return entry != NULL && !entry->mark ? entry : NULL;
}

/* What the allocator keeps before each of its pieces is ours, too. */
static uint64_t allocated(void *memory)
{
    return memory != NULL ? malloc_usable_size(memory) + sizeof(size_t) : 0;
}

static void resize(const view_t *view, uint32_t capacity)
{
    table_t *table = view->table, before = *table;
    MUST(capacity > before.used && capacity <= CAPACITY_MAX);
    table->entries = must_calloc(capacity, sizeof(entry_t));
    table->capacity = capacity;
    atomic_fetch_add_explicit(&view->index->bytes, allocated(table->entries), memory_order_relaxed);
    for (const entry_t *entry = before.entries; entry < before.entries + before.capacity; entry++)
        if (!is_empty(entry))
            table->entries[probe(table, tag_of(entry))] = *entry;
    atomic_fetch_sub_explicit(&view->index->bytes, allocated(before.entries), memory_order_relaxed);
    free(before.entries);
}

/* How many entries fit into what the allocator gives for so many: it has four sizes to each doubling
 * (jemalloc(3); glibc's, which are finer, take these as well), and all of it is used. */
static uint32_t capacity_for(uint64_t entries)
{
    uint64_t bytes = entries * sizeof(entry_t), step = ALLOCATION_STEP;
    while (step * 8 < bytes)
        step *= 2;
    return (uint32_t)((bytes + step - 1) / step * step / sizeof(entry_t));
}

/* Each table grows at a fullness of its own, 44/64 to 51/64: if all grew at the same number of records, they
 * would all be at their emptiest at once, and what they left behind would lie about, too small for any. */
static bool is_full(const view_t *view, uint64_t used)
{
    return used * 64 > view->table->capacity * (uint64_t)(FULL_LEAST + view->number % 8);
}

static void add(const view_t *view, entry_t entry)
{
    table_t *table = view->table;
    while (is_full(view, table->used + (uint64_t)1))
        resize(view, capacity_for(table->capacity < CAPACITY_MIN ? CAPACITY_MIN : table->capacity + 1));
    table->entries[probe(table, view->tag)] = entry;
    table->used++;
}

/* To where it is 2/3 full, when that is smaller: one that has just grown is fuller than that. */
static void shrink(const view_t *view)
{
    uint32_t wanted = view->table->used + view->table->used / 2 + 1;
    uint32_t capacity = capacity_for(wanted < CAPACITY_MIN ? CAPACITY_MIN : wanted);
    if (capacity < view->table->capacity)
        resize(view, capacity);
}

/* Takes an entry out and moves up those behind it that may stand nearer to their homes. */
static void close_up(table_t *table, uint32_t hole)
{
    table->used--;
    for (uint32_t at = after(table, hole); !is_empty(&table->entries[at]); at = after(table, at)) {
        uint32_t home = home_of(tag_of(&table->entries[at]), table->capacity);
        uint32_t from_home = at >= home ? at - home : at + table->capacity - home;
        uint32_t from_hole = at >= hole ? at - hole : at + table->capacity - hole;
        if (from_home < from_hole)
            continue;
        table->entries[hole] = table->entries[at];
        hole = at;
    }
    table->entries[hole] = (entry_t){.units = 0};
}

static void count(const view_t *view, int64_t records)
{
    atomic_fetch_add_explicit(&view->index->records, (uint64_t)records, memory_order_relaxed);
}

/* Under a table's lock the answer of before holds until disk_index_complete() comes to that table. */
static bool marks_are_left(const view_t *view)
{
    return !atomic_load_explicit(&view->index->complete, memory_order_relaxed);
}

/* entry: NULL, a mark or a record. */
static void take_out(const view_t *view, entry_t *entry)
{
    if (entry != NULL && !entry->mark)
        count(view, -1);
    entry_t mark = entry_made(view->tag);
    mark.mark = 1;
    if (marks_are_left(view) && entry != NULL)
        *entry = mark;
    else if (marks_are_left(view))
        add(view, mark);
    else if (entry != NULL) {
        close_up(view->table, (uint32_t)(entry - view->table->entries));
        shrink(view);
    }
}

static unsigned table_bits_for(uint64_t expected_bytes)
{
    unsigned bits = TABLE_BITS_MIN;
    while (bits < TABLE_BITS_MAX && (uint64_t)TABLE_DISK_BYTES << bits < expected_bytes)
        bits++;
    return bits;
}

disk_index_t *disk_index_new(uint64_t seed, uint64_t expected_bytes)
{
    disk_index_t *index = must_calloc_aligned(sizeof *index);
    index->magic = INDEX_MAGIC;
    index->seed = seed;
    index->table_bits = table_bits_for(expected_bytes);
    index->tables = must_calloc(table_count(index), sizeof(table_t));
    index->stripe_count = table_count(index) < STRIPES_MAX ? table_count(index) : STRIPES_MAX;
    index->stripes = must_calloc_aligned(index->stripe_count * sizeof(stripe_t));
    for (size_t i = 0; i < index->stripe_count; i++)
        MUST(pthread_mutex_init(&index->stripes[i].lock, NULL) == 0);
    index->bytes = allocated(index) + allocated(index->tables) + allocated(index->stripes);
    return index;
}

void disk_index_free(disk_index_t **pointer)
{
    disk_index_t *index = *pointer;
    *pointer = NULL;
    if (index == NULL)
        return;
    MUST_BE(index, INDEX_MAGIC);
    for (size_t i = 0; i < table_count(index); i++)
        free(index->tables[i].entries);
    for (size_t i = 0; i < index->stripe_count; i++)
        MUST(pthread_mutex_destroy(&index->stripes[i].lock) == 0);
    free(index->tables);
    free(index->stripes);
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
        add(view, entry_at(view->tag, place));
}

bool disk_index_put(disk_index_t *index, const ledger_hash_t *name, const disk_place_t *place,
                    const _Atomic bool *revoked)
{
    view_t view = enter(index, name);
    bool wanted = revoked == NULL || !atomic_load_explicit(revoked, memory_order_acquire);
    if (wanted)
        put(&view, place);
    leave(&view);
    return wanted;
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
        take_out(&view, NULL);
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
    entry_t *entry = find_entry(&view);
    bool there = entry != NULL && !entry->mark;
    take_out(&view, entry);
    leave(&view);
    return there;
}

bool disk_index_remove_at(disk_index_t *index, const ledger_hash_t *name, const disk_place_t *place)
{
    view_t view = enter(index, name);
    entry_t *entry = find_record(&view);
    bool there = entry != NULL && is_at(entry, place);
    if (there)
        take_out(&view, entry);
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
    for (uint32_t at = 0; at < view->table->capacity; at++)
        while (goes(&view->table->entries[at], going)) {
            close_up(view->table, at);
            gone++;
        }
    shrink(view);
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
    return atomic_load_explicit(&index->bytes, memory_order_relaxed);
}

static uint64_t check_table(const view_t *view)
{
    const table_t *table = view->table;
    uint32_t used = 0;
    uint64_t records = 0;
    MUST((table->capacity == 0) == (table->entries == NULL));
    for (uint32_t at = 0; at < table->capacity; at++) {
        const entry_t *entry = &table->entries[at];
        used += !is_empty(entry);
        records += !is_empty(entry) && !entry->mark;
        MUST(is_empty(entry) || probe(table, tag_of(entry)) == at); /* can be found, and once */
        MUST(!entry->mark || (entry->units == 0 && marks_are_left(view)));
    }
    MUST(used == table->used && used * (uint64_t)64 <= table->capacity * (uint64_t)FULL_MOST);
    return records;
}

void disk_index_check(disk_index_t *index)
{
    MUST_BE(index, INDEX_MAGIC);
    uint64_t records = 0, bytes = allocated(index) + allocated(index->tables) + allocated(index->stripes);
    for (size_t number = 0; number < table_count(index); number++) {
        view_t view = enter_table(index, number);
        records += check_table(&view);
        bytes += allocated(view.table->entries);
        leave(&view);
    }
    MUST(records == disk_index_records(index) && bytes == disk_index_bytes(index));
}
