/* Records that are made from where the bytes lie: by handshakes in memory with OpenSSL's own client, which
 * reads what was sealed. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <openssl/err.h>

#include "edge/tls/context.h"
#include "edge/tls/records.h"
#include "edge/tls/self_signed.h"
#include "tests/unit/tls_pair.h"

static SSL_CTX *context;
static uint64_t records_max = TLS_RECORDS_MAX;

static int on_hello(SSL *ssl, int *alert, void *argument)
{
    (void)alert;
    (void)argument;
    return tls_records_begin(ssl, records_max) ? SSL_CLIENT_HELLO_SUCCESS : SSL_CLIENT_HELLO_ERROR;
}

static int make_context(void **state)
{
    (void)state;
    char error[256];
    context = tls_self_signed_context(NULL, time(NULL), error, sizeof error);
    assert_non_null(context);
    SSL_CTX_set_client_hello_cb(context, on_hello, NULL);
    return 0;
}

static int free_context(void **state)
{
    (void)state;
    SSL_CTX_free(context);
    return 0;
}

static pair_t connect_by(int version)
{
    pair_t pair = handshake(context, version, version, NULL);
    assert_true(pair.connected);
    return pair;
}

static void fill(char *bytes, size_t length)
{
    for (size_t i = 0; i < length; i++)
        bytes[i] = (char)(i * 31 + i / 251);
}

static char got[1 << 17];
static size_t got_length;

static void read_more(SSL *client)
{
    int part;
    while ((part = SSL_read(client, got + got_length, (int)(sizeof got - got_length))) > 0)
        got_length += (size_t)part;
    assert_int_equal(SSL_get_error(client, part), SSL_ERROR_WANT_READ);
}

static void expect(SSL *client, const char *bytes, size_t length)
{
    read_more(client);
    assert_int_equal(got_length, length);
    assert_memory_equal(got, bytes, length);
    got_length = 0;
}

/* Gives the client what was sealed, as the server's transport would: as much as it has room for. */
static void carry(pair_t *pair, const uint8_t *bytes, size_t length)
{
    BIO *bio = SSL_get_rbio(pair->server);
    while (length > 0) {
        size_t room = BIO_ctrl_get_write_guarantee(bio), part = room < length ? room : length;
        assert_int_equal(BIO_write(bio, bytes, (int)part), part);
        bytes += part;
        length -= part;
        read_more(pair->client);
    }
}

/* In one piece or many, whatever the borders of records are. */
static void seal_and_expect(pair_t *pair, size_t length, size_t piece, size_t record)
{
    static char bytes[60000];
    text_t pieces[64];
    size_t count = 0;
    fill(bytes, length);
    for (size_t at = 0; at < length; at += piece)
        pieces[count++] = (text_t){bytes + at, length - at < piece ? length - at : piece};
    size_t bound = tls_records_bound(length, record);
    uint8_t *out = must_alloc(bound + 1);
    out[bound] = 0x5e;
    assert_true(tls_records_ready(pair->server));
    size_t sealed = tls_records_seal(pair->server, pieces, count, record, out);
    record = record < TLS_RECORD_BYTES ? record : TLS_RECORD_BYTES;
    assert_int_equal(sealed, length + (length + record - 1) / record * TLS_RECORD_OVERHEAD);
    assert_int_equal(out[bound], 0x5e);
    carry(pair, out, sealed);
    expect(pair->client, bytes, length);
    free(out);
}

static void all_sizes(pair_t *pair)
{
    static const size_t lengths[] = {1, 2, 15, 16, 17, 1400, 16383, 16384, 16385, 40000};
    for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++) {
        seal_and_expect(pair, lengths[i], lengths[i], TLS_RECORD_BYTES);
        seal_and_expect(pair, lengths[i], lengths[i] / 60 + 1, TLS_RECORD_BYTES);
        seal_and_expect(pair, lengths[i], lengths[i] / 7 + 1, 1378);
        seal_and_expect(pair, lengths[i], lengths[i], 19968); /* as large segments would have it */
    }
}

static void every_suite(void **state)
{
    (void)state;
    static const char *const suites[] = {"TLS_AES_128_GCM_SHA256", "TLS_AES_256_GCM_SHA384",
                                         "TLS_CHACHA20_POLY1305_SHA256"};
    for (size_t i = 0; i < sizeof suites / sizeof *suites; i++) {
        assert_int_equal(SSL_CTX_set_ciphersuites(context, suites[i]), 1);
        pair_t pair = connect_by(TLS1_3_VERSION);
        assert_string_equal(SSL_get_cipher_name(pair.client), suites[i]);
        all_sizes(&pair);
        hang_up(&pair);
    }
    assert_int_equal(SSL_CTX_set_ciphersuites(context, TLS_DEFAULT_CIPHERSUITES), 1);
}

/* What OpenSSL writes lies between, numbered on. */
static void openssl_writes_too(void **state)
{
    (void)state;
    pair_t pair = connect_by(TLS1_3_VERSION);
    seal_and_expect(&pair, 100, 100, TLS_RECORD_BYTES);
    assert_int_equal(SSL_write(pair.server, "between", 7), 7);
    expect(pair.client, "between", 7);
    seal_and_expect(&pair, 100, 100, TLS_RECORD_BYTES);
    assert_int_equal(SSL_shutdown(pair.server), 0); /* an alert */
    char byte;
    assert_int_equal(SSL_read(pair.client, &byte, 1), 0);
    assert_int_equal(SSL_get_error(pair.client, 0), SSL_ERROR_ZERO_RETURN);
    assert_false(tls_records_ready(pair.server));
    hang_up(&pair);
}

