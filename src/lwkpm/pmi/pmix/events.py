"""What `PmixServer.dispatch` tells the agent."""

from __future__ import annotations

from lwkpm.value import Value


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
    """A rank asked to have text written; `stream` is stdout or stderr."""

    stream: str
    message: str


class PmixSpawnRequested(PmixEvent):
    """A rank called PMIx_Spawn (MPI_Comm_spawn); it was answered "not supported"."""

    command: str
    processes: int
