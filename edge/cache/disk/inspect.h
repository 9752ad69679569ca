/* A directory of the disk tier as it is read by who does not use it: for people who look into one. Only
 * reads, takes no lock for longer than it takes to see who has it, and believes nothing that is not checked.
 *
 * What a node would find there is told by its own rules: the newest segment first, in a segment what was
 * written last, and nothing of a name that is buried. One thread. */
#ifndef SELVEDGE_EDGE_CACHE_DISK_INSPECT_H
#define SELVEDGE_EDGE_CACHE_DISK_INSPECT_H

#include "edge/cache/disk/meta.h"

typedef struct inspection inspection_t;

enum { INSPECT_ERROR_MAX = 256 };

/* NULL: *error is what is wrong with it, as the end of a sentence that begins with its name. */
inspection_t *inspection_open(const char *path, char error[INSPECT_ERROR_MAX]);
void inspection_free(inspection_t **inspection);

typedef struct {
    directory_t directory;
    bool in_use;       /* a process had it locked when it was opened: what is read may change meanwhile */
    unsigned segments; /* files */
    unsigned sealed;
    uint64_t file_bytes;
} inspect_summary_t;
inspect_summary_t inspection_summary(const inspection_t *inspection);

/* A record whose header and meta are right. Everything is good until the call returns. */
typedef struct {
    const record_t *record; /* RECORD_OBJECT or RECORD_VARIANTS */
    const disk_meta_t *meta;
    const uint8_t *body; /* verified; NULL unless bodies are read */
    unsigned segment;    /* the number in its file's name */
    uint64_t offset;     /* in that file */
    bool live;           /* a node would find it */
} inspect_record_t;

typedef struct {
    const char *what; /* is wrong, as the end of a sentence */
    unsigned segment;
    uint64_t offset;
    const disk_meta_t *meta; /* whose it is; NULL: that cannot be told */
} inspect_fault_t;

typedef struct {
    void *context;
    bool bodies; /* read and verify them, and all between records; else heads alone */
    /* False: that is enough. */
    bool (*record)(void *context, const inspect_record_t *record);
    void (*fault)(void *context, const inspect_fault_t *fault);
    void (*buried)(void *context, uint64_t names);                 /* so many more are */
    void (*progress)(void *context, uint64_t bytes, uint64_t all); /* done of all that there is to read */
} inspect_visitor_t;

/* Each record once, the newest segment first, in a segment in the order in which they were written. Any of
 * the visitor's functions may be NULL. */
void inspection_walk(const inspection_t *inspection, const inspect_visitor_t *visitor);

/* One record again, by where it was told to be, with its body; live says nothing then. False: it is no longer
 * there, or a fault was told. */
bool inspection_read(const inspection_t *inspection, unsigned segment, uint64_t offset,
                     const inspect_visitor_t *visitor);

/* What a piece's name says: the version of the whole, and where in it it begins (edge/cache/pieces.h). False:
 * it is none.
 */
bool inspect_is_piece(const disk_meta_t *meta, version_id_t *whole, uint64_t *first);

#endif
