#include "edge/http/fields.h"

static const http_field_t *find_from(const http_field_t *at, const http_field_t *end, text_t name)
{
    for (; at < end; at++) {
        if (at->name.length == name.length && memcmp(at->name.data, name.data, name.length) == 0)
            return at;
    }
    return NULL;
}

const http_field_t *http_fields_find(http_fields_t fields, text_t name)
{
    return fields.count == 0 ? NULL : find_from(fields.at, fields.at + fields.count, name);
}

const http_field_t *http_fields_next(http_fields_t fields, const http_field_t *previous, text_t name)
{
    return find_from(previous + 1, fields.at + fields.count, name);
}

size_t http_fields_count(http_fields_t fields, text_t name)
{
    size_t count = 0;
    for (const http_field_t *field = http_fields_find(fields, name); field != NULL;
         field = http_fields_next(fields, field, name))
        count++;
    return count;
}

static bool is_space(char byte)
{
    return byte == ' ' || byte == '\t';
}

text_t http_trim(text_t text)
{
    while (text.length > 0 && is_space(text.data[0])) {
        text.data++;
        text.length--;
    }
    while (text.length > 0 && is_space(text.data[text.length - 1]))
        text.length--;
    return text;
}

/* Where the first member ends: at a comma outside quotes, or at the end. */
static size_t member_end(text_t list)
{
    bool quoted = false;
    size_t at = 0;
    for (; at < list.length; at++) {
        char byte = list.data[at];
        if (byte == '"')
            quoted = !quoted;
        else if (byte == '\\' && quoted)
            at++; /* a quoted pair: the next byte means itself */
        else if (byte == ',' && !quoted)
            return at;
    }
    return list.length;
}

bool http_list_next(text_t *rest, text_t *member)
{
    while (rest->length > 0) {
        size_t end = member_end(*rest);
        *member = http_trim((text_t){rest->data, end});
        size_t used = end < rest->length ? end + 1 : end;
        rest->data += used;
        rest->length -= used;
        if (member->length > 0)
            return true;
    }
    return false;
}

static bool is_token_byte(char byte)
{
    if ((byte >= 'a' && byte <= 'z') || (byte >= 'A' && byte <= 'Z') || (byte >= '0' && byte <= '9'))
        return true;
    return byte != '\0' && strchr("!#$%&'*+-.^_`|~", byte) != NULL;
}

bool http_is_token(text_t text)
{
    for (size_t i = 0; i < text.length; i++) {
        if (!is_token_byte(text.data[i]))
            return false;
    }
    return text.length > 0;
}

/* Beyond section 7.6.1: Trailer, as trailers are not passed on; the Proxy-* ones, which belong to one hop
 * (RFC 9111 section 3.1); HTTP2-Settings, which is part of an Upgrade. */
static const text_t fixed_names[] = {
    {"connection", 10},
    {"keep-alive", 10},
    {"proxy-connection", 16},
    {"te", 2},
    {"trailer", 7},
    {"transfer-encoding", 17},
    {"upgrade", 7},
    {"http2-settings", 14},
    {"proxy-authenticate", 18},
    {"proxy-authorization", 19},
    {"proxy-authentication-info", 25},
};

bool http_field_is_hop_by_hop(text_t name, text_t connection)
{
    for (size_t i = 0; i < sizeof(fixed_names) / sizeof(fixed_names[0]); i++) {
        if (text_equal(name, fixed_names[i]))
            return true;
    }
    text_t option;
    while (http_list_next(&connection, &option)) {
        if (text_equal_nocase(name, option))
            return true;
    }
    return false;
}

bool http_fields_hop_by_hop(http_fields_t message, text_t name)
{
    const text_t connection = TEXT("connection");
    const http_field_t *line = http_fields_find(message, connection);
    if (line == NULL)
        return http_field_is_hop_by_hop(name, (text_t){NULL, 0});
    for (; line != NULL; line = http_fields_next(message, line, connection)) {
        if (http_field_is_hop_by_hop(name, line->value))
            return true;
    }
    return false;
}

void http_fields_named(http_fields_t message, bool *named)
{
    const text_t connection = TEXT("connection");
    for (size_t i = 0; i < message.count; i++)
        named[i] = false;
    const http_field_t *line = http_fields_find(message, connection);
    for (; line != NULL; line = http_fields_next(message, line, connection)) {
        text_t rest = line->value, option;
        while (http_list_next(&rest, &option))
            for (size_t i = 0; i < message.count; i++)
                named[i] = named[i] || text_equal_nocase(message.at[i].name, option);
    }
    for (size_t i = 0; i < message.count; i++)
        named[i] = named[i] && !text_equal(message.at[i].name, connection);
}
