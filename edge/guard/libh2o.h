/* The insides of libh2o 2.2.5 that the hooks touch. Private to this room.
 *
 * The library ships h2o/http2_internal.h, but that needs a khash.h which is not shipped with it. So the two
 * structures are declared here up to the last member that is used, as in that very version; the offsets were
 * taken from the original header, and the build fails when the compiler lays them out otherwise.
 * guard_in_force() and the version in the shared library's name (libh2o-evloop.so.0.13) are what ties them to
 * the library at run time. */
#ifndef SELVEDGE_EDGE_GUARD_LIBH2O_H
#define SELVEDGE_EDGE_GUARD_LIBH2O_H

#include "edge/guard/budget.h"
#include "edge/guard/guard.h"
#include "edge/http/fields.h"

#include <assert.h>
#include <h2o.h>
#include <h2o/cache_digests.h>
#include <h2o/http2.h>
#include <h2o/http2_scheduler.h>
#include <sys/types.h>

struct st_h2o_http2_conn_t;

typedef struct {
    ssize_t available;
} h2o_http2_window_t;

typedef enum {
    H2O_HTTP2_STREAM_STATE_IDLE,
    H2O_HTTP2_STREAM_STATE_RECV_HEADERS,
    H2O_HTTP2_STREAM_STATE_RECV_BODY,
    H2O_HTTP2_STREAM_STATE_REQ_PENDING,
    H2O_HTTP2_STREAM_STATE_SEND_HEADERS,
    H2O_HTTP2_STREAM_STATE_SEND_BODY,
    H2O_HTTP2_STREAM_STATE_SEND_BODY_IS_FINAL,
    H2O_HTTP2_STREAM_STATE_END_STREAM
} h2o_http2_stream_state_t;

/* NULL: a socket without budgets (budget.c). */
guard_connection_t *guard_connection_of(const h2o_socket_t *socket);

/* The stream of this connection ends before its response is finished: costs its budget one (budget.c). */
void guard_count_reset(struct st_h2o_http2_conn_t *conn);

/* Its next frame ends the connection. */
bool guard_is_calmed(const struct st_h2o_http2_conn_t *conn);

/* The connection may send one SETTINGS frame more. */
bool guard_takes_settings(const struct st_h2o_http2_conn_t *conn);

/* True when the request, which is about to be processed, will be so later (http2_hooks.c). */
bool guard_defer_request(h2o_req_t *req);

/* Has the request answered so when its turn comes. */
void guard_answer_with(h2o_req_t *req, guard_verdict_t verdict);

typedef struct st_h2o_http2_stream_t {
    uint32_t stream_id;
    h2o_ostream_t final_ostream;
    h2o_http2_stream_state_t state;
    h2o_http2_window_t output_window;
    h2o_http2_window_t input_window;
    h2o_http2_priority_t received_priority;
    h2o_buffer_t *request_body;     /* NULL when END_STREAM came with the fields */
    size_t expected_content_length; /* SIZE_MAX when unknown */
    H2O_VECTOR(h2o_iovec_t) data;
    h2o_ostream_pull_cb pull;
    void *open_streams_slot;
    h2o_cache_digests_t *cache_digests;
    uint64_t push_or_pull;
    struct {
        h2o_linklist_t link;
        h2o_http2_scheduler_openref_t scheduler;
    } refs;
    h2o_send_state_t send_state;
    h2o_req_t req;
} h2o_http2_stream_t;

static_assert(offsetof(h2o_http2_stream_t, state) == 40, "libh2o 2.2.5");
static_assert(offsetof(h2o_http2_stream_t, output_window) == 48, "libh2o 2.2.5");
static_assert(offsetof(h2o_http2_stream_t, request_body) == 80, "libh2o 2.2.5");
static_assert(offsetof(h2o_http2_stream_t, expected_content_length) == 88, "libh2o 2.2.5");
static_assert(offsetof(h2o_http2_stream_t, refs.link) == 152, "libh2o 2.2.5");
static_assert(offsetof(h2o_http2_stream_t, send_state) == 264, "libh2o 2.2.5");
static_assert(offsetof(h2o_http2_stream_t, req) == 272, "libh2o 2.2.5");
static_assert(sizeof(h2o_http2_stream_t) == 880, "libh2o 2.2.5");

