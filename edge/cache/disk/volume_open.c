/* From what a directory holds to a volume. `directory` is the last that is made and the first that goes:
 * where there is none, what the slots hold counts for nothing. */
#include "edge/cache/disk/volume_private.h"

#include <errno.h>
#include <xxhash.h>

static const char directory_name[] = "directory", draft_name[] = "directory.new", lock_name[] = "lock";

/* The names in the directory. */
typedef struct {
    bool directory, foreign;
    unsigned *numbers; /* of slots */
    size_t count, capacity;
} survey_t;

/* What one slot's file holds. */
typedef struct {
    unsigned number;
    int file;
    uint64_t length, serial; /* 0: it was never written */
    bool sealed;
    trailer_t trailer;
    bool lost; /* it was written, and cannot be told */
} finding_t;

static bool refuse(volume_opening_t *opening, volume_outcome_t outcome)
{
    opening->outcome = outcome;
    return false;
}

/* The call that failed last was on this file. */
static bool failed(const volume_t *volume, volume_opening_t *opening, const char *file)
{
    *opening = (volume_opening_t){VOLUME_FAILED, volume->failure.call, file, volume->failure.number};
    return false;
}

static bool sync_directory(volume_t *volume)
{
    int result = volume->config.io.sync_directory(volume->config.io.context);
    return result == 0 || volume_note(volume, "sync", result);
}

static bool unlink_file(volume_t *volume, const char *name)
{
    int result = volume->config.io.unlink(volume->config.io.context, name);
    return result == 0 || result == -ENOENT || volume_note(volume, "unlink", result);
}

/* Names. ------------------------------------------------------------------------------------------------- */

void volume_slot_name(char name[SLOT_NAME_BYTES], size_t number)
{
    snprintf(name, SLOT_NAME_BYTES, "segment-%05u", (unsigned)number);
}

static bool parse_slot_name(const char *name, unsigned *number)
{
    static const char before[] = "segment-";
    enum { BEFORE = sizeof before - 1, DIGITS = 5 };
    if (strncmp(name, before, BEFORE) != 0 || strlen(name) != BEFORE + DIGITS)
        return false;
    *number = 0;
    for (size_t i = BEFORE; i < BEFORE + DIGITS; i++) {
        if (name[i] < '0' || name[i] > '9')
            return false;
        *number = *number * 10 + (unsigned)(name[i] - '0');
    }
    return *number < SEGMENTS_MAX;
}

static void note_number(survey_t *survey, unsigned number)
{
    if (survey->count == survey->capacity) {
        survey->capacity = survey->capacity == 0 ? 256 : survey->capacity * 2;
        survey->numbers = realloc(survey->numbers, survey->capacity * sizeof *survey->numbers);
        MUST(survey->numbers != NULL);
    }
    survey->numbers[survey->count++] = number;
}

static void note_name(void *context, const char *name)
{
    static const char *const others[] = {
        draft_name, lock_name, DISK_IO_PROBE,
        "state",       /* the node's own directory, where none is named (conf/README.md) */
        "lost+found"}; /* of a file system that is all ours */
    survey_t *survey = context;
    unsigned number;
    if (strcmp(name, directory_name) == 0) {
        survey->directory = true;
        return;
    }
    if (parse_slot_name(name, &number)) {
        note_number(survey, number);
        return;
    }
    for (size_t i = 0; i < sizeof others / sizeof *others; i++)
        if (strcmp(name, others[i]) == 0)
            return;
    survey->foreign = true;
}

static bool look(volume_t *volume, survey_t *survey, volume_opening_t *opening)
{
    survey->directory = survey->foreign = false;
    survey->count = 0;
    int result = volume->config.io.list(volume->config.io.context, note_name, survey);
    if (result < 0) {
        volume_note(volume, "list", result);
        return failed(volume, opening, ".");
    }
    return !survey->foreign || survey->directory || refuse(opening, VOLUME_FOREIGN);
}

static bool take_lock(volume_t *volume, volume_opening_t *opening)
{
    const disk_io_t *io = &volume->config.io;
    int file = io->open(io->context, lock_name, DISK_OPEN_CREATE);
    if (file < 0) {
        volume_note(volume, "open", file);
        return failed(volume, opening, lock_name);
    }
    volume->lock = file;
    int result = io->lock(io->context, file);
    if (result == -EWOULDBLOCK)
        return refuse(opening, VOLUME_LOCKED);
    if (result == 0)
        return true;
    volume_note(volume, "lock", result);
    return failed(volume, opening, lock_name);
}

