#include "edge/guard/http2_check.h"

#include "edge/guard/syntax.h"

static const guard_verdict_t fine = {0, GUARD_BAD_REQUEST, NULL};

static guard_verdict_t malformed(const char *why)
{
    return (guard_verdict_t){400, GUARD_BAD_REQUEST, why};
}

/* RFC 9113 section 8.5: CONNECT has an authority, and neither scheme nor path. */
static guard_verdict_t check_connect(const guard_http2_request_t *request)
{
    if (request->scheme || request->path.data != NULL)
        return malformed("CONNECT with :scheme or :path");
    return fine;
}

static guard_verdict_t check_target(const guard_http2_request_t *request)
{
    if (!request->scheme)
        return malformed("no :scheme");
    bool asterisk = text_equal(request->path, TEXT("*")) && text_equal(request->method, TEXT("OPTIONS"));
    if (!asterisk && (request->path.length == 0 || request->path.data[0] != '/'))
        return malformed(":path does not start with a slash");
    if (!syntax_is_visible(request->path))
        return malformed(":path holds a space or a control byte");
    return fine;
}

static guard_verdict_t check_pseudo_fields(const guard_http2_request_t *request)
{
    if (!syntax_is_token(request->method))
        return malformed(":method is not a token");
    if (!guard_authority_valid(request->authority))
        return malformed(":authority does not name a host");
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
static guard_verdict_t check_bytes(const http_field_t *field)
{
    if (!syntax_is_lower_token(field->name))
        return malformed("a field's name is not a token in lower case");
    if (!syntax_is_field_value(field->value))
        return malformed("a field's value holds a control byte");
    return fine;
}

static guard_verdict_t check_meaning(const http_field_t *field)
{
    if (syntax_trim(field->value).length != field->value.length)
        return malformed("a field's value has white space at an end");
    if (is_connection_specific(field->name))
        return malformed("a field of HTTP/1 connections");
    if (text_equal(field->name, TEXT("te")) && !text_equal_nocase(field->value, TEXT("trailers")))
        return malformed("TE other than trailers");
    return fine;
}

static guard_verdict_t check_size(const guard_http2_request_t *request)
{
    size_t bytes = request->path.length + request->authority.length + request->method.length;
    for (size_t i = 0; i != request->fields.count; ++i)
        bytes +=
            request->fields.at[i].name.length + request->fields.at[i].value.length + sizeof(": \r\n") - 1;
    if (bytes > GUARD_HEAD_BYTES_MAX || request->fields.count > GUARD_FIELDS_MAX)
        return (guard_verdict_t){431, GUARD_HEADER_TOO_LARGE, "the head is too large"};
    return fine;
}

guard_verdict_t guard_http2_check(const guard_http2_request_t *request)
{
    guard_verdict_t verdict = check_pseudo_fields(request);
    for (size_t i = 0; i != request->fields.count && verdict.status == 0; ++i) {
        if (!request->decoder_checked)
            verdict = check_bytes(&request->fields.at[i]);
        if (verdict.status == 0)
            verdict = check_meaning(&request->fields.at[i]);
    }
    if (verdict.status != 0)
        return verdict;
    if (request->ends && request->content_length != UINT64_MAX && request->content_length != 0)
        return malformed("Content-Length speaks of a body, and there is none");
    return check_size(request);
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

hpack_scan_t guard_hpack_scan(const uint8_t *block, size_t length, size_t fields_max)
{
    cursor_t cursor = {block, block + length};
    size_t fields = 0;
    while (cursor.at != cursor.end) {
        bool field;
        hpack_scan_t scan = skip_representation(&cursor, &field);
        if (scan != HPACK_FINE)
            return scan;
        if (field && ++fields > fields_max)
            return HPACK_TOO_MANY;
    }
    return HPACK_FINE;
}
