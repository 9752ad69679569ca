/* Dictionaries of structured fields: RFC 8941, its grammar and its examples. */
#include "edge/http/structured.h"
#include "tests/unit/http_table.h"

/* The members as they are told, written down: "key:i5,other:b1". */
typedef struct {
    char text[256];
    size_t length;
} told_t;

static void note(void *context, text_t key, structured_value_t value)
{
    static const char kinds[] = {
        [STRUCTURED_INTEGER] = 'i',   [STRUCTURED_DECIMAL] = 'd', [STRUCTURED_STRING] = 's',
        [STRUCTURED_TOKEN] = 't',     [STRUCTURED_BYTES] = 'y',   [STRUCTURED_BOOLEAN] = 'b',
        [STRUCTURED_INNER_LIST] = 'l'};
    told_t *told = context;
    told->length += (size_t)snprintf(told->text + told->length, sizeof told->text - told->length,
                                     "%s%.*s:%c%lld", told->length > 0 ? "," : "", (int)key.length, key.data,
                                     kinds[value.kind], (long long)value.number);
}

/* The lines of the field "a"; NULL: no dictionary. */
static const struct {
    const char *rfc, *fields, *told;
} rows[] = {
    {"RFC 8941 3.2: example", "a: en=\"Applepie\", da=:w4ZibGV0w6ZydGUK:", "en:s0,da:y0"},
    {"RFC 8941 3.2: example", "a: a=?0, b, c; foo=bar", "a:b0,b:b1,c:b1"},
    {"RFC 8941 3.2: example", "a: rating=1.5, feelings=(joy sadness)", "rating:d0,feelings:l0"},
    {"RFC 8941 3.2: example", "a: a=(1 2), b=3, c=4;aa=bb, d=(5 6);valid", "a:l0,b:i3,c:i4,d:l0"},
    {"RFC 8941 3.2: over two lines", "a: foo=1|b: x|a: bar=2", "foo:i1,bar:i2"},
    {"RFC 8941 3.2: a key twice, the last counts: both are told", "a: x=1, x=2", "x:i1,x:i2"},
    {"RFC 8941 3.1.2: parameters of all kinds", "a: x=1;a;b=2;c=\"d\";e=f;g=?1;h=:aGk=:;  i=-1.5", "x:i1"},
    {"RFC 8941 3.1.2: a parameter without a key", "a: x=1;=2", NULL},
    {"RFC 8941 3.1.2: no space before the semicolon", "a: x=1 ;b", NULL},
    {"RFC 8941 3.1.1: lists with parameters", "a: x=(\"a\";b=1 c);d", "x:l0"},
    {"RFC 8941 3.1.1: an empty list", "a: x=( )", "x:l0"},
    {"RFC 8941 3.1.1: a list in a list", "a: x=((1))", NULL},
    {"RFC 8941 3.1.1: items without a space", "a: x=(1\"a\")", NULL},
    {"RFC 8941 3.1.1: without an end", "a: x=(1 2", NULL},
    {"RFC 8941 3.3.1: integers", "a: a=0, b=-0, c=-42, d=042", "a:i0,b:i0,c:i-42,d:i42"},
    {"RFC 8941 3.3.1: 15 digits", "a: a=999999999999999, b=-999999999999999",
     "a:i999999999999999,b:i-999999999999999"},
    {"RFC 8941 3.3.1: 16 digits", "a: a=1000000000000000", NULL},
    {"RFC 8941 3.3.1: many digits", "a: a=99999999999999999999999999", NULL},
    {"RFC 8941 3.3.1: a sign alone", "a: a=-", NULL},
    {"RFC 8941 3.3.1: a plus sign", "a: a=+1", NULL},
    {"RFC 8941 3.3.2: decimals", "a: a=123456789012.123", "a:d0"},
    {"RFC 8941 3.3.2: 13 digits before the point", "a: a=1234567890123.1", NULL},
    {"RFC 8941 3.3.2: 4 digits behind it", "a: a=1.1234", NULL},
    {"RFC 8941 3.3.2: none behind it", "a: a=1.", NULL},
    {"RFC 8941 3.3.2: none before it", "a: a=.1", NULL},
    {"RFC 8941 3.3.3: a string with escapes", "a: a=\"b\\\"c\\\\d, e\"", "a:s0"},
    {"RFC 8941 3.3.3: another escape", "a: a=\"b\\c\"", NULL},
    {"RFC 8941 3.3.3: without an end", "a: a=\"b", NULL},
    {"RFC 8941 3.3.3: other bytes than ASCII's visible ones", "a: a=\"b\tc\"", NULL},
    {"RFC 8941 3.3.3: other bytes than ASCII's visible ones", "a: a=\"\xc3\xa4\"", NULL},
    {"RFC 8941 3.3.4: tokens", "a: a=*b, c=d/e:f, g=H!", "a:t0,c:t0,g:t0"},
    {"RFC 8941 3.3.4: no token begins so", "a: a=!b", NULL},
    {"RFC 8941 3.3.5: bytes without an end", "a: a=:aGk=", NULL},
    {"RFC 8941 3.3.5: not of base64", "a: a=:a-k=:", NULL},
    {"RFC 8941 3.3.6: booleans", "a: a=?1, b=?0", "a:b1,b:b0"},
    {"RFC 8941 3.3.6: no boolean", "a: a=?2", NULL},
    {"RFC 8941 3.3.6: no boolean", "a: a=?", NULL},
    {"RFC 8941 3.2: keys", "a: *a-b_c.d*9", "*a-b_c.d*9:b1"},
    {"RFC 8941 3.2: keys are in lower case", "a: Max-age=1", NULL},
    {"RFC 8941 3.2: and begin with a letter", "a: 9=1", NULL},
    {"RFC 8941 4.2: white space around commas, tabs too", "a:   a=1 \t,\t b=2  ", "a:i1,b:i2"},
    {"RFC 8941 4.2.2: no space around the equals sign", "a: a =1", NULL},
    {"RFC 8941 4.2.2: no space around the equals sign", "a: a= 1", NULL},
    {"RFC 8941 4.2.2: a comma at the end", "a: a=1,", NULL},
    {"RFC 8941 4.2.2: a comma at the beginning", "a: ,a=1", NULL},
    {"RFC 8941 4.2.2: two commas", "a: a=1,,b=2", NULL},
    {"RFC 8941 4.2.2: no comma", "a: a=1 b=2", NULL},
    {"RFC 8941 4.2.2: empty", "a:", NULL},
    {"RFC 8941 4.2.2: an empty line among others", "a: a=1|a:|a: b=2", NULL},
    {"RFC 8941 4.2: no such field", "b: a=1", NULL},
};

static void reads_dictionaries(void **state)
{
    (void)state;
    int failures = 0;
    for (size_t i = 0; i < LENGTH_OF(rows); i++) {
        table_fields_t fields = fields_of(rows[i].fields);
        told_t told = {.length = 0};
        bool good = structured_dictionary(view(&fields), TEXT("a"), note, &told);
        if (good != (rows[i].told != NULL) || (good && strcmp(told.text, rows[i].told) != 0))
            FAIL_ROW(i, rows[i].rfc, "%s: %s, %s", rows[i].fields, good ? "good" : "none", told.text);
        fields_free(&fields);
    }
    assert_int_equal(failures, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_dictionaries),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
