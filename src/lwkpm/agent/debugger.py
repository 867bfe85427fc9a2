"""``--stop-in-init``: ranks wait in MPI_Init until a debugger has had its look, or SIGCONT comes.

Ranks that speak PMIx are told to stop by an attribute of the job, those that speak PMI-1 or PMI-2 wait for the answer
to their first message. When all have come that far, debuggers that know the MPIR interface find the process table in
this process (`launcher/mpir`), and everybody else gets the pids in a message.
"""

from __future__ import annotations

import os

from lwkpm.errors import LwkpmError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any

    from lwkpm.agent.rank import Rank

DECLARATIONS = """
int lwkpm_mpir_fill(int size, char **hosts, char **programs, int *pids);
int lwkpm_mpir_stop(void);
"""
MOST_SHOWN = 8


def find_mpir() -> str:
    """The library's path: the source tree's, the wheel's."""
    package = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    places = [os.path.join(package, "..", "..", "launcher", "mpir", "libmpir.so"), f"{package}/lib/liblwkpm-mpir.so"]
    for place in places:
        if os.path.exists(place):
            return os.path.abspath(place)
    raise LwkpmError(
        "LWKPM-E075",
        "--stop-in-init needs the library with the MPIR interface, which is missing",
        f"looked for {', '.join(map(os.path.abspath, places))}",
        "build it with `make -C launcher`",
    )


class StopInInit:
    """Counts the ranks that have come to MPI_Init; `release` lets them go on."""

    def __init__(self, ranks: Callable[[], Sequence[Rank]], hostname: str, release: Callable[[], None]) -> None:
        import cffi

        self._ranks = ranks
        self._hostname = hostname
        self._release = release
        self._ffi = cffi.FFI()
        self._ffi.cdef(DECLARATIONS)
        self._library: Any = self._ffi.dlopen(find_mpir())
        self._there: set[int] = set()
        self.waiting = True

    def arrived(self, rank: Rank, say: Callable[[str], None]) -> None:
        """A rank waits; the last one starts the stop."""
        self._there.add(rank.id)
        self.check(say)

    def check(self, say: Callable[[str], None]) -> None:
        """Stop when every rank that still runs waits; also to be asked when one has ended."""
        running = [rank for rank in self._ranks() if rank.wait_status is None]
        if not self.waiting or not running or any(rank.id not in self._there or not rank.pid for rank in running):
            return
        self._fill(running)
        if self._library.lwkpm_mpir_stop():
            say("the debugger has seen the process table: the ranks go on")
            self.go_on()
            return
        shown = ", ".join(f"{rank.title}: pid {rank.pid}" for rank in running[:MOST_SHOWN])
        more = f" and {len(running) - MOST_SHOWN} more" if len(running) > MOST_SHOWN else ""
        say(f"all ranks wait in MPI_Init ({shown}{more}); to let them go on: kill -CONT {os.getpid()}")

    def _fill(self, ranks: Sequence[Rank]) -> None:
        host = self._ffi.new("char[]", os.fsencode(self._hostname))
        programs = [self._ffi.new("char[]", os.fsencode(_program(rank))) for rank in ranks]
        self._library.lwkpm_mpir_fill(
            len(ranks),
            self._ffi.new("char *[]", [host] * len(ranks)),
            self._ffi.new("char *[]", programs),
            self._ffi.new("int[]", [rank.pid for rank in ranks]),
        )

    def go_on(self) -> None:
        """Let the ranks go; once."""
        if self.waiting:
            self.waiting = False
            self._release()


def _program(rank: Rank) -> str:
    """The program as a path that a debugger outside the container can open."""
    try:
        inside = os.readlink(f"/proc/{rank.pid}/exe")
    except OSError:
        inside = rank.namespace.plan.apps[rank.proc.app].argv[0]
    through = f"/proc/{rank.pid}/root{inside}"
    return through if os.path.exists(through) else inside
