#include "edge/tls/tickets.h"

#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/rand.h>
#include <pthread.h>
#include <stdatomic.h>

#include "edge/tls/attached.h"

enum { TICKETS_MAGIC = 0x5e171c7, SECRET_BYTES = 32, NAME_BYTES = 16, ID_BYTES = 32, IV_BYTES = 16 };

struct tls_tickets {
    uint32_t magic;
    _Atomic unsigned references; /* of those who make sets, and of each context */
    int64_t (*now_s)(void);
    /* Under the lock. */
    pthread_mutex_t lock;
    int64_t period;              /* in which `older` makes the current secret */
    uint8_t older[SECRET_BYTES]; /* of the period before */
};

/* Of one certificate and one period. */
typedef struct {
    uint8_t name[NAME_BYTES]; /* on the ticket, in clear */
    uint8_t cipher[32];
    uint8_t mac[16];
} keys_t;

/* What a context knows of its tickets. */
typedef struct {
    tls_tickets_t *tickets; /* a reference */
    uint8_t id[ID_BYTES];   /* the certificate's SHA-256 */
} owner_t;

tls_tickets_t *tls_tickets_new(int64_t (*now_s)(void))
{
    tls_tickets_t *tickets = must_calloc(1, sizeof *tickets);
    tickets->magic = TICKETS_MAGIC;
    atomic_init(&tickets->references, 1);
    tickets->now_s = now_s;
    tickets->period = now_s() / TICKETS_PERIOD_S;
    MUST(pthread_mutex_init(&tickets->lock, NULL) == 0);
    if (RAND_bytes(tickets->older, sizeof tickets->older) != 1)
        tls_tickets_unref(&tickets);
    return tickets;
}

tls_tickets_t *tls_tickets_ref(tls_tickets_t *tickets)
{
    MUST_BE(tickets, TICKETS_MAGIC);
    atomic_fetch_add_explicit(&tickets->references, 1, memory_order_relaxed);
    return tickets;
}

void tls_tickets_unref(tls_tickets_t **pointer)
{
    tls_tickets_t *tickets = *pointer;
    *pointer = NULL;
    MUST_BE(tickets, TICKETS_MAGIC);
    if (atomic_fetch_sub_explicit(&tickets->references, 1, memory_order_acq_rel) > 1)
        return;
    pthread_mutex_destroy(&tickets->lock);
    OPENSSL_cleanse(tickets, sizeof *tickets);
    free(tickets);
}

/* --- Keys --- */

/* The one-way step from a period's secret to the next one's. */
static bool step(const uint8_t secret[SECRET_BYTES], uint8_t next[SECRET_BYTES])
{
    static const uint8_t label[] = "selvedge ticket secret";
    unsigned length = SECRET_BYTES;
    return HMAC(EVP_sha256(), secret, SECRET_BYTES, label, sizeof label, next, &length) != NULL;
}

/* The secrets of now and of the period before. */
static bool look(tls_tickets_t *tickets, uint8_t current[SECRET_BYTES], uint8_t older[SECRET_BYTES])
{
    MUST_BE(tickets, TICKETS_MAGIC);
    int64_t period = tickets->now_s() / TICKETS_PERIOD_S;
    bool good = true;
    pthread_mutex_lock(&tickets->lock);
    for (; good && tickets->period < period; tickets->period++) {
        good = step(tickets->older, current);
        if (good)
            memcpy(tickets->older, current, SECRET_BYTES);
    }
    memcpy(older, tickets->older, SECRET_BYTES);
    pthread_mutex_unlock(&tickets->lock);
    return good && step(older, current);
}

static bool derive(const uint8_t secret[SECRET_BYTES], const uint8_t id[ID_BYTES], keys_t *keys)
{
    uint8_t bytes[64] = {0};
    unsigned length = sizeof bytes;
    _Static_assert(sizeof(keys_t) == sizeof bytes, "what SHA-512 gives is used up");
    bool good = HMAC(EVP_sha512(), secret, SECRET_BYTES, id, ID_BYTES, bytes, &length) != NULL;
    memcpy(keys, bytes, sizeof *keys);
    OPENSSL_cleanse(bytes, sizeof bytes);
    return good;
}

/* The keys for a new ticket, or those that a ticket's name names. `*old`: it is of the period before. */
static bool find_keys(const owner_t *owner, const uint8_t *name, keys_t *keys, bool *old)
{
    uint8_t current[SECRET_BYTES], older[SECRET_BYTES];
    *old = false;
    bool found = look(owner->tickets, current, older) && derive(current, owner->id, keys);
    if (found && name != NULL && memcmp(keys->name, name, NAME_BYTES) != 0) {
        *old = true;
        found = derive(older, owner->id, keys) && memcmp(keys->name, name, NAME_BYTES) == 0;
    }
    OPENSSL_cleanse(current, sizeof current);
    OPENSSL_cleanse(older, sizeof older);
    return found;
}

/* --- OpenSSL's --- */

static void free_owner(void *value)
{
    owner_t *owner = value;
    tls_tickets_unref(&owner->tickets);
    free(owner);
}

static tls_attachment_t owner_of_context = {.free = free_owner};

static bool start(const keys_t *keys, const unsigned char *iv, EVP_CIPHER_CTX *cipher, EVP_MAC_CTX *mac,
                  int encrypt)
{
    OSSL_PARAM parameters[] = {
        OSSL_PARAM_construct_octet_string(OSSL_MAC_PARAM_KEY, (void *)keys->mac, sizeof keys->mac),
        OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, (char *)"SHA256", 0), OSSL_PARAM_END};
    return EVP_CipherInit_ex2(cipher, EVP_aes_256_cbc(), keys->cipher, iv, encrypt, NULL) == 1 &&
           EVP_MAC_CTX_set_params(mac, parameters) == 1;
}

/* See SSL_CTX_set_tlsext_ticket_key_evp_cb(3): 0 is a full handshake, 2 gives a fresh ticket. The connection
 * has the certificate's context by now: it was chosen at the first bytes. */
static int on_ticket(SSL *ssl, unsigned char *name, unsigned char *iv, EVP_CIPHER_CTX *cipher,
                     EVP_MAC_CTX *mac, int encrypt)
{
    const owner_t *owner = tls_attached(SSL_get_SSL_CTX(ssl), &owner_of_context);
    keys_t keys;
    bool old;
    if (owner == NULL || !find_keys(owner, encrypt ? NULL : name, &keys, &old))
        return 0;
    if (encrypt)
        memcpy(name, keys.name, NAME_BYTES);
    bool good = (!encrypt || RAND_bytes(iv, IV_BYTES) == 1) && start(&keys, iv, cipher, mac, encrypt);
    OPENSSL_cleanse(&keys, sizeof keys);
    if (!good)
        return -1;
    return old ? 2 : 1;
}

bool tls_tickets_use(tls_tickets_t *tickets, SSL_CTX *context)
{
    owner_t *owner = must_alloc(sizeof *owner);
    unsigned length = sizeof owner->id;
    owner->tickets = tls_tickets_ref(tickets);
    bool good = X509_digest(SSL_CTX_get0_certificate(context), EVP_sha256(), owner->id, &length) == 1 &&
                SSL_CTX_set_session_id_context(context, owner->id, sizeof owner->id) == 1 &&
                SSL_CTX_set_tlsext_ticket_key_evp_cb(context, on_ticket) == 1;
    if (good)
        return tls_attach(context, &owner_of_context, owner);
    free_owner(owner);
    return false;
}
