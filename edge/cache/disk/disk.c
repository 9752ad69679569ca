#include "edge/cache/disk/disk_private.h"
#include "edge/cache/pieces.h"

#include <time.h>
#include <xxhash.h>

enum { READ_ERRORS_MAX = 16, READ_ERROR_WEIGHS = 8, QUEUE_BYTES_MAX = 64 << 20, QUEUE_PART = 4 };

/* --- Devices --- */

/* Each name has a favourite among the devices, larger ones more often (rendezvous hashing): a device more or
 * less changes that for as many names as it takes. */
static double weight(const device_t *device, const ledger_hash_t *name)
{
    uint64_t mixed = (name->high ^ (name->low << 17 | name->low >> 47)) + device->seed;
    mixed = (mixed ^ (mixed >> 30)) * 0xbf58476d1ce4e5b9u;
    mixed = (mixed ^ (mixed >> 27)) * 0x94d049bb133111ebu;
    mixed ^= mixed >> 31;
    double part = ((double)(mixed >> 11) + 1) / (double)(UINT64_C(1) << 53);
    return -(double)device->size / log(part);
}

device_t *disk_favourite(disk_t *disk, const ledger_hash_t *name)
{
    device_t *best = &disk->devices[0];
    for (size_t i = 1; i < disk->device_count; i++)
        if (weight(&disk->devices[i], name) > weight(best, name))
            best = &disk->devices[i];
    return best;
}

device_t *disk_device_of(disk_t *disk, const ledger_hash_t *name)
{
    device_t *device = disk_favourite(disk, name);
    return atomic_load_explicit(&device->failed, memory_order_acquire) ? NULL : device;
}

device_t *disk_device_at(disk_t *disk, const disk_place_t *place)
{
    for (size_t i = 0; i < disk->device_count; i++) {
        device_t *device = &disk->devices[i];
        if (place->segment >= device->first_segment &&
            place->segment < device->first_segment + device->segments_max)
            return atomic_load_explicit(&device->failed, memory_order_acquire) ? NULL : device;
    }
    return NULL;
}

static void say(const disk_t *disk, const char *path, const char *what)
{
    char sentence[DISK_ERROR_MAX];
    snprintf(sentence, sizeof sentence, "disk %s: %s", path, what);
    disk->config.say(sentence);
}

/* What it holds is not to be believed either when it works again. */
void device_take_out(device_t *device, const char *why)
{
    char what[DISK_ERROR_MAX * 3 / 4];
    if (atomic_exchange(&device->failed, true))
        return;
    snprintf(what, sizeof what, "%s; it is not used any more, and what it holds is forgotten", why);
    say(device->disk, device->path, what);
    disk_index_remove_segments(device->disk->index, device->first_segment,
                               (uint16_t)(device->first_segment + device->segments_max - 1));
    if (!membership_note(device->disk))
        say(device->disk, device->path,
            "this could not be noted in the state directory: empty it before the next start");
    reader_wake_all(device);
}

void device_fail(device_t *device, const char *call, int number)
{
    char why[DISK_ERROR_MAX / 2];
    snprintf(why, sizeof why, "%s failed: %s", call, strerror(number));
    device_take_out(device, why);
}

void device_say_forgotten(const device_t *device, const volume_t *volume)
{
    if (volume_forgotten(volume) && device->missed)
        say(device->disk, device->path,
            "it missed what was replaced or invalidated since it was last in use, and what it held is "
            "forgotten");
    else if (volume_forgotten(volume))
        say(device->disk, device->path,
            "what it held is forgotten, all of it or what is older than a segment that cannot be read: it is "
            "not known what was replaced since, or the journal is older than what is stored");
}

/* A few bad places are no reason: one in so many reads has to fail, and that often enough. */
void device_judge_read(device_t *device, bool failed)
{
    disk_lock(&device->lock);
    if (failed)
        device->read_errors += READ_ERROR_WEIGHS;
    else if (device->read_errors > 0)
        device->read_errors--;
    bool too_many = device->read_errors >= READ_ERRORS_MAX * READ_ERROR_WEIGHS;
    disk_unlock(&device->lock);
    if (too_many)
        device_fail(device, "read", EIO);
}

