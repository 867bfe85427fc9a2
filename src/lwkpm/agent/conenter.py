"""The agent's end of conenter's socket: frames out (never blocking), frames in as calls on a handler."""

from __future__ import annotations

import os

from lwkpm.agent.loop import READ, WRITE
from lwkpm.errors import ContainerError
from lwkpm.lean import deque, socket, struct

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Protocol

    from lwkpm.agent.loop import Loop
    from lwkpm.job.plan import ContainerPlan

    class Handler(Protocol):
        """What conenter's news become."""

        def on_ready(self, link: ConenterLink) -> None: ...
        def on_setup_failed(self, link: ConenterLink, error: int, step: str, target: str) -> None: ...
        def on_started(self, rank: int, pid: int) -> None: ...
        def on_not_started(self, rank: int, error: int, step: str, target: str) -> None: ...
        def on_exited(self, rank: int, status: int, mpi_library: str) -> None: ...
        def on_conenter_lost(self, link: ConenterLink, status: int) -> None: ...


SETUP, ENV, SPAWN, KILL, RELEASE = 1, 2, 3, 4, 5
READY, FAILED, STARTED, NOSTART, EXITED = 101, 102, 103, 104, 105
_HEAD = struct.Struct("=II")
_SPAWN = struct.Struct("=iIIIII")
_PAIR = struct.Struct("=ii")
_INT = struct.Struct("=i")
_RIGHTS = struct.Struct("=i")


def find_conenter() -> str:
    """conenter's path: $LWKPM_CONENTER, the source tree's, the wheel's."""
    package = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    places = [
        os.environ.get("LWKPM_CONENTER", ""),
        os.path.join(package, "..", "..", "launcher", "conenter"),
        os.path.join(package, "bin", "conenter"),
    ]
    for place in places:
        if place and os.access(place, os.X_OK):
            return os.path.abspath(place)
    raise ContainerError(
        "LWKPM-E031",
        "the helper program conenter is missing",
        f"looked for {', '.join(os.path.abspath(place) for place in places if place)}",
        "build it with `make -C launcher`, or name it in LWKPM_CONENTER",
    )


def _strings(items: Sequence[str]) -> bytes:
    return os.fsencode("".join([item + "\0" for item in items]))


def _texts(data: bytes) -> list[str]:
    return [os.fsdecode(part) for part in data.split(b"\0")[:-1]]


