/* Patterns of paths, by which a site's rules are chosen. Without a star: that path alone. A star that is the
 * last segment stands for all that follows its slash, which may be nothing, so that the pattern is a prefix;
 * any other star stands for any bytes within one segment, or for none. Two stars that are a segment stand for
 * any number of whole segments, or for none. A pattern without a slash is one of the last segment, wherever
 * that is.
 *
 * Pure, and nothing is allocated. Time is linear in the lengths of the path and of the pattern, whatever they
 * are: only segments between two stars and the next, or an open end, are tried at several places, and there
 * are at most so many of them.
 */
#ifndef SELVEDGE_EDGE_HTTP_PATTERN_H
#define SELVEDGE_EDGE_HTTP_PATTERN_H

#include "edge/base.h"

enum { HTTP_PATTERN_MAX = 512, HTTP_PATTERN_ROOM = 3 * HTTP_PATTERN_MAX + 4, HTTP_PATTERN_SEARCHED_MAX = 8 };

/* What is wrong with a pattern, as the end of a sentence; NULL: nothing, and *normal, in `buffer`, is its one
 * form: all that is no star is written as in a normalised path. */
const char *http_pattern_check(text_t pattern, char buffer[HTTP_PATTERN_ROOM], text_t *normal);

/* pattern: normal. path: normalised (url_normalize), without a query. */
bool http_pattern_matches(text_t pattern, text_t path);

/* Stars alone: each stands for any bytes, or for none. */
bool http_wildcard_matches(text_t pattern, text_t text);

#endif
