/* For tests of TLS: OpenSSL's own client and a server of ours, in memory. */
#ifndef SELVEDGE_TESTS_UNIT_TLS_PAIR_H
#define SELVEDGE_TESTS_UNIT_TLS_PAIR_H

#include <openssl/err.h>
#include <openssl/ssl.h>

/* A client and a server over a pair of memory BIOs. */
typedef struct {
    SSL_CTX *client_context;
    SSL *client, *server;
    bool connected;
} pair_t;

/* host: the name that the client asks for, or NULL; session: one to resume, or NULL. */
static inline pair_t handshake_as(SSL_CTX *context, int max_version, int min_version, const char *protocols,
                                  const char *host, SSL_SESSION *session)
{
    pair_t pair = {.client_context = SSL_CTX_new(TLS_client_method())};
    SSL_CTX_set_security_level(pair.client_context, 0); /* so that TLS 1.0 is offered at all */
    SSL_CTX_set_min_proto_version(pair.client_context, min_version);
    SSL_CTX_set_max_proto_version(pair.client_context, max_version);
    pair.client = SSL_new(pair.client_context);
    pair.server = SSL_new(context);
    BIO *client_end, *server_end;
    assert_int_equal(BIO_new_bio_pair(&client_end, 0, &server_end, 0), 1);
    SSL_set_bio(pair.client, client_end, client_end);
    SSL_set_bio(pair.server, server_end, server_end);
    SSL_set_connect_state(pair.client);
    SSL_set_accept_state(pair.server);
    if (protocols != NULL)
        SSL_set_alpn_protos(pair.client, (const unsigned char *)protocols, (unsigned)strlen(protocols));
    if (host != NULL)
        SSL_set_tlsext_host_name(pair.client, host);
    if (session != NULL)
        SSL_set_session(pair.client, session);
    for (int i = 0; i != 20; ++i) {
        SSL_do_handshake(pair.client);
        SSL_do_handshake(pair.server);
    }
    char byte;
    SSL_read(pair.client, &byte, 1); /* TLS 1.3: takes the session tickets */
    pair.connected = SSL_is_init_finished(pair.client) && SSL_is_init_finished(pair.server);
    ERR_clear_error();
    return pair;
}

static inline pair_t handshake(SSL_CTX *context, int max_version, int min_version, const char *protocols)
{
    return handshake_as(context, max_version, min_version, protocols, NULL, NULL);
}

static inline void hang_up(pair_t *pair)
{
    SSL_shutdown(pair->client); /* a session whose connection was cut is not resumed */
    SSL_shutdown(pair->server);
    SSL_free(pair->client);
    SSL_free(pair->server);
    SSL_CTX_free(pair->client_context);
    ERR_clear_error();
}

#endif
