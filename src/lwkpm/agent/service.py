"""The PMI servers' I/O: sockets of PMI-1 and PMI-2 clients, the PMIx server's queue, and what each rank reached."""

from __future__ import annotations

import os
import time

from lwkpm.agent.loop import READ, WRITE
from lwkpm.errors import PmiError
from lwkpm.lean import socket
from lwkpm.pmi.mapping import process_mapping
from lwkpm.pmi.server import PmiJob, PmiServer

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from lwkpm.agent.loop import Loop, Timer
    from lwkpm.agent.pmix_start import PmixStart
    from lwkpm.job.plan import Plan
    from lwkpm.pmi import events
    from lwkpm.pmi.pmix.server import PmixServer
    from lwkpm.pmi.server import Connection

#: Unread answers above this mean that a client only writes; it is cut off.
MOST_OUT_BYTES = 64 << 20
PMI_FD = 3  # the number that conenter gives the rank's socket


class Contact:
    """What a rank has done with its PMI servers."""

    __slots__ = ("finalized", "protocol", "reached")

    def __init__(self) -> None:
        self.reached = False
        self.finalized = False
        self.protocol = ""

    @property
    def open(self) -> bool:
        """Between init and finalize."""
        return self.reached and not self.finalized


class Channel:
    """One client's socket."""

    def __init__(self, service: PmiService, sock: socket.socket, connection: Connection) -> None:
        self._service = service
        self._socket = sock
        self.connection = connection
        sock.setblocking(False)
        service.loop.add(sock.fileno(), self._on_events)

    def _on_events(self, bits: int) -> None:
        if bits & WRITE:
            self.flush()
        if bits & ~WRITE:
            self.read_all()

    def read_all(self) -> None:
        """Take everything the client has sent so far."""
        while self._socket.fileno() >= 0:
            try:
                data = self._socket.recv(65536)
            except (BlockingIOError, InterruptedError):
                return
            except OSError:
                data = b""
            self._service.handle(self.connection.receive(data) if data else self.connection.lost())
            if not data:
                self.close()

    def flush(self) -> None:
        """Send what waits, as far as the client takes it."""
        if self._socket.fileno() < 0:
            return
        out = self.connection.out
        try:
            while out:
                del out[: self._socket.send(out, socket.MSG_NOSIGNAL)]
        except (BlockingIOError, InterruptedError):
            pass
        except OSError:
            self.close()
            return
        if len(out) > MOST_OUT_BYTES or (self.connection.closing and not out):
            self.close()
            return
        self._service.loop.change(self._socket.fileno(), READ | WRITE if out else READ)

    def close(self) -> None:
        """Close the socket."""
        if self._socket.fileno() >= 0:
            self._service.loop.remove(self._socket.fileno())
            self._socket.close()


