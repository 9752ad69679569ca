/* A site's rules, each of which says what it says and leaves the rest to its site. */
#include "conf/settings_table.h"

size_t settings_begin_rule(settings_t *settings, size_t site)
{
    MUST(settings->rule_count < SETTINGS_RULES_MAX);
    settings_rule_t *rule = &settings->rules[settings->rule_count];
    *rule = (settings_rule_t){.site = site};
    return settings->rule_count++;
}

/* All of the site's policy, and over it what the rule said. */
static void put_inherited(settings_rule_t *rule, const http_policy_t *site)
{
    const settings_rule_t own = *rule;
    rule->policy = *site;
    for (size_t i = 0; i < settings_table_count; i++) {
        const setting_t *setting = &settings_table[i];
        if (own.said[i])
            memcpy((char *)rule + setting->offset, (const char *)&own + setting->offset,
                   setting_size(setting->type));
    }
}

void settings_put_inherited(settings_t *settings)
{
    for (size_t i = 0; i < settings->rule_count; i++) {
        settings_rule_t *rule = &settings->rules[i];
        put_inherited(rule, &settings->sites[rule->site].policy);
        http_response_fields_sign(&rule->policy.response);
    }
    for (size_t i = 0; i < settings->site_count; i++)
        http_response_fields_sign(&settings->sites[i].policy.response);
}

/* --- What differs --- */

static bool same_rule(const settings_rule_t *a, const settings_rule_t *b)
{
    for (size_t i = 0; i < settings_table_count; i++) {
        const setting_t *setting = &settings_table[i];
        if (!setting->of_rule || (!a->said[i] && !b->said[i]))
            continue;
        if (a->said[i] != b->said[i] ||
            !setting_same(setting, (const char *)a + setting->offset, (const char *)b + setting->offset))
            return false;
    }
    return true;
}

/* The next rule of a site at or behind a place, or the end. */
static size_t next_rule(const settings_t *settings, size_t at, size_t site)
{
    while (at < settings->rule_count && settings->rules[at].site != site)
        at++;
    return at;
}

bool settings_same_rules(const settings_t *a, size_t site_a, const settings_t *b, size_t site_b)
{
    size_t i = next_rule(a, 0, site_a), j = next_rule(b, 0, site_b);
    while (i < a->rule_count && j < b->rule_count && same_rule(&a->rules[i], &b->rules[j])) {
        i = next_rule(a, i + 1, site_a);
        j = next_rule(b, j + 1, site_b);
    }
    return i == a->rule_count && j == b->rule_count;
}
