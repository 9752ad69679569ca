/* The body of a purge, as the admin API reads it. The referee: what is accepted is rules that the journal
 * takes, and what is refused says why in JSON. */
#include "edge/http/tags.h"
#include "edge/observe/counters.h"
#include "purge/api_purge.h"
#include "purge/journal.h"

static publisher_purge_t *submitted;

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static settings_t settings[2];
static sites_t *sites[2]; /* of a node with one, and of one with two */

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    (void)argc;
    (void)argv;
    counters_attach();
    for (size_t i = 0; i < 2; i++) {
        settings[i].sites[0].name = TEXT("default");
        settings[i].sites[1].name = TEXT("shop");
        settings[i].site_count = i + 1;
        sites[i] = sites_new(&settings[i]);
    }
    return 0;
}

/* The publisher's part, played here. */
void publisher_submit(publisher_t *publisher, publisher_purge_t *purge)
{
    (void)publisher;
    submitted = purge;
}

static void take_answer(void *context, api_answer_t *answer)
{
    int *status = context;
    *status = answer->status;
    free(answer->body);
}

/* That of the PURGE method: one rule, which outlives what it was made of. */
static void submit_one(api_purge_t *purge)
{
    int status = 0;
    api_purge_submit(&purge, NULL, take_answer, &status);
    MUST(submitted->rule_count == 1 && submitted->rules[0].target.length > 0);
    submitted->done(submitted, 1, NULL);
    MUST(status == 200);
}

/* Every rule is sound; then the publisher says that they are in force, or that they could not be written. */
static void submit(api_purge_t *purge)
{
    int status = 0;
    api_purge_submit(&purge, NULL, take_answer, &status);
    MUST(submitted->rule_count > 0);
    for (size_t i = 0; i < submitted->rule_count; i++) {
        const ledger_rule_t *rule = &submitted->rules[i];
        MUST(rule->kind != RULE_URL || rule->target.data[0] == '/');
        MUST(rule->kind != RULE_TAG || http_is_tag(rule->target));
        MUST((rule->kind == RULE_EVERYTHING) == (rule->site.length == 0));
    }
    bool written = submitted->rule_count % 2 == 0;
    submitted->done(submitted, written ? 1 : 0, written ? NULL : "the disk is full");
    MUST(status == (written ? 200 : 500));
}

/* In memory of its own, which is gone before the rules are used. */
static void read_body(const uint8_t *data, size_t size, const sites_t *of)
{
    char *body = malloc(size > 0 ? size : 1);
    MUST(body != NULL);
    memcpy(body, data, size);
    api_answer_t refusal;
    api_purge_t *purge = api_purge_read((text_t){body, size}, of, &refusal);
    text_t target = {body, size};
    api_purge_t *of_method = api_purge_of(TEXT("default"), size > 0 ? target : TEXT("/"));
    free(body);
    submit_one(of_method);
    if (purge != NULL) {
        submit(purge);
        return;
    }
    MUST(refusal.status >= 400);
    json_t *said = json_loadb(refusal.body, refusal.body_length, 0, NULL);
    MUST(said != NULL && json_string_length(json_object_get(json_object_get(said, "error"), "message")) > 0);
    json_decref(said);
    free(refusal.body);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    for (size_t i = 0; i < 2; i++)
        read_body(data, size, sites[i]);
    return 0;
}
