#include "edge/http/vary.h"
#include "tests/unit/http_table.h"

#define SIXTEEN "a,b,c,d,e,f,g,h,i,j,k,l,m,n,o,p"

/* The capacity that the header asks for, and no more. */
static http_vary_t read_vary(const table_fields_t *fields, char **buffer)
{
    size_t capacity = 0;
    for (size_t i = 0; i < fields->count; i++)
        capacity += text_equal(fields->at[i].name, TEXT("vary")) ? fields->at[i].value.length : 0;
    *buffer = must_alloc(capacity == 0 ? 1 : capacity);
    return http_vary(view(fields), *buffer, capacity);
}

static void reads_vary(void **state)
{
    (void)state;
    static const struct {
        const char *rfc, *response;
        http_vary_kind_t kind;
        const char *names;
    } rows[] = {
        {"RFC 9110 12.5.5: no Vary", "age: 1", HTTP_VARY_NONE, ""},
        {"RFC 9110 12.5.5: an empty Vary", "vary:", HTTP_VARY_NONE, ""},
        {"RFC 9110 12.5.5: names", "vary: accept-language, origin", HTTP_VARY_NAMES,
         "accept-language;origin;"},
        {"RFC 9110 5.1: in any case", "vary: ORIGIN, X-AZ, Accept-Language", HTTP_VARY_NAMES,
         "accept-language;origin;x-az;"},
        {"RFC 9111 4.1: named twice is named once", "vary: b,a,B , a|vary: A", HTTP_VARY_NAMES, "a;b;"},
        {"RFC 9110 5.3: several lines", "vary: c|age: 1|vary: a, b", HTTP_VARY_NAMES, "a;b;c;"},
        {"RFC 9111 4.1: a name and its beginning", "vary: ab, a, abc", HTTP_VARY_NAMES, "a;ab;abc;"},
        {"RFC 9110 12.5.3: one fixed Accept-Encoding", "vary: Accept-Encoding", HTTP_VARY_NONE, ""},
        {"RFC 9110 12.5.3: ... beside others", "vary: accept-encoding, a", HTTP_VARY_NAMES, "a;"},
        {"RFC 9111 4.1: *", "vary: *", HTTP_VARY_ANY, ""},
        {"RFC 9111 4.1: * as a member", "vary: a, *", HTTP_VARY_ANY, ""},
        {"RFC 9111 4.1: * in another line", "vary: a|vary: *", HTTP_VARY_ANY, ""},
        {"RFC 9110 12.5.5: not a field name", "vary: a b", HTTP_VARY_ANY, ""},
        {"RFC 9110 12.5.5: not a field name", "vary: \"a\"", HTTP_VARY_ANY, ""},
        {"RFC 9110 12.5.5: not a field name, last", "vary: a, b;c", HTTP_VARY_ANY, ""},
        {"RFC 9111 4.1: as many names as are kept", "vary: " SIXTEEN, HTTP_VARY_NAMES,
         "a;b;c;d;e;f;g;h;i;j;k;l;m;n;o;p;"},
        {"RFC 9111 4.1: ... and some again", "vary: " SIXTEEN ",a,p", HTTP_VARY_NAMES,
         "a;b;c;d;e;f;g;h;i;j;k;l;m;n;o;p;"},
        {"RFC 9111 4.1: more names", "vary: " SIXTEEN ",q", HTTP_VARY_ANY, ""},
        {"RFC 9111 4.1: more names", "vary: 0," SIXTEEN, HTTP_VARY_ANY, ""},
    };
    int failures = 0;
    for (size_t i = 0; i < LENGTH_OF(rows); i++) {
        table_fields_t response = fields_of(rows[i].response);
        char *buffer, names[128] = "";
        http_vary_t vary = read_vary(&response, &buffer);
        for (size_t n = 0; n < vary.count; n++) {
            strncat(names, vary.names[n].data, vary.names[n].length);
            strcat(names, ";");
        }
        if (vary.kind != rows[i].kind || strcmp(names, rows[i].names) != 0)
            FAIL_ROW(i, rows[i].rfc, "kind %d, %s", vary.kind, names);
        free(buffer);
        fields_free(&response);
    }
    assert_int_equal(failures, 0);
}

static void any_without_room(void **state)
{
    (void)state;
    table_fields_t response = fields_of("vary: abc, accept-encoding, de");
    char *buffer = must_alloc(5), *small = must_alloc(4);
    assert_int_equal(http_vary(view(&response), buffer, 5).kind, HTTP_VARY_NAMES);
    assert_int_equal(http_vary(view(&response), small, 4).kind, HTTP_VARY_ANY);
    free(buffer);
    free(small);
    fields_free(&response);
}

