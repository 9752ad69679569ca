/* The server contexts, by handshakes in memory with OpenSSL's own client, and by files that are wrong. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <sys/stat.h>
#include <unistd.h>

#include "edge/tls/context.h"
#include "edge/tls/self_signed.h"
#include "tests/unit/tls_pair.h"

static char directory[] = "/tmp/selvedge-tls-XXXXXX";
static char error[512];

static const char *path_of(const char *name)
{
    static char paths[2][128];
    static unsigned next;
    char *path = paths[next++ % 2];
    snprintf(path, sizeof(paths[0]), "%s/%s", directory, name);
    return path;
}

static FILE *create(const char *name)
{
    FILE *file = fopen(path_of(name), "w");
    assert_non_null(file);
    return file;
}

static void write_text(const char *name, const char *text)
{
    FILE *file = create(name);
    fputs(text, file);
    fclose(file);
}

/* The certificate and key of a new self-signed context, as the files a user would have. */
static void write_pair(const char *cert_name, const char *key_name)
{
    SSL_CTX *context = tls_self_signed_context(NULL, time(NULL), error, sizeof(error));
    assert_non_null(context);
    FILE *file = create(cert_name);
    assert_int_equal(PEM_write_X509(file, SSL_CTX_get0_certificate(context)), 1);
    fclose(file);
    file = create(key_name);
    EVP_PKEY *key = SSL_CTX_get0_privatekey(context);
    assert_int_equal(PEM_write_PrivateKey(file, key, NULL, NULL, 0, NULL, NULL), 1);
    fclose(file);
    file = create("encrypted.key");
    assert_int_equal(
        PEM_write_PrivateKey(file, key, EVP_aes_128_cbc(), (const unsigned char *)"secret", 6, NULL, NULL),
        1);
    fclose(file);
    SSL_CTX_free(context);
}

