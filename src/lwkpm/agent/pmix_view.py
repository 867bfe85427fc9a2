"""What runs, as PMIx queries and job control see it. Imported by the first of them."""

from __future__ import annotations

import os

from lwkpm.lean import signal
from lwkpm.pmi.pmix import constants as c
from lwkpm.pmi.pmix.view import ProcState

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from typing import Any

    from lwkpm.agent.namespace import Namespace
    from lwkpm.agent.rank import Rank

#: What an action of job control is as a signal; "signal" brings its own.
SIGNALS = {
    "kill": signal.SIGKILL,
    "terminate": signal.SIGTERM,
    "pause": signal.SIGSTOP,
    "resume": signal.SIGCONT,
}


class AgentView:
    """The agent's ranks as a `JobView`."""

    def __init__(self, namespaces: Mapping[str, Namespace], hostname: str) -> None:
        self._namespaces = namespaces
        self._hostname = hostname

    def procs(self, nspace: str) -> Sequence[ProcState]:
        """The processes of a job by rank; none for an unknown job."""
        namespace = self._namespaces.get(nspace)
        return [self._state(rank) for rank in namespace.ranks] if namespace is not None else []

    def _state(self, rank: Rank) -> ProcState:
        app = rank.namespace.plan.apps[rank.proc.app]
        status = rank.wait_status
        return ProcState(
            rank=rank.number,
            pid=rank.pid,
            program=app.argv[0],
            hostname=self._hostname,
            state=_state_of(rank),
            exit_code=0 if status is None else os.waitstatus_to_exitcode(status),
        )

    def memory(self, nspace: str) -> Mapping[int, int]:
        """Resident memory of the living processes, in bytes by rank."""
        namespace = self._namespaces.get(nspace)
        living = [rank for rank in namespace.ranks if rank.running] if namespace is not None else []
        return {rank.number: _resident_bytes(rank.pid) for rank in living}


def _state_of(rank: Rank) -> str:
    status = rank.wait_status
    if status is None:
        return ("stopped" if _is_stopped(rank.pid) else "running") if rank.pid else "starting"
    if rank.pid == 0:
        return "failed"
    if rank.aborting:
        return "aborted"
    return "killed" if status & 0x7F else "terminated"


def _read(path: str) -> str:
    try:
        with open(path) as file:
            return file.read()
    except OSError:
        return ""


def _is_stopped(pid: int) -> bool:
    return _read(f"/proc/{pid}/stat").rpartition(")")[2].strip()[:1] == "T"


def _resident_bytes(pid: int) -> int:
    fields = _read(f"/proc/{pid}/statm").split()
    return int(fields[1]) * os.sysconf("SC_PAGE_SIZE") if len(fields) > 1 else 0


def control(event: Any, namespaces: Mapping[str, Namespace], send: Callable[[Rank, int], None]) -> None:
    """Carry out a `PmixJobControl`, whose right to ask has been checked."""
    ranks = targets(event.targets, namespaces)
    event.answer(c.SUCCESS if ranks else c.ERR_NOT_FOUND)  # before a rank that ends itself is gone
    for rank in ranks:
        if rank.running:
            send(rank, SIGNALS.get(event.action, event.signal))


def targets(named: Sequence[tuple[str, int]], namespaces: Mapping[str, Namespace]) -> list[Rank]:
    """The ranks that (namespace, rank or wildcard) pairs name."""
    return [rank for target in named for rank in _targets(target, namespaces)]


def _targets(target: tuple[str, int], namespaces: Mapping[str, Namespace]) -> list[Rank]:
    namespace = namespaces.get(target[0])
    if namespace is None:
        return []
    return namespace.ranks if target[1] == c.RANK_WILDCARD else namespace.ranks[target[1] : target[1] + 1]
