/* From a stored or growing object to an HTTP response. */
#include <sys/socket.h>

#include "edge/guard/hpack_encode.h"
#include "edge/guard/lend.h"
#include "edge/http/conditional.h"
#include "edge/http/cors.h"
#include "edge/http/status.h"
#include "edge/respond_front.h"
#include "edge/respond_private.h"

/* So much of a body is handed to the library at once: what TLS may hold of it encrypted, per connection. */
enum { SEND_BYTES = 128 << 10, OWN_FIELDS = 7 };

/* --- Fields --- */

static void add_age(exchange_t *exchange, int64_t age_ms)
{
    h2o_req_t *req = exchange->req;
    char *digits = h2o_mem_alloc_pool(&req->pool, 20);
    respond_add(req, &H2O_TOKEN_AGE->buf, respond_decimal((uint64_t)age_ms / 1000, digits));
}

void respond_add_hsts(exchange_t *exchange, text_t origins)
{
    const site_t *site = exchange->site;
    text_t policy = site != NULL && site->settings->hsts.length > 0 ? site->settings->hsts : origins;
    if (policy.length > 0 && exchange_is_secure(exchange))
        respond_add(exchange->req, &H2O_TOKEN_STRICT_TRANSPORT_SECURITY->buf, policy);
}

void respond_add_allowed_origin(exchange_t *exchange, text_t cors)
{
    static const h2o_iovec_t name = {(char *)"access-control-allow-origin", 27};
    text_t allowed = http_cors_allow(cors, exchange_field(exchange, TEXT("origin")));
    if (allowed.length > 0)
        respond_add(exchange->req, &name, allowed);
}

void respond_add_own(exchange_t *exchange, size_t room, text_t (*status)(const exchange_t *, char *))
{
    static const h2o_iovec_t cache_status = {(char *)"cache-status", 12};
    h2o_req_t *req = exchange->req;
    respond_add(req, &H2O_TOKEN_VIA->buf, TEXT("1.1 selvedge"));
    char *buffer = h2o_mem_alloc_pool(&req->pool, room);
    respond_add(req, &cache_status, status(exchange, buffer));
}

/* A part of a whole response carries all but what describes the whole's bytes, and a Content-Range that meant
 * nothing there (RFC 9110 section 14.4) and would contradict that of the part; where there are several parts,
 * their type is theirs. */
static bool belongs_in_part(const exchange_t *exchange, text_t name)
{
    return !text_equal(name, TEXT("content-md5")) && !text_equal(name, TEXT("content-digest")) &&
           !text_equal(name, TEXT("content-range")) &&
           !(exchange->parts != NULL && text_equal(name, TEXT("content-type")));
}

/* A 304 carries what a 200 would have said of caching, not what describes the body (RFC 9110
 * section 15.4.5). */
static bool belongs_in(const exchange_t *exchange, int status, text_t name)
{
    return status == 206 ? belongs_in_part(exchange, name) : status != 304 || http_field_in_304(name);
}

static void add_front(exchange_t *exchange, const front_t *front, const head_t *head, int status)
{
    bool whole = status == head->status;
    h2o_headers_t *headers = &exchange->req->res.headers;
    h2o_vector_reserve(&exchange->req->pool, headers, front->count + OWN_FIELDS);
    for (size_t i = 0; i < front->count; i++)
        if (whole || belongs_in(exchange, status, text_from(*front->headers[i].name)))
            headers->entries[headers->size++] = front->headers[i];
}

/* The same for HTTP/2, with the work that is the same each time already done. */
static void add_coded_front(h2o_req_t *req, const front_t *front)
{
    h2o_headers_t *headers = &req->res.headers;
    h2o_vector_reserve(&req->pool, headers, 1 + front->repeating + OWN_FIELDS);
    headers->entries[0] = (h2o_header_t){(h2o_iovec_t *)&hpack_coded, NULL, front->coded};
    memcpy(headers->entries + 1, front->headers, front->repeating * sizeof(h2o_header_t));
    headers->size = 1 + front->repeating;
}

