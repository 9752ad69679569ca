/* The memory tier: an index of homes, one for each cache key or variant, and S3-FIFO to make room.
 *
 * A home holds what is known of its key: the stored object, the growing one, a node of variants, a
 * hit-for-miss mark. Looking is lock-free and writes nothing shared but a reference count; changes are made
 * under one shard's lock, held for a few instructions. "A growing object may enter the tier only while its
 * home still points at it" is decided here.
 *
 * Every thread that calls in must be attached. Clock, ledger and network are the caller's: this is the
 * machinery around the policy (s3fifo.h) and the object (object.h). */
#ifndef SELVEDGE_EDGE_CACHE_MEMORY_H
#define SELVEDGE_EDGE_CACHE_MEMORY_H

#include "edge/cache/key.h"
#include "edge/cache/object.h"
#include "edge/cache/variants.h"

typedef struct memory memory_t;
typedef struct home home_t;

typedef struct {
    uint64_t limit_bytes;
    uint64_t max_object_bytes;
    /* Where the random bits of version ids come from. Any thread. */
    version_id_t (*new_version)(void *context);
    void *context;
} memory_config_t;

memory_t *memory_new(const memory_config_t *config);
/* Every reader has left, every fill has ended. */
void memory_free(memory_t **memory);

/* Around a thread's life; nests in nothing. */
void memory_attach_thread(void);
void memory_detach_thread(void);
/* Waits until what other threads let go of has been freed. Attached threads only. */
void memory_settle(void);

/* What is known of a key now; whatever is not NULL is a reference of the receiver's. */
typedef struct {
    object_t *stored;
    object_t *growing;
    variants_t *variants;    /* look again, with the selector it gives */
    int64_t bypass_until_ms; /* hit-for-miss: 0, or until when */
    uint64_t bypass_stamp;   /* and what it was stamped with */
} memory_view_t;

/* Lock-free. variant may be NULL. */
memory_view_t memory_look(memory_t *memory, const cache_key_t *key, const cache_variant_t *variant);
/* The same without a trace: it does not count as asked for. *variants (may be NULL): how many of the key are
 * known. */
memory_view_t memory_peek(memory_t *memory, const cache_key_t *key, const cache_variant_t *variant,
                          size_t *variants);
void memory_view_drop(memory_view_t *view);

/* The home of this key, made when there is none; a reference. */
home_t *memory_home(memory_t *memory, const cache_key_t *key, const cache_variant_t *variant);
void home_unref(home_t **home);

/* A new object of this key, in no index. */
object_t *memory_new_object(memory_t *memory, const ledger_subject_t *subject, uint64_t stamp);
/* The same of a version that has its id already. */
object_t *memory_new_object_as(memory_t *memory, const ledger_subject_t *subject, uint64_t stamp,
                               version_id_t version);

/* Puts an object into the index as the growing one, in place of the one that was seen growing. False when the
 * home is not as it was seen, or has left the index: look again. With seen NULL, it is enough that nothing
 * grows there. The object then refers to its home. */
bool memory_begin(memory_t *memory, home_t *home, object_t *object, const memory_view_t *seen);

/* --- Steps of a fill; each does nothing unless the object's home still points at it, and says so by false
 * --- */
/* Does this key's primary home lead to variants now? */
bool memory_has_variants(memory_t *memory, const cache_key_t *key);
/* Moves it to the home of the variant that `request` selects by `vary`; sets the object's variant. */
bool memory_to_variant(memory_t *memory, object_t *object, const http_vary_t *vary, http_fields_t request);
/* Takes it out of the index; with bypass_until_ms > 0, the key is marked hit-for-miss. */
bool memory_withdraw(memory_t *memory, object_t *object, int64_t bypass_until_ms);
/* The object is complete: it becomes the stored one, in place of what was. Makes room. */
bool memory_store(memory_t *memory, object_t *object);

/* A complete object that never grew in the index becomes the stored one of this home, in place of what was.
 * False when the home has left the index. */
bool memory_put(memory_t *memory, home_t *home, object_t *object);
/* It takes the place of a stored one, if that is still there. */
bool memory_replace(memory_t *memory, object_t *stored, object_t *object);

/* Takes a stored object out of the index, or what was read from below of it, but nothing newer: the ledger
 * says that it is hard-purged, or the origin has an answer instead of it that may not be stored. */
void memory_forget(memory_t *memory, object_t *stored);
/* Forgets all that is known of a key, variants included, and takes its growing objects out of the index. */
void memory_invalidate(memory_t *memory, const cache_key_t *key);
/* How many there were; and whether one of them may have been of this key, since there were `count`. What was
 * asked for before it may hold what was then. */
uint64_t memory_invalidations(const memory_t *memory);
bool memory_invalidated_since(const memory_t *memory, const cache_key_t *key, uint64_t count);

/* Takes out everything that the ledger says is hard-purged, and marks that have run out, so that their memory
 * need not wait for a request or for eviction. Walks the whole index: for housekeeping, not for a worker. How
 * many homes it emptied. */
