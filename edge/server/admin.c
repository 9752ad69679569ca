#include "edge/server/admin.h"

#include "edge/http/status.h"
#include "edge/observe/counters.h"
#include "edge/server/worker.h"

enum { ADMIN_MAGIC = 0x5e1ad1 };

/* One admin request. Allocated apart: its answer may come after its client has gone. */
typedef struct {
    message_t message;
    uint32_t magic;
    worker_t *worker;
    h2o_req_t *req; /* NULL once the request has ended; the worker's thread only */
    api_answer_t answer;
} admin_call_t;

static void add(h2o_req_t *req, const h2o_token_t *token, const char *value)
{
    if (value != NULL)
        h2o_add_header(&req->pool, &req->res.headers, token, NULL, value, strlen(value));
}

static void send_answer(h2o_req_t *req, const api_answer_t *answer)
{
    req->res.status = answer->status;
    req->res.reason = http_reason(answer->status);
    req->res.content_length = answer->body_length;
    add(req, H2O_TOKEN_CONTENT_TYPE, answer->content_type);
    add(req, H2O_TOKEN_CACHE_CONTROL, "no-store");
    add(req, H2O_TOKEN_ALLOW, answer->allow);
    add(req, H2O_TOKEN_WWW_AUTHENTICATE, answer->authenticate);
    h2o_send_inline(req, answer->body, answer->body_length);
}

/* On the worker: answers, if there is still somebody to answer. */
static void deliver(message_t *message)
{
    admin_call_t *call = CONTAINER_OF(message, admin_call_t, message);
    MUST_BE(call, ADMIN_MAGIC);
    h2o_req_t *req = call->req;
    api_answer_t answer = call->answer;
    /* From here on the request's end frees the call. */
    call->message.handle = NULL;
    if (req != NULL)
        send_answer(req, &answer);
    else
        free(call);
    free(answer.body);
}

/* Any thread. The worker hears of it by message even when it comes at once: one path for both. */
static void on_answer(void *context, api_answer_t *answer)
{
    admin_call_t *call = context;
    MUST_BE(call, ADMIN_MAGIC);
    call->answer = *answer;
    worker_post(call->worker, &call->message);
}

static void on_request_end(void *memory)
{
    admin_call_t *call = *(admin_call_t **)memory;
    bool delivered = call->message.handle == NULL;
    call->req = NULL;
    if (delivered)
        free(call);
}

static text_t field(const h2o_req_t *req, const h2o_token_t *token)
{
    ssize_t at = h2o_find_header(&req->headers, token, -1);
    if (at < 0)
        return (text_t){NULL, 0};
    h2o_iovec_t value = req->headers.entries[at].value;
    return (text_t){value.base, value.len};
}

static void refresh_disk_metrics(disk_t *disk)
{
    disk_status_t status = disk_take_status(disk);
    gauge_set(GAUGE_DISK_BYTES, status.bytes);
    gauge_set(GAUGE_DISK_LIMIT_BYTES, status.size);
    gauge_set(GAUGE_DISK_SEGMENTS, status.segments);
    gauge_set(GAUGE_DISK_RECORDS, status.records);
    gauge_set(GAUGE_DISK_INDEX_BYTES, status.index_bytes);
    gauge_set(GAUGE_DISK_RECOVERING_SEGMENTS, status.segments_to_index);
    gauge_set(GAUGE_DISK_FAILED_DEVICES, status.failed_devices + status.waiting_devices);
    count_disk_admitted(status.counts.admitted);
    count_disk_dropped(DISK_DROP_QUEUE, status.counts.dropped_queue);
    count_disk_dropped(DISK_DROP_SIZE, status.counts.dropped_size);
    count_disk_dropped(DISK_DROP_BROKEN, status.counts.dropped_broken);
    count_disk_moved(status.counts.moved);
    count_disk_read(DISK_READ_CACHE, status.counts.reads_from_cache);
    count_disk_read(DISK_READ_DEVICE, status.counts.reads_from_device);
    count_disk_checksum_failures(status.counts.checksum_failures);
    count_disk_read_errors(status.counts.read_errors);
    count_disk_read_timeouts(status.counts.read_timeouts);
    count_disk_write_errors(status.counts.write_errors);
}

/* What is read off where it lives, just before somebody looks. */
static void refresh_metrics(const node_t *node)
{
    count_variants_evicted(memory_take_variants_evicted(node->memory));
    gauge_set(GAUGE_OBJECTS, memory_objects(node->memory));
    gauge_set(GAUGE_MEMORY_BYTES, memory_bytes(node->memory));
    gauge_set(GAUGE_MEMORY_LIMIT_BYTES, memory_limit(node->memory));
    gauge_set(GAUGE_MEMORY_PINNED_BYTES, memory_pinned_bytes(node->memory));
    gauge_set(GAUGE_PURGE_SEQUENCE, ledger_sequence(node->ledger));
    if (node->disk != NULL)
        refresh_disk_metrics(node->disk);
}

static int on_request(h2o_handler_t *handler, h2o_req_t *req)
{
    (void)handler;
    admin_call_t *call = must_calloc(1, sizeof *call);
    call->magic = ADMIN_MAGIC;
    call->message.handle = deliver;
    call->worker = worker_of(req);
    call->req = req;
    admin_call_t **held = h2o_mem_alloc_shared(&req->pool, sizeof(call), on_request_end);
    *held = call;
    const node_t *node = worker_node(call->worker);
    refresh_metrics(node);
    size_t path_length = req->query_at == SIZE_MAX ? req->path.len : req->query_at;
    api_request_t request = {.method = {req->method.base, req->method.len},
                             .path = {req->path.base, path_length},
                             .query = req->query_at == SIZE_MAX ? (text_t){NULL, 0}
                                                                : (text_t){req->path.base + req->query_at + 1,
                                                                           req->path.len - req->query_at - 1},
                             .authorization = field(req, H2O_TOKEN_AUTHORIZATION),
                             .content_type = field(req, H2O_TOKEN_CONTENT_TYPE),
                             .body = {req->entity.base, req->entity.len}};
    const configuration_t *configuration = worker_configuration(call->worker);
    api_rules_t rules = {text_of(configuration->token), configuration->sites};
    api_handle(node->api, &rules, &request, on_answer, call);
    return 0;
}

void admin_register(h2o_hostconf_t *host, h2o_pathconf_t *path)
{
    (void)host;
    h2o_handler_t *handler = h2o_create_handler(path, sizeof *handler);
    handler->on_req = on_request;
}
