#include "edge/guard/http2_check.h"

#include "edge/guard/syntax.h"

bool guard_authority_again(guard_authority_t *last, text_t authority)
{
    if (authority.length != 0 && text_equal(authority, (text_t){last->bytes, last->length}))
        return true;
    if (!guard_authority_valid(authority))
        return false;
    if (authority.length <= sizeof(last->bytes)) {
        memcpy(last->bytes, authority.data, authority.length);
        last->length = authority.length;
    }
    return true;
}

/* The checks answer why the request is malformed; NULL when it is not. */

/* RFC 9113 section 8.5: CONNECT has an authority, and neither scheme nor path. */
static const char *check_connect(const guard_http2_request_t *request)
{
    return request->scheme || request->path.data != NULL ? "CONNECT with :scheme or :path" : NULL;
}

static const char *check_target(const guard_http2_request_t *request)
{
    if (!request->scheme)
        return "no :scheme";
    if ((request->path.length == 0 || request->path.data[0] != '/') &&
        !(text_equal(request->path, TEXT("*")) && text_equal(request->method, TEXT("OPTIONS"))))
        return ":path does not start with a slash";
    return syntax_is_visible(request->path) ? NULL : ":path holds a space or a control byte";
}

static const char *check_pseudo_fields(const guard_http2_request_t *request)
{
    if (!text_equal(request->method, TEXT("GET")) && !syntax_is_token(request->method))
        return ":method is not a token";
    if (!request->authority_checked && !guard_authority_valid(request->authority))
        return ":authority does not name a host";
    return text_equal(request->method, TEXT("CONNECT")) ? check_connect(request) : check_target(request);
}

/* RFC 9113 section 8.2.2: what belongs to one HTTP/1 connection does not travel in HTTP/2. */
static bool is_connection_specific(text_t name)
{
    switch (name.length) {
    case 7:
        return text_equal(name, TEXT("upgrade"));
    case 10:
        return text_equal(name, TEXT("connection")) || text_equal(name, TEXT("keep-alive"));
    case 14:
        return text_equal(name, TEXT("http2-settings"));
    case 16:
        return text_equal(name, TEXT("proxy-connection"));
    case 17:
        return text_equal(name, TEXT("transfer-encoding"));
    default:
        return false;
    }
}

/* RFC 9113 section 8.2.1. */
static const char *check_bytes(const http_field_t *field)
{
    if (!syntax_is_lower_token(field->name))
        return "a field's name is not a token in lower case";
    return syntax_is_field_value(field->value) ? NULL : "a field's value holds a control byte";
}

/* A space or tab, of bytes that are no other control byte. */
static bool is_blank(char byte)
{
    return (unsigned char)byte <= ' ';
}

static const char *check_meaning(text_t name, text_t value)
{
    if (value.length != 0 && (is_blank(value.data[0]) || is_blank(value.data[value.length - 1])))
        return "a field's value has white space at an end";
    if (is_connection_specific(name))
        return "a field of HTTP/1 connections";
    if (name.length == 2 && memcmp(name.data, "te", 2) == 0 && !text_equal_nocase(value, TEXT("trailers")))
        return "TE other than trailers";
    return NULL;
}

/* *bytes: what they are together. */
static const char *check_fields(const guard_http2_request_t *request, size_t *bytes)
{
    const http_field_t *end = request->fields.at + request->fields.count;
    for (const http_field_t *field = request->fields.at; field != end; ++field) {
        const char *why = request->decoder_checked ? NULL : check_bytes(field);
        if (why == NULL)
            why = check_meaning(field->name, field->value);
        if (why != NULL)
            return why;
        *bytes += field->name.length + field->value.length + sizeof(": \r\n") - 1;
    }
    return NULL;
}

