#include "edge/tls/set.h"

#include <openssl/err.h>
#include <openssl/x509v3.h>

#include "edge/tls/attached.h"
#include "edge/tls/context.h"
#include "edge/tls/names.h"
#include "edge/tls/records.h"
#include "edge/tls/self_signed.h"
#include "edge/tls/staple.h"

enum { CALLED_MAX = 640 };

/* What belongs to the first certificate's context and goes with it. */
typedef struct {
    tls_names_t *names;
    size_t count;
    SSL_CTX *contexts[]; /* the first is the owner itself, and no reference */
} set_t;

/* --- A client is shown one --- */

static SSL_CTX *choose(const set_t *set, text_t host)
{
    unsigned certificate;
    return set->contexts[tls_names_find(set->names, host, &certificate) ? certificate : 0];
}

/* Before anything of the client's first message is acted upon: what resumes a session must know whose it is.
 */
static int on_hello(SSL *ssl, int *alert, void *argument)
{
    (void)alert;
    const unsigned char *bytes;
    size_t length;
    text_t host;
    tls_records_begin(ssl, TLS_RECORDS_MAX); /* without, OpenSSL encrypts */
    if (SSL_client_hello_get0_ext(ssl, TLSEXT_TYPE_server_name, &bytes, &length) == 1 &&
        tls_server_name((text_t){(const char *)bytes, length}, &host))
        SSL_set_SSL_CTX(ssl, choose(argument, host));
    return SSL_CLIENT_HELLO_SUCCESS;
}

/* RFC 6066 section 3: who used the name says so. */
static int on_server_name(SSL *ssl, int *alert, void *argument)
{
    (void)alert;
    const set_t *set = argument;
    const char *host = SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name);
    unsigned certificate;
    bool used = host != NULL && tls_names_find(set->names, text_of(host), &certificate);
    return used ? SSL_TLSEXT_ERR_OK : SSL_TLSEXT_ERR_NOACK;
}

/* --- Its life --- */

static void free_set(void *value)
{
    set_t *set = value;
    for (size_t i = 1; i < set->count; i++)
        SSL_CTX_free(set->contexts[i]);
    tls_names_free(&set->names);
    free(set);
}

static tls_attachment_t set_of_context = {.free = free_set};

/* --- It is made --- */

typedef struct {
    const settings_t *settings;
    files_t *files;
    tls_tickets_t *tickets;
    set_t *set;
    char *error;
    size_t capacity;
} making_t;

static tls_file_t file_of(const making_t *making, const settings_file_t *file, const char *option,
                          const char *key, char called[CALLED_MAX])
{
    if (file->line > 0)
        snprintf(called, CALLED_MAX, "%.500s:%zu:%zu: certificates[].%s", making->settings->file, file->line,
                 file->column, key);
    else
        snprintf(called, CALLED_MAX, "%s", option);
    return (tls_file_t){called, file->path, making->files};
}

static tls_file_t certificate_file(const making_t *making, size_t index, char called[CALLED_MAX])
{
    return file_of(making, &making->settings->certificates[index].certificate, "--cert", "cert", called);
}

static bool add_staple(making_t *making, size_t index, SSL_CTX *context)
{
    char called[CALLED_MAX];
    const settings_file_t *staple = &making->settings->certificates[index].staple;
    tls_file_t file = file_of(making, staple, "--ocsp-staple", "ocsp_staple", called);
    return staple->path == NULL || tls_staple(context, &file, making->error, making->capacity);
}

static SSL_CTX *read_one(making_t *making, size_t index)
{
    char cert_called[CALLED_MAX], key_called[CALLED_MAX];
    tls_file_t certificate = certificate_file(making, index, cert_called);
    tls_file_t key = file_of(making, &making->settings->certificates[index].key, "--key", "key", key_called);
    SSL_CTX *context = tls_server_context(&certificate, &key, making->error, making->capacity);
    if (context == NULL || add_staple(making, index, context))
        return context;
    SSL_CTX_free(context);
    return NULL;
}

static bool refuse(making_t *making, size_t index, const char *what)
{
    char called[CALLED_MAX];
    tls_file_t file = certificate_file(making, index, called);
    snprintf(making->error, making->capacity, "%s %.200s: %s", file.called, file.path, what);
    return false;
}

