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
#include "edge/observe/counters.h"

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
    bool closed;
    guard_connection_t guard; /* of the server's end */
    size_t length;
    uint8_t input[1 << 17];
} peer_t;

static int on_request(h2o_handler_t *handler, h2o_req_t *req)
{
    (void)handler;
    server.calls++;
    if (h2o_memis(req->path.base, req->path.len, H2O_STRLIT("/hang")))
        return 0;
    req->res.status = 200;
    req->res.reason = "OK";
    req->res.content_length = BODY_BYTES;
    h2o_send_inline(req, server.body, BODY_BYTES);
    return 0;
}

static void start_server(void)
{
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
    peer->closed = false;
    peer->length = 0;
    guard_connection_open(&peer->guard, 1);
    h2o_socket_t *socket = h2o_evloop_socket_create(server.context.loop, pair[1], 0);
    socket->on_close.data = &peer->guard;
    h2o_accept(&server.accept, socket);
}

static void send_bytes(peer_t *peer, const void *bytes, size_t length)
{
    ssize_t sent = send(peer->fd, bytes, length, MSG_NOSIGNAL);
    MUST(sent == (ssize_t)length || (sent < 0 && (errno == EPIPE || errno == ECONNRESET)));
    turn();
}

static void receive(peer_t *peer)
{
    for (int idle = 0; idle < 2 && !peer->closed;) {
        turn();
        ssize_t got = recv(peer->fd, peer->input + peer->length, sizeof peer->input - peer->length, 0);
        peer->closed = got == 0 || (got < 0 && errno != EAGAIN);
        idle = got > 0 ? 0 : idle + 1;
        peer->length += got > 0 ? (size_t)got : 0;
    }
}

static void disconnect(peer_t *peer)
{
    close(peer->fd);
    turn();
}

/* --- Frames --- */

enum { HEADERS = 1, RST_STREAM = 3, SETTINGS = 4, PING = 6, GOAWAY = 7, WINDOW_UPDATE = 8, UNKNOWN = 0x21 };
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

static void connect_http2(peer_t *peer)
{
    connect_peer(peer);
    send_bytes(peer, H2O_STRLIT("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"));
    send_setting(peer, INITIAL_WINDOW_SIZE, BODY_BYTES);
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
