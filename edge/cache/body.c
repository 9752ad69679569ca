#include "edge/cache/body.h"

enum { BLOCK_MAGIC = 0x5e1b10c, BODY_MAGIC = 0x5e1b0d1, FIRST_BLOCK_BYTES = 16 << 10 };

struct block {
    uint32_t magic;
    _Atomic uint32_t refs; /* one by the map, one by each span */
    size_t capacity;
    size_t charged;             /* this header and its bytes */
    reservation_t *reservation; /* a reference */
    char *bytes;                /* apart from this header: 512 KiB is a size class of its own */
};

typedef struct {
    block_state_t state;
    block_t *block; /* with BLOCK_IN_FLIGHT and BLOCK_PRESENT */
} block_slot_t;

struct body {
    uint32_t magic;
    _Atomic uint32_t refs;
    /* Fixed after creation; of what is loaded, the version after that. */
    version_id_t version;
    memory_account_t *account;
    reservation_t *reservation; /* a reference */
    int64_t expected_length;
    size_t charged;
    /* Under the object's lock until sealed, then fixed. */
    bool sealed;
    uint64_t length;
    size_t first_held; /* slots before it were let go */
    size_t slot_count;
    size_t slot_capacity;
    block_slot_t *slots;
    block_slot_t inline_slot; /* most bodies have one block */
};

static block_t *block_new(reservation_t *reservation, size_t capacity)
{
    size_t header, bytes;
    block_t *block = reservation_take(reservation, sizeof *block, &header);
    *block = (block_t){.capacity = capacity, .reservation = reservation};
    reservation_ref(reservation);
    block->magic = BLOCK_MAGIC;
    atomic_init(&block->refs, 1);
    block->bytes = reservation_take(reservation, capacity, &bytes);
    block->charged = header + bytes;
    return block;
}

/* What such a block is charged at most. Allocators round up to one of four sizes between two powers of two,
 * and to pages; the rest is for headers. */
static size_t block_cost(size_t capacity)
{
    size_t step = 16;
    while (step * 8 < capacity)
        step *= 2;
    size_t rounded = (capacity + step - 1) / step * step;
    return rounded + rounded / 64 + 256;
}

void block_unref(block_t **pointer)
{
    block_t *block = *pointer;
    *pointer = NULL;
    if (block == NULL)
        return;
    MUST_BE(block, BLOCK_MAGIC);
    if (atomic_fetch_sub_explicit(&block->refs, 1, memory_order_acq_rel) != 1)
        return;
    block->magic = 0;
    reservation_t *reservation = block->reservation;
    free(block->bytes);
    reservation_give(reservation, block, block->charged);
    reservation_unref(&reservation);
}

body_t *body_new(memory_account_t *account, version_id_t version, int64_t expected_length)
{
    size_t charged;
    body_t *body = memory_take(account, sizeof *body, &charged);
    *body = (body_t){.charged = charged};
    body->magic = BODY_MAGIC;
    atomic_init(&body->refs, 1);
    body->version = version;
    body->account = account;
    body->reservation = reservation_new(account);
    body->expected_length = expected_length;
    body->slots = &body->inline_slot;
    body->slot_capacity = 1;
    return body;
}

void body_ref(body_t *body)
{
    atomic_fetch_add_explicit(&body->refs, 1, memory_order_relaxed);
}

void body_unref(body_t **pointer)
{
    body_t *body = *pointer;
    *pointer = NULL;
    MUST_BE(body, BODY_MAGIC);
    if (atomic_fetch_sub_explicit(&body->refs, 1, memory_order_acq_rel) != 1)
        return;
    for (size_t i = body->first_held; i < body->slot_count; i++)
        block_unref(&body->slots[i].block);
    if (body->slots != &body->inline_slot)
        free(body->slots);
    body_close(body);
    reservation_unref(&body->reservation);
    body->magic = 0;
    memory_give(body->account, body, body->charged);
}

version_id_t body_version(const body_t *body)
{
    return body->version;
}

uint64_t body_length(const body_t *body)
{
    return body->length;
}

uint64_t body_start(const body_t *body)
{
    return (uint64_t)body->first_held * BLOCK_BYTES;
}

size_t body_blocks_held(const body_t *body)
{
    return body->slot_count - body->first_held;
}

block_state_t body_block_state(const body_t *body, uint64_t offset)
{
    size_t index = (size_t)(offset / BLOCK_BYTES);
    if (index < body->first_held || index >= body->slot_count)
        return BLOCK_ABSENT;
    return body->slots[index].state;
}

