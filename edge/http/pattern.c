#include "edge/http/pattern.h"

#include "edge/http/url.h"

static bool is_star(text_t segment)
{
    return text_equal(segment, TEXT("*"));
}

static bool is_two_stars(text_t segment)
{
    return text_equal(segment, TEXT("**"));
}

/* Takes a slash and the segment behind it away from the front. */
static text_t take_segment(text_t *rest)
{
    const char *start = rest->data + 1, *end = rest->data + rest->length;
    const char *slash = memchr(start, '/', (size_t)(end - start));
    const char *stop = slash != NULL ? slash : end;
    *rest = (text_t){stop, (size_t)(end - stop)};
    return (text_t){start, (size_t)(stop - start)};
}

/* Where the bytes behind a star do not fit, it takes one more and they are tried anew. An earlier star need
 * never take more for that: the later one would only have less to choose from. */
bool http_wildcard_matches(text_t pattern, text_t text)
{
    size_t p = 0, t = 0, star = SIZE_MAX, taken = 0; /* the last star, and where what it takes ends */
    while (t < text.length) {
        if (p < pattern.length && pattern.data[p] == '*') {
            star = p++;
            taken = t;
        } else if (p < pattern.length && pattern.data[p] == text.data[t]) {
            p++;
            t++;
        } else if (star != SIZE_MAX) {
            p = star + 1;
            t = ++taken;
        } else {
            return false;
        }
    }
    while (p < pattern.length && pattern.data[p] == '*')
        p++;
    return p == pattern.length;
}

static bool matches_name(text_t pattern, text_t path)
{
    const char *name = memrchr(path.data, '/', path.length);
    name++;
    return http_wildcard_matches(pattern, (text_t){name, path.length - (size_t)(name - path.data)});
}

/* Two stars are to segments what one is to bytes. */
bool http_pattern_matches(text_t pattern, text_t path)
{
    if (pattern.data[0] != '/')
        return matches_name(pattern, path);
    text_t behind = {NULL, 0}, left = path; /* what follows the last two stars, and where that was tried */
    while (path.length > 0) {
        if (pattern.length > 0) {
            text_t wanted = take_segment(&pattern);
            if (pattern.length == 0 && (is_star(wanted) || is_two_stars(wanted)))
                return true;
            if (is_two_stars(wanted)) {
                behind = pattern;
                left = path;
                continue;
            }
            if (http_wildcard_matches(wanted, take_segment(&path)))
                continue;
        }
        if (behind.length == 0)
            return false;
        take_segment(&left);
        pattern = behind;
        path = left;
    }
    return pattern.length == 0;
}

/* --- Checking --- */

/* Two stars beside something else would say nothing that one does not. */
static bool has_odd_stars(text_t pattern)
{
    while (pattern.length > 0) {
        text_t segment = take_segment(&pattern);
        if (!is_two_stars(segment) && memmem(segment.data, segment.length, "**", 2) != NULL)
            return true;
    }
    return false;
}

const char *http_pattern_check(text_t pattern, char buffer[HTTP_PATTERN_ROOM], text_t *normal)
{
    char whole[HTTP_PATTERN_MAX + 1] = "/";
    if (pattern.length == 0)
        return "is empty";
    if (pattern.length > HTTP_PATTERN_MAX)
        return "is longer than 512 bytes";
    if (memchr(pattern.data, '?', pattern.length) != NULL)
        return "holds a `?`: rules go by the path alone";
    bool is_name = memchr(pattern.data, '/', pattern.length) == NULL;
    if (!is_name && pattern.data[0] != '/')
        return "does not begin with a slash";
    memcpy(whole + is_name, pattern.data, pattern.length);
    text_t target = {whole, pattern.length + is_name};
    url_error_t error = url_normalize(target, buffer, HTTP_PATTERN_ROOM, &target);
    if (error != URL_OK)
        return url_error_text(error);
    if (has_odd_stars(target))
        return "has `**` within a segment: it stands for whole ones, as in /a/**/b";
    if (target.data == whole)
        memcpy(buffer, whole, target.length);
    *normal = (text_t){buffer + is_name, target.length - is_name};
    return normal->length > 0 ? NULL : "is a dot segment";
}
