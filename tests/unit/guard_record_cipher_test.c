/* Records are encrypted right whatever library does it: known answers, and all ways of cutting the bytes into
 * pieces against libcrypto's own answer for the whole. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <openssl/evp.h>

#include "edge/tls/record_cipher.h"

enum { BYTES_MAX = 16385, HEADER = 5 };

static uint8_t plain[BYTES_MAX], got[BYTES_MAX + RECORD_TAG_BYTES], expected[BYTES_MAX + RECORD_TAG_BYTES];
static uint8_t nonce[RECORD_NONCE_BYTES], header[HEADER], key[32];

static const struct {
    record_aead_t aead;
    const EVP_CIPHER *(*cipher)(void);
} aeads[] = {
    {RECORD_AES_128_GCM, EVP_aes_128_gcm},
    {RECORD_AES_256_GCM, EVP_aes_256_gcm},
    {RECORD_CHACHA20_POLY1305, EVP_chacha20_poly1305},
};

static int fill_in(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof plain; i++)
        plain[i] = (uint8_t)(i * 31 + i / 251);
    memcpy(key, plain + 100, sizeof key);
    memcpy(header, plain + 200, sizeof header);
    return 0;
}

static void ask_libcrypto(const EVP_CIPHER *cipher, size_t length)
{
    EVP_CIPHER_CTX *evp = EVP_CIPHER_CTX_new();
    int written;
    assert_int_equal(EVP_EncryptInit_ex(evp, cipher, NULL, key, nonce), 1);
    assert_int_equal(EVP_EncryptUpdate(evp, NULL, &written, header, HEADER), 1);
    assert_int_equal(EVP_EncryptUpdate(evp, expected, &written, plain, (int)length), 1);
    assert_int_equal(EVP_EncryptFinal_ex(evp, expected + length, &written), 1);
    assert_int_equal(EVP_CIPHER_CTX_ctrl(evp, EVP_CTRL_AEAD_GET_TAG, RECORD_TAG_BYTES, expected + length), 1);
    EVP_CIPHER_CTX_free(evp);
}

/* In pieces of these two lengths in turn. */
static void assert_record(record_cipher_t *cipher, size_t length, size_t one, size_t other)
{
    memset(got, 0, sizeof got);
    assert_true(record_cipher_begin(cipher, nonce, header, HEADER));
    for (size_t at = 0, piece = one; at < length; piece = piece == one ? other : one) {
        size_t part = length - at < piece ? length - at : piece;
        assert_ptr_equal(record_cipher_add(cipher, plain + at, part, got + at), got + at + part);
        at += part;
    }
    assert_true(record_cipher_end(cipher, got + length));
    assert_memory_equal(got, expected, length + RECORD_TAG_BYTES);
}

static void records_in_pieces_are_as_libcrypto_has_them_whole(void **state)
{
    (void)state;
    static const size_t lengths[] = {1,   2,   15,  16,  17,  95,   96,   97,   255,
                                     256, 257, 767, 768, 769, 4096, 4217, 16385};
    static const size_t pieces[] = {1, 7, 16, 33, 120, 127, 256, 4096, 16385};
    for (size_t a = 0; a < sizeof aeads / sizeof *aeads; a++) {
        record_cipher_t *cipher = record_cipher_new(aeads[a].aead, key);
        assert_non_null(cipher);
        for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++) {
            nonce[11]++; /* the same cipher, one record after the other */
            ask_libcrypto(aeads[a].cipher(), lengths[i]);
            for (size_t p = 0; p < sizeof pieces / sizeof *pieces; p++)
                for (size_t q = 0; q < sizeof pieces / sizeof *pieces; q++)
                    assert_record(cipher, lengths[i], pieces[p], pieces[q]);
        }
        record_cipher_free(&cipher);
        assert_null(cipher);
        record_cipher_free(&cipher);
    }
}

