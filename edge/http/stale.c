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
