"""PMI-2 against the sequences MPICH and Slurm's libpmi2 were seen to send."""

from __future__ import annotations

import pytest

from lwkpm.pmi.board import WAITS_MAX
from lwkpm.pmi.events import (
    Aborted,
    Event,
    Finalized,
    Initialized,
    SpawnCommand,
    SpawnRequested,
    Violation,
)
from lwkpm.pmi.server import Connection, PmiJob, PmiServer
from lwkpm.pmi.wire import Splitter, frame

KVS = "lwkpm_1_0_abc"
INIT = b"cmd=init pmi_version=2 pmi_subversion=0\n"
INIT_ANSWER = "cmd=response_to_init pmi_version=2 pmi_subversion=0 rc=0"


def slurm(payload: str) -> bytes:
    """A frame the way libpmi2 sends it: length left-justified."""
    return b"%-6d" % len(payload) + payload.encode("latin-1")


def answers(connection: Connection) -> list[str]:
    splitter, texts = Splitter(), []
    splitter.feed(bytes(connection.out))
    connection.out.clear()
    while (message := splitter.take()) is not None:
        texts.append(message[1])
    return texts


def tell(connection: Connection, *payloads: str) -> list[Event]:
    return connection.receive(b"".join(frame(payload) for payload in payloads))


def ask(connection: Connection, *payloads: str) -> list[str]:
    tell(connection, *payloads)
    return answers(connection)


def world(size: int = 4, **options: object) -> tuple[PmiServer, PmiJob, list[Connection]]:
    """Ranks that have said init and fullinit as MPICH does."""
    server = PmiServer()
    settings: dict[str, object] = {"kvsname": KVS, "appnums": [0] * size, "universe_size": size, **options}
    job = PmiJob(**settings)  # type: ignore[arg-type]
    server.add_job(job)
    ranks = [server.connect(job, rank) for rank in range(size)]
    for rank, connection in enumerate(ranks):
        connection.receive(INIT + frame(f"cmd=fullinit;pmirank={rank};"))
        connection.out.clear()
    return server, job, ranks


def test_start_and_end() -> None:
    server = PmiServer()
    job = PmiJob(kvsname=KVS, appnums=[0, 3], universe_size=9)
    server.add_job(job)
    one = server.connect(job, 1)
    assert one.receive(INIT) == []
    assert answers(one) == [INIT_ANSWER]
    assert tell(one, "cmd=fullinit;pmirank=1;") == [Initialized(job=job, rank=1, version=2)]
    assert answers(one) == [
        "cmd=fullinit-response;rc=0;pmi-version=2;pmi-subversion=0;rank=1;size=2;appnum=3;debugged=FALSE;pmiverbose=FALSE;"
    ]
    assert ask(
        one,
        "cmd=job-getid;",
        "cmd=info-getjobattr;key=PMI_process_mapping;",
        "cmd=info-getjobattr;key=universeSize;",
        "cmd=info-getjobattr;key=PMI_dead_processes;",
    ) == [
        f"cmd=job-getid-response;jobid={KVS};rc=0;",
        "cmd=info-getjobattr-response;found=TRUE;value=(vector,(0,1,2));rc=0;",
        "cmd=info-getjobattr-response;found=TRUE;value=9;rc=0;",
        "cmd=info-getjobattr-response;found=FALSE;rc=0;",
    ]
    assert tell(one, "cmd=finalize;") == [Finalized(job=job, rank=1)]
    assert answers(one) == ["cmd=finalize-response;rc=0;"]
    assert job.ranks[1].pmi_version == 2
    assert job.ranks[1].finalized


@pytest.mark.parametrize("key", ["srcid", "pmirank"])
def test_port_form_says_who_it_is_in_fullinit(key: str) -> None:
    server, job, _ = world(3)
    fresh = PmiJob(kvsname="fresh", appnums=[0] * 3, universe_size=3)
    server.add_job(fresh)
    connection = server.connect()
    connection.receive(INIT)
    assert answers(connection) == [INIT_ANSWER]
    token = server.token(fresh, 2)
    assert tell(connection, f"cmd=fullinit;{key}={token};") == [Initialized(job=fresh, rank=2, version=2)]
    assert ";rank=2;size=3;" in answers(connection)[0]
    assert connection.slurm is (key == "srcid")
    assert job is not connection.job


