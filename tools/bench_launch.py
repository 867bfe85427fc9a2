"""``make bench-launch``: start-up times beside the wheels' own launchers, alternating in one run, medians.

Two tables. Launcher alone: /bin/true in demo.sqfs against native ``mpiexec.hydra`` of the mpich 5.0.2 wheel without a
container. MPI start-up: hello at N=32 in each wheel's tree against that wheel's own mpiexec on the host.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from tools.images.build import build_demo, build_test_image
from tools.images.sources import ROOT

LWKPM_RUN = ROOT / ".venv" / "bin" / "lwkpm-run"
TRUE_RANKS = (1, 64, 256)
TRUE_ROUNDS = 15
HELLO_RANKS = 32
HELLO_ROUNDS = 5
# The wheels' launchers: Open MPI refuses root and more ranks than cores unless told.
LAUNCHER = {
    "mpich": ("mpiexec.hydra",),
    "impi": ("mpiexec.hydra",),
    "openmpi": ("mpiexec", "--allow-run-as-root", "--oversubscribe"),
}


@dataclass(frozen=True)
class Row:
    """One comparison; times are medians in ms."""

    name: str
    ours_ms: float
    theirs_ms: float

    def __str__(self) -> str:
        return f"{self.name:<28} {self.ours_ms:9.1f} {self.theirs_ms:9.1f} {self.ours_ms / self.theirs_ms:7.2f}"


def run_ms(command: list[str], env: dict[str, str]) -> float:
    """Wall-clock time of one run, which must succeed."""
    started_s = time.perf_counter()
    done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=300, check=False)
    elapsed_ms = 1000 * (time.perf_counter() - started_s)
    if done.returncode != 0:
        raise SystemExit(f"bench: {' '.join(command)} ended with {done.returncode}:\n{done.stderr}")
    return elapsed_ms


def compare(name: str, ours: list[str], theirs: list[str], rounds: int, env: dict[str, str]) -> Row:
    """Run both alternately, so that a busy moment of the machine hits both; the first round only warms up."""
    times = [(run_ms(ours, env), run_ms(theirs, env)) for _ in range(rounds + 1)][1:]
    return Row(name, statistics.median(t[0] for t in times), statistics.median(t[1] for t in times))


def compare_true(demo: Path, wheels: Path, env: dict[str, str]) -> list[Row]:
    """The launcher alone."""
    hydra = str(wheels / "rootfs" / "opt" / "mpich-5.0.2" / "bin" / "mpiexec.hydra")
    return [
        compare(
            f"true, N={ranks}",
            [str(LWKPM_RUN), "-n", str(ranks), str(demo), "/bin/true"],
            [hydra, "-n", str(ranks), "/bin/true"],
            TRUE_ROUNDS,
            env,
        )
        for ranks in TRUE_RANKS
    ]


def compare_hello(wheels: Path, mpi: dict[str, object], env: dict[str, str]) -> Row:
    """One wheel's MPI_Init and MPI_Finalize at N=32; the launcher's copy on the host needs the host's paths."""
    rootfs, inside, extra = wheels / "rootfs", str(mpi["dir"]), mpi["env"]
    assert isinstance(extra, dict)
    outside = str(rootfs) + inside
    flags = [word for key, value in extra.items() for word in ("-x", f"{key}={value}")]
    native = env | {key: value.replace(inside, outside) for key, value in extra.items()}
    program, *options = LAUNCHER[str(mpi["family"])]
    size = ["-n", str(HELLO_RANKS)]
    ours = [str(LWKPM_RUN), *size, *flags, str(rootfs), f"{inside}/bin/hello"]
    theirs = [f"{outside}/bin/{program}", *options, *size, f"{outside}/bin/hello"]
    return compare(f"hello, {mpi['name']}", ours, theirs, HELLO_ROUNDS, native)


def main() -> int:
    """Print both tables as they grow."""
    demo, wheels = build_demo(), build_test_image("wheels")
    env = {key: value for key, value in os.environ.items() if not key.startswith(("PMI", "OMPI_", "I_MPI_"))}
    print(f"{'median of ms':<28} {'lwkpm':>9} {'native':>9} {'ratio':>7}")
    for row in compare_true(demo, wheels, env):
        print(row, flush=True)
    for mpi in json.loads((wheels / "image.json").read_text())["mpis"]:
        print(compare_hello(wheels, mpi, env), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
