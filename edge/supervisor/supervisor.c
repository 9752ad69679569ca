#include "edge/supervisor/supervisor.h"

#include "edge/supervisor/notify.h"

#include <errno.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { CHECKS_IN_A_LIMIT = 40, KILLED_AFTER_CHECKS = 36, LONGEST_WAIT_MS = 250, TEXT_BYTES = 128 };

typedef struct {
    uint64_t ticks;
    int64_t silent_ms;
} pulse_t;

typedef struct {
    const supervisor_config_t *config;
    heartbeats_t *heartbeats;
    bool stopping;    /* TERM or INT has come */
    bool ever_served; /* a process has been ready: its followers are started until one is again */
    unsigned quick_deaths;
    notify_t notify; /* the service manager */
    bool ready_said; /* to it, once */
    /* Of the process that runs. */
    pid_t child;  /* 0: none */
    bool stopped; /* by SIGSTOP or the like */
    int64_t last_check_ms;
    pulse_t pulses[HEARTS_MAX];
    pulse_t stop_pulse; /* counts while stopped, so that a process that never became ready is found too */
} supervisor_t;

static int64_t now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

sigset_t supervisor_signals(void)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGUSR1);
    sigaddset(&set, SIGHUP);
    return set;
}

void supervisor_ready(heartbeats_t *heartbeats)
{
    atomic_store(&heartbeats->ready_at_ms, now_ms());
}

void supervisor_die_with_parent(pid_t parent)
{
    MUST(prctl(PR_SET_PDEATHSIG, SIGKILL) == 0);
    if (getppid() != parent)
        _exit(1);
}

int64_t supervisor_pause_ms(unsigned *quick_deaths, int64_t served_ms)
{
    if (served_ms >= STEADY_MS)
        *quick_deaths = 0;
    unsigned before = (*quick_deaths)++;
    if (before == 0)
        return 0;
    int64_t pause_ms = FIRST_PAUSE_MS;
    while (--before > 0 && pause_ms < LONGEST_PAUSE_MS)
        pause_ms *= 2;
    return pause_ms < LONGEST_PAUSE_MS ? pause_ms : LONGEST_PAUSE_MS;
}

/* --- Starting --- */

static void forget_pulses(supervisor_t *supervisor)
{
    heartbeats_t *heartbeats = supervisor->heartbeats;
    unsigned deaths = heartbeats->deaths;
    memset(heartbeats, 0, sizeof *heartbeats);
    heartbeats->deaths = deaths;
    memset(supervisor->pulses, 0, sizeof supervisor->pulses);
    supervisor->stop_pulse = (pulse_t){0};
    supervisor->stopped = false;
    supervisor->last_check_ms = now_ms();
}

/* False: there is no process, and stderr says why. Does not return in the serving process. */
static bool start(supervisor_t *supervisor)
{
    forget_pulses(supervisor);
    handover_prepare(supervisor->config->handover);
    pid_t parent = getpid(), child = fork();
    if (child == 0) {
        supervisor_die_with_parent(parent);
        handover_enter(supervisor->config->handover);
        sigset_t set;
        sigemptyset(&set);
        sigaddset(&set, SIGCHLD);
        sigprocmask(SIG_UNBLOCK, &set, NULL);
        exit(supervisor->config->serve(supervisor->config->context, supervisor->heartbeats));
    }
    if (child < 0)
        fprintf(stderr, "selvedge: no serving process could be started: %s\n", strerror(errno));
    supervisor->child = child > 0 ? child : 0;
    return child > 0;
}

/* --- Watching --- */

/* Adds what has passed since the last check. When the parent itself was held up, as by a machine that slept,
 * the time says nothing about the child: a check counts for two at most. */
static int64_t passed_ms(supervisor_t *supervisor, int64_t check_ms)
{
    int64_t now = now_ms(), passed = now - supervisor->last_check_ms;
    supervisor->last_check_ms = now;
    return passed < 2 * check_ms ? passed : 2 * check_ms;
}

