/* Bytes that are changed under a right checksum, for the tests of the disk tier's formats. */
#ifndef SELVEDGE_TESTS_DISK_BYTES_H
#define SELVEDGE_TESTS_DISK_BYTES_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <xxhash.h>

#include "edge/cache/disk/little_endian.h"
#include "edge/cache/disk/record.h"

enum { CHECKSUM = 8 };

/* The last bytes are the checksum of those before. */
static inline void reseal(uint8_t *data, size_t size, uint64_t seed)
{
    le_put(data + size - CHECKSUM, XXH3_64bits_withSeed(data, size - CHECKSUM, seed), CHECKSUM);
}

/* A field that is given another value. */
typedef struct {
    size_t at, size;
    uint64_t value;
    bool right;
} change_t;

#endif
