#include "edge/server/sockets.h"

#include <arpa/inet.h>
#include <errno.h>
#include <sys/socket.h>
#include <unistd.h>

enum { BACKLOG = 1024 };

/* One configured listener: a socket for each worker, all on one port. */
typedef struct {
    const settings_listener_t *settings;
    uint16_t port; /* as the kernel chose it */
    unsigned count;
    int *fds; /* one for each worker; -1 once taken */
} endpoint_t;

struct sockets {
    const settings_t *settings;
    endpoint_t endpoints[SETTINGS_LISTENERS_MAX], admin;
};

/* A client's bytes that wait in the kernel, and so what one turn of the loop has to take from one connection:
 * the library reads all there is. With the kernel's own bound, some megabytes, a flood of small frames held
 * the loop for more than a second. */
enum { RECEIVE_BYTES = 64 * 1024 };

static int open_socket(const settings_listener_t *listener, uint16_t port)
{
    union {
        struct sockaddr any;
        struct sockaddr_in v4;
        struct sockaddr_in6 v6;
    } address;
    memcpy(&address, &listener->address, listener->address_length);
    if (listener->ipv6)
        address.v6.sin6_port = htons(port);
    else
        address.v4.sin_port = htons(port);
    int fd = socket(address.any.sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), on = 1,
        receive = RECEIVE_BYTES;
    if (fd < 0)
        return -1;
    bool ready = setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) == 0 &&
                 setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof on) == 0 &&
                 setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &receive, sizeof receive) == 0 &&
                 (!listener->ipv6 || setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof on) == 0) &&
                 bind(fd, &address.any, listener->address_length) == 0 && listen(fd, BACKLOG) == 0;
    if (ready)
        return fd;
    int reason = errno;
    close(fd);
    errno = reason;
    return -1;
}

/* SO_REUSEPORT lets a second node of this user share a port without a word; so the first socket is opened
 * without it. */
static bool is_taken(const settings_listener_t *listener)
{
    if (listener->port == 0)
        return false;
    int fd = socket(listener->address.any.sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0), on = 1;
    if (fd < 0)
        return false;
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (listener->ipv6)
        setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof on);
    bool taken = bind(fd, &listener->address.any, listener->address_length) != 0 && errno == EADDRINUSE;
    close(fd);
    return taken;
}

static uint16_t port_of(int fd)
{
    struct sockaddr_storage address;
    socklen_t length = sizeof address;
    MUST(getsockname(fd, (struct sockaddr *)&address, &length) == 0);
    return ntohs(address.ss_family == AF_INET6 ? ((struct sockaddr_in6 *)&address)->sin6_port
                                               : ((struct sockaddr_in *)&address)->sin_port);
}

static bool open_endpoint(endpoint_t *endpoint, const settings_listener_t *listener, unsigned count,
                          char *error, size_t capacity)
{
    endpoint->settings = listener;
    endpoint->port = listener->port;
    endpoint->count = count;
    endpoint->fds = must_calloc(count, sizeof *endpoint->fds);
    if (is_taken(listener)) {
        snprintf(error, capacity,
                 "cannot listen on %s: another process does; choose another port, or 0 for a free one",
                 listener->text);
        return false;
    }
    for (unsigned i = 0; i < count; i++) {
        endpoint->fds[i] = open_socket(listener, endpoint->port);
        if (endpoint->fds[i] < 0) {
            snprintf(error, capacity, "cannot listen on %s: %s", listener->text, strerror(errno));
            return false;
        }
        endpoint->port = port_of(endpoint->fds[i]);
    }
    return true;
}

sockets_t *sockets_open(const settings_t *settings, char *error, size_t capacity)
{
    sockets_t *sockets = must_calloc(1, sizeof *sockets);
    sockets->settings = settings;
    bool opened = true;
    for (size_t i = 0; opened && i < settings->listener_count; i++)
        opened = open_endpoint(&sockets->endpoints[i], &settings->listeners[i], settings->workers, error,
                               capacity);
    opened = opened && open_endpoint(&sockets->admin, &settings->admin, 1, error, capacity);
    if (!opened)
        sockets_close(&sockets);
    return sockets;
}

static endpoint_t *endpoint_of(sockets_t *sockets, const settings_listener_t *listener)
{
    if (listener == &sockets->settings->admin)
        return &sockets->admin;
    size_t number = (size_t)(listener - sockets->settings->listeners);
    MUST(number < sockets->settings->listener_count);
    return &sockets->endpoints[number];
}

int sockets_take(sockets_t *sockets, const settings_listener_t *listener, unsigned worker)
{
    endpoint_t *endpoint = endpoint_of(sockets, listener);
    MUST(worker < endpoint->count && endpoint->fds[worker] > 0);
    int fd = endpoint->fds[worker];
    endpoint->fds[worker] = -1;
    return fd;
}

static int describe(const endpoint_t *endpoint, char *text, size_t capacity)
{
    const settings_listener_t *settings = endpoint->settings;
    return snprintf(text, capacity, settings->ipv6 ? "%s://[%s]:%u" : "%s://%s:%u",
                    settings->https ? "https" : "http", settings->host, endpoint->port);
}

void sockets_describe(const sockets_t *sockets, char *text, size_t capacity)
{
    size_t length = 0;
    for (size_t i = 0; i < sockets->settings->listener_count && length + 1 < capacity; i++) {
        length += (size_t)describe(&sockets->endpoints[i], text + length, capacity - length);
        if (length + 1 < capacity)
            text[length++] = ' ';
    }
    if (length + 7 < capacity) {
        memcpy(text + length, "admin=", 6);
        describe(&sockets->admin, text + length + 6, capacity - length - 6);
    }
}

uint16_t sockets_https_port(const sockets_t *sockets)
{
    enum { HTTPS_PORT = 443 };
    uint16_t found = 0;
    for (size_t i = 0; i < sockets->settings->listener_count; i++) {
        const endpoint_t *endpoint = &sockets->endpoints[i];
        if (endpoint->settings->https && (found == 0 || endpoint->port == HTTPS_PORT))
            found = endpoint->port;
    }
    return found;
}

static void free_endpoint(endpoint_t *endpoint)
{
    for (unsigned i = 0; endpoint->fds != NULL && i < endpoint->count; i++)
        if (endpoint->fds[i] > 0)
            close(endpoint->fds[i]);
    free(endpoint->fds);
}

void sockets_close(sockets_t **pointer)
{
    sockets_t *sockets = *pointer;
    *pointer = NULL;
    for (size_t i = 0; i < SETTINGS_LISTENERS_MAX; i++)
        free_endpoint(&sockets->endpoints[i]);
    free_endpoint(&sockets->admin);
    free(sockets);
}