/* --- Opening --- */

static const char *refusal_of(volume_outcome_t outcome)
{
    switch (outcome) {
    case VOLUME_OTHER_FORMAT:
        return "it was written by another version of the disk tier; name another directory, or set "
               "disk_wipe to have it made anew";
    case VOLUME_OTHER_NODE:
        return "it belongs to a node with another state directory, whose purges are not known here; name "
               "another directory, or set disk_wipe to have it made anew";
    case VOLUME_DAMAGED:
        return "its file `directory` is damaged; set disk_wipe to have it made anew";
    case VOLUME_FOREIGN:
        return "there are files in it that are not the disk tier's; name an empty directory, or a new one";
    case VOLUME_TOO_SMALL:
        return "two of its segments do not fit into its size any more; give it more, or set "
               "disk_wipe to have it made anew";
    case VOLUME_LOCKED:
    case VOLUME_FAILED:
    case VOLUME_OPENED:
    case VOLUME_NEW:
    case VOLUME_WIPED:
        break;
    }
    return NULL;
}

void device_refusal(const volume_opening_t *opening, char why[DISK_ERROR_MAX / 2])
{
    const char *sentence = refusal_of(opening->outcome);
    if (sentence != NULL)
        snprintf(why, DISK_ERROR_MAX / 2, "%s", sentence);
    else
        snprintf(why, DISK_ERROR_MAX / 2, "%s of %s: %s", opening->call, opening->file,
                 strerror(opening->number));
}

volume_t *device_open(device_t *device, volume_opening_t *opening)
{
    disk_t *disk = device->disk;
    volume_config_t config = {.io = device->io,
                              .index = disk->index,
                              .size = device->size,
                              .segment_bytes = disk->config.devices[device - disk->devices].segment_bytes,
                              .first_segment = device->first_segment,
                              .segments_max = device->segments_max,
                              .node = {disk->config.node[0], disk->config.node[1]},
                              .random = disk->config.random ^ device->first_segment,
                              .wipe = disk->config.wipe,
                              .sequence = ledger_sequence(disk->config.ledger),
                              .believes = membership_believes,
                              .owns = disk->device_count > 1 ? membership_owns : NULL,
                              .bury_others = disk->bury_others,
                              .context = device};
    volume_t *volume = volume_open(&config, opening);
    if (volume == NULL)
        return NULL;
    if (opening->outcome == VOLUME_WIPED)
        say(disk, device->path, "was of another format or node, and is made anew");
    device_say_forgotten(device, volume);
    atomic_store_explicit(&device->volume, volume, memory_order_release);
    return volume;
}

/* True: it can be used, now or when another process lets go of it. */
static bool open_first(device_t *device, char error[DISK_ERROR_MAX])
{
    const disk_io_t *given = device->disk->config.devices[device - device->disk->devices].io;
    int failed = given != NULL ? 0 : disk_io_posix(&device->io, device->path);
    if (given != NULL)
        device->io = *given;
    if (failed < 0) {
        snprintf(error, DISK_ERROR_MAX, "disk %s: %s", device->path, strerror(-failed));
        return false;
    }
    volume_opening_t opening;
    if (device_open(device, &opening) != NULL)
        return true;
    if (opening.outcome == VOLUME_LOCKED) {
        device->waiting_id = volume_peek_id(&device->io);
        say(device->disk, device->path, "is used by another process; it is taken when that is gone");
        return true;
    }
    char why[DISK_ERROR_MAX / 2];
    device_refusal(&opening, why);
    snprintf(error, DISK_ERROR_MAX, "disk %s: %s", device->path, why);
    return false;
}

/* --- Life --- */

static void cond_init(pthread_cond_t *cond)
{
    pthread_condattr_t clock;
    pthread_condattr_init(&clock);
    pthread_condattr_setclock(&clock, CLOCK_MONOTONIC);
    MUST(pthread_cond_init(cond, &clock) == 0);
    pthread_condattr_destroy(&clock);
}

