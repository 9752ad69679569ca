/* The daemon: settings, start-up order, signals, and the way down. */
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "edge/guard/guard.h"
#include "edge/guard/self_test.h"
#include "edge/housekeeping.h"
#include "edge/node.h"
#include "edge/reload.h"
#include "edge/server/server.h"
#include "edge/supervisor/disk_directories.h"
#include "edge/supervisor/sandbox.h"
#include "edge/supervisor/supervisor.h"
#include "edge/trace.h"
#include "purge/state_file.h"
#include "purge/token.h"

enum {
    EXACT_SLOTS = 1 << 17,
    FOLDED_SLOTS = 1 << 16,
    JOURNAL_COMPACT_BYTES = 16 << 20,
    ERROR_BYTES = 1024,
    PATH_BYTES = 4096
};

#ifdef SELVEDGE_JEMALLOC
/* jemalloc asks for it by this name. Each thread keeps so many freed blocks of each size at hand, in place of
 * 20 of the 4096 bytes that a request has: the requests of one connection come and go 32 at once, and what is
 * more than the thread keeps goes to and fro between it and what all threads share, under a lock.
 *
 * One arena: bodies are allocated by one thread and freed by another, and what one arena has free, another
 * one does not use; with one for each thread as much again as all bodies stayed with the process. */
extern const char *malloc_conf;
const char *malloc_conf = "tcache_nslots_small_min:200,narenas:1";
#endif

/* Everything the node owns, in start-up order. The parent opens what every serving process inherits. */
typedef struct {
    settings_t settings;
    char state_dir[PATH_BYTES];
    bool state_is_ours; /* made by us: removed at exit */
    sockets_t *sockets;
    sandbox_user_t user;
    pid_t parent;             /* the node's id */
    settings_source_t source; /* of the settings */
    handover_t *handover;
    /* The serving process's. */
    char token_path[PATH_BYTES + 64], certificate_path[PATH_BYTES + 64]; /* of what the node makes itself */
    reload_t *reload;
    server_t *server;
    journal_io_t journal_io;
    journal_t *journal; /* until the publisher has it */
    publisher_t *publisher;
    housekeeping_t *housekeeping;
    node_t node;
    bool hangs; /* a thread did not end */
} process_t;

static int64_t wall_now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static void random_bytes(void *bytes, size_t size)
{
    ssize_t got;
    do
        got = getrandom(bytes, size, 0);
    while (got < 0 && errno == EINTR);
    MUST(got == (ssize_t)size);
}

static version_id_t new_version(void *context)
{
    (void)context;
    version_id_t version;
    random_bytes(&version, sizeof version);
    return version;
}

static bool complain(const char *message)
{
    fprintf(stderr, "selvedge: %s\n", message);
    return false;
}

/* --- The state directory --- */

static bool make_state_dir(process_t *process)
{
    const char *given = process->settings.state_dir;
    if (given != NULL) {
        snprintf(process->state_dir, sizeof process->state_dir, "%s", given);
        if (mkdir(given, 0700) == 0 || errno == EEXIST)
            return true;
        fprintf(stderr, "selvedge: --state-dir %s: cannot be made: %s\n", given, strerror(errno));
        return false;
    }
    const char *where = getenv("TMPDIR");
    snprintf(process->state_dir, sizeof process->state_dir, "%s/selvedge-XXXXXX",
             where && *where ? where : "/tmp");
    process->state_is_ours = mkdtemp(process->state_dir) != NULL;
    if (!process->state_is_ours)
        fprintf(stderr, "selvedge: no state directory could be made in %s: %s; name one with --state-dir\n",
                where && *where ? where : "/tmp", strerror(errno));
    return process->state_is_ours;
}

static void path_in_state(const process_t *process, const char *name, char path[PATH_BYTES + 64])
{
    snprintf(path, PATH_BYTES + 64, "%s/%s", process->state_dir, name);
}

static const char *const state_names[] = {
    "admin-token",  "journal",         "journal.new",         "sequence", "sequence.new", "lock", "identity",
    "identity.new", "self-signed.pem", "self-signed.pem.new", "disks",    "disks.new"};
enum { STATE_NAMES = sizeof state_names / sizeof *state_names };

/* The serving process finds its state, its disks and its log its own. A state directory on a disk is in a
 * directory that becomes the user's. */