static int make_files(void **state)
{
    (void)state;
    assert_non_null(mkdtemp(directory));
    write_pair("other.pem", "other.key");
    write_pair("cert.pem", "cert.key");
    write_text("empty", "");
    write_text("broken.pem", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n");
    char command[512];
    snprintf(command, sizeof(command),
             "cd %s && cat cert.pem other.pem > chain.pem && cat cert.pem broken.pem > half.pem", directory);
    assert_int_equal(system(command), 0);
    return 0;
}

static int remove_files(void **state)
{
    (void)state;
    char command[128];
    snprintf(command, sizeof(command), "rm -r %s", directory);
    return system(command);
}

static SSL_CTX *context_of(const char *certificate_path, const char *key_path)
{
    tls_file_t certificate = {"--cert", certificate_path, NULL}, key = {"--key", key_path, NULL};
    return tls_server_context(&certificate, &key, error, sizeof(error));
}

static SSL_CTX *self_signed(void)
{
    SSL_CTX *context = tls_self_signed_context(NULL, time(NULL), error, sizeof(error));
    assert_non_null(context);
    return context;
}

static void versions(void **state)
{
    (void)state;
    static const struct {
        int version;
        bool accepted;
    } cases[] = {
        {TLS1_VERSION, false}, {TLS1_1_VERSION, false}, {TLS1_2_VERSION, true}, {TLS1_3_VERSION, true}};
    SSL_CTX *context = self_signed();
    assert_int_equal(SSL_CTX_get_min_proto_version(context),
                     TLS1_2_VERSION); /* not OpenSSL's configuration's doing */
    for (size_t i = 0; i != sizeof(cases) / sizeof(cases[0]); ++i) {
        pair_t pair = handshake(context, cases[i].version, cases[i].version, NULL);
        assert_int_equal(pair.connected, cases[i].accepted);
        if (pair.connected)
            assert_int_equal(SSL_version(pair.client), cases[i].version);
        hang_up(&pair);
    }
    SSL_CTX_free(context);
}

/* What TLS 1.2 may be spoken with: forward secrecy and AEAD, as RFC 9113 section 9.2.2 wants for HTTP/2. */
static void suites(void **state)
{
    (void)state;
    SSL_CTX *context = self_signed();
    STACK_OF(SSL_CIPHER) *ciphers = SSL_CTX_get_ciphers(context);
    assert_true(sk_SSL_CIPHER_num(ciphers) >= 6);
    for (int i = 0; i != sk_SSL_CIPHER_num(ciphers); ++i) {
        const SSL_CIPHER *cipher = sk_SSL_CIPHER_value(ciphers, i);
        int exchange = SSL_CIPHER_get_kx_nid(cipher);
        assert_true(SSL_CIPHER_is_aead(cipher));
        assert_true(exchange == NID_kx_ecdhe || exchange == NID_kx_any);
    }
    uint64_t options = SSL_OP_CIPHER_SERVER_PREFERENCE | SSL_OP_NO_COMPRESSION | SSL_OP_NO_RENEGOTIATION;
    assert_true((SSL_CTX_get_options(context) & options) == options);
    assert_true((SSL_CTX_get_mode(context) & SSL_MODE_RELEASE_BUFFERS) != 0);
    SSL_CTX_free(context);
}

static const char *selected(const pair_t *pair)
{
    static char name[32];
    const unsigned char *protocol;
    unsigned length;
    SSL_get0_alpn_selected(pair->client, &protocol, &length);
    assert_true(length < sizeof(name));
    if (length != 0)
        memcpy(name, protocol, length);
    name[length] = '\0';
    return name;
}

static void protocols(void **state)
{
    (void)state;
    static const char *const cases[][2] = {{"\x02h2", "h2"},
                                           {"\x08http/1.1", "http/1.1"},
                                           {"\x08http/1.1\x02h2", "h2"}, /* the server's order counts */
                                           {"\x03spd\x08http/1.1", "http/1.1"},
                                           {"\x03spd", ""}};
    SSL_CTX *context = self_signed();
    for (size_t i = 0; i != sizeof(cases) / sizeof(cases[0]); ++i) {
        pair_t pair = handshake(context, TLS1_3_VERSION, TLS1_2_VERSION, cases[i][0]);
        assert_true(pair.connected);
        assert_string_equal(selected(&pair), cases[i][1]);
        hang_up(&pair);
    }
    pair_t pair = handshake(context, TLS1_3_VERSION, TLS1_2_VERSION, NULL);
    assert_true(pair.connected);
    assert_string_equal(selected(&pair), "");
    hang_up(&pair);
    SSL_CTX_free(context);
}

static void renegotiation_is_refused(void **state)
{
    (void)state;
    SSL_CTX *context = self_signed();
    pair_t pair = handshake(context, TLS1_2_VERSION, TLS1_2_VERSION, NULL);
    assert_true(pair.connected);
    SSL_renegotiate(pair.client);
    char byte;
    for (int i = 0; i != 10; ++i) {
        SSL_do_handshake(pair.client);
        SSL_read(pair.server, &byte, 1);
    }
    assert_int_equal(SSL_num_renegotiations(pair.server), 0);
    assert_false(SSL_is_init_finished(pair.client) && SSL_num_renegotiations(pair.client) == 0);
    hang_up(&pair);
    SSL_CTX_free(context);
}

static void self_signed_certificate(void **state)
{
    (void)state;
    SSL_CTX *context = self_signed(), *another = self_signed();
    X509 *certificate = SSL_CTX_get0_certificate(context);
    assert_int_equal(X509_check_host(certificate, "localhost", 0, 0, NULL), 1);
    assert_int_equal(X509_check_ip_asc(certificate, "127.0.0.1", 0), 1);
    assert_int_equal(X509_check_ip_asc(certificate, "::1", 0), 1);
    assert_int_equal(X509_check_host(certificate, "example.com", 0, 0, NULL), 0);
    assert_true(X509_cmp_current_time(X509_get0_notBefore(certificate)) < 0);
    time_t later = time(NULL) + 364 * 24 * 3600;
    assert_true(X509_cmp_time(X509_get0_notAfter(certificate), &later) > 0);
    later += 2 * 24 * 3600;
    assert_true(X509_cmp_time(X509_get0_notAfter(certificate), &later) < 0);
    assert_int_equal(X509_verify(certificate, X509_get0_pubkey(certificate)), 1);
    assert_int_not_equal(X509_cmp(certificate, SSL_CTX_get0_certificate(another)), 0);
    assert_int_not_equal(ASN1_INTEGER_cmp(X509_get0_serialNumber(certificate),
                                          X509_get0_serialNumber(SSL_CTX_get0_certificate(another))),
                         0);
    SSL_CTX_free(another);
    SSL_CTX_free(context);
}

/* --- The self-signed certificate is kept --- */

/* Is what a node has that starts so much later the certificate of the first start? */
static bool is_kept(int64_t later_s)
{
    const char *path = path_of("kept.pem");
    unlink(path);
    SSL_CTX *first = tls_self_signed_context(path, time(NULL), error, sizeof(error));
    SSL_CTX *then = tls_self_signed_context(path, time(NULL) + later_s, error, sizeof(error));
    SSL_CTX *next = tls_self_signed_context(path, time(NULL) + later_s, error, sizeof(error));
    assert_non_null(first);
    assert_non_null(then);
    assert_int_equal(X509_cmp(SSL_CTX_get0_certificate(first), SSL_CTX_get0_certificate(then)) == 0,
                     X509_cmp(SSL_CTX_get0_certificate(first), SSL_CTX_get0_certificate(next)) == 0);
    bool kept = X509_cmp(SSL_CTX_get0_certificate(first), SSL_CTX_get0_certificate(then)) == 0;
    assert_int_equal(SSL_CTX_check_private_key(then), 1);
    pair_t pair = handshake(then, TLS1_3_VERSION, TLS1_2_VERSION, NULL);
    assert_true(pair.connected);
    hang_up(&pair);
    SSL_CTX_free(first);
    SSL_CTX_free(then);
    SSL_CTX_free(next);
    return kept;
}

static void self_signed_is_kept_while_it_is_good(void **state)
{
    (void)state;
    enum { DAY_S = 24 * 3600 };
    assert_true(is_kept(0));
    assert_true(is_kept(334 * DAY_S));
    assert_false(is_kept(336 * DAY_S)); /* less than thirty days of the year are left */
    assert_false(is_kept(400 * DAY_S));
    assert_false(is_kept(-2 * DAY_S)); /* it has not begun */
    struct stat found;
    assert_int_equal(stat(path_of("kept.pem"), &found), 0);
    assert_int_equal(found.st_mode & 07777, 0600);
}

/* Spoils the file with this command; the next certificate must be another, and kept well. */
static void spoil(const char *spoiling)
{
    char command[512];
    const char *path = path_of("kept.pem");
    unlink(path);
    SSL_CTX *first = tls_self_signed_context(path, time(NULL), error, sizeof(error));
    snprintf(command, sizeof(command), "cd %s && %s", directory, spoiling);
    assert_int_equal(system(command), 0);
    SSL_CTX *then = tls_self_signed_context(path, time(NULL), error, sizeof(error));
    SSL_CTX *next = tls_self_signed_context(path, time(NULL), error, sizeof(error));
    assert_int_equal(ERR_peek_error(), 0);
    if (X509_cmp(SSL_CTX_get0_certificate(first), SSL_CTX_get0_certificate(then)) == 0)
        fail_msg("taken as it was after: %s", spoiling);
    assert_int_equal(X509_cmp(SSL_CTX_get0_certificate(then), SSL_CTX_get0_certificate(next)), 0);
    SSL_CTX_free(first);
    SSL_CTX_free(then);
    SSL_CTX_free(next);
}

static void self_signed_that_is_spoiled_is_made_anew(void **state)
{
    (void)state;
    spoil(": > kept.pem");
    spoil("head -c 150 kept.pem > k && cp k kept.pem");
    spoil("head -c 500 kept.pem > k && cp k kept.pem");
    spoil("cat cert.key other.pem > kept.pem");
    spoil("cat encrypted.key cert.pem > kept.pem");
    spoil("chmod 640 kept.pem");
    spoil("chmod 602 kept.pem");
    spoil("mv kept.pem elsewhere && ln -s elsewhere kept.pem");
    spoil("rm kept.pem && mkfifo kept.pem && chmod 600 kept.pem");
    spoil("touch kept.pem.new && chmod 000 kept.pem.new && rm kept.pem");
}

static void self_signed_is_there_without_a_place_to_keep_it(void **state)
{
    (void)state;
    SSL_CTX *context = tls_self_signed_context(path_of("missing/kept.pem"), time(NULL), error, sizeof(error));
    assert_non_null(context);
    assert_int_equal(access(path_of("missing"), F_OK), -1);
    SSL_CTX_free(context);
}

/* A client that trusts the certificate, and checks the name. */
static void certificate_verifies(void **state)
{
    (void)state;
    SSL_CTX *context = context_of(path_of("cert.pem"), path_of("cert.key"));
    assert_non_null(context);
    X509_STORE *store = X509_STORE_new();
    X509_STORE_add_cert(store, SSL_CTX_get0_certificate(context));
    X509_STORE_CTX *verification = X509_STORE_CTX_new();
    X509_STORE_CTX_init(verification, store, SSL_CTX_get0_certificate(context), NULL);
    X509_STORE_CTX_set_default(verification, "ssl_server");
    X509_VERIFY_PARAM_set1_host(X509_STORE_CTX_get0_param(verification), "localhost", 0);
    assert_int_equal(X509_verify_cert(verification), 1);
    X509_STORE_CTX_free(verification);
    X509_STORE_free(store);
    SSL_CTX_free(context);
}

static void files(void **state)
{
    (void)state;
    SSL_CTX *context = context_of(path_of("chain.pem"), path_of("cert.key"));
    assert_non_null(context);
    STACK_OF(X509) *chain = NULL;
    SSL_CTX_get0_chain_certs(context, &chain);
    assert_int_equal(sk_X509_num(chain), 1);
    pair_t pair = handshake(context, TLS1_3_VERSION, TLS1_2_VERSION, NULL);
    assert_true(pair.connected);
    assert_int_equal(sk_X509_num(SSL_get_peer_cert_chain(pair.client)), 2);
    hang_up(&pair);
    SSL_CTX_free(context);
}

static void wrong_files(void **state)
{
    (void)state;
    static const struct {
        const char *cert, *key, *option, *what;
    } cases[] = {
        {"missing", "cert.key", "--cert", "No such file or directory"},
        {"empty", "cert.key", "--cert", "no certificate in it"},
        {"cert.key", "cert.key", "--cert", "no certificate in it"},
        {"broken.pem", "cert.key", "--cert", "cannot be read"},
        {"half.pem", "cert.key", "--cert", "a certificate of its chain cannot be read"},
        {".", "cert.key", "--cert", "Is a directory"},
        {"cert.pem", "missing", "--key", "No such file or directory"},
        {"cert.pem", "empty", "--key", "no private key in it"},
        {"cert.pem", "cert.pem", "--key", "no private key in it"},
        {"cert.pem", "encrypted.key", "--key", "it is encrypted"},
        {"cert.pem", "other.key", "--key", "it is not the key of the certificate"},
    };
    for (size_t i = 0; i != sizeof(cases) / sizeof(cases[0]); ++i) {
        char wanted[256];
        const char *cert = path_of(cases[i].cert), *key = path_of(cases[i].key);
        snprintf(wanted, sizeof(wanted), "%s %s: ", cases[i].option,
                 strcmp(cases[i].option, "--cert") == 0 ? cert : key);
        assert_null(context_of(cert, key));
        if (strncmp(error, wanted, strlen(wanted)) != 0 || strstr(error, cases[i].what) == NULL)
            fail_msg("%s, not %s%s", error, wanted, cases[i].what);
        assert_int_equal(ERR_peek_error(), 0); /* nothing left for an innocent connection to find */
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(versions),
        cmocka_unit_test(suites),
        cmocka_unit_test(protocols),
        cmocka_unit_test(renegotiation_is_refused),
        cmocka_unit_test(self_signed_certificate),
        cmocka_unit_test(self_signed_is_kept_while_it_is_good),
        cmocka_unit_test(self_signed_that_is_spoiled_is_made_anew),
        cmocka_unit_test(self_signed_is_there_without_a_place_to_keep_it),
        cmocka_unit_test(certificate_verifies),
        cmocka_unit_test(files),
        cmocka_unit_test(wrong_files),
    };
    return cmocka_run_group_tests(tests, make_files, remove_files);
}
