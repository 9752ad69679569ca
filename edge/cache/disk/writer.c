/* The thread that writes, one for each device: finds what is there first, then appends what is admitted and
 * buries what is gone, each in the order in which that came. What it wrote is on the device a moment later,
 * whether anything more comes or not. */
#include "edge/cache/disk/disk_private.h"
#include "edge/cache/disk/meta.h"
#include "edge/cache/pieces.h"

enum {
    LOCK_RETRY_MS = 100,
    SYNC_MS = 1000,      /* a power cut takes what was written since then, at most, */
    SYNC_BURIED_MS = 100 /* and of what was buried, which would come back, no more than that */
};

static void add(item_queue_t *queue, item_t *item)
{
    if (queue->first == NULL)
        queue->first = item;
    else
        queue->last->next = item;
    queue->last = item;
}

static item_t *take_all(item_queue_t *queue)
{
    item_t *items = queue->first;
    *queue = (item_queue_t){0};
    return items;
}

static bool is_queued(const device_t *device)
{
    return device->to_bury.first != NULL || device->to_write.first != NULL;
}

bool writer_queue(item_t *item)
{
    device_t *device = item->device;
    disk_lock(&device->lock);
    bool ready = atomic_load_explicit(&device->ready, memory_order_relaxed);
    bool burial = item->kind == ITEM_BURIAL;
    /* Those that fetch pieces wait for room; what was under way by then is kept. */
    size_t most = device->queue_bytes_max * (item->is_part ? 2 : 1);
    bool fits = burial ? atomic_load_explicit(&device->burials, memory_order_relaxed) < BURIALS_MAX
                       : ready && device->queue_bytes + item->bytes <= most;
    bool possible = fits && !device->ended;
    if (possible && burial)
        atomic_fetch_add_explicit(&device->burials, 1, memory_order_relaxed);
    if (!fits && burial) {
        atomic_store_explicit(&device->overdue, true, memory_order_relaxed);
        pthread_cond_signal(&device->ticked);
    }
    if (possible) {
        add(burial ? &device->to_bury : &device->to_write, item);
        device->queue_bytes += item->bytes;
        if (device->writer_rests)
            pthread_cond_signal(&device->written);
    }
    disk_unlock(&device->lock);
    return possible;
}

static void on_done(void *context, bool written)
{
    item_t *item = context;
    bool revoked = atomic_load_explicit(&item->revoked, memory_order_relaxed);
    item_end(item, revoked ? ITEM_REVOKED : written ? ITEM_WRITTEN : ITEM_BROKEN);
}

/* So much of the body in its blocks, from there on; a complete object's do not move. */
static void point_at_body(object_t *object, uint64_t first, uint64_t end, volume_record_t *out)
{
    object_reader_t reader;
    object_t *reference = object;
    body_span_t span;
    if (first == end)
        return;
    object_ref(object);
    object_open(&reference, &reader);
    object_seek(&reader, first, end);
    for (unsigned i = 0; object_read(&reader, BLOCK_BYTES, &span) == READ_BYTES; i++) {
        MUST(i < RECORD_BLOCKS_MAX);
        out->body[i] = (struct iovec){(char *)span.bytes, span.length};
        out->record.body_bytes += (uint32_t)span.length;
        block_unref(&span.block); /* the object has one of its own */
    }
    object_leave(&reader);
}

/* A piece has the head that it would have if it had come by itself. */
static size_t put_piece_meta(device_t *device, object_t *object, const cache_key_t *key, piece_t piece,
                             uint8_t *meta)
{
    memory_account_t *account = memory_account(device->disk->config.memory);
    const head_t *whole = object_head(object);
    uint64_t numbers[PIECE_NUMBERS];
    cache_variant_t variant = piece_variant(object, piece, numbers);
    head_t *head = head_new(account, 206, (http_fields_t){NULL, 0}, (int64_t)(piece.end - piece.first),
                            &whole->storing, whole->response_time_ms, NULL);
    head_tag_as(head, whole);
    size_t size = disk_meta_put_head(head, OBJECT_SHAREABLE | OBJECT_ADMITTED, key, &variant, meta);
    head_free(&head);
    return size;
}

/* What there is to be written of an item. */
static void describe(item_t *item, uint8_t *meta, volume_record_t *out)
{
    cache_key_t key;
    cache_variant_t variant;
    ledger_hash_t name;
    object_t *object = item->object;
    uint64_t length = object_length(object);
    size_t size = 0;
    MUST(memory_place_of(object, &key, &variant, &name));
    switch (item->kind) {
    case ITEM_BURIAL:
        MUST(item->kind != ITEM_BURIAL); /* that is no record */
        break;
    case ITEM_OBJECT:
        size = disk_meta_put(object, &key, &variant, meta);
        point_at_body(object, 0, length, out);
        break;
    case ITEM_NODE:
        out->record.kind = RECORD_VARIANTS;
        size = disk_meta_put_node(&key, variant.variants, meta);
        break;
    case ITEM_PIECE: {
        uint64_t end = item->first + PIECE_BYTES < length ? item->first + PIECE_BYTES : length;
        size = put_piece_meta(item->device, object, &key, (piece_t){item->first, end}, meta);
        point_at_body(object, item->first, end, out);
        break;
    }
    case ITEM_WHOLE:
        size = disk_meta_put_head(object_head(object), OBJECT_SHAREABLE | OBJECT_ADMITTED | OBJECT_SPARSE,
                                  &key, NULL, meta);
        break;
    }
    out->record.meta_bytes = (uint32_t)size;
}