static bool is_silent(pulse_t *pulse, uint64_t ticks, int64_t passed, int64_t limit_ms)
{
    bool alive = ticks == 0 || ticks != pulse->ticks;
    pulse->ticks = ticks;
    pulse->silent_ms = alive ? 0 : pulse->silent_ms + passed;
    return pulse->silent_ms >= limit_ms;
}

/* The name of what has hung; NULL: nothing. */
static const char *find_hung(supervisor_t *supervisor, int64_t passed, int64_t limit_ms)
{
    const char *hung = NULL;
    unsigned count = atomic_load(&supervisor->heartbeats->claimed);
    for (unsigned i = 0; i < count && i < HEARTS_MAX; i++) {
        heart_t *heart = &supervisor->heartbeats->hearts[i];
        uint64_t ticks = atomic_load_explicit(&heart->ticks, memory_order_acquire);
        if (is_silent(&supervisor->pulses[i], ticks, passed, limit_ms))
            hung = heart->name;
    }
    if (is_silent(&supervisor->stop_pulse, supervisor->stopped, passed, limit_ms))
        hung = "its main thread";
    return hung;
}

static void check_pulses(supervisor_t *supervisor, int64_t check_ms)
{
    int64_t limit_ms = check_ms * KILLED_AFTER_CHECKS;
    const char *hung = find_hung(supervisor, passed_ms(supervisor, check_ms), limit_ms);
    if (hung == NULL)
        return;
    fprintf(
        stderr,
        "selvedge: the serving process (pid %d) hangs: no sign of life from %.15s for %.1f s; it is killed\n",
        (int)supervisor->child, hung, (double)limit_ms / 1000);
    kill(supervisor->child, SIGKILL);
    memset(supervisor->pulses, 0, sizeof supervisor->pulses); /* said once */
    supervisor->stop_pulse = (pulse_t){0};
}

static void pass_on(supervisor_t *supervisor, int number)
{
    if (number == SIGHUP) {
        handover_begin(supervisor->config->handover);
        return;
    }
    if (number != SIGUSR1 && !supervisor->stopping) {
        supervisor->stopping = true;
        notify_say(&supervisor->notify, "STOPPING=1");
        supervisor->config->stopping(supervisor->config->context);
    }
    if (supervisor->child > 0)
        kill(supervisor->child, number);
}

static void notify_manager(supervisor_t *supervisor)
{
    notify_alive(&supervisor->notify, now_ms());
    if (!supervisor->ready_said && atomic_load(&supervisor->heartbeats->ready_at_ms) != 0)
        supervisor->ready_said = notify_say(&supervisor->notify, "READY=1");
}

/* Waits at most so long for a signal, and never longer than the service manager may be left without a word;
 * passes on what is to be. */
static void take_signal(supervisor_t *supervisor, int64_t timeout_ms)
{
    if (timeout_ms > LONGEST_WAIT_MS)
        timeout_ms = LONGEST_WAIT_MS;
    sigset_t set = supervisor_signals();
    sigaddset(&set, SIGCHLD);
    sigaddset(&set, handover_signal());
    struct timespec timeout = {timeout_ms / 1000, timeout_ms % 1000 * 1000000};
    int number = sigtimedwait(&set, NULL, &timeout);
    if (number > 0 && number != SIGCHLD && number != handover_signal())
        pass_on(supervisor, number);
    notify_manager(supervisor);
    if (!supervisor->stopping)
        handover_turn(supervisor->config->handover, supervisor->child);
}

/* True when the child has ended, with its status. */
static bool reap(supervisor_t *supervisor, int *status)
{
    pid_t found;
    while ((found = waitpid(supervisor->child, status, WNOHANG | WUNTRACED | WCONTINUED)) > 0) {
        if (WIFEXITED(*status) || WIFSIGNALED(*status))
            return true;
        supervisor->stopped = WIFSTOPPED(*status);
    }
    MUST(found == 0 || errno == EINTR);
    return false;
}

