#include "edge/http/request_control.h"

/* The seconds of a directive; one that is malformed is not there. */
static void read_seconds(text_t value, int64_t *seconds)
{
    int64_t number;
    if (http_seconds_argument(value, &number))
        *seconds = number;
}

static void read_directive(http_request_control_t *control, text_t member)
{
    const char *equals = memchr(member.data, '=', member.length);
    text_t name = {member.data, equals == NULL ? member.length : (size_t)(equals - member.data)};
    text_t value = {equals == NULL ? NULL : equals + 1, equals == NULL ? 0 : member.length - name.length - 1};
    if (text_equal_nocase(name, TEXT("no-cache")))
        control->no_cache = true;
    else if (text_equal_nocase(name, TEXT("no-store")))
        control->no_store = true;
    else if (text_equal_nocase(name, TEXT("only-if-cached")))
        control->only_if_cached = true;
    else if (text_equal_nocase(name, TEXT("max-age")))
        read_seconds(value, &control->max_age);
    else if (text_equal_nocase(name, TEXT("min-fresh")))
        read_seconds(value, &control->min_fresh);
    else if (text_equal_nocase(name, TEXT("max-stale")) && equals == NULL)
        control->max_stale = HTTP_SECONDS_MAX; /* section 5.2.1.2: of any age */
    else if (text_equal_nocase(name, TEXT("max-stale")))
        read_seconds(value, &control->max_stale);
}

/* Section 5.4: a Cache-Control beside it has the say. */
static bool pragma_says_no_cache(http_fields_t request)
{
    const text_t name = TEXT("pragma");
    for (const http_field_t *line = http_fields_find(request, name); line != NULL;
         line = http_fields_next(request, line, name)) {
        text_t rest = line->value, member;
        while (http_list_next(&rest, &member))
            if (text_equal_nocase(member, TEXT("no-cache")))
                return true;
    }
    return false;
}

http_request_control_t http_request_control(http_fields_t request)
{
    const text_t name = TEXT("cache-control");
    http_request_control_t control = {
        .max_age = HTTP_SECONDS_ABSENT, .min_fresh = HTTP_SECONDS_ABSENT, .max_stale = HTTP_SECONDS_ABSENT};
    const http_field_t *line = http_fields_find(request, name);
    if (line == NULL)
        control.no_cache = pragma_says_no_cache(request);
    for (; line != NULL; line = http_fields_next(request, line, name)) {
        text_t rest = line->value, member;
        while (http_list_next(&rest, &member))
            read_directive(&control, member);
    }
    return control;
}

/* Sections 5.2.1.1 and 5.2.1.3. */
static bool is_refused(const http_request_control_t *control, int64_t age_ms, int64_t ttl_ms)
{
    bool too_old = control->max_age != HTTP_SECONDS_ABSENT && age_ms > control->max_age * 1000;
    bool too_short = control->min_fresh != HTTP_SECONDS_ABSENT && ttl_ms < control->min_fresh * 1000;
    return control->no_cache || too_old || too_short;
}

/* Section 5.2.1.2. */
static bool takes_stale(const http_request_control_t *control, int64_t ttl_ms)
{
    return control->max_stale != HTTP_SECONDS_ABSENT && ttl_ms >= -control->max_stale * 1000;
}

http_use_t http_request_use(const http_request_control_t *control, http_use_t use, int64_t age_ms,
                            int64_t ttl_ms, bool bound)
{
    if (is_refused(control, age_ms, ttl_ms))
        return HTTP_VALIDATE;
    if (use == HTTP_FRESH)
        return use;
    if (!bound && takes_stale(control, ttl_ms))
        return use == HTTP_VALIDATE ? HTTP_ON_REQUEST : use;
    /* Who names an age, and not how stale, takes nothing stale. */
    return control->max_age != HTTP_SECONDS_ABSENT ? HTTP_VALIDATE : use;
}
