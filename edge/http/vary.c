#include "edge/http/vary.h"

#include "edge/http/form.h"

static char lower_of(char byte)
{
    return byte >= 'A' && byte <= 'Z' ? (char)(byte + ('a' - 'A')) : byte;
}

/* Copies a name in lower case. False when it does not fit. */
static bool store_lower(http_vary_names_t *names, text_t name, text_t *lower)
{
    if (name.length > sizeof(names->bytes) - names->used)
        return false;
    char *at = names->bytes + names->used;
    *lower = (text_t){at, name.length};
    for (size_t i = 0; i < name.length; i++)
        at[i] = lower_of(name.data[i]);
    names->used += name.length;
    return true;
}

static int compare(text_t a, text_t b)
{
    size_t common = a.length < b.length ? a.length : b.length;
    int order = memcmp(a.data, b.data, common);
    return order != 0 ? order : (a.length > b.length) - (a.length < b.length);
}

/* Puts a name in its place. False when there are too many. */
static bool insert(http_vary_names_t *names, text_t name)
{
    size_t place = 0;
    int order = 1;
    while (place < names->count && (order = compare(name, names->at[place])) > 0)
        place++;
    if (order == 0) {
        names->used -= name.length;
        return true;
    }
    if (names->count == HTTP_VARY_NAMES_MAX)
        return false;
    memmove(&names->at[place + 1], &names->at[place], (names->count - place) * sizeof(names->at[0]));
    names->at[place] = name;
    names->count++;
    return true;
}

static bool add_name(http_vary_names_t *names, text_t name)
{
    if (text_equal_nocase(name, TEXT("accept-encoding")))
        return true;
    text_t lower;
    return !text_equal(name, TEXT("*")) && http_is_token(name) && store_lower(names, name, &lower) &&
           insert(names, lower);
}

http_vary_t http_vary(http_fields_t response, http_vary_names_t *names)
{
    const text_t vary = TEXT("vary");
    names->count = names->used = 0;
    for (const http_field_t *line = http_fields_find(response, vary); line != NULL;
         line = http_fields_next(response, line, vary)) {
        text_t rest = line->value, name;
        while (http_list_next(&rest, &name)) {
            if (!add_name(names, name))
                return (http_vary_t){.kind = HTTP_VARY_ANY};
        }
    }
    return (http_vary_t){names->count > 0 ? HTTP_VARY_NAMES : HTTP_VARY_NONE, names->count, names->at};
}

typedef struct {
    char *data;
    size_t capacity;
    size_t needed;
} selector_t;

static void put(selector_t *out, char byte)
{
    if (out->needed < out->capacity)
        out->data[out->needed] = byte;
    out->needed++;
}

/* A line feed ends the line: a value that holds one, which no valid request does, must still be told apart.
 */
static void put_value(selector_t *out, http_fields_t request, text_t name)
{
    bool full = out->needed >= out->capacity;
    out->needed += http_form(request, name, HTTP_FORM_ESCAPED, full ? NULL : out->data + out->needed,
                             full ? 0 : out->capacity - out->needed);
}

size_t http_vary_selector(const http_vary_t *vary, http_fields_t request, char *buffer, size_t capacity)
{
    selector_t out = {buffer, capacity, 0};
    for (size_t i = 0; i < vary->count; i++) {
        text_t name = vary->names[i];
        for (size_t n = 0; n < name.length; n++)
            put(&out, name.data[n]);
        if (http_fields_find(request, name) != NULL) {
            put(&out, '=');
            put_value(&out, request, name);
        }
        put(&out, '\n');
    }
    return out.needed;
}
