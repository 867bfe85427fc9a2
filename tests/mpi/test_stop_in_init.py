"""--stop-in-init: ranks wait in MPI_Init, for SIGCONT or for a debugger that knows the MPIR interface."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from tests.capabilities import LWKPM_RUN
from tests.conftest import child_environment

if TYPE_CHECKING:
    from pathlib import Path

WAITS = re.compile(r"all ranks wait in MPI_Init \(rank 0: pid (\d+), rank 1: pid (\d+)\)")
PROGRAMS = ["ring-mpich", "ring-impi", "ring-openmpi"]
LIMIT_S = 60

# What a debugger does: stop at MPIR_Breakpoint, say that it is one, read the table, go on.
SCRIPT = """
set pagination off
set breakpoint pending on
break MPIR_Breakpoint
run
set var MPIR_being_debugged = 1
print MPIR_proctable_size
print MPIR_debug_state
print MPIR_proctable[1].executable_name
shell sleep 1
continue
"""


@pytest.mark.parametrize("program", PROGRAMS)
def test_sigcont_lets_the_ranks_go_on(demo_image: Path, program: str) -> None:
    command = [str(LWKPM_RUN), "-t", "50", "--stop-in-init", "-n", "2", str(demo_image), program]
    env = child_environment(user=False, extra=None)
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=env) as job:
        assert job.stderr is not None
        line = job.stderr.readline()
        assert WAITS.search(line), line
        assert f"kill -CONT {job.pid}" in line
        with pytest.raises(subprocess.TimeoutExpired):
            job.wait(1)  # they do wait
        job.send_signal(signal.SIGCONT)
        out, err = job.communicate(timeout=LIMIT_S)
    assert job.returncode == 0, err
    assert out.startswith("ring: 2 ranks, token 2, sum OK")


@pytest.mark.needs("gdb")
@pytest.mark.parametrize("program", PROGRAMS)
def test_a_debugger_finds_the_process_table(demo_image: Path, tmp_path: Path, program: str) -> None:
    script = tmp_path / "script.gdb"
    script.write_text(SCRIPT)
    job = [sys.executable, "-IS", str(LWKPM_RUN), "--stop-in-init", "-n", "2", str(demo_image), program]
    done = subprocess.run(
        ["gdb", "-q", "-batch", "-nx", "-x", str(script), "--args", *job],
        capture_output=True,
        text=True,
        timeout=LIMIT_S,
        env=child_environment(user=False, extra=None),
        check=False,
    )
    assert "$1 = 2" in done.stdout, done.stdout + done.stderr
    assert "$2 = 1" in done.stdout
    assert re.search(r"\$3 = 0x[0-9a-f]+ \"/proc/\d+/root/.*/ring", done.stdout), done.stdout
    assert "ring: 2 ranks, token 2, sum OK" in done.stdout
    assert "the ranks go on" in done.stdout + done.stderr


def test_programs_without_mpi_do_not_wait(demo_image: Path) -> None:
    command = [str(LWKPM_RUN), "--stop-in-init", "-n", "2", str(demo_image), "true"]
    done = subprocess.run(command, capture_output=True, timeout=LIMIT_S, check=False)
    assert done.returncode == 0, done.stderr
