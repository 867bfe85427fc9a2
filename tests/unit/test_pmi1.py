"""PMI-1 against the sequences real libraries were seen to send."""

from __future__ import annotations

import pytest

from lwkpm.pmi.events import (
    Aborted,
    Event,
    Finalized,
    Initialized,
    SpawnCommand,
    SpawnRequested,
    Violation,
    exit_code,
)
from lwkpm.pmi.kvs import NAMES_PER_OWNER, RANK_BYTES_MAX
from lwkpm.pmi.server import OUT_MAX, Connection, PmiJob, PmiServer

KVS = "lwkpm_1_0_abc"
INIT = "cmd=init pmi_version=1 pmi_subversion=1"


def world(size: int = 4, **options: object) -> tuple[PmiServer, PmiJob, list[Connection]]:
    server = PmiServer()
    settings: dict[str, object] = {"kvsname": KVS, "appnums": [0] * size, "universe_size": size, **options}
    job = PmiJob(**settings)  # type: ignore[arg-type]
    server.add_job(job)
    return server, job, [server.connect(job, rank) for rank in range(size)]


def tell(connection: Connection, *lines: str) -> list[Event]:
    return connection.receive("".join(line + "\n" for line in lines).encode("utf-8"))


def answers(connection: Connection) -> list[str]:
    text = connection.out.decode("utf-8")
    connection.out.clear()
    assert not text or text.endswith("\n")
    return text.split("\n")[:-1]


def ask(connection: Connection, *lines: str) -> list[str]:
    tell(connection, *lines)
    return answers(connection)


def test_mpich_5_start_and_end() -> None:
    server, job, ranks = world(appnums=[0, 0, 1, 1], universe_size=8)
    assert tell(ranks[2], INIT) == [Initialized(job=job, rank=2, version=1)]
    assert ask(ranks[2], "cmd=get_maxes", "cmd=get_appnum", "cmd=get_my_kvsname", "cmd=get_universe_size") == [
        "cmd=response_to_init pmi_version=1 pmi_subversion=1 rc=0",
        "cmd=maxes kvsname_max=256 keylen_max=64 vallen_max=4096 rc=0",
        "cmd=appnum appnum=1 rc=0",
        f"cmd=my_kvsname kvsname={KVS} rc=0",
        "cmd=universe_size size=8 rc=0",
    ]
    assert ask(
        ranks[2],
        f"cmd=get kvsname={KVS} key=PMI_process_mapping",
        f"cmd=get kvsname={KVS} key=PMI_hwloc_xmlfile",
        f"cmd=get kvsname={KVS} key=PMI_mpi_memory_alloc_kinds",
    ) == [
        "cmd=get_result rc=0 value=(vector,(0,1,4))",
        "cmd=get_result rc=-1 msg=key_PMI_hwloc_xmlfile_not_found value=unknown",
        "cmd=get_result rc=-1 msg=key_PMI_mpi_memory_alloc_kinds_not_found value=unknown",
    ]
    assert server.dirty == {ranks[2]}
    for rank in ranks:
        tell(rank, "cmd=barrier_in")
    assert [answers(rank) for rank in ranks] == [["cmd=barrier_out rc=0"]] * 4
    assert tell(ranks[2], "cmd=finalize") == [Finalized(job=job, rank=2)]
    assert answers(ranks[2]) == ["cmd=finalize_ack rc=0"]
    state = job.ranks[2]
    assert (state.initialized, state.finalized, state.pmi_version, state.aborted) == (True, True, 1, False)
    assert not job.ranks[1].initialized


def test_port_form() -> None:
    server, job, _ = world(3)
    token = server.token(job, 2)
    assert 0 < token < 1 << 31
    assert server.token(job, 2) == token
    assert len({server.token(job, rank) for rank in range(3)}) == 3
    connection = server.connect()
    assert (connection.job, connection.rank) == (None, None)
    assert ask(connection, f"cmd=initack pmiid={token}") == [
        "cmd=initack rc=0",
        "cmd=set size=3",
        "cmd=set rank=2",
        "cmd=set debug=0",
    ]
    assert (connection.job, connection.rank) == (job, 2)
    assert tell(connection, INIT) == [Initialized(job=job, rank=2, version=1)]


