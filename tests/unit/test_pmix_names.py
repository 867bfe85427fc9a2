"""Publish, lookup and the attributes of a job, without a library."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

pytest.importorskip("_cffi_backend", reason="cffi is missing")

from lwkpm.errors import PmiError
from lwkpm.pmi.pmix import constants as c
from lwkpm.pmi.pmix import library
from lwkpm.pmi.pmix.job import Job, job_infos, proc_infos
from lwkpm.pmi.pmix.names import KEYS_MAX, VALUE_MAX, WHOLE_NUMBERS, Lookup, Names

ME = ("job", 0)
PORT = ("port", c.BYTE_OBJECT, b"\0binary\0")


def test_published_data_is_found_with_its_owner() -> None:
    names = Names()
    assert names.publish(ME, [PORT, ("pmix.range", c.DATA_RANGE, 4)]) == c.SUCCESS
    assert names.lookup(Lookup(ME, ["port", "absent"], [], None)) == [(ME, PORT)]
    assert names.lookup(Lookup(ME, ["pmix.range"], [], None)) == []


def test_a_key_is_published_once_until_it_is_taken_back() -> None:
    names = Names()
    assert names.publish(ME, [PORT]) == c.SUCCESS
    assert names.publish(("job", 1), [PORT]) == c.ERR_DUPLICATE_KEY
    assert names.unpublish(ME, []) == c.SUCCESS
    assert names.publish(("job", 1), [PORT]) == c.SUCCESS


def test_unpublish_without_keys_spares_other_processes() -> None:
    names = Names()
    names.publish(ME, [PORT])
    names.publish(("job", 1), [("other", c.INT, 1)])
    names.unpublish(ME, [])
    assert names.lookup(Lookup(ME, ["port", "other"], [], None)) == [(("job", 1), ("other", c.INT, 1))]


def test_first_reader_takes_data_away() -> None:
    names = Names()
    once = (c.PERSISTENCE, c.PERSIST, c.PERSIST_FIRST_READ)
    for _ in range(2):
        assert names.publish(ME, [PORT, once]) == c.SUCCESS
        assert names.lookup(Lookup(ME, ["port"], [], None)) == [(ME, PORT)]
        assert names.lookup(Lookup(ME, ["port"], [], None)) == []


def test_ranges_keep_jobs_apart() -> None:
    names = Names()
    stranger = ("other", 0)
    job_only = ("pmix.range", c.DATA_RANGE, c.RANGE_NAMESPACE)
    assert names.publish(ME, [PORT, job_only]) == c.SUCCESS
    assert names.publish(stranger, [PORT, job_only]) == c.SUCCESS
    assert names.lookup(Lookup(("job", 1), ["port"], [], None)) == [(ME, PORT)]
    assert names.lookup(Lookup(stranger, ["port"], [], None)) == [(stranger, PORT)]
    assert names.lookup(Lookup(("third", 0), ["port"], [], None)) == []


def test_nobody_takes_back_what_another_job_published() -> None:
    names = Names()
    names.publish(ME, [PORT])
    assert names.unpublish(("other", 0), ["port"]) == c.ERR_NOT_FOUND
    assert names.lookup(Lookup(("other", 0), ["port"], [], None)) == [(ME, PORT)]
    assert names.unpublish(("job", 1), ["port"]) == c.SUCCESS
    assert names.unpublish(ME, ["port"]) == c.ERR_NOT_FOUND


@pytest.mark.parametrize(("persistence", "left"), [(None, 0), (2, 0), (3, 0), (0, 1), (4, 1)])
def test_data_outlives_its_job_only_when_asked_to(persistence: int | None, left: int) -> None:
    names = Names()
    names.publish(ME, [PORT] if persistence is None else [PORT, (c.PERSISTENCE, c.PERSIST, persistence)])
    names.forget("job")
    assert len(names.lookup(Lookup(("other", 0), ["port"], [], None)) or ()) == left


def test_data_of_a_process_ends_with_it() -> None:
    names = Names()
    names.publish(ME, [PORT, (c.PERSISTENCE, c.PERSIST, c.PERSIST_PROC)])
    names.ended(("job", 1))
    assert names.lookup(Lookup(ME, ["port"], [], None)) == [(ME, PORT)]
    names.ended(ME)
    assert names.lookup(Lookup(ME, ["port"], [], None)) == []


def test_a_dead_process_takes_nothing_away() -> None:
    names = Names()
    waiting = Lookup(("other", 0), ["port"], [(c.WAIT, c.BOOL, True)], None)
    assert names.lookup(waiting) is None
    assert names.ended(("other", 0)) == [waiting]
    names.publish(ME, [PORT, (c.PERSISTENCE, c.PERSIST, c.PERSIST_FIRST_READ)])
    assert names.ready() == []
    assert names.lookup(Lookup(ME, ["port"], [], None)) == [(ME, PORT)]


def test_too_much_is_refused() -> None:
    names = Names()
    huge = ("huge", c.STRING, "x" * (VALUE_MAX + 1))
    assert names.publish(ME, [huge]) == c.ERR_OUT_OF_RESOURCE
    assert names.publish(ME, [("huge", c.DATA_ARRAY, (c.STRING, [huge[2]]))]) == c.ERR_OUT_OF_RESOURCE
    many = [(f"key {number}", c.INT, number) for number in range(KEYS_MAX)]
    assert names.publish(ME, many) == c.SUCCESS
    assert names.publish(ME, [PORT]) == c.ERR_OUT_OF_RESOURCE


DATA = st.one_of(st.none(), st.integers(), st.text(max_size=4), st.binary(max_size=4), st.floats(), st.booleans())
DIRECTIVE = st.tuples(st.sampled_from([c.WAIT, c.TIMEOUT, c.RANGE, c.PERSISTENCE, "a", "b"]), st.integers(0, 60), DATA)
STEP = st.tuples(st.sampled_from(["publish", "lookup", "unpublish", "ended"]), st.lists(DIRECTIVE, max_size=4))


@given(st.lists(STEP, max_size=12))
def test_any_directives_have_a_status(steps: list[tuple[str, list[tuple[str, int, Any]]]]) -> None:
    names = Names()
    for number, (verb, infos) in enumerate(steps):
        typed = [info for info in infos if TYPES.get(info[1], object) is type(info[2])]  # as libpmix gives them
        proc = ("job", number % 3)
        if verb == "publish":
            assert names.publish(proc, typed) in (c.SUCCESS, c.ERR_DUPLICATE_KEY)
            names.ready()
        elif verb == "lookup":
            found = names.lookup(Lookup(proc, ["a", "b"], typed, number))
            assert found is None or len(found) <= 2
        elif verb == "unpublish":
            assert names.unpublish(proc, ["a"]) in (c.SUCCESS, c.ERR_NOT_FOUND)
        else:
            names.ended(proc)
    names.expired(float("inf"))
    assert names.next_deadline() is None


TYPES = {
    **dict.fromkeys(WHOLE_NUMBERS, int),
    c.BOOL: bool,
    c.STRING: str,
    c.BYTE_OBJECT: bytes,
    c.FLOAT: float,
    c.DOUBLE: float,
    c.DATA_RANGE: int,
    c.PERSIST: int,
}


def test_waiting_lookup_is_answered_by_the_publish_that_completes_it() -> None:
    names = Names()
    both = Lookup(ME, ["port", "other"], [(c.WAIT, c.INT, 0)], "both")
    one = Lookup(ME, ["port", "other"], [(c.WAIT, c.INT, 1)], "one")
    assert names.lookup(both) is None
    assert names.lookup(one) is None
    assert names.ready() == []
    names.publish(ME, [PORT])
    assert [(request.token, found) for request, found in names.ready()] == [("one", [(ME, PORT)])]
    names.publish(ME, [("other", c.INT, 1)])
    assert [request.token for request, _ in names.ready()] == ["both"]
    assert names.ready() == []


def test_waiting_lookup_expires() -> None:
    names = Names()
    assert names.next_deadline() is None
    request = Lookup(ME, ["port"], [(c.WAIT, c.INT, 0), (c.TIMEOUT, c.INT, 5)], None)
    assert names.lookup(request) is None
    deadline = names.next_deadline()
    assert deadline is not None
    assert names.expired(deadline - 1) == []
    assert names.expired(deadline) == [request]
    assert names.next_deadline() is None


def test_job_on_two_nodes() -> None:
    nodes = [("a", (0, 2)), ("b", (1, 3))]
    infos = {key: data for key, _, data in job_infos("job", [0, 0, 1, 1], nodes, 1, 6)}
    assert (infos[c.NODE_MAP], infos[c.PROC_MAP]) == ("a,b", "0,2;1,3")
    assert (infos[c.JOB_SIZE], infos[c.LOCAL_SIZE], infos[c.UNIV_SIZE], infos[c.JOB_NUM_APPS]) == (4, 2, 6, 2)
    job = Job([0, 0, 1, 1], None, {}, ["a", "b"])
    third = {key: data for key, _, data in proc_infos(job, nodes)[3]}
    assert (third[c.RANK], third[c.LOCAL_RANK], third[c.NODEID], third[c.HOSTNAME]) == (3, 1, 1, "b")
    assert (third[c.APPNUM], third[c.APP_RANK]) == (1, 1)
    assert {c.PARENT_ID, c.SPAWNED, c.PSET_NAME}.isdisjoint(third)


def test_spawned_job_and_process_sets() -> None:
    job = Job([0, 0, 0], ("mother", 2), {"even": (0, 2), "last": (2,)}, ["a"])
    infos = [{key: data for key, _, data in row} for row in proc_infos(job, [("a", (0, 1, 2))])]
    assert [info[c.PARENT_ID] for info in infos] == [("mother", 2)] * 3
    assert [info[c.SPAWNED] for info in infos] == [True] * 3
    assert [info[c.PSET_NAME] for info in infos] == ["even", "", "even"]  # one per rank is all a client can be told


@pytest.mark.parametrize(
    ("said", "version"),
    [
        ("OpenPMIx 4.2.2rc2, repo rev: v4.2.2 (PMIx Standard: 4.1, Stable ABI: 0.0)", (4, 2, 2)),
        ("OpenPMIx 5.0.11rc1, repo rev: gitexported", (5, 0, 11)),
        ("PMIx 6.1", (6, 1)),
        ("no number", ()),
    ],
)
def test_library_version(said: str, version: tuple[int, ...]) -> None:
    assert library.parse_version(said) == version


def test_chosen_library_that_is_missing_is_not_replaced(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(library.ENV_LIBPMIX, "/no/such/libpmix.so.2")
    with pytest.raises(PmiError) as caught:
        library.find_library("/also/missing")
    assert caught.value.code == "LWKPM-E051"
    assert "/no/such/libpmix.so.2" in caught.value.why
    assert library.ENV_LIBPMIX in caught.value.fix


def test_library_that_is_not_pmix_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(library.ENV_LIBPMIX, raising=False)
    with pytest.raises(PmiError) as caught:
        library.find_library("libc.so.6")
    assert "PMIx_Get_version" in caught.value.why
