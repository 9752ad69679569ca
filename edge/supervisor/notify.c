#include "edge/supervisor/notify.h"

#include <errno.h>
#include <unistd.h>

/* A path, or a name behind an @ (unix(7), abstract). 0: it is neither, or too long. */
static socklen_t fill_address(const char *name, struct sockaddr_un *address)
{
    size_t length = name != NULL ? strlen(name) : 0;
    if (length < 2 || length >= sizeof address->sun_path || (name[0] != '/' && name[0] != '@'))
        return 0;
    address->sun_family = AF_UNIX;
    memcpy(address->sun_path, name, length);
    if (name[0] == '@')
        address->sun_path[0] = 0;
    return (socklen_t)(offsetof(struct sockaddr_un, sun_path) + length);
}

/* 0: not a number, or none. */
static int64_t number_in(const char *name)
{
    const char *text = getenv(name);
    char *end;
    if (text == NULL)
        return 0;
    errno = 0;
    long long number = strtoll(text, &end, 10);
    return errno == 0 && *end == 0 && number > 0 ? number : 0;
}

notify_t notify_find(void)
{
    notify_t notify = {.length = 0};
    notify.length = fill_address(getenv("NOTIFY_SOCKET"), &notify.address);
    if (getenv("WATCHDOG_PID") == NULL || number_in("WATCHDOG_PID") == getpid())
        notify.watchdog_ms = number_in("WATCHDOG_USEC") / 1000;
    return notify;
}

bool notify_say(const notify_t *notify, const char *state)
{
    if (notify->length == 0)
        return true;
    int file = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (file < 0)
        return false;
    ssize_t sent = sendto(file, state, strlen(state), MSG_DONTWAIT | MSG_NOSIGNAL,
                          (const struct sockaddr *)&notify->address, notify->length);
    close(file);
    return sent >= 0;
}

void notify_alive(notify_t *notify, int64_t now_ms)
{
    if (notify->watchdog_ms > 0 && now_ms - notify->said_last_ms >= notify->watchdog_ms / 4 &&
        notify_say(notify, "WATCHDOG=1"))
        notify->said_last_ms = now_ms;
}
