/* selvedgectl: the command line of the admin API. */
#include "purge/selvedgectl.h"

#include "conf/settings.h"

/* The token, from where the most explicit word about it says. False: *code is the exit code. */
static bool find_token(const ctl_options_t *options, char token[TOKEN_LENGTH_MAX + 1], ctl_exit_t *code)
{
    char error[TOKEN_ERROR_MAX];
    const char *given = getenv("SELVEDGE_TOKEN"), *file = options->token_file;
    if (file == NULL && given != NULL && *given != 0) {
        if (!token_is_valid(text_of(given))) {
            *code = ctl_complain(options->json, CTL_USAGE, "bad_token",
                                 "SELVEDGE_TOKEN holds no token; a token is 1 to 512 letters, digits and - . "
                                 "_ ~ + / with = at "
                                 "the end only");
            return false;
        }
        strcpy(token, given);
        return true;
    }
    if (file == NULL)
        file = getenv("SELVEDGE_TOKEN_FILE");
    if (file == NULL || *file == 0) {
        *code = ctl_complain(options->json, CTL_USAGE, "no_token",
                             "the admin token is missing: give --token-file FILE, or set SELVEDGE_TOKEN or "
                             "SELVEDGE_TOKEN_FILE; a "
                             "node started without a token says at start which file it wrote one to");
        return false;
    }
    if (token_read(file, token, error))
        return true;
    *code = ctl_complain(options->json, CTL_USAGE, "bad_token", "the token file %s", error);
    return false;
}

/* NULL: an argument is not UTF-8, which JSON must be. */
static char *purge_body(const ctl_options_t *options)
{
    json_t *body = json_object();
    int wrong = 0;
    if (options->url_count > 0) {
        json_t *urls = json_array();
        for (int i = 0; i < options->url_count; i++)
            wrong |= json_array_append_new(urls, json_string(options->urls[i]));
        wrong |= json_object_set_new(body, "urls", urls);
    }
    if (options->tag_count > 0) {
        json_t *tags = json_array();
        for (int i = 0; i < options->tag_count; i++)
            wrong |= json_array_append_new(tags, json_string(options->tags[i]));
        wrong |= json_object_set_new(body, "tags", tags);
    }
    if (options->site != NULL)
        wrong |= json_object_set_new(body, "site", json_string(options->site));
    if (options->everything)
        wrong |= json_object_set_new(body, "everything", json_true());
    if (options->soft)
        wrong |= json_object_set_new(body, "soft", json_true());
    if (options->reason != NULL)
        wrong |= json_object_set_new(body, "reason", json_string(options->reason));
    char *text = wrong == 0 ? json_dumps(body, JSON_COMPACT) : NULL;
    json_decref(body);
    return text;
}

/* The path that asks about the URL, each byte but letters and digits percent-encoded. */
static char *trace_path(const char *url)
{
    const char start[] = "/v1/trace?url=";
    char *path = must_alloc(sizeof start + 3 * strlen(url)), *at = path + sizeof start - 1;
    memcpy(path, start, sizeof start);
    for (; *url != 0; url++) {
        bool plain = (*url >= '0' && *url <= '9') || ((*url | 0x20) >= 'a' && (*url | 0x20) <= 'z');
        at += sprintf(at, plain ? "%c" : "%%%02X", (unsigned char)*url);
    }
    return path;
}

/* Of a file on this machine; no node is asked. */
static ctl_exit_t check(const char *file)
{
    char *line[] = {"selvedgectl", "--config", (char *)(uintptr_t)file, "--check", NULL};
    char error[SETTINGS_ERROR_MAX];
    settings_source_t source = {4, line, SETTINGS_FILE, files_new()};
    settings_t *settings = must_calloc(1, sizeof *settings);
    settings_outcome_t outcome = settings_parse(&source, stdout, settings, error, sizeof error);
    if (outcome == SETTINGS_CHECKED)
        printf("%s: nothing is wrong\n", settings->file);
    settings_free(settings);
    free(settings);
    files_free(&source.files);
    return outcome == SETTINGS_CHECKED ? CTL_DONE : CTL_FAILED;
}

static ctl_exit_t run(const ctl_options_t *options)
{
    char token[TOKEN_LENGTH_MAX + 1], *body = NULL;
    ctl_exit_t code;
    ctl_answer_t answer;
    if (options->command == CTL_CHECK)
        return check(options->urls[0]);
    if (options->command == CTL_CACHE)
        return ctl_cache(options);
    if (!find_token(options, token, &code))
        return code;
    if (options->command == CTL_PURGE && (body = purge_body(options)) == NULL)
        return ctl_complain(options->json, CTL_USAGE, "usage", "a URL, site or reason is not UTF-8");
    char *path = options->command == CTL_TRACE ? trace_path(options->urls[0]) : NULL;
    const char *fixed = options->command == CTL_PURGE    ? "/v1/purge"
                        : options->command == CTL_RELOAD ? "/v1/reload"
                                                         : "/v1/status";
    const char *sent = options->command == CTL_RELOAD ? "" : body;
    ctl_exchange(options, path != NULL ? path : fixed, token, sent, &answer);
    free(path);
    free(body);
    code = ctl_report(options, &answer);
    free(answer.body);
    return code;
}

int main(int argc, char **argv)
{
    ctl_options_t options;
    ctl_exit_t code;
    return ctl_options(argc, argv, &options, &code) ? (int)run(&options) : (int)code;
}
