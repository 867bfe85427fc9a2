"""The PMI server of one run, without I/O: bytes of ranks in, bytes and events out.

The agent owns the sockets: it feeds `Connection.receive`, sends and consumes `Connection.out` of the connections in
`PmiServer.dirty`, and closes those that are `closing` once `out` is empty.
"""

from __future__ import annotations

import os

from lwkpm.pmi import pmi1, pmi2
from lwkpm.pmi.board import NodeBoard
from lwkpm.pmi.events import Initialized, Violation
from lwkpm.pmi.fence import Fence, Parked, Ring
from lwkpm.pmi.kvs import KeyValueSpace, NameStore, clean
from lwkpm.pmi.mapping import process_mapping
from lwkpm.pmi.wire import BLOCK, FRAME_SLURM, LINE, Splitter, WireError, parse_int

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from lwkpm.pmi.events import Event, SpawnCommand

SAFE_VALUE = 1024  # what the line buffer of every client holds
VALLEN_MAX = 61440  # a put of that size still fits the 64 KiB line
OUT_MAX = 8 << 20  # bytes a client may leave unread; strict request/response needs far less
GROUPS_PER_RANK = 64


class RankState:
    """What the server knows of one rank."""

    __slots__ = ("aborted", "finalized", "initialized", "job", "node", "open_groups", "pmi_version", "rank")

    def __init__(self, job: PmiJob, rank: int, node: int) -> None:
        self.job = job
        self.rank = rank
        self.node = node
        self.initialized = False
        self.finalized = False
        self.pmi_version: int | None = None
        self.aborted = False
        self.open_groups = 0


class PmiJob:
    """One world: its ranks, keys and fences. `node_of_rank` None means one node for all.

    `kvsname` must be unique per launch and host: MPICH 5 names its shared-memory segment after it.
    """

    def __init__(
        self,
        *,
        kvsname: str,
        appnums: Sequence[int],
        universe_size: int,
        node_of_rank: Sequence[int] | None = None,
        preput: dict[str, str] | None = None,
        vallen_max: int = 4096,
        spawned: bool = False,
        parent_kvsname: str = "",
    ) -> None:
        if not kvsname.isascii() or not 0 < len(kvsname) < 256 or any(mark in kvsname for mark in " ;=\n"):
            raise ValueError(f"bad kvsname {kvsname!r}")
        if not 0 < vallen_max <= VALLEN_MAX:
            raise ValueError(f"vallen_max {vallen_max} is not in 1..{VALLEN_MAX}")
        nodes = [0] * len(appnums) if node_of_rank is None else list(node_of_rank)
        if len(nodes) != len(appnums):
            raise ValueError(f"{len(appnums)} appnums, but {len(nodes)} nodes of ranks")
        self.kvsname = kvsname
        self.appnums = tuple(appnums)
        self.universe_size = universe_size
        self.vallen_max = vallen_max
        self.spawned = spawned
        self.parent_kvsname = parent_kvsname
        self.size = len(nodes)
        self.ranks = [RankState(self, rank, node) for rank, node in enumerate(nodes)]
        self.keys = _job_keys(nodes, universe_size, preput)
        self.kvs = KeyValueSpace(max(vallen_max, SAFE_VALUE))
        self.longest = {1: SAFE_VALUE, 2: SAFE_VALUE}
        self.fence = Fence(self.size)
        self.ring = Ring(self.size)
        self.groups: dict[tuple[frozenset[int], int], Fence] = {}
        self.boards = {node: NodeBoard(max(vallen_max, SAFE_VALUE)) for node in nodes}

    def put(self, who: RankState, key: str, value: str, version: int) -> str:
        """Store a rank's value; the answer is "" or one word saying why not."""
        if key in self.keys:
            return "reserved_key"
        trouble = self.kvs.put(who.rank, key, value)
        if not trouble and len(value) > self.longest[version]:
            self.longest[version] = len(value)
        return trouble

    def find(self, key: str, version: int) -> str | None:
        """A job key or a put value; None also when it is longer than clients of this version ever send.

        Old clients hold 1024 bytes only and overrun on more, whatever `get_maxes` announced.
        """
        value = self.keys.get(key)
        if value is None:
            value = self.kvs.get(key)
        return value if value is not None and len(value) <= self.longest[version] else None

    def enter_group(self, who: RankState, members: frozenset[int], tag: int, parked: Parked) -> str:
        """Park a rank in a group barrier; the answer is "" or one word saying why not."""
        if who.rank not in members or min(members) < 0 or max(members) >= self.size:
            return "bad_group"
        fence = self.groups.get((members, tag))
        if fence is not None and who.rank in fence.entries:
            return "already_in_barrier"
        if who.open_groups >= GROUPS_PER_RANK:
            return "too_many_barriers"
        if fence is None:
            fence = self.groups[members, tag] = Fence(len(members))
        who.open_groups += 1
        fence.enter(who.rank, parked)
        if not fence.entries:
            self._close_group(members, tag)
        return ""

    def _close_group(self, members: frozenset[int], tag: int) -> None:
        del self.groups[members, tag]
        for rank in members:
            self.ranks[rank].open_groups -= 1

    def drop(self, gone: Callable[[Parked], bool]) -> None:
        """Take parked requests out of every fence and wait."""
        self.fence.drop(gone)
        self.ring.drop(gone)
        for board in self.boards.values():
            board.drop(gone)
        for key, fence in list(self.groups.items()):
            before = set(fence.entries)
            fence.drop(gone)
            for rank in before - set(fence.entries):
                self.ranks[rank].open_groups -= 1
            if not fence.entries:
                del self.groups[key]


