"""The sockets of PMI-1 and PMI-2 clients. The protocols themselves are in `lwkpm.pmi`, which is imported when the first
client says something: programs without such an MPI do without its 3 ms.
"""

from __future__ import annotations

from lwkpm.agent.loop import READ, WRITE
from lwkpm.lean import socket

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from lwkpm.agent.loop import Loop
    from lwkpm.agent.namespace import Namespace
    from lwkpm.agent.rank import Rank
    from lwkpm.pmi.server import Connection, PmiJob, PmiServer

#: Unread answers above this mean that a client only writes; it is cut off.
MOST_OUT_BYTES = 64 << 20
PMI_FD = 3  # the number that conenter gives the rank's socket


class Channel:
    """One client's socket; `rank` None: the client has yet to say who it is."""

    def __init__(self, clients: WireClients, sock: socket.socket, rank: Rank | None) -> None:
        self._clients = clients
        self._socket = sock
        self._rank = rank
        self.connection: Connection | None = None  # until the client says something
        self.held = clients.on_held is not None and rank is not None
        sock.setblocking(False)
        clients.loop.add(sock.fileno(), self._on_events)

    def _on_events(self, bits: int) -> None:
        if bits & WRITE:
            self.flush()
        if bits & ~WRITE and self.held:
            self._hold()
        elif bits & ~WRITE:
            self.read_all()

    def _hold(self) -> None:
        """Leave the first message unread until `release`: its sender waits in MPI_Init."""
        self._clients.loop.remove(self._socket.fileno())
        if self._rank is not None and self._clients.on_held is not None:
            self._clients.on_held(self._rank)

    def release(self) -> None:
        """Answer a client that was held, and hold it no more."""
        if self.held:
            self.held = False
            fd = self._socket.fileno()
            if fd >= 0 and not self._clients.loop.watches(fd):
                self._clients.loop.add(fd, self._on_events)

    def read_all(self) -> None:
        """Take everything the client has sent so far."""
        while self._socket.fileno() >= 0:
            try:
                data = self._socket.recv(65536)
            except (BlockingIOError, InterruptedError):
                return
            except OSError:
                data = b""
            if data:
                self._clients.handle(self._opened().receive(data))
            else:
                self.close()

    def _opened(self) -> Connection:
        if self.connection is None:
            self.connection = self._clients.connect(self, self._rank)
        return self.connection

    def flush(self) -> None:
        """Send what waits, as far as the client takes it."""
        if self._socket.fileno() < 0 or self.connection is None:
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
        self._clients.loop.change(self._socket.fileno(), READ | WRITE if out else READ)

    def close(self) -> None:
        """Close the socket; what the client waited for is dropped."""
        if self._socket.fileno() >= 0:
            self._clients.loop.remove(self._socket.fileno())
            self._socket.close()
            if self.connection is not None:
                self.connection.lost()


