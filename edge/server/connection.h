/* One accepted connection, from accept to close. Private to this room; on its worker only. */
#ifndef SELVEDGE_EDGE_SERVER_CONNECTION_H
#define SELVEDGE_EDGE_SERVER_CONNECTION_H

#include <arpa/inet.h>
#include <h2o.h>

#include "edge/guard/budget.h"
#include "edge/limits/table.h"
#include "edge/limits/watch.h"

enum { CONNECTION_MAGIC = 0x5e1c044 };

typedef struct connection connection_t;

typedef struct {
    connection_t *first;
    size_t count;
    unsigned reset_budget; /* of each */
    limits_t *limits;      /* NULL: none, as on the admin listener */
} connections_t;

struct connection {
    guard_connection_t guard; /* first: the guard finds it by the socket */
    uint32_t magic;
    connections_t *all;
    h2o_socket_t *socket;
    connection_t *next, **link;
    h2o_accept_ctx_t *accept; /* whom the library will serve it for, once its client is known */
    limits_slot_t *slot;      /* its address's; NULL without limits, and until its client is known */
    SSL_CTX
    *tls; /* a reference from then on: the library has a pointer until the first byte; NULL: cleartext */
    limits_address_t address; /* its client's, as it counts for limits */
    size_t client_length;
    char client[INET6_ADDRSTRLEN]; /* its address as text */
    /* The sweep's. */
    bool cut; /* it has been told to end */
    watch_t watch;
    client_look_t look;
};

/* Takes in a socket that was just accepted, and hands it to the library: at once, or with `proxied` behind
 * the line of the PROXY protocol, which names the client that counts for the limits. The connection ends when
 * the socket is closed, which has happened already when a limit was reached. */
void connection_open(connections_t *all, h2o_socket_t *socket, h2o_accept_ctx_t *accept, bool proxied);

static inline connection_t *connection_of(const h2o_socket_t *socket)
{
    connection_t *connection = socket->on_close.data;
    MUST_BE(connection, CONNECTION_MAGIC);
    return connection;
}

#endif
