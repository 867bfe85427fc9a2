"""--start-timeout counts from a world's own start."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.conftest import LwkpmRun

PROGRAM = Path(__file__).with_name("late_child.py")


@pytest.fixture
def command(tmp_path: Path) -> tuple[str | Path, ...]:
    """The parent, with an empty library of an MPI library's name for its child."""
    library = tmp_path / "libmpi.so.12"
    subprocess.run(["gcc", "-shared", "-o", str(library), "-x", "c", "/dev/null"], check=True)
    return "host://", "/usr/bin/python3", PROGRAM, library


def test_a_child_that_is_young_is_no_singleton(lwkpm_run: LwkpmRun, command: tuple[str | Path, ...]) -> None:
    done = lwkpm_run("-n", "1", "--start-timeout", "2", "-t", "30", *command)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "cmd=spawn_result rc=0" in done.stdout
    assert done.stdout.count("cmd=response_to_init") == 2


def test_a_child_that_never_comes_is_one(lwkpm_run: LwkpmRun, command: tuple[str | Path, ...]) -> None:
    done = lwkpm_run("-n", "1", "--start-timeout", "1", "-t", "30", *command)
    assert done.returncode == 125, done.stdout + done.stderr
    assert "rank 0 of spawned job 1 loaded an MPI library but never reached a PMI server" in done.stderr
    assert "after 1 s (--start-timeout)" in done.stderr
