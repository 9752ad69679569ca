/* Every parser of edge/http over senseless bytes in blocks of exactly their length: nothing is read outside,
 * nothing crashes, lists end. What the bytes mean is the other tests' concern. Seeded: a failure repeats. */
#include "edge/http/conditional.h"
#include "edge/http/storing.h"
#include "edge/http/vary.h"
#include "tests/unit/http_table.h"

enum { TRIES = 60000, LONGEST = 40 };

/* Mostly the bytes that parsers look at. */
static text_t random_bytes(uint64_t *seed)
{
    static const char telling[] = "\"\",,==\\\\  \t*W/;:-019aAzno-store,max-age=private,no-cache\x80";
    char bytes[LONGEST];
    size_t length = next_random(seed) % (LONGEST + 1);
    for (size_t i = 0; i < length; i++) {
        uint64_t random = next_random(seed);
        bytes[i] = random % 16 == 0 ? (char)(random >> 8) : telling[(random >> 8) % (sizeof(telling) - 1)];
    }
    return exact_part(bytes, length);
}

static const char *const names[] = {"cache-control", "vary",          "if-none-match",     "etag",
                                    "expires",       "last-modified", "if-modified-since", "age",
                                    "date",          "connection"};

static void ask_everything(http_fields_t fields)
{
    http_exchange_t exchange = {.status = 200, .fields = fields};
    http_storing_t storing = http_storing(&exchange);
    assert_true(storing.storable == (storing.why == NULL) && storing.lifetime_ms >= 0 &&
                storing.initial_age_ms >= 0);
    assert_true(!storing.storable || storing.shareable || storing.no_cache);
    text_t etag = fields.at[3].value, modified = fields.at[5].value;
    http_not_modified(fields, etag, modified);
    http_304_selects(fields, etag, modified);
    http_fields_hop_by_hop(fields, TEXT("x-a"));
    http_vary_names_t vary_names;
    http_vary_t vary = http_vary(fields, &vary_names);
    char *selector = must_alloc(8);
    http_vary_selector(&vary, fields, selector, 8);
    free(selector);
}

static void survives_any_bytes(void **state)
{
    (void)state;
    uint64_t seed = 23;
    for (int i = 0; i < TRIES; i++) {
        http_field_t fields[LENGTH_OF(names)];
        for (size_t f = 0; f < LENGTH_OF(names); f++)
            fields[f] = (http_field_t){text_of(names[f]), random_bytes(&seed)};
        ask_everything((http_fields_t){fields, LENGTH_OF(names)});
        for (size_t f = 0; f < LENGTH_OF(names); f++)
            text_free(fields[f].value);
    }
}

/* Members lie within the list, in order, neither empty nor with white space around them. */
static void walks_any_list(void **state)
{
    (void)state;
    uint64_t seed = 29;
    size_t members = 0;
    for (int i = 0; i < TRIES; i++) {
        text_t list = random_bytes(&seed), rest = list, member;
        const char *last = list.data;
        while (http_list_next(&rest, &member)) {
            assert_true(member.length > 0 && member.data >= last && rest.data >= member.data + member.length);
            assert_true(rest.data + rest.length == list.data + list.length);
            assert_true(memchr(" \t", member.data[0], 2) == NULL);
            assert_true(memchr(" \t", member.data[member.length - 1], 2) == NULL);
            last = member.data + member.length;
            members++;
        }
        assert_int_equal(rest.length, 0);
        text_free(list);
    }
    assert_true(members > TRIES);
}

/* Dates with a byte or two changed: what is taken is what the formatter would write of it, or another form.
 */
static void survives_changed_dates(void **state)
{
    (void)state;
    static const char *const whole[] = {"Sun, 06 Nov 1994 08:49:37 GMT", "Sunday, 06-Nov-94 08:49:37 GMT",
                                        "Sun Nov  6 08:49:37 1994"};
    uint64_t seed = 31;
    size_t taken = 0;
    for (int i = 0; i < TRIES; i++) {
        char date[40];
        strcpy(date, whole[next_random(&seed) % LENGTH_OF(whole)]);
        for (uint64_t changes = 1 + next_random(&seed) % 2; changes > 0; changes--)
            date[next_random(&seed) % strlen(date)] = "0123456789 :-,GMTNovSun\x7f"[next_random(&seed) % 24];
        text_t text = exact(date);
        int64_t time_ms, again_ms;
        if (http_date_parse(text, INT64_C(1767225600000), &time_ms)) {
            char written[HTTP_DATE_LENGTH + 1];
            http_date_format(time_ms, written);
            assert_true(http_date_parse(text_of(written), 0, &again_ms) && again_ms == time_ms);
            taken++;
        }
        text_free(text);
    }
    assert_true(taken > TRIES / 50 && taken < TRIES);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(survives_any_bytes),
        cmocka_unit_test(walks_any_list),
        cmocka_unit_test(survives_changed_dates),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
