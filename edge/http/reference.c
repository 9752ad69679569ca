#include "edge/http/reference.h"

#include "edge/http/url.h"

enum { MERGED_MAX = 8192, ORIGIN_MAX = 512 };

static text_t before(text_t text, char byte)
{
    const char *end = text.length > 0 ? memchr(text.data, byte, text.length) : NULL;
    return end != NULL ? (text_t){text.data, (size_t)(end - text.data)} : text;
}

/* Two texts, one after the other; false when they do not fit. */
static bool join(char *buffer, size_t capacity, text_t first, text_t second, text_t *joined)
{
    if (first.length + second.length > capacity)
        return false;
    if (first.length > 0)
        memcpy(buffer, first.data, first.length);
    if (second.length > 0)
        memcpy(buffer + first.length, second.data, second.length);
    *joined = (text_t){buffer, first.length + second.length};
    return true;
}

static text_t scheme_of(const http_origin_t *origin)
{
    return origin->https ? TEXT("https://") : TEXT("http://");
}

/* --- Of which origin --- */

static bool is_same_host(text_t a, text_t b)
{
    char a_buffer[URL_HOST_MAX], b_buffer[URL_HOST_MAX];
    return url_host(a, a_buffer, &a, NULL) && url_host(b, b_buffer, &b, NULL) && text_equal(a, b);
}

static bool is_of(const http_origin_t *origin, const url_parts_t *parts)
{
    char buffer[ORIGIN_MAX];
    text_t url;
    url_parts_t own;
    return origin->authority.length > 0 &&
           join(buffer, sizeof buffer, scheme_of(origin), origin->authority, &url) &&
           url_split(url, &own) == URL_OK && own.https == parts->https && own.port == parts->port &&
           own.ipv6 == parts->ipv6 &&
           (own.ipv6 ? text_equal_nocase(own.host, parts->host) : is_same_host(own.host, parts->host));
}

static bool target_of_url(const http_origin_t *origin, text_t url, text_t *target)
{
    url_parts_t parts;
    if (url_split(url, &parts) != URL_OK || !is_of(origin, &parts))
        return false;
    *target = parts.target;
    return true;
}

/* --- What kind of reference --- */

static bool starts_with(text_t text, const char *prefix)
{
    size_t length = strlen(prefix);
    return text.length >= length && memcmp(text.data, prefix, length) == 0;
}

/* RFC 3986 section 4.2: a colon in the first segment makes it a scheme. */
static bool has_scheme(text_t reference)
{
    text_t segment = before(before(reference, '/'), '?');
    return memchr(segment.data, ':', segment.length) != NULL;
}

/* All of the base's path but its last segment. */
static text_t directory_of(text_t base)
{
    text_t path = before(base, '?');
    while (path.length > 0 && path.data[path.length - 1] != '/')
        path.length--;
    return path;
}

/* Puts together what is to be normalised: `merged` has MERGED_MAX bytes. */
static bool resolve(const http_origin_t *origin, text_t base, text_t reference, char *merged, text_t *target)
{
    if (reference.length == 0) {
        *target = base;
        return true;
    }
    if (starts_with(reference, "//")) {
        text_t scheme = scheme_of(origin), url;
        scheme.length -= 2;
        return join(merged, MERGED_MAX, scheme, reference, &url) && target_of_url(origin, url, target);
    }
    if (reference.data[0] == '/') {
        *target = reference;
        return true;
    }
    if (reference.data[0] == '?')
        return join(merged, MERGED_MAX, before(base, '?'), reference, target);
    if (has_scheme(reference))
        return target_of_url(origin, reference, target);
    return join(merged, MERGED_MAX, directory_of(base), reference, target);
}

bool http_reference_target(const http_origin_t *origin, text_t base, text_t reference, char *buffer,
                           size_t capacity, text_t *target)
{
    char merged[MERGED_MAX];
    text_t whole;
    if (!resolve(origin, base, before(reference, '#'), merged, &whole) ||
        url_normalize(whole, buffer, capacity, target) != URL_OK)
        return false;
    if ((uintptr_t)target->data - (uintptr_t)merged >= MERGED_MAX)
        return true;
    return join(buffer, capacity, *target, (text_t){NULL, 0}, target); /* nothing had to be changed */
}
