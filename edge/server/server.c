#include "edge/server/server.h"

#include <arpa/inet.h>
#include <errno.h>
#include <openssl/ssl.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "edge/request.h"
#include "edge/server/admin.h"
#include "edge/server/worker.h"
#include "edge/tls.h"

enum { BACKLOG = 1024, ADMIN_STOP_MS = 2000, CUT_OFF_MS = 5000 };

/* One configured listener: a socket for each worker, all on one port. */
typedef struct {
    const settings_listener_t *settings;
    uint16_t port; /* as the kernel chose it */
    int *fds;      /* one for each worker; handed over on start */
} endpoint_t;

struct server {
    const settings_t *settings;
    SSL_CTX *tls; /* NULL: no https listener */
    bool self_signed;
    endpoint_t endpoints[SETTINGS_LISTENERS_MAX], admin;
    unsigned worker_count;
    worker_t **workers;
    worker_t *admin_worker;
};

/* --- Sockets --- */

static int open_socket(const settings_listener_t *listener, uint16_t port)
{
    union {
        struct sockaddr any;
        struct sockaddr_in v4;
        struct sockaddr_in6 v6;
    } address;
    memcpy(&address, &listener->address, listener->address_length);
    if (listener->ipv6)
        address.v6.sin6_port = htons(port);
    else
        address.v4.sin_port = htons(port);
    int fd = socket(address.any.sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), on = 1;
    if (fd < 0)
        return -1;
    bool ready = setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) == 0 &&
                 setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof on) == 0 &&
                 (!listener->ipv6 || setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof on) == 0) &&
                 bind(fd, &address.any, listener->address_length) == 0 && listen(fd, BACKLOG) == 0;
    if (ready)
        return fd;
    int reason = errno;
    close(fd);
    errno = reason;
    return -1;
}

/* SO_REUSEPORT lets a second node of this user share a port without a word; so the first socket is opened
 * without it. */
static bool is_taken(const settings_listener_t *listener)
{
    if (listener->port == 0)
        return false;
    int fd = socket(listener->address.any.sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0), on = 1;
    if (fd < 0)
        return false;
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (listener->ipv6)
        setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof on);
    bool taken = bind(fd, &listener->address.any, listener->address_length) != 0 && errno == EADDRINUSE;
    close(fd);
    return taken;
}

static uint16_t port_of(int fd)
{
    struct sockaddr_storage address;
    socklen_t length = sizeof address;
    MUST(getsockname(fd, (struct sockaddr *)&address, &length) == 0);
    return ntohs(address.ss_family == AF_INET6 ? ((struct sockaddr_in6 *)&address)->sin6_port
                                               : ((struct sockaddr_in *)&address)->sin_port);
}

static bool open_endpoint(endpoint_t *endpoint, const settings_listener_t *listener, unsigned count,
                          char *error, size_t capacity)
{
    endpoint->settings = listener;
    endpoint->port = listener->port;
    endpoint->fds = must_calloc(count, sizeof *endpoint->fds);
    if (is_taken(listener)) {
        snprintf(error, capacity,
                 "cannot listen on %s: another process does; choose another port, or 0 for a free one",
                 listener->text);
        return false;
    }
    for (unsigned i = 0; i < count; i++) {
        endpoint->fds[i] = open_socket(listener, endpoint->port);
        if (endpoint->fds[i] < 0) {
            snprintf(error, capacity, "cannot listen on %s: %s", listener->text, strerror(errno));
            return false;
        }
        endpoint->port = port_of(endpoint->fds[i]);
    }
    return true;
}

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
    return server->tls != NULL;
}

server_t *server_open(const settings_t *settings, char *error, size_t capacity)
{
    server_t *server = must_calloc(1, sizeof *server);
    server->settings = settings;
    server->worker_count = settings->workers;
    bool opened = open_tls(server, error, capacity);
    for (size_t i = 0; opened && i < settings->listener_count; i++)
        opened =
            open_endpoint(&server->endpoints[i], &settings->listeners[i], settings->workers, error, capacity);
    opened = opened && open_endpoint(&server->admin, &settings->admin, 1, error, capacity);
    if (!opened)
        server_free(&server);
    return server;
}

bool server_self_signed(const server_t *server)
{
    return server->self_signed;
}

static int describe(const endpoint_t *endpoint, char *text, size_t capacity)
{
    const settings_listener_t *settings = endpoint->settings;
    return snprintf(text, capacity, settings->ipv6 ? "%s://[%s]:%u" : "%s://%s:%u",
                    settings->https ? "https" : "http", settings->host, endpoint->port);
}

void server_describe(const server_t *server, char *text, size_t capacity)
{
    size_t length = 0;
    for (size_t i = 0; i < server->settings->listener_count && length + 1 < capacity; i++) {
        length += (size_t)describe(&server->endpoints[i], text + length, capacity - length);
        if (length + 1 < capacity)
            text[length++] = ' ';
    }
    if (length + 7 < capacity) {
        memcpy(text + length, "admin=", 6);
        describe(&server->admin, text + length + 6, capacity - length - 6);
    }
}

/* --- Workers --- */

static worker_listener_t hand_over(server_t *server, endpoint_t *endpoint, unsigned worker)
{
    worker_listener_t listener = {endpoint->fds[worker], endpoint->settings->https ? server->tls : NULL};
    endpoint->fds[worker] = -1;
    return listener;
}

static worker_t *start_worker(server_t *server, node_t *node, unsigned index)
{
    worker_listener_t listeners[SETTINGS_LISTENERS_MAX];
    size_t count = server->settings->listener_count;
    for (size_t i = 0; i < count; i++)
        listeners[i] = hand_over(server, &server->endpoints[i], index);
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
    worker_listener_t admin = hand_over(server, &server->admin, 0);
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

static void free_endpoint(endpoint_t *endpoint, unsigned count)
{
    for (unsigned i = 0; endpoint->fds != NULL && i < count; i++)
        if (endpoint->fds[i] > 0)
            close(endpoint->fds[i]);
    free(endpoint->fds);
}

void server_free(server_t **pointer)
{
    server_t *server = *pointer;
    *pointer = NULL;
    for (size_t i = 0; i < SETTINGS_LISTENERS_MAX; i++)
        free_endpoint(&server->endpoints[i], server->worker_count);
    free_endpoint(&server->admin, 1);
    free(server->workers);
    SSL_CTX_free(server->tls);
    free(server);
}
