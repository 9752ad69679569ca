/* What may come back from the disk tier: of each name, what was written last, and nothing that was replaced
 * or invalidated since; after a restart, too, but for what the end of the node's life left no time to write
 * down. See README.md. */
#ifndef SELVEDGE_TESTS_SIM_REFEREE_DISK_H
#define SELVEDGE_TESTS_SIM_REFEREE_DISK_H

#include "edge/cache/disk/disk.h"

typedef enum { GONE_UNSAID, GONE_QUEUED, GONE_NO_DEVICE } gone_kind_t;

/* What tells one record of a name from another. */
typedef struct {
    uint64_t version, answer;
} record_id_t;
enum { RECORD_OF_NODE = INT32_MAX, RECORD_OF_PIECE = INT32_MAX - 1 }; /* instead of an answer */

void referee_disk_begin(void);
void referee_disk_end(void);

/* What the code does, as it does it. Under the lock of the name's home: memory has this stored; a record of
 * it is on its way to the disk; what is known of the name no longer counts, and a tombstone was queued, or
 * need not be; this one was read and enters memory, among the variants of a node or not. */
void referee_stored(const ledger_hash_t *name, record_id_t id);
void referee_kept(const ledger_hash_t *name, unsigned drive, record_id_t id, uint64_t stamp);
void referee_gone(const ledger_hash_t *name, gone_kind_t kind);
/* A record of this version has entered the index, since a moment at which it was not there. */
void referee_indexed(const ledger_hash_t *name, uint64_t version, uint64_t moment);
void referee_loaded(const ledger_hash_t *name, record_id_t id, const record_id_t *node);
bool referee_is_kept(const ledger_hash_t *name, record_id_t id);
/* One that is about to enter memory, and its stamp. */
void referee_stamped(const ledger_hash_t *name, record_id_t id, uint64_t stamp);
/* The writer has taken the oldest tombstone of this name; all that it has taken is in the drive's files. */
void referee_buried(unsigned drive, const ledger_hash_t *name);
void referee_flushed(unsigned drive);
/* A tombstone of it stands in this file of the drive now. */
void referee_entombed(unsigned drive, const ledger_hash_t *name, size_t file);
/* The writer of a drive that fails in nothing rests until then, or until something comes. */
void referee_rests(unsigned drive, int64_t until_us);

/* What drives did. */
/* What an earlier life wrote is another thing by now, which this one has yet to find. */
void referee_lied(unsigned drive);
void referee_synced(unsigned drive, size_t file, bool all);
void referee_disowned(unsigned drive, bool durable);
void referee_owned(unsigned drive);
/* Beside the journal it is noted that its directory misses nothing; false: the next start forgets it. */
void referee_listed(unsigned drive, bool listed);

/* The node's life ends, in one of three ways. */
void referee_drive_ends(unsigned drive, int how);
/* Whatever was there before is another node's. */
void referee_drives_are_foreign(void);
/* The journal is an older copy, which ends at this sequence: what has a later stamp is from after it. */
void referee_journal_is_older(uint64_t sequence);
/* A life begins, with other drives or sizes: by owner() of the name, whose it is from now on. */
void referee_drives_vary(unsigned (*owner)(const ledger_hash_t *name));

/* In this life, has something been read of what an end of before had left no time to bury? */
bool referee_came_back(unsigned answer);

#endif
