/* Tags: those that fields name, those that a path has, and what can be one. */
#include "edge/http/tags.h"
#include "tests/unit/http_table.h"

enum { SEEN_BYTES = 4096 };

/* "one;two;" */
static void note(void *context, text_t tag)
{
    char *seen = context;
    size_t length = strlen(seen);
    assert_true(length + tag.length + 2 < SEEN_BYTES);
    memcpy(seen + length, tag.data, tag.length);
    memcpy(seen + length + tag.length, ";", 2);
}

static http_policy_t policy_with(const char *one, const char *other, text_t tags)
{
    return (http_policy_t){
        .tag_fields = {{text_of(one), text_of(other)}, (size_t)(*one != 0) + (*other != 0)}, .tags = tags};
}

static size_t count_of(const char *seen)
{
    size_t count = 0;
    for (; *seen != '\0'; seen++)
        count += *seen == ';';
    return count;
}

static void fields_name_tags(void **state)
{
    (void)state;
    static const struct {
        const char *what, *response, *tags;
    } rows[] = {
        {"no such field", "age: 1|x-tags: a", ""},
        {"an empty one", "surrogate-key:", ""},
        {"one tag", "surrogate-key: a", "a;"},
        {"spaces between", "surrogate-key: a b  c", "a;b;c;"},
        {"commas between", "surrogate-key: a,b,,c", "a;b;c;"},
        {"commas and spaces", "surrogate-key: a, b ,c , d", "a;b;c;d;"},
        {"tabs between", "surrogate-key: a\tb\t\tc", "a;b;c;"},
        {"nothing but what separates", "surrogate-key: , \t ,", ""},
        {"some at both ends", "surrogate-key: , a ,", "a;"},
        {"case counts", "surrogate-key: A a", "A;a;"},
        {"as often as they do", "surrogate-key: a a|surrogate-key: a", "a;a;a;"},
        {"several lines", "surrogate-key: b|age: 1|surrogate-key: a, c", "b;a;c;"},
        {"both fields, in the order of the setting", "cache-tag: c,d|surrogate-key: a b", "a;b;c;d;"},
        {"any other byte", "surrogate-key: a;b=\"c\" {1} \xc3\xbc/%20", "a;b=\"c\";{1};\xc3\xbc/%20;"},
        {"control bytes are in no tag", "surrogate-key: a\x01 b\x7f \x1f c", "c;"},
    };
    const http_policy_t policy = policy_with("surrogate-key", "cache-tag", (text_t){NULL, 0});
    int failures = 0;
    for (size_t i = 0; i < LENGTH_OF(rows); i++) {
        table_fields_t response = fields_of(rows[i].response);
        char seen[SEEN_BYTES] = "";
        size_t count = http_tags_of_fields(&policy, view(&response), note, seen);
        bool counted_same = http_tags_of_fields(&policy, view(&response), NULL, NULL) == count;
        if (strcmp(seen, rows[i].tags) != 0 || !counted_same)
            FAIL_ROW(i, rows[i].what, "%zu: %s", count, seen);
        fields_free(&response);
    }
    assert_int_equal(failures, 0);
}

/* The setting says which fields do, and without a site none does. */
static void only_the_fields_that_the_site_names(void **state)
{
    (void)state;
    static const struct {
        const char *one, *other, *tags;
    } rows[] = {
        {"", "", ""}, {"surrogate-key", "", "a;"}, {"cache-tag", "", "b;"}, {"x-own", "cache-tag", "c;b;"}};
    table_fields_t response = fields_of("surrogate-key: a|cache-tag: b|x-own: c");
    for (size_t i = 0; i < LENGTH_OF(rows); i++) {
        const http_policy_t policy = policy_with(rows[i].one, rows[i].other, (text_t){NULL, 0});
        char seen[SEEN_BYTES] = "";
        http_tags_of_fields(&policy, view(&response), note, seen);
        assert_string_equal(seen, rows[i].tags);
    }
    assert_int_equal(http_tags_of_fields(NULL, view(&response), NULL, NULL), 0);
    assert_int_equal(http_tags_of_path(NULL, TEXT("/a"), NULL, NULL), 0);
    fields_free(&response);
}