class WireClients:
    """All clients of PMI-1 and PMI-2: by an inherited socket each, or over TCP when `by_port`.

    `on_events` takes what the protocol engines tell; `trace(line)` gets every message, if it is given; `on_held(rank)`,
    if it is given, is told of ranks whose first message waits for `release`.
    """

    def __init__(
        self,
        loop: Loop,
        on_events: Callable[[Sequence[object]], None],
        trace: Callable[[str], None] | None,
        *,
        by_port: bool,
        on_held: Callable[[Rank], None] | None = None,
    ) -> None:
        self.loop = loop
        self._on_events = on_events
        self._trace = trace
        self.on_held = on_held  # given when clients are to be held at their first message
        self._server: PmiServer | None = None
        self._jobs: dict[Namespace, PmiJob | None] = {}
        self._channels: dict[Connection, Channel] = {}
        self._all: list[Channel] = []
        self._by_rank: dict[Rank, Channel] = {}
        self._listener: socket.socket | None = None
        if by_port:
            self._listen()

    # --- the engines, made when needed -----------------------------------------------------------------------

    @property
    def server(self) -> PmiServer:
        """The protocol engines' side."""
        if self._server is None:
            from lwkpm.pmi.server import PmiServer

            self._server = PmiServer()
            if self._trace is not None:
                self._server.trace = self._on_trace
        return self._server

    def _on_trace(self, connection: Connection, way: str, data: bytes) -> None:
        if self._trace is not None:
            rank = self.rank_of(connection.job, connection.rank)
            self._trace(f"{rank.title if rank is not None else 'a client'} {way} {data!r}")

    def job(self, namespace: Namespace) -> PmiJob:
        """A namespace as PMI-1 and PMI-2 see it."""
        known = self._jobs.get(namespace)
        if known is None:
            known = self._jobs[namespace] = self._make_job(namespace)
            self.server.add_job(known)
        return known

    def _make_job(self, namespace: Namespace) -> PmiJob:
        from lwkpm.pmi.server import PmiJob

        plan, request = namespace.plan, namespace.request
        return PmiJob(
            kvsname=plan.kvsname,
            appnums=[proc.app for proc in plan.procs],
            universe_size=plan.universe_size,
            node_of_rank=[proc.node for proc in plan.procs],
            preput=None if request is None else dict(request.preput),
            spawned=request is not None,
            parent_kvsname="" if request is None else request.parent.namespace.plan.kvsname,
        )

    def rank_of(self, job: PmiJob | None, number: int | None) -> Rank | None:
        """The rank an engine speaks of."""
        for namespace, known in self._jobs.items():
            if known is job and job is not None and number is not None:
                return namespace.ranks[number]
        return None

    # --- clients ---------------------------------------------------------------------------------------------

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
        self._all.append(Channel(self, sock, None))

    def add_namespace(self, namespace: Namespace) -> None:
        """Serve a namespace."""
        self._jobs[namespace] = None
        if self._server is not None:  # the others may look at its keys
            self.job(namespace)

    @property
    def common_entries(self) -> tuple[str, ...]:
        """The part of the ranks' environment that is the same for all."""
        return () if self._listener is not None else (f"PMI_FD={PMI_FD}",)

    def wire_up(self, rank: Rank) -> tuple[int, list[str]]:
        """(the descriptor to hand to a rank, -1: none; its environment)."""
        if self._listener is not None:
            port = self._listener.getsockname()[1]
            token = self.server.token(self.job(rank.namespace), rank.number)
            return -1, [f"PMI_PORT=127.0.0.1:{port}", f"PMI_ID={token}"]
        ours, theirs = socket.socketpair()
        channel = self._by_rank[rank] = Channel(self, ours, rank)
        self._all.append(channel)
        return theirs.detach(), []

    def connect(self, channel: Channel, rank: Rank | None) -> Connection:
        """The engine's side of a channel whose client has begun to speak."""
        for namespace in self._jobs:
            self.job(namespace)
        if rank is None:
            connection = self.server.connect()
        else:
            connection = self.server.connect(self.job(rank.namespace), rank.number)
        self._channels[connection] = channel
        return connection

    def release(self) -> None:
        """Let every held client go on, and hold no others."""
        self.on_held = None
        for channel in self._all:
            channel.release()

    def drain(self, rank: Rank) -> None:
        """Take what a rank sent before it ended."""
        channel = self._by_rank.get(rank)
        for each in [channel] if channel is not None else list(self._all):
            each.read_all()

    def handle(self, events: Sequence[object]) -> None:
        """Pass on what happened, then send what it caused."""
        self._on_events(events)
        self.flush()

    def flush(self) -> None:
        """Send every answer that waits."""
        while self._server is not None and self._server.dirty:
            channel = self._channels.get(self._server.dirty.pop())
            if channel is not None:
                channel.flush()

    def close(self) -> None:
        """Close every socket."""
        for channel in self._all:
            channel.close()
        if self._listener is not None:
            self.loop.remove(self._listener.fileno())
            self._listener.close()
