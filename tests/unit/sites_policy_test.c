/* Which rule of a site a target comes under. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "edge/sites/policy.h"

static settings_t settings;

static const http_policy_t *policy_of(const sites_t *sites, const char *site, const char *target)
{
    return site_policy(sites_named(sites, text_of(site)), text_of(target));
}

static void the_first_that_matches(void **state)
{
    (void)state;
    static const struct {
        size_t site;
        const char *path;
    } rules[] = {{0, "/a/b"}, {0, "/a/*"}, {0, "*.css"}, {0, "/a/b/*"}, {2, "/*"}};
    static const struct {
        const char *site, *target;
        int rule; /* -1: the site's own */
    } rows[] = {
        {"one", "/a/b", 0},       {"one", "/a/b?c", 0},     {"one", "/a/b/", 1},  {"one", "/a/x.css", 1},
        {"one", "/x.css?/a/", 2}, {"one", "/?x.css", -1},   {"one", "/a?/b", -1}, {"one", "/", -1},
        {"two", "/a/b", -1},      {"three", "/a/b?x=/", 4},
    };
    settings.site_count = 3;
    settings.sites[0].name = TEXT("one");
    settings.sites[1].name = TEXT("two");
    settings.sites[2].name = TEXT("three");
    for (size_t i = 0; i < sizeof rules / sizeof *rules; i++)
        settings.rules[settings.rule_count++] =
            (settings_rule_t){.site = rules[i].site, .path = text_of(rules[i].path)};
    sites_t *sites = sites_new(&settings);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        const http_policy_t *found = policy_of(sites, rows[i].site, rows[i].target);
        if (rows[i].rule >= 0)
            assert_ptr_equal(found, &settings.rules[rows[i].rule].policy);
        else
            assert_ptr_equal(found, &sites_named(sites, text_of(rows[i].site))->settings->policy);
    }
    sites_free(&sites);
}

static void keys_have_what_the_policy_of_the_path_leaves(void **state)
{
    (void)state;
    static const struct {
        const char *target, *key;
    } rows[] = {{"/a?v=1&w=2", "/a?w=2"}, {"/b?v=1&w=2", "/b?v=1"}, {"/b?w=2", "/b"}, {"/a", "/a"}};
    memset(&settings, 0, sizeof settings);
    settings.site_count = settings.rule_count = 1;
    settings.sites[0].name = TEXT("one");
    settings.sites[0].policy.query.drop = TEXT("v");
    settings.rules[0] = (settings_rule_t){.path = TEXT("/b"), .policy.query.keep = TEXT("v")};
    sites_t *sites = sites_new(&settings);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        char room[16];
        text_t key = site_key_target(sites_at(sites, 0), text_of(rows[i].target), room);
        assert_int_equal(key.length, strlen(rows[i].key));
        assert_memory_equal(key.data, rows[i].key, key.length);
    }
    sites_free(&sites);
}

static uint64_t signature(http_query_t own, size_t count, const settings_rule_t *rules)
{
    memset(&settings, 0, sizeof settings);
    settings.site_count = 1;
    settings.sites[0].name = TEXT("one");
    settings.sites[0].policy.query = own;
    settings.sites[0].policy.bypass = count > 0; /* which says nothing of keys */
    settings.rule_count = count;
    if (count > 0)
        memcpy(settings.rules, rules, count * sizeof *rules);
    sites_t *sites = sites_new(&settings);
    uint64_t signed_as = site_keys_signature(sites_at(sites, 0));
    sites_free(&sites);
    return signed_as;
}

static void other_keys_have_another_signature(void **state)
{
    (void)state;
    const http_query_t plain = {.sort = false}, dropping = {.drop = TEXT("a")};
    const http_query_t others[] = {{.sort = true},        {.keep = TEXT("")},
                                   {.keep = TEXT("a")},   {.drop = TEXT("a")},
                                   {.drop = TEXT("a b")}, {.drop = TEXT("b"), .keep = TEXT("a")}};
    settings_rule_t *rules = must_calloc(2, sizeof *rules);
    rules[0].path = TEXT("/a");
    rules[1].path = TEXT("/b");
    uint64_t first = signature(plain, 0, NULL);
    assert_int_equal(signature(plain, 2, rules), first);
    for (size_t i = 0; i < sizeof others / sizeof *others; i++) {
        assert_int_not_equal(signature(others[i], 0, NULL), first);
        for (size_t j = 0; j < i; j++)
            assert_int_not_equal(signature(others[i], 0, NULL), signature(others[j], 0, NULL));
    }
    rules[0].policy.query = dropping;
    uint64_t of_rules = signature(plain, 2, rules);
    assert_int_not_equal(of_rules, first);
    rules[0].path = TEXT("/c");
    assert_int_not_equal(signature(plain, 2, rules), of_rules);
    free(rules);
}

/* As with keys: what is stored has the tags of before. */
static void other_tags_have_another_signature(void **state)
{
    (void)state;
    static const http_names_t fields[] = {{{{NULL, 0}}, 0},
                                          {{{"surrogate-key", 13}}, 1},
                                          {{{"surrogate-key", 13}, {"cache-tag", 9}}, 2},
                                          {{{"surrogate-keycache-tag", 22}}, 1}};
    static const char *const tags[] = {NULL, "a", "a b", "a {1}"}, *const rules[] = {NULL, "a", "c"};
    uint64_t seen[4 * 4 * 3];
    size_t count = 0;
    for (size_t f = 0; f < 4; f++)
        for (size_t t = 0; t < 4; t++)
            for (size_t r = 0; r < 3; r++) {
                memset(&settings, 0, sizeof settings);
                settings.site_count = settings.rule_count = 1;
                settings.sites[0].name = TEXT("one");
                settings.sites[0].policy.tag_fields = fields[f];
                if (tags[t] != NULL)
                    settings.sites[0].policy.tags = text_of(tags[t]);
                settings.rules[0] = (settings_rule_t){.path = TEXT("/a"), .policy = settings.sites[0].policy};
                if (rules[r] != NULL)
                    settings.rules[0].policy.tags = text_of(rules[r]);
                settings.rules[0].policy.bypass = true; /* which says nothing of tags */
                sites_t *sites = sites_new(&settings);
                seen[count++] = site_keys_signature(sites_at(sites, 0));
                assert_int_equal(site_keys_signature(sites_at(sites, 0)), seen[count - 1]);
                sites_free(&sites);
            }
    for (size_t i = 0; i < count; i++)
        for (size_t j = 0; j < i; j++) {
            /* A rule that says what its site says is none. */
            bool same = i / 3 == j / 3 && i / 3 % 4 == 1 && j % 3 == 0 && i % 3 == 1;
            if ((seen[i] == seen[j]) != same)
                fail_msg("%zu and %zu", j, i);
        }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_first_that_matches),
        cmocka_unit_test(keys_have_what_the_policy_of_the_path_leaves),
        cmocka_unit_test(other_keys_have_another_signature),
        cmocka_unit_test(other_tags_have_another_signature),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
