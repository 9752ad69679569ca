#include "edge/http/surrogate.h"

/* What is before the byte; *rest is what is behind it, absent when there is none. */
static text_t split(text_t text, char byte, text_t *rest)
{
    const char *at = memchr(text.data, byte, text.length);
    size_t length = at != NULL ? (size_t)(at - text.data) : text.length;
    *rest = at != NULL ? (text_t){at + 1, text.length - length - 1} : (text_t){NULL, 0};
    return (text_t){text.data, length};
}

/* FRESH, or FRESH+STALE. */
static bool read_max_age(text_t value, http_cache_control_t *control)
{
    text_t behind, fresh = split(value, '+', &behind);
    int64_t fresh_s, stale_s = HTTP_SECONDS_ABSENT;
    if (!http_seconds_parse(fresh, &fresh_s) ||
        (behind.data != NULL && !http_seconds_parse(behind, &stale_s)))
        return false;
    control->max_age = fresh_s;
    control->stale_while_revalidate = control->stale_if_error = stale_s;
    return true;
}

/* False: not understood. */
static bool read_directive(text_t directive, http_cache_control_t *control)
{
    text_t value, name = split(directive, '=', &value);
    if (text_equal_nocase(name, TEXT("no-store")) && value.data == NULL)
        return control->no_store = true;
    return text_equal_nocase(name, TEXT("max-age")) && value.data != NULL && read_max_age(value, control);
}

/* Those for all devices, or those for this one. */
static bool read_those(http_fields_t response, bool ours, http_cache_control_t *control)
{
    const text_t name = TEXT("surrogate-control");
    bool any = false;
    for (const http_field_t *line = http_fields_find(response, name); line != NULL;
         line = http_fields_next(response, line, name)) {
        text_t rest = line->value, member, device;
        while (http_list_next(&rest, &member)) {
            text_t directive = http_trim(split(member, ';', &device));
            bool mine = text_equal_nocase(http_trim(device), TEXT(HTTP_SURROGATE_DEVICE));
            if (ours ? mine : device.data == NULL)
                any |= read_directive(directive, control);
        }
    }
    return any;
}

bool http_surrogate_control(http_fields_t response, http_cache_control_t *control)
{
    *control = http_cache_control_none();
    if (read_those(response, true, control))
        return true;
    *control = http_cache_control_none();
    return read_those(response, false, control);
}
