#include "edge/tls/context.h"

#include <errno.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>

#include "edge/tls/records.h"

/* Forward-secret AEAD suites for TLS 1.2; those of TLS 1.3 are all such. */
static const char tls12_ciphers[] = "ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256:"
                                    "ECDHE-ECDSA-CHACHA20-POLY1305:ECDHE-RSA-CHACHA20-POLY1305:"
                                    "ECDHE-ECDSA-AES256-GCM-SHA384:ECDHE-RSA-AES256-GCM-SHA384";

const char *tls_reason(void)
{
    unsigned long code = ERR_peek_last_error();
    ERR_clear_error();
    if (code == 0)
        return "no reason given";
    if (ERR_SYSTEM_ERROR(code))
        return strerror(ERR_GET_REASON(code));
    const char *reason = ERR_reason_error_string(code);
    return reason == NULL ? "no reason given" : reason;
}

/* RFC 7301: the first of ours that the client offers; without one in common, the handshake goes on without
 * ALPN and HTTP/1.1 is spoken. */
static int select_protocol(SSL *ssl, const unsigned char **out, unsigned char *out_length,
                           const unsigned char *offered, unsigned offered_length, void *data)
{
    (void)ssl;
    (void)data;
    static const unsigned char ours[] = "\x02h2\x08http/1.1";
    unsigned char *selected;
    if (SSL_select_next_proto(&selected, out_length, ours, sizeof(ours) - 1, offered, offered_length) !=
        OPENSSL_NPN_NEGOTIATED)
        return SSL_TLSEXT_ERR_NOACK;
    *out = selected;
    return SSL_TLSEXT_ERR_OK;
}

SSL_CTX *tls_new_context(char *error, size_t error_size)
{
    SSL_CTX *context = SSL_CTX_new(TLS_server_method());
    if (context == NULL || SSL_CTX_set_min_proto_version(context, TLS1_2_VERSION) != 1 ||
        SSL_CTX_set_cipher_list(context, tls12_ciphers) != 1) {
        snprintf(error, error_size, "TLS cannot be set up: %s", tls_reason());
        SSL_CTX_free(context);
        return NULL;
    }
    /* A client without AES hardware puts ChaCha20 first, and gets it. */
    SSL_CTX_set_options(context, SSL_OP_CIPHER_SERVER_PREFERENCE | SSL_OP_PRIORITIZE_CHACHA |
                                     SSL_OP_NO_COMPRESSION | SSL_OP_NO_RENEGOTIATION);
    SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF); /* tickets are what sessions resume by */
    SSL_CTX_set_mode(context, SSL_MODE_RELEASE_BUFFERS);         /* 34 KiB less for each idle connection */
    SSL_CTX_set_alpn_select_cb(context, select_protocol, NULL);
    tls_records_allow(context);
    return context;
}

/* Nobody is there to be asked for a passphrase: an encrypted key is an error, not a prompt. */
static int no_passphrase(char *buffer, int size, int writing, void *asked)
{
    (void)buffer;
    (void)size;
    (void)writing;
    *(bool *)asked = true;
    return -1;
}

static bool fail(char *error, size_t error_size, const tls_file_t *file, const char *what)
{
    snprintf(error, error_size, "%s %.200s: %s", file->called, file->path, what);
    ERR_clear_error();
    return false;
}

static bool use_certificates(SSL_CTX *context, FILE *stream, const tls_file_t *file, char *error,
                             size_t error_size)
{
    X509 *certificate = PEM_read_X509(stream, NULL, NULL, NULL);
    if (certificate == NULL) {
        bool none = ERR_GET_REASON(ERR_peek_last_error()) == PEM_R_NO_START_LINE;
        char what[256];
        snprintf(what, sizeof(what),
                 none ? "no certificate in it (PEM is read)" : "its certificate cannot be read: %s",
                 tls_reason());
        return fail(error, error_size, file, what);
    }
    bool used = SSL_CTX_use_certificate(context, certificate) == 1;
    X509_free(certificate);
    if (!used)
        return fail(error, error_size, file, tls_reason());
    while ((certificate = PEM_read_X509(stream, NULL, NULL, NULL)) != NULL) {
        if (SSL_CTX_add0_chain_cert(context, certificate) != 1) {
            X509_free(certificate);
            return fail(error, error_size, file, tls_reason());
        }
    }
    if (ERR_GET_REASON(ERR_peek_last_error()) != PEM_R_NO_START_LINE)
        return fail(error, error_size, file, "a certificate of its chain cannot be read");
    ERR_clear_error(); /* the end of the file is not an error */
    return true;
}

static bool use_key(SSL_CTX *context, FILE *stream, const tls_file_t *file, char *error, size_t error_size)
{
    bool asked = false;
    EVP_PKEY *key = PEM_read_PrivateKey(stream, NULL, no_passphrase, &asked);
    if (key == NULL && asked)
        return fail(error, error_size, file, "it is encrypted; a key without a passphrase is needed");
    if (key == NULL)
        return fail(error, error_size, file, "no private key in it (PEM is read)");
    bool used = SSL_CTX_use_PrivateKey(context, key) == 1 && SSL_CTX_check_private_key(context) == 1;
    EVP_PKEY_free(key);
    return used || fail(error, error_size, file, "it is not the key of the certificate");
}

typedef bool use_t(SSL_CTX *context, FILE *stream, const tls_file_t *file, char *error, size_t error_size);

static bool use_file(SSL_CTX *context, use_t *use, const tls_file_t *file, char *error, size_t error_size)
{
    FILE *stream = files_open(file->files, file->path);
    if (stream == NULL)
        return fail(error, error_size, file, strerror(errno));
    int first = fgetc(stream); /* a directory opens, and fails here */
    bool used;
    if (first == EOF && ferror(stream)) {
        used = fail(error, error_size, file, strerror(errno));
    } else {
        if (first != EOF)
            ungetc(first, stream);
        ERR_clear_error();
        used = use(context, stream, file, error, error_size);
    }
    fclose(stream);
    return used;
}

SSL_CTX *tls_server_context(const tls_file_t *certificate, const tls_file_t *key, char *error,
                            size_t error_size)
{
    SSL_CTX *context = tls_new_context(error, error_size);
    if (context == NULL)
        return NULL;
    if (use_file(context, use_certificates, certificate, error, error_size) &&
        use_file(context, use_key, key, error, error_size))
        return context;
    SSL_CTX_free(context);
    return NULL;
}
