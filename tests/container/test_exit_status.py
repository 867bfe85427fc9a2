"""The exit status of a job says how it ended, and one line says who did it."""

from __future__ import annotations

import signal
import time
from typing import TYPE_CHECKING

import pytest

from tests.container.place import finish, wait_until

if TYPE_CHECKING:
    from tests.container.place import Place

BY_RANK = "case $LWKPM_RANK in {cases} esac"
FOREVER = "sleep 1000"
# An ended job must not wait for its other ranks' natural end, nor for the kill delay of 5 s.
PROMPT_S = 4.0


def by_rank(**cases: str) -> tuple[str, str, str]:
    """A shell program in which r0, r1, ... do different things; `rest` is for the others."""
    arms = [f"{name[1:]}) {text};;" for name, text in cases.items() if name != "rest"]
    return "sh", "-c", BY_RANK.format(cases=" ".join([*arms, f"*) {cases.get('rest', 'exec ' + FOREVER)};;"]))


@pytest.mark.parametrize(
    ("program", "status", "said"),
    [
        (("true",), 0, ""),
        (by_rank(r2="exit 3"), 3, "rank 2"),
        (by_rank(r0="sleep 0.5; exit 4", r3="exit 5"), 5, "rank 3"),
        (by_rank(r1="kill -SEGV $$"), 139, "SIGSEGV"),
        (by_rank(r1="kill -TERM $$"), 143, "SIGTERM"),
        (by_rank(r0="exit 125"), 125, "exited with status 125"),
    ],
)
def test_first_failure_decides(place: Place, program: tuple[str, ...], status: int, said: str) -> None:
    started = time.monotonic()
    done = place.run("-n", "4", place.image, *program)
    assert done.returncode == status, done.stderr
    assert said in done.stderr
    assert time.monotonic() - started < PROMPT_S
    place.assert_clean()


def test_reason_names_rank_pid_status_and_last_lines(place: Place) -> None:
    done = place.run("-n", "2", place.image, *by_rank(r1="echo $$; echo early >&2; echo the reason >&2; exit 9"))
    assert done.returncode == 9
    pid = done.stdout.strip()
    reason = next(line for line in done.stderr.splitlines() if line.startswith("lwkpm: rank 1 "))
    assert f"pid {pid}" in reason
    assert "status 9" in reason
    assert "| the reason" in done.stderr.partition(reason)[2]


def test_no_kill_lets_the_others_finish(place: Place) -> None:
    done = place.run("--no-kill", "-n", "3", place.image, *by_rank(r0="exit 6", rest="sleep 0.7; echo finished"))
    assert done.returncode == 6
    assert done.stdout.split() == ["finished"] * 2
    place.assert_clean()


def test_time_limit(place: Place) -> None:
    started = time.monotonic()
    done = place.run("-t", "1", "-n", "2", place.image, "sleep", "1000")
    assert done.returncode == 124
    assert "time limit" in done.stderr
    assert "rank 0-1" in done.stderr
    assert 1.0 <= time.monotonic() - started < 1.0 + PROMPT_S
    place.assert_clean()


def test_time_limit_kills_what_ignores_term(place: Place) -> None:
    done = place.run("-t", "1", "--kill-delay", "1", "-n", "2", place.image, "sh", "-c", "trap '' TERM; sleep 1000")
    assert done.returncode == 124
    place.assert_clean()


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_interrupted(place: Place, number: signal.Signals, status: int) -> None:
    job = place.start("-n", "3", place.image, "sleep", "1000")
    assert wait_until(lambda: len(place.ranks(job.pid)) == 3)
    started = time.monotonic()
    job.send_signal(number)
    done = finish(job, 10)
    assert done.returncode == status, done.stderr
    assert number.name in done.stderr
    assert time.monotonic() - started < PROMPT_S
    place.assert_clean()


def test_second_interrupt_kills_at_once(place: Place) -> None:
    job = place.start("-n", "2", place.image, "sh", "-c", "trap '' TERM INT; echo ready; sleep 1000; sleep 1000")
    assert job.stdout is not None
    assert [job.stdout.readline(), job.stdout.readline()] == [b"ready\n", b"ready\n"]
    job.send_signal(signal.SIGINT)
    time.sleep(0.5)
    assert job.poll() is None
    started = time.monotonic()
    job.send_signal(signal.SIGINT)
    assert finish(job, 10).returncode == 130
    assert time.monotonic() - started < 1.0
    place.assert_clean()
