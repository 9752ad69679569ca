#include "tests/bench/sparse_files.h"

#include <errno.h>

enum { PAGE_BYTES = 4096, NAME_BYTES = 32, FILES_MAX = 4096 };

typedef struct {
    char name[NAME_BYTES]; /* empty: it was unlinked, or there is none */
    uint64_t length;
    uint8_t **pages; /* NULL: all zero */
    size_t page_count;
} file_t;

struct sparse_files {
    file_t files[FILES_MAX];
    uint64_t written;
};

static file_t *file_of(void *context, int number)
{
    sparse_files_t *files = context;
    MUST(number >= 0 && number < FILES_MAX);
    return &files->files[number];
}

static int find(const sparse_files_t *files, const char *name)
{
    for (int i = 0; i < FILES_MAX; i++)
        if (strcmp(files->files[i].name, name) == 0)
            return i;
    return -ENOENT;
}

static void drop_pages(file_t *file, size_t from)
{
    for (size_t i = from; i < file->page_count; i++) {
        free(file->pages[i]);
        file->pages[i] = NULL;
    }
}

static int sparse_open(void *context, const char *name, disk_open_t how)
{
    int number = find(context, name);
    if (number >= 0 || how == DISK_OPEN_EXISTING)
        return number;
    number = find(context, "");
    MUST(number >= 0 && strlen(name) < NAME_BYTES);
    strcpy(file_of(context, number)->name, name);
    return number;
}

static int sparse_close(void *context, int number)
{
    (void)file_of(context, number);
    return 0;
}

static size_t read_some(const file_t *file, uint8_t *to, size_t length, uint64_t offset)
{
    size_t done = 0;
    while (done < length && offset + done < file->length) {
        uint64_t at = offset + done, rest = file->length - at;
        size_t part = PAGE_BYTES - at % PAGE_BYTES, page = (size_t)(at / PAGE_BYTES);
        part = part < length - done ? part : length - done;
        part = part < rest ? part : (size_t)rest;
        if (page < file->page_count && file->pages[page] != NULL)
            memcpy(to + done, file->pages[page] + at % PAGE_BYTES, part);
        else
            memset(to + done, 0, part);
        done += part;
    }
    return done;
}

static ssize_t sparse_read(void *context, int number, const struct iovec *to, int count, uint64_t offset)
{
    size_t done = 0;
    for (int i = 0; i < count; i++)
        done += read_some(file_of(context, number), to[i].iov_base, to[i].iov_len, offset + done);
    return (ssize_t)done;
}

static bool all_zero(const uint8_t *bytes, size_t length)
{
    return length == 0 || (bytes[0] == 0 && memcmp(bytes, bytes + 1, length - 1) == 0);
}

static void grow(file_t *file, uint64_t length)
{
    size_t pages = (size_t)((length + PAGE_BYTES - 1) / PAGE_BYTES);
    file->length = length > file->length ? length : file->length;
    if (pages <= file->page_count)
        return;
    file->pages = realloc(file->pages, pages * sizeof *file->pages);
    MUST(file->pages != NULL);
    memset(file->pages + file->page_count, 0, (pages - file->page_count) * sizeof *file->pages);
    file->page_count = pages;
}

static void write_page(file_t *file, const uint8_t *bytes, size_t length, uint64_t at)
{
    uint8_t **page = &file->pages[at / PAGE_BYTES];
    if (*page == NULL && all_zero(bytes, length))
        return;
    if (*page == NULL)
        *page = must_calloc(1, PAGE_BYTES);
    memcpy(*page + at % PAGE_BYTES, bytes, length);
    if (!all_zero(*page, PAGE_BYTES))
        return;
    free(*page);
    *page = NULL;
}

static ssize_t sparse_write(void *context, int number, const void *bytes, size_t length, uint64_t offset)
{
    file_t *file = file_of(context, number);
    grow(file, offset + length);
    for (size_t done = 0, part; done < length; done += part) {
        part = PAGE_BYTES - (size_t)((offset + done) % PAGE_BYTES);
        part = part < length - done ? part : length - done;
        write_page(file, (const uint8_t *)bytes + done, part, offset + done);
    }
    ((sparse_files_t *)context)->written += length;
    return (ssize_t)length;
}

static int sparse_start_writing(void *context, int number, uint64_t offset, uint64_t length)
{
    (void)offset;
    (void)length;
    return sparse_close(context, number);
}

static int sparse_set_length(void *context, int number, uint64_t length)
{
    file_t *file = file_of(context, number);
    if (length < file->length) {
        uint64_t end = (length + PAGE_BYTES - 1) / PAGE_BYTES * PAGE_BYTES;
        drop_pages(file, (size_t)(end / PAGE_BYTES));
        if (end > length && file->pages[length / PAGE_BYTES] != NULL)
            memset(file->pages[length / PAGE_BYTES] + length % PAGE_BYTES, 0, (size_t)(end - length));
        file->length = length;
    }
    grow(file, length);
    return 0;
}

static int sparse_length(void *context, int number, uint64_t *length)
{
    *length = file_of(context, number)->length;
    return 0;
}

static int sparse_unlink(void *context, const char *name)
{
    int number = find(context, name);
    if (number < 0)
        return number;
    file_t *file = file_of(context, number);
    drop_pages(file, 0);
    file->length = 0;
    file->name[0] = '\0';
    return 0;
}

static int sparse_rename(void *context, const char *from, const char *to)
{
    int number = find(context, from);
    if (number < 0)
        return number;
    sparse_unlink(context, to);
    MUST(strlen(to) < NAME_BYTES);
    strcpy(file_of(context, number)->name, to);
    return 0;
}

static int sparse_sync_directory(void *context)
{
    (void)context;
    return 0;
}

static int sparse_list(void *context, void (*each)(void *each_context, const char *name), void *each_context)
{
    const sparse_files_t *files = context;
    for (int i = 0; i < FILES_MAX; i++)
        if (files->files[i].name[0] != '\0')
            each(each_context, files->files[i].name);
    return 0;
}

sparse_files_t *sparse_files_new(void)
{
    return must_calloc(1, sizeof(sparse_files_t));
}

void sparse_files_free(sparse_files_t **pointer)
{
    sparse_files_t *files = *pointer;
    *pointer = NULL;
    for (int i = 0; i < FILES_MAX; i++) {
        drop_pages(&files->files[i], 0);
        free(files->files[i].pages);
    }
    free(files);
}

disk_io_t sparse_files_io(sparse_files_t *files)
{
    return (disk_io_t){.context = files,
                       .open = sparse_open,
                       .close = sparse_close,
                       .read = sparse_read,
                       .write = sparse_write,
                       .start_writing = sparse_start_writing,
                       .sync = sparse_close,
                       .set_length = sparse_set_length,
                       .length = sparse_length,
                       .lock = sparse_close,
                       .rename = sparse_rename,
                       .unlink = sparse_unlink,
                       .sync_directory = sparse_sync_directory,
                       .list = sparse_list};
}

uint64_t sparse_files_written(const sparse_files_t *files)
{
    return files->written;
}