/* status: the head's own, or what is answered with it. */
static void add_head(exchange_t *exchange, const head_t *head, int status)
{
    const http_response_fields_t *said = &exchange->policy->response;
    const front_t *front = front_of(head, said);
    exchange->req->res.status = status;
    if (exchange->req->version >= 0x200 && status == head->status && front->coded.len > 0) {
        exchange->date = (text_t){NULL, 0};
        add_coded_front(exchange->req, front);
    } else {
        exchange->date = (text_t){front->date, front->dated ? sizeof front->date : 0};
        add_front(exchange, front, head, status);
    }
    respond_add_hsts(exchange, front->hsts);
    if (http_cors_is_said(said->cors) && !http_cors_is_all(said->cors))
        respond_add_allowed_origin(exchange, said->cors);
    bool at_once = exchange->kind == WALK_HIT, stored = exchange->reader == &exchange->hit;
    int64_t age_ms =
        head_age_ms(head, (at_once || !stored ? exchange->started_us : exchange_now_us()) / 1000);
    if (stored || object_revalidated(exchange->reader->object) || age_ms >= 1000)
        add_age(exchange, age_ms);
    if (at_once && exchange->use == HTTP_FRESH)
        respond_add_own(exchange, STATUS_HIT_BYTES, respond_status_hit);
    else if (stored && exchange->piece == NULL)
        respond_add_own(exchange, STATUS_BYTES, respond_status_stale);
    else
        respond_add_own(exchange, STATUS_BYTES, respond_status_forwarded);
}

/* --- Sending --- */

static h2o_send_state_t pull(h2o_generator_t *generator, h2o_req_t *req, h2o_iovec_t *place);

/* The head, and what there is of the body; all of it when it may be pulled. */
static void send_first(exchange_t *exchange, h2o_iovec_t *bytes, size_t count, h2o_send_state_t state)
{
    h2o_req_t *req = exchange->req;
    if (exchange->pulled)
        req->_ostr_top->start_pull(req->_ostr_top, pull);
    else
        h2o_send(req, bytes, count, state);
}

/* The library writes a Date of its own. A stored response has the origin's: lend it that one while the head
 * is written. */
static void send_dated(exchange_t *exchange, text_t date, h2o_iovec_t *bytes, size_t count,
                       h2o_send_state_t state)
{
    h2o_context_t *context = exchange->req->conn->ctx;
    if (date.length == 0) {
        send_first(exchange, bytes, count, state);
        return;
    }
    h2o_get_timestamp(context, NULL,
                      NULL); /* brings its cache up to date, so that it stays in place meanwhile */
    h2o_timestamp_string_t *lent = worker_date(exchange->worker), *own = context->_timestamp_cache.value;
    memcpy(lent->rfc1123, date.data, date.length);
    context->_timestamp_cache.value = lent;
    send_first(exchange, bytes, count, state);
    context->_timestamp_cache.value = own;
}

/* A body cut short must not look whole. What has no length on HTTP/1 ends with a reset; with TLS, without the
 * closing alert. */
static void forbid_clean_close(exchange_t *exchange)
{
    h2o_req_t *req = exchange->req;
    if (req->version >= 0x200)
        return;
    int fd = h2o_socket_get_fd(worker_socket(req));
    struct linger reset = {.l_onoff = 1, .l_linger = 0};
    setsockopt(fd, SOL_SOCKET, SO_LINGER, &reset, sizeof reset);
    if (worker_socket(req)->ssl != NULL)
        shutdown(fd, SHUT_RDWR);
}

static void proceed(h2o_generator_t *generator, h2o_req_t *req);

/* The client went away, or reset its stream: the object is told at once, not only when the request's memory
 * goes. */
static void stop(h2o_generator_t *generator, h2o_req_t *req)
{
    (void)req;
    exchange_t *exchange = CONTAINER_OF(generator, exchange_t, super);
    MUST_BE(exchange, EXCHANGE_MAGIC);
    exchange->finished = true;
    if (exchange->piece != NULL)
        object_leave(exchange->piece);
    if (exchange->reader != NULL)
        object_leave(exchange->reader);
}

/* Hands the head over, just before its first bytes are sent: until then it can still become another. */
static void begin(exchange_t *exchange)
{
    /* A hit is answered as it is found: asking the clock again would take as long as that did. */
    bool at_once = exchange->kind == WALK_HIT && exchange->steps == 0;
    exchange->first_byte_us = at_once ? exchange->started_us : exchange_now_us();
    exchange->super.proceed = proceed;
    exchange->super.stop = stop;
    h2o_start_response(exchange->req, &exchange->super);
}

/* Nothing of it was sent: as if it had never been begun. */
static void take_back(exchange_t *exchange)
{
    memset(&exchange->req->res.headers, 0, sizeof exchange->req->res.headers);
    exchange->req->res.content_length = SIZE_MAX;
    exchange->answering = exchange->is_part = false;
    exchange->parts = NULL;
}

