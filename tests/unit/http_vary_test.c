#include "edge/http/vary.h"
#include "tests/unit/http_table.h"

#define TEN(l) l "0," l "1," l "2," l "3," l "4," l "5," l "6," l "7," l "8," l "9"
#define THIRTY TEN("a") "," TEN("b") "," TEN("c")
#define LANGUAGE "accept-language"
#define FIVE_TIMES(text) text text text text text
#define A_HUNDRED_TIMES(text) FIVE_TIMES(FIVE_TIMES(text text text text))
#define MOST TEN("a") "," TEN("b") "," TEN("c") "," TEN("d") "," TEN("e") "," TEN("f") ",g0,g1,g2,g3"

static bool is_sorted(const http_vary_t *vary)
{
    for (size_t i = 1; i < vary->count; i++)
        if (memcmp(vary->names[i - 1].data, vary->names[i].data, 2) >= 0)
            return false;
    return true;
}

static void reads_vary(void **state)
{
    (void)state;
    static const struct {
        const char *rfc, *response;
        http_vary_kind_t kind;
        const char *names; /* NULL: all that are kept */
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
        {"RFC 9111 4.1: as many names as are kept", "vary: " MOST, HTTP_VARY_NAMES, NULL},
        {"RFC 9111 4.1: ... and some again", "vary: " MOST ",a0,G3", HTTP_VARY_NAMES, NULL},
        {"RFC 9111 4.1: one again and again, longer than all that are kept",
         "vary: " A_HUNDRED_TIMES(LANGUAGE ","), HTTP_VARY_NAMES, "accept-language;"},
        {"RFC 9111 4.1: more names", "vary: " MOST ",h", HTTP_VARY_ANY, ""},
        {"RFC 9111 4.1: more names", "vary: 0," MOST, HTTP_VARY_ANY, ""},
    };
    int failures = 0;
    for (size_t i = 0; i < LENGTH_OF(rows); i++) {
        table_fields_t response = fields_of(rows[i].response);
        char names[256] = "";
        http_vary_names_t kept;
        http_vary_t vary = http_vary(view(&response), &kept);
        for (size_t n = 0; n < vary.count; n++) {
            strncat(names, vary.names[n].data, vary.names[n].length);
            strcat(names, ";");
        }
        bool right = rows[i].names == NULL ? vary.count == HTTP_VARY_NAMES_MAX && is_sorted(&vary)
                                           : strcmp(names, rows[i].names) == 0;
        if (vary.kind != rows[i].kind || !right)
            FAIL_ROW(i, rows[i].rfc, "kind %d, %s", vary.kind, names);
        fields_free(&response);
    }
    assert_int_equal(failures, 0);
}

static void any_without_room(void **state)
{
    (void)state;
    http_vary_names_t names;
    char value[HTTP_VARY_BYTES_MAX + 3];
    memset(value, 'a', sizeof(value));
    value[5] = ',';
    http_field_t field = {TEXT("vary"), {value, HTTP_VARY_BYTES_MAX + 1}};
    assert_int_equal(http_vary((http_fields_t){&field, 1}, &names).kind, HTTP_VARY_NAMES);
    field.value.length++;
    assert_int_equal(http_vary((http_fields_t){&field, 1}, &names).kind, HTTP_VARY_ANY);
}

/* The selector in a block of exactly its length. */
static text_t select_variant(const char *vary_value, const char *request_lines)
{
    char line[256];
    http_vary_names_t names;
    snprintf(line, sizeof(line), "vary: %s", vary_value);
    table_fields_t response = fields_of(line), request = fields_of(request_lines);
    http_vary_t vary = http_vary(view(&response), &names);
    size_t needed = http_vary_selector(&vary, view(&request), NULL, 0);
    char *buffer = must_alloc(needed == 0 ? 1 : needed);
    MUST(http_vary_selector(&vary, view(&request), buffer, needed) == needed);
    fields_free(&request);
    fields_free(&response);
    return (text_t){buffer, needed};
}

