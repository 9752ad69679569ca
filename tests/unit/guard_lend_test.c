/* Bodies that are encrypted from where they lie: every byte in its place, however the connection is written,
 * and whatever happens to it meanwhile. A libh2o server in this process, and OpenSSL's own client. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <h2o.h>
#include <h2o/http1.h>
#include <h2o/http2.h>
#include <openssl/ssl.h>
#include <signal.h>
#include <sys/socket.h>
#include <unistd.h>

#include "edge/guard/lend.h"
#include "edge/tls/records.h"
#include "edge/tls/self_signed.h"

enum { HEADERS = 1, RST_STREAM = 3, SETTINGS = 4, WINDOW_UPDATE = 8 };
enum { END_STREAM = 1, END_HEADERS = 4, FRAME_HEADER = 9, STREAMS_MAX = 16 };
enum { LENT_BODY = 700000 };

static h2o_globalconf_t config;
static h2o_context_t context;
static h2o_accept_ctx_t accept_context;
static char lent_body[LENT_BODY];
static unsigned lends; /* how often the server lent */

/* --- The server: /N is the body from byte N on, pulled in parts of at most `part` --- */

typedef struct {
    h2o_generator_t super;
    size_t at, part;
} pulled_t;

static h2o_send_state_t pull(h2o_generator_t *generator, h2o_req_t *req, h2o_iovec_t *place)
{
    pulled_t *pulled = (pulled_t *)generator;
    size_t room = place->len, filled = 0;
    while (filled < room && pulled->at < LENT_BODY) {
        size_t part = LENT_BODY - pulled->at;
        part = part < room - filled ? part : room - filled;
        part = part < pulled->part ? part : pulled->part;
        guard_lend(req, place->base + filled, (text_t){lent_body + pulled->at, part});
        pulled->at += part;
        filled += part;
        lends++;
    }
    place->len = filled;
    return pulled->at < LENT_BODY ? H2O_SEND_STATE_IN_PROGRESS : H2O_SEND_STATE_FINAL;
}

static int on_request(h2o_handler_t *self, h2o_req_t *req)
{
    (void)self;
    size_t from = strtoul(req->path.base + 1, NULL, 10);
    req->res.status = 200;
    req->res.reason = "OK";
    req->res.content_length = LENT_BODY - from;
    if (!guard_lends(req)) {
        h2o_send_inline(req, lent_body + from, LENT_BODY - from);
        return 0;
    }
    pulled_t *pulled = h2o_mem_alloc_pool(&req->pool, sizeof *pulled);
    *pulled = (pulled_t){.at = from, .part = from % 2 == 0 ? SIZE_MAX : 301};
    h2o_start_response(req, &pulled->super);
    req->_ostr_top->start_pull(req->_ostr_top, pull);
    return 0;
}

static uint64_t records_max = TLS_RECORDS_MAX;

static int on_hello(SSL *ssl, int *alert, void *argument)
{
    (void)alert;
    (void)argument;
    assert_true(tls_records_begin(ssl, records_max));
    return SSL_CLIENT_HELLO_SUCCESS;
}

/* Enough turns for whatever is ready to be done. */
static void turn(void)
{
    for (int i = 0; i < 8; i++)
        h2o_evloop_run(context.loop, 0);
}

static int start(void **state)
{
    (void)state;
    char error[256];
    signal(SIGPIPE, SIG_IGN);
    for (size_t i = 0; i < LENT_BODY; i++)
        lent_body[i] = (char)(i * 7 + i / 253);
    h2o_config_init(&config);
    h2o_hostconf_t *host = h2o_config_register_host(&config, h2o_iovec_init(H2O_STRLIT("default")), 65535);
    h2o_create_handler(h2o_config_register_path(host, "/", 0), sizeof(h2o_handler_t))->on_req = on_request;
    h2o_context_init(&context, h2o_evloop_create(), &config);
    accept_context.ctx = &context;
    accept_context.hosts = config.hosts;
    accept_context.ssl_ctx = tls_self_signed_context(NULL, time(NULL), error, sizeof error);
    assert_non_null(accept_context.ssl_ctx);
    SSL_CTX_set_client_hello_cb(accept_context.ssl_ctx, on_hello, NULL);
    return 0;
}

/* --- The client --- */

typedef struct {
    SSL_CTX *context;
    SSL *tls;
    int fd;
    uint8_t input[1 << 17];
    size_t length;
    size_t from[STREAMS_MAX], got[STREAMS_MAX]; /* by stream */
    bool ended[STREAMS_MAX];
} peer_t;

static void shake_hands(peer_t *peer)
{
    for (int i = 0; i < 10 && SSL_do_handshake(peer->tls) != 1; i++)
        turn();
    turn();
    assert_true(SSL_is_init_finished(peer->tls));
}

