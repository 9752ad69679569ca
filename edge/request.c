#include "edge/request.h"

#include <time.h>

#include "edge/connection_fields.h"
#include "edge/exchange.h"
#include "edge/fill_owner.h"
#include "edge/guard/budget.h"
#include "edge/guard/guard.h"
#include "edge/http/cors.h"
#include "edge/http/url.h"
#include "edge/preflight.h"
#include "edge/purge_method.h"
#include "edge/redirect.h"
#include "edge/sites/policy.h"
#include "origin_pull/fill_upstream.h"

enum { SHORT_TARGET = 1024 };
/* Without room for so much no fill begins: a head, and the first bytes of a body. */
enum { MEMORY_TO_BEGIN = 32 << 10 };

int64_t exchange_now_us(void)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

/* As RFC 7239 section 6 has it. */
static text_t forwarded_for(h2o_req_t *req, text_t client)
{
    bool ipv6 = memchr(client.data, ':', client.length) != NULL;
    size_t capacity = client.length + sizeof "for=\"[]\"";
    char *text = h2o_mem_alloc_pool(&req->pool, capacity);
    int length =
        snprintf(text, capacity, ipv6 ? "for=\"[%.*s]\"" : "for=%.*s", (int)client.length, client.data);
    return (text_t){text, (size_t)length};
}

static text_t client_value(const exchange_t *exchange)
{
    text_t client = worker_client(exchange->req);
    if (client.length == 0)
        client = TEXT("unknown");
    bool forwarded = exchange->site->settings->client_address == CLIENT_ADDRESS_FORWARDED;
    return forwarded ? forwarded_for(exchange->req, client) : client;
}

http_fields_t exchange_fields(const exchange_t *exchange, http_field_t *fields)
{
    const h2o_req_t *req = exchange->req;
    text_t ours = site_client_field(exchange->site->settings);
    bool hides_origin = exchange->is_get && http_cors_is_said(exchange->policy->response.cors);
    size_t count = 0;
    for (size_t i = 0; i < req->headers.size && count < GUARD_FIELDS_MAX; i++) {
        const h2o_header_t *header = &req->headers.entries[i];
        text_t name = text_from(*header->name);
        bool hidden = hides_origin && text_equal(name, TEXT("origin"));
        if (!hidden && (ours.length == 0 || !text_equal(name, ours)))
            fields[count++] = (http_field_t){name, text_from(header->value)};
    }
    if (ours.length > 0)
        fields[count++] = (http_field_t){ours, client_value(exchange)};
    return (http_fields_t){fields, count};
}

text_t exchange_field(const exchange_t *exchange, text_t name)
{
    const h2o_headers_t *headers = &exchange->req->headers;
    for (size_t i = 0; i < headers->size; i++)
        if (text_equal(text_from(*headers->entries[i].name), name))
            return text_from(headers->entries[i].value);
    return (text_t){NULL, 0};
}

/* --- Waiters --- */

/* A hit needs a waiter for no longer than its walk: one is kept at hand. */
static _Thread_local waiter_t *spare_waiter;

static void drop_waiter(waiter_t *waiter)
{
    if (spare_waiter == NULL)
        spare_waiter = waiter;
    else
        free(waiter);
}

static void free_if_over(waiter_t *waiter)
{
    if (waiter->exchange == NULL && !atomic_load_explicit(&waiter->on_its_way, memory_order_acquire))
        drop_waiter(waiter);
}

/* --- The walk --- */

static void wake(object_reader_t *reader);

/* The device that something is looked for on: none, once that was in vain. */
static disk_t *disk_for(const exchange_t *exchange)
{
    return exchange->shuns_disk ? NULL : worker_node(exchange->worker)->disk;
}

