/* A change of what a site has in its keys is a purge of the site: of what is stored, and of what purges said,
 * under keys that were made in another way, nothing can be told any more.
 *
 * The sites are known by their names, as long as the process: one that is removed and comes back with other
 * keys is purged, too. The main thread only. */
#ifndef SELVEDGE_EDGE_RELOAD_KEYS_H
#define SELVEDGE_EDGE_RELOAD_KEYS_H

#include "edge/sites/sites.h"
#include "purge/publisher.h"

enum { RELOAD_KEYS_ERROR_MAX = 512 };

typedef struct reload_keys reload_keys_t;

reload_keys_t *reload_keys_new(void);
void reload_keys_free(reload_keys_t **keys);

/* Which of these sites have other keys than when they were last noted? A list of their names for
 * reload_keys_purge(), to be freed; their number is *count. */
text_t *reload_keys_changed(const reload_keys_t *keys, const sites_t *sites, size_t *count);
/* They are in force from here on. */
void reload_keys_note(reload_keys_t *keys, const sites_t *sites);

/* Purges sites, and waits until the rules are in force. False: they could not be kept, and a sentence says
 * why. */
bool reload_keys_purge(const text_t *names, size_t count, publisher_t *publisher,
                       char error[RELOAD_KEYS_ERROR_MAX]);

#endif
