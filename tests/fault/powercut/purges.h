/* Power cuts on a journal and a volume at once: what was purged, and acknowledged, is not served from disk
 * afterwards. */
#ifndef SELVEDGE_TESTS_POWERCUT_PURGES_H
#define SELVEDGE_TESTS_POWERCUT_PURGES_H

#include <stdint.h>

typedef struct {
    uint64_t cuts;         /* and kills */
    uint64_t acknowledged; /* purges */
    uint64_t served;       /* records that were found, and judged to be valid */
    uint64_t refused;      /* records that were found, and purged */
} purges_t;

/* Some lives from one seed; ends the program, with a message, at what does not hold. */
void purges_story(uint64_t seed, purges_t *purges);

#endif