walk_t request_walk(exchange_t *exchange, http_fields_t fields, int64_t now_us)
{
    const node_t *node = worker_node(exchange->worker);
    bool again = exchange->looks_again;
    exchange->looks_again = false;
    return (walk_t){.memory = node->memory,
                    .ledger = node->ledger,
                    .key = exchange->key,
                    .fields = fields,
                    .sequence = exchange->sequence,
                    .now_ms = now_us / 1000,
                    .control = exchange->is_heard ? &exchange->control : NULL,
                    .wake = wake,
                    .disk = disk_for(exchange),
                    .wait = exchange->waiter != NULL ? &exchange->waiter->disk : NULL,
                    .again = again};
}

static waiter_t *waiter_of(object_reader_t *reader)
{
    return CONTAINER_OF(reader, waiter_t, reader);
}

/* Why this request may not go to the origin; detail NULL: it may. */
static object_failure_t refuse_fill(exchange_t *exchange)
{
    refusal_t refusal = fill_owner_judge(exchange, &exchange->retry_seconds);
    if (refusal != REFUSALS)
        return (object_failure_t){429, refusal_name(refusal)};
    if (!memory_make_room(worker_node(exchange->worker)->memory, MEMORY_TO_BEGIN))
        return (object_failure_t){503, "memory"};
    return (object_failure_t){0, NULL};
}

/* Has the fill's owner noted in its request; else why it may not begin. */
static object_failure_t begin_owned(exchange_t *exchange, fill_request_t *request)
{
    object_failure_t failure = refuse_fill(exchange);
    if (failure.detail != NULL)
        return failure;
    /* Who reads along with what nobody waited for asks again. */
    if (request->background && !fill_owner_begin_background(exchange, request))
        return (object_failure_t){429, "too_many_fills"};
    if (!request->background && !fill_owner_begin(exchange, request))
        return (object_failure_t){503, "too_many_fills"};
    return failure;
}

static text_t key_target(const void *site, text_t target, char *room)
{
    return site_key_target(site, target, room);
}

/* Has its site other keys or tags by now than when the request began? The purge that goes with a change of
 * them is over: what it stored from here on others could find under another's key, and no purge by a new tag
 * would find it. */
static bool is_of_before(const exchange_t *exchange)
{
    const configuration_t *now = worker_configuration(exchange->worker);
    if (exchange->term->configuration == now)
        return false;
    const site_t *site = sites_named(now->sites, exchange->site->cache.name);
    return site == NULL || site_keys_signature(site) != site_keys_signature(exchange->site);
}

/* What may not begin fails, and whoever waits for it sees that. */
void request_start_fill(exchange_t *exchange, const object_reader_t *reader, walk_step_t *step,
                        http_fields_t fields, piece_t piece, uint64_t run_end)
{
    const node_t *node = worker_node(exchange->worker);
    bool background = step->background != NULL;
    http_policy_t policy = *exchange->policy;
    /* A piece is judged by its whole, which the purge of the reload has met. */
    if (piece.end == 0 && is_of_before(exchange))
        policy.bypass = true;
    /* RFC 9111 sections 3.5 and 5.2.1.5: nothing of this very request; what is fetched in the background is
     * not of it. */
    policy.bypass = policy.bypass || exchange->hides_authorization ||
                    (exchange->is_heard && exchange->control.no_store && !background);
    fill_request_t request = {
        .memory = node->memory,
        .method = exchange->is_get ? TEXT("GET") : text_from(exchange->req->method),
        .key = exchange->key,
        .target = request_may_store(exchange) ? exchange->key.target : exchange->target,
        .key_target = key_target,
        .key_context = exchange->site,
        .origin = {exchange_is_secure(exchange), text_from(exchange->req->input.authority)},
        .site = exchange->site->number,
        .policy = &policy,
        .fields = fields,
        .body = text_from(exchange->req->entity),
        .object = background ? step->background : reader->object,
        .base = step->base,
        .stale = step->stale,
        .stale_until_ms = step->stale_until_ms,
        .indexed = background || step->kind == WALK_FILL,
        .background = background,
        .ranged = exchange->is_ranged,
        .piece = piece,
        .run_end = run_end,
        .ahead = piece.end > 0 && reader != exchange->piece};
    step->base = step->stale = NULL;
    object_failure_t failure = begin_owned(exchange, &request);
    fill_t *fill = fill_new(&request);
    if (failure.detail == NULL) {
        puller_submit(node->puller, &fill, exchange->term->configuration, exchange->site->settings);
        return;
    }
    fill_fail(fill, failure);
    fill_free(&fill);
}

