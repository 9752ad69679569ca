/* The configuration file's loader: what it takes, what it says of each mistake and where, and that the sample
 * is what the table makes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "conf/config.h"

static settings_t settings;
static config_place_t places[SETTINGS_TABLE_MAX];
static char said[1 << 16]; /* the mistakes, a line each */

#define SITE "sites: [{name: a, hosts: [a.example], origin: {url: http://o}}]\n"

static void on_mistake(void *context, config_place_t place, const char *text)
{
    (void)context;
    size_t length = strlen(said);
    snprintf(said + length, sizeof said - length, "%zu:%zu: %s\n", place.line, place.column, text);
}

static size_t load_bytes(const char *bytes, size_t length)
{
    /* A copy of exactly that size, so that the sanitizer sees a read beyond. */
    char *copy = malloc(length > 0 ? length : 1);
    assert_non_null(copy);
    memcpy(copy, bytes, length);
    settings_free(&settings);
    memset(&settings, 0, sizeof settings);
    memset(places, 0, sizeof places);
    *said = 0;
    config_report_t report = {NULL, on_mistake};
    size_t mistakes = config_load((text_t){copy, length}, &settings, places, &report);
    free(copy);
    return mistakes;
}

static void take(const char *file)
{
    if (load_bytes(file, strlen(file)) != 0)
        fail_msg("%s: %s", file, said);
}

/* All that is said of the file. */
static void refuse(const char *file, const char *expected)
{
    size_t mistakes = load_bytes(file, strlen(file)), lines = 0;
    for (const char *at = said; *at != 0; at++)
        lines += *at == '\n' ? 1 : 0;
    assert_int_equal(mistakes, lines);
    if (strcmp(said, expected) != 0)
        fail_msg("%s\nsays %swanted %s", file, said, expected);
}

static void assert_text(text_t text, const char *expected)
{
    assert_int_equal(text.length, strlen(expected));
    assert_memory_equal(text.data, expected, text.length);
}

static void a_file_fills_the_same_settings(void **state)
{
    (void)state;
    take("workers: 3\nmemory: {size: 64M, max_object: 1M}\nstate_dir: '/s d'\n"
         "listen:\n  - url: http://127.0.0.1:80\n  - {url: \"https://[::1]:443\"}\n  - http://127.0.0.1:81\n"
         "certificates: [{cert: c, key: k}]\naccess_log: {path: off}\n" SITE);
    assert_int_equal(settings.workers, 3);
    assert_int_equal(settings.memory_bytes, 64 << 20);
    assert_int_equal(settings.max_object_bytes, 1 << 20);
    assert_string_equal(settings.state_dir, "/s d");
    assert_int_equal(settings.listener_count, 3);
    assert_string_equal(settings.listeners[1].host, "::1");
    assert_int_equal(settings.listeners[2].port, 81);
    assert_int_equal(settings.certificate_count, 1);
    assert_string_equal(settings.certificates[0].certificate.path, "c");
    assert_string_equal(settings.certificates[0].key.path, "k");
    assert_int_equal(settings.certificates[0].key.line, 8);
    assert_int_equal(settings.certificates[0].key.column, 31);
    assert_null(settings.access_log);
    assert_int_equal(places[setting_find("workers") - settings_table].line, 1);
    assert_int_equal(places[setting_find("memory.max_object") - settings_table].column, 33);
    assert_int_equal(places[setting_find("admin.url") - settings_table].line, 0);
}

static void a_listener_says_whether_a_balancer_is_before_it(void **state)
{
    (void)state;
    take(
        "listen: [{url: http://127.0.0.1:80, proxy_protocol: true}, http://127.0.0.1:81,\n"
        "  {proxy_protocol: yes, url: http://127.0.0.1:82}, {url: http://127.0.0.1:83, proxy_protocol: no},\n"
        "  {url: http://127.0.0.1:84, proxy_protocol: on}, {url: http://127.0.0.1:85}]\n" SITE);
    static const bool expected[] = {true, false, true, false, true, false};
    assert_int_equal(settings.listener_count, 6);
    for (size_t i = 0; i < 6; i++) {
        assert_int_equal(settings.listeners[i].port, 80 + i);
        assert_int_equal(settings.listeners[i].proxy_protocol, expected[i]);
    }
}

