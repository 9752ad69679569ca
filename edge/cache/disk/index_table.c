/* Open addressing with linear probing in many small tables, none more than three quarters full. An entry's
 * home is its tag scaled to the table's length, so that a table is laid out anew by its entries alone; what
 * is taken out is closed up behind (Knuth, The Art of Computer Programming 3, 6.4, algorithm R): no
 * tombstones of the table's own.
 *
 * The tables lie side by side in rows, of each table 16 entries in each row: as names spread evenly, all of
 * them need about the same number of rows. So the index grows by a sixteenth at a time and at its end only,
 * nothing is lost between pieces of different sizes, and all of it lies in huge pages, without which a
 * look-up waits nearly as long for the page's address as for the entry (seen with 10 million records: 310 ns
 * against 220, and 150 as the hardware reads ahead within a row). */
#include <sys/mman.h>

#include "edge/cache/disk/index_private.h"

/* A table for each 2 GiB of disk: of some ten thousand records. With more, tables would be so small while
 * there are few records that the fullest one, which the rows of all go by, is far from the mean. */
enum { TABLE_BITS_MIN = 8, TABLE_BITS_MAX = 11 };
static const uint64_t table_disk_bytes = (uint64_t)2 << 30;
enum { ROWS_MAX = 1 << (64 - TAG_BITS - 1 - 4) };
/* In hundredths: when a table grows, by then of its own length; when all shrink, of all records' room, and to
 * which; how full all are with what is expected on starting. */
enum { FULL = 75, TOO_EMPTY = 55, SHRUNK = 66, EXPECTED_FULL = 68 };
/* Addresses for as many of the smallest records as the disk holds, or 10^10; no more than that until they are
 * used.
 */
enum { RECORD_BYTES_MIN = 512, RECORD_INDEX_BYTES = 24 };
enum { HUGE_PAGE = 2 * 1024 * 1024 };
static const uint64_t reserved_min = (uint64_t)4 << 30, reserved_max = (uint64_t)256 << 30;
/* What is small stays in the processor's cache, and would be wasted on the rest of a huge page. */
enum { SMALL_PAGES_BYTES = 8 * HUGE_PAGE };

static uint32_t home_of(const view_t *view, uint64_t tag)
{
    return (uint32_t)(tag * length_of(view) >> TAG_BITS);
}

static uint32_t after(const view_t *view, uint32_t at)
{
    return at + 1 == length_of(view) ? 0 : at + 1;
}

/* How far a place is behind another one, round the end. */
static uint32_t distance(const view_t *view, uint32_t from, uint32_t to)
{
    return to >= from ? to - from : to + length_of(view) - from;
}

/* Where this tag is, or the empty place where it would go. The table has at least one. */
static uint32_t probe(const view_t *view, uint64_t tag)
{
    uint32_t at = home_of(view, tag);
    for (const entry_t *entry = entry_of(view, at); !is_empty(entry) && tag_of(entry) != tag;) {
        at = after(view, at);
        entry = entry_of(view, at);
    }
    return at;
}

void index_table_prefetch(const view_t *view)
{
    if (rows_of(view->table) > 0)
        __builtin_prefetch(entry_of(view, home_of(view, view->tag)));
}

bool index_table_find(const view_t *view, uint32_t *at)
{
    if (rows_of(view->table) == 0)
        return false;
    *at = probe(view, view->tag);
    return !is_empty(entry_of(view, *at));
}

static size_t bytes_of_rows(const disk_index_t *index, uint32_t rows)
{
    return rows * table_count(index) * ROW_ENTRIES * sizeof(entry_t);
}

static void lock_rows(disk_index_t *index)
{
    MUST(pthread_mutex_lock(&index->rows_lock) == 0);
}

static void unlock_rows(disk_index_t *index)
{
    MUST(pthread_mutex_unlock(&index->rows_lock) == 0);
}

/* Under the lock of rows: so many can be written to. */
static void make_writable(disk_index_t *index, uint32_t rows)
{
    size_t wanted = (bytes_of_rows(index, rows) + HUGE_PAGE - 1) / HUGE_PAGE * HUGE_PAGE;
    if (wanted <= index->writable_bytes)
        return;
    MUST(rows <= ROWS_MAX && wanted <= index->reserved_bytes - HUGE_PAGE);
    char *start = (char *)index->entries + index->writable_bytes;
    MUST(mprotect(start, wanted - index->writable_bytes, PROT_READ | PROT_WRITE) == 0);
    index->writable_bytes = wanted;
}

