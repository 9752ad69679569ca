#include "edge/tls/records.h"

#include <linux/tls.h>

#include "edge/tls/record_cipher.h"

enum { RECORDS_MAGIC = 0x5e1ec0d };
enum { HEADER_BYTES = 5, TYPE_BYTES = 1, TAG_BYTES = RECORD_TAG_BYTES, NONCE_BYTES = RECORD_NONCE_BYTES };
enum { HANDSHAKE = 22, APPLICATION_DATA = 23, KEY_UPDATE = 24 };

/* OpenSSL has these in a header of its own (internal/bio.h); bio.h keeps their numbers free. */
enum { SET_KEYS = 72, SET_TYPE = 74, CLEAR_TYPE = 75 };

_Static_assert(HEADER_BYTES + TYPE_BYTES + TAG_BYTES == TLS_RECORD_OVERHEAD, "RFC 8446 section 5.2");

typedef struct {
    uint32_t magic;
    uint8_t type;            /* of what OpenSSL writes next */
    BIO *under;              /* takes what has been encrypted; a reference */
    record_cipher_t *cipher; /* NULL: OpenSSL encrypts */
    uint8_t iv[NONCE_BYTES];
    uint64_t sequence, records_max;
} records_t;

static BIO_METHOD *method;
static int method_type;

/* NULL: another BIO. While OpenSSL shakes hands its own buffer is in front. */
static records_t *records_of(SSL *ssl)
{
    BIO *bio = SSL_get_wbio(ssl);
    if (bio == NULL || BIO_method_type(bio) != method_type)
        return NULL;
    records_t *records = BIO_get_data(bio);
    MUST_BE(records, RECORDS_MAGIC);
    return records;
}

/* --- Keys --- */

static bool use(records_t *records, record_aead_t aead, const uint8_t *key)
{
    records->cipher = record_cipher_new(aead, key);
    return records->cipher != NULL;
}

static void forget_keys(records_t *records)
{
    record_cipher_free(&records->cipher);
    OPENSSL_cleanse(records->iv, sizeof records->iv);
}

static void set_start(records_t *records, const void *salt, size_t salt_length, const void *iv,
                      const unsigned char sequence[8])
{
    if (salt_length > 0)
        memcpy(records->iv, salt, salt_length);
    memcpy(records->iv + salt_length, iv, NONCE_BYTES - salt_length);
    records->sequence = 0;
    for (size_t i = 0; i < 8; i++)
        records->sequence = records->sequence << 8 | sequence[i];
}

/* `info`: one of the structures of linux/tls.h, which begin alike. False leaves encrypting to OpenSSL. */
static bool take_keys(records_t *records, const void *info)
{
    const struct tls_crypto_info *any = info;
    if (any->version != TLS_1_3_VERSION || records->cipher != NULL)
        return false;
    switch (any->cipher_type) {
    case TLS_CIPHER_AES_GCM_128: {
        const struct tls12_crypto_info_aes_gcm_128 *aes = info;
        set_start(records, aes->salt, sizeof aes->salt, aes->iv, aes->rec_seq);
        return use(records, RECORD_AES_128_GCM, aes->key);
    }
    case TLS_CIPHER_AES_GCM_256: {
        const struct tls12_crypto_info_aes_gcm_256 *aes = info;
        set_start(records, aes->salt, sizeof aes->salt, aes->iv, aes->rec_seq);
        return use(records, RECORD_AES_256_GCM, aes->key);
    }
    case TLS_CIPHER_CHACHA20_POLY1305: {
        const struct tls12_crypto_info_chacha20_poly1305 *chacha = info;
        set_start(records, NULL, 0, chacha->iv, chacha->rec_seq);
        return use(records, RECORD_CHACHA20_POLY1305, chacha->key);
    }
    default:
        return false;
    }
}

/* --- One record --- */

/* RFC 8446 section 5.3. */
static void make_nonce(records_t *records, uint8_t nonce[NONCE_BYTES])
{
    memcpy(nonce, records->iv, NONCE_BYTES);
    for (unsigned i = 0; i < 8; i++)
        nonce[NONCE_BYTES - 1 - i] ^= (uint8_t)(records->sequence >> (8 * i));
    records->sequence++;
}

/* Its header, for so many bytes to come; the place of the first of them, or NULL. */
static uint8_t *begin_record(records_t *records, size_t length, uint8_t *out)
{
    size_t rest = length + TYPE_BYTES + TAG_BYTES;
    uint8_t nonce[NONCE_BYTES];
    make_nonce(records, nonce);
    out[0] = APPLICATION_DATA;
    out[1] = out[2] = 3; /* the version, as it always is */
    out[3] = (uint8_t)(rest >> 8);
    out[4] = (uint8_t)rest;
    return record_cipher_begin(records->cipher, nonce, out, HEADER_BYTES) ? out + HEADER_BYTES : NULL;
}

static uint8_t *add(records_t *records, const void *bytes, size_t length, uint8_t *out)
{
    return out == NULL || length == 0 ? out : record_cipher_add(records->cipher, bytes, length, out);
}

/* The end of the record, or NULL. */
static uint8_t *end_record(records_t *records, uint8_t type, uint8_t *out)
{
    out = add(records, &type, TYPE_BYTES, out);
    return out != NULL && record_cipher_end(records->cipher, out) ? out + TAG_BYTES : NULL;
}

/* --- What the application sends --- */

static bool waits_for_keys(SSL *ssl)
{
    return SSL_get_key_update_type(ssl) != SSL_KEY_UPDATE_NONE;
}

bool tls_records_ready(SSL *ssl)
{
    const records_t *records = records_of(ssl);
    /* What OpenSSL has to say first, it says when it is written through. */
    return records != NULL && records->cipher != NULL && records->sequence < records->records_max &&
           !SSL_in_init(ssl) && !waits_for_keys(ssl) && (SSL_get_shutdown(ssl) & SSL_SENT_SHUTDOWN) == 0;
}

