/* A worker: one thread with one libh2o event loop, its listeners and its connections. It never waits.
 *
 * Other threads speak to it by messages only. The admin listener is served by a worker of its own, so that
 * scrapes and purges never stand in front of a hit. */
#ifndef SELVEDGE_EDGE_SERVER_WORKER_H
#define SELVEDGE_EDGE_SERVER_WORKER_H

#include <h2o.h>

#include "edge/configuration.h"
#include "edge/node.h"

typedef struct worker worker_t;
typedef struct message message_t;

/* One event for a worker. The sender owns the memory until `handle` is called, once, on the worker's thread.
 */
struct message {
    h2o_multithread_message_t super;
    void (*handle)(message_t *message);
};

/* A listening socket of this worker's own (SO_REUSEPORT). */
typedef struct {
    int fd; /* taken over */
    bool https;
    bool proxied; /* each connection begins with a line of the PROXY protocol */
} worker_listener_t;

typedef struct {
    char name[16]; /* of the thread */
    node_t *node;
    configuration_t *configuration; /* the first; the worker takes a reference */
    /* Registers the handlers for requests on this worker's listeners. */
    void (*register_handlers)(h2o_hostconf_t *host, h2o_pathconf_t *path);
    /* What of the memory a request holds, and for how long (request_held); NULL: nothing. */
    uint64_t (*held)(const h2o_req_t *req, uint64_t now_ms);
    /* Called about four times a second; may be NULL. */
    void (*on_tick)(worker_t *worker);
    bool counts_connections; /* in the gauges: those of clients, not of the admin listener */
    const worker_listener_t *listeners;
    size_t listener_count;
} worker_config_t;

/* Starts the thread; when it returns, every listener accepts. A worker lives as long as the process. */
worker_t *worker_start(const worker_config_t *config);

/* Any thread. */
void worker_post(worker_t *worker, message_t *message);

/* One switch of all workers to another configuration. */
typedef struct worker_switch worker_switch_t;
struct worker_switch {
    message_t message;
    worker_t *worker;
    configuration_t *configuration; /* its reference goes to the worker */
    /* Called on the worker's thread once it serves by it; may free the memory. */
    void (*done)(worker_switch_t *switched);
    void *context;
};

/* Any thread: new requests and connections are served by this configuration; those that have begun end by
 * theirs. A worker that has stopped does not answer. */
void worker_take(worker_switch_t *switching);

/* Any thread: stops accepting, tells clients to go, and ends its work once no connection is left. */
void worker_drain(worker_t *worker);
/* Any thread, after worker_drain(): cuts off the connections that are left. */
void worker_cut_off(worker_t *worker);
/* Waits at most so long for the drained worker's end; true when it has come. */
bool worker_wait(worker_t *worker, int64_t timeout_ms);

/* --- Its own thread --- */
worker_t *worker_of(const h2o_req_t *req);
node_t *worker_node(const worker_t *worker);
/* The configuration that it serves by now: good until it next returns to its loop. */
const configuration_t *worker_configuration(const worker_t *worker);

/* One configuration's time with a worker, and how many requests have not ended since: plain counts, as nobody
 * else looks. */
typedef struct {
    configuration_t *configuration;
    size_t requests;
} worker_term_t;

/* Keeps the present configuration for a request, until worker_let_go(). */
worker_term_t *worker_hold(worker_t *worker);
void worker_let_go(worker_t *worker, worker_term_t *term);

/* NULL: no access log. */
access_log_buffer_t *worker_log(const worker_t *worker);
/* The client's address as text; lives as long as the connection. */
text_t worker_client(const h2o_req_t *req);
/* The same as it counts for limits. */
limits_address_t worker_client_address(const h2o_req_t *req);
/* 0: one more request of this client's address is within its limit; else after how many seconds it will be.
 */
unsigned worker_seconds_to_wait(const h2o_req_t *req, int64_t now_us);
h2o_socket_t *worker_socket(const h2o_req_t *req);
/* A date string that the worker may lend to the library for one response; H2O_TIMESTR_RFC1123_LEN bytes and a
 * zero. */
h2o_timestamp_string_t *worker_date(worker_t *worker);

#endif