@pytest.mark.parametrize("payload", ["cmd=fullinit;srcid=5;", "cmd=fullinit;", "cmd=kvs-fence;", "cmd=abort;", ""])
def test_strangers_are_shown_the_door(payload: str) -> None:
    server, job, ranks = world(2)
    stranger = server.connect()
    stranger.receive(INIT)
    stranger.out.clear()
    events = tell(stranger, payload)
    assert [type(event) for event in events] == [Violation]
    assert stranger.closing
    assert not stranger.out
    assert ask(ranks[0], "cmd=job-getid;") == [f"cmd=job-getid-response;jobid={KVS};rc=0;"]
    assert not job.fence.entries


def test_frame_before_init_ends_the_connection() -> None:
    server, job, _ = world(1)
    early = server.connect(job, 0)
    assert [type(event) for event in tell(early, "cmd=kvs-fence;")] == [Violation]
    assert early.closing
    assert not job.fence.entries


def test_keys_and_fence() -> None:
    _, _, (one, two) = world(2)
    assert ask(one, "cmd=kvs-put;key=-k/1;value=a=b c;") == ["cmd=kvs-put-response;rc=0;"]
    assert ask(one, "cmd=kvs-fence;") == []
    tell(two, "cmd=kvs-fence;")
    assert answers(one) == answers(two) == ["cmd=kvs-fence-response;rc=0;"]
    assert ask(
        two,
        f"cmd=kvs-get;jobid={KVS};srcid=-1;key=-k/1;",
        "cmd=kvs-get;jobid=;key=-k/1;",
        f"cmd=kvs-get;jobid={KVS};key=-NONEXIST-KEY;",
        "cmd=kvs-get;jobid=other;key=-k/1;",
    ) == [
        "cmd=kvs-get-response;found=TRUE;value=a=b c;rc=0;",
        "cmd=kvs-get-response;found=TRUE;value=a=b c;rc=0;",
        "cmd=kvs-get-response;found=FALSE;rc=0;",
        "cmd=kvs-get-response;found=FALSE;rc=0;",
    ]


def test_one_fence_for_both_protocols() -> None:
    server, job, (one, _) = world(2)
    other = server.connect(job, 1)
    other.receive(b"cmd=init pmi_version=1 pmi_subversion=1\ncmd=put key=k value=v\ncmd=barrier_in\n")
    other.out.clear()
    assert ask(one, "cmd=kvs-fence;", "cmd=kvs-get;key=k;") == [
        "cmd=kvs-fence-response;rc=0;",
        "cmd=kvs-get-response;found=TRUE;value=v;rc=0;",
    ]
    assert bytes(other.out) == b"cmd=barrier_out rc=0\n"


def test_second_fence_entry_does_not_count() -> None:
    _, _, (one, two) = world(2)
    events = tell(one, "cmd=kvs-fence;", "cmd=kvs-fence;thrid=7;")
    assert [type(event) for event in events] == [Violation]
    assert answers(one) == ["cmd=kvs-fence-response;thrid=7;rc=-1;errmsg=already in fence;"]
    tell(two, "cmd=kvs-fence;")
    assert answers(one) == answers(two) == ["cmd=kvs-fence-response;rc=0;"]


@pytest.mark.parametrize(
    ("payload", "errmsg"),
    [
        ("cmd=kvs-put;key=k;", "no_value"),
        ("cmd=kvs-put;value=v;", "no_value"),
        ("cmd=kvs-put;key=;value=v;", "bad_key"),
        ("cmd=kvs-put;key=k;value=" + "v" * 4097 + ";", "value_too_long"),
        ("cmd=kvs-put;key=universeSize;value=1;", "reserved_key"),
    ],
)
def test_put_refusals(payload: str, errmsg: str) -> None:
    _, _, (one,) = world(1)
    assert ask(one, payload) == [f"cmd=kvs-put-response;rc=-1;errmsg={errmsg};"]


def test_every_answer_echoes_the_thread() -> None:
    _, _, (one,) = world(1)
    requests = ["job-getid", "info-getjobattr", "kvs-put", "kvs-get", "kvs-fence", "ring", "name-lookup", "spawn", "x"]
    for text in ask(one, *(f"cmd={verb};thrid=0x7f;key=k;value=v;" for verb in requests)):
        assert "-response;thrid=0x7f;" in text
        assert ";rc=" in text


