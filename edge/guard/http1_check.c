#include "edge/guard/http1_check.h"

#include "edge/guard/syntax.h"

static const guard_verdict_t fine = {0, GUARD_BAD_REQUEST, NULL};

static guard_verdict_t framing(const char *why)
{
    return (guard_verdict_t){400, GUARD_BAD_FRAMING, why};
}

static guard_verdict_t bad(const char *why)
{
    return (guard_verdict_t){400, GUARD_BAD_REQUEST, why};
}

/* RFC 9112 section 2.2: a line ends with CRLF, and neither byte stands alone. */
static bool lines_end_with_crlf(text_t head)
{
    const char *end = head.data + head.length;
    size_t line_feeds = 0, returns = 0;
    for (const char *at = head.data; at != end && (at = memchr(at, '\n', (size_t)(end - at))) != NULL; ++at) {
        if (at == head.data || at[-1] != '\r')
            return false;
        ++line_feeds;
    }
    for (const char *at = head.data; at != end && (at = memchr(at, '\r', (size_t)(end - at))) != NULL; ++at)
        ++returns;
    return line_feeds == returns;
}

bool guard_absolute_form(text_t target, text_t *authority, text_t *rest)
{
    size_t scheme;
    if (target.length >= 7 && strncasecmp(target.data, "http://", 7) == 0)
        scheme = 7;
    else if (target.length >= 8 && strncasecmp(target.data, "https://", 8) == 0)
        scheme = 8;
    else
        return false;
    size_t end = scheme;
    while (end != target.length && target.data[end] != '/' && target.data[end] != '?')
        ++end;
    *authority = (text_t){target.data + scheme, end - scheme};
    *rest = (text_t){target.data + end, target.length - end};
    return guard_authority_valid(*authority);
}

/* RFC 9112 section 3.2: one of four forms, two of them for one method only. */
static bool target_has_form(text_t method, text_t target)
{
    text_t authority, rest;
    if (text_equal(method, TEXT("CONNECT")))
        return guard_authority_valid(target) && memchr(target.data, ':', target.length) != NULL;
    if (text_equal(target, TEXT("*")))
        return text_equal(method, TEXT("OPTIONS"));
    return (target.length != 0 && target.data[0] == '/') || guard_absolute_form(target, &authority, &rest);
}

static guard_verdict_t check_request_line(const guard_http1_request_t *request)
{
    if (request->minor_version != 0 && request->minor_version != 1)
        return (guard_verdict_t){505, GUARD_BAD_FRAMING, "HTTP/1.0 and HTTP/1.1 are understood"};
    if (!syntax_is_token(request->method))
        return bad("the method is not a token");
    if (!syntax_is_visible(request->target) || !target_has_form(request->method, request->target))
        return bad("the request target has none of the forms of RFC 9112 section 3.2");
    return fine;
}

/* The fields that say where the message ends and whom it is for. */
typedef struct {
    unsigned hosts, lengths, encodings;
} framing_fields_t;

static guard_verdict_t check_length(const http_field_t *field, framing_fields_t *seen)
{
    enum { LENGTH_DIGITS_MAX = 18 };
    if (++seen->lengths > 1)
        return framing("more than one Content-Length");
    if (!syntax_is_digits(field->value) || field->value.length > LENGTH_DIGITS_MAX)
        return framing("Content-Length is not a number");
    return fine;
}

/* RFC 9112 section 6.1: a coding that is not understood is answered with 501. */
static guard_verdict_t check_encoding(const http_field_t *field, framing_fields_t *seen)
{
    if (++seen->encodings > 1)
        return framing("more than one Transfer-Encoding");
    if (!text_equal_nocase(field->value, TEXT("chunked")))
        return (guard_verdict_t){501, GUARD_BAD_FRAMING, "the only Transfer-Encoding understood is chunked"};
    return fine;
}

static guard_verdict_t check_host(const http_field_t *field, framing_fields_t *seen)
{
    if (++seen->hosts > 1)
        return framing("more than one Host");
    if (!guard_authority_valid(field->value))
        return framing("Host does not name a host");
    return fine;
}

static guard_verdict_t check_field(const http_field_t *field, framing_fields_t *seen)
{
    if (field->name.data == NULL)
        return framing("a field is continued on another line"); /* obs-fold, RFC 9112 section 5.2 */
    if (!syntax_is_token(field->name))
        return bad("a field's name is not a token");
    if (!syntax_is_field_value(field->value))
        return bad("a field's value holds a control byte");
    if (text_equal_nocase(field->name, TEXT("host")))
        return check_host(field, seen);
    if (text_equal_nocase(field->name, TEXT("content-length")))
        return check_length(field, seen);
    if (text_equal_nocase(field->name, TEXT("transfer-encoding")))
        return check_encoding(field, seen);
    return fine;
}

/* RFC 9112 sections 3.2, 6.1 and 6.3. */
static guard_verdict_t check_together(const framing_fields_t *seen, int minor_version)
{
    if (minor_version == 1 && seen->hosts == 0)
        return framing("HTTP/1.1 without Host");
    if (seen->lengths != 0 && seen->encodings != 0)
        return framing("both Content-Length and Transfer-Encoding");
    if (minor_version == 0 && seen->encodings != 0)
        return framing("Transfer-Encoding in HTTP/1.0");
    return fine;
}

guard_verdict_t guard_http1_check(const guard_http1_request_t *request)
{
    if (!lines_end_with_crlf(request->head))
        return framing("a line does not end with CRLF");
    guard_verdict_t verdict = check_request_line(request);
    framing_fields_t seen = {0, 0, 0};
    for (size_t i = 0; i != request->fields.count && verdict.status == 0; ++i)
        verdict = check_field(&request->fields.at[i], &seen);
    return verdict.status != 0 ? verdict : check_together(&seen, request->minor_version);
}
