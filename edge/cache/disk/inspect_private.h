/* The insides of an inspection, shared by inspect.c (what there is) and inspect_walk.c (what is in it).
 * Nobody else includes this. */
#ifndef SELVEDGE_EDGE_CACHE_DISK_INSPECT_PRIVATE_H
#define SELVEDGE_EDGE_CACHE_DISK_INSPECT_PRIVATE_H

#include "edge/cache/disk/inspect.h"

enum { SEGMENT_NAME_BYTES = 16 };

typedef struct {
    unsigned number;
    uint64_t length, serial; /* 0: it was never written */
    bool sealed;             /* the trailer is its own */
    trailer_t trailer;
    const char *damage; /* of its header or trailer; NULL: none */
    bool lost;          /* it was written, and nothing tells its serial: the node will begin anew */
} inspected_t;

struct inspection {
    uint32_t magic;
    int fd; /* of the directory */
    inspect_summary_t summary;
    inspected_t *segments; /* newest first */
    size_t count;
};

/* How many bytes were read, fewer at the file's end or where it cannot be read. */
size_t inspect_read(int fd, void *to, size_t length, uint64_t offset);
/* Its file, for reading; -1, with errno. */
int inspect_open_segment(const inspection_t *inspection, unsigned number);
/* Reads what begins and ends a segment's file. */
void inspect_segment(const inspection_t *inspection, int fd, inspected_t *segment);

#endif