static peer_t *connect_by(int version, const char *protocol)
{
    int pair[2], small = 8192;
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, pair), 0);
    assert_int_equal(setsockopt(pair[1], SOL_SOCKET, SO_SNDBUF, &small, sizeof small), 0);
    h2o_accept(&accept_context, h2o_evloop_socket_create(context.loop, pair[1], 0));
    peer_t *peer = must_calloc(1, sizeof *peer);
    peer->fd = pair[0];
    peer->context = SSL_CTX_new(TLS_client_method());
    SSL_CTX_set_max_proto_version(peer->context, version);
    peer->tls = SSL_new(peer->context);
    SSL_set_fd(peer->tls, peer->fd);
    SSL_set_connect_state(peer->tls);
    SSL_set_alpn_protos(peer->tls, (const unsigned char *)protocol, (unsigned)strlen(protocol));
    shake_hands(peer);
    return peer;
}

static void hang_up(peer_t *peer)
{
    SSL_free(peer->tls);
    SSL_CTX_free(peer->context);
    close(peer->fd);
    turn();
    free(peer);
}

static void say(peer_t *peer, const void *bytes, size_t length)
{
    assert_int_equal(SSL_write(peer->tls, bytes, (int)length), length);
}

static void send_frame(peer_t *peer, uint8_t type, uint8_t flags, uint8_t stream, const void *payload,
                       uint8_t length)
{
    uint8_t frame[FRAME_HEADER + UINT8_MAX] = {0, 0, length, type, flags, 0, 0, 0, stream};
    memcpy(frame + FRAME_HEADER, payload, length);
    say(peer, frame, FRAME_HEADER + (size_t)length);
}

/* Windows that never end, so that the kernel alone holds the server back. */
static peer_t *connect_http2(int version)
{
    peer_t *peer = connect_by(version, "\x02h2");
    say(peer, H2O_STRLIT("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"));
    send_frame(peer, SETTINGS, 0, 0, "\0\4\x7f\xff\xff\xff", 6);
    send_frame(peer, WINDOW_UPDATE, 0, 0, "\x7f\xff\0\0", 4);
    return peer;
}

static void get(peer_t *peer, uint8_t stream, size_t from)
{
    char block[64] = "\x82\x87\x01\x01"
                     "a\x04";
    int length = snprintf(block + 7, sizeof block - 7, "/%zu", from);
    block[6] = (char)length;
    peer->from[stream] = from;
    send_frame(peer, HEADERS, END_STREAM | END_HEADERS, stream, block, (uint8_t)(7 + length));
}

static void take_data(peer_t *peer, uint8_t stream, const uint8_t *bytes, size_t length)
{
    size_t at = peer->from[stream] + peer->got[stream];
    assert_true(at + length <= LENT_BODY);
    assert_memory_equal(bytes, lent_body + at, length);
    peer->got[stream] += length;
}

static void take_frames(peer_t *peer)
{
    size_t at = 0;
    while (peer->length - at >= FRAME_HEADER) {
        const uint8_t *frame = peer->input + at;
        size_t length = (size_t)frame[0] << 16 | (size_t)frame[1] << 8 | frame[2];
        if (peer->length - at < FRAME_HEADER + length)
            break;
        assert_true(frame[8] < STREAMS_MAX);
        if (frame[3] == 0)
            take_data(peer, frame[8], frame + FRAME_HEADER, length);
        if (frame[3] <= HEADERS && (frame[4] & END_STREAM) != 0)
            peer->ended[frame[8]] = true;
        at += FRAME_HEADER + length;
    }
    memmove(peer->input, peer->input + at, peer->length - at);
    peer->length -= at;
}

/* Some of what there is: the server is asked for more only when that has been read. */
static bool read_some(peer_t *peer)
{
    int got = SSL_read(peer->tls, peer->input + peer->length, (int)(sizeof peer->input - peer->length));
    if (got <= 0) {
        assert_int_equal(SSL_get_error(peer->tls, got), SSL_ERROR_WANT_READ);
        turn();
        return false;
    }
    peer->length += (size_t)got;
    return true;
}

static void read_until_idle(peer_t *peer)
{
    for (int idle = 0; idle < 4; idle++)
        while (read_some(peer)) {
            take_frames(peer);
            idle = 0;
        }
}

static void expect_whole(const peer_t *peer, uint8_t stream)
{
    assert_int_equal(peer->got[stream], LENT_BODY - peer->from[stream]);
    assert_true(peer->ended[stream]);
}

/* --- --- */

