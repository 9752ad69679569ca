#include "edge/http/conditional.h"
#include "tests/unit/http_table.h"

#define MODIFIED "Sat, 29 Oct 1994 19:43:31 GMT"
#define EARLIER "Sat, 29 Oct 1994 19:43:30 GMT"
#define LATER "Sat, 29 Oct 1994 19:43:32 GMT"

static void answers_304(void **state)
{
    (void)state;
    static const struct {
        const char *rfc, *request, *etag, *last_modified;
        bool not_modified;
    } rows[] = {
        {"RFC 9110 13.1.2: no condition", "accept: */*", "\"a\"", MODIFIED, false},
        {"RFC 9110 13.1.2: If-None-Match: \"xyzzy\"", "if-none-match: \"xyzzy\"", "\"xyzzy\"", NULL, true},
        {"RFC 9110 13.1.2: another tag", "if-none-match: \"xyzzy\"", "\"xyzz\"", NULL, false},
        {"RFC 9110 8.8.3.2: weak comparison, W/\"1\" and \"1\"", "if-none-match: W/\"1\"", "\"1\"", NULL,
         true},
        {"RFC 9110 8.8.3.2: weak comparison, \"1\" and W/\"1\"", "if-none-match: \"1\"", "W/\"1\"", NULL,
         true},
        {"RFC 9110 8.8.3.2: weak comparison, W/\"1\" and W/\"1\"", "if-none-match: W/\"1\"", "W/\"1\"", NULL,
         true},
        {"RFC 9110 8.8.3.2: weak comparison, W/\"1\" and W/\"2\"", "if-none-match: W/\"1\"", "W/\"2\"", NULL,
         false},
        {"RFC 9110 8.8.3: weak is case-sensitive", "if-none-match: w/\"1\"", "\"1\"", NULL, false},
        {"RFC 9110 13.1.2: a list", "if-none-match: \"xyzzy\", \"r2d2xxxx\", \"c3piozzzz\"", "\"c3piozzzz\"",
         NULL, true},
        {"RFC 9110 13.1.2: a list without spaces", "if-none-match: \"a\",W/\"b\",\"c\"", "\"b\"", NULL, true},
        {"RFC 9110 13.1.2: not in the list", "if-none-match: \"a\",W/\"b\",\"c\"", "\"d\"", NULL, false},
        {"RFC 9110 5.3: over several lines", "if-none-match: \"a\"|accept: x|if-none-match: \"b\"", "\"b\"",
         NULL, true},
        {"RFC 9110 5.6.1.2: empty members", "if-none-match: , ,\"a\" ,,", "\"a\"", NULL, true},
        {"RFC 9110 8.8.3: a comma within a tag", "if-none-match: \"a,b\"", "\"a,b\"", NULL, true},
        {"RFC 9110 8.8.3: parts of a tag with a comma", "if-none-match: \"a,b\"", "\"b\"", NULL, false},
        {"RFC 9110 8.8.3: a backslash escapes nothing", "if-none-match: \"a\\\", \"b\"", "\"b\"", NULL, true},
        {"RFC 9110 8.8.3: a backslash is a byte", "if-none-match: \"a\\\"", "\"a\\\"", NULL, true},
        {"RFC 9110 8.8.3: obs-text", "if-none-match: \"\xe9\"", "\"\xe9\"", NULL, true},
        {"RFC 9110 8.8.3: an empty tag", "if-none-match: \"\"", "\"\"", NULL, true},
        {"RFC 9110 8.8.3: compared in case", "if-none-match: \"A\"", "\"a\"", NULL, false},
        {"RFC 9110 13.1.2: * with a current representation", "if-none-match: *", NULL, NULL, true},
        {"RFC 9110 13.1.2: * with an ETag", "if-none-match: *", "\"a\"", NULL, true},
        {"RFC 9110 13.1.2: * is no list member", "if-none-match: \"b\", *", "\"a\"", NULL, false},
        {"RFC 9110 13.1.2: * is alone on its lines", "if-none-match: *|if-none-match: \"b\"", "\"a\"", NULL,
         false},
        {"RFC 9110 13.1.2: \"*\" is a tag", "if-none-match: \"*\"", "\"a\"", NULL, false},
        {"RFC 9110 8.8.3: not quoted", "if-none-match: a", "\"a\"", NULL, false},
        {"RFC 9110 8.8.3: not quoted on either side", "if-none-match: a", "a", NULL, false},
        {"RFC 9110 8.8.3: a quote that does not end", "if-none-match: \"a", "\"a", NULL, false},
        {"RFC 9110 8.8.3: W/ alone", "if-none-match: W/", "W/", NULL, false},
        {"RFC 9110 8.8.3: one quote", "if-none-match: \"", "\"", NULL, false},
        {"RFC 9110 8.8.3: W/ and one quote", "if-none-match: W/\"", "W/\"", NULL, false},
        {"RFC 9110 8.8.3: bytes after the tag", "if-none-match: \"a\"b", "\"a\"", NULL, false},
        {"RFC 9110 8.8.3: after a malformed member", "if-none-match: a, \"a\"", "\"a\"", NULL, true},
        {"RFC 9110 8.8.3: bytes after the stored tag", "if-none-match: \"a\"", "\"a\"b", NULL, false},
        {"RFC 9110 13.1.2: an empty line", "if-none-match:", "\"a\"", NULL, false},
        {"RFC 9110 13.1.2: nothing stored", "if-none-match: \"a\"", NULL, NULL, false},
        {"RFC 9110 13.1.3: ignored beside If-None-Match", "if-none-match: \"b\"|if-modified-since: " MODIFIED,
         "\"a\"", MODIFIED, false},
        {"RFC 9110 13.1.3: ignored before If-None-Match",
         "if-modified-since: " EARLIER "|if-none-match: \"a\"", "\"a\"", MODIFIED, true},
        {"RFC 9110 13.1.3: even a malformed one", "if-none-match: junk|if-modified-since: " MODIFIED, NULL,
         MODIFIED, false},
        {"RFC 9110 13.1.3: the same date", "if-modified-since: " MODIFIED, NULL, MODIFIED, true},
        {"RFC 9110 13.1.3: stored is earlier", "if-modified-since: " LATER, NULL, MODIFIED, true},
        {"RFC 9110 13.1.3: stored is later", "if-modified-since: " EARLIER, NULL, MODIFIED, false},
        {"RFC 9110 5.6.7: another form, same date", "if-modified-since: Saturday, 29-Oct-94 19:43:31 GMT",
         NULL, MODIFIED, true},
        {"RFC 9110 5.6.7: another form, earlier", "if-modified-since: Saturday, 29-Oct-94 19:43:30 GMT", NULL,
         MODIFIED, false},
        {"RFC 9110 5.6.7: this century in two digits", "if-modified-since: Friday, 23-May-25 00:00:00 GMT",
         NULL, "Fri, 23 May 2025 00:00:01 GMT", false},
        {"RFC 9110 5.6.7: asctime, later", "if-modified-since: Sat Oct 29 19:43:32 1994", NULL, MODIFIED,
         true},
        {"RFC 9110 13.1.3: not a date", "if-modified-since: yesterday", NULL, MODIFIED, false},
        {"RFC 9110 13.1.3: not a date, though the same", "if-modified-since: 0", NULL, "0", false},
        {"RFC 9110 13.1.3: empty", "if-modified-since:", NULL, NULL, false},
        {"RFC 9110 13.1.3: stored is not a date", "if-modified-since: " MODIFIED, NULL, "soon", false},
        {"RFC 9110 13.1.3: nothing stored", "if-modified-since: " MODIFIED, "\"a\"", NULL, false},
        {"RFC 9110 13.1.3: more than one member", "if-modified-since: " LATER "|if-modified-since: " LATER,
         NULL, MODIFIED, false},
    };
    int failures = 0;
    for (size_t i = 0; i < LENGTH_OF(rows); i++) {
        table_fields_t request = fields_of(rows[i].request);
        text_t etag = exact(rows[i].etag), modified = exact(rows[i].last_modified);
        if (http_not_modified(view(&request), etag, modified) != rows[i].not_modified)
            FAIL_ROW(i, rows[i].rfc, "%s", rows[i].request);
        fields_free(&request);
        text_free(etag);
        text_free(modified);
    }
    assert_int_equal(failures, 0);
}

