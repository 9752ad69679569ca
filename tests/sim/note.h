/* What a run says of itself: counts of the interesting things (a run in which one of them never happened
 * proves nothing), a hash over all that happened (the same seed must give the same), a trace for people, and
 * the end of a run at the first violation. */
#ifndef SELVEDGE_TESTS_SIM_NOTE_H
#define SELVEDGE_TESTS_SIM_NOTE_H

#include "edge/base.h"

#define NOTES(X)                                                                                             \
    X(REQUESTS, "requests")                                                                                  \
    X(HITS, "hits")                                                                                          \
    X(JOINS, "joins of a growing object")                                                                    \
    X(JOINS_WITH_HEAD, "joins after its head")                                                               \
    X(FILLS, "fills")                                                                                        \
    X(PASSES, "passes")                                                                                      \
    X(STALE_HITS, "stale hits while the origin is asked")                                                    \
    X(STALE_KNOWN, "stale hits as the origin was known to fail")                                             \
    X(STALE_ON_ERROR, "answered with what is stored when the origin failed")                                 \
    X(BACKGROUND, "fills in the background")                                                                 \
    X(BACKGROUND_FAILED, "fills in the background that failed")                                              \
    X(BACKGROUND_READ, "fills in the background that somebody read")                                         \
    X(REPLACED, "growing objects replaced after a purge")                                                    \
    X(MOVED_AGAIN, "moved on at the head")                                                                   \
    X(MOVED_ALONE, "went alone at the head")                                                                 \
    X(BASES, "conditional requests upstream")                                                                \
    X(NOT_MODIFIED, "304s from the origin")                                                                  \
    X(REVALIDATED, "hits on what a 304 freshened")                                                           \
    X(BASE_DROPPED, "304s of something else")                                                                \
    X(VARIANT_HITS, "hits on variants")                                                                      \
    X(TO_VARIANT, "objects moved to a variant's home")                                                       \
    X(INDEXED_LATE, "passes that became storable")                                                           \
    X(COMPLETE, "bodies complete")                                                                           \
    X(FAILED_HEADS, "answered with a failure")                                                               \
    X(FAILED_BODIES, "bodies cut off by a failure")                                                          \
    X(ABORTS, "clients that left early")                                                                     \
    X(ABANDONED, "fills cancelled, nobody reads")                                                            \
    X(FINISHED_UNREAD, "fills finished though nobody reads")                                                 \
    X(WINDOWED, "bodies through a window")                                                                   \
    X(GREW_TOO_LARGE, "bodies that became too large to be kept")                                             \
    X(PAUSES, "pauses")                                                                                      \
    X(RESUMES, "resumes")                                                                                    \
    X(STALLED, "pauses over their time")                                                                     \
    X(NO_MEMORY, "refused, as there was no memory")                                                          \
    X(RANGES, "ranges asked for")                                                                            \
    X(SPARSE_HITS, "hits on what is kept in pieces")                                                         \
    X(SPARSE_RENEWED, "304s about what is kept in pieces")                                                   \
    X(PIECE_HITS, "pieces from the store")                                                                   \
    X(PIECE_JOINS, "pieces read along")                                                                      \
    X(PIECE_FILLS, "pieces fetched")                                                                         \
    X(RUNS, "pieces in a row asked for at once")                                                             \
    X(PIECES_IN_RUNS, "pieces to come behind another")                                                       \
    X(SPLIT, "bodies split as they came")                                                                    \
    X(SPLIT_WHOLE, "such bodies that came whole")                                                            \
    X(LEFT_OUT, "pieces waited for that did not come behind another")                                        \
    X(PIECES_STORED_UNREAD, "pieces finished though nobody reads")                                           \
    X(VERSION_ENDED, "pieces of another version refused")                                                    \
    X(PIECES_PURGED, "pieces not fetched, what they are of being purged")                                    \
    X(PARTS_COMPLETE, "parts complete, from pieces")                                                         \
    X(WHOLES_IN_PIECES, "wholes complete, from pieces")                                                      \
    X(TURNED, "whole answers that became a first piece")                                                     \
    X(STREAMS, "answers from pieces that went on as a stream, as the origin takes no ranges")                \
    X(ENDED_AT_HEAD, "whole answers ended at their head, to be asked for in pieces")                         \
    X(ASKED_ON, "bodies that broke off and were asked on for")                                               \
    X(RESTS_TAKEN, "rests taken")                                                                            \
    X(RESTS_OF_PIECES, "rests of pieces taken")                                                              \
    X(RESTS_WINDOWED, "rests taken of bodies through a window")                                              \
    X(RESTS_REFUSED, "rests of another version refused")                                                     \
    X(RESTS_NOT_STORED, "rests that forbade to store")                                                       \
    X(RESTS_GIVEN_UP, "bodies that broke off once too often")                                                \
    X(BEHIND, "readers cut off")                                                                             \
    X(ASKED_FOR_PAUSES, "asked again on a connection that can pause")                                        \
    X(INVALIDATED, "unsafe methods that invalidate")                                                         \
    X(HARD_URL, "hard URL purges")                                                                           \
    X(HARD_SITE, "hard site purges")                                                                         \
    X(HARD_TAG, "hard tag purges")                                                                           \
    X(HARD_EVERYTHING, "hard purges of everything")                                                          \
    X(SOFT_URL, "soft URL purges")                                                                           \
    X(SOFT_SITE, "soft site purges")                                                                         \
    X(SOFT_TAG, "soft tag purges")                                                                           \
    X(SOFT_EVERYTHING, "soft purges of everything")                                                          \
    X(PURGE_BATCHES, "purges of several rules")                                                              \
    X(PURGE_IN_FLIGHT, "purges aimed at a fill in flight")                                                   \
    X(PURGE_FAILED, "purges that failed on the disk")                                                        \
    X(FORGOTTEN, "hard-purged objects met")                                                                  \
    X(SWEPT, "homes emptied by housekeeping")                                                                \
    X(FOLDED, "folded ledger cells")                                                                         \
    X(EVICTIONS, "evictions")                                                                                \
    X(DISK_HITS, "hits from disk")                                                                           \
    X(DISK_WAITS, "waits for a drive")                                                                       \
    X(DISK_WAITS_IN_VAIN, "waits for a drive in vain")                                                       \
    X(PIECES_BEHIND, "pieces asked for while their drive had too much to write")                             \
    X(PIECES_FROM_DISK, "pieces from disk")                                                                  \
    X(LOADED, "records that entered memory")                                                                 \
    X(LOADED_TOO_LATE, "records read that were gone by then")                                                \
    X(REVOKED, "records revoked as they entered the index")                                                  \
    X(TOMBSTONES, "tombstones")                                                                              \
    X(MOVED_RECORDS, "records written again")                                                                \
    X(MOVED_IN_VAIN, "records written again that were gone by then")                                         \
    X(FOUND, "records found on starting")                                                                    \
    X(FOUND_OLDER, "older records passed over on starting")                                                  \
    X(FOUND_BURIED, "tombstones found on starting")                                                          \
    X(GONE_BEFORE_FOUND, "names that went before all was found")                                             \
    X(AGREED, "times that memory and the index agreed on an object")                                         \
    X(CAME_BACK, "records whose tombstone a crash forestalled")                                              \
    X(CHECKSUM_FAILURES, "records that did not verify")                                                      \
    X(READ_ERRORS, "reads of drives that failed")                                                            \
    X(READ_TIMEOUTS, "reads of drives that were late")                                                       \
    X(WRITE_ERRORS, "writes to drives that failed")                                                          \
    X(DROPPED_QUEUE, "records for which a drive was too slow")                                               \
    X(DROPPED_SIZE, "objects too large for a record")                                                        \
    X(DROPPED_BROKEN, "records that could not be written")                                                   \
    X(DEVICES_FAILED, "drives taken out")                                                                    \
    X(TORN_WRITES, "writes to drives torn by a crash")                                                       \
    X(FLIPS, "bits that flipped on drives")                                                                  \
    X(ENDS_FLIPPED, "headers and trailers that flipped")                                                     \
    X(SEGMENTS_DAMAGED, "segments that can be read in no way")                                               \
    X(RECORDS_MISPLACED, "records in the place of others")                                                   \
    X(LOCKED, "drives that another process had")                                                             \
    X(DRIVES_CUT, "drives that lost their power")                                                            \
    X(START_FAILED, "starts of the disk tier that failed")                                                   \
    X(NOTED, "notes of which drives miss nothing")                                                           \
    X(NOTES_FAILED, "such notes that failed")                                                                \
    X(ANOTHERS, "drives refused as another node's")                                                          \
    X(POWER_CUTS, "restarts after a power cut")                                                              \
    X(KILLS, "restarts after a kill")                                                                        \
    X(STATES_LOST, "state directories lost")                                                                 \
    X(STATES_RESTORED, "state directories restored from an older copy")                                      \
    X(STATES_DAMAGED, "state directories damaged")                                                           \
    X(JOURNALS_FORGOTTEN, "damaged journals forgotten")                                                      \
    X(DRIVES_RESIZED, "drives of another size than before")                                                  \
    X(DRIVES_APART, "drives left out of a life")                                                             \
    X(NAMES_MOVED, "names that another drive has from now on")                                               \
    X(STOPS, "restarts after a stop")                                                                        \
    X(TAILS_CUT, "journals with a torn tail")                                                                \
    X(UNACKNOWLEDGED, "purges that a crash left without an answer")                                          \
    X(PREEMPTIONS, "threads held up inside the code")

typedef enum {
#define NOTE_NAME(name, text) NOTE_##name,
    NOTES(NOTE_NAME)
#undef NOTE_NAME
        NOTE_KINDS
} note_t;

typedef struct {
    uint64_t counts[NOTE_KINDS];
} notes_t;

extern notes_t notes;

static inline void note_count(note_t note)
{
    notes.counts[note]++;
}
const char *note_text(note_t note);

/* Begins the story of one seed. program: as the replay command names it. */
void note_begin(const char *program, uint64_t seed, bool trace);
uint64_t note_hash(void);
/* One line of the story: `what` must be a literal; the numbers go into the hash. */
void note_event(const char *what, uint64_t a, uint64_t b, uint64_t c);

/* Ends the process with 1 after saying what is wrong and how to replay it. */
_Noreturn void note_violation(const char *format, ...) __attribute__((format(printf, 1, 2)));

#endif
