"""Forwarding the launcher's stdin to ranks through pipes, for terminals and for ``--stdin all``."""

from __future__ import annotations

import os

from lwkpm.agent.loop import WRITE

TYPE_CHECKING = False
if TYPE_CHECKING:
    from lwkpm.agent.loop import Loop

#: Unsent input at which stdin is left unread.
HIGH_WATER_BYTES = 1 << 20


class StdinForwarder:
    """Copies descriptor 0 into every pipe given; each reader may be slow or gone without harm to the others."""

    def __init__(self, loop: Loop, pipes: list[int]) -> None:
        self._loop = loop
        self._pending: dict[int, bytes] = dict.fromkeys(pipes, b"")
        self._ended = False
        for fd in pipes:
            os.set_blocking(fd, False)
        self._regular = False
        self._watch()

    def _watch(self) -> None:
        if self._ended or self._loop.watches(0):
            return
        try:
            self._loop.add(0, self._on_input)
        except PermissionError:  # epoll cannot watch a regular file, which is always readable
            self._loop.after(0, lambda: self._on_input(0))

    def _on_input(self, _events: int) -> None:
        try:
            data = os.read(0, 65536)
        except InterruptedError:
            return
        except OSError:
            data = b""  # EIO: a background job of a terminal may not read
        if data:
            for fd in list(self._pending):
                self._pending[fd] += data
                self._push(fd)
        else:
            self._ended = True
        if self._ended or any(len(rest) > HIGH_WATER_BYTES for rest in self._pending.values()):
            self._loop.remove(0)
        elif not self._loop.watches(0):
            self._watch()
        self._close_done()

    def _push(self, fd: int) -> None:
        try:
            while self._pending[fd]:
                self._pending[fd] = self._pending[fd][os.write(fd, self._pending[fd]) :]
        except BlockingIOError:
            if not self._loop.watches(fd):
                self._loop.add(fd, lambda _events, fd=fd: self._push(fd), WRITE)  # type: ignore[misc]
            return
        except OSError:  # the rank closed its stdin
            self._drop(fd)
            return
        self._loop.remove(fd)
        self._watch()
        self._close_done()

    def _close_done(self) -> None:
        if self._ended:
            for fd in [fd for fd, rest in self._pending.items() if not rest]:
                self._drop(fd)

    def _drop(self, fd: int) -> None:
        self._loop.remove(fd)
        del self._pending[fd]
        os.close(fd)
        if not self._pending:
            self._loop.remove(0)
            self._ended = True

    def close(self) -> None:
        """Close every pipe."""
        self._ended = True
        self._loop.remove(0)
        for fd in list(self._pending):
            self._drop(fd)
