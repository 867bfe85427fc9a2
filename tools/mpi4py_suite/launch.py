"""One launch of the recorder in all ranks, watched: it ends, or is ended when no rank gets on any more."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import tempfile
import threading
import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tools.bench_cases import LWKPM_RUN, PLAIN_ENV, own_launcher

if TYPE_CHECKING:
    from collections.abc import Iterator

RECORDER = Path(__file__).with_name("recorder.py")
TESTS = "/opt/mpi4py/test"
SIDES = ("own", "lwkpm")
TOTAL_S = 2400.0
POLL_S = 0.1
STOP_S = 15.0  # between TERM and KILL
MARK = "SUITE_MARK"  # in the environment of a launch's ranks
PREFIX = f"lwks-{os.getpid()}-"  # of the marks and directories of all launches of this process
TAIL = 400

DONOR = "impi-2021.13.1"  # its wheel still has a libfabric
# By family or name, the same for both sides. Without the yields four waiting ranks on two cores take twenty times as
# long. Intel MPI spawns over libfabric only, and mpi4py's tests spawn with it only without matched probes
# (mpitestutil.disable_mpi_spawn).
SHARED_ENV = {
    "mpich-4.3.2": {"MPIR_CVAR_ENABLE_HEAVY_YIELD": "1"},
    "impi": {
        "I_MPI_THREAD_YIELD": "3",
        "I_MPI_WAIT_MODE": "1",
        "I_MPI_FABRICS": "shm:ofi",
        "FI_PROVIDER": "tcp",
        "FI_PROVIDER_PATH": f"/opt/{DONOR}/lib/libfabric/prov",
        "LD_LIBRARY_PATH": f"{{prefix}}/lib:/opt/{DONOR}/lib/libfabric",
        "MPI4PY_RC_RECV_MPROBE": "0",
    },
    "openmpi": {"OMPI_MCA_mpi_yield_when_idle": "1", "OMPI_MCA_btl_base_warn_component_unused": "0"},
}
# For the own launchers only: spawned ranks need slots as well, and there is no ssh in the image.
OWN_ENV = {
    "openmpi": {
        "OMPI_MCA_rmaps_base_oversubscribe": "1",
        "OMPI_MCA_plm_rsh_agent": "false",
        "PRTE_MCA_rmaps_default_mapping_policy": ":oversubscribe",
        "PRTE_MCA_plm_ssh_agent": "false",
    },
}


@dataclass(frozen=True)
class Target:
    """An MPI of the image; `enter` is the command prefix that runs something inside for the own launcher."""

    name: str
    family: str
    prefix: str
    env: dict[str, str]
    root: str
    enter: tuple[str, ...]

    def settings(self, mark: str) -> dict[str, str]:
        """What the ranks need in their environment on both sides."""
        shared = {**SHARED_ENV.get(self.family, {}), **SHARED_ENV.get(self.name, {})}
        # PYTHONPATH: processes that the tests spawn import test modules, too.
        common = {"LD_LIBRARY_PATH": "{prefix}/lib", "PYTHONPATH": TESTS, MARK: mark}
        named = {**common, **self.env, **shared}
        return {name: value.replace("{prefix}", self.prefix) for name, value in named.items()}


@dataclass(frozen=True)
class Order:
    """What the recorder is to run."""

    modules: tuple[str, ...]
    skip: tuple[str, ...] = ()
    numpy: bool = False


@dataclass
class Attempt:
    """How a launch ended: "ended", "crash" or "hang", and the entries of each rank's log."""

    ended: str
    text: str
    logs: list[list[dict[str, Any]]] = field(default_factory=list)
    seconds: float = 0.0


class Cores:
    """Waiting ranks spin: launches that together have more ranks than there are cores only hinder each other."""

    def __init__(self) -> None:
        self.count = self.free = len(os.sched_getaffinity(0))
        self.changed = threading.Condition()

    @contextmanager
    def taken(self, ranks: int) -> Iterator[None]:
        """Wait for a core for each rank, at most for all cores."""
        wanted = min(ranks, self.count)
        with self.changed:
            self.changed.wait_for(lambda: self.free >= wanted)
            self.free -= wanted
        try:
            yield
        finally:
            with self.changed:
                self.free += wanted
                self.changed.notify_all()


CORES = Cores()


