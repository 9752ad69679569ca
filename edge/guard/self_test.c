#include "edge/guard/self_test.h"

#include <errno.h>
#include <fcntl.h>
#include <h2o.h>
#include <h2o/http1.h>
#include <h2o/http2.h>
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "edge/guard/budget.h"
#include "edge/guard/guard.h"
#include "edge/guard/lend.h"
#include "edge/observe/counters.h"
#include "edge/tls/records.h"
#include "edge/tls/self_signed.h"

/* --- The child: a server on the library, and a peer of it that sends bytes --- */

enum { BODY_BYTES = 60000, SECONDS_MAX = 10, TURNS = 8, SMALL_BUFFER = 4096 };

static struct {
    h2o_globalconf_t config;
    h2o_context_t context;
    h2o_accept_ctx_t accept;
    unsigned calls; /* of the handler */
    char body[BODY_BYTES];
} server;

typedef struct {
    int fd;
    SSL *tls; /* NULL: plain */
    bool closed;
    guard_connection_t guard; /* of the server's end */
    size_t length;
    uint8_t input[1 << 17];
} peer_t;

typedef struct {
    h2o_generator_t super;
    size_t sent;
} pulled_t;

static h2o_send_state_t pull(h2o_generator_t *generator, h2o_req_t *req, h2o_iovec_t *place)
{
    pulled_t *pulled = (pulled_t *)generator;
    size_t left = BODY_BYTES - pulled->sent;
    place->len = place->len < left ? place->len : left;
    guard_lend(req, place->base, (text_t){server.body + pulled->sent, place->len});
    pulled->sent += place->len;
    return pulled->sent < BODY_BYTES ? H2O_SEND_STATE_IN_PROGRESS : H2O_SEND_STATE_FINAL;
}

static pulled_t pulled;

static int on_request(h2o_handler_t *handler, h2o_req_t *req)
{
    (void)handler;
    server.calls++;
    if (h2o_memis(req->path.base, req->path.len, H2O_STRLIT("/hang")))
        return 0;
    req->res.status = 200;
    req->res.reason = "OK";
    req->res.content_length = BODY_BYTES;
    if (!guard_lends(req)) {
        h2o_send_inline(req, server.body, BODY_BYTES);
        return 0;
    }
    pulled = (pulled_t){.sent = 0};
    h2o_start_response(req, &pulled.super);
    req->_ostr_top->start_pull(req->_ostr_top, pull);
    return 0;
}

static void start_server(void)
{
    for (size_t i = 0; i < BODY_BYTES; i++)
        server.body[i] = (char)(i % 251);
    h2o_config_init(&server.config);
    h2o_hostconf_t *host =
        h2o_config_register_host(&server.config, h2o_iovec_init(H2O_STRLIT("default")), 65535);
    h2o_pathconf_t *path = h2o_config_register_path(host, "/", 0);
    h2o_create_handler(path, sizeof(h2o_handler_t))->on_req = on_request;
    h2o_context_init(&server.context, h2o_evloop_create(), &server.config);
    server.accept.ctx = &server.context;
    server.accept.hosts = server.config.hosts;
}

/* As often as it takes for whatever is ready. */
static void turn(void)
{
    for (int i = 0; i < TURNS; i++)
        h2o_evloop_run(server.context.loop, 0);
}

/* What the server writes stays in flight until the peer reads. */
static void connect_peer(peer_t *peer)
{
    int pair[2], small = SMALL_BUFFER;
    MUST(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, pair) == 0);
    MUST(setsockopt(pair[1], SOL_SOCKET, SO_SNDBUF, &small, sizeof small) == 0);
    peer->fd = pair[0];
    peer->tls = NULL;
    peer->closed = false;
    peer->length = 0;
    guard_connection_open(&peer->guard, 1);
    h2o_socket_t *socket = h2o_evloop_socket_create(server.context.loop, pair[1], 0);
    socket->on_close.data = &peer->guard;
    h2o_accept(&server.accept, socket);
}

static void send_bytes(peer_t *peer, const void *bytes, size_t length)
{
    ssize_t sent = peer->tls != NULL ? SSL_write(peer->tls, bytes, (int)length)
                                     : send(peer->fd, bytes, length, MSG_NOSIGNAL);
    MUST(sent == (ssize_t)length || (sent < 0 && (errno == EPIPE || errno == ECONNRESET)));
    turn();
}

static ssize_t receive_some(peer_t *peer)
{
    uint8_t *place = peer->input + peer->length;
    size_t room = sizeof peer->input - peer->length;
    if (peer->tls == NULL)
        return recv(peer->fd, place, room, 0);
    int got = SSL_read(peer->tls, place, (int)room);
    errno = SSL_get_error(peer->tls, got) == SSL_ERROR_WANT_READ ? EAGAIN : EPROTO;
    return got > 0 ? got : -1;
}

