#include "edge/http/form.h"
#include "tests/unit/http_table.h"

#define LANGUAGE "accept-language"
#define CHARSET "accept-charset"

static const struct {
    const char *rfc, *name, *request, *value, *escaped; /* escaped: NULL where it is the same */
} forms[] = {
    {"RFC 9110 12.5.4: what is preferred first", LANGUAGE, "=: fr;q=0.5, de;q=0.7, en",
     "en,de;q=0.7,fr;q=0.5", NULL},
    {"RFC 9110 12.5.4: equals by the alphabet", LANGUAGE, "=: en, de, fr;q=1.0", "de,en,fr", NULL},
    {"RFC 9110 12.5.4: ... and what none wants last", LANGUAGE, "=: *;q=0, nl;q=0.030, de",
     "de,nl;q=0.03,*;q=0", NULL},
    {"RFC 9110 5.3: lines combined, repeats left out", LANGUAGE, "=: en|a: b|=: de,,EN,", "de,en", NULL},
    {"RFC 9110 5.6.1.2: nothing", LANGUAGE, "=: ,,", "", NULL},
    {"RFC 5646 2.1.1: regions and scripts", LANGUAGE, "=: EN-gb, zh-hANT-tw", "en-GB,zh-Hant-TW", NULL},
    {"RFC 5646 2.1.1: en-CA-x-ca", LANGUAGE, "=: EN-CA-X-CA-latn", "en-CA-x-ca-latn", NULL},
    {"RFC 5646 2.1.1: sgn-BE-FR", LANGUAGE, "=: sgn-be-fr", "sgn-BE-FR", NULL},
    {"RFC 5646 2.1.1: of other lengths, and digits", LANGUAGE, "=: DE-1996, es-419, sl-ROZAJ",
     "de-1996,es-419,sl-rozaj", NULL},
    {"RFC 4647 2.2: an extended range", LANGUAGE, "=: de-*-de, *-ch", "*-CH,de-*-DE", NULL},
    {"RFC 9110 12.5.4: not as defined", LANGUAGE, "=: fr;l=1 , ,De-at|=:  x y", "fr;l=1,De-at,x y", NULL},
    {"RFC 9110 12.5.4: one with two weights", LANGUAGE, "=: De;q=0.5, en, de", "De;q=0.5,en,de", NULL},
    {"RFC 9110 12.5.2: charsets", CHARSET, "=: X;q=0.5, ISO-8859-15, utf-8", "iso-8859-15,utf-8,x;q=0.5",
     NULL},
    {"RFC 9110 12.5.1: Accept keeps order and case", "accept", "=: text/HTML;q=0.50 ,, a/b|=: */*",
     "text/HTML;q=0.50,a/b,*/*", NULL},
    {"RFC 9110 5.6.4: a quoted pair", "accept", "=: a/b;c=\"\\\",\" , d/e", "a/b;c=\"\\\",\",d/e",
     "a/b;c=\"\\\\\",\",d/e"},
    {"RFC 9111 5.2: Cache-Control", "cache-control", "=: no-cache ,max-age=0|=:|=: x", "no-cache,max-age=0,x",
     NULL},
    {"RFC 9110 10.1.5: User-Agent, byte for byte", "user-agent", "=:  A (KHTML,like  B), ",
     "A (KHTML,like  B),", NULL},
    {"RFC 9110 5.3: lines of what is no list", "x-a", "=: 1,2|=: 3|=:|=: 4", "1,2, 3,, 4", NULL},
    {"RFC 9110 5.5: a line feed, which no field has", "x-a", "=: 1\n2\\", "1\n2\\", "1\\n2\\\\"},
    {"RFC 9110 5.2: absent", "x-a", "x-b: 1", "", NULL},
};

/* With any capacity: the same length, the same beginning, nothing behind it. */
static bool writes(http_fields_t request, text_t name, http_form_kind_t kind, text_t expected)
{
    bool right = http_form(request, name, kind, NULL, 0) == expected.length;
    for (size_t capacity = 1; right && capacity <= expected.length; capacity++) {
        char *buffer = must_alloc(capacity);
        right = http_form(request, name, kind, buffer, capacity) == expected.length &&
                memcmp(buffer, expected.data, capacity) == 0;
        free(buffer);
    }
    return right;
}

/* Where the row says `=`, its own name. */
static table_fields_t request_of(size_t row)
{
    table_fields_t request = fields_of(forms[row].request);
    for (size_t i = 0; i < request.count; i++)
        if (text_equal(request.at[i].name, TEXT("="))) {
            text_free(request.at[i].name);
            request.at[i].name = exact(forms[row].name);
        }
    return request;
}

static void writes_the_form(void **state)
{
    (void)state;
    int failures = 0;
    for (size_t i = 0; i < LENGTH_OF(forms); i++) {
        table_fields_t request = request_of(i);
        text_t name = text_of(forms[i].name), value = text_of(forms[i].value);
        text_t escaped = forms[i].escaped != NULL ? text_of(forms[i].escaped) : value;
        if (!writes(view(&request), name, HTTP_FORM_VALUE, value) ||
            !writes(view(&request), name, HTTP_FORM_ESCAPED, escaped))
            FAIL_ROW(i, forms[i].rfc, "not %s", forms[i].value);
        fields_free(&request);
    }
    assert_int_equal(failures, 0);
}

/* Who is told the form, and writes it anew, has the same. */
static void a_form_is_its_own(void **state)
{
    (void)state;
    int failures = 0;
    for (size_t i = 0; i < LENGTH_OF(forms); i++) {
        const http_field_t field = {text_of(forms[i].name), text_of(forms[i].value)};
        if (!writes((http_fields_t){&field, 1}, field.name, HTTP_FORM_VALUE, field.value))
            FAIL_ROW(i, forms[i].rfc, "%s", forms[i].value);
    }
    assert_int_equal(failures, 0);
}

static void knows_lists(void **state)
{
    (void)state;
    assert_true(http_has_form(TEXT("accept")) && http_has_form(TEXT(LANGUAGE)) &&
                http_has_form(TEXT(CHARSET)));
    assert_true(http_has_form(TEXT("accept-encoding")) && http_has_form(TEXT("cache-control")));
    assert_false(http_has_form(TEXT("user-agent")) || http_has_form(TEXT("authorization")));
    assert_false(http_has_form(TEXT("accep")) || http_has_form(TEXT("origin")));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(writes_the_form),
        cmocka_unit_test(a_form_is_its_own),
        cmocka_unit_test(knows_lists),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