guard_verdict_t guard_http2_check(const guard_http2_request_t *request, const guard_limits_t *limits)
{
    size_t bytes = request->path.length + request->authority.length + request->method.length;
    const char *why = check_pseudo_fields(request);
    if (why == NULL)
        why = check_fields(request, &bytes);
    if (why == NULL && request->ends && request->content_length != UINT64_MAX && request->content_length != 0)
        why = "Content-Length speaks of a body, and there is none";
    if (why != NULL)
        return (guard_verdict_t){400, GUARD_BAD_REQUEST, why};
    return guard_check_size(limits, bytes, request->fields.count, request->path.length);
}

typedef struct {
    const uint8_t *at, *end;
} cursor_t;

/* RFC 7541 section 5.1, with at most four octets after the prefix as the library's decoder has it. */
static bool read_integer(cursor_t *cursor, unsigned prefix_bits, uint32_t *value)
{
    if (cursor->at == cursor->end)
        return false;
    uint32_t prefix_max = (1u << prefix_bits) - 1;
    *value = *cursor->at++ & prefix_max;
    if (*value != prefix_max)
        return true;
    for (unsigned shift = 0; shift != 28 && cursor->at != cursor->end; shift += 7) {
        uint8_t octet = *cursor->at++;
        *value += (uint32_t)(octet & 0x7f) << shift;
        if ((octet & 0x80) == 0)
            return true;
    }
    return false;
}

static bool skip_string(cursor_t *cursor, uint32_t *length)
{
    if (!read_integer(cursor, 7, length) || *length > (size_t)(cursor->end - cursor->at))
        return false;
    cursor->at += *length;
    return true;
}

/* A literal representation: an index or a name, then a value (RFC 7541 section 6.2). */
static hpack_scan_t skip_literal(cursor_t *cursor, unsigned prefix_bits)
{
    uint32_t index, length;
    if (!read_integer(cursor, prefix_bits, &index))
        return HPACK_BROKEN;
    if (index == 0) {
        if (!skip_string(cursor, &length))
            return HPACK_BROKEN;
        if (length == 0)
            return HPACK_EMPTY_NAME;
    }
    return skip_string(cursor, &length) ? HPACK_FINE : HPACK_BROKEN;
}

/* Skips one representation; *field says whether it stands for a field or updates the table's size. */
static hpack_scan_t skip_representation(cursor_t *cursor, bool *field)
{
    uint8_t first = *cursor->at;
    uint32_t value;
    *field = true;
    if (first >= 0x80)
        return read_integer(cursor, 7, &value) && value != 0 ? HPACK_FINE : HPACK_BROKEN;
    if (first >= 0x40)
        return skip_literal(cursor, 6);
    if (first < 0x20)
        return skip_literal(cursor, 4);
    *field = false;
    return read_integer(cursor, 5, &value) ? HPACK_FINE : HPACK_BROKEN;
}

/* What follows one of the fields that most requests are made of: an index in one octet; or a value, with the
 * index of its name and its length in one octet each. NULL when this is another. */
static inline const uint8_t *skip_usual(const uint8_t *at, const uint8_t *end)
{
    uint8_t first = *at;
    if (first > 0x80)
        return first != 0xff ? at + 1 : NULL;
    bool named = first > 0x40 ? first < 0x7f : first != 0 && first < 0x0f;
    if (!named || end - at < 2 || (at[1] & 0x7f) == 0x7f || (at[1] & 0x7f) > end - at - 2)
        return NULL;
    return at + 2 + (at[1] & 0x7f);
}

hpack_scan_t guard_hpack_scan(const uint8_t *block, size_t length, size_t fields_max)
{
    const uint8_t *at = block, *end = block + length, *next;
    size_t fields = 0;
    for (; at != end; at = next) {
        bool field = true;
        next = skip_usual(at, end);
        if (next == NULL) {
            cursor_t cursor = {at, end};
            hpack_scan_t scan = skip_representation(&cursor, &field);
            if (scan != HPACK_FINE)
                return scan;
            next = cursor.at;
        }
        if (field && ++fields > fields_max)
            return HPACK_TOO_MANY;
    }
    return HPACK_FINE;
}