class ConenterLink:
    """One conenter process and its socket."""

    def __init__(self, loop: Loop) -> None:
        self._loop = loop
        self.handler: Handler | None = None  # set before the loop runs: news only come from it
        self._in = bytearray()
        self._out: deque[tuple[bytes, Sequence[int]]] = deque()
        self._writing = False  # waits for room in the socket
        self.ready = False
        self.ended = False
        ours, theirs = socket.socketpair()
        self._socket = ours
        ours.setblocking(False)
        # posix_spawn (vfork): forking the interpreter would cost its whole page table.
        self.pid = os.posix_spawn(
            find_conenter(),
            ["conenter"],
            {"PATH": os.environ.get("PATH", "/usr/bin:/bin")},
            file_actions=[(os.POSIX_SPAWN_DUP2, theirs.fileno(), 3)],
        )
        theirs.close()
        loop.add(ours.fileno(), self._on_events)

    def send(self, kind: int, payload: bytes, fds: Sequence[int] = ()) -> None:
        """Queue a frame; `fds` are sent with its first byte and closed here when they have gone."""
        self._out.append((_HEAD.pack(len(payload), kind) + payload, fds))
        if len(self._out) == 1:
            self._flush()

    def setup(self, operations: Sequence[Sequence[str]]) -> None:
        """Make the container."""
        self.send(SETUP, b"".join(len(op).to_bytes(4, "little") + _strings(op) for op in operations))

    def environment(self, number: int, entries: Sequence[str]) -> None:
        """An environment that many ranks share."""
        self.send(ENV, number.to_bytes(4, "little") + _strings(entries))

    def spawn(
        self, rank: int, env_id: int, argv: Sequence[str], env: Sequence[str], cwd: str, cpus: bytes, fds: Sequence[int]
    ) -> None:
        """Start a rank; `fds`: stdin, stdout, stderr and, if it has one, its PMI socket."""
        head = _SPAWN.pack(rank, env_id, len(argv), len(env), len(cpus), len(fds))
        self.send(SPAWN, head + cpus + _strings((cwd,)) + _strings(argv) + _strings(env), fds)

    def kill(self, rank: int, signum: int) -> None:
        """Signal a rank's process group, -1 = all ranks."""
        self.send(KILL, _PAIR.pack(rank, signum))

    def release(self, rank: int) -> None:
        """The rank has reached its PMI server: its exit need not be watched."""
        self.send(RELEASE, _INT.pack(rank))

    def hang_up(self) -> None:
        """Close the socket, on which conenter kills what is left and ends; `close` waits for that."""
        if not self.ended:
            self._end()

    def close(self) -> None:
        """Return when conenter is gone, and everything it started with it."""
        self.hang_up()
        self._reap()

    def _reap(self) -> int:
        """conenter's wait status, 0 when it has been taken before."""
        try:
            return os.waitpid(self.pid, 0)[1]
        except ChildProcessError:
            return 0

    def _end(self) -> None:
        self.ended = True
        self._loop.remove(self._socket.fileno())
        self._socket.close()

    def _flush(self) -> None:
        while self._out and not self.ended:
            data, fds = self._out[0]
            rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, b"".join(_RIGHTS.pack(fd) for fd in fds))] if fds else []
            try:
                sent = self._socket.sendmsg([data], rights, socket.MSG_NOSIGNAL)
            except (BlockingIOError, InterruptedError):
                break
            except OSError:
                return  # conenter is gone: the read side says so
            for fd in fds:
                os.close(fd)
            if sent == len(data):
                self._out.popleft()
            else:
                self._out[0] = (data[sent:], ())
        if bool(self._out) != self._writing:
            self._writing = not self._writing
            self._loop.change(self._socket.fileno(), READ | WRITE if self._writing else READ)

    def _on_events(self, events: int) -> None:
        if events & WRITE:
            self._flush()
        if events & ~WRITE:
            self._receive()

    def _receive(self) -> None:
        try:
            data = self._socket.recv(65536)
        except (BlockingIOError, InterruptedError):
            return
        except OSError:
            data = b""
        self._in += data
        while len(self._in) >= _HEAD.size and not self.ended:
            length, kind = _HEAD.unpack_from(self._in)
            if len(self._in) < _HEAD.size + length:
                break
            body = bytes(self._in[_HEAD.size : _HEAD.size + length])
            del self._in[: _HEAD.size + length]
            if self.handler is not None:
                self._dispatch(self.handler, kind, body)
        if not data and not self.ended:
            self._end()
            status = self._reap()
            if self.handler is not None:
                self.handler.on_conenter_lost(self, status)

    def _dispatch(self, handler: Handler, kind: int, body: bytes) -> None:
        if kind == READY:
            self.ready = True
            handler.on_ready(self)
        elif kind == FAILED:
            step, target = _texts(body[4:])
            handler.on_setup_failed(self, _INT.unpack_from(body)[0], step, target)
        elif kind == STARTED:
            handler.on_started(*_PAIR.unpack(body))
        elif kind == NOSTART:
            rank, error = _PAIR.unpack_from(body)
            step, target = _texts(body[8:])
            handler.on_not_started(rank, error, step, target)
        elif kind == EXITED:
            rank, status = _PAIR.unpack_from(body)
            handler.on_exited(rank, status, _texts(body[8:])[0])


def start_containers(loop: Loop, containers: Sequence[ContainerPlan]) -> list[ConenterLink]:
    """A conenter for each container, already at work."""
    links = []
    for container in containers:
        links.append(ConenterLink(loop))
        links[-1].setup(container.ops)
    return links


def describe_end(status: int) -> str:
    """A wait status in words."""
    if os.WIFSIGNALED(status):
        return f"was killed by signal {os.WTERMSIG(status)} ({signal_name(os.WTERMSIG(status))})"
    return f"exited with status {os.waitstatus_to_exitcode(status)}"


def signal_name(number: int) -> str:
    """SIGSEGV for 11."""
    import signal  # the library's, which knows names; only messages need them

    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
