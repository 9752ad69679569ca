#include "origin_pull/transfer.h"

#include <arpa/inet.h>
#include <errno.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "origin_pull/fill_upstream.h"

enum { TRANSFER_MAGIC = 0x5e17a45, RECEIVE_BYTES = 64 << 10 };

int64_t monotonic_now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC_COARSE, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

transfer_t *transfer_new(puller_t *puller, const puller_config_t *config, fill_t **fill)
{
    transfer_t *transfer = must_calloc(1, sizeof *transfer);
    transfer->magic = TRANSFER_MAGIC;
    transfer->puller = puller;
    transfer->config = config;
    transfer->fill = *fill;
    *fill = NULL;
    transfer->lines = must_alloc(sizeof *transfer->lines);
    return transfer;
}

void transfer_reset(transfer_t *transfer)
{
    if (transfer->easy != NULL)
        curl_easy_cleanup(transfer->easy);
    curl_slist_free_all(transfer->headers);
    transfer->easy = NULL;
    transfer->headers = NULL;
    transfer->head_done = transfer->again = transfer->stop = transfer->paused = false;
    transfer->wrong = NULL;
    transfer->skip = 0;
    transfer->socket_count = 0;
}

void transfer_free(transfer_t **pointer)
{
    transfer_t *transfer = *pointer;
    *pointer = NULL;
    MUST_BE(transfer, TRANSFER_MAGIC);
    transfer_reset(transfer);
    fill_free(&transfer->fill);
    configuration_unref(&transfer->configuration);
    free(transfer->lines);
    transfer->magic = 0;
    free(transfer);
}

/* --- What curl calls --- */

/* Notes what the fill wants; false when this transfer is to end. */
static bool obey(transfer_t *transfer, fill_action_t action)
{
    transfer->again = action == FILL_AGAIN;
    transfer->stop = action == FILL_STOP;
    return !transfer->again && !transfer->stop;
}

static bool can_pause(CURL *easy)
{
    long version = 0;
    curl_easy_getinfo(easy, CURLINFO_HTTP_VERSION, &version);
    return version == CURL_HTTP_VERSION_1_0 || version == CURL_HTTP_VERSION_1_1;
}

static bool take_head(transfer_t *transfer)
{
    const fill_lines_t *lines = transfer->lines;
    transfer->head_done = true;
    transfer->deadline_ms = monotonic_now_ms() + transfer->site->between_bytes_timeout_ms;
    fill_answer_t answer = {lines->status, fill_lines_fields(lines), fill_lines_close_delimited(lines),
                            can_pause(transfer->easy)};
    return obey(transfer, fill_head(transfer->fill, &answer, transfer->config->now_ms()));
}

static size_t on_line(char *data, size_t size, size_t count, void *context)
{
    transfer_t *transfer = context;
    MUST_BE(transfer, TRANSFER_MAGIC);
    size_t length = size * count;
    if (transfer->head_done)
        return length; /* trailers are dropped */
    switch (fill_lines_add(transfer->lines, (text_t){data, length})) {
    case LINES_MORE:
    case LINES_INTERIM:
        return length;
    case LINES_COMPLETE:
        return take_head(transfer) ? length : 0;
    case LINES_TOO_LARGE:
        transfer->wrong = "http_response_header_section_size";
        return 0;
    case LINES_WRONG:
        transfer->wrong = "http_protocol_error";
        return 0;
    }
    return 0;
}

static size_t on_bytes(char *data, size_t size, size_t count, void *context)
{
    transfer_t *transfer = context;
    MUST_BE(transfer, TRANSFER_MAGIC);
    size_t length = size * count, taken = 0;
    if (!transfer->head_done) {
        transfer->wrong = "http_protocol_error";
        return 0;
    }
    size_t skip = transfer->skip < length ? transfer->skip : length;
    transfer->skip -= skip;
    int64_t now_ms = monotonic_now_ms();
    transfer->deadline_ms = now_ms + transfer->site->between_bytes_timeout_ms;
    bool was_starved = fill_is_starved(transfer->fill);
    fill_action_t action = fill_bytes(transfer->fill, data + skip, length - skip, &taken);
    if (action == FILL_PAUSE) {
        transfer->skip = skip + taken;
        transfer->paused = true;
        if (taken > 0 || !was_starved)
            transfer->paused_ms = now_ms;
        transfer->deadline_ms = now_ms + (fill_awaits_below(transfer->fill) ? AWAITS_BELOW_MS
                                          : fill_is_starved(transfer->fill) ? STARVED_MS
                                                                            : PAUSE_MS);
        return CURL_WRITEFUNC_PAUSE;
    }
    return obey(transfer, action) ? length : 0;
}

