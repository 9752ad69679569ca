/* Sites: which one a host name belongs to, however it is written. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "edge/observe/counters.h"
#include "edge/sites/names.h"
#include "edge/sites/sites.h"

static settings_t settings;

static sites_t *sites_of(size_t site_count, size_t host_count, char (*names)[32])
{
    memset(&settings, 0, sizeof settings);
    settings.site_count = site_count;
    settings.host_count = host_count;
    for (size_t i = 0; i < site_count; i++)
        settings.sites[i].name = text_of(i % 2 == 0 ? "even" : "odd");
    for (size_t i = 0; i < host_count; i++)
        settings.hosts[i] = (settings_host_t){text_of(names[i]), i % site_count};
    return sites_new(&settings);
}

static void assert_site(const sites_t *sites, const char *authority, unsigned number)
{
    const site_t *site = sites_find(sites, text_of(authority));
    assert_non_null(site);
    assert_ptr_equal(site->settings, &settings.sites[number]);
}

static void a_host_is_found_however_it_is_written(void **state)
{
    (void)state;
    char names[][32] = {"www.example.com", "::1", "192.0.2.1", "example.com"};
    sites_t *sites = sites_of(2, 4, names);
    const char *first[] = {
        "www.example.com",     "WWW.Example.COM",  "www.example.com:8443", "www.example.com.",
        "www.example.com.:80", "www.example.com:", "192.0.2.1:1"};
    for (size_t i = 0; i < sizeof first / sizeof *first; i++)
        assert_site(sites, first[i], 0);
    const char *second[] = {"[::1]", "[::1]:80", "[0:0:0:0:0:0:0:1]", "[0::0001]:443", "example.com"};
    for (size_t i = 0; i < sizeof second / sizeof *second; i++)
        assert_site(sites, second[i], 1);
    const char *none[] = {
        "",           "com", "ww.example.com",    "xwww.example.com",  "[::2]", "::1", "[::1",
        "192.0.2.10", ":80", "www.example.com:x", "www.example.com..", "a b"};
    for (size_t i = 0; i < sizeof none / sizeof *none; i++)
        assert_null(sites_find(sites, text_of(none[i])));
    assert_null(sites_find(sites, (text_t){NULL, 0}));
    assert_null(sites_only(sites));
    sites_free(&sites);
}

static void the_only_site_takes_every_host(void **state)
{
    (void)state;
    sites_t *sites = sites_of(1, 0, NULL);
    assert_site(sites, "whatever", 0);
    assert_site(sites, "", 0);
    assert_ptr_equal(sites_only(sites), sites_find(sites, TEXT("x")));
    assert_non_null(sites_named(sites, TEXT("even")));
    assert_null(sites_named(sites, TEXT("eve")));
    sites_free(&sites);
}

static void thousands_of_hosts_are_all_found(void **state)
{
    (void)state;
    static char names[SETTINGS_HOSTS_MAX][32];
    for (unsigned i = 0; i < SETTINGS_HOSTS_MAX; i++)
        snprintf(names[i], sizeof names[i], "h%u.example", i);
    sites_t *sites = sites_of(SETTINGS_SITES_MAX, SETTINGS_HOSTS_MAX, names);
    for (unsigned i = 0; i < SETTINGS_HOSTS_MAX; i++)
        assert_site(sites, names[i], i % SETTINGS_SITES_MAX);
    assert_null(sites_find(sites, TEXT("h4096.example")));
    sites_free(&sites);
}

static void names_are_told(void **state)
{
    (void)state;
    char names[][32] = {"a", "b"}, text[64];
    sites_t *sites = sites_of(2, 2, names);
    sites_describe(sites, text, sizeof text);
    assert_string_equal(text, "even, odd");
    sites_describe(sites, text, 7);
    assert_string_equal(text, "even, ");
    sites_free(&sites);
}

/* Keys, purges and counters know a site by its name, whichever configuration it is of. */
static void a_name_is_kept_over_configurations(void **state)
{
    (void)state;
    char names[][32] = {"a", "b"};
    sites_t *before = sites_of(2, 2, names);
    const site_t *even = sites_named(before, TEXT("even")), *odd = sites_named(before, TEXT("odd"));
    const char *kept = odd->cache.name.data;
    unsigned number = odd->number;
    assert_int_not_equal(even->number, number);
    sites_free(&before);
    settings.sites[0].name = TEXT("another");
    sites_t *after = sites_new(&settings);
    assert_ptr_equal(sites_named(after, TEXT("odd"))->cache.name.data, kept);
    assert_int_equal(sites_named(after, TEXT("odd"))->number, number);
    assert_true(sites_named(after, TEXT("another"))->number > number);
    assert_null(sites_named(after, TEXT("even")));
    sites_free(&after);
}

/* As when a node was reloaded for years: counted with those of no site, and otherwise like any other. */
static void names_beyond_the_numbers(void **state)
{
    (void)state;
    char text[32];
    for (unsigned i = 0; i < SITES_MAX; i++) {
        snprintf(text, sizeof text, "n%u", i);
        assert_true(site_name(text_of(text))->number <= SITE_NONE);
    }
    assert_int_equal(site_name(text_of(text))->number, SITE_NONE);
    assert_true(text_equal(site_name(text_of(text))->text, text_of(text)));
    assert_ptr_equal(site_name(text_of(text)), site_name(text_of(text)));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_host_is_found_however_it_is_written),
        cmocka_unit_test(the_only_site_takes_every_host),
        cmocka_unit_test(thousands_of_hosts_are_all_found),
        cmocka_unit_test(names_are_told),
        cmocka_unit_test(a_name_is_kept_over_configurations),
        cmocka_unit_test(names_beyond_the_numbers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
