/* The one source of chance: everything that is not decided by the code under test is drawn from here, so a
 * seed replays exactly. splitmix64 (Steele, Lea, Flood, OOPSLA 2014). */
#ifndef SELVEDGE_TESTS_SIM_RANDOM_H
#define SELVEDGE_TESTS_SIM_RANDOM_H

#include "edge/base.h"

typedef struct {
    uint64_t state;
} random_t;

static inline uint64_t random_mix(uint64_t z)
{
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

static inline uint64_t random_next(random_t *random)
{
    return random_mix(random->state += 0x9e3779b97f4a7c15u);
}

/* 0 to limit - 1. */
static inline unsigned random_below(random_t *random, unsigned limit)
{
    return (unsigned)(((random_next(random) >> 32) * limit) >> 32);
}

static inline int64_t random_between(random_t *random, int64_t low, int64_t high)
{
    return low + (int64_t)(random_next(random) % (uint64_t)(high - low + 1));
}

static inline bool random_chance(random_t *random, unsigned per_mille)
{
    return random_below(random, 1000) < per_mille;
}

#define RANDOM_PICK(random, array) ((array)[random_below((random), sizeof(array) / sizeof((array)[0]))])

#endif
