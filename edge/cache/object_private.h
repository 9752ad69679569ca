/* The insides of an object, shared by its files: object.c (life, what is known of it, readers) and
 * object_filler.c (the steps of a fill). Nobody else includes this. */
#ifndef SELVEDGE_EDGE_CACHE_OBJECT_PRIVATE_H
#define SELVEDGE_EDGE_CACHE_OBJECT_PRIVATE_H

#include <pthread.h>
#include <urcu/call-rcu.h>

#include "edge/cache/object.h"

enum { OBJECT_MAGIC = 0x5e10b3c7 };

struct object {
    /* What a hit looks at comes first, on one line of the processor's cache. */
    uint32_t magic;
    _Atomic uint32_t refs;
    /* Up to which sequence it was found valid; a soft match's time is stored before. */
    _Atomic uint64_t checked;
    _Atomic int64_t soft_since_ms;
    /* Set once by the filler, with release; read by anybody, with acquire. */
    head_t *_Atomic head;
    _Atomic int end; /* object_end_t */
    /* Set by the filler before `head` is, then fixed. */
    uint16_t flags;
    /* By whoever offers it to the tier below, or has it from there. */
    _Atomic bool offered;
    /* Set before `end` is complete, then fixed: a body that is in one piece; data NULL otherwise. */
    text_t whole;
    /* Fixed after creation. */
    uint64_t stamp;
    ledger_subject_t subject;
    version_id_t version;
    memory_account_t *account;
    void (*release)(object_t *object);
    /* Set by the filler before `head` is, then fixed. */
    bool revalidated;
    variants_t *variants;
    char *selector;
    size_t selector_length;
    object_failure_t failure; /* set before `end` is */
    /* The filler's thread only, until the end; then fixed. */
    void *home;
    /* Under the lock until the end is complete; then fixed, and read without it. */
    body_t *body;
    pthread_mutex_t lock;
    /* Under the lock. */
    object_reader_t *readers;
    size_t reader_count;
    uint64_t taken; /* by who took most of those who left */
    object_filler_t *filler;
    bool windowed, filler_waits, filler_lacks; /* for the window to move on; for memory that readers hold */
    /* Of what is stored and stale; the time is stored before. */
    _Atomic unsigned troubles;
    _Atomic int64_t last_trouble_ms;
    _Atomic bool last_answered;
    /* After the last reference. */
    struct rcu_head reclaim;
};

static inline void object_lock(object_t *object)
{
    MUST(pthread_mutex_lock(&object->lock) == 0);
}

static inline void object_unlock(object_t *object)
{
    MUST(pthread_mutex_unlock(&object->lock) == 0);
}

static inline void object_charge(object_t *object, int64_t bytes)
{
    atomic_fetch_add_explicit(&object->account->bytes, bytes, memory_order_relaxed);
}

/* Does it still have to read what comes after its offset? */
static inline bool object_is_reading(const object_reader_t *reader)
{
    return !reader->behind && reader->offset < reader->end;
}

/* In a windowed object: lets go of what every reader has taken, and tells a filler that waits for it. Under
 * the lock. */
void object_slide_window(object_t *object);

#endif
