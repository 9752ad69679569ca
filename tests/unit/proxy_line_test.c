/* The PROXY protocol's line: what is one, what may become one, and what is none. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <arpa/inet.h>

#include "edge/limits/proxy_line.h"

static proxy_line_t line;

/* In memory of exactly that size, so that the sanitizer sees a read beyond. */
static proxy_line_state_t parse_bytes(const char *bytes, size_t length)
{
    char *copy = malloc(length > 0 ? length : 1);
    assert_non_null(copy);
    memcpy(copy, bytes, length);
    proxy_line_state_t state = proxy_line_parse(copy, length, &line);
    free(copy);
    return state;
}

static proxy_line_state_t parse(const char *text)
{
    return parse_bytes(text, strlen(text));
}

static void assert_client(const char *expected, uint16_t port)
{
    char text[INET6_ADDRSTRLEN];
    bool v4 = line.client.any.sa_family == AF_INET;
    const void *bytes = v4 ? (const void *)&line.client.v4.sin_addr : (const void *)&line.client.v6.sin6_addr;
    assert_non_null(inet_ntop(line.client.any.sa_family, bytes, text, sizeof text));
    assert_string_equal(text, expected);
    assert_int_equal(ntohs(v4 ? line.client.v4.sin_port : line.client.v6.sin6_port), port);
}

static void takes_the_three_protocols(void **state)
{
    (void)state;
    static const char v4[] = "PROXY TCP4 203.0.113.7 192.0.2.1 56324 443\r\n";
    assert_int_equal(parse(v4), PROXY_LINE_WHOLE);
    assert_int_equal(line.length, sizeof v4 - 1);
    assert_client("203.0.113.7", 56324);
    assert_int_equal(parse("PROXY TCP6 2001:DB8::7 ::1 0 65535\r\n"), PROXY_LINE_WHOLE);
    assert_client("2001:db8::7", 0);
    assert_int_equal(parse("PROXY TCP6 ::ffff:192.0.2.1 ::1 1 2\r\n"), PROXY_LINE_WHOLE);
    assert_client("::ffff:192.0.2.1", 1);
    assert_int_equal(parse("PROXY UNKNOWN\r\n"), PROXY_LINE_WHOLE);
    assert_int_equal(line.client.any.sa_family, AF_UNSPEC);
    assert_int_equal(parse("PROXY UNKNOWN TCP4 what  ever \r\n"), PROXY_LINE_WHOLE);
    assert_int_equal(line.client.any.sa_family, AF_UNSPEC);
}

static void leaves_what_is_behind_it(void **state)
{
    (void)state;
    static const char v4[] = "PROXY TCP4 203.0.113.7 192.0.2.1 1 2\r\n";
    char long_one[4096];
    memset(long_one, '\n', sizeof long_one);
    memcpy(long_one, v4, sizeof v4 - 1);
    assert_int_equal(parse_bytes(long_one, sizeof long_one), PROXY_LINE_WHOLE);
    assert_int_equal(line.length, sizeof v4 - 1);
}

static void is_the_same_however_it_comes(void **state)
{
    (void)state;
    static const char *const lines[] = {
        "PROXY TCP4 255.255.255.255 255.255.255.255 65535 65535\r\n",
        "PROXY TCP6 ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff 65535 "
        "65535\r\n",
        "PROXY UNKNOWN\r\n"};
    for (size_t i = 0; i < sizeof lines / sizeof *lines; i++) {
        size_t length = strlen(lines[i]);
        for (size_t some = 0; some < length; some++)
            assert_int_equal(parse_bytes(lines[i], some), PROXY_LINE_INCOMPLETE);
        assert_int_equal(parse_bytes(lines[i], length), PROXY_LINE_WHOLE);
    }
}

static void is_at_most_107_bytes(void **state)
{
    (void)state;
    char text[PROXY_LINE_MAX + 2] = "PROXY UNKNOWN ";
    memset(text + 14, 'x', sizeof text - 14);
    assert_int_equal(parse_bytes(text, PROXY_LINE_MAX - 1), PROXY_LINE_INCOMPLETE);
    assert_int_equal(parse_bytes(text, PROXY_LINE_MAX), PROXY_LINE_WRONG);
    memcpy(text + PROXY_LINE_MAX - 2, "\r\n", 2);
    assert_int_equal(parse_bytes(text, sizeof text), PROXY_LINE_WHOLE);
    assert_int_equal(line.length, PROXY_LINE_MAX);
    memcpy(text + PROXY_LINE_MAX - 2, "x\r\n", 3);
    assert_int_equal(parse_bytes(text, PROXY_LINE_MAX + 1), PROXY_LINE_WRONG);
}

