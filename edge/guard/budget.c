#include "edge/guard/budget.h"

#include <stdatomic.h>

#include "edge/guard/guard.h"
#include "edge/guard/libh2o.h"

enum { CONNECTION_MAGIC = 0x5e1b0d6 };

/* A fill may outlive its connection: the last of them frees this. */
struct guard_fills {
    atomic_uint references; /* one of the connection, one of each fill in flight */
};

void guard_connection_open(guard_connection_t *connection, uint32_t resets_max)
{
    *connection = (guard_connection_t){
        .magic = CONNECTION_MAGIC,
        .resets = {.most = resets_max, .left = resets_max, .refill_ms = GUARD_RESET_REFILL_MS},
        .settings = {.most = GUARD_SETTINGS_MAX,
                     .left = GUARD_SETTINGS_MAX,
                     .refill_ms = GUARD_RESET_REFILL_MS},
        .frames = {.most = GUARD_FRAMES_MAX, .left = GUARD_FRAMES_MAX, .refill_ms = GUARD_FRAMES_REFILL_MS},
    };
}

static void drop(guard_fills_t *fills)
{
    if (atomic_fetch_sub_explicit(&fills->references, 1, memory_order_acq_rel) == 1)
        free(fills);
}

void guard_connection_close(guard_connection_t *connection)
{
    MUST_BE(connection, CONNECTION_MAGIC);
    if (connection->fills != NULL)
        drop(connection->fills);
    connection->fills = NULL;
    connection->magic = 0;
}

/* --- What comes --- */

static void earn(guard_budget_t *budget, uint64_t more)
{
    uint32_t room = budget->most - budget->left;
    budget->left += more < room ? (uint32_t)more : room;
}

static void refill(guard_budget_t *budget, int64_t now_ms)
{
    int64_t more = (now_ms - budget->refilled_ms) / budget->refill_ms;
    if (more <= 0)
        return;
    budget->refilled_ms += more * budget->refill_ms;
    earn(budget, (uint64_t)more);
}

static bool spend(guard_budget_t *budget, int64_t now_ms)
{
    refill(budget, now_ms);
    if (budget->left == 0)
        return false;
    budget->left--;
    return true;
}

bool guard_spend_reset(guard_connection_t *connection, int64_t now_ms)
{
    MUST_BE(connection, CONNECTION_MAGIC);
    return spend(&connection->resets, now_ms);
}

bool guard_spend_settings(guard_connection_t *connection, int64_t now_ms)
{
    MUST_BE(connection, CONNECTION_MAGIC);
    return spend(&connection->settings, now_ms);
}

bool guard_spend_frame(guard_connection_t *connection, int64_t now_ms, uint64_t sent_bytes)
{
    MUST_BE(connection, CONNECTION_MAGIC);
    uint64_t more = (sent_bytes - connection->paid_bytes) / GUARD_BYTES_OF_FRAME;
    connection->paid_bytes += more * GUARD_BYTES_OF_FRAME;
    earn(&connection->frames, more);
    return spend(&connection->frames, now_ms);
}

void guard_earn_frames(guard_connection_t *connection)
{
    MUST_BE(connection, CONNECTION_MAGIC);
    earn(&connection->frames, GUARD_FRAMES_OF_REQUEST);
}

bool guard_count_pipelined(guard_connection_t *connection, int64_t turn_ms)
{
    MUST_BE(connection, CONNECTION_MAGIC);
    if (connection->turn_ms != turn_ms)
        connection->pipelined = 0;
    connection->turn_ms = turn_ms;
    return ++connection->pipelined < GUARD_PIPELINED_MAX;
}

/* What reads the connection's next frame, whatever that is. */
static ssize_t refuse_all(h2o_http2_conn_t *conn, const uint8_t *bytes, size_t length, const char **error)
{
    (void)conn;
    (void)bytes;
    (void)length;
    *error = "too many requests were given up";
    return H2O_HTTP2_ERROR_ENHANCE_YOUR_CALM;
}

guard_connection_t *guard_connection_of(const h2o_socket_t *socket)
{
    guard_connection_t *connection = socket->on_close.data;
    if (connection != NULL)
        MUST_BE(connection, CONNECTION_MAGIC);
    return connection;
}

bool guard_is_calmed(const h2o_http2_conn_t *conn)
{
    return conn->read_expect == refuse_all;
}

/* Counted once: a connection that is on its way out may still have streams that end. */
static void calm(h2o_http2_conn_t *conn, guard_reason_t reason)
{
    if (guard_is_calmed(conn))
        return;
    conn->read_expect = refuse_all;
    count_guard_stopped(reason);
}

void guard_count_reset(h2o_http2_conn_t *conn)
{
    guard_connection_t *connection = guard_connection_of(conn->sock);
    if (connection != NULL && !guard_spend_reset(connection, (int64_t)h2o_now(conn->super.ctx->loop)))
        calm(conn, GUARD_TOO_MANY_RESETS);
}

bool guard_takes_settings(const h2o_http2_conn_t *conn)
{
    guard_connection_t *connection = guard_connection_of(conn->sock);
    return connection == NULL || guard_spend_settings(connection, (int64_t)h2o_now(conn->super.ctx->loop));
}

/* --- Fills --- */

static guard_fills_t *fills_new(void)
{
    guard_fills_t *fills = must_alloc(sizeof *fills);
    atomic_init(&fills->references, 1);
    return fills;
}

guard_fills_t *guard_fill_begin(const h2o_req_t *req)
{
    guard_connection_t *connection = guard_connection_of(req->conn->callbacks->get_socket(req->conn));
    MUST(connection != NULL);
    if (connection->fills == NULL)
        connection->fills = fills_new();
    guard_fills_t *fills = connection->fills;
    /* Only this thread adds, so the count can but have fallen. */
    if (atomic_load_explicit(&fills->references, memory_order_relaxed) <= GUARD_FILLS_MAX || guard_is_off()) {
        atomic_fetch_add_explicit(&fills->references, 1, memory_order_relaxed);
        return fills;
    }
    if (req->version >= 0x200)
        calm((h2o_http2_conn_t *)(void *)req->conn, GUARD_TOO_MANY_FILLS);
    return NULL;
}

void guard_fill_end(void *fills)
{
    drop(fills);
}
