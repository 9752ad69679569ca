/* HTTP/1 from the wire to the handler: what is refused and how, and what is let through. */
#include "tests/unit/guard_server.h"

/* The status of the answer to these bytes; 0 for none. */
static int status_of(const char *bytes, size_t length, bool *closed)
{
    client_t *client = client_new();
    client_send(client, bytes, length);
    client_drain(client);
    int status = 0;
    if (client->length > 12)
        assert_int_equal(sscanf((const char *)client->input, "HTTP/1.1 %d ", &status), 1);
    *closed = client->closed;
    client_free(client);
    return status;
}

static void http1_refusals(void **state)
{
    (void)state;
    static const struct {
        int status;
        text_t bytes;
    } cases[] = {
        {400, TEXT("GET / HTTP/1.1\r\n\r\n")},
        {400, TEXT("GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n")},
        {400, TEXT("GET / HTTP/1.1\r\nHost: a b\r\n\r\n")},
        {400, TEXT("GET / HTTP/1.1\nHost: a\n\n")},
        {400, TEXT("GET / HTTP/1.1\r\nHost: a\n\r\n")},
        {400, TEXT("GET / HTTP/1.1\r\nHost: a\r\nX: y\r\n folded\r\n\r\n")},
        {400, TEXT("GET / HTTP/1.1\r\nHost: a\r\nX : y\r\n\r\n")},
        {400, TEXT("GET / HTTP/1.1\r\nHost: a\r\nX: y\rz\r\n\r\n")},
        {400, TEXT("GET / HTTP/1.1\r\nHost: a\r\nX: y\0z\r\n\r\n")},
        {400, TEXT("GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabcd")},
        {400, TEXT("GET / HTTP/1.1\r\nHost: a\r\nContent-Length: +3\r\n\r\nabc")},
        {400, TEXT("GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nTransfer-Encoding: "
                   "chunked\r\n\r\n0\r\n\r\n")},
        {501, TEXT("GET / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip\r\n\r\n")},
        {400, TEXT("GET / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n")},
        {505, TEXT("GET / HTTP/1.9\r\nHost: a\r\n\r\n")},
        {400, TEXT("GET / HTTP/2.0\r\nHost: a\r\n\r\n")},
        {400, TEXT("GET  / HTTP/1.1\r\nHost: a\r\n\r\n")},
        {400, TEXT("GET /a b HTTP/1.1\r\nHost: a\r\n\r\n")},
        {400, TEXT("GET a HTTP/1.1\r\nHost: a\r\n\r\n")},
        {400, TEXT("GE(T / HTTP/1.1\r\nHost: a\r\n\r\n")},
        {400, TEXT("\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03")},
    };
    for (size_t i = 0; i != sizeof(cases) / sizeof(cases[0]); ++i) {
        unsigned calls = seen.calls;
        uint64_t before = stopped("bad_framing") + stopped("bad_request");
        bool closed;
        int status = status_of(cases[i].bytes.data, cases[i].bytes.length, &closed);
        if (status != cases[i].status || !closed || seen.calls != calls)
            fail_msg("%s: %d", cases[i].bytes.data, status);
        assert_int_equal(stopped("bad_framing") + stopped("bad_request"), before + 1);
    }
}

static void http1_sizes(void **state)
{
    (void)state;
    static char head[200000];
    bool closed;
    static const struct {
        const char *before;
        size_t filler;
        const char *after;
        int status;
    } cases[] = {
        {"GET /small HTTP/1.1\r\nHost: a\r\nX: ", 30000, "\r\n\r\n", 200},
        {"GET /small HTTP/1.1\r\nHost: a\r\nX: ", 33000, "\r\n\r\n", 431},
        {"GET /small HTTP/1.1\r\nHost: a\r\nX: ", 120000, "\r\n\r\n", 431},
        {"GET /small HTTP/1.1\r\nHost: a\r\nX: ", 132000, "", 431},
        {"GET /small?", 15000, " HTTP/1.1\r\nHost: a\r\n\r\n", 200},
        {"GET /small?", 17000, " HTTP/1.1\r\nHost: a\r\n\r\n", 414},
        {"GET /small?", 33000, " HTTP/1.1\r\nHost: a\r\n\r\n", 414},
        {"GET /small?", 132000, "", 414},
    };
    for (size_t i = 0; i != sizeof(cases) / sizeof(cases[0]); ++i) {
        int length = snprintf(head, sizeof(head), "%s%*s%s", cases[i].before, (int)cases[i].filler, "",
                              cases[i].after);
        memset(head + strlen(cases[i].before), 'a', cases[i].filler);
        assert_int_equal(status_of(head, (size_t)length, &closed), cases[i].status);
        assert_int_equal(closed, cases[i].status != 200);
    }
    for (int fields = GUARD_FIELDS_MAX; fields <= 3 * GUARD_FIELDS_MAX; fields += GUARD_FIELDS_MAX) {
        size_t at = (size_t)sprintf(head, "GET /small HTTP/1.1\r\nHost: a\r\n");
        for (int i = 1; i != fields; ++i)
            at += (size_t)sprintf(head + at, "X: y\r\n");
        at += (size_t)sprintf(head + at, "\r\n");
        assert_int_equal(status_of(head, at, &closed), fields == GUARD_FIELDS_MAX ? 200 : 431);
    }
}

