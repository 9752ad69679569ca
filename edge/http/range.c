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

/* `-5`: the last five bytes. Of nothing, there is no part that a Content-Range could name. */
static http_range_kind_t parse_suffix(text_t rest, uint64_t length, http_range_t *range)
{
    uint64_t suffix;
    if (!take_number(&rest, &suffix) || rest.length > 0)
        return HTTP_RANGE_IGNORED;
    if (suffix == 0)
        return HTTP_RANGE_UNSATISFIABLE;
    *range = (http_range_t){suffix < length ? length - suffix : 0, length};
    return length > 0 ? HTTP_RANGE_PART : HTTP_RANGE_IGNORED;
}

http_range_kind_t http_range_parse(text_t value, uint64_t length, http_range_t *range)
{
    const text_t unit = TEXT("bytes=");
    if (value.length < unit.length || !text_equal_nocase((text_t){value.data, unit.length}, unit))
        return HTTP_RANGE_IGNORED;
    text_t rest = {value.data + unit.length, value.length - unit.length};
    if (take_byte(&rest, '-'))
        return parse_suffix(rest, length, range);
    uint64_t first, last = UINT64_MAX;
    if (!take_number(&rest, &first) || !take_byte(&rest, '-'))
        return HTTP_RANGE_IGNORED;
    if (rest.length > 0 && (!take_number(&rest, &last) || rest.length > 0))
        return HTTP_RANGE_IGNORED;
    if (last < first)
        return HTTP_RANGE_IGNORED;
    if (first >= length)
        return HTTP_RANGE_UNSATISFIABLE;
    *range = (http_range_t){first, last < length ? last + 1 : length};
    return HTTP_RANGE_PART;
}

/* A Range, and the condition on it. */
static http_selection_t select_part(http_fields_t request, const http_selected_t *selected,
                                    http_range_t *range)
{
    const http_field_t *field = http_fields_find(request, TEXT("range"));
    if (field == NULL || http_fields_next(request, field, TEXT("range")) != NULL)
        return HTTP_WHOLE;
    if (!http_if_range(request, selected->etag, selected->last_modified, selected->date))
        return HTTP_WHOLE;
    switch (http_range_parse(field->value, (uint64_t)selected->length, range)) {
    case HTTP_RANGE_PART:
        return HTTP_PART;
    case HTTP_RANGE_UNSATISFIABLE:
        return HTTP_UNSATISFIABLE;
    case HTTP_RANGE_IGNORED:
        break;
    }
    return HTTP_WHOLE;
}

http_selection_t http_select(http_fields_t request, const http_selected_t *selected, http_range_t *range)
{
    if (http_precondition_failed(request, selected->etag, selected->last_modified))
        return HTTP_PRECONDITION_FAILED;
    if (http_not_modified(request, selected->etag, selected->last_modified))
        return HTTP_NOT_MODIFIED;
    if (!selected->is_get || selected->length < 0)
        return HTTP_WHOLE;
    return select_part(request, selected, range);
}
