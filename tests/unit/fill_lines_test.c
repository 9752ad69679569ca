/* The lines of an upstream's head: what is let in, and what two readers could take for two things. */
#include "tests/unit/cache_world.h"

#include "origin_pull/fill_lines.h"

typedef struct {
    const char *lines[8];
    fill_lines_result_t last; /* all before it say LINES_MORE */
    int status;
    size_t count;
} row_t;

#define OK "HTTP/1.1 200 OK\r\n"

static const row_t rows[] = {
    {{OK, "\r\n"}, LINES_COMPLETE, 200, 0},
    {{OK, "A: b\r\n", "\r\n"}, LINES_COMPLETE, 200, 1},
    {{"HTTP/1.1 200\r\n", "\r\n"}, LINES_COMPLETE, 200, 0},
    {{"HTTP/1.1 200 \r\n", "\n"}, LINES_COMPLETE, 200, 0},
    {{"HTTP/2 204 \r\n", "a:b\r\n", "\r\n"}, LINES_COMPLETE, 204, 1},
    {{"HTTP/1.0 599 x\n", "\n"}, LINES_COMPLETE, 599, 0},
    /* Status lines that are none. */
    {{"HTTP/1.1\r\n"}, LINES_WRONG, 0, 0},
    {{"HTTP/1.1 20\r\n"}, LINES_WRONG, 0, 0},
    {{"HTTP/1.1 2000 OK\r\n"}, LINES_WRONG, 0, 0},
    {{"HTTP/1.1 20x OK\r\n"}, LINES_WRONG, 0, 0},
    {{"HTTP/1.1  200 OK\r\n"}, LINES_WRONG, 0, 0},
    {{"HTTP/1.1 099 OK\r\n"}, LINES_WRONG, 99, 0},
    {{"HTTP/1.1 600 OK\r\n"}, LINES_WRONG, 600, 0},
    {{"HTTP/1.1 101 Upgrade\r\n", "\r\n"}, LINES_WRONG, 101, 0},
    {{"\r\n"}, LINES_WRONG, 0, 0},
    {{"a: b\r\n"}, LINES_WRONG, 0, 0},
    /* Fields that are none. */
    {{OK, OK}, LINES_WRONG, 200, 0},
    {{OK, "HTTP/1.1: c\r\n"}, LINES_WRONG, 200, 0},
    {{OK, "a b: c\r\n"}, LINES_WRONG, 200, 0},
    {{OK, "a : c\r\n"}, LINES_WRONG, 200, 0},
    {{OK, ": c\r\n"}, LINES_WRONG, 200, 0},
    {{OK, "abc\r\n"}, LINES_WRONG, 200, 0},
    {{OK, "a: b\r\n", " folded\r\n"}, LINES_WRONG, 200, 1},
    {{OK, "a: b\r\n", "\tfolded: x\r\n"}, LINES_WRONG, 200, 1},
    {{OK, "a: b\rc\r\n"}, LINES_WRONG, 200, 0},
    {{OK, "a: b\r\r\n"}, LINES_WRONG, 200, 0},
    {{OK, "a: \x01\r\n"}, LINES_WRONG, 200, 0},
    {{OK, "a: \x7f\r\n"}, LINES_WRONG, 200, 0},
    {{OK, "a\xe9: b\r\n"}, LINES_WRONG, 200, 0},
    {{OK, "a: \xe9\t\xff\r\n", "\r\n"}, LINES_COMPLETE, 200, 1},
    {{OK, "a:\r\n", "\r\n"}, LINES_COMPLETE, 200, 1},
    /* One length, or none that is believed. */
    {{OK, "Content-Length: 5\r\n", "\r\n"}, LINES_COMPLETE, 200, 1},
    {{OK, "Content-Length: 5\r\n", "content-length: 5\r\n", "\r\n"}, LINES_WRONG, 200, 2},
    {{OK, "Content-Length: 5, 5\r\n", "\r\n"}, LINES_WRONG, 200, 1},
    {{OK, "Content-Length: +5\r\n", "\r\n"}, LINES_WRONG, 200, 1},
    {{OK, "Content-Length: -5\r\n", "\r\n"}, LINES_WRONG, 200, 1},
    {{OK, "Content-Length: abc\r\n", "\r\n"}, LINES_WRONG, 200, 1},
    {{OK, "Content-Length: 0x5\r\n", "\r\n"}, LINES_WRONG, 200, 1},
    {{OK, "Content-Length:\r\n", "\r\n"}, LINES_WRONG, 200, 1},
    {{OK, "Content-Length: 5 \r\n", "\r\n"}, LINES_COMPLETE, 200, 1},
    {{OK, "Content-Length: 999999999999999999\r\n", "\r\n"}, LINES_COMPLETE, 200, 1},
    {{OK, "Content-Length: 1000000000000000000\r\n", "\r\n"}, LINES_WRONG, 200, 1},
    {{OK, "Transfer-Encoding: chunked\r\n", "\r\n"}, LINES_COMPLETE, 200, 1},
    {{OK, "Transfer-Encoding: Chunked\r\n", "\r\n"}, LINES_COMPLETE, 200, 1},
    {{OK, "Transfer-Encoding: gzip, chunked\r\n", "\r\n"}, LINES_WRONG, 200, 1},
    {{OK, "Transfer-Encoding: identity\r\n", "\r\n"}, LINES_WRONG, 200, 1},
    {{OK, "Transfer-Encoding: chunked\r\n", "Transfer-Encoding: chunked\r\n", "\r\n"}, LINES_WRONG, 200, 2},
    {{OK, "Transfer-Encoding: chunked\r\n", "Content-Length: 5\r\n", "\r\n"}, LINES_WRONG, 200, 2},
    {{"HTTP/2 200 \r\n", "transfer-encoding: chunked\r\n", "\r\n"}, LINES_WRONG, 200, 1},
};

