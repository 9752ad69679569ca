/* What the node answers by itself: refusals, failures of a fill, and short answers of its own. */
#include "edge/http/cors.h"
#include "edge/respond_private.h"

/* Of an answer of the node's own. */
static void add_cors(exchange_t *exchange)
{
    text_t cors = exchange->policy != NULL ? exchange->policy->response.cors : (text_t){NULL, 0};
    if (!http_cors_is_said(cors))
        return;
    respond_add_allowed_origin(exchange, cors);
    if (!http_cors_is_all(cors))
        respond_add(exchange->req, &H2O_TOKEN_VARY->buf, TEXT("origin"));
}

void respond_refusal(exchange_t *exchange, int status, const char *detail, const char *message)
{
    respond_own(exchange, status, detail, TEXT("text/plain; charset=utf-8"), text_of(message));
}

void respond_retry_after(exchange_t *exchange, unsigned seconds)
{
    char *digits = h2o_mem_alloc_pool(&exchange->req->pool, 20);
    respond_add(exchange->req, &H2O_TOKEN_RETRY_AFTER->buf, respond_decimal(seconds, digits));
}

/* What the node itself refuses, by the token that says why. */
static const struct {
    const char *detail;
    refusal_t refusal;
    unsigned seconds; /* 0: the exchange knows */
    const char *message;
} own_failures[] = {
    /* By then the slowest have been cut, or what is being fetched has come. */
    {"memory", REFUSED_MEMORY, 2, "There is no memory for this now.\n"},
    {"address_waste", REFUSED_ADDRESS_WASTE, 0, "This address leaves too much that was fetched for it.\n"},
    {"key_waste", REFUSED_KEY_WASTE, 0, "Too much of this was fetched and left.\n"},
};

void respond_failure(exchange_t *exchange, object_failure_t failure, const char *message)
{
    exchange->outcome = OUTCOME_ERROR;
    for (size_t i = 0; i < sizeof own_failures / sizeof *own_failures; i++)
        if (text_equal(text_of(failure.detail), text_of(own_failures[i].detail))) {
            unsigned seconds = own_failures[i].seconds;
            count_refusal(own_failures[i].refusal);
            respond_retry_after(exchange, seconds != 0 ? seconds : exchange->retry_seconds);
            message = own_failures[i].message;
        }
    respond_refusal(exchange, failure.status, failure.detail, message);
}

void respond_own(exchange_t *exchange, int status, const char *detail, text_t content_type, text_t body)
{
    h2o_req_t *req = exchange->req;
    exchange->detail = detail;
    req->res.status = status;
    bool empty = respond_has_no_body(status);
    if (!empty)
        respond_add(req, &H2O_TOKEN_CONTENT_TYPE->buf, content_type);
    respond_add_hsts(exchange, (text_t){NULL, 0});
    add_cors(exchange);
    respond_add_own(exchange, STATUS_BYTES, respond_status_refusal);
    respond_at_once(exchange, status, body);
}
