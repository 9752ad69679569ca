#include "edge/http/multipart.h"

#include <inttypes.h>

text_t http_multipart_boundary(uint64_t high, uint64_t low, char buffer[HTTP_BOUNDARY_LENGTH + 1])
{
    int length = snprintf(buffer, HTTP_BOUNDARY_LENGTH + 1, "%016" PRIx64 "%016" PRIx64, high, low);
    return (text_t){buffer, (size_t)length};
}

text_t http_multipart_type(text_t boundary, char buffer[HTTP_MULTIPART_TYPE_MAX])
{
    int length = snprintf(buffer, HTTP_MULTIPART_TYPE_MAX, "multipart/byteranges; boundary=%.*s",
                          (int)boundary.length, boundary.data);
    MUST(length < HTTP_MULTIPART_TYPE_MAX);
    return (text_t){buffer, (size_t)length};
}

size_t http_multipart_head_max(const http_multipart_t *multipart)
{
    const size_t names = sizeof "\r\n--\r\nContent-Type: \r\nContent-Range: bytes -/\r\n\r\n",
                 numbers = 3 * 20;
    return names + numbers + multipart->boundary.length + multipart->content_type.length;
}

static void add(char *buffer, size_t *length, text_t text)
{
    memcpy(buffer + *length, text.data, text.length);
    *length += text.length;
}

/* The line end before a boundary belongs to the boundary: before the first there is nothing that it would
 * end. */
text_t http_multipart_head(const http_multipart_t *multipart, size_t part, char *buffer)
{
    const http_range_t *range = &multipart->ranges.at[part];
    size_t most = http_multipart_head_max(multipart), length = 0;
    add(buffer, &length, part == 0 ? TEXT("--") : TEXT("\r\n--"));
    add(buffer, &length, multipart->boundary);
    if (multipart->content_type.length > 0) {
        add(buffer, &length, TEXT("\r\nContent-Type: "));
        add(buffer, &length, multipart->content_type);
    }
    length += (size_t)snprintf(buffer + length, most - length,
                               "\r\nContent-Range: bytes %" PRIu64 "-%" PRIu64 "/%" PRIu64 "\r\n\r\n",
                               range->first, range->end - 1, multipart->length);
    MUST(length < most);
    return (text_t){buffer, length};
}

text_t http_multipart_end(const http_multipart_t *multipart, char buffer[HTTP_MULTIPART_END_MAX])
{
    size_t length = 0;
    MUST(multipart->boundary.length <= HTTP_BOUNDARY_LENGTH);
    add(buffer, &length, TEXT("\r\n--"));
    add(buffer, &length, multipart->boundary);
    add(buffer, &length, TEXT("--\r\n"));
    return (text_t){buffer, length};
}

uint64_t http_multipart_length(const http_multipart_t *multipart, char *buffer)
{
    char end[HTTP_MULTIPART_END_MAX];
    uint64_t length = http_multipart_end(multipart, end).length;
    for (size_t i = 0; i < multipart->ranges.count; i++) {
        const http_range_t *range = &multipart->ranges.at[i];
        length += http_multipart_head(multipart, i, buffer).length + (range->end - range->first);
    }
    return length;
}
