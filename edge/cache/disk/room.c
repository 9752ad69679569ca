/* What a record's header and meta are read into, or put together in: each thread has its own. A file of its
 * own, as the simulation's threads are none to the compiler. */
#include "edge/cache/disk/disk_private.h"

char *disk_room(void)
{
    static _Thread_local _Alignas(8) char room[RECORD_META_UNITS_MAX * DISK_UNIT];
    return room;
}
