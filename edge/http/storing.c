#include "edge/http/storing.h"

#include "edge/http/cache_control.h"
#include "edge/http/date.h"
#include "edge/http/stale.h"
#include "edge/http/status.h"
#include "edge/http/surrogate.h"
#include "edge/http/tags.h"
#include "edge/http/vary.h"

static const int64_t lifetime_max_ms = HTTP_SECONDS_MAX * 1000;
static const int64_t heuristic_max_ms = INT64_C(24) * 3600 * 1000;

/* Times come from clocks and dates from origins: no difference of two may overflow. */
static int64_t saturating_subtract(int64_t a, int64_t b)
{
    int64_t difference;
    if (!__builtin_sub_overflow(a, b, &difference))
        return difference;
    return b < 0 ? INT64_MAX : INT64_MIN;
}

static int64_t clamp(int64_t value, int64_t high)
{
    return value < 0 ? 0 : value > high ? high : value;
}

static bool date_of(const http_exchange_t *exchange, text_t name, int64_t *time_ms)
{
    const http_field_t *field = http_fields_find(exchange->fields, name);
    return field != NULL && http_date_parse(field->value, exchange->response_time_ms, time_ms);
}

/* Age has none, and some write them: the seconds are as good as without. */
static text_t without_parameters(text_t value)
{
    const char *semicolon = memchr(value.data, ';', value.length);
    size_t length = semicolon != NULL ? (size_t)(semicolon - value.data) : value.length;
    while (length > 0 && (value.data[length - 1] == ' ' || value.data[length - 1] == '\t'))
        length--;
    return (text_t){value.data, length};
}

/* Section 4.2.3. Date says whole seconds, so the apparent age is cut to them: its fraction is not age but
 * rounding, and a second of lifetime would be lost on every response. The response delay is counted in full.
 */
static int64_t initial_age(const http_exchange_t *exchange, int64_t date_ms)
{
    int64_t apparent_ms = clamp(saturating_subtract(exchange->response_time_ms, date_ms), lifetime_max_ms);
    apparent_ms -= apparent_ms % 1000;
    int64_t delay_ms =
        clamp(saturating_subtract(exchange->response_time_ms, exchange->request_time_ms), lifetime_max_ms);
    int64_t age_s = 0;
    const http_field_t *age = http_fields_find(exchange->fields, TEXT("age"));
    text_t rest, first;
    if (age != NULL) {
        rest = age->value; /* a list by mistake: the first counts (section 5.1) */
        if (!http_list_next(&rest, &first) || !http_seconds_parse(without_parameters(first), &age_s))
            age_s = 0;
    }
    int64_t corrected_ms = age_s * 1000 + delay_ms;
    return apparent_ms > corrected_ms ? apparent_ms : corrected_ms;
}

/* Statuses with a defined meaning and no condition on the request that the key does not hold. */
static bool is_heuristically_cacheable(int status)
{
    switch (status) {
    case 200:
    case 203:
    case 204:
    case 300:
    case 301:
    case 308:
    case 404:
    case 405:
    case 410:
    case 414:
    case 501:
        return true;
    default:
        return false;
    }
}

/* Answers to a Range or a condition of one request. */
static bool is_partial(const http_exchange_t *exchange)
{
    return exchange->status == 206 || exchange->status == 304 || exchange->status == 412 ||
           exchange->status == 416;
}

static bool varies_by_anything(http_fields_t fields)
{
    http_vary_names_t names;
    return http_vary(fields, &names).kind == HTTP_VARY_ANY;
}

/* Why it may be neither stored nor shared; NULL when it may be shared. */
static const char *why_not_shared(const http_exchange_t *exchange, const http_cache_control_t *control)
{
    if (exchange->policy != NULL && exchange->policy->bypass)
        return "bypass";
    if (exchange->status < 200 || exchange->status > 599)
        return "status";
    /* Section 5.2.2.3: where the status is understood, no-store beside it does not count. */
    if (control->must_understand && !http_status_is_known(exchange->status))
        return "status";
    if (control->no_store && !control->must_understand)
        return "no-store";
    if (control->is_private)
        return "private";
    if (http_policy_bypasses_cookies(exchange->policy) &&
        http_fields_find(exchange->fields, TEXT("set-cookie")) != NULL)
        return "set-cookie";
    if (varies_by_anything(exchange->fields))
        return "vary";
    if (is_partial(exchange))
        return "partial";
    if (control->bad_syntax)
        return "bad-cache-control";
    if (http_tags_of_fields(exchange->policy, exchange->fields, NULL, NULL) > HTTP_TAGS_MAX)
        return "too-many-tags";
    /* Section 3.5. */
    if (exchange->request_authorization && !control->is_public && !control->must_revalidate &&
        control->s_maxage == HTTP_SECONDS_ABSENT)
        return "authorization";
    return NULL;
}

/* Which directives count. */
typedef struct {
    http_cache_control_t control;
    bool targeted; /* said for caches like this one: Cache-Control and Expires do not count (RFC 9213
                      section 2.2) */
} control_t;

static control_t control_of(const http_exchange_t *exchange)
{
    control_t said = {.targeted = true};
    for (size_t i = 0; exchange->policy != NULL && i < exchange->policy->targeted.count; i++) {
        text_t name = exchange->policy->targeted.at[i];
        bool is_surrogate = text_equal(name, TEXT("surrogate-control"));
        if (is_surrogate ? http_surrogate_control(exchange->fields, &said.control)
                         : http_cache_control_targeted(exchange->fields, name, &said.control))
            return said;
    }
    return (control_t){http_cache_control(exchange->fields), false};
}

typedef struct {
    enum { FRESHNESS_NONE, FRESHNESS_HEURISTIC, FRESHNESS_EXPLICIT } kind;
    int64_t lifetime_ms;
} freshness_t;

