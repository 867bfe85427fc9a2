"""Processes of a job that outlived their parents, found by LWKPM_JOB in their environment.

In the usual case conenter, as child subreaper, ends them. Only when conenter itself was killed by SIGKILL are a rank's
own children nobody's: the ranks die with it (PDEATHSIG), their children do not.
"""

from __future__ import annotations

import os

from lwkpm.lean import signal


def find_strays(jobid: str) -> list[int]:
    """The pids of this user's processes that carry the job's mark."""
    mark = f"LWKPM_JOB={jobid}".encode()
    found = []
    for name in os.listdir("/proc"):
        if not name.isdigit() or int(name) == os.getpid():
            continue
        try:
            with open(f"/proc/{name}/environ", "rb") as file:
                if mark in file.read().split(b"\0"):
                    found.append(int(name))
        except OSError:
            pass  # another user's, or gone
    return found


def kill_strays(jobid: str) -> None:
    """Kill them, again for what they forked meanwhile."""
    for _round in range(10):
        pids = find_strays(jobid)
        if not pids:
            return
        for pid in pids:
            try:
                os.kill(pid, signal.SIGKILL)
            except OSError:
                pass  # gone
