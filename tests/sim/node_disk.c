/* The node's disk tier: the real one, on drives that outlive it. */
#include "tests/sim/drive.h"
#include "tests/sim/interpose.h"
#include "tests/sim/referee_disk.h"
#include "tests/sim/world.h"

static random_t *chance(void)
{
    return &world.random;
}

static void say(const char *sentence)
{
    if (strstr(sentence, "failed") != NULL)
        note_count(NOTE_DEVICES_FAILED);
}

/* --- The note of which directories miss nothing: in the state directory, replaced as a whole --- */

static bool read_notes(void *context, uint8_t *data, size_t room, size_t *length)
{
    (void)context;
    *length = world.notes_length < room ? world.notes_length : room;
    memcpy(data, world.notes, *length);
    return !world.node.unplugged && world.notes_length > 0;
}

/* What fails may have come to be or not. */
static bool replace_notes(void *context, const uint8_t *data, size_t length)
{
    (void)context;
    MUST(length <= sizeof world.notes);
    if (strncmp(schedule_thread_name(), "disk", 4) != 0 && strcmp(schedule_thread_name(), "-") != 0)
        note_violation("%s waits for the state directory", schedule_thread_name());
    bool fails = random_chance(chance(), world.disk_fault_rate / 2);
    if (world.node.unplugged || (fails && random_chance(chance(), 500))) {
        world.node.notes_failed = true;
        return false;
    }
    memcpy(world.notes, data, length);
    world.notes_length = length;
    world.node.notes_failed = fails;
    note_count(fails ? NOTE_NOTES_FAILED : NOTE_NOTED);
    interpose_noted(world.node.disk, data, length);
    return !fails;
}

static disk_config_t config_of_node(void)
{
    disk_config_t config = {.device_count = world.drives_used,
                            .memory = world.node.memory,
                            .ledger = world.node.ledger,
                            .admission = world.admits_always ? DISK_ALWAYS : DISK_SECOND_HIT,
                            .node = {world.identity[0], world.identity[1]},
                            .notes = {NULL, read_notes, replace_notes},
                            .random = random_next(chance()),
                            .monotonic_ms = schedule_now_ms,
                            .say = say};
    for (unsigned i = 0; i < world.drives_used; i++)
        config.devices[i] = (disk_device_config_t){.path = i == 0 ? "first" : "second",
                                                   .size = world.drive_sizes[i],
                                                   .io = drive_io(world.drives[i]),
                                                   .segment_bytes = world.segment_bytes};
    return config;
}

/* A drive that lost its power is as after a power cut, however the node ended. */
static void end_drives(node_end_t how)
{
    for (unsigned i = 0; i < world.drive_count; i++) {
        node_end_t end = drive_is_cut(world.drives[i]) ? END_POWER_CUT : how;
        drive_end(world.drives[i], end != END_STOP, end == END_POWER_CUT);
        referee_drive_ends(i, end);
        if (end != how)
            note_count(NOTE_DRIVES_CUT);
    }
}

/* A node that cannot start is started again; whose directories are another's are to be made anew. */
static disk_t *try_start(bool *wipe)
{
    char error[DISK_ERROR_MAX];
    disk_config_t config = config_of_node();
    config.wipe = *wipe;
    bool broken = false;
    for (unsigned i = 0; i < world.drive_count; i++)
        if (random_chance(chance(), world.drive_fault_rate)) {
            drive_break(world.drives[i], 40, random_chance(chance(), 400));
            broken = true;
        }
    disk_t *disk = disk_start(&config, error);
    if (disk != NULL)
        return disk;
    note_event("disk does not start", broken, *wipe, 0);
    bool is_anothers = strstr(error, "belongs to a node with another") != NULL;
    end_drives(END_KILL);
    if (!broken && !is_anothers && !world.node.notes_failed)
        note_violation("the disk tier does not start, and nothing befell it: %s", error);
    note_count(is_anothers ? NOTE_ANOTHERS : NOTE_START_FAILED);
    *wipe |= is_anothers;
    return NULL;
}