typedef struct {
    uint32_t open, half_closed, send_body;
} h2o_http2_stream_counts_t;

typedef struct {
    h2o_iovec_t *name, *value; /* shared memory, but for names that are tokens */
    const char *error;         /* the decoder's */
} h2o_hpack_header_table_entry_t;

/* In `counts`: streams that only order others, the client's, and those that the server would push. */
enum { OF_PRIORITY, OF_CLIENT, OF_PUSH };

/* A ring of entries, the newest first. The last member is the decoder's bound; the encoder's table has no use
 * for it in the library, and keeps there what it has to say to the client. */
typedef struct {
    h2o_hpack_header_table_entry_t *entries;
    size_t count, entry_capacity, newest;
    size_t bytes, capacity; /* as section 4.1 of RFC 7541 counts */
    struct {
        uint32_t smallest;
        bool size_to_say;
    };
} h2o_hpack_header_table_t;

static_assert(sizeof(h2o_hpack_header_table_t) == 7 * sizeof(size_t), "libh2o 2.2.5");

/* Never created or copied here: only the front of it is declared. */
typedef struct st_h2o_http2_conn_t {
    h2o_conn_t super;
    h2o_socket_t *sock;
    h2o_http2_settings_t peer_settings;
    void *streams; /* the khash */
    uint32_t highest_stream_ids[3];
    h2o_http2_stream_counts_t counts[3];
    h2o_http2_scheduler_node_t scheduler;
    int state;
    h2o_linklist_t conns;
    guard_reader_t *read_expect;
    h2o_buffer_t *http1_request_input;
    h2o_hpack_header_table_t input_header_table;
    h2o_http2_window_t input_window;
    h2o_hpack_header_table_t output_header_table;
    h2o_linklist_t pending_requests;
    h2o_timeout_entry_t timeout_entry;
    h2o_buffer_t *headers_unparsed;
    struct {
        h2o_buffer_t *buffer, *in_flight;
        h2o_linklist_t streams_to_proceed; /* linked by refs.link */
    } write;
} h2o_http2_conn_t;

static_assert(offsetof(h2o_http2_conn_t, sock) == 48, "libh2o 2.2.5");
static_assert(offsetof(h2o_http2_conn_t, peer_settings) == 56, "libh2o 2.2.5");
static_assert(offsetof(h2o_http2_conn_t, state) == 168, "libh2o 2.2.5");
static_assert(offsetof(h2o_http2_conn_t, read_expect) == 192, "libh2o 2.2.5");
static_assert(offsetof(h2o_http2_conn_t, write.streams_to_proceed) == 400, "libh2o 2.2.5");
static_assert(offsetof(h2o_http2_settings_t, initial_window_size) == 12, "libh2o 2.2.5");

/* Behind a socket's `ssl` (socket.c:58, without picotls): only the front of it is declared. */
typedef struct st_h2o_socket_ssl_t {
    struct ssl_ctx_st *ssl_ctx;
    struct ssl_st *ossl;
    int *did_write_in_read;
    size_t record_overhead;
    h2o_socket_cb handshake_cb;
    void *handshake[5];
    h2o_buffer_t *encrypted;
    H2O_VECTOR(h2o_iovec_t) output; /* encrypted, in memory that goes when the write completes */
} h2o_socket_ssl_t;

static_assert(offsetof(h2o_socket_ssl_t, record_overhead) == 24, "libh2o 2.2.5");
static_assert(offsetof(h2o_socket_ssl_t, output) == 88, "libh2o 2.2.5");

enum {
    H2O_HTTP2_FRAME_HEADER_SIZE = 9,
    H2O_HTTP2_FRAME_TYPE_DATA = 0,
    H2O_HTTP2_FRAME_TYPE_HEADERS = 1,
    H2O_HTTP2_FRAME_TYPE_PING = 6,
    H2O_HTTP2_FRAME_TYPE_CONTINUATION = 9, /* the last the library knows */
    H2O_HTTP2_FRAME_FLAG_ACK = 1,
    H2O_HTTP2_FRAME_FLAG_END_STREAM = 1,
    H2O_HTTP2_FRAME_FLAG_END_HEADERS = 4
};

