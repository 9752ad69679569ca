/* The world of one seed: an origin with a few URLs, a node in front of it, clients. One at a time. */
#ifndef SELVEDGE_TESTS_SIM_WORLD_H
#define SELVEDGE_TESTS_SIM_WORLD_H

#include "edge/cache/walk.h"
#include "origin_pull/fill.h"
#include "purge/publisher.h"
#include "tests/sim/drive.h"
#include "tests/sim/note.h"
#include "tests/sim/random.h"
#include "tests/sim/schedule.h"

enum { SITES = 2, URLS_MAX = 10, WORKERS_MAX = 3, LANGUAGES = 3, ORIGINS = 2, NOBODY = -1 };

/* --- The origin --- */

/* Tags t0 to t3: the first two are named in one field, the others in another. */
enum { TAGS = 4, TAGS_OF_FIRST_FIELD = 3, TAGS_OF_OTHER_FIELD = 12 };
enum { VARY_LANGUAGE = 1, VARY_ORIGIN = 2, VARY_ANY = 4 };
enum { VALIDATOR_ETAG = 1, VALIDATOR_WEAK = 2, VALIDATOR_MODIFIED = 4 };
typedef enum { FRAMING_LENGTH, FRAMING_CHUNKED, FRAMING_CLOSE } framing_t;

/* A Cache-Control value and what RFC 9111 says of it, written down apart from the code under test. */
typedef struct {
    const char *value;   /* NULL: none */
    int64_t lifetime_ms; /* what it says; 0 when it says nothing */
    bool owner_only;     /* for nobody but the one who asked, without asking the origin again */
    bool never_hit;      /* never from store without asking */
    bool for_authorized; /* may answer others though the request carried Authorization */
    bool never_stale;    /* the origin has to be asked first once it is stale (RFC 9111 section 4.2.4) */
    int64_t while_revalidate_ms, if_error_ms; /* RFC 5861; -1: it says nothing */
} control_t;

typedef struct {
    unsigned site;
    char target[24];
    /* What the origin has there now. */
    unsigned generation; /* of its content */
    const control_t *control;
    int status;
    unsigned vary, validators;
    framing_t framing;
    uint64_t length;
    int64_t age_s;                                        /* -1: no Age field */
    unsigned tags;                                        /* a bit for each */
    bool set_cookie, dated, takes_ranges, ignores_ranges; /* the last: whatever it says */
} url_t;

/* One message of the origin, as it was when it was made. */
typedef struct answer {
    unsigned id, url, generation;
    unsigned bytes_of; /* whose bytes it has: its own, or of whom it brings the rest */
    int owner;         /* the exchange whose fill asked */
    unsigned language, from;
    uint64_t sent, made; /* moments: request left the node, answer made */
    int64_t made_ms;
    int status;
    bool not_modified, owner_only, never_hit, delivered_whole;
    unsigned vary, tags;
    const struct answer *before; /* of what it says that it is unchanged, or has a part; NULL: of nothing */
    int64_t lifetime_ms, age_s;
    http_stale_t stale; /* for so long after it */
    bool modified, heuristic, for_authorized;
    bool dated_on_receipt; /* its heuristic lifetime counts from when the node has it */
    unsigned life;         /* of the node, in which it asked */
    uint64_t invalidated;  /* an unsafe method's: when the node had its head; 0: none of that */
    uint64_t forbidden;    /* moment: the node had the head of its rest, which forbade to store it; 0: none */
    framing_t framing;
    bool partial;          /* a 206 */
    uint64_t first, whole; /* where its body begins in the whole, and how long that is */
    uint64_t length;       /* of its body */
    char etag[40];
    size_t field_count;
    http_field_t fields[14];
    char bytes[416];
} answer_t;

/* --- The node's parts --- */

/* A request and its answer, as edge/request.c and edge/respond.c see it. */
typedef struct {
    object_reader_t reader;
    disk_wait_t disk;
    bool awaits_disk, shuns_disk, from_disk;
    int64_t disk_awaited_us; /* since then */
    object_reader_t piece;   /* of a sparse object, whose pieces are read one after the other */
    bool in_pieces, from_start, shuns_pieces;
    enum { STREAM_NOT, STREAM_ASKED, STREAM_READ } stream; /* what `piece` reads is all of it once more */
    uint64_t at,
        end; /* which byte of a sparse object is read next; where the answer ends, if that is known */
    int id;
    thread_t *worker;
    unsigned url, language, from;
    bool is_get, is_head;
    text_t method;
    size_t field_count;
    http_field_t fields[4];
    char range[48];
    cache_key_t key;
    uint64_t arrived, walked; /* moments: before its sequence was loaded; after its last walk */
    uint64_t sequence;
    int64_t walk_ms;
    unsigned steps, read_most;
    int64_t pace_us;
    walk_kind_t kind;
    http_use_t use;
    uint64_t
        looked; /* moment: before it looked again for what answers it, after it had waited; 0: it did not */
    bool on_error; /* answered with what is stored, after it had waited */
    bool on_its_way, started, sending, last, finished;
    bool had_head; /* joined after the head had been handed over */
    body_span_t span;
    uint64_t span_offset;
    const answer_t *answer;  /* what its head says */
    const answer_t *content; /* what its bytes say; NULL before the first, of each piece */
} exchange_t;

