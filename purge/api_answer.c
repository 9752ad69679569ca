#include "purge/api_answer.h"

#include <stdarg.h>

static const struct {
    int status;
    const char *code;
} errors[API_ERRORS] = {
    [API_BAD_JSON] = {400, "bad_json"},
    [API_UNKNOWN_FIELD] = {400, "unknown_field"},
    [API_BAD_VALUE] = {400, "bad_value"},
    [API_BAD_URL] = {400, "bad_url"},
    [API_UNKNOWN_SITE] = {400, "unknown_site"},
    [API_NOTHING_TO_PURGE] = {400, "nothing_to_purge"},
    [API_UNAUTHORIZED] = {401, "unauthorized"},
    [API_FORBIDDEN] = {403, "forbidden"},
    [API_NOT_FOUND] = {404, "not_found"},
    [API_METHOD_NOT_ALLOWED] = {405, "method_not_allowed"},
    [API_TOO_LARGE] = {413, "too_large"},
    [API_UNSUPPORTED_MEDIA_TYPE] = {415, "unsupported_media_type"},
    [API_JOURNAL_FAILED] = {500, "journal_failed"},
};

api_answer_t api_answer_json(int status, json_t **body)
{
    MUST(*body != NULL);
    char *text = json_dumps(*body, JSON_COMPACT);
    MUST(text != NULL);
    json_decref(*body);
    *body = NULL;
    size_t length = strlen(text);
    char *line = must_alloc(length + 2);
    memcpy(line, text, length);
    memcpy(line + length, "\n", 2);
    free(text);
    return (api_answer_t){
        .status = status, .content_type = "application/json", .body = line, .body_length = length + 1};
}

/* What a client sent and is cut by a format's precision may end within a UTF-8 sequence, and method and path
 * may be no text at all: in messages, what is not ASCII becomes a question mark. */
static void make_ascii(char *text)
{
    for (; *text != 0; text++)
        if ((unsigned char)*text < 0x20 || (unsigned char)*text >= 0x7f)
            *text = '?';
}

api_answer_t api_answer_error(api_error_t error, const char *field, const char *format, ...)
{
    char message[1024];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(message, sizeof message, format, arguments);
    va_end(arguments);
    make_ascii(message);
    json_t *body = field == NULL
                       ? json_pack("{s:{s:s,s:s}}", "error", "code", errors[error].code, "message", message)
                       : json_pack("{s:{s:s,s:s,s:s}}", "error", "code", errors[error].code, "message",
                                   message, "field", field);
    api_answer_t answer = api_answer_json(errors[error].status, &body);
    if (error == API_UNAUTHORIZED)
        answer.authenticate = "Bearer realm=\"selvedge\"";
    return answer;
}