static void a_site_begins_with_the_defaults(void **state)
{
    (void)state;
    take("sites:\n- name: a\n  hosts: [a.example]\n  origin: {url: 'http://o:1/', connect_timeout: 0.5}\n");
    const settings_site_t *site = &settings.sites[0];
    assert_int_equal(settings.site_count, 1);
    assert_text(site->name, "a");
    assert_text(site->origin_url, "http://o:1");
    assert_int_equal(site->connect_timeout_ms, 500);
    assert_int_equal(site->first_byte_timeout_ms, 30000);
    assert_true(site->forwarded_https);
    assert_false(site->policy.forward_all);
}

static void take_hsts(const char *value, const char *policy)
{
    char text[512];
    snprintf(text, sizeof text, "sites: [{name: a, hosts: [a], origin: {url: http://o}, hsts: '%s'}]\n",
             value);
    take(text);
    assert_text(settings.sites[0].hsts, policy);
}

static void refuse_hsts(const char *value, const char *why)
{
    char text[512], wanted[512];
    snprintf(text, sizeof text, "sites: [{name: a, hosts: [a], origin: {url: http://o}, hsts: '%s'}]\n",
             value);
    snprintf(wanted, sizeof wanted, "1:62: sites[].hsts %s: %s\n", *value != 0 ? value : "''", why);
    refuse(text, wanted);
}

static void a_policy_of_hsts_is_written_as_it_is_sent(void **state)
{
    (void)state;
    static const char no[] =
        "not a policy; allowed is off, a number of seconds, or max-age=SECONDS with `; includeSubDomains` "
        "and "
        "`; preload` behind it where wanted, such as max-age=31536000; includeSubDomains";
    static const char *const wrong[] = {"",
                                        "on",
                                        "-1",
                                        "1.5",
                                        "max-age",
                                        "max-age=",
                                        "max-age=x",
                                        "max-age=1;",
                                        "max-age=1;;",
                                        "max-age=1; max-age=1",
                                        "preload",
                                        "60; preload",
                                        "max-age = 1",
                                        "max-age=\"1\"",
                                        "max-age=1; includesubdomains; includeSubDomains",
                                        "max-age=1 2"};
    take_hsts("off", "");
    take_hsts("0", "max-age=0");
    take_hsts("31536000", "max-age=31536000");
    take_hsts("Max-Age=0060", "max-age=60");
    take_hsts(" INCLUDESUBDOMAINS ;max-age=60 ", "max-age=60; includeSubDomains");
    take_hsts("preload; max-age=31536000; includeSubDomains", "max-age=31536000; includeSubDomains; preload");
    take_hsts("315360000", "max-age=315360000");
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
        refuse_hsts(wrong[i], no);
    refuse_hsts("315360001", "too long; allowed are at most ten years, 315360000");
    refuse_hsts("99999999999999999999999999", "too long; allowed are at most ten years, 315360000");
}

static void take_fields(const char *value, size_t count, const char *last)
{
    char text[512];
    snprintf(text, sizeof text,
             "sites: [{name: a, hosts: [a], origin: {url: http://o}, targeted_fields: '%s'}]\n", value);
    take(text);
    const http_names_t *names = &settings.sites[0].policy.targeted;
    assert_int_equal(names->count, count);
    if (count > 0)
        assert_text(names->at[count - 1], last);
}

static void refuse_fields(const char *value)
{
    char text[512], wanted[512];
    snprintf(text, sizeof text,
             "sites: [{name: a, hosts: [a], origin: {url: http://o}, targeted_fields: '%s'}]\n", value);
    snprintf(
        wanted, sizeof wanted,
        "1:73: sites[].targeted_fields %s: not a list of fields; allowed is off, or the names of up to eight "
        "fields, a comma between two\n",
        *value != 0 ? value : "''");
    refuse(text, wanted);
}

static void fields_are_written_as_in_a_header(void **state)
{
    (void)state;
    take("sites: [{name: a, hosts: [a], origin: {url: http://o}}]\n");
    assert_int_equal(settings.sites[0].policy.targeted.count, 2);
    assert_text(settings.sites[0].policy.targeted.at[0], "selvedge-cache-control");
    assert_int_equal(settings.sites[0].policy.consumed.count, 4);
    assert_int_equal(settings.sites[0].policy.tag_fields.count, 2);
    take_fields("off", 0, NULL);
    take_fields("CDN-Cache-Control", 1, "cdn-cache-control");
    take_fields(" a ,b,  C-d", 3, "c-d");
    take_fields("a, b, A", 2, "b"); /* once is enough */
    take_fields("a,b,c,d,e,f,g,h", 8, "h");
    static const char *const wrong[] = {"", ",", "a,", ",a", "a b", "a: b", "a,b,c,d,e,f,g,h,i", "a, (b)"};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
        refuse_fields(wrong[i]);
}

