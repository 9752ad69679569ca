/* Range and what goes with it: the length of a body that has the ETag "a", then the values of Range (which
 * may come twice), If-Range, If-None-Match and If-Match, a line each; an empty one is absent. The referee:
 * parts are of the body, none touches another, what they say is read as the same again, and an answer is as
 * long as it says. What is left of the input is a Content-Type, and a Content-Range. */
#include <inttypes.h>

#include "edge/http/multipart.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static text_t take_line(text_t *rest)
{
    const char *end = rest->length > 0 ? memchr(rest->data, '\n', rest->length) : NULL;
    size_t length = end != NULL ? (size_t)(end - rest->data) : rest->length;
    text_t line = {rest->data, length};
    rest->data += end != NULL ? length + 1 : length;
    rest->length -= end != NULL ? length + 1 : length;
    return line;
}

/* -1, as of a length that is not known, for what is no number. */
static int64_t length_from(text_t line)
{
    int64_t length = 0;
    if (line.length == 0 || line.length > 18)
        return -1;
    for (size_t i = 0; i < line.length; i++) {
        if (line.data[i] < '0' || line.data[i] > '9')
            return -1;
        length = length * 10 + (line.data[i] - '0');
    }
    return length;
}

static void check_ranges(const http_ranges_t *ranges, uint64_t length)
{
    MUST(ranges->count > 0 && ranges->count <= HTTP_RANGES_MAX);
    for (size_t i = 0; i < ranges->count; i++) {
        const http_range_t *one = &ranges->at[i];
        MUST(one->first < one->end && one->end <= length);
        for (size_t k = 0; k < i; k++)
            MUST(one->end < ranges->at[k].first || ranges->at[k].end < one->first);
    }
}

static void check_again(const http_ranges_t *ranges, uint64_t length)
{
    char line[HTTP_RANGES_MAX * 42 + 8] = "bytes=";
    for (size_t i = 0; i < ranges->count; i++)
        sprintf(line + strlen(line), "%" PRIu64 "-%" PRIu64 ",", ranges->at[i].first, ranges->at[i].end - 1);
    http_ranges_t again;
    MUST(http_range_parse(text_of(line), length, &again) == HTTP_RANGE_PARTS);
    MUST(again.count == ranges->count);
    for (size_t i = 0; i < again.count; i++)
        MUST(again.at[i].first == ranges->at[i].first && again.at[i].end == ranges->at[i].end);
}

static void check_answer(const http_ranges_t *ranges, uint64_t length, text_t content_type)
{
    char boundary[HTTP_BOUNDARY_LENGTH + 1], type[HTTP_MULTIPART_TYPE_MAX], end[HTTP_MULTIPART_END_MAX];
    http_multipart_t multipart = {http_multipart_boundary(length, 0, boundary), content_type, length,
                                  *ranges};
    MUST(http_multipart_type(multipart.boundary, type).length < sizeof type);
    char *head = malloc(http_multipart_head_max(&multipart));
    MUST(head != NULL);
    uint64_t sum = http_multipart_end(&multipart, end).length;
    for (size_t i = 0; i < ranges->count; i++)
        sum += http_multipart_head(&multipart, i, head).length + ranges->at[i].end - ranges->at[i].first;
    MUST(sum == http_multipart_length(&multipart, head));
    free(head);
}

/* What a 206 would say of a part is read as that part. */
static void check_content_range(text_t value)
{
    http_range_t range, again;
    uint64_t length, length_again;
    char line[80];
    if (!http_content_range_parse(value, &range, &length))
        return;
    MUST(range.first < range.end && range.end <= length);
    snprintf(line, sizeof line, "bytes %" PRIu64 "-%" PRIu64 "/%" PRIu64, range.first, range.end - 1, length);
    MUST(http_content_range_parse(text_of(line), &again, &length_again));
    MUST(again.first == range.first && again.end == range.end && length_again == length);
}

static void check(http_fields_t request, int64_t length, text_t content_type)
{
    http_ranges_t ranges;
    http_selected_t selected = {.etag = TEXT("\"a\""), .length = length, .is_get = true};
    http_selection_t selection = http_select(request, &selected, &ranges);
    if (selection == HTTP_PART || selection == HTTP_PARTS) {
        MUST(length > 0 && (selection == HTTP_PART) == (ranges.count == 1));
        check_ranges(&ranges, (uint64_t)length);
        check_again(&ranges, (uint64_t)length);
        check_answer(&ranges, (uint64_t)length, content_type);
    }
    MUST(selection != HTTP_UNSATISFIABLE || length >= 0);
    selected.is_coded = true;
    http_selection_t coded = http_select(request, &selected, &ranges);
    bool ranged = selection == HTTP_PART || selection == HTTP_PARTS || selection == HTTP_UNSATISFIABLE;
    MUST(coded == (ranged ? HTTP_WHOLE : selection));
    selected.is_get = false;
    selection = http_select(request, &selected, &ranges);
    MUST(selection != HTTP_PART && selection != HTTP_PARTS && selection != HTTP_UNSATISFIABLE);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const text_t names[] = {
        {"range", 5}, {"range", 5}, {"if-range", 8}, {"if-none-match", 13}, {"if-match", 8}};
    http_field_t fields[sizeof names / sizeof *names];
    http_fields_t request = {fields, 0};
    char *bytes = malloc(size + 1);
    MUST(bytes != NULL);
    memcpy(bytes, data, size);
    text_t rest = {bytes, size};
    int64_t length = length_from(take_line(&rest));
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        text_t value = take_line(&rest);
        if (value.length > 0)
            fields[request.count++] = (http_field_t){names[i], value};
    }
    check(request, length, rest);
    check_content_range(rest);
    free(bytes);
    return 0;
}