static bool give_state(const process_t *process)
{
    char error[SANDBOX_ERROR_MAX];
    const settings_t *settings = &process->settings;
    bool has_file = settings->access_log != NULL && strcmp(settings->access_log, "-") != 0;
    bool inner = disk_directories_hold(settings, process->state_dir);
    return ((inner ? sandbox_give_inner_directory : sandbox_give_directory)(
                &process->user, process->state_dir, state_names, STATE_NAMES, error) &&
            disk_directories_give(settings, &process->user, error) &&
            (!has_file || sandbox_give_file(&process->user, settings->access_log, error))) ||
           complain(error);
}

/* Only what a node makes is removed: the directory was fresh. With the user's rights, as its way there is the
 * user's to change. */
static void remove_state_dir(const process_t *process)
{
    char error[SANDBOX_ERROR_MAX];
    if (!process->state_is_ours)
        return;
    if (!sandbox_become(&process->user, error)) {
        complain(error);
        return;
    }
    for (size_t i = 0; i < STATE_NAMES; i++) {
        char path[PATH_BYTES + 64];
        path_in_state(process, state_names[i], path);
        unlink(path);
    }
    if (rmdir(process->state_dir) != 0)
        fprintf(stderr, "selvedge: %s could not be removed: %s\n", process->state_dir, strerror(errno));
}

/* --- The journal --- */

static void report_opening(const process_t *process, const journal_opening_t *opening)
{
    if (opening->outcome == JOURNAL_TAIL_CUT)
        fprintf(stderr,
                "selvedge: %s/journal: the last write was not finished and was never acknowledged; %llu "
                "bytes cut\n",
                process->state_dir, (unsigned long long)opening->bad_bytes);
    if (opening->outcome == JOURNAL_FORGOTTEN)
        fprintf(stderr, "selvedge: %s/journal: %s; what was stored before is forgotten%s%s\n",
                process->state_dir, opening->damage,
                opening->kept_as[0] ? ", the damaged file is kept as " : "", opening->kept_as);
    if (opening->sequence_lost)
        fprintf(stderr,
                "selvedge: %s/sequence: damaged or gone; sequences go on far above any that was seen\n",
                process->state_dir);
    if (opening->identity_lost)
        fprintf(stderr,
                "selvedge: %s/identity: damaged or gone; the node has a new one, for which all disks are "
                "another's\n",
                process->state_dir);
}

static bool open_journal(process_t *process)
{
    int failed = journal_io_posix(&process->journal_io, process->state_dir);
    if (failed < 0) {
        fprintf(stderr, "selvedge: --state-dir %s: %s\n", process->state_dir, strerror(-failed));
        return false;
    }
    journal_config_t config = {
        .io = process->journal_io, .ledger = process->node.ledger, .compact_bytes = JOURNAL_COMPACT_BYTES};
    random_bytes(&config.random, sizeof config.random);
    random_bytes(config.identity, sizeof config.identity);
    journal_opening_t opening;
    journal_error_t error;
    process->journal = journal_open(&config, &opening, &error);
    if (process->journal == NULL) {
        char text[ERROR_BYTES];
        journal_error_text(&error, text, sizeof text);
        fprintf(stderr, "selvedge: --state-dir %s: %s\n", process->state_dir, text);
        return false;
    }
    report_opening(process, &opening);
    memcpy(process->node.identity, opening.identity, sizeof opening.identity);
    return true;
}

/* --- Up --- */

static bool open_log(process_t *process)
{
    const char *path = process->settings.access_log, *error = NULL;
    if (path == NULL)
        return true;
    access_log_format_t format =
        process->settings.access_log_combined ? ACCESS_LOG_COMBINED : ACCESS_LOG_JSON;
    process->node.access_log = access_log_open(path, format, &error);
    if (process->node.access_log == NULL)
        fprintf(stderr, "selvedge: --access-log %s: %s\n", path, error);
    return process->node.access_log != NULL;
}

static limits_t *make_limits(const settings_t *settings)
{
    limits_config_t config = server_limits(settings);
    uint64_t seed;
    random_bytes(&seed, sizeof seed);
    return limits_new(&config, seed);
}

static waste_t *make_waste(void)
{
    uint64_t seed;
    random_bytes(&seed, sizeof seed);
    return waste_new(seed);
}

