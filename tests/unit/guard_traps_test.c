/* What ends libh2o 2.2.5, or holds its loop, over HTTP/2. After each, a plain request on a new connection
 * must still be answered. */
#include "tests/unit/guard_server.h"

#include "edge/guard/syntax.h"

/* Frames. */

enum {
    DATA,
    HEADERS,
    PRIORITY,
    RST_STREAM,
    SETTINGS,
    PUSH_PROMISE,
    PING,
    GOAWAY,
    WINDOW_UPDATE,
    CONTINUATION
};
enum { END_STREAM = 1, END_HEADERS = 4 };

static void send_frame(client_t *client, unsigned type, unsigned flags, uint32_t stream, const void *payload,
                       size_t length)
{
    uint8_t frame[9 + 65536];
    assert_true(length <= 65536);
    const uint8_t header[9] = {(uint8_t)(length >> 16), (uint8_t)(length >> 8), (uint8_t)length,
                               (uint8_t)type,           (uint8_t)flags,         (uint8_t)(stream >> 24),
                               (uint8_t)(stream >> 16), (uint8_t)(stream >> 8), (uint8_t)stream};
    memcpy(frame, header, sizeof(header));
    if (length != 0)
        memcpy(frame + 9, payload, length);
    client_send(client, frame, 9 + length);
}

static void send_settings_window(client_t *client, uint32_t window)
{
    const uint8_t payload[6] = {
        0, 4, (uint8_t)(window >> 24), (uint8_t)(window >> 16), (uint8_t)(window >> 8), (uint8_t)window};
    send_frame(client, SETTINGS, 0, 0, payload, sizeof(payload));
}

static void send_u32(client_t *client, unsigned type, uint32_t stream, uint32_t value)
{
    const uint8_t payload[4] = {(uint8_t)(value >> 24), (uint8_t)(value >> 16), (uint8_t)(value >> 8),
                                (uint8_t)value};
    send_frame(client, type, 0, stream, payload, sizeof(payload));
}

/* A header block made of literals without indexing. */
typedef struct {
    uint8_t bytes[160000];
    size_t length;
} block_t;

static void block_add_bytes(block_t *block, const char *text, size_t length)
{
    assert_true(length < 127 + 16384 && block->length + length + 4 < sizeof(block->bytes));
    if (length < 127) {
        block->bytes[block->length++] = (uint8_t)length;
    } else {
        size_t rest = length - 127;
        block->bytes[block->length++] = 127;
        for (; rest >= 128; rest >>= 7)
            block->bytes[block->length++] = (uint8_t)(rest | 128);
        block->bytes[block->length++] = (uint8_t)rest;
    }
    memcpy(block->bytes + block->length, text, length);
    block->length += length;
}

static void block_add(block_t *block, const char *name, text_t value)
{
    block->bytes[block->length++] = 0;
    block_add_bytes(block, name, strlen(name));
    block_add_bytes(block, value.data, value.length);
}

static void block_request(block_t *block, const char *method, const char *path)
{
    block->length = 0;
    block_add(block, ":method", text_of(method));
    block_add(block, ":scheme", TEXT("https"));
    block_add(block, ":path", text_of(path));
    block_add(block, ":authority", TEXT("a.example"));
}

static void send_block(client_t *client, uint32_t stream, unsigned flags, const block_t *block)
{
    send_frame(client, HEADERS, flags, stream, block->bytes, block->length);
}

static void get(client_t *client, uint32_t stream, const char *path)
{
    block_t block;
    block_request(&block, "GET", path);
    send_block(client, stream, END_STREAM | END_HEADERS, &block);
}

static client_t *client_http2(uint32_t window)
{
    static const char preface[] = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
    client_t *client = client_new();
    client_send(client, preface, sizeof(preface) - 1);
    send_settings_window(client, window);
    return client;
}

/* The first frame of this type on this stream (stream 0 stands for itself); NULL when there is none. */
static const uint8_t *find_frame(const client_t *client, unsigned type, uint32_t stream)
{
    for (size_t at = 0; at + 9 <= client->length;) {
        const uint8_t *frame = client->input + at;
        size_t length = (size_t)frame[0] << 16 | (size_t)frame[1] << 8 | frame[2];
        uint32_t id =
            (uint32_t)frame[5] << 24 | (uint32_t)frame[6] << 16 | (uint32_t)frame[7] << 8 | frame[8];
        if (at + 9 + length > client->length)
            return NULL;
        if (frame[3] == type && id == stream)
            return frame;
        at += 9 + length;
    }
    return NULL;
}

