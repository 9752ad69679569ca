/* The disk tier's calls on files that live in memory, where only pages that are not all zero take room: so a
 * replay goes through the real volume, whose records have heads and zeroes for bodies. One thread. */
#ifndef SELVEDGE_TESTS_BENCH_SPARSE_FILES_H
#define SELVEDGE_TESTS_BENCH_SPARSE_FILES_H

#include "edge/cache/disk/io.h"

typedef struct sparse_files sparse_files_t;

sparse_files_t *sparse_files_new(void);
void sparse_files_free(sparse_files_t **files);
disk_io_t sparse_files_io(sparse_files_t *files);
/* All that was written, zeroes and what was overwritten included. */
uint64_t sparse_files_written(const sparse_files_t *files);

#endif
