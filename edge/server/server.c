#include "edge/server/server.h"

#include <openssl/ssl.h>
#include <time.h>

#include "edge/request.h"
#include "edge/server/admin.h"
#include "edge/server/worker.h"
#include "edge/tls.h"
#include "edge/tls_staple.h"

enum { ADMIN_STOP_MS = 2000, CUT_OFF_MS = 5000 };

struct server {
    const settings_t *settings;
    SSL_CTX *tls; /* NULL: no https listener */
    bool self_signed;
    sockets_t *sockets; /* borrowed */
    unsigned worker_count;
    worker_t **workers;
    worker_t *admin_worker;
};

static bool open_tls(server_t *server, char *error, size_t capacity)
{
    const settings_t *settings = server->settings;
    bool needed = settings->admin.https;
    for (size_t i = 0; i < settings->listener_count; i++)
        needed = needed || settings->listeners[i].https;
    if (!needed)
        return true;
    server->self_signed = settings->certificate_file == NULL;
    server->tls = server->self_signed
                      ? tls_self_signed_context(error, capacity)
                      : tls_server_context(settings->certificate_file, settings->key_file, error, capacity);
    return server->tls != NULL && (settings->staple_file == NULL ||
                                   tls_staple(server->tls, settings->staple_file, error, capacity));
}

server_t *server_open(const settings_t *settings, sockets_t *sockets, char *error, size_t capacity)
{
    server_t *server = must_calloc(1, sizeof *server);
    server->settings = settings;
    server->sockets = sockets;
    server->worker_count = settings->workers;
    if (!open_tls(server, error, capacity))
        server_free(&server);
    return server;
}

bool server_self_signed(const server_t *server)
{
    return server->self_signed;
}

/* --- Workers --- */

static worker_listener_t hand_over(server_t *server, const settings_listener_t *listener, unsigned worker)
{
    int fd = sockets_take(server->sockets, listener, worker);
    return (worker_listener_t){fd, listener->https ? server->tls : NULL};
}

static worker_t *start_worker(server_t *server, node_t *node, unsigned index)
{
    worker_listener_t listeners[SETTINGS_LISTENERS_MAX];
    size_t count = server->settings->listener_count;
    for (size_t i = 0; i < count; i++)
        listeners[i] = hand_over(server, &server->settings->listeners[i], index);
    char name[16];
    snprintf(name, sizeof name, "worker %u", index % 1000);
    worker_config_t config = {.node = node,
                              .register_handlers = request_register,
                              .counts_connections = true,
                              .listeners = listeners,
                              .listener_count = count};
    memcpy(config.name, name, sizeof name);
    return worker_start(&config);
}

void server_start(server_t *server, node_t *node)
{
    worker_listener_t admin = hand_over(server, &server->settings->admin, 0);
    worker_config_t config = {.name = "admin",
                              .node = node,
                              .register_handlers = admin_register,
                              .listeners = &admin,
                              .listener_count = 1};
    server->admin_worker = worker_start(&config);
    server->workers = must_calloc(server->worker_count, sizeof *server->workers);
    for (unsigned i = 0; i < server->worker_count; i++)
        server->workers[i] = start_worker(server, node, i);
}

/* --- Stopping --- */

static int64_t now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static bool all_end(server_t *server, int64_t timeout_ms)
{
    int64_t until = now_ms() + timeout_ms;
    bool all = true;
    for (unsigned i = 0; i < server->worker_count; i++) {
        int64_t left = until - now_ms();
        all = worker_wait(server->workers[i], left > 0 ? left : 0) && all;
    }
    return all;
}

static bool stop_admin(server_t *server)
{
    worker_drain(server->admin_worker);
    if (worker_wait(server->admin_worker, ADMIN_STOP_MS))
        return true;
    worker_cut_off(server->admin_worker);
    return worker_wait(server->admin_worker, CUT_OFF_MS);
}

bool server_stop(server_t *server, node_t *node, int64_t timeout_ms)
{
    for (unsigned i = 0; i < server->worker_count; i++)
        worker_drain(server->workers[i]);
    bool ended = all_end(server, timeout_ms);
    puller_stop(&node->puller);
    for (unsigned i = 0; !ended && i < server->worker_count; i++)
        worker_cut_off(server->workers[i]);
    if (!ended)
        ended = all_end(server, CUT_OFF_MS);
    return stop_admin(server) && ended;
}

void server_free(server_t **pointer)
{
    server_t *server = *pointer;
    *pointer = NULL;
    free(server->workers);
    SSL_CTX_free(server->tls);
    free(server);
}
