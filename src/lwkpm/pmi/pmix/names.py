"""PMIx_Publish, PMIx_Lookup and PMIx_Unpublish for the jobs of this server. Ranges are ignored: one node, one job."""

from __future__ import annotations

import time

from lwkpm.pmi.pmix import constants as c

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    from lwkpm.pmi.pmix.values import Info, Proc

    Found = list[tuple[Proc, Info]]


class Lookup:
    """A lookup that waits: answered when `needed` of `keys` are published, or at `deadline` (monotonic seconds)."""

    def __init__(self, keys: Sequence[str], directives: Sequence[Info], token: Any) -> None:
        options = {key: data for key, _, data in directives}
        wait = options.get(c.WAIT)
        self.keys = keys
        self.waits = wait is not None
        self.needed = min(int(wait or 0), len(keys)) or len(keys)
        timeout = int(options.get(c.TIMEOUT) or 0)
        self.deadline = time.monotonic() + timeout if timeout else None
        self.token = token


class Names:
    """Published data by key, and the lookups that wait for some. Pure: answers are returned, not sent."""

    def __init__(self) -> None:
        self._data: dict[str, tuple[Proc, Info]] = {}
        self._once: set[str] = set()
        self._waiting: list[Lookup] = []

    def publish(self, proc: Proc, infos: Sequence[Info]) -> int:
        """Keep what is not a directive (those begin with ``pmix.``); a status."""
        data = [info for info in infos if not info[0].startswith("pmix.")]
        if any(info[0] in self._data for info in data):
            return c.ERR_DUPLICATE_KEY
        # Open MPI meets in MPI_Comm_accept by data that the first reader takes away, under the same key each time.
        once = any(key == c.PERSISTENCE and value == c.PERSIST_FIRST_READ for key, _, value in infos)
        for info in data:
            self._data[info[0]] = (proc, info)
        if once:
            self._once.update(info[0] for info in data)
        return c.SUCCESS

    def unpublish(self, proc: Proc, keys: Sequence[str]) -> int:
        """Forget the keys, or all of this process when there are none; a status."""
        for key in keys or [key for key, (owner, _) in self._data.items() if owner == proc]:
            self._data.pop(key, None)
            self._once.discard(key)
        return c.SUCCESS

    def lookup(self, request: Lookup) -> Found | None:
        """What was found, [] if nothing; None: it waits, see `ready` and `expired`."""
        present = [key for key in request.keys if key in self._data]
        if request.waits and len(present) < request.needed:
            self._waiting.append(request)
            return None
        return self._take(present)

    def _take(self, keys: Sequence[str]) -> Found:
        found = [self._data[key] for key in keys]
        for key in keys:
            if key in self._once:
                self._once.discard(key)
                del self._data[key]
        return found

    def ready(self) -> list[tuple[Lookup, Found]]:
        """Waiting lookups that a publish has satisfied, in the order they came."""
        waiting, self._waiting = self._waiting, []
        answers = ((request, self.lookup(request)) for request in waiting)
        return [(request, found) for request, found in answers if found is not None]

    def expired(self, now: float) -> list[Lookup]:
        """Waiting lookups whose time is over."""
        late = [request for request in self._waiting if request.deadline is not None and request.deadline <= now]
        self._waiting = [request for request in self._waiting if request not in late]
        return late

    def next_deadline(self) -> float | None:
        """When `expired` is worth asking, in monotonic seconds."""
        return min((request.deadline for request in self._waiting if request.deadline is not None), default=None)
