#include "edge/cache/disk/members.h"

#include <xxhash.h>

#include "edge/cache/disk/little_endian.h"

/* Magic 8, format 4, sets 1, directories 1, zero 2, the sets, the directories, and XXH3 of all before it;
 * what is not used is zero. */
enum { FORMAT = 1, SETS_AT = 16, IDS_AT = SETS_AT + 8 * MEMBERS_SETS_MAX, SUM_AT = MEMBERS_BYTES - 8 };

static const char magic[8] = {'S', 'E', 'L', 'V', 'D', 'I', 'R', 'S'};

void members_put(uint8_t data[MEMBERS_BYTES], const members_t *members)
{
    MUST(members->count <= MEMBERS_MAX && members->set_count >= 1 && members->set_count <= MEMBERS_SETS_MAX);
    memset(data, 0, MEMBERS_BYTES);
    memcpy(data, magic, sizeof magic);
    le_put(data + 8, FORMAT, 4);
    data[12] = (uint8_t)members->set_count;
    data[13] = (uint8_t)members->count;
    for (size_t i = 0; i < members->set_count; i++)
        le_put(data + SETS_AT + 8 * i, members->sets[i], 8);
    for (size_t i = 0; i < members->count; i++)
        le_put(data + IDS_AT + 8 * i, members->ids[i], 8);
    le_put(data + SUM_AT, XXH3_64bits(data, SUM_AT), 8);
}

bool members_parse(const uint8_t *data, size_t length, members_t *members)
{
    if (length != MEMBERS_BYTES || memcmp(data, magic, sizeof magic) != 0 || le_get(data + 8, 4) != FORMAT ||
        le_get(data + SUM_AT, 8) != XXH3_64bits(data, SUM_AT))
        return false;
    members_t found = {.set_count = data[12], .count = data[13]};
    if (found.set_count < 1 || found.set_count > MEMBERS_SETS_MAX || found.count > MEMBERS_MAX)
        return false;
    for (size_t i = 0; i < found.set_count; i++)
        found.sets[i] = le_get(data + SETS_AT + 8 * i, 8);
    for (size_t i = 0; i < found.count; i++)
        found.ids[i] = le_get(data + IDS_AT + 8 * i, 8);
    *members = found;
    return true;
}
