"""Who may do what to whom, and requests that make no sense, without a library."""

from __future__ import annotations

import os
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

pytest.importorskip("_cffi_backend", reason="cffi is missing")

from lwkpm.pmi.pmix import constants as c
from lwkpm.pmi.pmix import control, forwarding, guard, tools
from lwkpm.pmi.pmix.endings import proc_events
from lwkpm.pmi.pmix.events import PmixCommand
from lwkpm.pmi.pmix.job import Job
from lwkpm.pmi.pmix.requests import Requests
from lwkpm.pmi.pmix.spawn import trouble

JOBS = {
    "mother": Job([0, 0], None, {}, ["here"]),
    "child": Job([0], ("mother", 1), {}, ["here"]),
    "grandchild": Job([0], ("child", 0), {}, ["here"]),
    "other": Job([0], None, {}, ["here"]),
}
ALL = c.RANK_WILDCARD


@pytest.mark.parametrize(
    ("asker", "targets", "means"),
    [
        (("mother", 0), [], (("mother", ALL),)),
        (("mother", 0), [("mother", 1)], (("mother", 1),)),
        (("mother", 0), [("child", 0), ("grandchild", ALL)], (("child", 0), ("grandchild", ALL))),
        (("tool", 0), [("mother", ALL), ("other", 0)], (("mother", ALL), ("other", 0))),
        (("child", 0), [("mother", ALL)], control.ERR_NO_PERMISSIONS),
        (("mother", 0), [("other", 0)], control.ERR_NO_PERMISSIONS),
        (("mother", 0), [("mother", 2)], c.ERR_NOT_FOUND),
        (("mother", 0), [("nobody", 0)], c.ERR_INVALID_NAMESPACE),
        (("tool", 0), [], c.ERR_INVALID_NAMESPACE),
    ],
)
def test_targets(asker: tuple[str, int], targets: list[tuple[str, int]], means: Any) -> None:
    try:
        found: Any = control.check_targets(JOBS, {"tool"}, asker, targets)
    except control.RefusedError as refusal:
        found = refusal.status
    assert found == means


def test_ancestry_ends_with_a_loop() -> None:
    loop = {"a": Job([0], ("b", 0), {}, []), "b": Job([0], ("a", 0), {}, [])}
    assert control.ancestry(loop, "a") == ["a", "b"]


@pytest.mark.parametrize(
    ("directives", "means"),
    [
        ([("pmix.jctrl.kill", c.BOOL, True)], ("kill", 0, "")),
        ([("pmix.jctrl.kill", 0, None)], ("kill", 0, "")),
        ([("pmix.jctrl.sig", c.INT, 15), ("pmix.jctrl.id", c.STRING, "x")], ("signal", 15, "")),
        ([("pmix.jctrl.pause", c.BOOL, True), ("pmix.clnup.recurse", c.BOOL, True)], ("pause", 0, "")),
        ([("pmix.jctrl.defpset", c.STRING, "mine")], ("define", 0, "mine")),
        ([("pmix.jctrl.sig", c.INT, 0)], c.ERR_BAD_PARAM),
        ([("pmix.jctrl.sig", c.STRING, "15")], c.ERR_BAD_PARAM),
        ([("pmix.jctrl.kill", c.BOOL, False)], c.ERR_BAD_PARAM),
        ([("pmix.jctrl.kill", c.BOOL, True), ("pmix.jctrl.pause", c.BOOL, True)], c.ERR_BAD_PARAM),
        ([], c.ERR_BAD_PARAM),
        ([("pmix.jctrl.ckpt", c.STRING, "x")], c.ERR_NOT_SUPPORTED),
    ],
)
def test_actions(directives: list[tuple[str, int, Any]], means: Any) -> None:
    assert action_of(directives) == means


def action_of(directives: list[tuple[str, int, Any]]) -> Any:
    """(action, signal, process set), or the status that refuses it."""
    try:
        return control.read_action(directives)
    except control.RefusedError as refusal:
        return refusal.status


KEYS = st.sampled_from([*control.ACTIONS, control.DEFINE_PSET, "pmix.jctrl.id", "pmix.reg.cleanup", "nonsense"])
DATA = st.one_of(st.none(), st.booleans(), st.integers(), st.text(max_size=5), st.binary(max_size=5))


