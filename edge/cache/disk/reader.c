/* Reads that the page cache cannot answer: those who wait for the same one wait together, and for no longer
 * than the deadline, whatever the device does. */
#include "edge/cache/disk/disk_private.h"

/* --- Who waits; under the device's lock --- */

static void add_wait(disk_load_t *load, disk_wait_t *wait)
{
    wait->in_vain = false;
    wait->load = load;
    wait->next = load->waits;
    wait->link = &load->waits;
    if (wait->next != NULL)
        wait->next->link = &wait->next;
    load->waits = wait;
}

static void remove_wait(disk_wait_t *wait)
{
    *wait->link = wait->next;
    if (wait->next != NULL)
        wait->next->link = wait->link;
    wait->load = NULL;
}

static void wake_all(disk_load_t *load, bool in_vain)
{
    while (load->waits != NULL) {
        disk_wait_t *wait = load->waits;
        remove_wait(wait);
        wait->in_vain = in_vain;
        wait->wake(wait);
    }
}

/* --- What is read; under the device's lock --- */

static disk_load_t *find_known(const device_t *device, const ledger_hash_t *name)
{
    disk_load_t *load = device->known;
    while (load != NULL && (load->name.low != name->low || load->name.high != name->high))
        load = load->next_known;
    return load;
}

static void make_known(device_t *device, disk_load_t *load)
{
    if (device->known == NULL)
        device->known = load;
    else
        device->known_last->next_known = load;
    device->known_last = load;
}

/* It can no longer be joined. */
static void forget(device_t *device, disk_load_t *load)
{
    disk_load_t *before = NULL, *at = device->known;
    while (at != NULL && at != load) {
        before = at;
        at = at->next_known;
    }
    if (at == NULL)
        return;
    if (before == NULL)
        device->known = load->next_known;
    else
        before->next_known = load->next_known;
    if (device->known_last == load)
        device->known_last = before;
    load->next_known = NULL;
}

static void queue(device_t *device, disk_load_t *load)
{
    if (device->queue == NULL)
        device->queue = load;
    else
        device->queue_last->next = load;
    device->queue_last = load;
    device->loads++;
}

static disk_load_t *next_load(device_t *device)
{
    disk_load_t *load = device->queue;
    if (load != NULL)
        device->queue = load->next;
    return load;
}

/* --- A load's life --- */

static disk_load_t *load_new(const cache_key_t *key, const cache_variant_t *variant,
                             const ledger_hash_t *name, const disk_place_t *place, int64_t deadline_ms)
{
    text_t selector = variant != NULL ? variant->selector : (text_t){NULL, 0};
    disk_load_t *load = must_calloc(1, sizeof *load + key->target.length + selector.length);
    load->name = *name;
    load->place = *place;
    load->key = *key;
    load->key.target.data = memcpy(load->bytes, key->target.data, key->target.length);
    load->deadline_ms = deadline_ms;
    load->has_variant = variant != NULL;
    if (variant == NULL)
        return load;
    load->variant = *variant;
    if (selector.length > 0)
        load->variant.selector.data =
            memcpy(load->bytes + key->target.length, selector.data, selector.length);
    if (variant->variants != NULL)
        variants_ref((variants_t *)variant->variants);
    return load;
}

static void load_free(disk_load_t *load)
{
    variants_t *node = (variants_t *)load->variant.variants;
    if (node != NULL)
        variants_unref(&node);
    free(load);
}

bool reader_await(device_t *device, const cache_key_t *key, const cache_variant_t *variant,
                  const ledger_hash_t *name, const disk_place_t *place, disk_wait_t *wait)
{
    int64_t now = disk_now_ms(device);
    disk_lock(&device->lock);
    disk_load_t *load = find_known(device, name);
    bool possible = !device->stopping &&
                    (load != NULL || (device->loads < LOADS_MAX && breaker_allows(&device->breaker, now)));
    if (possible && load == NULL) {
        load = load_new(key, variant, name, place, now + DISK_DEADLINE_MS);
        make_known(device, load);
        queue(device, load);
        pthread_cond_signal(&device->asked);
        pthread_cond_signal(&device->ticked);
    }
    if (possible) {
        wait->device = device;
        wait->for_room = false;
        add_wait(load, wait);
    }
    disk_unlock(&device->lock);
    return possible;
}

/* --- Who waits for room; under the device's lock --- */

/* What was asked for before may still come, a piece for each who reads: so long before the queue is full. */
enum { BEHIND_PART = 4, BUSY_PART = 16 };

static bool is_behind(const device_t *device, size_t part)
{
    return device->queue_bytes > device->queue_bytes_max / part && !device->stopping &&
           atomic_load_explicit(&device->ready, memory_order_relaxed);
}

