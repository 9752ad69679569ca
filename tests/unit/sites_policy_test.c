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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_first_that_matches),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
