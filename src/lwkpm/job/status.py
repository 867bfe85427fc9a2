"""How a job ended: the exit status and the rank to name, from what happened in order of time (pure).

The first failure decides, because what follows is mostly its consequence (peers aborting, our own kills). Ties in time
go to the lowest rank. Hydra ORs the statuses and Slurm takes the highest; neither number tells what went wrong.
"""

from __future__ import annotations

from lwkpm.errors import EXIT_TIMEOUT
from lwkpm.value import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

SIGNALLED = 128  # + the signal's number, as shells do

_CAUSES = {
    "exit": "proc",
    "signal": "proc",
    "abort": "proc",
    "nofinalize": "proc",
    "launcher": "launcher",
    "timeout": "timeout",
    "interrupt": "signal",
}


class Event(Value):
    """Something that may end the job. `at` in seconds (any clock); `rank` -1 = no rank.

    kind, with what `code` means: ``exit`` (a rank's status), ``signal`` (what killed a rank), ``abort`` (MPI_Abort's
    error code), ``nofinalize`` (a rank's status; it left after MPI_Init without MPI_Finalize), ``launcher`` (lwkpm's
    own status, 125 to 127), ``timeout`` (0), ``interrupt`` (the signal that lwkpm got).
    """

    at: float
    kind: str
    rank: int = -1
    code: int = 0


class JobEnd(Value):
    """`status` = exit status of lwkpm-run; `first` = the event that decided (None: all ranks ended well)."""

    status: int
    cause: str  # proc, launcher, timeout, signal; with status 0: proc
    first: Event | None = None
    failed: tuple[int, ...] = ()  # every rank that did not end well, ascending


def from_wait(at: float, rank: int, wait_status: int, finalized: bool = True) -> Event:
    """The event of a rank's end, from waitpid's status. `finalized` False: it was in MPI when it left."""
    signal = wait_status & 0x7F
    if signal:
        return Event(at=at, kind="signal", rank=rank, code=signal)
    return Event(at=at, kind="exit" if finalized else "nofinalize", rank=rank, code=(wait_status >> 8) & 0xFF)


def job_end(events: Iterable[Event]) -> JobEnd:
    """The end of the job; events need not be sorted."""
    failures = sorted((event for event in events if is_failure(event)), key=lambda event: (event.at, event.rank))
    failed = tuple(sorted({event.rank for event in failures if event.rank >= 0}))
    if not failures:
        return JobEnd(status=0, cause="proc")
    first = failures[0]
    return JobEnd(status=status_of(first), cause=_CAUSES[first.kind], first=first, failed=failed)


def is_failure(event: Event) -> bool:
    """Whether this ends the job: everything but a rank's exit with 0."""
    return event.kind != "exit" or event.code != 0


def status_of(event: Event) -> int:
    """The exit status one event means, 0-255."""
    if event.kind == "timeout":
        return EXIT_TIMEOUT
    if event.kind in ("signal", "interrupt"):
        return SIGNALLED + event.code
    if event.kind in ("abort", "nofinalize"):
        return event.code & 0xFF or 1  # a job that was aborted with code 0 or 256 has still failed
    return event.code & 0xFF
