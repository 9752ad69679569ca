/* A fill: fetching one response from upstream into an object. What each event means for the cache is decided
 * here.
 *
 * Pure: events in (a head, bytes, an end, readers that left), actions out (go on, pause, ask again, cancel).
 * No thread, socket, clock or random source inside; the puller carries events to it, and so does the
 * simulation. One thread at a time. Owns a reference on its object until it ends. */
#ifndef SELVEDGE_ORIGIN_PULL_FILL_H
#define SELVEDGE_ORIGIN_PULL_FILL_H

#include "edge/cache/pieces.h"
#include "edge/http/policy.h"
#include "edge/http/reference.h"

typedef struct fill fill_t;

typedef struct {
    memory_t *memory;
    text_t method;   /* "GET" for everything that may be stored */
    cache_key_t key; /* its target is copied */
    text_t target;   /* what the origin is asked for; copied; absent: the key's */
    /* What keys of that site have of a normalised target, as long as that at most; or NULL: all of it. */
    text_t (*key_target)(const void *context, text_t target, char *room);
    const void *key_context;     /* lives until the fill has ended */
    http_origin_t origin;        /* of the URL that the client asked for; copied */
    unsigned site;               /* the number of the site whose origin is asked, for the counters */
    const http_policy_t *policy; /* that site's; copied; NULL: it decides nothing */
    http_fields_t fields;        /* the client's, end to end; copied */
    text_t body;                 /* of the request; copied; absent: {NULL, 0} */
    object_t *object;            /* the fill takes a reference of its own */
    object_t *base; /* what to ask about by conditional request, or NULL; the fill takes over the reference */
    object_t *stale;        /* what is stored, and stale, or NULL; the fill takes over the reference */
    int64_t stale_until_ms; /* until then that may be used when the origin fails; 0: it may not */
    bool indexed;           /* the object is in the index (WALK_FILL, or in the background) */
    bool background;        /* worth its end though nobody reads it, as long as it is to be stored */
    bool ranged;            /* the client's Range goes upstream: for a private object only */
    piece_t piece; /* of a sparse `base`: the object gets those bytes alone; end 0: the whole is asked for */
    /* The pieces behind it, up to the one that ends there, are asked for by the same request, as far as
     * nobody else brings them: PIECES_RUN_MAX in all, at most. 0: it alone. */
    uint64_t run_end;
    bool ahead; /* asked for ahead of who is to read it */
    /* Called once, on the fill's thread, before readers get the last byte or the failure; or NULL. */
    void (*on_end)(void *context);
    void *on_end_context;
    /* Called once, when it is over, with the bytes that were fetched for nobody; or NULL. */
    void (*on_over)(void *context, uint64_t wasted);
    void *on_over_context;
    /* So many missing bytes more than FILL_FINISH_BYTES are worth fetching when nobody waits for them: as
     * many as were thrown away of this key before, so that it costs at most twice what it weighs. */
    uint64_t worth_bytes;
} fill_request_t;

/* How the fill of a piece fails when upstream has another version than the sparse object's: that is forgotten
 * by then. */
extern const object_failure_t fill_version_ended;

/* And when upstream sends all of it in place of a piece: that is remembered by then. */
extern const object_failure_t fill_no_ranges;

/* How a piece fails that was to come behind another, with which the fill ended: it is to be asked for by
 * itself. */
extern const object_failure_t fill_run_ended;

fill_t *fill_new(const fill_request_t *request);
/* After it has ended. */
void fill_free(fill_t **fill);

/* --- What to ask upstream --- */
text_t fill_method(const fill_t *fill);
text_t fill_target(const fill_t *fill);
unsigned fill_site(const fill_t *fill);
const http_policy_t *fill_policy(const fill_t *fill);
http_fields_t fill_fields(const fill_t *fill);
text_t fill_body(const fill_t *fill);
/* The conditional fields, 0 to 2 of them. */
size_t fill_conditions(const fill_t *fill, http_field_t conditions[2]);
/* The transfer may have to be paused: only on a connection of its own. */
bool fill_needs_pauses(const fill_t *fill);
/* The client's Range and If-Range go upstream. */
bool fill_is_ranged(const fill_t *fill);
object_t *fill_object(const fill_t *fill);
bool fill_ended(const fill_t *fill);

/* --- Events --- */
typedef enum {
    FILL_GO_ON,
    FILL_PAUSE, /* offer the rest again after FILL_RESUME */
    FILL_RESUME,
    FILL_AGAIN, /* end this transfer and ask once more: what is asked for, conditions or the need for pauses
                   have changed */
    FILL_STOP   /* end this transfer; the fill has ended */
} fill_action_t;

typedef struct {
    int status;
    http_fields_t fields; /* names in lower case */
    bool close_delimited; /* the body's end is the connection's end */
    bool can_pause;       /* a pause holds up nobody else */
} fill_answer_t;

/* The request is about to be sent. */
void fill_sent(fill_t *fill, int64_t now_ms);
/* The final response's head is complete. */
fill_action_t fill_head(fill_t *fill, const fill_answer_t *answer, int64_t now_ms);
/* Body bytes; *taken is how many were taken, all of them unless the action is FILL_PAUSE. */
fill_action_t fill_bytes(fill_t *fill, const char *bytes, size_t length, size_t *taken);
/* The upstream's message is whole. */
void fill_complete(fill_t *fill);
/* The transport failed under the answer: the connection was lost, closed early, or nothing came for too long.
 * FILL_AGAIN: the rest is to be asked for, and its head comes next. */
fill_action_t fill_cut_off(fill_t *fill, object_failure_t failure, int64_t now_ms);
/* The upstream failed in any other way: connecting, or by what it says. */
void fill_broken(fill_t *fill, object_failure_t failure, int64_t now_ms);
/* The node itself cannot go on with it. */
void fill_fail(fill_t *fill, object_failure_t failure);
/* The origin was asked about something stale, and failed. */
bool fill_in_vain(const fill_t *fill);
typedef enum {
    FILL_NOT_RESUMED,
    FILL_RESUME_COMPLETED,
    FILL_RESUME_REFUSED, /* another answer came than the rest of that version */
    FILL_RESUME_BROKEN   /* it broke off again, or no answer came, or nobody waited for it */
} fill_resumed_t;
/* Once it has ended: what came of asking for the rest of what was cut off. */
fill_resumed_t fill_resumed(const fill_t *fill);
/* What object_filler_t.notify() said. */
fill_action_t fill_notified(fill_t *fill, unsigned events);
/* It was paused not for its readers alone: there is no memory. To be tried again soon: nobody notifies it
 * when others make room. */
bool fill_is_starved(const fill_t *fill);
/* Then: it is the tier below that takes no more, which it will in a moment. */
bool fill_awaits_below(const fill_t *fill);
/* It has been paused for as long as readers may take: cuts off the slowest. How many. One that is starved and
 * has nobody to cut off ends. */
unsigned fill_stalled(fill_t *fill);

/* FILL_GIVEN_UP_BYTES: what a fill that is given up wastes beside what has come: about what is on its way by
 * then. */
enum { FILL_FINISH_BYTES = 1 << 20, FILL_BYPASS_MS = 120000, FILL_GIVEN_UP_BYTES = 64 << 10 };

#endif