/* McGrew and Viega, "The Galois/Counter Mode of Operation", test case 4: independent of both libraries. */
static void a_known_record(void **state)
{
    (void)state;
    static const char text[] = "\xd9\x31\x32\x25\xf8\x84\x06\xe5\xa5\x59\x09\xc5\xaf\xf5\x26\x9a\x86\xa7\xa9"
                               "\x53\x15\x34\xf7\xda\x2e\x4c"
                               "\x30\x3d\x8a\x31\x8a\x72\x1c\x3c\x0c\x95\x95\x68\x09\x53\x2f\xcf\x0e\x24\x49"
                               "\xa6\xb5\x25\xb1\x6a\xed\xf5"
                               "\xaa\x0d\xe6\x57\xba\x63\x7b\x39";
    static const char code[] = "\x42\x83\x1e\xc2\x21\x77\x74\x24\x4b\x72\x21\xb7\x84\xd0\xd4\x9c\xe3\xaa\x21"
                               "\x2f\x2c\x02\xa4\xe0\x35\xc1"
                               "\x7e\x23\x29\xac\xa1\x2e\x21\xd5\x14\xb2\x54\x66\x93\x1c\x7d\x8f\x6a\x5a\xac"
                               "\x84\xaa\x05\x1b\xa3\x0b\x39"
                               "\x6a\x0a\xac\x97\x3d\x58\xe0\x91"
                               "\x5b\xc9\x4f\xbc\x32\x21\xa5\xdb\x94\xfa\xe9\x5a\xe7\x12\x1a\x47";
    static const char *const aead_key = "\xfe\xff\xe9\x92\x86\x65\x73\x1c\x6d\x6a\x8f\x94\x67\x30\x83\x08";
    static const char *const iv = "\xca\xfe\xba\xbe\xfa\xce\xdb\xad\xde\xca\xf8\x88";
    static const char beside[] =
        "\xfe\xed\xfa\xce\xde\xad\xbe\xef\xfe\xed\xfa\xce\xde\xad\xbe\xef\xab\xad\xda\xd2";
    enum { LENGTH = sizeof text - 1 };
    uint8_t out[LENGTH + RECORD_TAG_BYTES];
    record_cipher_t *cipher = record_cipher_new(RECORD_AES_128_GCM, (const uint8_t *)aead_key);
    assert_true(record_cipher_begin(cipher, (const uint8_t *)iv, (const uint8_t *)beside, sizeof beside - 1));
    assert_ptr_equal(record_cipher_add(cipher, text, LENGTH, out), out + LENGTH);
    assert_true(record_cipher_end(cipher, out + LENGTH));
    assert_memory_equal(out, code, sizeof out);
    record_cipher_free(&cipher);
}

/* Else a build with the library would be tested as one without. */
static void the_library_that_the_build_has_is_used_where_it_can_be(void **state)
{
    (void)state;
    record_cipher_prepare();
#if defined(__x86_64__) && defined(SELVEDGE_IPSEC_MB)
    bool able = __builtin_cpu_supports("vaes") && __builtin_cpu_supports("vpclmulqdq") &&
                __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq") &&
                __builtin_cpu_supports("avx512cd") && __builtin_cpu_supports("avx512bw") &&
                __builtin_cpu_supports("avx512vl");
#else
    bool able = false;
#endif
    assert_string_equal(record_cipher_by(RECORD_AES_128_GCM), able ? "ipsec-mb" : "libcrypto");
    assert_string_equal(record_cipher_by(RECORD_AES_256_GCM), able ? "ipsec-mb" : "libcrypto");
    assert_string_equal(record_cipher_by(RECORD_CHACHA20_POLY1305), "libcrypto");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(records_in_pieces_are_as_libcrypto_has_them_whole),
        cmocka_unit_test(a_known_record),
        cmocka_unit_test(the_library_that_the_build_has_is_used_where_it_can_be),
    };
    return cmocka_run_group_tests(tests, fill_in, NULL);
}
