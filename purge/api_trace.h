/* From the query of GET /v1/trace to what it asks about. For purge/api*.c only. */
#ifndef SELVEDGE_PURGE_API_TRACE_H
#define SELVEDGE_PURGE_API_TRACE_H

#include "purge/api_answer.h"

typedef struct {
    const site_t *site; /* of `sites` */
    text_t target;      /* normalised, as a request's; in `room` */
    char *room;
} api_trace_t;

/* Reads a query: `url=` and one percent-encoded URL, nothing else. False: *refusal is the answer. True: give
 * *trace back with api_trace_free(). Keeps nothing of the query. */
bool api_trace_read(text_t query, const sites_t *sites, api_trace_t *trace, api_answer_t *refusal);
void api_trace_free(api_trace_t *trace);

#endif
