#include "edge/sites/policy.h"

#include "edge/http/pattern.h"

static text_t path_of(text_t target)
{
    const char *mark = memchr(target.data, '?', target.length);
    return (text_t){target.data, mark != NULL ? (size_t)(mark - target.data) : target.length};
}

const http_policy_t *site_policy(const site_t *site, text_t target)
{
    if (site->rule_count == 0)
        return &site->settings->policy;
    text_t path = path_of(target);
    for (size_t i = 0; i < site->rule_count; i++)
        if (http_pattern_matches(site->rules[i].path, path))
            return &site->rules[i].policy;
    return &site->settings->policy;
}
