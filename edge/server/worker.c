#include "edge/server/worker.h"

#include <errno.h>
#include <h2o/http1.h>
#include <h2o/http2.h>
#include <pthread.h>
#include <sys/socket.h>
#include <unistd.h>

#include "edge/guard/budget.h"
#include "edge/guard/guard.h"
#include "edge/observe/counters.h"
#include "edge/server/connection.h"
#include "edge/server/stalled.h"

enum {
    WORKER_MAGIC = 0x5e1304e4,
    SWEEP_TICKS = 4, /* stalled clients are looked for once a second */
    ACCEPTS_AT_ONCE = 16,
    LISTENERS_MAX = 32
};

typedef struct {
    h2o_accept_ctx_t accept;
    h2o_socket_t *socket; /* NULL once closed */
    bool https;
    worker_t *worker;
    bool proxied;
} listener_t;

struct worker {
    uint32_t magic;
    h2o_context_t context;
    /* Fixed after start. */
    worker_config_t config;
    h2o_globalconf_t library;
    pthread_t thread;
    h2o_multithread_queue_t *queue;
    h2o_multithread_receiver_t receiver;
    heart_t *heart;
    /* Its own thread. */
    worker_term_t *term; /* by which it serves */
    watch_limits_t watch_limits;
    listener_t listeners[LISTENERS_MAX];
    size_t listener_count;
    connections_t connections;
    int64_t counted[PROTOCOLS]; /* what the gauges were told */
    access_log_buffer_t *log;
    h2o_timestamp_string_t *date;
    h2o_timeout_t tick;
    h2o_timeout_entry_t tick_entry;
    unsigned ticks;
    bool draining;
    message_t drain, cut_off;
    /* Under the lock. */
    pthread_mutex_t lock;
    pthread_cond_t changed;
    bool accepting, ended;
    /* The starting thread's. */
    worker_t *started_before;
};

static worker_t *last_started; /* workers live as long as the process */

/* --- Connections --- */

static void on_accept(h2o_socket_t *socket, const char *error)
{
    listener_t *listener = socket->data;
    if (error != NULL)
        return;
    for (int i = 0; i < ACCEPTS_AT_ONCE; i++) {
        h2o_socket_t *accepted = h2o_evloop_socket_accept(socket);
        if (accepted == NULL)
            return;
        connection_open(&listener->worker->connections, accepted, &listener->accept, listener->proxied);
    }
}

h2o_socket_t *worker_socket(const h2o_req_t *req)
{
    return req->conn->callbacks->get_socket(req->conn);
}

text_t worker_client(const h2o_req_t *req)
{
    const connection_t *connection = connection_of(worker_socket(req));
    return (text_t){connection->client, connection->client_length};
}

limits_address_t worker_client_address(const h2o_req_t *req)
{
    return connection_of(worker_socket(req))->address;
}

unsigned worker_seconds_to_wait(const h2o_req_t *req, int64_t now_us)
{
    const worker_t *worker = worker_of(req);
    if (worker_configuration(worker)->settings.max_requests_per_second == 0)
        return 0;
    return limits_request(worker->connections.limits, connection_of(worker_socket(req))->slot, now_us);
}

/* --- Its own thread --- */

worker_t *worker_of(const h2o_req_t *req)
{
    worker_t *worker = CONTAINER_OF(req->conn->ctx, worker_t, context);
    MUST_BE(worker, WORKER_MAGIC);
    return worker;
}

node_t *worker_node(const worker_t *worker)
{
    return worker->config.node;
}

const configuration_t *worker_configuration(const worker_t *worker)
{
    return worker->term->configuration;
}

access_log_buffer_t *worker_log(const worker_t *worker)
{
    return worker->log;
}

h2o_timestamp_string_t *worker_date(worker_t *worker)
{
    return worker->date;
}

static int64_t count_links(const h2o_linklist_t *anchor)
{
    int64_t count = 0;
    for (const h2o_linklist_t *node = anchor->next; node != anchor; node = node->next)
        count++;
    return count;
}

/* Tells the gauges how the number of connections changed. Requests that are only being accepted count for
 * neither. */
static void count_connections(worker_t *worker)
{
    if (!worker->config.counts_connections)
        return;
    static const gauge_t gauges[PROTOCOLS] = {
        [PROTOCOL_H1] = GAUGE_CONNECTIONS_H1, [PROTOCOL_H2] = GAUGE_CONNECTIONS_H2};
    int64_t now[PROTOCOLS] = {[PROTOCOL_H1] = count_links(&worker->context.http1._conns),
                              [PROTOCOL_H2] = count_links(&worker->context.http2._conns)};
    for (int i = 0; i < PROTOCOLS; i++) {
        gauge_add(gauges[i], now[i] - worker->counted[i]);
        worker->counted[i] = now[i];
    }
}

