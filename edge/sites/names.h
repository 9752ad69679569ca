/* The names of sites. Each is kept once, for as long as the process: keys in the cache, purges on their way
 * and counters know a site by it, whichever configuration it is of. A site that is removed and comes back is
 * the same. Any thread. */
#ifndef SELVEDGE_EDGE_SITE_NAMES_H
#define SELVEDGE_EDGE_SITE_NAMES_H

#include "edge/base.h"

typedef struct {
    text_t text;
    unsigned number; /* for counters: SITE_NONE for names that came after all numbers were given */
} site_name_t;

/* The kept name, which is made when it is new; counters know it then. */
const site_name_t *site_name(text_t text);

#endif
