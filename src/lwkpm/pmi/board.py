"""Attributes of a node: PMI-2's info-putnodeattr and the ranks waiting for one."""

from __future__ import annotations

from lwkpm.pmi.fence import Parked
from lwkpm.pmi.kvs import KEY_MAX, KeyValueSpace

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from lwkpm.pmi.server import Connection

WAITS_MAX = 256  # open waits of one connection; a threaded client has one per thread


class Waiting(Parked):
    """A rank waiting for an attribute; `answer_of(value)` makes its answer."""

    __slots__ = ("answer_of",)

    def __init__(self, connection: Connection, answer_of: Callable[[str], bytes]) -> None:
        super().__init__(connection, b"")
        self.answer_of = answer_of


class NodeBoard:
    """What the ranks of one node tell each other."""

    __slots__ = ("_waiting", "space")

    def __init__(self, value_max: int) -> None:
        self.space = KeyValueSpace(value_max)
        self._waiting: dict[str, list[Waiting]] = {}

    def put(self, rank: int, key: str, value: str) -> str:
        """Store an attribute and wake who waits for it; the answer is "" or one word saying why not."""
        trouble = self.space.put(rank, key, value)
        if not trouble:
            for waiting in self._waiting.pop(key, ()):
                waiting.connection.waits -= 1
                waiting.connection.send(waiting.answer_of(value))
        return trouble

    def wait(self, key: str, waiting: Waiting) -> str:
        """Park an answer until the key is put; the answer is "" or one word saying why not."""
        if not key or len(key) > KEY_MAX:
            return "bad_key"
        if waiting.connection.waits >= WAITS_MAX:
            return "too_many_waits"
        waiting.connection.waits += 1
        self._waiting.setdefault(key, []).append(waiting)
        return ""

    def drop(self, gone: Callable[[Parked], bool]) -> None:
        """Take out the waits that `gone` names."""
        for key, row in list(self._waiting.items()):
            stay = [waiting for waiting in row if not gone(waiting)]
            if stay:
                self._waiting[key] = stay
            else:
                del self._waiting[key]