static void leaves_out_of_a_304_what_describes_the_body(void **state)
{
    (void)state;
    static const struct {
        const char *rfc, *name;
        bool has;
    } rows[] = {
        {"RFC 9110 8.3: Content-Type", "content-type", false},
        {"RFC 9110 8.4: Content-Encoding", "content-encoding", false},
        {"RFC 9110 8.5: Content-Language", "content-language", false},
        {"RFC 9110 8.6: Content-Length", "content-length", false},
        {"RFC 9110 14.4: Content-Range", "content-range", false},
        {"RFC 2616 14.15: Content-MD5", "content-md5", false},
        {"RFC 9530 2: Content-Digest", "content-digest", false},
        {"RFC 9110 15.4.5: Content-Location", "content-location", true},
        {"RFC 9110 15.4.5: Cache-Control", "cache-control", true},
        {"RFC 9110 15.4.5: ETag", "etag", true},
        {"RFC 9110 15.4.5: Vary", "vary", true},
        {"CSP 3: a policy of who reads it", "content-security-policy", true},
        {"CSP 3: one that is only reported", "content-security-policy-report-only", true},
        {"RFC 6266 4: what is to be done with it, not what it is", "content-disposition", true},
        {"RFC 9110 15.4.5: a name that begins like one", "content-typex", true},
    };
    int failures = 0;
    for (size_t i = 0; i < LENGTH_OF(rows); i++) {
        text_t name = exact(rows[i].name);
        if (http_field_in_304(name) != rows[i].has)
            FAIL_ROW(i, rows[i].rfc, "%s", rows[i].name);
        text_free(name);
    }
    assert_int_equal(failures, 0);
}

