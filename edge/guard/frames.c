/* HTTP/2: the frames of a connection are looked at before the library reads them, and those that bring
 * nothing are counted.
 *
 * The library reads each frame by the function that conn->read_expect holds. Ours takes that place when the
 * connection begins; for each frame it puts the library's back, calls it, and takes over again whichever the
 * library expects next. */
#include "edge/guard/guard.h"
#include "edge/guard/libh2o.h"

/* Whether a frame with this header brings the server something to do that the client may ask for without
 * end: a request, or part of one's body. */
static bool brings_something(uint8_t type, uint8_t flags, uint32_t length)
{
    enum { PART_BYTES_MIN = 16 };
    if (type == H2O_HTTP2_FRAME_TYPE_HEADERS)
        return true;
    return type == H2O_HTTP2_FRAME_TYPE_DATA &&
           ((flags & H2O_HTTP2_FRAME_FLAG_END_STREAM) != 0 || length >= PART_BYTES_MIN);
}

/* The frame is whole, so it is read now and not again. */
static bool may_be_read(const h2o_http2_conn_t *conn, guard_connection_t *connection, const uint8_t *frame,
                        size_t length)
{
    if (length < H2O_HTTP2_FRAME_HEADER_SIZE)
        return true;
    uint32_t payload = (uint32_t)frame[0] << 16 | (uint32_t)frame[1] << 8 | frame[2];
    if (length - H2O_HTTP2_FRAME_HEADER_SIZE < payload)
        return true;
    if (!brings_something(frame[3], frame[4], payload))
        return guard_spend_frame(connection, (int64_t)h2o_now(conn->super.ctx->loop),
                                 conn->sock->bytes_written);
    if (frame[3] == H2O_HTTP2_FRAME_TYPE_HEADERS)
        guard_earn_frames(connection);
    return true;
}

static ssize_t read_by_library(h2o_http2_conn_t *conn, const uint8_t *bytes, size_t length,
                               const char **error, guard_reader_t *after)
{
    guard_connection_t *connection = guard_connection_of(conn->sock);
    guard_reader_t *ours = conn->read_expect;
    conn->read_expect = connection->reader;
    ssize_t result = connection->reader(conn, bytes, length, error);
    if (guard_is_calmed(conn))
        return result; /* it is on its way out */
    connection->reader = conn->read_expect;
    conn->read_expect = result > 0 ? after : ours;
    return result;
}

static ssize_t read_frame(h2o_http2_conn_t *conn, const uint8_t *bytes, size_t length, const char **error)
{
    if (!may_be_read(conn, guard_connection_of(conn->sock), bytes, length)) {
        count_guard_stopped(GUARD_TOO_MANY_FRAMES);
        *error = "too many frames that bring nothing";
        return H2O_HTTP2_ERROR_ENHANCE_YOUR_CALM;
    }
    return read_by_library(conn, bytes, length, error, read_frame);
}

static ssize_t read_preface(h2o_http2_conn_t *conn, const uint8_t *bytes, size_t length, const char **error)
{
    return read_by_library(conn, bytes, length, error, read_frame);
}

/* What has come already is read within the library's call, so it is kept back until ours is in place. */
void h2o_http2_accept(h2o_accept_ctx_t *context, h2o_socket_t *socket, struct timeval connected_at)
{
    GUARD_PASS(http2_accept, context, socket, connected_at);
    guard_connection_t *connection = guard_connection_of(socket);
    if (connection == NULL) {
        libh2o.http2_accept(context, socket, connected_at);
        return;
    }
    h2o_buffer_t *come = socket->input;
    h2o_buffer_init(&socket->input, &h2o_socket_buffer_prototype);
    libh2o.http2_accept(context, socket, connected_at);
    MUST(socket->input->size == 0);
    socket->input = come;
    h2o_http2_conn_t *conn = socket->data;
    connection->reader = conn->read_expect;
    conn->read_expect = read_preface;
    if (come->size != 0)
        socket->_cb.read(socket, NULL);
}
