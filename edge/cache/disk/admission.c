#include "edge/cache/disk/admission.h"

#include <stdatomic.h>

enum { ADMISSION_MAGIC = 0x5e1adb17 };
enum { RECORD_BYTES_MEAN = 32 * 1024, WORDS_MIN = 8192, WORDS_MAX = 1 << 26 };

/* A word holds eight marks of 1 to 255, the newest lowest; 0: nothing yet. */
typedef _Atomic uint64_t word_t;
enum { MARKS = 8 };

struct admission {
    uint32_t magic;
    uint64_t count;
    word_t *words;
};

admission_t *admission_new(uint64_t disk_bytes)
{
    admission_t *admission = must_calloc(1, sizeof *admission);
    uint64_t words = disk_bytes / RECORD_BYTES_MEAN / MARKS;
    admission->magic = ADMISSION_MAGIC;
    admission->count = words < WORDS_MIN ? WORDS_MIN : words > WORDS_MAX ? WORDS_MAX : words;
    admission->words = must_calloc(admission->count, sizeof(word_t));
    return admission;
}

void admission_free(admission_t **pointer)
{
    admission_t *admission = *pointer;
    *pointer = NULL;
    if (admission == NULL)
        return;
    MUST_BE(admission, ADMISSION_MAGIC);
    free(admission->words);
    free(admission);
}

static bool holds(uint64_t word, uint64_t mark)
{
    for (int i = 0; i < MARKS; i++)
        if ((word >> (8 * i) & 0xff) == mark)
            return true;
    return false;
}

/* The words are independent of each other and of all else, so that relaxed order is enough. */
bool admission_seen(admission_t *admission, uint64_t hash)
{
    MUST_BE(admission, ADMISSION_MAGIC);
    word_t *word = &admission->words[(hash >> 32) * admission->count >> 32];
    uint64_t mark = 1 + (hash & UINT32_MAX) % 255;
    uint64_t seen = atomic_load_explicit(word, memory_order_relaxed);
    do
        if (holds(seen, mark))
            return true;
    while (!atomic_compare_exchange_weak_explicit(word, &seen, seen << 8 | mark, memory_order_relaxed,
                                                  memory_order_relaxed));
    return false;
}

size_t admission_bytes(const admission_t *admission)
{
    return sizeof *admission + admission->count * sizeof(word_t);
}
