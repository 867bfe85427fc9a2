"""Room for the descriptors of a job: the limit of open files, and the kernel's table of them."""

from __future__ import annotations

import fcntl
import os

PER_RANK = 6
OWN = 256


def allow_descriptors(ranks: int) -> None:
    """Raise our soft limit of open files to what so many ranks need; they get the caller's limit back (`nofile`)."""
    wanted = ranks * PER_RANK + OWN
    if os.sysconf("SC_OPEN_MAX") not in range(wanted):  # the soft limit, -1: none
        return
    import resource  # for large jobs only: 0.15 ms

    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    limit = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
    resource.setrlimit(resource.RLIMIT_NOFILE, (limit, hard))
    if hard != resource.RLIM_INFINITY and hard < wanted:
        from lwkpm.errors import ResourceError

        raise ResourceError(
            "LWKPM-E073",
            f"the job needs {wanted} open files",
            f"the hard limit of this process is {hard} ({PER_RANK} for each rank)",
            "start fewer ranks, or have the hard limit raised (ulimit -Hn)",
        )


def make_room(ranks: int) -> None:
    """`allow_descriptors`, and let the kernel's table grow to that now, while this process has one thread.

    With more threads the kernel waits for an RCU grace period each time it doubles the table (expand_fdtable in
    fs/file.c): 5 to 20 ms, three times for 64 ranks.
    """
    allow_descriptors(ranks)
    try:
        os.close(fcntl.fcntl(2, fcntl.F_DUPFD_CLOEXEC, ranks * PER_RANK + OWN - 1))
    except OSError:
        pass  # stderr is closed: it only takes longer