static size_t body_bytes(const client_t *client, uint32_t stream, bool *ended)
{
    size_t bytes = 0;
    *ended = false;
    for (size_t at = 0; at + 9 <= client->length;) {
        const uint8_t *frame = client->input + at;
        size_t length = (size_t)frame[0] << 16 | (size_t)frame[1] << 8 | frame[2];
        if (frame[3] == DATA && frame[8] == stream) {
            bytes += length;
            *ended = (frame[4] & END_STREAM) != 0;
        }
        at += 9 + length;
    }
    return bytes;
}

static bool has_whole_body(const client_t *client, uint32_t stream, size_t length)
{
    bool ended;
    return body_bytes(client, stream, &ended) == length && ended;
}

/* The error code of the RST_STREAM or GOAWAY that must be there. */
static uint32_t error_code(const client_t *client, unsigned type, uint32_t stream)
{
    const uint8_t *frame = find_frame(client, type, stream);
    assert_non_null(frame);
    const uint8_t *code = frame + 9 + (type == GOAWAY ? 4 : 0);
    return (uint32_t)code[0] << 24 | (uint32_t)code[1] << 16 | (uint32_t)code[2] << 8 | code[3];
}

/* The process lives, and serves. */
static void serves(void)
{
    client_t *client = client_http2(65535);
    get(client, 1, "/small");
    client_drain(client);
    assert_true(has_whole_body(client, 1, 2));
    assert_false(client->closed);
    client_free(client);
}

/* A response whose last byte takes the last of the stream's window, made into frames and not yet read by
 * anyone. */
static client_t *client_with_bytes_in_flight(uint32_t window, const char *path)
{
    client_t *client = client_http2(window);
    get(client, 1, path);
    assert_int_equal(client->length, 0);
    return client;
}

static client_t *client_with_end_in_flight(uint32_t window)
{
    return client_with_bytes_in_flight(window, "/");
}

static void survived(client_t *client)
{
    client_drain(client);
    assert_true(has_whole_body(client, 1, BODY_BYTES));
    assert_false(client->closed);
    assert_null(find_frame(client, GOAWAY, 0));
    get(client, 3, "/small"); /* and the connection goes on */
    client_drain(client);
    assert_true(has_whole_body(client, 3, 2));
    client_free(client);
    serves();
}

static void window_update_after_end(void **state)
{
    (void)state;
    uint64_t before = stopped("window_after_end");
    client_t *client = client_with_end_in_flight(BODY_BYTES);
    send_u32(client, WINDOW_UPDATE, 1, 1000);
    send_u32(client, WINDOW_UPDATE, 1, INT32_MAX - 1001); /* up to what RFC 9113 section 6.9.1 allows */
    client_drain(client);
    assert_null(find_frame(client, RST_STREAM, 1));
    survived(client);
    assert_int_equal(stopped("window_after_end"), before + 1);
}

static void settings_after_end(void **state)
{
    (void)state;
    uint64_t before = stopped("window_after_end");
    client_t *client = client_with_end_in_flight(BODY_BYTES);
    send_settings_window(client, BODY_BYTES + 1000);
    send_settings_window(client, 0);
    send_settings_window(client, INT32_MAX);
    send_settings_window(client, 0);
    send_settings_window(client, BODY_BYTES);
    survived(client);
    assert_true(stopped("window_after_end") > before);
}

/* 64 requests run at once, and others wait. The client takes a little at a time, so that a write stays in
 * flight in which all the 64 end, and says something meanwhile. */
static void requests_wait_for_those_that_end(void **state)
{
    (void)state;
    enum { LAST = 2 * 90 + 1, PINGS = 900 };
    client_t *client = client_http2(65535);
    get(client, 1, "/");
    for (uint32_t stream = 3; stream <= LAST; stream += 2)
        get(client, stream, "/small");
    for (unsigned i = 0; i < PINGS; i++)
        send_frame(client, PING, 0, 0, "narrower", 8);
    for (unsigned i = 0; i < 100; i++) {
        client_read(client);
        send_frame(client, PING, 0, 0, "whatever", 8);
    }
    client_drain(client);
    for (uint32_t stream = 3; stream <= LAST; stream += 2)
        assert_true(has_whole_body(client, stream, 2));
    client_free(client);
    serves();
}

