#include "edge/tls/record_cipher.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>

#ifdef SELVEDGE_IPSEC_MB
#include <intel-ipsec-mb.h>
#include <pthread.h>
#endif

struct record_cipher {
#ifdef SELVEDGE_IPSEC_MB
    struct gcm_key_data key; /* of Intel's, aligned as that wants it */
    struct gcm_context_data context;
    void (*start)(const struct gcm_key_data *, struct gcm_context_data *, const uint8_t *, const uint8_t *,
                  uint64_t);
    void (*encrypt)(const struct gcm_key_data *, struct gcm_context_data *, uint8_t *, const uint8_t *,
                    uint64_t);
    void (*finish)(const struct gcm_key_data *, struct gcm_context_data *, uint8_t *, uint64_t);
#endif
    EVP_CIPHER_CTX *evp; /* NULL: the other one's */
};

/* --- libcrypto --- */

static EVP_CIPHER_CTX *evp_new(record_aead_t aead, const uint8_t *key)
{
    const EVP_CIPHER *cipher = aead == RECORD_AES_128_GCM   ? EVP_aes_128_gcm()
                               : aead == RECORD_AES_256_GCM ? EVP_aes_256_gcm()
                                                            : EVP_chacha20_poly1305();
    EVP_CIPHER_CTX *evp = EVP_CIPHER_CTX_new();
    if (evp != NULL && EVP_EncryptInit_ex(evp, cipher, NULL, key, NULL) == 1)
        return evp;
    EVP_CIPHER_CTX_free(evp);
    return NULL;
}

static bool evp_begin(EVP_CIPHER_CTX *evp, const uint8_t *nonce, const uint8_t *header, size_t length)
{
    int ignored;
    return EVP_EncryptInit_ex(evp, NULL, NULL, NULL, nonce) == 1 &&
           EVP_EncryptUpdate(evp, NULL, &ignored, header, (int)length) == 1;
}

static uint8_t *evp_add(EVP_CIPHER_CTX *evp, const void *bytes, size_t length, uint8_t *out)
{
    int written = 0;
    return EVP_EncryptUpdate(evp, out, &written, bytes, (int)length) == 1 ? out + written : NULL;
}

static bool evp_end(EVP_CIPHER_CTX *evp, uint8_t *tag)
{
    int written;
    return EVP_EncryptFinal_ex(evp, tag, &written) == 1 &&
           EVP_CIPHER_CTX_ctrl(evp, EVP_CTRL_AEAD_GET_TAG, RECORD_TAG_BYTES, tag) == 1;
}

/* --- Intel's IPsec library --- */

#ifdef SELVEDGE_IPSEC_MB
static IMB_MGR *manager; /* NULL: not for this processor */

static record_cipher_t *allocate(void)
{
    return must_calloc_aligned(sizeof(record_cipher_t));
}

static void use_128(record_cipher_t *cipher, const uint8_t *key)
{
    manager->gcm128_pre(key, &cipher->key);
    cipher->start = manager->gcm128_init;
    cipher->encrypt = manager->gcm128_enc_update;
    cipher->finish = manager->gcm128_enc_finalize;
}

static void use_256(record_cipher_t *cipher, const uint8_t *key)
{
    manager->gcm256_pre(key, &cipher->key);
    cipher->start = manager->gcm256_init;
    cipher->encrypt = manager->gcm256_enc_update;
    cipher->finish = manager->gcm256_enc_finalize;
}

/* One record by both, in pieces of lengths that end within blocks. */
static bool are_alike(record_aead_t aead)
{
    enum { BYTES = 1000, PIECE = 333 };
    uint8_t key[32], nonce[RECORD_NONCE_BYTES], plain[BYTES];
    uint8_t ours[BYTES + RECORD_TAG_BYTES], theirs[BYTES + RECORD_TAG_BYTES];
    for (size_t i = 0; i < BYTES; i++)
        plain[i] = (uint8_t)(i * 7);
    memcpy(key, plain, sizeof key);
    memcpy(nonce, plain + sizeof key, sizeof nonce);
    record_cipher_t *cipher = allocate();
    (aead == RECORD_AES_128_GCM ? use_128 : use_256)(cipher, key);
    cipher->start(&cipher->key, &cipher->context, nonce, key, 5);
    for (size_t at = 0; at < BYTES; at += PIECE)
        cipher->encrypt(&cipher->key, &cipher->context, ours + at, plain + at,
                        BYTES - at < PIECE ? BYTES - at : PIECE);
    cipher->finish(&cipher->key, &cipher->context, ours + BYTES, RECORD_TAG_BYTES);
    free(cipher);
    EVP_CIPHER_CTX *evp = evp_new(aead, key);
    bool alike = evp != NULL && evp_begin(evp, nonce, key, 5) && evp_add(evp, plain, BYTES, theirs) != NULL &&
                 evp_end(evp, theirs + BYTES) && memcmp(ours, theirs, sizeof ours) == 0;
    EVP_CIPHER_CTX_free(evp);
    return alike;
}