/* --- The disk tier --- */

static int64_t monotonic_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static void say(const char *sentence)
{
    fprintf(stderr, "selvedge: %s\n", sentence);
}

static bool read_notes(void *context, uint8_t *data, size_t room, size_t *length)
{
    const process_t *process = context;
    journal_error_t error;
    bytes_t bytes = {0};
    bool read = state_file_read(&process->journal_io, "disks", &bytes, &error) && bytes.length <= room;
    if (read && bytes.length > 0)
        memcpy(data, bytes.data, bytes.length);
    *length = bytes.length;
    bytes_free(&bytes);
    return read;
}

static bool replace_notes(void *context, const uint8_t *data, size_t length)
{
    const process_t *process = context;
    journal_error_t error;
    return state_file_replace(&process->journal_io, "disks", "disks.new", data, length, NULL, &error);
}

/* Without disks all that there were miss what happens from here on. */
static bool forget_notes(const process_t *process)
{
    const journal_io_t *io = &process->journal_io;
    int result = io->unlink(io->context, "disks");
    if (result == 0)
        result = io->fsync_directory(io->context);
    return result == 0 || result == -ENOENT || complain("--state-dir: the file `disks` cannot be removed");
}

/* True without disks, too. */
static bool start_disk(process_t *process, const settings_t *settings)
{
    node_t *node = &process->node;
    char error[DISK_ERROR_MAX];
    disk_config_t config = {.device_count = settings->disk_count,
                            .memory = node->memory,
                            .ledger = node->ledger,
                            .admission = settings->disk_admits_always ? DISK_ALWAYS : DISK_SECOND_HIT,
                            .wipe = settings->disk_wipe,
                            .node = {node->identity[0], node->identity[1]},
                            .notes = {process, read_notes, replace_notes},
                            .monotonic_ms = monotonic_ms,
                            .say = say};
    if (settings->disk_count == 0)
        return forget_notes(process);
    for (size_t i = 0; i < settings->disk_count; i++)
        config.devices[i] =
            (disk_device_config_t){.path = settings->disks[i].path, .size = settings->disks[i].size_bytes};
    random_bytes(&config.random, sizeof config.random);
    node->disk = disk_start(&config, error);
    return node->disk != NULL || complain(error);
}

static void *trace(void *context, const site_t *site, text_t target, int64_t now_ms)
{
    return trace_target(context, site, target, now_ms);
}

/* By what is in force, which is not what the node was started with when this process was started again. */
static bool start_rooms(process_t *process)
{
    const settings_t *settings = &reload_newest(process->reload)->settings;
    node_t *node = &process->node;
    memory_attach_thread();
    counters_attach();
    snprintf(node->name, sizeof node->name, "%s", settings->node_name);
    counters_name_node(text_of(node->name));
    count_restarts(node->heartbeats->deaths);
    if (settings->host_count > 0)
        counters_name_site(SITE_NONE, TEXT(""));
    uint32_t number;
    random_bytes(&number, sizeof number);
    snprintf(node->cdn_loop, sizeof node->cdn_loop, "selvedge; node=%08x", number);
    node->https_port = sockets_https_port(process->sockets);
    memory_config_t memory = {settings->memory_bytes, settings->max_object_bytes, new_version, NULL};
    node->memory = memory_new(&memory);
    if (!start_disk(process, settings))
        return false;
    node->limits = make_limits(settings);
    node->waste_by_address = make_waste();
    node->waste_of_key = make_waste();
    process->publisher = publisher_start(&process->journal, node->ledger, wall_now_ms);
    puller_config_t puller = {
        .cdn_loop = text_of(node->cdn_loop), .now_ms = wall_now_ms, .heart = heart_claim(node->heartbeats)};
    node->puller = puller_start(&puller);
    api_config_t api = {process->publisher, node->ledger,         wall_now_ms,    wall_now_ms(),
                        node->name,         (int)process->parent, trace,          node,
                        reload_ask,         reload_status,        process->reload};
    node->api = api_new(&api);
    process->housekeeping = housekeeping_start(node, wall_now_ms);
    return true;
}

