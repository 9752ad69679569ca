/* HTTP/2: header blocks are bounded before and checked after decoding; frames and windows that the library's
 * assertions do not survive are changed into ones that they do. Line numbers are of libh2o 2.2.5. */
#include "edge/guard/guard.h"
#include "edge/guard/hpack_encode.h"
#include "edge/guard/http2_check.h"
#include "edge/guard/libh2o.h"

/* Header blocks. */

static int refuse_block(guard_reason_t reason, int code, const char *why, const char **error)
{
    count_guard_stopped(reason);
    *error = why;
    return code;
}

/* What decoding the block may cost is known before it starts. Refusing here leaves the decoder's table behind
 * the client's, so the connection ends. 0: go on. */
static int bound_block(const uint8_t *block, size_t length, const char **error)
{
    enum { PSEUDO_FIELDS = 4 };
    if (length > guard_bytes_read_max(guard_limits()))
        return refuse_block(GUARD_HEADER_TOO_LARGE, H2O_HTTP2_ERROR_ENHANCE_YOUR_CALM,
                            "header block too large", error);
    switch (guard_hpack_scan(block, length, GUARD_FIELDS_READ_MAX + PSEUDO_FIELDS)) {
    case HPACK_TOO_MANY:
        return refuse_block(GUARD_TOO_MANY_FIELDS, H2O_HTTP2_ERROR_ENHANCE_YOUR_CALM, "too many fields",
                            error);
    case HPACK_EMPTY_NAME:
        return refuse_block(GUARD_BAD_REQUEST, H2O_HTTP2_ERROR_PROTOCOL, "empty field name", error);
    case HPACK_BROKEN:
        return refuse_block(GUARD_BAD_REQUEST, H2O_HTTP2_ERROR_COMPRESSION, "broken header block", error);
    case HPACK_FINE:
        break;
    }
    return 0;
}

static text_t text_of_iovec(h2o_iovec_t bytes)
{
    return (text_t){bytes.base, bytes.len};
}

/* The check of the decoded request. The pseudo-fields' own errors (twice, unknown, after a field) are the
 * library's. */
static guard_verdict_t check_request(const h2o_http2_stream_t *stream, int pseudo_fields,
                                     size_t content_length)
{
    static _Thread_local guard_authority_t last;
    const h2o_req_t *req = &stream->req;
    http_field_t fields[GUARD_FIELDS_READ_MAX + 4];
    MUST(req->headers.size <= sizeof(fields) / sizeof(fields[0]));
    for (size_t i = 0; i != req->headers.size; ++i) {
        const h2o_header_t *header = &req->headers.entries[i];
        fields[i] = (http_field_t){text_of_iovec(*header->name), text_of_iovec(header->value)};
    }
    return guard_http2_check(
        &(guard_http2_request_t){
            .method = text_of_iovec(req->input.method),
            .path = text_of_iovec(req->input.path),
            .authority = text_of_iovec(req->input.authority),
            .scheme = (pseudo_fields & H2O_HPACK_PARSE_HEADERS_SCHEME_EXISTS) != 0,
            .ends = stream->request_body == NULL,
            .content_length = content_length == SIZE_MAX ? UINT64_MAX : content_length,
            .fields = {fields, req->headers.size},
            .decoder_checked =
                true, /* it gave no soft error; guard_traps_test has each byte, plain and Huffman */
            .authority_checked = guard_authority_again(&last, text_of_iovec(req->input.authority)),
        },
        guard_limits());
}

/* The library drops Host as something that HTTP/2 rejects (hpack.c:554), and then knows no authority of a
 * request that has no :authority. It is to keep it among the fields, for take_host(). */
__attribute__((constructor)) static void keep_host(void)
{
    H2O_TOKEN_HOST->http2_should_reject = 0;
}

/* RFC 9113 section 8.3.1: who translates from HTTP/1 may send Host alone, as RFC 7540 section 8.1.2.3 had
 * demanded of it; beside :authority it says nothing, and no handler sees it. False when there are two to
 * choose from. */
