#include "edge/http/cors.h"

#include "edge/http/pattern.h"
#include "edge/http/url.h"

text_t http_cors_allow(text_t cors, text_t origin)
{
    if (http_cors_is_all(cors))
        return cors;
    text_t one;
    while (origin.length > 0 && text_take(&cors, ' ', &one))
        if (http_wildcard_matches(one, origin))
            return origin;
    return (text_t){NULL, 0};
}

/* Browsers write hosts in lower case, and no port that the scheme has anyway. */
bool http_cors_is_origin(text_t text)
{
    char buffer[URL_HOST_MAX + 16];
    url_parts_t parts;
    const char *star = memmem(text.data, text.length, "://*.", 5);
    text_t plain = text;
    if (text.length >= sizeof buffer)
        return false;
    if (star != NULL) {
        size_t before = (size_t)(star - text.data) + 3;
        memcpy(buffer, text.data, before);
        memcpy(buffer + before, text.data + before + 2, text.length - before - 2);
        plain = (text_t){buffer, text.length - 2};
    }
    for (size_t i = 0; i < plain.length; i++)
        if ((plain.data[i] >= 'A' && plain.data[i] <= 'Z') || plain.data[i] == '*')
            return false;
    return url_split(plain, &parts) == URL_OK && parts.target.length == 0 && !parts.ipv6 &&
           !(parts.port_given && parts.port == (parts.https ? 443 : 80)) &&
           plain.data[plain.length - 1] != ':';
}