/* Nothing was sent yet: there is still a clear answer. */
static void fail_early(exchange_t *exchange, object_read_t how)
{
    object_failure_t failure = {503, "fell_behind"};
    take_back(exchange);
    if (how == READ_FAILED && exchange->piece == NULL && request_answer_stale(exchange))
        return;
    if (how == READ_FAILED)
        failure =
            exchange->piece != NULL ? pieces_failure(exchange) : object_failure(exchange->reader->object);
    respond_failure(exchange, failure, "The origin's answer broke off.\n");
}

static void fail(exchange_t *exchange, object_read_t how)
{
    if (exchange->first_byte_us == 0) {
        fail_early(exchange, how);
        return;
    }
    exchange->outcome = OUTCOME_ERROR;
    exchange->finished = true;
    forbid_clean_close(exchange);
    h2o_send(exchange->req, NULL, 0, H2O_SEND_STATE_ERROR);
}

/* Bytes, between what goes around the parts of several. */
static void hand_over(exchange_t *exchange, const h2o_iovec_t *bytes, bool last)
{
    h2o_iovec_t pieces[3];
    size_t count = 0;
    text_t before = exchange->parts != NULL ? parts_head(exchange->parts) : (text_t){NULL, 0};
    if (before.length > 0)
        pieces[count++] = (h2o_iovec_t){(char *)before.data, before.length};
    pieces[count++] = *bytes;
    text_t behind = exchange->parts != NULL && last ? parts_end(exchange->parts) : (text_t){NULL, 0};
    if (behind.length > 0)
        pieces[count++] = (h2o_iovec_t){(char *)behind.data, behind.length};
    h2o_send_state_t state = last ? H2O_SEND_STATE_FINAL : H2O_SEND_STATE_IN_PROGRESS;
    exchange->handed_ms = h2o_now(exchange->req->conn->ctx->loop);
    if (exchange->first_byte_us != 0) {
        h2o_send(exchange->req, pieces, count, state);
        return;
    }
    begin(exchange);
    send_dated(exchange, exchange->date, pieces, count, state);
}

/* Who wanted a part of what still grows wants no more of it once that is handed over: a fill that nobody
 * reads need not go on. The answer's fields lie in the object's memory, so that goes last. */
static void send_last_of_part(exchange_t *exchange, h2o_iovec_t *bytes)
{
    object_t *object = exchange->reader->object;
    object_ref(object);
    object_leave(exchange->reader);
    hand_over(exchange, bytes, true);
    object_unref(&object);
}

static void send_span(exchange_t *exchange, bool last)
{
    h2o_iovec_t bytes = {(char *)exchange->span.bytes, exchange->span.length};
    exchange->sending = !last;
    exchange->finished = last;
    if (last && exchange->is_part && exchange->piece == NULL && exchange->span.block != NULL)
        send_last_of_part(exchange, &bytes);
    else
        hand_over(exchange, &bytes, last);
}

/* The head goes on at once, though nothing of the body has come; not where something stale may answer instead
 * if nothing does. */
static void send_head(exchange_t *exchange)
{
    if (exchange->forward == FORWARD_STALE && request_may_answer_stale(exchange))
        return;
    exchange->sending = true;
    begin(exchange);
    send_dated(exchange, exchange->date, NULL, 0, H2O_SEND_STATE_IN_PROGRESS);
}

/* Ends an answer whose body has been sent, or has none. Nothing may be touched afterwards. */
static void send_end(exchange_t *exchange)
{
    exchange->finished = true;
    if (exchange->first_byte_us != 0) {
        h2o_send(exchange->req, NULL, 0, H2O_SEND_STATE_FINAL);
        return;
    }
    begin(exchange);
    send_dated(exchange, exchange->date, NULL, 0, H2O_SEND_STATE_FINAL);
}

/* --- Pulling --- */

/* A hit's body is all there, and stays until the reader leaves: the connection takes it from where it lies,
 * as it has room. */
static bool may_pull(const exchange_t *exchange)
{
    return exchange->kind == WALK_HIT && exchange->parts == NULL && exchange->piece == NULL &&
           exchange->end > (int64_t)exchange->reader->offset && guard_lends(exchange->req);
}