static void keeps_what_describes_the_bytes(void **state)
{
    (void)state;
    static const struct {
        const char *rfc, *name;
        bool kept;
    } rows[] = {
        {"RFC 9111 3.2: Content-Length", "content-length", true},
        {"RFC 9111 3.2: Content-Encoding", "content-encoding", true},
        {"RFC 9111 3.2: Content-Range", "content-range", true},
        {"RFC 2616 14.15: Content-MD5", "content-md5", true},
        {"RFC 9530 2: Content-Digest", "content-digest", true},
        {"RFC 9530 3: Repr-Digest", "repr-digest", true},
        {"RFC 9111 3.1: Connection", "connection", true},
        {"RFC 9111 3.1: Transfer-Encoding", "transfer-encoding", true},
        {"RFC 9111 3.2: each other field", "set-cookie", false},
        {"RFC 9111 3.2: each other field", "cache-control", false},
        {"RFC 9111 3.2: each other field", "etag", false},
        {"RFC 9111 3.2: each other field", "content-type", false},
        {"RFC 9111 3.2: one that nobody takes for a cookie any more", "set-cookie2", false},
        {"RFC 9111 3.2: each other field", "content-lengthx", false},
    };
    int failures = 0;
    for (size_t i = 0; i < LENGTH_OF(rows); i++) {
        text_t name = exact(rows[i].name);
        if (http_field_kept_on_304(name) != rows[i].kept)
            FAIL_ROW(i, rows[i].rfc, "%s", rows[i].name);
        text_free(name);
    }
    assert_int_equal(failures, 0);
}