static void device_init(disk_t *disk, device_t *device, size_t number)
{
    uint64_t part = memory_limit(disk->config.memory) / QUEUE_PART;
    unsigned slots = (UINT16_MAX + 1u) / DISK_DEVICES_MAX;
    device->disk = disk;
    device->path = disk->config.devices[number].path;
    device->size = disk->config.devices[number].size;
    device->seed = XXH3_64bits(device->path, strlen(device->path));
    device->first_segment = (uint16_t)(number * slots);
    device->segments_max = (uint16_t)(slots - 1);
    device->queue_bytes_max = part < QUEUE_BYTES_MAX ? part : QUEUE_BYTES_MAX;
    MUST(pthread_mutex_init(&device->lock, NULL) == 0);
    cond_init(&device->written);
    cond_init(&device->asked);
    cond_init(&device->ticked);
    cond_init(&device->settled);
}

static void device_free(device_t *device)
{
    volume_t *volume = atomic_load_explicit(&device->volume, memory_order_relaxed);
    if (volume != NULL)
        volume_close(&volume);
    if (device->io.context != NULL && device->disk->config.devices[device - device->disk->devices].io == NULL)
        disk_io_posix_close(&device->io);
    pthread_cond_destroy(&device->written);
    pthread_cond_destroy(&device->asked);
    pthread_cond_destroy(&device->ticked);
    pthread_cond_destroy(&device->settled);
    pthread_mutex_destroy(&device->lock);
}

static void device_start(device_t *device)
{
    MUST(pthread_create(&device->writer, NULL, writer_run, device) == 0);
    MUST(pthread_create(&device->clock, NULL, clock_run, device) == 0);
    for (size_t i = 0; i < READERS; i++)
        MUST(pthread_create(&device->readers[i], NULL, reader_run, device) == 0);
}

static void device_tell_to_stop(device_t *device)
{
    disk_lock(&device->lock);
    device->stopping = true;
    pthread_cond_broadcast(&device->written);
    pthread_cond_broadcast(&device->asked);
    pthread_cond_broadcast(&device->ticked);
    disk_unlock(&device->lock);
    reader_wake_all(device);
}

static bool join_until(pthread_t thread, const struct timespec *until)
{
    int result = pthread_timedjoin_np(thread, NULL, until);
    MUST(result == 0 || result == ETIMEDOUT);
    return result == 0;
}

/* What a writer that hangs was to bury is said nowhere. */
static bool device_ends(device_t *device, const struct timespec *until)
{
    bool ended = join_until(device->writer, until);
    if (!ended)
        device_take_out(device, "it does not come to an end, and what waited to be written there is lost");
    MUST(pthread_join(device->clock, NULL) == 0);
    for (size_t i = 0; i < READERS; i++)
        ended = join_until(device->readers[i], until) && ended;
    return ended;
}

static void disk_free(disk_t *disk)
{
    for (size_t i = 0; i < disk->device_count; i++)
        device_free(&disk->devices[i]);
    pthread_mutex_destroy(&disk->pending_lock);
    pthread_mutex_destroy(&disk->taken_lock);
    pthread_mutex_destroy(&disk->membership_lock);
    admission_free(&disk->seen);
    disk_index_free(&disk->index);
    disk->magic = 0;
    free(disk);
}

static bool open_all(disk_t *disk, char error[DISK_ERROR_MAX])
{
    membership_begin(disk);
    for (size_t i = 0; i < disk->device_count; i++)
        if (!open_first(&disk->devices[i], error))
            return false;
    if (membership_note(disk))
        return true;
    snprintf(error, DISK_ERROR_MAX, "which disks are in use could not be noted in the state directory");
    return false;
}

