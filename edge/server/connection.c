#include "edge/server/connection.h"

static void on_close(void *data)
{
    connection_t *connection = data;
    MUST_BE(connection, CONNECTION_MAGIC);
    *connection->link = connection->next;
    if (connection->next != NULL)
        connection->next->link = connection->link;
    connection->all->count--;
    guard_connection_close(&connection->guard);
    connection->magic = 0;
    free(connection);
}

static void name_client(connection_t *connection)
{
    struct sockaddr_storage address;
    socklen_t length = h2o_socket_getpeername(connection->socket, (struct sockaddr *)&address);
    const void *bytes = NULL;
    if (length > 0 && address.ss_family == AF_INET)
        bytes = &((struct sockaddr_in *)&address)->sin_addr;
    else if (length > 0 && address.ss_family == AF_INET6)
        bytes = &((struct sockaddr_in6 *)&address)->sin6_addr;
    if (bytes != NULL &&
        inet_ntop(address.ss_family, bytes, connection->client, sizeof connection->client) != NULL)
        connection->client_length = strlen(connection->client);
}

connection_t *connection_open(connections_t *all, h2o_socket_t *socket, unsigned reset_budget)
{
    connection_t *connection = must_calloc(1, sizeof *connection);
    guard_connection_open(&connection->guard, reset_budget);
    connection->magic = CONNECTION_MAGIC;
    connection->all = all;
    connection->socket = socket;
    connection->next = all->first;
    connection->link = &all->first;
    if (all->first != NULL)
        all->first->link = &connection->next;
    all->first = connection;
    all->count++;
    name_client(connection);
    socket->on_close.cb = on_close;
    socket->on_close.data = connection;
    return connection;
}
