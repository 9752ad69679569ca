#include "edge/http/accept.h"

bool http_has_preferences(text_t name)
{
    return text_equal(name, TEXT("accept-language")) || text_equal(name, TEXT("accept-encoding")) ||
           text_equal(name, TEXT("accept-charset"));
}

/* RFC 9110 section 12.4.2: 0 to 1, with up to three digits after the point. */
static bool read_weight(text_t text, unsigned *weight)
{
    enum { POINT = 1, DIGITS_MAX = 3 };
    if (text.length == 0 || text.length > POINT + 1 + DIGITS_MAX || (text.data[0] | 1) != '1')
        return false;
    if (text.length > POINT && text.data[POINT] != '.')
        return false;
    unsigned value = (unsigned)(text.data[0] - '0');
    for (size_t i = POINT + 1; i < POINT + 1 + DIGITS_MAX; i++) {
        char digit = i < text.length ? text.data[i] : '0';
        if (digit < '0' || digit > '9')
            return false;
        value = value * 10 + (unsigned)(digit - '0');
    }
    *weight = value;
    return value <= HTTP_WEIGHT_MAX;
}

/* A token, and a weight or none, which is 1. */
static bool read_preference(text_t member, http_preference_t *preference)
{
    const char *semicolon = memchr(member.data, ';', member.length);
    size_t length = semicolon != NULL ? (size_t)(semicolon - member.data) : member.length;
    *preference = (http_preference_t){http_trim((text_t){member.data, length}), HTTP_WEIGHT_MAX};
    if (!http_is_token(preference->what))
        return false;
    if (semicolon == NULL)
        return true;
    text_t weight = http_trim((text_t){semicolon + 1, member.length - length - 1});
    return weight.length > 2 && text_equal_nocase((text_t){weight.data, 2}, TEXT("q=")) &&
           read_weight((text_t){weight.data + 2, weight.length - 2}, &preference->weight);
}

static int compare(text_t a, text_t b)
{
    size_t common = a.length < b.length ? a.length : b.length;
    for (size_t i = 0; i < common; i++)
        if (ascii_lower(a.data[i]) != ascii_lower(b.data[i]))
            return ascii_lower(a.data[i]) - ascii_lower(b.data[i]);
    return (a.length > b.length) - (a.length < b.length);
}

static bool is_before(const http_preference_t *a, const http_preference_t *b)
{
    return a->weight != b->weight ? a->weight > b->weight : compare(a->what, b->what) < 0;
}

/* Puts it in its place. False when there are too many, or it is there with another weight. */
static bool insert(http_preferences_t *preferences, http_preference_t preference)
{
    size_t place = 0;
    for (size_t i = 0; i < preferences->count; i++) {
        if (compare(preference.what, preferences->at[i].what) == 0)
            return preference.weight == preferences->at[i].weight;
        if (is_before(&preferences->at[i], &preference))
            place++;
    }
    if (preferences->count == HTTP_PREFERENCES_MAX)
        return false;
    memmove(&preferences->at[place + 1], &preferences->at[place],
            (preferences->count - place) * sizeof(preferences->at[0]));
    preferences->at[place] = preference;
    preferences->count++;
    return true;
}

bool http_preferences(http_fields_t request, text_t name, http_preferences_t *preferences)
{
    preferences->count = 0;
    for (const http_field_t *line = http_fields_find(request, name); line != NULL;
         line = http_fields_next(request, line, name)) {
        text_t rest = line->value, member;
        http_preference_t preference;
        while (http_list_next(&rest, &member))
            if (!read_preference(member, &preference) || !insert(preferences, preference))
                return false;
    }
    return true;
}
