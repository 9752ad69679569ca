/* Cache-Control, and the same as a structured field. The referee: lines mean what they mean combined, what is
 * added is seen, seconds are seconds.
 *
 * Each line of the input is one of the field. */
#include "edge/http/cache_control.h"
#include "tests/fuzz/lines.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_seconds(int64_t seconds)
{
    MUST(seconds >= HTTP_SECONDS_ABSENT && seconds <= HTTP_SECONDS_MAX);
}

static void check(const http_cache_control_t *control)
{
    check_seconds(control->max_age);
    check_seconds(control->s_maxage);
    check_seconds(control->stale_while_revalidate);
    check_seconds(control->stale_if_error);
}

static bool same(const http_cache_control_t *a, const http_cache_control_t *b)
{
    return a->is_public == b->is_public && a->is_private == b->is_private && a->no_store == b->no_store &&
           a->no_cache == b->no_cache && a->must_revalidate == b->must_revalidate &&
           a->proxy_revalidate == b->proxy_revalidate && a->must_understand == b->must_understand &&
           a->bad_value == b->bad_value && a->bad_syntax == b->bad_syntax && a->max_age == b->max_age &&
           a->s_maxage == b->s_maxage && a->stale_while_revalidate == b->stale_while_revalidate &&
           a->stale_if_error == b->stale_if_error;
}

/* A quoted string that does not end would take the next line along: that is bad syntax. */
static void check_plain(const lines_t *lines)
{
    http_cache_control_t control = http_cache_control(fields_of(lines));
    check(&control);
    if (control.bad_syntax)
        return;
    text_t text = combined(lines);
    http_field_t field = {TEXT("cache-control"), text};
    http_cache_control_t again = http_cache_control((http_fields_t){&field, 1});
    MUST(same(&control, &again));
    http_field_t two[] = {field, {TEXT("cache-control"), TEXT("no-store, max-age=7")}};
    again = http_cache_control((http_fields_t){two, 2});
    MUST(again.no_store && again.max_age == 7);
    MUST(again.bad_value ==
         (control.bad_value || (control.max_age != HTTP_SECONDS_ABSENT && control.max_age != 7)));
    control.no_store = true;
    control.max_age = 7;
    control.bad_value = again.bad_value;
    MUST(same(&control, &again));
    free_text(text);
}

static void check_targeted(const lines_t *lines)
{
    http_cache_control_t control, again;
    bool counts = http_cache_control_targeted(fields_of(lines), TEXT("cache-control"), &control);
    if (!counts)
        return;
    check(&control);
    MUST(!control.bad_value && !control.bad_syntax);
    text_t text = combined(lines);
    http_field_t two[] = {{TEXT("cache-control"), text},
                          {TEXT("cache-control"), TEXT("max-age=7, private=?0")}};
    MUST(http_cache_control_targeted((http_fields_t){two, 1}, TEXT("cache-control"), &again));
    MUST(same(&control, &again));
    MUST(http_cache_control_targeted((http_fields_t){two, 2}, TEXT("cache-control"), &again));
    control.max_age = 7;
    control.is_private = false;
    MUST(same(&control, &again));
    free_text(text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    text_t rest = {(const char *)data, size};
    lines_t lines;
    take_values(&rest, TEXT("cache-control"), &lines);
    check_plain(&lines);
    check_targeted(&lines);
    free_lines(&lines);
    return 0;
}
