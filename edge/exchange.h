/* One request and its answer, between the library and the cache. Private to the files of request and respond:
 * request decides, respond answers. Everything here happens on the worker that owns the connection; only a
 * waiter's wake() is called from elsewhere, and carries nothing but a message. */
#ifndef SELVEDGE_EDGE_EXCHANGE_H
#define SELVEDGE_EDGE_EXCHANGE_H

#include "edge/cache/walk.h"
#include "edge/guard/guard.h"
#include "edge/respond_parts.h"
#include "edge/server/worker.h"

enum { EXCHANGE_MAGIC = 0x5e1e8c4 };

typedef struct exchange exchange_t;
typedef struct waiter waiter_t;

/* What of an exchange may be woken by the puller. It outlives the request when a wake is on its way as that
 * ends. */
struct waiter {
    message_t message;
    object_reader_t reader;
    disk_wait_t disk; /* for what a device has to be asked for */
    worker_t *worker;
    exchange_t *exchange;    /* NULL once the request has ended; its worker only */
    _Atomic bool on_its_way; /* the message is in the worker's queue */
};

typedef enum { STREAM_NOT, STREAM_ASKED, STREAM_READ } stream_t;

/* In the request's pool; ends with it. */
struct exchange {
    /* What the end of a request reads comes first: by then hundreds of other requests have had the
     * processor's cache. */
    h2o_generator_t super;
    uint32_t magic;
    outcome_t outcome;
    int origin_status;
    bool is_get, is_head; /* is_get: GET or HEAD, answered from the cache */
    bool answering, sending, finished;
    bool pulled;              /* the library takes the body as it has room for it (guard/lend) */
    bool is_part;             /* the answer is a range of the object, or several */
    bool is_heard;            /* what the request says in Cache-Control counts: `control` */
    bool is_ranged;           /* the fill asks for the request's own range */
    bool shuns_pieces;        /* those that it found were of another version than upstream has */
    bool awaits_disk;         /* a device is asked */
    bool shuns_disk;          /* what it asked for there came too late, or not at all */
    bool looks_again;         /* the device has been asked */
    bool from_disk;           /* the answer's object was not in memory */
    bool hides_authorization; /* its Connection names Authorization: nothing of it is stored or shared */
    int64_t started_us, first_byte_us; /* wall clock; 0: none yet */
    object_reader_t *reader;           /* hit's or waiter's; NULL when answered without an object */
    waiter_t *waiter;                  /* NULL for hits */
    worker_term_t *term;               /* keeps the configuration that the request began with */
    const site_t *site;                /* its; NULL: none has this host, or it was refused before */
    const http_policy_t *policy;       /* what the site decides for its path; NULL: the same */
    body_span_t span;                  /* lent to the library until it asks for more */
    parts_t *parts;                    /* of an answer of several; NULL: it is none */
    object_reader_t *piece; /* the waiter's, for the pieces of a sparse object; NULL: it is whole */
    uint64_t at;            /* which byte of a sparse object is read next */
    uint64_t run_from;      /* what was read next when pieces were asked of upstream last */
    uint64_t run_us;        /* wall clock: when that was */
    stream_t stream;        /* what `piece` reads is no piece, but all of it once more */
    h2o_iovec_t note;       /* by which the log finds the exchange of a request */
    walk_kind_t kind;
    forward_t forward;
    http_use_t use;         /* why it is answered with what is stored, though that is stale */
    unsigned steps;         /* how often it had to begin again */
    uint64_t handed_ms;     /* the loop's clock: when the library was last given of the answer */
    const char *detail;     /* for Cache-Status of refusals; of a stale answer: how the origin failed */
    unsigned retry_seconds; /* for the refusal of its own fill; 0: not known */
    /* All above starts as zero; what follows is set before it is read. */
    object_reader_t hit;
    h2o_req_t *req;
    worker_t *worker;
    cache_key_t key;
    uint64_t sequence;
    http_request_control_t control;
    int64_t ttl_ms;
    text_t target; /* as it was asked for: normalised, its query whole */
    text_t date;   /* the answer's own; absent: now */
    int64_t end;   /* offset at which the answer's body, or its part, ends; -1: not known before */
};

/* Wall clock, microseconds. */
int64_t exchange_now_us(void);

enum { EXCHANGE_FIELDS_MAX = GUARD_FIELDS_MAX + 1 };
/* The request's fields as a list; `fields` has room for EXCHANGE_FIELDS_MAX. Where its site's origin is told
 * the client's address, the field that does so is among them, in place of what the client said in it: so what
 * is stored by that field (Vary) is matched by it. Where the site says by itself who may read answers (CORS),
 * Origin is not among those of GET and HEAD: what is stored does not depend on who asks. */
