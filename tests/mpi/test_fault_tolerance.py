"""Open MPI's fault tolerance (ULFM) under lwkpm-run --no-kill: the others learn of a death and go on."""

from __future__ import annotations

import os
import shutil
import subprocess
from typing import TYPE_CHECKING

import pytest

from tests.mpi.pmix_cases import HERE, openmpi

if TYPE_CHECKING:
    from pathlib import Path

    from tests.conftest import LwkpmRun

SETTINGS = {"OMPI_MCA_mpi_ft_enable": "1", "OMPI_MCA_btl": "self,sm", "OMPI_MCA_pml": "ob1"}
KILLED = 128 + 9


@pytest.fixture(scope="module")
def survive(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """(the program, Open MPI's prefix)."""
    if not shutil.which("gcc"):
        pytest.skip("gcc is missing")
    prefix, program = openmpi("5.0.11"), tmp_path_factory.mktemp("ulfm") / "survive"
    command = [str(prefix / "bin" / "mpicc"), "-o", str(program), str(HERE / "pmix_programs" / "survive.c")]
    env = {**os.environ, "OPAL_PREFIX": str(prefix)}
    subprocess.run([*command, f"-Wl,-rpath,{prefix}/lib"], env=env, check=True)
    return program, prefix


def test_the_others_go_on_after_a_rank_was_killed(lwkpm_run: LwkpmRun, survive: tuple[Path, Path]) -> None:
    program, prefix = survive
    settings = [word for name, value in SETTINGS.items() for word in ("-x", f"{name}={value}")]
    done = lwkpm_run("--no-kill", "-t", "50", "-x", f"OPAL_PREFIX={prefix}", *settings, "-n", "4", "host://", program)
    assert sorted(done.stdout.splitlines()) == [f"survive {rank} of 4: noticed, 3 left" for rank in (0, 2, 3)]
    assert done.returncode == KILLED
    assert "rank 1 (pid " in done.stderr
