#include "edge/http/url.h"

#include <arpa/inet.h>

static const char *const error_texts[] = {
    [URL_OK] = NULL,
    [URL_NOT_A_URL] = "is neither http://host/path nor https://host/path",
    [URL_BAD_SCHEME] = "has a scheme other than http and https",
    [URL_BAD_HOST] = "has a host that is neither a name nor an address, or has user information",
    [URL_BAD_PORT] = "has a port that is not a number from 0 to 65535",
    [URL_BAD_BYTE] = "holds a control byte, a space, a `#` or a byte that is not ASCII",
    [URL_BAD_ESCAPE] = "holds a `%` without two hexadecimal digits after it, or `%00`",
    [URL_HIDDEN_SEPARATOR] =
        "hides a separator: a backslash, `%2F`, `%5C`, or a dot segment written with `%2E`",
    [URL_ESCAPES_ROOT] = "leads above the root with `..`",
    [URL_TOO_LONG] = "is too long",
};

const char *url_error_text(url_error_t error)
{
    MUST((size_t)error < sizeof(error_texts) / sizeof(error_texts[0]));
    return error_texts[error];
}

/* What a byte means, in a path and in a query. What is not named is BAD; from PLAIN on, it is passed over. */
enum { BAD, ENCODE, DOT, PERCENT, BACKSLASH, QUERY, PLAIN, SLASH };

static const uint8_t classes[256] = {
    ['a' ... 'z'] = PLAIN, ['A' ... 'Z'] = PLAIN, ['0' ... '9'] = PLAIN, /* unreserved, section 2.3 */
    ['-'] = PLAIN,         ['_'] = PLAIN,         ['~'] = PLAIN,         ['.'] = DOT,
    ['!'] = PLAIN,         ['$'] = PLAIN,         ['&'] = PLAIN,         ['\''] = PLAIN,
    ['('] = PLAIN,         [')'] = PLAIN, /* sub-delims */
    ['*'] = PLAIN,         ['+'] = PLAIN,         [','] = PLAIN,         [';'] = PLAIN,
    ['='] = PLAIN,         [':'] = PLAIN,         ['@'] = PLAIN, /* pchar, section 3.3 */
    ['"'] = ENCODE,        ['<'] = ENCODE,        ['>'] = ENCODE,        ['['] = ENCODE,
    [']'] = ENCODE, /* not allowed, yet sent */
    ['^'] = ENCODE,        ['`'] = ENCODE,        ['{'] = ENCODE,        ['|'] = ENCODE,
    ['}'] = ENCODE,        ['/'] = SLASH,         ['%'] = PERCENT,       ['\\'] = BACKSLASH,
    ['?'] = QUERY,
};

static const uint8_t hex_values[256] = {
    ['0'] = 1,  ['1'] = 2,  ['2'] = 3,  ['3'] = 4,  ['4'] = 5,  ['5'] = 6,  ['6'] = 7,  ['7'] = 8,
    ['8'] = 9,  ['9'] = 10, ['A'] = 11, ['B'] = 12, ['C'] = 13, ['D'] = 14, ['E'] = 15, ['F'] = 16,
    ['a'] = 11, ['b'] = 12, ['c'] = 13, ['d'] = 14, ['e'] = 15, ['f'] = 16,
};

static uint8_t class_of(char byte)
{
    return classes[(uint8_t)byte];
}

/* The byte that the escape at the front stands for, or -1. */
static int escaped_byte(const char *at, const char *end)
{
    if (end - at < 3)
        return -1;
    int high = hex_values[(uint8_t)at[1]] - 1;
    int low = hex_values[(uint8_t)at[2]] - 1;
    return high < 0 || low < 0 ? -1 : high * 16 + low;
}

static bool is_unreserved(int byte)
{
    return (byte >= 'a' && byte <= 'z') || (byte >= 'A' && byte <= 'Z') || (byte >= '0' && byte <= '9') ||
           byte == '-' || byte == '.' || byte == '_' || byte == '~';
}

