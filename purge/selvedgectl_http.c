/* One exchange with the admin API, by libcurl. */
#include "purge/selvedgectl.h"

#include <curl/curl.h>

enum { BODY_MAX = 1 << 20 };

typedef struct {
    char *bytes;
    size_t length;
} body_t;

static size_t keep(char *bytes, size_t one, size_t count, void *context)
{
    body_t *body = context;
    (void)one;
    if (count > BODY_MAX - body->length)
        return 0; /* no node answers at such length */
    char *grown = realloc(body->bytes, body->length + count + 1);
    MUST(grown != NULL);
    memcpy(grown + body->length, bytes, count);
    body->bytes = grown;
    body->length += count;
    grown[body->length] = 0;
    return count;
}

/* The admin URL may end in a slash. */
static char *url_of(const char *admin, const char *path)
{
    size_t length = strlen(admin);
    while (length > 0 && admin[length - 1] == '/')
        length--;
    char *url = must_alloc(length + strlen(path) + 1);
    memcpy(url, admin, length);
    strcpy(url + length, path);
    return url;
}

static struct curl_slist *fields_of(const char *token, const char *body)
{
    char authorization[TOKEN_LENGTH_MAX + 32];
    snprintf(authorization, sizeof authorization, "Authorization: Bearer %s", token);
    struct curl_slist *fields = curl_slist_append(NULL, authorization);
    fields = curl_slist_append(fields, "Expect:");
    if (body != NULL)
        fields = curl_slist_append(fields, *body != 0 ? "Content-Type: application/json" : "Content-Type:");
    MUST(fields != NULL);
    return fields;
}

static void set_up(CURL *curl, const ctl_options_t *options, const char *url, struct curl_slist *fields,
                   const char *body)
{
    curl_easy_setopt(curl, CURLOPT_URL, url);
    curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(curl, CURLOPT_PROXY, ""); /* the token goes to the node and nowhere else */
    curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(curl, CURLOPT_TIMEOUT_MS, options->timeout_ms);
    curl_easy_setopt(curl, CURLOPT_HTTPHEADER, fields);
    curl_easy_setopt(curl, CURLOPT_USERAGENT, "selvedgectl/" SELVEDGE_VERSION);
    curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, keep);
    if (body != NULL) {
        curl_easy_setopt(curl, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)strlen(body));
        curl_easy_setopt(curl, CURLOPT_POSTFIELDS, body);
    }
}

/* What happened, into the answer. Once the first byte of a request is on its way, nobody knows what became of
 * it. */
static void conclude(CURL *curl, CURLcode result, const char *reason, body_t *body, ctl_answer_t *answer)
{
    long sent_bytes = 0;
    curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &answer->status);
    curl_easy_getinfo(curl, CURLINFO_REQUEST_SIZE, &sent_bytes);
    if (result == CURLE_OK) {
        answer->answered = true;
        answer->body = body->bytes != NULL ? body->bytes : strdup("");
        MUST(answer->body != NULL);
        return;
    }
    free(body->bytes);
    answer->sent = sent_bytes > 0;
    answer->timed_out = result == CURLE_OPERATION_TIMEDOUT;
    snprintf(answer->error, sizeof answer->error, "%s", *reason != 0 ? reason : curl_easy_strerror(result));
}

void ctl_exchange(const ctl_options_t *options, const char *path, const char *token, const char *body,
                  ctl_answer_t *answer)
{
    *answer = (ctl_answer_t){.answered = false};
    char reason[CURL_ERROR_SIZE] = "";
    body_t received = {NULL, 0};
    MUST(curl_global_init(CURL_GLOBAL_DEFAULT) == CURLE_OK);
    CURL *curl = curl_easy_init();
    MUST(curl != NULL);
    char *url = url_of(options->admin, path);
    struct curl_slist *fields = fields_of(token, body);
    set_up(curl, options, url, fields, body);
    curl_easy_setopt(curl, CURLOPT_ERRORBUFFER, reason);
    curl_easy_setopt(curl, CURLOPT_WRITEDATA, &received);
    CURLcode result = curl_easy_perform(curl);
    conclude(curl, result, reason, &received, answer);
    curl_slist_free_all(fields);
    curl_easy_cleanup(curl);
    curl_global_cleanup();
    free(url);
}
