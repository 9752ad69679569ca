/* What an origin sends, and what a client asks of it: the lines of a response's head as the transfer hands
 * them over, then all that is decided from its fields and a request's. The referee: the decisions do not
 * contradict each other.
 *
 * The input is lines, a response's up to the first empty one after it is complete, then a request's fields,
 * `name: value`. */
#include "edge/http/conditional.h"
#include "edge/http/date.h"
#include "edge/http/range.h"
#include "edge/http/storing.h"
#include "edge/http/vary.h"
#include "origin_pull/fill_lines.h"

enum { REQUEST_FIELDS_MAX = 16, LENGTH_MAX = 1000, NOW_MS = 1767225600 };

static const int64_t now_ms = INT64_C(1000) * NOW_MS;

/* A site that says nothing but how long stale is used, and one that has made each choice. */
static const http_policy_t policies[] = {
    {.stale = {60000, 60000}},
    {.set_cookie = HTTP_SET_COOKIE_STORE,
     .lifetimes = {.standard = {true, 5000}, .negative = {true, 1000}},
     .targeted = {{{"surrogate-control", 17}, {"cdn-cache-control", 17}}, 2}}};

static fill_lines_t lines;

/* The next line, its line feed included. */
static bool next_line(text_t *rest, text_t *line)
{
    if (rest->length == 0)
        return false;
    const char *end = memchr(rest->data, '\n', rest->length);
    line->data = rest->data;
    line->length = end == NULL ? rest->length : (size_t)(end + 1 - rest->data);
    rest->data += line->length;
    rest->length -= line->length;
    return true;
}

static bool read_head(text_t *rest)
{
    text_t line;
    while (next_line(rest, &line))
        switch (fill_lines_add(&lines, line)) {
        case LINES_MORE:
        case LINES_INTERIM:
            break;
        case LINES_COMPLETE:
            return true;
        case LINES_TOO_LARGE:
        case LINES_WRONG:
            return false;
        }
    return false;
}

/* Names in lower case, as the front hands them over. */
static http_fields_t read_request(text_t *rest, http_field_t fields[REQUEST_FIELDS_MAX])
{
    size_t count = 0;
    text_t line;
    while (count < REQUEST_FIELDS_MAX && next_line(rest, &line)) {
        const char *colon = memchr(line.data, ':', line.length);
        if (colon == NULL)
            continue;
        text_t name = {line.data, (size_t)(colon - line.data)};
        fields[count++] = (http_field_t){name, {colon + 1, line.length - name.length - 1}};
    }
    return (http_fields_t){fields, count};
}

static void check_storing(const http_exchange_t *exchange)
{
    http_storing_t storing = http_storing(exchange);
    MUST(storing.lifetime_ms >= 0 && storing.initial_age_ms >= 0);
    MUST(storing.storable == (storing.why == NULL));
    MUST(!storing.storable || storing.shareable || storing.no_cache);
    MUST(storing.stale.while_revalidate_ms >= 0 && storing.stale.if_error_ms >= 0);
    MUST((!storing.no_cache && !storing.must_revalidate) ||
         (storing.stale.while_revalidate_ms == 0 && storing.stale.if_error_ms == 0));
    MUST(http_current_age_ms(storing.initial_age_ms, exchange->response_time_ms, now_ms) >= 0);
}

/* The same request always selects the same variant, whatever room there is to say so. */
static void check_vary(http_fields_t response, http_fields_t request)
{
    char selector[256], again[8192];
    http_vary_names_t names;
    http_vary_t vary = http_vary(response, &names);
    if (vary.kind != HTTP_VARY_NAMES)
        return;
    MUST(vary.count > 0 && vary.count <= HTTP_VARY_NAMES_MAX);
    size_t length = http_vary_selector(&vary, request, selector, sizeof selector);
    MUST(http_vary_selector(&vary, request, again, sizeof again) == length);
    size_t seen = length < sizeof selector ? length : sizeof selector;
    MUST(memcmp(selector, again, seen < sizeof again ? seen : sizeof again) == 0);
}

