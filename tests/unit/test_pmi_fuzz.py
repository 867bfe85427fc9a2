"""Whatever one rank sends: nothing raises, memory stays bounded, and the other ranks live as if it were silent."""

from __future__ import annotations

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lwkpm.pmi.events import Aborted, Event
from lwkpm.pmi.server import OUT_MAX, Connection, PmiJob, PmiServer
from lwkpm.pmi.wire import frame

KVS = "world_0"
KEYS = ["k", "sound", "PMI_process_mapping", "universeSize", "", "a/b-1", "x" * 300]
TEXT = st.one_of(
    st.sampled_from([*KEYS, "v", "1", "0", "-1", "2", "WORLD:1", "NODE:2", "0,1:3", "1,2:1", KVS, "world_1", "TRUE"]),
    st.text(st.characters(max_codepoint=255), max_size=30),
    st.integers().map(str),
)
FIELD_NAMES = st.sampled_from(
    [
        "key",
        "value",
        "kvsname",
        "jobid",
        "pmi_version",
        "pmiid",
        "srcid",
        "pmirank",
        "group",
        "service",
        "port",
        "name",
        "exitcode",
        "message",
        "msg",
        "wait",
        "thrid",
        "ring-count",
        "ring-left",
        "ring-right",
        "subcmd",
        "argv0",
        "maxprocs",
        "infokey0",
        "infoval0",
        "totspawns",
        "spawnssofar",
        "nprocs",
        "arg1",
        "arg",
        "argcnt",
        "info_key_0",
    ]
)
PAIRS = st.lists(st.tuples(FIELD_NAMES, TEXT), max_size=5)
VERBS1 = [
    "init",
    "initack",
    "get_maxes",
    "get_appnum",
    "get_my_kvsname",
    "get_universe_size",
    "put",
    "get",
    "barrier_in",
]
VERBS1 += ["finalize", "publish_name", "unpublish_name", "lookup_name", "getbyidx", "abort", ""]
VERBS2 = ["fullinit", "job-getid", "info-getjobattr", "info-putnodeattr", "info-getnodeattr", "kvs-put", "kvs-get"]
VERBS2 += ["kvs-fence", "ring", "name-publish", "name-unpublish", "name-lookup", "spawn", "finalize", "abort", ""]


def line(verb: str, pairs: list[tuple[str, str]]) -> bytes:
    return (" ".join([f"cmd={verb}", *(f"{key}={value}" for key, value in pairs)]) + "\n").encode("latin-1")


def request(verb: str, pairs: list[tuple[str, str]], left: bool) -> bytes:
    payload = "".join(f"{key}={value};" for key, value in [("cmd", verb), *pairs])
    return b"%-6d" % len(payload) + payload.encode("latin-1") if left else frame(payload)


def block(pairs: list[tuple[str, str]]) -> bytes:
    return "\n".join(["mcmd=spawn", *(f"{key}={value}" for key, value in pairs), "endcmd\n"]).encode("latin-1")


INITS = st.sampled_from(
    [b"cmd=init pmi_version=1 pmi_subversion=1\n"] + [b"cmd=init pmi_version=2 pmi_subversion=0\n"] * 3
)
MESSAGES = st.one_of(
    INITS,
    st.builds(line, st.sampled_from(VERBS1), PAIRS),
    st.builds(request, st.sampled_from(VERBS2), PAIRS, st.booleans()),
    st.builds(block, PAIRS),
)
STREAMS = st.builds(lambda first, rest: first + b"".join(rest), INITS, st.lists(MESSAGES, max_size=25))


@st.composite
def mutated(draw: st.DrawFn) -> bytes:
    """A sensible stream with some bytes replaced, removed or doubled."""
    data = bytearray(draw(STREAMS))
    for _ in range(draw(st.integers(0, 4))):
        place = draw(st.integers(0, max(0, len(data) - 1)))
        data[place : place + draw(st.integers(0, 3))] = draw(st.binary(max_size=3))
    return bytes(data)


FUZZ = st.one_of(st.binary(max_size=400), STREAMS, mutated())
CUTS = st.lists(st.integers(1, 50), min_size=1, max_size=20)
FAST = settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])


def chunks(data: bytes, cuts: list[int]) -> list[bytes]:
    pieces, place, turn = [], 0, 0
    while place < len(data):
        size = cuts[turn % len(cuts)]
        pieces.append(data[place : place + size])
        place, turn = place + size, turn + 1
    return pieces


class World:
    """Two jobs; rank 0 of the first is left to the fuzzer, all others are sound."""

    def __init__(self) -> None:
        self.server = PmiServer()
        self.jobs = [
            PmiJob(kvsname=f"world_{number}", appnums=[0] * size, universe_size=3, node_of_rank=nodes)
            for number, (size, nodes) in enumerate([(3, [0, 0, 1]), (2, [0, 0])])
        ]
        for job in self.jobs:
            self.server.add_job(job)
        self.trusted = [self.server.connect(self.jobs[0], rank) for rank in (1, 2)]
        self.far = [self.server.connect(self.jobs[1], rank) for rank in (0, 1)]


