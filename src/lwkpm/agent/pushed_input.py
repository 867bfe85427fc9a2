"""``--stdin tool``: ranks read what a PMIx tool sends them (PMIx_IOF_push)."""

from __future__ import annotations

import os

from lwkpm.agent.sink import Sink

TYPE_CHECKING = False
if TYPE_CHECKING:
    from lwkpm.agent.loop import Loop
    from lwkpm.agent.rank import Rank

#: What waits for a rank that does not read; more is dropped with the rank's input.
MOST_WAITING_BYTES = 16 << 20


class PushedInput:
    """A pipe for each rank; a reader may be slow or gone without harm to the others."""

    def __init__(self, loop: Loop) -> None:
        self._loop = loop
        self._sinks: dict[Rank, Sink] = {}

    def open(self, rank: Rank) -> int:
        """The end that the rank reads."""
        read_fd, write_fd = os.pipe2(os.O_CLOEXEC)
        os.set_blocking(write_fd, False)
        self._sinks[rank] = Sink(self._loop, write_fd, owned=True)
        return read_fd

    def push(self, rank: Rank, data: bytes, *, ends: bool) -> None:
        """Send data on, and the end of input behind it."""
        sink = self._sinks.get(rank)
        if sink is None:
            return
        if data:
            sink.write(data)
        if sink.error is not None or sink.queued_bytes > MOST_WAITING_BYTES or (ends and sink.idle):
            self._end(rank)
        elif ends:
            sink.when_drained(lambda: self._end(rank))

    def _end(self, rank: Rank) -> None:
        sink = self._sinks.pop(rank, None)
        if sink is not None:
            sink.close()

    def close(self) -> None:
        """End the input of every rank."""
        for rank in list(self._sinks):
            self._end(rank)
