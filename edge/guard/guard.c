#include "edge/guard/guard.h"

#include "edge/guard/libh2o.h"

#include <dlfcn.h>

libh2o_t libh2o;

typedef void function_t(void);

/* Every replaced function: its name, ours, and where the library's is kept. */
static const struct {
    const char *name;
    function_t *ours;
    void *original;
    const char *unreached, *missing;
} hooks[] = {
#define HOOK(function, member)                                                                               \
    {                                                                                                        \
#function, (function_t *)function, &libh2o.member,                                                   \
            "libh2o does not call the guard's " #function                                                    \
            " (is the executable linked with exported symbols?)",                                            \
            "this libh2o has no " #function " (2.2.5 is the version the guard knows)"                        \
    }
    HOOK(phr_parse_request, parse_request),
    HOOK(h2o_process_request, process_request),
    HOOK(h2o_hpack_parse_headers, parse_headers),
    HOOK(h2o_hpack_flatten_response, flatten_response),
    HOOK(h2o_http2_accept, http2_accept),
    HOOK(h2o_http2_update_peer_settings, update_peer_settings),
    HOOK(h2o_http2_decode_frame, decode_frame),
    HOOK(h2o_http2_stream_reset, stream_reset),
    HOOK(h2o_http2_stream_send_pending_data, send_pending_data),
    HOOK(h2o_http2_conn_unregister_stream, unregister_stream),
    HOOK(h2o_socket_write, socket_write),
#undef HOOK
};

enum { HOOKS = sizeof(hooks) / sizeof(hooks[0]) };

/* ISO C has no conversion between object and function pointers, POSIX promises that their bytes are the same.
 */
static function_t *find(void *handle, const char *name)
{
    void *address = dlsym(handle, name);
    function_t *function;
    static_assert(sizeof(function) == sizeof(address), "POSIX");
    memcpy(&function, &address, sizeof(function));
    return function;
}

#ifdef SELVEDGE_TEST_HOOKS
/* SELVEDGE_TEST_GUARD: "off" for all, or the name of the one function that is not replaced. */
static const char *what;
#endif

/* Before main, so that no hook needs to ask and no two threads write. */
__attribute__((constructor)) static void find_originals(void)
{
    for (size_t i = 0; i != HOOKS; ++i) {
        function_t *original = find(RTLD_NEXT, hooks[i].name);
        memcpy(hooks[i].original, &original, sizeof(original));
    }
#ifdef SELVEDGE_TEST_HOOKS
    what = getenv("SELVEDGE_TEST_GUARD");
#endif
}

#ifdef SELVEDGE_TEST_HOOKS
bool guard_hook_is_off(const void *original)
{
    if (what == NULL || strcmp(what, "off") == 0)
        return what != NULL;
    for (size_t i = 0; i != HOOKS; ++i)
        if (hooks[i].original == original)
            return strcmp(what, hooks[i].name) == 0;
    return false;
}

bool guard_is_off(void)
{
    return guard_hook_is_off(NULL); /* "off" asks for no name */
}
#else
bool guard_is_off(void)
{
    return false;
}
#endif

const char *guard_in_force(void)
{
    for (size_t i = 0; i != HOOKS; ++i) {
        function_t *original;
        memcpy(&original, hooks[i].original, sizeof(original));
        if (original == NULL || original == hooks[i].ours)
            return hooks[i].missing;
        if (find(RTLD_DEFAULT, hooks[i].name) != hooks[i].ours)
            return hooks[i].unreached;
    }
    return NULL;
}
