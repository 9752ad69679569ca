/* What was fetched lately: so that only what is fetched a second time goes to disk, and what is asked for
 * once, which is most of what there is, costs no write.
 *
 * Remembers about as many names as the disk holds records of 32 KiB, a byte each: 32 MiB to the TiB, a
 * twentieth of what the index takes for them. Names share words of eight; a new one pushes out what came
 * first into its word. Of what came half that many names ago 94 % are known, of what came twice as many ago 4
 * %. As a name is known by less than 8 bits, one in 32 of those that were never noted passes for seen, and is
 * written though it may be asked for once; nothing else depends on it.
 *
 * Any thread, without a lock. Pure: no clock or random source. */
#ifndef SELVEDGE_EDGE_CACHE_DISK_ADMISSION_H
#define SELVEDGE_EDGE_CACHE_DISK_ADMISSION_H

#include "edge/base.h"

typedef struct admission admission_t;

/* disk_bytes: of all devices. */
admission_t *admission_new(uint64_t disk_bytes);
/* By the last who uses it. */
void admission_free(admission_t **admission);

/* Was it noted before, and not too long ago? If not, it is now. hash: disk_index_hash() of its name. Of two
 * threads that ask about the same new name at once, one is told that it was seen. */
bool admission_seen(admission_t *admission, uint64_t hash);

/* What it has allocated. */
size_t admission_bytes(const admission_t *admission);

#endif
