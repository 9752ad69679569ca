#include "edge/connection_fields.h"

#include "edge/exchange.h"

/* Does it name a field? With HTTP/2 there is no Connection, and with HTTP/1 hardly ever more in it than what
 * becomes of the connection. */
static bool names_fields(const h2o_headers_t *headers)
{
    for (size_t i = 0; i < headers->size; i++) {
        text_t value = text_from(headers->entries[i].value);
        if (headers->entries[i].name == &H2O_TOKEN_CONNECTION->buf &&
            !text_equal_nocase(value, TEXT("keep-alive")) && !text_equal_nocase(value, TEXT("close")))
            return true;
    }
    return false;
}

static size_t find_named(const h2o_headers_t *headers, bool *named)
{
    http_field_t fields[GUARD_FIELDS_MAX];
    size_t count = headers->size < GUARD_FIELDS_MAX ? headers->size : GUARD_FIELDS_MAX;
    for (size_t i = 0; i < count; i++)
        fields[i] =
            (http_field_t){text_from(*headers->entries[i].name), text_from(headers->entries[i].value)};
    http_fields_named((http_fields_t){fields, count}, named);
    for (size_t i = 0; i < count; i++)
        named[i] = named[i] && !text_equal(fields[i].name, TEXT("cdn-loop"));
    return count;
}

bool connection_fields_drop(h2o_req_t *req)
{
    h2o_headers_t *headers = &req->headers;
    bool named[GUARD_FIELDS_MAX], hides_authorization = false;
    if (!names_fields(headers))
        return false;
    size_t count = find_named(headers, named), kept = 0;
    for (size_t i = 0; i < headers->size; i++) {
        const h2o_header_t header = headers->entries[i];
        if (i >= count || !named[i])
            headers->entries[kept++] = header;
        else if (header.name == &H2O_TOKEN_AUTHORIZATION->buf)
            hides_authorization = true;
    }
    headers->size = kept;
    return hides_authorization;
}
