/* Whatever a client may send on a connection, HTTP/1 or HTTP/2, through the same functions of libh2o and the
 * guard as in the daemon: a server in this process, of which the input is all that one client says. */
#include <errno.h>
#include <h2o.h>
#include <h2o/http1.h>
#include <h2o/http2.h>
#include <signal.h>
#include <sys/socket.h>
#include <unistd.h>

#include "edge/guard/budget.h"
#include "edge/guard/guard.h"
#include "edge/observe/counters.h"

enum { TURNS = 4, INPUT_MAX = 256 << 10, SMALL = 6, LARGE = 65535 };

static h2o_globalconf_t config;
static h2o_context_t context;
static h2o_accept_ctx_t accepting;

/* What no handler may ever see; see edge/guard/README.md. */
static void check(const h2o_req_t *req)
{
    MUST(req->method.len > 0 && req->path.len > 0);
    bool options = h2o_memis(req->method.base, req->method.len, H2O_STRLIT("OPTIONS"));
    MUST(req->path.base[0] == '/' || (options && h2o_memis(req->path.base, req->path.len, H2O_STRLIT("*"))));
    for (size_t i = 0; i < req->path.len; i++)
        MUST((unsigned char)req->path.base[i] > ' ');
    MUST(req->headers.size <= GUARD_FIELDS_MAX);
    MUST(h2o_find_header(&req->headers, H2O_TOKEN_UPGRADE, -1) == -1);
    MUST(h2o_find_header(&req->headers, H2O_TOKEN_HOST, -1) == -1); /* it is the authority */
    MUST(req->version < 0x200 || req->authority.len > 0);
    for (size_t i = 0; i < req->headers.size; i++)
        MUST(req->headers.entries[i].name->len > 0);
}

/* /wait is answered when its connection goes away: never. /large fills the window of a stream. */
static int on_request(h2o_handler_t *handler, h2o_req_t *req)
{
    (void)handler;
    check(req);
    if (h2o_memis(req->path.base, req->path.len, H2O_STRLIT("/wait")))
        return 0;
    req->res.status = 200;
    req->res.reason = "OK";
    static const char answer[LARGE];
    bool large = h2o_memis(req->path.base, req->path.len, H2O_STRLIT("/large"));
    h2o_send_inline(req, answer, large ? LARGE : SMALL);
    return 0;
}

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    (void)argc;
    (void)argv;
    signal(SIGPIPE, SIG_IGN);
    MUST(guard_in_force() == NULL);
    counters_attach();
    h2o_config_init(&config);
    config.max_request_entity_size = 4096;
    config.http2.max_concurrent_requests_per_connection = 8; /* so that requests wait for others */
    h2o_hostconf_t *host = h2o_config_register_host(&config, h2o_iovec_init(H2O_STRLIT("default")), 65535);
    h2o_create_handler(h2o_config_register_path(host, "/", 0), sizeof(h2o_handler_t))->on_req = on_request;
    h2o_context_init(&context, h2o_evloop_create(), &config);
    accepting.ctx = &context;
    accepting.hosts = config.hosts;
    return 0;
}

static void on_close(void *connection)
{
    guard_connection_close(connection);
}

/* As the daemon does: the connection's budgets hang on its socket. */
static void accept_one(int fd)
{
    enum { RESETS_MAX = 20 };
    static guard_connection_t connection;
    h2o_socket_t *socket = h2o_evloop_socket_create(context.loop, fd, 0);
    guard_connection_open(&connection, RESETS_MAX);
    socket->on_close.cb = on_close;
    socket->on_close.data = &connection;
    h2o_accept(&accepting, socket);
}

static void turn(void)
{
    for (int i = 0; i < TURNS; i++)
        h2o_evloop_run(context.loop, 0);
}

/* What the server says is read away, so that it never waits for this client. */
static void listen_to(int fd)
{
    char bytes[16 << 10];
    turn();
    while (recv(fd, bytes, sizeof bytes, MSG_DONTWAIT) > 0)
        turn();
}

/* Sends all, and reads only when the server has no room for more. False: it has closed. */
static bool say(int fd, const uint8_t *data, size_t size)
{
    while (size > 0) {
        ssize_t done = send(fd, data, size, MSG_NOSIGNAL);
        if (done < 0 && errno != EAGAIN)
            return false;
        if (done < 0)
            listen_to(fd);
        else
            data += done, size -= (size_t)done;
    }
    turn();
    return true;
}

/* The input comes in as many pieces as there are of these in it: what an answer in flight meets comes late.
 */
static const uint8_t piece_end[] = {0xfe, 0xfd, 0xfe};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    int pair[2], small = 4096; /* so that a large answer waits for the client to read */
    if (size > INPUT_MAX)
        return -1;
    MUST(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, pair) == 0);
    MUST(setsockopt(pair[1], SOL_SOCKET, SO_SNDBUF, &small, sizeof small) == 0);
    accept_one(pair[1]);
    const uint8_t *end = data + size, *next;
    bool open = true;
    while (open && (next = memmem(data, (size_t)(end - data), piece_end, sizeof piece_end)) != NULL) {
        open = say(pair[0], data, (size_t)(next - data));
        data = next + sizeof piece_end;
    }
    if (open && say(pair[0], data, (size_t)(end - data)))
        listen_to(pair[0]);
    close(pair[0]);
    turn();
    return 0;
}
