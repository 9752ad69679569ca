#include "edge/http/form.h"

#include "edge/http/accept.h"

/* RFC 9110 section 12.5 and RFC 9111 section 5.2. */
static const text_t lists[] = {
    {"accept", 6},           {"accept-charset", 14}, {"accept-encoding", 15},
    {"accept-language", 15}, {"cache-control", 13},
};

bool http_has_form(text_t name)
{
    for (size_t i = 0; i < sizeof lists / sizeof *lists; i++)
        if (text_equal(name, lists[i]))
            return true;
    return false;
}

typedef struct {
    http_form_kind_t kind;
    char *data;
    size_t capacity;
    size_t needed;
} form_t;

static void put(form_t *out, char byte)
{
    if (out->needed < out->capacity)
        out->data[out->needed] = byte;
    out->needed++;
}

static void put_text(form_t *out, text_t text)
{
    for (size_t i = 0; i < text.length; i++) {
        char byte = text.data[i];
        bool escape = out->kind == HTTP_FORM_ESCAPED && (byte == '\n' || byte == '\\');
        if (escape)
            put(out, '\\');
        put(out, escape && byte == '\n' ? 'n' : byte);
    }
}

static char upper(char byte)
{
    return byte >= 'a' && byte <= 'z' ? (char)(byte - ('a' - 'A')) : byte;
}

static void put_lower(form_t *out, text_t text)
{
    for (size_t i = 0; i < text.length; i++)
        put(out, ascii_lower(text.data[i]));
}

/* RFC 5646 section 2.1.1: en-GB, zh-Hant, as all write it; origins may look for just that. */
static void put_language(form_t *out, text_t tag)
{
    enum { REGION = 2, SCRIPT = 4 };
    bool named = false; /* after a singleton come other subtags than regions and scripts */
    for (size_t at = 0, length; at < tag.length; at += length + 1) {
        const char *hyphen = memchr(tag.data + at, '-', tag.length - at);
        length = hyphen != NULL ? (size_t)(hyphen - tag.data) - at : tag.length - at;
        bool plain = at > 0 && !named;
        for (size_t i = 0; i < length; i++) {
            bool capital = plain && (length == REGION || (length == SCRIPT && i == 0));
            put(out, capital ? upper(tag.data[at + i]) : ascii_lower(tag.data[at + i]));
        }
        if (hyphen != NULL)
            put(out, '-');
        named = named || (length == 1 && tag.data[at] != '*');
    }
}

/* A weight of 1 is the same as none; 0.50 is 0.5. */
static void put_weight(form_t *out, unsigned weight)
{
    if (weight == HTTP_WEIGHT_MAX)
        return;
    put_lower(out, TEXT(";q=0"));
    if (weight > 0)
        put(out, '.');
    for (unsigned unit = HTTP_WEIGHT_MAX / 10; weight > 0; weight %= unit, unit /= 10)
        put(out, (char)('0' + weight / unit));
}

static void put_preferences(form_t *out, const http_preferences_t *preferences, bool languages)
{
    for (size_t i = 0; i < preferences->count; i++) {
        if (i > 0)
            put(out, ',');
        if (languages)
            put_language(out, preferences->at[i].what);
        else
            put_lower(out, preferences->at[i].what);
        put_weight(out, preferences->at[i].weight);
    }
}

/* All members of all lines of this name, as they are. */
static void put_members(form_t *out, http_fields_t request, text_t name)
{
    const http_field_t *line = http_fields_find(request, name);
    bool first = true;
    for (; line != NULL; line = http_fields_next(request, line, name)) {
        text_t rest = line->value, member;
        while (http_list_next(&rest, &member)) {
            if (!first)
                put(out, ',');
            put_text(out, member);
            first = false;
        }
    }
}

/* RFC 9110 section 5.3: lines combined, as any recipient may do it. */
static void put_lines(form_t *out, http_fields_t request, text_t name)
{
    const http_field_t *first = http_fields_find(request, name);
    for (const http_field_t *line = first; line != NULL; line = http_fields_next(request, line, name)) {
        text_t value = http_trim(line->value);
        if (line != first)
            put(out, ',');
        if (line != first && value.length > 0)
            put(out, ' ');
        put_text(out, value);
    }
}

size_t http_form(http_fields_t request, text_t name, http_form_kind_t kind, char *buffer, size_t capacity)
{
    form_t out = {kind, buffer, capacity, 0};
    http_preferences_t preferences;
    if (http_has_preferences(name) && http_preferences(request, name, &preferences))
        put_preferences(&out, &preferences, text_equal(name, TEXT("accept-language")));
    else if (http_has_form(name))
        put_members(&out, request, name);
    else
        put_lines(&out, request, name);
    return out.needed;
}