static void find_manager(void)
{
    const uint64_t needed = IMB_FEATURE_VAES | IMB_FEATURE_VPCLMULQDQ | IMB_FEATURE_AVX512_SKX;
    IMB_ARCH arch;
    manager = alloc_mb_mgr(0);
    if (manager == NULL)
        return;
    init_mb_mgr_auto(manager, &arch);
    if ((manager->features & needed) == needed && are_alike(RECORD_AES_128_GCM) &&
        are_alike(RECORD_AES_256_GCM))
        return;
    free_mb_mgr(manager);
    manager = NULL;
}

static bool is_intels(record_aead_t aead)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, find_manager);
    return manager != NULL && aead != RECORD_CHACHA20_POLY1305;
}

static bool use_intels(record_cipher_t *cipher, record_aead_t aead, const uint8_t *key)
{
    if (!is_intels(aead))
        return false;
    (aead == RECORD_AES_128_GCM ? use_128 : use_256)(cipher, key);
    return true;
}
#else
static record_cipher_t *allocate(void)
{
    return must_calloc(1, sizeof(record_cipher_t));
}

static bool is_intels(record_aead_t aead)
{
    (void)aead;
    return false;
}

static bool use_intels(record_cipher_t *cipher, record_aead_t aead, const uint8_t *key)
{
    (void)cipher, (void)aead, (void)key;
    return false;
}
#endif

/* --- Either --- */

void record_cipher_prepare(void)
{
    (void)is_intels(RECORD_AES_128_GCM);
}

const char *record_cipher_by(record_aead_t aead)
{
    return is_intels(aead) ? "ipsec-mb" : "libcrypto";
}

record_cipher_t *record_cipher_new(record_aead_t aead, const uint8_t *key)
{
    record_cipher_t *cipher = allocate();
    if (!use_intels(cipher, aead, key) && (cipher->evp = evp_new(aead, key)) == NULL)
        record_cipher_free(&cipher);
    return cipher;
}

void record_cipher_free(record_cipher_t **handle)
{
    record_cipher_t *cipher = *handle;
    *handle = NULL;
    if (cipher == NULL)
        return;
    EVP_CIPHER_CTX_free(cipher->evp);
    OPENSSL_cleanse(cipher, sizeof *cipher);
    free(cipher);
}

bool record_cipher_begin(record_cipher_t *cipher, const uint8_t nonce[RECORD_NONCE_BYTES],
                         const uint8_t *header, size_t header_length)
{
    if (cipher->evp != NULL)
        return evp_begin(cipher->evp, nonce, header, header_length);
#ifdef SELVEDGE_IPSEC_MB
    cipher->start(&cipher->key, &cipher->context, nonce, header, header_length);
#endif
    return true;
}

uint8_t *record_cipher_add(record_cipher_t *cipher, const void *bytes, size_t length, uint8_t *out)
{
    if (cipher->evp != NULL)
        return evp_add(cipher->evp, bytes, length, out);
#ifdef SELVEDGE_IPSEC_MB
    cipher->encrypt(&cipher->key, &cipher->context, out, bytes, length);
#endif
    return out + length;
}

bool record_cipher_end(record_cipher_t *cipher, uint8_t tag[RECORD_TAG_BYTES])
{
    if (cipher->evp != NULL)
        return evp_end(cipher->evp, tag);
#ifdef SELVEDGE_IPSEC_MB
    cipher->finish(&cipher->key, &cipher->context, tag, RECORD_TAG_BYTES);
#endif
    return true;
}
