/* A libh2o server in this process, and a client that writes raw bytes to it: what the guard's tests share.
 *
 * The loop is turned by the test itself, one socket pair per connection, so nothing depends on time. Included
 * once, by the test's only file. */
#ifndef SELVEDGE_TESTS_UNIT_GUARD_SERVER_H
#define SELVEDGE_TESTS_UNIT_GUARD_SERVER_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <h2o.h>
#include <h2o/http1.h>
#include <h2o/http2.h>
#include <signal.h>
#include <sys/socket.h>
#include <unistd.h>

#include "edge/guard/budget.h"
#include "edge/guard/guard.h"
#include "edge/observe/counters.h"

enum { BODY_BYTES = 60000 };

static h2o_globalconf_t config;
static h2o_context_t context;
static h2o_accept_ctx_t accept_context;
static char body[BODY_BYTES];

/* What the handler saw last. */
static struct {
    unsigned calls;
    char line[256]; /* method, path, authority, names of fields */
    size_t entity;
} seen;

static size_t append(size_t at, h2o_iovec_t bytes)
{
    size_t room = sizeof(seen.line) - 1 - at;
    if (room == 0)
        return at;
    size_t length = bytes.len < room ? bytes.len : room - 1;
    if (length != 0)
        memcpy(seen.line + at, bytes.base, length);
    seen.line[at + length] = ' ';
    seen.line[at + length + 1] = '\0';
    return at + length + 1;
}

static void send_end(h2o_generator_t *generator, h2o_req_t *req)
{
    (void)generator;
    h2o_send(req, NULL, 0, H2O_SEND_STATE_FINAL);
}

/* The body, and its end only when the body is written. */
static int send_in_parts(h2o_req_t *req)
{
    static h2o_generator_t generator = {send_end, NULL};
    h2o_iovec_t whole = {body, BODY_BYTES};
    h2o_start_response(req, &generator);
    h2o_send(req, &whole, 1, H2O_SEND_STATE_IN_PROGRESS);
    return 0;
}

/* /hang is never answered; CONNECT gets 501; all else the body. */
static int on_request(h2o_handler_t *self, h2o_req_t *req)
{
    (void)self;
    ++seen.calls;
    seen.entity = req->entity.len;
    size_t at = append(append(append(0, req->method), req->path), req->authority);
    for (size_t i = 0; i != req->headers.size; ++i)
        at = append(at, *req->headers.entries[i].name);
    if (h2o_memis(req->path.base, req->path.len, H2O_STRLIT("/hang")))
        return 0;
    bool connect = h2o_memis(req->method.base, req->method.len, H2O_STRLIT("CONNECT"));
    bool small = h2o_memis(req->path.base, req->path.len, H2O_STRLIT("/small"));
    req->res.status = connect ? 501 : 200;
    req->res.reason = connect ? "Not Implemented" : "OK";
    req->res.content_length = connect ? 0 : small ? 2 : BODY_BYTES;
    if (h2o_memis(req->path.base, req->path.len, H2O_STRLIT("/parts")))
        return send_in_parts(req);
    h2o_send_inline(req, body, req->res.content_length);
    return 0;
}

static int start(void **state)
{
    (void)state;
    signal(SIGPIPE, SIG_IGN);
    memset(body, 'x', sizeof(body));
    h2o_config_init(&config);
    config.http2.max_concurrent_requests_per_connection = GUARD_FILLS_MAX; /* as the daemon has it */
    h2o_hostconf_t *host = h2o_config_register_host(&config, h2o_iovec_init(H2O_STRLIT("default")), 65535);
    h2o_pathconf_t *path = h2o_config_register_path(host, "/", 0);
    h2o_create_handler(path, sizeof(h2o_handler_t))->on_req = on_request;
    h2o_context_init(&context, h2o_evloop_create(), &config);
    accept_context.ctx = &context;
    accept_context.hosts = config.hosts;
    return 0;
}

/* One client: its end of the pair, and what it has read. */
typedef struct {
    int fd;
    bool closed;
    size_t length;
    uint8_t input[1 << 20];
} client_t;

static client_t *client_new(void)
{
    int pair[2], small = 4096;
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, pair), 0);
    assert_int_equal(setsockopt(pair[1], SOL_SOCKET, SO_SNDBUF, &small, sizeof(small)), 0);
    client_t *client = must_calloc(1, sizeof(*client));
    client->fd = pair[0];
    h2o_socket_t *sock = h2o_evloop_socket_create(context.loop, pair[1], 0);
    h2o_accept(&accept_context, sock);
    return client;
}

/* Enough turns for whatever is ready to be done. */
static void turn(void)
{
    for (int i = 0; i != 8; ++i)
        h2o_evloop_run(context.loop, 0);
}

/* Writes, without reading: turns the loop whenever the server has to make room. */
static void client_send(client_t *client, const void *bytes, size_t length)
{
    const char *at = bytes;
    while (length != 0) {
        ssize_t done = send(client->fd, at, length, MSG_NOSIGNAL);
        if (done < 0 && errno != EAGAIN)
            break; /* the server has closed; what it said is there to be read */
        if (done > 0) {
            at += done;
            length -= (size_t)done;
        }
        turn();
    }
    turn();
}

/* Reads what there is; true when anything new came. */
static bool client_read(client_t *client)
{
    turn();
    assert_true(client->length < sizeof(client->input));
    ssize_t got = recv(client->fd, client->input + client->length, sizeof(client->input) - client->length, 0);
    if (got == 0 || (got < 0 && errno != EAGAIN))
        client->closed = true;
    if (got > 0)
        client->length += (size_t)got;
    return got > 0;
}

static void client_drain(client_t *client)
{
    unsigned idle = 0;
    while (!client->closed && idle != 4)
        idle = client_read(client) ? 0 : idle + 1;
}

static void client_free(client_t *client)
{
    close(client->fd);
    turn();
    free(client);
}

static uint64_t stopped(const char *reason)
{
    size_t length;
    char *page = counters_page(&length), wanted[96];
    assert_non_null(page);
    snprintf(wanted, sizeof(wanted), "selvedge_guard_stopped_total{reason=\"%s\"} ", reason);
    const char *line = strstr(page, wanted);
    uint64_t value = line == NULL ? 0 : strtoull(line + strlen(wanted), NULL, 10);
    free(page);
    return value;
}

#endif