static text_t value_of(http_fields_t fields, text_t name)
{
    const http_field_t *field = http_fields_find(fields, name);
    return field != NULL ? field->value : (text_t){NULL, 0};
}

/* What Connection names stays on its connection; of the others only what always does. */
static void check_named(http_fields_t message)
{
    bool *named = malloc(message.count + 1);
    MUST(named != NULL);
    http_fields_named(message, named);
    for (size_t i = 0; i < message.count; i++) {
        text_t name = message.at[i].name;
        bool always = http_field_is_hop_by_hop(name, (text_t){NULL, 0});
        MUST(always || named[i] == http_fields_hop_by_hop(message, name));
    }
    free(named);
}

static void check_conditions(http_fields_t response, http_fields_t request)
{
    text_t etag = value_of(response, TEXT("etag")), modified = value_of(response, TEXT("last-modified"));
    (void)http_not_modified(request, etag, modified);
    (void)http_precondition_failed(request, etag, modified);
    (void)http_304_selects(request, etag, modified);
    for (size_t i = 0; i < response.count; i++)
        (void)http_field_kept_on_304(response.at[i].name);
    check_named(response);
}

/* A part is one of the whole; a length that is not known has none. */
static void check_range(http_fields_t response, http_fields_t request, int64_t length)
{
    http_ranges_t ranges;
    http_selected_t selected = {.etag = value_of(response, TEXT("etag")),
                                .last_modified = value_of(response, TEXT("last-modified")),
                                .date = value_of(response, TEXT("date")),
                                .length = length,
                                .is_get = true};
    http_selection_t selection = http_select(request, &selected, &ranges);
    if (selection == HTTP_PART)
        MUST(length > 0 && ranges.count == 1 && ranges.at[0].first < ranges.at[0].end &&
             ranges.at[0].end <= (uint64_t)length);
    MUST(selection != HTTP_PARTS || (length > 2 && ranges.count > 1));
    MUST(selection != HTTP_UNSATISFIABLE || length >= 0);
    MUST(selection == HTTP_WHOLE || !http_is_plain(request));
    selected.is_get = false;
    selection = http_select(request, &selected, &ranges);
    MUST(selection != HTTP_PART && selection != HTTP_PARTS && selection != HTTP_UNSATISFIABLE);
}

/* Whatever can be read is written in a form that reads as the same. */
static void check_date(text_t value)
{
    char out[HTTP_DATE_LENGTH + 1];
    int64_t time_ms, again_ms;
    if (!http_date_parse(value, now_ms, &time_ms))
        return;
    http_date_format(time_ms, out);
    MUST(http_date_parse((text_t){out, HTTP_DATE_LENGTH}, now_ms, &again_ms) && again_ms == time_ms);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    http_field_t list[REQUEST_FIELDS_MAX];
    char *bytes = malloc(size > 0 ? size : 1);
    MUST(bytes != NULL);
    memcpy(bytes, data, size);
    text_t rest = {bytes, size};
    fill_lines_begin(&lines);
    if (read_head(&rest)) {
        http_fields_t response = fill_lines_fields(&lines), request = read_request(&rest, list);
        (void)fill_lines_close_delimited(&lines);
        http_exchange_t exchange = {http_fields_find(request, TEXT("authorization")) != NULL,
                                    lines.status,
                                    response,
                                    now_ms - 50,
                                    now_ms,
                                    &policies[0]};
        check_storing(&exchange);
        exchange.policy = &policies[1];
        check_storing(&exchange);
        check_vary(response, request);
        check_conditions(response, request);
        check_range(response, request, -1);
        check_range(response, request, (int64_t)(size % LENGTH_MAX));
        for (size_t i = 0; i < response.count; i++)
            check_date(response.at[i].value);
    }
    free(bytes);
    return 0;
}
