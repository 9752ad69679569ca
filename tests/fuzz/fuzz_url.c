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
    url_parts_t parts;
    if (url_split(target, &parts) == URL_OK)
        MUST(parts.host.length > 0 && parts.target.length < size);
    free(second);
    free(buffer);
    free(bytes);
    return 0;
}