/* What no purge can name is no tag. */
static void a_tag_is_at_most_1024_bytes(void **state)
{
    (void)state;
    static char value[HTTP_TAG_BYTES_MAX + 8];
    memset(value, 'x', sizeof value);
    memcpy(value, "a ", 2);
    const http_policy_t policy = policy_with("cache-tag", "", (text_t){NULL, 0});
    http_field_t field = {TEXT("cache-tag"), {value, 2 + HTTP_TAG_BYTES_MAX}};
    assert_int_equal(http_tags_of_fields(&policy, (http_fields_t){&field, 1}, NULL, NULL), 2);
    field.value.length++;
    assert_int_equal(http_tags_of_fields(&policy, (http_fields_t){&field, 1}, NULL, NULL), 1);
    assert_true(http_is_tag((text_t){value + 2, HTTP_TAG_BYTES_MAX}));
    assert_false(http_is_tag((text_t){value + 2, HTTP_TAG_BYTES_MAX + 1}));
}

static void what_can_be_a_tag(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        bool is;
    } rows[] = {{"a", true},     {"A-b_c.7", true}, {"a,b", true},  {"{1}", true},   {"\xff", true},
                {"", false},     {" ", false},      {"a b", false}, {"a\tb", false}, {"a\n", false},
                {"\x01", false}, {"a\x7f", false},  {"\x80", true}};
    for (size_t i = 0; i < LENGTH_OF(rows); i++) {
        text_t text = exact(rows[i].text);
        assert_int_equal(http_is_tag(text), rows[i].is);
        text_free(text);
    }
    assert_false(http_is_tag((text_t){"a\0b", 3}));
}

static void paths_have_tags(void **state)
{
    (void)state;
    static const struct {
        const char *what, *given, *path, *tags;
    } rows[] = {
        {"none", "", "/a", ""},
        {"literal text", "all", "/a/b", "all;"},
        {"several", "all {1} {2}", "/a/b", "all;a;b;"},
        {"the first", "{1}", "/a", "a;"},
        {"the first of two", "{1}", "/a/b", "a;"},
        {"the ninth", "{9}", "/1/2/3/4/5/6/7/8/nine/10", "nine;"},
        {"there is no ninth", "{9}", "/1/2/3/4/5/6/7/8", ""},
        {"each", "{1}{2}{3}{4}{5}{6}{7}{8}{9}", "/a/b/c/d/e/f/g/h/i/j", "abcdefghi;"},
        {"each from the end", "{-1}{-2}{-3}{-4}{-5}{-6}{-7}{-8}{-9}", "/a/b/c/d/e/f/g/h/i/j", "jihgfedcb;"},
        {"the last", "{-1}", "/a/b.css", "b.css;"},
        {"the last of one", "{-1}", "/b.css", "b.css;"},
        {"the last but one", "{-2}", "/a/b.css", "a;"},
        {"there is no last but one", "{-2}", "/b.css", ""},
        {"the last but eight", "{-9}", "/nine/2/3/4/5/6/7/8/9", "nine;"},
        {"one too few", "{-9}", "/2/3/4/5/6/7/8/9", ""},
        {"text around", "product-{2}-x", "/p/7", "product-7-x;"},
        {"several in one", "{1}:{-1}", "/a/b/c", "a:c;"},
        {"one of several is not there", "{1}:{3} {1}", "/a/b", "a;"},
        {"the same twice", "{1}{1}", "/a", "aa;"},
        {"the root has none", "{1} {-1} all", "/", "all;"},
        {"a slash at the end: the last is empty", "{-1} {-2} {2}", "/a/", "a;"},
        {"an empty one between", "{1} {2} {3}", "/a//c", "a;c;"},
        {"... from the end", "{-1} {-2} {-3}", "/a//c", "c;a;"},
        {"nothing but slashes", "{1} {2} {-1} {-2} {-3}", "///", ""},
        {"what is escaped stays so", "{1}", "/%C3%BC%20", "%C3%BC%20;"},
        {"case counts", "{1}", "/Ab", "Ab;"},
        {"commas too", "{1}", "/a,b", "a,b;"},
    };
    int failures = 0;
    for (size_t i = 0; i < LENGTH_OF(rows); i++) {
        text_t given = exact(rows[i].given), path = exact(rows[i].path);
        const http_policy_t policy = {.tags = given};
        char seen[SEEN_BYTES] = "";
        size_t count = http_tags_of_path(&policy, path, note, seen);
        if (strcmp(seen, rows[i].tags) != 0 || count != count_of(seen) ||
            http_tags_of_path(&policy, path, NULL, NULL) != count)
            FAIL_ROW(i, rows[i].what, "%zu: %s", count, seen);
        text_free(given);
        text_free(path);
    }
    assert_int_equal(failures, 0);
}

