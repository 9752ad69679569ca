#include "edge/cache/disk/inspect_private.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

enum { INSPECTION_MAGIC = 0x10055ee };

/* Files. ------------------------------------------------------------------------------------------------- */

size_t inspect_read(int fd, void *to, size_t length, uint64_t offset)
{
    size_t done = 0;
    while (done < length) {
        ssize_t got = pread(fd, (uint8_t *)to + done, length - done, (off_t)(offset + done));
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            break;
        done += (size_t)got;
    }
    return done;
}

int inspect_open_segment(const inspection_t *inspection, unsigned number)
{
    char name[SEGMENT_NAME_BYTES];
    snprintf(name, sizeof name, "segment-%05u", number % SEGMENTS_MAX);
    return openat(inspection->fd, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
}

static bool parse_name(const char *name, unsigned *number)
{
    static const char before[] = "segment-";
    enum { BEFORE = sizeof before - 1, DIGITS = 5 };
    if (strncmp(name, before, BEFORE) != 0 || strlen(name) != BEFORE + DIGITS ||
        strspn(name + BEFORE, "0123456789") != DIGITS)
        return false;
    *number = (unsigned)strtoul(name + BEFORE, NULL, 10);
    return *number < SEGMENTS_MAX;
}

/* Who has it keeps the lock; a shared one, given back at once, shows whether there is somebody. */
static bool is_in_use(int directory)
{
    int file = openat(directory, "lock", O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (file < 0)
        return false;
    bool in_use = flock(file, LOCK_SH | LOCK_NB) != 0 && errno == EWOULDBLOCK;
    close(file);
    return in_use;
}

/* Segments. ---------------------------------------------------------------------------------------------- */

static bool is_blank(const uint8_t *data, size_t length)
{
    while (length > 0 && data[length - 1] == 0)
        length--;
    return length == 0;
}

static void read_trailer(const inspection_t *inspection, int fd, inspected_t *segment)
{
    const directory_t *directory = &inspection->summary.directory;
    uint8_t data[SEGMENT_TRAILER_BYTES];
    uint64_t at = directory->segment_bytes - SEGMENT_TRAILER_BYTES;
    if (segment->length < directory->segment_bytes)
        return;
    bool read = inspect_read(fd, data, sizeof data, at) == sizeof data;
    segment->sealed = read && trailer_parse(data, sizeof data, directory->id, &segment->trailer) &&
                      trailer_entries_at(&segment->trailer, directory->segment_bytes) != 0;
    if (!segment->sealed && !(read && is_blank(data, sizeof data)))
        segment->damage = "its footer is damaged";
}

/* A trailer of another serial is that of what the file held before. */
void inspect_segment(const inspection_t *inspection, int fd, inspected_t *segment)
{
    uint8_t data[SEGMENT_HEADER_BYTES] = {0};
    size_t length = inspect_read(fd, data, sizeof data, 0);
    read_trailer(inspection, fd, segment);
    if (segment_header_parse(data, length, inspection->summary.directory.id, &segment->serial)) {
        segment->sealed = segment->sealed && segment->trailer.serial == segment->serial;
        return;
    }
    segment->serial = segment->sealed ? segment->trailer.serial : 0;
    if (segment->sealed || !is_blank(data, length))
        segment->damage = "its header is damaged";
    segment->lost = segment->damage != NULL && !segment->sealed;
}

static void add_segment(inspection_t *inspection, unsigned number)
{
    inspected_t segment = {.number = number};
    struct stat found;
    int fd = inspect_open_segment(inspection, number);
    if (fd >= 0 && fstat(fd, &found) == 0) {
        segment.length = (uint64_t)found.st_size;
        inspect_segment(inspection, fd, &segment);
    } else {
        segment.damage = "it cannot be opened";
        segment.lost = true;
    }
    if (fd >= 0)
        close(fd);
    inspection->segments = realloc(inspection->segments, (inspection->count + 1) * sizeof segment);
    MUST(inspection->segments != NULL);
    inspection->segments[inspection->count++] = segment;
    inspection->summary.segments++;
    inspection->summary.sealed += segment.sealed;
    inspection->summary.file_bytes += segment.length;
}

static int newer_first(const void *a, const void *b)
{
    const inspected_t *left = a, *right = b;
    return left->serial < right->serial ? 1 : left->serial > right->serial ? -1 : 0;
}

/* Opening. ----------------------------------------------------------------------------------------------- */

static bool read_directory(inspection_t *inspection, char error[INSPECT_ERROR_MAX])
{
    uint8_t data[DIRECTORY_BYTES + 1]; /* one more: a longer one is none */
    int file = openat(inspection->fd, "directory", O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (file < 0) {
        const char *why = errno == ENOENT ? "there is no file `directory` in it" : strerror(errno);
        snprintf(error, INSPECT_ERROR_MAX, "is no directory of the disk tier: %s", why);
        return false;
    }
    size_t length = inspect_read(file, data, sizeof data, 0);
    close(file);
    switch (directory_parse(data, length, &inspection->summary.directory)) {
    case DIRECTORY_PARSED:
        return true;
    case DIRECTORY_OTHER_FORMAT:
        snprintf(error, INSPECT_ERROR_MAX, "has another format: it was made by another version of Selvedge");
        return false;
    case DIRECTORY_WRONG:
        snprintf(error, INSPECT_ERROR_MAX, "is damaged: its file `directory` cannot be read as one");
        return false;
    }
    return false;
}

static bool read_segments(inspection_t *inspection, char error[INSPECT_ERROR_MAX])
{
    int fd = openat(inspection->fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *names = fd >= 0 ? fdopendir(fd) : NULL;
    if (names == NULL) {
        snprintf(error, INSPECT_ERROR_MAX, "cannot be read: %s", strerror(errno));
        if (fd >= 0)
            close(fd);
        return false;
    }
    unsigned number;
    for (const struct dirent *entry; (entry = readdir(names)) != NULL;)
        if (parse_name(entry->d_name, &number))
            add_segment(inspection, number);
    closedir(names);
    if (inspection->count > 0)
        qsort(inspection->segments, inspection->count, sizeof *inspection->segments, newer_first);
    return true;
}

inspection_t *inspection_open(const char *path, char error[INSPECT_ERROR_MAX])
{
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) {
        snprintf(error, INSPECT_ERROR_MAX, "cannot be opened: %s", strerror(errno));
        return NULL;
    }
    inspection_t *inspection = must_calloc(1, sizeof *inspection);
    inspection->magic = INSPECTION_MAGIC;
    inspection->fd = fd;
    inspection->summary.in_use = is_in_use(fd);
    if (!read_directory(inspection, error) || !read_segments(inspection, error))
        inspection_free(&inspection);
    return inspection;
}

void inspection_free(inspection_t **pointer)
{
    inspection_t *inspection = *pointer;
    *pointer = NULL;
    MUST_BE(inspection, INSPECTION_MAGIC);
    close(inspection->fd);
    free(inspection->segments);
    inspection->magic = 0;
    free(inspection);
}

inspect_summary_t inspection_summary(const inspection_t *inspection)
{
    MUST_BE(inspection, INSPECTION_MAGIC);
    return inspection->summary;
}

bool inspect_is_piece(const disk_meta_t *meta, version_id_t *whole, uint64_t *first)
{
    uint64_t numbers[3];
    if (meta->kind != RECORD_OBJECT || meta->has_node || meta->selector.length != sizeof numbers)
        return false;
    memcpy(numbers, meta->selector.data, sizeof numbers);
    *whole = (version_id_t){numbers[0], numbers[1]};
    *first = numbers[2];
    return true;
}