static void receive(peer_t *peer)
{
    for (int idle = 0; idle < 2 && !peer->closed;) {
        turn();
        ssize_t got = receive_some(peer);
        peer->closed = got == 0 || (got < 0 && errno != EAGAIN);
        idle = got > 0 ? 0 : idle + 1;
        peer->length += got > 0 ? (size_t)got : 0;
    }
}

static void disconnect(peer_t *peer)
{
    SSL_free(peer->tls);
    close(peer->fd);
    turn();
}

/* --- Frames --- */

enum {
    DATA = 0,
    HEADERS = 1,
    RST_STREAM = 3,
    SETTINGS = 4,
    PING = 6,
    GOAWAY = 7,
    WINDOW_UPDATE = 8,
    UNKNOWN = 0x21
};
enum { END_STREAM = 1, END_HEADERS = 4, FRAME_HEADER = 9 };
enum { HEADER_TABLE_SIZE = 1, INITIAL_WINDOW_SIZE = 4 };
enum { PROTOCOL_ERROR = 1, ENHANCE_YOUR_CALM = 11 };

static void send_frame(peer_t *peer, uint8_t type, uint8_t flags, uint8_t stream, const void *payload,
                       uint8_t length)
{
    uint8_t frame[FRAME_HEADER + UINT8_MAX] = {0, 0, length, type, flags, 0, 0, 0, stream};
    memcpy(frame + FRAME_HEADER, payload, length);
    send_bytes(peer, frame, FRAME_HEADER + (size_t)length);
}

static void send_setting(peer_t *peer, uint8_t name, uint32_t value)
{
    const uint8_t payload[] = {
        0, name, (uint8_t)(value >> 24), (uint8_t)(value >> 16), (uint8_t)(value >> 8), (uint8_t)value};
    send_frame(peer, SETTINGS, 0, 0, payload, sizeof payload);
}

static void begin_http2(peer_t *peer)
{
    send_bytes(peer, H2O_STRLIT("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"));
    send_setting(peer, INITIAL_WINDOW_SIZE, BODY_BYTES);
}

static void connect_http2(peer_t *peer)
{
    connect_peer(peer);
    begin_http2(peer);
}

/* GET http://a and this path, the fields by the static table of RFC 7541 and as literals. */
static void get(peer_t *peer, uint8_t stream, const char *path)
{
    uint8_t block[UINT8_MAX] = "\x82\x86\x01\x01"
                               "a\x04";
    size_t length = strlen(path), at = 6;
    block[at++] = (uint8_t)length;
    memcpy(block + at, path, length);
    send_frame(peer, HEADERS, END_STREAM | END_HEADERS, stream, block, (uint8_t)(at + length));
}

/* The payload of the first such frame; NULL when there is none. */
static const uint8_t *find_frame(const peer_t *peer, uint8_t type, uint8_t stream)
{
    for (size_t at = 0; at + FRAME_HEADER <= peer->length;) {
        const uint8_t *frame = peer->input + at;
        at += FRAME_HEADER + ((size_t)frame[0] << 16 | (size_t)frame[1] << 8 | frame[2]);
        if (at <= peer->length && frame[3] == type && frame[8] == stream)
            return frame + FRAME_HEADER;
    }
    return NULL;
}

static bool was_reset(const peer_t *peer, uint8_t stream, uint8_t code)
{
    const uint8_t *payload = find_frame(peer, RST_STREAM, stream);
    return payload != NULL && payload[3] == code;
}

static bool has_text(const peer_t *peer, const char *text)
{
    return memmem(peer->input, peer->length, text, strlen(text)) != NULL;
}

/* How often the guard has stopped something for this reason. */
static unsigned long stopped(const char *reason)
{
    size_t length;
    char *page = counters_page(&length), line[128];
    snprintf(line, sizeof line, "selvedge_guard_stopped_total{reason=\"%s\"} ", reason);
    const char *found = strstr(page, line);
    unsigned long count = found != NULL ? strtoul(found + strlen(line), NULL, 10) : 0;
    free(page);
    return count;
}

/* --- What must hold. Each starts from a server without connections; counts are of this process. --- */

static bool http1_is_checked(peer_t *peer)
{
    connect_peer(peer);
    send_bytes(peer,
               H2O_STRLIT("GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\nContent-Length: 1\r\n\r\n"));
    receive(peer);
    return stopped("bad_framing") == 1 && server.calls == 0;
}

/* The library itself answers a bad head with less. */
static bool http1_is_answered(peer_t *peer)
{
    connect_peer(peer);
    send_bytes(peer, H2O_STRLIT("GET / HTTP/1.9\r\nHost: a\r\n\r\n"));
    receive(peer);
    return has_text(peer, "HTTP/1.1 505 ") && has_text(peer, "detail=refused") && peer->closed;
}

