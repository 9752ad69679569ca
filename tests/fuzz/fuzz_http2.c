/* A decoded HTTP/2 request, and a header block before it is decoded, judged as the guard does. The referee:
 * what passes is a request that a handler may see.
 *
 * The input is a byte of flags, then lines: method, path, authority, then fields, `name:value`. */
#include "edge/guard/http2_check.h"
#include "edge/guard/syntax.h"

enum { SCHEME = 1, ENDS = 2, HAS_LENGTH = 4, NO_PATH = 8, NO_AUTHORITY = 16, CONTENT_LENGTH = 5 };

static text_t next_line(text_t *rest)
{
    const char *end = rest->length > 0 ? memchr(rest->data, '\n', rest->length) : NULL;
    text_t line = {rest->data, end == NULL ? rest->length : (size_t)(end - rest->data)};
    size_t taken = line.length + (end != NULL);
    rest->data += taken;
    rest->length -= taken;
    return line;
}

static size_t read_fields(text_t rest, http_field_t fields[GUARD_FIELDS_MAX + 1])
{
    size_t count = 0;
    while (rest.length > 0 && count <= GUARD_FIELDS_MAX) {
        text_t line = next_line(&rest);
        const char *colon = line.length > 0 ? memchr(line.data, ':', line.length) : NULL;
        size_t name = colon != NULL ? (size_t)(colon - line.data) : line.length;
        text_t value = {line.data + name, 0};
        if (colon != NULL)
            value = (text_t){colon + 1, line.length - name - 1};
        fields[count++] = (http_field_t){{line.data, name}, value};
    }
    return count;
}

static void check_passed(const guard_http2_request_t *request)
{
    bool connect = text_equal(request->method, TEXT("CONNECT"));
    MUST(syntax_is_token(request->method) && request->fields.count <= GUARD_FIELDS_MAX);
    MUST(connect == (request->path.data == NULL));
    MUST(connect || (request->path.length > 0 && syntax_is_visible(request->path)));
    for (size_t i = 0; i < request->fields.count; i++) {
        const http_field_t *field = &request->fields.at[i];
        MUST(syntax_is_lower_token(field->name) && syntax_is_field_value(field->value));
        MUST(!text_equal(field->name, TEXT("connection")) &&
             !text_equal(field->name, TEXT("transfer-encoding")));
    }
}

/* As on a thread with many connections: what was valid last is remembered, and changes no answer. */
static void check_authority(text_t authority)
{
    static guard_authority_t last;
    bool valid = guard_authority_valid(authority);
    MUST(guard_authority_again(&last, authority) == valid);
    MUST(guard_authority_again(&last, authority) == valid);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    http_field_t fields[GUARD_FIELDS_MAX + 1];
    if (size == 0)
        return -1;
    char *bytes = malloc(size); /* exactly as long */
    MUST(bytes != NULL);
    memcpy(bytes, data, size);
    text_t rest = {bytes + 1, size - 1};
    int flags = bytes[0];
    guard_http2_request_t request = {.scheme = flags & SCHEME,
                                     .ends = flags & ENDS,
                                     .content_length = flags & HAS_LENGTH ? CONTENT_LENGTH : UINT64_MAX};
    request.method = next_line(&rest);
    text_t path = next_line(&rest), authority = next_line(&rest);
    if (!(flags & NO_PATH))
        request.path = path;
    if (!(flags & NO_AUTHORITY))
        request.authority = authority;
    request.fields = (http_fields_t){fields, read_fields(rest, fields)};
    guard_verdict_t verdict = guard_http2_check(&request, guard_limits());
    MUST((verdict.status == 0) == (verdict.why == NULL));
    if (verdict.status == 0)
        check_passed(&request);
    check_authority(authority);
    (void)guard_hpack_scan((const uint8_t *)bytes + 1, size - 1, GUARD_FIELDS_MAX);
    free(bytes);
    return 0;
}
