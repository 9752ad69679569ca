/* Bytes that were fetched and thrown away, by whom it is counted for: a client's address, or a cache key.
 * Each has so many in a minute; the minute begins with the first of them. A table of a fixed size: where its
 * place is full, who has wasted least is forgotten. Where names meet is drawn with a seed. Any thread; for
 * what goes to the origin only, a hit does not come here. No clock inside. */
#ifndef SELVEDGE_EDGE_LIMITS_WASTE_H
#define SELVEDGE_EDGE_LIMITS_WASTE_H

#include "edge/base.h"

enum { WASTE_SECONDS = 60 };

typedef struct waste waste_t;

typedef struct {
    uint64_t high, low;
} waste_name_t;

waste_t *waste_new(uint64_t seed);
void waste_free(waste_t **waste);

/* now_us: a clock that only goes forward. */
void waste_add(waste_t *waste, waste_name_t name, uint64_t bytes, int64_t now_us);
/* Of the minute that has begun. */
uint64_t waste_bytes(waste_t *waste, waste_name_t name, int64_t now_us);
/* 0: less than `most` were wasted, or there is no such limit (0); else in how many seconds that is so. */
unsigned waste_wait(waste_t *waste, waste_name_t name, uint64_t most, int64_t now_us);

#endif
