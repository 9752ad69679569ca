/* Lists of field names, as a header field has them: `a, b`. */
#include "conf/settings_table.h"

/* A copy in lower case that lives as long as the settings. */
static text_t keep_name(settings_t *settings, text_t name)
{
    char *kept = (char *)(uintptr_t)settings_keep(settings, name);
    for (size_t i = 0; i < name.length; i++)
        kept[i] = ascii_lower(kept[i]);
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
        text_t name = http_trim((text_t){rest.data, length});
        if (!http_is_token(name) || names->count == HTTP_NAMES_MAX) {
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
