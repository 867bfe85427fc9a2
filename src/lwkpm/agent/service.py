"""Everything ranks can reach: the clients of PMI-1 and PMI-2 and the PMIx server, as one thing for the agent."""

from __future__ import annotations

import os
import time

from lwkpm.agent.pmix_start import register
from lwkpm.agent.wire_clients import WireClients
from lwkpm.errors import PmiError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from typing import Any, Protocol

    from lwkpm.agent.loop import Loop, Timer
    from lwkpm.agent.namespace import Namespace
    from lwkpm.agent.pmix_start import PmixStart
    from lwkpm.agent.pmix_view import AgentView
    from lwkpm.agent.rank import Rank
    from lwkpm.agent.spawn import SpawnRequest
    from lwkpm.pmi.pmix.server import PmixServer
    from lwkpm.pmi.pmix.view import ProcState

    class Handler(Protocol):
        """What the ranks' doings become."""

        def on_contact(self, rank: Rank) -> None: ...
        def on_held(self, rank: Rank) -> None: ...
        def on_abort(self, rank: Rank, code: int | None, message: str) -> None: ...
        def on_spawn(self, request: SpawnRequest) -> None: ...
        def signal_rank(self, rank: Rank, number: int) -> None: ...
        def tap_output(self, tap: Tap | None) -> None: ...
        def push_input(self, rank: Rank, data: bytes, ends: bool) -> None: ...
        def say(self, text: str) -> None: ...

    Tap = Callable[[Rank, str, bytes], None]


WIRE_MODES = ("auto", "pmi1", "pmi2", "port")
PMIX = "PMIx"
#: Each of these calls wakes libpmix's thread unless it is still busy with the last one. Ranks are ordered as counted.
CLIENTS_AT_ONCE = 64
PMIX_DEBUGGER_RELEASE = -3


class LateView:
    """What queries are told of processes; the module behind it is imported by the first query."""

    def __init__(self, namespaces: Mapping[str, Namespace], hostname: str) -> None:
        self._namespaces = namespaces
        self._hostname = hostname

    def _view(self) -> AgentView:
        from lwkpm.agent.pmix_view import AgentView

        return AgentView(self._namespaces, self._hostname)

    def procs(self, nspace: str) -> Sequence[ProcState]:
        """As `AgentView.procs`."""
        return self._view().procs(nspace)

    def memory(self, nspace: str) -> Mapping[int, int]:
        """As `AgentView.memory`."""
        return self._view().memory(nspace)


