#include "edge/supervisor/handover.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "edge/supervisor/supervisor.h"

enum { READER_LIMIT_MS = 20000 };

/* Memory of both processes. */
typedef struct {
    _Atomic uint64_t asked;              /* how often the serving process has asked for a reading */
    _Atomic uint64_t answered, in_force; /* numbers of offers; the second is one of the first */
} shared_t;

/* One gathering of files. Numbers begin with 1. */
typedef struct {
    uint64_t number, asked;
    int fd;    /* -1: none */
    bool sent; /* to the serving process that runs */
} bundle_t;

struct handover {
    handover_gather_t *gather;
    void *context;
    shared_t *shared;
    int parent_end, serving_end; /* packets: the parent sends offers, and is sent what wakes it */
    bundle_t good, offered, reading;
    pid_t reader; /* 0: none */
    int64_t reader_since_ms;
    bool again; /* another reading is due */
};

static int64_t now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static void close_fd(int *fd)
{
    if (*fd >= 0)
        close(*fd);
    *fd = -1;
}

/* --- Reading --- */

static int open_memory(void)
{
    int fd = memfd_create("configuration", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    MUST(fd >= 0);
    return fd;
}

static void seal(int fd)
{
    MUST(fcntl(fd, F_ADD_SEALS, F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE) == 0);
}

handover_t *handover_new(handover_gather_t *gather, void *context)
{
    handover_t *handover = must_calloc(1, sizeof *handover);
    handover->gather = gather;
    handover->context = context;
    handover->parent_end = handover->serving_end = handover->offered.fd = handover->reading.fd = -1;
    handover->shared =
        mmap(NULL, sizeof *handover->shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    MUST(handover->shared != MAP_FAILED);
    handover->good.fd = open_memory();
    if (gather(context, handover->good.fd)) {
        seal(handover->good.fd);
        return handover;
    }
    close_fd(&handover->good.fd);
    free(handover);
    return NULL;
}

static void run_reader(handover_t *handover, pid_t parent)
{
    supervisor_die_with_parent(parent);
    _exit(handover->gather(handover->context, handover->reading.fd) ? EXIT_SUCCESS : EXIT_FAILURE);
}

/* An offer is answered before the next reading begins, so that it is known which the last good one is. */
static bool is_busy(const handover_t *handover)
{
    return handover->reader != 0 || atomic_load(&handover->shared->answered) < handover->offered.number;
}

static void start_reader(handover_t *handover)
{
    handover->again = false;
    handover->reading = (bundle_t){.number = handover->reading.number + 1,
                                   .asked = atomic_load(&handover->shared->asked),
                                   .fd = open_memory()};
    handover->reader_since_ms = now_ms();
    pid_t parent = getpid();
    handover->reader = fork();
    if (handover->reader == 0)
        run_reader(handover, parent);
    if (handover->reader < 0)
        fprintf(stderr, "selvedge: no process could be started to read the configuration: %s\n",
                strerror(errno));
}

void handover_begin(handover_t *handover)
{
    handover->again = true;
}

/* The reading is an offer now. */
static void conclude_reading(handover_t *handover, bool well)
{
    handover->reader = 0;
    if (well)
        seal(handover->reading.fd);
    else
        close_fd(&handover->reading.fd);
    close_fd(&handover->offered.fd);
    handover->offered = handover->reading;
    handover->reading.fd = -1;
}

static void look_after_reader(handover_t *handover)
{
    int status;
    if (handover->reader == 0)
        return;
    if (handover->reader < 0) {
        conclude_reading(handover, false);
        return;
    }
    if (waitpid(handover->reader, &status, WNOHANG) == handover->reader) {
        if (WIFSIGNALED(status))
            fprintf(stderr, "selvedge: the process that reads the configuration was ended by signal %d\n",
                    WTERMSIG(status));
        conclude_reading(handover, WIFEXITED(status) && WEXITSTATUS(status) == EXIT_SUCCESS);
    } else if (now_ms() - handover->reader_since_ms >= READER_LIMIT_MS) {
        kill(handover->reader, SIGKILL);
    }
}

/* --- Passing on --- */

/* What came into force is what the next process starts by. */
static void settle(handover_t *handover)
{
    bundle_t *offered = &handover->offered;
    if (offered->fd < 0 || atomic_load(&handover->shared->in_force) != offered->number)
        return;
    close_fd(&handover->good.fd);
    handover->good.fd = offered->fd;
    offered->fd = -1;
}

static bool send_offer(int socket, const bundle_t *bundle)
{
    uint64_t numbers[2] = {bundle->number, bundle->asked};
    struct iovec bytes = {numbers, sizeof numbers};
    union {
        struct cmsghdr header;
        char room[CMSG_SPACE(sizeof(int))];
    } control = {.room = {0}};
    struct msghdr message = {.msg_iov = &bytes, .msg_iovlen = 1};
    if (bundle->fd >= 0) {
        message.msg_control = control.room;
        message.msg_controllen = sizeof control.room;
        struct cmsghdr *header = CMSG_FIRSTHDR(&message);
        header->cmsg_level = SOL_SOCKET;
        header->cmsg_type = SCM_RIGHTS;
        header->cmsg_len = CMSG_LEN(sizeof(int));
        memcpy(CMSG_DATA(header), &bundle->fd, sizeof(int));
    }
    return sendmsg(socket, &message, MSG_DONTWAIT | MSG_NOSIGNAL) == (ssize_t)sizeof numbers;
}

static void pass_on(handover_t *handover, pid_t child)
{
    bundle_t *offered = &handover->offered;
    if (child == 0 || offered->number == 0 || offered->sent)
        return;
    /* A queue that is full is tried again at the next turn. */
    offered->sent = send_offer(handover->parent_end, offered);
    if (offered->sent)
        kill(child, SIGHUP);
}

static void drain_wakes(const handover_t *handover)
{
    char byte;
    while (recv(handover->parent_end, &byte, 1, MSG_DONTWAIT) > 0)
        continue;
}

void handover_turn(handover_t *handover, pid_t child)
{
    drain_wakes(handover);
    settle(handover);
    look_after_reader(handover);
    pass_on(handover, child);
    bool asked = atomic_load(&handover->shared->asked) > handover->reading.asked;
    if ((asked || handover->again) && !is_busy(handover))
        start_reader(handover);
}

int handover_signal(void)
{
    return SIGIO;
}

/* The process that it was sent to is gone. */
static void forget_offer(handover_t *handover)
{
    bundle_t *offered = &handover->offered;
    if (!offered->sent || atomic_load(&handover->shared->answered) >= offered->number)
        return;
    fprintf(stderr, "selvedge: the new configuration had not been taken: the one before stays in force\n");
    close_fd(&offered->fd);
    offered->number = 0;
}

void handover_prepare(handover_t *handover)
{
    settle(handover);
    forget_offer(handover);
    int ends[2];
    close_fd(&handover->parent_end);
    close_fd(&handover->serving_end);
    MUST(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) == 0);
    handover->parent_end = ends[0];
    handover->serving_end = ends[1];
    MUST(fcntl(ends[0], F_SETOWN, getpid()) == 0 && fcntl(ends[0], F_SETFL, O_ASYNC) == 0);
}

/* --- The serving process --- */

void handover_enter(handover_t *handover)
{
    close_fd(&handover->parent_end);
    close_fd(&handover->offered.fd);
    close_fd(&handover->reading.fd);
}

int handover_first(const handover_t *handover)
{
    return handover->good.fd;
}

/* A full queue wakes it as well as one more would. */
static void wake_parent(const handover_t *handover)
{
    send(handover->serving_end, "", 1, MSG_DONTWAIT | MSG_NOSIGNAL);
}

uint64_t handover_ask(handover_t *handover)
{
    uint64_t asked = atomic_fetch_add(&handover->shared->asked, 1) + 1;
    wake_parent(handover);
    return asked;
}

static int take_fd(struct msghdr *message)
{
    struct cmsghdr *header = CMSG_FIRSTHDR(message);
    int fd = -1;
    if (header != NULL && header->cmsg_level == SOL_SOCKET && header->cmsg_type == SCM_RIGHTS)
        memcpy(&fd, CMSG_DATA(header), sizeof fd);
    return fd;
}

bool handover_receive(handover_t *handover, handover_offer_t *offer)
{
    uint64_t numbers[2];
    struct iovec bytes = {numbers, sizeof numbers};
    union {
        struct cmsghdr header;
        char room[CMSG_SPACE(sizeof(int))];
    } control;
    struct msghdr message = {.msg_iov = &bytes,
                             .msg_iovlen = 1,
                             .msg_control = control.room,
                             .msg_controllen = sizeof control.room};
    if (recvmsg(handover->serving_end, &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC) != (ssize_t)sizeof numbers)
        return false;
    *offer = (handover_offer_t){numbers[0], numbers[1], take_fd(&message)};
    return true;
}

void handover_answer(handover_t *handover, uint64_t number, bool in_force)
{
    if (in_force)
        atomic_store(&handover->shared->in_force, number);
    atomic_store(&handover->shared->answered, number);
    wake_parent(handover);
}