static bool take_host(h2o_req_t *req)
{
    size_t kept = 0, hosts = 0;
    for (size_t i = 0; i != req->headers.size; ++i) {
        const h2o_header_t *header = &req->headers.entries[i];
        if (header->name != &H2O_TOKEN_HOST->buf)
            req->headers.entries[kept++] = *header;
        else if (hosts++ == 0 && req->input.authority.base == NULL)
            req->input.authority = header->value;
    }
    req->headers.size = kept;
    return hosts <= 1;
}

/* CONNECT is the handler's to answer, which needs what the library demands of every request; and at once, for
 * its stream stays open: the library would wait for the end of its body. */
static void complete_connect(h2o_http2_stream_t *stream, int *pseudo_fields, size_t *content_length)
{
    stream->req.input.scheme = &H2O_URL_SCHEME_HTTPS;
    stream->req.input.path = h2o_iovec_init(H2O_STRLIT("/"));
    *pseudo_fields |= H2O_HPACK_PARSE_HEADERS_SCHEME_EXISTS | H2O_HPACK_PARSE_HEADERS_PATH_EXISTS;
    *content_length = SIZE_MAX;
    if (stream->request_body != NULL)
        h2o_buffer_dispose(&stream->request_body);
}

/* Answered now, whatever of a body is to come: that meets a closed stream. */
static void answer_early(h2o_http2_stream_t *stream, size_t *content_length, guard_verdict_t verdict)
{
    *content_length = SIZE_MAX;
    if (stream->request_body != NULL)
        h2o_buffer_dispose(&stream->request_body);
    guard_answer_with(&stream->req, verdict);
}

/* The library would read up to the limit and then reset the stream as if it might be tried again. */
static bool is_too_large(const h2o_http2_stream_t *stream, size_t content_length)
{
    return stream->request_body != NULL && content_length != SIZE_MAX &&
           content_length > stream->req.conn->ctx->globalconf->max_request_entity_size;
}

/* RFC 9110 section 10.1.1. */
static bool waits_to_go_on(const h2o_http2_stream_t *stream)
{
    const h2o_headers_t *headers = &stream->req.headers;
    ssize_t at = stream->request_body != NULL ? h2o_find_header(headers, H2O_TOKEN_EXPECT, -1) : -1;
    return at >= 0 && text_equal_nocase(text_of_iovec(headers->entries[at].value), TEXT("100-continue"));
}

/* The client sends its body when it has been told to, which the library does over HTTP/1 alone. */
static void send_continue(const h2o_http2_stream_t *stream)
{
    h2o_http2_conn_t *conn = (h2o_http2_conn_t *)stream->req.conn;
    size_t most = H2O_HTTP2_FRAME_HEADER_SIZE + HPACK_CONTINUE_BOUND;
    uint8_t *start = (uint8_t *)h2o_buffer_reserve(&conn->write.buffer, most).base;
    uint8_t *block = start + H2O_HTTP2_FRAME_HEADER_SIZE;
    size_t length = (size_t)(hpack_encode_continue(&conn->output_header_table, block) - block);
    h2o_http2_encode_frame_header(start, length, H2O_HTTP2_FRAME_TYPE_HEADERS,
                                  H2O_HTTP2_FRAME_FLAG_END_HEADERS, (int32_t)stream->stream_id);
    conn->write.buffer->size += H2O_HTTP2_FRAME_HEADER_SIZE + length;
    h2o_http2_conn_request_write(conn);
}

/* Decoded without a hard error; `broken`: names or values have bytes that they must not hold, or there are
 * two hosts. To say that no pseudo-field was there makes the caller answer with RST_STREAM(PROTOCOL_ERROR)
 * (connection.c:354), which is what RFC 9113 section 8.1.1 wants for a malformed request. One that is well
 * formed but over a limit is answered. */
static void judge_request(h2o_http2_stream_t *stream, bool broken, int *pseudo_fields, size_t *content_length)
{
    guard_verdict_t verdict = {400, GUARD_BAD_REQUEST, "bytes that a field must not hold, or two hosts"};
    if (!broken)
        verdict = check_request(stream, *pseudo_fields, *content_length);
    bool is_connect = text_equal(text_of_iovec(stream->req.input.method), TEXT("CONNECT"));
    if (verdict.status != 0)
        count_guard_stopped(verdict.reason);
    if (verdict.status == 400 || (verdict.status != 0 && is_connect))
        *pseudo_fields = 0;
    else if (verdict.status != 0)
        answer_early(stream, content_length, verdict);
    else if (is_connect)
        complete_connect(stream, pseudo_fields, content_length);
    else if (is_too_large(stream, *content_length))
        answer_early(stream, content_length,
                     (guard_verdict_t){.status = 413, .why = "The request body is too large.\n"});
    else if (waits_to_go_on(stream))
        send_continue(stream);
}

