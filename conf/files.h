/* The files that a configuration is made of, as they were at one moment: its own, and those it names whose
 * content belongs to it (certificates, keys, tokens). Whoever has the rights gathers them; who has none any
 * more is handed them in one piece. One thread at a time. */
#ifndef SELVEDGE_CONF_FILES_H
#define SELVEDGE_CONF_FILES_H

#include "edge/base.h"

typedef struct files files_t;

enum { FILES_BYTES_MAX = (1 << 20) + 1 }; /* of each file: more is left out */

/* Empty: what is asked for is read then, and kept. */
files_t *files_new(void);
/* Keys and tokens are wiped. */
void files_free(files_t **files);

/* The file's bytes, which live as long as the files. False, with errno: it cannot be read. */
bool files_get(files_t *files, const char *path, text_t *bytes);
/* As a stream, for readers of such; NULL, with errno. files NULL: from the disk. */
FILE *files_open(files_t *files, const char *path);

/* Writes all that is kept at the start of an empty file. False, with errno. */
bool files_write(const files_t *files, int fd);
/* What files_write() wrote, from a file that cannot change any more: no other file is there. NULL: it is not
 * that. */
files_t *files_read(int fd);
/* The same of bytes, which are copied. */
files_t *files_parse(text_t bytes);

/* Calls `changed` for each file of `after` whose bytes are others than in `before`, but for those that one of
 * the two does not have. */
void files_compare(const files_t *before, const files_t *after,
                   void (*changed)(void *context, const char *path), void *context);
/* From now on it can only be compared. */
void files_forget(files_t *files);

#endif
