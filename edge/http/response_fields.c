#include "edge/http/response_fields.h"

#include "edge/http/cors.h"

#include <xxhash.h>

static const text_t allow_origin = {"access-control-allow-origin", 27};

bool http_response_field_is_free(text_t name)
{
    static const char *const ours[] = {
        "connection",
        "keep-alive",
        "proxy-connection",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
        "content-length",
        "content-range",
        "date",
        "age",
        "content-encoding",
        "accept-ranges",
        "etag",
        "last-modified",
        "via",
        "cache-status",
        "strict-transport-security",
        "access-control-allow-origin",
    };
    for (size_t i = 0; i < sizeof ours / sizeof *ours; i++)
        if (text_equal(name, text_of(ours[i])))
            return false;
    return http_is_token(name);
}

static void sign(XXH3_state_t *state, text_t text)
{
    XXH3_64bits_update(state, &text.length, sizeof text.length);
    XXH3_64bits_update(state, text.data, text.length);
}

void http_response_fields_sign(http_response_fields_t *said)
{
    said->signature = 0;
    if (said->set.length + said->add.length + said->remove.length + said->cors.length == 0)
        return;
    XXH3_state_t *state = XXH3_createState();
    MUST(state != NULL);
    XXH3_64bits_reset(state);
    sign(state, said->set);
    sign(state, said->add);
    sign(state, said->remove);
    sign(state, said->cors);
    said->signature = XXH3_64bits_digest(state) | 1;
    XXH3_freeState(state);
}

static bool take_field(text_t *lines, http_field_t *field)
{
    text_t line, name;
    if (!text_take(lines, '\n', &line))
        return false;
    MUST(text_take(&line, ':', &name) && line.length > 0);
    *field = (http_field_t){name, {line.data + 1, line.length - 1}};
    return true;
}

static bool is_set(text_t lines, text_t name)
{
    http_field_t field;
    while (take_field(&lines, &field))
        if (text_equal(field.name, name))
            return true;
    return false;
}

static bool is_removed(text_t names, text_t name)
{
    text_t one;
    while (text_take(&names, ' ', &one))
        if (text_equal(one, name))
            return true;
    return false;
}

/* Caches behind the node must know that answers differ by who asks (RFC 9110 section 12.5.5). */
static bool varies_by_origin(http_fields_t fields)
{
    const text_t name = TEXT("vary");
    const http_field_t *line = http_fields_find(fields, name);
    for (; line != NULL; line = http_fields_next(fields, line, name)) {
        text_t rest = line->value, member;
        while (http_list_next(&rest, &member))
            if (text_equal_nocase(member, TEXT("origin")) || text_equal(member, TEXT("*")))
                return true;
    }
    return false;
}

static size_t count_of(text_t lines)
{
    size_t count = 0;
    http_field_t field;
    while (take_field(&lines, &field))
        count++;
    return count;
}

size_t http_response_fields_more(const http_response_fields_t *said)
{
    return count_of(said->set) + count_of(said->add) + (http_cors_is_said(said->cors) ? 1 : 0);
}

http_fields_t http_response_fields_apply(const http_response_fields_t *said, http_fields_t fields,
                                         http_field_t *changed)
{
    size_t count = 0;
    bool cors = http_cors_is_said(said->cors);
    for (size_t i = 0; i < fields.count; i++) {
        text_t name = fields.at[i].name;
        bool goes = is_removed(said->remove, name) || is_set(said->set, name) ||
                    (cors && text_equal(name, allow_origin));
        if (!goes)
            changed[count++] = fields.at[i];
    }
    text_t set = said->set, add = said->add;
    while (take_field(&set, &changed[count]) || take_field(&add, &changed[count]))
        count++;
    if (http_cors_is_all(said->cors))
        changed[count++] = (http_field_t){allow_origin, said->cors};
    else if (cors && !varies_by_origin((http_fields_t){changed, count}))
        changed[count++] = (http_field_t){TEXT("vary"), TEXT("origin")};
    return (http_fields_t){changed, count};
}