/* How large to make the block at this index, of which `needed` bytes are about to come. */
static size_t block_capacity(const body_t *body, size_t index, size_t needed)
{
    uint64_t start = (uint64_t)index * BLOCK_BYTES;
    if (body->expected_length >= 0 && (uint64_t)body->expected_length > start) {
        uint64_t rest = (uint64_t)body->expected_length - start;
        return rest < BLOCK_BYTES ? (size_t)(rest > needed ? rest : needed) : BLOCK_BYTES;
    }
    if (index > 0)
        return BLOCK_BYTES;
    size_t capacity = FIRST_BLOCK_BYTES;
    while (capacity < needed)
        capacity *= 4;
    return capacity < BLOCK_BYTES ? capacity : BLOCK_BYTES;
}

static void add_slot(body_t *body, size_t needed)
{
    if (body->slot_count == body->slot_capacity) {
        size_t capacity = body->slot_capacity * 4;
        block_slot_t *slots = must_calloc(capacity, sizeof *slots);
        memcpy(slots, body->slots, body->slot_count * sizeof *slots);
        if (body->slots != &body->inline_slot)
            free(body->slots);
        body->slots = slots;
        body->slot_capacity = capacity;
    }
    size_t index = body->slot_count++;
    body->slots[index] =
        (block_slot_t){BLOCK_IN_FLIGHT, block_new(body->reservation, block_capacity(body, index, needed))};
}

/* Puts a block's first bytes into one of another size; readers of the old one keep it by their references. */
static void move_block(block_slot_t *slot, size_t used, size_t capacity)
{
    block_t *moved = block_new(slot->block->reservation, capacity);
    memcpy(moved->bytes, slot->block->bytes, used);
    block_unref(&slot->block);
    slot->block = moved;
}

static size_t larger_capacity(size_t capacity, size_t needed)
{
    while (capacity < needed)
        capacity *= 4;
    return capacity < BLOCK_BYTES ? capacity : BLOCK_BYTES;
}

/* What a step of append_to_block() would have to allocate; 0: nothing. */
static size_t step_cost(const body_t *body, size_t index, size_t needed)
{
    if (index >= body->slot_count)
        return block_cost(block_capacity(body, index, needed));
    size_t capacity = body->slots[index].block->capacity;
    return needed > capacity ? block_cost(larger_capacity(capacity, needed)) : 0;
}

/* What the block at this offset can take as it is; less than all that comes. */
static size_t room_in_block(const body_t *body, uint64_t at)
{
    size_t index = (size_t)(at / BLOCK_BYTES), used = (size_t)(at % BLOCK_BYTES);
    return index < body->slot_count ? body->slots[index].block->capacity - used : 0;
}

size_t body_fits(const body_t *body, size_t wanted, size_t *lacking)
{
    size_t left = reservation_left(body->reservation), fits = 0;
    while (fits < wanted) {
        uint64_t at = body->length + fits;
        size_t used = (size_t)(at % BLOCK_BYTES), room = BLOCK_BYTES - used;
        size_t part = wanted - fits < room ? wanted - fits : room;
        size_t cost = step_cost(body, (size_t)(at / BLOCK_BYTES), used + part);
        if (cost > left) {
            *lacking = cost - left;
            return fits + room_in_block(body, at);
        }
        left -= cost;
        fits += part;
    }
    *lacking = 0;
    return fits;
}

void body_reserve(body_t *body, size_t bytes)
{
    MUST(!body->sealed);
    reservation_add(body->reservation, bytes);
}

size_t body_cost(int64_t expected_length, bool whole)
{
    if (expected_length < 0)
        return block_cost(FIRST_BLOCK_BYTES);
    size_t length = (size_t)expected_length, rest = length % BLOCK_BYTES;
    if (!whole && length > BLOCK_BYTES)
        return block_cost(BLOCK_BYTES);
    return length / BLOCK_BYTES * block_cost(BLOCK_BYTES) + (rest > 0 ? block_cost(rest) : 0);
}

static size_t append_to_block(body_t *body, const char *bytes, size_t length)
{
    size_t index = (size_t)(body->length / BLOCK_BYTES), used = (size_t)(body->length % BLOCK_BYTES);
    size_t room = BLOCK_BYTES - used, part = length < room ? length : room;
    if (index == body->slot_count)
        add_slot(body, part);
    block_slot_t *slot = &body->slots[index];
    if (used + part > slot->block->capacity)
        move_block(slot, used, larger_capacity(slot->block->capacity, used + part));
    memcpy(slot->block->bytes + used, bytes, part);
    body->length += part;
    if (used + part == BLOCK_BYTES)
        slot->state = BLOCK_PRESENT;
    return part;
}

void body_append(body_t *body, const void *bytes, size_t length)
{
    MUST_BE(body, BODY_MAGIC);
    MUST(!body->sealed);
    const char *at = bytes;
    while (length > 0) {
        size_t part = append_to_block(body, at, length);
        at += part;
        length -= part;
    }
    CHECKED(body_check(body));
}

