/* Which purges were acknowledged, from a journal that may be another process's: nothing there is changed. */
#include "purge/journal.h"
#include "purge/selvedgectl_cache.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

enum { EXACT_SLOTS = 1 << 17, FOLDED_SLOTS = 1 << 16 };

/* The context is the directory's descriptor, by value. */
static int open_to_read(void *context, const char *name, journal_mode_t mode)
{
    if (mode == JOURNAL_WRITE)
        return -EROFS;
    /* The lock stays whose it is; there may even be none in a copy. */
    if (mode == JOURNAL_LOCK)
        return open("/dev/null", O_RDONLY | O_CLOEXEC);
    int file = openat((int)(intptr_t)context, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    return file < 0 ? -errno : file;
}

static ssize_t read_some(void *context, int file, void *data, size_t length)
{
    (void)context;
    ssize_t done = read(file, data, length);
    return done < 0 ? -errno : done;
}

static ssize_t refuse_write(void *context, int file, const void *data, size_t length)
{
    (void)context, (void)file, (void)data, (void)length;
    return -EROFS;
}

static int do_nothing(void *context, int file)
{
    (void)context, (void)file;
    return 0;
}

static int close_one(void *context, int file)
{
    (void)context;
    return close(file);
}

static int refuse_rename(void *context, const char *from, const char *to)
{
    (void)context, (void)from, (void)to;
    return -EROFS;
}

static int refuse_unlink(void *context, const char *name)
{
    (void)context, (void)name;
    return -EROFS;
}

static int refuse_sync(void *context)
{
    (void)context;
    return -EROFS;
}

/* What needs a new journal, or mends one, fails for want of a write. */
static ledger_t *open_journal(int directory, char why[INSPECT_ERROR_MAX])
{
    ledger_t *ledger = ledger_new(EXACT_SLOTS, FOLDED_SLOTS);
    const journal_config_t config = {.io = {.context = (void *)(intptr_t)directory,
                                            .open = open_to_read,
                                            .read = read_some,
                                            .write = refuse_write,
                                            .fsync = do_nothing,
                                            .lock = do_nothing,
                                            .close = close_one,
                                            .rename = refuse_rename,
                                            .unlink = refuse_unlink,
                                            .fsync_directory = refuse_sync},
                                     .ledger = ledger,
                                     .compact_bytes = 1};
    journal_opening_t opening;
    journal_error_t error;
    journal_t *journal = journal_open(&config, &opening, &error);
    if (journal == NULL) {
        journal_error_text(&error, why, INSPECT_ERROR_MAX);
        if (error.number == EROFS)
            snprintf(why, INSPECT_ERROR_MAX, "there is no whole journal in it");
        ledger_free(&ledger);
        return NULL;
    }
    journal_close(&journal);
    return ledger;
}

ledger_t *cache_read_ledger(const char *state, char why[INSPECT_ERROR_MAX])
{
    int directory = open(state, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (directory < 0) {
        snprintf(why, INSPECT_ERROR_MAX, "%s", strerror(errno));
        return NULL;
    }
    ledger_t *ledger = open_journal(directory, why);
    close(directory);
    return ledger;
}
