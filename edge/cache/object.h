/* An object: one version of one response, from the moment its fill starts. A fill is an object that is still
 * growing; whoever asks for the same key reads along. That one mechanism is request collapsing,
 * read-while-write and streaming.
 *
 * An end is one of three: open, complete, failed. Nothing else ever means "finished".
 *
 * One filler (the puller) gives it a head, bytes and an end. Readers join, read and leave from any thread.
 * What readers and filler must be told goes through their own callbacks, called under the object's lock: they
 * only carry a message. Pure: no thread, clock or random source inside. */
#ifndef SELVEDGE_EDGE_CACHE_OBJECT_H
#define SELVEDGE_EDGE_CACHE_OBJECT_H

#include "edge/cache/body.h"
#include "edge/cache/head.h"
#include "edge/http/stale.h"
#include "purge/ledger.h"

typedef struct object object_t;
typedef struct object_reader object_reader_t;
typedef struct object_filler object_filler_t;
typedef struct variants variants_t;

typedef enum { OBJECT_OPEN, OBJECT_COMPLETE, OBJECT_FAILED } object_end_t;

/* How a fill failed, for those who get no head: the status to answer and a token for Cache-Status. */
typedef struct {
    int status;         /* 502, 503, 504, 508 */
    const char *detail; /* static */
} object_failure_t;

/* One who reads along. Embedded in a request; everything is set by object_join(). */
struct object_reader {
    /* Fixed while joined. */
    object_t *object;       /* the reader's reference */
    uint64_t join_sequence; /* the head sequence its request loaded */
    bool owner;             /* the fill was started for it */
    void (*wake)(
        object_reader_t *reader); /* any thread, under the object's lock: must only carry a message */
    /* Under the object's lock while the object is open; then the reader's own. */
    object_reader_t *next, **link;
    uint64_t first, offset, end; /* in bytes: where it began (so far before `offset` as it has taken), where
                                    it reads next, and where it stops; UINT64_MAX: at the body's end */
    bool joined, waiting, behind;
};

/* Who fills it. */
enum {
    FILLER_ABANDONED = 1, /* the last reader left */
    FILLER_ROOM = 2       /* a full window has room again */
};
struct object_filler {
    void (*notify)(object_filler_t *filler, unsigned events); /* any thread, under the object's lock */
};

/* release: called once when the last reference is gone and head and body are freed; it frees the object with
 * object_destroy(), perhaps later, when no thread can be about to look at it (object_try_ref). */
object_t *object_new(memory_account_t *account, const ledger_subject_t *subject, uint64_t stamp,
                     version_id_t version, void (*release)(object_t *object));
void object_destroy(object_t *object);
void object_ref(object_t *object);
/* Takes a reference only from a count that is not zero. */
bool object_try_ref(object_t *object);
void object_unref(object_t **object);
/* How many references there are at this moment. Others may take and give back some meanwhile: a hint. */
uint32_t object_refs(const object_t *object);

/* --- Fixed after creation --- */
uint64_t object_stamp(const object_t *object);
const ledger_subject_t *object_subject(const object_t *object);
version_id_t object_version(const object_t *object);
/* That of the bytes of a complete object: of what a validation freshened, the version of before. */
version_id_t object_body_version(const object_t *object);

/* --- Any thread --- */
object_end_t object_end(const object_t *object);
/* NULL until the head has arrived; then fixed. */
const head_t *object_head(const object_t *object);
/* May others than the owner be answered with it? Meaningful once there is a head. */
bool object_shareable(const object_t *object);
/* Was it to be stored when its head arrived? Meaningful once there is a head. */
bool object_admitted(const object_t *object);
/* Is it a head alone, with the body kept in pieces? Meaningful once there is a head. */
bool object_sparse(const object_t *object);
/* Did a 304 make it? Meaningful once there is a head. */
bool object_revalidated(const object_t *object);
/* After OBJECT_FAILED. */
object_failure_t object_failure(const object_t *object);
/* What selected this variant; NULL and empty without Vary. Fixed before the head is seen. */
const variants_t *object_variants(const object_t *object);
text_t object_selector(const object_t *object);
/* Bytes so far. */
uint64_t object_length(object_t *object);

/* The ledger's verdict on it for a request that loaded this head sequence; a verdict found for a later or the
 * same sequence before is remembered, so a hit pays one comparison. */
ledger_judgement_t object_judge(object_t *object, const ledger_t *ledger, uint64_t sequence);
/* The same by the rules of now, without a trace. */
ledger_judgement_t object_judge_now(const object_t *object, const ledger_t *ledger);

/* Of a stored object: the origin was asked about it, and failed. answered: with an error as its answer. */
void object_note_trouble(object_t *object, int64_t now_ms, bool answered);
http_trouble_t object_trouble(const object_t *object);

/* --- Readers --- */
/* Takes a reference. False when one can no longer begin at byte 0 of it: failed, or its window has moved on.
 */
bool object_join(object_t *object, object_reader_t *reader, uint64_t join_sequence, bool owner,
                 void (*wake)(object_reader_t *reader));
/* Reads a complete object: takes over the reference; nobody will be woken. */
void object_open(object_t **object, object_reader_t *reader);
/* Stops wakes and gives the reference back; a wake already on its way may still arrive. */
void object_leave(object_reader_t *reader);
/* Asks to be woken when the head has arrived or the object ended. False when that is so already. */
bool object_wait_head(object_reader_t *reader);

