/* What the service manager is told: the protocol of sd_notify(3), which its page says is stable and may be
 * spoken without the library. Nobody listens: nothing is said.
 *
 * For the parent, whose words alone count (NotifyAccess=main). Knows nobody. */
#ifndef SELVEDGE_EDGE_SUPERVISOR_NOTIFY_H
#define SELVEDGE_EDGE_SUPERVISOR_NOTIFY_H

#include <sys/socket.h>
#include <sys/un.h>

#include "edge/base.h"

typedef struct {
    struct sockaddr_un address;
    socklen_t length;     /* 0: nobody listens */
    int64_t watchdog_ms;  /* a sign of life is due within it; 0: none is */
    int64_t said_last_ms; /* that this process lives */
} notify_t;

/* From the environment: NOTIFY_SOCKET, WATCHDOG_USEC, WATCHDOG_PID. */
notify_t notify_find(void);

/* Never waits. False: it could not be said now; say it again later. */
bool notify_say(const notify_t *notify, const char *state);

/* Says that this process lives, when it is time. now_ms: monotonic. Call it more often than half of
 * watchdog_ms. */
void notify_alive(notify_t *notify, int64_t now_ms);

#endif
