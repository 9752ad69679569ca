/* How large a request may be. */
#include "edge/guard/guard.h"

#include <h2o.h>

_Static_assert(GUARD_FIELDS_MAX <= H2O_MAX_HEADERS, "the library's array on HTTP/1");
_Static_assert(GUARD_HEAD_BYTES_READ_MAX < H2O_MAX_REQLEN, "the library reads no further");

static _Thread_local guard_limits_t in_force = {GUARD_HEAD_BYTES, GUARD_FIELDS_MAX, GUARD_TARGET_BYTES};

void guard_set_limits(const guard_limits_t *limits)
{
    MUST(limits->fields <= GUARD_FIELDS_MAX && limits->head_bytes <= GUARD_HEAD_BYTES_MAX);
    in_force = *limits;
}

const guard_limits_t *guard_limits(void)
{
    return &in_force;
}

/* The target first: who sends one that is too long often sends a head that is. */
guard_verdict_t guard_check_size(const guard_limits_t *limits, size_t head_bytes, size_t fields,
                                 size_t target_bytes)
{
    if (target_bytes > limits->target_bytes)
        return (guard_verdict_t){414, GUARD_URL_TOO_LONG, "the request target is too long"};
    if (head_bytes > limits->head_bytes)
        return (guard_verdict_t){431, GUARD_HEADER_TOO_LARGE, "the request's head is too large"};
    if (fields > limits->fields)
        return (guard_verdict_t){431, GUARD_TOO_MANY_FIELDS, "the request has too many fields"};
    return (guard_verdict_t){0, GUARD_BAD_REQUEST, NULL};
}

size_t guard_bytes_read_max(const guard_limits_t *limits)
{
    size_t wanted = 4 * limits->head_bytes;
    return wanted < GUARD_HEAD_BYTES_READ_MAX ? wanted : GUARD_HEAD_BYTES_READ_MAX;
}
