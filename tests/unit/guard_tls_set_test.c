/* Several certificates: which a client is shown, and whose tickets resume. By handshakes in memory. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <openssl/pem.h>
#include <openssl/x509v3.h>

#include "edge/tls/set.h"
#include "tests/unit/tls_pair.h"

static char directory[] = "/tmp/selvedge-set-XXXXXX";
static char error[1024];
static settings_t settings;
static int64_t now;

static int64_t now_s(void)
{
    return now;
}

/* --- Certificates of names, as files --- */

static const char *path_of(const char *name, const char *suffix)
{
    static char paths[16][128];
    static unsigned next;
    char *path = paths[next++ % 16];
    snprintf(path, sizeof paths[0], "%s/%s.%s", directory, name, suffix);
    return path;
}

static void add_names(X509 *certificate, const char *names)
{
    X509_EXTENSION *extension = X509V3_EXT_conf_nid(NULL, NULL, NID_subject_alt_name, names);
    assert_non_null(extension);
    assert_int_equal(X509_add_ext(certificate, extension, -1), 1);
    X509_EXTENSION_free(extension);
}

/* name: its files', and its common name; names: what the alternative names are, or NULL. */
static void make(const char *name, const char *names)
{
    EVP_PKEY *key = EVP_EC_gen("P-256");
    X509 *certificate = X509_new();
    X509_set_version(certificate, X509_VERSION_3);
    X509_gmtime_adj(X509_getm_notBefore(certificate), 0);
    X509_gmtime_adj(X509_getm_notAfter(certificate), 3600);
    X509_set_pubkey(certificate, key);
    X509_NAME_add_entry_by_txt(X509_get_subject_name(certificate), "CN", MBSTRING_ASC,
                               (const unsigned char *)name, -1, -1, 0);
    X509_set_issuer_name(certificate, X509_get_subject_name(certificate));
    if (names != NULL)
        add_names(certificate, names);
    assert_true(X509_sign(certificate, key, EVP_sha256()) > 0);
    FILE *file = fopen(path_of(name, "pem"), "w");
    assert_int_equal(PEM_write_X509(file, certificate), 1);
    fclose(file);
    file = fopen(path_of(name, "key"), "w");
    assert_int_equal(PEM_write_PrivateKey(file, key, NULL, NULL, 0, NULL, NULL), 1);
    fclose(file);
    X509_free(certificate);
    EVP_PKEY_free(key);
}

static int make_files(void **state)
{
    (void)state;
    assert_non_null(mkdtemp(directory));
    make("first", "DNS:first.example,DNS:www.first.example");
    make("wild", "DNS:wild.example,DNS:*.wild.example,IP:127.0.0.1");
    make("exact", "DNS:Exact.Wild.example");
    make("again", "DNS:other.example,DNS:WWW.first.example");
    make("none", NULL);
    make("address", "IP:127.0.0.1,DNS:f*.example,DNS:*");
    return 0;
}

static int remove_files(void **state)
{
    (void)state;
    char command[128];
    snprintf(command, sizeof command, "rm -r %s", directory);
    return system(command);
}

/* --- Sets --- */

/* As a file would say it whose line 10 has the first certificate. */
static void say(size_t index, const char *certificate, const char *key)
{
    settings.file = "/selvedge.yaml";
    settings.certificates[index] = (settings_certificate_t){
        .certificate = {path_of(certificate, "pem"), 10 + 2 * index, 9},
        .key = {path_of(key, "key"), 11 + 2 * index, 8},
    };
    settings.certificate_count = index + 1;
}

static SSL_CTX *set_of(tls_tickets_t *tickets, const char *const *names, size_t count)
{
    for (size_t i = 0; i < count; i++)
        say(i, names[i], names[i]);
    return tls_set_new(&settings, NULL, tickets, error, sizeof error);
}

static SSL_CTX *three(tls_tickets_t *tickets)
{
    static const char *const names[] = {"first", "wild", "exact"};
    SSL_CTX *set = set_of(tickets, names, 3);
    assert_non_null(set);
    return set;
}

static const char *shown(SSL_CTX *set, const char *host, int version)
{
    static char name[64];
    pair_t pair = handshake_as(set, version, version, NULL, host, NULL);
    assert_true(pair.connected);
    X509_NAME_get_text_by_NID(X509_get_subject_name(SSL_get0_peer_certificate(pair.client)), NID_commonName,
                              name, sizeof name);
    hang_up(&pair);
    return name;
}

