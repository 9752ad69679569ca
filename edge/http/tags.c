#include "edge/http/tags.h"

static bool separates(char byte)
{
    return byte == ' ' || byte == '\t' || byte == ',';
}

/* Takes a tag away from the front. False: there is none left. */
static bool take_tag(text_t *rest, text_t *tag)
{
    while (rest->length > 0 && separates(*rest->data))
        *rest = (text_t){rest->data + 1, rest->length - 1};
    size_t length = 0;
    while (length < rest->length && !separates(rest->data[length]))
        length++;
    *tag = (text_t){rest->data, length};
    *rest = (text_t){rest->data + length, rest->length - length};
    return length > 0;
}

bool http_is_tag(text_t tag)
{
    for (size_t i = 0; i < tag.length; i++)
        if ((unsigned char)tag.data[i] <= ' ' || tag.data[i] == 0x7f)
            return false;
    return tag.length > 0 && tag.length <= HTTP_TAG_BYTES_MAX;
}

/* How many; each one is a tag. */
static size_t give(text_t tag, http_tag_visit_t *visit, void *context)
{
    if (!http_is_tag(tag))
        return 0;
    if (visit != NULL)
        visit(context, tag);
    return 1;
}

size_t http_tags_of_fields(const http_policy_t *policy, http_fields_t fields, http_tag_visit_t *visit,
                           void *context)
{
    size_t count = 0;
    for (size_t i = 0; policy != NULL && i < policy->tag_fields.count; i++) {
        text_t name = policy->tag_fields.at[i];
        const http_field_t *field = http_fields_find(fields, name);
        for (; field != NULL; field = http_fields_next(fields, field, name)) {
            text_t rest = field->value, tag;
            while (take_tag(&rest, &tag))
                count += give(tag, visit, context);
        }
    }
    return count;
}

/* --- Of a path --- */

/* Reads `{2}` or `{-1}` at the front, and takes it away: which segment, from the front or the end. 0: there
 * is none. */
static int take_place(text_t *rest)
{
    bool from_end = rest->length > 1 && rest->data[1] == '-';
    size_t digit = from_end ? 2 : 1;
    if (rest->length < digit + 2 || rest->data[0] != '{' || rest->data[digit] < '1' ||
        rest->data[digit] > '9' || rest->data[digit + 1] != '}')
        return 0;
    int place = rest->data[digit] - '0';
    *rest = (text_t){rest->data + digit + 2, rest->length - digit - 2};
    return from_end ? -place : place;
}

/* Empty: the path has none there. */
static text_t segment_of(text_t path, int place)
{
    const text_t none = {NULL, 0};
    const char *end = path.data + path.length;
    if (place < 0) {
        for (; path.length > 0; end = path.data + path.length) {
            const char *slash = memrchr(path.data, '/', path.length);
            path.length = slash != NULL ? (size_t)(slash - path.data) : 0;
            if (++place == 0 && slash != NULL)
                return (text_t){slash + 1, (size_t)(end - slash - 1)};
        }
        return none;
    }
    const char *slash = path.data;
    for (; path.length > 0 && slash != NULL && place > 1; place--)
        slash = memchr(slash + 1, '/', (size_t)(end - slash - 1));
    if (path.length == 0 || slash == NULL)
        return none;
    const char *stop = memchr(slash + 1, '/', (size_t)(end - slash - 1));
    return (text_t){slash + 1, (size_t)((stop != NULL ? stop : end) - slash - 1)};
}

/* Behind what the tag has already. False: it is longer than a tag. */
static bool put(char tag[HTTP_TAG_BYTES_MAX], size_t *length, text_t part)
{
    if (part.length > HTTP_TAG_BYTES_MAX - *length)
        return false;
    memcpy(tag + *length, part.data, part.length);
    *length += part.length;
    return true;
}

static size_t give_filled_in(text_t given, text_t path, http_tag_visit_t *visit, void *context)
{
    char tag[HTTP_TAG_BYTES_MAX];
    size_t length = 0;
    while (given.length > 0) {
        int place = take_place(&given);
        text_t part = {given.data, 1};
        if (place != 0)
            part = segment_of(path, place);
        else
            given = (text_t){given.data + 1, given.length - 1};
        if (part.length == 0 || !put(tag, &length, part))
            return 0;
    }
    return give((text_t){tag, length}, visit, context);
}

size_t http_tags_of_path(const http_policy_t *policy, text_t path, http_tag_visit_t *visit, void *context)
{
    size_t count = 0;
    text_t rest = policy != NULL ? policy->tags : (text_t){NULL, 0}, given;
    while (text_take(&rest, ' ', &given))
        count += give_filled_in(given, path, visit, context);
    return count;
}

const char *http_tag_check(text_t given)
{
    if (given.length == 0)
        return "is empty";
    if (!http_is_tag(given))
        return given.length > HTTP_TAG_BYTES_MAX ? "is longer than 1024 bytes"
                                                 : "holds a space or a control byte";
    while (given.length > 0) {
        if (take_place(&given) != 0)
            continue;
        if (*given.data == '{' || *given.data == '}')
            return "has a brace that is no segment of the path, {1} to {9} or {-1} to {-9}";
        given = (text_t){given.data + 1, given.length - 1};
    }
    return NULL;
}