static void what_cannot_become_one_is_wrong_at_once(void **state)
{
    (void)state;
    static const char *const wrong[] = {"G",  "PRI * HTTP/2.0", "\x16\x03\x01", "PROXx", "proxy ",
                                        "\r", " PROXY"};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
        assert_int_equal(parse(wrong[i]), PROXY_LINE_WRONG);
}

static void is_strict(void **state)
{
    (void)state;
    static const char *const wrong[] = {
        "PROXY \r\n",
        "PROXY \n",
        "PROXY TCP\r\n",
        "PROXY TCP5 1.2.3.4 1.2.3.4 1 2\r\n",
        "PROXY tcp4 1.2.3.4 1.2.3.4 1 2\r\n",
        "PROXY UNKNOWNS\r\n",
        "PROXY TCP4\r\n",
        "PROXY TCP4 1.2.3.4\r\n",
        "PROXY TCP4 1.2.3.4 1.2.3.4 1\r\n",
        "PROXY TCP4 1.2.3.4 1.2.3.4 1 2 3\r\n",
        "PROXY TCP4 1.2.3.4 1.2.3.4 1 2 \r\n",
        "PROXY TCP4 1.2.3.4  1.2.3.4 1 2\r\n",
        "PROXY  TCP4 1.2.3.4 1.2.3.4 1 2\r\n",
        "PROXY TCP4\t1.2.3.4 1.2.3.4 1 2\r\n",
        "PROXY TCP4 1.2.3.4 1.2.3.4 1 2\n",
        "PROXY TCP4 1.2.3.4 1.2.3.4 1 2\r\r\n",
        "PROXY TCP4 1.2.3.4 1.2.3.4 1\r2\r\n",
        "PROXY TCP4 1.2.3 1.2.3.4 1 2\r\n",
        "PROXY TCP4 1.2.3.256 1.2.3.4 1 2\r\n",
        "PROXY TCP4 01.2.3.4 1.2.3.4 1 2\r\n",
        "PROXY TCP4 0x1.2.3.4 1.2.3.4 1 2\r\n",
        "PROXY TCP4 1.2.3.4 localhost 1 2\r\n",
        "PROXY TCP4 1.2.3.4 ::1 1 2\r\n",
        "PROXY TCP6 1.2.3.4 1.2.3.4 1 2\r\n",
        "PROXY TCP6 fe80::1%eth0 ::1 1 2\r\n",
        "PROXY TCP6 1:2:3:4:5:6:7:8:9:1:2:3:4:5:6:7:8:9:1:2:3:4 ::1 1 2\r\n",
        "PROXY TCP4 1.2.3.4 1.2.3.4 01 2\r\n",
        "PROXY TCP4 1.2.3.4 1.2.3.4 65536 2\r\n",
        "PROXY TCP4 1.2.3.4 1.2.3.4 1 99999\r\n",
        "PROXY TCP4 1.2.3.4 1.2.3.4 1 000001\r\n",
        "PROXY TCP4 1.2.3.4 1.2.3.4 -1 2\r\n",
        "PROXY TCP4 1.2.3.4 1.2.3.4 1 2x\r\n",
        "PROXY UNKNOWN \x7f\r\n",
        "PROXY UNKNOWN \xc3\xa9\r\n",
    };
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
        if (parse(wrong[i]) != PROXY_LINE_WRONG)
            fail_msg("taken: %s", wrong[i]);
    static const char zero[] = "PROXY TCP4 1.2.3.4\0 1.2.3.4 1 2\r\n";
    assert_int_equal(parse_bytes(zero, sizeof zero - 1), PROXY_LINE_WRONG);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(takes_the_three_protocols),
        cmocka_unit_test(leaves_what_is_behind_it),
        cmocka_unit_test(is_the_same_however_it_comes),
        cmocka_unit_test(is_at_most_107_bytes),
        cmocka_unit_test(what_cannot_become_one_is_wrong_at_once),
        cmocka_unit_test(is_strict),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