/* --- Connections that have been used before --- */

/* An HTTP/1 connection on which something came after the last answer's end: the next answer would begin with
 * it. curl looks only while it reads an answer; so the sockets of idle connections are known here, by their
 * local port. The puller's thread only. */
static int socket_by_port[1 << 16];

static int local_port(int fd)
{
    struct sockaddr_storage address;
    socklen_t length = sizeof address;
    if (getsockname(fd, (struct sockaddr *)&address, &length) != 0)
        return -1;
    return ntohs(address.ss_family == AF_INET6 ? ((struct sockaddr_in6 *)&address)->sin6_port
                                               : ((struct sockaddr_in *)&address)->sin_port);
}

static curl_socket_t on_open_socket(void *context, curlsocktype purpose, struct curl_sockaddr *address)
{
    (void)purpose;
    transfer_t *transfer = context;
    MUST_BE(transfer, TRANSFER_MAGIC);
    int fd = socket(address->family, address->socktype | SOCK_CLOEXEC, address->protocol);
    if (fd >= 0 && transfer->socket_count < SOCKETS_MAX)
        transfer->sockets[transfer->socket_count++] = fd;
    return fd < 0 ? CURL_SOCKET_BAD : fd;
}

/* Of the sockets that were tried, the one that got through. */
static void note_connection(const transfer_t *transfer, int port)
{
    for (unsigned i = 0; i < transfer->socket_count; i++)
        if (local_port(transfer->sockets[i]) == port)
            socket_by_port[port] = transfer->sockets[i];
}

static bool is_spoiled(int port)
{
    char byte;
    int fd = socket_by_port[port];
    return fd > 0 && local_port(fd) == port && recv(fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) > 0;
}

/* Just before a request is written. With TLS nothing can be told from what lies in the socket. */
static int on_request(void *context, char *remote, char *local, int remote_port, int port)
{
    (void)remote;
    (void)local;
    (void)remote_port;
    transfer_t *transfer = context;
    MUST_BE(transfer, TRANSFER_MAGIC);
    long made = 0;
    curl_easy_getinfo(transfer->easy, CURLINFO_NUM_CONNECTS, &made);
    if (made > 0)
        note_connection(transfer, port);
    else if (!transfer->site->origin.https && is_spoiled(port))
        return CURL_PREREQFUNC_ABORT;
    return CURL_PREREQFUNC_OK;
}

/* --- Making the request --- */

static void add_field(void *context, text_t name, text_t value)
{
    transfer_t *transfer = context;
    /* A client's field is as long as the settings let it be, a stored ETag as an origin's head does. */
    size_t capacity = name.length + value.length + sizeof ": ";
    char *line = must_alloc(capacity);
    /* "Name;" is how curl sends a field without a value. */
    if (value.length > 0)
        snprintf(line, capacity, "%.*s: %.*s", (int)name.length, name.data, (int)value.length, value.data);
    else
        snprintf(line, capacity, "%.*s;", (int)name.length, name.data);
    struct curl_slist *more = curl_slist_append(transfer->headers, line);
    MUST(more != NULL);
    free(line);
    transfer->headers = more;
}

static void set_fields(transfer_t *transfer)
{
    const settings_site_t *site = transfer->site;
    fill_t *fill = transfer->fill;
    http_field_t conditions[2];
    upstream_request_t request = {
        .method = fill_method(fill),
        .host = site->origin_host,
        .forwarded_https = site->forwarded_https,
        .forward_all = fill_policy(fill)->forward_all,
        .forward_range = fill_is_ranged(fill),
        .client_field = site_client_field(site),
        .tells_surrogate = http_names_have(&fill_policy(fill)->targeted, TEXT("surrogate-control")),
        .cdn_loop = transfer->config->cdn_loop,
        .fields = fill_fields(fill),
        .conditions = {conditions, fill_conditions(fill, conditions)}};
    upstream_fields(&request, add_field, transfer);
    /* What curl would add by itself and nobody asked for. */
    static const char *const unwanted[] = {"Expect:", "TE:"};
    for (size_t i = 0; i < 2; i++)
        transfer->headers = curl_slist_append(transfer->headers, unwanted[i]);
    if (http_fields_find(request.fields, TEXT("accept")) == NULL)
        transfer->headers = curl_slist_append(transfer->headers, "Accept:");
    if (http_fields_find(request.fields, TEXT("content-type")) == NULL)
        transfer->headers = curl_slist_append(transfer->headers, "Content-Type:");
    curl_easy_setopt(transfer->easy, CURLOPT_HTTPHEADER, transfer->headers);
}

