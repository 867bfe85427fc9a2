"""PMIx_Job_control: end, stop and signal processes. Imported by the first request.

A rank may act on its own job and on those that its job spawned, directly or through others; a tool, which belongs to
the same user, on all.
"""

from __future__ import annotations

from lwkpm.pmi.pmix import constants as c
from lwkpm.pmi.pmix.events import PmixJobControl

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence
    from typing import Any

    from lwkpm.pmi.pmix.job import Job
    from lwkpm.pmi.pmix.requests import Events, Requests
    from lwkpm.pmi.pmix.values import Info, Proc

ERR_NO_PERMISSIONS = -23

ACTIONS = {
    "pmix.jctrl.kill": "kill",
    "pmix.jctrl.term": "terminate",
    "pmix.jctrl.sig": "signal",
    "pmix.jctrl.pause": "pause",
    "pmix.jctrl.resume": "resume",
}
DEFINE_PSET = "pmix.jctrl.defpset"
# Names of the request and what libpmix does by itself (see guard.py): no action, no error.
IGNORED = ("pmix.jctrl.id", c.TIMEOUT)
CLEANUP = "pmix.reg."
CLEANUP_OPTIONS = "pmix.clnup."
SIGNALS = range(1, 65)


class RefusedError(Exception):
    """The request is answered with `status`."""

    def __init__(self, status: int) -> None:
        super().__init__(status)
        self.status = status


def check_targets(
    jobs: Mapping[str, Job], tools: Collection[str], asker: Proc, targets: Sequence[Proc]
) -> tuple[Proc, ...]:
    """What a request means: no target = the asker's own job. Raises RefusedError."""
    named = tuple(targets) or ((asker[0], c.RANK_WILDCARD),)
    for nspace, rank in named:
        job = jobs.get(nspace)
        if job is None:
            raise RefusedError(c.ERR_INVALID_NAMESPACE)
        if rank != c.RANK_WILDCARD and rank >= job.size:
            raise RefusedError(c.ERR_NOT_FOUND)
        if asker[0] not in tools and asker[0] not in ancestry(jobs, nspace):
            raise RefusedError(ERR_NO_PERMISSIONS)
    return named


def ancestry(jobs: Mapping[str, Job], nspace: str) -> list[str]:
    """A job, the one that spawned it, and so on."""
    found: list[str] = []
    while nspace in jobs and nspace not in found:
        found.append(nspace)
        parent = jobs[nspace].parent
        nspace = parent[0] if parent is not None else ""
    return found


def is_true(kind: int, data: Any) -> bool:
    """A directive without a value is set."""
    return kind == 0 or (kind == c.BOOL and bool(data))


def read_action(directives: Sequence[Info]) -> tuple[str, int, str]:
    """(action, signal, process set) of a request; one action at a time. Raises RefusedError."""
    found: list[tuple[str, int, str]] = []
    for key, kind, data in directives:
        if key == DEFINE_PSET and kind == c.STRING and data:
            found.append(("define", 0, data))
        elif key not in ACTIONS:
            if key not in IGNORED and not key.startswith((CLEANUP, CLEANUP_OPTIONS)):
                raise RefusedError(c.ERR_NOT_SUPPORTED)
        elif ACTIONS[key] == "signal":
            found.append(("signal", read_signal(kind, data), ""))
        elif is_true(kind, data):
            found.append((ACTIONS[key], 0, ""))
    if len(found) != 1:
        raise RefusedError(c.ERR_BAD_PARAM)
    return found[0]


def read_signal(kind: int, data: Any) -> int:
    """A signal's number. Raises RefusedError."""
    if kind not in (c.INT, c.INT32, c.UINT32, c.UINT8) or data not in SIGNALS:
        raise RefusedError(c.ERR_BAD_PARAM)
    return int(data)


def control(host: Requests, request: tuple[Proc, list[Proc], list[Info]], answer: Callable[[int], None]) -> Events:
    """Serve (asker, targets, directives): the event for the agent, or nothing when the answer was given here."""
    asker, targets, directives = request
    try:
        action, signal, pset = read_action(directives)
        named = check_targets(host.jobs, host.tools, asker, targets)
    except RefusedError as refusal:
        answer(refusal.status)
        return []
    if action == "define":
        host.define_pset(pset, host.expand(named))
        answer(c.SUCCESS)
        return []
    return [PmixJobControl(nspace=asker[0], rank=asker[1], targets=named, action=action, signal=signal, answer=answer)]