/* Trailers (pseudo_fields NULL) are read, for the decoder's table must follow the client's, and dropped:
 * merged into the request's fields they would say what the request's fields did not. */
int h2o_hpack_parse_headers(h2o_req_t *req, void *table, const uint8_t *block, size_t length,
                            int *pseudo_fields, size_t *content_length, h2o_cache_digests_t **digests,
                            const char **error)
{
    GUARD_PASS(parse_headers, req, table, block, length, pseudo_fields, content_length, digests, error);
    (void)digests; /* Cache-Digest is for server push, of which there is none: not parsed */
    int result = bound_block(block, length, error);
    if (result != 0)
        return result;
    size_t fields_before = req->headers.size;
    result = libh2o.parse_headers(req, table, block, length, pseudo_fields, content_length, NULL, error);
    bool soft = result == H2O_HTTP2_ERROR_INVALID_HEADER_CHAR;
    if (result == H2O_HTTP2_ERROR_PROTOCOL || (soft && pseudo_fields == NULL)) {
        count_guard_stopped(GUARD_BAD_REQUEST);
        return H2O_HTTP2_ERROR_PROTOCOL;
    }
    if (result != 0 && !soft)
        return result;
    if (pseudo_fields == NULL) {
        req->headers.size = fields_before;
        return 0;
    }
    bool one_host = take_host(req);
    judge_request(CONTAINER_OF(req, h2o_http2_stream_t, req), soft || !one_host, pseudo_fields,
                  content_length);
    return 0;
}

/* A block that is larger than a frame may be is cut into frames, from the back, where there is room. The
 * first frame's header has its place already. */
static void cut_block(uint8_t *start, size_t length, size_t most, uint32_t stream_id)
{
    size_t whole = (length - 1) / most; /* frames before the last */
    for (size_t i = whole + 1; i-- > 0;) {
        const uint8_t *from = start + H2O_HTTP2_FRAME_HEADER_SIZE + i * most;
        uint8_t *to = start + i * (most + H2O_HTTP2_FRAME_HEADER_SIZE);
        size_t part = i == whole ? length - whole * most : most;
        memmove(to + H2O_HTTP2_FRAME_HEADER_SIZE, from, part);
        h2o_http2_encode_frame_header(
            to, part, i == 0 ? H2O_HTTP2_FRAME_TYPE_HEADERS : H2O_HTTP2_FRAME_TYPE_CONTINUATION,
            i == whole ? H2O_HTTP2_FRAME_FLAG_END_HEADERS : 0, (int32_t)stream_id);
    }
}

/* The HEADERS frame of a response. */
void h2o_hpack_flatten_response(h2o_buffer_t **buffer, h2o_hpack_header_table_t *table, uint32_t stream_id,
                                size_t max_frame_size, h2o_res_t *res, h2o_timestamp_t *timestamp,
                                const h2o_iovec_t *server_name, size_t content_length)
{
    GUARD_PASS(flatten_response, buffer, table, stream_id, max_frame_size, res, timestamp, server_name,
               content_length);
    const hpack_response_t response = {.res = res,
                                       .date = {timestamp->str->rfc1123, H2O_TIMESTR_RFC1123_LEN},
                                       .server = *server_name,
                                       .content_length = content_length};
    size_t bound = hpack_bound(&response);
    size_t frames = bound / max_frame_size + 1;
    uint8_t *start = (uint8_t *)h2o_buffer_reserve(buffer, bound + frames * H2O_HTTP2_FRAME_HEADER_SIZE).base;
    uint8_t *block = start + H2O_HTTP2_FRAME_HEADER_SIZE;
    size_t length = (size_t)(hpack_encode(table, &response, block) - block);
    cut_block(start, length, max_frame_size, stream_id);
    (*buffer)->size += length + ((length - 1) / max_frame_size + 1) * H2O_HTTP2_FRAME_HEADER_SIZE;
}

