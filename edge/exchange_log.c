/* One count and one line for each request, whoever answered it: the request path, or the library and the
 * guard before it. */
#include "edge/exchange.h"
#include "edge/request.h"

/* The library keeps a list of pairs per request for whoever wants it; the exchange is the only entry, and
 * holds the list itself. */
void exchange_note(exchange_t *exchange)
{
    exchange->note = (h2o_iovec_t){(char *)exchange, sizeof *exchange};
    h2o_iovec_vector_t *env = &exchange->req->env;
    *env = (h2o_iovec_vector_t){.entries = &exchange->note, .size = 1, .capacity = 1};
}

static exchange_t *exchange_of(const h2o_req_t *req)
{
    if (req->env.size == 0)
        return NULL;
    exchange_t *exchange = (exchange_t *)(void *)req->env.entries[0].base;
    MUST_BE(exchange, EXCHANGE_MAGIC);
    return exchange;
}

uint64_t request_held(const h2o_req_t *req, uint64_t now_ms)
{
    enum { PATIENCE_MS = 1000 };
    const exchange_t *exchange = exchange_of(req);
    bool is_answering = exchange != NULL && (exchange->sending || exchange->finished);
    if (!is_answering || exchange->reader == NULL || exchange->reader->object == NULL ||
        now_ms - exchange->handed_ms < PATIENCE_MS)
        return 0;
    bool in_pieces = exchange->piece != NULL && exchange->piece->object != NULL;
    object_t *object = in_pieces ? exchange->piece->object : exchange->reader->object;
    return memory_held_by_readers(object) * (now_ms - exchange->handed_ms);
}

static text_t field(const h2o_req_t *req, const h2o_token_t *token)
{
    ssize_t at = h2o_find_header(&req->headers, token, -1);
    return at < 0 ? (text_t){NULL, 0} : text_from(req->headers.entries[at].value);
}

static const char *tier_of(const exchange_t *exchange)
{
    if (exchange->outcome == OUTCOME_HIT || exchange->outcome == OUTCOME_STALE)
        return "memory";
    return exchange->origin_status != 0 ? "origin" : "";
}

static void describe_exchange(access_log_line_t *line, const exchange_t *exchange)
{
    line->time_us = exchange->started_us;
    line->duration_us = exchange_now_us() - exchange->started_us;
    line->ttfb_us = exchange->first_byte_us ? exchange->first_byte_us - exchange->started_us : -1;
    line->cache = exchange->outcome;
    line->tier = tier_of(exchange);
    line->origin_status = exchange->origin_status;
}

/* Refused before it came to the request path. */
static void describe_refused(access_log_line_t *line, const h2o_req_t *req)
{
    const struct timeval *began = &req->timestamps.request_begin_at;
    int64_t now_us = exchange_now_us();
    line->time_us = began->tv_sec ? (int64_t)began->tv_sec * 1000000 + began->tv_usec : now_us;
    line->duration_us = now_us > line->time_us ? now_us - line->time_us : 0;
    line->ttfb_us = line->duration_us;
    line->cache = OUTCOME_ERROR;
    line->tier = "";
}

/* What was refused before its host was looked at belongs to the site that answers for all, if there is one.
 */
static const site_t *site_of(const exchange_t *exchange, const worker_t *worker)
{
    return exchange != NULL && exchange->site != NULL ? exchange->site
                                                      : sites_only(worker_configuration(worker)->sites);
}

static void write_line(access_log_buffer_t *log, worker_t *worker, h2o_req_t *req, const exchange_t *exchange)
{
    const site_t *site = site_of(exchange, worker);
    access_log_line_t line = {
        .site = site != NULL ? site->settings->name : TEXT(""),
        .client = worker_client(req),
        .node = text_of(worker_node(worker)->name),
        .method = text_from(req->input.method),
        .host = text_from(req->input.authority),
        .path = text_from(req->input.path),
        .user_agent = field(req, H2O_TOKEN_USER_AGENT),
        .referer = field(req, H2O_TOKEN_REFERER),
        .protocol = req->version >= 0x200 ? PROTOCOL_H2 : PROTOCOL_H1,
        .version = req->version,
        .status = req->res.status,
        .bytes = req->bytes_sent,
    };
    if (exchange != NULL)
        describe_exchange(&line, exchange);
    else
        describe_refused(&line, req);
    access_log_add(log, &line);
}

static void on_request_end(h2o_logger_t *logger, h2o_req_t *req)
{
    (void)logger;
    exchange_t *exchange = exchange_of(req);
    worker_t *worker = worker_of(req);
    const site_t *site = site_of(exchange, worker);
    count_request(site != NULL ? site->number : SITE_NONE,
                  exchange != NULL ? exchange->outcome : OUTCOME_ERROR,
                  req->version >= 0x200 ? PROTOCOL_H2 : PROTOCOL_H1);
    if (worker_log(worker) != NULL)
        write_line(worker_log(worker), worker, req, exchange);
    if (exchange != NULL)
        exchange_end(exchange);
}

void exchange_log_register(h2o_pathconf_t *path)
{
    h2o_logger_t *logger = h2o_create_logger(path, sizeof *logger);
    logger->log_access = on_request_end;
}
