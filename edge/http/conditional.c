#include "edge/http/conditional.h"

/* An entity-tag taken apart (RFC 9110 section 8.8.3). */
typedef struct {
    bool weak;
    text_t opaque; /* with its quotes */
} etag_t;

/* Takes an entity-tag from the front of *rest; false and *rest untouched when there is none. Within the
 * quotes there are no escapes; white space, which the grammar excludes, is let through, as clients only
 * repeat what the origin made. */
static bool take_etag(text_t *rest, etag_t *tag)
{
    size_t start = rest->length >= 2 && memcmp(rest->data, "W/", 2) == 0 ? 2 : 0;
    if (rest->length < start + 2 || rest->data[start] != '"')
        return false;
    const char *close = memchr(rest->data + start + 1, '"', rest->length - start - 1);
    if (close == NULL)
        return false;
    size_t used = (size_t)(close - rest->data) + 1;
    *tag = (etag_t){start == 2, {rest->data + start, used - start}};
    rest->data += used;
    rest->length -= used;
    return true;
}

static bool parse_etag(text_t value, etag_t *tag)
{
    return take_etag(&value, tag) && value.length == 0;
}

static void skip_while(text_t *rest, const char *bytes, bool among)
{
    while (rest->length > 0 && (memchr(bytes, rest->data[0], strlen(bytes)) != NULL) == among) {
        rest->data++;
        rest->length--;
    }
}

/* Is the tag a member of this If-None-Match (compared weakly) or If-Match line (strongly: a weak member is
 * none)? A malformed member is passed over. */
static bool line_names(text_t rest, text_t opaque, bool strongly)
{
    for (;;) {
        skip_while(&rest, " \t,", true);
        if (rest.length == 0)
            return false;
        etag_t member;
        bool parsed = take_etag(&rest, &member);
        if (parsed)
            skip_while(&rest, " \t", true);
        bool whole = parsed && (rest.length == 0 || rest.data[0] == ',');
        if (whole && !(strongly && member.weak) && text_equal(member.opaque, opaque))
            return true;
        if (!whole)
            skip_while(&rest, ",", false);
    }
}

/* Do the lines from this one on name a representation with this ETag? */
static bool lines_name(http_fields_t request, const http_field_t *line, text_t etag, bool strongly)
{
    text_t name = line->name;
    /* `*` stands alone: in a list, or on one of several lines, it is malformed. */
    if (text_equal(line->value, TEXT("*")) && http_fields_next(request, line, name) == NULL)
        return true;
    etag_t stored;
    if (!parse_etag(etag, &stored) || (strongly && stored.weak))
        return false;
    for (; line != NULL; line = http_fields_next(request, line, name)) {
        if (line_names(line->value, stored.opaque, strongly))
            return true;
    }
    return false;
}

/* Years of two digits are read as 1971 to 2070 here: a modification date outside of that is none, and the
 * answer to a condition does not depend on the clock. */
static bool parse_modified(text_t value, int64_t *time_ms)
{
    const int64_t year_2020_ms = INT64_C(1577836800000);
    return http_date_parse(value, year_2020_ms, time_ms);
}

static bool same_or_older(text_t last_modified, text_t since)
{
    int64_t since_ms, modified_ms;
    if (!parse_modified(since, &since_ms))
        return false;
    if (text_equal(last_modified, since))
        return true;
    return parse_modified(last_modified, &modified_ms) && modified_ms <= since_ms;
}

bool http_is_plain(http_fields_t request)
{
    for (size_t i = 0; i < request.count; i++) {
        text_t name = request.at[i].name;
        if (name.length >= 5 && (memcmp(name.data, "if-", 3) == 0 || text_equal(name, TEXT("range"))))
            return false;
    }
    return true;
}

/* The one line of this name; NULL when there is none or several, which mean nothing together. */
static const http_field_t *find_only(http_fields_t request, text_t name)
{
    const http_field_t *field = http_fields_find(request, name);
    return field != NULL && http_fields_next(request, field, name) == NULL ? field : NULL;
}

bool http_not_modified(http_fields_t request, text_t etag, text_t last_modified)
{
    const http_field_t *field = http_fields_find(request, TEXT("if-none-match"));
    if (field != NULL)
        return lines_name(request, field, etag, false);
    field = find_only(request, TEXT("if-modified-since"));
    return field != NULL && same_or_older(last_modified, field->value);
}

