"""A job that goes wrong ends at once, with the right status and a line that says which rank and why."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest

from tests.conftest import TEST_IMAGES, load_image

if TYPE_CHECKING:
    from tests.conftest import Image, LwkpmRun, Mpi

# Takes away every wire-up variable a rank was given: an MPI library can then only start as a singleton.
STRIP = """for name in $(env | sed -n 's/^\\(PMI[X2]*_[^=]*\\|MPIR_CVAR_PMI[^=]*\\|OMPI_MCA_schizo\\)=.*/\\1/p'); do
  unset "$name"
done
exec "$@"
"""
WITHOUT_WIRE_UP = ("/bin/sh", "-c", STRIP, "strip")
# A launcher that waits for its own timeout instead of acting would pass a laxer limit.
PROMPT_S = 20
# Debian's and PyPI's newest of each family; the failure paths do not differ within a family.
FAMILIES = {mpi.family: mpi for name in reversed(TEST_IMAGES) for mpi in load_image(name).mpis}


@pytest.fixture(params=sorted(FAMILIES))
def family(request: pytest.FixtureRequest) -> Mpi:
    """One MPI per family."""
    return FAMILIES[str(request.param)]


def test_abort_code_is_the_exit_status(lwkpm_run: LwkpmRun, images: dict[str, Image], mpi: Mpi) -> None:
    started = time.monotonic()
    done = lwkpm_run("-n", "4", *mpi.env, images[mpi.image].rootfs, mpi.program("abort7"))
    assert done.returncode == 7, done.stderr
    assert "rank 1" in done.stderr
    assert time.monotonic() - started < PROMPT_S


def test_signal_of_a_rank_ends_the_job(lwkpm_run: LwkpmRun, images: dict[str, Image], mpi: Mpi) -> None:
    started = time.monotonic()
    done = lwkpm_run("-n", "4", *mpi.env, images[mpi.image].rootfs, mpi.program("segv"))
    assert done.returncode == 139, done.stderr
    assert "rank 1" in done.stderr
    assert "SIGSEGV" in done.stderr
    assert time.monotonic() - started < PROMPT_S


def test_leaving_without_finalize_is_an_error(lwkpm_run: LwkpmRun, images: dict[str, Image], mpi: Mpi) -> None:
    done = lwkpm_run("-n", "2", *mpi.env, images[mpi.image].rootfs, mpi.program("nofinalize"))
    assert done.returncode != 0
    assert "LWKPM-E" in done.stderr
    assert "MPI_Finalize" in done.stderr


def test_singletons_are_an_error(lwkpm_run: LwkpmRun, images: dict[str, Image], family: Mpi) -> None:
    command = (*WITHOUT_WIRE_UP, family.program("hello"))
    done = lwkpm_run("-n", "2", *family.env, images[family.image].rootfs, *command)
    assert done.returncode != 0
    assert "LWKPM-E055" in done.stderr, done.stderr


@pytest.mark.parametrize("ranks", [1, 5])
def test_programs_without_mpi_just_run(lwkpm_run: LwkpmRun, images: dict[str, Image], ranks: int) -> None:
    done = lwkpm_run("-n", str(ranks), images["wheels"].rootfs, "hostname")
    assert done.returncode == 0, done.stderr
    assert len(done.stdout.splitlines()) == ranks


def test_library_loaded_later_is_noticed(lwkpm_run: LwkpmRun, images: dict[str, Image], as_ordinary_user: bool) -> None:
    code = "from mpi4py import MPI; print(MPI.COMM_WORLD.Get_size())"
    command = (*WITHOUT_WIRE_UP, "python3", "-c", code)
    done = lwkpm_run("-n", "2", images["bookworm"].rootfs, *command, user=as_ordinary_user)
    assert done.returncode != 0
    assert "LWKPM-E055" in done.stderr, done.stderr


@pytest.mark.parametrize("pmi", ["pmi1", "pmi2", "port"])
def test_protocol_that_the_later_library_does_not_speak(
    lwkpm_run: LwkpmRun, images: dict[str, Image], pmi: str
) -> None:
    code = "from mpi4py import MPI; print(MPI.COMM_WORLD.Get_size())"
    done = lwkpm_run("-n", "2", "--pmi", pmi, images["bookworm"].rootfs, "python3", "-c", code)
    assert done.returncode == 125
    assert "LWKPM-E055" in done.stderr, done.stderr
    assert "Open MPI 4.1" in done.stderr
    assert "speaks PMIx" in done.stderr
    assert f"leave --pmi {pmi} out" in done.stderr


def test_library_loaded_later_by_ranks_that_go_on(lwkpm_run: LwkpmRun, images: dict[str, Image]) -> None:
    code = "import time; time.sleep(0.3); from mpi4py import MPI; time.sleep(60)"
    limits = ("--pmi", "pmi2", "--start-timeout", "3")
    started = time.monotonic()
    done = lwkpm_run("-n", "2", *limits, images["bookworm"].rootfs, "python3", "-c", code)
    assert done.returncode == 125
    assert "rank 0-1 loaded an MPI library" in done.stderr
    assert "--start-timeout" in done.stderr
    assert time.monotonic() - started < PROMPT_S


def test_library_loaded_later_runs_as_one_job(
    lwkpm_run: LwkpmRun, images: dict[str, Image], as_ordinary_user: bool
) -> None:
    code = "from mpi4py import MPI; print(MPI.COMM_WORLD.allreduce(1))"
    done = lwkpm_run("-n", "3", images["bookworm"].rootfs, "python3", "-c", code, user=as_ordinary_user)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == ["3", "3", "3"]


@pytest.mark.needs("root")
def test_ranks_of_another_user_are_named_and_do_not_hang_the_job(lwkpm_run: LwkpmRun, images: dict[str, Image]) -> None:
    mpi = FAMILIES["openmpi"]
    change = ("setpriv", "--reuid", "65534", "--clear-groups")
    started = time.monotonic()
    limits = ("--start-timeout", "5")  # one that the server refused may also wait for ever
    done = lwkpm_run("-n", "2", *limits, *mpi.env, images[mpi.image].rootfs, *change, mpi.program("hello"))
    assert done.returncode != 0
    assert "LWKPM-E055" in done.stderr, done.stderr
    assert "changes the user" in done.stderr
    assert time.monotonic() - started < PROMPT_S