class PmiService:
    """The PMI servers of a run."""

    def __init__(
        self,
        loop: Loop,
        mode: str,
        hostname: str,
        handler: Handler,
        trace: Callable[[str], None] | None,
        *,
        stop_in_init: bool = False,
    ) -> None:
        self._loop = loop
        self._mode = mode
        self._hostname = hostname
        self._handler = handler
        self._trace = trace
        self._namespaces: dict[str, Namespace] = {}
        self._stop_in_init = stop_in_init
        on_held = handler.on_held if stop_in_init else None
        self._wire: WireClients | None = None
        if mode in WIRE_MODES:
            self._wire = WireClients(loop, self._handle, trace, by_port=mode == "port", on_held=on_held)
        self.pmix: PmixServer | None = None
        self.pmix_missing = ""
        self._deadline: Timer | None = None

    def start_pmix(self, starting: PmixStart | None) -> None:
        """Take over libpmix's server; without a libpmix the job goes on with PMI-1 and PMI-2, unless it asked for PMIx.

        `starting` is None when the job wants no PMIx.
        """
        if starting is None:
            return
        try:
            self.pmix = starting.result()
        except PmiError as error:
            if self._mode == "pmix":
                raise
            self.pmix_missing = error.why
            return
        self.pmix.view = LateView(self._namespaces, self._hostname)
        if starting.tools:
            self._handler.say(f"PMIx tools of this user may connect: PMIX_SERVER_URI={self.pmix.uri()}")
        self._loop.add(self.pmix.fileno(), self._on_pmix)

    def add_namespace(self, namespace: Namespace) -> None:
        """Serve a world, before its first rank is started."""
        plan = namespace.plan
        self._namespaces[plan.nspace] = namespace
        if self._wire is not None:
            self._wire.add_namespace(namespace)
        if self.pmix is not None and not self.pmix.has_job(plan.nspace):
            parent = namespace.parent
            asker = None if parent is None else (parent.namespace.plan.nspace, parent.number)
            register(self.pmix, plan, stop_in_init=self._stop_in_init, parent=asker)

    def forget(self, namespace: Namespace) -> None:
        """A world that is not started after all."""
        if self.pmix is not None:
            self.pmix.deregister_job(namespace.plan.nspace)

    def common_entries(self, namespace: Namespace) -> list[str]:
        """``NAME=value`` that all ranks of a world need to find the servers."""
        entries = self.pmix.common_environment(namespace.plan.nspace) if self.pmix is not None else []
        return [*entries, *(self._wire.common_entries if self._wire is not None else ())]

    def wire_up(self, rank: Rank) -> tuple[int, list[str]]:
        """A rank's own part: the descriptor to hand it (-1: none) and its environment."""
        entries: list[str] = []
        child_fd = -1
        if self.pmix is not None:
            if rank.number % CLIENTS_AT_ONCE == 0:
                self._register_clients(self.pmix, rank.namespace.ranks[rank.number : rank.number + CLIENTS_AT_ONCE])
            entries.append(f"PMIX_RANK={rank.number}")
        if self._wire is not None:
            child_fd, more = self._wire.wire_up(rank)
            entries += more
        return child_fd, entries

    @staticmethod
    def _register_clients(pmix: PmixServer, ranks: Sequence[Rank]) -> None:
        uid, gid = os.geteuid(), os.getegid()
        for rank in ranks:
            pmix.register_client(rank.namespace.plan.nspace, rank.number, uid, gid)

    def drain(self, rank: Rank) -> None:
        """Take what a rank sent before it ended: its last abort can still be unread when it is reaped."""
        if self._wire is not None:
            self._wire.drain(rank)
        if self.pmix is not None and self.pmix.has_news:
            self._on_pmix(0)

    def _on_pmix(self, _events: int) -> None:
        if self.pmix is None:
            return
        self._handle(self.pmix.dispatch())
        deadline_s = self.pmix.next_deadline()  # a lookup that waits for its key no longer than asked
        if deadline_s is not None and (self._deadline is None or self._deadline.call is None):
            self._deadline = self._loop.after(max(0.0, deadline_s - time.monotonic()), lambda: self._on_pmix(0))

    def _handle(self, happened: Sequence[object]) -> None:
        for event in happened:
            handler = _HANDLERS.get(type(event).__name__)
            if handler is not None:
                handler(self, event)

    # --- PMI-1 and PMI-2 -------------------------------------------------------------------------------------

    def _wire_rank(self, event: Any) -> Rank:
        rank = self._wire.rank_of(event.job, event.rank) if self._wire is not None else None
        if rank is None:
            raise RuntimeError(f"an event of an unknown rank: {event}")
        return rank

    def _initialized(self, event: Any) -> None:
        self._reached(self._wire_rank(event), f"PMI-{event.version}")

    def _finalized(self, event: Any) -> None:
        self._wire_rank(event).finalized = True

    def _aborted(self, event: Any) -> None:
        self._handler.on_abort(self._wire_rank(event), event.code, event.message)

    def _violation(self, event: Any) -> None:
        who = "an unknown PMI client" if event.rank is None else self._wire_rank(event).title
        self._handler.say(f"{who} broke the PMI protocol: {event.text}")

    def _spawn_requested(self, event: Any) -> None:
        from lwkpm.agent.spawn import Command, SpawnRequest

        def answer(namespace: Namespace | None, trouble: str) -> None:
            event.answer("" if namespace is None else namespace.plan.kvsname, trouble)
            if self._wire is not None:
                self._wire.flush()

        commands = tuple(
            Command(program=each.program, arguments=each.arguments, processes=each.processes, info=dict(each.info))
            for each in event.commands
        )
        preput = tuple((_as_unicode(key), _as_unicode(value)) for key, value in event.preput)
        parent = self._wire_rank(event)
        self._handler.on_spawn(SpawnRequest(parent=parent, commands=commands, preput=preput, answer=answer))

    # --- PMIx ------------------------------------------------------------------------------------------------

    def _pmix_rank(self, event: Any) -> Rank | None:
        """None for tools and for what is no rank of ours."""
        namespace = self._namespaces.get(event.nspace)
        return namespace.ranks[event.rank] if namespace is not None and event.rank < len(namespace.ranks) else None

    def _pmix_connected(self, event: Any) -> None:
        rank = self._pmix_rank(event)
        if rank is not None:
            self._reached(rank, PMIX)

    def _pmix_finalized(self, event: Any) -> None:
        rank = self._pmix_rank(event)
        if rank is not None:
            rank.finalized = True

    def _pmix_aborted(self, event: Any) -> None:
        rank = self._pmix_rank(event)
        if rank is not None:
            self._handler.on_abort(rank, event.status & 0xFF or 1, event.message)

    def _pmix_spawn_requested(self, event: Any) -> None:
        from lwkpm.agent.pmix_spawn import spawn_request
        from lwkpm.pmi.pmix.constants import ERR_NOT_SUPPORTED

        parent = self._pmix_rank(event)
        if parent is None:
            event.answer(ERR_NOT_SUPPORTED, "")  # a tool: whose job would it be?
        else:
            self._handler.on_spawn(spawn_request(parent, event))

    def ended(self, rank: Rank, status: int) -> None:
        """Tell clients that asked for such events that a rank has ended (wait status), and its world with it."""
        if self.pmix is None:
            return
        world, signum = rank.namespace, status & 0x7F
        self.pmix.proc_ended(world.plan.nspace, rank.number, status >> 8 & 0xFF, signum, rank.aborting)
        if len(self._namespaces) > 1 and all(other.wait_status is not None for other in world.ranks):
            codes = [os.waitstatus_to_exitcode(other.wait_status or 0) for other in world.ranks]
            self.pmix.job_ended(world.plan.nspace, next((code for code in codes if code), 0))

    def _pmix_control(self, event: Any) -> None:
        from lwkpm.agent.pmix_view import control

        control(event, self._namespaces, self._handler.signal_rank)

    def _pmix_iof_pull(self, _event: Any) -> None:
        """Tools want to see output, or no more of it; what whom reaches is the server's business."""
        wanted = self.pmix is not None and self.pmix.iof_wanted
        self._handler.tap_output(self._deliver if wanted else None)

    def _deliver(self, rank: Rank, channel: str, data: bytes) -> None:
        if self.pmix is not None:
            self.pmix.iof_deliver(rank.namespace.plan.nspace, rank.number, channel, data)

    def _pmix_stdin(self, event: Any) -> None:
        from lwkpm.agent.pmix_view import targets

        for rank in targets(event.targets, self._namespaces):
            self._handler.push_input(rank, event.data, event.eof)

    def _pmix_tool_connected(self, event: Any) -> None:
        self._handler.say(f"the PMIx tool {event.nspace} has connected")

    def _pmix_log(self, event: Any) -> None:
        rank = self._pmix_rank(event)
        self._handler.say(f"{rank.title if rank is not None else 'a tool'} logs: {event.message}")

    def _reached(self, rank: Rank, protocol: str) -> None:
        first = not rank.reached
        rank.reached, rank.finalized, rank.protocol = True, False, protocol
        if first:
            self._handler.on_contact(rank)
        if first and self._stop_in_init and protocol == PMIX:
            self._handler.on_held(rank)

    def release(self) -> None:
        """Let ranks go on that wait in MPI_Init; those that come later do not wait."""
        self._stop_in_init = False
        if self._wire is not None:
            self._wire.release()
        for nspace in self._namespaces if self.pmix is not None else ():
            if self.pmix is not None:
                self.pmix.notify(PMIX_DEBUGGER_RELEASE, nspace)

    def park(self) -> None:
        """Serve PMIx no more: ranks are about to be killed, which libpmix must not see."""
        if self.pmix is not None and self.pmix.was_used:
            self.pmix.park()

    def stop(self, *, clean: bool) -> None:
        """Close every socket and end libpmix; more than once does no harm. `clean`: no rank had to be killed."""
        if self._wire is not None:
            self._wire.close()
        if self.pmix is not None:
            pmix, self.pmix = self.pmix, None
            self._loop.remove(pmix.fileno())
            trace = self._trace
            if trace is not None:
                for line in pmix.messages().splitlines():
                    trace(f"libpmix: {line}")
            # 0.4 ms for nothing where nobody has called: what libpmix holds ends with this process.
            pmix.stop(clean=clean and pmix.was_used)


def _as_unicode(text: str) -> str:
    """Text of a client (latin-1 decoded bytes) as the text it means."""
    return text.encode("latin-1").decode("utf-8", "surrogateescape")


_HANDLERS: dict[str, Callable[[PmiService, Any], None]] = {
    "Initialized": PmiService._initialized,
    "Finalized": PmiService._finalized,
    "Aborted": PmiService._aborted,
    "SpawnRequested": PmiService._spawn_requested,
    "Violation": PmiService._violation,
    "PmixConnected": PmiService._pmix_connected,
    "PmixFinalized": PmiService._pmix_finalized,
    "PmixAborted": PmiService._pmix_aborted,
    "PmixSpawnRequested": PmiService._pmix_spawn_requested,
    "PmixLog": PmiService._pmix_log,
    "PmixJobControl": PmiService._pmix_control,
    "PmixIofPull": PmiService._pmix_iof_pull,
    "PmixStdin": PmiService._pmix_stdin,
    "PmixToolConnected": PmiService._pmix_tool_connected,
}
