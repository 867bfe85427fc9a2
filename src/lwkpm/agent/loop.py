"""The agent's one loop: descriptors and timers. epoll directly, as `selectors` adds import time and a layer."""

from __future__ import annotations

import select
import time

from lwkpm.lean import heapq

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

READ = select.EPOLLIN | select.EPOLLHUP | select.EPOLLERR | select.EPOLLRDHUP
WRITE = select.EPOLLOUT


class Timer:
    """A call that will be made once, unless it is cancelled."""

    __slots__ = ("call", "when_s")

    def __init__(self, when_s: float, call: Callable[[], None]) -> None:
        self.when_s = when_s
        self.call: Callable[[], None] | None = call

    def cancel(self) -> None:
        """Forget the call."""
        self.call = None


class Loop:
    """Calls back for ready descriptors and due timers until `stop`."""

    def __init__(self) -> None:
        self._epoll = select.epoll()
        self._calls: dict[int, Callable[[int], None]] = {}
        self._timers: list[tuple[float, int, Timer]] = []
        self._count = 0
        self._running = False

    def add(self, fd: int, call: Callable[[int], None], events: int = READ) -> None:
        """Watch `fd`; `call` gets the epoll event bits."""
        self._epoll.register(fd, events)
        self._calls[fd] = call

    def change(self, fd: int, events: int) -> None:
        """Watch `fd` for other events."""
        self._epoll.modify(fd, events)

    def remove(self, fd: int) -> None:
        """Stop watching `fd`; before it is closed, as epoll forgets closed descriptors only with their last copy."""
        if self._calls.pop(fd, None) is not None:
            self._epoll.unregister(fd)

    def watches(self, fd: int) -> bool:
        """Whether `fd` is being watched."""
        return fd in self._calls

    def after(self, delay_s: float, call: Callable[[], None]) -> Timer:
        """Call back once, `delay_s` seconds from now."""
        timer = Timer(time.monotonic() + delay_s, call)
        self._count += 1
        heapq.heappush(self._timers, (timer.when_s, self._count, timer))
        return timer

    def stop(self) -> None:
        """Leave `run` after the present callbacks."""
        self._running = False

    def run(self) -> None:
        """Serve until `stop`."""
        self._running = True
        while self._running:
            self.turn(self._next_s())

    def turn(self, wait_s: float | None) -> None:
        """Wait at most `wait_s` seconds for something to happen and serve it."""
        for fd, events in self._epoll.poll(-1 if wait_s is None else wait_s):
            call = self._calls.get(fd)
            if call is not None:
                call(events)
        self._fire()

    def _next_s(self) -> float | None:
        while self._timers and self._timers[0][2].call is None:
            heapq.heappop(self._timers)
        return max(0.0, self._timers[0][0] - time.monotonic()) if self._timers else None

    def _fire(self) -> None:
        while self._timers and self._timers[0][0] <= time.monotonic():
            timer = heapq.heappop(self._timers)[2]
            call, timer.call = timer.call, None
            if call is not None:
                call()

    def close(self) -> None:
        """Release the epoll descriptor."""
        self._epoll.close()