static bool refuse_name(making_t *making, size_t index, text_t name, unsigned other)
{
    char what[512];
    snprintf(what, sizeof what,
             "the certificate in %.200s has its name %.*s too; each name can be asked of one only",
             making->settings->certificates[other].certificate.path,
             (int)(name.length < TLS_NAME_MAX ? name.length : TLS_NAME_MAX), name.data);
    return refuse(making, index, what);
}

static bool add_names_of(making_t *making, size_t index, const GENERAL_NAMES *list, bool *usable)
{
    for (int i = 0; i < sk_GENERAL_NAME_num(list); i++) {
        int type;
        const ASN1_STRING *string = GENERAL_NAME_get0_value(sk_GENERAL_NAME_value(list, i), &type);
        if (type != GEN_DNS)
            continue;
        text_t name = {(const char *)ASN1_STRING_get0_data(string), (size_t)ASN1_STRING_length(string)};
        unsigned other;
        tls_name_t added = tls_names_add(making->set->names, name, (unsigned)index, &other);
        if (added == TLS_NAME_TAKEN)
            return refuse_name(making, index, name, other);
        *usable = *usable || added == TLS_NAME_ADDED;
    }
    return true;
}

static bool add_names(making_t *making, size_t index)
{
    const X509 *certificate = SSL_CTX_get0_certificate(making->set->contexts[index]);
    GENERAL_NAMES *list = X509_get_ext_d2i(certificate, NID_subject_alt_name, NULL, NULL);
    bool usable = false, good = add_names_of(making, index, list, &usable);
    GENERAL_NAMES_free(list);
    ERR_clear_error();
    if (good && !usable && index > 0)
        return refuse(making, index,
                      "it has no DNS name (subject alternative name) that a client could ask for, and "
                      "only the first certificate is shown to others");
    return good;
}

static bool add_one(making_t *making, SSL_CTX *context)
{
    size_t index = making->set->count++;
    making->set->contexts[index] = context;
    if (tls_tickets_use(making->tickets, context))
        return add_names(making, index);
    snprintf(making->error, making->capacity, "TLS cannot be set up: %s", tls_reason());
    return false;
}

static void ask_for_names(set_t *set)
{
    SSL_CTX_set_client_hello_cb(set->contexts[0], on_hello, set);
    for (size_t i = 0; i < set->count; i++) {
        SSL_CTX_set_tlsext_servername_callback(set->contexts[i], on_server_name);
        SSL_CTX_set_tlsext_servername_arg(set->contexts[i], set);
    }
}

/* Gives the set to its first context, or ends both. */
static SSL_CTX *conclude(making_t *making, bool good)
{
    set_t *set = making->set;
    SSL_CTX *first = set->count > 0 ? set->contexts[0] : NULL;
    MUST(first == NULL || tls_attach(first, &set_of_context, set));
    if (first == NULL)
        free_set(set);
    if (good) {
        ask_for_names(set);
        return first;
    }
    SSL_CTX_free(first);
    return NULL;
}

static void begin(making_t *making, size_t count)
{
    making->set = must_calloc(1, sizeof *making->set + count * sizeof making->set->contexts[0]);
    making->set->names = tls_names_new();
}

SSL_CTX *tls_set_new(const settings_t *settings, files_t *files, tls_tickets_t *tickets, char *error,
                     size_t capacity)
{
    MUST(settings->certificate_count > 0);
    making_t making = {settings, files, tickets, NULL, error, capacity};
    begin(&making, settings->certificate_count);
    bool good = true;
    for (size_t i = 0; good && i < settings->certificate_count; i++) {
        SSL_CTX *context = read_one(&making, i);
        good = context != NULL && add_one(&making, context);
    }
    return conclude(&making, good);
}

SSL_CTX *tls_set_self_signed(const char *path, tls_tickets_t *tickets, char *error, size_t capacity)
{
    making_t making = {.tickets = tickets, .error = error, .capacity = capacity};
    begin(&making, 1);
    SSL_CTX *context = tls_self_signed_context(path, time(NULL), error, capacity);
    return conclude(&making, context != NULL && add_one(&making, context));
}

bool tls_set_needed(const settings_t *settings)
{
    bool needed = settings->admin.https;
    for (size_t i = 0; i < settings->listener_count; i++)
        needed = needed || settings->listeners[i].https;
    return needed;
}
