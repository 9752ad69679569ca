#include "edge/purge_method.h"

enum { PURGE_CALL_MAGIC = 0x5e1902e };

/* One purge on its way. Allocated apart: the publisher's answer may come after the client has gone. */
typedef struct {
    message_t message; /* its handler is NULL once it was delivered: then the request's end frees the call */
    uint32_t magic;
    worker_t *worker;
    exchange_t *exchange; /* NULL once the request has ended; the worker's thread only */
    api_answer_t answer;
} purge_call_t;

static void send_answer(exchange_t *exchange, const api_answer_t *answer)
{
    MUST_BE(exchange, EXCHANGE_MAGIC);
    char *body = h2o_mem_alloc_pool(&exchange->req->pool, answer->body_length);
    memcpy(body, answer->body, answer->body_length);
    exchange->outcome = answer->status == 200 ? OUTCOME_PASS : OUTCOME_ERROR;
    respond_own(exchange, answer->status, answer->status == 200 ? "purged" : "not_purged",
                text_of(answer->content_type), (text_t){body, answer->body_length});
}

/* On the worker: answers, if there is still somebody to answer. */
static void deliver(message_t *message)
{
    purge_call_t *call = CONTAINER_OF(message, purge_call_t, message);
    MUST_BE(call, PURGE_CALL_MAGIC);
    exchange_t *exchange = call->exchange;
    api_answer_t answer = call->answer;
    call->message.handle = NULL;
    if (exchange != NULL)
        send_answer(exchange, &answer);
    else
        free(call);
    free(answer.body);
}

/* The publisher's thread, or the worker's when it is refused. */
static void on_answer(void *context, api_answer_t *answer)
{
    purge_call_t *call = context;
    MUST_BE(call, PURGE_CALL_MAGIC);
    call->answer = *answer;
    worker_post(call->worker, &call->message);
}

static void on_request_end(void *memory)
{
    purge_call_t *call = *(purge_call_t **)memory;
    call->exchange = NULL;
    if (call->message.handle == NULL)
        free(call);
}

static text_t authorization_of(const h2o_req_t *req)
{
    ssize_t at = h2o_find_header(&req->headers, H2O_TOKEN_AUTHORIZATION, -1);
    return at < 0 ? (text_t){NULL, 0} : text_from(req->headers.entries[at].value);
}

void purge_method(exchange_t *exchange)
{
    h2o_req_t *req = exchange->req;
    const node_t *node = worker_node(exchange->worker);
    if (!exchange->site->settings->purge_method) {
        h2o_add_header(&req->pool, &req->res.headers, H2O_TOKEN_ALLOW, NULL,
                       H2O_STRLIT("GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS"));
        respond_refusal(exchange, 405, "method", "PURGE is not taken here.\n");
        return;
    }
    purge_call_t *call = must_calloc(1, sizeof *call);
    call->magic = PURGE_CALL_MAGIC;
    call->message.handle = deliver;
    call->worker = exchange->worker;
    call->exchange = exchange;
    purge_call_t **held = h2o_mem_alloc_shared(&req->pool, sizeof(call), on_request_end);
    *held = call;
    text_t token = text_of(exchange->term->configuration->token);
    api_purge_target(node->api, token, authorization_of(req), exchange->key.site, exchange->key.target,
                     on_answer, call);
}