static bool header_blocks_are_checked(peer_t *peer)
{
    connect_http2(peer);
    get(peer, 1, "");
    receive(peer);
    return was_reset(peer, 1, PROTOCOL_ERROR) && stopped("bad_request") == 1 && server.calls == 0;
}

/* A table of size 0 is acknowledged by the first bytes of the next block: an update to 0, as only the guard's
 * encoder makes it. */
static bool responses_are_encoded(peer_t *peer)
{
    enum { UPDATE_TO_NOTHING = 0x20 };
    connect_http2(peer);
    send_setting(peer, HEADER_TABLE_SIZE, 0);
    get(peer, 1, "/");
    receive(peer);
    const uint8_t *block = find_frame(peer, HEADERS, 1);
    return block != NULL && block[0] == UPDATE_TO_NOTHING;
}

static bool unknown_frames_are_ignored(peer_t *peer)
{
    connect_http2(peer);
    send_frame(peer, UNKNOWN, 0, 0, "GREASE", 6);
    get(peer, 1, "/");
    receive(peer);
    return find_frame(peer, HEADERS, 1) != NULL && stopped("unknown_frame") == 1;
}

/* The response's last byte takes the last of its window, and is not yet read when that grows. */
static bool windows_of_ended_streams_stay_open(peer_t *peer)
{
    unsigned long before = stopped("window_after_end");
    connect_http2(peer);
    get(peer, 1, "/");
    send_frame(peer, WINDOW_UPDATE, 0, 1, "\0\0\1\0", 4);
    receive(peer);
    return stopped("window_after_end") == before + 1 && !peer->closed;
}

static bool settings_find_ended_streams(peer_t *peer)
{
    unsigned long before = stopped("window_after_end");
    connect_http2(peer);
    get(peer, 1, "/");
    send_setting(peer, INITIAL_WINDOW_SIZE, 0);
    send_setting(peer, INITIAL_WINDOW_SIZE, BODY_BYTES);
    receive(peer);
    return stopped("window_after_end") > before && !peer->closed;
}

/* The budget is one, and one more when a second of the clock begins on the way: two resets more than are
 * enough without that. */
static bool resets_are_counted(peer_t *peer)
{
    connect_http2(peer);
    for (uint8_t stream = 1; stream <= 9; stream = (uint8_t)(stream + 2)) {
        get(peer, stream, "/hang");
        send_frame(peer, RST_STREAM, 0, stream, "\0\0\0\10", 4);
    }
    receive(peer);
    const uint8_t *goaway = find_frame(peer, GOAWAY, 0);
    return goaway != NULL && goaway[7] == ENHANCE_YOUR_CALM && peer->closed &&
           stopped("too_many_resets") == 1;
}

static bool frames_are_counted(peer_t *peer)
{
    static const uint8_t ping[FRAME_HEADER + 8] = {0, 0, 8, PING};
    uint8_t pings[100 * sizeof ping];
    for (size_t at = 0; at < sizeof pings; at += sizeof ping)
        memcpy(pings + at, ping, sizeof ping);
    connect_http2(peer);
    for (size_t sent = 0; sent <= 10 * GUARD_FRAMES_MAX && !peer->closed; sent += 100) {
        send_bytes(peer, pings, sizeof pings);
        receive(peer);
    }
    const uint8_t *goaway = find_frame(peer, GOAWAY, 0);
    return goaway != NULL && goaway[7] == ENHANCE_YOUR_CALM && peer->closed &&
           stopped("too_many_frames") == 1;
}

/* --- Over TLS --- */

static int on_hello(SSL *ssl, int *alert, void *server_end)
{
    (void)alert;
    *(SSL **)server_end = ssl;
    MUST(tls_records_begin(ssl, TLS_RECORDS_MAX));
    return SSL_CLIENT_HELLO_SUCCESS;
}

static bool shake_hands(peer_t *peer, SSL_CTX *client)
{
    enum { ROUNDS = 10 };
    static const unsigned char protocol[] = "\x02h2";
    peer->tls = SSL_new(client);
    SSL_set_fd(peer->tls, peer->fd);
    SSL_set_connect_state(peer->tls);
    SSL_set_alpn_protos(peer->tls, protocol, sizeof protocol - 1);
    for (int i = 0; i < ROUNDS && SSL_do_handshake(peer->tls) != 1; i++)
        turn();
    turn(); /* the server's last step */
    return SSL_is_init_finished(peer->tls);
}

