#include "edge/sites/names.h"

#include <pthread.h>

#include "edge/observe/counters.h"

typedef struct kept kept_t;
struct kept {
    site_name_t name;
    kept_t *next;
    char bytes[];
};

/* Under the lock; a name that is in the list stays as it is. */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static kept_t *all;
static unsigned count;

static kept_t *keep(text_t text)
{
    kept_t *kept = must_alloc(sizeof *kept + text.length);
    memcpy(kept->bytes, text.data, text.length);
    kept->name = (site_name_t){{kept->bytes, text.length}, count < SITE_NONE ? count : SITE_NONE};
    if (count < SITE_NONE)
        counters_name_site(count, text);
    count++;
    kept->next = all;
    all = kept;
    return kept;
}

const site_name_t *site_name(text_t text)
{
    MUST(pthread_mutex_lock(&lock) == 0);
    kept_t *kept = all;
    while (kept != NULL && !text_equal(kept->name.text, text))
        kept = kept->next;
    if (kept == NULL)
        kept = keep(text);
    MUST(pthread_mutex_unlock(&lock) == 0);
    return &kept->name;
}
