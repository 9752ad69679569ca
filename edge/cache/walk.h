/* The walk through the tiers: from a key to what answers it, and the second look when a head has arrived.
 *
 * The decisions of a request, apart from any protocol or thread: the daemon and the simulation both walk
 * here. What memory does not have is looked for on disk; the shared tier will come between that and the fill.
 */
#ifndef SELVEDGE_EDGE_CACHE_WALK_H
#define SELVEDGE_EDGE_CACHE_WALK_H

#include "edge/cache/disk/disk.h"
#include "edge/cache/pieces.h"
#include "edge/http/request_control.h"

/* What a request asks with. All of it is the caller's. */
typedef struct {
    memory_t *memory;
    const ledger_t *ledger;
    cache_key_t key;
    http_fields_t fields;                  /* of the request: they select variants */
    uint64_t sequence;                     /* the head sequence, loaded once after the request was parsed */
    int64_t now_ms;                        /* wall clock */
    const http_request_control_t *control; /* what the request takes; NULL: that does not count */
    void (*wake)(object_reader_t *reader);
    disk_t *disk;      /* NULL: there is none, or the request does without it */
    disk_wait_t *wait; /* for what only a device has; NULL: that is not waited for */
    bool again;        /* it has waited for a device: who looks once more has still asked once */
} walk_t;

typedef enum {
    WALK_HIT,  /* the reader has a complete object that may be used as it is: `use` says why; a sparse one is
                  to be read piece by piece */
    WALK_JOIN, /* the reader reads along with somebody else's fill */
    WALK_FILL, /* the reader owns a new object in the index: a fill must be started for it */
    WALK_PASS, /* the same, but the object is in no index: the response is for this request alone, until its
                  head says that it may be stored */
    WALK_NONE, /* the reader has nothing: nothing is stored that the request takes, and that is all it takes
                */
    WALK_WAIT  /* the reader has nothing yet: a device is asked, and the step is to be taken again when
                  walk->wait was woken */
} walk_kind_t;

/* Why the origin is asked (RFC 9211 section 2.2). */
typedef enum {
    FORWARD_NOT,
    FORWARD_URI_MISS,
    FORWARD_VARY_MISS,
    FORWARD_STALE,
    FORWARD_REQUEST, /* what is stored is fresh, and not taken */
    FORWARD_PARTIAL, /* of what was asked for, not all is stored */
    FORWARD_BYPASS,
    FORWARD_METHOD
} forward_t;
const char *forward_name(forward_t forward);

/* All references are the receiver's. */
typedef struct {
    walk_kind_t kind;
    forward_t forward;
    /* WALK_HIT */
    http_use_t use;       /* HTTP_FRESH, or why it may be used though it is stale */
    int64_t ttl_ms;       /* for so long it is fresh; zero or less: since when it is not */
    bool from_disk;       /* memory did not have it */
    object_t *background; /* or NULL: in the index, read by nobody yet; a fill must be started for it */
    /* For a fill that is to be started, or NULL. */
    object_t *base;         /* what to ask about by conditional request */
    object_t *stale;        /* what is stored, and stale */
    int64_t stale_until_ms; /* until then that may be used when the origin fails; 0: it may not */
} walk_step_t;

/* Takes the first step, or one more after walk_at_head() said so. The reader is joined to an object in every
 * case but WALK_NONE and WALK_WAIT. */
walk_step_t walk_begin(const walk_t *walk, object_reader_t *reader);

/* The step after one that led nowhere: leaves what the reader has and looks again, or begins alone. It has
 * waited, so the rules are those of now: walk->sequence is loaded anew. */
walk_step_t walk_again(walk_t *walk, object_reader_t *reader, bool alone);

/* The origin failed in what the reader waits for. When something is stored that may be used instead, the
 * reader leaves for that, and the step is a hit; false: there is none. It is judged by the rules of now: the
 * origin may have been asked for long. */
bool walk_on_error(const walk_t *walk, object_reader_t *reader, walk_step_t *step);

/* Would it be so now? */
bool walk_may_on_error(const walk_t *walk);

/* A new private object for this request alone, as for methods that are not cached. */
walk_step_t walk_private(const walk_t *walk, object_reader_t *reader, forward_t forward);

/* To a piece of a sparse object: WALK_HIT, WALK_JOIN or WALK_FILL, with that for its base. The reader's
 * object holds the piece's bytes alone, and fails when upstream has another version. False, and the reader
 * reads nothing: it would have to be fetched, and the sparse object has been hard-purged, or upstream takes
 * no ranges of it. */
bool walk_piece(const walk_t *walk, object_t *sparse, piece_t piece, object_reader_t *reader,
                walk_step_t *step);
/* Up to where the pieces behind that one, and before `end`, are missing in a row: `most` with it at most. */
uint64_t walk_run_end(const walk_t *walk, const object_t *sparse, piece_t piece, uint64_t end, unsigned most);
/* How many of its first `most` pieces are stored, here or on disk, and not known to be hard-purged; without a
 * trace. */
size_t walk_count_pieces(const walk_t *walk, const object_t *sparse, size_t most);
/* Is it on disk, or in memory? Without a trace, and without judging it. */
bool walk_finds_piece(const walk_t *walk, const object_t *sparse, piece_t piece);
/* Is this byte of a sparse object on its way, and more than so many others before it? */
bool walk_is_far(const walk_t *walk, const object_t *sparse, uint64_t at, uint64_t skip);
/* Would it be kept, if it came now, without pushing others out? What nobody waits for yet is not fetched
 * else. */
bool walk_has_room(const walk_t *walk, const object_t *sparse, piece_t piece);
/* With the head of a piece, before any of it is read: was it purged, by a tag that its head tells, after its
 * fill started? Who joined after that leaves it and walks again. */
bool walk_piece_overtaken(const ledger_t *ledger, const object_reader_t *reader);

typedef enum {
    HEAD_SERVE, /* answer with it */
    HEAD_AGAIN, /* leave it and begin again: it was purged after its fill started, or is another variant */
    HEAD_ALONE, /* leave it and ask the origin privately: it may not be shared */
    HEAD_FAILED /* there is no head and will be none */
} walk_head_t;
/* For a joined reader whose object has a head or has ended. */
walk_head_t walk_at_head(const walk_t *walk, const object_reader_t *reader);

#endif
