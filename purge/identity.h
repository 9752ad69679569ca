/* Who a node is: 128 random bits that live as long as its journal, in the state directory's file `identity`.
 *
 * What is stored on disks carries them: it is of use only to the node whose journal has every rule that was
 * acknowledged since. So a journal that begins anew, with no rule of before, never meets an identity of
 * before, wherever the power goes. Called by the journal as it opens. */
#ifndef SELVEDGE_PURGE_IDENTITY_H
#define SELVEDGE_PURGE_IDENTITY_H

#include "purge/journal.h"

enum { IDENTITY_BYTES = 33 }; /* of the file: 32 hexadecimal digits and a line feed */

void identity_put(char text[IDENTITY_BYTES], const uint64_t identity[2]);
/* False: it is not all of one, and nothing more. */
bool identity_parse(const uint8_t *data, size_t length, uint64_t identity[2]);

/* Puts a new one in the place of any that is there; on stable storage when it returns true. */
bool identity_make(const journal_io_t *io, const uint64_t identity[2], journal_error_t *error);
/* Reads it into *found. False, with error->number ENOENT when there is none; a file that holds something else
 * is no failure: then *good is false. */
bool identity_read(const journal_io_t *io, uint64_t found[2], bool *good, journal_error_t *error);

#endif
