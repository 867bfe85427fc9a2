"""Where output goes: the launcher's stdout and stderr, or files; never blocking the loop, never losing a byte."""

from __future__ import annotations

import os
import stat

from lwkpm.agent.loop import WRITE
from lwkpm.lean import deque

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from lwkpm.agent.loop import Loop

#: Above this much unwritten output the ranks' pipes are left unread, so that a slow reader slows the ranks.
HIGH_WATER_BYTES = 4 << 20


def _reopen_nonblocking(fd: int) -> int:
    """A non-blocking description of our own: O_NONBLOCK on the inherited one would change our callers' terminal."""
    try:
        return os.open(f"/proc/self/fd/{fd}", os.O_WRONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
    except OSError:
        return -1


class Sink:
    """A queue of bytes in front of one descriptor. Regular files are written at once, as they never block."""

    def __init__(self, loop: Loop, fd: int, *, owned: bool = False) -> None:
        self._loop = loop
        self._fd = fd
        self._owned = owned
        self._queue: deque[bytes] = deque()
        self.queued_bytes = 0
        self.error: OSError | None = None
        self.line_owner: object = None  # the labelled stream whose partial line was written last
        self.is_terminal = os.isatty(fd)
        self._resume: list[Callable[[], None]] = []
        mode = os.fstat(fd).st_mode
        if not owned and (stat.S_ISFIFO(mode) or os.isatty(fd)):
            reopened = _reopen_nonblocking(fd)
            if reopened >= 0:
                self._fd, self._owned = reopened, True

    @property
    def full(self) -> bool:
        """Whether the producers should pause."""
        return self.queued_bytes > HIGH_WATER_BYTES

    def when_drained(self, call: Callable[[], None]) -> None:
        """Call once the queue has emptied."""
        self._resume.append(call)

    def write(self, data: bytes) -> None:
        """Take `data`; it leaves in order."""
        if self.error is not None:
            return
        self._queue.append(data)
        self.queued_bytes += len(data)
        if len(self._queue) == 1:
            self.flush()

    def flush(self, _events: int = 0) -> None:
        """Write what the descriptor takes now; wait for the rest."""
        try:
            while self._queue:
                data = self._queue[0]
                sent = os.write(self._fd, data)
                self.queued_bytes -= sent
                if sent == len(data):
                    self._queue.popleft()
                else:
                    self._queue[0] = data[sent:]
        except (BlockingIOError, InterruptedError):
            if not self._loop.watches(self._fd):
                self._loop.add(self._fd, self.flush, WRITE)
            return
        except OSError as error:  # the reader went away (EPIPE) or the disk is full: the agent asks
            self.error = error
            self._queue.clear()
            self.queued_bytes = 0
        self._loop.remove(self._fd)
        waiting, self._resume = self._resume, []
        for call in waiting:
            call()

    @property
    def idle(self) -> bool:
        """Whether everything has been written."""
        return not self._queue

    def close(self) -> None:
        """Give the descriptor back; call when idle."""
        self._loop.remove(self._fd)
        if self._owned:
            os.close(self._fd)
            self._owned = False
