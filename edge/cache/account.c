#include "edge/cache/account.h"

#include <malloc.h>

enum { RESERVATION_MAGIC = 0x5e1ac07 };

struct reservation {
    uint32_t magic;
    _Atomic uint32_t refs; /* one of the body, one of each block */
    /* Fixed after creation. */
    memory_account_t *account;
    size_t charged; /* this itself */
    /* Any thread. */
    _Atomic int64_t left; /* charged to the account, and in nobody's hands */
    _Atomic bool closed;
};

static void charge(memory_account_t *account, int64_t bytes)
{
    atomic_fetch_add_explicit(&account->bytes, bytes, memory_order_relaxed);
}

void *memory_take(memory_account_t *account, size_t bytes, size_t *charged)
{
    void *memory = must_alloc(bytes);
    *charged = malloc_usable_size(memory);
    charge(account, (int64_t)*charged);
    return memory;
}

void memory_give(memory_account_t *account, void *memory, size_t charged)
{
    free(memory);
    charge(account, -(int64_t)charged);
}

bool memory_promise(memory_account_t *account, size_t bytes, uint64_t limit)
{
    int64_t have = atomic_load_explicit(&account->bytes, memory_order_relaxed);
    do
        if (have + (int64_t)bytes > (int64_t)limit)
            return false;
    while (!atomic_compare_exchange_weak_explicit(&account->bytes, &have, have + (int64_t)bytes,
                                                  memory_order_relaxed, memory_order_relaxed));
    return true;
}

void memory_unpromise(memory_account_t *account, size_t bytes)
{
    charge(account, -(int64_t)bytes);
}

reservation_t *reservation_new(memory_account_t *account)
{
    size_t charged;
    reservation_t *reservation = memory_take(account, sizeof *reservation, &charged);
    *reservation = (reservation_t){.charged = charged, .account = account};
    reservation->magic = RESERVATION_MAGIC;
    atomic_init(&reservation->refs, 1);
    return reservation;
}

void reservation_ref(reservation_t *reservation)
{
    atomic_fetch_add_explicit(&reservation->refs, 1, memory_order_relaxed);
}

void reservation_unref(reservation_t **pointer)
{
    reservation_t *reservation = *pointer;
    *pointer = NULL;
    MUST_BE(reservation, RESERVATION_MAGIC);
    if (atomic_fetch_sub_explicit(&reservation->refs, 1, memory_order_acq_rel) != 1)
        return;
    reservation_close(reservation);
    reservation->magic = 0;
    memory_give(reservation->account, reservation, reservation->charged);
}

void reservation_add(reservation_t *reservation, size_t bytes)
{
    atomic_fetch_add_explicit(&reservation->left, (int64_t)bytes, memory_order_relaxed);
}

size_t reservation_left(const reservation_t *reservation)
{
    return (size_t)atomic_load_explicit(&reservation->left, memory_order_relaxed);
}

static void give_back_rest(reservation_t *reservation)
{
    charge(reservation->account, -atomic_exchange(&reservation->left, 0));
}

/* Who gives back looks at `closed` after it has given: one of the two finds what is left. */
void reservation_close(reservation_t *reservation)
{
    atomic_store(&reservation->closed, true);
    give_back_rest(reservation);
}

/* So much of what is wanted as there is. */
static int64_t draw(reservation_t *reservation, int64_t wanted)
{
    int64_t left = atomic_load_explicit(&reservation->left, memory_order_relaxed), part;
    do
        part = left < wanted ? left : wanted;
    while (!atomic_compare_exchange_weak_explicit(&reservation->left, &left, left - part,
                                                  memory_order_relaxed, memory_order_relaxed));
    return part;
}

void *reservation_take(reservation_t *reservation, size_t bytes, size_t *charged)
{
    MUST_BE(reservation, RESERVATION_MAGIC);
    void *memory = must_alloc(bytes);
    *charged = malloc_usable_size(memory);
    int64_t lacking = (int64_t)*charged - draw(reservation, (int64_t)*charged);
    if (lacking > 0)
        charge(reservation->account, lacking);
    return memory;
}

void reservation_give(reservation_t *reservation, void *memory, size_t charged)
{
    free(memory);
    atomic_fetch_add(&reservation->left, (int64_t)charged);
    if (atomic_load(&reservation->closed))
        give_back_rest(reservation);
}
