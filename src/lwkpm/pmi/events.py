"""What a connection tells the agent."""

from __future__ import annotations

from lwkpm.pmi.wire import parse_int
from lwkpm.value import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from lwkpm.pmi.server import PmiJob


class Event(Value):
    """Base class of all events."""


class Initialized(Event):
    """A rank said init (PMI-1) or fullinit (PMI-2); `version` is 1 or 2. Comes again after a finalize."""

    job: PmiJob
    rank: int
    version: int


class Finalized(Event):
    """A rank said finalize."""

    job: PmiJob
    rank: int


class Aborted(Event):
    """A rank asked for the job's end; `code` 1..255, None over PMI-2, whose wire does not carry it."""

    job: PmiJob
    rank: int
    code: int | None
    message: str


class SpawnCommand(Value):
    """One command of a spawn request; `arguments` without the program, `info` as (key, value) pairs."""

    program: str
    arguments: tuple[str, ...] = ()
    processes: int = 0
    info: tuple[tuple[str, str], ...] = ()


class SpawnRequested(Event):
    """A rank asks for more processes and waits: the agent calls `answer` once, now or later.

    `preput` goes into the new job's space before its ranks start. `answer(kvsname, trouble)` takes the new job's
    space, or "" and a word saying why there is none; what it sends is in the connection's `out`.
    """

    job: PmiJob
    rank: int
    commands: tuple[SpawnCommand, ...]
    preput: tuple[tuple[str, str], ...] = ()
    answer: Callable[[str, str], None]


class Violation(Event):
    """A client broke the protocol; job and rank are None when it never said who it is."""

    job: PmiJob | None
    rank: int | None
    text: str


def readable(text: str) -> str:
    """Text of a client for people: latin-1 decoded bytes back to utf-8."""
    return text.encode("latin-1").decode("utf-8", "replace")


def exit_code(text: str) -> int:
    """The job's exit code for an abort's ``exitcode=``: its low 8 bits, 1 for 0 or garbage.

    Fatal errors inside MPI_Init send a large MPI error code whose low byte is 15.
    """
    number = parse_int(text)
    return 1 if number is None else number & 0xFF or 1
