/* Counters and gauges: one table (in the .c), from which the metrics page and its HELP lines come.
 *
 * Counters are kept per thread and added up when read, so that counting writes nothing shared. A thread calls
 * counters_attach() once before it counts; counting without it goes to a shared block (atomic add). */
#ifndef SELVEDGE_EDGE_OBSERVE_COUNTERS_H
#define SELVEDGE_EDGE_OBSERVE_COUNTERS_H

#include "edge/base.h"

typedef enum {
    OUTCOME_HIT,
    OUTCOME_MISS,
    OUTCOME_STALE,
    OUTCOME_REVALIDATED,
    OUTCOME_PASS,
    OUTCOME_ERROR,
    OUTCOME_REDIRECT,
    OUTCOME_PREFLIGHT, /* of CORS, answered by the node */
    OUTCOMES
} outcome_t;
typedef enum { PROTOCOL_H1, PROTOCOL_H2, PROTOCOLS } protocol_t;
typedef enum {
    GUARD_WINDOW_AFTER_END, /* SETTINGS or WINDOW_UPDATE for a stream whose END_STREAM is in flight */
    GUARD_UNKNOWN_FRAME,
    GUARD_BAD_FRAMING, /* HTTP/1 message framing: lengths, Transfer-Encoding, Host, line ends, folding */
    GUARD_BAD_REQUEST, /* pseudo-fields, methods, names or values that HTTP does not allow */
    GUARD_BAD_URL,
    GUARD_HEADER_TOO_LARGE,
    GUARD_TOO_MANY_RESETS, /* streams reset before their response was finished: the connection ended */
    GUARD_TOO_MANY_SETTINGS,
    GUARD_TOO_MANY_AT_ONCE, /* requests of an HTTP/1 connection in one piece: it ended */
    GUARD_TOO_MANY_FRAMES,  /* that bring nothing: the connection ended */
    GUARD_TOO_MANY_FILLS,   /* in flight for one connection: it ended */
    GUARD_TOO_MANY_FIELDS,  /* of one request: 431 */
    GUARD_URL_TOO_LONG,     /* 414 */
    GUARD_UNKNOWN_HOST,     /* no site has the host that was asked for: 421 */
    GUARD_REASONS
} guard_reason_t;
typedef enum {
    CUT_IDLE,   /* between two requests for too long */
    CUT_HEADER, /* a request's head did not become whole in time */
    CUT_STALL,  /* takes or gives next to nothing */
    CUT_MEMORY, /* held most for longest when too much memory was held by those who are slow */
    CUTS
} cut_t;
typedef enum {
    REFUSED_CONNECTIONS, /* too many in all */
    REFUSED_ADDRESS,     /* too many of one client address */
    REFUSED_OPENS,       /* too many new ones per second of one client address */
    REFUSED_ADDRESSES,   /* no room to count a further address */
    REFUSED_REQUESTS,    /* a request: too many per second of one client address */
    REFUSED_MEMORY,      /* a request: what is being sent and fetched leaves no memory for a further fill */
    REFUSED_PROXY_LINE,  /* a connection that did not begin with a line of the PROXY protocol where it must */
    REFUSED_ADDRESS_WASTE, /* a request that would go to the origin: the address made the node throw away too
                              much */
    REFUSED_KEY_WASTE,     /* the same: too much was thrown away of what it asks for */
    REFUSALS
} refusal_t;
typedef enum {
    DISK_DROP_QUEUE,  /* more waited for the device than may */
    DISK_DROP_SIZE,   /* no record can hold it */
    DISK_DROP_BROKEN, /* it could not be written, or the device was taken out */
    DISK_DROPS
} disk_drop_t;
typedef enum {
    DISK_READ_CACHE, /* the system had it in memory */
    DISK_READ_DEVICE,
    DISK_READS
} disk_read_t;
typedef enum { RESUME_COMPLETED, RESUME_REFUSED, RESUME_BROKEN, RESUME_RESULTS } resume_result_t;
typedef enum {
    GAUGE_INFO,
    GAUGE_FILLS,
    GAUGE_OBJECTS,
    GAUGE_MEMORY_BYTES,
    GAUGE_MEMORY_LIMIT_BYTES,
    GAUGE_MEMORY_PINNED_BYTES,
    GAUGE_DISK_BYTES,
    GAUGE_DISK_LIMIT_BYTES,
    GAUGE_DISK_SEGMENTS,
    GAUGE_DISK_RECORDS,
    GAUGE_DISK_INDEX_BYTES,
    GAUGE_DISK_RECOVERING_SEGMENTS,
    GAUGE_DISK_FAILED_DEVICES,
    GAUGE_CONNECTIONS_H1,
    GAUGE_CONNECTIONS_H2,
    GAUGE_PURGE_SEQUENCE,
    GAUGES
} gauge_t;

/* Twice as many sites as a configuration may have: what a reload removes keeps its number. */
enum { SITES_MAX = 513, SITE_NONE = 512 /* requests of no site */ };

void counters_attach(void);
void counters_name_site(unsigned site, text_t name); /* sites are numbered from 0 by edge/sites/names */

void counters_name_node(text_t name); /* with it selvedge_info is 1 */

void count_request(unsigned site, outcome_t outcome, protocol_t protocol);
void count_origin_request(unsigned site);
void count_failed_revalidation(unsigned site); /* of something stored and stale */
void count_resume(resume_result_t result);     /* of a response that broke off in its body */
void count_purge(unsigned kind /* rule_kind_t */, bool soft);
void count_guard_stopped(guard_reason_t reason);
void count_cut(cut_t reason); /* a client's connection, for keeping the node waiting */
void count_refusal(refusal_t reason);
void count_access_log_dropped(uint64_t lines);
void count_restarts(uint64_t restarts);
void count_reload(bool in_force);
void count_variants_evicted(uint64_t variants);
void count_reader_cut_off(void); /* a reader that fell behind a bounded window */

/* Of the disk tier: so many records. */
void count_disk_admitted(uint64_t records); /* written */
void count_disk_dropped(disk_drop_t reason, uint64_t records);
void count_disk_moved(uint64_t records); /* written again, as the room of their segment was needed */
void count_disk_read(disk_read_t how, uint64_t records); /* a record that was found and verified */
/* A record that was not served: what was read is not what was written; the device failed; it did not answer
 * in time. */
void count_disk_checksum_failures(uint64_t times);
void count_disk_read_errors(uint64_t times);
void count_disk_read_timeouts(uint64_t times);
void count_disk_write_errors(uint64_t times); /* a call that failed, or wrote less than it was given */

void gauge_set(gauge_t gauge, uint64_t value);
void gauge_add(gauge_t gauge, int64_t delta);
uint64_t gauge_get(gauge_t gauge);

/* The metrics page in Prometheus' text format 0.0.4. The caller frees it. */
char *counters_page(size_t *length);

const char *outcome_name(outcome_t outcome);
const char *protocol_name(protocol_t protocol);
const char *refusal_name(refusal_t refusal);

#endif
