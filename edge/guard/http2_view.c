#include "edge/guard/http2_view.h"

#include "edge/guard/libh2o.h"

static http2_view_t view_of(const h2o_http2_conn_t *conn)
{
    return (http2_view_t){.socket = conn->sock,
                          .requests = conn->counts[OF_CLIENT].open,
                          .last_opened = conn->highest_stream_ids[0],
                          .header_block_open = conn->headers_unparsed != NULL,
                          .partial_frame = conn->sock->input->size > 0 && h2o_socket_is_reading(conn->sock),
                          .writing = conn->write.in_flight != NULL};
}

void http2_view_each(h2o_context_t *context, void (*see)(const http2_view_t *view))
{
    const h2o_linklist_t *anchor = &context->http2._conns;
    for (const h2o_linklist_t *node = anchor->next; node != anchor; node = node->next) {
        const h2o_http2_conn_t *conn = CONTAINER_OF(node, h2o_http2_conn_t, conns);
        if (conn->sock == NULL)
            continue;
        http2_view_t view = view_of(conn);
        see(&view);
    }
}

http2_stream_view_t http2_view_stream(const h2o_req_t *req)
{
    const h2o_http2_stream_t *stream = CONTAINER_OF(req, h2o_http2_stream_t, req);
    switch (stream->state) {
    case H2O_HTTP2_STREAM_STATE_RECV_BODY:
        return STREAM_GIVES;
    case H2O_HTTP2_STREAM_STATE_SEND_BODY:
        return stream->data.size > 0 ? STREAM_TAKES : STREAM_WAITS;
    case H2O_HTTP2_STREAM_STATE_SEND_BODY_IS_FINAL:
        return STREAM_TAKES;
    case H2O_HTTP2_STREAM_STATE_IDLE:
    case H2O_HTTP2_STREAM_STATE_RECV_HEADERS:
    case H2O_HTTP2_STREAM_STATE_REQ_PENDING:
    case H2O_HTTP2_STREAM_STATE_SEND_HEADERS:
    case H2O_HTTP2_STREAM_STATE_END_STREAM:
        break;
    }
    return STREAM_WAITS;
}

void http2_end_idle(h2o_context_t *context, const h2o_socket_t *socket)
{
    const h2o_linklist_t *anchor = &context->http2._conns;
    for (h2o_linklist_t *node = anchor->next; node != anchor; node = node->next) {
        h2o_http2_conn_t *conn = CONTAINER_OF(node, h2o_http2_conn_t, conns);
        if (conn->sock != socket)
            continue;
        /* Its timer is linked while it is idle, and for nothing else. */
        if (h2o_timeout_is_linked(&conn->timeout_entry)) {
            h2o_timeout_unlink(&conn->timeout_entry);
            conn->timeout_entry.cb(&conn->timeout_entry);
        }
        return;
    }
}
