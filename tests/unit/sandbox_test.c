/* What a process in the sandbox can no longer do, each in a process of its own. */
#include "edge/supervisor/sandbox.h"

#include <errno.h>
#include <grp.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SANITIZED true
#else
#define SANITIZED false
#endif

enum { ALLOWED = 0, NO_SANDBOX = 200 };

/* The wait status of a process that enters the sandbox and calls `act`; its result, an errno or 0, is the
 * exit status. */
static int in_sandbox(int (*act)(void))
{
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        char error[SANDBOX_ERROR_MAX];
        _exit(sandbox_restrict(error) && sandbox_hide_memory(error) && sandbox_filter_system_calls(error)
                  ? act()
                  : NO_SANDBOX);
    }
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    return status;
}

static int outcome(long result)
{
    return result < 0 ? errno : ALLOWED;
}

static void assert_killed(int (*act)(void))
{
    int status = in_sandbox(act);
    assert_true(WIFSIGNALED(status));
    assert_int_equal(WTERMSIG(status), SIGSYS);
}

static void assert_gives(int (*act)(void), int expected)
{
    int status = in_sandbox(act);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), expected);
}

static int run_program(void)
{
    char *const arguments[] = {"/bin/true", NULL};
    return outcome(execv(arguments[0], arguments));
}

static int trace(void)
{
    return outcome(ptrace(PTRACE_TRACEME, 0, NULL, NULL));
}

static int mount_something(void)
{
    return outcome(mount("none", "/nowhere", "tmpfs", 0, NULL));
}

static int load_module(void)
{
    return outcome(syscall(SYS_init_module, NULL, 0UL, ""));
}

static int read_keys(void)
{
    return outcome(syscall(SYS_keyctl, 0, 0, 0, 0, 0));
}

static int leave_name_space(void)
{
    return outcome(syscall(SYS_unshare, 0));
}

static int load_bpf(void)
{
    return outcome(syscall(SYS_bpf, 0, NULL, 0));
}

static void what_only_an_intruder_does_ends_the_process(void **state)
{
    (void)state;
    assert_killed(run_program);
    assert_killed(mount_something);
    assert_killed(load_module);
    assert_killed(read_keys);
    assert_killed(leave_name_space);
    assert_killed(load_bpf);
    if (!SANITIZED) /* their leak checker traces */
        assert_killed(trace);
}

static int become_root(void)
{
    return outcome(setresuid(0, 0, 0));
}

static int set_up_ring(void)
{
    return outcome(syscall(SYS_io_uring_setup, 1, NULL));
}

static int open_raw_packets(void)
{
    return outcome(socket(AF_PACKET, SOCK_RAW, 0));
}

static int open_crypto(void)
{
    return outcome(socket(AF_ALG, SOCK_SEQPACKET, 0));
}

static int open_internet(void)
{
    return outcome(socket(AF_INET6, SOCK_STREAM, 0));
}

static int start_process(void)
{
    pid_t child = fork();
    if (child == 0)
        _exit(0);
    return outcome(child);
}

static void what_is_not_needed_is_refused(void **state)
{
    (void)state;
    assert_gives(become_root, EPERM);
    assert_gives(set_up_ring, EPERM);
    assert_gives(open_raw_packets, EAFNOSUPPORT);
    assert_gives(open_crypto, EAFNOSUPPORT);
    if (!SANITIZED)
        assert_gives(start_process, EPERM);
}

static void *open_raw_packets_on_a_thread(void *result)
{
    *(int *)result = open_raw_packets();
    return NULL;
}

/* Threads can be made, and are under the filter, too. */
static int start_thread(void)
{
    pthread_t thread;
    int result = ALLOWED;
    if (pthread_create(&thread, NULL, open_raw_packets_on_a_thread, &result) != 0 ||
        pthread_join(thread, NULL) != 0)
        return NO_SANDBOX;
    return result;
}

static int look_at_limits(void)
{
    struct rlimit core;
    bool closed = prctl(PR_GET_DUMPABLE) == 0 && prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 1 &&
                  getrlimit(RLIMIT_CORE, &core) == 0 && core.rlim_cur == 0 && core.rlim_max == 0;
    return closed ? ALLOWED : EINVAL;
}