uint64_t memory_sweep(memory_t *memory, const ledger_t *ledger, int64_t now_ms);

/* Of one key so many variants are kept: one more, and the one that came first goes. */
enum { MEMORY_VARIANTS_MAX = 64 };

/* How many responses went so, since this was last asked. */
uint64_t memory_take_variants_evicted(memory_t *memory);

/* Part of the limit that is never evicted for the sake of what cannot be: readers that hold more than the
 * rest do not cost the others their hits. */
enum { MEMORY_KEPT_PART = 2 };

/* Evicts until so many bytes more are within the limit, or no more than the kept part of it is left to evict.
 * False: they are not, even so. 0: is the account within its limit? */
bool memory_make_room(memory_t *memory, size_t bytes);
/* Makes room and charges it, for a body's reservation (account.h). False: there is none. This is what keeps
 * the account within its limit: what grows takes nothing that was not charged so before. */
bool memory_reserve(memory_t *memory, size_t bytes);
/* For tests, and for the end. */
void memory_evict_all(memory_t *memory);

/* What no eviction can free: responses on their way from the origin, and those that were evicted, replaced or
 * purged and are still being sent. */
uint64_t memory_pinned_bytes(const memory_t *memory);
/* What of this object only its readers keep in memory: nothing of one that is stored, or is to be. */
uint64_t memory_held_by_readers(object_t *object);
/* Is next to nothing free, and nothing more to be evicted? Then those who hold most for longest have to go.
 */
bool memory_is_pressed(const memory_t *memory);

uint64_t memory_max_object(const memory_t *memory);
/* Another, for what is fetched from now on. Any thread. */
void memory_set_max_object(memory_t *memory, uint64_t bytes);
uint64_t memory_limit(const memory_t *memory);
uint64_t memory_bytes(const memory_t *memory);
uint64_t memory_objects(const memory_t *memory);
memory_account_t *memory_account(memory_t *memory);

/* --- The tier below --- */

/* What it is told. `gone` is called under a shard's lock, so that who then finds nothing here finds nothing
 * below either: it may take no lock but such as are held for a few instructions. */
typedef struct {
    void *context;
    /* What was known of this name is no longer the newest: replaced, forgotten or invalidated, not evicted;
     * whether memory still had it or not. */
    void (*gone)(void *context, const ledger_hash_t *name);
    /* A fill was stored. Outside all locks. */
    void (*stored)(void *context, object_t *object);
    /* Could what is fetched for this name be kept, if it came now? Outside all locks. */
    bool (*takes)(void *context, const ledger_hash_t *name);
    /* How many bytes the largest response may have that it can keep all of. Outside all locks. */
    uint64_t (*holds)(void *context);
} memory_below_t;
/* Before any other thread calls in, and after the last one. NULL: there is none. */
void memory_set_below(memory_t *memory, const memory_below_t *below);

/* Could the tier below keep this object, which is in the index, if it were complete now? Without such a tier
 * there is nothing that could not. */
bool memory_below_takes(const memory_t *memory, const object_t *object);
/* So large a response could be kept there; 0: there is no such tier, or it keeps nothing at the moment. */
uint64_t memory_below_holds(const memory_t *memory);

/* How a key or variant is named below. */
ledger_hash_t memory_name(const cache_key_t *key, const cache_variant_t *variant);
/* Where a stored object belongs; texts and node live as long as the object. variant->selector absent: in its
 * key's own home. False: it is in no index. */
bool memory_place_of(const object_t *object, cache_key_t *key, cache_variant_t *variant, ledger_hash_t *name);

/* Calls `note` under the lock of the object's home, if it is stored there, and returns what that says; else
 * false. */
typedef bool (*memory_note_t)(void *context, const ledger_hash_t *name);
bool memory_while_stored(memory_t *memory, object_t *object, memory_note_t note, void *context);
/* The same if this key leads to that node of variants. */
bool memory_while_leads(memory_t *memory, const cache_key_t *key, const variants_t *node, memory_note_t note,
                        void *context);

/* A complete object that was read from below becomes the stored one of this key or variant, unless another is
 * by now, or `still` (asked under the lock) says that what was read is no longer so. A reference to what is
 * stored; NULL: nothing is. */
object_t *memory_put_loaded(memory_t *memory, const cache_key_t *key, const cache_variant_t *variant,
                            object_t *object, memory_note_t still, void *context);
/* The same for the node of variants that a key leads to; false: it does not. */
bool memory_put_node(memory_t *memory, const cache_key_t *key, variants_t *node, uint64_t stamp,
                     memory_note_t still, void *context);
/* What is stored of a key or variant, here or below, no longer counts; with an ETag, what is stored here only
 * if it has that. */
void memory_bury(memory_t *memory, const cache_key_t *key, const cache_variant_t *variant, text_t etag);

/* Asserts the shards' invariants; for debug builds and tests, with no other thread at work. */
void memory_check(memory_t *memory);

#endif