static void lines_one_by_one(void **state)
{
    (void)state;
    fill_lines_t *lines = must_calloc(1, sizeof *lines);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        fill_lines_begin(lines);
        for (size_t j = 0; rows[i].lines[j] != NULL; j++) {
            bool last = rows[i].lines[j + 1] == NULL;
            /* In memory of just its size, so that one byte too far is seen. */
            text_t line = text_of(rows[i].lines[j]);
            char *exact = must_alloc(line.length);
            memcpy(exact, line.data, line.length);
            fill_lines_result_t result = fill_lines_add(lines, (text_t){exact, line.length});
            free(exact);
            if (result != (last ? rows[i].last : LINES_MORE))
                fail_msg("row %zu, line %zu: %d", i, j, (int)result);
        }
        assert_int_equal(lines->status, rows[i].status);
        assert_int_equal(lines->count, rows[i].count);
    }
    free(lines);
}

static void add(fill_lines_t *lines, const char *line, fill_lines_result_t expected)
{
    assert_int_equal(fill_lines_add(lines, text_of(line)), expected);
}

/* RFC 9110 section 15.2: heads that come before the final one. */
static void interim_heads(void **state)
{
    (void)state;
    static const struct {
        const char *rfc, *lines[4];
        fill_lines_result_t last;
    } cases[] = {
        {"RFC 9110 15.2.1", {"HTTP/1.1 100 Continue\r\n", "\r\n"}, LINES_INTERIM},
        {"RFC 8297 2", {"HTTP/1.1 103 Early Hints\r\n", "link: </a>\r\n", "\r\n"}, LINES_INTERIM},
        {"RFC 9110 15: an unknown one of its class", {"HTTP/2 199 \r\n", "a: b\r\n", "\r\n"}, LINES_INTERIM},
        {"RFC 9110 15.2.2: nobody asked", {"HTTP/1.1 101 Switching Protocols\r\n", "\r\n"}, LINES_WRONG},
        {"RFC 9112 6.3: without a body",
         {"HTTP/1.1 103 x\r\n", "content-length: 3\r\n", "\r\n"},
         LINES_INTERIM},
        {"RFC 9112 5: a head within a head", {"HTTP/1.1 103 x\r\n", OK}, LINES_WRONG},
    };
    fill_lines_t *lines = must_calloc(1, sizeof *lines);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        fill_lines_begin(lines);
        for (size_t j = 0; cases[i].lines[j] != NULL; j++)
            add(lines, cases[i].lines[j], cases[i].lines[j + 1] == NULL ? cases[i].last : LINES_MORE);
        if (cases[i].last != LINES_INTERIM)
            continue;
        assert_int_equal(lines->status, 0);
        add(lines, i % 2 ? "\r\n" : "a: b\r\n", LINES_WRONG); /* a head begins with its status */
    }
    free(lines);
}