bool http_precondition_failed(http_fields_t request, text_t etag, text_t last_modified)
{
    const http_field_t *field = http_fields_find(request, TEXT("if-match"));
    if (field != NULL)
        return !lines_name(request, field, etag, true);
    field = find_only(request, TEXT("if-unmodified-since"));
    int64_t since_ms, modified_ms;
    return field != NULL && parse_modified(field->value, &since_ms) &&
           parse_modified(last_modified, &modified_ms) && modified_ms > since_ms;
}

/* Could it have changed once more in the same second, after it was sent? */
static bool is_strong_date(int64_t modified_ms, text_t date)
{
    int64_t date_ms;
    return parse_modified(date, &date_ms) && date_ms - modified_ms >= 1000;
}

bool http_is_strong_etag(text_t etag)
{
    etag_t tag;
    return parse_etag(etag, &tag) && !tag.weak;
}

bool http_same_strong_etag(text_t a, text_t b)
{
    return http_is_strong_etag(a) && text_equal(a, b);
}

bool http_if_range(http_fields_t request, text_t etag, text_t last_modified, text_t date)
{
    const http_field_t *field = http_fields_find(request, TEXT("if-range"));
    if (field == NULL)
        return true;
    if (http_fields_next(request, field, TEXT("if-range")) != NULL)
        return false;
    etag_t given, stored;
    if (parse_etag(field->value, &given))
        return parse_etag(etag, &stored) && !given.weak && !stored.weak &&
               text_equal(given.opaque, stored.opaque);
    int64_t given_ms, modified_ms;
    return parse_modified(field->value, &given_ms) && parse_modified(last_modified, &modified_ms) &&
           given_ms == modified_ms && is_strong_date(modified_ms, date);
}

static const text_t kept_names[] = {
    {"content-length", 14}, {"content-encoding", 16}, {"content-range", 13}, {"content-md5", 11},
    {"content-digest", 14}, {"repr-digest", 11},      {"digest", 6},
};

bool http_field_kept_on_304(text_t name)
{
    for (size_t i = 0; i < sizeof(kept_names) / sizeof(kept_names[0]); i++) {
        if (text_equal(name, kept_names[i]))
            return true;
    }
    return http_field_is_hop_by_hop(name, (text_t){NULL, 0});
}

/* By name: not all that begins with `content-` is about the body, such as Content-Security-Policy. */
bool http_field_in_304(text_t name)
{
    static const char *const of_the_body[] = {"content-type",  "content-length", "content-encoding",
                                              "content-range", "content-md5",    "content-language",
                                              "content-digest"};
    for (size_t i = 0; i < sizeof of_the_body / sizeof *of_the_body; i++)
        if (text_equal(name, text_of(of_the_body[i])))
            return false;
    return true;
}

static bool same_date(text_t a, text_t b)
{
    int64_t a_ms, b_ms;
    return parse_modified(a, &a_ms) && parse_modified(b, &b_ms) && a_ms == b_ms;
}

/* The 304 names its representation by this ETag. */
static bool etag_selects(text_t value, text_t stored_value)
{
    etag_t tag, stored;
    if (!parse_etag(value, &tag) || !parse_etag(stored_value, &stored))
        return stored_value.length > 0 && text_equal(value, stored_value); /* malformed, but the same */
    if (!tag.weak && stored.weak)
        return false;
    return text_equal(tag.opaque, stored.opaque);
}

bool http_304_selects(http_fields_t not_modified, text_t stored_etag, text_t stored_last_modified)
{
    const http_field_t *etag = http_fields_find(not_modified, TEXT("etag"));
    const http_field_t *modified = http_fields_find(not_modified, TEXT("last-modified"));
    if (etag != NULL && http_fields_next(not_modified, etag, TEXT("etag")) != NULL)
        return false;
    if (etag != NULL && etag->value.length == 0 && modified != NULL)
        etag = NULL; /* it names nothing, and the date does */
    bool weak = etag != NULL && etag->value.length >= 2 && memcmp(etag->value.data, "W/", 2) == 0;
    if (etag != NULL && (stored_etag.data != NULL || !weak || modified == NULL))
        return etag_selects(etag->value, stored_etag);
    if (modified != NULL)
        return text_equal(modified->value, stored_last_modified) ||
               same_date(modified->value, stored_last_modified);
    return true;
}
