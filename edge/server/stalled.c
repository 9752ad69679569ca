#include "edge/server/stalled.h"

#include <linux/tcp.h> /* struct tcp_info as this kernel has it; the C library's is older */
#include <netinet/in.h>
#include <sys/socket.h>
#include <time.h>

#include "edge/guard/guard.h"
#include "edge/guard/http2_view.h"

enum { LIBRARY_TIMER_MS = 24 * 3600 * 1000 };

void stalled_configure(h2o_globalconf_t *library)
{
    if (guard_is_off())
        return;
    library->handshake_timeout = LIBRARY_TIMER_MS;
    library->http1.req_timeout = LIBRARY_TIMER_MS;
    library->http2.idle_timeout = LIBRARY_TIMER_MS;
}

static int64_t now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* --- Looking --- */

/* What no protocol has taken over yet, or has let go of. */
static void begin_look(connection_t *connection)
{
    bool was_served = connection->watch.begun && connection->watch.phase != CLIENT_NEW;
    connection->look = (client_look_t){.phase = was_served ? CLIENT_CLOSING : CLIENT_NEW};
}

static bool has_come(struct timeval time)
{
    return time.tv_sec != 0;
}

static client_phase_t http1_phase(const h2o_req_t *req)
{
    if (!has_come(req->timestamps.request_begin_at))
        return CLIENT_IDLE;
    return has_come(req->processed_at.at) || has_come(req->timestamps.request_body_begin_at) ? CLIENT_WORKING
                                                                                             : CLIENT_HEAD;
}

/* All that a connection's requests hold, on streams that its client takes and on those it leaves alone. */
static void add_held(client_look_t *look, const h2o_req_t *req, stalled_held_t *const *held)
{
    if (*held != NULL)
        look->held += (*held)(req, h2o_now(req->conn->ctx->loop));
}

static int see_http1(h2o_req_t *req, void *data)
{
    h2o_socket_t *socket = req->conn->callbacks->get_socket(req->conn);
    client_look_t *look = &connection_of(socket)->look;
    const struct timeval *began = &req->timestamps.request_begin_at;
    look->phase = http1_phase(req);
    look->request = look->phase == CLIENT_IDLE ? socket->bytes_written
                                               : (uint64_t)began->tv_sec * 1000000 + (uint64_t)began->tv_usec;
    look->owes_taking = h2o_socket_is_writing(socket);
    look->owes_giving = has_come(req->timestamps.request_body_begin_at) && !has_come(req->processed_at.at);
    add_held(look, req, data);
    return 0;
}

static void see_http2(const http2_view_t *view)
{
    client_look_t *look = &connection_of(view->socket)->look;
    bool head = view->header_block_open || (view->partial_frame && view->requests == 0);
    look->phase = head ? CLIENT_HEAD : view->requests > 0 ? CLIENT_WORKING : CLIENT_IDLE;
    look->request = view->last_opened;
    look->owes_taking = view->writing;
}

static int see_stream(h2o_req_t *req, void *data)
{
    client_look_t *look = &connection_of(req->conn->callbacks->get_socket(req->conn))->look;
    http2_stream_view_t view = http2_view_stream(req);
    look->owes_taking = look->owes_taking || view == STREAM_TAKES;
    look->owes_giving = look->owes_giving || view == STREAM_GIVES;
    add_held(look, req, data);
    return 0;
}

/* What has passed on the wire: the library counts what it has handed over, which may be megabytes ahead. */
static void see_bytes(connection_t *connection)
{
    client_look_t *look = &connection->look;
    if (!look->owes_taking && !look->owes_giving)
        return;
    struct tcp_info info = {0};
    socklen_t size = sizeof info;
    getsockopt(h2o_socket_get_fd(connection->socket), IPPROTO_TCP, TCP_INFO, &info, &size);
    look->taken_bytes = info.tcpi_bytes_acked;
    look->given_bytes = info.tcpi_bytes_received;
}

static void look_at_all(h2o_context_t *context, connections_t *connections, stalled_held_t *held)
{
    for (connection_t *connection = connections->first; connection != NULL; connection = connection->next)
        begin_look(connection);
    h2o_globalconf_t *library = context->globalconf;
    library->http1.callbacks.foreach_request(context, see_http1, &held);
    http2_view_each(context, see_http2);
    library->http2.callbacks.foreach_request(context, see_stream, &held);
    for (connection_t *connection = connections->first; connection != NULL; connection = connection->next)
        see_bytes(connection);
}

/* --- Cutting --- */

/* An idle one is ended in good order, and may be gone at once. Another is reset: it would not take a
 * farewell, and the kernel would keep what it did not take. */
static void cut(h2o_context_t *context, connection_t *connection, cut_t reason)
{
    int fd = h2o_socket_get_fd(connection->socket);
    connection->cut = true;
    count_cut(reason);
    if (reason == CUT_IDLE) {
        shutdown(fd, SHUT_RD);
        http2_end_idle(context, connection->socket);
        return;
    }
    struct linger reset = {.l_onoff = 1, .l_linger = 0};
    setsockopt(fd, SOL_SOCKET, SO_LINGER, &reset, sizeof reset);
    shutdown(fd, SHUT_RDWR);
}

/* Those who hold at least half as much as the worst. */
static void cut_holders(h2o_context_t *context, connections_t *connections)
{
    uint64_t most = 0;
    for (const connection_t *at = connections->first; at != NULL; at = at->next)
        most = !at->cut && at->look.held > most ? at->look.held : most;
    for (connection_t *at = connections->first, *next; most > 0 && at != NULL; at = next) {
        next = at->next;
        if (!at->cut && at->look.held >= most / 2)
            cut(context, at, CUT_MEMORY);
    }
}

void stalled_sweep(h2o_context_t *context, connections_t *connections, const watch_limits_t *limits,
                   stalled_held_t *held)
{
    if (guard_is_off())
        return;
    look_at_all(context, connections, held);
    int64_t now = now_ms();
    for (connection_t *connection = connections->first, *next; connection != NULL; connection = next) {
        next = connection->next;
        cut_t reason = watch_judge(&connection->watch, &connection->look, limits, now);
        if (reason != CUTS && !connection->cut)
            cut(context, connection, reason);
    }
    if (held != NULL)
        cut_holders(context, connections);
}
