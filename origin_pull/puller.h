/* The puller: one thread that does all upstream HTTP, on libcurl multi. It carries events to fills and their
 * actions back; what they mean is decided in fill.c. libcurl's types appear in puller.c and transfer.c only.
 */
#ifndef SELVEDGE_ORIGIN_PULL_PULLER_H
#define SELVEDGE_ORIGIN_PULL_PULLER_H

#include "edge/supervisor/heartbeat.h"
#include "edge/configuration.h"
#include "origin_pull/fill.h"

typedef struct puller puller_t;

typedef struct {
    text_t cdn_loop;         /* this node's member of CDN-Loop */
    int64_t (*now_ms)(void); /* wall clock */
    heart_t *heart;          /* ticked by its loop; NULL: nobody watches */
} puller_config_t;

/* The texts are kept by the caller. */
puller_t *puller_start(const puller_config_t *config);

/* Any thread. Takes over the fill, tells its object about the puller and runs it to its end: against the
 * origin of this site, which is of the configuration, of which it takes a reference. */
void puller_submit(puller_t *puller, fill_t **fill, configuration_t *configuration,
                   const settings_site_t *site);

/* Fails what still runs, ends the thread. What is submitted from then on fails at once: workers that have not
 * ended yet may still do it. */
void puller_stop(puller_t *puller);

/* Stopped, and no thread knows it any more. */
void puller_free(puller_t **puller);

#endif