http_fields_t exchange_fields(const exchange_t *exchange, http_field_t *fields);

/* The request's field of this lower-case name; absent: it has none. */
text_t exchange_field(const exchange_t *exchange, text_t name);

static inline text_t text_from(h2o_iovec_t bytes)
{
    return (text_t){bytes.base, bytes.len};
}

/* Does it come over TLS? What counts is the listener. */
static inline bool exchange_is_secure(const exchange_t *exchange)
{
    return worker_socket(exchange->req)->ssl != NULL;
}

/* Lets the request's end find its exchange; requests without one were refused before they came here. */
void exchange_note(exchange_t *exchange);
/* Gives back all that it holds: the request is over, and its pool is about to be cleared. */
void exchange_end(exchange_t *exchange);
/* Counts and logs each request on this path as it ends, whoever answered it, and ends its exchange. */
void exchange_log_register(h2o_pathconf_t *path);

/* --- request.c, for request_head.c and request_pieces.c --- */
enum { REQUEST_STEPS_MAX = 4 }; /* after so many it goes on alone */
walk_t request_walk(exchange_t *exchange, http_fields_t fields, int64_t now_us);
/* Begins the fill of the reader's object, as the step says, whose base it takes over. piece: of that base;
 * end 0: none. run_end: those behind it come with it up to there. The waiter's reader, or one that asks
 * ahead. */
void request_start_fill(exchange_t *exchange, const object_reader_t *reader, walk_step_t *step,
                        http_fields_t fields, piece_t piece, uint64_t run_end);
/* Leaves what it has and looks again. */
void request_begin_again(exchange_t *exchange, bool alone);
/* Answers, waits or begins a fill, as the step says. */
void request_take_step(exchange_t *exchange, walk_step_t *step, http_fields_t fields);
/* The answer is what is stored. What it needs of the origin goes on without it: it may end within this. */
void request_take_hit(exchange_t *exchange, walk_step_t *step, http_fields_t fields);

/* Then the answer may depend on nothing that the key does not hold. */
static inline bool request_may_store(const exchange_t *exchange)
{
    return exchange->is_get && !exchange->policy->bypass && !exchange->hides_authorization;
}

/* --- request_head.c --- */
/* Goes on when the reader's object has its head, or has ended without one: now, or by a wake. */
void request_await_head(exchange_t *exchange);
/* The reader has a sparse object: it is answered from that, or what it wants of it is asked for apart. */
void request_take_sparse(exchange_t *exchange, http_fields_t fields);
void request_answer_failure(exchange_t *exchange, const object_t *object);
/* The fill of the reader's object failed before anything of its answer was sent. False: nothing is stored
 * that may be used instead. */
bool request_answer_stale(exchange_t *exchange);
/* Would it answer, if that failed now? */
bool request_may_answer_stale(exchange_t *exchange);

/* --- request_pieces.c --- */
/* The reader has a sparse object: answers from it, with its pieces. */
void pieces_answer(exchange_t *exchange, http_fields_t fields);
/* A device was asked for a piece, which memory has now, or which is done without. */
void pieces_after_disk(exchange_t *exchange);
/* The first piece may have its head now. */
void pieces_await(exchange_t *exchange);
/* Reads another range. */
void pieces_seek(exchange_t *exchange, const http_range_t *range);
/* Reads on, up to `end`, into the span. */
object_read_t pieces_read(exchange_t *exchange, size_t most);
/* After READ_FAILED. */
object_failure_t pieces_failure(const exchange_t *exchange);

/* --- respond.c --- */
/* What of the reader's object would be sent: it has a head. `request` are the request's fields. Sets `end`.
 */
http_selection_t respond_select(exchange_t *exchange, http_fields_t request, http_ranges_t *ranges);
/* Answers with that. */
void respond_object(exchange_t *exchange, http_fields_t request);
/* Sends what has come meanwhile, if nothing is being sent. */
void respond_more(exchange_t *exchange);

/* --- respond_own.c --- */
/* A short answer of the node's own. detail: a token, static. */
void respond_refusal(exchange_t *exchange, int status, const char *detail, const char *message);
/* For the refusal that follows. */
void respond_retry_after(exchange_t *exchange, unsigned seconds);
/* The fill failed before anything of its answer was sent: with its status and detail, and this message unless
 * there is a better one. */
void respond_failure(exchange_t *exchange, object_failure_t failure, const char *message);
/* The same as a refusal, with any body; both texts live as long as the request. 204 has neither. */
void respond_own(exchange_t *exchange, int status, const char *detail, text_t content_type, text_t body);

#endif