def session(world: World, feed: list[bytes], fuzzed: Connection) -> list[tuple[str, bytes]]:
    """All that the sound ranks of both jobs say and hear while `feed` arrives from the fuzzed one."""
    heard: list[tuple[str, bytes]] = []
    sound = [("near1", world.trusted[0]), ("near2", world.trusted[1]), ("far0", world.far[0]), ("far1", world.far[1])]
    script = [
        ("near1", b"cmd=init pmi_version=1 pmi_subversion=1\ncmd=get_maxes\n"),
        ("near2", b"cmd=init pmi_version=2 pmi_subversion=0\n" + frame("cmd=fullinit;pmirank=2;")),
        ("far0", b"cmd=init pmi_version=1 pmi_subversion=1\ncmd=put key=sound-0 value=a b\n"),
        ("far1", b"cmd=init pmi_version=1 pmi_subversion=1\n"),
        ("near1", b"cmd=put key=sound-1 value=one\ncmd=get key=PMI_process_mapping\ncmd=get key=sound-2\n"),
        ("near2", frame("cmd=kvs-put;key=sound-2;value=two;") + frame("cmd=kvs-get;key=sound-1;")),
        ("far0", b"cmd=barrier_in\ncmd=barrier_in group=0,1:77\n"),
        ("near1", b"cmd=barrier_in group=1,2:77\n"),
        ("far1", b"cmd=barrier_in\ncmd=barrier_in group=0,1:77\ncmd=get key=sound-0\n"),
        (
            "near2",
            frame("cmd=info-putnodeattr;key=sound;value=n;") + frame("cmd=info-getnodeattr;key=sound;wait=TRUE;"),
        ),
        ("near1", b"cmd=get key=sound-2\ncmd=finalize\n"),
        ("near2", frame("cmd=finalize;")),
    ]
    connections = dict(sound)
    for turn, (name, data) in enumerate(script):
        for piece in feed[turn * len(feed) // len(script) : (turn + 1) * len(feed) // len(script)]:
            fuzzed.receive(piece)
        connections[name].receive(data)
        for other, connection in sound:
            if connection.out:
                heard.append((other, bytes(connection.out)))
                connection.out.clear()
    return heard


def state(world: World) -> list[tuple[object, ...]]:
    """All that is known of the sound ranks."""
    sound = [*world.jobs[0].ranks[1:], *world.jobs[1].ranks]
    return [
        (who.rank, who.initialized, who.finalized, who.pmi_version, who.aborted, who.open_groups, who.job.size)
        for who in sound
    ]


QUIET = World()
EXPECTED = session(QUIET, [], QUIET.server.connect(QUIET.jobs[0], 0))


def test_the_script_is_a_meaningful_one() -> None:
    assert [name for name, _ in EXPECTED].count("near1") >= 3
    assert any(b"value=two" in data for name, data in EXPECTED if name == "near1")
    assert any(b"barrier_out rc=0" in data for name, data in EXPECTED if name == "far0")
    assert not any(b"rc=-1" in data for name, data in EXPECTED if name.startswith("far"))


@FAST
@given(FUZZ, CUTS)
def test_a_rank_cannot_disturb_others(data: bytes, cuts: list[int]) -> None:
    world = World()
    fuzzed = world.server.connect(world.jobs[0], 0)
    assert session(world, chunks(data, cuts), fuzzed) == EXPECTED
    assert state(world) == state(QUIET)


@FAST
@given(FUZZ, CUTS)
def test_a_stranger_cannot_do_anything(data: bytes, cuts: list[int]) -> None:
    world = World()
    stranger = world.server.connect()
    assert session(world, chunks(data, cuts), stranger) == EXPECTED
    assert state(world) == state(QUIET)
    assert stranger.job is None
    assert not world.jobs[0].ranks[0].initialized


@FAST
@given(FUZZ, CUTS)
def test_a_lost_rank_leaves_nothing_parked(data: bytes, cuts: list[int]) -> None:
    world = World()
    fuzzed = world.server.connect(world.jobs[0], 0)
    for piece in chunks(data, cuts):
        fuzzed.receive(piece)
    fuzzed.lost()
    job = world.jobs[0]
    assert not job.fence.entries
    assert not job.ring.entries
    assert not job.groups
    assert job.ranks[0].open_groups == 0
    assert fuzzed not in world.server.dirty
    assert fuzzed.receive(b"cmd=get_maxes\n") == []


@FAST
@given(FUZZ, CUTS)
def test_chunks_do_not_matter(data: bytes, cuts: list[int]) -> None:
    results = []
    for pieces in ([data], chunks(data, cuts)):
        world = World()
        fuzzed = world.server.connect(world.jobs[0], 0)
        events: list[Event] = [event for piece in pieces for event in fuzzed.receive(piece)]
        results.append(([type(event) for event in events], bytes(fuzzed.out), fuzzed.closing))
    assert results[0] == results[1]


@FAST
@given(FUZZ)
def test_events_and_answers_are_sane(data: bytes) -> None:
    world = World()
    fuzzed = world.server.connect(world.jobs[0], 0)
    for event in fuzzed.receive(data):
        assert repr(event.as_dict().get("text", "")).isprintable()
        if isinstance(event, Aborted):
            assert event.code is None or 1 <= event.code <= 255
            event.message.encode("utf-8")
    assert len(fuzzed.out) <= OUT_MAX
    assert not fuzzed.out or fuzzed in world.server.dirty