static void nothing_written_is_nothing_said(void **state)
{
    (void)state;
    take("");
    take("# only words\n");
    take("~");
    take("memory:\nlisten: ~\n" SITE);
    assert_int_equal(settings.memory_bytes, 0);
    assert_int_equal(settings.listener_count, 0);
}

static void keys_that_do_not_exist_are_told_with_the_nearest(void **state)
{
    (void)state;
    assert_int_equal(load_bytes("wrkers: 4\n", 10), 1);
    assert_non_null(
        strstr(said, "1:1: 'wrkers' is not a key; allowed are sites, listen, admin, memory, disk"));
    assert_non_null(strstr(said, "; did you mean workers?"));
    refuse("memory:\n  sise: 1M\n",
           "2:3: 'sise' is not a key of memory; allowed are size, max_object; did you mean size?\n");
    refuse("memory: {xyzzyplugh: 1M}\n",
           "1:10: 'xyzzyplugh' is not a key of memory; allowed are size, max_object\n");
    refuse("memory: {connect_timeout: 1}\n",
           "1:10: 'connect_timeout' is not a key of memory; allowed are size, max_object; did you mean "
           "sites[].origin.connect_timeout?\n");
    assert_int_equal(load_bytes("memory.size: 1M\n", 16), 1); /* a path is not a key */
    assert_int_equal(load_bytes("'': 1\n", 6), 1);
    assert_int_equal(load_bytes("sites[]: 1\n", 11), 1);
}

static void a_key_is_given_once(void **state)
{
    (void)state;
    refuse("workers: 1\nmemory: {size: 64M}\nworkers: 2\n",
           "3:1: workers is given twice, first in line 1; each key is allowed once\n");
    refuse("memory: {size: 64M}\nmemory: {max_object: 1M}\n",
           "2:1: memory is given twice, first in line 1; each key is allowed once\n");
    refuse("memory:\n  size: 64M\n  size: 64M\n",
           "3:3: memory.size is given twice, first in line 2; each key is allowed once\n");
}

static void a_value_of_the_wrong_kind_is_told(void **state)
{
    (void)state;
    refuse("workers: [4]\n",
           "1:10: workers is a list; allowed is a single value: a count is a whole number, such as 4\n");
    refuse("workers: {a: 4}\n", "1:10: workers is a group of keys; allowed is a single value: a count is a "
                                "whole number, such as 4\n");
    refuse("workers:\n",
           "1:9: workers has no value; allowed is a single value: a count is a whole number, such as 4\n");
    refuse("state_dir: \"a\\0b\"\n",
           "1:12: state_dir holds a zero byte; allowed is a single value: a path\n");
    refuse("state_dir: ''\n", "1:12: state_dir '': is empty; give a path\n");
    refuse("memory: 1M\n", "1:9: memory is a single value; allowed is a group of keys\n");
    refuse("listen: http://127.0.0.1:80\n",
           "1:9: listen is a single value; allowed is a list, each item behind a dash\n");
    refuse("certificates: [c.pem]\n",
           "1:16: an item of certificates is a single value; allowed is a group of keys\n");
    refuse("certificates: [~]\n", "1:16: an item of certificates is empty; allowed is a group of keys\n");
    refuse("? [a]\n: 1\n", "1:3: a key is a list; allowed is a word\n");
    refuse("- 1\n", "1:1: the file is a list; allowed is a group of keys, such as `workers: 4`\n");
}

