/* Dictionaries of structured fields (RFC 8941). The referee: keys and numbers are what the grammar lets them
 * be, and one member more is one member more.
 *
 * Each line of the input is one of the field. */
#include "edge/http/structured.h"
#include "tests/fuzz/lines.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

typedef struct {
    size_t members;
    text_t last;
    int64_t sum; /* of numbers and kinds */
} seen_t;

static void check_key(text_t key)
{
    MUST(key.length > 0);
    for (size_t i = 0; i < key.length; i++)
        MUST(memchr("abcdefghijklmnopqrstuvwxyz*_-.0123456789", key.data[i], i == 0 ? 27 : 40) != NULL);
}

static void see(void *context, text_t key, structured_value_t value)
{
    const int64_t most = INT64_C(999999999999999);
    seen_t *seen = context;
    check_key(key);
    MUST(value.kind >= STRUCTURED_INTEGER && value.kind <= STRUCTURED_INNER_LIST);
    MUST(value.kind != STRUCTURED_INTEGER || (value.number >= -most && value.number <= most));
    MUST(value.kind != STRUCTURED_BOOLEAN || value.number == 0 || value.number == 1);
    seen->members++;
    seen->last = key;
    seen->sum += value.kind == STRUCTURED_INTEGER || value.kind == STRUCTURED_BOOLEAN ? value.number : 0;
    seen->sum += (int64_t)value.kind;
}

static bool read(http_fields_t fields, seen_t *seen)
{
    *seen = (seen_t){0};
    return structured_dictionary(fields, TEXT("a"), see, seen);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    text_t rest = {(const char *)data, size};
    lines_t lines;
    seen_t seen, again;
    take_values(&rest, TEXT("a"), &lines);
    if (read(fields_of(&lines), &seen)) {
        text_t text = combined(&lines);
        http_field_t two[] = {{TEXT("a"), text}, {TEXT("a"), TEXT("zz=(1 \"x\");p, last=5;q=?0")}};
        MUST(seen.members > 0 && read((http_fields_t){two, 1}, &again));
        MUST(again.members == seen.members && again.sum == seen.sum && text_equal(again.last, seen.last));
        MUST(read((http_fields_t){two, 2}, &again));
        MUST(again.members == seen.members + 2 && text_equal(again.last, TEXT("last")));
        MUST(again.sum == seen.sum + STRUCTURED_INNER_LIST + STRUCTURED_INTEGER + 5);
        free_text(text);
    }
    free_lines(&lines);
    return 0;
}
