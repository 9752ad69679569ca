/* The machinery of the access log: chunks of lines go from the workers to one writer thread and back.
 *
 * A worker fills its chunk alone; handing it over takes the log's lock for a few instructions, and a system
 * call only when the writer sleeps. The writer takes all that waits at once and writes without the lock.
 * Chunks that wait are bounded: over the bound a worker's chunk is dropped and counted, and the worker goes
 * on. So does the writer with what a file does not take.
 *
 * A chunk once allocated is used until the log closes: its pages have been touched, and the ones used last,
 * which the caches may still hold, are used first. So there are at most those that may wait, and one for each
 * buffer. */
#include "edge/observe/access_log.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "edge/observe/access_log_line.h"
#include "edge/observe/drop_behind.h"

enum {
    CHUNK_SIZE = 256 << 10, /* with its header, for the allocator rounds up what is a little larger by much */
    CHUNK_BYTES = CHUNK_SIZE - 3 * sizeof(uint64_t),
    WAITING_MAX = 64, /* chunks that wait: 16 MiB of lines, what a busy disk may hold up for some moments; and
                         one for each worker, as all flush together */
    CLOSING_PATIENCE_MS = 1000 /* how long a pipe nobody reads may hold up the end */
};

#define LOG_MAGIC 0x610c0106u
#define BUFFER_MAGIC 0x610cb0ffu

typedef struct chunk chunk_t;
struct chunk {
    chunk_t *next;
    size_t length;
    uint64_t lines;
    char bytes[CHUNK_BYTES];
};
_Static_assert(sizeof(chunk_t) == CHUNK_SIZE, "a chunk has its size with its header");

struct access_log {
    uint32_t magic;

    /* Fixed after creation. */
    char *path;
    access_log_format_t format;
    pthread_t writer;
    drop_behind_t *behind;

    /* The writer's alone. */
    int fd;
    bool is_file; /* a regular file never keeps a write waiting for a reader */
    bool torn;    /* the last byte written ended no line */
    bool failing; /* already said so */

    /* Under the lock. */
    pthread_mutex_t lock;
    pthread_cond_t work;
    chunk_t *first, **last; /* handed over, oldest first */
    size_t waiting;         /* how many, those being written included */
    chunk_t *spare;         /* written, last first */
    size_t buffers;
    bool asleep; /* the writer waits for work, and nobody has woken it yet */
    bool reopen, closing;
    struct timespec closing_deadline;
};

struct access_log_buffer {
    uint32_t magic;
    access_log_t *log;

    /* Its worker's alone. */
    chunk_t *chunk;
    access_log_clock_t clock;
};

static int open_path(const char *path)
{
    if (strcmp(path, "-") == 0)
        return fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 0);
    /* Non-blocking: a FIFO without a reader is an error at once rather than a start that hangs. */
    return open(path, O_WRONLY | O_APPEND | O_CREAT | O_NOCTTY | O_NONBLOCK | O_CLOEXEC, 0640);
}

static void take_file(access_log_t *log, int fd)
{
    struct stat status;
    log->fd = fd;
    log->is_file = fstat(fd, &status) == 0 && S_ISREG(status.st_mode);
    log->torn = false;
    drop_behind_take(log->behind, log->is_file ? fd : -1);
}

/* Once for each time it starts to fail, not once for each line. */
static void say_failing(access_log_t *log, int number)
{
    if (!log->failing)
        fprintf(stderr, "selvedge: access log %s: %s; lines are dropped until it can be written again\n",
                log->path, strerror(number));
    log->failing = true;
}

static void say_working(access_log_t *log)
{
    if (log->failing)
        fprintf(stderr, "selvedge: access log %s: can be written again\n", log->path);
    log->failing = false;
}

/* Milliseconds until the end must be reached; -1 when nobody waits for it. */
static int patience_ms(access_log_t *log)
{
    struct timespec now;
    pthread_mutex_lock(&log->lock);
    bool closing = log->closing;
    struct timespec deadline = log->closing_deadline;
    pthread_mutex_unlock(&log->lock);
    if (!closing)
        return -1;
    clock_gettime(CLOCK_MONOTONIC, &now);
    int64_t ms = (deadline.tv_sec - now.tv_sec) * 1000 + (deadline.tv_nsec - now.tv_nsec) / 1000000;
    return ms < 0 ? 0 : (int)ms;
}

/* Waits until a pipe or terminal takes PIPE_BUF bytes. False when that is given up. Looks up now and then
 * because the order to close may come while it waits. */