disk_t *disk_start(const disk_config_t *config, char error[DISK_ERROR_MAX])
{
    MUST(config->device_count >= 1 && config->device_count <= DISK_DEVICES_MAX);
    disk_t *disk = must_calloc(1, sizeof *disk);
    uint64_t size = 0;
    disk->magic = DISK_MAGIC;
    disk->config = *config;
    for (size_t i = 0; i < config->device_count; i++)
        size += config->devices[i].size;
    disk->index = disk_index_new(config->random, size);
    disk->seen = admission_new(size);
    atomic_init(&disk->admission, config->admission);
    atomic_init(&disk->recovering, (unsigned)config->device_count);
    MUST(pthread_mutex_init(&disk->pending_lock, NULL) == 0);
    MUST(pthread_mutex_init(&disk->taken_lock, NULL) == 0);
    MUST(pthread_mutex_init(&disk->membership_lock, NULL) == 0);
    for (; disk->device_count < config->device_count; disk->device_count++)
        device_init(disk, &disk->devices[disk->device_count], disk->device_count);
    if (!open_all(disk, error)) {
        disk_free(disk);
        return NULL;
    }
    memory_set_below(config->memory, &(memory_below_t){disk, disk_gone, disk_stored, disk_takes, disk_holds});
    for (size_t i = 0; i < disk->device_count; i++)
        device_start(&disk->devices[i]);
    return disk;
}

bool disk_stop_within(disk_t **pointer, int64_t timeout_ms)
{
    disk_t *disk = *pointer;
    bool ended = true;
    struct timespec until;
    MUST_BE(disk, DISK_MAGIC);
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += (time_t)(timeout_ms / 1000 + 1);
    for (size_t i = 0; i < disk->device_count; i++)
        device_tell_to_stop(&disk->devices[i]);
    for (size_t i = 0; i < disk->device_count; i++)
        ended = device_ends(&disk->devices[i], &until) && ended;
    memory_set_below(disk->config.memory, NULL);
    if (!ended)
        return false;
    disk_free(disk);
    *pointer = NULL;
    return true;
}

void disk_stop(disk_t **disk)
{
    enum { A_DAY_MS = 24 * 3600 * 1000 };
    MUST(disk_stop_within(disk, A_DAY_MS));
}

void disk_settle(disk_t *disk)
{
    for (size_t i = 0; i < disk->device_count; i++)
        writer_settle(&disk->devices[i]);
}

void disk_set_admission(disk_t *disk, disk_admission_t admission)
{
    atomic_store_explicit(&disk->admission, (int)admission, memory_order_relaxed);
}

/* --- Looking --- */

/* Memory has the head of what is found under a whole's name already. */
static bool is_in_pieces(disk_t *disk, const cache_key_t *key)
{
    memory_view_t view = pieces_peek_sparse(disk->config.memory, key);
    bool is = view.stored != NULL;
    memory_view_drop(&view);
    return is;
}

static bool may_be_part(const cache_variant_t *variant)
{
    return variant != NULL && variant->variants == NULL;
}

disk_look_t disk_look(disk_t *disk, const cache_key_t *key, const cache_variant_t *variant, disk_wait_t *wait,
                      memory_view_t *view)
{
    ledger_hash_t name = memory_name(key, variant);
    disk_place_t place;
    bool known = disk_index_find(disk->index, &name, true, &place);
    if (!known && may_be_part(variant)) {
        view->stored = admit_find_part(disk, key, variant, &name);
        if (view->stored != NULL)
            return DISK_FOUND;
        known = disk_index_find(disk->index, &name, false, &place); /* it may have got there meanwhile */
    }
    if (!known)
        return DISK_ABSENT;
    if (variant == NULL && is_in_pieces(disk, key))
        return DISK_FOUND;
    switch (load_record(disk, key, variant, &name, &place, true, view)) {
    case LOAD_FOUND:
        return DISK_FOUND;
    case LOAD_ABSENT:
    case LOAD_FAILED:
    case LOAD_NO_MEMORY:
        return DISK_ABSENT;
    case LOAD_UNCACHED:
        break;
    }
    device_t *device = disk_device_at(disk, &place);
    if (wait == NULL || device == NULL || !reader_await(device, key, variant, &name, &place, wait))
        return DISK_ABSENT;
    return DISK_WAIT;
}

bool disk_knows(disk_t *disk, const cache_key_t *key, const cache_variant_t *variant)
{
    ledger_hash_t name = memory_name(key, variant);
    disk_place_t place;
    if (disk_index_find(disk->index, &name, false, &place))
        return true;
    object_t *part = may_be_part(variant) ? admit_find_part(disk, key, variant, &name) : NULL;
    if (part == NULL)
        return may_be_part(variant) && disk_index_find(disk->index, &name, false, &place);
    object_unref(&part);
    return true;
}

