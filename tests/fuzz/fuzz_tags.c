/* Tags: as a site gives them for paths, and as fields name them. The referee: what is given is a tag each
 * time; of a path each has the segments that a split at its slashes finds; of fields there are those between
 * the separators, and as many when all lines are combined.
 *
 * The input is the tags that the site gives, the path, lines of Cache-Tag, an empty line, and lines of
 * Surrogate-Key. */
#include "edge/http/tags.h"
#include "tests/fuzz/lines.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Tags one after the other, with their lengths; room for as many and as long as an input can make. */
typedef struct {
    char bytes[1 << 21];
    size_t length, count;
} seen_t;

static void note(void *context, text_t tag)
{
    seen_t *seen = context;
    MUST(http_is_tag(tag) && memchr(tag.data, ' ', tag.length) == NULL);
    MUST(seen->length + tag.length + sizeof tag.length <= sizeof seen->bytes);
    memcpy(seen->bytes + seen->length, &tag.length, sizeof tag.length);
    memcpy(seen->bytes + seen->length + sizeof tag.length, tag.data, tag.length);
    seen->length += sizeof tag.length + tag.length;
    seen->count++;
}

static bool same(const seen_t *a, const seen_t *b)
{
    return a->count == b->count && a->length == b->length && memcmp(a->bytes, b->bytes, a->length) == 0;
}

static void begin(seen_t *seen)
{
    seen->length = seen->count = 0;
}

/* --- Of a path --- */

/* Empty: there is none. */
static text_t nth_segment(text_t path, int place)
{
    size_t slashes = 0;
    for (size_t i = 0; i < path.length; i++)
        slashes += path.data[i] == '/';
    size_t wanted = place > 0 ? (size_t)place : slashes + 1 - (size_t)-place, at = 0, length = 0;
    if (place < 0 && (size_t)-place > slashes)
        return (text_t){NULL, 0};
    for (size_t i = 0, slash = 0; i < path.length; i++) {
        if (path.data[i] == '/') {
            slash++;
            at = slash == wanted ? i + 1 : at;
        } else
            length += slash == wanted;
    }
    return length > 0 ? (text_t){path.data + at, length} : (text_t){NULL, 0};
}

/* Of one that was found right, so that each brace opens or closes a place. */
static void note_filled_in(seen_t *seen, text_t given, text_t path)
{
    static char tag[1 << 16];
    size_t length = 0;
    for (size_t i = 0; i < given.length; i++) {
        text_t part = {given.data + i, 1};
        if (given.data[i] == '{') {
            bool from_end = given.data[i + 1] == '-';
            int place = given.data[i + 1 + from_end] - '0';
            part = nth_segment(path, from_end ? -place : place);
            i += 2 + from_end;
        }
        if (part.length == 0 || length + part.length > sizeof tag)
            return;
        memcpy(tag + length, part.data, part.length);
        length += part.length;
    }
    if (http_is_tag((text_t){tag, length}))
        note(seen, (text_t){tag, length});
}

static void check_path(text_t given, text_t path)
{
    static seen_t seen, expected;
    const http_policy_t policy = {.tags = given};
    text_t rest = given, one;
    bool right = path.length > 0 && *path.data == '/';
    begin(&seen);
    begin(&expected);
    MUST(http_tags_of_path(&policy, path, note, &seen) == seen.count);
    MUST(http_tags_of_path(&policy, path, NULL, NULL) == seen.count);
    while (text_take(&rest, ' ', &one)) {
        right = right && http_tag_check(one) == NULL;
        if (right)
            note_filled_in(&expected, one, path);
    }
    MUST(!right || same(&seen, &expected));
}

/* --- Of fields --- */

static void note_between(seen_t *seen, text_t value)
{
    for (size_t i = 0, begun = 0; i <= value.length; i++)
        if (i == value.length || memchr(" \t,", value.data[i], 3) != NULL) {
            text_t tag = {value.data + begun, i - begun};
            if (http_is_tag(tag))
                note(seen, tag);
            begun = i + 1;
        }
}

static void check_fields(const lines_t *first, const lines_t *second)
{
    static seen_t seen, expected;
    const http_policy_t policy = {.tag_fields = {{TEXT("surrogate-key"), TEXT("cache-tag")}, 2}};
    lines_t all = *first;
    for (size_t i = 0; i < second->count && all.count < LINES_MAX; i++)
        all.at[all.count++] = second->at[i];
    begin(&seen);
    begin(&expected);
    MUST(http_tags_of_fields(&policy, fields_of(&all), note, &seen) == seen.count);
    MUST(http_tags_of_fields(&policy, fields_of(&all), NULL, NULL) == seen.count);
    for (size_t i = first->count; i < all.count; i++)
        note_between(&expected, all.at[i].value);
    for (size_t i = 0; i < first->count; i++)
        note_between(&expected, all.at[i].value);
    MUST(same(&seen, &expected));
    text_t value = combined(&all);
    http_field_t field = {TEXT("cache-tag"), value};
    MUST(http_tags_of_fields(&policy, (http_fields_t){&field, 1}, NULL, NULL) == seen.count);
    free_text(value);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    text_t rest = {(const char *)data, size};
    text_t given = take_line(&rest), path = take_line(&rest);
    lines_t first, second;
    take_values(&rest, TEXT("cache-tag"), &first);
    take_values(&rest, TEXT("surrogate-key"), &second);
    check_path(given, path);
    check_fields(&first, &second);
    const char *wrong = http_tag_check(given);
    MUST(wrong != NULL || http_is_tag(given));
    free_lines(&first);
    free_lines(&second);
    free_text(given);
    free_text(path);
    return 0;
}
