/* The AEAD of TLS 1.3's records (RFC 8446 section 5.2), piece by piece: the nonce is given, the header is
 * what is authenticated beside the bytes, and the tag is the last 16 bytes.
 *
 * By libcrypto; or AES-GCM by Intel's IPsec library where the build has it and the processor can encrypt four
 * blocks at once (VAES, AVX-512), of which OpenSSL 3.0 knows nothing: it is 2.5 times as fast. Both have the
 * same result, and the first use makes sure of it.
 *
 * A cipher is its connection's; everything else may be called by any thread. */
#ifndef SELVEDGE_EDGE_TLS_RECORD_CIPHER_H
#define SELVEDGE_EDGE_TLS_RECORD_CIPHER_H

#include "edge/base.h"

enum { RECORD_NONCE_BYTES = 12, RECORD_TAG_BYTES = 16 };

typedef enum { RECORD_AES_128_GCM, RECORD_AES_256_GCM, RECORD_CHACHA20_POLY1305 } record_aead_t;

typedef struct record_cipher record_cipher_t;

/* Finds out what the processor can do; else the first cipher does, within a millisecond. */
void record_cipher_prepare(void);
/* Which library encrypts by this AEAD: "ipsec-mb" or "libcrypto". */
const char *record_cipher_by(record_aead_t aead);

/* key: as long as the AEAD's is; copied. NULL when it cannot be made. */
record_cipher_t *record_cipher_new(record_aead_t aead, const uint8_t *key);
void record_cipher_free(record_cipher_t **cipher); /* NULL is allowed */

/* One record: begin, add its pieces, end. Those that return false, or NULL, have failed: the connection
 * cannot go on. */
bool record_cipher_begin(record_cipher_t *cipher, const uint8_t nonce[RECORD_NONCE_BYTES],
                         const uint8_t *header, size_t header_length);
/* Returns the end of what was written at `out`: as many bytes. */
uint8_t *record_cipher_add(record_cipher_t *cipher, const void *bytes, size_t length, uint8_t *out);
bool record_cipher_end(record_cipher_t *cipher, uint8_t tag[RECORD_TAG_BYTES]);

#endif