/* A window that is still open at the end, however far, can be taken away and given back. */
static void settings_down_and_up_after_end(void **state)
{
    (void)state;
    static const uint32_t windows[] = {BODY_BYTES + 1, BODY_BYTES + 2, 1 << 30, (1u << 30) + BODY_BYTES,
                                       INT32_MAX};
    for (size_t i = 0; i != sizeof(windows) / sizeof(windows[0]); ++i) {
        client_t *client = client_with_end_in_flight(windows[i]);
        send_settings_window(client, 0);
        send_u32(client, WINDOW_UPDATE, 1, 70000);
        send_settings_window(client, 1);
        send_settings_window(client, windows[i]);
        send_settings_window(client, 65535);
        survived(client);
    }
}

/* The same by way of a stream that the client resets while its bytes wait: it ends there and then. */
static void settings_after_reset(void **state)
{
    (void)state;
    static const char *const paths[] = {"/", "/parts"};
    for (size_t i = 0; i != 2; ++i) {
        client_t *client = client_with_bytes_in_flight(BODY_BYTES, paths[i]);
        send_u32(client, RST_STREAM, 1, 8);
        send_u32(client, WINDOW_UPDATE, 1, 1000);
        send_settings_window(client, INT32_MAX);
        client_drain(client);
        assert_false(client->closed);
        client_free(client);
        serves();
    }
}

/* Bytes in flight, and the end still to come: the window grows and the response goes on. */
static void parts(void **state)
{
    (void)state;
    client_t *client = client_with_bytes_in_flight(BODY_BYTES, "/parts");
    send_u32(client, WINDOW_UPDATE, 1, 1000);
    survived(client);
}

/* What is normal must not be taken for an attack: updates while the end is in flight, with the window open.
 */
static void plain_updates_are_not_counted(void **state)
{
    (void)state;
    uint64_t before = stopped("window_after_end");
    client_t *client = client_with_end_in_flight(1 << 20);
    send_u32(client, WINDOW_UPDATE, 1, 30000);
    client_drain(client);
    assert_null(find_frame(client, RST_STREAM, 1));
    survived(client);
    survived(client_with_end_in_flight(BODY_BYTES)); /* the window just fits, and nobody touches it */
    assert_int_equal(stopped("window_after_end"), before);
}

static void unknown_frames(void **state)
{
    (void)state;
    int kept = dup(STDERR_FILENO), file = open("/tmp", O_TMPFILE | O_RDWR, 0600);
    assert_true(kept >= 0 && file >= 0);
    uint64_t before = stopped("unknown_frame");
    client_t *client = client_http2(65535);
    fflush(stderr);
    dup2(file, STDERR_FILENO);
    for (unsigned type = CONTINUATION + 1; type != 256; ++type)
        send_frame(client, type, 0xff, type % 3, "priority update", type % 16);
    get(client, 1, "/small");
    client_drain(client);
    fflush(stderr);
    dup2(kept, STDERR_FILENO);
    close(kept);
    assert_int_equal(lseek(file, 0, SEEK_END), 0); /* nothing was printed */
    close(file);
    assert_true(has_whole_body(client, 1, 2));
    assert_null(find_frame(client, GOAWAY, 0));
    assert_int_equal(stopped("unknown_frame"), before + 256 - CONTINUATION - 1);
    client_free(client);
    serves();
}

/* RFC 9113 section 6.10: between HEADERS and CONTINUATION there is nothing else, unknown or not. */
static void unknown_frame_in_a_block(void **state)
{
    (void)state;
    client_t *client = client_http2(65535);
    block_t block;
    block_request(&block, "GET", "/small");
    send_block(client, 1, END_STREAM, &block);
    send_frame(client, 0xfe, 0, 1, "x", 1);
    client_drain(client);
    assert_true(client->closed);
    assert_int_equal(error_code(client, GOAWAY, 0), 1);
    client_free(client);
    serves();
}