static void a_body_is_lent_whole(void **state)
{
    (void)state;
    peer_t *peer = connect_http2(TLS1_3_VERSION);
    lends = 0;
    get(peer, 1, 0);
    read_until_idle(peer);
    expect_whole(peer, 1);
    assert_true(lends > 0);
    hang_up(peer);
}

/* Their frames alternate in one buffer; some come in so many parts that not all can be lent. */
static void many_at_once(void **state)
{
    (void)state;
    peer_t *peer = connect_http2(TLS1_3_VERSION);
    for (uint8_t stream = 1; stream < STREAMS_MAX; stream = (uint8_t)(stream + 2))
        get(peer, stream, 40000u * stream + stream % 4 / 2);
    read_until_idle(peer);
    for (uint8_t stream = 1; stream < STREAMS_MAX; stream = (uint8_t)(stream + 2))
        expect_whole(peer, stream);
    hang_up(peer);
}

static void by_version_1_2_it_is_not_lent(void **state)
{
    (void)state;
    peer_t *peer = connect_http2(TLS1_2_VERSION);
    lends = 0;
    get(peer, 1, 0);
    read_until_idle(peer);
    expect_whole(peer, 1);
    assert_int_equal(lends, 0);
    hang_up(peer);
}

/* From then on OpenSSL makes the records: what the rest of the body would have been lent for is copied. */
static void new_keys_come_in_the_middle(void **state)
{
    (void)state;
    peer_t *peer = connect_http2(TLS1_3_VERSION);
    get(peer, 1, 0);
    turn();
    for (int i = 0; i < 3; i++) {
        read_some(peer);
        take_frames(peer);
    }
    assert_int_equal(SSL_key_update(peer->tls, SSL_KEY_UPDATE_REQUESTED), 1);
    get(peer, 3, 100001);
    read_until_idle(peer);
    expect_whole(peer, 1);
    expect_whole(peer, 3);
    hang_up(peer);
}

/* A request that comes then, and whatever else the client sends, must not make OpenSSL say that it has new
 * keys: that is said with what is written next. */
static void keys_have_served_while_a_write_is_in_flight(void **state)
{
    (void)state;
    enum { PING = 6 };
    records_max = 40;
    peer_t *peer = connect_http2(TLS1_3_VERSION);
    records_max = TLS_RECORDS_MAX;
    get(peer, 1, 0);
    turn();
    get(peer, 3, 699000);
    turn();
    send_frame(peer, PING, 0, 0, "12345678", 8);
    turn();
    read_until_idle(peer);
    expect_whole(peer, 1);
    expect_whole(peer, 3);
    hang_up(peer);
}

static void a_stream_is_reset_in_the_middle(void **state)
{
    (void)state;
    peer_t *peer = connect_http2(TLS1_3_VERSION);
    get(peer, 1, 0);
    get(peer, 3, 300000);
    turn();
    send_frame(peer, RST_STREAM, 0, 1, "\0\0\0\10", 4);
    read_until_idle(peer);
    expect_whole(peer, 3);
    assert_false(peer->ended[1]);
    hang_up(peer);
}

static void the_client_goes_in_the_middle(void **state)
{
    (void)state;
    peer_t *peer = connect_http2(TLS1_3_VERSION);
    get(peer, 1, 0);
    turn();
    hang_up(peer);
    a_body_is_lent_whole(state);
}

/* Sealed in one go with its head; nothing is lent. */
static void over_http_1(void **state)
{
    (void)state;
    static char answer[LENT_BODY + 4096];
    peer_t *peer = connect_by(TLS1_3_VERSION, "\x08http/1.1");
    say(peer, H2O_STRLIT("GET /0 HTTP/1.1\r\nHost: a\r\n\r\n"));
    size_t length = 0;
    for (int idle = 0; idle < 4;) {
        turn();
        int got = SSL_read(peer->tls, answer + length, (int)(sizeof answer - 1 - length));
        idle = got > 0 ? 0 : idle + 1;
        length += got > 0 ? (size_t)got : 0;
    }
    const char *end = strstr(answer, "\r\n\r\n");
    assert_non_null(end);
    assert_int_equal(answer + length - (end + 4), LENT_BODY);
    assert_memory_equal(end + 4, lent_body, LENT_BODY);
    hang_up(peer);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_body_is_lent_whole),
        cmocka_unit_test(many_at_once),
        cmocka_unit_test(by_version_1_2_it_is_not_lent),
        cmocka_unit_test(new_keys_come_in_the_middle),
        cmocka_unit_test(keys_have_served_while_a_write_is_in_flight),
        cmocka_unit_test(a_stream_is_reset_in_the_middle),
        cmocka_unit_test(the_client_goes_in_the_middle),
        cmocka_unit_test(over_http_1),
    };
    return cmocka_run_group_tests(tests, start, NULL);
}