@pytest.mark.parametrize(
    "line",
    [
        "cmd=initack pmiid=0",
        "cmd=initack",
        "cmd=initack pmiid=x",
        "cmd=initack pmiid=-1",
        INIT,
        "cmd=barrier_in",
        "cmd=abort exitcode=1",
        "cmd=get_maxes",
        "nonsense",
        "cmd=nonsense",
    ],
)
def test_strangers_are_shown_the_door(line: str) -> None:
    server, job, ranks = world(2)
    stranger = server.connect()
    events = tell(stranger, line, "cmd=abort exitcode=1")
    assert [(type(event), event.job) for event in events if isinstance(event, Violation)] == [(Violation, None)]
    assert len(events) == 1
    assert stranger.closing
    assert stranger in server.dirty
    assert not stranger.out
    assert not any(state.aborted or state.initialized for state in job.ranks)
    assert ask(ranks[0], INIT) == ["cmd=response_to_init pmi_version=1 pmi_subversion=1 rc=0"]


def test_second_init_is_accepted() -> None:
    _, job, (one,) = world(1)
    assert len(tell(one, INIT, INIT)) == 1
    tell(one, "cmd=finalize")
    assert tell(one, INIT) == [Initialized(job=job, rank=0, version=1)]
    assert job.ranks[0].finalized is False


def test_unknown_versions_are_refused() -> None:
    _, _, (one,) = world(1)
    assert (
        ask(one, "cmd=init pmi_version=3 pmi_subversion=0", "cmd=init")
        == ["cmd=response_to_init pmi_version=1 pmi_subversion=1 rc=-1"] * 2
    )


def test_keys_cross_ranks() -> None:
    _, _, (one, two) = world(2)
    value = "a=b;c  d%\u00e9"
    assert ask(one, f"cmd=put kvsname={KVS} key=-bcast-1/0 value={value} ") == ["cmd=put_result rc=0"]
    assert ask(two, f"cmd=get key=-bcast-1/0 kvsname={KVS}") == [f"cmd=get_result rc=0 value={value}"]


def test_put_accepts_any_order_and_extra_keys() -> None:
    _, _, (one,) = world(1)
    assert ask(one, f"cmd=put value=v key=k x=y kvsname={KVS}", "cmd=put key=e value=") == ["cmd=put_result rc=0"] * 2
    assert ask(one, "cmd=get key=k", "cmd=get key=e") == ["cmd=get_result rc=0 value=v", "cmd=get_result rc=0 value="]


@pytest.mark.parametrize(
    ("rest", "word"),
    [
        ("key=k", "no_value"),
        ("value=v", "bad_key"),
        ("key= value=v", "bad_key"),
        ("key=" + "k" * 257 + " value=v", "bad_key"),
        ("key=k value=" + "v" * 4097, "value_too_long"),
        ("key=PMI_process_mapping value=v", "reserved_key"),
        ("kvsname=other key=k value=v", "unknown_kvsname"),
        ("key=taken value=v", "duplicate_key"),
    ],
)
def test_put_refusals(rest: str, word: str) -> None:
    _, _, (one, two) = world(2)
    tell(two, "cmd=put key=taken value=mine")
    assert ask(one, f"cmd=put {rest}") == [f"cmd=put_result rc=-1 msg={word}"]
    assert ask(one, "cmd=get key=taken") == ["cmd=get_result rc=0 value=mine"]


def test_a_rank_may_overwrite_its_own_key() -> None:
    _, _, (one,) = world(1)
    assert ask(one, "cmd=put key=k value=1", "cmd=put key=k value=2", "cmd=get key=k")[-1].endswith("value=2")


