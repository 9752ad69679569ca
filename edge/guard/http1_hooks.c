/* HTTP/1: the parser's answer is checked before the library acts on it, and what is refused gets its own
 * status.
 *
 * The library knows one answer to a bad head, a bare 400. So a refused head is handed to it as an empty
 * HTTP/1.0 request, which it processes at once, in the same call, and closes after; the processing hook
 * answers it instead of a handler. */
#include "edge/guard/guard.h"
#include "edge/guard/http1_check.h"
#include "edge/guard/libh2o.h"
#include "edge/guard/syntax.h"
#include "edge/http/status.h"

/* The refused head that the next h2o_process_request on this thread is for; status 0 when there is none. */
static _Thread_local guard_verdict_t refused;

/* Where the parser's caller wants its answer. */
typedef struct {
    const char **method;
    size_t *method_length;
    const char **target;
    size_t *target_length;
    int *minor_version;
    http_field_t *fields;
    size_t *field_count;
} parsed_t;

static int refuse(const parsed_t *parsed, size_t length, guard_verdict_t verdict)
{
    refused = verdict;
    *parsed->method = "GET";
    *parsed->method_length = 3;
    *parsed->target = "/";
    *parsed->target_length = 1;
    *parsed->minor_version = 0;
    *parsed->field_count = 0;
    return (int)length;
}

/* White space around a value is not part of it (RFC 9112 section 5.1); the parser leaves what follows it. */
static void trim_values(http_field_t *fields, size_t count)
{
    for (size_t i = 0; i != count; ++i)
        fields[i].value = syntax_trim(fields[i].value);
}

/* Only the connection preface switches to HTTP/2: an Upgrade is ignored, as RFC 9110 section 7.8 allows. */
static void drop_upgrade(const parsed_t *parsed)
{
    size_t kept = 0;
    for (size_t i = 0; i != *parsed->field_count; ++i) {
        text_t name = parsed->fields[i].name;
        if (text_equal_nocase(name, TEXT("upgrade")) || text_equal_nocase(name, TEXT("http2-settings")))
            continue;
        parsed->fields[kept++] = parsed->fields[i];
    }
    *parsed->field_count = kept;
}

static void set_host(const parsed_t *parsed, text_t authority)
{
    for (size_t i = 0; i != *parsed->field_count; ++i)
        if (text_equal_nocase(parsed->fields[i].name, TEXT("host")))
            parsed->fields[i].value = authority;
}

/* Absolute-form becomes origin-form, its authority replaces Host's (RFC 9112 section 3.2.2). CONNECT is
 * answered by the handler and keeps no target that a handler could take for a path. */
static void make_origin_form(const parsed_t *parsed)
{
    text_t method = {*parsed->method, *parsed->method_length},
           target = {*parsed->target, *parsed->target_length};
    text_t authority, rest = TEXT("/");
    if (!text_equal(method, TEXT("CONNECT"))) {
        if (!guard_absolute_form(target, &authority, &rest))
            return;
        if (rest.length == 0) {
            rest = TEXT("/");
        } else if (rest.data[0] == '?') {
            /* A slash is needed before it: the authority moves one byte to the left, over one of `//`. The
             * bytes are the library's own buffer, which it writes to as well. */
            char *left = (char *)(uintptr_t)(authority.data - 1);
            memmove(left, authority.data, authority.length);
            left[authority.length] = '/';
            authority.data = left;
            rest = (text_t){rest.data - 1, rest.length + 1};
        }
        set_host(parsed, authority);
    }
    *parsed->target = rest.data;
    *parsed->target_length = rest.length;
}

static int check_head(const parsed_t *parsed, const char *buffer, size_t head_length, size_t length)
{
    trim_values(parsed->fields, *parsed->field_count);
    guard_verdict_t verdict = guard_http1_check(&(guard_http1_request_t){
        .head = {buffer, head_length},
        .method = {*parsed->method, *parsed->method_length},
        .target = {*parsed->target, *parsed->target_length},
        .minor_version = *parsed->minor_version,
        .fields = {parsed->fields, *parsed->field_count},
    });
    if (verdict.status == 0)
        verdict = guard_check_size(guard_limits(), head_length, *parsed->field_count, *parsed->target_length);
    if (verdict.status != 0)
        return refuse(parsed, length, verdict);
    drop_upgrade(parsed);
    make_origin_form(parsed);
    return (int)head_length;
}

/* A head that is too large is read to its end where that is near, since a close over unread bytes may cost
 * the client the answer. `bytes` and `fields` are what it has at least. */
static int refuse_at_end(const parsed_t *parsed, const char *buffer, size_t length, size_t bytes,
                         size_t fields)
{
    enum { INCOMPLETE = -2 };
    const guard_limits_t *limits = guard_limits();
    if (length <= guard_bytes_read_max(limits) && memmem(buffer, length, "\r\n\r\n", 4) == NULL)
        return INCOMPLETE;
    const char *line_end = memchr(buffer, '\n', length);
    size_t line = line_end == NULL ? length : (size_t)(line_end - buffer);
    return refuse(parsed, length, guard_check_size(limits, bytes, fields, line));
}

static bool is_preface(const char *buffer, size_t length)
{
    static const char start[] = "PRI * HTTP/2";
    return length >= sizeof(start) - 1 && memcmp(buffer, start, sizeof(start) - 1) == 0;
}

