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

static bool ends_with(text_t text, text_t end)
{
    return text.length >= end.length &&
           memcmp(text.data + text.length - end.length, end.data, end.length) == 0;
}

/* The first star with at most `room` bytes before it: one behind more need not be found. */
static const char *find_star(text_t pattern, size_t room)
{
    return memchr(pattern.data, '*', pattern.length < room + 1 ? pattern.length : room + 1);
}

/* What stands between two stars is taken where it first occurs: later, what follows would only have less to
 * choose from. */
bool http_wildcard_matches(text_t pattern, text_t text)
{
    const char *star = find_star(pattern, text.length);
    if (star == NULL)
        return text_equal(pattern, text);
    size_t length = (size_t)(star - pattern.data);
    if (length > text.length || memcmp(pattern.data, text.data, length) != 0)
        return false;
    do {
        text = (text_t){text.data + length, text.length - length};
        pattern = (text_t){star + 1, pattern.length - (size_t)(star + 1 - pattern.data)};
        star = find_star(pattern, text.length);
        if (star == NULL)
            return ends_with(text, pattern);
        size_t wanted = (size_t)(star - pattern.data);
        const char *found = memmem(text.data, text.length, pattern.data, wanted);
        if (found == NULL)
            return false;
        length = (size_t)(found - text.data) + wanted;
    } while (true);
}

static bool matches_name(text_t pattern, text_t path)
{
    const char *name = memrchr(path.data, '/', path.length);
    name++;
    return http_wildcard_matches(pattern, (text_t){name, path.length - (size_t)(name - path.data)});
}

/* --- Segments --- */

/* The same from the end. */
static text_t take_last_segment(text_t *rest)
{
    const char *slash = memrchr(rest->data, '/', rest->length), *end = rest->data + rest->length;
    rest->length = (size_t)(slash - rest->data);
    return (text_t){slash + 1, (size_t)(end - slash - 1)};
}

/* Takes the last segment away if it stands for all that follows its slash. */
static bool take_open_end(text_t *pattern)
{
    text_t before = *pattern, last = take_last_segment(&before);
    bool open = is_star(last) || is_two_stars(last);
    if (open)
        *pattern = before;
    return open;
}

/* Takes the segments up to the next two stars away, and those. False: there are no more behind. */
static bool take_group(text_t *rest, text_t *group)
{
    const char *stars = memmem(rest->data, rest->length, "/**", 3);
    *group = (text_t){rest->data, stars != NULL ? (size_t)(stars - rest->data) : rest->length};
    size_t used = group->length + (stars != NULL ? 3 : 0);
    *rest = (text_t){rest->data + used, rest->length - used};
    return stars != NULL;
}

static bool take_front(text_t group, text_t *path)
{
    while (group.length > 0)
        if (path->length == 0 || !http_wildcard_matches(take_segment(&group), take_segment(path)))
            return false;
    return true;
}

static bool matches_end(text_t group, text_t path)
{
    while (group.length > 0)
        if (path.length == 0 || !http_wildcard_matches(take_last_segment(&group), take_last_segment(&path)))
            return false;
    return true;
}

/* Takes all up to the end of the first segments that match: each segment of the path is compared with each of
 * the group at most. */
static bool search(text_t group, text_t *path)
{
    text_t wanted[HTTP_PATTERN_SEARCHED_MAX];
    size_t count = 0;
    for (; group.length > 0; count++) {
        MUST(count < HTTP_PATTERN_SEARCHED_MAX); /* http_pattern_check */
        wanted[count] = take_segment(&group);
    }
    for (;; take_segment(path)) {
        text_t rest = *path;
        size_t matched = 0;
        while (matched < count && rest.length > 0 &&
               http_wildcard_matches(wanted[matched], take_segment(&rest)))
            matched++;
        if (matched == count) {
            *path = rest;
            return true;
        }
        if (path->length == 0)
            return false;
    }
}

/* Two stars are to segments what one is to bytes: what stands before the first of them is at the path's
 * start, what stands behind the last at its end, and only what is between, or before an open end, is looked
 * for. */
bool http_pattern_matches(text_t pattern, text_t path)
{
    if (pattern.data[0] != '/')
        return matches_name(pattern, path);
    bool open = take_open_end(&pattern);
    text_t group;
    bool more = take_group(&pattern, &group);
    if (!take_front(group, &path))
        return false;
    if (!more)
        return open == (path.length > 0);
    while (take_group(&pattern, &group))
        if (!search(group, &path))
            return false;
    if (!open)
        return matches_end(group, path);
    return search(group, &path) && path.length > 0;
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

static size_t count_segments(text_t group)
{
    size_t count = 0;
    for (; group.length > 0; count++)
        take_segment(&group);
    return count;
}

/* Of the groups that are looked for. */
static bool has_a_long_group(text_t pattern)
{
    bool open = take_open_end(&pattern);
    text_t group;
    if (!take_group(&pattern, &group))
        return false;
    while (take_group(&pattern, &group))
        if (count_segments(group) > HTTP_PATTERN_SEARCHED_MAX)
            return true;
    return open && count_segments(group) > HTTP_PATTERN_SEARCHED_MAX;
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
    if (has_a_long_group(target))
        return "has more than 8 segments between `**` and the next, or the star at its end";
    if (target.data == whole)
        memcpy(buffer, whole, target.length);
    *normal = (text_t){buffer + is_name, target.length - is_name};
    return normal->length > 0 ? NULL : "is a dot segment";
}