/* Separators, to us or to an origin that decodes before it splits, and the byte that ends strings. */
static url_error_t judge_escape(int byte)
{
    if (byte <= 0)
        return URL_BAD_ESCAPE;
    return byte == '/' || byte == '\\' ? URL_HIDDEN_SEPARATOR : URL_OK;
}

/* In upper case, and nothing that is decoded or refused. */
static bool escape_is_normal(const char *at, const char *end)
{
    int byte = escaped_byte(at, end);
    return judge_escape(byte) == URL_OK && !is_unreserved(byte) && at[1] < 'a' && at[2] < 'a';
}

/* A dot follows a slash: is this segment `.` or `..`? */
static bool is_dot_segment(const char *at, const char *end)
{
    at++;
    if (at < end && *at == '.')
        at++;
    return at == end || *at == '/' || *at == '?';
}

static bool query_is_valid(const char *at, const char *end)
{
    for (; at < end; at++) {
        if (class_of(*at) == BAD)
            return false;
    }
    return true;
}

/* The one scan of the usual case. False for what changes and for what is wrong: the slow way tells them
 * apart. */
static bool is_normal(text_t target)
{
    const char *at = target.data, *end = at + target.length;
    if (target.length == 0 || *at != '/')
        return false;
    for (;;) {
        while (at < end && class_of(*at) >= PLAIN)
            at++;
        if (at == end)
            return true;
        uint8_t class = class_of(*at);
        if (class == QUERY)
            return query_is_valid(at + 1, end);
        if (class == DOT && !(at[-1] == '/' && is_dot_segment(at, end)))
            at++;
        else if (class == PERCENT && escape_is_normal(at, end))
            at += 3;
        else
            return false;
    }
}

typedef struct {
    char *data;
    size_t length;
    size_t capacity;
    bool full; /* something did not fit */
} output_t;

static void put(output_t *out, char byte)
{
    if (out->length < out->capacity)
        out->data[out->length++] = byte;
    else
        out->full = true;
}

static void put_escape(output_t *out, int byte)
{
    static const char digits[] = "0123456789ABCDEF";
    put(out, '%');
    put(out, digits[byte >> 4]);
    put(out, digits[byte & 15]);
}

static url_error_t put_segment(output_t *out, text_t segment)
{
    const char *end = segment.data + segment.length;
    for (const char *at = segment.data; at < end; at++) {
        int byte = (uint8_t)*at;
        switch (classes[byte]) {
        case BAD:
            return URL_BAD_BYTE;
        case BACKSLASH:
            return URL_HIDDEN_SEPARATOR;
        case ENCODE:
            put_escape(out, byte);
            break;
        case PERCENT:
            byte = escaped_byte(at, end);
            if (judge_escape(byte) != URL_OK)
                return judge_escape(byte);
            if (is_unreserved(byte))
                put(out, (char)byte);
            else
                put_escape(out, byte);
            at += 2;
            break;
        default:
            put(out, *at);
        }
    }
    return URL_OK;
}

/* Takes the last `/` and its segment away. */
static void pop_segment(output_t *out)
{
    do
        out->length--;
    while (out->data[out->length] != '/');
}

/* Appends `/` and a segment, unless it is a dot segment, which takes effect (RFC 3986 section 5.2.4). */
static url_error_t add_segment(output_t *out, text_t segment, bool last)
{
    size_t start = out->length;
    put(out, '/');
    url_error_t error = put_segment(out, segment);
    if (error != URL_OK)
        return error;
    if (out->full)
        return URL_TOO_LONG;
    text_t written = {out->data + start + 1, out->length - start - 1};
    bool up = text_equal(written, TEXT(".."));
    if (!up && !text_equal(written, TEXT(".")))
        return URL_OK;
    if (!text_equal(written, segment))
        return URL_HIDDEN_SEPARATOR; /* written with an escape */
    out->length = start;
    if (up && start == 0)
        return URL_ESCAPES_ROOT;
    if (up)
        pop_segment(out);
    if (last)
        put(out, '/');
    return URL_OK;
}

