#include "edge/http/policy.h"

bool http_names_have(const http_names_t *names, text_t name)
{
    for (size_t i = 0; i < names->count; i++)
        if (text_equal(names->at[i], name))
            return true;
    return false;
}

bool http_policy_bypasses_cookies(const http_policy_t *policy)
{
    return policy == NULL || policy->set_cookie == HTTP_SET_COOKIE_BYPASS;
}

static bool is_cookie(text_t name)
{
    return text_equal(name, TEXT("set-cookie"));
}

bool http_policy_removes(const http_policy_t *policy, text_t name)
{
    return policy != NULL && policy->set_cookie == HTTP_SET_COOKIE_REMOVE && is_cookie(name);
}

bool http_policy_keeps(const http_policy_t *policy, text_t name)
{
    bool stores = policy != NULL && policy->set_cookie == HTTP_SET_COOKIE_STORE;
    return stores || !is_cookie(name);
}

bool http_policy_sends(const http_policy_t *policy, text_t name)
{
    return policy == NULL || !http_names_have(&policy->consumed, name);
}

static const http_lifetime_t none;

static bool is_no_error(int status)
{
    return status == 200 || status == 203 || status == 204 || status == 300 || status == 301 || status == 308;
}

http_lifetime_t http_policy_always(const http_policy_t *policy, int status)
{
    return policy != NULL && is_no_error(status) ? policy->lifetimes.always : none;
}

http_lifetime_t http_policy_standard(const http_policy_t *policy, int status)
{
    if (policy != NULL && (status == 404 || status == 410))
        return policy->lifetimes.negative;
    return policy != NULL && is_no_error(status) ? policy->lifetimes.standard : none;
}