static void each_name_has_its_certificate(void **state)
{
    (void)state;
    static const char *const cases[][2] = {{"first.example", "first"},
                                           {"www.first.example", "first"},
                                           {"WWW.First.Example", "first"},
                                           {"wild.example", "wild"},
                                           {"a.wild.example", "wild"},
                                           {"xn--a-0ga.wild.example", "wild"},
                                           {"exact.wild.example", "exact"},
                                           {"a.b.wild.example", "first"},
                                           {"x.first.example", "first"},
                                           {"unknown.example", "first"},
                                           {"*.wild.example", "first"},
                                           {"example", "first"},
                                           {NULL, "first"},
                                           {".wild.example", "first"},
                                           {"a.wild.example.", "wild"}};
    tls_tickets_t *tickets = tls_tickets_new(now_s);
    SSL_CTX *set = three(tickets);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        for (int version = TLS1_2_VERSION; version <= TLS1_3_VERSION; version++)
            if (strcmp(shown(set, cases[i][0], version), cases[i][1]) != 0)
                fail_msg("%s: %s, not %s", cases[i][0], shown(set, cases[i][0], version), cases[i][1]);
    SSL_CTX_free(set);
    tls_tickets_unref(&tickets);
}

static void every_certificate_speaks_alike(void **state)
{
    (void)state;
    tls_tickets_t *tickets = tls_tickets_new(now_s);
    SSL_CTX *set = three(tickets);
    pair_t pair = handshake_as(set, TLS1_3_VERSION, TLS1_2_VERSION, "\x02h2", "wild.example", NULL);
    const unsigned char *protocol;
    unsigned length;
    SSL_get0_alpn_selected(pair.client, &protocol, &length);
    assert_int_equal(length, 2);
    hang_up(&pair);
    pair = handshake_as(set, TLS1_1_VERSION, TLS1_1_VERSION, NULL, "wild.example", NULL);
    assert_false(pair.connected);
    hang_up(&pair);
    SSL_CTX_free(set);
    tls_tickets_unref(&tickets);
}

/* --- Tickets --- */

static SSL_SESSION *session_of(SSL_CTX *set, const char *host, int version)
{
    pair_t pair = handshake_as(set, version, version, NULL, host, NULL);
    assert_true(pair.connected);
    assert_false(SSL_session_reused(pair.client));
    SSL_SESSION *session = SSL_get1_session(pair.client);
    assert_true(SSL_SESSION_has_ticket(session));
    hang_up(&pair);
    return session;
}

static bool resumes(SSL_CTX *set, const char *host, int version, SSL_SESSION *session)
{
    SSL_SESSION *copy = SSL_SESSION_dup(session);
    pair_t pair = handshake_as(set, version, version, NULL, host, copy);
    assert_true(pair.connected); /* by a full handshake, if need be */
    bool reused = SSL_session_reused(pair.client) == 1;
    assert_int_equal(SSL_session_reused(pair.server), reused);
    hang_up(&pair);
    SSL_SESSION_free(copy);
    return reused;
}

/* Calls it with both versions, each with tickets and a set of its own. */
static void with_both(void (*test)(tls_tickets_t *tickets, SSL_CTX *set, int version))
{
    for (int version = TLS1_2_VERSION; version <= TLS1_3_VERSION; version++) {
        now = 1000;
        tls_tickets_t *tickets = tls_tickets_new(now_s);
        SSL_CTX *set = three(tickets);
        test(tickets, set, version);
        SSL_CTX_free(set);
        tls_tickets_unref(&tickets);
    }
}

static void resume_by_name(tls_tickets_t *tickets, SSL_CTX *set, int version)
{
    (void)tickets;
    static const char *const hosts[] = {NULL, "first.example", "wild.example", "exact.wild.example"};
    for (size_t i = 0; i < sizeof hosts / sizeof *hosts; i++) {
        SSL_SESSION *session = session_of(set, hosts[i], version);
        assert_true(resumes(set, hosts[i], version, session));
        SSL_SESSION_free(session);
    }
}

static void sessions_resume(void **state)
{
    (void)state;
    with_both(resume_by_name);
}

static void resume_elsewhere(tls_tickets_t *tickets, SSL_CTX *set, int version)
{
    (void)tickets;
    static const char *const hosts[] = {"first.example", "wild.example", "exact.wild.example"};
    for (size_t i = 0; i < 3; i++) {
        SSL_SESSION *session = session_of(set, hosts[i], version);
        for (size_t j = 0; j < 3; j++)
            assert_int_equal(resumes(set, hosts[j], version, session), i == j);
        SSL_SESSION_free(session);
    }
}

static void a_ticket_resumes_under_its_own_certificate_only(void **state)
{
    (void)state;
    with_both(resume_elsewhere);
}

static void resume_later(tls_tickets_t *tickets, SSL_CTX *set, int version)
{
    (void)tickets;
    SSL_SESSION *session = session_of(set, "wild.example", version);
    now += TICKETS_PERIOD_S;
    assert_true(resumes(set, "wild.example", version, session));
    SSL_SESSION *fresh = session_of(set, "wild.example", version);
    now += TICKETS_PERIOD_S;
    assert_false(resumes(set, "wild.example", version, session));
    assert_true(resumes(set, "wild.example", version, fresh));
    now += 5 * TICKETS_PERIOD_S;
    assert_false(resumes(set, "wild.example", version, fresh));
    SSL_SESSION_free(fresh);
    SSL_SESSION_free(session);
}

