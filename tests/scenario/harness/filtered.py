"""Runs a command in which every system call but those named ends the process, as a strict unit of systemd would:
    filtered.py NAME,NAME... COMMAND..."""
import ctypes
import os
import sys

KILL_PROCESS, ALLOW = 0x80000000, 0x7FFF0000  # linux/seccomp.h


def enter(names):
    library = ctypes.CDLL("libseccomp.so.2", use_errno=True)
    library.seccomp_init.restype = ctypes.c_void_p
    rules = ctypes.c_void_p(library.seccomp_init(ctypes.c_uint32(KILL_PROCESS)))
    for name in names:
        number = library.seccomp_syscall_resolve_name(name.encode())
        if number >= 0:  # else it is one of another architecture
            assert library.seccomp_rule_add(rules, ctypes.c_uint32(ALLOW), number, 0) == 0, name
    assert library.seccomp_load(rules) == 0, "the filter cannot be loaded"


if __name__ == "__main__":
    enter(sys.argv[1].split(","))
    os.execv(sys.argv[2], sys.argv[2:])