/* The selector in a block of exactly its length. */
static text_t select_variant(const char *vary_value, const char *request_lines)
{
    char line[256], *names;
    snprintf(line, sizeof(line), "vary: %s", vary_value);
    table_fields_t response = fields_of(line), request = fields_of(request_lines);
    http_vary_t vary = read_vary(&response, &names);
    size_t needed = http_vary_selector(&vary, view(&request), NULL, 0);
    char *buffer = must_alloc(needed == 0 ? 1 : needed);
    MUST(http_vary_selector(&vary, view(&request), buffer, needed) == needed);
    free(names);
    fields_free(&request);
    fields_free(&response);
    return (text_t){buffer, needed};
}

static void tells_variants_apart(void **state)
{
    (void)state;
    static const struct {
        const char *rfc, *vary, *one, *other;
        bool match;
    } rows[] = {
        {"RFC 9111 4.1: the same", "a", "a: 1|b: 1", "b: 2|a: 1", true},
        {"RFC 9111 4.1: another value", "a", "a: 1", "a: 2", false},
        {"RFC 9111 4.1: values in case", "a", "a: x", "a: X", false},
        {"RFC 9111 4.1: absent in both", "a", "b: 1", "b: 2", true},
        {"RFC 9111 4.1: absent in one", "a", "b: 1", "a: 1", false},
        {"RFC 9111 4.1: absent is not empty", "a", "b: 1", "a:", false},
        {"RFC 9111 4.1: white space", "a", "a: de,en", "a:  de \t, en ", true},
        {"RFC 9111 4.1: lines combined", "a", "a: de, en", "a: de|b: 1|a: en", true},
        {"RFC 9111 4.1: lines keep their order", "a", "a: de|a: en", "a: en|a: de", false},
        {"RFC 9111 4.1: members keep their order", "a", "a: de,en", "a: en,de", false},
        {"RFC 9110 5.6.1.2: empty members", "a", "a: de,,en,", "a: de,en", true},
        {"RFC 9110 5.6.4: a comma in quotes separates nothing", "a", "a: \"x, y\"", "a: \"x,y\"", false},
        {"RFC 9111 4.1: white space within a member", "a", "a: x y", "a: x  y", false},
        {"RFC 9111 4.1: all names must match", "a,b", "a: 1|b: 1", "a: 1|b: 2", false},
        {"RFC 9111 4.1: a value belongs to its name", "a,b", "a: 1", "b: 1", false},
        {"RFC 9111 4.1: a value that looks like the form", "a,b", "a: 1\nb=2", "a: 1|b: 2", false},
        {"RFC 9111 4.1: a value that looks escaped", "a", "a: \\n", "a: \n", false},
        {"RFC 9111 4.1: a member that looks like two", "a", "a: \"1,2", "a: 1|a: 2", false},
    };
    int failures = 0;
    for (size_t i = 0; i < LENGTH_OF(rows); i++) {
        text_t one = select_variant(rows[i].vary, rows[i].one),
               other = select_variant(rows[i].vary, rows[i].other);
        if (text_equal(one, other) != rows[i].match)
            FAIL_ROW(i, rows[i].rfc, "'%.*s' and '%.*s'", SHOW(one), SHOW(other));
        text_free(one);
        text_free(other);
    }
    assert_int_equal(failures, 0);
}

static void writes_the_form(void **state)
{
    (void)state;
    text_t selector =
        select_variant("Origin, B, accept-encoding, a", "a: 1|a: x , y|origin:|accept-encoding: br");
    assert_true(text_equal(selector, TEXT("a=1,x,y\nb\norigin=\n")));
    text_free(selector);
    http_vary_t none = {.kind = HTTP_VARY_NONE};
    assert_int_equal(http_vary_selector(&none, (http_fields_t){NULL, 0}, NULL, 0), 0);
}

/* With any capacity: the same length, the same beginning, nothing behind it. */
static void stays_within_its_capacity(void **state)
{
    (void)state;
    char names[8];
    table_fields_t response = fields_of("vary: b, a"), request = fields_of("a: 1, \\2|b: 3");
    http_vary_t vary = http_vary(view(&response), names, sizeof(names));
    text_t whole = TEXT("a=1,\\\\2\nb=3\n");
    for (size_t capacity = 1; capacity <= whole.length; capacity++) {
        char *buffer = must_alloc(capacity);
        assert_int_equal(http_vary_selector(&vary, view(&request), buffer, capacity), whole.length);
        assert_memory_equal(buffer, whole.data, capacity);
        free(buffer);
    }
    fields_free(&response);
    fields_free(&request);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_vary),
        cmocka_unit_test(any_without_room),
        cmocka_unit_test(tells_variants_apart),
        cmocka_unit_test(writes_the_form),
        cmocka_unit_test(stays_within_its_capacity),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
