/* Drop-behind: what a growing file was written with leaves the kernel's page cache again.
 *
 * An access log takes as many new pages as it grows by, and keeps them: what the machine caches for others
 * makes way for lines that nobody reads twice, and each new page is memory that was not in use, which a
 * virtual machine has to ask its host for (seen: nine microseconds a page, more than all else that a line
 * costs). So what lies behind is written to the disk early and its pages are given up; the next lines take
 * the same ones. The newest KEPT_BYTES stay, for whoever reads along.
 *
 * A thread of its own does it, for starting to write may wait for the disk: the log's writer need not. */
#ifndef SELVEDGE_EDGE_OBSERVE_DROP_BEHIND_H
#define SELVEDGE_EDGE_OBSERVE_DROP_BEHIND_H

#include "edge/base.h"

typedef struct drop_behind drop_behind_t;

enum {
    DROP_BEHIND_STEP_BYTES = 1 << 20, /* at once */
    DROP_BEHIND_KEPT_BYTES = 8 << 20
};

drop_behind_t *drop_behind_start(void);
void drop_behind_stop(drop_behind_t **drop);

/* Both by one thread. From now on this file, whatever it holds already; -1: none. The descriptor stays the
 * caller's. */
void drop_behind_take(drop_behind_t *drop, int fd);
/* So many bytes more are in it. Never waits for the disk. */
void drop_behind_wrote(drop_behind_t *drop, size_t bytes);

/* --- What the thread does with one file; for tests --- */

typedef struct {
    int64_t begin;   /* what lies before was not written by us */
    int64_t started; /* up to here writing to the disk has begun */
} drop_behind_file_t;

void drop_behind_open(drop_behind_file_t *file, int fd);
/* Has the disk begin with what is new, and drops what it has. */
void drop_behind_step(drop_behind_file_t *file, int fd);

#endif