/* `path` starts with a slash. */
static url_error_t put_path(output_t *out, text_t path)
{
    const char *end = path.data + path.length;
    for (const char *at = path.data; at < end;) {
        at++; /* the slash */
        const char *slash = memchr(at, '/', (size_t)(end - at));
        const char *next = slash == NULL ? end : slash;
        url_error_t error = add_segment(out, (text_t){at, (size_t)(next - at)}, slash == NULL);
        if (error != URL_OK)
            return error;
        at = next;
    }
    return URL_OK;
}

/* `query` starts with its question mark, or is empty. */
static url_error_t put_query(output_t *out, text_t query)
{
    if (!query_is_valid(query.data, query.data + query.length))
        return URL_BAD_BYTE;
    if (query.length > out->capacity - out->length)
        return URL_TOO_LONG;
    memcpy(out->data + out->length, query.data, query.length);
    out->length += query.length;
    return URL_OK;
}

url_error_t url_normalize(text_t target, char *buffer, size_t capacity, text_t *normal)
{
    if (target.length == 0) {
        *normal = TEXT("/");
        return URL_OK;
    }
    if (is_normal(target)) {
        *normal = target;
        return URL_OK;
    }
    const char *mark = memchr(target.data, '?', target.length);
    text_t path = {target.data, mark == NULL ? target.length : (size_t)(mark - target.data)};
    text_t query = {target.data + path.length, target.length - path.length};
    output_t out = {buffer, 0, capacity, false};
    if (path.length == 0)
        path = TEXT("/");
    if (path.data[0] != '/')
        return URL_NOT_A_URL;
    url_error_t error = put_path(&out, path);
    if (error == URL_OK)
        error = put_query(&out, query);
    *normal = (text_t){out.data, out.length};
    return error;
}

static text_t without_front(text_t text, size_t length)
{
    return (text_t){text.data + length, text.length - length};
}

/* Takes the scheme and `://` away. */
static url_error_t take_scheme(text_t *rest, url_parts_t *parts)
{
    const char *colon = rest->length == 0 ? NULL : memchr(rest->data, ':', rest->length);
    if (colon == NULL)
        return URL_NOT_A_URL;
    text_t scheme = {rest->data, (size_t)(colon - rest->data)};
    text_t after = without_front(*rest, scheme.length);
    if (scheme.length == 0 || after.length < 3 || memcmp(after.data, "://", 3) != 0)
        return URL_NOT_A_URL;
    for (size_t i = 0; i < scheme.length; i++) {
        if (class_of(scheme.data[i]) == SLASH || class_of(scheme.data[i]) == QUERY)
            return URL_NOT_A_URL; /* the colon belongs to a path or query */
    }
    parts->https = text_equal_nocase(scheme, TEXT("https"));
    if (!parts->https && !text_equal_nocase(scheme, TEXT("http")))
        return URL_BAD_SCHEME;
    *rest = without_front(after, 3);
    return URL_OK;
}

static bool is_host_name(text_t host)
{
    for (size_t i = 0; i < host.length; i++) {
        char byte = host.data[i];
        if (!is_unreserved(byte) || byte == '~')
            return false;
    }
    return host.length > 0 && host.length <= 255;
}

static bool is_ipv6(text_t host)
{
    char text[INET6_ADDRSTRLEN];
    struct in6_addr address;
    if (host.length == 0 || host.length >= sizeof(text) || memchr(host.data, '\0', host.length) != NULL)
        return false;
    memcpy(text, host.data, host.length);
    text[host.length] = '\0';
    return inet_pton(AF_INET6, text, &address) == 1;
}

