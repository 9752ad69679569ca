/* Lists of field names, as a header field has them: `a, b`. */
#include "conf/settings_table.h"

static text_t trim(text_t text)
{
    while (text.length > 0 && text.data[0] == ' ')
        text = (text_t){text.data + 1, text.length - 1};
    while (text.length > 0 && text.data[text.length - 1] == ' ')
        text.length--;
    return text;
}

/* RFC 9110 section 5.6.2. */
static bool is_name_byte(char byte)
{
    return (byte >= 'a' && byte <= 'z') || (byte >= 'A' && byte <= 'Z') || (byte >= '0' && byte <= '9') ||
           (byte != 0 && strchr("!#$%&'*+-.^_`|~", byte) != NULL);
}

static bool is_name(text_t text)
{
    for (size_t i = 0; i < text.length; i++)
        if (!is_name_byte(text.data[i]))
            return false;
    return text.length > 0;
}

/* A copy in lower case that lives as long as the settings. */
static text_t keep_name(settings_t *settings, text_t name)
{
    char *kept = (char *)(uintptr_t)settings_keep(settings, name);
    for (size_t i = 0; i < name.length; i++)
        kept[i] = kept[i] >= 'A' && kept[i] <= 'Z' ? (char)(kept[i] + ('a' - 'A')) : kept[i];
    return (text_t){kept, name.length};
}

bool setting_put_fields(const char *value, settings_t *settings, http_names_t *names, char *reason,
                        size_t capacity)
{
    names->count = 0;
    if (strcmp(value, "off") == 0)
        return true;
    for (text_t rest = text_of(value);;) {
        const char *comma = memchr(rest.data, ',', rest.length);
        size_t length = comma != NULL ? (size_t)(comma - rest.data) : rest.length;
        text_t name = trim((text_t){rest.data, length});
        if (!is_name(name) || names->count == HTTP_NAMES_MAX) {
            snprintf(reason, capacity, "not a list of fields; allowed is %s",
                     setting_type_text(SETTING_FIELDS));
            return false;
        }
        name = keep_name(settings, name);
        if (!http_names_have(names, name))
            names->at[names->count++] = name;
        if (comma == NULL)
            return true;
        rest = (text_t){comma + 1, rest.length - length - 1};
    }
}