/* Windows. When a window grows from nothing, update_stream_output_window (connection.c:325) schedules the
 * stream again, and asserts that it is not waiting for its last bytes to be written: which it is, between
 * END_STREAM's frame being made and its write completing. So the window of a stream that has ended is kept
 * above nothing. It is kept small as well, for one that overflows resets the stream. */

enum { OPEN_WINDOW = 1 };

typedef struct {
    const h2o_http2_stream_t *stream;
} ended_t;

/* The request's memory goes, and with it the stream: has a WINDOW_UPDATE or SETTINGS come that would have
 * been the end? */
static void count_if_moved(void *memory)
{
    const ended_t *ended = memory;
    if (ended->stream->output_window.available != OPEN_WINDOW)
        count_guard_stopped(GUARD_WINDOW_AFTER_END);
}

static void keep_window_open(h2o_http2_stream_t *stream)
{
    if (stream->output_window.available > 0)
        return;
    stream->output_window.available = OPEN_WINDOW;
    ended_t *ended = h2o_mem_alloc_shared(&stream->req.pool, sizeof(*ended), count_if_moved);
    ended->stream = stream;
}

/* Requests beyond the 64 that run at once wait until a stream's last bytes are written, for only then does
 * the library let the next one run. With all that ran ended and being written, any byte from the client meets
 * an assertion that a connection where nothing runs has nothing waiting (connection.c:164). So a running
 * stream is counted where none ever is, among those that the server pushes, until the next one goes. */
static void count_as_running(h2o_http2_conn_t *conn)
{
    bool waits = conn->counts[OF_CLIENT].half_closed == 0 && !h2o_linklist_is_empty(&conn->pending_requests);
    conn->counts[OF_PUSH].half_closed = waits ? 1 : 0;
}

void h2o_http2_stream_send_pending_data(h2o_http2_conn_t *conn, h2o_http2_stream_t *stream)
{
    GUARD_PASS(send_pending_data, conn, stream);
    libh2o.send_pending_data(conn, stream);
    if (stream->state == H2O_HTTP2_STREAM_STATE_END_STREAM)
        keep_window_open(stream);
    count_as_running(conn);
}

/* Every reset comes through here: RST_STREAM from the client, and what it provokes the library to send. */
void h2o_http2_stream_reset(h2o_http2_conn_t *conn, h2o_http2_stream_t *stream)
{
    GUARD_PASS(stream_reset, conn, stream);
    if (stream->state >= H2O_HTTP2_STREAM_STATE_SEND_HEADERS)
        keep_window_open(stream); /* it ends, and may wait for a write */
    if (stream->state != H2O_HTTP2_STREAM_STATE_END_STREAM)
        guard_count_reset(conn);
    libh2o.stream_reset(conn, stream);
    count_as_running(conn);
}

/* A changed initial window is added to every stream's window right after this returns (connection.c:655):
 * ended ones get a window that is open before and after. */
static void ready_ended_streams(h2o_http2_conn_t *conn, int64_t delta)
{
    h2o_linklist_t *anchor = &conn->write.streams_to_proceed;
    for (h2o_linklist_t *link = anchor->next; link != anchor; link = link->next) {
        h2o_http2_stream_t *stream = CONTAINER_OF(link, h2o_http2_stream_t, refs.link);
        if (stream->state != H2O_HTTP2_STREAM_STATE_END_STREAM || stream->output_window.available + delta > 0)
            continue;
        stream->output_window.available = OPEN_WINDOW - delta;
        count_guard_stopped(GUARD_WINDOW_AFTER_END);
    }
}

int h2o_http2_update_peer_settings(h2o_http2_settings_t *settings, const uint8_t *payload, size_t length,
                                   const char **error)
{
    GUARD_PASS(update_peer_settings, settings, payload, length, error);
    h2o_http2_conn_t *conn = CONTAINER_OF(settings, h2o_http2_conn_t, peer_settings);
    if (!guard_takes_settings(conn))
        return refuse_block(GUARD_TOO_MANY_SETTINGS, H2O_HTTP2_ERROR_ENHANCE_YOUR_CALM, "too many SETTINGS",
                            error);
    uint32_t before = settings->initial_window_size;
    int result = libh2o.update_peer_settings(settings, payload, length, error);
    if (result != 0)
        return result;
    hpack_allow(&conn->output_header_table, settings->header_table_size);
    if (settings->initial_window_size != before)
        ready_ended_streams(conn, (int64_t)settings->initial_window_size - before);
    return 0;
}