static void selects_the_stored_response(void **state)
{
    (void)state;
    static const struct {
        const char *rfc, *fields, *etag, *last_modified;
        bool selects;
    } rows[] = {
        {"RFC 9111 4.3.4: the same strong validator", "etag: \"a\"", "\"a\"", NULL, true},
        {"RFC 9111 4.3.4: another strong validator", "etag: \"b\"", "\"a\"", NULL, false},
        {"RFC 9111 4.3.4: another one beside an equal date", "etag: \"b\"|last-modified: " MODIFIED, "\"a\"",
         MODIFIED, false},
        {"RFC 9111 4.3.4: a strong one decides alone", "etag: \"a\"|last-modified: " LATER, "\"a\"", MODIFIED,
         true},
        {"RFC 9110 8.8.3.2: strong comparison", "etag: \"a\"", "W/\"a\"", NULL, false},
        {"RFC 9111 4.3.4: a strong one that was not stored", "etag: \"a\"", NULL, MODIFIED, false},
        {"RFC 9111 4.3.4: a strong one that was not stored", "etag: \"a\"|last-modified: " MODIFIED, NULL,
         MODIFIED, false},
        {"RFC 9111 4.3.4: weak validators correspond", "etag: W/\"a\"", "W/\"a\"", NULL, true},
        {"RFC 9111 4.3.4: weak speaks of the strong one", "etag: W/\"a\"", "\"a\"", NULL, true},
        {"RFC 9111 4.3.4: weak validators differ", "etag: W/\"b\"", "W/\"a\"", NULL, false},
        {"RFC 9111 4.3.4: weak, and a date that corresponds", "etag: W/\"a\"|last-modified: " MODIFIED, NULL,
         MODIFIED, true},
        {"RFC 9111 4.3.4: weak, and a date that does not", "etag: W/\"a\"|last-modified: " LATER, NULL,
         MODIFIED, false},
        {"RFC 9111 4.3.4: weak, nothing to correspond to", "etag: W/\"a\"", NULL, MODIFIED, false},
        {"RFC 9111 4.3.4: the date is the validator", "last-modified: " MODIFIED, NULL, MODIFIED, true},
        {"RFC 9111 4.3.4: in another form", "last-modified: Sat Oct 29 19:43:31 1994", NULL, MODIFIED, true},
        {"RFC 9111 4.3.4: another date", "last-modified: " LATER, NULL, MODIFIED, false},
        {"RFC 9111 4.3.4: an earlier date is another, too", "last-modified: " EARLIER, NULL, MODIFIED, false},
        {"RFC 9111 4.3.4: the date beside a stored tag", "last-modified: " MODIFIED, "\"a\"", MODIFIED, true},
        {"RFC 9111 4.3.4: no such date stored", "last-modified: " MODIFIED, "\"a\"", NULL, false},
        {"RFC 9111 4.3.4: no validator", "cache-control: max-age=1", "\"a\"", MODIFIED, true},
        {"RFC 9110 8.8.3: not an entity-tag, but the same", "etag: a", "a", NULL, true},
        {"RFC 9110 8.8.3: not an entity-tag", "etag: b", "a", NULL, false},
        {"RFC 9110 8.8.3: empty", "etag:", NULL, NULL, false},
        {"RFC 9110 8.8.3: empty, beside a date that corresponds", "etag:|last-modified: " MODIFIED, NULL,
         MODIFIED, true},
        {"RFC 9110 8.8.3: empty, beside a date that does not", "etag:|last-modified: " LATER, NULL, MODIFIED,
         false},
        {"RFC 9110 5.3: a singleton twice", "etag: \"a\"|etag: \"b\"", "\"a\"", NULL, false},
    };
    int failures = 0;
    for (size_t i = 0; i < LENGTH_OF(rows); i++) {
        table_fields_t fields = fields_of(rows[i].fields);
        text_t etag = exact(rows[i].etag), modified = exact(rows[i].last_modified);
        if (http_304_selects(view(&fields), etag, modified) != rows[i].selects)
            FAIL_ROW(i, rows[i].rfc, "%s", rows[i].fields);
        fields_free(&fields);
        text_free(etag);
        text_free(modified);
    }
    assert_int_equal(failures, 0);
}

