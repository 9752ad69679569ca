/* Vary, and the request fields that it names, with what they prefer. The referee: the form that selects a
 * variant selects the same when it is asked with, and the order of preferences does not.
 *
 * The input is lines of Vary, an empty line, and the request's fields, `name:value`. */
#include "edge/http/accept.h"
#include "edge/http/vary.h"
#include "tests/fuzz/lines.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_names(const http_vary_t *vary)
{
    MUST(vary->count > 0 && vary->count <= HTTP_VARY_NAMES_MAX);
    for (size_t i = 0; i < vary->count; i++) {
        MUST(http_is_token(vary->names[i]) && !text_equal(vary->names[i], TEXT("accept-encoding")));
        for (size_t at = 0; at < vary->names[i].length; at++)
            MUST(vary->names[i].data[at] < 'A' || vary->names[i].data[at] > 'Z');
        for (size_t other = 0; other < i; other++)
            MUST(!text_equal(vary->names[i], vary->names[other]));
    }
}

/* In memory of exactly its length, whatever was said of a shorter one. */
static text_t select_variant(const http_vary_t *vary, http_fields_t request)
{
    char small[16];
    size_t length = http_vary_selector(vary, request, small, sizeof small);
    char *selector = must_alloc(length > 0 ? length : 1);
    MUST(http_vary_selector(vary, request, selector, length) == length);
    MUST(memcmp(small, selector, length < sizeof small ? length : sizeof small) == 0);
    return (text_t){selector, length};
}

/* The value of a selector's line, as a client could have sent it. */
static text_t unescaped(text_t value)
{
    char *text = must_alloc(value.length > 0 ? value.length : 1);
    size_t length = 0;
    for (size_t i = 0; i < value.length; i++) {
        bool escape = value.data[i] == '\\';
        i += escape;
        MUST(i < value.length);
        text[length++] = escape && value.data[i] == 'n' ? '\n' : value.data[i];
    }
    return (text_t){text, length};
}

/* The request that says what the selector says. */
static void request_of(text_t selector, lines_t *request)
{
    text_t line;
    request->count = 0;
    while (next_line(&selector, &line)) {
        const char *equals = memchr(line.data, '=', line.length);
        if (equals == NULL || request->count == LINES_MAX)
            continue;
        text_t name = {line.data, (size_t)(equals - line.data)};
        text_t value = {equals + 1, line.length - name.length - 1};
        request->at[request->count++] = (http_field_t){exactly(name), unescaped(value)};
    }
}

/* A quoted string that does not end on its line takes the next one along when they are combined: then other
 * commas separate. */
static bool is_quoted_over_lines(const http_vary_t *vary, http_fields_t request)
{
    for (size_t i = 0; i < vary->count; i++) {
        const http_field_t *line = http_fields_find(request, vary->names[i]);
        bool several = http_fields_count(request, vary->names[i]) > 1;
        for (; several && line != NULL; line = http_fields_next(request, line, vary->names[i]))
            if (memchr(line->value.data, '"', line->value.length) != NULL)
                return true;
    }
    return false;
}

static bool has_preferences(const http_vary_t *vary, http_fields_t request)
{
    http_preferences_t preferences;
    for (size_t i = 0; i < vary->count; i++) {
        if (http_fields_count(request, vary->names[i]) > 1 && !http_has_preferences(vary->names[i]))
            return false;
        if (http_has_preferences(vary->names[i]) && !http_preferences(request, vary->names[i], &preferences))
            return false;
    }
    return true;
}

static void check_preferences(http_fields_t request, text_t name)
{
    http_preferences_t preferences;
    if (!http_preferences(request, name, &preferences))
        return;
    MUST(preferences.count <= HTTP_PREFERENCES_MAX);
    for (size_t i = 0; i < preferences.count; i++) {
        MUST(http_is_token(preferences.at[i].what) && preferences.at[i].weight <= HTTP_WEIGHT_MAX);
        for (size_t other = 0; other < i; other++)
            MUST(!text_equal_nocase(preferences.at[i].what, preferences.at[other].what));
    }
}

static void check_selector(const http_vary_t *vary, const lines_t *request)
{
    lines_t other;
    text_t selector = select_variant(vary, fields_of(request));
    request_of(selector, &other);
    text_t again = select_variant(vary, fields_of(&other));
    MUST(other.count == LINES_MAX || is_quoted_over_lines(vary, fields_of(request)) ||
         text_equal(selector, again));
    free_text(again);
    free_lines(&other);
    other = *request;
    for (size_t i = 0; i < request->count; i++)
        other.at[i] = request->at[request->count - 1 - i];
    again = select_variant(vary, fields_of(&other));
    MUST(!has_preferences(vary, fields_of(request)) || text_equal(selector, again));
    free_text(again);
    free_text(selector);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    text_t rest = {(const char *)data, size};
    lines_t response, request;
    take_values(&rest, TEXT("vary"), &response);
    take_fields(&rest, &request);
    http_vary_names_t names;
    http_vary_t vary = http_vary(fields_of(&response), &names);
    MUST((vary.kind == HTTP_VARY_NAMES) == (vary.count > 0));
    if (vary.kind == HTTP_VARY_NAMES) {
        check_names(&vary);
        check_selector(&vary, &request);
    }
    check_preferences(fields_of(&request), TEXT("accept-language"));
    free_lines(&request);
    free_lines(&response);
    return 0;
}
