/* The journal: purge rules on stable storage, and the sequences they get.
 *
 * Four files in the state directory: `journal` (the rules), `sequence` (a bound up to which sequences may
 * have been handed out, always on stable storage before they are), `identity` (purge/identity.h) and `lock`
 * (one process per directory). The ledger is the journal's memory: opening fills it, and a fresh file is
 * written from it. So it must hold every rule that was acknowledged before the next call comes.
 *
 * One thread at a time: whoever starts up opens it, then the publisher owns it. All I/O goes through a table,
 * so that a test can break any call and cut at any byte. */
#ifndef SELVEDGE_PURGE_JOURNAL_H
#define SELVEDGE_PURGE_JOURNAL_H

#include "purge/ledger.h"

#include <sys/types.h>

typedef struct journal journal_t;

/* How a file is opened: to be read from its start; to be written, created or emptied; to be locked, created
 * if need be. */
typedef enum { JOURNAL_READ, JOURNAL_WRITE, JOURNAL_LOCK } journal_mode_t;

/* The calls the journal makes, on files of its one directory. Each returns a negative errno when it fails;
 * open a file's number, read and write the bytes done (fewer than asked is no failure), the others 0. lock
 * fails with -EWOULDBLOCK while another process holds it. */
typedef struct {
    void *context;
    int (*open)(void *context, const char *name, journal_mode_t mode);
    ssize_t (*read)(void *context, int file, void *data, size_t length);
    ssize_t (*write)(void *context, int file, const void *data, size_t length);
    int (*fsync)(void *context, int file);
    int (*lock)(void *context, int file);
    int (*close)(void *context, int file);
    int (*rename)(void *context, const char *from, const char *to);
    int (*unlink)(void *context, const char *name);
    int (*fsync_directory)(void *context);
} journal_io_t;

/* The real calls, files with mode 0600. 0, or a negative errno when the directory cannot be opened. */
int journal_io_posix(journal_io_t *io, const char *directory);
void journal_io_posix_close(journal_io_t *io);

typedef enum {
    JOURNAL_IO_FAILED, /* `call` on `file` failed with `number`, an errno */
    JOURNAL_LOCKED,    /* another process uses the directory */
    JOURNAL_EXHAUSTED  /* all 2^53 sequences have been used */
} journal_failure_t;

typedef struct {
    journal_failure_t failure;
    const char *call, *file;
    int number;
} journal_error_t;

/* A sentence without a full stop, for people. */
void journal_error_text(const journal_error_t *error, char *text, size_t size);

/* What was found on opening. After JOURNAL_FORGOTTEN a hard rule for everything is in force, so nothing
 * stored before will be used. */
typedef enum {
    JOURNAL_NEW,      /* the directory held neither file */
    JOURNAL_WHOLE,    /* all rules are in the ledger */
    JOURNAL_TAIL_CUT, /* so they are, but the last write had not been finished: it was never acknowledged */
    JOURNAL_FORGOTTEN /* damaged or gone */
} journal_outcome_t;

typedef struct {
    journal_outcome_t outcome;
    uint64_t rules;      /* read from the file, beside the slots it began with */
    uint64_t good_bytes; /* of the file, from its start */
    uint64_t bad_bytes;  /* after them */
    bool sequence_lost;  /* the sequence file was damaged or gone: sequences go on far above any that was seen
                          */
    uint64_t identity[2]; /* of the node (purge/identity.h), on stable storage */
    bool identity_lost;   /* there was a journal, but no identity that can be read: this one is new */
    const char *damage;   /* with JOURNAL_FORGOTTEN: what is wrong with it */
    char kept_as[48]; /* with JOURNAL_FORGOTTEN: the name the damaged file has now; empty when there was none
                       */
} journal_opening_t;

typedef struct {
    journal_io_t io;      /* copied; its context stays the caller's, until after journal_close */
    ledger_t *ledger;     /* empty; stays the caller's */
    uint64_t random;      /* another one at each start: tells the files of this run from all others */
    size_t compact_bytes; /* appended to a file until a fresh one is made, at least 1 */
    uint64_t identity[2]; /* random: of a node that has none */
} journal_config_t;

/* Reads what is there into the ledger and publishes its last sequence. NULL on failure, then *error says why.
 */
journal_t *journal_open(const journal_config_t *config, journal_opening_t *opening, journal_error_t *error);

/* Gives the rules their sequences, in order and without a gap, and puts all on stable storage with one sync.
 * false: none is acknowledged, their sequences are 0 and those that were meant for them are never used; the
 * next call begins a fresh file with all that the ledger holds. A true answer must be followed by
 * ledger_apply of each rule. */
bool journal_append(journal_t *journal, ledger_rule_t *rules, size_t count, journal_error_t *error);

/* Whether the rule's texts are short enough for a record. */
bool journal_takes(const ledger_rule_t *rule);

void journal_close(journal_t **journal);

#endif