/* A model of the grammar for lists of well-formed tags: any list, split over any lines, in any spacing. */
static void matches_like_a_model(void **state)
{
    (void)state;
    static const char *const tags[] = {"\"a\"", "W/\"a\"", "\"b,c\"", "\"\\\"", "W/\"\"", "\"b\""};
    static const char *const gaps[] = {",", ", ", " ,\t", ",,", " , , "};
    static const int opaque[] = {0, 0, 1, 2, 3, 4}; /* which tags compare equal */
    uint64_t seed = 7;
    for (int i = 0; i < 20000; i++) {
        char lines[512] = "if-none-match: ";
        size_t stored = next_random(&seed) % LENGTH_OF(tags);
        bool wanted = false;
        for (uint64_t left = next_random(&seed) % 6; left > 0; left--) {
            size_t tag = next_random(&seed) % LENGTH_OF(tags);
            wanted = wanted || opaque[tag] == opaque[stored];
            strcat(lines, tags[tag]);
            bool new_line = next_random(&seed) % 4 == 0;
            strcat(lines, new_line ? "|if-none-match: " : gaps[next_random(&seed) % LENGTH_OF(gaps)]);
        }
        table_fields_t request = fields_of(lines);
        text_t etag = exact(tags[stored]);
        if (http_not_modified(view(&request), etag, (text_t){NULL, 0}) != wanted)
            fail_msg("%s against %s", lines, tags[stored]);
        fields_free(&request);
        text_free(etag);
    }
}

static void compares_strongly(void **state)
{
    (void)state;
    static const struct {
        const char *rfc, *a, *b;
        bool strong, same;
    } rows[] = {
        {"RFC 9110 8.8.3.2: W/\"1\" and W/\"1\"", "W/\"1\"", "W/\"1\"", false, false},
        {"RFC 9110 8.8.3.2: W/\"1\" and W/\"2\"", "W/\"1\"", "W/\"2\"", false, false},
        {"RFC 9110 8.8.3.2: W/\"1\" and \"1\"", "W/\"1\"", "\"1\"", false, false},
        {"RFC 9110 8.8.3.2: \"1\" and W/\"1\"", "\"1\"", "W/\"1\"", true, false},
        {"RFC 9110 8.8.3.2: \"1\" and \"1\"", "\"1\"", "\"1\"", true, true},
        {"RFC 9110 8.8.3: compared in case", "\"a\"", "\"A\"", true, false},
        {"RFC 9110 8.8.3: no quotes", "1", "1", false, false},
        {"RFC 9110 8.8.3: a list is none", "\"1\", \"2\"", "\"1\", \"2\"", false, false},
        {"RFC 9110 8.8.3: absent", NULL, NULL, false, false},
    };
    int failures = 0;
    for (size_t i = 0; i < LENGTH_OF(rows); i++) {
        text_t a = exact(rows[i].a), b = exact(rows[i].b);
        if (http_is_strong_etag(a) != rows[i].strong || http_same_strong_etag(a, b) != rows[i].same)
            FAIL_ROW(i, rows[i].rfc, "%d", http_is_strong_etag(a));
        text_free(a);
        text_free(b);
    }
    assert_int_equal(failures, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(answers_304),
        cmocka_unit_test(leaves_out_of_a_304_what_describes_the_body),
        cmocka_unit_test(keeps_what_describes_the_bytes),
        cmocka_unit_test(selects_the_stored_response),
        cmocka_unit_test(matches_like_a_model),
        cmocka_unit_test(compares_strongly),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