/* A complete object wakes nobody: its reader moves into the request, unless a wake of before is still on its
 * way. */
static void keep_hit(exchange_t *exchange)
{
    exchange->hit = *exchange->reader;
    exchange->reader->object = NULL;
    exchange->reader = &exchange->hit;
    exchange->waiter->exchange = NULL;
    free_if_over(exchange->waiter);
    exchange->waiter = NULL;
}

void request_take_hit(exchange_t *exchange, walk_step_t *step, http_fields_t fields)
{
    exchange->use = step->use;
    exchange->outcome = step->use == HTTP_FRESH ? OUTCOME_HIT : OUTCOME_STALE;
    if (step->background != NULL) {
        request_start_fill(exchange, exchange->reader, step, fields, (piece_t){0, 0}, 0);
        object_unref(&step->background);
    }
    keep_hit(exchange);
    respond_object(exchange, fields);
}

void request_take_step(exchange_t *exchange, walk_step_t *step, http_fields_t fields)
{
    exchange->awaits_disk = step->kind == WALK_WAIT;
    if (exchange->awaits_disk)
        return;
    exchange->kind = step->kind;
    exchange->forward = step->forward;
    exchange->ttl_ms = step->ttl_ms;
    exchange->from_disk |= step->from_disk;
    if (step->kind == WALK_HIT && object_sparse(exchange->reader->object)) {
        exchange->use = step->use;
        exchange->outcome = OUTCOME_HIT;
        request_take_sparse(exchange, fields);
        return;
    }
    if (step->kind == WALK_HIT) {
        request_take_hit(exchange, step, fields);
        return;
    }
    if (step->kind == WALK_NONE) {
        respond_refusal(exchange, 504, "only-if-cached", "Nothing is stored that this request takes.\n");
        return;
    }
    exchange->outcome = step->kind == WALK_PASS ? OUTCOME_PASS : OUTCOME_MISS;
    if (step->kind != WALK_JOIN)
        request_start_fill(exchange, exchange->reader, step, fields, (piece_t){0, 0}, 0);
    request_await_head(exchange);
}

void request_begin_again(exchange_t *exchange, bool alone)
{
    http_field_t list[EXCHANGE_FIELDS_MAX];
    http_fields_t fields = exchange_fields(exchange, list);
    walk_t walk = request_walk(exchange, fields, exchange_now_us());
    alone = alone || is_of_before(exchange) || ++exchange->steps > REQUEST_STEPS_MAX;
    walk_step_t step = walk_again(&walk, exchange->reader, alone);
    exchange->sequence = walk.sequence;
    request_take_step(exchange, &step, fields);
}

/* The device was asked: what it had is in memory now, or the request does without. */
static void after_disk(exchange_t *exchange)
{
    disk_wait_t *wait = &exchange->waiter->disk;
    disk_wait_leave(wait);
    exchange->awaits_disk = false;
    exchange->looks_again = true;
    exchange->shuns_disk = wait->in_vain && !wait->for_room;
    exchange->from_disk |= !wait->in_vain && !wait->for_room;
    if (exchange->piece != NULL) {
        pieces_after_disk(exchange);
        return;
    }
    http_field_t list[EXCHANGE_FIELDS_MAX];
    http_fields_t fields = exchange_fields(exchange, list);
    walk_t walk = request_walk(exchange, fields, exchange_now_us());
    walk_step_t step = walk_again(&walk, exchange->reader, is_of_before(exchange));
    exchange->sequence = walk.sequence;
    request_take_step(exchange, &step, fields);
}

