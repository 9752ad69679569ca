/* selvedgectl cache: looks into the disk tier's directories. For purge/selvedgectl_cache*.c only. */
#ifndef SELVEDGE_PURGE_SELVEDGECTL_CACHE_H
#define SELVEDGE_PURGE_SELVEDGECTL_CACHE_H

#include "edge/cache/disk/inspect.h"
#include "purge/selvedgectl.h"

/* What was opened, in the order of the command line. */
typedef struct {
    const ctl_options_t *options;
    inspection_t *dirs[CTL_DIRS_MAX];
    int dir_count;
    ledger_t *ledger; /* NULL: which purges were acknowledged cannot be told */
    int64_t now_ms;
} cache_t;

/* How a node would treat what it found there now. */
typedef enum { CACHE_FRESH, CACHE_STALE, CACHE_PURGED } cache_state_t;
cache_state_t cache_state(const cache_t *cache, const inspect_record_t *record);
int64_t cache_age_ms(const cache_t *cache, const disk_meta_t *meta);

/* What a record is of a response: "whole", "variant", "sparse", "piece". */
const char *cache_kind(const disk_meta_t *meta);

/* Prints a text without what could move the cursor. */
void cache_print(FILE *out, text_t text);

/* --- selvedgectl_cache_state.c --- */
/* The ledger that a state directory's journal tells, without a change to it; NULL: *why says why not. */
ledger_t *cache_read_ledger(const char *state, char why[INSPECT_ERROR_MAX]);

/* --- selvedgectl_cache_verify.c, selvedgectl_cache_dump.c --- */
ctl_exit_t cache_verify(const cache_t *cache);
ctl_exit_t cache_dump(const cache_t *cache, const char *key);

#endif
