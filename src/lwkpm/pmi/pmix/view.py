"""What the agent tells of living processes, for queries and monitors. Imported by who makes a view."""

from __future__ import annotations

from lwkpm.value import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Protocol

    class JobView(Protocol):
        """Set as `PmixServer.view`; asked on the loop's thread, when somebody queries."""

        def procs(self, nspace: str) -> Sequence[ProcState]:
            """The processes of a job by rank, those that ended too; none for an unknown job."""
            ...

        def memory(self, nspace: str) -> Mapping[int, int]:
            """Memory in use, in bytes by rank."""
            ...


class ProcState(Value):
    """One process; `state` is starting, running, stopped, terminated, aborted, killed or failed (to start)."""

    rank: int
    pid: int
    program: str
    hostname: str
    state: str
    exit_code: int = 0
