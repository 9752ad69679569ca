/* A site's rules in the configuration file: what they take from their site, what is said of mistakes, and
 * what a reload says has changed. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "conf/config.h"

static char said[1 << 14]; /* mistakes and differences, a line each */

static void say(const char *text)
{
    size_t length = strlen(said);
    snprintf(said + length, sizeof said - length, "%s\n", text);
}

static void on_mistake(void *context, config_place_t place, const char *text)
{
    (void)context;
    char line[2048];
    snprintf(line, sizeof line, "%zu:%zu: %s", place.line, place.column, text);
    say(line);
}

static void on_differs(void *context, const char *name, bool needs_restart)
{
    (void)context;
    (void)needs_restart;
    say(name);
}

/* `text`, at the end of a site. */
static settings_t *load(const char *text)
{
    static config_place_t places[SETTINGS_TABLE_MAX];
    static char file[1 << 17];
    settings_t *settings = must_calloc(1, sizeof *settings);
    config_report_t report = {NULL, on_mistake};
    snprintf(file, sizeof file, "sites:\n- {name: a, hosts: [a], origin: {url: http://o}, %s}\n", text);
    *said = 0;
    config_load(text_of(file), settings, places, &report);
    settings_put_inherited(settings);
    settings->admin.text = ""; /* an option's */
    return settings;
}

static void drop(settings_t *settings)
{
    settings_free(settings);
    free(settings);
}

static settings_t *take(const char *text)
{
    settings_t *settings = load(text);
    if (*said != 0)
        fail_msg("%s: %s", text, said);
    return settings;
}

static void refuse(const char *text, const char *wanted)
{
    settings_t *settings = load(text);
    if (strcmp(said, wanted) != 0)
        fail_msg("%s\nsays %swanted %s", text, said, wanted);
    drop(settings);
}

static void assert_lifetime(http_lifetime_t lifetime, bool is_said, int64_t ms)
{
    assert_int_equal(lifetime.said, is_said);
    assert_int_equal(lifetime.ms, ms);
}

static void a_rule_says_what_it_says_and_leaves_the_rest_to_the_site(void **state)
{
    (void)state;
    settings_t *settings =
        take("rules: [{path: /a/*, lifetime: 1.5}, {path: '*.%6as', lifetime: off, bypass: on}, {path: /c}], "
             "lifetime: 60, negative_lifetime: 10");
    assert_int_equal(settings->rule_count, 3);
    const settings_rule_t *rules = settings->rules;
    assert_true(text_equal(rules[0].path, TEXT("/a/*")));
    assert_true(text_equal(rules[1].path, TEXT("*.js")));
    assert_lifetime(rules[0].policy.lifetimes.always, true, 1500);
    assert_lifetime(rules[1].policy.lifetimes.always, false, 0);
    assert_lifetime(rules[2].policy.lifetimes.always, true, 60000);
    for (size_t i = 0; i < 3; i++) {
        assert_lifetime(rules[i].policy.lifetimes.negative, true, 10000);
        assert_lifetime(rules[i].policy.lifetimes.standard, false, 0);
        assert_int_equal(rules[i].policy.bypass, i == 1);
    }
    assert_lifetime(settings->sites[0].policy.lifetimes.always, true, 60000);
    drop(settings);
}

static void lists_are_a_rules_own_even_when_they_are_empty(void **state)
{
    (void)state;
    settings_t *settings = take("query: {keep: [v, 'w*'], drop: [x]}, rules: [{path: /a, query: {keep: []}}, "
                                "{path: /b, query: {drop: [y, z]}}]");
    const http_query_t *site = &settings->sites[0].policy.query;
    const http_query_t *a = &settings->rules[0].policy.query, *b = &settings->rules[1].policy.query;
    assert_true(text_equal(site->keep, TEXT("v w*")) && text_equal(site->drop, TEXT("x")));
    assert_true(a->keep.data != NULL && a->keep.length == 0 && text_equal(a->drop, TEXT("x")));
    assert_true(text_equal(b->keep, TEXT("v w*")) && text_equal(b->drop, TEXT("y z")));
    drop(settings);
}

static void rules_belong_to_their_site(void **state)
{
    (void)state;
    settings_t *settings = take("rules: &r [{path: /a}, {path: /b}]}\n"
                                "- {name: b, hosts: [b], origin: {url: http://o}}\n"
                                "- {name: c, rules: *r, hosts: [c], origin: {url: http://o}, lifetime: 7");
    static const size_t sites[] = {0, 0, 2, 2};
    assert_int_equal(settings->rule_count, 4);
    for (size_t i = 0; i < 4; i++) {
        assert_int_equal(settings->rules[i].site, sites[i]);
        assert_lifetime(settings->rules[i].policy.lifetimes.always, i >= 2, i >= 2 ? 7000 : 0);
    }
    assert_true(text_equal(settings->sites[2].name, TEXT("c")));
    drop(settings);
}

static void tags_are_a_rules_own(void **state)
{
    (void)state;
    settings_t *settings = take("tags: [all, 'p-{2}'], tag_fields: X-Tags, rules: [{path: /a, tags: []}, "
                                "{path: /b, tags: ['{-1}:{9}']}, {path: /c}]");
    const http_policy_t *site = &settings->sites[0].policy;
    assert_true(text_equal(site->tags, TEXT("all p-{2}")));
    assert_int_equal(site->tag_fields.count, 1);
    assert_true(text_equal(site->tag_fields.at[0], TEXT("x-tags")));
    assert_int_equal(settings->rules[0].policy.tags.length, 0);
    assert_true(text_equal(settings->rules[1].policy.tags, TEXT("{-1}:{9}")));
    assert_true(text_equal(settings->rules[2].policy.tags, site->tags));
    assert_int_equal(settings->rules[0].policy.tag_fields.count, 1); /* which is a site's to say */
    drop(settings);
}

