"""What the server does with the records that upcalls queued. Runs on the loop's thread."""

from __future__ import annotations

import time

from lwkpm.pmi.pmix import constants as c
from lwkpm.pmi.pmix.answers import Answers
from lwkpm.pmi.pmix.events import PmixAborted, PmixConnected, PmixFinalized, PmixLog

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from typing import Any

    from lwkpm.pmi.pmix.events import PmixEvent
    from lwkpm.pmi.pmix.forwarding import Pulls
    from lwkpm.pmi.pmix.job import Job
    from lwkpm.pmi.pmix.names import Lookup, Names
    from lwkpm.pmi.pmix.values import Info, Proc
    from lwkpm.pmi.pmix.view import JobView

    Events = list[PmixEvent]

RECORDS = (
    *("connected", "finalized", "aborted", "fence", "modex", "publish", "lookup", "unpublish"),
    *("spawn", "connect", "query", "log", "group", "ungroup", "control", "pull", "stdin", "tool"),
)
LOG_STREAMS = {
    c.LOG_STDERR: "stderr",
    c.LOG_STDOUT: "stdout",
    c.LOG_SYSLOG: "syslog",
    c.LOG_LOCAL_SYSLOG: "syslog",
    c.LOG_GLOBAL_SYSLOG: "syslog",
}


class Fence:
    """A fence that the local ranks have reached: `data` is their blob, to be exchanged with the other nodes."""

    def __init__(self, procs: list[Proc], collect: bool, data: bytes, reply: Callable[[int, bytes], None]) -> None:
        self.procs = procs
        self.collect = collect
        self.data = data
        self._reply = reply

    def complete(self, data: bytes, status: int = c.SUCCESS) -> None:
        """Answer with the blobs of all nodes, concatenated; once, at any later time, from any thread."""
        self._reply(status, data)


class Modex:
    """A local rank wants the data of a rank elsewhere."""

    def __init__(self, proc: Proc, reply: Callable[[int, bytes], None]) -> None:
        self.proc = proc
        self._reply = reply

    def complete(self, data: bytes, status: int = c.SUCCESS) -> None:
        """Answer with that rank's data; once, at any later time, from any thread."""
        self._reply(status, data)


