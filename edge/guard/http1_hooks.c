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

static guard_verdict_t too_large(size_t target_length)
{
    if (target_length > GUARD_TARGET_BYTES_MAX)
        return (guard_verdict_t){414, GUARD_HEADER_TOO_LARGE, "the request target is too long"};
    return (guard_verdict_t){431, GUARD_HEADER_TOO_LARGE, "the request's head is too large"};
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
    if (verdict.status == 0 && head_length > GUARD_HEAD_BYTES_MAX)
        verdict = too_large(*parsed->target_length);
    if (verdict.status != 0)
        return refuse(parsed, length, verdict);
    drop_upgrade(parsed);
    make_origin_form(parsed);
    return (int)head_length;
}

/* A head that is too large is read to its end where that is near, since a close over unread bytes may cost
 * the client the answer. */
static int refuse_at_end(const parsed_t *parsed, const char *buffer, size_t length)
{
    enum { INCOMPLETE = -2 };
    if (length <= GUARD_HEAD_BYTES_READ_MAX && memmem(buffer, length, "\r\n\r\n", 4) == NULL)
        return INCOMPLETE;
    const char *line_end = memchr(buffer, '\n', length);
    return refuse(parsed, length, too_large(line_end == NULL ? length : (size_t)(line_end - buffer)));
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
        return length > GUARD_HEAD_BYTES_READ_MAX ? refuse_at_end(&parsed, buffer, length) : result;
    if (*field_count ==
        capacity) /* it gives up at one field more than it has room for, and only then is it full */
        return refuse_at_end(&parsed, buffer, length);
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

/* An HTTP/2 request may have to wait before it is processed: the mark goes with it, in the list of pairs that
 * the library keeps per request for whoever wants it. */
static char too_large_mark;

void guard_mark_too_large(h2o_req_t *req)
{
    h2o_vector_reserve(&req->pool, &req->env, 1);
    req->env.entries[0] = (h2o_iovec_t){&too_large_mark, 0};
    req->env.size = 1;
}

static bool is_marked_too_large(h2o_req_t *req)
{
    if (req->env.size == 0 || req->env.entries[0].base != &too_large_mark)
        return false;
    req->env.size = 0;
    return true;
}

void h2o_process_request(h2o_req_t *req)
{
    GUARD_PASS(process_request, req);
    if (guard_defer_request(req))
        return;
    guard_verdict_t verdict = refused;
    refused.status = 0;
    if (is_marked_too_large(req)) {
        answer(req, (guard_verdict_t){.status = 413, .why = "The request body is too large.\n"});
    } else if (verdict.status == 0) {
        libh2o.process_request(req);
    } else {
        count_guard_stopped(verdict.reason);
        answer(req, verdict);
    }
}
