/* The admin listener: carries HTTP requests to the API and its answers back, which may come from the
 * publisher's thread. */
#ifndef SELVEDGE_EDGE_SERVER_ADMIN_H
#define SELVEDGE_EDGE_SERVER_ADMIN_H

#include <h2o.h>

void admin_register(h2o_hostconf_t *host, h2o_pathconf_t *path);

#endif
