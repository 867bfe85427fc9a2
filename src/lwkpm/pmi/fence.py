"""Ranks meeting each other: answers are held back until all members are in."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from lwkpm.pmi.server import Connection


class Parked:
    """An answer that waits: whom it is for and its bytes."""

    __slots__ = ("answer", "connection")

    def __init__(self, connection: Connection, answer: bytes) -> None:
        self.connection = connection
        self.answer = answer


class Fence:
    """One meeting at a time of `size` ranks; protocols differ only in the bytes of the answer."""

    __slots__ = ("entries", "size")

    def __init__(self, size: int) -> None:
        self.size = size
        self.entries: dict[int, Parked] = {}

    def enter(self, rank: int, parked: Parked) -> bool:
        """Park an answer, send all when complete; False when the rank is in already."""
        if rank in self.entries:
            return False
        self.entries[rank] = parked
        if len(self.entries) == self.size:
            entries, self.entries = self.entries, {}
            self.release(entries)
        return True

    def release(self, entries: dict[int, Parked]) -> None:
        """Send every answer."""
        for parked in entries.values():
            parked.connection.send(parked.answer)

    def drop(self, gone: Callable[[Parked], bool]) -> None:
        """Take out the entries that `gone` names."""
        for rank in [rank for rank, parked in self.entries.items() if gone(parked)]:
            del self.entries[rank]


class RingParked(Parked):
    """A rank in a ring: its contribution; the answer is made from `answer_of(index, left, right)` at the end."""

    __slots__ = ("answer_of", "count", "left", "right")

    def __init__(
        self,
        connection: Connection,
        count: int,
        ends: tuple[str, str],
        answer_of: Callable[[int, str, str], bytes],
    ) -> None:
        super().__init__(connection, b"")
        self.count = count
        self.left, self.right = ends
        self.answer_of = answer_of


class Ring(Fence):
    """PMIX_Ring: everybody learns its index and the values of both neighbours, wrapping round."""

    __slots__ = ()

    def release(self, entries: dict[int, Parked]) -> None:
        """Compute and send every answer, in rank order."""
        members = [parked for _, parked in sorted(entries.items()) if isinstance(parked, RingParked)]
        index = 0
        for place, member in enumerate(members):
            left = members[place - 1].right
            right = members[(place + 1) % len(members)].left
            member.connection.send(member.answer_of(index, left, right))
            index += member.count
