/* The filter of system calls. A list of what is forbidden, not of what is allowed: the libraries below us
 * (name services above all) make calls that differ by configuration and version, and a call missing from a
 * list of allowed ones would be a node that ends on one machine and not on the next. */
#include "edge/supervisor/sandbox.h"

#include <errno.h>
#include <sched.h>
#include <seccomp.h>
#include <sys/prctl.h>
#include <sys/socket.h>

/* Nothing here makes these: who does is not us any more. */
static const int deadly[] = {
    /* other programs */
    SCMP_SYS(execve), SCMP_SYS(execveat),
    /* other processes */
    SCMP_SYS(process_vm_readv), SCMP_SYS(process_vm_writev), SCMP_SYS(kcmp), SCMP_SYS(pidfd_getfd),
    /* the file system's shape, and ways around its permissions */
    SCMP_SYS(mount), SCMP_SYS(umount2), SCMP_SYS(pivot_root), SCMP_SYS(chroot), SCMP_SYS(move_mount),
    SCMP_SYS(open_tree), SCMP_SYS(fsopen), SCMP_SYS(fsconfig), SCMP_SYS(fsmount), SCMP_SYS(fspick),
    SCMP_SYS(mount_setattr), SCMP_SYS(open_by_handle_at), SCMP_SYS(name_to_handle_at), SCMP_SYS(swapon),
    SCMP_SYS(swapoff), SCMP_SYS(quotactl), SCMP_SYS(acct),
    /* the kernel itself, and its keys */
    SCMP_SYS(init_module), SCMP_SYS(finit_module), SCMP_SYS(delete_module), SCMP_SYS(kexec_load),
    SCMP_SYS(kexec_file_load), SCMP_SYS(reboot), SCMP_SYS(bpf), SCMP_SYS(perf_event_open),
    SCMP_SYS(userfaultfd), SCMP_SYS(add_key), SCMP_SYS(request_key), SCMP_SYS(keyctl), SCMP_SYS(iopl),
    SCMP_SYS(ioperm), SCMP_SYS(modify_ldt), SCMP_SYS(syslog),
    /* the machine's names, clock and name spaces */
    SCMP_SYS(setns), SCMP_SYS(unshare), SCMP_SYS(sethostname), SCMP_SYS(setdomainname),
    SCMP_SYS(clock_settime), SCMP_SYS(settimeofday)};

/* What a library might try, and can do without: EPERM. */
static const int refused[] = {SCMP_SYS(io_uring_setup), SCMP_SYS(io_uring_enter), SCMP_SYS(io_uring_register),
                              SCMP_SYS(personality),    SCMP_SYS(setuid),         SCMP_SYS(setgid),
                              SCMP_SYS(setreuid),       SCMP_SYS(setregid),       SCMP_SYS(setresuid),
                              SCMP_SYS(setresgid),      SCMP_SYS(setgroups),      SCMP_SYS(setfsuid),
                              SCMP_SYS(setfsgid),       SCMP_SYS(capset),         SCMP_SYS(mknod),
                              SCMP_SYS(mknodat),        SCMP_SYS(fork),           SCMP_SYS(vfork)};

static bool add(scmp_filter_ctx filter, uint32_t action, const int calls[], size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (seccomp_rule_add(filter, action, calls[i], 0) != 0)
            return false;
    return true;
}

static struct scmp_arg_cmp family_is(enum scmp_compare operator, unsigned family)
{
    return (struct scmp_arg_cmp){.arg = 0, .op = operator, .datum_a = family };
}

/* Unix, IPv4, IPv6, and netlink, by which addresses are looked up. The others are the kernel's least used
 * corners. */
static bool add_socket_families(scmp_filter_ctx filter)
{
    const uint32_t action = SCMP_ACT_ERRNO(EAFNOSUPPORT);
    bool added =
        seccomp_rule_add(filter, action, SCMP_SYS(socket), 1, family_is(SCMP_CMP_GT, AF_NETLINK)) == 0;
    for (unsigned family = AF_UNSPEC; added && family < AF_NETLINK; family++)
        if (family != AF_UNIX && family != AF_INET && family != AF_INET6)
            added =
                seccomp_rule_add(filter, action, SCMP_SYS(socket), 1, family_is(SCMP_CMP_EQ, family)) == 0;
    return added;
}

/* Threads only. clone3 hides its arguments from a filter: the C library takes clone where it is missing. A
 * leak checker looks at the process from another one. */
static bool add_processes(scmp_filter_ctx filter)
{
    if (seccomp_rule_add(filter, SCMP_ACT_ERRNO(ENOSYS), SCMP_SYS(clone3), 0) != 0)
        return false;
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
    return true;
#else
    return seccomp_rule_add(filter, SCMP_ACT_KILL_PROCESS, SCMP_SYS(ptrace), 0) == 0 &&
           seccomp_rule_add(filter, SCMP_ACT_ERRNO(EPERM), SCMP_SYS(clone), 1,
                            SCMP_A0(SCMP_CMP_MASKED_EQ, CLONE_THREAD, 0)) == 0;
#endif
}

static bool fill(scmp_filter_ctx filter)
{
    return seccomp_attr_set(filter, SCMP_FLTATR_CTL_TSYNC, 1) == 0 &&
           add(filter, SCMP_ACT_KILL_PROCESS, deadly, sizeof deadly / sizeof *deadly) &&
           add(filter, SCMP_ACT_ERRNO(EPERM), refused, sizeof refused / sizeof *refused) &&
           add_socket_families(filter) && add_processes(filter);
}

bool sandbox_hide_memory(char error[SANDBOX_ERROR_MAX])
{
    if (prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) == 0)
        return true;
    snprintf(error, SANDBOX_ERROR_MAX, "memory cannot be hidden from other processes: %s", strerror(errno));
    return false;
}

/* Already filling it in asks the kernel what it can do. */
bool sandbox_filter_system_calls(char error[SANDBOX_ERROR_MAX])
{
    scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ALLOW);
    MUST(filter != NULL);
    int failed = fill(filter) ? -seccomp_load(filter) : EOPNOTSUPP;
    seccomp_release(filter);
    if (failed != 0)
        snprintf(error, SANDBOX_ERROR_MAX,
                 "this system takes no filter of system calls (%s): where that must be, "
                 "--system-call-filter off does without it",
                 strerror(failed));
    return failed == 0;
}