static void keys_last_for_their_day_and_the_next(void **state)
{
    (void)state;
    with_both(resume_later);
}

static void resume_under_the_next_set(tls_tickets_t *tickets, SSL_CTX *set, int version)
{
    SSL_SESSION *kept = session_of(set, "wild.example", version);
    SSL_SESSION *gone = session_of(set, "first.example", version);
    static const char *const names[] = {"wild"};
    SSL_CTX *next = set_of(tickets, names, 1);
    assert_true(resumes(next, "wild.example", version, kept));
    assert_false(resumes(next, "first.example", version, gone));
    SSL_CTX_free(next);
    tls_tickets_t *others = tls_tickets_new(now_s);
    next = three(others);
    assert_false(resumes(next, "wild.example", version, kept)); /* another process */
    SSL_CTX_free(next);
    tls_tickets_unref(&others);
    SSL_SESSION_free(gone);
    SSL_SESSION_free(kept);
}

static void tickets_outlive_the_set(void **state)
{
    (void)state;
    with_both(resume_under_the_next_set);
}

/* A connection that is there when the set is replaced goes on. */
static void a_connection_keeps_its_set(void **state)
{
    (void)state;
    tls_tickets_t *tickets = tls_tickets_new(now_s);
    SSL_CTX *set = three(tickets);
    pair_t pair = handshake_as(set, TLS1_3_VERSION, TLS1_3_VERSION, NULL, "wild.example", NULL);
    SSL_CTX_free(set);
    char byte = 0;
    assert_int_equal(SSL_write(pair.server, "x", 1), 1);
    assert_int_equal(SSL_read(pair.client, &byte, 1), 1);
    assert_int_equal(byte, 'x');
    hang_up(&pair);
    tls_tickets_unref(&tickets);
}

/* --- What is wrong --- */

static void refuse(size_t count, const char *wanted)
{
    tls_tickets_t *tickets = tls_tickets_new(now_s);
    settings.certificate_count = count;
    assert_null(tls_set_new(&settings, NULL, tickets, error, sizeof error));
    char expected[512];
    snprintf(expected, sizeof expected, wanted, directory, directory);
    assert_string_equal(error, expected);
    assert_int_equal(ERR_peek_error(), 0);
    tls_tickets_unref(&tickets);
}

static void what_cannot_be_is_told_with_its_place(void **state)
{
    (void)state;
    say(0, "first", "first");
    say(1, "wild", "first");
    refuse(2, "/selvedge.yaml:13:8: certificates[].key %s/first.key: it is not the key of the certificate");
    say(1, "missing", "wild");
    refuse(2, "/selvedge.yaml:12:9: certificates[].cert %s/missing.pem: No such file or directory");
    say(1, "again", "again");
    refuse(2,
           "/selvedge.yaml:12:9: certificates[].cert %s/again.pem: the certificate in %s/first.pem has its "
           "name WWW.first.example too; each name can be asked of one only");
    say(1, "none", "none");
    refuse(2, "/selvedge.yaml:12:9: certificates[].cert %s/none.pem: it has no DNS name (subject alternative "
              "name) that a client could ask for, and only the first certificate is shown to others");
    say(1, "address", "address");
    refuse(2,
           "/selvedge.yaml:12:9: certificates[].cert %s/address.pem: it has no DNS name (subject alternative "
           "name) that a client could ask for, and only the first certificate is shown to others");
    say(0, "missing", "first");
    settings.certificates[0].certificate.line = 0; /* as by an option */
    refuse(1, "--cert %s/missing.pem: No such file or directory");
}

static void the_first_needs_no_name(void **state)
{
    (void)state;
    static const char *const names[] = {"none", "wild"};
    tls_tickets_t *tickets = tls_tickets_new(now_s);
    SSL_CTX *set = set_of(tickets, names, 2);
    assert_non_null(set);
    assert_string_equal(shown(set, "a.example", TLS1_3_VERSION), "none");
    assert_string_equal(shown(set, "a.wild.example", TLS1_3_VERSION), "wild");
    SSL_CTX_free(set);
    tls_tickets_unref(&tickets);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_name_has_its_certificate),
        cmocka_unit_test(every_certificate_speaks_alike),
        cmocka_unit_test(sessions_resume),
        cmocka_unit_test(a_ticket_resumes_under_its_own_certificate_only),
        cmocka_unit_test(keys_last_for_their_day_and_the_next),
        cmocka_unit_test(tickets_outlive_the_set),
        cmocka_unit_test(a_connection_keeps_its_set),
        cmocka_unit_test(what_cannot_be_is_told_with_its_place),
        cmocka_unit_test(the_first_needs_no_name),
    };
    return cmocka_run_group_tests(tests, make_files, remove_files);
}