/* --- Wakes --- */

/* The puller's thread, under the object's lock. */
static void wake(object_reader_t *reader)
{
    waiter_t *waiter = waiter_of(reader);
    if (!atomic_exchange_explicit(&waiter->on_its_way, true, memory_order_acq_rel))
        worker_post(waiter->worker, &waiter->message);
}

/* A thread of the device, under its lock. */
static void wake_from_disk(disk_wait_t *wait)
{
    wake(&CONTAINER_OF(wait, waiter_t, disk)->reader);
}

static void on_wake(message_t *message)
{
    waiter_t *waiter = CONTAINER_OF(message, waiter_t, message);
    atomic_store_explicit(&waiter->on_its_way, false, memory_order_release);
    exchange_t *exchange = waiter->exchange;
    if (exchange == NULL)
        free_if_over(waiter);
    else if (exchange->awaits_disk)
        after_disk(exchange);
    else if (exchange->answering)
        respond_more(exchange);
    else if (exchange->piece != NULL)
        pieces_await(exchange);
    else
        request_await_head(exchange);
}

static waiter_t *waiter_new(exchange_t *exchange)
{
    waiter_t *waiter = spare_waiter != NULL ? spare_waiter : must_alloc(sizeof *waiter);
    spare_waiter = NULL;
    *waiter = (waiter_t){.message.handle = on_wake, .disk.wake = wake_from_disk};
    waiter->worker = exchange->worker;
    waiter->exchange = exchange;
    return waiter;
}

/* --- The exchange's life --- */

void exchange_end(exchange_t *exchange)
{
    if (exchange->span.block != NULL)
        block_unref(&exchange->span.block);
    if (exchange->piece != NULL)
        object_leave(exchange->piece);
    if (exchange->reader != NULL)
        object_leave(exchange->reader);
    if (exchange->waiter != NULL) {
        disk_wait_leave(&exchange->waiter->disk);
        exchange->waiter->exchange = NULL;
        free_if_over(exchange->waiter);
    }
    worker_let_go(exchange->worker, exchange->term);
    exchange->magic = 0;
}

static exchange_t *exchange_new(h2o_req_t *req)
{
    exchange_t *exchange = h2o_mem_alloc_pool(&req->pool, sizeof *exchange);
    memset(exchange, 0, offsetof(exchange_t, hit));
    exchange->magic = EXCHANGE_MAGIC;
    exchange->req = req;
    exchange->worker = worker_of(req);
    exchange->term = worker_hold(exchange->worker);
    exchange->started_us = exchange_now_us();
    exchange->outcome = OUTCOME_ERROR;
    exchange_note(exchange);
    return exchange;
}

/* --- A request comes in --- */

static bool is(h2o_iovec_t bytes, text_t text)
{
    return text_equal(text_from(bytes), text);
}

/* Makes the target what the key has of it; false after it was refused. */
static bool find_target(exchange_t *exchange, text_t *target)
{
    h2o_req_t *req = exchange->req;
    char small[3 * SHORT_TARGET];
    size_t capacity = 3 * req->path.len;
    char *buffer = req->path.len <= SHORT_TARGET ? small : h2o_mem_alloc_pool(&req->pool, capacity);
    url_error_t error = url_normalize(text_from(req->path), buffer, capacity, target);
    if (error != URL_OK) {
        count_guard_stopped(GUARD_BAD_URL);
        char *message = h2o_mem_alloc_pool(&req->pool, 256);
        snprintf(message, 256, "The request target %s.\n", url_error_text(error));
        respond_refusal(exchange, error == URL_TOO_LONG ? 414 : 400, "bad_url", message);
        return false;
    }
    if (target->data == small) {
        char *kept = h2o_mem_alloc_pool(&req->pool, target->length);
        memcpy(kept, small, target->length);
        target->data = kept;
    }
    exchange->target = *target;
    exchange->policy = site_policy(exchange->site, *target);
    if (!http_query_is_plain(&exchange->policy->query))
        *target = http_query_apply(&exchange->policy->query, *target,
                                   h2o_mem_alloc_pool(&req->pool, target->length));
    return true;
}

