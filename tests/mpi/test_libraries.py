"""Every MPI of every test image, as root and as an ordinary user: one job of N ranks, not N jobs of one."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path

    from tests.conftest import Image, LwkpmRun, Mpi

RING = re.compile(r"^ring: (\d+) ranks, token (\d+), sum OK, library (.+)$", re.MULTILINE)
# What each family calls itself in MPI_Get_library_version.
SELF_NAME = {"mpich": "MPICH", "openmpi": "Open MPI", "impi": "Intel(R) MPI"}


@pytest.mark.parametrize("ranks", [1, 4, 9])
def test_ring_runs_as_one_job(
    lwkpm_run: LwkpmRun, images: dict[str, Image], mpi: Mpi, ranks: int, *, as_ordinary_user: bool
) -> None:
    done = lwkpm_run(
        "-n", str(ranks), *mpi.env, images[mpi.image].rootfs, mpi.program("ring"), user=as_ordinary_user, timeout=120
    )
    assert done.returncode == 0, done.stderr
    lines = RING.findall(done.stdout)
    assert [line[:2] for line in lines] == [(str(ranks), str(ranks))], done.stdout
    assert SELF_NAME[mpi.family] in lines[0][2]


@pytest.mark.parametrize("program", ["ring-mpich", "ring-openmpi", "ring-impi"])
def test_demo_image_runs_from_squashfs(
    lwkpm_run: LwkpmRun, demo_image: Path, program: str, *, as_ordinary_user: bool
) -> None:
    done = lwkpm_run("-n", "4", demo_image, program, user=as_ordinary_user)
    assert done.returncode == 0, done.stderr
    assert [line[0] for line in RING.findall(done.stdout)] == ["4"]


def test_published_names_are_found(lwkpm_run: LwkpmRun, images: dict[str, Image], mpi: Mpi) -> None:
    done = lwkpm_run("-n", "3", *mpi.env, images[mpi.image].rootfs, mpi.program("publish"), "lwkpm-service")
    assert done.returncode == 0, done.stderr
    assert "publish: OK" in done.stdout
