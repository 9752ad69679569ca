#include "edge/guard/syntax.h"

#include "edge/guard/guard.h"

enum {
    TCHAR = 1, /* RFC 9110 section 5.6.2 */
    UPPER = 2,
    DIGIT = 4,
    HEXDIG = 8,
    REG_NAME = 16, /* unreserved and sub-delims of RFC 3986 */
    LETTER = TCHAR | REG_NAME
};

static const unsigned char classes[256] = {
    ['!'] = TCHAR | REG_NAME,
    ['#'] = TCHAR,
    ['$'] = TCHAR | REG_NAME,
    ['%'] = TCHAR,
    ['&'] = TCHAR | REG_NAME,
    ['\''] = TCHAR | REG_NAME,
    ['('] = REG_NAME,
    [')'] = REG_NAME,
    ['*'] = TCHAR | REG_NAME,
    ['+'] = TCHAR | REG_NAME,
    [','] = REG_NAME,
    ['-'] = TCHAR | REG_NAME,
    ['.'] = TCHAR | REG_NAME,
    ['0' ... '9'] = TCHAR | REG_NAME | DIGIT | HEXDIG,
    [';'] = REG_NAME,
    ['='] = REG_NAME,
    ['A' ... 'F'] = LETTER | UPPER | HEXDIG,
    ['G' ... 'Z'] = LETTER | UPPER,
    ['^'] = TCHAR,
    ['_'] = TCHAR | REG_NAME,
    ['`'] = TCHAR,
    ['a' ... 'f'] = LETTER | HEXDIG,
    ['g' ... 'z'] = LETTER,
    ['|'] = TCHAR,
    ['~'] = TCHAR | REG_NAME,
};

/* Without a branch per byte: nearly every text is good, and is looked at to its end anyway. */
static bool all_of(text_t text, unsigned mask, unsigned wanted)
{
    unsigned wrong = 0;
    for (size_t i = 0; i != text.length; ++i)
        wrong |= classes[(unsigned char)text.data[i]] ^ wanted;
    return (wrong & mask) == 0 && text.length != 0;
}

bool syntax_is_digits(text_t text)
{
    return all_of(text, DIGIT, DIGIT);
}

bool syntax_is_token(text_t text)
{
    return all_of(text, TCHAR, TCHAR);
}

bool syntax_is_lower_token(text_t text)
{
    return all_of(text, TCHAR | UPPER, TCHAR);
}

/* Sixteen bytes looked at together, which the compiler keeps in one register (a request has hundreds). */
typedef unsigned char wide_t __attribute__((vector_size(16)));
typedef uint64_t halves_t __attribute__((vector_size(16)));

/* True when one of them is below `limit` or DEL. */
static inline bool any_below_or_delete(wide_t bytes, unsigned char limit)
{
    halves_t marks = (halves_t)(bytes < limit) | (halves_t)(bytes == 0x7f);
    return (marks[0] | marks[1]) != 0;
}

/* No byte below `limit` and no DEL, but for `allowed` (NONE: no exception). */
enum { NONE = -1 };

static bool is_stray(char byte, unsigned limit, int allowed)
{
    return ((unsigned char)byte < limit || byte == 0x7f) && byte != allowed;
}

static bool no_stray(const char *bytes, size_t length, unsigned limit, int allowed)
{
    for (size_t i = 0; i != length; ++i)
        if (is_stray(bytes[i], limit, allowed))
            return false;
    return true;
}

