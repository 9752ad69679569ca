/* Routes, authorisation, and the answers that are ready at once. */
#include "purge/api.h"

#include "edge/observe/counters.h"
#include "purge/api_answer.h"
#include "purge/api_purge.h"
#include "purge/api_trace.h"
#include "purge/token.h"

#include <unistd.h>

#define API_MAGIC 0x000a9100u

struct api {
    uint32_t magic;
    api_config_t config; /* fixed after creation */
};

typedef void answer_fn(void *context, api_answer_t *answer);

/* One request and where its answer goes. */
typedef struct {
    api_t *api;
    const api_rules_t *rules;
    const api_request_t *request;
    answer_fn *answer;
    void *context;
} exchange_t;

static void send_answer(const exchange_t *exchange, api_answer_t answer)
{
    exchange->answer(exchange->context, &answer);
}

static api_answer_t plain(const char *content_type, char *body, size_t length)
{
    return (api_answer_t){.status = 200, .content_type = content_type, .body = body, .body_length = length};
}

static void answer_health(const exchange_t *exchange)
{
    char *body = strdup("ok\n");
    MUST(body != NULL);
    send_answer(exchange, plain("text/plain; charset=utf-8", body, strlen(body)));
}

static void answer_metrics(const exchange_t *exchange)
{
    size_t length;
    char *page = counters_page(&length);
    send_answer(exchange, plain("text/plain; version=0.0.4; charset=utf-8", page, length));
}

/* null: there are none. */
static json_t *disks(void)
{
    uint64_t limit = gauge_get(GAUGE_DISK_LIMIT_BYTES), failed = gauge_get(GAUGE_DISK_FAILED_DEVICES);
    if (limit == 0 && failed == 0)
        return json_null();
    return json_pack("{s:I,s:I,s:I,s:I,s:I}", "bytes", (json_int_t)gauge_get(GAUGE_DISK_BYTES), "limit_bytes",
                     (json_int_t)limit, "records", (json_int_t)gauge_get(GAUGE_DISK_RECORDS),
                     "recovering_segments", (json_int_t)gauge_get(GAUGE_DISK_RECOVERING_SEGMENTS),
                     "failed_devices", (json_int_t)failed);
}

static void answer_status(const exchange_t *exchange)
{
    const api_config_t *config = &exchange->api->config;
    json_t *body = json_pack("{s:s,s:s,s:i,s:i,s:I,s:I,s:I,s:I,s:I,s:o,s:o}", "node", config->node, "version",
                             SELVEDGE_VERSION, "pid", config->pid, "serving_pid", (int)getpid(), "uptime_s",
                             (json_int_t)((config->now_ms() - config->started_ms) / 1000), "sequence",
                             (json_int_t)ledger_sequence(config->ledger), "objects",
                             (json_int_t)gauge_get(GAUGE_OBJECTS), "memory_bytes",
                             (json_int_t)gauge_get(GAUGE_MEMORY_BYTES), "memory_limit_bytes",
                             (json_int_t)gauge_get(GAUGE_MEMORY_LIMIT_BYTES), "disk", disks(),
                             "configuration", config->configuration(config->reload_context));
    send_answer(exchange, api_answer_json(200, &body));
}

/* The media type apart from its parameters (RFC 9110 section 8.3.1). */
static bool is_json(text_t content_type)
{
    size_t length = 0;
    while (length < content_type.length && content_type.data[length] != ';')
        length++;
    while (length > 0 && (content_type.data[length - 1] == ' ' || content_type.data[length - 1] == '\t'))
        length--;
    return text_equal_nocase((text_t){content_type.data, length}, TEXT("application/json"));
}

static void answer_purge(const exchange_t *exchange)
{
    const api_request_t *request = exchange->request;
    api_t *api = exchange->api;
    api_answer_t refusal;
    api_purge_t *purge = NULL;
    if (!is_json(request->content_type))
        refusal = api_answer_error(API_UNSUPPORTED_MEDIA_TYPE, NULL,
                                   "a purge is sent with Content-Type: application/json");
    else if (request->body.length > API_BODY_MAX)
        refusal = api_answer_error(
            API_TOO_LARGE, NULL, "the body is larger than %d bytes; make several purges of it", API_BODY_MAX);
    else
        purge = api_purge_read(request->body, exchange->rules->sites, &refusal);
    if (purge == NULL)
        send_answer(exchange, refusal);
    else
        api_purge_submit(&purge, api->config.publisher, exchange->answer, exchange->context);
}

static void answer_trace(const exchange_t *exchange)
{
    const api_config_t *config = &exchange->api->config;
    api_answer_t answer;
    api_trace_t trace;
    if (api_trace_read(exchange->request->query, exchange->rules->sites, &trace, &answer)) {
        json_t *traced = config->trace(config->trace_context, trace.site, trace.target, config->now_ms());
        answer = api_answer_json(200, &traced);
        api_trace_free(&trace);
    }
    send_answer(exchange, answer);
}

/* --- Reload --- */

/* Who asked for one. Allocated apart: its answer may come on another thread. */
typedef struct {
    answer_fn *answer;
    void *context;
} reload_call_t;