/* Section 5.3: what is not a date lies in the past; so do several lines (section 4.2.1), even of the same. */
static int64_t expires_lifetime(const http_exchange_t *exchange, const http_field_t *expires, int64_t date_ms)
{
    int64_t expires_ms;
    if (!http_date_parse(expires->value, exchange->response_time_ms, &expires_ms) ||
        http_fields_next(exchange->fields, expires, TEXT("expires")) != NULL)
        return 0;
    return clamp(saturating_subtract(expires_ms, date_ms), lifetime_max_ms);
}

/* Sections 4.2.1 and 4.2.2, and what the site says in their place. */
static freshness_t freshness(const http_exchange_t *exchange, const control_t *said, int64_t date_ms)
{
    const http_cache_control_t *control = &said->control;
    http_lifetime_t always = http_policy_always(exchange->policy, exchange->status);
    http_lifetime_t standard = http_policy_standard(exchange->policy, exchange->status);
    if (always.said)
        return (freshness_t){FRESHNESS_EXPLICIT, always.ms};
    if (control->s_maxage != HTTP_SECONDS_ABSENT)
        return (freshness_t){FRESHNESS_EXPLICIT, control->s_maxage * 1000};
    if (control->max_age != HTTP_SECONDS_ABSENT)
        return (freshness_t){FRESHNESS_EXPLICIT, control->max_age * 1000};
    const http_field_t *expires = http_fields_find(exchange->fields, TEXT("expires"));
    if (expires != NULL && !said->targeted)
        return (freshness_t){FRESHNESS_EXPLICIT, expires_lifetime(exchange, expires, date_ms)};
    if (standard.said)
        return (freshness_t){FRESHNESS_EXPLICIT, standard.ms};
    int64_t modified_ms;
    if (!date_of(exchange, TEXT("last-modified"), &modified_ms))
        return (freshness_t){FRESHNESS_NONE, 0};
    int64_t tenth_ms = saturating_subtract(date_ms, modified_ms) / 10;
    return (freshness_t){FRESHNESS_HEURISTIC, clamp(tenth_ms, heuristic_max_ms)};
}

/* Something to ask the origin with, whether it is still the same. */
static bool has_validator(const http_exchange_t *exchange)
{
    const http_field_t *etag = http_fields_find(exchange->fields, TEXT("etag"));
    int64_t modified_ms;
    return (etag != NULL && etag->value.length > 0) || date_of(exchange, TEXT("last-modified"), &modified_ms);
}

/* Until what age it may be used without asking the origin, or by the response's own word when that fails.
 * What only the site would use on an error is not worth its place. */
static int64_t usable_ms(const http_cache_control_t *control, freshness_t fresh, http_stale_t stale)
{
    int64_t if_error_ms = control->stale_if_error != HTTP_SECONDS_ABSENT ? stale.if_error_ms : 0;
    return fresh.lifetime_ms +
           (if_error_ms > stale.while_revalidate_ms ? if_error_ms : stale.while_revalidate_ms);
}

/* Why it may be shared but not stored; NULL when it may be stored. */
static const char *why_not_stored(const http_exchange_t *exchange, const http_cache_control_t *control,
                                  freshness_t fresh, const http_storing_t *storing)
{
    int64_t usable = usable_ms(control, fresh, storing->stale);
    /* A lifetime that cannot be read may be any; the site's is said in its place. */
    if (control->bad_value && !http_policy_always(exchange->policy, exchange->status).said)
        return "bad-cache-control";
    /* Section 4.2.2: public marks a response of any status as cacheable. */
    bool heuristic_status = is_heuristically_cacheable(exchange->status) || control->is_public;
    /* With no-cache the origin is asked each time: a lifetime is not needed. */
    if (fresh.kind == FRESHNESS_NONE && !(control->no_cache && heuristic_status))
        return "no-freshness";
    if (fresh.kind == FRESHNESS_HEURISTIC && !heuristic_status)
        return "no-freshness";
    /* Never to be used again. */
    if ((control->no_cache || usable <= storing->initial_age_ms) && !has_validator(exchange))
        return "no-validator";
    return NULL;
}

http_storing_t http_storing(const http_exchange_t *exchange)
{
    const control_t said = control_of(exchange);
    const http_cache_control_t *control = &said.control;
    int64_t date_ms;
    if (!date_of(exchange, TEXT("date"), &date_ms))
        date_ms = exchange->response_time_ms; /* RFC 9110 section 6.6.1 */
    freshness_t fresh = freshness(exchange, &said, date_ms);
    http_storing_t storing = {
        .no_cache = control->no_cache,
        .must_revalidate = http_must_revalidate(control),
        .lifetime_ms = fresh.lifetime_ms,
        .initial_age_ms = initial_age(exchange, date_ms),
        .stale = http_stale_windows(control, exchange->policy),
    };
    if (http_is_error(exchange->status)) /* nothing to come back to when the origin fails again */
        storing.stale.if_error_ms = 0;
    storing.why = why_not_shared(exchange, control);
    storing.shareable = storing.why == NULL && !control->no_cache;
    if (storing.why == NULL)
        storing.why = why_not_stored(exchange, control, fresh, &storing);
    storing.storable = storing.why == NULL;
    return storing;
}

int64_t http_current_age_ms(int64_t initial_age_ms, int64_t response_time_ms, int64_t now_ms)
{
    int64_t resident_ms = clamp(saturating_subtract(now_ms, response_time_ms), INT64_MAX), age_ms;
    if (__builtin_add_overflow(initial_age_ms, resident_ms, &age_ms))
        return INT64_MAX; /* resident_ms is not negative */
    return clamp(age_ms, INT64_MAX);
}