def command_of(side: str, target: Target, ranks: int, mark: str, program: tuple[str, ...]) -> tuple[str, ...]:
    """The whole command line of one side."""
    settings = target.settings(mark)
    if side == "lwkpm":
        given = tuple(word for name, value in settings.items() for word in ("-x", f"{name}={value}"))
        return (str(LWKPM_RUN), "-n", str(ranks), *given, target.root, *program)
    words = [f"{name}={value}" for name, value in {**settings, **OWN_ENV.get(target.family, {})}.items()]
    return (*target.enter, "env", *words, *own_launcher(target.family, target.prefix), "-n", str(ranks), *program)


def launch(side: str, target: Target, ranks: int, order: Order, idle_s: float) -> Attempt:
    """Run the order in `ranks` ranks when there are cores for it. Nothing of it is left afterwards."""
    work = Path(tempfile.mkdtemp(prefix=PREFIX, dir="/tmp"))
    try:
        with CORES.taken(ranks):
            return run_in(work, side, target, ranks, order, idle_s)
    finally:
        shutil.rmtree(work, ignore_errors=True)


def run_in(work: Path, side: str, target: Target, ranks: int, order: Order, idle_s: float) -> Attempt:
    """Write the order into `work`, and run it there."""
    shutil.copy(RECORDER, work / "recorder.py")
    facts = {"tests": TESTS, "modules": order.modules, "skip": order.skip, "numpy": order.numpy}
    (work / "order.json").write_text(json.dumps(facts))
    program = ("python3", f"{work}/recorder.py", f"{work}/order.json")
    started_s = time.monotonic()
    with (work / "output").open("wb") as output:
        process = subprocess.Popen(
            command_of(side, target, ranks, work.name, program),
            env={**PLAIN_ENV, "TMPDIR": str(work), MARK: work.name},
            cwd=work,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    # Ranks that spin in turn: MPICH 4.3.2 locks a window by messages and yields to nobody while it waits.
    status = watch(process, work, idle_s * max(1, ranks / CORES.count) ** 2)
    end_strays(work.name)
    return attempt_of(work, ranks, status, time.monotonic() - started_s)


def watch(process: subprocess.Popen[bytes], work: Path, idle_s: float) -> int | None:
    """The exit status, None when it had to be ended: no log grew for `idle_s` seconds."""
    begun_s = moved_s = time.monotonic()
    seen = -1
    while process.poll() is None:
        time.sleep(POLL_S)
        now_s, size = time.monotonic(), sum(path.stat().st_size for path in work.glob("rank-*.jsonl"))
        if size != seen:
            seen, moved_s = size, now_s
        if now_s - moved_s > idle_s or now_s - begun_s > TOTAL_S:
            stop(process)
            return None
    return process.returncode


def stop(process: subprocess.Popen[bytes]) -> None:
    """Politely, then by force."""
    process.send_signal(signal.SIGTERM)
    try:
        process.wait(STOP_S)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def end_all(signal_number: int, _frame: object) -> None:
    """Signal handler: end everything that this process has started, and itself."""
    end_strays(PREFIX)
    for path in Path("/tmp").glob(f"{PREFIX}*"):
        shutil.rmtree(path, ignore_errors=True)
    os._exit(128 + signal_number)


def end_strays(mark: str) -> None:
    """Kill what a launcher left: processes that carry a mark beginning like this in their environment."""
    wanted = f"{MARK}={mark}".encode()
    for pid in [int(name) for name in os.listdir("/proc") if name.isdigit()]:
        try:
            with open(f"/proc/{pid}/environ", "rb") as stream:
                found = wanted in stream.read()
            if found:
                os.kill(pid, signal.SIGKILL)
        except OSError:
            continue  # it ended meanwhile


def read_log(path: Path) -> list[dict[str, Any]]:
    """The entries of a rank; the last line of a killed one may be cut."""
    entries: list[dict[str, Any]] = []
    if not path.exists():
        return entries
    for line in path.read_text(encoding="utf-8").splitlines():
        try:
            entries.append(json.loads(line))
        except ValueError:
            break
    return entries


def attempt_of(work: Path, ranks: int, status: int | None, seconds: float) -> Attempt:
    """What the logs and the exit status say."""
    logs = [read_log(work / f"rank-{rank}.jsonl") for rank in range(ranks)]
    finished = all(log and "done" in log[-1] for log in logs)
    ended = "hang" if status is None else "ended" if finished and status == 0 else "crash"
    said = (work / "output").read_text(encoding="utf-8", errors="replace").strip().replace(str(work), "WORK")
    if os.environ.get("SUITE_DEBUG"):
        print(f"status {status}\n{said}")
    return Attempt(ended, f"status {status}: {said[-TAIL:]}" if ended != "ended" else "", logs, seconds)