/* By text, by one segment, or by two: with one byte more it is none. */
static void a_paths_tag_is_at_most_1024_bytes(void **state)
{
    (void)state;
    static const struct {
        const char *given;
        size_t segment; /* so long that it just fits */
    } rows[] = {{"{1}", 1024},     {"{-1}", 1024},  {"abcd{1}", 1020},
                {"{1}abcd", 1020}, {"{1}{1}", 512}, {"{1}{1}-", 511}};
    for (size_t i = 0; i < LENGTH_OF(rows); i++)
        for (size_t more = 0; more < 2; more++) {
            char *path = must_alloc(1 + rows[i].segment + more);
            memset(path, 'x', 1 + rows[i].segment + more);
            *path = '/';
            const http_policy_t policy = {.tags = text_of(rows[i].given)};
            text_t text = {path, 1 + rows[i].segment + more};
            assert_int_equal(http_tags_of_path(&policy, text, NULL, NULL), 1 - more);
            free(path);
        }
}

static void what_is_wrong_with_one_that_a_site_gives(void **state)
{
    (void)state;
    static const char brace[] = "has a brace that is no segment of the path, {1} to {9} or {-1} to {-9}";
    static const char space[] = "holds a space or a control byte";
    static const struct {
        const char *given, *wrong;
    } rows[] = {{"a", NULL},          {"{1}", NULL},      {"{9}", NULL},    {"{-1}", NULL},  {"{-9}", NULL},
                {"a{1}b{-2}c", NULL}, {"\xc3\xbc", NULL}, {"", "is empty"}, {"a b", space},  {"a\x01", space},
                {"\t", space},        {"a\x7f", space},   {"{0}", brace},   {"{10}", brace}, {"{-0}", brace},
                {"{-10}", brace},     {"{}", brace},      {"{-}", brace},   {"{a}", brace},  {"{1", brace},
                {"a}", brace},        {"{", brace},       {"{-", brace},    {"{-1", brace},  {"{+1}", brace},
                {"{{1}}", brace},     {"{1}}", brace},    {"{:}", brace},   {"{-/}", brace}};
    for (size_t i = 0; i < LENGTH_OF(rows); i++) {
        text_t given = exact(rows[i].given);
        const char *wrong = http_tag_check(given);
        if ((wrong == NULL) != (rows[i].wrong == NULL) ||
            (wrong != NULL && strcmp(wrong, rows[i].wrong) != 0))
            fail_msg("%s: %s", rows[i].given, wrong != NULL ? wrong : "nothing");
        text_free(given);
    }
    static char long_one[HTTP_TAG_BYTES_MAX + 1];
    memset(long_one, 'x', sizeof long_one);
    assert_null(http_tag_check((text_t){long_one, HTTP_TAG_BYTES_MAX}));
    assert_string_equal(http_tag_check((text_t){long_one, HTTP_TAG_BYTES_MAX + 1}),
                        "is longer than 1024 bytes");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(fields_name_tags),
        cmocka_unit_test(only_the_fields_that_the_site_names),
        cmocka_unit_test(a_tag_is_at_most_1024_bytes),
        cmocka_unit_test(what_can_be_a_tag),
        cmocka_unit_test(paths_have_tags),
        cmocka_unit_test(a_paths_tag_is_at_most_1024_bytes),
        cmocka_unit_test(what_is_wrong_with_one_that_a_site_gives),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