/* Waiting requests. The end of a stream lets the next request run, within the same call (connection.c:243):
 * also when it ends because its connection does, after a failed write. An answer to that asks for a write
 * which is never to be, and an assertion (connection.c:280) sees it. So such requests run a turn of the loop
 * later, if there is a connection then: their memory goes with it, and the timer with the memory. */

typedef struct {
    h2o_timeout_entry_t timer;
    h2o_req_t *req;
} deferred_t;

static _Thread_local unsigned streams_ending;

static void forget_deferred(void *memory)
{
    deferred_t *deferred = memory;
    h2o_timeout_unlink(&deferred->timer);
}

static void run_deferred(h2o_timeout_entry_t *timer)
{
    h2o_process_request(CONTAINER_OF(timer, deferred_t, timer)->req);
}

bool guard_defer_request(h2o_req_t *req)
{
    if (streams_ending == 0)
        return false;
    deferred_t *deferred = h2o_mem_alloc_shared(&req->pool, sizeof(*deferred), forget_deferred);
    *deferred = (deferred_t){.timer.cb = run_deferred, .req = req};
    h2o_timeout_link(req->conn->ctx->loop, &req->conn->ctx->zero_timeout, &deferred->timer);
    return true;
}

void h2o_http2_conn_unregister_stream(h2o_http2_conn_t *conn, h2o_http2_stream_t *stream)
{
    GUARD_PASS(unregister_stream, conn, stream);
    conn->counts[OF_PUSH].half_closed = 0;
    streams_ending++;
    libh2o.unregister_stream(conn, stream);
    streams_ending--;
}

/* Frames. */

/* For a frame whose type it does not know the library writes a line to stderr. A PING's acknowledgement it
 * ignores, as such frames are to be (RFC 9113 section 4.1). */
static void make_ignored(h2o_http2_frame_t *frame)
{
    static const uint8_t nothing[8];
    count_guard_stopped(GUARD_UNKNOWN_FRAME);
    frame->type = H2O_HTTP2_FRAME_TYPE_PING;
    frame->flags = H2O_HTTP2_FRAME_FLAG_ACK;
    frame->stream_id = 0;
    frame->length = sizeof(nothing);
    frame->payload = nothing;
}

/* On a connection that has sent its last GOAWAY, a CONTINUATION is not consumed (connection.c:409), and read
 * again for ever. Only then is one seen this often at the same place with the same number of bytes behind it:
 * a block of 32 KiB has not that many, and any other frame on this thread starts the count anew. */
static bool is_stuck(const h2o_http2_frame_t *frame, const uint8_t *source, size_t length)
{
    enum { TIMES_MAX = 64 };
    static _Thread_local struct {
        const uint8_t *source;
        size_t length;
        unsigned times;
    } last;
    bool same =
        frame->type == H2O_HTTP2_FRAME_TYPE_CONTINUATION && source == last.source && length == last.length;
    last.source = source;
    last.length = length;
    last.times = same ? last.times + 1 : 0;
    return last.times > TIMES_MAX;
}

ssize_t h2o_http2_decode_frame(h2o_http2_frame_t *frame, const uint8_t *source, size_t length,
                               const h2o_http2_settings_t *host_settings, const char **error)
{
    GUARD_PASS(decode_frame, frame, source, length, host_settings, error);
    ssize_t result = libh2o.decode_frame(frame, source, length, host_settings, error);
    if (result < 0)
        return result;
    if (is_stuck(frame, source, length))
        return refuse_block(GUARD_BAD_FRAMING, H2O_HTTP2_ERROR_PROTOCOL, "no progress", error);
    if (frame->type > H2O_HTTP2_FRAME_TYPE_CONTINUATION)
        make_ignored(frame);
    return result;
}