def _job_keys(nodes: Sequence[int], universe_size: int, preput: dict[str, str] | None) -> dict[str, str]:
    """The keys every rank can read and none can put."""
    mapping = process_mapping(nodes)
    keys = {"universeSize": str(universe_size)}
    if mapping is not None:
        keys["PMI_process_mapping"] = mapping
    keys.update((clean(key), clean(value)) for key, value in (preput or {}).items())
    return keys


class PmiServer:
    """One run; several jobs, one name store."""

    def __init__(self, names: NameStore | None = None) -> None:
        self.names = NameStore() if names is None else names
        self.jobs: dict[str, PmiJob] = {}
        self.dirty: set[Connection] = set()
        self.trace: Callable[[Connection, str, bytes], None] | None = None
        self._by_token: dict[int, RankState] = {}
        self._tokens: dict[RankState, int] = {}

    def add_job(self, job: PmiJob) -> None:
        """Serve a job; its kvsname must be new."""
        if job.kvsname in self.jobs:
            raise ValueError(f"kvsname {job.kvsname} is taken")
        self.jobs[job.kvsname] = job

    def token(self, job: PmiJob, rank: int) -> int:
        """The PMI_ID of a rank: random, positive, 31 bits; the same one on every call."""
        who = job.ranks[rank]
        token = self._tokens.get(who, 0)
        while not token:
            token = int.from_bytes(os.urandom(4), "big") & 0x7FFFFFFF
            token = 0 if token in self._by_token else token
        self._tokens[who] = token
        self._by_token[token] = who
        return token

    def who_has(self, text: str) -> RankState | None:
        """The rank of a PMI_ID as sent by a client."""
        token = parse_int(text)
        return None if token is None else self._by_token.get(token)

    def connect(self, job: PmiJob | None = None, rank: int | None = None) -> Connection:
        """A new connection: with job and rank the inherited-socket form, without the TCP form."""
        if (job is None) != (rank is None):
            raise ValueError("give both job and rank, or neither")
        return Connection(self, None if job is None or rank is None else job.ranks[rank])