static bool is_too_often(exchange_t *exchange)
{
    h2o_req_t *req = exchange->req;
    unsigned seconds = worker_seconds_to_wait(req, exchange->started_us);
    if (seconds == 0)
        return false;
    count_refusal(REFUSED_REQUESTS);
    respond_retry_after(exchange, seconds);
    respond_refusal(exchange, 429, "request_rate", "Too many requests from this address.\n");
    return true;
}

static bool is_refused(exchange_t *exchange)
{
    h2o_req_t *req = exchange->req;
    if (is_too_often(exchange))
        return true;
    if (is(req->method, TEXT("CONNECT")) || is(req->method, TEXT("TRACE"))) {
        respond_refusal(exchange, 501, "method", "This method is not supported.\n");
        return true;
    }
    if (is(req->path, TEXT("*"))) {
        respond_refusal(exchange, 501, "method", "OPTIONS * is not supported.\n");
        return true;
    }
    return false;
}

static void decide(exchange_t *exchange)
{
    http_field_t list[EXCHANGE_FIELDS_MAX];
    http_fields_t fields = exchange_fields(exchange, list);
    if (upstream_is_loop(fields, text_of(worker_node(exchange->worker)->cdn_loop))) {
        respond_refusal(exchange, 508, "proxy_loop_detected",
                        "This request has come back to where it was.\n");
        return;
    }
    exchange->waiter = waiter_new(exchange);
    exchange->reader = &exchange->waiter->reader;
    if (exchange->is_get && exchange->policy->honours_requests) {
        exchange->is_heard = true;
        exchange->control = http_request_control(fields);
    }
    walk_t walk = request_walk(exchange, fields, exchange->started_us);
    walk_step_t step =
        request_may_store(exchange)
            ? walk_begin(&walk, exchange->reader)
            : walk_private(&walk, exchange->reader, exchange->is_get ? FORWARD_BYPASS : FORWARD_METHOD);
    request_take_step(exchange, &step, fields);
}

/* By the host that the client asked for; false after it was refused (RFC 9110 section 15.5.20). */
static bool find_site(exchange_t *exchange)
{
    exchange->site =
        sites_find(exchange->term->configuration->sites, text_from(exchange->req->input.authority));
    if (exchange->site != NULL)
        return true;
    count_guard_stopped(GUARD_UNKNOWN_HOST);
    respond_refusal(exchange, 421, "unknown_host", "No site here has this host name.\n");
    return false;
}

static int on_request(h2o_handler_t *handler, h2o_req_t *req)
{
    (void)handler;
    exchange_t *exchange = exchange_new(req);
    const node_t *node = worker_node(exchange->worker);
    text_t target;
    exchange->hides_authorization = connection_fields_drop(req);
    exchange->is_head = is(req->method, TEXT("HEAD"));
    if (is_refused(exchange) || !find_site(exchange) || !find_target(exchange, &target))
        return 0;
    exchange->sequence = ledger_sequence(node->ledger);
    exchange->key = cache_key_in(&exchange->site->cache, target);
    if (is(req->method, TEXT("PURGE"))) {
        purge_method(exchange);
        return 0;
    }
    exchange->is_get = exchange->is_head || is(req->method, TEXT("GET"));
    if (!redirect_to_https(exchange) && !preflight_answer(exchange))
        decide(exchange);
    return 0;
}

void request_register(h2o_hostconf_t *host, h2o_pathconf_t *path)
{
    h2o_handler_t *handler = h2o_create_handler(path, sizeof *handler);
    handler->on_req = on_request;
    exchange_log_register(path);
    exchange_log_register(&host->fallback_path);
}
