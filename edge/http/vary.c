#include "edge/http/vary.h"

#include "edge/http/accept.h"

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

static void put_lower(selector_t *out, text_t text)
{
    for (size_t i = 0; i < text.length; i++)
        put(out, lower_of(text.data[i]));
}

/* A weight of 1 is the same as none; 0.50 is 0.5. */
static void put_weight(selector_t *out, unsigned weight)
{
    if (weight == HTTP_WEIGHT_MAX)
        return;
    put_lower(out, TEXT(";q=0"));
    if (weight > 0)
        put(out, '.');
    for (unsigned unit = HTTP_WEIGHT_MAX / 10; weight > 0; weight %= unit, unit /= 10)
        put(out, (char)('0' + weight / unit));
}

/* In one case, one order and without repeats, none of which says anything. */
static void put_preferences(selector_t *out, const http_preferences_t *preferences)
{
    for (size_t i = 0; i < preferences->count; i++) {
        if (i > 0)
            put(out, ',');
        put_lower(out, preferences->at[i].what);
        put_weight(out, preferences->at[i].weight);
    }
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

/* All members of all lines of this name, as they are. */
static void put_members(selector_t *out, http_fields_t request, const http_field_t *line, text_t name)
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

/* RFC 9111 section 4.1: what is known to mean the same by the field's definition becomes the same bytes. What
 * does not fit the definition keeps its own, and these never look like what does. */
static void put_values(selector_t *out, http_fields_t request, const http_field_t *first, text_t name)
{
    http_preferences_t preferences;
    if (http_has_preferences(name) && http_preferences(request, name, &preferences))
        put_preferences(out, &preferences);
    else
        put_members(out, request, first, name);
}

size_t http_vary_selector(const http_vary_t *vary, http_fields_t request, char *buffer, size_t capacity)
{
    selector_t out = {buffer, capacity, 0};
    for (size_t i = 0; i < vary->count; i++) {
        text_t name = vary->names[i];
        const http_field_t *line = http_fields_find(request, name);
        put_lower(&out, name);
        if (line != NULL) {
            put(&out, '=');
            put_values(&out, request, line, name);
        }
        put(&out, '\n');
    }
    return out.needed;
}
