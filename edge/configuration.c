#include "edge/configuration.h"

#include <errno.h>
#include <time.h>
#include <unistd.h>

#include "edge/tls/set.h"

static int64_t now_s(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec;
}

/* The keys of session tickets go on, so that what clients have still resumes. */
static bool take_tickets(configuration_t *configuration, const configuration_t *before, char *error,
                         size_t capacity)
{
    bool there = before != NULL && before->tickets != NULL;
    configuration->tickets = there ? tls_tickets_ref(before->tickets) : tls_tickets_new(now_s);
    if (configuration->tickets == NULL)
        snprintf(error, capacity, "there is no randomness for the keys of session tickets");
    return configuration->tickets != NULL;
}

static bool open_tls(configuration_t *configuration, const configuration_origin_t *origin, char *error,
                     size_t capacity)
{
    const settings_t *settings = &configuration->settings;
    if (!tls_set_needed(settings))
        return true;
    if (!take_tickets(configuration, origin->before, error, capacity))
        return false;
    configuration->self_signed = settings->certificate_count == 0;
    configuration->tls =
        configuration->self_signed
            ? tls_set_self_signed(origin->certificate_file, configuration->tickets, error, capacity)
            : tls_set_new(settings, configuration->files, configuration->tickets, error, capacity);
    return configuration->tls != NULL;
}

static bool take_token_file(files_t *files, const char *path, char token[TOKEN_LENGTH_MAX + 1],
                            char reason[TOKEN_ERROR_MAX])
{
    text_t bytes;
    if (files_get(files, path, &bytes))
        return token_in(path, bytes, token, reason);
    snprintf(reason, TOKEN_ERROR_MAX, "%.300s cannot be read: %s", path, strerror(errno));
    return false;
}

static bool take_token(configuration_t *configuration, const char *default_file, char *error, size_t capacity)
{
    const settings_t *settings = &configuration->settings;
    char reason[TOKEN_ERROR_MAX];
    if (settings->admin_token != NULL) {
        snprintf(configuration->token, sizeof configuration->token, "%s", settings->admin_token);
        return true;
    }
    if (settings->admin_token_file != NULL
            ? take_token_file(configuration->files, settings->admin_token_file, configuration->token, reason)
            : token_read_or_make(default_file, configuration->token, reason))
        return true;
    snprintf(error, capacity, "%s", reason);
    return false;
}

/* They are read for each transfer, with the rights that there are by then. */
static bool find_ca_files(const settings_t *settings, char *error, size_t capacity)
{
    for (size_t i = 0; i < settings->site_count; i++) {
        const char *file = settings->sites[i].ca_file;
        if (file == NULL || access(file, R_OK) == 0)
            continue;
        snprintf(error, capacity, "--ca-file %s: cannot be read: %s", file, strerror(errno));
        return false;
    }
    return true;
}

static void free_all(configuration_t *configuration)
{
    sites_free(&configuration->sites);
    SSL_CTX_free(configuration->tls);
    if (configuration->tickets != NULL)
        tls_tickets_unref(&configuration->tickets);
    settings_free(&configuration->settings);
    files_free(&configuration->files);
    explicit_bzero(configuration->token, sizeof configuration->token);
    configuration->magic = 0;
    free(configuration);
}

configuration_t *configuration_new(settings_t *settings, files_t **files,
                                   const configuration_origin_t *origin, char error[CONFIGURATION_ERROR_MAX])
{
    configuration_t *configuration = must_calloc(1, sizeof *configuration);
    configuration->magic = CONFIGURATION_MAGIC;
    atomic_init(&configuration->references, 1);
    configuration->settings = *settings;
    *settings = (settings_t){.texts = NULL};
    configuration->files = *files;
    *files = NULL;
    configuration->sites = sites_new(&configuration->settings);
    if (find_ca_files(&configuration->settings, error, CONFIGURATION_ERROR_MAX) &&
        open_tls(configuration, origin, error, CONFIGURATION_ERROR_MAX) &&
        take_token(configuration, origin->token_file, error, CONFIGURATION_ERROR_MAX)) {
        files_forget(configuration->files);
        return configuration;
    }
    free_all(configuration);
    return NULL;
}

static bool check_certificates(const settings_t *settings, files_t *files, char *error, size_t capacity)
{
    if (settings->certificate_count == 0)
        return true;
    tls_tickets_t *tickets = tls_tickets_new(now_s);
    SSL_CTX *set = tickets != NULL ? tls_set_new(settings, files, tickets, error, capacity) : NULL;
    if (tickets == NULL)
        snprintf(error, capacity, "there is no randomness for the keys of session tickets");
    else
        tls_tickets_unref(&tickets);
    SSL_CTX_free(set);
    return set != NULL;
}

static bool check_token_file(const settings_t *settings, files_t *files, char *error, size_t capacity)
{
    char token[TOKEN_LENGTH_MAX + 1], reason[TOKEN_ERROR_MAX];
    if (settings->admin_token_file == NULL ||
        take_token_file(files, settings->admin_token_file, token, reason)) {
        explicit_bzero(token, sizeof token);
        return true;
    }
    snprintf(error, capacity, "%s", reason);
    return false;
}

bool configuration_check(const settings_t *settings, char error[CONFIGURATION_ERROR_MAX])
{
    files_t *files = files_new();
    bool right = find_ca_files(settings, error, CONFIGURATION_ERROR_MAX) &&
                 check_certificates(settings, files, error, CONFIGURATION_ERROR_MAX) &&
                 check_token_file(settings, files, error, CONFIGURATION_ERROR_MAX);
    files_free(&files);
    return right;
}

configuration_t *configuration_ref(configuration_t *configuration)
{
    MUST_BE(configuration, CONFIGURATION_MAGIC);
    atomic_fetch_add_explicit(&configuration->references, 1, memory_order_relaxed);
    return configuration;
}

void configuration_unref(configuration_t **pointer)
{
    configuration_t *configuration = *pointer;
    *pointer = NULL;
    MUST_BE(configuration, CONFIGURATION_MAGIC);
    if (atomic_fetch_sub_explicit(&configuration->references, 1, memory_order_acq_rel) == 1)
        free_all(configuration);
}