typedef struct {
    uint32_t length;
    uint8_t type;
    uint8_t flags;
    uint32_t stream_id;
    const uint8_t *payload;
} h2o_http2_frame_t;

static_assert(sizeof(h2o_http2_frame_t) == 24, "libh2o 2.2.5");

enum {
    H2O_HPACK_PARSE_HEADERS_METHOD_EXISTS = 1,
    H2O_HPACK_PARSE_HEADERS_SCHEME_EXISTS = 2,
    H2O_HPACK_PARSE_HEADERS_PATH_EXISTS = 4,
    H2O_HPACK_PARSE_HEADERS_AUTHORITY_EXISTS = 8
};

/* Ours in the executable, replacing the library's of the same name. struct phr_header is a name and a value,
 * each a pointer and a length: an http_field_t. */
static_assert(sizeof(http_field_t) == 4 * sizeof(size_t), "struct phr_header");
static_assert(offsetof(http_field_t, value) == 2 * sizeof(size_t), "struct phr_header");

int phr_parse_request(const char *buffer, size_t length, const char **method, size_t *method_length,
                      const char **target, size_t *target_length, int *minor_version, http_field_t *fields,
                      size_t *field_count, size_t last_length);
int h2o_hpack_parse_headers(h2o_req_t *req, void *table, const uint8_t *block, size_t length,
                            int *pseudo_fields, size_t *content_length, h2o_cache_digests_t **digests,
                            const char **error);
int h2o_http2_update_peer_settings(h2o_http2_settings_t *settings, const uint8_t *payload, size_t length,
                                   const char **error);
ssize_t h2o_http2_decode_frame(h2o_http2_frame_t *frame, const uint8_t *source, size_t length,
                               const h2o_http2_settings_t *host_settings, const char **error);
void h2o_hpack_flatten_response(h2o_buffer_t **buffer, h2o_hpack_header_table_t *table, uint32_t stream_id,
                                size_t max_frame_size, h2o_res_t *res, h2o_timestamp_t *timestamp,
                                const h2o_iovec_t *server_name, size_t content_length);
void h2o_http2_stream_reset(h2o_http2_conn_t *conn, h2o_http2_stream_t *stream);
void h2o_http2_stream_send_pending_data(h2o_http2_conn_t *conn, h2o_http2_stream_t *stream);

void h2o_http2_conn_unregister_stream(h2o_http2_conn_t *conn, h2o_http2_stream_t *stream);

/* The library's, as they are. */
size_t h2o_hpack_encode_string(uint8_t *out, const char *bytes, size_t length);
void h2o_http2_conn_request_write(h2o_http2_conn_t *conn);
void h2o_http2_encode_frame_header(uint8_t *out, size_t length, uint8_t type, uint8_t flags,
                                   int32_t stream_id);

/* What was replaced. Filled before main; NULL when the library has no such function. */
typedef struct {
    __typeof__(&phr_parse_request) parse_request;
    __typeof__(&h2o_process_request) process_request;
    __typeof__(&h2o_hpack_parse_headers) parse_headers;
    __typeof__(&h2o_hpack_flatten_response) flatten_response; /* never called */
    __typeof__(&h2o_http2_accept) http2_accept;
    __typeof__(&h2o_http2_update_peer_settings) update_peer_settings;
    __typeof__(&h2o_http2_decode_frame) decode_frame;
    __typeof__(&h2o_http2_stream_reset) stream_reset;
    __typeof__(&h2o_http2_stream_send_pending_data) send_pending_data;
    __typeof__(&h2o_http2_conn_unregister_stream) unregister_stream;
    __typeof__(&h2o_socket_write) socket_write;
} libh2o_t;

extern libh2o_t libh2o;

/* GUARD_PASS(member, arguments): the first line of every hook, which calls the library's own function instead
 * when a test wants to see what that does. Only in builds made for such tests; else nothing. */
#ifdef SELVEDGE_TEST_HOOKS
bool guard_hook_is_off(const void *original);
#define GUARD_PASS(member, ...)                                                                              \
    do {                                                                                                     \
        if (guard_hook_is_off(&libh2o.member))                                                               \
            return libh2o.member(__VA_ARGS__);                                                               \
    } while (0)
#else
#define GUARD_PASS(member, ...) ((void)0)
#endif

#endif