static void pull_span(exchange_t *exchange, h2o_iovec_t *place, size_t *filled)
{
    body_span_t *span = &exchange->span;
    size_t room = place->len - *filled, part = span->length < room ? span->length : room;
    guard_lend(exchange->req, place->base + *filled, (text_t){span->bytes, part});
    span->bytes += part;
    span->length -= part;
    *filled += part;
}

static h2o_send_state_t pull(h2o_generator_t *generator, h2o_req_t *req, h2o_iovec_t *place)
{
    exchange_t *exchange = CONTAINER_OF(generator, exchange_t, super);
    MUST_BE(exchange, EXCHANGE_MAGIC);
    object_reader_t *reader = exchange->reader;
    size_t filled = 0;
    exchange->handed_ms = h2o_now(req->conn->ctx->loop);
    while (filled < place->len && (exchange->span.length > 0 || reader->offset < (uint64_t)exchange->end)) {
        if (exchange->span.length == 0) {
            block_unref(&exchange->span.block); /* the object has one of its own */
            MUST(object_read(reader, SEND_BYTES, &exchange->span) == READ_BYTES);
        }
        pull_span(exchange, place, &filled);
    }
    place->len = filled;
    exchange->finished = exchange->span.length == 0 && reader->offset == (uint64_t)exchange->end;
    return exchange->finished ? H2O_SEND_STATE_FINAL : H2O_SEND_STATE_IN_PROGRESS;
}

static void begin_pull(exchange_t *exchange)
{
    exchange->pulled = exchange->sending = true;
    exchange->handed_ms = h2o_now(exchange->req->conn->ctx->loop);
    begin(exchange);
    send_dated(exchange, exchange->date, NULL, 0, H2O_SEND_STATE_IN_PROGRESS);
}

/* --- Pushing --- */

static void seek(exchange_t *exchange, const http_range_t *range)
{
    if (exchange->piece != NULL)
        pieces_seek(exchange, range);
    else
        object_seek(exchange->reader, range->first, range->end);
    exchange->end = (int64_t)range->end;
}

/* Has all been read up to the end of the answer, or of its part? */
static bool is_at_end(const exchange_t *exchange)
{
    uint64_t at = exchange->piece != NULL ? exchange->at : exchange->reader->offset;
    return exchange->end >= 0 && at == (uint64_t)exchange->end;
}

/* To the next of several parts, if there is one. */
static void seek_part(exchange_t *exchange)
{
    const http_range_t *range = exchange->parts != NULL ? parts_next(exchange->parts) : NULL;
    if (range != NULL)
        seek(exchange, range);
}

/* Was the span the last of the answer? */
static bool is_last(const exchange_t *exchange)
{
    return is_at_end(exchange) && (exchange->parts == NULL || parts_left(exchange->parts) == 0);
}

/* At the end of a part, the next begins. */
static object_read_t read_more(exchange_t *exchange)
{
    if (is_at_end(exchange))
        seek_part(exchange);
    return exchange->piece != NULL ? pieces_read(exchange, SEND_BYTES)
                                   : object_read(exchange->reader, SEND_BYTES, &exchange->span);
}

void respond_more(exchange_t *exchange)
{
    if (exchange->sending || exchange->finished)
        return;
    if (exchange->span.block != NULL)
        block_unref(&exchange->span.block);
    object_read_t read = read_more(exchange);
    switch (read) {
    case READ_BYTES:
        send_span(exchange, is_last(exchange));
        return;
    case READ_WAIT:
        if (exchange->first_byte_us == 0)
            send_head(exchange);
        return;
    case READ_END:
        send_end(exchange);
        return;
    case READ_FAILED:
    case READ_BEHIND:
        fail(exchange, read);
        return;
    }
}

static void proceed(h2o_generator_t *generator, h2o_req_t *req)
{
    (void)req;
    exchange_t *exchange = CONTAINER_OF(generator, exchange_t, super);
    MUST_BE(exchange, EXCHANGE_MAGIC);
    exchange->sending = false;
    respond_more(exchange);
}

static void set_status(exchange_t *exchange, int status)
{
    exchange->answering = true;
    exchange->req->res.status = status;
    exchange->req->res.reason = http_reason(status);
}

/* What came without a Content-Length has one once it is complete. */
static int64_t length_of(object_t *object)
{
    int64_t told = object_head(object)->content_length;
    return told < 0 && object_end(object) == OBJECT_COMPLETE ? (int64_t)object_length(object) : told;
}