class Connection:
    """One socket of one rank."""

    __slots__ = (
        "_events",
        "_splitter",
        "closing",
        "open",
        "out",
        "server",
        "slurm",
        "spawning",
        "version",
        "waits",
        "who",
    )

    def __init__(self, server: PmiServer, who: RankState | None) -> None:
        self.server = server
        self.who = who
        self.out = bytearray()
        self.closing = False
        self.open = True
        self.version = 1
        self.slurm = False  # libpmi2 of Slurm: doubles `;` in values, and wants it doubled
        self.waits = 0
        self.spawning: list[tuple[SpawnCommand, tuple[tuple[str, str], ...]]] = []
        self._splitter = Splitter()
        self._events: list[Event] = []

    @property
    def job(self) -> PmiJob | None:
        """The job, None until the client said who it is."""
        return None if self.who is None else self.who.job

    @property
    def rank(self) -> int | None:
        """The rank in its job, None until the client said who it is."""
        return None if self.who is None else self.who.rank

    def receive(self, data: bytes) -> list[Event]:
        """Take bytes of the client; its answers, and those of ranks it set free, are in `out`."""
        events: list[Event] = []
        self._events = events
        self._splitter.feed(data)
        try:
            while self._listening():
                message = self._splitter.take()
                if message is None:
                    break
                self._dispatch(*message)
        except WireError as error:
            self.violation(str(error), fatal=True)
        if not self._listening():
            self._splitter.clear()
        return events

    def _listening(self) -> bool:
        """After an abort garbage may follow (MPICH 4.1), or a barrier_in (4.3, 5.0) that must not count."""
        return self.open and not self.closing and not (self.who is not None and self.who.aborted)

    def _dispatch(self, kind: int, text: str) -> None:
        if self.server.trace is not None:
            self.server.trace(self, "<", text.encode("latin-1"))
        if kind == LINE:
            pmi1.handle_line(self, text)
        elif kind == BLOCK:
            pmi1.handle_block(self, text)
        elif self.version == 2:
            pmi2.handle_frame(self, text, kind == FRAME_SLURM)
        else:
            self.violation("a PMI-2 frame before init", fatal=True)
        if len(self.out) > OUT_MAX:
            self.out.clear()
            self.violation("the client does not read its answers", fatal=True)

    def lost(self) -> list[Event]:
        """End of file: what it waited for is dropped. Says nothing about the rank: clients close when they like."""
        self.open = False
        self.out.clear()
        self._splitter.clear()
        self.server.dirty.discard(self)
        if self.who is not None:
            self.who.job.drop(lambda parked: parked.connection is self)
        return []

    def send(self, data: bytes) -> None:
        """Queue a message for the client."""
        if not self.open:
            return
        if self.server.trace is not None:
            self.server.trace(self, ">", data)
        self.out += data
        self.server.dirty.add(self)

    def emit(self, event: Event) -> None:
        """Tell the agent something."""
        self._events.append(event)

    def violation(self, text: str, fatal: bool = False) -> None:
        """Tell the agent of broken rules; `fatal` ends the connection."""
        if fatal:
            self.closing = True
            self.server.dirty.add(self)
        self.emit(Violation(job=self.job, rank=self.rank, text=text))

    def identify(self, token: str) -> RankState | None:
        """The rank behind the connection; over TCP its token tells, an unknown one ends the connection."""
        if self.who is None:
            self.who = self.server.who_has(token)
            if self.who is None:
                self.violation("unknown PMI_ID", fatal=True)
        return self.who

    def initialized(self, who: RankState, version: int) -> None:
        """Note a rank's init; MPI sessions say it again, after a finalize that is news."""
        who.pmi_version = version
        if not who.initialized or who.finalized:
            who.initialized, who.finalized = True, False
            self.emit(Initialized(job=who.job, rank=who.rank, version=version))

    def abort(self, who: RankState) -> None:
        """A rank gave up: nothing more is read from it, and it is in no fence any more."""
        who.aborted = True
        who.job.drop(lambda parked: parked.connection.who is who)
