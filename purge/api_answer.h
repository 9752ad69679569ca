/* Answers of the admin API in their one shape. For purge/api*.c only. */
#ifndef SELVEDGE_PURGE_API_ANSWER_H
#define SELVEDGE_PURGE_API_ANSWER_H

#include <jansson.h>

#include "purge/api.h"

/* A body that jansson writes, with a line end for those who look at it in a terminal. Takes the reference
 * over. */
api_answer_t api_answer_json(int status, json_t **body);

/* {"error":{"code":...,"message":...,"field":...}}; field NULL: there is none. The status follows from the
 * code. */
typedef enum {
    API_BAD_JSON,
    API_UNKNOWN_FIELD,
    API_BAD_VALUE,
    API_BAD_URL,
    API_UNKNOWN_SITE,
    API_NOTHING_TO_PURGE,
    API_UNAUTHORIZED,
    API_FORBIDDEN,
    API_NOT_FOUND,
    API_METHOD_NOT_ALLOWED,
    API_TOO_LARGE,
    API_UNSUPPORTED_MEDIA_TYPE,
    API_JOURNAL_FAILED,
    API_ERRORS
} api_error_t;

__attribute__((format(printf, 3, 4))) api_answer_t api_answer_error(api_error_t error, const char *field,
                                                                    const char *format, ...);

#endif
