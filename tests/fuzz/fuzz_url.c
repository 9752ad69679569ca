/* Request targets and purge URLs. The referee: what is normal stays as it is, and has the form of a target.
 */
#include "edge/http/url.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_normal(text_t normal, char *buffer, size_t capacity)
{
    text_t again;
    MUST(normal.length > 0 && normal.data[0] == '/');
    MUST(url_normalize(normal, buffer, capacity, &again) == URL_OK);
    MUST(text_equal(normal, again));
}

/* The one form of a host is the form of itself. */
static void check_host(text_t authority)
{
    char buffer[URL_HOST_MAX], second[URL_HOST_MAX];
    text_t host, again;
    if (!url_host(authority, buffer, &host, NULL))
        return;
    MUST(host.length > 0 && host.length <= URL_HOST_MAX);
    if (memchr(host.data, ':', host.length) == NULL)
        MUST(url_host(host, second, &again, NULL) && text_equal(host, again));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *bytes = malloc(size + 1), *buffer = malloc(URL_NORMAL_MAX(size)),
         *second = malloc(URL_NORMAL_MAX(URL_NORMAL_MAX(size)));
    MUST(bytes != NULL && buffer != NULL && second != NULL);
    memcpy(bytes, data, size);
    text_t target = {bytes, size}, normal;
    url_error_t error = url_normalize(target, buffer, URL_NORMAL_MAX(size), &normal);
    MUST(error != URL_TOO_LONG && (error == URL_OK) == (url_error_text(error) == NULL));
    if (error == URL_OK)
        check_normal(normal, second, URL_NORMAL_MAX(URL_NORMAL_MAX(size)));
    error = url_normalize(target, buffer, size / 2, &normal);
    MUST(error != URL_OK || normal.data != buffer || normal.length <= size / 2);
    check_host(target);
    url_parts_t parts;
    if (url_split(target, &parts) == URL_OK)
        MUST(parts.host.length > 0 && parts.target.length < size);
    free(second);
    free(buffer);
    free(bytes);
    return 0;
}