/* Size. -------------------------------------------------------------------------------------------------- */

static uint64_t fitting_segment(uint64_t size)
{
    const uint64_t mib = 1 << 20, wanted = size / 256 / mib * mib;
    return wanted < 4 * mib ? 4 * mib : wanted > 512 * mib ? 512 * mib : wanted;
}

/* False: not even two fit. */
static bool set_size(volume_t *volume, uint64_t segment_bytes)
{
    const volume_config_t *config = &volume->config;
    uint64_t slots = config->size < SIZE_APART ? 0 : (config->size - SIZE_APART) / segment_bytes;
    if (slots > config->segments_max)
        slots = config->segments_max;
    if (slots > (uint64_t)SEGMENTS_MAX - config->first_segment)
        slots = (uint64_t)SEGMENTS_MAX - config->first_segment;
    volume->segment_bytes = segment_bytes;
    volume->slot_count = (size_t)slots;
    return slots >= 2;
}

static void make_slots(volume_t *volume)
{
    volume->slots = must_calloc(volume->slot_count, sizeof *volume->slots);
    for (size_t i = 0; i < volume->slot_count; i++)
        atomic_init(&volume->slots[i].file, NO_FILE);
}

/* `directory`. ------------------------------------------------------------------------------------------- */

static bool write_draft(volume_t *volume, int file)
{
    const disk_io_t *io = &volume->config.io;
    const directory_t directory = {.id = volume->id,
                                   .node = {volume->config.node[0], volume->config.node[1]},
                                   .segment_bytes = volume->segment_bytes,
                                   .segments = (uint32_t)volume->slot_count};
    uint8_t data[DIRECTORY_BYTES];
    directory_put(data, &directory);
    int result = io->set_length(io->context, file, 0);
    if (result < 0)
        return volume_note(volume, "set length", result);
    if (volume_write(volume, file, data, sizeof data, 0) != sizeof data)
        return false;
    result = io->sync(io->context, file);
    return result == 0 || volume_note(volume, "sync", result);
}

static bool write_directory(volume_t *volume)
{
    const disk_io_t *io = &volume->config.io;
    const uint64_t name[2] = {volume->config.random, volume->id};
    volume->id = XXH3_64bits(name, sizeof name);
    int file = io->open(io->context, draft_name, DISK_OPEN_CREATE);
    if (file < 0)
        return volume_note(volume, "open", file);
    bool written = write_draft(volume, file);
    io->close(io->context, file);
    if (!written)
        return false;
    int result = io->rename(io->context, draft_name, directory_name);
    if (result < 0)
        return volume_note(volume, "rename", result);
    return sync_directory(volume);
}

/* NEW: there is none. */
static volume_outcome_t judge_directory(volume_t *volume, const uint8_t *data, size_t length)
{
    directory_t directory;
    switch (directory_parse(data, length, &directory)) {
    case DIRECTORY_OTHER_FORMAT:
        return VOLUME_OTHER_FORMAT;
    case DIRECTORY_WRONG:
        return VOLUME_DAMAGED;
    case DIRECTORY_PARSED:
        break;
    }
    atomic_store_explicit(&volume->id, directory.id, memory_order_relaxed);
    if (directory.segment_bytes < SEGMENT_BYTES_LEAST)
        return VOLUME_DAMAGED;
    if (directory.node[0] != volume->config.node[0] || directory.node[1] != volume->config.node[1])
        return VOLUME_OTHER_NODE;
    return set_size(volume, directory.segment_bytes) ? VOLUME_OPENED : VOLUME_TOO_SMALL;
}

static volume_outcome_t read_directory(volume_t *volume)
{
    const disk_io_t *io = &volume->config.io;
    int file = io->open(io->context, directory_name, DISK_OPEN_EXISTING);
    if (file == -ENOENT)
        return VOLUME_NEW;
    if (file < 0) {
        volume_note(volume, "open", file);
        return VOLUME_FAILED;
    }
    uint8_t data[DIRECTORY_BYTES + 1]; /* one more: a longer one is none */
    ssize_t length = volume_read(volume, file, data, sizeof data, 0);
    io->close(io->context, file);
    return length < 0 ? VOLUME_FAILED : judge_directory(volume, data, (size_t)length);
}