@given(st.lists(st.tuples(KEYS, st.integers(0, 60), DATA), max_size=5))
def test_any_directives_are_an_action_or_a_status(directives: list[tuple[str, int, Any]]) -> None:
    found = action_of(directives)
    if isinstance(found, int):
        assert found in (c.ERR_BAD_PARAM, c.ERR_NOT_SUPPORTED)
    else:
        action, signal, name = found
        assert action in {*control.ACTIONS.values(), "define"}
        assert (signal in control.SIGNALS) == (action == "signal")
        assert bool(name) == (action == "define")


@given(st.lists(st.tuples(st.text(max_size=12), st.integers(0, 60), DATA), max_size=5))
def test_tools_of_others_stay_out(infos: list[tuple[str, int, Any]]) -> None:
    status, proc = tools.admit(infos, JOBS, set())
    assert (status, proc[0]) == (tools.ERR_INVALID_CRED, "")
    status, proc = tools.admit([*infos, (c.USERID, c.UINT32, os.geteuid())], JOBS, set())
    assert status == c.SUCCESS
    assert proc[0]
    assert proc[0] not in JOBS


def test_a_tool_cannot_take_the_name_of_a_job() -> None:
    ours = (c.USERID, c.UINT32, os.geteuid())
    assert tools.admit([ours, (tools.NSPACE, c.STRING, "mother")], JOBS, set())[0] == c.ERR_DUPLICATE_KEY
    assert tools.admit([ours, (tools.NSPACE, c.STRING, "mine")], JOBS, set()) == (c.SUCCESS, ("mine", 0))


def test_output_goes_only_where_it_is_wanted() -> None:
    pulls = forwarding.Pulls()
    assert not pulls
    pulls.start([("job", 1)], 2)
    pulls.start([("job", ALL)], 4)
    assert pulls
    assert pulls.wanted("job", 1, 2)
    assert not pulls.wanted("job", 0, 2)
    assert pulls.wanted("job", 0, 4)
    assert not pulls.wanted("other", 1, 4)
    pulls.stop()
    assert pulls.wanted("job", 1, 2)  # which of the two has ended is not told
    pulls.stop()
    assert not pulls


def test_what_comes_to_a_tool_that_spawns() -> None:
    assert forwarding.channel_names(forwarding.spawn_channels([])) == ("stdout", "stderr", "stddiag")
    quiet = [("pmix.fwd.stderr", c.BOOL, False), ("pmix.fwd.stdout", c.BOOL, True)]
    assert forwarding.channel_names(forwarding.spawn_channels(quiet)) == ("stdout", "stddiag")


@pytest.mark.parametrize(("directives", "data", "end"), [((), b"x", False), ((), b"", True)])
def test_end_of_input(directives: tuple[Any, ...], data: bytes, end: bool) -> None:
    assert forwarding.is_end(directives, data) == end
    assert forwarding.is_end([(forwarding.IOF_COMPLETE, c.BOOL, True)], data)


def test_one_process_only_is_named_in_events() -> None:
    """Open MPI takes every process in such an event for a dead one."""
    for signal, aborted, unfinished in [(9, False, True), (0, True, True), (0, False, True), (0, False, False)]:
        for _status, infos in proc_events(("job", 1), 0, signal, aborted, unfinished):
            assert [data for _, kind, data in infos if kind == c.PROC] == [("job", 1)]


def test_spawn_of_nothing_is_refused() -> None:
    assert trouble([]) == c.ERR_BAD_PARAM


GUARDED = """
import os, sys, tempfile
from lwkpm.pmi.pmix.guard import guard_thread
from lwkpm.pmi.pmix.values import ffi
ffi_lib = ffi.dlopen(None)
folder = tempfile.mkdtemp()
path = os.path.join(folder, "file")
open(path, "w").close()
print(guard_thread(ffi_lib.prctl))
for delete in (os.unlink, os.remove, lambda path: os.unlink("file", dir_fd=os.open(folder, 0))):
    try:
        delete(path)
    except PermissionError:
        print("refused")
try:
    os.rmdir(folder)
except PermissionError:
    print("refused")
print(folder)
"""


def test_a_guarded_thread_deletes_nothing() -> None:
    import shutil
    import subprocess
    import sys

    if os.uname().machine not in guard.MACHINES:
        pytest.skip("no filter for this machine")
    script = f"import sys; sys.path[:] = {sys.path!r}\n" + GUARDED
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    *said, folder = done.stdout.split()
    shutil.rmtree(folder)
    assert said == ["True", "refused", "refused", "refused", "refused"]


