#include "edge/http/vary.h"

typedef struct {
    char *at;
    size_t left;
} buffer_t;

/* Copies a name in lower case. False when it does not fit. */
static bool store_lower(buffer_t *buffer, text_t name, text_t *lower)
{
    if (name.length > buffer->left)
        return false;
    *lower = (text_t){buffer->at, name.length};
    for (size_t i = 0; i < name.length; i++) {
        char byte = name.data[i];
        buffer->at[i] = byte >= 'A' && byte <= 'Z' ? (char)(byte + ('a' - 'A')) : byte;
    }
    buffer->at += name.length;
    buffer->left -= name.length;
    return true;
}

static int compare(text_t a, text_t b)
{
    size_t common = a.length < b.length ? a.length : b.length;
    int order = memcmp(a.data, b.data, common);
    return order != 0 ? order : (a.length > b.length) - (a.length < b.length);
}

/* Puts a name in its place. False when there are too many. */
static bool insert(http_vary_t *vary, text_t name)
{
    size_t place = 0;
    int order = 1;
    while (place < vary->count && (order = compare(name, vary->names[place])) > 0)
        place++;
    if (order == 0)
        return true;
    if (vary->count == HTTP_VARY_NAMES_MAX)
        return false;
    memmove(&vary->names[place + 1], &vary->names[place], (vary->count - place) * sizeof(vary->names[0]));
    vary->names[place] = name;
    vary->count++;
    return true;
}

static bool add_name(http_vary_t *vary, buffer_t *buffer, text_t name)
{
    if (text_equal_nocase(name, TEXT("accept-encoding")))
        return true;
    text_t lower;
    return !text_equal(name, TEXT("*")) && http_is_token(name) && store_lower(buffer, name, &lower) &&
           insert(vary, lower);
}

http_vary_t http_vary(http_fields_t response, char *names_buffer, size_t capacity)
{
    const text_t vary_name = TEXT("vary");
    http_vary_t vary = {.kind = HTTP_VARY_NONE};
    buffer_t buffer = {names_buffer, capacity};
    for (const http_field_t *line = http_fields_find(response, vary_name); line != NULL;
         line = http_fields_next(response, line, vary_name)) {
        text_t rest = line->value, name;
        while (http_list_next(&rest, &name)) {
            if (!add_name(&vary, &buffer, name))
                return (http_vary_t){.kind = HTTP_VARY_ANY};
        }
    }
    if (vary.count > 0)
        vary.kind = HTTP_VARY_NAMES;
    return vary;
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

static void put_name(selector_t *out, text_t name)
{
    for (size_t i = 0; i < name.length; i++)
        put(out, name.data[i]);
}

/* A line feed ends the line: a value that holds one, which no valid request does, must still be told apart.
 */
static void put_member(selector_t *out, text_t member)
{
    for (size_t i = 0; i < member.length; i++) {
        char byte = member.data[i];
        if (byte == '\n' || byte == '\\')
            put(out, '\\');
        put(out, byte == '\n' ? 'n' : byte);
    }
}

/* All members of all lines of this name. */
static void put_values(selector_t *out, http_fields_t request, const http_field_t *line, text_t name)
{
    bool first = true;
    for (; line != NULL; line = http_fields_next(request, line, name)) {
        text_t rest = line->value, member;
        while (http_list_next(&rest, &member)) {
            if (!first)
                put(out, ',');
            put_member(out, member);
            first = false;
        }
    }
}

size_t http_vary_selector(const http_vary_t *vary, http_fields_t request, char *buffer, size_t capacity)
{
    selector_t out = {buffer, capacity, 0};
    for (size_t i = 0; i < vary->count; i++) {
        text_t name = vary->names[i];
        const http_field_t *line = http_fields_find(request, name);
        put_name(&out, name);
        if (line != NULL) {
            put(&out, '=');
            put_values(&out, request, line, name);
        }
        put(&out, '\n');
    }
    return out.needed;
}
