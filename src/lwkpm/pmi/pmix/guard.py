"""Keep libpmix's thread from deleting files. Imported when the first client connects.

With job control comes PMIX_REGISTER_CLEANUP, and that part libpmix does by itself: it deletes, as our user and in our
file system, what a rank named when the rank or its job is forgotten (pmix_execute_epilog). But a rank in a container
means a path of the container: the same path out here is another file. libpmix never shows us these requests, so its
thread gets a seccomp filter under which nothing can be deleted, and job control is offered only when that worked.
The thread has no files of its own to remove: rendezvous files are removed by the thread that stops the server.
"""

from __future__ import annotations

import os

from lwkpm.pmi.pmix.values import ffi

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

# Machine: number in linux/audit.h, and the system calls that delete.
MACHINES = {
    "x86_64": (0xC000003E, (87, 84, 263)),  # unlink, rmdir, unlinkat
    "aarch64": (0xC00000B7, (35,)),  # unlinkat
}
PR_SET_SECCOMP = 22
PR_SET_NO_NEW_PRIVS = 38
SECCOMP_MODE_FILTER = 2
# linux/bpf_common.h and linux/seccomp.h
LOAD_WORD, JUMP_IF_EQUAL, RETURN = 0x20, 0x15, 0x06
NUMBER_OFFSET, ARCHITECTURE_OFFSET = 0, 4
ALLOW = 0x7FFF0000
REFUSE = 0x00050001  # EPERM


def filter_program(architecture: int, calls: tuple[int, ...]) -> bytes:
    """The struct sock_filter array: the given system calls fail, all others pass."""
    count = len(calls)
    lines = [
        (LOAD_WORD, 0, 0, ARCHITECTURE_OFFSET),
        (JUMP_IF_EQUAL, 0, count + 1, architecture),
        (LOAD_WORD, 0, 0, NUMBER_OFFSET),
        *((JUMP_IF_EQUAL, count - index, 0, call) for index, call in enumerate(calls)),
        (RETURN, 0, 0, ALLOW),
        (RETURN, 0, 0, REFUSE),
    ]
    return b"".join(
        code.to_bytes(2, "little") + bytes((yes, no)) + value.to_bytes(4, "little") for code, yes, no, value in lines
    )


def guard_thread(prctl: Any) -> bool:
    """Let the calling thread delete nothing from now on; whether that worked. `prctl` is the C function."""
    architecture, calls = MACHINES.get(os.uname().machine, (0, ()))
    if not calls:
        return False
    program = ffi.new("char[]", filter_program(architecture, calls))
    holder = ffi.new("lwkpm_filter_t *", {"length": len(program) // 8, "program": program})
    address = int(ffi.cast("uintptr_t", holder))
    if prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0:
        return False
    return bool(prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, address, 0, 0) == 0)
