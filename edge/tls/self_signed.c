#include "edge/tls/self_signed.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <sys/stat.h>
#include <unistd.h>

#include "edge/tls/context.h"

static bool add_extension(X509 *certificate, int nid, const char *value)
{
    X509V3_CTX context;
    X509V3_set_ctx(&context, certificate, certificate, NULL, NULL, 0);
    X509_EXTENSION *extension = X509V3_EXT_conf_nid(NULL, &context, nid, value);
    bool added = extension != NULL && X509_add_ext(certificate, extension, -1) == 1;
    X509_EXTENSION_free(extension);
    return added;
}

/* 127 random bits: serial numbers are positive, and two certificates of one issuer must differ in them. */
static bool set_serial(X509 *certificate)
{
    BIGNUM *number = BN_new();
    bool set = number != NULL && BN_rand(number, 127, BN_RAND_TOP_ONE, BN_RAND_BOTTOM_ANY) == 1 &&
               BN_to_ASN1_INTEGER(number, X509_get_serialNumber(certificate)) != NULL;
    BN_free(number);
    return set;
}

/* The start lies an hour back, for clients whose clocks do. */
static bool fill_in(X509 *certificate, EVP_PKEY *key)
{
    enum { HOUR_S = 3600, YEAR_S = 365 * 24 * HOUR_S };
    static const unsigned char name[] = "localhost";
    X509_NAME *subject = X509_get_subject_name(certificate);
    return X509_set_version(certificate, X509_VERSION_3) == 1 && set_serial(certificate) &&
           X509_gmtime_adj(X509_getm_notBefore(certificate), -HOUR_S) != NULL &&
           X509_gmtime_adj(X509_getm_notAfter(certificate), YEAR_S) != NULL &&
           X509_set_pubkey(certificate, key) == 1 &&
           X509_NAME_add_entry_by_txt(subject, "CN", MBSTRING_ASC, name, -1, -1, 0) == 1 &&
           X509_set_issuer_name(certificate, subject) == 1 &&
           add_extension(certificate, NID_subject_key_identifier, "hash") &&
           add_extension(certificate, NID_basic_constraints, "critical,CA:FALSE") &&
           add_extension(certificate, NID_key_usage, "critical,digitalSignature") &&
           add_extension(certificate, NID_ext_key_usage, "serverAuth") &&
           add_extension(certificate, NID_subject_alt_name, "DNS:localhost,IP:127.0.0.1,IP:::1") &&
           X509_sign(certificate, key, EVP_sha256()) > 0;
}

typedef struct {
    X509 *certificate;
    EVP_PKEY *key;
} pair_t;

static void free_pair(pair_t *pair)
{
    X509_free(pair->certificate);
    EVP_PKEY_free(pair->key);
    *pair = (pair_t){NULL, NULL};
}

static bool make(pair_t *pair)
{
    *pair = (pair_t){X509_new(), EVP_EC_gen("P-256")};
    return pair->certificate != NULL && pair->key != NULL && fill_in(pair->certificate, pair->key);
}

/* --- Kept --- */

/* A key that others could have read or put there is none. */
static FILE *open_own(const char *path)
{
    struct stat found;
    int fd = open(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    if (fd < 0)
        return NULL;
    bool ours = fstat(fd, &found) == 0 && S_ISREG(found.st_mode) && found.st_uid == geteuid() &&
                (found.st_mode & (S_IRWXG | S_IRWXO)) == 0;
    FILE *file = ours ? fdopen(fd, "r") : NULL;
    if (file == NULL)
        close(fd);
    return file;
}

/* Clients would soon refuse it, or do not take it yet, as after a clock was wrong. */
static bool is_in_time(const X509 *certificate, time_t now_s)
{
    time_t later_s = now_s + SELF_SIGNED_LEFT_S;
    return X509_cmp_time(X509_get0_notBefore(certificate), &now_s) < 0 &&
           X509_cmp_time(X509_get0_notAfter(certificate), &later_s) > 0;
}

static bool read_pair(const char *path, time_t now_s, pair_t *pair)
{
    FILE *file = open_own(path);
    *pair = (pair_t){NULL, NULL};
    if (file == NULL)
        return false;
    pair->key = PEM_read_PrivateKey(file, NULL, NULL, (void *)""); /* an encrypted one is not ours */
    pair->certificate = PEM_read_X509(file, NULL, NULL, NULL);
    fclose(file);
    return pair->key != NULL && pair->certificate != NULL &&
           X509_check_private_key(pair->certificate, pair->key) == 1 && is_in_time(pair->certificate, now_s);
}

/* Beside its place first: who opens the file finds a whole one. */
static bool write_pair(const char *path, const pair_t *pair)
{
    char beside[PATH_MAX];
    if (snprintf(beside, sizeof beside, "%s.new", path) >= (int)sizeof beside) {
        errno = ENAMETOOLONG;
        return false;
    }
    unlink(beside);
    int fd = open(beside, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, S_IRUSR | S_IWUSR);
    FILE *file = fd >= 0 ? fdopen(fd, "w") : NULL;
    if (file == NULL) {
        if (fd >= 0)
            close(fd);
        return false;
    }
    bool good = PEM_write_PrivateKey(file, pair->key, NULL, NULL, 0, NULL, NULL) == 1 &&
                PEM_write_X509(file, pair->certificate) == 1 && fflush(file) == 0 && fsync(fd) == 0;
    return fclose(file) == 0 && good && rename(beside, path) == 0;
}

static bool take_pair(const char *path, time_t now_s, pair_t *pair)
{
    if (path != NULL && read_pair(path, now_s, pair))
        return true;
    free_pair(pair);
    if (!make(pair))
        return false;
    if (path != NULL && !write_pair(path, pair))
        fprintf(
            stderr,
            "selvedge: %s cannot be written: %s; the next start will have another self-signed certificate\n",
            path, strerror(errno));
    return true;
}

SSL_CTX *tls_self_signed_context(const char *path, time_t now_s, char *error, size_t error_size)
{
    SSL_CTX *context = tls_new_context(error, error_size);
    if (context == NULL)
        return NULL;
    pair_t pair = {NULL, NULL};
    bool made = take_pair(path, now_s, &pair) && SSL_CTX_use_certificate(context, pair.certificate) == 1 &&
                SSL_CTX_use_PrivateKey(context, pair.key) == 1;
    free_pair(&pair);
    if (made) {
        ERR_clear_error(); /* of a file that was not as it should be */
        return context;
    }
    snprintf(error, error_size, "a certificate for localhost cannot be made: %s", tls_reason());
    SSL_CTX_free(context);
    return NULL;
}