/* The body, frame by frame. */
static bool has_body(const peer_t *peer)
{
    size_t body = 0;
    for (size_t at = 0; at + FRAME_HEADER <= peer->length;) {
        const uint8_t *frame = peer->input + at;
        size_t length = (size_t)frame[0] << 16 | (size_t)frame[1] << 8 | frame[2];
        at += FRAME_HEADER + length;
        if (frame[3] != DATA)
            continue;
        if (at > peer->length || body + length > BODY_BYTES ||
            memcmp(frame + FRAME_HEADER, server.body + body, length) != 0)
            return false;
        body += length;
    }
    return body == BODY_BYTES;
}

/* What is lent is sent from where it lies, in its place; and it is lent wherever OpenSSL hands over its keys.
 */
static bool what_is_lent_arrives(peer_t *peer)
{
    char error[256];
    SSL *server_end = NULL;
    SSL_CTX *client = SSL_CTX_new(TLS_client_method());
    server.accept.ssl_ctx = tls_self_signed_context(NULL, time(NULL), error, sizeof error);
    if (client == NULL || server.accept.ssl_ctx == NULL)
        return false;
    SSL_CTX_set_client_hello_cb(server.accept.ssl_ctx, on_hello, &server_end);
    connect_peer(peer);
    bool holds = shake_hands(peer, client);
    if (holds) {
        size_t lent = tls_records_ready(server_end) ? BODY_BYTES : 0;
        begin_http2(peer);
        get(peer, 1, "/");
        receive(peer);
        holds = has_body(peer) && pulled.sent == lent;
    }
    SSL_CTX_free(client);
    SSL_CTX_free(server.accept.ssl_ctx);
    server.accept.ssl_ctx = NULL;
    return holds;
}

static const struct {
    bool (*holds)(peer_t *peer);
    const char *hooks; /* that it needs */
} checks[] = {
    {http1_is_checked, "phr_parse_request and h2o_process_request"},
    {http1_is_answered, "h2o_process_request"},
    {header_blocks_are_checked, "h2o_hpack_parse_headers"},
    {responses_are_encoded, "h2o_hpack_flatten_response and h2o_http2_update_peer_settings"},
    {unknown_frames_are_ignored, "h2o_http2_decode_frame"},
    {windows_of_ended_streams_stay_open, "h2o_http2_stream_send_pending_data"},
    {settings_find_ended_streams, "h2o_http2_update_peer_settings"},
    {resets_are_counted, "h2o_http2_stream_reset"},
    {frames_are_counted, "h2o_http2_accept"},
    {what_is_lent_arrives, "h2o_socket_write"},
};

enum { CHECKS = sizeof checks / sizeof *checks, ALL_HOLD = CHECKS };

static void say(int fd, unsigned char number)
{
    MUST(write(fd, &number, 1) == 1);
}

/* Says the number of each check as it begins, and one more when the last has held. */
_Noreturn static void run_checks(int report)
{
    static peer_t peer;
    const struct rlimit none = {0, 0};
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    signal(SIGPIPE, SIG_IGN); /* the library says goodbye to a peer that is gone */
    setrlimit(RLIMIT_CORE, &none);
    alarm(SECONDS_MAX); /* a loop that is held, too, is an end */
    int nowhere = open("/dev/null", O_WRONLY | O_CLOEXEC);
    if (nowhere >= 0)
        dup2(nowhere, STDERR_FILENO); /* what the library prints as it dies; the parent says it better */
    start_server();
    for (unsigned char i = 0; i < CHECKS; i++) {
        say(report, i);
        if (!checks[i].holds(&peer))
            _exit(1);
        disconnect(&peer);
    }
    say(report, ALL_HOLD);
    _exit(0);
}

/* --- This process --- */

/* The last number that the child said; -1: none. */
static int read_report(int fd)
{
    int last = -1;
    unsigned char number;
    for (;;) {
        ssize_t got = read(fd, &number, 1);
        if (got == 1)
            last = number;
        else if (got == 0 || errno != EINTR)
            return last;
    }
}

bool guard_self_test(char *error, size_t capacity)
{
    int report[2], status = 0;
    if (pipe2(report, O_CLOEXEC) != 0) {
        snprintf(error, capacity, "the guard's self-test could not be started: %s", strerror(errno));
        return false;
    }
    fflush(NULL);
    pid_t child = fork();
    if (child == 0)
        run_checks(report[1]);
    close(report[1]);
    int last = child < 0 ? -1 : read_report(report[0]);
    close(report[0]);
    while (child > 0 && waitpid(child, &status, 0) < 0 && errno == EINTR)
        continue;
    if (last == ALL_HOLD)
        return true;
    if (last < 0)
        snprintf(error, capacity, "the guard's self-test could not be started");
    else if (WIFSIGNALED(status))
        snprintf(error, capacity,
                 "the guard's self-test of %s ended by signal %d: this libh2o is not guarded",
                 checks[last].hooks, WTERMSIG(status));
    else
        snprintf(error, capacity, "the guard's self-test of %s failed: this libh2o is not guarded",
                 checks[last].hooks);
    return false;
}
