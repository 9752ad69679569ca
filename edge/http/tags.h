/* Tags: names that responses have in common so that they can be purged together (surrogate keys). A response
 * has those that its tag fields name, and those that its site gives paths like its own.
 *
 * A tag is any bytes but spaces and control bytes; case counts. In a field, tags stand with spaces or commas
 * between them. What a site gives is written like a tag, in which `{2}` stands for the path's second segment
 * and `{-1}` for its last; where the path has no such segment, or an empty one, that tag is not given.
 *
 * Pure, and nothing is allocated. */
#ifndef SELVEDGE_EDGE_HTTP_TAGS_H
#define SELVEDGE_EDGE_HTTP_TAGS_H

#include "edge/http/policy.h"

/* A longer tag, which no purge can name, is none. Of a response with more tags than that nothing is stored or
 * shared: it could not be purged by all of them. */
enum { HTTP_TAG_BYTES_MAX = 1024, HTTP_TAGS_MAX = 1024 };

typedef void http_tag_visit_t(void *context, text_t tag);

/* Those that the fields name, as often as they do; how many. visit NULL: they are only counted. */
size_t http_tags_of_fields(const http_policy_t *policy, http_fields_t fields, http_tag_visit_t *visit,
                           void *context);
/* Those that the site gives this path; path: normalised, without a query. A tag lasts for the call. */
size_t http_tags_of_path(const http_policy_t *policy, text_t path, http_tag_visit_t *visit, void *context);

/* Can it be a tag? */
bool http_is_tag(text_t tag);
/* What is wrong with a tag as a site gives it, as the end of a sentence; NULL: nothing. */
const char *http_tag_check(text_t given);

#endif
