/* A policy of HSTS (RFC 6797 section 6.1), strictly: browsers ignore what is malformed without a word. */
#include "conf/settings_table.h"

#include <inttypes.h>

enum { PRELOAD_MIN_S = 31536000 }; /* what browsers' lists demand */

typedef struct {
    uint64_t max_age_s;
    bool has_max_age, subdomains, preload;
} policy_t;

/* Digits alone; more than fit are as many as fit. */
static bool read_seconds(text_t digits, uint64_t *seconds)
{
    *seconds = 0;
    for (size_t i = 0; i < digits.length; i++) {
        if (digits.data[i] < '0' || digits.data[i] > '9')
            return false;
        if (__builtin_mul_overflow(*seconds, 10, seconds) ||
            __builtin_add_overflow(*seconds, (uint64_t)(digits.data[i] - '0'), seconds))
            *seconds = UINT64_MAX / 10;
    }
    return digits.length > 0;
}

/* One directive, each of which may be there once. */
static bool read_directive(text_t text, policy_t *policy)
{
    static const text_t age = {"max-age=", 8};
    bool *flag = text_equal_nocase(text, TEXT("includeSubDomains")) ? &policy->subdomains
                 : text_equal_nocase(text, TEXT("preload"))         ? &policy->preload
                                                                    : &policy->has_max_age;
    if (*flag)
        return false;
    *flag = true;
    return flag != &policy->has_max_age ||
           (text.length > age.length && text_equal_nocase((text_t){text.data, age.length}, age) &&
            read_seconds((text_t){text.data + age.length, text.length - age.length}, &policy->max_age_s));
}

static bool read_policy(text_t text, policy_t *policy)
{
    if (read_seconds(text, &policy->max_age_s))
        return true;
    for (;;) {
        const char *end = memchr(text.data, ';', text.length);
        text_t one = {text.data, end != NULL ? (size_t)(end - text.data) : text.length};
        if (!read_directive(http_trim(one), policy))
            return false;
        if (end == NULL)
            return policy->has_max_age;
        text = (text_t){end + 1, text.length - one.length - 1};
    }
}

/* Why it cannot be, or NULL. */
static const char *judge(const setting_t *setting, const policy_t *policy)
{
    if (policy->max_age_s > setting->maximum)
        return "too long; allowed are at most ten years, 315360000";
    if (policy->preload && !(policy->subdomains && policy->max_age_s >= PRELOAD_MIN_S))
        return "preload is of no use alone: browsers' lists take sites with includeSubDomains and a max-age "
               "of "
               "at least 31536000";
    return NULL;
}

bool setting_put_hsts(const setting_t *setting, const char *value, settings_t *settings, text_t *field,
                      char *reason, size_t capacity)
{
    char text[80];
    policy_t policy = {0};
    *field = (text_t){NULL, 0};
    if (strcmp(value, "off") == 0)
        return true;
    const char *why = read_policy(text_of(value), &policy) ? judge(setting, &policy) : "";
    if (why != NULL) {
        snprintf(reason, capacity, "%s%s", *why != 0 ? why : "not a policy; allowed is ",
                 *why != 0 ? "" : setting_type_text(SETTING_HSTS));
        return false;
    }
    int length = snprintf(text, sizeof text, "max-age=%" PRIu64 "%s%s", policy.max_age_s,
                          policy.subdomains ? "; includeSubDomains" : "", policy.preload ? "; preload" : "");
    *field = (text_t){settings_keep(settings, (text_t){text, (size_t)length}), (size_t)length};
    return true;
}