static void a_wrong_value_is_told_as_the_option_would(void **state)
{
    (void)state;
    refuse("workers: 0\n", "1:10: workers 0: too small; allowed is 1 to 256\n");
    refuse("memory:\n  size: 12Q\n", "2:9: memory.size 12Q: 'Q' is not a unit; a size is a number with an "
                                     "optional K, M or G (powers of 1024), "
                                     "such as 512M\n");
    refuse("sites: [{name: a, hosts: [a.example], origin: {url: http://o}, request_fields: alll}]\n",
           "1:80: sites[].request_fields alll: not a word that it knows; allowed is safe or all; did you "
           "mean all?\n");
    refuse("admin: {token: s3cret=x}\n", "1:16: admin.token: the token given is not one; a token is 1 to 512 "
                                         "letters, digits and - . _ ~ + / with = "
                                         "at the end only, as RFC 6750 has it\n");
}

static void a_mistake_is_one_line_whatever_it_quotes(void **state)
{
    (void)state;
    refuse("workers: \"4\\n\\e[1m\"\n",
           "1:10: workers 4??[1m: not a number; a count is a whole number, such as 4\n");
}

static void what_an_item_must_have_is_missed(void **state)
{
    (void)state;
    refuse("certificates:\n- cert: c\n",
           "2:3: certificates[].key is missing; each item of certificates has one: a path\n");
    refuse(
        "sites: [{name: a, hosts: [a]}]\n",
        "1:9: sites[].origin.url is missing; each item of sites has one: an origin is http://HOST[:PORT] or "
        "https://HOST[:PORT], without a path, such as http://127.0.0.1:8000\n");
}

static void each_host_belongs_to_one_site(void **state)
{
    (void)state;
    take("sites:\n- {name: a, hosts: [A.Example, '[0::1]'], origin: {url: http://o}}\n"
         "- {name: b, hosts: [b.example], origin: {url: http://p}}\n");
    assert_int_equal(settings.site_count, 2);
    assert_int_equal(settings.host_count, 3);
    assert_text(settings.hosts[0].name, "a.example");
    assert_text(settings.hosts[1].name, "::1");
    assert_int_equal(settings.hosts[2].site, 1);
    refuse("sites:\n- {name: a, hosts: [x], origin: {url: http://o}}\n- {name: b, hosts: [X.], origin: {url: "
           "http://o}}\n",
           "3:21: sites[].hosts X.: the host is already that of sites[0]; each belongs to one site, and is "
           "given once\n");
    refuse("sites:\n- {name: a, hosts: ['[::1]'], origin: {url: http://o}}\n"
           "- {name: a, hosts: ['[0::1]'], origin: {url: http://o}}\n",
           "3:10: sites[].name a: another site has this name; each needs one of its own\n"
           "3:21: sites[].hosts [0::1]: the host is already that of sites[0]; each belongs to one site, and "
           "is given "
           "once\n");
    refuse("sites: [{name: a, hosts: ['x:80'], origin: {url: http://o}}]\n",
           "1:27: sites[].hosts x:80: not a host name; a host name is a name or an address without a port, "
           "such as "
           "www.example.com or [::1]\n");
    refuse("sites: [{name: a, hosts: x, origin: {url: http://o}}]\n",
           "1:26: sites[].hosts is no list; allowed is a list with at least one value: a host name is a name "
           "or an "
           "address without a port, such as www.example.com or [::1]\n");
    refuse("sites: [{name: a, hosts: [], origin: {url: http://o}}]\n",
           "1:26: sites[].hosts is empty; allowed is a list with at least one value: a host name is a name "
           "or an "
           "address without a port, such as www.example.com or [::1]\n");
    refuse("sites: [{name: 'a b', hosts: [x], origin: {url: http://o}}]\n",
           "1:16: sites[].name a b: not a name; a name is 1 to 64 letters, digits, dots, - and _\n");
}

static void what_is_no_yaml_is_told_with_its_place(void **state)
{
    (void)state;
    refuse("workers: 1\na: b: c\n",
           "2:5: not YAML: mapping values are not allowed in this context; allowed is YAML 1.1 in "
           "UTF-8, such as `workers: 4`\n");
    refuse("workers: *none\n",
           "1:10: not YAML: found undefined alias; allowed is YAML 1.1 in UTF-8, such as `workers: 4`\n");
    assert_int_equal(load_bytes("a: 1\nb: \xff\n", 10), 1);
    assert_int_equal(strncmp(said, "2:4: not YAML: ", 15), 0);
    assert_int_equal(load_bytes("a: \0", 4), 1);
    refuse("workers: 1\n---\nworkers: 2\n", "3:1: a second document begins; allowed is one\n");
}

