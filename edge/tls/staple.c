#include "edge/tls/staple.h"

#include <errno.h>
#include <openssl/err.h>
#include <openssl/ocsp.h>
#include <time.h>

#include "edge/tls/attached.h"

enum { CLOCK_SKEW_S = 300 };

typedef struct {
    time_t until; /* the authority will know better by then */
    bool expires;
    size_t length;
    uint8_t bytes[];
} staple_t;

/* --- Shown --- */

static int show(SSL *ssl, void *argument)
{
    const staple_t *staple = argument;
    if (staple->expires && time(NULL) >= staple->until)
        return SSL_TLSEXT_ERR_NOACK;
    void *copy = OPENSSL_memdup(staple->bytes, staple->length); /* OpenSSL frees it with the connection */
    if (copy == NULL)
        return SSL_TLSEXT_ERR_NOACK;
    SSL_set_tlsext_status_ocsp_resp(ssl, copy, (long)staple->length);
    return SSL_TLSEXT_ERR_OK;
}

static bool give_to(SSL_CTX *context, staple_t *staple)
{
    static tls_attachment_t kind = {.free = free};
    return tls_attach(context, &kind, staple) && SSL_CTX_set_tlsext_status_arg(context, staple) == 1 &&
           SSL_CTX_set_tlsext_status_cb(context, show) == 1;
}

/* --- Read and judged --- */

static staple_t *read_file(const tls_file_t *file, const char **why)
{
    FILE *stream = files_open(file->files, file->path);
    if (stream == NULL) {
        *why = strerror(errno);
        return NULL;
    }
    staple_t *staple = must_calloc(1, sizeof *staple + STAPLE_BYTES_MAX + 1);
    staple->length = fread(staple->bytes, 1, STAPLE_BYTES_MAX + 1, stream);
    *why = ferror(stream)                      ? strerror(errno)
           : staple->length > STAPLE_BYTES_MAX ? "it is larger than 16 KiB, and no OCSP response"
                                               : NULL;
    fclose(stream);
    if (*why == NULL)
        return staple;
    free(staple);
    return NULL;
}

static bool time_of(const ASN1_GENERALIZEDTIME *when, time_t *time_s)
{
    struct tm parts;
    if (ASN1_TIME_to_tm(when, &parts) != 1)
        return false;
    *time_s = timegm(&parts);
    return true;
}

/* The authority may answer for several certificates at once; serial numbers are its own. */
static OCSP_SINGLERESP *answer_for(OCSP_BASICRESP *basic, X509 *certificate)
{
    for (int i = 0; i < OCSP_resp_count(basic); i++) {
        OCSP_SINGLERESP *single = OCSP_resp_get0(basic, i);
        ASN1_INTEGER *serial;
        OCSP_id_get0_info(NULL, NULL, NULL, &serial, (OCSP_CERTID *)OCSP_SINGLERESP_get0_id(single));
        if (ASN1_INTEGER_cmp(serial, X509_get0_serialNumber(certificate)) == 0)
            return single;
    }
    return NULL;
}

/* NULL when it may be shown until staple->until. */
static const char *judge_answer(OCSP_SINGLERESP *single, staple_t *staple)
{
    ASN1_GENERALIZEDTIME *from, *until;
    time_t from_s;
    if (single == NULL)
        return "it does not speak of the certificate";
    if (OCSP_single_get0_status(single, NULL, NULL, &from, &until) != V_OCSP_CERTSTATUS_GOOD)
        return "it does not say that the certificate is good";
    if (!time_of(from, &from_s) || from_s > time(NULL) + CLOCK_SKEW_S)
        return "it is from the future";
    staple->expires = until != NULL;
    return until == NULL || time_of(until, &staple->until) ? NULL : "its end cannot be read";
}

static const char *judge(SSL_CTX *context, staple_t *staple)
{
    const unsigned char *at = staple->bytes;
    OCSP_RESPONSE *response = d2i_OCSP_RESPONSE(NULL, &at, (long)staple->length);
    if (response == NULL)
        return "no OCSP response in it (DER is read)";
    OCSP_BASICRESP *basic = OCSP_response_status(response) == OCSP_RESPONSE_STATUS_SUCCESSFUL
                                ? OCSP_response_get1_basic(response)
                                : NULL;
    const char *why = basic == NULL
                          ? "the authority gave no answer in it"
                          : judge_answer(answer_for(basic, SSL_CTX_get0_certificate(context)), staple);
    OCSP_BASICRESP_free(basic);
    OCSP_RESPONSE_free(response);
    return why;
}

bool tls_staple(SSL_CTX *context, const tls_file_t *file, char *error, size_t error_size)
{
    const char *why;
    staple_t *staple = read_file(file, &why);
    if (staple != NULL && (why = judge(context, staple)) == NULL) {
        if (staple->expires && staple->until <= time(NULL))
            fprintf(stderr, "selvedge: %s %s: its time is over, and it is not shown\n", file->called,
                    file->path);
        if (give_to(context, staple))
            return true;
        why = "out of memory";
        staple = NULL;
    }
    free(staple);
    ERR_clear_error();
    snprintf(error, error_size, "%s %s: %s", file->called, file->path, why);
    return false;
}