/* After the second GOAWAY of a graceful stop. A context cannot be started again, so this one is run last. */
static void continuation_after_goaway(void **state)
{
    (void)state;
    client_t *client = client_http2(65535);
    block_t block;
    get(client, 1, "/hang");
    block_request(&block, "GET", "/small");
    send_block(client, 3, END_STREAM, &block);
    client_drain(client);
    h2o_context_request_shutdown(&context);
    client_drain(client);
    size_t after_first = client->length;
    alarm(20);
    while (client->length == after_first &&
           !client->closed) { /* the second GOAWAY comes with the library's timer */
        h2o_evloop_run(context.loop, 1000);
        client_read(client);
    }
    send_frame(client, CONTINUATION, END_HEADERS, 3, "", 0);
    client_drain(client);
    alarm(0);
    assert_true(client->closed);
    client_free(client);
}

/* HTTP/2 requests that must not reach the handler, each on a connection of its own. */

static void reset_stream_or_goaway(const char *what, const block_t *block, bool whole_connection)
{
    unsigned calls = seen.calls;
    client_t *client = client_http2(65535);
    send_block(client, 1, END_STREAM | END_HEADERS, block);
    client_drain(client);
    if (seen.calls != calls || client->closed != whole_connection)
        fail_msg("%s: %s", what, seen.calls != calls ? seen.line : "the wrong end");
    assert_int_equal(whole_connection ? error_code(client, GOAWAY, 0) : error_code(client, RST_STREAM, 1), 1);
    if (!whole_connection) {
        get(client, 3, "/small"); /* only the stream ended, and the header tables still agree */
        client_drain(client);
        assert_true(has_whole_body(client, 3, 2));
    }
    client_free(client);
}

static void malformed_pseudo_fields(void **state)
{
    (void)state;
    static const char *const lines[][2] = {{"GET", ""},        {"GET", "x"},         {"GET", "/a b"},
                                           {"GET", "*"},       {"GET", "/\x01"},     {"G T", "/"},
                                           {"", "/"},          {"GET", "http://b/"}, {"GET", "/\r\nX:"},
                                           {"GET\r\nX:", "/"}, {"CONNECT", "/"}};
    block_t block;
    uint64_t before = stopped("bad_request");
    for (size_t i = 0; i != sizeof(lines) / sizeof(lines[0]); ++i) {
        block_request(&block, lines[i][0], lines[i][1]);
        reset_stream_or_goaway(lines[i][1], &block, false);
    }
    static const text_t authorities[] = {TEXT(""),    TEXT("a b"),     TEXT("me@a"),
                                         TEXT("a/b"), TEXT("a:99999"), TEXT("a\tb")};
    for (size_t i = 0; i != sizeof(authorities) / sizeof(authorities[0]); ++i) {
        block.length = 0;
        block_add(&block, ":method", TEXT("GET"));
        block_add(&block, ":scheme", TEXT("https"));
        block_add(&block, ":path", TEXT("/"));
        block_add(&block, ":authority", authorities[i]);
        reset_stream_or_goaway("an authority", &block, false);
    }
    for (int missing = 0; missing != 4; ++missing) {
        static const char *const names[] = {":method", ":scheme", ":path", ":authority"};
        static const text_t values[] = {TEXT("GET"), TEXT("https"), TEXT("/"), TEXT("a.example")};
        block.length = 0;
        for (int i = 0; i != 4; ++i)
            if (i != missing)
                block_add(&block, names[i], values[i]);
        reset_stream_or_goaway(names[missing], &block, false);
    }
    assert_int_equal(stopped("bad_request"), before + 11 + 6 + 4);
}

static void malformed_fields(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        text_t value;
        bool whole_connection;
    } cases[] = {
        {"x", TEXT("a\r\nb: c"), false},
        {"x", TEXT("a\0b"), false},
        {"x", TEXT(" a"), false},
        {"x", TEXT("a "), false},
        {"a b", TEXT("c"), false},
        {"keep-alive", TEXT("5"), false},
        {"content-length", TEXT("5"), false},
        {"proxy-connection", TEXT("x"), false},
        {"X", TEXT("a"), true},
        {"", TEXT("a"), true},
        {":path", TEXT("/b"), true},
        {":status", TEXT("200"), true},
        {"connection", TEXT("x"), true},
        {"upgrade", TEXT("h2c"), true},
        {"te", TEXT("gzip"), true},
        {"transfer-encoding", TEXT("chunked"), true},
        {"content-length", TEXT("x"), true},
    };
    block_t block;
    for (size_t i = 0; i != sizeof(cases) / sizeof(cases[0]); ++i) {
        block_request(&block, "GET", "/");
        block_add(&block, cases[i].name, cases[i].value);
        reset_stream_or_goaway(cases[i].name, &block, cases[i].whole_connection);
    }
    serves();
}

