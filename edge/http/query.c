#include "edge/http/query.h"

#include "edge/http/pattern.h"

/* Takes a member of a list away from the front. False: there is none left. */
static bool take(text_t *rest, char separator, text_t *member)
{
    if (rest->length == 0)
        return false;
    const char *end = memchr(rest->data, separator, rest->length);
    *member = (text_t){rest->data, end != NULL ? (size_t)(end - rest->data) : rest->length};
    size_t used = member->length + (end != NULL ? 1 : 0);
    *rest = (text_t){rest->data + used, rest->length - used};
    return true;
}

static text_t name_of(text_t parameter)
{
    const char *end = memchr(parameter.data, '=', parameter.length);
    return (text_t){parameter.data, end != NULL ? (size_t)(end - parameter.data) : parameter.length};
}

static bool has(text_t list, text_t name)
{
    text_t pattern;
    while (take(&list, ' ', &pattern))
        if (http_wildcard_matches(pattern, name))
            return true;
    return false;
}

static bool stays(const http_query_t *query, text_t parameter)
{
    text_t name = name_of(parameter);
    return parameter.length > 0 && (query->keep.data == NULL || has(query->keep, name)) &&
           !has(query->drop, name);
}

static int compare(text_t a, text_t b)
{
    size_t shorter = a.length < b.length ? a.length : b.length;
    int order = memcmp(a.data, b.data, shorter);
    return order != 0 ? order : (a.length > b.length) - (a.length < b.length);
}

/* By insertion: there are few. */
static void sort(text_t *parameters, size_t count)
{
    for (size_t i = 1; i < count; i++) {
        text_t moved = parameters[i], name = name_of(moved);
        size_t at = i;
        for (; at > 0 && compare(name_of(parameters[at - 1]), name) > 0; at--)
            parameters[at] = parameters[at - 1];
        parameters[at] = moved;
    }
}

static char *put(char *at, char separator, text_t parameter)
{
    *at = separator;
    memcpy(at + 1, parameter.data, parameter.length);
    return at + 1 + parameter.length;
}

/* Those that stay, in their order; *at ends behind them. The first ones are noted. */
static size_t put_all(const http_query_t *query, text_t rest, char **at, text_t noted[HTTP_QUERY_SORTED_MAX])
{
    size_t count = 0;
    text_t parameter;
    while (take(&rest, '&', &parameter)) {
        if (!stays(query, parameter))
            continue;
        if (count < HTTP_QUERY_SORTED_MAX)
            noted[count] = parameter;
        *at = put(*at, count++ == 0 ? '?' : '&', parameter);
    }
    return count;
}

bool http_query_is_plain(const http_query_t *query)
{
    return query->keep.data == NULL && query->drop.length == 0 && !query->sort;
}

text_t http_query_apply(const http_query_t *query, text_t target, char *buffer)
{
    text_t noted[HTTP_QUERY_SORTED_MAX];
    const char *mark = http_query_is_plain(query) ? NULL : memchr(target.data, '?', target.length);
    if (mark == NULL)
        return target;
    size_t path = (size_t)(mark - target.data);
    memcpy(buffer, target.data, path);
    char *at = buffer + path;
    size_t count = put_all(query, (text_t){mark + 1, target.length - path - 1}, &at, noted);
    if (query->sort && count <= HTTP_QUERY_SORTED_MAX) {
        sort(noted, count);
        at = buffer + path;
        for (size_t i = 0; i < count; i++)
            at = put(at, i == 0 ? '?' : '&', noted[i]);
    }
    return (text_t){buffer, (size_t)(at - buffer)};
}
