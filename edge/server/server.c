#include "edge/server/server.h"

#include <stdatomic.h>
#include <sys/resource.h>
#include <time.h>

#include "edge/request.h"
#include "edge/server/admin.h"
#include "edge/server/worker.h"

enum {
    ADMIN_STOP_MS = 2000,
    CUT_OFF_MS = 5000,
    OTHER_FILES = 512 /* listeners, origins, logs, the journal */
};

struct server {
    const settings_t *settings;
    sockets_t *sockets; /* borrowed */
    unsigned worker_count;
    worker_t **workers;
    worker_t *admin_worker;
};

/* --- Workers --- */

static worker_listener_t hand_over(server_t *server, const settings_listener_t *listener, unsigned worker)
{
    int fd = sockets_take(server->sockets, listener, worker);
    return (worker_listener_t){fd, listener->https, listener->proxy_protocol};
}

static worker_t *start_worker(server_t *server, node_t *node, configuration_t *configuration, unsigned index)
{
    worker_listener_t listeners[SETTINGS_LISTENERS_MAX];
    size_t count = server->settings->listener_count;
    for (size_t i = 0; i < count; i++)
        listeners[i] = hand_over(server, &server->settings->listeners[i], index);
    char name[16];
    snprintf(name, sizeof name, "worker %u", index % 1000);
    worker_config_t config = {.node = node,
                              .configuration = configuration,
                              .register_handlers = request_register,
                              .held = request_held,
                              .counts_connections = true,
                              .listeners = listeners,
                              .listener_count = count};
    memcpy(config.name, name, sizeof name);
    return worker_start(&config);
}

server_t *server_start(const settings_t *settings, sockets_t *sockets, node_t *node,
                       configuration_t *configuration)
{
    server_t *server = must_calloc(1, sizeof *server);
    server->settings = settings;
    server->sockets = sockets;
    server->worker_count = settings->workers;
    worker_listener_t admin = hand_over(server, &settings->admin, 0);
    worker_config_t config = {.name = "admin",
                              .node = node,
                              .configuration = configuration,
                              .register_handlers = admin_register,
                              .listeners = &admin,
                              .listener_count = 1};
    server->admin_worker = worker_start(&config);
    server->workers = must_calloc(server->worker_count, sizeof *server->workers);
    for (unsigned i = 0; i < server->worker_count; i++)
        server->workers[i] = start_worker(server, node, configuration, i);
    return server;
}

/* --- Limits --- */

/* As many connections as there are files for, but for those that are needed otherwise. */
static unsigned connections_possible(unsigned wanted)
{
    struct rlimit files;
    MUST(getrlimit(RLIMIT_NOFILE, &files) == 0);
    files.rlim_cur = files.rlim_max;
    if (setrlimit(RLIMIT_NOFILE, &files) != 0)
        MUST(getrlimit(RLIMIT_NOFILE, &files) == 0);
    if (files.rlim_cur >= (rlim_t)wanted + OTHER_FILES)
        return wanted;
    unsigned possible = files.rlim_cur > 2 * OTHER_FILES ? (unsigned)files.rlim_cur - OTHER_FILES
                                                         : (unsigned)files.rlim_cur / 2;
    fprintf(stderr,
            "selvedge: --max-connections %u: this process may open %llu files, so at most %u connections\n",
            wanted, (unsigned long long)files.rlim_cur, possible);
    return possible;
}

limits_config_t server_limits(const settings_t *settings)
{
    return (limits_config_t){.connections = connections_possible(settings->max_connections),
                             .connections_per_address = settings->max_connections_per_address,
                             .opens_per_second = settings->max_opens_per_second,
                             .requests_per_second = settings->max_requests_per_second};
}

/* --- Switching --- */

typedef struct {
    _Atomic unsigned left; /* workers that have not switched yet */
    void (*done)(void *context);
    void *context;
    worker_switch_t switches[];
} switching_t;

/* On each worker. */
static void on_switched(worker_switch_t *switched)
{
    switching_t *switching = switched->context;
    if (atomic_fetch_sub_explicit(&switching->left, 1, memory_order_acq_rel) > 1)
        return;
    switching->done(switching->context);
    free(switching);
}

void server_take(server_t *server, configuration_t *configuration, void (*done)(void *context), void *context)
{
    unsigned count = server->worker_count + 1;
    switching_t *switching = must_calloc(1, sizeof *switching + count * sizeof switching->switches[0]);
    atomic_init(&switching->left, count);
    switching->done = done;
    switching->context = context;
    for (unsigned i = 0; i < count; i++)
        switching->switches[i] =
            (worker_switch_t){.worker = i == 0 ? server->admin_worker : server->workers[i - 1],
                              .configuration = configuration_ref(configuration),
                              .done = on_switched,
                              .context = switching};
    for (unsigned i = 0; i < count; i++)
        worker_take(&switching->switches[i]);
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
    puller_stop(node->puller);
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
    free(server);
}
