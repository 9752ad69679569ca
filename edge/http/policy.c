#include "edge/http/policy.h"

bool http_policy_sends(const http_policy_t *policy, text_t name)
{
    return policy == NULL || policy->set_cookie != HTTP_SET_COOKIE_REMOVE ||
           !text_equal(name, TEXT("set-cookie"));
}