/* A build of libh2o that nobody has looked at may do: its own behaviour says so. */
static bool prove_guard(void)
{
    char error[ERROR_BYTES], id[GUARD_BUILD_ID_MAX];
    const char *unguarded = guard_in_force();
    if (unguarded != NULL)
        return complain(unguarded);
    if (guard_is_off()) {
        complain("the guard is off, for a test: any client can end this process");
        return true;
    }
    if (!guard_knows_library(id))
        fprintf(stderr, "selvedge: libh2o's build %s is unknown to the guard: its self-test decides\n",
                id[0] != '\0' ? id : "(without an id)");
    return guard_self_test(error, sizeof error) || complain(error);
}

static bool give_up_rights(const process_t *process)
{
    char error[SANDBOX_ERROR_MAX];
    if (!sandbox_become(&process->user, error))
        return complain(error);
    supervisor_die_with_parent(process->parent);
    return (sandbox_hide_memory(error) &&
            (!process->settings.filter_system_calls || sandbox_filter_system_calls(error))) ||
           complain(error);
}

/* Of what the parent has gathered with the rights that are given up here. */
static bool load(process_t *process)
{
    path_in_state(process, "admin-token", process->token_path);
    path_in_state(process, "self-signed.pem", process->certificate_path);
    reload_config_t config = {.source = process->source,
                              .start = &process->settings,
                              .handover = process->handover,
                              .token_file = process->token_path,
                              .certificate_file = process->certificate_path,
                              .now_ms = wall_now_ms};
    process->reload = reload_new(&config);
    if (process->reload == NULL)
        return false;
    const configuration_t *configuration = reload_newest(process->reload);
    if (configuration->self_signed)
        complain("no --cert given: https answers with a self-signed certificate for localhost");
    if (configuration->settings.admin_token == NULL && configuration->settings.admin_token_file == NULL)
        fprintf(stderr, "selvedge: the admin token is in %s\n", process->token_path);
    return true;
}

/* What can be wrong is tried first: certificates, the token, the journal. */
static bool prepare(process_t *process)
{
    if (!prove_guard() || !give_up_rights(process) || !load(process))
        return false;
    process->node.ledger = ledger_new(EXACT_SLOTS, FOLDED_SLOTS);
    return open_journal(process) && open_log(process);
}

static void say_ready(const process_t *process)
{
    char listeners[ERROR_BYTES * 2];
    sockets_describe(process->sockets, listeners, sizeof listeners);
    fprintf(stderr, "selvedge: ready %s state=%s\n", listeners, process->state_dir);
}

/* --- Signals, and down --- */

static void serve_signals(const process_t *process)
{
    sigset_t set = supervisor_signals();
    for (;;) {
        int number;
        if (sigwait(&set, &number) != 0)
            continue;
        if (number == SIGHUP)
            reload_take(process->reload);
        else if (number != SIGUSR1)
            return;
        else if (process->node.access_log != NULL)
            access_log_reopen(process->node.access_log);
    }
}

static bool stop_rooms(process_t *process)
{
    node_t *node = &process->node;
    reload_stop(process->reload);
    const settings_t *settings = &reload_newest(process->reload)->settings;
    int64_t until_ms = monotonic_ms() + settings->shutdown_timeout_ms;
    bool ended = server_stop(process->server, node, settings->shutdown_timeout_ms);
    housekeeping_stop(&process->housekeeping);
    publisher_stop(&process->publisher);
    if (!ended)
        return complain("a worker did not end in time");
    server_free(&process->server);
    puller_free(&node->puller);
    api_free(&node->api);
    if (node->access_log != NULL)
        access_log_close(&node->access_log);
    int64_t rest_ms = until_ms - monotonic_ms();
    if (node->disk != NULL && !disk_stop_within(&node->disk, rest_ms > 0 ? rest_ms : 0)) {
        process->hangs = true;
        return complain("a disk does not end in time");
    }
    memory_free(&node->memory);
    limits_free(&node->limits);
    waste_free(&node->waste_by_address);
    waste_free(&node->waste_of_key);
    memory_detach_thread();
    return true;
}

/* Not under a thread that hangs, and may yet come back. */
static void clean_up(process_t *process)
{
    if (process->hangs)
        return;
    if (process->journal != NULL)
        journal_close(&process->journal);
    journal_io_posix_close(&process->journal_io);
    if (process->reload != NULL)
        reload_free(&process->reload);
    if (process->node.ledger != NULL)
        ledger_free(&process->node.ledger);
    sockets_close(&process->sockets);
}