uint64_t volume_peek_id(const disk_io_t *io)
{
    int file = io->open(io->context, directory_name, DISK_OPEN_EXISTING);
    if (file < 0)
        return 0;
    uint8_t data[DIRECTORY_BYTES];
    struct iovec to = {data, sizeof data};
    ssize_t length = io->read(io->context, file, &to, 1, 0);
    io->close(io->context, file);
    directory_t directory;
    return length == sizeof data && directory_parse(data, sizeof data, &directory) == DIRECTORY_PARSED
               ? directory.id
               : 0;
}

/* Beginning anew. ---------------------------------------------------------------------------------------- */

/* A power cut on the way leaves no `directory`, so that the next start begins anew, too. */
static bool make_fresh(volume_t *volume, const survey_t *survey)
{
    char name[SLOT_NAME_BYTES];
    if (survey->directory && (!unlink_file(volume, directory_name) || !sync_directory(volume)))
        return false;
    for (size_t i = 0; i < survey->count; i++) {
        volume_slot_name(name, survey->numbers[i]);
        if (!unlink_file(volume, name))
            return false;
    }
    return (survey->count == 0 || sync_directory(volume)) && write_directory(volume);
}

static bool begin_anew(volume_t *volume, const survey_t *survey, volume_opening_t *opening)
{
    uint64_t wanted = volume->config.segment_bytes;
    if (!set_size(volume, wanted != 0 ? wanted : fitting_segment(volume->config.size)))
        return refuse(opening, VOLUME_TOO_SMALL);
    return make_fresh(volume, survey) || failed(volume, opening, "its files");
}

/* Synced, as what came back with a power cut would be a segment that cannot be told, under the new directory.
 */
static bool empty_slot(volume_t *volume, slot_t *slot)
{
    const disk_io_t *io = &volume->config.io;
    slot->sealed = false;
    if (slot->length == 0)
        return true;
    if (!volume_set_length(volume, slot, 0))
        return false;
    int result = io->sync(io->context, slot_file(slot));
    return result == 0 || volume_note(volume, "sync", result);
}

/* Slots keep their files, as somebody may be reading there. */
bool volume_forget(volume_t *volume)
{
    for (size_t i = 0; i < volume->slot_count; i++)
        volume_set_serial(volume, &volume->slots[i], 0);
    disk_index_remove_segments(volume->config.index, slot_number(volume, volume->slots),
                               slot_number(volume, &volume->slots[volume->slot_count - 1]));
    volume->found_next = volume->found_count = 0;
    volume->forgotten = true;
    volume->open =
        NULL; /* the newest is gone on with already, when an older one turns out to be of lost rules */
    contents_clear(&volume->contents);
    if (!unlink_file(volume, directory_name) || !sync_directory(volume))
        return false;
    for (size_t i = 0; i < volume->slot_count; i++)
        if (!empty_slot(volume, &volume->slots[i]))
            return false;
    return write_directory(volume);
}

/* What the slots hold. ----------------------------------------------------------------------------------- */

static bool is_blank(const uint8_t *data, size_t length)
{
    for (size_t i = 0; i < length; i++)
        if (data[i] != 0)
            return false;
    return true;
}

static void find_trailer(volume_t *volume, finding_t *finding)
{
    uint8_t data[SEGMENT_TRAILER_BYTES];
    if (finding->length < volume->segment_bytes)
        return;
    uint64_t at = volume->segment_bytes - SEGMENT_TRAILER_BYTES;
    finding->sealed = volume_read(volume, finding->file, data, sizeof data, at) == sizeof data &&
                      trailer_parse(data, sizeof data, volume->id, &finding->trailer) &&
                      trailer_entries_at(&finding->trailer, volume->segment_bytes) != 0;
}

/* Either of header and trailer tells its serial. A header goes to the device before any record, and in one
 * piece: so where there is neither but a record's place is not blank, it was damaged afterwards. */
