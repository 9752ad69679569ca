/* The bearer token that guards the purge API: read from a file, or made. For the daemon and selvedgectl. */
#ifndef SELVEDGE_PURGE_TOKEN_H
#define SELVEDGE_PURGE_TOKEN_H

#include "edge/base.h"

enum { TOKEN_LENGTH_MAX = 512, TOKEN_ERROR_MAX = 512 };

/* Letters, digits and - . _ ~ + / with = at the end only (RFC 6750), at most TOKEN_LENGTH_MAX. */
bool token_is_valid(text_t token);

/* The first line of a file's bytes, white space around it dropped. False: `error` is a sentence that names the
 * file. */
bool token_in(const char *path, text_t bytes, char token[TOKEN_LENGTH_MAX + 1], char error[TOKEN_ERROR_MAX]);
/* The same, of the file. */
bool token_read(const char *path, char token[TOKEN_LENGTH_MAX + 1], char error[TOKEN_ERROR_MAX]);

/* The token of a file or, when there is no such file, a fresh one of 256 random bits that is written there
 * first, with mode 0600. So a node that starts again in the same state directory keeps its token. */
bool token_read_or_make(const char *path, char token[TOKEN_LENGTH_MAX + 1], char error[TOKEN_ERROR_MAX]);

/* Takes the same time wherever the two differ. */
bool token_equal(text_t a, text_t b);

#endif