class Requests:
    """Handlers by record name; each returns the events it makes."""

    def __init__(
        self, jobs: Mapping[str, Job], hostname: str, define_pset: Callable[[str, Sequence[Proc]], None]
    ) -> None:
        self._answers = Answers()
        self._late_names: Names | None = None
        self.jobs = jobs  # by namespace; the server's own, so always current
        self._hostname = hostname
        self.view: JobView | None = None
        self.psets: dict[str, Sequence[Proc]] = {}
        self.groups: dict[str, Sequence[Proc]] = {}
        self.define_pset = define_pset
        self.tools: set[str] = set()  # namespaces
        self.pulls: Pulls | None = None
        self._unclean = False
        self.connected: set[Proc] = set()  # let in and not yet finalized or ended
        self._contexts = 0
        self._handlers: dict[str, Callable[..., Events]] = {name: getattr(self, f"_{name}") for name in RECORDS}
        # One node is complete in itself: its own blob is the whole answer, and no rank lives elsewhere.
        self.fence_handler: Callable[[Fence], None] = lambda fence: fence.complete(fence.data)
        self.modex_handler: Callable[[Modex], None] = lambda modex: modex.complete(b"", c.ERR_NOT_FOUND)

    def handle(self, record: tuple[Any, ...]) -> Events:
        """Act on one record ``(name, arguments...)``; the events it makes."""
        return self._handlers[record[0]](*record[1:])

    def _connected(self, proc: Proc) -> Events:
        self.connected.add(proc)
        return [PmixConnected(nspace=proc[0], rank=proc[1])]

    def _finalized(self, proc: Proc) -> Events:
        self.connected.discard(proc)
        self.tools.discard(proc[0])
        if proc[0] not in self.jobs:
            return []  # a tool
        return [PmixFinalized(nspace=proc[0], rank=proc[1])]

    def _aborted(self, proc: Proc, status: int, message: str, targets: list[Proc]) -> Events:
        if proc[0] not in self.jobs:
            return []  # a tool that gives up takes nobody with it
        named = () if (proc[0], c.RANK_WILDCARD) in targets else tuple(targets)
        return [PmixAborted(nspace=proc[0], rank=proc[1], status=status, message=message, targets=named)]

    def _fence(self, procs: list[Proc], directives: list[Info], data: bytes, reply: Any, cbdata: Any) -> Events:
        collect = any(key == c.COLLECT_DATA and value for key, _, value in directives)
        answer = self._modex_answer(reply, cbdata)
        self.fence_handler(Fence(procs, collect, data, answer))
        return []

    def _modex(self, proc: Proc, _directives: list[Info], reply: Any, cbdata: Any) -> Events:
        self.modex_handler(Modex(proc, self._modex_answer(reply, cbdata)))
        return []

    def _modex_answer(self, reply: Any, cbdata: Any) -> Callable[[int, bytes], None]:
        return lambda status, data: self._answers.modex((reply, cbdata), status, data)

    @property
    def _names(self) -> Names:
        """What is published; many jobs publish nothing."""
        if self._late_names is None:
            from lwkpm.pmi.pmix.names import Names

            self._late_names = Names()
        return self._late_names

    def _publish(self, proc: Proc, infos: list[Info], reply: Any, cbdata: Any) -> Events:
        self._answers.done((reply, cbdata), self._names.publish(proc, infos))
        for request, found in self._names.ready():
            self._answers.found(request.token, found)
        return []

    def _lookup(self, proc: Proc, keys: list[str], directives: list[Info], reply: Any, cbdata: Any) -> Events:
        from lwkpm.pmi.pmix.names import Lookup

        request = Lookup(proc, keys, directives, (reply, cbdata))
        found = self._names.lookup(request)
        if found is not None:
            self._answers.found(request.token, found)
        return []

    def _unpublish(self, proc: Proc, keys: list[str], reply: Any, cbdata: Any) -> Events:
        self._answers.done((reply, cbdata), self._names.unpublish(proc, keys))
        return []

    def _spawn(self, proc: Proc, infos: list[Info], commands: list[Any], reply: Any, cbdata: Any) -> Events:
        from lwkpm.pmi.pmix.spawn import spawn

        # Without any directive libpmix does not forward either (pmix_server_spawn).
        done = self._forwarder(infos) if infos and proc[0] in self.tools else None
        return spawn(self._answers, proc, infos, commands, (reply, cbdata), done)

    def _forwarder(self, infos: list[Info]) -> Callable[[str], None]:
        """What notes that libpmix forwards the output of a new job to the tool that spawned it."""
        from lwkpm.pmi.pmix.forwarding import Pulls, spawn_channels

        pulls = self.pulls = self.pulls or Pulls()
        return lambda nspace: pulls.start([(nspace, c.RANK_WILDCARD)], spawn_channels(infos))

    def _connect(self, procs: list[Proc], reply: Any, cbdata: Any) -> Events:
        """Connect and disconnect of ranks that are not all here; those of this node libpmix does by itself.

        It hands each side the other's job data when the answer is success.
        """
        self._answers.done((reply, cbdata), self._trouble_with(procs))
        return []

    def _trouble_with(self, procs: list[Proc]) -> int:
        """PMIX_SUCCESS when ranks of other nodes take part; with none there, why libpmix did not do it by itself."""
        jobs = [self.jobs.get(nspace) for nspace, _ in procs]
        if None in jobs:
            return c.ERR_INVALID_NAMESPACE
        known = [(job, rank) for job, (_, rank) in zip(jobs, procs) if job is not None]
        if any(rank != c.RANK_WILDCARD and rank >= job.size for job, rank in known):
            return c.ERR_NOT_FOUND
        return c.SUCCESS if any(job.spread for job, _ in known) else c.ERR_LOST_CONNECTION  # one of them is dead

    def _query(self, proc: Proc, queries: list[tuple[list[str], list[Info]]], reply: Any, cbdata: Any) -> Events:
        from lwkpm.pmi.pmix.query import World, answer_queries

        world = World(
            jobs=self.jobs,
            psets=self.psets,
            groups=self.groups,
            hostname=self._hostname,
            view=self.view,
            asker=proc[0],
        )
        self._answers.infos((reply, cbdata), *answer_queries(world, queries))
        return []

    def _log(self, proc: Proc, data: list[Info], reply: Any, cbdata: Any) -> Events:
        known = [(LOG_STREAMS[key], value) for key, _, value in data if key in LOG_STREAMS]
        failed = c.ERR_PARTIAL_SUCCESS if known else c.ERR_NOT_SUPPORTED
        self._answers.done((reply, cbdata), c.SUCCESS if data and len(known) == len(data) else failed)
        return [
            PmixLog(nspace=proc[0], rank=proc[1], stream=stream, message=_as_text(value)) for stream, value in known
        ]

    def _group(self, name: str, procs: list[Proc], directives: list[Info], reply: Any, cbdata: Any) -> Events:
        """A new group (MPI sessions): on one node the host adds the members and the context id if asked for.

        Endpoint data must not be handed back: libpmix 5 frees its bytes although they are ours.
        """
        members = self.groups[name] = self.expand(procs)
        infos: list[Info] = [(c.GROUP_MEMBERSHIP, c.DATA_ARRAY, (c.PROC, members))]
        if any(key == c.GROUP_ASSIGN_CONTEXT_ID and value for key, _, value in directives):
            self._contexts += 1
            infos.append((c.GROUP_CONTEXT_ID, c.SIZE, self._contexts))
        self._answers.infos((reply, cbdata), c.SUCCESS, infos)
        return []

    def _ungroup(self, name: str) -> Events:
        self.groups.pop(name, None)
        return []

    def _control(self, proc: Proc, targets: list[Proc], directives: list[Info], reply: Any, cbdata: Any) -> Events:
        from lwkpm.pmi.pmix.control import control

        return control(self, (proc, targets, directives), self._status_answer(reply, cbdata))

    def _status_answer(self, reply: Any, cbdata: Any) -> Callable[[int], None]:
        """What answers a request with a status and no data, once."""
        open_tokens = [(reply, cbdata)]

        def answer(status: int) -> None:
            if open_tokens:
                self._answers.infos(open_tokens.pop(), status, [])

        return answer

    def _pull(self, targets: list[Proc], directives: list[Info], channels: int) -> Events:
        from lwkpm.pmi.pmix.forwarding import Pulls, pull

        self.pulls = self.pulls or Pulls()
        return pull(self.pulls, targets, directives, channels)

    def _stdin(
        self, proc: Proc, targets: list[Proc], directives: list[Info], data: bytes, reply: Any, cbdata: Any
    ) -> Events:
        from lwkpm.pmi.pmix.forwarding import stdin

        status, events = stdin(self, proc, targets, directives, data)
        self._answers.done((reply, cbdata), status)
        return events

    def _tool(self, infos: list[Info], reply: Any, cbdata: Any) -> Events:
        from lwkpm.pmi.pmix.events import PmixToolConnected
        from lwkpm.pmi.pmix.tools import admit

        status, proc = admit(infos, self.jobs, self.tools)
        self._answers.admitted((reply, cbdata), status, proc)
        if status != c.SUCCESS:
            return []
        self.tools.add(proc[0])
        return [PmixToolConnected(nspace=proc[0], rank=proc[1])]

    def expand(self, procs: Sequence[Proc]) -> list[Proc]:
        """Every rank of a job in place of its wildcard."""
        found: list[Proc] = []
        for nspace, rank in procs:
            job = self.jobs.get(nspace)
            ranks = [rank] if rank != c.RANK_WILDCARD else range(job.size if job else 0)
            found += [(nspace, member) for member in ranks]
        return found

    def ended(self, proc: Proc) -> None:
        """A process is gone, with or without PMIx_Finalize."""
        self._unclean = self._unclean or proc in self.connected
        self.connected.discard(proc)
        if self._late_names is not None:
            self._give_up(self._late_names.ended(proc))

    def is_clean(self) -> bool:
        """Whether everybody who connected has finalized."""
        return not (self._unclean or self.connected or self.tools)

    def forget(self, nspace: str) -> None:
        """A job is over: nothing of its ranks is kept."""
        for proc in [proc for proc in self.connected if proc[0] == nspace]:
            self.ended(proc)
        if self._late_names is not None:
            self._give_up(self._late_names.forget(nspace))
        for name in [name for name, members in self.psets.items() if any(proc[0] == nspace for proc in members)]:
            del self.psets[name]

    def close(self) -> None:
        """The library is about to end."""
        self._answers.close()

    def expire(self) -> None:
        """Answer lookups whose time is over."""
        if self._late_names is not None:
            self._give_up(self._late_names.expired(time.monotonic()))

    def _give_up(self, requests: Sequence[Lookup]) -> None:
        for request in requests:
            self._answers.found(request.token, [], c.ERR_TIMEOUT)

    def next_deadline(self) -> float | None:
        """When `expire` is worth calling, in monotonic seconds."""
        return None if self._late_names is None else self._late_names.next_deadline()


def _as_text(value: Any) -> str:
    return value.decode("utf-8", "surrogateescape") if isinstance(value, bytes) else str(value)
