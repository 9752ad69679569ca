/* The host name in a TLS client's first message, and the certificate that it means. The referee: the name
 * lies within the bytes, and whose it is, is looked up the long way. */
#include "edge/tls/names.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct {
    text_t name;
    unsigned certificate;
} all[] = {
    {{"a.example", 9}, 0},    {{"B.Example.", 10}, 0}, {{"*.example", 9}, 1}, {{"c.a.example", 11}, 2},
    {{"*.a.example", 11}, 3}, {{"example", 7}, 4},     {{"x_-9.test", 9}, 5}, {{"aa.example", 10}, 6},
    {{"ab.example", 10}, 7},  {{"ac.example", 10}, 8}, {{"a.example", 9}, 0}, {{"A.example", 9}, 9},
    {{"f*.example", 10}, 9},  {{"a..example", 10}, 9}, {{"", 0}, 9},          {{"*.", 2}, 9},
};
enum { ALL = sizeof all / sizeof *all, NOBODY = 99 };

/* As the table was filled: what it could not use, or another had, is nobody's. */
static tls_names_t *fill(bool added[ALL])
{
    tls_names_t *names = tls_names_new();
    for (size_t i = 0; i < ALL; i++) {
        unsigned other;
        added[i] = tls_names_add(names, all[i].name, all[i].certificate, &other) == TLS_NAME_ADDED;
        MUST(added[i] == (all[i].certificate != 9));
    }
    return names;
}

static text_t without_root(text_t name)
{
    bool rooted = name.length > 1 && name.data[name.length - 1] == '.';
    return (text_t){name.data, name.length - (rooted ? 1 : 0)};
}

/* How well the name of a certificate fits: 2 is itself, 1 by its wildcard, 0 not. */
static int fits(text_t name, text_t host)
{
    name = without_root(name);
    host = without_root(host);
    if (text_equal_nocase(name, host))
        return name.data[0] == '*' ? 0 : 2;
    const char *dot = memchr(host.data, '.', host.length);
    return name.data[0] == '*' && dot != NULL && dot > host.data &&
           text_equal_nocase((text_t){name.data + 1, name.length - 1},
                             (text_t){dot, host.length - (size_t)(dot - host.data)});
}

/* Labels of letters that host names have, none empty. */
static bool is_host(text_t host)
{
    static const char letters[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_";
    size_t label = 0;
    host = without_root(host);
    for (size_t i = 0; i < host.length; i++) {
        bool dot = host.data[i] == '.';
        if (dot ? label == 0 : memchr(letters, host.data[i], sizeof letters - 1) == NULL)
            return false;
        label = dot ? 0 : label + 1;
    }
    return label > 0 && host.length <= TLS_NAME_MAX;
}

static void judge(const bool added[ALL], text_t host, unsigned found)
{
    int best = 0;
    unsigned wanted = NOBODY;
    for (size_t i = 0; i < ALL && is_host(host); i++) {
        int fit = added[i] ? fits(all[i].name, host) : 0;
        if (fit > best) {
            best = fit;
            wanted = all[i].certificate;
        }
    }
    MUST(found == wanted);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    bool added[ALL];
    tls_names_t *names = fill(added);
    char *bytes = must_alloc(size > 0 ? size : 1);
    memcpy(bytes, data, size);
    text_t host;
    if (tls_server_name((text_t){bytes, size}, &host)) {
        MUST(host.length > 0 && host.data >= bytes && host.data + host.length <= bytes + size);
        unsigned found = NOBODY;
        bool is_found = tls_names_find(names, host, &found);
        MUST(is_found == (found != NOBODY));
        judge(added, host, found);
    }
    free(bytes);
    tls_names_free(&names);
    return 0;
}
