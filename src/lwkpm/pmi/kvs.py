"""Key-value spaces and published names.

All text of clients is latin-1 decoded bytes, so every byte survives and `len` is the size in bytes. Each key belongs
to the rank that put it first: another rank cannot overwrite it (hydra refuses duplicates too), so a broken rank
cannot damage what a sound one put.
"""

from __future__ import annotations

KEY_MAX = 256
VALUE_MAX = 65536
RANK_BYTES_MAX = 64 << 20
ENTRY_COST = 128  # bytes of bookkeeping charged per key, so that many tiny keys are bounded too
NAME_MAX = 1024
NAMES_PER_OWNER = 256


def clean(text: str) -> str:
    """Text of our own side (unicode) in the form spaces hold: latin-1 decoded utf-8 bytes."""
    return text.encode("utf-8", "surrogateescape").decode("latin-1")


class KeyValueSpace:
    """Keys of one job or one node: who put what, bounded per rank."""

    __slots__ = ("_entries", "_order", "_used", "value_max")

    def __init__(self, value_max: int = VALUE_MAX) -> None:
        self.value_max = min(value_max, VALUE_MAX)
        self._entries: dict[str, tuple[int, str]] = {}
        self._used: dict[int, int] = {}
        self._order: list[str] = []

    def put(self, rank: int, key: str, value: str) -> str:
        """Store a value; the answer is "" or one word saying why not."""
        if not key or len(key) > KEY_MAX:
            return "bad_key"
        if len(value) > self.value_max:
            return "value_too_long"
        cost = len(value) + len(key) + ENTRY_COST
        old = self._entries.get(key)
        if old is not None:
            if old[0] != rank:
                return "duplicate_key"
            cost = len(value) - len(old[1])
        used = self._used.get(rank, 0) + cost
        if used > RANK_BYTES_MAX:
            return "space_exhausted"
        self._used[rank] = used
        self._entries[key] = (rank, value)
        return ""

    def get(self, key: str) -> str | None:
        """The value, None when nobody put it."""
        entry = self._entries.get(key)
        return None if entry is None else entry[1]

    def at(self, index: int) -> tuple[str, str] | None:
        """The key and value that were put as number `index` (0, 1, ...), None behind the last.

        The list of keys is kept for the next call: who iterates asks for one after the other.
        """
        if len(self._order) != len(self._entries):
            self._order = list(self._entries)
        if not 0 <= index < len(self._order):
            return None
        key = self._order[index]
        return key, self._entries[key][1]


class NameStore:
    """Names of MPI_Publish_name, shared by all jobs of a run.

    Only the publisher may unpublish; MPI leaves it to the implementation what happens for others.
    """

    __slots__ = ("_counts", "_names")

    def __init__(self) -> None:
        self._names: dict[str, tuple[object, str]] = {}
        self._counts: dict[object, int] = {}

    def publish(self, owner: object, service: str, port: str) -> str:
        """Publish or republish; the answer is "" or one word saying why not."""
        if not service or len(service) > NAME_MAX or len(port) > NAME_MAX:
            return "bad_name"
        old = self._names.get(service)
        if old is not None and old[0] is not owner:
            return "already_published"
        count = self._counts.get(owner, 0) + (old is None)
        if count > NAMES_PER_OWNER:
            return "too_many_names"
        self._counts[owner] = count
        self._names[service] = (owner, port)
        return ""

    def lookup(self, service: str) -> str | None:
        """The port, None when the service is unknown."""
        entry = self._names.get(service)
        return None if entry is None else entry[1]

    def unpublish(self, owner: object, service: str) -> str:
        """Take a name back; the answer is "" or one word saying why not."""
        entry = self._names.get(service)
        if entry is None or entry[0] is not owner:
            return "not_published"
        del self._names[service]
        self._counts[owner] -= 1
        return ""
