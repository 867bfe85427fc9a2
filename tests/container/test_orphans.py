"""No rank survives its launcher, however that ends."""

from __future__ import annotations

import os
import signal
import time
from typing import TYPE_CHECKING

import pytest

from tests.container.place import finish, wait_until

if TYPE_CHECKING:
    from tests.container.place import Place, Process

PROGRAMS = {
    "plain": ("sleep", "1000"),
    "ignores": ("sh", "-c", "trap '' TERM HUP INT; sleep 1000; sleep 1000"),
    "forks": ("sh", "-c", "sleep 1000 & sleep 1000 & wait"),
    "daemon": ("sh", "-c", "setsid sleep 1000 & exec sleep 1000"),
}
GONE_S = 5.0


def kill_agent(job: Process, conenter: int) -> None:
    os.kill(job.pid, signal.SIGKILL)


def kill_conenter(job: Process, conenter: int) -> None:
    os.kill(conenter, signal.SIGKILL)


def kill_agent_then_conenter(job: Process, conenter: int) -> None:
    os.kill(job.pid, signal.SIGKILL)
    os.kill(conenter, signal.SIGKILL)


def kill_conenter_then_agent(job: Process, conenter: int) -> None:
    os.kill(conenter, signal.SIGKILL)
    os.kill(job.pid, signal.SIGKILL)


BOTH = (kill_agent_then_conenter, kill_conenter_then_agent)
KILLERS = [kill_agent, kill_conenter, kill_agent_then_conenter, kill_conenter_then_agent]


def start(place: Place, program: tuple[str, ...], *options: str, user: bool = False) -> tuple[Process, int]:
    """A running job of two ranks and its conenter."""
    job = place.start(*options, "-n", "2", place.image, *program, user=user)
    assert wait_until(lambda: len(place.ranks(job.pid)) == 2, 60 if user else 10)
    time.sleep(0.2)  # the ranks' own children
    return job, place.conenter(job.pid)


@pytest.mark.parametrize("killer", KILLERS)
@pytest.mark.parametrize("program", PROGRAMS)
def test_killed(place: Place, as_ordinary_user: bool, program: str, killer: object) -> None:
    assert callable(killer)
    job, conenter = start(place, PROGRAMS[program], user=as_ordinary_user)
    killer(job, conenter)
    if killer in BOTH and program != "plain":
        # The ranks die with conenter. What they forked is nobody's once both are gone; the user's next job ends it.
        assert place.run("-n", "1", place.image, "true", user=as_ordinary_user).returncode == 0
    assert wait_until(lambda: not place.pids(), GONE_S), place.leftovers()
    done = finish(job, 10)
    assert done.returncode == (125 if killer is kill_conenter else -signal.SIGKILL), done.stderr
    assert ("LWKPM-E037" in done.stderr) == (killer is kill_conenter)


def test_killed_with_a_pid_namespace(place: Place, as_ordinary_user: bool) -> None:
    job, _ = start(place, PROGRAMS["daemon"], "--pidns", user=as_ordinary_user)
    job.kill()
    assert wait_until(lambda: not place.pids(), GONE_S), place.leftovers()
    finish(job, 10)


def test_stale_directory_is_removed_by_the_next_job(place: Place) -> None:
    job, _ = start(place, PROGRAMS["plain"])
    job.kill()
    finish(job, 10)
    assert wait_until(lambda: not place.pids(), GONE_S)
    assert list(place.path.glob("lwkpm-*/*"))
    assert place.run("-n", "1", place.image, "true").returncode == 0
    place.assert_clean()


def test_running_job_keeps_its_directory(place: Place) -> None:
    job, _ = start(place, PROGRAMS["plain"])
    before = list(place.path.glob("lwkpm-*/*"))
    assert len(before) == 1
    assert place.run("-n", "1", place.image, "true").returncode == 0
    assert list(place.path.glob("lwkpm-*/*")) == before
    job.terminate()
    assert finish(job, 10).returncode == 143
    place.assert_clean()


@pytest.mark.parametrize("form", ["setsid sleep 1000 &", "(setsid sh -c 'sleep 1000 & sleep 1000' &) &"])
def test_daemons_end_with_the_job(place: Place, as_ordinary_user: bool, form: str) -> None:
    done = place.run("-n", "2", place.image, "sh", "-c", f"{form} sleep 0.2", user=as_ordinary_user)
    assert done.returncode == 0, done.stderr
    place.assert_clean()
