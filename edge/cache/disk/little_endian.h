/* Integers as the disk tier's files have them, wherever they lie. */
#ifndef SELVEDGE_EDGE_CACHE_DISK_LITTLE_ENDIAN_H
#define SELVEDGE_EDGE_CACHE_DISK_LITTLE_ENDIAN_H

#include "edge/base.h"

/* size: in bytes, at most 8. Compilers make one move of it where that is a constant. */
static inline void le_put(uint8_t *at, uint64_t value, size_t size)
{
    for (size_t i = 0; i < size; i++)
        at[i] = (uint8_t)(value >> (8 * i));
}

static inline uint64_t le_get(const uint8_t *at, size_t size)
{
    uint64_t value = 0;
    for (size_t i = 0; i < size; i++)
        value |= (uint64_t)at[i] << (8 * i);
    return value;
}

#endif