/* Its bytes are copied, or lost, when this returns; the item is the volume's to give back. */
static void append(device_t *device, volume_t *volume, item_t *item)
{
    uint8_t *meta = (uint8_t *)disk_room();
    object_t *object = item->object;
    uint64_t next = item->kind == ITEM_PIECE ? item->first + PIECE_BYTES : 0;
    volume_record_t out = {.record = {.kind = RECORD_OBJECT,
                                      .name = item->name,
                                      .stamp = object_stamp(object),
                                      .version = object_body_version(object)},
                           .meta = meta,
                           .revoked = &item->revoked,
                           .done = on_done,
                           .context = item};
    describe(item, meta, &out);
    if (item->is_part) /* it can be found so until the index has it */
        object_ref(object);
    else
        item->object = NULL;
    bool appended = volume_append(volume, &out);
    device->stumbled |= !appended;
    if (next > 0 && (!appended || !admit_part(device->disk, object, next)))
        object_offer_again(object);
    object_unref(&object);
}

static void sync_within(device_t *device, int64_t ms)
{
    int64_t at_ms = disk_now_ms(device) + ms;
    if (at_ms < device->sync_at_ms)
        device->sync_at_ms = at_ms;
}

static void write_item(device_t *device, volume_t *volume, item_t *item)
{
    sync_within(device, SYNC_MS);
    if (atomic_load(&item->revoked))
        item_end(item, ITEM_REVOKED);
    else
        append(device, volume, item);
}

/* All that is queued. False: it is time to stop; or nothing, when it is time to sync. Waits for either. */
static bool take_items(device_t *device, item_t **to_bury, item_t **to_write)
{
    disk_lock(&device->lock);
    bool due = false;
    while (!is_queued(device) && !device->stopping && !due) {
        device->writer_rests = true;
        due = !disk_sleep(&device->written, &device->lock, device->sync_at_ms);
        device->writer_rests = false;
    }
    device->writing = is_queued(device);
    device->ended = !device->writing && !due;
    *to_bury = take_all(&device->to_bury);
    *to_write = take_all(&device->to_write);
    bool go_on = !device->ended;
    disk_unlock(&device->lock);
    return go_on;
}

/* What was taken no longer holds memory. What is to be buried by now. */
static item_t *note_written(device_t *device, size_t bytes)
{
    disk_lock(&device->lock);
    device->queue_bytes -= bytes;
    reader_note_room(device);
    item_t *to_bury = take_all(&device->to_bury);
    disk_unlock(&device->lock);
    return to_bury;
}

static void note_failures(device_t *device, const volume_t *volume)
{
    if (!device->stumbled)
        return;
    volume_failure_t failure = volume_failure(volume);
    device->stumbled = false;
    atomic_store_explicit(&device->write_errors, (unsigned)failure.count, memory_order_relaxed);
    if (failure.broken)
        device_fail(device, failure.call, failure.number);
}

static void flush(device_t *device, volume_t *volume)
{
    device->stumbled |= !volume_flush(volume);
    note_failures(device, volume);
}

static void sync_now(device_t *device, volume_t *volume)
{
    flush(device, volume);
    device->stumbled |= !volume_sync(volume);
    note_failures(device, volume);
    device->sync_at_ms = DISK_NEVER;
    if (volume_is_dirty(volume)) /* what a sync that failed lost was buried again */
        sync_within(device, SYNC_BURIED_MS);
}

static void sync_if_due(device_t *device, volume_t *volume)
{
    if (device->sync_at_ms <= disk_now_ms(device))
        sync_now(device, volume);
}

/* At once: else it would come back when the process dies now. */
static void bury_items(device_t *device, volume_t *volume, item_t *items)
{
    if (items == NULL)
        return;
    sync_within(device, SYNC_BURIED_MS);
    while (items != NULL) {
        item_t *item = items;
        items = item->next;
        device->stumbled |= !volume_bury(volume, &item->name);
        item_end(item, ITEM_REVOKED);
    }
    flush(device, volume);
}

static void write_items(device_t *device, volume_t *volume, item_t *items)
{
    if (items == NULL)
        return;
    while (items != NULL) {
        item_t *item = items;
        items = item->next;
        size_t bytes = item->bytes;
        write_item(device, volume, item);
        bury_items(device, volume, note_written(device, bytes));
        sync_if_due(device, volume);
    }
    /* Nothing more waits at the moment: what is half a buffer is not kept from the index. */
    flush(device, volume);
}