def test_slurm_escapes_semicolons() -> None:
    server, job, (_, two) = world(2)
    one = server.connect(job, 0)
    one.receive(INIT + slurm("cmd=fullinit;pmijobid=J;pmirank=0;threaded=FALSE;"))
    one.out.clear()
    one.receive(slurm("cmd=kvs-put;key=k;value=a;;b;;;;c=d;") + slurm("cmd=kvs-put;key=e;value=x;;;"))
    assert answers(one) == ["cmd=kvs-put-response;rc=0;"] * 2
    assert job.find("k", 2) == "a;b;;c=d"
    assert job.find("e", 2) == "x;"
    one.receive(slurm("cmd=kvs-get;key=k;"))
    assert answers(one) == ["cmd=kvs-get-response;found=TRUE;value=a;;b;;;;c=d;rc=0;"]
    assert ask(two, "cmd=kvs-get;key=k;") == ["cmd=kvs-get-response;found=FALSE;rc=0;"]


def test_node_attributes_wait_per_node() -> None:
    _, _, ranks = world(4, node_of_rank=[0, 0, 1, 1])
    want = "cmd=info-getnodeattr;key=shm;wait=TRUE;"
    assert ask(ranks[0], "cmd=info-getnodeattr;key=shm;wait=FALSE;") == [
        "cmd=info-getnodeattr-response;found=FALSE;rc=0;"
    ]
    assert [ask(rank, want) for rank in (ranks[0], ranks[2])] == [[], []]
    assert ask(ranks[1], "cmd=info-putnodeattr;key=shm;value=/dev/shm/x;") == ["cmd=info-putnodeattr-response;rc=0;"]
    told = "cmd=info-getnodeattr-response;found=TRUE;value=/dev/shm/x;rc=0;"
    assert answers(ranks[0]) == [told]
    assert answers(ranks[2]) == []
    assert ask(ranks[1], want) == [told]


def test_own_wait_is_answered_after_the_put() -> None:
    _, _, (one,) = world(1)
    assert ask(one, "cmd=info-getnodeattr;thrid=1;key=k;wait=TRUE;", "cmd=info-putnodeattr;thrid=2;key=k;value=v;") == [
        "cmd=info-putnodeattr-response;thrid=2;rc=0;",
        "cmd=info-getnodeattr-response;thrid=1;found=TRUE;value=v;rc=0;",
    ]


def test_waits_are_bounded_and_dropped() -> None:
    _, job, (one, two) = world(2)
    want = "cmd=info-getnodeattr;key=k;wait=TRUE;"
    assert ask(one, *[want] * (WAITS_MAX + 1)) == ["cmd=info-getnodeattr-response;rc=-1;errmsg=too_many_waits;"]
    one.lost()
    tell(two, "cmd=info-putnodeattr;key=k;value=v;")
    assert not one.out
    assert job.boards[0].space.get("k") == "v"


def test_ring() -> None:
    _, _, ranks = world(3)
    for rank in (2, 0, 1):
        tell(ranks[rank], f"cmd=ring;ring-count=1;ring-left=l{rank};ring-right=r{rank};")
    assert [answers(rank) for rank in ranks] == [
        ["cmd=ring-response;rc=0;ring-count=0;ring-left=r2;ring-right=l1;"],
        ["cmd=ring-response;rc=0;ring-count=1;ring-left=r0;ring-right=l2;"],
        ["cmd=ring-response;rc=0;ring-count=2;ring-left=r1;ring-right=l0;"],
    ]
    assert [type(event) for event in tell(ranks[0], "cmd=ring;", "cmd=ring;", "cmd=ring;ring-count=x;")] == [Violation]
    assert answers(ranks[0]) == [
        "cmd=ring-response;rc=-1;errmsg=already in ring;",
        "cmd=ring-response;rc=-1;errmsg=bad ring;",
    ]


def test_names_across_protocols() -> None:
    server, job, (one, two) = world(2)
    old = server.connect(job, 1)
    assert ask(
        one, "cmd=name-publish;name=svc one;port=tag#0$port#1;infokeycount=0;", "cmd=name-lookup;name=svc one;"
    ) == [
        "cmd=name-publish-response;rc=0;",
        "cmd=name-lookup-response;found=TRUE;value=tag#0$port#1;port=tag#0$port#1;rc=0;",
    ]
    old.receive(b"cmd=lookup_name service=svc one\n")
    assert bytes(old.out) == b"cmd=lookup_result port=tag#0$port#1 info=ok rc=0\n"
    assert ask(two, "cmd=name-unpublish;name=svc one;")[0].startswith("cmd=name-unpublish-response;rc=-1;")
    assert ask(one, "cmd=name-unpublish;name=svc one;") == ["cmd=name-unpublish-response;rc=0;"]
    assert ask(one, "cmd=name-lookup;name=svc one;") == ["cmd=name-lookup-response;found=FALSE;rc=-1;errmsg=not found;"]


