/* What Location names: "s" or "p" for https or http, then authority, target asked for, and reference, a line
 * each. The referee: what is named is a normal target, and nothing of another authority. */
#include "edge/http/reference.h"
#include "edge/http/url.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static text_t take_line(text_t *rest)
{
    const char *end = rest->length > 0 ? memchr(rest->data, '\n', rest->length) : NULL;
    size_t length = end != NULL ? (size_t)(end - rest->data) : rest->length;
    text_t line = {rest->data, length};
    rest->data += end != NULL ? length + 1 : length;
    rest->length -= end != NULL ? length + 1 : length;
    return line;
}

static void check(const http_origin_t *origin, text_t base, text_t reference, char *buffer, size_t capacity)
{
    text_t target, again, other;
    if (!http_reference_target(origin, base, reference, buffer, capacity, &target))
        return;
    char *second = malloc(URL_NORMAL_MAX(target.length));
    MUST(second != NULL && target.length > 0 && target.data[0] == '/');
    MUST(url_normalize(target, second, URL_NORMAL_MAX(target.length), &again) == URL_OK);
    MUST(text_equal(target, again));
    url_parts_t parts;
    const http_origin_t stranger = {!origin->https, origin->authority};
    if (url_split(reference, &parts) == URL_OK)
        MUST(!http_reference_target(&stranger, base, reference, second, URL_NORMAL_MAX(target.length),
                                    &other));
    free(second);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *bytes = malloc(size + 1), *buffer = malloc(URL_NORMAL_MAX(size + 1)),
         *room = malloc(URL_NORMAL_MAX(size));
    MUST(bytes != NULL && buffer != NULL && room != NULL);
    memcpy(bytes, data, size);
    text_t rest = {bytes, size}, base;
    http_origin_t origin = {size > 0 && bytes[0] == 's', {NULL, 0}};
    take_line(&rest);
    origin.authority = take_line(&rest);
    /* A request's target is normal before anything of its answer is looked at. */
    if (url_normalize(take_line(&rest), room, URL_NORMAL_MAX(size), &base) == URL_OK) {
        check(&origin, base, rest, buffer, URL_NORMAL_MAX(size + 1));
        check(&origin, base, rest, buffer, size / 2);
    }
    free(room);
    free(buffer);
    free(bytes);
    return 0;
}