bool disk_takes(void *context, const ledger_hash_t *name)
{
    device_t *device = disk_device_of(context, name);
    return device == NULL || !reader_await_room(device, NULL);
}

/* What is larger would push out all others, and its own beginning as soon as anything else comes. */
uint64_t disk_holds(void *context)
{
    const disk_t *disk = context;
    uint64_t size = 0;
    for (size_t i = 0; i < disk->device_count; i++) {
        const device_t *device = &disk->devices[i];
        if (atomic_load_explicit(&device->ready, memory_order_relaxed) &&
            !atomic_load_explicit(&device->failed, memory_order_relaxed))
            size += device->size;
    }
    return size / 4 * 3;
}

bool disk_await_room(disk_t *disk, const cache_key_t *key, const cache_variant_t *variant, disk_wait_t *wait)
{
    ledger_hash_t name = memory_name(key, variant);
    device_t *device = disk_device_of(disk, &name);
    return device != NULL && reader_await_room(device, wait);
}

/* --- For people --- */

static void add_device(const device_t *device, disk_status_t *status)
{
    const volume_t *volume = atomic_load_explicit(&device->volume, memory_order_acquire);
    status->counts.write_errors += atomic_load_explicit(&device->write_errors, memory_order_relaxed);
    if (volume != NULL)
        status->counts.moved += volume_moved(volume);
    if (atomic_load_explicit(&device->failed, memory_order_relaxed)) {
        status->failed_devices++;
    } else if (volume == NULL) {
        status->waiting_devices++;
    } else {
        status->size += device->size;
        status->bytes += volume_bytes(volume);
        status->segments += volume_segments(volume);
        if (!atomic_load_explicit(&device->ready, memory_order_relaxed))
            status->segments_to_index += volume_segments(volume);
    }
}

disk_status_t disk_status(const disk_t *disk)
{
    uint64_t counts[DISK_COUNTS];
    for (size_t i = 0; i < DISK_COUNTS; i++)
        counts[i] = atomic_load_explicit(&disk->counts[i], memory_order_relaxed);
    disk_status_t status = {.records = disk_index_records(disk->index),
                            .index_bytes = disk_index_bytes(disk->index),
                            .counts = {.admitted = counts[COUNT_ADMITTED],
                                       .dropped_queue = counts[COUNT_DROPPED_QUEUE],
                                       .dropped_size = counts[COUNT_DROPPED_SIZE],
                                       .dropped_broken = counts[COUNT_DROPPED_BROKEN],
                                       .checksum_failures = counts[COUNT_CHECKSUM_FAILURES],
                                       .read_errors = counts[COUNT_READ_ERRORS],
                                       .read_timeouts = counts[COUNT_READ_TIMEOUTS],
                                       .reads_from_cache = counts[COUNT_FROM_CACHE],
                                       .reads_from_device = counts[COUNT_FROM_DEVICE]}};
    for (size_t i = 0; i < disk->device_count; i++)
        add_device(&disk->devices[i], &status);
    return status;
}

disk_status_t disk_take_status(disk_t *disk)
{
    disk_lock(&disk->taken_lock);
    disk_status_t status = disk_status(disk), taken = disk->taken;
    disk->taken = status;
    disk_unlock(&disk->taken_lock);
    status.counts.admitted -= taken.counts.admitted;
    status.counts.dropped_queue -= taken.counts.dropped_queue;
    status.counts.dropped_size -= taken.counts.dropped_size;
    status.counts.dropped_broken -= taken.counts.dropped_broken;
    status.counts.moved -= taken.counts.moved;
    status.counts.checksum_failures -= taken.counts.checksum_failures;
    status.counts.read_errors -= taken.counts.read_errors;
    status.counts.read_timeouts -= taken.counts.read_timeouts;
    status.counts.write_errors -= taken.counts.write_errors;
    status.counts.reads_from_cache -= taken.counts.reads_from_cache;
    status.counts.reads_from_device -= taken.counts.reads_from_device;
    return status;
}
