/* Reload: another configuration comes into force while the node serves.
 *
 * What the parent gathered is read, checked and made into a configuration by the main thread; nothing of it
 * is used unless all of it is right. Then each worker switches in its own loop; requests and fills that have
 * begun end by the one they began with. A site of which that changes the keys is purged. What came of it the
 * main thread says on stderr, to those who asked over the admin API, and to the parent. */
#ifndef SELVEDGE_EDGE_RELOAD_H
#define SELVEDGE_EDGE_RELOAD_H

#include "edge/server/server.h"
#include "edge/supervisor/handover.h"

typedef struct reload reload_t;

typedef struct {
    settings_source_t source; /* without its files */
    const settings_t *start;  /* what the node was started with; kept by the caller */
    handover_t *handover;
    const char *token_file, *certificate_file; /* what the node makes itself; kept by the caller */
    int64_t (*now_ms)(void);
} reload_config_t;

/* The first configuration, of what the parent had gathered; NULL, and stderr says why. */
reload_t *reload_new(const reload_config_t *config);
/* After reload_stop() and the last request, if there was a server. */
void reload_free(reload_t **reload);

/* --- The main thread --- */
/* The newest: good until the next reload_take(). */
configuration_t *reload_newest(const reload_t *reload);
/* Once there is a server; before it, nothing is taken. */
void reload_serve(reload_t *reload, server_t *server, node_t *node, publisher_t *publisher);
/* The parent has handed something over, or the workers have taken what it had: SIGHUP. Says what came of it.
 */
void reload_take(reload_t *reload);

/* Whoever still waits for an answer gets one, and nothing is taken any more. */
void reload_stop(reload_t *reload);

/* --- Any thread; the context is the reload_t. As api_config_t has them. --- */
void reload_ask(void *context, api_reloaded_t *reloaded, void *asked);
void *reload_status(void *context);

#endif