static bool find_serial(volume_t *volume, finding_t *finding)
{
    uint8_t data[SEGMENT_HEADER_BYTES + DISK_UNIT];
    ssize_t length = volume_read(volume, finding->file, data, sizeof data, 0);
    find_trailer(volume, finding);
    if (length >= 0 && segment_header_parse(data, (size_t)length, volume->id, &finding->serial)) {
        finding->sealed = finding->sealed && finding->trailer.serial == finding->serial;
        return true;
    }
    finding->serial = finding->sealed ? finding->trailer.serial : 0;
    if (length < 0 && !finding->sealed)
        return false;
    finding->lost = !finding->sealed && length > SEGMENT_HEADER_BYTES &&
                    !is_blank(data + SEGMENT_HEADER_BYTES, (size_t)length - SEGMENT_HEADER_BYTES);
    return true;
}

static bool find_slot(volume_t *volume, unsigned number, finding_t *finding)
{
    const disk_io_t *io = &volume->config.io;
    char name[SLOT_NAME_BYTES];
    volume_slot_name(name, number);
    *finding = (finding_t){.number = number, .file = io->open(io->context, name, DISK_OPEN_EXISTING)};
    if (finding->file < 0)
        return volume_note(volume, "open", finding->file);
    int result = io->length(io->context, finding->file, &finding->length);
    if (result < 0)
        return volume_note(volume, "length", result);
    return find_serial(volume, finding);
}

static bool find_slots(volume_t *volume, const survey_t *survey, finding_t *findings)
{
    for (size_t i = 0; i < survey->count; i++)
        findings[i].file = NO_FILE;
    for (size_t i = 0; i < survey->count; i++)
        if (!find_slot(volume, survey->numbers[i], &findings[i]))
            return false;
    return true;
}

static int newer_first(const void *a, const void *b)
{
    const finding_t *left = a, *right = b;
    return left->serial < right->serial ? 1 : left->serial > right->serial ? -1 : 0;
}

/* Newest first. */
static bool must_forget(const volume_t *volume, const finding_t *findings, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        const finding_t *finding = &findings[i];
        if (finding->lost || (finding->sealed && finding->trailer.stamp_max > volume->config.sequence))
            return true;
        if (i > 0 && finding->serial != 0 && finding->serial == findings[i - 1].serial)
            return true;
    }
    return false;
}

/* Taking them over. -------------------------------------------------------------------------------------- */

/* There are fewer slots than there were: the oldest go, for good before what buries their records is used
 * again. */
static bool drop_oldest(volume_t *volume, finding_t *findings, size_t *count)
{
    bool dropped = *count > volume->slot_count;
    while (*count > volume->slot_count) {
        finding_t *finding = &findings[--*count];
        char name[SLOT_NAME_BYTES];
        volume_slot_name(name, finding->number);
        volume->config.io.close(volume->config.io.context, finding->file);
        finding->file = NO_FILE;
        if (!unlink_file(volume, name))
            return false;
    }
    return !dropped || sync_directory(volume);
}

/* Those whose number is too high now get one that is free. */
static bool number_slots(volume_t *volume, finding_t *findings, size_t count)
{
    const disk_io_t *io = &volume->config.io;
    char from[SLOT_NAME_BYTES], to[SLOT_NAME_BYTES];
    for (size_t i = 0; i < count; i++)
        if (findings[i].number < volume->slot_count)
            volume->slots[findings[i].number].file = findings[i].file;
    unsigned number = 0;
    bool renamed = false;
    for (size_t i = 0; i < count; i++) {
        if (findings[i].number < volume->slot_count)
            continue;
        while (slot_file(&volume->slots[number]) != NO_FILE)
            number++;
        volume_slot_name(from, findings[i].number);
        volume_slot_name(to, number);
        int result = io->rename(io->context, from, to);
        if (result < 0)
            return volume_note(volume, "rename", result);
        renamed = true;
        findings[i].number = number;
        volume->slots[number].file = findings[i].file;
    }
    return !renamed || sync_directory(volume);
}