/* A fill and what carries events to it, as origin_pull/puller.c does. */
typedef struct {
    object_filler_t filler;
    int id, owner;
    const void *carrier;          /* of an object that another's fill went on with: that one, a transfer_t */
    fill_t *fill;                 /* NULL once it has ended */
    uint64_t walk_began, created; /* moments: the stamp was read in between */
    const answer_t *base;         /* the content it may ask about */
    const answer_t *base_answer;  /* and what was said of it last */
    const answer_t *content;      /* what it brought, once known */
    unsigned events, epoch;
    bool queued, begun, paused, indexed, background, for_piece;
    int64_t failed_ms; /* when the origin failed in it; 0: it did not */
    bool faulted;      /* the origin, the network or the node's end gave cause to fail */
    bool answered;     /* the origin has; the fill knows, or is being told */
    bool head_given;
    uint64_t sent, ended; /* moments; 0: not yet */
    answer_t *answer;
    answer_t *rest;    /* what is or was answered to its last request for the rest; NULL: none */
    uint64_t offset;   /* of the body, taken so far */
    uint64_t rest_at;  /* and when the rest was asked for last */
    uint64_t rest_end; /* to where in the answer; 0: to its end, or it was not */
    unsigned rests;    /* so often */
    uint64_t fault_at;
    int64_t pace_us;
    unsigned fault;
    unsigned pauses;
    bool can_pause;
} transfer_t;

/* One purge as it was asked for, and what became of it. */
typedef struct {
    publisher_purge_t super;
    ledger_rule_t rules[16];
    char targets[16][24];
    uint64_t sequence, published, acknowledged; /* moments; 0: not yet */
    bool answered;
    bool lost; /* with the journal */
} purge_t;

struct medium;

typedef struct {
    memory_t *memory;
    disk_t *disk; /* NULL: there is none */
    ledger_t *ledger;
    publisher_t *publisher;
    thread_t *workers[WORKERS_MAX], *puller, *housekeeper;
    unsigned worker_count;
    bool notes_failed; /* it may not be noted which drives miss something */
    bool unplugged;    /* a crash: what it does from now on reaches nobody */
} node_t;

typedef struct {
    void **at;
    size_t count, capacity;
} list_t;

/* What becomes of the state directory between two lives. */
typedef enum { FATE_KEPT, FATE_LOST, FATE_COPIED, FATE_RESTORED, FATE_DAMAGED } fate_t;

typedef struct {
    random_t random;
    random_t apart; /* for what only some seeds know of, so that the others tell what they told before */
    url_t urls[URLS_MAX];
    unsigned url_count;
    list_t answers, exchanges, transfers, purges;
    node_t node;
    struct medium *disk; /* the journal's */
    drive_t *drives[DRIVES_MAX];
    unsigned drive_count, drives_used; /* used: in this life, the first ones */
    uint64_t drive_sizes[DRIVES_MAX];
    uint64_t identity[2]; /* of the journal */
    uint8_t notes[256];   /* beside it */
    size_t notes_length;
    fate_t fate;     /* of the state directory, when this life has ended, or since the one before */
    bool is_damaged; /* the journal, for all to see */
    unsigned lives;
    unsigned actions_left;
    uint64_t highest_sequence, highest_handed_out; /* ever acknowledged; ever given to a rule or in a stamp */
    /* How this seed is: chances per mille and sizes. */
    http_policy_t policies[SITES];
    unsigned purge_rate, change_rate, fault_rate, crash_rate, abort_rate, disk_fault_rate, sweep_rate;
    uint64_t memory_limit, max_object;
    size_t compact_bytes;
    /* Of the drives. */
    drive_kind_t drive_kind;
    uint64_t drive_bytes, segment_bytes;
    unsigned drive_fault_rate, lock_rate, flip_rate, loss_rate, evict_rate;
    bool admits_always;
    bool names_collide;           /* in the index */
    bool state_suffers;           /* its directory is restored from older copies, and damaged */
    bool drives_vary;             /* in number and size, from life to life */
    bool drives_suffer;           /* between two lives, more than a bit */
    bool large_bodies, in_pieces; /* in_pieces: the origin takes ranges, and clients ask for them */
    bool splits;                  /* then: it mostly does not, and disks have room for all of it */
    bool rereads; /* two names, whose records are alike; who reads one is long about it, and slots are used
                     again */
    int64_t gap_us;
} world_t;

