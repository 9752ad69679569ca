#include "conf/files.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>
#include <xxhash.h>

enum { FILES_MAX = 4096, PATH_BYTES_MAX = 1 << 16 };

typedef struct file file_t;
struct file {
    file_t *next;
    char *path;
    char *bytes; /* one zero more behind them; NULL: forgotten, or never read */
    size_t length;
    int failed; /* errno, or 0 */
    uint64_t hash;
};

struct files {
    file_t *first, **last;
    bool closed; /* nothing is read from the disk */
};

static files_t *files_make(bool closed)
{
    files_t *files = must_calloc(1, sizeof *files);
    files->last = &files->first;
    files->closed = closed;
    return files;
}

files_t *files_new(void)
{
    return files_make(false);
}

static void drop_bytes(file_t *file)
{
    if (file->bytes != NULL)
        explicit_bzero(file->bytes, file->length);
    free(file->bytes);
    file->bytes = NULL;
}

void files_free(files_t **pointer)
{
    files_t *files = *pointer;
    *pointer = NULL;
    while (files->first != NULL) {
        file_t *file = files->first;
        files->first = file->next;
        drop_bytes(file);
        free(file->path);
        free(file);
    }
    free(files);
}

void files_forget(files_t *files)
{
    files->closed = true;
    for (file_t *file = files->first; file != NULL; file = file->next)
        drop_bytes(file);
}

static file_t *find(const files_t *files, const char *path)
{
    file_t *file = files->first;
    while (file != NULL && strcmp(file->path, path) != 0)
        file = file->next;
    return file;
}

static file_t *add(files_t *files, text_t path)
{
    file_t *file = must_calloc(1, sizeof *file);
    file->path = strndup(path.data, path.length);
    MUST(file->path != NULL);
    *files->last = file;
    files->last = &file->next;
    return file;
}

static void give_bytes(file_t *file, char *bytes, size_t length)
{
    bytes[length] = 0;
    file->bytes = bytes;
    file->length = length;
    file->hash = XXH3_64bits(bytes, length);
}

/* --- From the disk --- */

/* A FIFO that nobody writes to is empty rather than waited for; one with a writer is read to its end. */
static int open_file(const char *path)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd >= 0)
        MUST(fcntl(fd, F_SETFL, 0) == 0);
    return fd;
}

/* How much there was, at most the capacity; negative: minus errno. */
static ssize_t read_all(int fd, char *bytes, size_t capacity)
{
    size_t length = 0;
    while (length < capacity) {
        ssize_t got = read(fd, bytes + length, capacity - length);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return -errno;
        if (got == 0)
            break;
        length += (size_t)got;
    }
    return (ssize_t)length;
}

static void read_file(file_t *file)
{
    int fd = open_file(file->path);
    if (fd < 0) {
        file->failed = errno;
        return;
    }
    char *bytes = must_alloc(FILES_BYTES_MAX + 1);
    ssize_t length = read_all(fd, bytes, FILES_BYTES_MAX);
    close(fd);
    if (length < 0) {
        file->failed = (int)-length;
        free(bytes);
        return;
    }
    char *fitting = realloc(bytes, (size_t)length + 1);
    give_bytes(file, fitting != NULL ? fitting : bytes, (size_t)length);
}

bool files_get(files_t *files, const char *path, text_t *bytes)
{
    file_t *file = find(files, path);
    if (file == NULL && files->closed) {
        errno = ENOENT;
        return false;
    }
    if (file == NULL) {
        file = add(files, text_of(path));
        read_file(file);
    }
    errno = file->failed;
    *bytes = (text_t){file->bytes, file->length};
    return file->failed == 0;
}

FILE *files_open(files_t *files, const char *path)
{
    text_t bytes;
    if (files == NULL)
        return fopen(path, "re");
    if (!files_get(files, path, &bytes))
        return NULL;
    /* Only for reading: the cast takes away nothing. */
    return fmemopen((void *)(uintptr_t)bytes.data, bytes.length, "re");
}

/* --- In one piece --- */

typedef struct {
    uint32_t path_length; /* 0: the end */
    uint32_t failed;
    uint64_t length;
} header_t;

static bool write_all(int fd, const void *bytes, size_t length)
{
    const char *at = bytes;
    while (length > 0) {
        ssize_t wrote = write(fd, at, length);
        if (wrote < 0 && errno != EINTR)
            return false;
        at += wrote > 0 ? wrote : 0;
        length -= wrote > 0 ? (size_t)wrote : 0;
    }
    return true;
}

bool files_write(const files_t *files, int fd)
{
    const header_t end = {0};
    for (const file_t *file = files->first; file != NULL; file = file->next) {
        header_t header = {(uint32_t)strlen(file->path), (uint32_t)file->failed, file->length};
        if (!write_all(fd, &header, sizeof header) || !write_all(fd, file->path, header.path_length) ||
            !write_all(fd, file->bytes != NULL ? file->bytes : "", file->length))
            return false;
    }
    return write_all(fd, &end, sizeof end);
}

static bool take(text_t *from, void *to, size_t size)
{
    if (from->length < size)
        return false;
    memcpy(to, from->data, size);
    from->data += size;
    from->length -= size;
    return true;
}

/* False after the end, or when it is no record: then *sound is false too. */
static bool parse_one(files_t *files, text_t *rest, bool *sound)
{
    header_t header;
    *sound = take(rest, &header, sizeof header);
    if (!*sound || header.path_length == 0)
        return false;
    *sound = header.path_length <= rest->length && header.path_length <= PATH_BYTES_MAX &&
             header.failed <= INT32_MAX && header.length <= rest->length - header.path_length;
    if (!*sound)
        return false;
    file_t *file = add(files, (text_t){rest->data, header.path_length});
    rest->data += header.path_length;
    rest->length -= header.path_length;
    file->failed = (int)header.failed;
    char *bytes = must_alloc(header.length + 1);
    take(rest, bytes, header.length);
    give_bytes(file, bytes, header.length);
    return true;
}

files_t *files_parse(text_t bytes)
{
    files_t *files = files_make(true);
    bool sound = true;
    size_t count = 0;
    while (count++ < FILES_MAX && parse_one(files, &bytes, &sound))
        continue;
    if (sound && count <= FILES_MAX)
        return files;
    files_free(&files);
    return NULL;
}

files_t *files_read(int fd)
{
    struct stat about;
    if (fstat(fd, &about) != 0 || about.st_size <= 0)
        return NULL;
    size_t length = (size_t)about.st_size;
    void *bytes = mmap(NULL, length, PROT_READ, MAP_PRIVATE, fd, 0);
    if (bytes == MAP_FAILED)
        return NULL;
    files_t *files = files_parse((text_t){bytes, length});
    munmap(bytes, length);
    return files;
}

void files_compare(const files_t *before, const files_t *after,
                   void (*changed)(void *context, const char *path), void *context)
{
    for (const file_t *file = after->first; file != NULL; file = file->next) {
        const file_t *was = find(before, file->path);
        if (was != NULL && (was->hash != file->hash || was->length != file->length))
            changed(context, file->path);
    }
}