int phr_parse_request(const char *buffer, size_t length, const char **method, size_t *method_length,
                      const char **target, size_t *target_length, int *minor_version, http_field_t *fields,
                      size_t *field_count, size_t last_length)
{
    GUARD_PASS(parse_request, buffer, length, method, method_length, target, target_length, minor_version,
               fields, field_count, last_length);
    enum { EMPTY_LINES = 4 };
    parsed_t parsed = {method, method_length, target, target_length, minor_version, fields, field_count};
    size_t capacity = *field_count;
    int result = libh2o.parse_request(buffer, length, method, method_length, target, target_length,
                                      minor_version, fields, field_count, last_length);
    if (result > 0)
        return check_head(&parsed, buffer, (size_t)result, length);
    if (result == -2)
        return length > guard_bytes_read_max(guard_limits())
                   ? refuse_at_end(&parsed, buffer, length, length, 0)
                   : result;
    if (*field_count ==
        capacity) /* it gives up at one field more than it has room for, and only then is it full */
        return refuse_at_end(&parsed, buffer, length, 0, capacity + 1);
    if (is_preface(buffer, length) || length <= EMPTY_LINES)
        return result; /* the library switches to HTTP/2, or closes quietly on empty lines */
    return refuse(&parsed, length, (guard_verdict_t){400, GUARD_BAD_FRAMING, "not a request of HTTP/1"});
}

static void answer(h2o_req_t *req, guard_verdict_t verdict)
{
    h2o_add_header(&req->pool, &req->res.headers, H2O_TOKEN_VIA, NULL, H2O_STRLIT("1.1 selvedge"));
    h2o_add_header_by_str(&req->pool, &req->res.headers, H2O_STRLIT("cache-status"), 0, NULL,
                          H2O_STRLIT("selvedge; detail=refused"));
    h2o_send_error_generic(req, verdict.status, http_reason(verdict.status), verdict.why,
                           H2O_SEND_ERROR_HTTP1_CLOSE_CONNECTION | H2O_SEND_ERROR_KEEP_HEADERS);
}

/* An HTTP/2 request may have to wait before it is processed: its verdict goes with it, in the list of pairs
 * that the library keeps per request for whoever wants it. */
static char early_mark;

void guard_answer_with(h2o_req_t *req, guard_verdict_t verdict)
{
    guard_verdict_t *kept = h2o_mem_alloc_pool(&req->pool, sizeof *kept);
    *kept = verdict;
    h2o_vector_reserve(&req->pool, &req->env, 2);
    req->env.entries[0] = (h2o_iovec_t){&early_mark, 0};
    req->env.entries[1] = (h2o_iovec_t){(char *)kept, sizeof *kept};
    req->env.size = 2;
}

static const guard_verdict_t *early_verdict(h2o_req_t *req)
{
    if (req->env.size == 0 || req->env.entries[0].base != &early_mark)
        return NULL;
    req->env.size = 0;
    return (const guard_verdict_t *)(const void *)req->env.entries[1].base;
}

/* Requests that came in one piece are processed in one turn of the loop, each as the one before is written:
 * thousands fit into what the kernel holds. Nobody sends so many but to hold the loop; the connection ends
 * with an answer that says so, as any may (RFC 9112 section 9.6). */
static void bound_pipelining(h2o_req_t *req)
{
    if (req->version >= 0x200)
        return;
    guard_connection_t *connection = guard_connection_of(req->conn->callbacks->get_socket(req->conn));
    if (connection == NULL || guard_count_pipelined(connection, (int64_t)h2o_now(req->conn->ctx->loop)))
        return;
    if (req->http1_is_persistent)
        count_guard_stopped(GUARD_TOO_MANY_AT_ONCE);
    req->http1_is_persistent = 0;
}

/* What the library does with a request where there is one host and one path (request.c:85): it normalises the
 * path in order to compare it with that one, which is all that is left out, for the cache key is made of the path
 * as it came. */
static void process(h2o_req_t *req, h2o_hostconf_t *host, h2o_pathconf_t *path)
{
    req->processed_at.at = *h2o_get_timestamp(req->conn->ctx, NULL, NULL);
    if (req->input.authority.base == NULL)
        req->input.authority = host->authority.hostport;
    const char *query = memchr(req->input.path.base, '?', req->input.path.len);
    req->input.query_at = query != NULL ? (size_t)(query - req->input.path.base) : SIZE_MAX;
    req->scheme = req->input.scheme;
    req->method = req->input.method;
    req->authority = req->input.authority;
    req->path = req->path_normalized = req->input.path;
    req->query_at = req->input.query_at;
    h2o_req_bind_conf(req, host, path);
    h2o_handler_t *handler = path->handlers.entries[0];
    MUST(handler->on_req(handler, req) == 0);
}

static void hand_to_handler(h2o_req_t *req)
{
    h2o_hostconf_t *host = req->conn->hosts[0];
    bool only = req->conn->hosts[1] == NULL && host->paths.size == 1;
    if (only && host->paths.entries[0].handlers.size == 1)
        process(req, host, &host->paths.entries[0]);
    else
        libh2o.process_request(req);
}

void h2o_process_request(h2o_req_t *req)
{
    GUARD_PASS(process_request, req);
    if (guard_defer_request(req))
        return;
    bound_pipelining(req);
    guard_verdict_t verdict = refused;
    refused.status = 0;
    const guard_verdict_t *early = early_verdict(req);
    if (early != NULL) {
        answer(req, *early);
    } else if (verdict.status == 0) {
        hand_to_handler(req);
    } else {
        count_guard_stopped(verdict.reason);
        answer(req, verdict);
    }
}
