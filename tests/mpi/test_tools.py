"""A PMIx tool that nobody here wrote, Debian's python3-pmix, against a running lwkpm-run --tools."""

from __future__ import annotations

import json
import subprocess
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.capabilities import LWKPM_RUN
from tests.conftest import child_environment
from tests.mpi.pmix_cases import compile_c

if TYPE_CHECKING:
    from collections.abc import Iterator

TOOL = Path(__file__).with_name("tool_session.py")
LIMIT_S = 40

pytestmark = pytest.mark.needs("python3_pmix")


@contextmanager
def running(*command: str, option: tuple[str, ...] = ()) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """(a job of two ranks that tools may connect to, its server's URI); it has ended afterwards."""
    words = [str(LWKPM_RUN), "--tools", "-n", "2", "-t", str(LIMIT_S), *option, "host://", *command]
    env = child_environment(user=False, extra=None)
    with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=env) as job:
        assert job.stderr is not None
        line = job.stderr.readline()
        try:
            assert "PMIX_SERVER_URI=" in line, line
            yield job, line.strip().partition("PMIX_SERVER_URI=")[2]
        finally:
            if job.poll() is None:
                job.terminate()


def ask(uri: str, action: str) -> dict[str, list[dict[str, Any]]]:
    """The tool's findings by call."""
    command = ["/usr/bin/python3", str(TOOL), uri, action]
    done = subprocess.run(command, capture_output=True, text=True, timeout=LIMIT_S, check=False)
    assert done.returncode == 0, done.stderr
    found: dict[str, list[dict[str, Any]]] = {}
    for line in done.stdout.splitlines():
        each = json.loads(line)
        found.setdefault(each["call"], []).append(each)
    return found


def test_a_tool_sees_jobs_and_processes() -> None:
    with running("sleep", "30") as (job, uri):
        found = ask(uri, "look")
    assert [each["status"] for calls in found.values() for each in calls] == [0] * len(found)
    table = found["table"][0]["result"][0]["value"]["array"]
    assert [(entry["proc"]["rank"], entry["executable"], entry["state"]) for entry in table] == [
        (0, "sleep", 5),
        (1, "sleep", 5),
    ]
    assert all(entry["pid"] > 0 for entry in table)
    assert "memory" in found
    assert job.returncode == 143


def test_a_tool_ends_a_job() -> None:
    with running("sleep", "30") as (job, uri):
        found = ask(uri, "terminate")
        assert found["control"][0]["status"] == 0
        _, err = job.communicate(timeout=LIMIT_S)
    assert job.returncode == 143, err
    assert "SIGTERM" in err


def test_a_tool_sends_a_signal() -> None:
    program = "trap 'echo got it; exit 0' USR1; while :; do sleep 0.05; done"
    with running("sh", "-c", program) as (job, uri):
        time.sleep(0.5)  # until both traps are set
        found = ask(uri, "signal")
        assert found["control"][0]["status"] == 0
        out, err = job.communicate(timeout=LIMIT_S)
    assert (job.returncode, out) == (0, "got it\n" * 2), err


def test_a_tool_reads_output() -> None:
    program = "for i in $(seq 100); do echo line of $LWKPM_RANK; sleep 0.1; done"
    with running("sh", "-c", program) as (_, uri):
        found = ask(uri, "output")
    assert found["pull"][0]["status"] >= 0
    texts = {each["status"]: each["result"] for each in found["output"]}
    assert "line of 0" in texts[0]
    assert "line of 1" in texts[1]


def test_ranks_read_what_a_tool_sends(tmp_path: Path) -> None:
    """From C: the Python binding's iof_push never returns."""
    tool = compile_c(tmp_path, "tool.c")
    script = "echo $PMIX_NAMESPACE; read -r line; echo $LWKPM_RANK: $line"
    with running("sh", "-c", script, option=("--stdin", "tool")) as (job, uri):
        assert job.stdout is not None
        nspace = job.stdout.readline().strip()
        done = subprocess.run(
            [str(tool), uri, "feed", nspace], capture_output=True, text=True, timeout=LIMIT_S, check=False
        )
        assert "push 0" in done.stdout, done.stdout + done.stderr
        out, err = job.communicate(timeout=LIMIT_S)
    assert job.returncode == 0, err
    assert sorted(line for line in out.splitlines() if "fed" in line) == ["0: fed by the tool", "1: fed by the tool"]


def test_input_from_tools_needs_tools() -> None:
    command = [str(LWKPM_RUN), "--stdin", "tool", "-n", "1", "host://", "true"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=LIMIT_S, check=False)
    assert done.returncode == 125
    assert "--tools" in done.stderr


def test_without_the_option_no_tool_can_connect() -> None:
    command = [str(LWKPM_RUN), "-n", "1", "host://", "sh", "-c", "ls -a $TMPDIR"]
    env = child_environment(user=False, extra=None)
    done = subprocess.run(command, capture_output=True, text=True, env=env, timeout=LIMIT_S, check=False)
    assert done.returncode == 0
    assert "tool" not in done.stdout
    assert "PMIX_SERVER_URI=" not in done.stderr
