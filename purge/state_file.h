/* Whole files of the state directory: read, and put in the place of others so that a power cut leaves the one
 * or the other. For journal.c, identity.c and whoever else keeps something beside the journal. */
#ifndef SELVEDGE_PURGE_STATE_FILE_H
#define SELVEDGE_PURGE_STATE_FILE_H

#include "purge/journal.h"
#include "purge/journal_format.h"

enum { NO_FILE = -1 };

/* Says which call on which file failed; result: a negative errno, or fewer bytes than it must be. Always
 * false.
 */
bool state_file_fail(journal_error_t *error, const char *call, const char *file, ssize_t result);

/* *file becomes NO_FILE. Nothing hangs on a close: what counts was synced before. */
void state_file_close(const journal_io_t *io, int *file);

/* Writes all of it at the file's position, and syncs. */
bool state_file_write(const journal_io_t *io, int file, const char *name, const uint8_t *data, size_t length,
                      journal_error_t *error);

/* Appends the file's bytes. false with error->number ENOENT: there is no such file. */
bool state_file_read(const journal_io_t *io, const char *name, bytes_t *bytes, journal_error_t *error);

/* Puts a whole new file in the place of `name`, on stable storage when it returns true; its number then goes
 * to *kept, NULL: it is closed. After false either file may be there, now or after a power cut. */
bool state_file_replace(const journal_io_t *io, const char *name, const char *draft, const uint8_t *data,
                        size_t length, int *kept, journal_error_t *error);

#endif