static void end_room(device_t *device, bool in_vain)
{
    disk_load_t *room = device->room;
    device->room = NULL;
    forget(device, room);
    wake_all(room, in_vain);
    load_free(room);
}

static void add_to_room(device_t *device, disk_wait_t *wait)
{
    if (device->room == NULL) {
        device->room = must_calloc(1, sizeof *device->room);
        device->room->deadline_ms = disk_now_ms(device) + DISK_DEADLINE_MS;
        make_known(device, device->room);
        pthread_cond_signal(&device->ticked);
    }
    wait->device = device;
    wait->for_room = true;
    add_wait(device->room, wait);
}

bool reader_await_room(device_t *device, disk_wait_t *wait)
{
    disk_lock(&device->lock);
    bool behind = is_behind(device, wait != NULL ? BEHIND_PART : BUSY_PART);
    if (behind && wait != NULL)
        add_to_room(device, wait);
    disk_unlock(&device->lock);
    return behind;
}

void reader_note_room(device_t *device)
{
    if (device->room != NULL && !is_behind(device, BEHIND_PART))
        end_room(device, false);
}

void disk_wait_leave(disk_wait_t *wait)
{
    if (wait->device == NULL)
        return;
    device_t *device = wait->device;
    disk_lock(&device->lock);
    if (wait->load != NULL)
        remove_wait(wait);
    disk_unlock(&device->lock);
}

/* --- The threads --- */

/* Those who waited for what came too late have been told so; it is good for those who come next. */
static void read_one(device_t *device, disk_load_t *load)
{
    memory_view_t view = {0};
    bool late = disk_now_ms(device) >= load->deadline_ms;
    load_t result = LOAD_ABSENT;
    if (!late)
        result = load_record(device->disk, &load->key, load->has_variant ? &load->variant : NULL, &load->name,
                             &load->place, false, &view);
    memory_view_drop(&view);
    int64_t now = disk_now_ms(device);
    disk_lock(&device->lock);
    if (!load->late)
        breaker_note(&device->breaker, !late && result != LOAD_FAILED && now < load->deadline_ms, now);
    forget(device, load);
    wake_all(load, result != LOAD_FOUND);
    device->loads--;
    disk_unlock(&device->lock);
    load_free(load);
    if (!late)
        device_judge_read(device, result == LOAD_FAILED);
}

void *reader_run(void *context)
{
    device_t *device = context;
    pthread_setname_np(pthread_self(), "disk-read");
    memory_attach_thread();
    disk_lock(&device->lock);
    for (;;) {
        disk_load_t *load = next_load(device);
        if (load == NULL && device->stopping)
            break;
        if (load == NULL) {
            pthread_cond_wait(&device->asked, &device->lock);
            continue;
        }
        disk_unlock(&device->lock);
        read_one(device, load);
        disk_lock(&device->lock);
    }
    disk_unlock(&device->lock);
    memory_detach_thread();
    return NULL;
}

/* Under the lock: wakes in vain who has waited for too long; until when the next one may wait. */
static int64_t let_go_of_late(device_t *device)
{
    int64_t now = disk_now_ms(device);
    while (device->known != NULL && device->known->deadline_ms <= now) {
        disk_load_t *load = device->known;
        if (load == device->room) {
            end_room(device, true);
            continue;
        }
        forget(device, load);
        disk_count(device->disk, COUNT_READ_TIMEOUTS);
        breaker_note(&device->breaker, false, now);
        load->late = true;
        wake_all(load, true);
    }
    return device->known != NULL ? device->known->deadline_ms : DISK_NEVER;
}

static bool is_overdue(const device_t *device)
{
    return atomic_load_explicit(&device->overdue, memory_order_relaxed) &&
           !atomic_load_explicit(&device->failed, memory_order_relaxed);
}

void *clock_run(void *context)
{
    device_t *device = context;
    pthread_setname_np(pthread_self(), "disk-clock");
    disk_lock(&device->lock);
    while (!device->stopping) {
        if (is_overdue(device)) {
            disk_unlock(&device->lock);
            device_take_out(device, "more waits to be written than can be remembered");
            disk_lock(&device->lock);
            continue;
        }
        disk_sleep(&device->ticked, &device->lock, let_go_of_late(device));
    }
    disk_unlock(&device->lock);
    return NULL;
}

void reader_wake_all(device_t *device)
{
    disk_lock(&device->lock);
    while (device->known != NULL) {
        disk_load_t *load = device->known;
        if (load == device->room) {
            end_room(device, true);
            continue;
        }
        forget(device, load);
        wake_all(load, true);
    }
    disk_unlock(&device->lock);
}