class Recorder:
    """Takes the place of Answers."""

    def __init__(self) -> None:
        self.count = 0

    def _answer(self, *_arguments: Any) -> None:
        self.count += 1

    done = spawned = admitted = modex = infos = found = _answer


PROCS = st.tuples(st.sampled_from(["mother", "child", "other", "tool", "nobody", ""]), st.sampled_from([0, 1, 7, ALL]))
KINDS = {c.STRING: st.text(max_size=6), c.BOOL: st.booleans(), c.INT: st.integers(), c.PROC: PROCS, 0: st.none()}
NAMES = [
    *("pmix.wait", "pmix.timeout", "pmix.range", "pmix.grp.actxid", "pmix.collect", "pmix.iof.stop", "pmix.iof.cmp"),
    *("pmix.log.stdout", "pmix.jctrl.kill", "pmix.jctrl.sig", "pmix.jctrl.defpset", "pmix.nspace", "pmix.euid", "x"),
]
INFO = st.sampled_from(sorted(KINDS)).flatmap(
    lambda kind: st.tuples(st.sampled_from(NAMES), st.just(kind), KINDS[kind])
)
INFOS = st.lists(INFO, max_size=4)
TEXTS = st.lists(st.sampled_from(["a", "b", "pmix.qry.ns", "pmix.qry.jst", ""]), max_size=3)
TARGETS = st.lists(PROCS, max_size=3)
COMMAND = st.builds(
    lambda program, processes: PmixCommand(program=program, arguments=(), env=(), cwd="", processes=processes, info=()),
    st.sampled_from(["", "/bin/true"]),
    st.integers(-2, 3),
)
REPLY = (st.none(), st.none())
RECORDS = st.one_of(
    st.tuples(st.sampled_from(["connected", "finalized"]), PROCS),
    st.tuples(st.just("aborted"), PROCS, st.integers(), st.text(max_size=4), TARGETS),
    st.tuples(st.just("fence"), TARGETS, INFOS, st.binary(max_size=4), *REPLY),
    st.tuples(st.just("publish"), PROCS, INFOS, *REPLY),
    st.tuples(st.just("lookup"), PROCS, TEXTS, INFOS, *REPLY),
    st.tuples(st.just("unpublish"), PROCS, TEXTS, *REPLY),
    st.tuples(st.just("spawn"), PROCS, INFOS, st.lists(COMMAND, max_size=2), *REPLY),
    st.tuples(st.just("connect"), TARGETS, *REPLY),
    st.tuples(st.just("query"), PROCS, st.lists(st.tuples(TEXTS, INFOS), max_size=2), *REPLY),
    st.tuples(st.just("log"), PROCS, INFOS, *REPLY),
    st.tuples(st.just("group"), st.text(max_size=3), TARGETS, INFOS, *REPLY),
    st.tuples(st.just("ungroup"), st.text(max_size=3)),
    st.tuples(st.just("control"), PROCS, TARGETS, INFOS, *REPLY),
    st.tuples(st.just("pull"), TARGETS, INFOS, st.integers(0, 255)),
    st.tuples(st.just("stdin"), PROCS, TARGETS, INFOS, st.binary(max_size=4), *REPLY),
    st.tuples(st.just("tool"), INFOS, *REPLY),
)
UNANSWERED = {"connected", "finalized", "aborted", "ungroup", "pull"}


@given(st.lists(RECORDS, max_size=15))
def test_any_requests_are_answered_or_become_events(records: list[tuple[Any, ...]]) -> None:
    sets: dict[str, Any] = {}
    requests = Requests(JOBS, "here", sets.__setitem__)
    recorder = Recorder()
    requests._answers = recorder  # type: ignore[assignment]
    for record in records:
        before = recorder.count
        events = requests.handle(record)
        open_events = [event for event in events if hasattr(event, "answer")]
        for event in open_events:
            event.answer(*((c.SUCCESS, "new") if record[0] == "spawn" else (c.SUCCESS,)))
            event.answer(*((c.SUCCESS, "new") if record[0] == "spawn" else (c.SUCCESS,)))  # does nothing
        answered = recorder.count - before
        if record[0] == "lookup":
            assert answered <= 1  # it may wait
        elif record[0] == "publish":
            assert answered >= 1  # and the lookups that waited for it
        else:
            assert answered == (record[0] not in UNANSWERED)
    requests.expire()
    for nspace in ("mother", "child", "other", "tool", "nobody", ""):
        requests.forget(nspace)
    assert requests.next_deadline() is None
    assert not requests.connected
