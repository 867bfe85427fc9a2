"""Signals sent to the launcher reach the ranks."""

from __future__ import annotations

import os
import signal
from typing import TYPE_CHECKING

import pytest

from tests.container.place import finish, state_of, wait_until

if TYPE_CHECKING:
    from tests.container.place import Place


@pytest.mark.parametrize("name", ["USR1", "USR2", "HUP"])
def test_forwarded(place: Place, name: str) -> None:
    program = f"trap 'echo got {name}; exit 0' {name}; echo ready; while :; do sleep 0.05; done"
    job = place.start("-n", "3", place.image, "sh", "-c", program)
    assert job.stdout is not None
    assert [job.stdout.readline() for _ in range(3)] == [b"ready\n"] * 3
    job.send_signal(getattr(signal, f"SIG{name}"))
    done = finish(job, 10)
    # dash may lose a line of `sleep` killed by the group's signal to stderr, never the trap's own.
    assert done.stdout.splitlines() == [f"got {name}"] * 3
    assert done.returncode == 0, done.stderr


def test_not_forwarded_when_told_so(place: Place) -> None:
    job = place.start(
        "--signal-forward", "USR1", "-n", "1", place.image, "sh", "-c", "trap 'exit 3' USR1; echo r; sleep 9 & wait"
    )
    assert job.stdout is not None
    assert job.stdout.readline() == b"r\n"
    job.send_signal(signal.SIGUSR1)
    assert finish(job, 10).returncode == 3


def test_stop_and_continue(place: Place) -> None:
    job = place.start("-n", "2", place.image, "sh", "-c", "i=0; while :; do i=$((i+1)); sleep 0.01; done")
    assert wait_until(lambda: len(place.ranks(job.pid)) == 2)
    ranks = place.ranks(job.pid)
    os.kill(job.pid, signal.SIGTSTP)
    stopped = ("T", "t")  # t: stopped while conenter watches it
    assert wait_until(lambda: all(state_of(pid) in stopped for pid in [job.pid, *ranks]), 5)
    os.kill(job.pid, signal.SIGCONT)
    assert wait_until(lambda: all(state_of(pid) in ("S", "R", "D") for pid in [job.pid, *ranks]), 5)
    job.send_signal(signal.SIGTERM)
    assert finish(job, 10).returncode == 143
    place.assert_clean()
