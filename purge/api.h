/* The admin HTTP API, apart from any HTTP library: a request in, an answer out, at once or later.
 *
 *   POST /v1/purge   Authorization: Bearer TOKEN      200, 400, 401, 403, 413, 415, 500
 *   GET  /v1/trace?url=URL (percent-encoded), the same token
 *   POST /v1/reload  the same token                    200, 401, 403, 422
 *   GET  /v1/status  Authorization: Bearer TOKEN
 *   GET  /healthz, GET /metrics                       no token
 */
#ifndef SELVEDGE_PURGE_API_H
#define SELVEDGE_PURGE_API_H

#include "edge/base.h"
#include "edge/sites/sites.h"
#include "purge/publisher.h"

typedef struct api api_t;

/* What came of a reload: a json_t *, an object, taken over. */
typedef void api_reloaded_t(void *asked, bool in_force, void *report);

/* What the API asks of the node it belongs to. */
typedef struct {
    publisher_t *publisher;
    const ledger_t *ledger;
    int64_t (*now_ms)(void);  /* wall clock */
    int64_t started_ms;
    const char *node;         /* its name */
    int pid;                  /* the node's, which takes signals: the parent of this process */
    /* How the node would treat a site's normalised target; a new json_t *. */
    void *(*trace)(void *context, const site_t *site, text_t target, int64_t now_ms);
    void *trace_context;
    /* Has the configuration read anew; calls `reloaded` once, on any thread, when it is in force or refused. */
    void (*reload)(void *context, api_reloaded_t *reloaded, void *asked);
    /* Which configuration is in force, and how the last reload went; a new json_t *. */
    void *(*configuration)(void *context);
    void *reload_context;
} api_config_t;

/* What holds for one request: of the configuration that its worker has. */
typedef struct {
    text_t token;
    const sites_t *sites;
} api_rules_t;

typedef struct {
    text_t method, path;      /* path without query */
    text_t query;             /* what follows the question mark; absent: {NULL, 0} */
    text_t authorization;     /* the field's value; absent: {NULL, 0} */
    text_t content_type;
    text_t body;
} api_request_t;

typedef struct {
    int status;
    const char *content_type;
    const char *allow;        /* for 405, the methods; else NULL */
    const char *authenticate; /* for 401, WWW-Authenticate; else NULL */
    char *body;               /* malloc'd, the receiver frees it */
    size_t body_length;
} api_answer_t;

enum { API_BODY_MAX = 1 << 20 };

api_t *api_new(const api_config_t *config);
void api_free(api_t **api);

/* Calls `answer` exactly once: before returning for everything but a purge, for that on the publisher's thread, and a reload. Neither
 * the rules nor the texts in the request are needed after api_handle returns. `context` is handed back. */
void api_handle(api_t *api, const api_rules_t *rules, const api_request_t *request, void (*answer)(void *context, api_answer_t *answer), void *context);

/* Purges one URL, hard, for the PURGE method. authorization: the field's value; absent: {NULL, 0}. 403 when it does not
 * show `token`, the node's. target: normalised; copied. site: lives as long as the process. Calls `answer` exactly once, as above. */
void api_purge_target(api_t *api, text_t token, text_t authorization, text_t site, text_t target,
                      void (*answer)(void *context, api_answer_t *answer), void *context);

#endif