static bool run(process_t *process)
{
    signal(SIGPIPE, SIG_IGN);
    signal(SIGXFSZ, SIG_IGN); /* the write fails, and whoever made it deals with that */
    if (!prepare(process))
        return false;
    if (!start_rooms(process))
        return false;
    process->server =
        server_start(&process->settings, process->sockets, &process->node, reload_newest(process->reload));
    reload_serve(process->reload, process->server, &process->node, process->publisher);
    supervisor_ready(process->node.heartbeats);
    say_ready(process);
    serve_signals(process);
    return stop_rooms(process);
}

/* The serving process, from its fork to its exit status. Its signals are blocked: the main thread alone takes
 * them. */
static int serve(void *context, heartbeats_t *heartbeats)
{
    process_t *process = context;
    process->node.heartbeats = heartbeats;
    bool well = run(process);
    clean_up(process);
    return well ? EXIT_SUCCESS : EXIT_FAILURE;
}

/* --- The parent --- */

static void let_go(void *context)
{
    process_t *process = context;
    sockets_close(&process->sockets);
}

/* What is the same for every serving process. */
static bool open_node(process_t *process)
{
    char error[ERROR_BYTES], refused[SANDBOX_ERROR_MAX];
    process->parent = getpid();
    if (!sandbox_find_user(process->settings.user, &process->user, refused) || !sandbox_restrict(refused))
        return complain(refused);
    process->sockets = sockets_open(&process->settings, error, sizeof error);
    if (process->sockets == NULL)
        return complain(error);
    if (!disk_directories_make(&process->settings, refused))
        return complain(refused);
    return make_state_dir(process) && give_state(process);
}

/* In the parent the first time, then in a process of its own for each reload; with the starter's rights. What
 * is wrong in the files is for the serving process to say. */
static bool gather(void *context, int fd)
{
    process_t *process = context;
    settings_source_t source = process->source;
    if (process->handover == NULL) { /* they have just been read */
        settings_gather(&process->settings, source.files);
    } else {
        settings_t *settings = must_calloc(1, sizeof *settings);
        FILE *nowhere = fopen("/dev/null", "we");
        source.files = files_new();
        if (nowhere != NULL && settings_parse_again(&source, nowhere, settings))
            settings_gather(settings, source.files);
    }
    if (files_write(source.files, fd))
        return true;
    fprintf(stderr, "selvedge: the configuration cannot be handed over: %s\n", strerror(errno));
    return false;
}

static int run_node(process_t *process)
{
    int status = EXIT_FAILURE;
    if (open_node(process) && (process->handover = handover_new(gather, process)) != NULL) {
        files_free(&process->source.files);
        supervisor_config_t config = {.serve = serve,
                                      .stopping = let_go,
                                      .context = process,
                                      .handover = process->handover,
                                      .heartbeat_limit_ms = process->settings.heartbeat_limit_ms};
        status = supervisor_run(&config);
    }
    if (process->sockets != NULL)
        sockets_close(&process->sockets);
    remove_state_dir(process);
    settings_free(&process->settings);
    return status;
}

/* The settings are right; so must be what they name. */
static int check_named_files(process_t *process)
{
    char error[CONFIGURATION_ERROR_MAX];
    bool right = configuration_check(&process->settings, error);
    if (right)
        printf("%s: nothing is wrong\n", process->settings.file);
    else
        printf("%s\n", error);
    settings_free(&process->settings);
    return right ? 0 : 1;
}

int main(int argc, char *argv[])
{
    static process_t process;
    char error[SETTINGS_ERROR_MAX];
    process.source = (settings_source_t){argc, argv, SETTINGS_FILE, files_new()};
    switch (settings_parse(&process.source, stdout, &process.settings, error, sizeof error)) {
    case SETTINGS_ANSWERED:
        return 0;
    case SETTINGS_CHECKED:
        return check_named_files(&process);
    case SETTINGS_MISTAKES:
        return 1;
    case SETTINGS_WRONG:
        fprintf(stderr, "selvedge: %s\n", error);
        return 2;
    case SETTINGS_START:
        break;
    }
    return run_node(&process);
}
