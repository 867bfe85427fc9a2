"""What the agent knows of one rank."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from lwkpm.agent.namespace import Namespace
    from lwkpm.agent.output import Stream
    from lwkpm.job.plan import Proc


class Rank:
    """One rank's state, from its order to its end.

    `id` counts all ranks of the run, whatever namespace they are in; conenter knows a rank by it. `reached`,
    `finalized` and `protocol` say what the rank has done with its PMI servers.
    """

    __slots__ = (
        *("aborting", "err", "finalized", "id", "mpi_library", "namespace", "out", "pid", "proc", "protocol"),
        *("reached", "wait_status"),
    )

    def __init__(self, number: int, namespace: Namespace, proc: Proc) -> None:
        self.id = number
        self.namespace = namespace
        self.proc = proc
        self.pid = 0  # 0: not started
        self.wait_status: int | None = None  # None: not ended
        self.mpi_library = ""
        self.aborting = False  # asked for the job's end over PMI-2, whose wire carries no code
        self.reached = self.finalized = False
        self.protocol = ""
        self.out: Stream | None = None
        self.err: Stream | None = None

    @property
    def number(self) -> int:
        """The rank's number in its namespace."""
        return self.proc.rank

    @property
    def title(self) -> str:
        """The rank for people: ``rank 3``, ``rank 0 of spawned job 1``."""
        return f"rank {self.number}{self.namespace.of_which}"

    @property
    def label(self) -> str:
        """What stands for the rank in ``-l`` labels and lists: ``3``, in world 1 ``1.3``."""
        index = self.namespace.index
        return f"{index}.{self.number}" if index else str(self.number)

    @property
    def running(self) -> bool:
        """Started and not ended."""
        return self.pid > 0 and self.wait_status is None

    @property
    def in_mpi(self) -> bool:
        """Between init and finalize."""
        return self.reached and not self.finalized

    def last_error_lines(self, count: int = 5) -> list[str]:
        """The last lines the rank wrote to stderr."""
        tail = self.err.tail if self.err is not None else b""
        return tail.decode("utf-8", "replace").splitlines()[-count:]
