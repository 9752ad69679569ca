/* One HTTP/1 head through the parser as the guard has made it, called as the library calls it. The referee:
 * whatever is let through can be understood in one way only. */
#include "edge/guard/guard.h"
#include "edge/guard/syntax.h"
#include "edge/http/fields.h"

int phr_parse_request(const char *buffer, size_t length, const char **method, size_t *method_length,
                      const char **target, size_t *target_length, int *minor_version, http_field_t *fields,
                      size_t *field_count, size_t last_length);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static size_t count(const http_field_t *fields, size_t field_count, text_t name)
{
    size_t found = 0;
    for (size_t i = 0; i < field_count; i++)
        found += text_equal_nocase(fields[i].name, name);
    return found;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    http_field_t fields[GUARD_FIELDS_MAX];
    size_t field_count = GUARD_FIELDS_MAX, method_length = 0, target_length = 0;
    const char *method = NULL, *target = NULL;
    int minor_version = -1;
    char *head = malloc(size > 0 ? size : 1); /* exactly as long, and the hook may write to it */
    MUST(head != NULL);
    memcpy(head, data, size);
    int result = phr_parse_request(head, size, &method, &method_length, &target, &target_length,
                                   &minor_version, fields, &field_count, 0);
    MUST(result >= -2 && (result < 0 || (size_t)result <= size));
    if (result > 0) {
        MUST(syntax_is_token((text_t){method, method_length}));
        MUST(target_length > 0 && syntax_is_visible((text_t){target, target_length}));
        MUST(minor_version == 0 || count(fields, field_count, TEXT("host")) == 1);
        size_t lengths = count(fields, field_count, TEXT("content-length"));
        MUST(lengths == 0 || count(fields, field_count, TEXT("transfer-encoding")) == 0);
        for (size_t i = 0; i < field_count; i++)
            MUST(syntax_is_token(fields[i].name) && syntax_is_field_value(fields[i].value));
    }
    free(head);
    return 0;
}
