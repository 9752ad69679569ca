#include "edge/http/range.h"

#include "edge/http/conditional.h"

/* Takes digits from the front; a number too large for 64 bits is as the largest of them. False: there are
 * none. */
static bool take_number(text_t *rest, uint64_t *number)
{
    size_t start = rest->length;
    *number = 0;
    while (rest->length > 0 && rest->data[0] >= '0' && rest->data[0] <= '9') {
        uint64_t digit = (uint64_t)(rest->data[0] - '0');
        *number = *number > (UINT64_MAX - digit) / 10 ? UINT64_MAX : *number * 10 + digit;
        rest->data++;
        rest->length--;
    }
    return rest->length < start;
}

static bool take_byte(text_t *rest, char byte)
{
    if (rest->length == 0 || rest->data[0] != byte)
        return false;
    rest->data++;
    rest->length--;
    return true;
}

typedef enum { SPEC_MALFORMED, SPEC_UNSATISFIABLE, SPEC_RANGE, SPEC_ALL_OF_NOTHING } spec_t;

/* `-5`: the last five bytes. Of nothing, there is no part that a Content-Range could name. */
static spec_t parse_suffix(text_t rest, uint64_t length, http_range_t *range)
{
    uint64_t suffix;
    if (!take_number(&rest, &suffix) || rest.length > 0)
        return SPEC_MALFORMED;
    if (suffix == 0)
        return SPEC_UNSATISFIABLE;
    *range = (http_range_t){suffix < length ? length - suffix : 0, length};
    return length > 0 ? SPEC_RANGE : SPEC_ALL_OF_NOTHING;
}

static spec_t parse_spec(text_t rest, uint64_t length, http_range_t *range)
{
    if (take_byte(&rest, '-'))
        return parse_suffix(rest, length, range);
    uint64_t first, last = UINT64_MAX;
    if (!take_number(&rest, &first) || !take_byte(&rest, '-'))
        return SPEC_MALFORMED;
    if (rest.length > 0 && (!take_number(&rest, &last) || rest.length > 0))
        return SPEC_MALFORMED;
    if (last < first)
        return SPEC_MALFORMED;
    *range = (http_range_t){first, last < length ? last + 1 : length};
    return first < length ? SPEC_RANGE : SPEC_UNSATISFIABLE;
}

static bool touch(const http_range_t *a, const http_range_t *b)
{
    return a->first <= b->end && b->first <= a->end;
}

static void widen(http_range_t *range, const http_range_t *by)
{
    range->first = by->first < range->first ? by->first : range->first;
    range->end = by->end > range->end ? by->end : range->end;
}

/* Those that it touches become one with it, in the place of the first of them. That one reaches no further
 * than they did, so it touches none of the others. False: there is no room for one more. */
static bool add_range(http_ranges_t *ranges, http_range_t range)
{
    size_t kept = 0, place = HTTP_RANGES_MAX;
    for (size_t i = 0; i < ranges->count; i++) {
        bool joins = touch(&ranges->at[i], &range);
        if (joins)
            widen(&range, &ranges->at[i]);
        if (joins && place == HTTP_RANGES_MAX)
            place = kept;
        if (!joins || place == kept)
            ranges->at[kept++] = ranges->at[i];
    }
    ranges->count = kept;
    if (place == HTTP_RANGES_MAX && kept == HTTP_RANGES_MAX)
        return false;
    if (place == HTTP_RANGES_MAX)
        place = ranges->count++;
    ranges->at[place] = range;
    return true;
}

/* A set is malformed as a whole when one of it is (RFC 9110 section 14.2). */
static http_range_kind_t parse_set(text_t set, uint64_t length, http_ranges_t *ranges)
{
    http_range_kind_t kind = HTTP_RANGE_IGNORED;
    text_t member;
    ranges->count = 0;
    while (http_list_next(&set, &member)) {
        http_range_t range;
        spec_t spec = parse_spec(member, length, &range);
        if (spec == SPEC_MALFORMED || spec == SPEC_ALL_OF_NOTHING)
            return HTTP_RANGE_IGNORED;
        if (spec == SPEC_RANGE && !add_range(ranges, range))
            return HTTP_RANGE_IGNORED;
        kind = ranges->count > 0 ? HTTP_RANGE_PARTS : HTTP_RANGE_UNSATISFIABLE;
    }
    return kind;
}

http_range_kind_t http_range_parse(text_t value, uint64_t length, http_ranges_t *ranges)
{
    const text_t unit = TEXT("bytes=");
    if (value.length < unit.length || !text_equal_nocase((text_t){value.data, unit.length}, unit))
        return HTTP_RANGE_IGNORED;
    return parse_set((text_t){value.data + unit.length, value.length - unit.length}, length, ranges);
}

bool http_content_range_parse(text_t value, http_range_t *range, uint64_t *length)
{
    const text_t unit = TEXT("bytes ");
    if (value.length < unit.length || !text_equal_nocase((text_t){value.data, unit.length}, unit))
        return false;
    text_t rest = {value.data + unit.length, value.length - unit.length};
    uint64_t first, last;
    if (!take_number(&rest, &first) || !take_byte(&rest, '-') || !take_number(&rest, &last))
        return false;
    if (!take_byte(&rest, '/') || !take_number(&rest, length) || rest.length > 0)
        return false;
    if (last < first || last >= *length)
        return false;
    *range = (http_range_t){first, last + 1};
    return true;
}

/* A Range, and the condition on it. Bytes of what is coded would be of that coding, whichever it is: who asks
 * for them by what it knows of the file gets others. */
static http_selection_t select_part(http_fields_t request, const http_selected_t *selected,
                                    http_ranges_t *ranges)
{
    const http_field_t *field = http_fields_find(request, TEXT("range"));
    if (selected->is_coded || field == NULL || http_fields_next(request, field, TEXT("range")) != NULL)
        return HTTP_WHOLE;
    if (!http_if_range(request, selected->etag, selected->last_modified, selected->date))
        return HTTP_WHOLE;
    switch (http_range_parse(field->value, (uint64_t)selected->length, ranges)) {
    case HTTP_RANGE_PARTS:
        return ranges->count == 1 ? HTTP_PART : HTTP_PARTS;
    case HTTP_RANGE_UNSATISFIABLE:
        return HTTP_UNSATISFIABLE;
    case HTTP_RANGE_IGNORED:
        break;
    }
    return HTTP_WHOLE;
}

http_selection_t http_select(http_fields_t request, const http_selected_t *selected, http_ranges_t *ranges)
{
    if (http_precondition_failed(request, selected->etag, selected->last_modified))
        return HTTP_PRECONDITION_FAILED;
    /* RFC 9111 section 4.3.2: what does not say when it was modified is as old as its Date, at least. */
    text_t modified = selected->last_modified.data != NULL ? selected->last_modified : selected->date;
    if (http_not_modified(request, selected->etag, modified))
        return HTTP_NOT_MODIFIED;
    if (!selected->is_get || selected->length < 0)
        return HTTP_WHOLE;
    return select_part(request, selected, ranges);
}