static void no_file_takes_long(void **state)
{
    (void)state;
    static char big[CONFIG_BYTES_MAX + 1];
    memset(big, '#', sizeof big);
    assert_int_equal(load_bytes(big, sizeof big), 1);
    assert_non_null(strstr(said, "1:1: the file is larger than 1048576 bytes"));
    assert_int_equal(load_bytes(big, sizeof big - 1), 0);
    memset(big, '[', sizeof big); /* nesting */
    assert_int_equal(load_bytes(big, sizeof big - 1), 1);
    assert_string_equal(said, "1:65: brackets nest too deep; allowed are 64 within each other\n");
    for (size_t i = 0; i + 5 <= sizeof big; i += 5)
        memcpy(big + i, "x: 1\n", 5);
    /* As many mistakes as keys: the first hundred are told. */
    assert_int_equal(load_bytes(big, 200000), CONFIG_MISTAKES_MAX);
    /* Each line says the one before ten times. */
    char bomb[1024] = "x0: &a0 [1]\n";
    for (int i = 1; i < 20; i++)
        snprintf(bomb + strlen(bomb), sizeof bomb - strlen(bomb), "x%d: &a%d [*a%d,*a%d,*a%d,*a%d]\n", i, i,
                 i - 1, i - 1, i - 1, i - 1);
    snprintf(bomb + strlen(bomb), sizeof bomb - strlen(bomb), "listen: *a19\n");
    assert_int_equal(load_bytes(bomb, strlen(bomb)), 24);
    /* A group that is its own value. */
    assert_int_equal(load_bytes("&a {memory: *a}\n", 16), 1);
}

static void the_sample_is_what_the_table_makes(void **state)
{
    (void)state;
    char *sample = NULL, *file = must_calloc(1, 1 << 16);
    size_t length;
    FILE *out = open_memstream(&sample, &length);
    assert_non_null(out);
    config_sample(out);
    fclose(out);
    FILE *in = fopen(SELVEDGE_SOURCE_DIR "/conf/selvedge.yaml", "r");
    assert_non_null(in);
    assert_true(fread(file, 1, 1 << 16, in) > 0);
    fclose(in);
    if (strcmp(sample, file) != 0)
        fail_msg("conf/selvedge.yaml is not what the table makes: selvedge --sample > conf/selvedge.yaml");
    take(sample);
    free(sample);
    free(file);
}

static void shown_wholly_the_sample_has_every_setting(void **state)
{
    (void)state;
    char *sample = NULL;
    size_t length;
    FILE *out = open_memstream(&sample, &length);
    assert_non_null(out);
    config_sample(out);
    fclose(out);
    char *to = sample;
    for (char *from = sample; *from != 0; from++)
        if (*from != '#' || from[1] == ' ')
            *to++ = *from;
    *to = 0;
    take(sample);
    for (size_t i = 0; i < settings_table_count; i++)
        if (places[i].line == 0)
            fail_msg("%s is not in the sample", settings_table[i].name);
    free(sample);
}

static int free_texts(void **state)
{
    (void)state;
    settings_free(&settings);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_file_fills_the_same_settings),
        cmocka_unit_test(a_listener_says_whether_a_balancer_is_before_it),
        cmocka_unit_test(a_site_begins_with_the_defaults),
        cmocka_unit_test(a_policy_of_hsts_is_written_as_it_is_sent),
        cmocka_unit_test(fields_are_written_as_in_a_header),
        cmocka_unit_test(nothing_written_is_nothing_said),
        cmocka_unit_test(keys_that_do_not_exist_are_told_with_the_nearest),
        cmocka_unit_test(a_key_is_given_once),
        cmocka_unit_test(a_value_of_the_wrong_kind_is_told),
        cmocka_unit_test(a_wrong_value_is_told_as_the_option_would),
        cmocka_unit_test(a_mistake_is_one_line_whatever_it_quotes),
        cmocka_unit_test(what_an_item_must_have_is_missed),
        cmocka_unit_test(each_host_belongs_to_one_site),
        cmocka_unit_test(what_is_no_yaml_is_told_with_its_place),
        cmocka_unit_test(no_file_takes_long),
        cmocka_unit_test(the_sample_is_what_the_table_makes),
        cmocka_unit_test(shown_wholly_the_sample_has_every_setting),
    };
    return cmocka_run_group_tests(tests, NULL, free_texts);
}