class PmiService:
    """Everything ranks can reach. `on_abort(rank, code or None, message)` is the only thing it asks of the agent,
    besides `on_contact(rank)`, which says that a rank's start is complete.
    """

    def __init__(
        self,
        loop: Loop,
        plan: Plan,
        on_contact: Callable[[int], None],
        on_abort: Callable[[int, int | None, str], None],
        say: Callable[[str], None],
        trace: Callable[[str], None] | None,
    ) -> None:
        self.loop = loop
        self._plan = plan
        self._on_contact = on_contact
        self._on_abort = on_abort
        self._say = say
        self.contacts = [Contact() for _ in plan.procs]
        self._channels: dict[Connection, Channel] = {}
        self._by_rank: dict[int, Channel] = {}
        self._server = PmiServer()
        if trace is not None:
            self._server.trace = lambda connection, way, data: trace(f"rank {connection.rank} {way} {data!r}")
        self._job = PmiJob(
            kvsname=plan.kvsname,
            appnums=[proc.app for proc in plan.procs],
            universe_size=plan.universe_size,
            node_of_rank=[proc.node for proc in plan.procs],
        )
        self._server.add_job(self._job)
        self._listener: socket.socket | None = None
        self.pmix: PmixServer | None = None
        self.pmix_missing = ""
        self._deadline: Timer | None = None
        mode = plan.job.pmi
        self._wire = mode in ("auto", "pmi1", "pmi2", "port")
        if mode == "port":
            self._listen()

    def start_pmix(self, starting: PmixStart | None) -> None:
        """Take over libpmix's server; without a libpmix the job goes on with PMI-1 and PMI-2, unless it asked for PMIx.

        `starting` is None when the job wants no PMIx.
        """
        if starting is None:
            return
        try:
            self.pmix = starting.result()
        except PmiError as error:
            if self._plan.job.pmi == "pmix":
                raise
            self.pmix_missing = error.why
            return
        self.pmix.register_job(
            self._plan.jobid,
            appnums=[proc.app for proc in self._plan.procs],
            local_ranks=[proc.local_rank for proc in self._plan.procs],
            universe_size=self._plan.universe_size,
            hostname=self._plan.hostname,
            uid=os.geteuid(),
            gid=os.getegid(),
        )
        self.loop.add(self.pmix.fileno(), self._on_pmix)

    def _listen(self) -> None:
        import socket as library  # with `accept`; only this form of wire-up pays for it

        self._listener = library.socket()
        self._listener.bind(("127.0.0.1", 0))
        self._listener.listen(128)
        self._listener.setblocking(False)
        self.loop.add(self._listener.fileno(), self._on_connect)

    def _on_connect(self, _events: int) -> None:
        if self._listener is None:
            return
        try:
            sock, _ = self._listener.accept()
        except OSError:
            return
        self._open_channel(sock, self._server.connect())

    def _open_channel(self, sock: socket.socket, connection: Connection) -> Channel:
        channel = Channel(self, sock, connection)
        self._channels[connection] = channel
        return channel

    def add_rank(self, rank: int) -> tuple[int, list[str]]:
        """A rank's own wire-up: the descriptor to hand it (-1: none) and its environment."""
        entries: list[str] = []
        child_fd = -1
        if self.pmix is not None:
            self.pmix.register_client(self._plan.jobid, rank, os.geteuid(), os.getegid())
            entries += self.pmix.environment(self._plan.jobid, rank)
        if self._listener is not None:
            port = self._listener.getsockname()[1]
            entries += [f"PMI_PORT=127.0.0.1:{port}", f"PMI_ID={self._server.token(self._job, rank)}"]
        elif self._wire:
            ours, theirs = socket.socketpair()
            self._by_rank[rank] = self._open_channel(ours, self._server.connect(self._job, rank))
            child_fd = theirs.detach()
            entries.append(f"PMI_FD={PMI_FD}")
        return child_fd, entries

    def drain(self, rank: int) -> None:
        """Take what a rank sent before it ended: its last abort can still be unread when it is reaped."""
        channel = self._by_rank.get(rank)
        for each in [channel] if channel is not None else list(self._channels.values()):
            each.read_all()
        if self.pmix is not None:
            self._on_pmix(0)

    def _on_pmix(self, _events: int) -> None:
        if self.pmix is None:
            return
        self.handle(self.pmix.dispatch())
        deadline_s = self.pmix.next_deadline()  # a lookup that waits for its key no longer than asked
        if deadline_s is not None and (self._deadline is None or self._deadline.call is None):
            self._deadline = self.loop.after(max(0.0, deadline_s - time.monotonic()), lambda: self._on_pmix(0))

    def handle(self, happened: Sequence[object]) -> None:
        """Act on events, then send what they caused."""
        for event in happened:
            handler = _HANDLERS.get(type(event).__name__)
            if handler is not None:
                handler(self, event)
        while self._server.dirty:
            channel = self._channels.get(self._server.dirty.pop())
            if channel is not None:
                channel.flush()

    def _initialized(self, event: events.Initialized) -> None:
        self._reached(event.rank, f"PMI-{event.version}")

    def _pmix_connected(self, event: object) -> None:
        self._reached(event.rank, "PMIx")  # type: ignore[attr-defined]

    def _reached(self, rank: int, protocol: str) -> None:
        contact = self.contacts[rank]
        first = not contact.reached
        contact.reached, contact.finalized, contact.protocol = True, False, protocol
        if first:
            self._on_contact(rank)

    def _finalized(self, event: object) -> None:
        self.contacts[event.rank].finalized = True  # type: ignore[attr-defined]

    def _aborted(self, event: events.Aborted) -> None:
        self._on_abort(event.rank, event.code, event.message)

    def _pmix_aborted(self, event: object) -> None:
        status = event.status & 0xFF or 1  # type: ignore[attr-defined]
        self._on_abort(event.rank, status, event.message)  # type: ignore[attr-defined]

    def _spawn_requested(self, event: object) -> None:
        self._say(f"rank {event.rank} asked to spawn processes, which is not supported yet; it got an error")  # type: ignore[attr-defined]

    def _violation(self, event: events.Violation) -> None:
        who = "an unknown PMI client" if event.rank is None else f"rank {event.rank}"
        self._say(f"{who} broke the PMI protocol: {event.text}")

    def _log(self, event: object) -> None:
        self._say(f"rank {event.rank} logs: {getattr(event, 'message', event)}")  # type: ignore[attr-defined]

    def stop(self) -> None:
        """Close every socket and finalize libpmix."""
        for channel in self._channels.values():
            channel.close()
        if self._listener is not None:
            self.loop.remove(self._listener.fileno())
            self._listener.close()
        if self.pmix is not None:
            self.loop.remove(self.pmix.fileno())
            self.pmix.deregister_job(self._plan.jobid)  # removes what clients registered for cleanup
            self.pmix.stop()
            self.pmix = None


_HANDLERS: dict[str, Callable[[PmiService, object], None]] = {
    "Initialized": PmiService._initialized,  # type: ignore[dict-item]
    "Finalized": PmiService._finalized,
    "Aborted": PmiService._aborted,  # type: ignore[dict-item]
    "SpawnRequested": PmiService._spawn_requested,
    "Violation": PmiService._violation,  # type: ignore[dict-item]
    "PmixConnected": PmiService._pmix_connected,
    "PmixFinalized": PmiService._finalized,
    "PmixAborted": PmiService._pmix_aborted,
    "PmixSpawnRequested": PmiService._spawn_requested,
    "PmixLog": PmiService._log,
}


def mapping_of(plan: Plan) -> str:
    """The job's PMI_process_mapping, for messages and --dry-run."""
    return process_mapping([proc.node for proc in plan.procs]) or "(by host names)"