/* The table has as many rows from now on; its entries are where they were. */
static void set_rows(const view_t *view, uint32_t rows)
{
    disk_index_t *index = view->index;
    lock_rows(index);
    make_writable(index, rows);
    atomic_store_explicit(&view->table->rows, rows, memory_order_relaxed);
    if (rows > atomic_load_explicit(&index->rows, memory_order_relaxed)) {
        atomic_store_explicit(&index->rows, rows, memory_order_relaxed);
        atomic_store_explicit(&index->shrunk_at, UINT64_MAX, memory_order_relaxed);
    }
    unlock_rows(index);
}

static void lay_out_anew(const view_t *view, uint32_t rows)
{
    uint32_t used = 0;
    size_t bytes = view->table->used * sizeof(entry_t);
    entry_t *kept = must_alloc(bytes + 1);
    atomic_fetch_add_explicit(&view->index->moving_bytes, bytes, memory_order_relaxed);
    for (uint32_t at = 0; at < length_of(view); at++) {
        entry_t *entry = entry_of(view, at);
        if (!is_empty(entry))
            kept[used++] = *entry;
        *entry = (entry_t){.units = 0};
    }
    MUST(used == view->table->used && used < rows * (uint64_t)ROW_ENTRIES);
    set_rows(view, rows);
    for (uint32_t i = 0; i < used; i++)
        *entry_of(view, probe(view, tag_of(&kept[i]))) = kept[i];
    atomic_fetch_sub_explicit(&view->index->moving_bytes, bytes, memory_order_relaxed);
    free(kept);
}

/* Rows for so many entries at this fullness. */
static uint32_t rows_for(uint64_t entries, unsigned hundredths)
{
    return (uint32_t)((entries * 100 + hundredths * ROW_ENTRIES - 1) / (hundredths * ROW_ENTRIES));
}

/* Rows for what is there on starting, as long as that is not all found: else each table is laid out anew for
 * each sixteenth of it. */
static uint32_t expected_rows(const view_t *view)
{
    uint64_t expected = atomic_load_explicit(&view->index->expected, memory_order_relaxed);
    return marks_are_left(view) ? rows_for(expected / table_count(view->index), EXPECTED_FULL) : 0;
}

/* What others have taken costs nothing; else by a sixteenth. */
static void grow(const view_t *view)
{
    uint32_t rows = rows_of(view->table), expected = expected_rows(view);
    uint32_t taken = atomic_load_explicit(&view->index->rows, memory_order_relaxed);
    bool shrinking = atomic_load_explicit(&view->index->shrinking, memory_order_relaxed);
    uint32_t wanted = rows < taken && !shrinking ? taken : rows + 1 + rows / 16;
    lay_out_anew(view, wanted < expected ? expected : wanted);
}

void index_table_add(const view_t *view, entry_t entry)
{
    if ((view->table->used + (uint64_t)1) * 100 > length_of(view) * (uint64_t)FULL)
        grow(view);
    *entry_of(view, probe(view, view->tag)) = entry;
    view->table->used++;
}

/* Moves up those behind it that may stand nearer to their homes. */
void index_table_close_up(const view_t *view, uint32_t hole)
{
    view->table->used--;
    for (uint32_t at = after(view, hole); !is_empty(entry_of(view, at)); at = after(view, at)) {
        if (distance(view, home_of(view, tag_of(entry_of(view, at))), at) < distance(view, hole, at))
            continue;
        *entry_of(view, hole) = *entry_of(view, at);
        hole = at;
    }
    *entry_of(view, hole) = (entry_t){.units = 0};
}

/* Gives back the rows that no table has. */
static void give_back_rows(disk_index_t *index)
{
    uint32_t most = 0;
    lock_rows(index);
    for (size_t i = 0; i < table_count(index); i++)
        most = rows_of(&index->tables[i]) > most ? rows_of(&index->tables[i]) : most;
    atomic_store_explicit(&index->rows, most, memory_order_relaxed);
    size_t kept = (bytes_of_rows(index, most) + HUGE_PAGE - 1) / HUGE_PAGE * HUGE_PAGE;
    if (kept < index->writable_bytes)
        MUST(madvise((char *)index->entries + kept, index->writable_bytes - kept, MADV_DONTNEED) == 0);
    unlock_rows(index);
}

/* Not again before there are even fewer: a single full table may keep the rows that the others do not need.
 */
static bool is_too_empty(const disk_index_t *index)
{
    uint64_t rows = atomic_load_explicit(&index->rows, memory_order_relaxed),
             records = atomic_load_explicit(&index->records, memory_order_relaxed);
    uint64_t shrunk_at = atomic_load_explicit(&index->shrunk_at, memory_order_relaxed);
    return rows > 2 && records * 100 < rows * ROW_ENTRIES * table_count(index) * TOO_EMPTY &&
           records < shrunk_at - shrunk_at / 16;
}