extern world_t world;

static inline void *list_add(list_t *list, size_t size)
{
    if (list->count == list->capacity) {
        list->capacity = list->capacity ? list->capacity * 2 : 64;
        list->at = realloc(list->at, list->capacity * sizeof *list->at);
        MUST(list->at != NULL);
    }
    return list->at[list->count++] = must_calloc(1, size);
}

static inline void list_free(list_t *list)
{
    for (size_t i = 0; i < list->count; i++)
        free(list->at[i]);
    free(list->at);
    *list = (list_t){0};
}

static inline text_t site_name(unsigned site)
{
    return site == 0 ? TEXT("first") : TEXT("second");
}

static inline text_t url_target(unsigned url)
{
    return text_of(world.urls[url].target);
}

/* The last segment of the URL's path is a tag of its own where the site has such. */
enum { SITE_OF_PATH_TAGS = 1 };

static inline text_t tag_name(unsigned tag)
{
    static const char *const names[TAGS] = {"t0", "t1", "t2", "t3"};
    return text_of(names[tag]);
}

static inline text_t path_tag(unsigned url, char buffer[24])
{
    snprintf(buffer, 24, "path-%s", strrchr(world.urls[url].target, '/') + 1);
    return text_of(buffer);
}

/* origin.c */
void origin_begin(void);
void origin_change(unsigned url, bool content, bool policy);
/* From now on it may not be stored. */
void origin_forbid(unsigned url);
/* What the origin makes of a transfer's request now. */
answer_t *origin_answer(const transfer_t *transfer);
/* The body of an answer: `length` bytes from `offset`. */
void content_write(const answer_t *content, uint64_t offset, char *bytes, size_t length);
/* Compares; returns how many bytes from the start are right. */
size_t content_check(const answer_t *content, uint64_t offset, const char *bytes, size_t length);
/* Whose content has these bytes there; NULL: nobody's. */
const answer_t *content_of(unsigned url, uint64_t offset, const char *bytes, size_t length);

/* request.c: the fields and the method of a new request; of which URL is known */
void request_choose(exchange_t *exchange);

/* exchange.c */
void exchange_begin(void);
void exchange_close(exchange_t *exchange);

/* transfer.c */
transfer_t *transfer_of(const object_t *object);
/* Which brings its bytes: its own, or one that went on with it. */
const transfer_t *transfer_filling(const object_t *object);
void transfer_submit(exchange_t *exchange, const fill_request_t *request, uint64_t walk_began);
void transfer_close(transfer_t *transfer);
void transfer_forget_steps(void);

/* node.c */
void node_start(void);
typedef enum { END_STOP, END_KILL, END_POWER_CUT } node_end_t;
void node_end(node_end_t how);
void node_purge(void);
/* Housekeeping frees what was purged. */
void node_sweep(void);
/* Memory is needed for something else. */
void node_evict(void);

/* node_state.c: between two lives; chosen before the first one ends. */
fate_t node_choose_fate(void);
void node_change_state(void);
void node_free_state(void);

/* node_disk.c */
void node_make_drives(void);
void node_free_drives(void);
void node_start_disk(void);
void node_stop_disk(node_end_t how);
/* A drive is about to fail; a bit of one flips. */
void node_break_drive(void);
void node_flip(void);

/* referee.c: each ends the run when what it is shown may not be. */
void referee_joined(const exchange_t *exchange, const object_t *object);
const answer_t *referee_answer_of(const head_t *head);
/* The rest of what broke off is asked for; and its answer was taken or refused. */
void referee_asks_on(const transfer_t *transfer);
void referee_rest(const transfer_t *transfer, bool taken);
/* A piece is refused, as of another version or not to be stored any more. */
void referee_refused(const transfer_t *transfer);
void referee_base(const transfer_t *transfer);
void referee_begun(const transfer_t *transfer);
void referee_on_error(const exchange_t *exchange);
void referee_head(exchange_t *exchange);
void referee_bytes(exchange_t *exchange);
void referee_end(const exchange_t *exchange);
void referee_failed(const exchange_t *exchange, const object_t *object);
void referee_memory(void);
void referee_handed_out(uint64_t sequence);
void referee_acknowledged(purge_t *purge);
void referee_rules_in_force(void);

#endif
