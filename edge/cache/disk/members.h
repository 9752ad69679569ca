/* Which directories may be believed, as bytes of a file that stands beside the node's journal: those that
 * have been in use ever since, and so have missed nothing that was replaced or invalidated; and among which
 * sets of devices names were shared out since all of them were last told of it. Pure; any thread. */
#ifndef SELVEDGE_EDGE_CACHE_DISK_MEMBERS_H
#define SELVEDGE_EDGE_CACHE_DISK_MEMBERS_H

#include "edge/base.h"

enum {
    MEMBERS_MAX = 16,
    MEMBERS_SETS_MAX = 2,
    MEMBERS_BYTES = 16 + 8 * (MEMBERS_SETS_MAX + MEMBERS_MAX) + 8
};

typedef struct {
    uint64_t ids[MEMBERS_MAX]; /* of directories (record.h) */
    size_t count;
    uint64_t sets[MEMBERS_SETS_MAX]; /* each named by a hash, the newest last */
    size_t set_count;                /* at least 1 */
} members_t;

void members_put(uint8_t data[MEMBERS_BYTES], const members_t *members);
/* False: that is not all of one, or damaged. */
bool members_parse(const uint8_t *data, size_t length, members_t *members);

static inline bool members_have(const members_t *members, uint64_t id)
{
    for (size_t i = 0; i < members->count; i++)
        if (members->ids[i] == id)
            return true;
    return false;
}

#endif