static void as_many_interim_heads_as_that(void **state)
{
    (void)state;
    fill_lines_t *lines = must_calloc(1, sizeof *lines);
    fill_lines_begin(lines);
    for (int i = 0; i <= FILL_INTERIM_MAX; i++) {
        add(lines, "HTTP/1.1 103 Early\r\n", LINES_MORE);
        add(lines, "early: 1\r\n", LINES_MORE);
        add(lines, "\r\n", i < FILL_INTERIM_MAX ? LINES_INTERIM : LINES_TOO_LARGE);
    }
    free(lines);
}

static void what_is_kept(void **state)
{
    (void)state;
    fill_lines_t *lines = must_calloc(1, sizeof *lines);
    add(lines, "HTTP/1.1 103 Early\r\n", LINES_MORE);
    add(lines, "early: 1\r\n", LINES_MORE);
    add(lines, "\r\n", LINES_INTERIM);
    add(lines, "HTTP/1.1 200 OK\r\n", LINES_MORE);
    add(lines, "X-Some-Name: \t Some  Value \t\r\n", LINES_MORE);
    add(lines, "\r\n", LINES_COMPLETE);
    http_fields_t fields = fill_lines_fields(lines);
    assert_int_equal(fields.count, 1); /* nothing of the interim head */
    assert_true(text_equal(fields.at[0].name, TEXT("x-some-name")));
    assert_true(text_equal(fields.at[0].value, TEXT("Some  Value")));
    free(lines);
}

static void too_many_and_too_large(void **state)
{
    (void)state;
    fill_lines_t *lines = must_calloc(1, sizeof *lines);
    add(lines, OK, LINES_MORE);
    for (int i = 0; i < FILL_FIELDS_MAX; i++)
        add(lines, "a: b\r\n", LINES_MORE);
    add(lines, "a: b\r\n", LINES_TOO_LARGE);
    for (int over = 0; over < 2; over++) {
        fill_lines_begin(lines);
        add(lines, OK, LINES_MORE);
        size_t size = FILL_HEAD_BYTES_MAX - 1 + (size_t)over;
        char *line = must_alloc(size + 3);
        memset(line, 'v', size + 2);
        memcpy(line, "a:", 2);
        line[size + 2] = '\0';
        add(lines, line, over ? LINES_TOO_LARGE : LINES_MORE);
        if (!over)
            add(lines, "b:\r\n", LINES_TOO_LARGE); /* exactly full */
        free(line);
    }
    free(lines);
}

static void which_bodies_end_with_the_connection(void **state)
{
    (void)state;
    static const struct {
        const char *status, *line;
        bool close_delimited;
    } cases[] = {
        {"HTTP/1.1 200 OK\r\n", "a: b\r\n", true},
        {"HTTP/1.0 200 OK\r\n", "a: b\r\n", true},
        {"HTTP/1.1 200 OK\r\n", "content-length: 0\r\n", false},
        {"HTTP/1.1 200 OK\r\n", "transfer-encoding: chunked\r\n", false},
        {"HTTP/2 200 \r\n", "a: b\r\n", false},
        {"HTTP/1.1 204 No Content\r\n", "a: b\r\n", false},
        {"HTTP/1.1 304 Not Modified\r\n", "a: b\r\n", false},
    };
    fill_lines_t *lines = must_calloc(1, sizeof *lines);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        fill_lines_begin(lines);
        add(lines, cases[i].status, LINES_MORE);
        add(lines, cases[i].line, LINES_MORE);
        add(lines, "\r\n", LINES_COMPLETE);
        assert_int_equal(fill_lines_close_delimited(lines), cases[i].close_delimited);
    }
    free(lines);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lines_one_by_one),
        cmocka_unit_test(interim_heads),
        cmocka_unit_test(as_many_interim_heads_as_that),
        cmocka_unit_test(what_is_kept),
        cmocka_unit_test(too_many_and_too_large),
        cmocka_unit_test(which_bodies_end_with_the_connection),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