def test_what_a_line_cannot_carry_stays_hidden_from_pmi1() -> None:
    server, job, (one,) = world(1)
    old = server.connect(job, 0)
    tell(one, "cmd=kvs-put;key=k;value=a\ncmd=abort exitcode=3;", "cmd=name-publish;name=s;port=a\nb;")
    old.receive(b"cmd=get key=k\ncmd=lookup_name service=s\n")
    assert bytes(old.out) == (
        b"cmd=get_result rc=-1 msg=key_k_not_found value=unknown\ncmd=lookup_result rc=-1 info=not_found\n"
    )


def test_long_values_of_others_stay_hidden() -> None:
    server, job, (one, _) = world(2)
    old = server.connect(job, 1)
    old.receive(b"cmd=put key=long value=" + b"v" * 1025 + b"\n")
    assert ask(one, "cmd=kvs-get;key=long;") == ["cmd=kvs-get-response;found=FALSE;rc=0;"]


@pytest.mark.parametrize(
    ("payload", "message"),
    [
        ("cmd=abort;isworld=TRUE;msg=application called MPI_Abort;", "application called MPI_Abort"),
        ("cmd=abort;exitcode=-1;message=abort;", "abort"),
        ("cmd=abort;", ""),
    ],
)
def test_abort_has_no_code(payload: str, message: str) -> None:
    _, job, (one, two) = world(2)
    tell(two, "cmd=kvs-fence;")
    assert tell(one, payload, "cmd=kvs-fence;") == [Aborted(job=job, rank=0, code=None, message=message)]
    assert answers(one) == answers(two) == []


def test_spawn_is_answered_when_the_agent_says_so() -> None:
    _, job, (one,) = world(1)
    request = (
        "cmd=spawn;thrid=7;ncmds=2;preputcount=1;ppkey0=k;ppval0=v;subcmd=A;maxprocs=2;argc=2;argv0=x;argv1=y z;"
        "infokeycount=1;infokey0=wdir;infoval0=/tmp;subcmd=B;maxprocs=1;argc=0;infokeycount=0;"
    )
    (event,) = tell(one, request)
    assert isinstance(event, SpawnRequested)
    first = SpawnCommand(program="A", arguments=("x", "y z"), processes=2, info=(("wdir", "/tmp"),))
    assert (event.job, event.rank, event.preput) == (job, 0, (("k", "v"),))
    assert event.commands == (first, SpawnCommand(program="B", processes=1))
    assert answers(one) == []
    event.answer("child", "")
    assert answers(one) == ["cmd=spawn-response;thrid=7;rc=0;jobid=child;nerrs=0;"]
    event.answer("", "no_such_program")
    assert answers(one) == ["cmd=spawn-response;thrid=7;rc=-1;errmsg=no_such_program;"]


def test_spawned_jobs_know_their_parent() -> None:
    server = PmiServer()
    job = PmiJob(
        kvsname="child",
        appnums=[0],
        universe_size=1,
        preput={"PARENT_ROOT_PORT_NAME": "tag#0"},
        spawned=True,
        parent_kvsname=KVS,
    )
    server.add_job(job)
    one = server.connect(job, 0)
    one.receive(INIT)
    one.out.clear()
    assert f";appnum=0;spawner-jobid={KVS};debugged=" in ask(one, "cmd=fullinit;pmirank=0;")[0]
    assert ask(one, "cmd=kvs-get;jobid=child;srcid=-1;key=PARENT_ROOT_PORT_NAME;") == [
        "cmd=kvs-get-response;found=TRUE;value=tag#0;rc=0;"
    ]


@pytest.mark.parametrize("payload", ["cmd=job-dance;", "cmd=x y;", "", ";;;", "key=k", "cmd=" + "x" * 60000 + ";"])
def test_unknown_commands_get_an_error_answer(payload: str) -> None:
    _, _, (one,) = world(1)
    (text,) = ask(one, payload)
    assert text.endswith("-response;rc=-1;errmsg=unknown;")
    assert not one.closing


def test_init_may_come_again() -> None:
    _, job, (one,) = world(1)
    tell(one, "cmd=finalize;")
    one.out.clear()
    assert one.receive(INIT + frame("cmd=fullinit;pmirank=0;")) == [Initialized(job=job, rank=0, version=2)]
    assert answers(one)[0] == INIT_ANSWER
