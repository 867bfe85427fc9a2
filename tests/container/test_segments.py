"""Shared memory in /dev/shm, which is the host's, goes with the job that made it."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from tests.container.place import finish, wait_until
from tests.container.test_bad_input import check

if TYPE_CHECKING:
    from tests.container.place import Place


def segments() -> set[str]:
    """Open MPI's files."""
    return {name for name in os.listdir("/dev/shm") if name.startswith(("sm_segment.", "vader_segment."))}


def test_singletons(place: Place, as_ordinary_user: bool) -> None:
    done = place.run("-n", "4", "--pmi", "pmi2", place.image, "ring-openmpi", user=as_ordinary_user)
    check(place, done, 125, "LWKPM-E055")  # the first to end ends the others, too, wherever they are


@pytest.mark.parametrize("program", ["ring-openmpi", "ring-mpich"])
def test_job_whose_agent_was_killed(place: Place, program: str) -> None:
    before = segments()
    job = place.start("-n", "2", place.image, "sh", "-c", f"{program}; touch {place.path}/done.$LWKPM_RANK; sleep 60")
    assert wait_until(lambda: len(list(place.path.glob("done.*"))) == 2)
    left = segments() - before
    assert bool(left) == (program == "ring-openmpi")  # or this test is about nothing
    job.kill()
    finish(job)
    assert wait_until(lambda: not place.pids())
    assert left <= segments()
    assert place.run("-n", "1", place.image, "true").returncode == 0
    place.assert_clean()


def test_segments_of_other_jobs_stay(place: Place) -> None:
    other = f"sm_segment.{os.uname().nodename}.{os.geteuid()}.0.lwkpm-test"
    with open(f"/dev/shm/{other}", "w"):
        pass
    try:
        place.run("-n", "2", "--pmi", "pmi2", place.image, "ring-openmpi")
        assert other in segments()
    finally:
        os.unlink(f"/dev/shm/{other}")
    place.assert_clean()
