/* From the body of POST /v1/purge to rules, and from the publisher's word to an answer. For purge/api*.c
 * only. */
#ifndef SELVEDGE_PURGE_API_PURGE_H
#define SELVEDGE_PURGE_API_PURGE_H

#include "purge/api_answer.h"

enum { API_URLS_MAX = 10000, API_TAGS_MAX = 1000, API_REASON_MAX = 1024 };

/* One purge on its way; frees itself after it has been answered. */
typedef struct api_purge api_purge_t;

/* Reads a body. NULL: *refusal is the answer. */
api_purge_t *api_purge_read(text_t body, const sites_t *sites, api_answer_t *refusal);

/* The hard purge of one normalised target, which is copied. `site` lives as long as the process. */
api_purge_t *api_purge_of(text_t site, text_t target);

/* Hands it to the publisher, on whose thread `answer` is called once. */
void api_purge_submit(api_purge_t **purge, publisher_t *publisher,
                      void (*answer)(void *context, api_answer_t *answer), void *context);

#endif
