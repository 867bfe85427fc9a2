"""The launcher's own signals, turned into calls from the loop."""

from __future__ import annotations

import os

from lwkpm.lean import signal

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from lwkpm.agent.loop import Loop


class SignalWatch:
    """Delivers `numbers` to `call`, one at a time, outside any other callback."""

    def __init__(self, loop: Loop, numbers: Iterable[int], call: Callable[[int], None]) -> None:
        self._loop = loop
        self._call = call
        self._read_fd, self._write_fd = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        self._old_fd = signal.set_wakeup_fd(self._write_fd, warn_on_full_buffer=False)
        # A do-nothing handler: without one the default action would end the process before the loop sees the byte.
        self._old = {number: signal.signal(number, lambda *_: None) for number in numbers}
        loop.add(self._read_fd, self._on_bytes)

    def _on_bytes(self, _events: int) -> None:
        for number in os.read(self._read_fd, 512):
            if number in self._old:
                self._call(number)

    def close(self) -> None:
        """Restore the handlers that were there before."""
        for number, handler in self._old.items():
            signal.signal(number, signal.SIG_DFL if handler is None else handler)
        signal.set_wakeup_fd(self._old_fd)
        self._loop.remove(self._read_fd)
        os.close(self._read_fd)
        os.close(self._write_fd)