/* When there are far fewer records than there were. Walks everything. */
static void shrink(disk_index_t *index)
{
    uint64_t records = atomic_load_explicit(&index->records, memory_order_relaxed);
    uint32_t wanted = rows_for(records / table_count(index), SHRUNK) + 1;
    atomic_store_explicit(&index->shrunk_at, records, memory_order_relaxed);
    for (size_t number = 0; number < table_count(index); number++) {
        view_t view = enter_table(index, number);
        uint32_t least = rows_for(view.table->used, FULL) + 1, rows = least > wanted ? least : wanted;
        if (rows < rows_of(view.table))
            lay_out_anew(&view, rows);
        leave(&view);
    }
    give_back_rows(index);
}

/* One thread at a time. */
void index_tables_shrink(disk_index_t *index)
{
    if (!is_too_empty(index) || atomic_exchange_explicit(&index->shrinking, true, memory_order_acquire))
        return;
    shrink(index);
    atomic_store_explicit(&index->shrinking, false, memory_order_release);
}

static unsigned table_bits_for(uint64_t expected_bytes)
{
    unsigned bits = TABLE_BITS_MIN;
    while (bits < TABLE_BITS_MAX && table_disk_bytes << bits < expected_bytes)
        bits++;
    return bits;
}

/* Addresses only: what is behind them is taken as rows are. */
static void reserve(disk_index_t *index, uint64_t expected_bytes)
{
    uint64_t bytes = expected_bytes / RECORD_BYTES_MIN * RECORD_INDEX_BYTES;
    bytes = bytes < reserved_min ? reserved_min : bytes < reserved_max ? bytes : reserved_max;
    index->reserved_bytes = bytes + 2 * HUGE_PAGE;
    index->reserved =
        mmap(NULL, index->reserved_bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    MUST(index->reserved != MAP_FAILED);
    uintptr_t start = ((uintptr_t)index->reserved + HUGE_PAGE - 1) / HUGE_PAGE * HUGE_PAGE;
    index->entries = (entry_t *)start;
    /* Where the system has none, it goes more slowly. */
    (void)madvise((char *)start + SMALL_PAGES_BYTES,
                  index->reserved_bytes - 2 * HUGE_PAGE - SMALL_PAGES_BYTES, MADV_HUGEPAGE);
}

void index_tables_init(disk_index_t *index, uint64_t expected_bytes)
{
    index->table_bits = table_bits_for(expected_bytes);
    index->shrunk_at = UINT64_MAX;
    index->tables = must_calloc_aligned(table_count(index) * sizeof(table_t));
    for (size_t i = 0; i < table_count(index); i++)
        MUST(pthread_mutex_init(&index->tables[i].lock, NULL) == 0);
    MUST(pthread_mutex_init(&index->rows_lock, NULL) == 0);
    reserve(index, expected_bytes);
}

void index_tables_end(disk_index_t *index)
{
    for (size_t i = 0; i < table_count(index); i++)
        MUST(pthread_mutex_destroy(&index->tables[i].lock) == 0);
    MUST(pthread_mutex_destroy(&index->rows_lock) == 0);
    MUST(munmap(index->reserved, index->reserved_bytes) == 0);
    free(index->tables);
}

uint64_t index_tables_bytes(const disk_index_t *index)
{
    return table_count(index) * sizeof(table_t) +
           bytes_of_rows(index, atomic_load_explicit(&index->rows, memory_order_relaxed)) +
           atomic_load_explicit(&index->moving_bytes, memory_order_relaxed);
}

uint64_t index_table_check(const view_t *view)
{
    uint32_t used = 0;
    uint64_t records = 0;
    for (uint32_t at = 0; at < length_of(view); at++) {
        const entry_t *entry = entry_of(view, at);
        used += !is_empty(entry);
        records += !is_empty(entry) && !entry->mark;
        MUST(is_empty(entry) || probe(view, tag_of(entry)) == at); /* can be found, and once */
        MUST(!entry->mark || (entry->units == 0 && marks_are_left(view)));
    }
    for (uint32_t at = length_of(view); at < view->index->rows * ROW_ENTRIES; at++)
        MUST(is_empty(entry_of(view, at)));
    MUST(rows_of(view->table) <= view->index->rows);
    MUST(used == view->table->used && used * (uint64_t)100 <= length_of(view) * (uint64_t)FULL);
    return records;
}
