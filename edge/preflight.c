#include "edge/preflight.h"

#include "edge/http/cors.h"

static void add(h2o_req_t *req, const char *name, text_t value)
{
    h2o_add_header_by_str(&req->pool, &req->res.headers, name, strlen(name), 0, NULL, value.data,
                          value.length);
}

/* https://fetch.spec.whatwg.org/#cors-preflight-request */
static bool is_preflight(const exchange_t *exchange)
{
    return text_equal(text_from(exchange->req->method), TEXT("OPTIONS")) &&
           exchange_field(exchange, TEXT("origin")).length > 0 &&
           exchange_field(exchange, TEXT("access-control-request-method")).length > 0;
}

/* Whoever may read what is cached here may ask for it with any fields: they change nothing of it. A day is
 * what browsers keep it at the most. */
bool preflight_answer(exchange_t *exchange)
{
    h2o_req_t *req = exchange->req;
    text_t cors = exchange->policy->response.cors;
    if (!http_cors_is_said(cors) || !is_preflight(exchange))
        return false;
    text_t fields = exchange_field(exchange, TEXT("access-control-request-headers"));
    if (http_cors_allow(cors, exchange_field(exchange, TEXT("origin"))).length > 0) {
        add(req, "access-control-allow-methods", TEXT("GET, HEAD"));
        if (fields.length > 0)
            add(req, "access-control-allow-headers", fields);
        add(req, "access-control-max-age", TEXT("86400"));
    }
    exchange->outcome = OUTCOME_PREFLIGHT;
    respond_own(exchange, 204, "preflight", (text_t){NULL, 0}, (text_t){NULL, 0});
    return true;
}
