/* The node of variants: a sorted union of names, and what a request says in them. */
#include "tests/unit/cache_world.h"

static variants_t *node_of(const variants_t *before, const char *value, uint64_t id)
{
    http_vary_names_t names;
    http_field_t field = {TEXT("vary"), text_of(value)};
    http_vary_t vary = http_vary((http_fields_t){&field, 1}, &names);
    variants_t *node = variants_new(before, &vary, (version_id_t){id, 0});
    memset(&names, '!', sizeof names); /* it has copies */
    return node;
}

static void assert_names(const variants_t *node, const char *expected)
{
    char joined[512] = "";
    const http_vary_t *vary = variants_vary(node);
    assert_int_equal(vary->kind, HTTP_VARY_NAMES);
    for (size_t i = 0; i < vary->count; i++) {
        strcat(joined, i ? "," : "");
        strncat(joined, vary->names[i].data, vary->names[i].length);
    }
    assert_string_equal(joined, expected);
}

static void unions(void **state)
{
    (void)state;
    static const struct {
        const char *before, *vary, *expected;
        bool covered;
    } rows[] = {
        {NULL, "b, a", "a,b", false},
        {"a", "a", "a", true},
        {"a, c", "b", "a,b,c", false},
        {"b", "a, c", "a,b,c", false},
        {"accept", "accept-x", "accept,accept-x", false},
        {"accept-x", "accept", "accept,accept-x", false},
        {"a,b,c", "c,a", "a,b,c", true},
        {"a", "A", "a", true},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        variants_t *before = rows[i].before ? node_of(NULL, rows[i].before, 1) : NULL;
        variants_t *node = node_of(before, rows[i].vary, 2);
        assert_names(node, rows[i].expected);
        assert_int_equal(variants_id(node).low, 2);
        variants_t *second = node_of(NULL, rows[i].vary, 3);
        if (before != NULL) {
            assert_int_equal(variants_cover(before, variants_vary(second)), rows[i].covered);
            variants_unref(&before);
        }
        assert_true(variants_cover(node, variants_vary(second)));
        variants_unref(&second);
        variants_unref(&node);
        assert_null(node);
    }
}

/* A list of this many names in order, each of three letters. */
static const char *list_of(unsigned first, unsigned count)
{
    static char list[HTTP_VARY_NAMES_MAX * 4 + 1];
    list[0] = '\0';
    for (unsigned i = first; i < first + count; i++)
        snprintf(list + strlen(list), sizeof list - strlen(list), "%sn%02u", list[0] != '\0' ? "," : "", i);
    return list;
}

static void as_many_names_as_a_vary_may_have(void **state)
{
    (void)state;
    variants_t *half = node_of(NULL, list_of(HTTP_VARY_NAMES_MAX / 2, HTTP_VARY_NAMES_MAX / 2), 1);
    variants_t *whole = node_of(half, list_of(0, HTTP_VARY_NAMES_MAX / 2), 2);
    assert_names(whole, list_of(0, HTTP_VARY_NAMES_MAX));
    assert_null(node_of(whole, "q", 3));
    variants_t *same = node_of(whole, "n00,n01", 4);
    assert_names(same, list_of(0, HTTP_VARY_NAMES_MAX));
    variants_unref(&half);
    variants_unref(&whole);
    variants_unref(&same);
}

/* Selectors longer and shorter than what is tried first; which requests are the same. */
static void selectors(void **state)
{
    (void)state;
    variants_t *node = node_of(NULL, "a,b", 1);
    for (size_t length = 0; length < 600; length += 7) {
        char value[600];
        memset(value, 'x', length);
        http_field_t one[2] = {{TEXT("a"), {value, length}}, {TEXT("c"), TEXT("1")}};
        http_field_t two[2] = {{TEXT("c"), TEXT("2")}, {TEXT("a"), {value, length}}};
        http_field_t three[1] = {{TEXT("b"), {value, length}}};
        size_t lengths[3];
        char *texts[3] = {variants_select(node, (http_fields_t){one, 2}, &lengths[0]),
                          variants_select(node, (http_fields_t){two, 2}, &lengths[1]),
                          variants_select(node, (http_fields_t){three, 1}, &lengths[2])};
        assert_true(text_equal((text_t){texts[0], lengths[0]}, (text_t){texts[1], lengths[1]}));
        assert_false(text_equal((text_t){texts[0], lengths[0]}, (text_t){texts[2], lengths[2]}));
        for (int i = 0; i < 3; i++)
            free(texts[i]);
    }
    variants_unref(&node);
}

static void references(void **state)
{
    (void)state;
    variants_t *node = node_of(NULL, "a", 1), *second = node, *third = node;
    variants_ref(node);
    assert_true(variants_try_ref(node));
    variants_unref(&node);
    variants_unref(&second);
    assert_names(third, "a");
    variants_unref(&third);
}

static int attach(void **state)
{
    (void)state;
    memory_attach_thread();
    return 0;
}

static int settle(void **state)
{
    (void)state;
    memory_settle(); /* so that what is not freed is seen as a leak */
    memory_detach_thread();
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(unions),
        cmocka_unit_test(as_many_names_as_a_vary_may_have),
        cmocka_unit_test(selectors),
        cmocka_unit_test(references),
    };
    return cmocka_run_group_tests(tests, attach, settle);
}
