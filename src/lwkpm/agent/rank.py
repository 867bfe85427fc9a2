"""What the agent knows of one rank."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from lwkpm.agent.output import Stream
    from lwkpm.job.plan import Proc


class Rank:
    """One rank's state, from its order to its end."""

    __slots__ = ("aborting", "err", "mpi_library", "out", "pid", "proc", "wait_status")

    def __init__(self, proc: Proc) -> None:
        self.proc = proc
        self.pid = 0  # 0: not started
        self.wait_status: int | None = None  # None: not ended
        self.mpi_library = ""
        self.aborting = False  # asked for the job's end over PMI-2, whose wire carries no code
        self.out: Stream | None = None
        self.err: Stream | None = None

    @property
    def number(self) -> int:
        """The rank's number in the job."""
        return self.proc.rank

    @property
    def running(self) -> bool:
        """Started and not ended."""
        return self.pid > 0 and self.wait_status is None

    def last_error_lines(self, count: int = 5) -> list[str]:
        """The last lines the rank wrote to stderr."""
        tail = self.err.tail if self.err is not None else b""
        return tail.decode("utf-8", "replace").splitlines()[-count:]