static bool wait_writable(access_log_t *log)
{
    enum { LOOK_UP_MS = 100 };
    for (;;) {
        struct pollfd poll_fd = {.fd = log->fd, .events = POLLOUT};
        int patience = patience_ms(log);
        int ready = poll(&poll_fd, 1, patience >= 0 && patience < LOOK_UP_MS ? patience : LOOK_UP_MS);
        if (ready > 0)
            return true;
        if (ready < 0 && errno != EINTR)
            return false;
        if (patience == 0) {
            errno = ETIMEDOUT;
            return false;
        }
    }
}

/* Writes some; returns how many bytes, 0 with errno set when none can be. */
static size_t write_some(access_log_t *log, const char *bytes, size_t length)
{
    for (;;) {
        if (!log->is_file && !wait_writable(log))
            return 0;
        ssize_t written = write(log->fd, bytes, log->is_file || length < PIPE_BUF ? length : PIPE_BUF);
        if (written > 0)
            return (size_t)written;
        if (written == 0)
            errno = EIO;
        if (written == 0 || (errno != EINTR && errno != EAGAIN))
            return 0;
    }
}

static uint64_t count_lines(const char *bytes, size_t length)
{
    uint64_t lines = 0;
    const char *end = bytes + length;
    while ((bytes = memchr(bytes, '\n', (size_t)(end - bytes))) != NULL) {
        lines++;
        bytes++;
    }
    return lines;
}

/* After a failure within a line the next chunk must not go on in the middle of it. */
static bool mend(access_log_t *log)
{
    if (log->torn)
        log->torn = write_some(log, "\n", 1) == 0;
    return !log->torn;
}

static void write_chunk(access_log_t *log, const chunk_t *chunk)
{
    size_t done = 0;
    bool good = mend(log);
    while (good && done < chunk->length) {
        size_t written = write_some(log, chunk->bytes + done, chunk->length - done);
        good = written > 0;
        done += written;
    }
    drop_behind_wrote(log->behind, done);
    if (good) {
        say_working(log);
        return;
    }
    say_failing(log, errno);
    if (done > 0)
        log->torn = chunk->bytes[done - 1] != '\n';
    count_access_log_dropped(chunk->lines - count_lines(chunk->bytes, done));
}

static void reopen_now(access_log_t *log)
{
    if (strcmp(log->path, "-") == 0)
        return;
    int fd = open_path(log->path);
    if (fd < 0) {
        fprintf(stderr, "selvedge: access log %s: cannot be opened anew (%s); the old file is written on\n",
                log->path, strerror(errno));
        return;
    }
    close(log->fd);
    take_file(log, fd);
}

/* Under the lock. */
static void give_back(access_log_t *log, chunk_t *chunk)
{
    log->waiting--;
    chunk->next = log->spare;
    log->spare = chunk;
}

/* Lets the lock go, and wakes the writer if it sleeps: in this order, for a writer that is woken before would
 * only wait for the lock. */
static void unlock_and_wake(access_log_t *log)
{
    bool asleep = log->asleep;
    log->asleep = false;
    pthread_mutex_unlock(&log->lock);
    if (asleep)
        pthread_cond_signal(&log->work);
}

/* One round of the writer, entered and left with the lock held. */
static void write_waiting(access_log_t *log)
{
    chunk_t *chunk = log->first;
    bool reopen = log->reopen;
    log->first = NULL;
    log->last = &log->first;
    log->reopen = false;
    pthread_mutex_unlock(&log->lock);
    if (reopen)
        reopen_now(log);
    while (chunk != NULL) {
        chunk_t *next = chunk->next;
        write_chunk(log, chunk);
        pthread_mutex_lock(&log->lock);
        give_back(log, chunk);
        pthread_mutex_unlock(&log->lock);
        chunk = next;
    }
    pthread_mutex_lock(&log->lock);
}

/* Under the lock. */
static void sleep_until_woken(access_log_t *log)
{
    log->asleep = true;
    while (log->asleep)
        pthread_cond_wait(&log->work, &log->lock);
}

/* Being woken is no reason to interrupt a worker on its core: the writer's turn comes when the worker waits
 * or has had its share. Where that is not allowed it does without. */
static void yield_to_workers(void)
{
    pthread_setschedparam(pthread_self(), SCHED_BATCH, &(struct sched_param){0});
}

static void *write_on(void *argument)
{
    access_log_t *log = argument;
    MUST_BE(log, LOG_MAGIC);
    counters_attach();
    yield_to_workers();
    pthread_mutex_lock(&log->lock);
    for (;;) {
        if (log->first != NULL || log->reopen)
            write_waiting(log);
        else if (log->closing)
            break;
        else
            sleep_until_woken(log);
    }
    pthread_mutex_unlock(&log->lock);
    return NULL;
}

static const char *open_error(int number)
{
    static _Thread_local char text[160];
    snprintf(text, sizeof text, "%s%s", strerror(number),
             number == ENXIO ? " (a FIFO that nobody reads)" : "");
    return text;
}