static void on_tick(h2o_timeout_entry_t *entry)
{
    worker_t *worker = CONTAINER_OF(entry, worker_t, tick_entry);
    heart_tick(worker->heart);
    count_connections(worker);
    if (worker->log != NULL)
        access_log_flush(worker->log);
    if (++worker->ticks % SWEEP_TICKS == 0)
        stalled_sweep(&worker->context, &worker->connections, &worker->watch_limits,
                      memory_is_pressed(worker->config.node->memory) ? worker->config.held : NULL);
    if (worker->config.on_tick != NULL)
        worker->config.on_tick(worker);
    h2o_timeout_link(worker->context.loop, &worker->tick, &worker->tick_entry);
}

static void on_messages(h2o_multithread_receiver_t *receiver, h2o_linklist_t *messages)
{
    (void)receiver;
    while (!h2o_linklist_is_empty(messages)) {
        message_t *message = CONTAINER_OF(messages->next, message_t, super.link);
        h2o_linklist_unlink(&message->super.link);
        message->handle(message);
    }
}

void worker_post(worker_t *worker, message_t *message)
{
    h2o_multithread_send_message(&worker->receiver, &message->super);
}

/* --- Its configuration --- */

static worker_term_t *term_new(configuration_t *configuration)
{
    worker_term_t *term = must_alloc(sizeof *term);
    *term = (worker_term_t){configuration, 0};
    return term;
}

static void term_free(worker_term_t *term)
{
    configuration_unref(&term->configuration);
    free(term);
}

worker_term_t *worker_hold(worker_t *worker)
{
    worker->term->requests++;
    return worker->term;
}

void worker_let_go(worker_t *worker, worker_term_t *term)
{
    if (--term->requests == 0 && term != worker->term)
        term_free(term);
}

/* What is not looked up in the configuration each time. Connections keep the budget that they began with. */
static void apply(worker_t *worker)
{
    const configuration_t *configuration = worker_configuration(worker);
    const settings_t *settings = &configuration->settings;
    worker->connections.reset_budget = settings->http2_reset_budget;
    worker->watch_limits =
        (watch_limits_t){settings->idle_timeout_ms, settings->header_timeout_ms, settings->stall_timeout_ms};
    worker->library.max_request_entity_size = settings->max_request_body_bytes;
    guard_set_limits(
        &(guard_limits_t){settings->max_header_bytes, settings->max_header_fields, settings->max_url_bytes});
    for (size_t i = 0; i < worker->listener_count; i++) {
        listener_t *listener = &worker->listeners[i];
        listener->accept.ssl_ctx = listener->https ? configuration->tls : NULL;
    }
}

static void handle_switch(message_t *message)
{
    worker_switch_t *switching = CONTAINER_OF(message, worker_switch_t, message);
    worker_t *worker = switching->worker;
    worker_term_t *before = worker->term;
    worker->term = term_new(switching->configuration);
    apply(worker);
    if (before->requests == 0)
        term_free(before);
    switching->done(switching);
}

void worker_take(worker_switch_t *switching)
{
    switching->message = (message_t){.handle = handle_switch};
    worker_post(switching->worker, &switching->message);
}

/* --- Stopping --- */

/* An HTTP/1 connection between two requests would stay until its timeout. */
static int close_idle(h2o_req_t *req, void *data)
{
    (void)data;
    if (req->timestamps.request_begin_at.tv_sec == 0)
        shutdown(h2o_socket_get_fd(worker_socket(req)), SHUT_RD);
    return 0;
}

static void handle_drain(message_t *message)
{
    worker_t *worker = CONTAINER_OF(message, worker_t, drain);
    if (worker->draining)
        return;
    worker->draining = true;
    for (size_t i = 0; i < worker->listener_count; i++) {
        listener_t *listener = &worker->listeners[i];
        on_accept(listener->socket, NULL); /* who has come before is served */
        h2o_socket_read_stop(listener->socket);
        h2o_socket_close(listener->socket);
        listener->socket = NULL;
    }
    h2o_context_request_shutdown(&worker->context);
    worker->library.http1.callbacks.foreach_request(&worker->context, close_idle, NULL);
}

static void handle_cut_off(message_t *message)
{
    worker_t *worker = CONTAINER_OF(message, worker_t, cut_off);
    for (connection_t *connection = worker->connections.first; connection != NULL;
         connection = connection->next)
        shutdown(h2o_socket_get_fd(connection->socket), SHUT_RDWR);
}

void worker_drain(worker_t *worker)
{
    worker_post(worker, &worker->drain);
}

void worker_cut_off(worker_t *worker)
{
    worker_post(worker, &worker->cut_off);
}

/* --- Life --- */

static void open_listeners(worker_t *worker)
{
    const worker_config_t *config = &worker->config;
    MUST(config->listener_count <= LISTENERS_MAX);
    for (size_t i = 0; i < config->listener_count; i++) {
        listener_t *listener = &worker->listeners[i];
        listener->worker = worker;
        listener->accept.ctx = &worker->context;
        listener->accept.hosts = worker->library.hosts;
        listener->https = config->listeners[i].https;
        listener->proxied = config->listeners[i].proxied;
        listener->socket = h2o_evloop_socket_create(worker->context.loop, config->listeners[i].fd,
                                                    H2O_SOCKET_FLAG_DONT_READ);
        listener->socket->data = listener;
        h2o_socket_read_start(listener->socket, on_accept);
    }
    worker->listener_count = config->listener_count;
    apply(worker);
}