/* The pieces that are looked at may overlap. Inlined, for with known limits it is half as long. */
static inline __attribute__((always_inline)) bool free_of(text_t text, unsigned char limit, int allowed)
{
    wide_t bytes;
    if (text.length < sizeof(uint64_t))
        return no_stray(text.data, text.length, limit, allowed);
    if (text.length < sizeof(bytes)) {
        uint64_t front, back;
        memcpy(&front, text.data, sizeof(front));
        memcpy(&back, text.data + text.length - sizeof(back), sizeof(back));
        return !any_below_or_delete((wide_t)(halves_t){front, back}, limit) ||
               no_stray(text.data, text.length, limit, allowed);
    }
    size_t last = text.length - sizeof(bytes);
    for (size_t at = 0; at < last; at += sizeof(bytes)) {
        memcpy(&bytes, text.data + at, sizeof(bytes));
        if (any_below_or_delete(bytes, limit) && !no_stray(text.data + at, sizeof(bytes), limit, allowed))
            return false;
    }
    memcpy(&bytes, text.data + last, sizeof(bytes));
    return !any_below_or_delete(bytes, limit) || no_stray(text.data + last, sizeof(bytes), limit, allowed);
}

bool syntax_is_field_value(text_t text)
{
    return free_of(text, ' ', '\t');
}

bool syntax_is_visible(text_t text)
{
    return free_of(text, ' ' + 1, NONE);
}

text_t syntax_trim(text_t text)
{
    while (text.length != 0 && (text.data[0] == ' ' || text.data[0] == '\t')) {
        ++text.data;
        --text.length;
    }
    while (text.length != 0 && (text.data[text.length - 1] == ' ' || text.data[text.length - 1] == '\t'))
        --text.length;
    return text;
}

/* reg-name, not empty: RFC 9110 section 4.2 demands a host of http and https URIs. */
static bool is_name(text_t host)
{
    for (size_t i = 0; i != host.length; ++i) {
        if (host.data[i] == '%') {
            if (host.length - i < 3 || !all_of((text_t){host.data + i + 1, 2}, HEXDIG, HEXDIG))
                return false;
            i += 2;
        } else if ((classes[(unsigned char)host.data[i]] & REG_NAME) == 0) {
            return false;
        }
    }
    return host.length != 0;
}

/* Whether what stands between the brackets could be an IPv6 address: its bytes, two colons at least. Nobody
 * connects to it, so that more is not asked. */
static bool is_ipv6(text_t literal)
{
    size_t colons = 0;
    for (size_t i = 0; i != literal.length; ++i) {
        if (literal.data[i] == ':')
            ++colons;
        else if (literal.data[i] != '.' && (classes[(unsigned char)literal.data[i]] & HEXDIG) == 0)
            return false;
    }
    return colons >= 2 && colons <= 7 &&
           literal.length <= sizeof("ffff:ffff:ffff:ffff:ffff:ffff:255.255.255.255") - 1;
}

/* Empty (no port), or ":" and at most 65535; ":" alone is allowed by the grammar. */
static bool is_port(text_t rest)
{
    if (rest.length == 0)
        return true;
    if (rest.data[0] != ':' || rest.length > sizeof(":65535") - 1)
        return false;
    unsigned port = 0;
    for (size_t i = 1; i != rest.length; ++i) {
        if (rest.data[i] < '0' || rest.data[i] > '9')
            return false;
        port = port * 10 + (unsigned)(rest.data[i] - '0');
    }
    return port <= UINT16_MAX;
}

static const char *find(text_t text, char byte)
{
    return text.length == 0 ? NULL : memchr(text.data, byte, text.length);
}

bool guard_authority_valid(text_t authority)
{
    enum { HOST_MAX = 255 };
    bool bracketed = authority.length != 0 && authority.data[0] == '[';
    const char *end = find(authority, bracketed ? ']' : ':');
    if (bracketed && end == NULL)
        return false;
    size_t host_length = end == NULL ? authority.length : (size_t)(end - authority.data);
    if (host_length > HOST_MAX)
        return false;
    size_t rest = host_length + (bracketed ? 1 : 0);
    text_t host = {authority.data, host_length};
    if (bracketed ? !is_ipv6((text_t){host.data + 1, host.length - 1}) : !is_name(host))
        return false;
    return is_port((text_t){authority.data + rest, authority.length - rest});
}