static void set_method(transfer_t *transfer)
{
    text_t method = fill_method(transfer->fill), body = fill_body(transfer->fill);
    if (text_equal(method, TEXT("GET")))
        return;
    bool has_body = body.data != NULL || text_equal(method, TEXT("POST")) ||
                    text_equal(method, TEXT("PUT")) || text_equal(method, TEXT("PATCH"));
    if (has_body) {
        curl_easy_setopt(transfer->easy, CURLOPT_POST, 1L);
        curl_easy_setopt(transfer->easy, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)body.length);
        curl_easy_setopt(transfer->easy, CURLOPT_POSTFIELDS, body.data != NULL ? body.data : "");
    }
    char *name = must_alloc(method.length + 1);
    memcpy(name, method.data, method.length);
    name[method.length] = '\0';
    curl_easy_setopt(transfer->easy, CURLOPT_CUSTOMREQUEST, name);
    free(name);
}

static void set_target(transfer_t *transfer)
{
    text_t origin = transfer->site->origin_url, target = fill_target(transfer->fill);
    char *url = must_alloc(origin.length + target.length + 1);
    memcpy(url, origin.data, origin.length);
    url[origin.length] = '/';
    url[origin.length + 1 - (target.length == 0)] = '\0';
    curl_easy_setopt(transfer->easy, CURLOPT_URL, url);
    memcpy(url, target.data, target.length);
    url[target.length] = '\0';
    curl_easy_setopt(transfer->easy, CURLOPT_REQUEST_TARGET, url);
    free(url);
}

static void set_connection(transfer_t *transfer)
{
    CURL *easy = transfer->easy;
    const settings_site_t *site = transfer->site;
    bool pauses = fill_needs_pauses(transfer->fill);
    curl_easy_setopt(easy, CURLOPT_HTTP_VERSION,
                     pauses ? (long)CURL_HTTP_VERSION_1_1 : (long)CURL_HTTP_VERSION_2TLS);
    curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(easy, CURLOPT_PROXY, "");
    curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(easy, CURLOPT_TCP_NODELAY, 1L);
    curl_easy_setopt(easy, CURLOPT_PATH_AS_IS, 1L);
    curl_easy_setopt(easy, CURLOPT_HTTP_CONTENT_DECODING, 0L);
    curl_easy_setopt(easy, CURLOPT_BUFFERSIZE, (long)RECEIVE_BYTES);
    curl_easy_setopt(easy, CURLOPT_CONNECTTIMEOUT_MS, (long)site->connect_timeout_ms);
    curl_easy_setopt(easy, CURLOPT_SSL_VERIFYPEER, 1L);
    curl_easy_setopt(easy, CURLOPT_SSL_VERIFYHOST, 2L);
    curl_easy_setopt(easy, CURLOPT_OPENSOCKETFUNCTION, on_open_socket);
    curl_easy_setopt(easy, CURLOPT_OPENSOCKETDATA, transfer);
    curl_easy_setopt(easy, CURLOPT_PREREQFUNCTION, on_request);
    curl_easy_setopt(easy, CURLOPT_PREREQDATA, transfer);
    curl_easy_setopt(easy, CURLOPT_FRESH_CONNECT, transfer->fresh ? 1L : 0L);
    if (site->ca_file != NULL)
        curl_easy_setopt(easy, CURLOPT_CAINFO, site->ca_file);
}