/* A line of the selecting field itself is written `=: value`. */
static text_t select_by(const char *vary, const char *lines)
{
    char whole[1024] = "";
    size_t length = 0;
    for (const char *at = lines; *at != '\0'; at++) {
        bool itself = at[0] == '=' && at[1] == ':' && (at == lines || at[-1] == '|');
        length += (size_t)snprintf(whole + length, sizeof(whole) - length, itself ? "%s" : "%.1s",
                                   itself ? vary : at);
    }
    return select_variant(vary, whole);
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
        {"RFC 9111 4.1: white space at the ends", "a", "a: de,en", "a: \t de,en ", true},
        {"RFC 9111 4.1: ... within what is no list", "a", "a: de,en", "a: de, en", false},
        {"RFC 9111 4.1: ... within a list", "accept", "=: a/b,c/d", "=:  a/b \t, c/d ", true},
        {"RFC 9110 10.1.5: User-Agent is no list", "user-agent", "=: A (KHTML,like B)",
         "=: A (KHTML, like B)", false},
        {"RFC 9110 10.1.5: ... of which members are empty", "user-agent", "=: A (B)", "=: ,A (B),", false},
        {"RFC 9110 11.6.2: nor is Authorization", "authorization", "=: D a=\"b\",c=\"d\"",
         "=: D a=\"b\",,c=\"d\"", false},
        {"RFC 9111 4.1: lines combined", "a", "a: de, en", "a: de|b: 1|a: en", true},
        {"RFC 9111 4.1: lines keep their order", "a", "a: de|a: en", "a: en|a: de", false},
        {"RFC 9111 4.1: members keep their order", "a", "a: de,en", "a: en,de", false},
        {"RFC 9110 5.6.1.2: empty members", "accept", "=: a/b,,c/d,", "=: a/b,c/d", true},
        {"RFC 9110 5.6.1.2: ... of what is no list", "a", "a: de,,en,", "a: de,en", false},
        {"RFC 9110 5.6.4: a comma in quotes separates nothing", "accept", "=: a/b;c=\"x, y\"",
         "=: a/b;c=\"x,y\"", false},
        {"RFC 9111 4.1: white space within a member", "a", "a: x y", "a: x  y", false},
        {"RFC 9111 4.1: all names must match", "a,b", "a: 1|b: 1", "a: 1|b: 2", false},
        {"RFC 9111 4.1: a value belongs to its name", "a,b", "a: 1", "b: 1", false},
        {"RFC 9111 4.1: a value that looks like the form", "a,b", "a: 1\nb=2", "a: 1|b: 2", false},
        {"RFC 9111 4.1: a value that looks escaped", "a", "a: \\n", "a: \n", false},
        {"RFC 9111 4.1: a member that looks like two", "a", "a: \"1,2", "a: 1|a: 2", false},
        {"RFC 9110 12.5.4: languages in any case", LANGUAGE, "=: en, de-AT", "=: EN, De-at", true},
        {"RFC 9110 12.5.4: order says nothing", LANGUAGE, "=: en, de;q=0.5", "=: de;q=0.5, en", true},
        {"RFC 9110 12.5.4: ... nor over lines", LANGUAGE, "=: en, de", "=: de|=: en", true},
        {"RFC 9110 12.5.4: ... nor repeats", LANGUAGE, "=: en, de, EN", "=: de, en", true},
        {"RFC 9110 12.4.2: without a weight it is 1", LANGUAGE, "=: en, de;q=1", "=: en;q=1.000, de", true},
        {"RFC 9110 12.4.2: zeroes at its end", LANGUAGE, "=: en;q=0.50", "=: en;q=0.5", true},
        {"RFC 9110 12.4.2: a point and no digits", LANGUAGE, "=: en;q=0., de;q=1.", "=: en;q=0, de", true},
        {"RFC 9110 12.4.2: white space about it", LANGUAGE, "=: en ; q=0.5", "=: en;q=0.5", true},
        {"RFC 9110 5.6.6: its name in any case", LANGUAGE, "=: en;Q=0.5", "=: en;q=0.5", true},
        {"RFC 9110 12.4.2: another weight", LANGUAGE, "=: en;q=0.5", "=: en;q=0.501", false},
        {"RFC 9110 12.4.2: a small one", LANGUAGE, "=: en;q=0.01", "=: en;q=0.1", false},
        {"RFC 9110 12.4.2: 0 is not 1", LANGUAGE, "=: en;q=0", "=: en", false},
        {"RFC 9110 12.4.2: 0 is not absence", LANGUAGE, "=: en;q=0, de", "=: de", false},
        {"RFC 9110 12.4.2: weights belong to theirs", LANGUAGE, "=: en;q=0.1, de", "=: de;q=0.1, en", false},
        {"RFC 9110 12.5.4: any language", LANGUAGE, "=: *, en", "=: en,*", true},
        {"RFC 9110 12.5.4: a language and its beginning", LANGUAGE, "=: en, en-GB", "=: en-GB, en", true},
        {"RFC 9110 12.5.4: another language", LANGUAGE, "=: en", "=: en-GB", false},
        {"RFC 9110 12.5.4: absent is not empty", LANGUAGE, "a: 1", "=:", false},
        {"RFC 9110 12.4.2: a weight begins with a digit", "accept-charset", "=: UTF-8, x;q=0.5",
         "=: X;q=.500|=: utf-8", false},
        {"RFC 9110 12.5.2: charsets alike", "accept-charset", "=: UTF-8, x;q=0.5", "=: X;q=0.500|=: utf-8",
         true},
        {"RFC 9110 12.4.2: above 1: as it is", LANGUAGE, "=: en, de;q=1.001", "=: de;q=1.001, en", false},
        {"RFC 9110 12.4.2: above 1: as it is", LANGUAGE, "=: en, de;q=2", "=: de;q=2, en", false},
        {"RFC 9110 12.4.2: four digits: as it is", LANGUAGE, "=: en, d;q=0.5000", "=: d;q=0.5000, en", false},
        {"RFC 9110 12.4.2: not a number: as it is", LANGUAGE, "=: en, d;q=0.x", "=: d;q=0.x, en", false},
        {"RFC 9110 12.4.2: no number: as it is", LANGUAGE, "=: en, d;q=", "=: d;q=, en", false},
        {"RFC 9110 12.4.2: a space within: as it is", LANGUAGE, "=: en, d;q= 1", "=: d;q= 1, en", false},
        {"RFC 9110 12.4.2: no point: as it is", LANGUAGE, "=: en, d;q=05", "=: d;q=05, en", false},
        {"RFC 9110 12.4.2: another parameter: as it is", LANGUAGE, "=: en;l=1, d", "=: d, en;l=1", false},
        {"RFC 9110 12.4.2: two parameters: as it is", LANGUAGE, "=: en;q=1;q=1, d", "=: d, en;q=1;q=1",
         false},
        {"RFC 9110 12.5.4: not a language: as it is", LANGUAGE, "=: e n, d", "=: d, e n", false},
        {"RFC 9110 12.5.4: nothing before a weight: as it is", LANGUAGE, "=: ;q=1, d", "=: d, ;q=1", false},
        {"RFC 9110 12.5.4: two weights for one: as it is", LANGUAGE, "=: d;q=0.5, D", "=: D, d;q=0.5", false},
        {"RFC 9110 12.5.4: as many as are sorted", LANGUAGE, "=: " THIRTY ",y,z", "=: z,y," THIRTY, true},
        {"RFC 9110 12.5.4: ... and some again", LANGUAGE, "=: " THIRTY ",y,z", "=: z,y,a0," THIRTY, true},
        {"RFC 9110 12.5.4: more: as it is", LANGUAGE, "=: " THIRTY ",x,y,z", "=: z,y,x," THIRTY, false},
        {"RFC 9110 12.5.1: of Accept, parameters may say more", "accept", "=: a/b, c/d", "=: c/d, a/b",
         false},
    };
    int failures = 0;
    for (size_t i = 0; i < LENGTH_OF(rows); i++) {
        text_t one = select_by(rows[i].vary, rows[i].one), other = select_by(rows[i].vary, rows[i].other);
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
    assert_true(text_equal(selector, TEXT("a=1, x , y\nb\norigin=\n")));
    text_free(selector);
    selector = select_variant(LANGUAGE, LANGUAGE ": nl;q=0.030, *;q=0.000, DE-de ; q=1.0, fr;Q=0.5");
    assert_true(text_equal(selector, TEXT(LANGUAGE "=de-DE,fr;q=0.5,nl;q=0.03,*;q=0\n")));
    text_free(selector);
    http_vary_t none = {.kind = HTTP_VARY_NONE};
    assert_int_equal(http_vary_selector(&none, (http_fields_t){NULL, 0}, NULL, 0), 0);
}

/* With any capacity: the same length, the same beginning, nothing behind it. */
static void stays_within_its_capacity(void **state)
{
    (void)state;
    http_vary_names_t names;
    table_fields_t response = fields_of("vary: b, a"), request = fields_of("a: 1, \\2|b: 3");
    http_vary_t vary = http_vary(view(&response), &names);
    text_t whole = TEXT("a=1, \\\\2\nb=3\n");
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
