#include "purge/state_file.h"

#include <errno.h>

bool state_file_fail(journal_error_t *error, const char *call, const char *file, ssize_t result)
{
    *error = (journal_error_t){
        .failure = JOURNAL_IO_FAILED, .call = call, .file = file, .number = result < 0 ? (int)-result : EIO};
    return false;
}

void state_file_close(const journal_io_t *io, int *file)
{
    if (*file != NO_FILE)
        io->close(io->context, *file);
    *file = NO_FILE;
}

bool state_file_write(const journal_io_t *io, int file, const char *name, const uint8_t *data, size_t length,
                      journal_error_t *error)
{
    while (length > 0) {
        ssize_t done = io->write(io->context, file, data, length);
        if (done <= 0)
            return state_file_fail(error, "write", name, done);
        data += done;
        length -= (size_t)done;
    }
    int result = io->fsync(io->context, file);
    return result == 0 || state_file_fail(error, "fsync", name, result);
}

bool state_file_read(const journal_io_t *io, const char *name, bytes_t *bytes, journal_error_t *error)
{
    int file = io->open(io->context, name, JOURNAL_READ);
    if (file < 0)
        return state_file_fail(error, "open", name, file);
    ssize_t done;
    do {
        bytes_reserve(bytes, 4096);
        done = io->read(io->context, file, bytes->data + bytes->length, bytes->capacity - bytes->length);
        if (done > 0)
            bytes->length += (size_t)done;
    } while (done > 0);
    state_file_close(io, &file);
    return done == 0 || state_file_fail(error, "read", name, done);
}

bool state_file_replace(const journal_io_t *io, const char *name, const char *draft, const uint8_t *data,
                        size_t length, int *kept, journal_error_t *error)
{
    int file = io->open(io->context, draft, JOURNAL_WRITE);
    if (file < 0)
        return state_file_fail(error, "open", draft, file);

    int result = 0;
    bool done = state_file_write(io, file, draft, data, length, error);
    if (done && (result = io->rename(io->context, draft, name)) != 0)
        done = state_file_fail(error, "rename", draft, result);
    if (!done)
        io->unlink(io->context,
                   draft); /* gives its space back; if that fails too, the next draft empties it */
    else if ((result = io->fsync_directory(io->context)) != 0)
        done = state_file_fail(error, "fsync", "the state directory", result);

    if (!done || kept == NULL)
        state_file_close(io, &file);
    if (kept != NULL)
        *kept = file;
    return done;
}
