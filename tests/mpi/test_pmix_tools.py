"""Tools, job control, monitors: what acts on a job from inside and from outside."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from tests.mpi.pmix_cases import DEBIAN_PYTHON, HERE, compile_c, drive, drive_c, need_binding

if TYPE_CHECKING:
    from pathlib import Path

pytest.importorskip("_cffi_backend", reason="cffi is missing")

CONTROL = """spawn 0
cleanup 0
signal 0
nonsense -27
checkpoint -47
unknown -47
pset 0
stranger -44
rank -46
kill 0
"""


def events(report: dict[str, Any], name: str) -> list[dict[str, Any]]:
    return [event for event in report["events"] if event["event"] == name]


def test_a_rank_controls_its_own_job_and_its_children_only(tmp_path: Path, library: str) -> None:
    precious = tmp_path / "precious"
    precious.write_text("a file out here with the name of one in the container")
    report = drive_c(tmp_path, library, 1, "control.c", str(precious))
    assert report["output"]["lwkpm-test.0"] == CONTROL
    assert report["output"]["lwkpm-test-1.1"] == "parent -23\n"  # PMIX_ERR_NO_PERMISSIONS
    assert report["codes"] == {"lwkpm-test.0": 0, "lwkpm-test-1.0": -9, "lwkpm-test-1.1": -9}
    assert [(event["action"], event["signal"]) for event in events(report, "PmixJobControl")] == [
        ("signal", 10),
        ("kill", 0),
    ]
    assert precious.exists()  # without the guard libpmix deletes it, see guard.py


def test_heartbeats_and_files_are_watched(tmp_path: Path, library: str) -> None:
    quiet = tmp_path / "quiet"
    quiet.write_text("never grows")
    report = drive_c(tmp_path, library, 2, "monitor.c", str(quiet))
    assert report["output"]["lwkpm-test.0"] == "file 0\nbeat 0\n"
    assert sorted(report["output"]["lwkpm-test.1"].splitlines()) == [
        "alert -109 of lwkpm-test 0",
        "alert -110 of lwkpm-test 0",
    ]


def test_a_tool_looks_at_a_job(tmp_path: Path, library: str) -> None:
    tool = f"{compile_c(tmp_path, 'tool.c')} look"
    report = drive_c(tmp_path, library, 2, "talk.c", options=("--tools", "--tool", tool))
    lines = report["output"]["tool.0"].splitlines()
    assert [line for line in lines if not line.startswith("output")] == ["tool 0", "pull 1", "table 0 of 2"]
    for rank in range(2):
        said = [f"output 2 of {rank}: word {number}" for number in range(4)] + [f"output 2 of {rank} ends"]
        assert [line for line in lines if line.startswith(f"output 2 of {rank}")] == said
    assert len(events(report, "PmixToolConnected")) == 1
    assert events(report, "PmixIofPull")[0]["channels"] == ["stdout"]


def test_a_tool_spawns_feeds_and_ends_jobs(tmp_path: Path, library: str) -> None:
    tool = f"{compile_c(tmp_path, 'tool.c')} act"
    report = drive(library, 1, "--no-kill", "--tools", "--tool", tool, "/bin/sleep", "60", driver="pmix_agent.py")
    lines = report["output"]["tool.0"].splitlines()
    ends = ["event -145 of lwkpm-test", "event -145 of lwkpm-test-2"]  # which is told by another thread of the tool
    assert [line for line in lines if line not in ends] == ["tool 0", "spawn 0", "push 0", "end child 0", "end job 0"]
    assert sorted(line for line in lines if line in ends) == ends
    assert report["output"]["lwkpm-test-2.0"] == "fed by the tool\n"
    assert report["codes"] == {"lwkpm-test.0": -15, "lwkpm-test-2.0": -15, "tool.0": 0}


def test_a_tool_of_the_python_binding(tmp_path: Path, library: str) -> None:
    need_binding()
    script = tmp_path / "tool"
    script.write_text(f'#!/bin/sh\nexec {DEBIAN_PYTHON} -Wignore {HERE / "pmix_tool.py"} "$@"\n')
    script.chmod(0o755)
    report = drive(library, 1, "--tools", "--tool", str(script), "/bin/sleep", "3", driver="pmix_agent.py")
    line = next(line for line in report["output"]["tool.0"].splitlines() if line.startswith("REPORT "))
    assert json.loads(line[7:]) == [0, ["lwkpm-test"], 0]


def test_no_tool_gets_in_unless_asked_for(tmp_path: Path, library: str) -> None:
    tool = f"{compile_c(tmp_path, 'tool.c')} look"
    report = drive(library, 1, "--tool", tool, "/bin/sleep", "1", driver="pmix_agent.py")
    assert events(report, "PmixToolConnected") == []
    assert "tool 0" not in report["output"]["tool.0"]