/* RFC 9113 section 8.3.1, RFC 7540 section 8.1.2.3: a translator from HTTP/1 may send Host in place of
 * :authority. */
static void host_in_place_of_authority(void **state)
{
    (void)state;
    static const struct {
        const char *authority, *hosts[2], *seen; /* seen: NULL when it is malformed */
    } cases[] = {
        {NULL, {"b.example:8"}, "GET /small b.example:8 x "},
        {"a.example", {"b.example"}, "GET /small a.example x "},
        {NULL, {"b.example", "c.example"}, NULL},
        {"a.example", {"a.example", "a.example"}, NULL},
        {NULL, {"b/c"}, NULL},
        {NULL, {""}, NULL},
    };
    for (size_t i = 0; i != sizeof(cases) / sizeof(cases[0]); ++i) {
        block_t block = {.length = 0};
        block_add(&block, ":method", TEXT("GET"));
        block_add(&block, ":scheme", TEXT("https"));
        block_add(&block, ":path", TEXT("/small"));
        if (cases[i].authority != NULL)
            block_add(&block, ":authority", text_of(cases[i].authority));
        for (size_t host = 0; host != 2 && cases[i].hosts[host] != NULL; ++host)
            block_add(&block, "host", text_of(cases[i].hosts[host]));
        block_add(&block, "x", TEXT("y"));
        if (cases[i].seen == NULL) {
            reset_stream_or_goaway("hosts", &block, false);
            continue;
        }
        client_t *client = client_http2(65535);
        send_block(client, 1, END_STREAM | END_HEADERS, &block);
        client_drain(client);
        assert_true(has_whole_body(client, 1, 2));
        assert_string_equal(seen.line, cases[i].seen);
        client_free(client);
    }
}

/* The library's encoder: Huffman where that is shorter. */
size_t h2o_hpack_encode_string(uint8_t *out, const char *text, size_t length);

static void block_add_encoded(block_t *block, text_t text, bool huffman)
{
    if (!huffman) {
        block_add_bytes(block, text.data, text.length);
        return;
    }
    uint8_t *start = block->bytes + block->length;
    block->length += h2o_hpack_encode_string(start, text.data, text.length);
    assert_true((*start & 0x80) != 0);
}

static bool is_let_in(text_t name, text_t value, bool huffman)
{
    unsigned calls = seen.calls;
    client_t *client = client_http2(65535);
    block_t block;
    block_request(&block, "GET", "/small");
    block.bytes[block.length++] = 0;
    block_add_encoded(&block, name, huffman);
    block_add_encoded(&block, value, huffman);
    send_block(client, 1, END_STREAM | END_HEADERS, &block);
    client_drain(client);
    bool let_in = seen.calls != calls;
    assert_int_equal(let_in, has_whole_body(client, 1, 2));
    client_free(client);
    return let_in;
}

/* Each byte in a name and in a value, plain and Huffman-coded: the library's decoder is trusted to see the
 * bad ones. */
static void bytes_of_fields(void **state)
{
    (void)state;
    const text_t plain = TEXT("aeioaeioaeioaeio");
    for (unsigned byte = 0; byte != 512; ++byte) {
        char with[] = "aeioaeio?aeioaeio";
        with[8] = (char)byte;
        const text_t text = {with, sizeof(with) - 1};
        bool huffman = byte >= 256,
             control = ((byte & 255) < 0x20 && (byte & 255) != '\t') || (byte & 255) == 0x7f;
        assert_int_equal(is_let_in(plain, text, huffman), !control);
        assert_int_equal(is_let_in(text, plain, huffman), syntax_is_lower_token(text));
    }
}

static void send_fields(client_t *client, uint32_t stream, int fields)
{
    block_t block;
    block_request(&block, "GET", "/small");
    for (int i = 0; i != fields; ++i)
        block_add(&block, "a", TEXT("b"));
    send_block(client, stream, END_STREAM | END_HEADERS, &block);
    client_drain(client);
}

