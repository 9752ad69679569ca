/* What the rooms of one node share. Made by main in start-up order, fixed while workers run. */
#ifndef SELVEDGE_EDGE_NODE_H
#define SELVEDGE_EDGE_NODE_H

#include "edge/cache/disk/disk.h"
#include "edge/limits/table.h"
#include "edge/limits/waste.h"
#include "edge/observe/access_log.h"
#include "edge/supervisor/heartbeat.h"
#include "origin_pull/puller.h"
#include "purge/api.h"

typedef struct {
    memory_t *memory;
    disk_t *disk; /* NULL: there is none */
    ledger_t *ledger;
    puller_t *puller;
    access_log_t *access_log; /* NULL: off */
    api_t *api;
    limits_t *limits;                         /* of clients */
    waste_t *waste_by_address, *waste_of_key; /* what was fetched and thrown away */
    uint64_t identity[2];                     /* purge/identity.h */
    heartbeats_t *heartbeats;                 /* NULL: nobody watches */
    uint16_t https_port; /* of the https listener, that at 443 if there is one; 0: there is none */
    char name[72];       /* node.name; as it was at the start */
    char cdn_loop[32];   /* this process's member of CDN-Loop */
} node_t;

#endif
