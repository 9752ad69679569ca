/* What a connection sends is encrypted here, record by record, straight from where the bytes lie.
 *
 * OpenSSL would copy them into a buffer of its own and encrypt that, and whoever carries its output copies
 * once more. It can leave the encrypting to the transport, which is how TLS in a kernel is used: it hands
 * over the keys (BIO_CTRL_SET_KTLS) and passes plain bytes on from then. So a BIO of ours stands under it,
 * takes the keys of TLS 1.3 (RFC 8446 section 5.2), and encrypts by libcrypto what OpenSSL itself sends
 * (alerts, tickets); what the application sends need not pass through OpenSSL at all: tls_records_seal().
 *
 * Where the keys are not handed over (TLS 1.2, an OpenSSL that was built without that) or no longer (a peer
 * asked for new ones), OpenSSL encrypts as it always does, and everybody asks tls_records_ready() each time.
 *
 * A connection's thread alone calls all of this. Knows OpenSSL only. */
#ifndef SELVEDGE_EDGE_TLS_RECORDS_H
#define SELVEDGE_EDGE_TLS_RECORDS_H

#include <openssl/ssl.h>

#include "edge/base.h"

enum {
    TLS_RECORD_BYTES = 16384, /* the most that one record carries */
    TLS_RECORD_OVERHEAD = 22  /* what it is longer: header, content type, tag */
};

/* So many records are sent by the same keys. RFC 8446 section 5.5 allows AES-GCM 2^24.5 full ones. */
#define TLS_RECORDS_MAX (UINT64_C(1) << 24)

/* Contexts whose connections begin so hand their keys over. */
void tls_records_allow(SSL_CTX *context);

/* Stands under the connection from now on; before any of its keys are made, such as when the client's first
 * message has come. records_max: then it goes back to OpenSSL, with new keys. False: there is no memory, and
 * nothing has changed. */
bool tls_records_begin(SSL *ssl, uint64_t records_max);

/* May tls_records_seal() be called now? */
bool tls_records_ready(SSL *ssl);

/* Right before a write through OpenSSL: has it make new keys, if these have been used for long enough. Not at
 * another time, for what OpenSSL has to say it would then say as it reads, which libh2o takes for the end. */
void tls_records_renew(SSL *ssl);

/* How long what is sealed gets at most. */
size_t tls_records_bound(size_t length, size_t record_bytes);

/* Makes records of at most `record_bytes` bytes each (and TLS_RECORD_BYTES) of these pieces, one after the
 * other; returns how long they are at `out`, or 0 when libcrypto fails: the connection cannot go on. */
size_t tls_records_seal(SSL *ssl, const text_t *pieces, size_t count, size_t record_bytes, uint8_t *out);

#endif