/* One too many is answered; with many too many the connection ends before they are decoded. */
static void too_many_fields(void **state)
{
    (void)state;
    uint64_t before = stopped("too_many_fields");
    client_t *client = client_http2(65535);
    send_fields(client, 1, GUARD_FIELDS_MAX);
    assert_true(has_whole_body(client, 1, 2));
    send_fields(client, 3, GUARD_FIELDS_MAX + 1);
    assert_false(client->closed);
    assert_int_equal(stopped("too_many_fields"), before + 1);
    send_fields(client, 5, GUARD_FIELDS_READ_MAX + 1);
    assert_true(client->closed);
    assert_int_equal(error_code(client, GOAWAY, 0), 11); /* ENHANCE_YOUR_CALM */
    assert_int_equal(stopped("too_many_fields"), before + 2);
    client_free(client);
    serves();
}

/* HPACK's bomb: a field of 4,000 bytes put into the table once, then named a thousand times in a thousand
 * bytes. */
static void hpack_bomb(void **state)
{
    (void)state;
    static char large[4000];
    memset(large, 'a', sizeof(large));
    block_t block;
    block_request(&block, "GET", "/small");
    block.bytes[block.length++] = 0x40;
    block_add_bytes(&block, "x", 1);
    block_add_bytes(&block, large, sizeof(large));
    client_t *client = client_http2(65535);
    send_block(client, 1, END_STREAM | END_HEADERS, &block);
    client_drain(client);
    assert_true(has_whole_body(client, 1, 2));
    unsigned calls = seen.calls;
    block_request(&block, "GET", "/small");
    memset(block.bytes + block.length, 0x80 | 62,
           9); /* 36 KB of fields: decoded by reference, refused by size */
    block.length += 9;
    uint64_t before = stopped("header_too_large");
    send_block(client, 3, END_STREAM | END_HEADERS, &block);
    client_drain(client);
    assert_non_null(find_frame(client, HEADERS, 3));
    assert_int_equal(stopped("header_too_large"), before + 1);
    assert_false(client->closed);
    memset(block.bytes + block.length, 0x80 | 62, 1000);
    block.length += 1000;
    send_block(client, 5, END_STREAM | END_HEADERS, &block);
    client_drain(client);
    assert_true(client->closed);
    assert_int_equal(seen.calls, calls);
    client_free(client);
    serves();
}

static void large_block(void **state)
{
    (void)state;
    static char filler[16000];
    memset(filler, 'a', sizeof(filler));
    block_t block;
    block_request(&block, "GET", "/small");
    for (int i = 0; i != 9; ++i)
        block_add(&block, "x", (text_t){filler, sizeof(filler)});
    client_t *client = client_http2(65535);
    enum { FRAME = 16384 };
    send_frame(client, HEADERS, END_STREAM, 1, block.bytes, FRAME);
    size_t at = FRAME;
    for (; block.length - at > FRAME; at += FRAME)
        send_frame(client, CONTINUATION, 0, 1, block.bytes + at, FRAME);
    send_frame(client, CONTINUATION, END_HEADERS, 1, block.bytes + at, block.length - at);
    client_drain(client);
    assert_true(client->closed);
    assert_int_equal(error_code(client, GOAWAY, 0), 11);
    client_free(client);
    serves();
}

static void trailers_are_dropped(void **state)
{
    (void)state;
    block_t block;
    client_t *client = client_http2(65535);
    block_request(&block, "POST", "/small");
    block_add(&block, "x-first", TEXT("a"));
    send_block(client, 1, END_HEADERS, &block);
    send_frame(client, DATA, 0, 1, "body", 4);
    block.length = 0;
    block_add(&block, "x-trailer", TEXT("b"));
    block_add(&block, "authorization", TEXT("c"));
    send_block(client, 1, END_STREAM | END_HEADERS, &block);
    client_drain(client);
    assert_true(has_whole_body(client, 1, 2));
    assert_string_equal(seen.line, "POST /small a.example x-first ");
    assert_int_equal(seen.entity, 4);
    client_free(client);
}