bool body_forget_before(body_t *body, uint64_t offset)
{
    MUST(!body->sealed);
    bool any = false;
    while (body->first_held < body->slot_count && (uint64_t)(body->first_held + 1) * BLOCK_BYTES <= offset) {
        block_slot_t *slot = &body->slots[body->first_held++];
        slot->state = BLOCK_ABSENT;
        block_unref(&slot->block);
        any = true;
    }
    CHECKED(body_check(body));
    return any;
}

void body_close(body_t *body)
{
    reservation_close(body->reservation);
}

/* How many bytes of the last block are used, where it is not full; 0: there is none. */
static size_t used_of_last(const body_t *body)
{
    return body->slot_count > body->first_held ? (size_t)(body->length % BLOCK_BYTES) : 0;
}

/* A quarter is what the allocator's size classes waste anyway; less is not worth the copy. */
static size_t seal_cost(const body_t *body)
{
    size_t used = used_of_last(body);
    if (used == 0)
        return 0;
    size_t capacity = body->slots[body->slot_count - 1].block->capacity;
    return capacity - used > capacity / 4 ? block_cost(used) : 0;
}

/* A block that readers hold stays beside the one that takes its place, for as long as they take. */
size_t body_seal_lacks(const body_t *body)
{
    size_t cost = seal_cost(body), left = reservation_left(body->reservation);
    if (cost <= left)
        return 0;
    const block_t *last = body->slots[body->slot_count - 1].block;
    return atomic_load_explicit(&last->refs, memory_order_relaxed) > 1 ? cost - left : 0;
}

void body_seal(body_t *body)
{
    MUST_BE(body, BODY_MAGIC);
    if (body->sealed)
        return;
    body->sealed = true;
    size_t used = used_of_last(body);
    if (used > 0) {
        block_slot_t *last = &body->slots[body->slot_count - 1];
        if (seal_cost(body) > 0 && body_seal_lacks(body) == 0)
            move_block(last, used, used);
        last->state = BLOCK_PRESENT;
    }
    body_close(body);
    CHECKED(body_check(body));
}

body_t *body_for_load(memory_account_t *account, size_t length, size_t reserved)
{
    MUST(length > 0 && length <= (size_t)BODY_LOAD_BLOCKS_MAX * BLOCK_BYTES);
    body_t *body = body_new(account, (version_id_t){0, 0}, (int64_t)length);
    body_reserve(body, reserved);
    while ((uint64_t)body->slot_count * BLOCK_BYTES < length)
        add_slot(body, 0);
    body->length = length;
    return body;
}

int body_load_places(body_t *body, struct iovec places[BODY_LOAD_BLOCKS_MAX])
{
    MUST(!body->sealed);
    for (size_t i = 0; i < body->slot_count; i++)
        places[i] = (struct iovec){body->slots[i].block->bytes, body->slots[i].block->capacity};
    return (int)body->slot_count;
}

void body_loaded(body_t *body, version_id_t version, size_t length)
{
    MUST_BE(body, BODY_MAGIC);
    MUST(!body->sealed && length <= body->length);
    MUST(length > (body->slot_count - 1) * BLOCK_BYTES);
    for (size_t i = 0; i < body->slot_count; i++)
        body->slots[i].state = BLOCK_PRESENT;
    body->version = version;
    body->length = length;
    body->sealed = true;
    body_close(body);
    CHECKED(body_check(body));
}

body_span_t body_span(const body_t *body, uint64_t offset, size_t most)
{
    if (offset >= body->length || most == 0)
        return (body_span_t){NULL, 0, NULL};
    size_t index = (size_t)(offset / BLOCK_BYTES), within = (size_t)(offset % BLOCK_BYTES);
    MUST(index >= body->first_held && index < body->slot_count);
    block_t *block = body->slots[index].block;
    uint64_t rest = body->length - offset;
    size_t length = BLOCK_BYTES - within;
    if (length > rest)
        length = (size_t)rest;
    if (length > most)
        length = most;
    atomic_fetch_add_explicit(&block->refs, 1, memory_order_relaxed);
    return (body_span_t){block->bytes + within, length, block};
}

bool body_in_one(const body_t *body, text_t *bytes)
{
    MUST(body->sealed);
    if (body->slot_count > 1 || body->first_held > 0)
        return false;
    *bytes = body->slot_count == 0 ? TEXT("") : (text_t){body->slots[0].block->bytes, (size_t)body->length};
    return true;
}

void body_check(const body_t *body)
{
    MUST_BE(body, BODY_MAGIC);
    MUST(body->first_held <= body->slot_count && body->slot_count <= body->slot_capacity);
    MUST(body->length <= (uint64_t)body->slot_count * BLOCK_BYTES);
    MUST(body->slot_count == 0 || body->length > (uint64_t)(body->slot_count - 1) * BLOCK_BYTES);
    for (size_t i = 0; i < body->slot_count; i++)
        MUST((body->slots[i].block == NULL) == (body->slots[i].state == BLOCK_ABSENT));
}
