#include "tests/sim/note.h"

#include <inttypes.h>
#include <signal.h>
#include <stdarg.h>
#include <unistd.h>

#include "tests/sim/random.h"
#include "tests/sim/schedule.h"

notes_t notes;

static struct {
    const char *program;
    uint64_t seed, hash;
    bool trace;
    char replay[512];
} story;

const char *note_text(note_t note)
{
    static const char *const texts[] = {
#define NOTE_TEXT(name, text) text,
        NOTES(NOTE_TEXT)
#undef NOTE_TEXT
    };
    return texts[note];
}

/* A bug that ends the process by itself is replayed by the same command. Only write() here. */
static void on_death(int number)
{
    ssize_t ignored = write(STDERR_FILENO, story.replay, strlen(story.replay));
    (void)ignored;
    signal(number, SIG_DFL);
    raise(number);
}

static void watch_for_deaths(void)
{
    static const int deaths[] = {
        SIGABRT,
        SIGALRM,
#if !defined(__SANITIZE_ADDRESS__)
        SIGSEGV,
        SIGBUS,
        SIGFPE
#endif
    };
    for (size_t i = 0; i < sizeof deaths / sizeof deaths[0]; i++)
        signal(deaths[i], on_death);
}

#if defined(__SANITIZE_ADDRESS__)
void __sanitizer_set_death_callback(void (*callback)(void));

static void on_sanitizer_death(void)
{
    ssize_t ignored = write(STDERR_FILENO, story.replay, strlen(story.replay));
    (void)ignored;
}
#endif

void note_begin(const char *program, uint64_t seed, bool trace)
{
    enum { SEED_SECONDS = 120 };
    story.program = program;
    story.seed = seed;
    story.hash = seed;
    story.trace = trace;
    snprintf(story.replay, sizeof story.replay, "replay with: %s --seed %" PRIu64 " --trace\n", program,
             seed);
    watch_for_deaths();
#if defined(__SANITIZE_ADDRESS__)
    __sanitizer_set_death_callback(on_sanitizer_death);
#endif
    alarm(SEED_SECONDS); /* a seed that does not end is a bug like any other */
}

uint64_t note_hash(void)
{
    return story.hash;
}

void note_event(const char *what, uint64_t a, uint64_t b, uint64_t c)
{
    uint64_t hash = story.hash ^ (uint64_t)schedule_now_us();
    hash = random_mix(hash + a);
    hash = random_mix(hash + b);
    story.hash = random_mix(hash + c + (unsigned char)what[0] * 256u + (unsigned char)what[1]);
    if (story.trace)
        printf("%10.3f ms %-9s %-34s %6" PRIu64 " %6" PRIu64 " %6" PRIu64 "\n",
               (double)(schedule_now_us() % 1000000000) / 1000.0, schedule_thread_name(), what, a, b, c);
}

_Noreturn void note_violation(const char *format, ...)
{
    va_list arguments;
    fflush(stdout);
    fprintf(stderr, "seed %" PRIu64 ": violation: ", story.seed);
    va_start(arguments, format);
    vfprintf(stderr, format, arguments);
    va_end(arguments);
    fprintf(stderr, "\n%s", story.replay);
    fflush(stderr);
    _exit(1);
}
