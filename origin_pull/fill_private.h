/* The insides of a fill, shared by its files: fill.c, fill_head.c (what a head means), fill_pieces.c (what
 * becomes of large responses), fill_run.c (pieces that come one behind the other), fill_split.c (all of a
 * body that cannot be asked for in parts as such a row), and fill_resume.c (what becomes of bodies that break
 * off). Nobody else includes this. */
#ifndef SELVEDGE_ORIGIN_PULL_FILL_PRIVATE_H
#define SELVEDGE_ORIGIN_PULL_FILL_PRIVATE_H

#include "origin_pull/fill.h"

enum { FILL_MAGIC = 0x5e1f111 };

struct fill {
    uint32_t magic;
    memory_t *memory;
    object_t *object; /* references */
    object_t *base;
    object_t *stale;
    int64_t stale_until_ms;
    piece_t piece; /* of `base`, a sparse object, which it fetches; end 0: it fetches a whole response */
    /* Those that come behind it, in the index; references. */
    object_t **run; /* free() */
    unsigned run_at, run_count;
    uint64_t run_end;     /* where the last of them ends in the whole, or the piece */
    size_t next_reserved; /* for the next one; 0: nothing yet */
    bool abandoned;       /* whoever read what it was at has left */
    /* All of a body that upstream cannot be asked for in parts, as one row (fill_split.c). */
    bool split;
    bool waits_below, forgoes_below; /* for the tier below to take more; that is not waited for any more */
    object_t *first;                 /* then: its first piece, until it goes on with that; a reference */
    object_t *whole;                 /* and what those read who waited for its head; a reference */
    cache_key_t key;
    text_t target;
    text_t (*key_target)(const void *context, text_t target, char *room);
    const void *key_context;
    http_origin_t origin;
    unsigned site;
    http_policy_t policy;
    text_t method;
    http_fields_t fields;
    text_t body;
    /* Fixed after creation; the last: the client showed some. */
    bool ranged, background, ahead, without_credentials;
    bool indexed, needs_pauses, has_head, windowed, can_pause, starved, ended;
    bool kept, given_up, in_vain, large; /* large: it could be stored but for its size */
    /* Upstream sends more than its pieces; and it ended before that did. */
    bool leaves_rest, left_rest;
    bool resuming, refused; /* the rest is asked for, its head has yet to come; it was not that */
    unsigned resumes;
    uint64_t resumed_from;    /* where in the whole the rest began that was asked for last */
    object_failure_t cut_off; /* why it was */
    uint64_t invalidations;   /* of all keys, when it began */
    int64_t request_time_ms;
    int64_t told_ms;        /* by the last event that had the time; 0: it was not sent */
    int64_t content_length; /* -1: not known */
    uint64_t received;
    void (*on_end)(void *context); /* NULL: none, or called */
    void *on_end_context;
    void (*on_over)(void *context, uint64_t wasted); /* NULL: none */
    void *on_over_context;
    uint64_t worth_bytes;
    char range[48];                      /* of a piece, or of the rest, as it is asked for */
    _Alignas(http_field_t) char bytes[]; /* what the texts above point into */
};

static inline bool fill_is_for_piece(const fill_t *fill)
{
    return fill->piece.end > 0;
}

static inline bool fill_is_get(const fill_t *fill)
{
    return text_equal(fill->method, TEXT("GET"));
}

/* --- fill.c --- */
/* Takes it out of the index. True: it was there. */
bool fill_withdraw(fill_t *fill, int64_t bypass_until_ms);
bool fill_is_overtaken(const fill_t *fill);
/* It is complete: stored, when the index still has it. */
void fill_keep(fill_t *fill);
/* All of its object has come: that is complete. */
void fill_complete_object(fill_t *fill);
/* Appends to its object, for which they are. */
fill_action_t fill_take_bytes(fill_t *fill, const char *bytes, size_t length, size_t *taken);
/* The origin could not answer, or (answered) said that it is in trouble. */
void fill_note_trouble(fill_t *fill, bool answered);
void fill_drop_base(fill_t *fill);
/* Begun for nobody but the cache, and not for that either. */
bool fill_is_of_no_use(const fill_t *fill);
/* When nobody reads it: ends it. False: somebody does. */
bool fill_give_up(fill_t *fill);
/* Is it, for what is stored, though nobody reads it? */
bool fill_worth_finishing(const fill_t *fill);
/* Readers are about to get all that they will. */
void fill_tell_end(fill_t *fill);
/* It is over: its object has ended. */
void fill_end(fill_t *fill);

