#include "edge/http/query.h"

#include "edge/http/pattern.h"

static text_t name_of(text_t parameter)
{
    const char *end = memchr(parameter.data, '=', parameter.length);
    return (text_t){parameter.data, end != NULL ? (size_t)(end - parameter.data) : parameter.length};
}

/* A list taken apart once, for all parameters. */
typedef struct {
    text_t at[HTTP_QUERY_NAMES_MAX];
    size_t count;
} names_t;

static void split(text_t list, names_t *names)
{
    names->count = 0;
    while (names->count < HTTP_QUERY_NAMES_MAX && text_take(&list, ' ', &names->at[names->count]))
        names->count++;
}

/* Most differ in their first byte. */
static bool has(const names_t *names, text_t name)
{
    for (size_t i = 0; i < names->count; i++) {
        char first = names->at[i].data[0];
        bool may = first == '*' || (name.length > 0 && first == name.data[0]);
        if (may && http_wildcard_matches(names->at[i], name))
            return true;
    }
    return false;
}

typedef struct {
    bool keeps; /* only what is in `keep` */
    names_t keep, drop;
} wanted_t;

static bool stays(const wanted_t *wanted, text_t parameter)
{
    text_t name = name_of(parameter);
    return parameter.length > 0 && (!wanted->keeps || has(&wanted->keep, name)) && !has(&wanted->drop, name);
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
static size_t put_all(const wanted_t *wanted, text_t rest, char **at, text_t noted[HTTP_QUERY_SORTED_MAX])
{
    size_t count = 0;
    text_t parameter;
    while (text_take(&rest, '&', &parameter)) {
        if (!stays(wanted, parameter))
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
    wanted_t wanted;
    wanted.keeps = query->keep.data != NULL;
    split(query->keep, &wanted.keep);
    split(query->drop, &wanted.drop);
    size_t path = (size_t)(mark - target.data);
    memcpy(buffer, target.data, path);
    char *at = buffer + path;
    size_t count = put_all(&wanted, (text_t){mark + 1, target.length - path - 1}, &at, noted);
    if (query->sort && count <= HTTP_QUERY_SORTED_MAX) {
        sort(noted, count);
        at = buffer + path;
        for (size_t i = 0; i < count; i++)
            at = put(at, i == 0 ? '?' : '&', noted[i]);
    }
    return (text_t){buffer, (size_t)(at - buffer)};
}
