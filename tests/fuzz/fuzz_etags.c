/* Conditions: lists of entity-tags, and dates, against what is stored. The referee: a tag that matches is
 * there to be found, and one that is there matches.
 *
 * The input is the stored ETag, Last-Modified and Date, a line each, then the request's fields, `name:value`.
 */
#include "edge/http/conditional.h"
#include "tests/fuzz/lines.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static bool is_weak(text_t etag)
{
    return etag.length >= 2 && memcmp(etag.data, "W/", 2) == 0;
}

/* Without what says that it is weak. */
static text_t opaque_of(text_t etag)
{
    return is_weak(etag) ? (text_t){etag.data + 2, etag.length - 2} : etag;
}

static bool is_etag(text_t etag)
{
    text_t opaque = opaque_of(etag);
    return opaque.length >= 2 && opaque.data[0] == '"' &&
           memchr(opaque.data + 1, '"', opaque.length - 1) == opaque.data + opaque.length - 1;
}

static bool is_within(http_fields_t request, text_t name, text_t needle)
{
    const http_field_t *line = http_fields_find(request, name);
    for (; line != NULL; line = http_fields_next(request, line, name))
        for (size_t at = 0; at + needle.length <= line->value.length; at++)
            if (memcmp(line->value.data + at, needle.data, needle.length) == 0)
                return true;
    return false;
}

static bool names_it(http_fields_t request, text_t name, text_t etag)
{
    const http_field_t *line = http_fields_find(request, name);
    return text_equal(line->value, TEXT("*")) || (is_etag(etag) && is_within(request, name, opaque_of(etag)));
}

static bool has(http_fields_t request, text_t name)
{
    return http_fields_find(request, name) != NULL;
}

static void check_answers(http_fields_t request, text_t etag, text_t modified, text_t date)
{
    const text_t match = TEXT("if-match"), none_match = TEXT("if-none-match"), range = TEXT("if-range");
    bool plain = http_is_plain(request);
    bool not_modified = http_not_modified(request, etag, modified);
    bool failed = http_precondition_failed(request, etag, modified);
    bool ranged = http_if_range(request, etag, modified, date);
    MUST(!plain || (!not_modified && !failed && ranged));
    if (not_modified && has(request, none_match))
        MUST(names_it(request, none_match, etag));
    if (!failed && has(request, match))
        MUST(names_it(request, match, etag) &&
             (!is_weak(etag) || text_equal(http_fields_find(request, match)->value, TEXT("*"))));
    if (ranged && has(request, range) && !text_equal(http_fields_find(request, range)->value, modified)) {
        int64_t time_ms;
        MUST(http_date_parse(http_fields_find(request, range)->value, 0, &time_ms) ||
             (is_etag(etag) && !is_weak(etag) && is_within(request, range, etag)));
    }
}

/* A well-formed tag behind whatever else the client's list has matches. */
static void check_found(const lines_t *request, text_t etag)
{
    lines_t more = *request;
    if (!is_etag(etag) || more.count == LINES_MAX)
        return;
    http_field_t *last = &more.at[more.count++];
    *last = (http_field_t){TEXT("if-none-match"), etag};
    MUST(http_not_modified(fields_of(&more), etag, (text_t){NULL, 0}));
    *last = (http_field_t){TEXT("if-match"), etag};
    MUST(http_precondition_failed(fields_of(&more), etag, (text_t){NULL, 0}) == is_weak(etag) ||
         names_it(fields_of(request), TEXT("if-match"), etag));
    http_field_t alone = {TEXT("if-range"), etag};
    MUST(http_if_range((http_fields_t){&alone, 1}, etag, etag, etag) == !is_weak(etag));
    alone.name = TEXT("etag");
    MUST(http_304_selects((http_fields_t){&alone, 1}, etag, (text_t){NULL, 0}));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    text_t rest = {(const char *)data, size};
    text_t etag = take_line(&rest), modified = take_line(&rest), date = take_line(&rest);
    lines_t request;
    take_fields(&rest, &request);
    check_answers(fields_of(&request), etag, modified, date);
    check_found(&request, etag);
    (void)http_304_selects(fields_of(&request), etag, modified);
    for (size_t i = 0; i < request.count; i++) {
        text_t name = request.at[i].name;
        (void)http_field_kept_on_304(name);
        MUST(http_field_in_304(name) || (name.length > 8 && memcmp(name.data, "content-", 8) == 0));
    }
    free_lines(&request);
    free_text(etag);
    free_text(modified);
    free_text(date);
    return 0;
}
