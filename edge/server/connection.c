#include "edge/server/connection.h"

#include <sys/socket.h>
#include <time.h>

static void on_close(void *data)
{
    connection_t *connection = data;
    MUST_BE(connection, CONNECTION_MAGIC);
    *connection->link = connection->next;
    if (connection->next != NULL)
        connection->next->link = connection->link;
    connection->all->count--;
    if (connection->slot != NULL)
        limits_close(connection->all->limits, connection->slot);
    guard_connection_close(&connection->guard);
    connection->magic = 0;
    free(connection);
}

typedef union {
    struct sockaddr any;
    struct sockaddr_in v4;
    struct sockaddr_in6 v6;
    struct sockaddr_storage room;
} address_t;

static void name_client(connection_t *connection, const address_t *address)
{
    const void *bytes = address->any.sa_family == AF_INET    ? (const void *)&address->v4.sin_addr
                        : address->any.sa_family == AF_INET6 ? (const void *)&address->v6.sin6_addr
                                                             : NULL;
    if (bytes != NULL &&
        inet_ntop(address->any.sa_family, bytes, connection->client, sizeof connection->client) != NULL)
        connection->client_length = strlen(connection->client);
}

/* Without a farewell: a reset leaves nothing behind in the kernel. */
static void refuse(h2o_socket_t *socket, refusal_t refusal)
{
    count_refusal(refusal);
    struct linger reset = {.l_onoff = 1, .l_linger = 0};
    setsockopt(h2o_socket_get_fd(socket), SOL_SOCKET, SO_LINGER, &reset, sizeof reset);
    h2o_socket_close(socket);
}

static bool is_within_limits(connections_t *all, const address_t *address, limits_slot_t **slot,
                             refusal_t *refusal)
{
    if (all->limits == NULL)
        return true;
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    int64_t now_us = (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
    *refusal = limits_open(all->limits, limits_address(&address->any), now_us, slot);
    return *refusal == REFUSALS;
}

static void link_in(connections_t *all, connection_t *connection)
{
    connection->all = all;
    connection->next = all->first;
    connection->link = &all->first;
    if (all->first != NULL)
        all->first->link = &connection->next;
    all->first = connection;
    all->count++;
}

bool connection_open(connections_t *all, h2o_socket_t *socket)
{
    address_t address = {.any.sa_family = AF_UNSPEC};
    h2o_socket_getpeername(socket, &address.any);
    limits_slot_t *slot = NULL;
    refusal_t refusal;
    if (!is_within_limits(all, &address, &slot, &refusal)) {
        refuse(socket, refusal);
        return false;
    }
    connection_t *connection = must_calloc(1, sizeof *connection);
    guard_connection_open(&connection->guard, all->reset_budget);
    connection->magic = CONNECTION_MAGIC;
    connection->socket = socket;
    connection->slot = slot;
    link_in(all, connection);
    name_client(connection, &address);
    socket->on_close.cb = on_close;
    socket->on_close.data = connection;
    return true;
}
