#include "edge/http/stale.h"

/* RFC 9111 sections 5.2.2.2, 5.2.2.8 and 5.2.2.10. */
bool http_must_revalidate(const http_cache_control_t *control)
{
    return control->must_revalidate || control->proxy_revalidate || control->s_maxage != HTTP_SECONDS_ABSENT;
}

static int64_t window(int64_t said_s, int64_t standard_ms)
{
    return said_s != HTTP_SECONDS_ABSENT ? said_s * 1000 : standard_ms;
}

http_stale_t http_stale_windows(const http_cache_control_t *control, const http_policy_t *policy)
{
    http_stale_t standard = policy != NULL ? policy->stale : (http_stale_t){0, 0};
    if (control->no_cache || http_must_revalidate(control)) /* RFC 9111 section 4.2.4 */
        return (http_stale_t){0, 0};
    return (http_stale_t){window(control->stale_while_revalidate, standard.while_revalidate_ms),
                          window(control->stale_if_error, standard.if_error_ms)};
}

bool http_is_error(int status)
{
    return status == 500 || status == 502 || status == 503 || status == 504;
}

/* ttl_ms <= 0. At the end of the window it is over, so that a window of nothing never is one. */
static bool is_within(int64_t window_ms, int64_t ttl_ms)
{
    return ttl_ms > -window_ms;
}

static int64_t rest_ms(unsigned times)
{
    enum { DOUBLED_MAX = 5 };
    int64_t rest = (int64_t)HTTP_TROUBLE_REST_MS << (times - 1 < DOUBLED_MAX ? times - 1 : DOUBLED_MAX);
    return rest < HTTP_TROUBLE_REST_MAX_MS ? rest : HTTP_TROUBLE_REST_MAX_MS;
}

http_use_t http_use(const http_stale_t *windows, int64_t ttl_ms, http_trouble_t trouble, int64_t now_ms,
                    bool *ask)
{
    int64_t rest = trouble.times > 0 ? rest_ms(trouble.times) : 0;
    /* Either way: a clock that was put back must not make it rest for ever. */
    int64_t since = now_ms > trouble.last_ms ? now_ms - trouble.last_ms : trouble.last_ms - now_ms;
    *ask = ttl_ms <= 0 && since >= rest;
    if (ttl_ms > 0)
        return HTTP_FRESH;
    if (is_within(windows->while_revalidate_ms, ttl_ms))
        return HTTP_WHILE_REVALIDATE;
    if (is_within(windows->if_error_ms, ttl_ms) && since < 2 * rest && !trouble.answered)
        return HTTP_IF_ERROR;
    return HTTP_VALIDATE;
}

bool http_use_on_error(const http_stale_t *windows, int64_t ttl_ms)
{
    return windows->if_error_ms > 0 && is_within(windows->if_error_ms, ttl_ms);
}