static void configure_library(worker_t *worker)
{
    h2o_globalconf_t *library = &worker->library;
    h2o_config_init(library);
    library->server_name = (h2o_iovec_t){NULL, 0};
    stalled_configure(library);
    /* The others wait: only requests that were given up can make more fills than this. */
    library->http2.max_concurrent_requests_per_connection = GUARD_FILLS_MAX;
    h2o_hostconf_t *host = h2o_config_register_host(library, h2o_iovec_init(H2O_STRLIT("default")), 65535);
    h2o_pathconf_t *path = h2o_config_register_path(host, "/", 0);
    host->http2.reprioritize_blocking_assets = 0;
    host->http2.push_preload = 0;
    worker->config.register_handlers(host, path);
}

static void say(worker_t *worker, bool *what)
{
    pthread_mutex_lock(&worker->lock);
    *what = true;
    pthread_cond_broadcast(&worker->changed);
    pthread_mutex_unlock(&worker->lock);
}

static void set_up(worker_t *worker)
{
    h2o_context_init(&worker->context, h2o_evloop_create(), &worker->library);
    worker->queue = h2o_multithread_create_queue(worker->context.loop);
    h2o_multithread_register_receiver(worker->queue, &worker->receiver, on_messages);
    worker->drain.handle = handle_drain;
    worker->cut_off.handle = handle_cut_off;
    worker->date = h2o_mem_alloc_shared(NULL, sizeof *worker->date, NULL);
    memset(worker->date, 0, sizeof *worker->date);
    if (worker->config.node->access_log != NULL)
        worker->log = access_log_buffer_new(worker->config.node->access_log);
    h2o_timeout_init(worker->context.loop, &worker->tick, HEARTBEAT_TICK_MS);
    worker->tick_entry.cb = on_tick;
    h2o_timeout_link(worker->context.loop, &worker->tick, &worker->tick_entry);
}

static void tear_down(worker_t *worker)
{
    h2o_timeout_unlink(&worker->tick_entry);
    h2o_timeout_dispose(worker->context.loop, &worker->tick);
    count_connections(worker);
    if (worker->log != NULL)
        access_log_buffer_free(&worker->log);
    h2o_mem_release_shared(worker->date);
    if (worker->term->requests == 0)
        term_free(worker->term);
    worker->term = NULL;
}

static void *run(void *context)
{
    worker_t *worker = context;
    pthread_setname_np(pthread_self(), worker->config.name);
    memory_attach_thread();
    counters_attach();
    set_up(worker);
    open_listeners(worker);
    heart_begin(worker->heart, worker->config.name);
    say(worker, &worker->accepting);
    while (!worker->draining || worker->connections.count > 0)
        MUST(h2o_evloop_run(worker->context.loop, INT32_MAX) == 0 || errno == EINTR);
    h2o_evloop_run(worker->context.loop, 0); /* messages that were on their way */
    heart_end(worker->heart);
    tear_down(worker);
    memory_detach_thread();
    say(worker, &worker->ended);
    /* The library keeps memory of this thread's, and has no call to free that or its loop: they go with the
     * process. */
    for (;;)
        pause();
    return NULL;
}

worker_t *worker_start(const worker_config_t *config)
{
    worker_t *worker = must_calloc(1, sizeof *worker);
    worker->magic = WORKER_MAGIC;
    worker->config = *config;
    worker->heart = heart_claim(config->node->heartbeats);
    worker->term = term_new(configuration_ref(config->configuration));
    worker->connections.limits = config->counts_connections ? config->node->limits : NULL;
    pthread_condattr_t clock;
    pthread_condattr_init(&clock);
    pthread_condattr_setclock(&clock, CLOCK_MONOTONIC);
    MUST(pthread_mutex_init(&worker->lock, NULL) == 0 && pthread_cond_init(&worker->changed, &clock) == 0);
    pthread_condattr_destroy(&clock);
    worker->started_before = last_started;
    last_started = worker;
    configure_library(worker);
    MUST(pthread_create(&worker->thread, NULL, run, worker) == 0);
    pthread_mutex_lock(&worker->lock);
    while (!worker->accepting)
        pthread_cond_wait(&worker->changed, &worker->lock);
    pthread_mutex_unlock(&worker->lock);
    return worker;
}

bool worker_wait(worker_t *worker, int64_t timeout_ms)
{
    struct timespec until;
    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += timeout_ms / 1000;
    until.tv_nsec += timeout_ms % 1000 * 1000000;
    until.tv_sec += until.tv_nsec / 1000000000;
    until.tv_nsec %= 1000000000;
    int error = 0;
    pthread_mutex_lock(&worker->lock);
    while (!worker->ended && error == 0)
        error = pthread_cond_timedwait(&worker->changed, &worker->lock, &until);
    bool ended = worker->ended;
    pthread_mutex_unlock(&worker->lock);
    return ended;
}