#define PATTERN                                                                                              \
    "a pattern is a path, such as /robots.txt, or has stars: /assets/* is all below, /img/*.png is of one "  \
    "segment, /a/**/b of any segments between, *.css of the last segment anywhere\n"

static void mistakes_are_told_with_their_place(void **state)
{
    (void)state;
    refuse("rules: [{path: a/b}]", "2:65: sites[].rules[].path a/b: does not begin with a slash; " PATTERN);
    refuse("rules: [{path: ''}]", "2:65: sites[].rules[].path '': is empty; " PATTERN);
    refuse("rules: [{lifetime: 1}]",
           "2:58: sites[].rules[].path is missing; each item of sites[].rules has one: " PATTERN);
    refuse("rules: [/a]", "2:58: an item of sites[].rules is a single value; allowed is a group of keys\n");
    refuse("rules: {path: /a}",
           "2:57: sites[].rules is a group of keys; allowed is a list, each item behind a dash\n");
    refuse("rules: [{path: /a, lifetime: never}]",
           "2:79: sites[].rules[].lifetime never: not a time; off, or a number of seconds with at most three "
           "decimals, such as 3600\n");
    refuse("negative_lifetime: 315360001",
           "2:69: sites[].negative_lifetime 315360001: too large; allowed is 0 to 315360000\n");
}

#define TAG                                                                                                  \
    "; a tag without spaces, in which {1} to {9} stand for a segment of the path, and {-1} to {-9} for one " \
    "counted from its end\n"
#define BRACE "has a brace that is no segment of the path, {1} to {9} or {-1} to {-9}" TAG

static void mistakes_of_tags_are_told(void **state)
{
    (void)state;
    refuse("tags: ['']", "2:57: sites[].tags '': is empty" TAG);
    refuse("tags: [a b]", "2:57: sites[].tags a b: holds a space or a control byte" TAG);
    refuse("tags: [a, \"b\\t\"]", "2:60: sites[].tags b?: holds a space or a control byte" TAG);
    refuse("tags: ['{0}']", "2:57: sites[].tags {0}: " BRACE);
    refuse("tags: ['{10}']", "2:57: sites[].tags {10}: " BRACE);
    refuse("tags: ['a}']", "2:57: sites[].tags a}: " BRACE);
    refuse("rules: [{path: /a, tags: ['{-}']}]", "2:76: sites[].rules[].tags {-}: " BRACE);
    char text[1200], wanted[2400];
    memset(text, 'x', sizeof text);
    memcpy(text, "tags: [", 7);
    strcpy(text + 7 + 1025, "]");
    snprintf(wanted, sizeof wanted, "2:57: sites[].tags %.*s: is longer than 1024 bytes" TAG, 200, text + 7);
    refuse(text, wanted);
}

static void rules_without_end_are_told(void **state)
{
    (void)state;
    static char text[1 << 16];
    char *at = text + sprintf(text, "rules: [");
    for (int i = 0; i < 600; i++)
        at += sprintf(at, "{path: /%d}, ", i);
    at += sprintf(at, "]}\n- {name: b, hosts: [b], origin: {url: http://o}, rules: [\n");
    for (int i = 0; i < 425; i++)
        at += sprintf(at, "{path: /%d},\n", i);
    sprintf(at, "]");
    refuse(text, "428:1: sites[].rules has one item too many; at most 1024 are allowed in all sites\n");
}

static void compare(const char *before, const char *after, const char *wanted)
{
    settings_t *a = take(before), *b = take(after);
    settings_compare(a, a, b, on_differs, NULL);
    if (strcmp(said, wanted) != 0)
        fail_msg("%s, %s\nsays %swanted %s", before, after, said, wanted);
    drop(a);
    drop(b);
}

static void what_has_changed_is_told(void **state)
{
    (void)state;
#define RULES "rules: [{path: /a, lifetime: 1}, {path: /b}]"
    compare(RULES, RULES, "");
    compare(RULES, "rules: [{path: /b}, {path: /a, lifetime: 1}]", "sites[a].rules\n");
    compare(RULES, "rules: [{path: /a, lifetime: 2}, {path: /b}]", "sites[a].rules\n");
    compare(RULES, "rules: [{path: /a, lifetime: 1}, {path: /b, bypass: off}]", "sites[a].rules\n");
    compare(RULES, "rules: [{path: /a, lifetime: 1}]", "sites[a].rules\n");
    compare("bypass: off", RULES, "sites[a].rules\n");
    compare(RULES, RULES ", lifetime: 9", "sites[a].lifetime\n");
    compare("query: {keep: []}", "query: {drop: []}", "sites[a].query.keep\nsites[a].query.drop\n");
    compare("lifetime: 0", "lifetime: off", "sites[a].lifetime\n");
    compare("tags: [a, b]", "tags: [a, b]", "");
    compare("tags: [a, b]", "tags: [b, a]", "sites[a].tags\n");
    compare("tags: [a]", "tag_fields: off", "sites[a].tag_fields\nsites[a].tags\n");
    compare("rules: [{path: /a}]", "rules: [{path: /a, tags: [a]}]", "sites[a].rules\n");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_rule_says_what_it_says_and_leaves_the_rest_to_the_site),
        cmocka_unit_test(lists_are_a_rules_own_even_when_they_are_empty),
        cmocka_unit_test(rules_belong_to_their_site),
        cmocka_unit_test(tags_are_a_rules_own),
        cmocka_unit_test(mistakes_are_told_with_their_place),
        cmocka_unit_test(mistakes_of_tags_are_told),
        cmocka_unit_test(rules_without_end_are_told),
        cmocka_unit_test(what_has_changed_is_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
