#include "edge/http/policy.h"

bool http_policy_bypasses_cookies(const http_policy_t *policy)
{
    return policy == NULL || policy->set_cookie == HTTP_SET_COOKIE_BYPASS;
}

bool http_policy_sends(const http_policy_t *policy, text_t name)
{
    bool removes = policy != NULL && policy->set_cookie == HTTP_SET_COOKIE_REMOVE;
    return !removes || !text_equal(name, TEXT("set-cookie"));
}