const char *transfer_prepare(transfer_t *transfer, int64_t monotonic_ms)
{
    transfer_reset(transfer);
    fill_lines_begin(transfer->lines);
    transfer->error[0] = '\0';
    transfer->easy = curl_easy_init();
    if (transfer->easy == NULL)
        return "out-of-memory";
    curl_easy_setopt(transfer->easy, CURLOPT_PRIVATE, transfer);
    curl_easy_setopt(transfer->easy, CURLOPT_ERRORBUFFER, transfer->error);
    curl_easy_setopt(transfer->easy, CURLOPT_HEADERFUNCTION, on_line);
    curl_easy_setopt(transfer->easy, CURLOPT_HEADERDATA, transfer);
    curl_easy_setopt(transfer->easy, CURLOPT_WRITEFUNCTION, on_bytes);
    curl_easy_setopt(transfer->easy, CURLOPT_WRITEDATA, transfer);
    set_connection(transfer);
    set_target(transfer);
    set_method(transfer);
    set_fields(transfer);
    transfer->deadline_ms = monotonic_ms + transfer->site->first_byte_timeout_ms;
    fill_sent(transfer->fill, transfer->config->now_ms());
    return NULL;
}

/* --- Failures, by RFC 9209's names --- */

static object_failure_t connect_failure(const transfer_t *transfer)
{
    long code = 0;
    curl_easy_getinfo(transfer->easy, CURLINFO_OS_ERRNO, &code);
    if (code == ECONNREFUSED)
        return (object_failure_t){502, "connection_refused"};
    if (code == ETIMEDOUT)
        return (object_failure_t){504, "connection_timeout"};
    return (object_failure_t){502, "destination_unavailable"};
}

object_failure_t transfer_failure(const transfer_t *transfer, CURLcode code)
{
    if (transfer->wrong != NULL)
        return (object_failure_t){502, transfer->wrong};
    switch (code) {
    case CURLE_COULDNT_RESOLVE_HOST:
        return (object_failure_t){502, "dns_error"};
    case CURLE_COULDNT_CONNECT:
        return connect_failure(transfer);
    case CURLE_OPERATION_TIMEDOUT: /* only connecting is timed by curl */
        return (object_failure_t){504, "connection_timeout"};
    case CURLE_PEER_FAILED_VERIFICATION:
    case CURLE_SSL_CACERT_BADFILE:
        return (object_failure_t){502, "tls_certificate_error"};
    case CURLE_SSL_CONNECT_ERROR:
        return (object_failure_t){502, "tls_protocol_error"};
    case CURLE_PARTIAL_FILE:
        return (object_failure_t){502, "http_response_incomplete"};
    case CURLE_GOT_NOTHING:
    case CURLE_RECV_ERROR:
    case CURLE_SEND_ERROR:
        return (object_failure_t){502, "connection_terminated"};
    case CURLE_OUT_OF_MEMORY: /* also said of one line of a head that does not end */
        return transfer->head_done ? (object_failure_t){503, "proxy_internal_error"}
                                   : (object_failure_t){502, "http_response_header_section_size"};
    default: /* what is left is an upstream that does not speak HTTP as it should */
        return (object_failure_t){502, "http_protocol_error"};
    }
}

/* A stream that upstream resets. nghttp2 resets those that are longer or shorter than they say themselves,
 * and curl tells that apart in words alone. */
static bool is_reset_stream(const transfer_t *transfer, CURLcode code)
{
    return code == CURLE_HTTP2_STREAM && strstr(transfer->error, "PROTOCOL_ERROR") == NULL;
}

bool transfer_cut_off(const transfer_t *transfer, CURLcode code)
{
    if (transfer->wrong != NULL || !transfer->head_done)
        return false;
    return code == CURLE_PARTIAL_FILE || code == CURLE_RECV_ERROR || code == CURLE_SEND_ERROR ||
           is_reset_stream(transfer, code);
}

bool transfer_may_try_again(transfer_t *transfer, CURLcode code)
{
    long made = 1;
    curl_easy_getinfo(transfer->easy, CURLINFO_NUM_CONNECTS, &made);
    bool repeatable =
        code == CURLE_ABORTED_BY_CALLBACK || text_equal(fill_method(transfer->fill), TEXT("GET"));
    bool may =
        repeatable && made == 0 && !transfer->head_done && !transfer->fresh && !fill_ended(transfer->fill);
    transfer->fresh = transfer->fresh || may;
    return may;
}

object_failure_t transfer_timeout(const transfer_t *transfer)
{
    return (object_failure_t){504, transfer->head_done ? "connection_read_timeout" : "http_response_timeout"};
}
