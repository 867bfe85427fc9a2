"""Runs a command in which unshare is forbidden, as the default seccomp filter of container engines forbids it.

python3 without_unshare.py COMMAND [ARGS]
"""

from __future__ import annotations

import ctypes
import os
import struct
import sys

NUMBERS = {"x86_64": 272, "aarch64": 97}
PR_SET_SECCOMP, PR_SET_NO_NEW_PRIVS, SECCOMP_MODE_FILTER = 22, 38, 2
LOAD_NUMBER, JUMP_IF_EQUAL, RETURN = 0x20, 0x15, 0x06
FAIL_WITH_EPERM, ALLOW = 0x0005_0001, 0x7FFF_0000


def forbid(number: int) -> None:
    """A filter of four instructions: this system call fails with EPERM, here and in every child."""
    steps = [(LOAD_NUMBER, 0, 0), (JUMP_IF_EQUAL, 1, number), (RETURN, 0, FAIL_WITH_EPERM), (RETURN, 0, ALLOW)]
    code = ctypes.create_string_buffer(b"".join(struct.pack("=HBBI", op, 0, skip, k) for op, skip, k in steps))
    program = ctypes.create_string_buffer(struct.pack("@HP", len(steps), ctypes.addressof(code)))
    libc = ctypes.CDLL(None, use_errno=True)
    for call in ((PR_SET_NO_NEW_PRIVS, 1, None), (PR_SET_SECCOMP, SECCOMP_MODE_FILTER, program)):
        if libc.prctl(call[0], call[1], call[2], None, None) != 0:
            raise OSError(ctypes.get_errno(), f"prctl {call[0]}")


if __name__ == "__main__":
    forbid(NUMBERS[os.uname().machine])
    os.execvp(sys.argv[1], sys.argv[1:])  # noqa: S606 - the filter passes through exec