static void note_rest(device_t *device)
{
    disk_lock(&device->lock);
    device->writing = false;
    device->begun = true;
    pthread_cond_broadcast(&device->settled);
    disk_unlock(&device->lock);
}

void writer_settle(device_t *device)
{
    disk_lock(&device->lock);
    while (!device->begun || device->writing || is_queued(device))
        pthread_cond_wait(&device->settled, &device->lock);
    disk_unlock(&device->lock);
}

static void drop_items(item_t *items)
{
    while (items != NULL) {
        item_t *item = items;
        items = item->next;
        item_end(item, ITEM_BROKEN);
    }
}

static bool is_stopping(device_t *device)
{
    disk_lock(&device->lock);
    bool stopping = device->stopping;
    disk_unlock(&device->lock);
    return stopping;
}

static bool is_out(const device_t *device)
{
    return atomic_load_explicit(&device->failed, memory_order_relaxed);
}

/* Rests for a moment; false when it is time to stop. */
static bool rest(device_t *device)
{
    int64_t until_ms = disk_now_ms(device) + LOCK_RETRY_MS;
    disk_lock(&device->lock);
    while (!device->stopping && disk_sleep(&device->written, &device->lock, until_ms))
        ;
    bool go_on = !device->stopping;
    disk_unlock(&device->lock);
    return go_on;
}

/* Another process still has it: taken when that is gone. */
static volume_t *wait_for_volume(device_t *device)
{
    volume_t *volume = atomic_load_explicit(&device->volume, memory_order_relaxed);
    while (volume == NULL && rest(device)) {
        volume_opening_t opening;
        volume = device_open(device, &opening);
        if (volume == NULL && opening.outcome != VOLUME_LOCKED) {
            char why[DISK_ERROR_MAX / 2];
            device_refusal(&opening, why);
            device_take_out(device, why);
        }
        if (is_out(device))
            return NULL;
        if (volume == NULL)
            membership_note(device->disk); /* by now it may miss something */
    }
    return volume;
}

/* True when all that was there is known. */
static bool recover(device_t *device, volume_t *volume)
{
    bool forgotten = volume_forgotten(volume);
    while (volume_recover_next(volume))
        if (is_stopping(device) && atomic_load_explicit(&device->burials, memory_order_relaxed) == 0)
            return false;
    if (!forgotten)
        device_say_forgotten(device, volume);
    bool buried = !device->disk->bury_others || volume_sync(volume);
    volume_failure_t failure = volume_failure(volume);
    if (!buried || failure.broken) /* what is not known leaves no tombstone */
        device_fail(device, failure.call, failure.number);
    return true;
}

static void begin_writing(device_t *device)
{
    disk_t *disk = device->disk;
    membership_note(disk); /* it may have another id, or have been waited for */
    if (atomic_fetch_sub(&disk->recovering, 1) == 1) {
        disk_index_complete(disk->index);
        membership_settled(disk);
    }
    disk_lock(&device->lock);
    atomic_store_explicit(&device->ready, true, memory_order_release);
    device->begun = true;
    pthread_cond_broadcast(&device->settled);
    disk_unlock(&device->lock);
}

static void serve(device_t *device, volume_t *volume)
{
    item_t *to_bury, *to_write;
    device->sync_at_ms = DISK_NEVER;
    while (take_items(device, &to_bury, &to_write)) {
        if (is_out(device)) {
            drop_items(to_bury);
            drop_items(to_write);
        } else {
            bury_items(device, volume, to_bury);
            write_items(device, volume, to_write);
        }
        if (is_out(device))
            device->sync_at_ms = DISK_NEVER;
        else
            sync_if_due(device, volume);
        note_rest(device);
    }
    if (device->sync_at_ms != DISK_NEVER)
        sync_now(device, volume);
}

void *writer_run(void *context)
{
    device_t *device = context;
    pthread_setname_np(pthread_self(), "disk-write");
    memory_attach_thread();
    volume_t *volume = wait_for_volume(device);
    bool recovered = volume != NULL && recover(device, volume);
    /* One that another process still has at the end holds names that others have now, and are not buried. */
    if (recovered || atomic_load_explicit(&device->failed, memory_order_relaxed))
        begin_writing(device);
    if (recovered)
        serve(device, volume);
    disk_lock(&device->lock);
    item_t *to_bury = take_all(&device->to_bury), *to_write = take_all(&device->to_write);
    device->ended = true; /* who has found the device before it failed may come only now */
    disk_unlock(&device->lock);
    /* What waited to be buried while it was not known yet what is there is said nowhere. */
    if (!recovered && atomic_load_explicit(&device->burials, memory_order_relaxed) > 0)
        device_take_out(device, "the node ends before it is known what there is");
    drop_items(to_bury);
    drop_items(to_write);
    note_rest(device);
    memory_detach_thread();
    return NULL;
}