static void http1_saw(const char *bytes, const char *line)
{
    bool closed;
    assert_int_equal(status_of(bytes, strlen(bytes), &closed), 200);
    assert_string_equal(seen.line, line);
}

static void http1_what_the_handler_sees(void **state)
{
    (void)state;
    http1_saw("GET /small HTTP/1.1\r\nHost: a.example\r\nAccept: x\r\n\r\n", "GET /small a.example accept ");
    http1_saw("\r\nGET /small HTTP/1.1\r\nHost: a.example \t\r\n\r\n", "GET /small a.example ");
    http1_saw("POST /small HTTP/1.1\r\nHost: a\r\nContent-Length: 4 \r\n\r\nbody", "POST /small a ");
    assert_int_equal(seen.entity, 4);
    http1_saw("GET http://b.example:81/small HTTP/1.1\r\nHost: a.example\r\n\r\n",
              "GET /small b.example:81 ");
    http1_saw("GET http://b.example?q HTTP/1.1\r\nHost: a.example\r\n\r\n", "GET /?q b.example ");
    http1_saw("GET http://b.example HTTP/1.1\r\nHost: a.example\r\n\r\n", "GET / b.example ");
    http1_saw("OPTIONS * HTTP/1.1\r\nHost: a.example\r\n\r\n", "OPTIONS * a.example ");
    bool closed;
    static const char connect[] = "CONNECT b.example:443 HTTP/1.1\r\nHost: b.example:443\r\n\r\n";
    assert_int_equal(status_of(connect, sizeof(connect) - 1, &closed), 501);
    assert_string_equal(seen.line, "CONNECT / b.example:443 ");
}

/* Only the preface switches. */
static void http1_upgrade_is_ignored(void **state)
{
    (void)state;
    http1_saw("GET /small HTTP/1.1\r\nHost: a\r\nConnection: Upgrade, HTTP2-Settings, keep-alive\r\nUpgrade: "
              "h2c\r\n"
              "HTTP2-Settings: AAMAAABkAAQAAP__\r\n\r\n",
              "GET /small a connection ");
    http1_saw("GET /small HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nupgrade: websocket\r\n\r\n",
              "GET /small a connection ");
}

/* A refused head is answered once; the next connection of the thread is not. */
static void http1_byte_by_byte(void **state)
{
    (void)state;
    static const char good[] = "GET /small HTTP/1.1\r\nHost: a\r\n\r\n",
                      bad[] = "GET /small HTTP/1.1\r\nHost: \"\r\n\r\n";
    client_t *slow_bad = client_new(), *slow_good = client_new();
    for (size_t i = 0; i != sizeof(good) - 1; ++i) {
        client_send(slow_bad, bad + i, 1);
        client_send(slow_good, good + i, 1);
    }
    client_drain(slow_bad);
    client_drain(slow_good);
    assert_memory_equal(slow_bad->input, "HTTP/1.1 400 ", 13);
    assert_memory_equal(slow_good->input, "HTTP/1.1 200 ", 13);
    client_send(slow_good, good, sizeof(good) - 1);
    size_t first = slow_good->length;
    client_drain(slow_good);
    assert_memory_equal(slow_good->input + first, "HTTP/1.1 200 ", 13);
    client_free(slow_bad);
    client_free(slow_good);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(http1_refusals),
        cmocka_unit_test(http1_sizes),
        cmocka_unit_test(http1_what_the_handler_sees),
        cmocka_unit_test(http1_upgrade_is_ignored),
        cmocka_unit_test(http1_byte_by_byte),
    };
    return cmocka_run_group_tests(tests, start, NULL);
}