void tls_records_renew(SSL *ssl)
{
    const records_t *records = records_of(ssl);
    if (records != NULL && records->cipher != NULL && records->sequence >= records->records_max &&
        !waits_for_keys(ssl))
        SSL_key_update(ssl, SSL_KEY_UPDATE_NOT_REQUESTED);
}

static size_t at_most(size_t record_bytes)
{
    return record_bytes < TLS_RECORD_BYTES ? record_bytes : TLS_RECORD_BYTES;
}

size_t tls_records_bound(size_t length, size_t record_bytes)
{
    return length + (length / at_most(record_bytes) + 1) * TLS_RECORD_OVERHEAD;
}

static size_t length_of(const text_t *pieces, size_t count)
{
    size_t length = 0;
    for (size_t i = 0; i < count; i++)
        length += pieces[i].length;
    return length;
}

size_t tls_records_seal(SSL *ssl, const text_t *pieces, size_t count, size_t record_bytes, uint8_t *out)
{
    records_t *records = records_of(ssl);
    size_t left = length_of(pieces, count), done = 0; /* of the first piece */
    uint8_t *at = out;
    record_bytes = at_most(record_bytes);
    while (left > 0 && at != NULL) {
        size_t record = left < record_bytes ? left : record_bytes;
        left -= record;
        at = begin_record(records, record, at);
        while (record > 0) {
            size_t rest = pieces->length - done, part = rest < record ? rest : record;
            at = add(records, pieces->data + done, part, at);
            record -= part;
            done += part;
            if (done == pieces->length) {
                pieces++;
                done = 0;
            }
        }
        at = end_record(records, APPLICATION_DATA, at);
    }
    return at != NULL ? (size_t)(at - out) : 0;
}

/* --- What OpenSSL sends --- */

/* New keys are OpenSSL's to make, and it has no way to hand them over: after its word that they come, it
 * encrypts by itself. */
static bool announces_keys(uint8_t type, const char *bytes, int length)
{
    return type == HANDSHAKE && length > 0 && bytes[0] == KEY_UPDATE;
}

/* OpenSSL writes a record at a time. */
static int write_record(records_t *records, const char *bytes, int length)
{
    uint8_t sealed[TLS_RECORD_BYTES + TLS_RECORD_OVERHEAD];
    uint8_t type = records->type;
    if (length < 0 || length > TLS_RECORD_BYTES)
        return -1;
    uint8_t *end = begin_record(records, (size_t)length, sealed);
    end = end_record(records, type, add(records, bytes, (size_t)length, end));
    records->type = APPLICATION_DATA;
    if (end == NULL || BIO_write(records->under, sealed, (int)(end - sealed)) != end - sealed)
        return -1;
    if (announces_keys(type, bytes, length))
        forget_keys(records);
    return length;
}

static int on_write(BIO *bio, const char *bytes, int length)
{
    records_t *records = BIO_get_data(bio);
    MUST_BE(records, RECORDS_MAGIC);
    return records->cipher == NULL ? BIO_write(records->under, bytes, length)
                                   : write_record(records, bytes, length);
}

static long on_control(BIO *bio, int command, long number, void *pointer)
{
    records_t *records = BIO_get_data(bio);
    MUST_BE(records, RECORDS_MAGIC);
    switch (command) {
    case SET_KEYS:
        return number != 0 && take_keys(records, pointer); /* 0: keys for reading */
    case BIO_CTRL_GET_KTLS_SEND:
        return records->cipher != NULL;
    case SET_TYPE:
        records->type = (uint8_t)number;
        return 0;
    case CLEAR_TYPE:
        records->type = APPLICATION_DATA;
        return 0;
    case BIO_CTRL_FLUSH:
        return BIO_flush(records->under);
    default:
        return 0;
    }
}

static int on_destroy(BIO *bio)
{
    records_t *records = BIO_get_data(bio);
    if (records == NULL)
        return 1;
    MUST_BE(records, RECORDS_MAGIC);
    forget_keys(records);
    BIO_free(records->under);
    records->magic = 0;
    free(records);
    return 1;
}

/* --- It stands between --- */

/* Before main, so that no two threads make it. */
__attribute__((constructor)) static void make_method(void)
{
    method_type = BIO_get_new_index() | BIO_TYPE_SOURCE_SINK;
    method = BIO_meth_new(method_type, "selvedge records");
    MUST(method != NULL && BIO_meth_set_write(method, on_write) == 1 &&
         BIO_meth_set_ctrl(method, on_control) == 1 && BIO_meth_set_destroy(method, on_destroy) == 1);
}

void tls_records_allow(SSL_CTX *context)
{
    record_cipher_prepare();
    SSL_CTX_set_options(context, SSL_OP_ENABLE_KTLS);
    /* Else a buffer that OpenSSL was lent would be the one it encrypts into, once it encrypts again. */
    SSL_CTX_set_mode(context, SSL_MODE_RELEASE_BUFFERS);
}

bool tls_records_begin(SSL *ssl, uint64_t records_max)
{
    BIO *bio = BIO_new(method), *under = SSL_get_wbio(ssl);
    if (bio == NULL || under == NULL) {
        BIO_free(bio);
        return false;
    }
    records_t *records = must_calloc(1, sizeof *records);
    *records = (records_t){
        .magic = RECORDS_MAGIC, .type = APPLICATION_DATA, .under = under, .records_max = records_max};
    BIO_up_ref(under);
    BIO_set_data(bio, records);
    BIO_set_init(bio, 1);
    SSL_set0_wbio(ssl, bio);
    return true;
}
