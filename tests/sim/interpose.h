/* Functions that the linker puts in the place of others (ld --wrap), in the code under test only:
 *
 * - Where it crosses into another part (a lock taken or given back, the ledger asked or changed, the index
 * looked at), the running thread may be held up. Nothing else changes.
 * - Threads that the code makes, and the conditions they wait on, are simulated (interpose_threads.c):
 * purge/publisher.c and edge/cache/disk/ run as they are.
 * - Grace periods end when the schedule says so, and not while a thread is inside a read section.
 * - Allocations weigh what was asked for, rounded as glibc rounds, so that no seed depends on the allocator's
 * mood.
 */
#ifndef SELVEDGE_TESTS_SIM_INTERPOSE_H
#define SELVEDGE_TESTS_SIM_INTERPOSE_H

#include <pthread.h>

#include "edge/cache/disk/index.h"
#include "edge/cache/disk/record.h"
#include "purge/ledger.h"

/* The linker's names for what is replaced and what replaces it. */
#define REAL(name) __real_##name
#define WRAP(name) __wrap_##name

/* Frees what waited for it. */
void interpose_grace_period(void);

/* When (schedule_moment) the head sequence first reached this one, 0: not yet. `from` the start of the node's
 * life. */
uint64_t interpose_published(uint64_t sequence);
void interpose_forget_published(void);

/* It is noted by now which directories miss nothing; disk NULL: while it starts. */
struct disk;
void interpose_noted(const struct disk *disk, const uint8_t *data, size_t length);
/* Is it one that the node uses now? */
bool interpose_is_open(unsigned drive);
/* Whose of the drives this name is. */
unsigned interpose_owner(const ledger_hash_t *name);

/* Does so much wait to be written there that nothing more is to be fetched for it? */
bool interpose_is_behind(const ledger_hash_t *name);

/* Is all of what is on disk in the index? */
bool interpose_has_found_all(const struct disk *disk);

/* Does the index of the disk tier (NULL: there is none) say of what memory has stored what it should? */
struct memory;
void interpose_check_agreement(struct disk *disk, struct memory *memory);
/* What stands in the files there. False: nothing of this life of the slot, whole or not. */
bool interpose_see_record(struct disk *disk, const disk_place_t *place, record_t *record);
/* The running thread is about to sleep on this, until then. */
void interpose_sleeps(const pthread_cond_t *condition, int64_t until_us);

#endif