/* Names belong to drives by their sizes; what another has of them, or finds itself with, does not count. */
static void vary_drives(void)
{
    if (!world.drives_vary)
        return;
    world.drives_used = 1 + random_below(&world.apart, world.drive_count);
    notes.counts[NOTE_DRIVES_APART] += world.drive_count - world.drives_used;
    for (unsigned i = 0; i < world.drive_count; i++) {
        if (random_chance(&world.apart, 100))
            drive_flip_end(world.drives[i], &world.apart);
        if (random_chance(&world.apart, 600))
            continue;
        world.drive_sizes[i] = world.segment_bytes * (2 + random_below(&world.apart, 5)) + (16 << 10);
        note_count(NOTE_DRIVES_RESIZED);
    }
    note_event("drives", world.drives_used, world.drive_sizes[0], world.drive_sizes[1]);
}

static void damage_drives(void)
{
    for (unsigned i = 0; world.drives_suffer && i < world.drive_count; i++)
        if (random_chance(&world.apart, 500))
            drive_damage(world.drives[i], &world.apart);
}

void node_start_disk(void)
{
    bool wipe = false;
    if (world.drive_count == 0)
        return;
    damage_drives();
    vary_drives();
    for (unsigned i = 0; i < world.drive_count; i++)
        if (random_chance(chance(), world.lock_rate))
            drive_lock(world.drives[i]);
    while (world.node.disk == NULL)
        world.node.disk = try_start(&wipe);
    if (world.drives_vary)
        referee_drives_vary(interpose_owner);
    for (unsigned i = 0; i < world.drive_count; i++)
        if (random_chance(chance(), 500))
            drive_mend(world.drives[i]);
}

static void note_status(const disk_status_t *status)
{
    notes.counts[NOTE_CHECKSUM_FAILURES] += status->counts.checksum_failures;
    notes.counts[NOTE_READ_ERRORS] += status->counts.read_errors;
    notes.counts[NOTE_READ_TIMEOUTS] += status->counts.read_timeouts;
    notes.counts[NOTE_WRITE_ERRORS] += status->counts.write_errors;
    notes.counts[NOTE_DROPPED_QUEUE] += status->counts.dropped_queue;
    notes.counts[NOTE_DROPPED_SIZE] += status->counts.dropped_size;
    notes.counts[NOTE_DROPPED_BROKEN] += status->counts.dropped_broken;
}

/* What does not verify, though all was well with the drives, was told of before it was written. */
static void check_status(const disk_status_t *status)
{
    bool spoilt = false;
    for (unsigned i = 0; i < world.drive_count; i++)
        spoilt |= drive_is_spoilt(world.drives[i]);
    if (!spoilt && status->counts.checksum_failures > 0)
        note_violation("%llu records did not verify, and nothing had befallen the drives",
                       (unsigned long long)status->counts.checksum_failures);
    for (unsigned i = 0; i < world.drives_used; i++)
        if (interpose_is_open(i) && drive_bytes(world.drives[i]) > world.drive_sizes[i])
            note_violation("drive %u holds %llu bytes", i, (unsigned long long)drive_bytes(world.drives[i]));
}

void node_stop_disk(node_end_t how)
{
    if (world.node.disk == NULL)
        return;
    disk_status_t status = disk_status(world.node.disk);
    note_status(&status);
    check_status(&status);
    disk_stop(&world.node.disk);
    end_drives(how);
}

void node_make_drives(void)
{
    world.drives_used = world.drive_count;
    for (unsigned i = 0; i < world.drive_count; i++)
        world.drive_sizes[i] = world.drive_bytes;
    for (unsigned i = 0; i < world.drive_count; i++)
        world.drives[i] = drive_new(i, &world.drive_kind, random_next(chance()));
    referee_disk_begin();
}

void node_free_drives(void)
{
    for (unsigned i = 0; i < world.drive_count; i++)
        drive_free(&world.drives[i]);
    referee_disk_end();
}

void node_break_drive(void)
{
    if (world.drive_count > 0)
        drive_break(world.drives[random_below(chance(), world.drive_count)], 30, false);
}

void node_flip(void)
{
    if (world.drive_count == 0)
        return;
    drive_t *drive = world.drives[random_below(chance(), world.drive_count)];
    if (drive_flip(drive) && !interpose_has_found_all(world.node.disk))
        referee_lied(drive_number(drive));
}
