#include "edge/observe/drop_behind.h"

#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <sys/stat.h>
#include <unistd.h>

#define DROP_MAGIC 0xd50bb41du

struct drop_behind {
    uint32_t magic;
    pthread_t thread;

    /* The writer's alone. */
    size_t written; /* since it last said so */

    /* Under the lock. */
    pthread_mutex_t lock;
    pthread_cond_t changed;
    int next;      /* a descriptor of its own of the file to go on with, -1 for none; the thread takes it */
    bool is_other; /* there is one */
    bool due, stopping;
};

/* --- One file --- */

/* Whole pages of what there is: the last one is still being written. */
static int64_t whole_pages(int fd)
{
    enum { PAGE_BYTES = 4096 };
    struct stat status;
    return fstat(fd, &status) == 0 ? status.st_size / PAGE_BYTES * PAGE_BYTES : 0;
}

void drop_behind_open(drop_behind_file_t *file, int fd)
{
    file->begin = file->started = whole_pages(fd);
}

/* What fails, fails for the kernel's own reasons, and costs only memory. */
void drop_behind_step(drop_behind_file_t *file, int fd)
{
    int64_t end = whole_pages(fd);
    if (end < file->started) /* it was cut short */
        file->begin = file->started = end;
    if (end > file->started)
        sync_file_range(fd, file->started, end - file->started, SYNC_FILE_RANGE_WRITE);
    file->started = end;
    /* What the disk does not have yet stays, so each page is looked at a few times. */
    int64_t to = end - DROP_BEHIND_KEPT_BYTES, from = to - DROP_BEHIND_KEPT_BYTES;
    if (from < file->begin)
        from = file->begin;
    if (to > from)
        posix_fadvise(fd, from, to - from, POSIX_FADV_DONTNEED);
}

/* --- The thread --- */

/* Waits for something to do. False: to stop. *other: there is another file, *next. */
static bool await(drop_behind_t *drop, bool *other, int *next)
{
    pthread_mutex_lock(&drop->lock);
    while (!drop->due && !drop->is_other && !drop->stopping)
        pthread_cond_wait(&drop->changed, &drop->lock);
    bool go_on = !drop->stopping;
    *other = drop->is_other;
    *next = drop->next;
    drop->due = drop->is_other = false;
    drop->next = -1;
    pthread_mutex_unlock(&drop->lock);
    return go_on;
}

static void close_if_open(int fd)
{
    if (fd >= 0)
        close(fd);
}

static void *run(void *argument)
{
    drop_behind_t *drop = argument;
    MUST_BE(drop, DROP_MAGIC);
    pthread_setname_np(pthread_self(), "drop-behind");
    /* No reason to interrupt a worker on its core. */
    pthread_setschedparam(pthread_self(), SCHED_BATCH, &(struct sched_param){0});
    drop_behind_file_t file = {0};
    bool other;
    int fd = -1, next;
    while (await(drop, &other, &next)) {
        if (other) {
            close_if_open(fd);
            fd = next;
            if (fd >= 0)
                drop_behind_open(&file, fd);
        } else if (fd >= 0)
            drop_behind_step(&file, fd);
    }
    close_if_open(fd);
    close_if_open(next);
    return NULL;
}

drop_behind_t *drop_behind_start(void)
{
    drop_behind_t *drop = must_calloc(1, sizeof *drop);
    drop->magic = DROP_MAGIC;
    drop->next = -1;
    MUST(pthread_mutex_init(&drop->lock, NULL) == 0 && pthread_cond_init(&drop->changed, NULL) == 0);
    MUST(pthread_create(&drop->thread, NULL, run, drop) == 0);
    return drop;
}

void drop_behind_stop(drop_behind_t **handle)
{
    drop_behind_t *drop = *handle;
    MUST_BE(drop, DROP_MAGIC);
    *handle = NULL;
    pthread_mutex_lock(&drop->lock);
    drop->stopping = true;
    pthread_mutex_unlock(&drop->lock);
    pthread_cond_signal(&drop->changed);
    MUST(pthread_join(drop->thread, NULL) == 0);
    pthread_cond_destroy(&drop->changed);
    pthread_mutex_destroy(&drop->lock);
    free(drop);
}

/* --- The writer --- */

void drop_behind_take(drop_behind_t *drop, int fd)
{
    MUST_BE(drop, DROP_MAGIC);
    int next = fd >= 0 ? fcntl(fd, F_DUPFD_CLOEXEC, 0) : -1;
    drop->written = 0;
    pthread_mutex_lock(&drop->lock);
    close_if_open(drop->next); /* one that the thread has not come to */
    drop->next = next;
    drop->is_other = true;
    pthread_mutex_unlock(&drop->lock);
    pthread_cond_signal(&drop->changed);
}

void drop_behind_wrote(drop_behind_t *drop, size_t bytes)
{
    drop->written += bytes;
    if (drop->written < DROP_BEHIND_STEP_BYTES)
        return;
    drop->written = 0;
    pthread_mutex_lock(&drop->lock);
    drop->due = true;
    pthread_mutex_unlock(&drop->lock);
    pthread_cond_signal(&drop->changed);
}