static void on_reloaded(void *asked, bool in_force, void *report)
{
    reload_call_t *call = asked;
    json_t *body = report;
    api_answer_t answer = api_answer_json(in_force ? 200 : 422, &body);
    call->answer(call->context, &answer);
    free(call);
}

static void answer_reload(const exchange_t *exchange)
{
    const api_config_t *config = &exchange->api->config;
    reload_call_t *call = must_alloc(sizeof *call);
    *call = (reload_call_t){exchange->answer, exchange->context};
    config->reload(config->reload_context, on_reloaded, call);
}

static const struct {
    const char *path;
    const char *allow;
    bool token;
    void (*answer)(const exchange_t *exchange);
} routes[] = {
    {"/v1/purge", "POST", true, answer_purge},       {"/v1/status", "GET, HEAD", true, answer_status},
    {"/v1/reload", "POST", true, answer_reload},     {"/v1/trace", "GET, HEAD", true, answer_trace},
    {"/healthz", "GET, HEAD", false, answer_health}, {"/metrics", "GET, HEAD", false, answer_metrics},
};

static bool is_allowed(const char *allow, text_t method)
{
    if (strcmp(allow, "POST") == 0)
        return text_equal(method, TEXT("POST"));
    return text_equal(method, TEXT("GET")) || text_equal(method, TEXT("HEAD"));
}

/* `Bearer TOKEN`, the scheme in any case (RFC 9110 section 11.1). False: there is none. */
static bool take_bearer(text_t authorization, text_t *token)
{
    text_t scheme = TEXT("Bearer ");
    if (authorization.length < scheme.length ||
        !text_equal_nocase((text_t){authorization.data, scheme.length}, scheme))
        return false;
    *token = (text_t){authorization.data + scheme.length, authorization.length - scheme.length};
    while (token->length > 0 && *token->data == ' ') {
        token->data++;
        token->length--;
    }
    return token->length > 0;
}

static bool shows_token(text_t token, text_t authorization)
{
    text_t shown;
    /* An empty token would let everybody in. */
    MUST(token_is_valid(token));
    return take_bearer(authorization, &shown) && token_equal(shown, token);
}

static bool is_authorized(const exchange_t *exchange)
{
    text_t token;
    if (!take_bearer(exchange->request->authorization, &token)) {
        send_answer(
            exchange,
            api_answer_error(API_UNAUTHORIZED, NULL,
                             "the token is missing: send Authorization: Bearer TOKEN, with the node's admin "
                             "token"));
        return false;
    }
    if (!shows_token(exchange->rules->token, exchange->request->authorization)) {
        send_answer(exchange,
                    api_answer_error(API_FORBIDDEN, NULL, "the token sent is not this node's admin token"));
        return false;
    }
    return true;
}

static void refuse_method(const exchange_t *exchange, const char *path, const char *allow)
{
    api_answer_t answer =
        api_answer_error(API_METHOD_NOT_ALLOWED, NULL, "%s does not take %.*s; it takes %s", path,
                         (int)(exchange->request->method.length > 40 ? 40 : exchange->request->method.length),
                         exchange->request->method.data, allow);
    answer.allow = allow;
    send_answer(exchange, answer);
}

api_t *api_new(const api_config_t *config)
{
    api_t *api = must_calloc(1, sizeof *api);
    api->magic = API_MAGIC;
    api->config = *config;
    return api;
}

void api_free(api_t **api)
{
    MUST_BE(*api, API_MAGIC);
    free(*api);
    *api = NULL;
}

void api_handle(api_t *api, const api_rules_t *rules, const api_request_t *request,
                void (*answer)(void *context, api_answer_t *answer), void *context)
{
    MUST_BE(api, API_MAGIC);
    exchange_t exchange = {api, rules, request, answer, context};
    for (size_t i = 0; i < sizeof routes / sizeof *routes; i++) {
        if (!text_equal(request->path, text_of(routes[i].path)))
            continue;
        if (!is_allowed(routes[i].allow, request->method))
            refuse_method(&exchange, routes[i].path, routes[i].allow);
        else if (!routes[i].token || is_authorized(&exchange))
            routes[i].answer(&exchange);
        return;
    }
    send_answer(&exchange, api_answer_error(API_NOT_FOUND, NULL,
                                            "there is nothing at this path; there is /v1/purge, /v1/reload, "
                                            "/v1/status, /v1/trace, /healthz and "
                                            "/metrics"));
}

void api_purge_target(api_t *api, text_t token, text_t authorization, text_t site, text_t target,
                      void (*answer)(void *context, api_answer_t *answer), void *context)
{
    MUST_BE(api, API_MAGIC);
    if (!shows_token(token, authorization)) {
        api_answer_t refusal = api_answer_error(
            API_FORBIDDEN, NULL, "PURGE needs Authorization: Bearer TOKEN, with this node's admin token");
        answer(context, &refusal);
        return;
    }
    api_purge_t *purge = api_purge_of(site, target);
    api_purge_submit(&purge, api->config.publisher, answer, context);
}