http_selection_t respond_select(exchange_t *exchange, http_fields_t request, http_ranges_t *ranges)
{
    const head_t *head = object_head(exchange->reader->object);
    exchange->end = length_of(exchange->reader->object);
    if (http_is_plain(request) || !exchange->is_get || head->status != 200)
        return HTTP_WHOLE;
    const http_selected_t selected = head_selected(head, exchange->end, !exchange->is_head);
    return http_select(request, &selected, ranges);
}

static void add_content_range(exchange_t *exchange, const http_range_t *range)
{
    enum { ROOM = 80 };
    char *value = h2o_mem_alloc_pool(&exchange->req->pool, ROOM);
    int length = range == NULL ? snprintf(value, ROOM, "bytes */%" PRId64, exchange->end)
                               : snprintf(value, ROOM, "bytes %" PRIu64 "-%" PRIu64 "/%" PRId64, range->first,
                                          range->end - 1, exchange->end);
    respond_add(exchange->req, &H2O_TOKEN_CONTENT_RANGE->buf, (text_t){value, (size_t)length});
}

/* It ends at exchange->end, when that is known. */
static void answer(exchange_t *exchange, int status, size_t length)
{
    if (exchange->end >= 0 && !respond_has_no_body(status))
        exchange->req->res.content_length = length;
    set_status(exchange, status);
    if (exchange->is_head || respond_has_no_body(status))
        send_end(exchange);
    else if (may_pull(exchange))
        begin_pull(exchange);
    else
        respond_more(exchange);
}

static void answer_whole(exchange_t *exchange, const head_t *head)
{
    add_head(exchange, head, head->status);
    /* What came without a length was not known to have one when the fields were made. */
    if (head->content_length < 0 && exchange->end >= 0 && takes_ranges(head))
        respond_add(exchange->req, &H2O_TOKEN_ACCEPT_RANGES->buf, TEXT("bytes"));
    answer(exchange, head->status, (size_t)exchange->end);
}

static void answer_part(exchange_t *exchange, const head_t *head, const http_range_t *range)
{
    add_head(exchange, head, 206);
    add_content_range(exchange, range);
    seek(exchange, range);
    exchange->is_part = true;
    answer(exchange, 206, (size_t)(range->end - range->first));
}

/* Parts may be asked for in any order: of what streams through a window that is there before them. */
static void answer_parts(exchange_t *exchange, const head_t *head, const http_ranges_t *ranges)
{
    if (!object_keeps(exchange->reader->object)) {
        answer_whole(exchange, head);
        return;
    }
    const front_t *front = front_of(head, &exchange->policy->response);
    exchange->parts =
        parts_new(&exchange->req->pool, ranges, (uint64_t)exchange->end, front_content_type(front));
    add_head(exchange, head, 206);
    respond_add(exchange->req, &H2O_TOKEN_CONTENT_TYPE->buf, parts_type(exchange->parts));
    exchange->is_part = true;
    seek_part(exchange);
    answer(exchange, 206, parts_length(exchange->parts));
}

void respond_object(exchange_t *exchange, http_fields_t request)
{
    const head_t *head = object_head(exchange->reader->object);
    http_ranges_t ranges;
    switch (respond_select(exchange, request, &ranges)) {
    case HTTP_WHOLE:
        answer_whole(exchange, head);
        return;
    case HTTP_PART:
        answer_part(exchange, head, &ranges.at[0]);
        return;
    case HTTP_PARTS:
        answer_parts(exchange, head, &ranges);
        return;
    case HTTP_NOT_MODIFIED:
        add_head(exchange, head, 304);
        answer(exchange, 304, 0);
        return;
    case HTTP_PRECONDITION_FAILED:
        respond_refusal(exchange, 412, "precondition_failed",
                        "What is here is not what the request's condition names.\n");
        return;
    case HTTP_UNSATISFIABLE:
        add_content_range(exchange, NULL);
        respond_refusal(exchange, 416, "range_not_satisfiable", "No byte of the range exists.\n");
        return;
    }
}

void respond_at_once(exchange_t *exchange, int status, text_t body)
{
    h2o_req_t *req = exchange->req;
    bool empty = respond_has_no_body(status);
    if (!empty)
        req->res.content_length = body.length;
    set_status(exchange, status);
    exchange->finished = true;
    begin(exchange);
    h2o_iovec_t bytes = {(char *)body.data, body.length};
    h2o_send(req, &bytes, exchange->is_head || empty ? 0 : 1, H2O_SEND_STATE_FINAL);
}