static bool take_over(volume_t *volume, const finding_t *finding)
{
    slot_t *slot = &volume->slots[finding->number];
    if (finding->sealed)
        disk_index_expect(volume->config.index, finding->trailer.entries);
    slot->length = finding->length;
    slot->sealed = finding->sealed;
    slot->trailer = finding->trailer;
    volume->bytes += slot->length;
    volume_set_serial(volume, slot, finding->serial);
    if (finding->serial >= volume->next_serial)
        volume->next_serial = finding->serial + 1;
    if (finding->serial != 0)
        volume->found[volume->found_count++] = slot;
    return slot->length <= volume->segment_bytes || volume_set_length(volume, slot, volume->segment_bytes);
}

/* Their files are the slots' from then on, closed with the volume. */
static bool take_all(volume_t *volume, finding_t *findings, size_t count)
{
    if (!drop_oldest(volume, findings, &count) || !number_slots(volume, findings, count))
        return false;
    volume->found = must_calloc(count + 1, sizeof *volume->found);
    for (size_t i = 0; i < count; i++)
        if (!take_over(volume, &findings[i]))
            return false;
    return true;
}

/* Those that became no slot's. */
static void close_files(volume_t *volume, const finding_t *findings, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        const finding_t *finding = &findings[i];
        bool is_slots = finding->number < volume->slot_count &&
                        slot_file(&volume->slots[finding->number]) == finding->file;
        if (finding->file >= 0 && !is_slots)
            volume->config.io.close(volume->config.io.context, finding->file);
    }
}

static bool is_believed(const volume_t *volume)
{
    const volume_config_t *config = &volume->config;
    return config->believes == NULL || config->believes(config->context, volume_id(volume));
}

/* Names that who was killed did not come to sync would be gone with the next power cut, and what is written
 * there. */
static bool open_slots(volume_t *volume, const survey_t *survey, finding_t *findings)
{
    if (!find_slots(volume, survey, findings) || !sync_directory(volume))
        return false;
    qsort(findings, survey->count, sizeof *findings, newer_first);
    if (is_believed(volume) && !must_forget(volume, findings, survey->count))
        return take_all(volume, findings, survey->count);
    volume->forgotten = true;
    return make_fresh(volume, survey);
}

static bool open_found(volume_t *volume, const survey_t *survey, volume_opening_t *opening)
{
    finding_t *findings = must_calloc(survey->count + 1, sizeof *findings);
    bool opened = open_slots(volume, survey, findings);
    close_files(volume, findings, survey->count);
    free(findings);
    return opened || failed(volume, opening, "a segment");
}

/* Opening. ----------------------------------------------------------------------------------------------- */

static bool open_directory(volume_t *volume, const survey_t *survey, volume_opening_t *opening)
{
    opening->outcome = read_directory(volume);
    switch (opening->outcome) {
    case VOLUME_OPENED:
        make_slots(volume);
        return open_found(volume, survey, opening);
    case VOLUME_FAILED:
        return failed(volume, opening, directory_name);
    case VOLUME_NEW:
        break;
    default:
        if (!volume->config.wipe)
            return false;
        opening->outcome = VOLUME_WIPED;
    }
    if (!begin_anew(volume, survey, opening))
        return false;
    make_slots(volume);
    return true;
}

static volume_t *make_volume(const volume_config_t *config)
{
    MUST(config->segment_bytes % PAGE_BYTES == 0);
    MUST(config->segment_bytes == 0 || config->segment_bytes >= SEGMENT_BYTES_LEAST);
    volume_t *volume = must_calloc(1, sizeof *volume);
    volume->magic = VOLUME_MAGIC;
    volume->config = *config;
    volume->lock = NO_FILE;
    volume->next_serial = 1;
    volume->bytes = DIRECTORY_BYTES;
    return volume;
}

volume_t *volume_open(const volume_config_t *config, volume_opening_t *opening)
{
    volume_t *volume = make_volume(config);
    survey_t survey = {0};
    *opening = (volume_opening_t){.outcome = VOLUME_OPENED};
    /* Foreign files are looked for before the lock is made; what counts is what there is once it is held. */
    bool opened = look(volume, &survey, opening) && take_lock(volume, opening) &&
                  look(volume, &survey, opening) && open_directory(volume, &survey, opening);
    free(survey.numbers);
    if (!opened) {
        volume_close(&volume);
        return NULL;
    }
    volume->recovered = volume->found_count == 0;
    CHECKED(volume_check(volume));
    return volume;
}
