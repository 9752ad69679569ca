#include "edge/server/connection.h"

#include "edge/limits/proxy_line.h"

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
    if (connection->all->limits != NULL)
        limits_close(connection->all->limits, connection->slot);
    guard_connection_close(&connection->guard);
    SSL_CTX_free(connection->tls);
    connection->magic = 0;
    free(connection);
}

typedef union {
    struct sockaddr any;
    struct sockaddr_in v4;
    struct sockaddr_in6 v6;
    struct sockaddr_storage room;
} address_t;

static void name_client(connection_t *connection, const struct sockaddr *address)
{
    const struct sockaddr_in *v4 = (const struct sockaddr_in *)(const void *)address;
    const struct sockaddr_in6 *v6 = (const struct sockaddr_in6 *)(const void *)address;
    const void *bytes = address->sa_family == AF_INET    ? (const void *)&v4->sin_addr
                        : address->sa_family == AF_INET6 ? (const void *)&v6->sin6_addr
                                                         : NULL;
    if (bytes != NULL &&
        inet_ntop(address->sa_family, bytes, connection->client, sizeof connection->client) != NULL)
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

static int64_t now_us(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
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

/* Its client is known: it is served if the client's address has room for it. */
static void serve(connection_t *connection, const struct sockaddr *client)
{
    limits_t *limits = connection->all->limits;
    refusal_t refusal = REFUSALS;
    connection->address = limits_address(client);
    if (limits != NULL)
        refusal = limits_identify(limits, connection->address, now_us(), &connection->slot);
    if (refusal != REFUSALS) {
        refuse(connection->socket, refusal);
        return;
    }
    name_client(connection, client);
    connection->tls = connection->accept->ssl_ctx;
    if (connection->tls != NULL)
        MUST(SSL_CTX_up_ref(connection->tls) == 1);
    h2o_accept(connection->accept, connection->socket);
}

static void serve_peer(connection_t *connection)
{
    address_t address = {.any.sa_family = AF_UNSPEC};
    h2o_socket_getpeername(connection->socket, &address.any);
    serve(connection, &address.any);
}

/* --- Behind a balancer --- */

/* The library would take a connection without the line for one whose client is the balancer, and a line of
 * any length and spelling. What has come behind the line it takes from the socket's input. */
static void on_proxy_line(h2o_socket_t *socket, const char *error)
{
    connection_t *connection = connection_of(socket);
    if (error != NULL) {
        h2o_socket_close(socket);
        return;
    }
    proxy_line_t line;
    switch (proxy_line_parse(socket->input->bytes, socket->input->size, &line)) {
    case PROXY_LINE_INCOMPLETE:
        return; /* the sweep ends it when the line does not come in time */
    case PROXY_LINE_WRONG:
        refuse(socket, REFUSED_PROXY_LINE);
        return;
    case PROXY_LINE_WHOLE:
        break;
    }
    h2o_socket_read_stop(socket);
    h2o_buffer_consume(&socket->input, line.length);
    if (line.client.any.sa_family == AF_UNSPEC)
        serve_peer(connection);
    else
        serve(connection, &line.client.any);
}

void connection_open(connections_t *all, h2o_socket_t *socket, h2o_accept_ctx_t *accept, bool proxied)
{
    refusal_t refusal = all->limits != NULL ? limits_enter(all->limits) : REFUSALS;
    if (refusal != REFUSALS) {
        refuse(socket, refusal);
        return;
    }
    connection_t *connection = must_calloc(1, sizeof *connection);
    guard_connection_open(&connection->guard, all->reset_budget);
    connection->magic = CONNECTION_MAGIC;
    connection->socket = socket;
    connection->accept = accept;
    link_in(all, connection);
    socket->on_close.cb = on_close;
    socket->on_close.data = connection;
    if (proxied)
        h2o_socket_read_start(socket, on_proxy_line);
    else
        serve_peer(connection);
}
