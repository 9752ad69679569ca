/* Values that are lists, each item added to one text: names and origins with a space between two, fields a
 * line each. */
#include "conf/settings_table.h"

#include "edge/http/cors.h"
#include "edge/http/tags.h"

enum { LIST_BYTES_MAX = 4096 };

bool setting_is_list(setting_type_t type)
{
    return type == SETTING_HOST_NAMES || type == SETTING_PARAMETERS || type == SETTING_FIELD_NAMES ||
           type == SETTING_TAGS || type == SETTING_ALLOWED_ORIGINS;
}

void setting_begin_list(const setting_t *setting, settings_t *settings, size_t item)
{
    if (setting->of_rule)
        settings->rules[item].said[setting - settings_table] = true;
    *(text_t *)setting_field(setting, settings, item) = TEXT("");
}

/* Behind those that the list has already. */
static bool put_behind(text_t item, char separator, settings_t *settings, text_t *list, char *reason,
                       size_t capacity)
{
    char text[LIST_BYTES_MAX];
    size_t length = list->length;
    if (length + 1 + item.length > sizeof text) {
        snprintf(reason, capacity, "one too many; a list has room for %d bytes", LIST_BYTES_MAX);
        return false;
    }
    if (length > 0) {
        memcpy(text, list->data, length);
        text[length++] = separator;
    }
    memcpy(text + length, item.data, item.length);
    length += item.length;
    *list = (text_t){settings_keep(settings, (text_t){text, length}), length};
    return true;
}

static bool refuse(const setting_t *setting, const char *what, char *reason, size_t capacity)
{
    snprintf(reason, capacity, "%s; %s", what, setting_type_text(setting->type));
    return false;
}

static size_t count_of(text_t list, char separator)
{
    size_t count = list.length > 0 ? 1 : 0;
    for (size_t i = 0; i < list.length; i++)
        count += list.data[i] == separator ? 1 : 0;
    return count;
}

static bool is_parameter(const char *value)
{
    bool good = *value != 0;
    for (; good && *value != 0; value++)
        good = *value > ' ' && *value < 0x7f && strchr("&=#", *value) == NULL;
    return good;
}

/* A copy that names are compared with. False: it is no name, or none that a site says. */
static bool lower_name(text_t name, char buffer[LIST_BYTES_MAX])
{
    if (name.length >= LIST_BYTES_MAX)
        return false;
    for (size_t i = 0; i < name.length; i++)
        buffer[i] = ascii_lower(name.data[i]);
    return http_response_field_is_free((text_t){buffer, name.length});
}

static bool is_field_value(const char *value)
{
    size_t length = strlen(value);
    bool good = length > 0 && value[0] != ' ' && value[length - 1] != ' ';
    for (size_t i = 0; good && i < length; i++)
        good = value[i] >= ' ' && value[i] < 0x7f;
    return good;
}

/* `value` is the field as it is sent: name, colon, space, value. */
static bool put_line(const setting_t *setting, const char *value, settings_t *settings, text_t *lines,
                     char *reason, size_t capacity)
{
    char line[LIST_BYTES_MAX];
    const char *colon = strstr(value, ": ");
    MUST(colon != NULL);
    size_t name = (size_t)(colon - value), length = strlen(value);
    if (!lower_name((text_t){value, name}, line))
        return refuse(setting, "not a field that a site says", reason, capacity);
    if (length >= sizeof line || !is_field_value(colon + 2))
        return refuse(setting, "not the value of a field", reason, capacity);
    memcpy(line + name, colon, length - name);
    return put_behind((text_t){line, length}, '\n', settings, lines, reason, capacity);
}

/* What `off` makes of a list: as empty as one that has only begun, told apart by its address. */
static const char off_said[] = "";

/* `off` and `*` go with no other. */
static bool put_origin(const setting_t *setting, const char *value, settings_t *settings, text_t *origins,
                       char *reason, size_t capacity)
{
    bool off = strcmp(value, "off") == 0, alone = off || strcmp(value, "*") == 0;
    if ((alone && origins->length > 0) || http_cors_is_all(*origins) || origins->data == off_said)
        return refuse(setting, "goes with no other", reason, capacity);
    if (off) {
        *origins = (text_t){off_said, 0};
        return true;
    }
    if (!alone && !http_cors_is_origin(text_of(value)))
        return refuse(setting, "not an origin", reason, capacity);
    return put_behind(text_of(value), ' ', settings, origins, reason, capacity);
}

static bool put_tag(const setting_t *setting, const char *value, settings_t *settings, text_t *tags,
                    char *reason, size_t capacity)
{
    const char *wrong = http_tag_check(text_of(value));
    if (wrong == NULL)
        return put_behind(text_of(value), ' ', settings, tags, reason, capacity);
    snprintf(reason, capacity, "%s; %s", wrong, setting_type_text(setting->type));
    return false;
}

bool setting_put_item(const setting_t *setting, const char *value, settings_t *settings, text_t *list,
                      char *reason, size_t capacity)
{
    char name[LIST_BYTES_MAX];
    switch (setting->type) {
    case SETTING_FIELD_LINES:
        return put_line(setting, value, settings, list, reason, capacity);
    case SETTING_ALLOWED_ORIGINS:
        return put_origin(setting, value, settings, list, reason, capacity);
    case SETTING_FIELD_NAMES:
        if (!lower_name(text_of(value), name))
            return refuse(setting, "not a field that a site says", reason, capacity);
        return put_behind((text_t){name, strlen(value)}, ' ', settings, list, reason, capacity);
    case SETTING_TAGS:
        return put_tag(setting, value, settings, list, reason, capacity);
    default:
        MUST(setting->type == SETTING_PARAMETERS);
        if (!is_parameter(value))
            return refuse(setting, "not a parameter", reason, capacity);
        if (count_of(*list, ' ') == HTTP_QUERY_NAMES_MAX)
            return refuse(setting, "one too many, allowed are 128", reason, capacity);
        return put_behind(text_of(value), ' ', settings, list, reason, capacity);
    }
}