def test_put_space_is_bounded_per_rank() -> None:
    _, _, (one, two) = world(2, vallen_max=60000)
    value = "v" * 60000
    words = [ask(one, f"cmd=put key=k{n} value={value}")[0] for n in range(RANK_BYTES_MAX // 60000 + 1)]
    assert words[0] == "cmd=put_result rc=0"
    assert words[-1] == "cmd=put_result rc=-1 msg=space_exhausted"
    assert ask(two, "cmd=put key=mine value=v") == ["cmd=put_result rc=0"]


def test_nobody_gets_a_longer_value_than_this_version_puts() -> None:
    _, _, (one,) = world(1, preput={"long": "v" * 1025, "short": "v"}, vallen_max=4096)
    assert ask(one, "cmd=get key=long", "cmd=get key=short") == [
        "cmd=get_result rc=-1 msg=key_long_not_found value=unknown",
        "cmd=get_result rc=0 value=v",
    ]
    tell(one, "cmd=put key=k value=" + "v" * 2000)
    assert ask(one, "cmd=get key=k", "cmd=get key=long")[-1] == ("cmd=get_result rc=0 value=" + "v" * 1025)


def test_barrier_answers_come_together_and_only_then() -> None:
    _, _, ranks = world(3)
    tell(ranks[0], "cmd=barrier_in tag=0")
    tell(ranks[2], "cmd=barrier_in")
    assert [answers(rank) for rank in ranks] == [[], [], []]
    events = tell(ranks[1], "cmd=barrier_in")
    assert events == []
    assert [answers(rank) for rank in ranks] == [["cmd=barrier_out rc=0"]] * 3


def test_second_entry_does_not_count() -> None:
    _, job, ranks = world(2)
    tell(ranks[0], "cmd=barrier_in")
    events = tell(ranks[0], "cmd=barrier_in")
    assert [type(event) for event in events] == [Violation]
    assert answers(ranks[0]) == ["cmd=barrier_out rc=-1 msg=already_in_barrier"]
    assert answers(ranks[1]) == []
    tell(ranks[1], "cmd=barrier_in")
    assert [answers(rank) for rank in ranks] == [["cmd=barrier_out rc=0"]] * 2
    assert not ranks[0].closing
    assert not job.fence.entries


def test_group_barriers() -> None:
    _, job, ranks = world(4, node_of_rank=[0, 0, 1, 1])
    for rank in (0, 1, 2, 3):
        tell(ranks[rank], "cmd=barrier_in group=WORLD:5")
    assert [answers(rank) for rank in ranks] == [["cmd=barrier_out tag=5 rc=0"]] * 4
    tell(ranks[2], "cmd=barrier_in group=NODE:1", "cmd=barrier_in group=0,2:2", "cmd=barrier_in group=0,2:3")
    assert answers(ranks[2]) == []
    assert len(job.groups) == 3
    tell(ranks[0], "cmd=barrier_in group=2,0:3")
    assert answers(ranks[0]) == answers(ranks[2]) == ["cmd=barrier_out tag=3 rc=0"]
    tell(ranks[3], "cmd=barrier_in group=NODE:1")
    assert answers(ranks[3]) == answers(ranks[2]) == ["cmd=barrier_out tag=1 rc=0"]
    assert ask(ranks[1], "cmd=barrier_in group=1:9") == ["cmd=barrier_out tag=9 rc=0"]
    assert len(job.groups) == 1


@pytest.mark.parametrize("group", ["0,2:1", "9,1:1", "-1,1:1", "1,x:1", ":1", "WORLD", "WORLD:x", "1,,2:1", ""])
def test_bad_groups(group: str) -> None:
    _, job, ranks = world(3)
    (answer,) = ask(ranks[1], f"cmd=barrier_in group={group}")
    assert answer.startswith("cmd=barrier_out")
    assert answer.endswith("rc=-1 msg=bad_group")
    assert not job.groups
    assert not job.fence.entries


def test_open_groups_are_bounded_and_unique() -> None:
    _, job, ranks = world(2)
    replies = [ask(ranks[0], f"cmd=barrier_in group=0,1:{tag}") for tag in range(65)]
    assert replies[:64] == [[]] * 64
    assert replies[64] == ["cmd=barrier_out tag=64 rc=-1 msg=too_many_barriers"]
    assert ask(ranks[0], "cmd=barrier_in group=0,1:0") == ["cmd=barrier_out tag=0 rc=-1 msg=already_in_barrier"]
    ranks[0].lost()
    assert not job.groups
    assert job.ranks[0].open_groups == 0


def test_lost_connection_leaves_the_fence() -> None:
    server, job, ranks = world(2)
    tell(ranks[0], "cmd=barrier_in")
    assert ranks[0].lost() == []
    tell(ranks[1], "cmd=barrier_in")
    assert answers(ranks[1]) == []
    assert ranks[0] not in server.dirty
    tell(server.connect(job, 0), "cmd=barrier_in")
    assert answers(ranks[1]) == ["cmd=barrier_out rc=0"]


@pytest.mark.parametrize(
    ("sent", "code", "message"),
    [
        ("cmd=abort exitcode=7", 7, ""),
        ("cmd=abort exitcode=1008354191", 1008354191 & 0xFF, ""),
        (
            "cmd=abort exitcode=7 message=application called MPI_Abort(MPI_COMM_WORLD, 7) - process 1",
            7,
            "application called MPI_Abort(MPI_COMM_WORLD, 7) - process 1",
        ),
        ("cmd=abort exitcode=15 message=Fatal error in\nother lines: cmd=x\n\x00\x01", 15, "Fatal error in"),
        ("cmd=abort exitcode=256", 1, ""),
        ("cmd=abort", 1, ""),
        ("cmd=abort exitcode=seven", 1, ""),
        ("cmd=abort exitcode=7 message=abort\ncmd=barrier_in", 7, "abort"),
        ("cmd=abort message=exitcode=3", 1, "exitcode=3"),
        ("cmd=abort exitcode=7 message=\u00e9t\u00e9", 7, "\u00e9t\u00e9"),
    ],
)
def test_abort(sent: str, code: int, message: str) -> None:
    _, job, ranks = world(2)
    tell(ranks[0], "cmd=barrier_in")
    assert tell(ranks[1], sent) == [Aborted(job=job, rank=1, code=code, message=message)]
    assert tell(ranks[1], "cmd=barrier_in") == []
    assert answers(ranks[0]) == []
    assert answers(ranks[1]) == []
    assert not ranks[1].closing
    assert job.ranks[1].aborted
    assert not job.ranks[0].aborted


def test_abort_takes_the_rank_out_of_a_fence() -> None:
    server, job, ranks = world(2)
    tell(ranks[1], "cmd=barrier_in")
    tell(server.connect(job, 1), "cmd=abort exitcode=2")
    tell(ranks[0], "cmd=barrier_in")
    assert answers(ranks[0]) == []
    assert answers(ranks[1]) == []


@pytest.mark.parametrize(
    ("text", "code"), [("7", 7), ("0", 1), ("-1", 255), ("256", 1), ("", 1), ("7x", 1), ("9" * 5000, 1)]
)
def test_exit_code(text: str, code: int) -> None:
    assert exit_code(text) == code


def test_names_are_shared_by_the_run() -> None:
    server, _, (one, two) = world(2)
    other = PmiJob(kvsname="second", appnums=[0], universe_size=1)
    server.add_job(other)
    stranger = server.connect(other, 0)
    port = "tag#0$description#host$port#5$"
    assert ask(one, f"cmd=publish_name service=svc one port={port}") == ["cmd=publish_result rc=0 info=ok"]
    assert ask(stranger, "cmd=lookup_name service=svc one") == [f"cmd=lookup_result port={port} info=ok rc=0"]
    assert ask(two, f"cmd=publish_name service=svc one port={port}") == [
        "cmd=publish_result rc=-1 info=already_published"
    ]
    assert ask(two, "cmd=unpublish_name service=svc one") == ["cmd=unpublish_result rc=-1 info=not_published"]
    assert ask(one, "cmd=unpublish_name service=svc one") == ["cmd=unpublish_result rc=0 info=ok"]
    assert ask(one, "cmd=lookup_name service=svc one") == ["cmd=lookup_result rc=-1 info=not_found"]


@pytest.mark.parametrize("rest", ["service=a", "service= port=p", "", "port=p", "service=a port=" + "p" * 1025])
def test_bad_publish(rest: str) -> None:
    _, _, (one,) = world(1)
    assert ask(one, f"cmd=publish_name {rest}")[0].startswith("cmd=publish_result rc=-1 info=")


def test_names_are_bounded() -> None:
    _, _, (one,) = world(1)
    replies = [ask(one, f"cmd=publish_name service=s{n} port=p")[0] for n in range(NAMES_PER_OWNER + 1)]
    assert replies[-2:] == ["cmd=publish_result rc=0 info=ok", "cmd=publish_result rc=-1 info=too_many_names"]


def test_parents_keys_are_readable() -> None:
    server, _, (parent,) = world(1)
    child_job = PmiJob(kvsname="child", appnums=[0], universe_size=1, preput={"PARENT_ROOT_PORT_NAME": "tag#0"})
    server.add_job(child_job)
    child = server.connect(child_job, 0)
    tell(parent, "cmd=put key=k value=v")
    assert ask(child, f"cmd=get kvsname={KVS} key=k", "cmd=get kvsname=child key=PARENT_ROOT_PORT_NAME") == [
        "cmd=get_result rc=0 value=v",
        "cmd=get_result rc=0 value=tag#0",
    ]
    assert ask(child, "cmd=get kvsname=nowhere key=k")[0].startswith("cmd=get_result rc=-1")


def test_the_space_can_be_gone_through() -> None:
    _, _, (one, two) = world(2)
    ask(one, f"cmd=put kvsname={KVS} key=a value=1 2")
    ask(two, f"cmd=put kvsname={KVS} key=b value=x=y")
    assert ask(two, f"cmd=getbyidx kvsname={KVS} idx=0") == ["cmd=getbyidx_results rc=0 nextidx=1 key=a val=1 2"]
    assert ask(two, f"cmd=getbyidx kvsname={KVS} idx=1") == ["cmd=getbyidx_results rc=0 nextidx=2 key=b val=x=y"]
    for end in ("idx=2", "idx=-1", "idx=x", "kvsname=nowhere idx=0"):
        assert ask(one, f"cmd=getbyidx {end}") == ["cmd=getbyidx_results rc=-1 reason=no_more_keyvals"]


SPAWN = """mcmd=spawn
nprocs=2
execname=/bin/prog ram
totspawns=2
spawnssofar=1
arg1=a=b;c
arg2=two words
argcnt=2
preput_num=1
preput_key_0=PARENT_ROOT_PORT_NAME
preput_val_0=tag#0$port#1
info_num=1
info_key_0=wdir
info_val_0=/tmp/x y
endcmd
mcmd=spawn
nprocs=1
execname=B
totspawns=2
spawnssofar=2
argcnt=0
info_num=0
endcmd"""


def test_spawn_is_one_request_and_answered_when_the_agent_says_so() -> None:
    _, job, (one,) = world(1)
    (event,) = tell(one, SPAWN)
    assert isinstance(event, SpawnRequested)
    first = SpawnCommand(
        program="/bin/prog ram", arguments=("a=b;c", "two words"), processes=2, info=(("wdir", "/tmp/x y"),)
    )
    assert (event.job, event.rank) == (job, 0)
    assert event.commands == (first, SpawnCommand(program="B", processes=1))
    assert event.preput == (("PARENT_ROOT_PORT_NAME", "tag#0$port#1"),)
    assert answers(one) == []
    event.answer("child", "")
    assert answers(one) == ["cmd=spawn_result rc=0 errcodes=0,0,0"]
    assert len(tell(one, SPAWN)) == 1


def test_spawn_that_fails_gets_one_word() -> None:
    _, _, (one,) = world(1)
    (event,) = tell(one, SPAWN)
    assert isinstance(event, SpawnRequested)
    event.answer("", "no_such_program")
    assert answers(one) == ["cmd=spawn_result rc=-1 msg=no_such_program"]


@pytest.mark.parametrize("verb", ["create_kvs", "destroy_kvs", "get_ranks2hosts", "singinit", "mput", ""])
def test_unknown_verbs_get_an_error_answer(verb: str) -> None:
    _, _, (one,) = world(1)
    assert ask(one, f"cmd={verb} a=b") == [f"cmd={verb}_result rc=-1 msg=unknown"]


@pytest.mark.parametrize("data", [b"garbage\n", b"cxx\n", b"mxx\nendcmd\n", b"    10cmd=init;x"])
def test_lost_framing_ends_only_this_connection(data: bytes) -> None:
    _, job, ranks = world(2)
    events = ranks[0].receive(data)
    assert [type(event) for event in events] == [Violation]
    assert ranks[0].closing
    assert ranks[0].receive(b"cmd=abort exitcode=1\n") == []
    assert ask(ranks[1], INIT)
    assert not ranks[1].closing
    assert not job.ranks[0].aborted


def test_a_client_that_never_reads_is_cut_off() -> None:
    _, _, (one,) = world(1, vallen_max=60000)
    tell(one, "cmd=put key=k value=" + "v" * 60000)
    request = "cmd=get key=k\n" * (OUT_MAX // 60000 + 2)
    events = one.receive(request.encode())
    assert [type(event) for event in events] == [Violation]
    assert one.closing
    assert not one.out


def test_trace_sees_both_directions() -> None:
    server, _, (one,) = world(1)
    seen: list[tuple[str, bytes]] = []
    server.trace = lambda _, way, data: seen.append((way, data))
    tell(one, "cmd=finalize")
    assert seen == [("<", b"cmd=finalize"), (">", b"cmd=finalize_ack rc=0\n")]


@pytest.mark.parametrize(
    "options",
    [
        {"kvsname": "a b"},
        {"kvsname": ""},
        {"kvsname": "a;b"},
        {"kvsname": "é"},
        {"vallen_max": 0},
        {"vallen_max": 65536},
        {"node_of_rank": [0]},
    ],
)
def test_jobs_are_checked(options: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=r"kvsname|vallen_max|nodes of ranks"):
        world(2, **options)


def test_kvsnames_and_identities_are_checked() -> None:
    server, job, _ = world(1)
    with pytest.raises(ValueError, match="taken"):
        server.add_job(PmiJob(kvsname=KVS, appnums=[0], universe_size=1))
    with pytest.raises(ValueError, match="both"):
        server.connect(job)
