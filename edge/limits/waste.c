#include "edge/limits/waste.h"

#include <pthread.h>
#include <xxhash.h>

enum { SETS = 256, SET_PLACES = 16 };

static const int64_t second_us = 1000000;

typedef struct {
    waste_name_t name;
    uint64_t bytes; /* 0: nobody's */
    int64_t since_us;
} place_t;

struct waste {
    uint64_t seed;
    pthread_mutex_t lock;
    place_t places[SETS][SET_PLACES]; /* under the lock */
};

waste_t *waste_new(uint64_t seed)
{
    waste_t *waste = must_calloc(1, sizeof *waste);
    waste->seed = seed;
    MUST(pthread_mutex_init(&waste->lock, NULL) == 0);
    return waste;
}

void waste_free(waste_t **waste)
{
    pthread_mutex_destroy(&(*waste)->lock);
    free(*waste);
    *waste = NULL;
}

static place_t *set_of(waste_t *waste, waste_name_t name)
{
    return waste->places[XXH3_64bits_withSeed(&name, sizeof name, waste->seed) % SETS];
}

/* Under the lock; what is over is emptied on the way. NULL: it has wasted nothing. */
static place_t *find(place_t *set, waste_name_t name, int64_t now_us)
{
    place_t *found = NULL;
    for (size_t i = 0; i < SET_PLACES; i++) {
        if (now_us - set[i].since_us >= WASTE_SECONDS * second_us)
            set[i].bytes = 0;
        if (set[i].bytes > 0 && set[i].name.high == name.high && set[i].name.low == name.low)
            found = &set[i];
    }
    return found;
}

static place_t *find_least(place_t *set)
{
    place_t *least = set;
    for (size_t i = 1; i < SET_PLACES; i++)
        least = set[i].bytes < least->bytes ? &set[i] : least;
    return least;
}

void waste_add(waste_t *waste, waste_name_t name, uint64_t bytes, int64_t now_us)
{
    if (bytes == 0)
        return;
    place_t *set = set_of(waste, name);
    MUST(pthread_mutex_lock(&waste->lock) == 0);
    place_t *place = find(set, name, now_us);
    if (place == NULL) {
        place = find_least(set);
        *place = (place_t){name, 0, now_us};
    }
    place->bytes += bytes;
    MUST(pthread_mutex_unlock(&waste->lock) == 0);
}

static place_t look(waste_t *waste, waste_name_t name, int64_t now_us)
{
    place_t *set = set_of(waste, name);
    MUST(pthread_mutex_lock(&waste->lock) == 0);
    const place_t *found = find(set, name, now_us);
    place_t place = found != NULL ? *found : (place_t){name, 0, now_us};
    MUST(pthread_mutex_unlock(&waste->lock) == 0);
    return place;
}

uint64_t waste_bytes(waste_t *waste, waste_name_t name, int64_t now_us)
{
    return look(waste, name, now_us).bytes;
}

unsigned waste_wait(waste_t *waste, waste_name_t name, uint64_t most, int64_t now_us)
{
    if (most == 0)
        return 0;
    place_t place = look(waste, name, now_us);
    if (place.bytes < most)
        return 0;
    int64_t left_us = place.since_us + WASTE_SECONDS * second_us - now_us;
    return (unsigned)((left_us + second_us - 1) / second_us);
}
