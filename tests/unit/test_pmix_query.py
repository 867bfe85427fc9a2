"""Queries without a library: every key, every qualifier, and anything at all."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

pytest.importorskip("_cffi_backend", reason="cffi is missing")

from lwkpm.pmi.pmix import constants as c
from lwkpm.pmi.pmix import query
from lwkpm.pmi.pmix.job import Job
from lwkpm.pmi.pmix.values import make_infos, read_infos
from lwkpm.pmi.pmix.view import ProcState

ENDED = ProcState(rank=1, pid=12, program="/bin/b", hostname="far", state="killed", exit_code=137)
PROCS = (ProcState(rank=0, pid=11, program="/bin/a", hostname="here", state="running"), ENDED)


class View:
    def procs(self, nspace: str) -> tuple[ProcState, ...]:
        return PROCS if nspace == "mother" else (ENDED,)

    def memory(self, nspace: str) -> dict[int, int]:
        return {0: 2_000_000, 1: 4_000_000} if nspace == "mother" else {}


def world(view: View | None = None, asker: str = "server") -> query.World:
    return query.World(
        jobs={
            "mother": Job([0, 0], None, {}, ["here", "far"]),
            "child": Job([0], ("mother", 1), {}, ["here"]),
        },
        psets={"odd": [("mother", 1)]},
        groups={"g": [("mother", 0), ("child", 0)]},
        hostname="here",
        view=view,
        asker=asker,
    )


def ask(key: str, *qualifiers: tuple[str, int, Any], asker: str = "server") -> Any:
    """The data of one answer, or the status when there is none."""
    status, infos = query.answer_queries(world(View(), asker), [([key], list(qualifiers))])
    return infos[0][2] if status == c.SUCCESS else status


def about(nspace: str) -> tuple[str, int, str]:
    return query.NSPACE, c.STRING, nspace


def test_job_status_follows_the_processes() -> None:
    assert ask("pmix.qry.jst", about("mother")) == c.SUCCESS
    assert ask("pmix.qry.jst", about("child")) == query.EVENT_JOB_END
    assert ask("pmix.qry.jst", asker="child") == query.EVENT_JOB_END


def test_tables_can_be_sent() -> None:
    kind, rows = ask("pmix.qry.ptable", about("mother"))
    assert (kind, rows) == (query.PROC_INFO, [("mother", PROCS[0]), ("mother", ENDED)])
    assert ask("pmix.qry.lptable")[1] == [("mother", PROCS[0])]
    array, count, _keep = make_infos([("table", c.DATA_ARRAY, (kind, rows))])
    ((_, _, (_, sent)),) = read_infos(array, count)
    assert sent[1] == (("mother", 1), "far", "/bin/b", 12, 137, 54)


def test_spawned_job_names_its_parent() -> None:
    _, jobs = ask("pmix.qry.nsinfo", about("child"))
    assert (c.PARENT_ID, c.PROC, ("mother", 1)) in jobs[0][2][1]


def test_memory_of_one_rank() -> None:
    _, nodes = ask("pmix.qry.mem", (query.PROCID, c.PROC, ("mother", 1)))
    infos = nodes[0][2][1]
    assert infos[0] == (c.HOSTNAME, c.STRING, "here")
    assert infos[2][2] == 4.0
    assert [entry[2][1][0][2] for entry in infos[3:]] == [("mother", 1)]


def test_sets_groups_and_nodes() -> None:
    assert ask("pmix.qry.pmems", (c.PSET_NAME, c.STRING, "odd")) == (c.PROC, [("mother", 1)])
    assert ask("pmix.qry.pgrpmems", (query.GROUP_ID, c.STRING, "g"))[1] == [("mother", 0), ("child", 0)]
    assert ask("pmix.qry.pgrpmems", (query.GROUP_ID, c.STRING, "h")) == c.ERR_NOT_FOUND
    assert ask("pmix.qry.node") == "here,far"
    assert ask("pmix.qry.node", about("child")) == "here"
    assert ask("pmix.qry.node", about("nobody")) == c.ERR_NOT_FOUND
    assert ask("pmix.qry.peers") == c.ERR_NOT_FOUND  # left to libpmix, ranks live elsewhere too


def test_partial_and_empty_answers() -> None:
    status, infos = query.answer_queries(world(), [(["pmix.qry.ns", "nonsense"], []), (["pmix.qry.mem"], [])])
    assert (status, [info[0] for info in infos]) == (c.ERR_PARTIAL_SUCCESS, ["pmix.qry.ns"])
    assert query.answer_queries(world(), []) == (c.ERR_BAD_PARAM, [])


KEYS = st.one_of(st.sampled_from(sorted(query.ANSWERS)), st.text(max_size=20))
VALUES: st.SearchStrategy[Any] = st.one_of(
    st.none(),
    st.text(max_size=9),
    st.integers(),
    st.binary(max_size=9),
    st.tuples(st.text(max_size=9), st.integers(0, 0xFFFFFFFF)),
)
QUALIFIERS = st.tuples(st.sampled_from([*query.QUALIFIERS, "other"]), st.integers(0, 60), VALUES)


@given(st.lists(st.tuples(st.lists(KEYS, max_size=4), st.lists(QUALIFIERS, max_size=4)), max_size=3))
def test_any_query_has_a_status(queries: list[tuple[list[str], list[tuple[str, int, Any]]]]) -> None:
    typed = [  # libpmix gives each type its own kind of data
        (keys, [entry for entry in qualifiers if KINDS.get(entry[1], type(None)) is type(entry[2])])
        for keys, qualifiers in queries
    ]
    status, infos = query.answer_queries(world(View()), typed)
    assert status in (c.SUCCESS, c.ERR_NOT_FOUND, c.ERR_BAD_PARAM, c.ERR_PARTIAL_SUCCESS)
    make_infos(infos)


KINDS = {c.STRING: str, c.PROC: tuple, c.PROC_RANK: int, c.BYTE_OBJECT: bytes}