static void of_version_1_2_openssl_makes_them(void **state)
{
    (void)state;
    pair_t pair = connect_by(TLS1_2_VERSION);
    assert_false(tls_records_ready(pair.server));
    assert_int_equal(SSL_write(pair.server, "whole", 5), 5);
    expect(pair.client, "whole", 5);
    hang_up(&pair);
}

static void ask_for_keys(pair_t *pair, int kind)
{
    assert_int_equal(SSL_key_update(pair->client, kind), 1);
    assert_int_equal(SSL_do_handshake(pair->client), 1);
    assert_int_equal(SSL_write(pair->client, "?", 1), 1);
    char byte;
    assert_int_equal(SSL_read(pair->server, &byte, 1), 1);
}

/* RFC 8446 section 4.6.3. */
static void new_keys_of_the_peer_alone_change_nothing(void **state)
{
    (void)state;
    pair_t pair = connect_by(TLS1_3_VERSION);
    ask_for_keys(&pair, SSL_KEY_UPDATE_NOT_REQUESTED);
    seal_and_expect(&pair, 20000, 20000, TLS_RECORD_BYTES);
    hang_up(&pair);
}

static void a_peer_that_asks_for_new_keys_gets_them(void **state)
{
    (void)state;
    pair_t pair = connect_by(TLS1_3_VERSION);
    seal_and_expect(&pair, 20000, 20000, TLS_RECORD_BYTES);
    ask_for_keys(&pair, SSL_KEY_UPDATE_REQUESTED);
    assert_false(tls_records_ready(pair.server));
    for (int i = 0; i < 3; i++) {
        assert_int_equal(SSL_write(pair.server, "by new keys", 11), 11);
        expect(pair.client, "by new keys", 11);
    }
    assert_false(tls_records_ready(pair.server)); /* for good */
    hang_up(&pair);
}

/* RFC 8446 section 5.5. */
static void keys_are_renewed_after_so_many_records(void **state)
{
    (void)state;
    records_max = 12; /* the tickets are two of them */
    pair_t pair = connect_by(TLS1_3_VERSION);
    records_max = TLS_RECORDS_MAX;
    int sealed = 0;
    for (; sealed < 100 && tls_records_ready(pair.server); sealed++)
        seal_and_expect(&pair, 10, 10, TLS_RECORD_BYTES);
    assert_int_equal(sealed, 10);
    assert_int_equal(SSL_get_key_update_type(pair.server), SSL_KEY_UPDATE_NONE); /* to ask changes nothing */
    tls_records_renew(pair.server);
    assert_int_equal(SSL_write(pair.server, "after them", 10), 10);
    expect(pair.client, "after them", 10);
    assert_false(tls_records_ready(pair.server));
    assert_int_equal(SSL_get_key_update_type(pair.server), SSL_KEY_UPDATE_NONE);
    hang_up(&pair);
}

static unsigned draw(uint32_t *state, unsigned below)
{
    *state = *state * 1664525 + 1013904223;
    return (*state >> 8) % below;
}

/* One step: sealed where it may be, through OpenSSL else; tickets and key updates of both sides between. */
static void random_step(pair_t *pair, uint32_t *seed)
{
    static char bytes[16000];
    size_t length = 1 + draw(seed, sizeof bytes - 1);
    if (draw(seed, 8) == 0)
        SSL_new_session_ticket(pair->server);
    if (draw(seed, 16) == 0)
        ask_for_keys(pair, (int)draw(seed, 2));
    if (draw(seed, 16) == 0)
        SSL_key_update(pair->server, (int)draw(seed, 2));
    if (draw(seed, 3) > 0 && tls_records_ready(pair->server)) {
        seal_and_expect(pair, length, length / (1 + draw(seed, 9)) + 1, 300 + draw(seed, 17000));
        return;
    }
    fill(bytes, length);
    tls_records_renew(pair->server);
    assert_int_equal(SSL_write(pair->server, bytes, (int)length), length);
    expect(pair->client, bytes, length);
}

static void everything_in_any_order(void **state)
{
    (void)state;
    for (uint32_t seed = 1; seed <= 40; seed++) {
        uint32_t drawn = seed;
        records_max = 8 + draw(&drawn, 40);
        pair_t pair = connect_by(TLS1_3_VERSION);
        records_max = TLS_RECORDS_MAX;
        for (int i = 0; i < 40; i++)
            random_step(&pair, &drawn);
        hang_up(&pair);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_suite),
        cmocka_unit_test(openssl_writes_too),
        cmocka_unit_test(of_version_1_2_openssl_makes_them),
        cmocka_unit_test(new_keys_of_the_peer_alone_change_nothing),
        cmocka_unit_test(a_peer_that_asks_for_new_keys_gets_them),
        cmocka_unit_test(keys_are_renewed_after_so_many_records),
        cmocka_unit_test(everything_in_any_order),
    };
    return cmocka_run_group_tests(tests, make_context, free_context);
}
