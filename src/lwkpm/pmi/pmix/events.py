"""What `PmixServer.dispatch` tells the agent."""

from __future__ import annotations

from lwkpm.value import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from lwkpm.pmi.pmix.values import Info


class PmixEvent(Value):
    """Base class: the rank it comes from."""

    nspace: str
    rank: int


class PmixConnected(PmixEvent):
    """A rank called PMIx_Init and was let in."""


class PmixFinalized(PmixEvent):
    """A rank called PMIx_Finalize."""


class PmixAborted(PmixEvent):
    """A rank called PMIx_Abort. `targets` are (nspace, rank); empty = the whole job."""

    status: int
    message: str
    targets: tuple[tuple[str, int], ...] = ()


class PmixLog(PmixEvent):
    """A rank asked to have text written; `stream` is stdout, stderr or syslog."""

    stream: str
    message: str


class PmixCommand(Value):
    """One command of a spawn: `arguments` without the program, `env` as NAME=value, `info` as (key, type, data)."""

    program: str
    arguments: tuple[str, ...]
    env: tuple[str, ...]
    cwd: str
    processes: int
    info: tuple[Info, ...]


class PmixSpawnRequested(PmixEvent):
    """A rank called PMIx_Spawn (MPI_Comm_spawn) and waits until `answer` is called: (PMIx status, new namespace or "").

    The new namespace must be registered before. `info` are the directives for the whole job.
    """

    commands: tuple[PmixCommand, ...]
    info: tuple[Info, ...]
    answer: Callable[[int, str], None]


class PmixJobControl(PmixEvent):
    """A rank, or a tool, wants processes of a job that it may act on ended, stopped or signalled.

    `targets` are (nspace, rank or RANK_WILDCARD); `action` is kill, terminate, signal, pause or resume; `answer` takes
    a PMIx status, once, at any later time.
    """

    targets: tuple[tuple[str, int], ...]
    action: str
    signal: int
    answer: Callable[[int], None]


class PmixIofPull(PmixEvent):
    """Somebody wants output from now on, or (`stop`) no more; who is not told. For the log: see `iof_wanted`."""

    targets: tuple[tuple[str, int], ...]
    channels: tuple[str, ...]
    stop: bool


class PmixStdin(PmixEvent):
    """A tool sends input to ranks; `eof` = this is the end."""

    targets: tuple[tuple[str, int], ...]
    data: bytes
    eof: bool


class PmixToolConnected(PmixEvent):
    """A tool of our user was let in under this name."""