/* Until the child has ended; its status. */
static int watch(supervisor_t *supervisor)
{
    int64_t check_ms = supervisor->config->heartbeat_limit_ms / CHECKS_IN_A_LIMIT;
    int status;
    while (!reap(supervisor, &status)) {
        take_signal(supervisor, check_ms);
        check_pulses(supervisor, check_ms);
    }
    return status;
}

/* --- What an end means --- */

static const char *describe(int status, char text[TEXT_BYTES])
{
    if (WIFEXITED(status)) {
        snprintf(text, TEXT_BYTES, "ended with exit status %d", WEXITSTATUS(status));
        return text;
    }
    const char *name = sigabbrev_np(WTERMSIG(status));
    snprintf(text, TEXT_BYTES, "was ended by SIG%s (%d)", name ? name : "?", WTERMSIG(status));
    return text;
}

static int exit_status(int status)
{
    return WIFEXITED(status) ? WEXITSTATUS(status) : EXIT_FAILURE;
}

static bool is_final(const supervisor_t *supervisor, int status)
{
    return supervisor->stopping || !supervisor->ever_served ||
           (WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

/* Says what ended it, unless it has said so itself. */
static void say_end(const supervisor_t *supervisor, int status)
{
    char text[TEXT_BYTES];
    if (WIFSIGNALED(status))
        fprintf(stderr, "selvedge: the serving process (pid %d) %s; it is not started again\n",
                (int)supervisor->child, describe(status, text));
}

static void say_restart(const supervisor_t *supervisor, int status, int64_t pause_ms)
{
    char text[TEXT_BYTES], when[TEXT_BYTES] = "at once";
    if (pause_ms > 0)
        snprintf(when, sizeof when, "in %.1f s", (double)pause_ms / 1000);
    fprintf(stderr, "selvedge: the serving process (pid %d) %s; it is started again %s\n",
            (int)supervisor->child, describe(status, text), when);
}

static int64_t served_ms(const supervisor_t *supervisor)
{
    int64_t ready_at_ms = atomic_load(&supervisor->heartbeats->ready_at_ms);
    return ready_at_ms == 0 ? 0 : now_ms() - ready_at_ms;
}

static void rest(supervisor_t *supervisor, int64_t pause_ms)
{
    int64_t until = now_ms() + pause_ms, left;
    while (!supervisor->stopping && (left = until - now_ms()) > 0)
        take_signal(supervisor, left);
}

/* --- Life --- */

/* One serving process, from its start to its end. True: the next one is due; else the node ends with
 * *result. */
static bool run_one(supervisor_t *supervisor, int *result)
{
    int status = EXIT_FAILURE << 8; /* as if it had exited with 1 */
    int64_t served = 0;
    if (start(supervisor)) {
        status = watch(supervisor);
        served = served_ms(supervisor);
    }
    supervisor->ever_served =
        supervisor->ever_served || atomic_load(&supervisor->heartbeats->ready_at_ms) != 0;
    *result = exit_status(status);
    if (is_final(supervisor, status)) {
        say_end(supervisor, status);
        return false;
    }
    int64_t pause_ms = supervisor_pause_ms(&supervisor->quick_deaths, served);
    say_restart(supervisor, status, pause_ms);
    supervisor->child = 0;
    supervisor->heartbeats->deaths++;
    rest(supervisor, pause_ms);
    *result = EXIT_SUCCESS; /* when it is to stop, there is nothing left that could fail to */
    return !supervisor->stopping;
}

int supervisor_run(const supervisor_config_t *config)
{
    static supervisor_t supervisor;
    supervisor = (supervisor_t){.config = config, .notify = notify_find()};
    supervisor.heartbeats =
        mmap(NULL, sizeof *supervisor.heartbeats, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    MUST(supervisor.heartbeats != MAP_FAILED);
    sigset_t set = supervisor_signals();
    sigaddset(&set, SIGCHLD);
    sigaddset(&set, handover_signal());
    sigprocmask(SIG_BLOCK, &set, NULL);
    int result;
    while (run_one(&supervisor, &result))
        continue;
    munmap(supervisor.heartbeats, sizeof *supervisor.heartbeats);
    return result;
}
