/* The listening sockets. The parent process opens them before it forks and holds them for its life; a serving
 * process inherits them and hands each to one worker. A connection that comes while no process serves waits
 * in its socket's queue. */
#ifndef SELVEDGE_EDGE_SERVER_SOCKETS_H
#define SELVEDGE_EDGE_SERVER_SOCKETS_H

#include "conf/settings.h"

typedef struct sockets sockets_t;

/* One for each listener and worker (SO_REUSEPORT), and the admin listener's; nothing is accepted yet. The
 * settings are kept by the caller. NULL and a sentence in *error when one cannot be opened. */
sockets_t *sockets_open(const settings_t *settings, char *error, size_t capacity);

/* The socket of one of the settings' listeners, or of the admin listener (worker 0), for that worker. It is
 * the caller's then, to close too; each can be taken once. */
int sockets_take(sockets_t *sockets, const settings_listener_t *listener, unsigned worker);

/* "http://127.0.0.1:8080 https://127.0.0.1:8443 admin=http://127.0.0.1:8081", with the ports that were
 * chosen. */
void sockets_describe(const sockets_t *sockets, char *text, size_t capacity);

/* The port of the https listener, 443 if one of several has that, else the first one's; 0: there is none. */
uint16_t sockets_https_port(const sockets_t *sockets);

/* Closes those that were not taken. In the parent: nobody can connect once the serving process has closed
 * its own. */
void sockets_close(sockets_t **sockets);

#endif