/* --- fill_head.c --- */
extern const object_failure_t fill_no_memory;
/* Does an answer with this status that may not be stored say something of who asked, and nothing of what
 * others get? So it is where the client showed credentials (RFC 9111 section 3.5). */
bool fill_is_of_client(const fill_t *fill, int status);
/* The exchange with upstream, as the rules of storing see it. */
http_exchange_t fill_exchange(const fill_t *fill, const fill_answer_t *answer, int64_t now_ms);
/* The steps of a beginning: memory for what the object may hold at once; whether to ask again on a connection
 * that can be paused, for what has none; the head. */
bool fill_reserve(fill_t *fill, http_storing_t *storing, size_t *bytes);
bool fill_must_ask_again(fill_t *fill, size_t reserved);
void fill_open(fill_t *fill, head_t **head, size_t reserved);
/* Of the answer's body, as it says; -1: it does not. */
int64_t fill_length_of(const fill_answer_t *answer);
/* Gives a new head its tags. before: of the stored response whose body it goes with, or NULL. */
void fill_tag(const fill_t *fill, head_t *head, const head_t *before);

/* --- fill_pieces.c --- */
/* Of a response that is too large, what is kept of its head. */
head_t *fill_sparse_head(const fill_t *fill, const fill_answer_t *answer, const http_storing_t *storing,
                         int64_t now_ms);
/* A whole response that is too large: it leaves the index, and its head is stored as the sparse object of the
 * key. A reference; NULL: it is not kept so. */
object_t *fill_keep_sparse(fill_t *fill, const fill_answer_t *answer, const http_storing_t *storing,
                           const http_vary_t *vary, int64_t now_ms);
/* Then all who wait are answered from that; the transfer ends, once it has brought the first piece where that
 * is wanted. Takes over the reference. */
fill_action_t fill_turn_to_pieces(fill_t *fill, object_t **sparse, const fill_answer_t *answer,
                                  const http_storing_t *storing, int64_t now_ms);
/* A 304 about a sparse object. */
fill_action_t fill_freshen_sparse(fill_t *fill, const fill_answer_t *answer, int64_t now_ms);
/* The head of what was asked for as a piece. */
fill_action_t fill_begin_piece(fill_t *fill, const fill_answer_t *answer, int64_t now_ms);
/* Is it these bytes, and no others, of that very version (RFC 9110 section 15.3.7.1)? */
bool fill_is_part(const fill_answer_t *answer, const head_t *version, piece_t part);

/* --- fill_run.c --- */
/* Of this piece a new object in the index, without a filler. NULL: it is there, or on its way. */
object_t *fill_claim_piece(fill_t *fill, const object_t *sparse, piece_t piece);
/* Behind this piece it is to bring those up to `end`, as far as nobody else brings them. */
void fill_claim_run(fill_t *fill, const object_t *sparse, piece_t piece, uint64_t end);
/* What is left of that is not brought: it fails, unread or not. */
void fill_drop_run(fill_t *fill);
/* fill_bytes() of pieces. */
fill_action_t fill_take_pieces(fill_t *fill, const char *bytes, size_t length, size_t *taken);

/* --- fill_split.c --- */
/* Is an answer that is too large to be stored whole to be kept as it comes, all of it in one row of pieces?
 */
bool fill_may_split(fill_t *fill, const fill_answer_t *answer, const http_storing_t *storing,
                    const http_vary_t *vary, int64_t now_ms);
/* Makes and stores its head, which it takes over, once all of its pieces are on their way: who finds it finds
 * them. A reference; NULL: it is not kept so. */
object_t *fill_split_keep(fill_t *fill, head_t **head);
/* Does anybody read of it, or is it to be finished without? */
bool fill_split_goes_on(const fill_t *fill);

/* --- fill_resume.c --- */
/* Asks upstream for what has yet to come of a piece and of those behind it, or of a whole response. */
void fill_write_range(fill_t *fill);
/* The head of the version that it fetches: of a piece, that of the whole. */
const head_t *fill_version(const fill_t *fill);
/* The head of what was asked for as the rest. */
fill_action_t fill_begin_rest(fill_t *fill, const fill_answer_t *answer, int64_t now_ms);

#endif
