"""I/O forwarding: who wants whose output, and stdin for ranks. Imported by the first request.

libpmix keeps what it has no reader for in memory, so it gets only what somebody asked for.
"""

from __future__ import annotations

from lwkpm.pmi.pmix import constants as c
from lwkpm.pmi.pmix.control import RefusedError, check_targets
from lwkpm.pmi.pmix.events import PmixIofPull, PmixStdin

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from lwkpm.pmi.pmix.requests import Events, Requests
    from lwkpm.pmi.pmix.values import Info, Proc

CHANNELS = {"stdin": 1, "stdout": 2, "stderr": 4, "stddiag": 8}
FORWARD = {"pmix.fwd.stdout": "stdout", "pmix.fwd.stderr": "stderr", "pmix.fwd.stddiag": "stddiag"}
IOF_STOP = "pmix.iof.stop"
IOF_COMPLETE = "pmix.iof.cmp"


def channel_names(mask: int) -> tuple[str, ...]:
    """``("stdout", "stderr")`` of pmix_iof_channel_t."""
    return tuple(name for name, bit in CHANNELS.items() if mask & bit)


def spawn_channels(infos: Sequence[Info]) -> int:
    """Channels that come to a tool which spawns: all of the output but what it says it does not want."""
    refused = {FORWARD[key] for key, kind, data in infos if key in FORWARD and kind == c.BOOL and not data}
    return sum(bit for name, bit in CHANNELS.items() if name not in ("stdin", *refused))


class Pulls:
    """Open requests for output. Which one ends is not told (5.0: pmix_server_iofdereg), so they end when all have."""

    def __init__(self) -> None:
        self._open: list[tuple[Sequence[Proc], int]] = []
        self._ended = 0

    def start(self, targets: Sequence[Proc], channels: int) -> None:
        """Somebody wants the output of `targets`."""
        self._open.append((targets, channels))

    def stop(self) -> None:
        """One of them wants no more."""
        self._ended += 1
        if self._ended >= len(self._open):
            self._open.clear()
            self._ended = 0

    def wanted(self, nspace: str, rank: int, channel: int) -> bool:
        """Whether somebody wants this."""
        return any(
            mask & channel and any(name == nspace and number in (rank, c.RANK_WILDCARD) for name, number in targets)
            for targets, mask in self._open
        )

    def __bool__(self) -> bool:
        return bool(self._open)


def pull(pulls: Pulls, targets: Sequence[Proc], directives: Sequence[Info], channels: int) -> Events:
    """Serve a request for output, or its end."""
    stop = any(key == IOF_STOP and (kind == 0 or data) for key, kind, data in directives)
    if stop:
        pulls.stop()
    else:
        pulls.start(targets, channels)
    names = channel_names(channels)
    return [PmixIofPull(nspace="", rank=c.RANK_UNDEF, targets=tuple(targets), channels=names, stop=stop)]


def stdin(
    host: Requests, asker: Proc, targets: Sequence[Proc], directives: Sequence[Info], data: bytes
) -> tuple[int, Events]:
    """Serve a piece of input: (status, events). Who may control a process may feed it."""
    try:
        named = check_targets(host.jobs, host.tools, asker, targets)
    except RefusedError as refusal:
        return refusal.status, []
    end = is_end(directives, data)
    return c.SUCCESS, [PmixStdin(nspace=asker[0], rank=asker[1], targets=named, data=data, eof=end)]


def is_end(directives: Sequence[Info], data: bytes) -> bool:
    """Whether stdin ends with this piece."""
    complete = any(key == IOF_COMPLETE and (kind == 0 or value) for key, kind, value in directives)
    return complete or not data
