"""Output forwarding: each rank's stdout and stderr, in whole lines, labelled or into files."""

from __future__ import annotations

import os
import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from lwkpm.agent.loop import Loop
    from lwkpm.agent.sink import Sink

#: What a pipe holds; more would be mapped and unmapped for every read.
READ_BYTES = 1 << 16
#: A line longer than this goes out in pieces; nobody can hold an endless one.
LONGEST_LINE_BYTES = 1 << 20
TAIL_BYTES = 2048


class Stream:
    """One rank's stdout or stderr on its way to a sink.

    Lines of different ranks never mix: a partial line waits for its end, or until the rank has been quiet for
    `hold_s`, so that prompts show.
    """

    hold_s = 0.1
    #: A prompt matters to a person; into a file or pipe whole lines matter more, and a busy node delays a rank.
    hold_unseen_s = 1.0

    def __init__(self, loop: Loop, fd: int, sink: Sink, prefix: bytes) -> None:
        self._loop = loop
        self._fd = fd
        self._sink = sink
        self._prefix = prefix
        self._partial = b""
        self._timer_set = False
        self._taken_at_s = 0.0
        self._hold_s = self.hold_s if sink.is_terminal else self.hold_unseen_s
        self.tail = b""
        self.keep_tail = False
        self.tap: Callable[[bytes], None] | None = None  # sees the data as it comes
        os.set_blocking(fd, False)
        loop.add(fd, self._on_events)

    @property
    def open(self) -> bool:
        """Whether the rank (or a child of it) may still write."""
        return self._fd >= 0

    def _on_events(self, _events: int) -> None:
        if self._sink.full:
            self._loop.remove(self._fd)
            self._sink.when_drained(self._resume)
            return
        self.read_once()

    def _resume(self) -> None:
        if self._fd >= 0 and not self._loop.watches(self._fd):
            self._loop.add(self._fd, self._on_events)

    def read_once(self) -> bool:
        """Forward what is there; False when nothing more is to be had now."""
        if self._fd < 0:
            return False
        try:
            data = os.read(self._fd, READ_BYTES)
        except (BlockingIOError, InterruptedError):
            return False
        except OSError:
            data = b""
        if data:
            self._take(data)
        if not data or isinstance(self._sink.error, BrokenPipeError):
            # Whoever read our output is gone (`| head -1`): the rank learns it as it would without us, by SIGPIPE.
            self.close()
        return self._fd >= 0

    def _take(self, data: bytes) -> None:
        self._taken_at_s = time.monotonic()
        if self.tap is not None:
            self.tap(data)
        if self.keep_tail:
            self.tail = (self.tail + data)[-TAIL_BYTES:]
        cut = data.rfind(b"\n") + 1
        if cut == 0:
            self._partial += data
            if len(self._partial) > LONGEST_LINE_BYTES:
                self._flush_partial()
            else:
                self._hold()
            return
        whole, rest = self._partial + data[:cut], data[cut:]
        self._partial = rest
        self._emit(whole)
        if rest:
            self._hold()

    def _hold(self) -> None:
        if not self._timer_set:
            self._timer_set = True
            self._loop.after(self._hold_s, self._on_held)

    def _on_held(self) -> None:
        self._timer_set = False
        if not self._partial:
            return
        # While the reader is slow the rest of the line may be waiting in the pipe, which is then left unread.
        paused = self._sink.full or not self._loop.watches(self._fd)
        if paused or self.read_once() or time.monotonic() - self._taken_at_s < self._hold_s:
            if self._partial:
                self._hold()
        else:
            self._flush_partial()

    def _flush_partial(self) -> None:
        if self._partial:
            held, self._partial = self._partial, b""
            self._emit(held)

    def _emit(self, data: bytes) -> None:
        if self._prefix:
            ends = data.endswith(b"\n")
            body = data[:-1] if ends else data
            body = body.replace(b"\n", b"\n" + self._prefix)
            owner = self._sink.line_owner
            start = b"" if owner is self else self._prefix if owner is None else b"\n" + self._prefix
            data = start + body + (b"\n" if ends else b"")
            self._sink.line_owner = None if ends else self
        self._sink.write(data)

    def close(self) -> None:
        """Forward the last partial line and stop."""
        if self._fd < 0:
            return
        self._flush_partial()
        if self._prefix and self._sink.line_owner is self:  # the next rank's label must begin a line
            self._sink.write(b"\n")
            self._sink.line_owner = None
        self._loop.remove(self._fd)
        os.close(self._fd)
        self._fd = -1
