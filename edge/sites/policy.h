/* What a site decides for a path: its rules, the first that matches before the others. Any thread. */
#ifndef SELVEDGE_EDGE_SITES_POLICY_H
#define SELVEDGE_EDGE_SITES_POLICY_H

#include "edge/sites/sites.h"

/* target: normalised. Lives as long as the site. */
const http_policy_t *site_policy(const site_t *site, text_t target);

#endif