static void what_serving_takes_is_allowed(void **state)
{
    (void)state;
    assert_gives(open_internet, ALLOWED);
    assert_gives(start_thread, EAFNOSUPPORT);
}

static void no_core_and_no_new_privileges(void **state)
{
    (void)state;
    assert_gives(look_at_limits, ALLOWED);
}

/* Makes seccomp(2) what it is where the kernel has none. */
static bool lose_seccomp(void)
{
    struct sock_filter code[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_seccomp, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | ENOSYS),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog program = {sizeof code / sizeof *code, code};
    return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 &&
           prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0;
}

static int filter_without_seccomp(void)
{
    char error[SANDBOX_ERROR_MAX];
    if (!lose_seccomp() || sandbox_filter_system_calls(error))
        return NO_SANDBOX;
    return strstr(error, "--system-call-filter off") != NULL ? ALLOWED : EINVAL;
}

static void a_system_without_the_filter_is_told(void **state)
{
    (void)state;
    pid_t child = fork();
    if (child == 0)
        _exit(filter_without_seccomp());
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), ALLOWED);
}

static void an_unknown_user_is_told(void **state)
{
    (void)state;
    sandbox_user_t user;
    char error[SANDBOX_ERROR_MAX];
    assert_false(sandbox_find_user("no-such-user", &user, error));
    assert_string_equal(error, "--user no-such-user: there is no such user");
    assert_true(sandbox_find_user(NULL, &user, error));
    assert_true(sandbox_become(&user, error));
}

/* Becomes `nobody` and looks whether anything of root is left. */
static int lose_root(void)
{
    sandbox_user_t user;
    char error[SANDBOX_ERROR_MAX];
    if (!sandbox_find_user("nobody", &user, error) || !sandbox_become(&user, error))
        return NO_SANDBOX;
    gid_t groups[64];
    int count = getgroups(64, groups);
    bool lost =
        getuid() == user.uid && getgid() == user.gid && setresuid(0, 0, 0) != 0 && setgroups(0, NULL) != 0;
    for (int i = 0; i < count; i++)
        lost = lost && groups[i] == user.gid;
    return lost ? ALLOWED : EINVAL;
}

static void root_is_given_up_whole(void **state)
{
    (void)state;
    if (geteuid() != 0)
        skip();
    pid_t child = fork();
    if (child == 0)
        _exit(lose_root());
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), ALLOWED);
}

/* A file of root's that a link in the user's directory leads to stays root's. */
static void a_directory_of_others_is_not_given_away(void **state)
{
    (void)state;
    if (geteuid() != 0)
        skip();
    char path[] = "/tmp/selvedge-sandbox-XXXXXX", error[SANDBOX_ERROR_MAX];
    static const char *const names[] = {"journal"};
    char target[64];
    struct stat found;
    sandbox_user_t user;
    assert_non_null(mkdtemp(path));
    snprintf(target, sizeof target, "%s/journal", path);
    assert_true(sandbox_find_user("nobody", &user, error));
    assert_true(sandbox_give_directory(&user, path, names, 1, error)); /* new and empty: given */
    assert_int_equal(stat(path, &found), 0);
    assert_int_equal(found.st_uid, user.uid);
    assert_true(sandbox_give_file(&(sandbox_user_t){.name = "root"}, target, error));
    assert_true(
        sandbox_give_directory(&user, path, names, 1, error)); /* the user's already: nothing in it is */
    assert_int_equal(stat(target, &found), 0);
    assert_int_equal(found.st_uid, 0);
    assert_true(sandbox_give_file(&user, target, error)); /* there is one */
    assert_int_equal(stat(target, &found), 0);
    assert_int_equal(found.st_uid, 0);
    unlink(target);
    assert_int_equal(rmdir(path), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_only_an_intruder_does_ends_the_process),
        cmocka_unit_test(what_is_not_needed_is_refused),
        cmocka_unit_test(what_serving_takes_is_allowed),
        cmocka_unit_test(no_core_and_no_new_privileges),
        cmocka_unit_test(a_system_without_the_filter_is_told),
        cmocka_unit_test(an_unknown_user_is_told),
        cmocka_unit_test(root_is_given_up_whole),
        cmocka_unit_test(a_directory_of_others_is_not_given_away),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
