/* The publisher: the one thread that makes purges true.
 *
 * Takes purges from any thread, writes all that wait to the journal as one batch, syncs once, applies them to the ledger,
 * publishes the head sequence, and only then tells each submitter. Owns the journal and is the ledger's only writer. */
#ifndef SELVEDGE_PURGE_PUBLISHER_H
#define SELVEDGE_PURGE_PUBLISHER_H

#include "purge/journal.h"
#include "purge/ledger.h"

typedef struct publisher publisher_t;

/* One purge as asked for: its rules share one acknowledgement. The caller owns it and keeps it, and the texts in its
 * rules, until `done` is called. */
typedef struct publisher_purge publisher_purge_t;
struct publisher_purge {
    ledger_rule_t *rules; /* sequence and time_ms are filled in by the publisher */
    size_t rule_count;    /* at least 1 */
    /* Called once on the publisher's thread; must not block. error is NULL when the rules are on stable storage and in
     * force, `sequence` then being the last rule's; else a sentence, and nothing was acknowledged. */
    void (*done)(publisher_purge_t *purge, uint64_t sequence, const char *error);
    publisher_purge_t *next; /* the publisher's */
};

/* Takes over the journal (open, its rules already applied to the ledger). now_ms: wall clock. */
publisher_t *publisher_start(journal_t **journal, ledger_t *ledger, int64_t (*now_ms)(void));

/* Any thread; never blocks for the disk. */
void publisher_submit(publisher_t *publisher, publisher_purge_t *purge);

/* From now on, until the same is ended, what names something of one of these sites, by URL or by tag, is a purge of
 * that site: what their keys or tags are is changing, and purges name it as it was before or as it is after. Begun
 * twice it is ended twice. Names are copied. Any thread. */
void publisher_widen(publisher_t *publisher, const text_t *sites, size_t count);
void publisher_widen_end(publisher_t *publisher, const text_t *sites, size_t count);

/* Finishes what was submitted, ends the thread, closes the journal. */
void publisher_stop(publisher_t **publisher);

#endif
