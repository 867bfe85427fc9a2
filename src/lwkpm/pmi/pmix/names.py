"""PMIx_Publish, PMIx_Lookup and PMIx_Unpublish between the jobs of this server."""

from __future__ import annotations

import time

from lwkpm.pmi.pmix import constants as c

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from typing import Any

    from lwkpm.pmi.pmix.values import Info, Proc

    Found = list[tuple[Proc, Info]]
    Scope = tuple[str, int, str]  # namespace or "", rank or -1, key

KEYS_MAX = 65536  # of all jobs together
VALUE_MAX = 1 << 20  # bytes or characters of one value
ANY_RANK = -1
WHOLE_NUMBERS = (c.BOOL, c.INT, c.UINT, c.INT32, c.UINT32, c.INT64, c.UINT64, c.SIZE, c.UINT16, c.UINT8)


def whole_number(directives: Sequence[Info], wanted: str) -> int | None:
    """The number a directive gives; 0 when it gives none, None when it is not there."""
    for key, kind, data in directives:
        if key == wanted:
            return int(data) if kind in WHOLE_NUMBERS else 0
    return None


class Lookup:
    """A lookup that waits: answered when `needed` of `keys` are published, or at `deadline` (monotonic seconds)."""

    def __init__(self, proc: Proc, keys: Sequence[str], directives: Sequence[Info], token: Any) -> None:
        wait = whole_number(directives, c.WAIT)
        timeout = whole_number(directives, c.TIMEOUT) or 0
        self.proc = proc
        self.keys = keys
        self.waits = wait is not None
        self.needed = min(wait or 0, len(keys)) or len(keys)
        self.deadline = time.monotonic() + min(timeout, 1 << 31) if timeout > 0 else None
        self.token = token


class Published:
    """One value: who gave it and how long it is kept."""

    __slots__ = ("info", "owner", "persistence")

    def __init__(self, owner: Proc, info: Info, persistence: int) -> None:
        self.owner = owner
        self.info = info
        self.persistence = persistence


class Names:
    """Published data by scope, and the lookups that wait for some. Pure: answers are returned, not sent."""

    def __init__(self) -> None:
        self._data: dict[Scope, Published] = {}
        self._waiting: list[Lookup] = []

    def publish(self, proc: Proc, infos: Sequence[Info]) -> int:
        """Keep what is not a directive (those begin with ``pmix.``); a status.

        Open MPI meets in MPI_Comm_accept by data that the first reader takes away, under the same key each time.
        """
        data = [info for info in infos if not info[0].startswith("pmix.")]
        given = {key: value for key, kind, value in infos if DIRECTIVES.get(key) == kind}
        scopes = [scope_of(proc, info[0], given.get(c.RANGE, c.RANGE_SESSION)) for info in data]
        if any(scope in self._data for scope in scopes):
            return c.ERR_DUPLICATE_KEY
        if len(self._data) + len(data) > KEYS_MAX or any(size_of(info) > VALUE_MAX for info in data):
            return c.ERR_OUT_OF_RESOURCE
        persistence = given.get(c.PERSISTENCE, c.PERSIST_APP)
        for scope, info in zip(scopes, data):
            self._data[scope] = Published(proc, info, persistence)
        return c.SUCCESS

    def unpublish(self, proc: Proc, keys: Sequence[str]) -> int:
        """Forget what this process's job published under the keys, or all of this process when there are none."""
        if not keys:
            self._drop(lambda entry: entry.owner == proc)
            return c.SUCCESS
        places = (self._find(proc, key) for key in keys)
        ours = [scope for scope in places if scope is not None and self._data[scope].owner[0] == proc[0]]
        for scope in ours:
            self._data.pop(scope, None)
        return c.SUCCESS if ours else c.ERR_NOT_FOUND

    def _find(self, proc: Proc, key: str) -> Scope | None:
        return next((scope for scope in visible(proc, key) if scope in self._data), None)

    def _drop(self, gone: Callable[[Published], bool]) -> None:
        for scope in [scope for scope, entry in self._data.items() if gone(entry)]:
            del self._data[scope]

    def lookup(self, request: Lookup) -> Found | None:
        """What was found, [] if nothing; None: it waits, see `ready` and `expired`."""
        places = (self._find(request.proc, key) for key in request.keys)
        present = [scope for scope in places if scope is not None]
        if request.waits and len(present) < request.needed:
            self._waiting.append(request)
            return None
        return self._take(present)

    def _take(self, scopes: Sequence[Scope]) -> Found:
        found = [(self._data[scope].owner, self._data[scope].info) for scope in scopes]
        for scope in scopes:
            if scope in self._data and self._data[scope].persistence == c.PERSIST_FIRST_READ:
                del self._data[scope]
        return found

    def ready(self) -> list[tuple[Lookup, Found]]:
        """Waiting lookups that a publish has satisfied, in the order they came."""
        waiting, self._waiting = self._waiting, []
        answers = ((request, self.lookup(request)) for request in waiting)
        return [(request, found) for request, found in answers if found is not None]

    def expired(self, now: float) -> list[Lookup]:
        """Waiting lookups whose time is over."""
        return self._give_up(lambda request: request.deadline is not None and request.deadline <= now)

    def _give_up(self, hopeless: Callable[[Lookup], bool]) -> list[Lookup]:
        given_up = [request for request in self._waiting if hopeless(request)]
        self._waiting = [request for request in self._waiting if request not in given_up]
        return given_up

    def ended(self, proc: Proc) -> list[Lookup]:
        """A process is gone: its lookups, which must take nothing away any more."""
        self._drop(lambda entry: entry.owner == proc and entry.persistence == c.PERSIST_PROC)
        return self._give_up(lambda request: request.proc == proc)

    def forget(self, nspace: str) -> list[Lookup]:
        """A job is over: its lookups; what it published for longer stays."""
        self._drop(lambda entry: entry.owner[0] == nspace and entry.persistence not in c.PERSIST_LONGER)
        return self._give_up(lambda request: request.proc[0] == nspace)

    def next_deadline(self) -> float | None:
        """When `expired` is worth asking, in monotonic seconds."""
        return min((request.deadline for request in self._waiting if request.deadline is not None), default=None)


DIRECTIVES = {c.RANGE: c.DATA_RANGE, c.PERSISTENCE: c.PERSIST}


def scope_of(proc: Proc, key: str, reach: int) -> Scope:
    """Where a value is kept: for everybody, for its job, or for its process alone."""
    if reach == c.RANGE_NAMESPACE:
        return proc[0], ANY_RANK, key
    return (*proc, key) if reach == c.RANGE_PROC_LOCAL else ("", ANY_RANK, key)


def visible(proc: Proc, key: str) -> Iterator[Scope]:
    """Yield where a process may find a key; the first that is there counts."""
    yield scope_of(proc, key, c.RANGE_PROC_LOCAL)
    yield scope_of(proc, key, c.RANGE_NAMESPACE)
    yield scope_of(proc, key, c.RANGE_SESSION)


def size_of(info: Info) -> int:
    """Rough size of a value: bytes, characters, elements."""
    data = info[2]
    if info[1] == c.DATA_ARRAY:
        return sum(len(element) if isinstance(element, (str, bytes)) else 8 for element in data[1])
    return len(data) if isinstance(data, (str, bytes)) else 8