/* `rest` is what follows the host: nothing, or a colon and digits, of which there may be none (RFC 3986
 * section 3.2.3). */
static url_error_t split_port(text_t rest, url_parts_t *parts)
{
    parts->port = parts->https ? 443 : 80;
    if (rest.length == 0)
        return URL_OK;
    if (rest.data[0] != ':')
        return URL_BAD_HOST;
    unsigned port = 0;
    for (size_t i = 1; i < rest.length; i++) {
        if (rest.data[i] < '0' || rest.data[i] > '9')
            return URL_BAD_PORT;
        port = port * 10 + (unsigned)(rest.data[i] - '0');
        if (port > UINT16_MAX)
            return URL_BAD_PORT;
    }
    if (rest.length > 1) {
        parts->port = (uint16_t)port;
        parts->port_given = true;
    }
    return URL_OK;
}

static url_error_t split_authority(text_t authority, url_parts_t *parts)
{
    if (authority.length > 0 && authority.data[0] == '[') {
        const char *close = memchr(authority.data, ']', authority.length);
        if (close == NULL)
            return URL_BAD_HOST;
        parts->ipv6 = true;
        parts->host = (text_t){authority.data + 1, (size_t)(close - authority.data) - 1};
        if (!is_ipv6(parts->host))
            return URL_BAD_HOST;
        return split_port(without_front(authority, parts->host.length + 2), parts);
    }
    size_t length = 0;
    while (length < authority.length && authority.data[length] != ':')
        length++;
    parts->host = (text_t){authority.data, length};
    if (!is_host_name(parts->host))
        return URL_BAD_HOST;
    return split_port(without_front(authority, length), parts);
}

url_error_t url_split(text_t url, url_parts_t *parts)
{
    *parts = (url_parts_t){0};
    url_error_t error = take_scheme(&url, parts);
    if (error != URL_OK)
        return error;
    size_t length = 0;
    while (length < url.length && memchr("/?#", url.data[length], 3) == NULL)
        length++;
    parts->target = without_front(url, length);
    if (parts->target.length > 0 && memchr(parts->target.data, '#', parts->target.length) != NULL)
        return URL_BAD_BYTE;
    text_t authority = {url.data, length};
    if (length > 0 && memchr(authority.data, '@', length) != NULL)
        return URL_BAD_HOST;
    return split_authority(authority, parts);
}

/* IPv6 has many ways of writing one address; false when it is none. */
static bool write_ipv6(text_t literal, char buffer[URL_HOST_MAX])
{
    struct in6_addr address;
    memcpy(buffer, literal.data, literal.length);
    buffer[literal.length] = '\0';
    return inet_pton(AF_INET6, buffer, &address) == 1 &&
           inet_ntop(AF_INET6, &address, buffer, URL_HOST_MAX) != NULL;
}

bool url_host(text_t authority, char buffer[URL_HOST_MAX], text_t *host, bool *has_port)
{
    url_parts_t parts = {0};
    if (split_authority(authority, &parts) != URL_OK || parts.host.length >= URL_HOST_MAX)
        return false;
    if (has_port != NULL)
        *has_port = parts.host.length + (parts.ipv6 ? 2 : 0) < authority.length;
    if (parts.ipv6) {
        if (!write_ipv6(parts.host, buffer))
            return false;
        *host = text_of(buffer);
        return true;
    }
    size_t length = parts.host.length;
    for (size_t i = 0; i < length; i++) {
        char byte = parts.host.data[i];
        buffer[i] = (char)(byte >= 'A' && byte <= 'Z' ? byte + 32 : byte);
    }
    length -= length > 1 && buffer[length - 1] == '.' ? 1 : 0;
    *host = (text_t){buffer, length};
    return buffer[0] != '.' && buffer[length - 1] != '.' &&
           memmem(buffer, length, "..", 2) == NULL; /* no label is empty */
}
