/* One transfer: a fill, its curl handle, and the events between them. The puller's thread only, but for
 * transfer_notify. Private to origin_pull. */
#ifndef SELVEDGE_ORIGIN_PULL_TRANSFER_H
#define SELVEDGE_ORIGIN_PULL_TRANSFER_H

#include <curl/curl.h>

#include "origin_pull/fill_lines.h"
#include "origin_pull/puller.h"

typedef struct transfer transfer_t;

/* Readers of a windowed body may hold it up for so long before the slowest are cut off. */
enum { PAUSE_MS = 10000, SOCKETS_MAX = 8 };
/* And what finds no memory is tried again so often; what only waits for a disk, sooner. */
enum { STARVED_MS = 50, AWAITS_BELOW_MS = 10 };

struct transfer {
    uint32_t magic;
    /* Fixed after creation. */
    const puller_config_t *config;
    configuration_t *configuration; /* a reference */
    const settings_site_t *site;    /* of it: whose origin is asked */
    puller_t *puller;
    fill_t *fill; /* owned */
    /* The puller's thread. */
    transfer_t *next, **link; /* among those that run */
    CURL *easy;               /* owned; NULL before it starts */
    struct curl_slist *headers;
    fill_lines_t *lines; /* owned */
    bool head_done, again, stop, paused;
    bool fresh;          /* on a connection made for it: one used before failed under it, or fell silent */
    const char *wrong;   /* why the callbacks ended it; NULL: they did not */
    size_t skip;         /* bytes that will be offered again after a pause and are taken already */
    int64_t deadline_ms; /* monotonic: first byte, between bytes, or how long readers may hold it paused */
    int64_t paused_ms;   /* since when it has taken nothing */
    int sockets[SOCKETS_MAX]; /* opened for it, at most so many at once */
    unsigned socket_count;
    char error[CURL_ERROR_SIZE];
    /* Any thread. */
    object_filler_t filler;
    _Atomic unsigned events;
    /* Under the puller's inbox lock. */
    bool queued;
    transfer_t *inbox_next;
};

/* Takes over the fill. The caller sets the site and its configuration. */
transfer_t *transfer_new(puller_t *puller, const puller_config_t *config, fill_t **fill);
void transfer_free(transfer_t **transfer);

/* Makes the curl handle for what the fill asks now. NULL on success, else a token for the failure's detail.
 */
const char *transfer_prepare(transfer_t *transfer, int64_t monotonic_ms);
/* Drops the curl handle; it must not be in a multi handle. */
void transfer_reset(transfer_t *transfer);

/* It failed before a head came, on a connection that an earlier answer may have spoiled or the origin closed
 * meanwhile: a GET, or what was not sent at all, is asked once more on a fresh one (RFC 9110 section 9.2.2).
 * Notes that it was. */
bool transfer_may_try_again(transfer_t *transfer, CURLcode code);

/* The transport failed, and not what upstream says: the rest may come over another connection. */
bool transfer_cut_off(const transfer_t *transfer, CURLcode code);

/* How curl's result reads as a failure. */
object_failure_t transfer_failure(const transfer_t *transfer, CURLcode code);
/* What passing the deadline means now. */
object_failure_t transfer_timeout(const transfer_t *transfer);

int64_t monotonic_now_ms(void);

#endif
