#include "edge/fill_owner.h"

#include <time.h>

#include "edge/configuration.h"
#include "edge/guard/budget.h"
#include "edge/limits/waste.h"

typedef struct {
    waste_t *by_address, *of_key;
    waste_name_t address, key;
} owner_t;

static int64_t now_us(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

static owner_t owner_of(const exchange_t *exchange)
{
    const node_t *node = worker_node(exchange->worker);
    limits_address_t address = worker_client_address(exchange->req);
    ledger_hash_t key = exchange->key.subject.url;
    return (owner_t){
        node->waste_by_address, node->waste_of_key, {address.high, address.low}, {key.high, key.low}};
}

refusal_t fill_owner_judge(const exchange_t *exchange, unsigned *seconds)
{
    const settings_t *settings = &exchange->term->configuration->settings;
    owner_t owner = owner_of(exchange);
    int64_t now = now_us();
    *seconds = waste_wait(owner.by_address, owner.address, settings->address_waste_bytes, now);
    if (*seconds > 0)
        return REFUSED_ADDRESS_WASTE;
    *seconds = waste_wait(owner.of_key, owner.key, settings->key_waste_bytes, now);
    return *seconds > 0 ? REFUSED_KEY_WASTE : REFUSALS;
}

/* The puller's thread, or the worker where the fill never began. */
static void on_over(void *context, uint64_t wasted)
{
    owner_t *owner = context;
    if (wasted > 0) {
        int64_t now = now_us();
        waste_add(owner->by_address, owner->address, wasted, now);
        waste_add(owner->of_key, owner->key, wasted, now);
    }
    free(owner);
}

/* Fills in the background, of all clients: what is stale and asked for all at once does not take every
 * connection to the origins. */
enum { BACKGROUND_MAX = 128 };
static _Atomic unsigned in_background;

static void on_background_end(void *context)
{
    (void)context;
    atomic_fetch_sub_explicit(&in_background, 1, memory_order_relaxed);
}

static void on_background_over(void *context, uint64_t wasted)
{
    owner_t *owner = context;
    if (wasted > 0)
        waste_add(owner->of_key, owner->key, wasted, now_us());
    free(owner);
}

bool fill_owner_begin_background(const exchange_t *exchange, fill_request_t *request)
{
    if (atomic_fetch_add_explicit(&in_background, 1, memory_order_relaxed) >= BACKGROUND_MAX) {
        on_background_end(NULL);
        return false;
    }
    owner_t *owner = must_alloc(sizeof *owner);
    *owner = owner_of(exchange);
    request->on_end = on_background_end;
    request->on_over = on_background_over;
    request->on_over_context = owner;
    return true;
}

bool fill_owner_begin(const exchange_t *exchange, fill_request_t *request)
{
    guard_fills_t *slot = guard_fill_begin(exchange->req);
    if (slot == NULL)
        return false;
    owner_t *owner = must_alloc(sizeof *owner);
    *owner = owner_of(exchange);
    request->on_end = guard_fill_end;
    request->on_end_context = slot;
    request->on_over = on_over;
    request->on_over_context = owner;
    request->worth_bytes = waste_bytes(owner->of_key, owner->key, now_us());
    return true;
}