access_log_t *access_log_open(const char *path, access_log_format_t format, const char **error)
{
    int fd = open_path(path);
    if (fd < 0) {
        *error = open_error(errno);
        return NULL;
    }
    access_log_t *log = must_calloc(1, sizeof *log);
    log->magic = LOG_MAGIC;
    log->format = format;
    log->path = strdup(path);
    MUST(log->path != NULL);
    log->last = &log->first;
    log->behind = drop_behind_start();
    take_file(log, fd);
    MUST(pthread_mutex_init(&log->lock, NULL) == 0 && pthread_cond_init(&log->work, NULL) == 0);
    MUST(pthread_create(&log->writer, NULL, write_on, log) == 0);
    return log;
}

void access_log_close(access_log_t **handle)
{
    access_log_t *log = *handle;
    MUST_BE(log, LOG_MAGIC);
    pthread_mutex_lock(&log->lock);
    MUST(log->buffers == 0);
    log->closing = true;
    clock_gettime(CLOCK_MONOTONIC, &log->closing_deadline);
    log->closing_deadline.tv_sec += CLOSING_PATIENCE_MS / 1000;
    unlock_and_wake(log);
    MUST(pthread_join(log->writer, NULL) == 0);
    while (log->spare != NULL) {
        chunk_t *chunk = log->spare;
        log->spare = chunk->next;
        free(chunk);
    }
    drop_behind_stop(&log->behind);
    close(log->fd);
    pthread_cond_destroy(&log->work);
    pthread_mutex_destroy(&log->lock);
    free(log->path);
    free(log);
    *handle = NULL;
}

void access_log_reopen(access_log_t *log)
{
    MUST_BE(log, LOG_MAGIC);
    pthread_mutex_lock(&log->lock);
    log->reopen = true;
    unlock_and_wake(log);
}

/* The chunk, or a new one. */
static chunk_t *empty_chunk(chunk_t *chunk)
{
    if (chunk == NULL)
        chunk = must_alloc(sizeof *chunk);
    chunk->length = 0;
    chunk->lines = 0;
    return chunk;
}

access_log_buffer_t *access_log_buffer_new(access_log_t *log)
{
    MUST_BE(log, LOG_MAGIC);
    access_log_buffer_t *buffer = must_calloc(1, sizeof *buffer);
    buffer->magic = BUFFER_MAGIC;
    buffer->log = log;
    buffer->chunk = empty_chunk(NULL);
    pthread_mutex_lock(&log->lock);
    log->buffers++;
    pthread_mutex_unlock(&log->lock);
    return buffer;
}

void access_log_buffer_free(access_log_buffer_t **handle)
{
    access_log_buffer_t *buffer = *handle;
    MUST_BE(buffer, BUFFER_MAGIC);
    access_log_flush(buffer);
    pthread_mutex_lock(&buffer->log->lock);
    buffer->log->buffers--;
    pthread_mutex_unlock(&buffer->log->lock);
    free(buffer->chunk);
    free(buffer);
    *handle = NULL;
}

/* Takes the chunk over and gives one that was written, or NULL where the caller makes one itself. False: too
 * many wait. */
static bool exchange(access_log_t *log, chunk_t **chunk)
{
    pthread_mutex_lock(&log->lock);
    if (log->waiting >= WAITING_MAX + log->buffers) {
        pthread_mutex_unlock(&log->lock);
        return false;
    }
    (*chunk)->next = NULL;
    *log->last = *chunk;
    log->last = &(*chunk)->next;
    log->waiting++;
    *chunk = log->spare;
    if (log->spare != NULL)
        log->spare = log->spare->next;
    unlock_and_wake(log);
    return true;
}

void access_log_flush(access_log_buffer_t *buffer)
{
    MUST_BE(buffer, BUFFER_MAGIC);
    if (buffer->chunk->length == 0)
        return;
    if (!exchange(buffer->log, &buffer->chunk))
        count_access_log_dropped(buffer->chunk->lines);
    buffer->chunk = empty_chunk(buffer->chunk);
}

void access_log_add(access_log_buffer_t *buffer, const access_log_line_t *line)
{
    MUST_BE(buffer, BUFFER_MAGIC);
    chunk_t *chunk = buffer->chunk;
    size_t room = CHUNK_BYTES - chunk->length;
    if (room < ACCESS_LOG_LINE_MAX && room < access_log_line_bound(line)) {
        access_log_flush(buffer);
        chunk = buffer->chunk;
    }
    char *out = chunk->bytes + chunk->length;
    chunk->length += buffer->log->format == ACCESS_LOG_COMBINED
                         ? access_log_combined(&buffer->clock, line, out)
                         : access_log_json(&buffer->clock, line, out);
    chunk->lines++;
}
