/* Inside the disk tier's index: what index.c, which knows names and places, and index_table.c, which knows
 * tables and rows, share. */
#ifndef SELVEDGE_EDGE_CACHE_DISK_INDEX_PRIVATE_H
#define SELVEDGE_EDGE_CACHE_DISK_INDEX_PRIVATE_H

#include <pthread.h>

#include "edge/cache/disk/index.h"

enum { INDEX_MAGIC = 0x5e1d1de, TAG_BITS = 38, TAG_HIGH_BITS = TAG_BITS - 32, ROW_ENTRIES = 16 };

/* 12 bytes. All zero: empty. units 0: a mark, that this name was removed. */
typedef struct {
    uint32_t tag_low;
    uint32_t unit : 20, units : 12;
    uint32_t segment : 16, meta_units : 7, uses : 2, mark : 1, tag_high : TAG_HIGH_BITS;
} entry_t;
_Static_assert(sizeof(entry_t) == 12, "what an entry takes is promised");

typedef struct {
    _Alignas(CACHE_LINE) pthread_mutex_t lock;
    /* Under the lock. */
    uint32_t used;
    /* Written under the lock, and the index's of rows; read by any thread for a hint. */
    _Atomic uint32_t rows;
} table_t;

struct disk_index {
    /* Fixed after creation. */
    uint32_t magic;
    unsigned table_bits;
    uint64_t seed;
    table_t *tables;
    entry_t *entries; /* where nothing is, all is zero */
    void *reserved;
    size_t reserved_bytes;
    /* Under the lock of rows, which is taken while a table's lock is held, never the other way round. */
    _Alignas(CACHE_LINE) pthread_mutex_t rows_lock;
    size_t writable_bytes; /* from the first entry on */
    /* Atomic. */
    _Atomic uint32_t rows; /* of the longest table; written under the lock of rows */
    _Atomic bool complete;
    _Atomic bool shrinking; /* by one thread */
    _Atomic uint64_t records;
    _Atomic uint64_t expected;     /* so many records are there on starting, at most */
    _Atomic uint64_t shrunk_at;    /* so many records when it shrank last; UINT64_MAX: it has grown since */
    _Atomic uint64_t moving_bytes; /* of what holds a table's entries while it is laid out anew */
};

/* A table that is locked, and what is looked for in it. */
typedef struct {
    disk_index_t *index;
    table_t *table;
    size_t number;
    uint64_t tag;
} view_t;

static inline size_t table_count(const disk_index_t *index)
{
    return (size_t)1 << index->table_bits;
}

static inline view_t enter_table(disk_index_t *index, size_t number)
{
    MUST(pthread_mutex_lock(&index->tables[number].lock) == 0);
    return (view_t){index, &index->tables[number], number, 0};
}

static inline void leave(const view_t *view)
{
    MUST(pthread_mutex_unlock(&view->table->lock) == 0);
}

/* In its table, from 0 to its length - 1. */
static inline entry_t *entry_of(const view_t *view, uint32_t at)
{
    size_t piece = (size_t)(at / ROW_ENTRIES) * table_count(view->index) + view->number;
    return &view->index->entries[piece * ROW_ENTRIES + at % ROW_ENTRIES];
}

static inline uint64_t tag_of(const entry_t *entry)
{
    return (uint64_t)entry->tag_high << 32 | entry->tag_low;
}

static inline bool is_empty(const entry_t *entry)
{
    return entry->units == 0 && !entry->mark;
}

static inline uint32_t rows_of(const table_t *table)
{
    return atomic_load_explicit(&table->rows, memory_order_relaxed);
}

static inline uint32_t length_of(const view_t *view)
{
    return rows_of(view->table) * ROW_ENTRIES;
}

/* Under a table's lock the answer of before holds until disk_index_complete() comes to that table. */
static inline bool marks_are_left(const view_t *view)
{
    return !atomic_load_explicit(&view->index->complete, memory_order_relaxed);
}

/* Takes addresses for the tables of so large a disk: no memory, until there are entries. */
void index_tables_init(disk_index_t *index, uint64_t expected_bytes);
void index_tables_end(disk_index_t *index);

/* All of these with the view's table locked. */

/* Where the view's tag is. False: neither a record nor a mark is there. */
bool index_table_find(const view_t *view, uint32_t *at);
/* Begins to fetch where the view's tag would be; without the lock. */
void index_table_prefetch(const view_t *view);
/* One of the view's tag, which is not there. */
void index_table_add(const view_t *view, entry_t entry);
/* Takes out what is there; what stood behind it may stand there then. */
void index_table_close_up(const view_t *view, uint32_t at);
/* Asserts the table's invariants; how many records it has. */
uint64_t index_table_check(const view_t *view);

/* When there are far fewer records than there were: walks everything, with no table locked. Never by one that
 * only looks or takes out, as a worker does. */
void index_tables_shrink(disk_index_t *index);
/* All that they take. */
uint64_t index_tables_bytes(const disk_index_t *index);

#endif
