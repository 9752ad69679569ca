#include "edge/sites/policy.h"

#include "edge/http/pattern.h"
#include "edge/http/url.h"

#include <xxhash.h>

const settings_rule_t *site_rule(const site_t *site, text_t target)
{
    if (site->rule_count == 0)
        return NULL;
    text_t path = url_path(target);
    for (size_t i = 0; i < site->rule_count; i++)
        if (http_pattern_matches(site->rules[i].path, path))
            return &site->rules[i];
    return NULL;
}

const http_policy_t *site_policy(const site_t *site, text_t target)
{
    const settings_rule_t *rule = site_rule(site, target);
    return rule != NULL ? &rule->policy : &site->settings->policy;
}

text_t site_key_target(const site_t *site, text_t target, char *room)
{
    return http_query_apply(&site_policy(site, target)->query, target, room);
}

static void sign_text(XXH3_state_t *state, text_t text)
{
    uint64_t length = text.data != NULL ? text.length : UINT64_MAX;
    XXH3_64bits_update(state, &length, sizeof length);
    XXH3_64bits_update(state, text.data, text.length);
}

static void sign_query(XXH3_state_t *state, const http_query_t *query)
{
    sign_text(state, query->keep);
    sign_text(state, query->drop);
    XXH3_64bits_update(state, &query->sort, sizeof query->sort);
}

static bool same_query(const http_query_t *a, const http_query_t *b)
{
    return (a->keep.data == NULL) == (b->keep.data == NULL) && text_equal(a->keep, b->keep) &&
           text_equal(a->drop, b->drop) && a->sort == b->sort;
}

static void sign_names(XXH3_state_t *state, const http_names_t *names)
{
    XXH3_64bits_update(state, &names->count, sizeof names->count);
    for (size_t i = 0; i < names->count; i++)
        sign_text(state, names->at[i]);
}

static bool same_purges(const http_policy_t *a, const http_policy_t *b)
{
    return same_query(&a->query, &b->query) && text_equal(a->tags, b->tags);
}

static void sign_purges(XXH3_state_t *state, const http_policy_t *policy)
{
    sign_query(state, &policy->query);
    sign_text(state, policy->tags);
}

/* Rules count where one of them has another query than the site, or other tags. */
uint64_t site_keys_signature(const site_t *site)
{
    XXH3_state_t *state = XXH3_createState();
    MUST(state != NULL);
    XXH3_64bits_reset(state);
    const http_policy_t *own = &site->settings->policy;
    bool differ = false;
    sign_names(state, &own->tag_fields);
    sign_purges(state, own);
    for (size_t i = 0; i < site->rule_count; i++)
        differ = differ || !same_purges(own, &site->rules[i].policy);
    for (size_t i = 0; differ && i < site->rule_count; i++) {
        sign_text(state, site->rules[i].path);
        sign_purges(state, &site->rules[i].policy);
    }
    uint64_t signature = XXH3_64bits_digest(state);
    XXH3_freeState(state);
    return signature;
}
