/* The purge ledger: an ordered list of purge rules, kept as tables of the highest sequences.
 *
 * A logical clock. Every rule has a sequence; a head carries the stamp its fill started at and may be served
 * only if no later rule matches it. So a purge costs the same for one object or a hundred million.
 *
 * Pure: events in (ledger_apply), answers out (ledger_judge); no thread, clock, file or random source inside.
 * Writers: one at a time (the publisher). Readers: any thread, at any time, without a lock.
 * Bounded: when the exact table is full the oldest slot is folded into a fixed hashed array of highest
 * sequences, which may purge a little too much, never too little. */
#ifndef SELVEDGE_PURGE_LEDGER_H
#define SELVEDGE_PURGE_LEDGER_H

#include "edge/base.h"

typedef struct ledger ledger_t;

/* In this order in journals: a new one comes last. */
typedef enum { RULE_URL, RULE_SITE, RULE_EVERYTHING, RULE_TAG, RULE_KINDS } rule_kind_t;

/* One purge rule. `site` is the site's name, `target` the normalised path and query, or the tag; each empty
 * where the kind has none. */
typedef struct {
    rule_kind_t kind;
    bool soft;         /* stale as of `time_ms`, rather than never used again */
    uint64_t sequence; /* its place in the ledger; greater than any before it */
    int64_t time_ms;   /* wall clock, milliseconds since the epoch */
    text_t site;
    text_t target;
} ledger_rule_t;

/* 128 bits that name a slot. */
typedef struct {
    uint64_t low, high;
} ledger_hash_t;

/* What rules can say about one stored response and its key tells, computed once. */
typedef struct {
    ledger_hash_t url;
    ledger_hash_t site;
} ledger_subject_t;

/* The names of its tags, in any order, which its head tells. */
typedef struct {
    const ledger_hash_t *at;
    size_t count;
} ledger_tags_t;

typedef enum {
    LEDGER_VALID, /* no rule after the stamp matches */
    LEDGER_SOFT,  /* stale as of stale_since_ms; a 304 or a new response lifts it */
    LEDGER_HARD   /* never to be used again, not even for a conditional request */
} ledger_verdict_t;

typedef struct {
    ledger_verdict_t verdict;
    int64_t stale_since_ms; /* with LEDGER_SOFT: never later than the earliest matching rule's time */
} ledger_judgement_t;

/* exact_slots: URL, site and tag slots held exactly, at least 16. folded_slots: a power of two, at least 16.
 */
ledger_t *ledger_new(size_t exact_slots, size_t folded_slots);
void ledger_free(ledger_t **ledger);

/* The publisher's two steps, in this order, after the rule is on stable storage:
 * the tables hold the rule; then the head sequence is stored with release. */
void ledger_apply(ledger_t *ledger, const ledger_rule_t *rule);
void ledger_publish(ledger_t *ledger, uint64_t sequence);

/* The head sequence (acquire). A request loads it once, after it has been parsed. */
uint64_t ledger_sequence(const ledger_t *ledger);

/* Names the slots of a response by its site's name and its normalised target. */
ledger_subject_t ledger_subject(text_t site, text_t target);

/* The same with the site's slot named already: another subject of that site. For those who do this for each
 * request. */
ledger_subject_t ledger_subject_beside(const ledger_subject_t *sibling, text_t site, text_t target);

/* Names a tag of a site's responses. */
ledger_hash_t ledger_tag(text_t site, text_t tag);

/* Is a response with this stamp still valid? Sees at least every rule up to the last ledger_sequence() this
 * thread read. */
ledger_judgement_t ledger_judge(const ledger_t *ledger, const ledger_subject_t *subject, uint64_t stamp);
/* The same for one that has tags. */
ledger_judgement_t ledger_judge_tagged(const ledger_t *ledger, const ledger_subject_t *subject,
                                       ledger_tags_t tags, uint64_t stamp);

/* The latest rule that matches a response of this name, whatever its stamp; sequence 0: there is none. For
 * people: a rule that was folded may be another's. */
typedef struct {
    rule_kind_t kind;
    bool soft;
    uint64_t sequence;
    size_t tag; /* RULE_TAG: its place among the tags */
} ledger_match_t;
ledger_match_t ledger_last_match(const ledger_t *ledger, const ledger_subject_t *subject, ledger_tags_t tags);

/* What the rules of one slot come to: enough to answer for any stamp, and two can be joined into one. */
typedef struct {
    uint64_t hard;            /* highest sequence of a hard rule, 0: none */
    uint64_t soft;            /* highest sequence of a soft rule, 0: none; the next three go with it */
    int64_t soft_time_ms;     /* the time of that rule */
    uint64_t soft_before;     /* the highest soft sequence before it, 0: none */
    int64_t soft_earliest_ms; /* the earliest time of any soft rule here */
} ledger_marks_t;

/* The tables' content, slot by slot, for whoever keeps it on stable storage. */
typedef enum { LEDGER_EVERYTHING, LEDGER_EXACT, LEDGER_FOLDED, LEDGER_TABLES } ledger_table_t;

typedef struct {
    ledger_table_t table;
    ledger_hash_t name; /* of a folded cell: low is its index, high the number of cells */
    ledger_marks_t marks;
} ledger_slot_t;

/* Visits every slot that holds something, the exact ones oldest first. Writer's thread only. */
void ledger_export(const ledger_t *ledger, void (*visit)(void *context, const ledger_slot_t *slot),
                   void *context);

/* Joins one exported slot into this ledger, whose tables may have other sizes. Writer's thread only. */
void ledger_import(ledger_t *ledger, const ledger_slot_t *slot);

/* The highest sequence the tables hold, published or not. Writer's thread only. */
uint64_t ledger_applied(const ledger_t *ledger);

/* Slots held exactly now; for tests and the status page. Writer's thread only. */
size_t ledger_exact_used(const ledger_t *ledger);

/* Asserts the structure's invariants; for debug builds and tests, writer's thread only. */
void ledger_check(const ledger_t *ledger);

#endif