/* Reads the bytes from `first` on, `end` excluded, instead of all of them. Before the first read, or when all
 * that it wanted was read; the body is at least as long as `end`, or will be. A window is not held for what
 * such a reader does not want; a reader that goes back to what the window has left has fallen behind. */
void object_seek(object_reader_t *reader, uint64_t first, uint64_t end);

typedef enum {
    READ_BYTES,  /* a span, good until the reader leaves; the offset has moved past it */
    READ_WAIT,   /* none yet: wake() will be called */
    READ_END,    /* all that it wanted was read; all there is: and the object is complete */
    READ_FAILED, /* the fill failed: what was sent is not whole */
    READ_BEHIND  /* fell behind a bounded window, and was cut off */
} object_read_t;
object_read_t object_read(object_reader_t *reader, size_t most, body_span_t *span);

/* --- The filler, one thread at a time --- */
void object_set_filler(object_t *object, object_filler_t *filler);
/* The filler goes on with another object, which nobody reads yet. */
void object_pass_filler(object_t *from, object_t *to);
void object_set_variant(object_t *object, variants_t **variants, char **selector, size_t selector_length);
enum {
    OBJECT_SHAREABLE = 1, /* may answer others than the owner */
    OBJECT_ADMITTED = 2,  /* will be stored if it completes */
    OBJECT_WINDOWED = 4,  /* no more than WINDOW_BLOCKS of the body are kept */
    OBJECT_SPARSE = 8     /* a head alone: the body is kept in pieces (pieces.h) */
};
/* Takes over the head. flags: of the above. Its body may be given its reservation from then on. */
void object_begin(object_t *object, head_t **head, unsigned flags);
/* From now on no more than a window of the body is kept. */
void object_make_windowed(object_t *object);
enum { WINDOW_BLOCKS = 8 };
/* How many of `wanted` bytes may be appended now. Fewer than all, as a window is full: FILLER_ROOM will be
 * notified. */
size_t object_room(object_t *object, size_t wanted);
/* How many of them fit into what is reserved, and what must be reserved for more (body_fits). Fewer than all
 * of a window: FILLER_ROOM will be notified when readers have made room. */
size_t object_fits(object_t *object, size_t wanted, size_t *lacking);
void object_reserve(object_t *object, size_t bytes);
void object_append(object_t *object, const void *bytes, size_t length);
/* Cuts off the readers for which the filler waits (object_room() gave less than was wanted); how many. */
unsigned object_cut_laggards(object_t *object);
void object_complete(object_t *object);
/* What has to be reserved so that it then gives back what its last block does not use (body_seal_lacks). */
size_t object_complete_lacks(object_t *object);
/* Completes it with a head alone. flags: with OBJECT_SPARSE. of: the version of the bytes that it is the head
 * of; NULL: its own. */
void object_complete_sparse(object_t *object, head_t **head, unsigned flags, const version_id_t *of);
/* Completes it with another's body and a head made for it: what a 304 does. Of a sparse one it is sparse,
 * too. */
void object_adopt(object_t *object, head_t **head, unsigned flags, object_t *base);
/* Completes it with a head and a body that were kept elsewhere; takes over both. What was sparse has an empty
 * one. Nobody has seen it. */
void object_complete_loaded(object_t *object, head_t **head, unsigned flags, body_t **body);
void object_fail(object_t *object, object_failure_t failure);
/* Fails it when nobody reads it, so that nobody joins what is about to be cancelled. */
bool object_fail_if_unread(object_t *object, object_failure_t failure);
bool object_unread(object_t *object);
/* Can its readers go back to any byte that has come? Not where it streams through a window. */
bool object_keeps(object_t *object);
/* Bytes that it holds in memory for its readers; 0 while it grows and is to be stored. */
uint64_t object_held(object_t *object);
/* The most bytes that one of those who left had taken. */
uint64_t object_taken(object_t *object);

/* Is it to be offered to the tier below? Once: from then on it has been, until it is to be again. Any thread;
 * writes nothing that does not change. */
bool object_offer(object_t *object);
void object_offer_again(object_t *object);
/* Of two complete ones: does the later one, of the same bytes, say nothing new but that they are good from
 * now on? What is kept of the first stands for it as well: an older time makes it stale sooner, no more. So
 * it is of what is good for no longer than OBJECT_KEPT_OLD_MS; what lasts is worth being written with its new
 * time. */
enum { OBJECT_KEPT_OLD_MS = 10 * 60 * 1000 };
bool object_confirms(const object_t *later, const object_t *stored);
/* It takes over whether that was offered. */
void object_offered_as(object_t *object, const object_t *other);

/* What a complete object weighs in memory, in bytes. */
size_t object_weight(const object_t *object);

/* Room for whoever frees it a grace period later, and back. */
struct rcu_head;
struct rcu_head *object_reclaim(object_t *object);
object_t *object_of_reclaim(struct rcu_head *reclaim);

/* The memory tier's own handle on it; the filler's thread only. */
void *object_home(const object_t *object);
void object_set_home(object_t *object, void *home);

void object_check(object_t *object);

#endif