static void body_shorter_than_its_length(void **state)
{
    (void)state;
    unsigned calls = seen.calls;
    block_t block;
    client_t *client = client_http2(65535);
    block_request(&block, "POST", "/small");
    block_add(&block, "content-length", TEXT("5"));
    send_block(client, 1, END_HEADERS, &block);
    send_frame(client, DATA, END_STREAM, 1, "body", 4);
    client_drain(client);
    assert_int_equal(error_code(client, RST_STREAM, 1), 1);
    assert_int_equal(seen.calls, calls);
    client_free(client);
}

/* CONNECT's stream stays open, and its answer does not wait for its end. */
static void connect_is_answered(void **state)
{
    (void)state;
    block_t block = {.length = 0};
    block_add(&block, ":method", TEXT("CONNECT"));
    block_add(&block, ":authority", TEXT("a.example:443"));
    client_t *client = client_http2(65535);
    send_block(client, 1, END_HEADERS, &block);
    client_drain(client);
    assert_string_equal(seen.line, "CONNECT / a.example:443 ");
    assert_non_null(find_frame(client, HEADERS, 1));
    send_frame(client, DATA, 0, 1, "tunnelled", 9);
    get(client, 3, "/small");
    client_drain(client);
    assert_true(has_whole_body(client, 3, 2));
    client_free(client);
}

/* RFC 9110 section 10.1.1: who waits for 100 before the body gets it, within the table that the client
 * allows; who does not wait, or has no body, does not. */
static void a_client_that_waits_to_go_on_is_told(void **state)
{
    (void)state;
    static const struct {
        const char *expect;
        bool ends, told;
    } cases[] = {{"100-continue", false, true},
                 {"100-Continue", false, true},
                 {"100-continue", true, false},
                 {"more", false, false}};
    for (size_t i = 0; i != sizeof(cases) / sizeof(cases[0]); ++i) {
        const uint8_t small_table[6] = {0, 1, 0, 0, 0, 0};
        client_t *client = client_http2(65535);
        send_frame(client, SETTINGS, 0, 0, small_table, sizeof(small_table));
        block_t block;
        block_request(&block, "POST", "/small");
        block_add(&block, "expect", text_of(cases[i].expect));
        send_block(client, 1, (cases[i].ends ? END_STREAM : 0) | END_HEADERS, &block);
        client_drain(client);
        const uint8_t *frame = find_frame(client, HEADERS, 1);
        assert_int_equal(frame != NULL && frame[2] == 6, cases[i].told);
        if (cases[i].told) /* the table's size, then :status with its value */
            assert_memory_equal(frame + 9,
                                "\x20\x08\x03"
                                "100",
                                6);
        if (!cases[i].ends)
            send_frame(client, DATA, END_STREAM, 1, "body", 4);
        client_drain(client);
        assert_true(has_whole_body(client, 1, 2));
        assert_int_equal(seen.entity, cases[i].ends ? 0 : 4);
        client_free(client);
    }
}

static void in_force(void **state)
{
    (void)state;
    const char *why = guard_in_force();
    if (why != NULL)
        fail_msg("%s", why);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(in_force),
        cmocka_unit_test(window_update_after_end),
        cmocka_unit_test(settings_after_end),
        cmocka_unit_test(requests_wait_for_those_that_end),
        cmocka_unit_test(settings_down_and_up_after_end),
        cmocka_unit_test(settings_after_reset),
        cmocka_unit_test(parts),
        cmocka_unit_test(plain_updates_are_not_counted),
        cmocka_unit_test(unknown_frames),
        cmocka_unit_test(unknown_frame_in_a_block),
        cmocka_unit_test(malformed_pseudo_fields),
        cmocka_unit_test(malformed_fields),
        cmocka_unit_test(host_in_place_of_authority),
        cmocka_unit_test(bytes_of_fields),
        cmocka_unit_test(too_many_fields),
        cmocka_unit_test(hpack_bomb),
        cmocka_unit_test(large_block),
        cmocka_unit_test(trailers_are_dropped),
        cmocka_unit_test(body_shorter_than_its_length),
        cmocka_unit_test(connect_is_answered),
        cmocka_unit_test(a_client_that_waits_to_go_on_is_told),
        cmocka_unit_test(continuation_after_goaway),
    };
    return cmocka_run_group_tests(tests, start, NULL);
}
