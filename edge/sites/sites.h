/* The sites of a node, by host name and by name. Fixed after creation; any thread may ask. Knows the settings
 * and the cache's keys. */
#ifndef SELVEDGE_EDGE_SITES_H
#define SELVEDGE_EDGE_SITES_H

#include "conf/settings.h"
#include "edge/cache/key.h"

typedef struct {
    const settings_site_t *settings;
    unsigned number;              /* for counters: the same in every configuration */
    cache_site_t cache;           /* its name is kept as long as the process */
    const settings_rule_t *rules; /* in the order in which they are tried */
    size_t rule_count;
} site_t;

typedef struct sites sites_t;

/* The settings must outlive it. */
sites_t *sites_new(const settings_t *settings);
void sites_free(sites_t **sites);

/* The site of an authority, host[:port]; in constant time. NULL: no site has this host. */
const site_t *sites_find(const sites_t *sites, text_t authority);
/* The site that a request for this URL would have, or NULL. */
const site_t *sites_of_url(const sites_t *sites, const url_parts_t *parts);
/* The site of this name, or NULL. */
const site_t *sites_named(const sites_t *sites, text_t name);
/* The one that answers for every host name; NULL where each has its own. */
const site_t *sites_only(const sites_t *sites);
/* The name of the field that tells the origin the client's address; absent: it is not told. */
text_t site_client_field(const settings_site_t *site);
/* All of them, in the order of the settings. */
size_t sites_count(const sites_t *sites);
const site_t *sites_at(const sites_t *sites, size_t place);
/* The names of all, for a message. */
void sites_describe(const sites_t *sites, char *text, size_t capacity);

#endif
