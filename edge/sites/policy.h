/* What a site decides for a path: its rules, the first that matches before the others. Any thread. */
#ifndef SELVEDGE_EDGE_SITES_POLICY_H
#define SELVEDGE_EDGE_SITES_POLICY_H

#include "edge/sites/sites.h"

/* The rule that a target comes under; NULL: none. target: normalised. Lives as long as the site. */
const settings_rule_t *site_rule(const site_t *site, text_t target);
/* What that says, or else the site. */
const http_policy_t *site_policy(const site_t *site, text_t target);

/* What the site's keys have of a normalised target, for all who name keys. room: for as many bytes; the
 * answer lies in it, or is the target itself. */
text_t site_key_target(const site_t *site, text_t target, char *room);

/* The same for any two policies by which every target has the same in its key, and every response the same
 * tags; next to never for others. */
uint64_t site_keys_signature(const site_t *site);

#endif
