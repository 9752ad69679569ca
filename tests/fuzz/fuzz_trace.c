/* The query of a trace, as the admin API reads it. The referee: what is accepted is a target that a request
 * could have, of the site that the purge of the same URL would be for; what is refused says why in JSON. */
#include "edge/http/url.h"
#include "purge/api_trace.h"

static settings_t settings;
static sites_t *sites;

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    (void)argc;
    (void)argv;
    settings.sites[0].name = TEXT("www");
    settings.site_count = 1;
    settings.hosts[0] = (settings_host_t){TEXT("www.example"), 0};
    settings.host_count = 1;
    sites = sites_new(&settings);
    return 0;
}

static void look_at_target(const api_trace_t *trace)
{
    MUST(text_equal(trace->site->cache.name, TEXT("www")));
    MUST(trace->target.length > 0 && trace->target.data[0] == '/');
    char *again = must_alloc(URL_NORMAL_MAX(trace->target.length));
    text_t normal;
    MUST(url_normalize(trace->target, again, URL_NORMAL_MAX(trace->target.length), &normal) == URL_OK);
    MUST(text_equal(normal, trace->target));
    free(again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *query = malloc(size > 0 ? size : 1);
    MUST(query != NULL);
    memcpy(query, data, size);
    api_answer_t refusal;
    api_trace_t trace;
    bool read = api_trace_read((text_t){query, size}, sites, &trace, &refusal);
    free(query);
    if (read) {
        look_at_target(&trace);
        api_trace_free(&trace);
        return 0;
    }
    MUST(refusal.status == 400 && trace.room == NULL);
    json_t *said = json_loadb(refusal.body, refusal.body_length, 0, NULL);
    MUST(said != NULL && json_string_length(json_object_get(json_object_get(said, "error"), "message")) > 0);
    json_decref(said);
    free(refusal.body);
    return 0;
}
