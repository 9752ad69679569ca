/* What befalls the bytes of a drive between two lives of the node, more than a bit: a segment can be read
 * neither by its footer nor record by record, or a record stands where another was. */
#include "edge/cache/disk/record.h"
#include "tests/sim/drive_rules.h"

enum { RECORDS_MAX = 256 };

static void put(platter_inode_t *file, uint64_t at, const uint8_t *bytes, size_t length)
{
    memmove(file->data + at, bytes, length);
    memcpy(file->durable + at, file->data + at, length);
}

static void flip(platter_inode_t *file, uint64_t at)
{
    uint8_t byte = file->data[at] ^ 1;
    put(file, at, &byte, 1);
}

/* Any that has records. Where it has no trailer they end with what is damaged, for all that anybody can tell.
 */
static platter_inode_t *choose(const drive_rules_t *rules, platter_t *medium, random_t *random, bool sealed,
                               drive_record_t records[RECORDS_MAX], size_t *count)
{
    for (unsigned i = 0; i < 12; i++) {
        char name[32];
        snprintf(name, sizeof name, "segment-%05u", random_below(random, 6));
        int64_t found = platter_find(medium, name);
        if (found < 0)
            continue;
        size_t inode = platter_directory(medium)->names[found].inode;
        *count = drive_rules_records(rules, inode, records, RECORDS_MAX);
        if (*count > 1 && (!sealed || drive_rules_is_sealed(rules, &medium->inodes[inode])))
            return &medium->inodes[inode];
    }
    return NULL;
}

bool drive_damage_segment(const drive_rules_t *rules, platter_t *medium, random_t *random)
{
    drive_record_t records[RECORDS_MAX];
    size_t count;
    platter_inode_t *file = choose(rules, medium, random, true, records, &count);
    if (file == NULL)
        return false;
    flip(file, file->length - SEGMENT_TRAILER_BYTES - 1 - random_below(random, FOOTER_ENTRY_BYTES));
    flip(file, records[random_below(random, (unsigned)count)].at + random_below(random, RECORD_HEADER_BYTES));
    return true;
}

/* One that is as long: so what follows is found, if what stands there is taken for a record. */
bool drive_damage_record(const drive_rules_t *rules, platter_t *medium, random_t *random)
{
    drive_record_t records[RECORDS_MAX];
    size_t count;
    platter_inode_t *file = choose(rules, medium, random, false, records, &count);
    for (unsigned i = 0; file != NULL && i < 20; i++) {
        const drive_record_t *from = &records[random_below(random, (unsigned)count)];
        const drive_record_t *to = &records[random_below(random, (unsigned)count)];
        if (from == to || from->length != to->length)
            continue;
        put(file, to->at, file->data + from->at, from->length);
        return true;
    }
    return false;
}
