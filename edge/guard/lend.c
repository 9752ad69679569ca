#include "edge/guard/lend.h"

#include <sys/socket.h>

#include "edge/guard/guard.h"
#include "edge/guard/libh2o.h"
#include "edge/tls/records.h"

enum {
    LENT_MAX = 512,       /* pieces of one write: a buffer of the library's holds no more that are worth it */
    LENT_BYTES_MIN = 256, /* fewer are copied sooner than they are encrypted apart */
    KEPT_BYTES = 256 << 10
};

/* Lent of the write that is being made, in the order of their places. */
static _Thread_local struct {
    const h2o_socket_t *socket;
    size_t count;
    struct {
        size_t place; /* from the start of the connection's buffer */
        text_t bytes;
    } pieces[LENT_MAX];
} lent;

/* --- Lending --- */

static bool is_off(void)
{
#ifdef SELVEDGE_TEST_HOOKS
    return guard_hook_is_off(&libh2o.socket_write);
#else
    return false;
#endif
}

static bool seals(const h2o_socket_t *socket)
{
    return socket->ssl != NULL && tls_records_ready(socket->ssl->ossl);
}

bool guard_lends(const h2o_req_t *req)
{
    return req->version >= 0x200 && !is_off() && seals(((const h2o_http2_conn_t *)req->conn)->sock);
}

void guard_lend(const h2o_req_t *req, char *place, text_t bytes)
{
    const h2o_http2_conn_t *conn = (const h2o_http2_conn_t *)req->conn;
    bool takes = lent.count > 0 ? lent.count < LENT_MAX : seals(conn->sock); /* as the whole write does */
    if (!takes || bytes.length < LENT_BYTES_MIN) {
        memcpy(place, bytes.data, bytes.length);
        return;
    }
    MUST(lent.count == 0 || lent.socket == conn->sock);
    lent.socket = conn->sock;
    lent.pieces[lent.count].place = (size_t)(place - conn->write.buffer->bytes);
    lent.pieces[lent.count++].bytes = bytes;
}

/* --- Sealing --- */

/* The buffer with what was lent in its places; how many pieces. */
static size_t put_together(h2o_iovec_t buffer, text_t *pieces)
{
    size_t count = 0, at = 0;
    for (size_t i = 0; i < lent.count; i++) {
        size_t place = lent.pieces[i].place;
        pieces[count++] = (text_t){buffer.base + at, place - at};
        pieces[count++] = lent.pieces[i].bytes;
        at = place + lent.pieces[i].bytes.length;
    }
    pieces[count++] = (text_t){buffer.base + at, buffer.len - at};
    lent.count = 0;
    return count;
}

/* As h2o_socket_write() has it (socket.c:639): a connection starts with records that fit into a packet each.
 */
static size_t record_bytes(h2o_socket_t *socket)
{
    enum { SMALL_UNTIL = 200 << 10, SMALL = 1400 };
    switch (socket->_latency_optimization.state) {
    case H2O_SOCKET_LATENCY_OPTIMIZATION_STATE_TBD:
    case H2O_SOCKET_LATENCY_OPTIMIZATION_STATE_DISABLED:
        return socket->bytes_written < SMALL_UNTIL ? SMALL - socket->ssl->record_overhead : TLS_RECORD_BYTES;
    case H2O_SOCKET_LATENCY_OPTIMIZATION_STATE_DETERMINED:
        socket->_latency_optimization.state = H2O_SOCKET_LATENCY_OPTIMIZATION_STATE_NEEDS_UPDATE;
        break;
    default:
        break;
    }
    return socket->_latency_optimization.suggested_tls_payload_size;
}

/* Of this thread: what has been sealed stays in the processor's cache from one connection to the next. */
static uint8_t *room_for(size_t bytes)
{
    static _Thread_local struct {
        uint8_t *bytes;
        size_t capacity;
    } room;
    if (bytes > room.capacity || room.capacity > KEPT_BYTES) {
        free(room.bytes);
        room.capacity = bytes > KEPT_BYTES / 2 ? bytes : KEPT_BYTES / 2;
        room.bytes = must_alloc(room.capacity);
    }
    return room.bytes;
}

/* What the kernel does not take now is the library's to send, which says when it is done, or that it failed.
 */
static void send_sealed(h2o_socket_t *socket, const uint8_t *bytes, size_t length, h2o_socket_cb callback)
{
    h2o_socket_ssl_t *tls = socket->ssl;
    size_t written = socket->bytes_written;
    ssize_t sent = send(h2o_socket_get_fd(socket), bytes, length, MSG_NOSIGNAL);
    size_t taken = sent > 0 ? (size_t)sent : 0;
    if (taken < length) /* a copy, in memory that goes with the end of this write */
        MUST(BIO_write(SSL_get_rbio(tls->ossl), bytes + taken, (int)(length - taken)) ==
             (int)(length - taken));
    size_t rest = tls->output.size;
    tls->output.size = 0;
    socket->ssl = NULL; /* it is not to be encrypted again */
    libh2o.socket_write(socket, tls->output.entries, rest, callback);
    socket->ssl = tls;
    socket->bytes_written = written;
}

/* libcrypto has failed: nobody can go on here. The library sees that as it reads. */
static void give_up(h2o_socket_t *socket, h2o_socket_cb callback)
{
    shutdown(h2o_socket_get_fd(socket), SHUT_RDWR);
    libh2o.socket_write(socket, NULL, 0, callback);
}

static void seal(h2o_socket_t *socket, const text_t *pieces, size_t count, size_t length,
                 h2o_socket_cb callback)
{
    size_t record = record_bytes(socket);
    uint8_t *out = room_for(tls_records_bound(length, record));
    size_t sealed = tls_records_seal(socket->ssl->ossl, pieces, count, record, out);
    socket->bytes_written += length;
    if (sealed > 0)
        send_sealed(socket, out, sealed, callback);
    else
        give_up(socket, callback);
}

static size_t length_of(const h2o_iovec_t *buffers, size_t count)
{
    size_t length = 0;
    for (size_t i = 0; i < count; i++)
        length += buffers[i].len;
    return length;
}

void h2o_socket_write(h2o_socket_t *socket, h2o_iovec_t *buffers, size_t count, h2o_socket_cb callback)
{
    GUARD_PASS(socket_write, socket, buffers, count, callback);
    enum { BUFFERS_MAX = 16 }; /* a head, and a body in pieces */
    text_t pieces[2 * LENT_MAX + BUFFERS_MAX];
    size_t length = length_of(buffers, count), made = 0;
    bool sealed = length > 0 && count <= BUFFERS_MAX && seals(socket);
    /* Between lending and this write nothing is read that could change how the connection is encrypted. */
    MUST(lent.count == 0 || (sealed && lent.socket == socket && count == 1));
    if (!sealed) {
        if (length > 0 && socket->ssl != NULL)
            tls_records_renew(socket->ssl->ossl);
        libh2o.socket_write(socket, buffers, count, callback);
        return;
    }
    if (lent.count > 0)
        made = put_together(buffers[0], pieces);
    else
        for (; made < count; made++)
            pieces[made] = (text_t){buffers[made].base, buffers[made].len};
    seal(socket, pieces, made, length, callback);
}
